"""Sliding windows: places that are hidden together, overlapping, over one or several inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from xaikit.arrays import SPACE, Array, leaves
from xaikit.errors import ParameterError
from xaikit.perturb.question import Question
from xaikit.perturb.segments import SINGLE, Parts


@dataclass(frozen=True, eq=False)
class Axis:
    """Windows of `window` steps every `stride` steps along an axis of `size`; the last one is clipped at the end."""

    size: int
    window: int
    stride: int

    @cached_property
    def bounds(self) -> tuple[Array, Array]:
        """First step, and the step after the last, of every window."""
        starts = np.arange(-(-(self.size - self.window) // self.stride) + 1) * self.stride
        return starts, np.minimum(starts + self.window, self.size)

    @cached_property
    def cells(self) -> Array:
        """The cell of every step: cells are what lies between all beginnings and ends of windows."""
        edges = np.unique(np.concatenate(self.bounds))
        return np.searchsorted(edges[1:-1], np.arange(self.size), side="right")

    @cached_property
    def covers(self) -> Array:
        """Which cells a window covers: (window, cell) bool."""
        starts, ends = self.bounds
        first = np.searchsorted(self.cells, np.arange(self.cells[-1] + 1))
        return np.asarray((starts[:, None] <= first) & (first < ends[:, None]))


@dataclass(frozen=True, eq=False)
class Grid:
    """The windows of one input: the product of those along its axes."""

    axes: tuple[Axis, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """How many windows there are along each axis."""
        return tuple(len(a.covers) for a in self.axes)

    @property
    def cells(self) -> tuple[int, ...]:
        """How many cells there are along each axis."""
        return tuple(a.covers.shape[1] for a in self.axes)

    @property
    def labels(self) -> Array:
        """The cell of every place: (*size of each axis)."""
        return np.ravel_multi_index(np.meshgrid(*(a.cells for a in self.axes), indexing="ij"), self.cells).astype(
            np.int32
        )

    def covered(self, index: Array) -> Array:
        """Which cells the windows of these numbers cover: (window, cell) bool."""
        found = np.ones((len(index), 1), bool)
        for axis, i in zip(self.axes, np.unravel_index(index, self.shape), strict=True):
            found = (found[:, :, None] & axis.covers[i][:, None, :]).reshape(len(index), -1)
        return found

    def mean(self, values: Array, known: Array) -> Array:
        """Average values of windows (window,) over those that cover a cell: (cell,); 0 where none is known."""
        total, count = self._sum(np.where(known, values, 0.0)), self._sum(known.astype(np.float64))
        return np.asarray(np.divide(total, count, out=np.zeros_like(total), where=count > 0.5).ravel())

    def _sum(self, values: Array) -> Array:
        values = values.reshape(self.shape)
        for axis in self.axes:
            values = np.tensordot(values, axis.covers.astype(np.float64), axes=(0, 0))
        return values


@dataclass(frozen=True, eq=False)
class Windows:
    """Coalitions of cells: everything shown, then one window hidden at a time, in the given order.

    An order that jumps about leaves no corner untouched when an evaluation is cut short.
    """

    grids: Mapping[str, Grid]
    order: Array

    def __len__(self) -> int:
        return len(self.order) + 1

    def __getitem__(self, rows: slice) -> Array:
        """Make some rows: (coalition, cell) bool."""
        index = np.concatenate([[-1], self.order])[rows]
        blocks, offset = [], 0
        for grid in self.grids.values():
            own = index - offset
            here = (own >= 0) & (own < np.prod(grid.shape)) & (index >= 0)
            block = np.ones((len(index), int(np.prod(grid.cells))), bool)
            block[here] = ~grid.covered(own[here])
            blocks.append(block)
            offset += int(np.prod(grid.shape))
        return np.concatenate(blocks, axis=1)

    def split(self, values: Array) -> dict[str, Array]:
        """Bring what was found for each window, without the first row, into each input's own order."""
        ordered = np.empty(len(self.order), values.dtype)
        ordered[self.order] = values
        sizes = [int(np.prod(grid.shape)) for grid in self.grids.values()]
        return dict(zip(self.grids, np.split(ordered, np.cumsum(sizes)[:-1]), strict=True))


def windows(task: Question, window: Any, stride: Any) -> tuple[Parts, Windows]:
    """Lay windows over the inputs of a task: the cells as parts, and the coalitions that hide one window each.

    `window` and `stride` are numbers (for each axis of space or time), tuples with one entry for each such axis or for
    each axis of the input (windows over channels then too), or None: about an eighth of each axis of space or time, one
    token, one column, one entry of an array without space, and half a window. For several inputs also mappings by name.
    Raises ParameterError.
    """
    inputs, several = dict(leaves(task.x)), isinstance(task.x, Mapping)
    specs = {name: task.spec[name] if several else task.spec for name in inputs}
    grids = {
        n: _grid(specs[n], x.shape[1:], _own(window, n, inputs), _own(stride, n, inputs)) for n, x in inputs.items()
    }
    labels = {n: specs[n].parts.astype(np.int32) if specs[n].kind == "Table" else g.labels for n, g in grids.items()}
    count = sum(int(np.prod(g.shape)) for g in grids.values())
    return Parts(labels), Windows(grids, np.random.default_rng(task.seed).permutation(count))


def _own(asked: Any, name: str, inputs: Mapping[str, Array]) -> Any:
    return asked.get(name) if isinstance(asked, Mapping) and set(asked) <= set(inputs) else asked


def _grid(spec: Any, shape: tuple[int, ...], window: Any, stride: Any) -> Grid:
    if spec.kind == "Table":
        if window not in (None, 1) or stride not in (None, 1):
            raise ParameterError("a Table is hidden column by column: leave window and stride out")
        return Grid((Axis(len(spec.columns), 1, 1),))
    shape, names, sliding = places(spec, shape, every=_names_every(window, shape) or _names_every(stride, shape))
    default = _default(spec.kind, names, shape)
    sizes = list(shape)
    steps = list(shape)
    for i, size in zip(sliding, _each(window, [default[i] for i in sliding], "window"), strict=True):
        if size > shape[i]:
            raise ParameterError(f"window {size} is larger than the {names[i]} of {shape[i]}")
        sizes[i] = size
    for i, step in zip(sliding, _each(stride, [max(1, sizes[i] // 2) for i in sliding], "stride"), strict=True):
        if step > sizes[i] < shape[i]:
            raise ParameterError(
                f"stride {step} is larger than the window {sizes[i]}: places between would be left out"
            )
        steps[i] = step
    return Grid(tuple(Axis(n, w, s) for n, w, s in zip(shape, sizes, steps, strict=True)))


def places(
    spec: Any, shape: tuple[int, ...], every: bool = False
) -> tuple[tuple[int, ...], tuple[str, ...], list[int]]:
    """Give the lengths and names of the axes on which an input has places, and the numbers of those to move along.

    An Image has height and width, a Series time, another array all its axes. To move along are those of space or time,
    where there are any; with `every` all axes of the input, its channels among them.
    """
    if not every:
        shape = {"Image": shape[:2], "Series": shape[:1]}.get(spec.kind, shape)
    names = spec.axes[: len(shape)] or tuple(f"axis {i}" for i in range(len(shape)))
    along = [] if every else [i for i, axis in enumerate(names) if axis in SPACE]
    return shape, names, along or list(range(len(shape)))


def _names_every(asked: Any, shape: tuple[int, ...]) -> bool:
    return isinstance(asked, tuple | list) and len(asked) == len(shape)


def _default(kind: str, names: Sequence[str], shape: tuple[int, ...]) -> list[int]:
    """An eighth of each axis of space or time; one token or entry; of large arrays without space, an eighth too."""
    space = any(axis in SPACE for axis in names)
    if kind == "Text" or (not space and (len(shape) == 1 or int(np.prod(shape)) <= SINGLE)):
        return [1] * len(shape)
    return [max(1, round(n / 8)) if space or n > 4 else n for n in shape]


def _each(asked: Any, default: list[int], what: str) -> list[int]:
    """Read a number or one per axis."""
    if asked is None:
        return default
    numbers = list(asked) if isinstance(asked, tuple | list) else [asked] * len(default)
    if len(numbers) != len(default) or any(
        not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1 for n in numbers
    ):
        raise ParameterError(
            f"{what} is a number of steps of at least 1, or a tuple of {len(default)} of them, not {asked!r}"
        )
    return [int(n) for n in numbers]
