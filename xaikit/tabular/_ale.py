"""Accumulated local effects: mean differences between the edges of bins, summed up, of rows that are in them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from xaikit.arrays import Array
from xaikit.results import Effect
from xaikit.tabular._reading import Asked, Edit, edited
from xaikit.tabular._variables import Frame, Variable

ALONE = "one value alone: no effect"
Moves = tuple[Array, Array]
"""Rows, and the step over which each is moved: (move,) both."""


def ale(
    ask: Asked,
    frame: Frame,
    flat: Array,
    chosen: tuple[Variable, ...],
    grids: tuple[tuple[Array, Array], ...],
    groups: Mapping[str, Array],
) -> Effect:
    """Give the effect of one column or the interaction of two, whose mean over the data is zero.

    Of two columns it is what they do together beyond what each does: second differences over a step of both, summed up
    along both, less the effect that this sum itself has along each (Apley and Zhu 2020, section 3.2).
    """
    axes = [axis_of(frame, flat, v, g) for v, (g, _) in zip(chosen, grids, strict=True)]
    find = _of_one if len(axes) == 1 else _of_two
    values, counts, parts, remarks = find(ask, frame, flat, axes, list(groups.values()))
    remarks = tuple(dict.fromkeys(r for r in (*remarks, *(a.remark for a in axes)) if r))
    return _effect(chosen, tuple(a.shown for a in axes), values, counts, tuple(groups), parts, "; ".join(remarks))


@dataclass(frozen=True, eq=False)
class Axis:
    """A variable as steps between `nodes`: the edges of bins, or categories in an order of likeness.

    `place` (row,) is the bin of each row, or its category's place in that order; -1 for rows outside.
    """

    variable: Variable
    nodes: Array
    place: Array
    remark: str

    @property
    def category(self) -> bool:
        """Whether rows stand on nodes, and not between two."""
        return self.variable.kind == "category"

    @property
    def steps(self) -> int:
        """How many steps lead from the first node to the last."""
        return len(self.nodes) - 1

    @property
    def shown(self) -> Array:
        """The nodes as a person reads them."""
        return np.array([self.variable.word(i) for i in self.nodes]) if self.category else self.nodes

    def moves(self) -> list[Moves]:
        """Say over which step rows are moved: over that of their bin; from a category to the next, and from the one
        before."""
        if not self.category:
            rows = np.flatnonzero(self.place >= 0) if self.steps else np.empty(0, int)
            return [(rows, self.place[rows])]
        up, down = np.flatnonzero(self.place < self.steps), np.flatnonzero(self.place > 0)
        return [(up, self.place[up]), (down, self.place[down] - 1)]

    def own(self, g: Array, axis: int = 0) -> Array:
        """Give what numbers at the nodes are where rows lie: at a category, or halfway between the edges of a bin."""
        if self.category or not self.steps:
            return g
        low, high = np.arange(self.steps), np.arange(1, self.steps + 1)
        return np.asarray((np.take(g, low, axis) + np.take(g, high, axis)) / 2)


def axis_of(frame: Frame, flat: Array, variable: Variable, asked: Array) -> Axis:
    """Put the rows of a data set in bins between the edges that are asked for, or at the categories that occur."""
    seen = variable.numbers(flat)
    if variable.kind != "category":
        place, edges, outside = binned(seen, asked)
        return Axis(variable, edges, place, "rows outside the grid are left out" if outside else "")
    present = np.unique(seen.astype(int))
    order = present[likeness(frame, flat, variable, present)]
    place = np.argsort(order)[np.searchsorted(present, seen)]
    return Axis(variable, order, place, "categories in an order of likeness")


def _effect(
    chosen: Sequence[Variable],
    grid: tuple[Array, ...],
    values: Array,
    counts: Array,
    groups: tuple[str, ...],
    parts: Array,
    remark: str,
) -> Effect:
    shape, outputs = values.shape[1:], len(values)
    return Effect(
        columns=tuple(v.name for v in chosen),
        kinds=tuple("category" if v.kind == "category" else "number" for v in chosen),
        grid=grid,
        values=values,
        curves=np.empty((0, outputs, *shape)),
        starts=np.empty((0, outputs)),
        at=np.empty((0, len(chosen))),
        numbers=np.empty(0, int),
        counts=counts,
        weights=np.full(shape, 1 / max(int(np.prod(shape)), 1)),
        groups=groups,
        grouped=parts,
        remark=remark,
    )


def binned(seen: Array, edges: Array) -> tuple[Array, Array, bool]:
    """Give the bin of every row, (z_k-1, z_k] with the smallest in the first, the edges without empty bins, and
    whether rows lie outside them; such rows are in bin -1."""
    edges = np.unique(edges)
    if len(edges) < 2:
        return np.where(seen == edges[0], 0, -1), edges, bool((seen != edges[0]).any())
    inside = (seen >= edges[0]) & (seen <= edges[-1])
    counts = np.histogram(np.maximum(np.searchsorted(edges, seen[inside], "left") - 1, 0), np.arange(len(edges)))[0]
    kept = np.append(True, counts > 0)
    if not counts.any():
        return np.full(len(seen), -1), edges[:1], True
    first = int(np.flatnonzero(counts)[0])  # what comes before the first row is cut off, not merged into its bin
    merged = edges[kept] if first == 0 else np.append(edges[first], edges[1:][counts > 0])
    place = np.maximum(np.searchsorted(merged, seen, "left") - 1, 0)
    return np.where(inside, place, -1), merged, bool((~inside).any())


Found = tuple[Array, Array, Array, tuple[str, ...]]
"""Values (output, *node), rows at each place (*place), values of groups (group, output, *node), and remarks."""


def _of_one(ask: Asked, frame: Frame, flat: Array, axes: list[Axis], groups: list[Array]) -> Found:
    (axis,) = axes
    rows, steps = (np.concatenate(m) for m in zip(*axis.moves(), strict=True))
    gains = _gains(ask, frame, flat[rows], axes, [steps])

    def curve(members: Array) -> Array:
        own = np.isin(rows, members)
        g = _along(gains[own], steps[own], axis.steps)
        held = _held(axes, members)
        return np.asarray(g - (held[:, None] * axis.own(g)).sum(0) / max(held.sum(), 1)).T

    everyone = np.arange(len(flat))
    parts = [curve(g) for g in groups]
    empty = np.empty((0, len(ask.names), len(axis.nodes)))
    remarks = () if axis.steps or axis.category else (ALONE,)
    return curve(everyone), _held(axes, everyone), np.stack(parts) if parts else empty, remarks


def _gains(ask: Asked, frame: Frame, flat: Array, axes: Sequence[Axis], steps: Sequence[Array]) -> Array:
    """Give what answers change by over a step of one axis, or their second difference over two: (row, output)."""
    total = np.zeros((len(flat), len(ask.names)))
    if not len(flat):
        return total

    def to(corner: tuple[int, ...]) -> Edit:
        def write(out: Array, s: slice) -> None:
            for axis, at, beyond in zip(axes, steps, corner, strict=True):
                put_each(axis.variable, out, axis.nodes[at[s] + beyond])

        return write

    corners = list(product((0, 1), repeat=len(axes)))
    for corner, said in zip(corners, edited(ask, frame, flat, [to(c) for c in corners]), strict=True):
        total += said if (len(axes) - sum(corner)) % 2 == 0 else -said
    return total


def _means(gains: Array, at: tuple[Array, ...], shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Give the mean of moves over each step, or cell of two, and how many there are: (*step, output), (*step,)."""
    counts, sums = np.zeros(shape, int), np.zeros((*shape, gains.shape[-1]))
    np.add.at(counts, at, 1)
    np.add.at(sums, at, gains)
    return sums / np.maximum(counts, 1)[..., None], counts


def _along(gains: Array, steps: Array, count: int) -> Array:
    """Sum the mean gains of steps up from zero: (node, output)."""
    return np.concatenate([np.zeros((1, gains.shape[-1])), _means(gains, (steps,), (count,))[0].cumsum(0)])


def _held(axes: Sequence[Axis], members: Array) -> Array:
    """Count rows at each place: (*place,)."""
    at = [a.place[members] for a in axes]
    inside = np.all([p >= 0 for p in at], axis=0)
    counts = np.zeros([len(a.own(a.nodes)) for a in axes], int)
    np.add.at(counts, tuple(p[inside] for p in at), 1)
    return counts


def put_each(variable: Variable, out: Array, values: Array) -> None:
    """Set a variable to another value in every row."""
    if variable.kind == "category":
        out[:, variable.places] = np.asarray(variable.codes)[values.astype(int)]
    elif variable.kind == "number":
        out[:, variable.places] = ((values - variable.mean) / variable.std)[:, None]
    else:
        for value in np.unique(values):
            rows = np.flatnonzero(values == value)
            part = out[rows]
            variable.put(part, value)
            out[rows] = part


def likeness(frame: Frame, flat: Array, variable: Variable, present: Array) -> Array:
    """Order categories so that neighbours are alike in the other columns: indices into `present`.

    Distances of two categories are summed over the other columns: the largest difference of the distribution functions
    of numbers, half the sum of differences of the shares of categories. The order is that of the first coordinate of
    classical scaling (Apley and Zhu 2020, appendix E). Numbers in words keep their order.
    """
    try:
        return np.argsort([float(variable.words[i]) for i in present], kind="stable")
    except (TypeError, ValueError):
        pass
    if len(present) < 3:
        return np.arange(len(present))
    seen = variable.numbers(flat).astype(int)
    distance = np.zeros((len(present), len(present)))
    for other in frame.variables:
        if other.name != variable.name:
            shares = _shares(other, other.numbers(flat), seen, present)
            away = np.abs(shares[:, None] - shares[None])
            distance += away.sum(-1) / 2 if other.kind == "category" else away.max(-1)
    centre = np.eye(len(present)) - 1 / len(present)
    _, vectors = np.linalg.eigh(-0.5 * centre @ distance**2 @ centre)
    first = vectors[:, -1]
    first = first * (1 if first[np.abs(first).argmax()] >= 0 else -1)  # a vector's sign is chance
    return np.argsort(first, kind="stable")


def _shares(other: Variable, numbers: Array, seen: Array, present: Array) -> Array:
    """Shares of categories, or a distribution function at a hundred quantiles, for each category: (category, place)."""
    if other.kind == "category":
        found = [np.bincount(numbers[seen == c].astype(int), minlength=len(other.words)) for c in present]
        return np.stack([f / f.sum() for f in found])
    at = np.quantile(numbers, np.linspace(0, 1, 101))
    return np.stack([np.searchsorted(np.sort(numbers[seen == c]), at, "right") / (seen == c).sum() for c in present])


# ---------------------------------------------------------------- two columns


def _of_two(ask: Asked, frame: Frame, flat: Array, axes: list[Axis], groups: list[Array]) -> Found:
    """What two columns do together beyond what each does: second differences of cells, summed up along both."""
    first, second = axes
    everyone = np.arange(len(flat))
    shape, outputs = (len(first.nodes), len(second.nodes)), len(ask.names)
    if not first.steps or not second.steps:
        values = np.zeros((outputs, *shape))
        return values, _held(axes, everyone), np.zeros((len(groups), *values.shape)), (ALONE,)
    found = [np.intersect1d(r, q, return_indices=True) for r, _ in first.moves() for q, _ in second.moves()]
    over = [(s, t) for _, s in first.moves() for _, t in second.moves()]
    rows = np.concatenate([r for r, _, _ in found])
    one = np.concatenate([s[i] for (s, _), (_, i, _) in zip(over, found, strict=True)])
    two = np.concatenate([t[j] for (_, t), (_, _, j) in zip(over, found, strict=True)])
    gains = _gains(ask, frame, flat[rows], axes, [one, two])

    def surface(members: Array) -> tuple[Array, int]:
        own = np.isin(rows, members)
        cells, counts = _means(gains[own], (one[own], two[own]), (first.steps, second.steps))
        if not counts.any():
            return np.zeros((outputs, *shape)), counts.size
        g = np.zeros((*shape, outputs))
        g[1:, 1:] = (
            _filled(cells, counts, *(np.arange(len(a.nodes)) if a.category else a.nodes for a in axes))
            .cumsum(0)
            .cumsum(1)
        )
        return np.moveaxis(_without_main(g, axes, members), -1, 0), int((counts == 0).sum())

    values, empty = surface(everyone)
    parts = [surface(g)[0] for g in groups]
    said = (f"{empty} of {first.steps * second.steps} cells hold no row and take the nearest one's",) if empty else ()
    return values, _held(axes, everyone), np.stack(parts) if parts else np.empty((0, *values.shape)), said


def _filled(cells: Array, counts: Array, one: Array, two: Array) -> Array:
    """Give empty cells the number of the nearest cell with rows, both ranges taken as one unit."""
    if (counts > 0).all():
        return cells
    middle = [(e[:-1] + e[1:]) / 2 / (e[-1] - e[0]) for e in (one, two)]
    places = np.stack(np.meshgrid(*middle, indexing="ij"), -1)
    full = np.argwhere(counts > 0)
    filled = cells.copy()
    for a, b in np.argwhere(counts == 0):
        near = full[((places[tuple(full.T)] - places[a, b]) ** 2).sum(1).argmin()]
        filled[a, b] = cells[tuple(near)]
    return filled


def _without_main(g: Array, axes: Sequence[Axis], members: Array) -> Array:
    """Take the accumulated effects that a surface (node, node, output) has along either axis off it, and its mean."""
    effects = []
    inside = members[np.all([a.place[members] >= 0 for a in axes], axis=0)]
    for k, axis in enumerate(axes):
        other = axes[1 - k]
        slopes = np.moveaxis(other.own(np.diff(g, axis=k), 1 - k), k, 0)  # (step, place of the other, output)
        rows, steps = (np.concatenate(m) for m in zip(*axis.moves(), strict=True))
        own = np.isin(rows, inside)
        rows, steps = rows[own], steps[own]
        effects.append(_along(slopes[steps, other.place[rows]], steps, axis.steps))
    g = g - effects[0][:, None] - effects[1][None]
    held = _held(axes, members)
    middle = axes[1].own(axes[0].own(g, 0), 1)
    return np.asarray(g - (held[..., None] * middle).sum((0, 1)) / max(held.sum(), 1))
