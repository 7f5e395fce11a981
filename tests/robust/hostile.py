"""Files damaged in many ways, and the one rule for what reads them: an answer, or a XaikitError of one line."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from xaikit.errors import XaikitError

ROUNDS = int(os.environ.get("XAIKIT_FUZZ", "40"))
"""Damaged copies of each file; XAIKIT_FUZZ=5000 tries long."""
SECONDS = 20
"""What takes longer hangs."""


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Give a copy of a file that is cut, overwritten, longer, or has parts exchanged."""
    spoiled, n = bytearray(content), len(content)
    for _ in range(int(rng.integers(1, 4))):
        at, much = int(rng.integers(0, n)), int(rng.integers(1, 40))
        kind = rng.integers(0, 7)
        if kind == 0:
            del spoiled[at:]
        elif kind == 1:
            spoiled[at : at + 1] = bytes([int(rng.integers(0, 256))])
        elif kind == 2:
            spoiled[at : at + much] = rng.integers(0, 256, much).astype(np.uint8).tobytes()
        elif kind == 3:
            spoiled[at:at] = rng.integers(0, 256, much).astype(np.uint8).tobytes()
        elif kind == 4:
            spoiled[at : at + much] = b"\xff" * much
        elif kind == 5:
            del spoiled[at : at + much]
        else:
            spoiled[at : at + 4] = content[: int(rng.integers(0, 4))]
        if not spoiled:
            return b""
        n = len(spoiled)
    return bytes(spoiled)


def copies(path: Path, seed: int = 0, rounds: int | None = None) -> Iterator[Path]:
    """Overwrite a file with damaged copies of itself, one after the other; it is whole again at the end."""
    content, rng = path.read_bytes(), np.random.default_rng(seed)
    for _ in range(ROUNDS if rounds is None else rounds):
        path.write_bytes(damaged(content, rng))
        yield path
    path.write_bytes(content)


def answers(call: Callable[..., Any], *given: Any) -> Any:
    """Give what a call gives, or the XaikitError that it raises; anything else fails the test, as does a long wait."""
    with _limited():
        try:
            return call(*given)
        except XaikitError as error:
            said = str(error)
            assert said, "an error without a word"
            assert "\n" not in said
            assert len(said) < 1500, said
            return error


def refused(call: Callable[..., Any], *given: Any) -> str:
    """Give the text of the XaikitError that a call raises; it is to raise one."""
    found = answers(call, *given)
    assert isinstance(found, XaikitError), f"nothing was said: {found!r}"
    return str(found)


@contextmanager
def _limited() -> Iterator[None]:
    def late(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"it took longer than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
