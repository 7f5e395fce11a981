"""Pace: how many rows a model is given at once in a long run."""

from functools import cache
from weakref import WeakKeyDictionary

import numpy as np

from xaikit.model import Model

LONG = 20
"""From so many batches on half the batch is tried too; fewer would not repay it."""
TRIALS = 5
"""Batches of each size whose time is taken; the fastest counts."""
FULL = 0.9
"""The share of a trial's rows from which on its time counts."""
GAIN = 0.9
"""Half the batch is kept where a row takes at most this share of its time: less may be chance."""
WORKS = 0.15
"""Where the processor works for at least this share of the time, its own time counts, which a busy machine leaves as it
is; where it works for less, the batches are answered elsewhere."""

QUICK = 0.1
"""So many seconds may pass until a question is answered: what makes it longer is more than one batch."""

SETTLED = 24 * 2**20
"""Bytes of the block by which the C library is told that blocks of such sizes come and go."""

_FOUND: WeakKeyDictionary[Model, dict[str, int]] = WeakKeyDictionary()


class Pace:
    """Gives the rows of the next batch: at first `size` and half of it in turns, then whichever was faster.

    Where the half was faster it is halved again, until that gains nothing. What was found for a model, or a copy of
    some kind, is kept, so that a repetition has the same batches. A larger batch than `size` is never tried: it would
    need the memory that the rule for `size` bounds. Where no smaller one was better, several batches are asked for
    at once, which the model takes one by one: at least and at most as many as `gathered` says, more than the least only
    where they are quick.
    """

    def __init__(self, model: Model, kind: str, size: int, due: int, gathered: tuple[int, int] = (1, 1)) -> None:
        self.size, self.gathered = size, gathered
        self._each = np.inf
        self._best = size
        self._kept = _FOUND.setdefault(model, {})
        self._key = f"{kind} {size}"
        self._trials: list[int] = []
        self._seconds: dict[int, float] = {}
        self._worked: dict[int, float] = {}
        if due >= LONG * size and self._key not in self._kept:
            settle_memory()
            self._try_half(size)

    @property
    def rows(self) -> int:
        """How many rows are asked for next."""
        if self._trials:
            return self._trials[0]
        found = self._kept.get(self._key, self.size)
        return (
            found * int(np.clip(QUICK / max(self._each * found, 1e-9), *self.gathered)) if found == self.size else found
        )

    def took(self, rows: int, seconds: float, worked: float = 0.0) -> None:
        """Take note of the time of a batch, and of the processor's; one that is hardly filled says nothing."""
        if rows >= FULL * self.size:
            self._each = min(self._each, seconds / rows)
        if not self._trials or rows < FULL * self._trials[0]:
            return
        tried = self._trials.pop(0)
        for kept, took in ((self._seconds, seconds), (self._worked, worked)):
            kept[tried] = min(took / rows, kept.get(tried, took))
        if not self._trials:
            self._judge(self._best, self._best // 2)

    def _judge(self, whole: int, half: int) -> None:
        """Keep the batch, or turn to half of it, and try half of that."""
        here = all(self._worked[n] >= WORKS * self._seconds[n] for n in (half, whole))
        took_each = self._worked if here else self._seconds
        if took_each[half] > GAIN * took_each[whole]:
            self._kept[self._key] = whole
        else:
            self._best = half
            self._try_half(half)

    def _try_half(self, size: int) -> None:
        """Have `size` and half of it tried in turns; a single row cannot be halved, and is kept."""
        self._trials = [size, size // 2] * TRIALS
        if size < 2:
            self._trials, self._kept[self._key] = [], size


@cache
def settle_memory() -> None:
    """Let what a batch needs come from memory that the process keeps, before the times of batches are compared.

    glibc gives blocks that are larger than any freed before back to the system, and half of a batch that hardly fits
    then seems faster than the whole: each page that comes anew takes longer than what a layer does with it. One large
    block that is asked for and freed raises that bound; nothing is written into it, so that it takes no memory.
    Elsewhere it changes nothing. Source: mallopt(3), M_MMAP_THRESHOLD.
    """
    np.empty(SETTLED, np.uint8)
