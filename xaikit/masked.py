"""Masked inputs that are yet to be made, on the network's device: what is shown, and what stands for the rest."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from xaikit.arrays import Array


@dataclass(frozen=True, eq=False)
class Hiding:
    """One input and what hides its parts: `x` (*shape), `hidden` (baseline, *shape), `places` (number,) of the parts.

    `places` has the part of every number of `x`, row by row; the last label is no part. `kept` is where an adapter
    keeps these as its device needs them.
    """

    x: Array
    hidden: Array
    places: Array
    kept: dict[str, Any] = field(default_factory=dict)


class Piece(NamedTuple):
    """Rows of one input: `shown` (row, part + 1), True where a part is shown, and the baseline `which` (row,)."""

    hiding: Hiding
    shown: Array
    which: Array


class MaskedRows:
    """A batch of masked inputs (row, *shape) in pieces; to NumPy it is the array that it stands for.

    What a device needs for a row are the parts that it shows, a thousandth of its numbers. `order` is that of the axes,
    as `transpose` has left it.
    """

    def __init__(self, pieces: Sequence[Piece], order: tuple[int, ...] | None = None, dtype: Any = None) -> None:
        self.pieces = list(pieces)
        first = self.pieces[0].hiding.x
        self.dtype, self.ndim = first.dtype if dtype is None else np.dtype(dtype), first.ndim + 1
        self.order = tuple(range(self.ndim)) if order is None else order
        whole = (sum(len(p.shown) for p in self.pieces), *first.shape)
        self.shape = tuple(whole[i] for i in self.order)

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, index: Any) -> Any:
        """Give some of the rows; anything but a slice of them as an array."""
        if not isinstance(index, slice) or index.step not in (None, 1) or self.order[0] != 0:
            return np.asarray(self)[index]
        start, stop, _ = index.indices(len(self))
        found, begin = [], 0
        for hiding, shown, which in self.pieces:
            here = slice(max(0, start - begin), max(0, stop - begin))
            if len(shown[here]):
                found.append(Piece(hiding, shown[here], which[here]))
            begin += len(shown)
        return MaskedRows(found, self.order, self.dtype) if found else np.asarray(self)[index]

    def transpose(self, order: Sequence[int]) -> "MaskedRows":
        """Give the same with its axes in another order."""
        return MaskedRows(self.pieces, tuple(self.order[i] for i in order), self.dtype)

    def astype(self, dtype: Any, copy: bool = True) -> "MaskedRows":
        """Give the same in numbers of another type."""
        return MaskedRows(self.pieces, self.order, dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Make the rows of the numbers of `x` and `hidden`."""
        made = [
            np.where(shown[:, h.places], h.x.ravel(), h.hidden.reshape(len(h.hidden), -1)[which])
            for h, shown, which in self.pieces
        ]
        whole = np.concatenate(made).reshape(-1, *self.pieces[0].hiding.x.shape).transpose(self.order)
        return np.asarray(whole, self.dtype if dtype is None else dtype)
