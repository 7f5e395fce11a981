"""Progress of long work: a callback with the total known in advance, or a bar that appears when work is long."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Progress = Callable[[int, int], None]
"""Called with (done, total) after every step; raise Cancelled in it to stop."""


def silent(done: int, total: int) -> None:
    """Report no progress."""


@contextmanager
def bar(progress: Progress | bool | None, what: str) -> Iterator[Progress]:
    """Give a Progress: the caller's own, none for False, or for None and True a bar.

    The bar is on stderr or in the notebook, appears after two seconds of work (at once for True), and only on a
    terminal or in a notebook.
    """
    if callable(progress):
        yield progress
    elif progress is False:
        yield silent
    else:
        with _Bar(what, delay=0 if progress else 2) as shown:
            yield shown


class _Bar:
    def __init__(self, what: str, delay: float) -> None:
        self.what, self.delay, self.shown = what, delay, None

    def __enter__(self) -> Progress:
        return self

    def __call__(self, done: int, total: int) -> None:
        shown: Any = self.shown
        if shown is None:
            shown = self.shown = _tqdm()(total=total, desc=self.what, delay=self.delay, leave=False, disable=None)
        shown.total = total
        shown.update(done - shown.n)

    def __exit__(self, *error: object) -> None:
        shown: Any = self.shown
        if shown is not None:
            shown.close()


def _tqdm() -> Any:
    """The bar for where we are; a notebook without ipywidgets gets none, and needs no warning about it."""
    import warnings

    from tqdm import TqdmWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TqdmWarning)
        from tqdm.auto import tqdm
    return tqdm
