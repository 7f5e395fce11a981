"""Pace: how many rows a model is given at once in a long run."""

from weakref import WeakKeyDictionary

from xaikit.model import Model

LONG = 20
"""From so many batches on half the batch is tried too; fewer would not repay it."""
TRIALS = 3
"""Batches of each size whose time is taken; the fastest counts."""
FULL = 0.9
"""The share of a trial's rows from which on its time counts."""
GAIN = 0.9
"""Half the batch is kept where a row takes at most this share of its time: less may be chance."""
WORKS = 0.15
"""Where the processor works for at least this share of the time, its own time counts, which a busy machine leaves as it
is; where it works for less, the batches are answered elsewhere."""

_FOUND: WeakKeyDictionary[Model, dict[str, int]] = WeakKeyDictionary()


class Pace:
    """Gives the rows of the next batch: at first `size` and half of it in turns, then whichever was faster.

    What was found for a model, or a copy of some kind, is kept, so that a repetition has the same batches. A larger
    batch than `size` is never tried: it would need the memory that the rule for `size` bounds.
    """

    def __init__(self, model: Model, kind: str, size: int, due: int) -> None:
        self.size = size
        self._kept = _FOUND.setdefault(model, {})
        self._key = f"{kind} {size}"
        worth = due >= LONG * size and size >= 2 and self._key not in self._kept
        self._trials = [size, size // 2] * TRIALS if worth else []
        self._seconds: dict[int, float] = {}
        self._worked: dict[int, float] = {}

    @property
    def rows(self) -> int:
        """How many rows the next batch has."""
        return self._trials[0] if self._trials else self._kept.get(self._key, self.size)

    def took(self, rows: int, seconds: float, worked: float = 0.0) -> None:
        """Take note of the time of a batch, and of the processor's; one that is hardly filled says nothing."""
        if not self._trials or rows < FULL * self._trials[0]:
            return
        tried = self._trials.pop(0)
        for kept, took in ((self._seconds, seconds), (self._worked, worked)):
            kept[tried] = min(took / rows, kept.get(tried, took))
        if not self._trials:
            half = self.size // 2
            here = all(self._worked[n] >= WORKS * self._seconds[n] for n in (half, self.size))
            took_each = self._worked if here else self._seconds
            faster = took_each[half] <= GAIN * took_each[self.size]
            self._kept[self._key] = half if faster else self.size
