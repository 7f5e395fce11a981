"""RISE: where it helps the score to be seen, over random soft masks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from xaikit.arrays import SPACE, Array, leaves
from xaikit.attribution._method import Map, Method, Task, methods, parameter, require
from xaikit.errors import NotSupported, ParameterError
from xaikit.inputs import InputSpec
from xaikit.model import Model
from xaikit.perturb.segments import SINGLE
from xaikit.perturb.soft import Fading, Masks
from xaikit.perturb.windows import places

CELLS = 7
"""How many cells the paper's grid has along each axis."""


@methods("rise")
@dataclass(frozen=True, kw_only=True)
class Rise(Method):
    """The mean score over random masks that show a place, less the mean over all masks.

    E[f(x faded by M) · M] / p, where each cell of a coarse grid is shown with `probability` p, and a mask M is the grid
    brought up linearly and shifted at random by less than a cell. With `relative` the mean score is taken off: the
    paper's own map, without, is this plus a constant that says nothing of where. Values are (sample, height, width) of
    an Image, (sample, time) of a Series, and the array's own axes else; an array of few entries is masked entry by
    entry. `quality["standard_error"]` is the mean over the map of its standard error, relative to the map's largest
    value; `quality["complete"]` the share of the masks that were asked about. Masks are made as they are needed.
    Source: Petsiuk, Das and Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models" (2018),
    section 3, equation 6.
    """

    stochastic: ClassVar = True

    samples: int = parameter(4000, "random masks for each input")
    cell: Any = parameter(None, "steps of a cell on each axis of space or time, or a tuple; None = a seventh of it")
    probability: float = parameter(0.5, "how likely a cell is shown")
    relative: bool = parameter(True, "take the mean score over all masks off")
    baseline: Any = parameter(
        None, "what stands where nothing is shown: a number, an array, 'mean', 'blur', 'zero'; None = by input"
    )

    def __post_init__(self) -> None:
        require(self.samples >= 2, f"samples must be at least 2, not {self.samples}")
        require(0 < self.probability < 1, f"probability lies between 0 and 1, not at {self.probability}")

    @classmethod
    def examine(cls, model: Model) -> str:
        super().examine(model)
        specs = list(model.inputs.values()) if isinstance(model.inputs, Mapping) else [model.inputs]
        if all(s.kind in ("Table", "Text") for s in specs):
            raise _not_for(specs[0].kind)
        return ""

    def __call__(self, task: Task) -> Map:
        grids = {n: self._grid(n, x, spec) for n, (x, spec) in _fading(task).items()}
        sums = [{n: _Sums(g.places) for n, g in grids.items()} for _ in range(len(task))]

        def take(i: int, s: slice, masks: Masks, scores: Array) -> None:
            for name, own in sums[i].items():
                own.add(masks[name], scores)

        def error(i: int) -> float:
            return float(np.mean([own.result(self.probability, self.relative)[1] for own in sums[i].values()]))

        complete = Fading(task, list(grids), self.baseline).ask(
            self.samples, _Stream(task, grids, self.probability), take, need=2, error=error
        )
        found = {n: [one[n].result(self.probability, self.relative) for one in sums] for n in grids}
        values = {n: np.stack([np.broadcast_to(v, grids[n].shape) for v, _ in f]) for n, f in found.items()}
        errors = np.mean([[error for _, error in f] for f in found.values()], axis=0)
        axes = {n: grids[n].axes for n in grids}
        single = not isinstance(task.x, Mapping)
        return Map(
            values[""] if single else values,
            axes=axes[""] if single else axes,  # type: ignore[arg-type]
            quality={"standard_error": errors, "complete": complete},
        )

    def _grid(self, name: str, x: Array, spec: InputSpec) -> "_Grid":
        shape, names, sliding = places(spec, x.shape[1:])
        single = not any(axis in SPACE for axis in names) and (len(shape) == 1 or int(np.prod(shape)) <= SINGLE)
        default = [1 if single else -(-shape[i] // CELLS) for i in sliding]
        cell = self.cell.get(name) if isinstance(self.cell, Mapping) else self.cell
        sizes = _sizes(cell, default, [shape[i] for i in sliding])
        axes = tuple(_Axis(shape[i], c) for i, c in zip(sliding, sizes, strict=True))
        masked = tuple(n if i in sliding else 1 for i, n in enumerate(shape))
        return _Grid(shape, masked, axes, names if spec.axes else None)


@dataclass(frozen=True, eq=False)
class _Axis:
    """Cells of `cell` steps over an axis of `size`."""

    size: int
    cell: int

    @property
    def cells(self) -> int:
        return -(-self.size // self.cell)

    @property
    def weights(self) -> Array:
        """How a place mixes the cells, for every shift: (shift, place, cell).

        The grid is stretched to one cell more than it has, and a window of the axis' size cut out of it.
        """
        if self.cell == 1:
            return np.eye(self.size, dtype=np.float32)[None]
        at = np.arange(self.cell)[:, None] + np.arange(self.size) + 0.5
        at = np.clip(at * self.cells / ((self.cells + 1) * self.cell) - 0.5, 0, self.cells - 1)
        return np.maximum(0, 1 - np.abs(at[..., None] - np.arange(self.cells))).astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Grid:
    """The masks of one input: `places` is its `shape` with 1 where a mask does not change along an axis."""

    shape: tuple[int, ...]
    places: tuple[int, ...]
    sliding: tuple[_Axis, ...]
    axes: tuple[str, ...] | None


class _Stream:
    """Makes masks one slice after the other; for each sample the same, since its stream starts anew from the seed."""

    def __init__(self, task: Task, grids: Mapping[str, _Grid], probability: float) -> None:
        self.grids, self.probability = grids, probability
        self.weights = {n: [axis.weights for axis in g.sliding] for n, g in grids.items()}
        self.cells, self.shifts = [dict(zip(grids, r.spawn(len(grids)), strict=True)) for r in task.rng().spawn(2)]
        self.last: tuple[int, Masks] = (-1, {})

    def __call__(self, sample: int, s: slice) -> Masks:
        if self.last[0] != s.start:
            self.last = (s.start, {n: self._drawn(n, s.stop - s.start) for n in self.grids})
        return self.last[1]

    def _drawn(self, name: str, count: int) -> Array:
        """Draw the next masks of an input: (mask, *places). How many are drawn at a time changes no number."""
        grid, weights = self.grids[name], self.weights[name]
        shown = self.cells[name].random((count, *(axis.cells for axis in grid.sliding))) < self.probability
        moved = self.shifts[name].random((count, len(weights)))
        masks = shown.astype(np.float32)
        for k, w in enumerate(weights):
            own = w[(moved[:, k] * len(w)).astype(int)]
            along = np.moveaxis(masks, k + 1, -1)
            mixed = np.matmul(along.reshape(count, -1, along.shape[-1]), own.swapaxes(1, 2))
            masks = np.moveaxis(mixed.reshape(*along.shape[:-1], -1), -1, k + 1)
        return np.ascontiguousarray(masks).reshape(count, *grid.places)


@dataclass(eq=False)
class _Sums:
    """Running sums over masks M and scores f: of M and M², each times 1, f and f², with f from the first scores' mean.

    The scores are taken from near their mean, or their squares would lose in float32 what differs.
    """

    places: tuple[int, ...]
    count: int = 0
    near: float = 0.0
    sums: Array = field(default_factory=lambda: np.zeros(3))
    first: Any = 0.0
    second: Any = 0.0

    def add(self, masks: Array, scores: Array) -> None:
        if not self.count:
            self.near = float(scores.mean())
        powers = np.stack([np.ones_like(scores), scores - self.near, (scores - self.near) ** 2])
        flat, weights = masks.reshape(len(masks), -1), powers.astype(np.float32)
        self.count += len(scores)
        self.sums = self.sums + powers.sum(1)
        self.first = self.first + (weights @ flat).astype(np.float64)
        self.second = self.second + (weights @ np.square(flat)).astype(np.float64)

    def result(self, probability: float, relative: bool) -> tuple[Array, float]:
        """Give the map (*places), and the mean of its standard error relative to its largest value."""
        if not self.count:
            return np.full(self.places, np.nan), float("nan")
        mean = self.sums[1] / self.count
        shift = -mean if relative else self.near
        total = self.first[1] + shift * self.first[0]
        squares = self.second[2] + 2 * shift * self.second[1] + shift**2 * self.second[0]
        values = total / self.count
        spread = np.sqrt(np.maximum(squares / self.count - values**2, 0) / max(1, self.count - 1))
        largest = np.abs(values).max()
        error = float(spread.mean() / largest) if largest else 0.0
        return (values / probability).reshape(self.places).astype(np.float32), error


def _fading(task: Task) -> dict[str, tuple[Array, InputSpec]]:
    """Give the inputs that can be faded: those of numbers that are no Table."""
    specs = task.spec if isinstance(task.x, Mapping) else {"": task.spec}
    found = {
        n: (x, specs[n]) for n, x in leaves(task.x) if specs[n].kind not in ("Table", "Text") and x.dtype.kind == "f"
    }
    if not found:
        raise _not_for(next(iter(specs.values())).kind)
    return found


def _not_for(kind: str) -> NotSupported:
    return NotSupported(
        f"rise fades an input into its baseline, and there is nothing between two words or categories: for a {kind} "
        "use kernel-shap, permutation-shap, lime or occlusion"
    )


def _sizes(asked: Any, default: list[int], limits: list[int]) -> list[int]:
    """Read the steps of a cell: None, a number, or one per axis."""
    if asked is None:
        return default
    sizes = list(asked) if isinstance(asked, tuple | list) else [asked] * len(default)
    whole = all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in sizes)
    if len(sizes) != len(default) or not whole or not all(1 <= n <= m for n, m in zip(sizes, limits, strict=True)):
        raise ParameterError(
            f"cell is a number of steps, at least 1 and at most the input's {limits}, or {len(default)} of them, "
            f"not {asked!r}"
        )
    return [int(n) for n in sizes]
