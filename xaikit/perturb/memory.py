"""The memory of coalitions already seen: what the model said, so that asking again costs nothing."""

import threading
import weakref
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from functools import cache
from itertools import count, islice

import numpy as np

from xaikit.arrays import Array

LIMIT = 64 * 2**20
OVERHEAD = 160
"""About what Python keeps for one entry: a bytes object, a float, and their place in a dict."""


class Memory:
    """Values by (context, key), at most `limit` bytes in all; the context used longest ago is dropped first.

    A context is everything but the coalition: input, masker, model and score. Safe to use from several threads.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self.size = 0
        self._contexts: OrderedDict[Hashable, dict[bytes, float]] = OrderedDict()
        self._lock = threading.Lock()

    def knows(self, context: Hashable) -> bool:
        """Say whether anything is kept for a context."""
        with self._lock:
            return bool(self._contexts.get(context))

    def recall(self, context: Hashable, keys: Sequence[bytes]) -> list[float | None]:
        """Give the value of every key, or None."""
        with self._lock:
            known = self._contexts.get(context)
            if known is None:
                return [None] * len(keys)
            self._contexts.move_to_end(context)
            return list(map(known.get, keys))

    def store(self, context: Hashable, entries: Mapping[bytes, float]) -> None:
        """Keep values, and drop the oldest contexts, then the oldest entries, beyond the limit."""
        with self._lock:
            known = self._contexts.setdefault(context, {})
            self._contexts.move_to_end(context)
            self.size -= _size(known)
            known.update(entries)
            self.size += _size(known)
            while self.size > self.limit and len(self._contexts) > 1:
                self.size -= _size(self._contexts.popitem(last=False)[1])
            if self.size > self.limit:
                each = self.size // len(known)
                for key in list(islice(known, -(-(self.size - self.limit) // each))):
                    del known[key]
                self.size = _size(known)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._contexts.clear()
            self.size = 0


def _size(known: dict[bytes, float]) -> int:
    """Count bytes; the keys of one context are of one length."""
    return len(known) * (len(next(iter(known))) + OVERHEAD) if known else 0


MEMORY = Memory()
"""The memory that all methods share."""


def packed(masks: Array) -> list[bytes]:
    """Give a key for each row of bools: its bits, or a digest of 16 bytes where they are more.

    The digest is four hashes, each the upper half of Σ a·w mod 2^64 over a row's words w of 32 bits, with random 64-bit
    numbers a. Where two rows differ, their sums differ by a number that is uniform over the multiples of some power of
    2, at most 2^31, so the upper halves are equal with a probability of 2^-31 at most, all four with 2^-124: for any
    two among the 400,000 coalitions that the memory holds, 10^-26. Source: Dietzfelbinger, "Universal hashing and
    k-wise independent random variables via integer arithmetic without primes" (1996).
    """
    bits = np.packbits(masks, axis=1)
    if bits.shape[1] <= 16:
        return _cut(bits)
    words = np.zeros((len(bits), -(-bits.shape[1] // 4) * 4), np.uint8)
    words[:, : bits.shape[1]] = bits
    words = words.view("<u4").astype(np.uint64)
    hashes = words @ _factors(words.shape[1]) >> np.uint64(32)
    return _cut(hashes.astype("<u4").view(np.uint8))


def _cut(bits: Array) -> list[bytes]:
    """Give every row of bytes as one object."""
    width, data = bits.shape[1], bits.tobytes()
    return [data[at : at + width] for at in range(0, len(data), width)] if width else [b""] * len(bits)


@cache
def _factors(words: int) -> Array:
    return np.random.default_rng(0).integers(0, 2**64, (words, 4), np.uint64)


_serials: "weakref.WeakKeyDictionary[object, int]" = weakref.WeakKeyDictionary()
_next = count()


def serial(thing: object) -> int:
    """Give an object its own number for as long as it lives; unlike an id, it is never given again."""
    try:
        return _serials.setdefault(thing, next(_next))
    except TypeError:  # neither hashable nor weakly referable: nothing can be remembered of it
        return next(_next)
