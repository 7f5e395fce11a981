"""Linear algebra of NumPy and SciPy on one thread, beside networks that use the others."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

OWN = {"numpy.libs", "scipy.libs", ".dylibs"}
"""The folders in which wheels of NumPy and SciPy bring their own library. The one of the system or of conda may be what
a framework calculates with, and is left alone."""


class _OneThread:
    """Holds the libraries at one thread as long as anybody asks for it: the last to leave gives the threads back."""

    def __init__(self) -> None:
        self.lock, self.users = threading.Lock(), 0
        self.held: list[tuple[Any, int]] = []

    def enter(self) -> None:
        with self.lock:
            self.users += 1
            if self.users == 1:
                found = [(library, library.get_num_threads()) for library in _libraries("scipy.linalg" in sys.modules)]
                self.held = [(library, count) for library, count in found if count > 1]
                for library, _ in self.held:
                    _give(library, 1)

    def leave(self) -> None:
        with self.lock:
            self.users -= 1
            if self.users == 0:
                for library, count in self.held:
                    _give(library, count)
                self.held = []


_ONE_THREAD = _OneThread()


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep NumPy's and SciPy's linear algebra to one thread of the process while the context lasts.

    Threads of OpenBLAS go on turning for a tenth of a second after their work, on the cores that the network's passes
    need. What is solved between passes is small: LIME and KernelSHAP take half the time on two cores. Contexts may be
    nested and entered from several threads.
    """
    _ONE_THREAD.enter()
    try:
        yield
    finally:
        _ONE_THREAD.leave()


def _give(library: Any, count: int) -> None:
    """Give a library so many threads; threadpoolctl from 3.8 on hears only the Python thread that was first to."""
    free = getattr(library, "clear_controlling_thread", lambda **_: None)
    free(force=True)
    library.set_num_threads(count)
    free(force=True)


@cache
def _libraries(with_scipy: bool) -> tuple[Any, ...]:
    """Find the libraries that are loaded; SciPy brings one of its own, which comes later."""
    from threadpoolctl import ThreadpoolController

    loaded = ThreadpoolController().lib_controllers
    return tuple(found for found in loaded if found.user_api == "blas" and Path(found.filepath).parent.name in OWN)
