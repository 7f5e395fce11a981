"""The memory of coalitions already seen: what the model said, so that asking again costs nothing."""

import threading
import weakref
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from hashlib import blake2b
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

    def recall(self, context: Hashable, keys: Sequence[bytes]) -> list[float | None]:
        """Give the value of every key, or None."""
        with self._lock:
            known = self._contexts.get(context)
            if known is None:
                return [None] * len(keys)
            self._contexts.move_to_end(context)
            return [known.get(key) for key in keys]

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
    """Give a key for each row of bools: its bits, or a digest of 16 bytes where they are more."""
    bits = np.packbits(masks, axis=1)
    width, data = bits.shape[1], bits.tobytes()
    rows = [data[i * width : (i + 1) * width] for i in range(len(bits))]
    return rows if width <= 16 else [blake2b(row, digest_size=16).digest() for row in rows]


_serials: "weakref.WeakKeyDictionary[object, int]" = weakref.WeakKeyDictionary()
_next = count()


def serial(thing: object) -> int:
    """Give an object its own number for as long as it lives; unlike an id, it is never given again."""
    try:
        return _serials.setdefault(thing, next(_next))
    except TypeError:  # neither hashable nor weakly referable: nothing can be remembered of it
        return next(_next)
