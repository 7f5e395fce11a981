"""Accumulated local effects: mean differences between the edges of bins, summed up, of rows that are in them."""

from collections.abc import Mapping, Sequence

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import NotSupported
from xaikit.results import Effect
from xaikit.tabular._reading import Asked, Edit, answers, edited
from xaikit.tabular._variables import Frame, Variable


def ale(
    ask: Asked,
    frame: Frame,
    flat: Array,
    chosen: tuple[Variable, ...],
    grids: tuple[tuple[Array, Array], ...],
    groups: Mapping[str, Array],
) -> Effect:
    """Give the effect of one column or the interaction of two, whose mean over the data is zero."""
    edges = [g for g, _ in grids]
    if len(chosen) == 2:
        if any(v.kind == "category" for v in chosen):
            raise NotSupported("ale of two columns takes numbers: use partial-dependence for pairs with a category")
        return _of_two(ask, frame, flat, chosen, edges)
    (variable,) = chosen
    make = _of_category if variable.kind == "category" else _of_number
    grid, values, counts, parts, remark = make(ask, frame, flat, variable, edges[0], list(groups.values()))
    return _effect(chosen, (grid,), values, counts, tuple(groups), parts, remark)


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


def _of_number(
    ask: Asked, frame: Frame, flat: Array, variable: Variable, asked: Array, groups: list[Array]
) -> tuple[Array, Array, Array, Array, str]:
    place, edges, outside = binned(variable.numbers(flat), asked)
    outputs = len(ask.names)
    bins = len(edges) - 1
    if bins < 1:
        flat_line = np.zeros((outputs, len(edges)))
        counts = np.array([int((place >= 0).sum())])
        return edges, flat_line, counts, np.zeros((len(groups), outputs, len(edges))), "one value alone: no effect"
    rows = np.flatnonzero(place >= 0)
    differences = _between(ask, frame, flat[rows], variable, edges[place[rows]], edges[place[rows] + 1])
    values, counts = _accumulated(differences, place[rows], bins)
    parts = []
    for members in groups:
        own = np.isin(rows, members)
        parts.append(_accumulated(differences[own], place[rows][own], bins)[0])
    remark = "rows outside the grid are left out" if outside else ""
    return edges, values, counts, np.stack(parts) if parts else np.empty((0, outputs, len(edges))), remark


def _between(ask: Asked, frame: Frame, flat: Array, variable: Variable, low: Array, high: Array) -> Array:
    """What the answer for every row changes by from one value of its own to another: (row, output)."""

    def to(values: Array) -> Edit:
        def write(out: Array, s: slice) -> None:
            put_each(variable, out, values[s])

        return write

    before, after = edited(ask, frame, flat, [to(low), to(high)])
    return np.asarray(after, np.float64) - before


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


def _accumulated(differences: Array, place: Array, bins: int) -> tuple[Array, Array]:
    """Sum the mean differences of the bins up and centre them over the data: (output, edge), (bin,)."""
    counts = np.bincount(place, minlength=bins)
    sums = np.zeros((bins, differences.shape[1]))
    np.add.at(sums, place, differences)
    steps = sums / np.maximum(counts, 1)[:, None]
    g = np.vstack([np.zeros((1, differences.shape[1])), np.cumsum(steps, 0)])
    if counts.sum():
        g -= (counts[:, None] * (g[:-1] + g[1:]) / 2).sum(0) / counts.sum()
    return g.T, counts


# ---------------------------------------------------------------- categories


def _of_category(
    ask: Asked, frame: Frame, flat: Array, variable: Variable, asked: Array, groups: list[Array]
) -> tuple[Array, Array, Array, Array, str]:
    """Take the categories that occur in an order of likeness, and differences to the next and from it before."""
    seen = variable.numbers(flat).astype(int)
    present = np.unique(seen)
    order = present[likeness(frame, flat, variable, present)]
    rank = np.full(len(variable.words), -1)
    rank[order] = np.arange(len(order))
    at = rank[seen]
    up, down = np.flatnonzero(at < len(order) - 1), np.flatnonzero(at > 0)
    outputs = len(ask.names)
    gains = np.zeros((0, outputs))
    if len(order) > 1:
        higher = _between(ask, frame, flat[up], variable, seen[up], order[at[up] + 1])
        lower = _between(ask, frame, flat[down], variable, order[at[down] - 1], seen[down])
        gains = np.concatenate([higher, lower])
    rows, bins = np.concatenate([up, down]), np.concatenate([at[up], at[down] - 1])

    def summed(chosen: Array, own: Array) -> Array:
        sums = np.zeros((max(len(order) - 1, 0), outputs))
        np.add.at(sums, bins[chosen], gains[chosen])
        counts = np.bincount(bins[chosen], minlength=len(order) - 1) if len(order) > 1 else np.zeros(0, int)
        g = np.vstack([np.zeros((1, outputs)), np.cumsum(sums / np.maximum(counts, 1)[:, None], 0)])
        share = np.bincount(at[own], minlength=len(order)) / max(len(own), 1)
        return np.asarray((g - (share[:, None] * g).sum(0)).T)

    values = summed(np.arange(len(rows)), np.arange(len(flat)))
    parts = [summed(np.flatnonzero(np.isin(rows, own)), own) for own in groups]
    words = np.array([variable.word(i) for i in order])
    counts = np.bincount(at, minlength=len(order))
    empty = np.empty((0, outputs, len(order)))
    return words, values, counts, np.stack(parts) if parts else empty, "categories in an order of likeness"


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


def _of_two(ask: Asked, frame: Frame, flat: Array, chosen: tuple[Variable, ...], edges: list[Array]) -> Effect:
    """What two columns do together beyond what each does: second differences of cells, summed up along both."""
    first, second = chosen
    i, one, out1 = binned(first.numbers(flat), edges[0])
    j, two, out2 = binned(second.numbers(flat), edges[1])
    k1, k2, outputs = len(one) - 1, len(two) - 1, len(ask.names)
    if k1 < 1 or k2 < 1:
        values = np.zeros((outputs, len(one), len(two)))
        parts = np.empty((0, outputs, len(one), len(two)))
        return _effect(chosen, (one, two), values, np.array([[len(flat)]]), (), parts, "one value alone: no effect")
    rows = np.flatnonzero((i >= 0) & (j >= 0))
    i, j, part = i[rows], j[rows], flat[rows]

    def corner(a: int, b: int) -> Array:
        out = part.copy()
        put_each(first, out, one[i + a])
        put_each(second, out, two[j + b])
        return np.asarray(answers(ask, frame, out), np.float64)

    gains = (corner(1, 1) - corner(1, 0)) - (corner(0, 1) - corner(0, 0))
    counts = np.zeros((k1, k2), int)
    np.add.at(counts, (i, j), 1)
    sums = np.zeros((k1, k2, outputs))
    np.add.at(sums, (i, j), gains)
    cells = _filled(sums / np.maximum(counts, 1)[..., None], counts, one, two)
    g = np.zeros((k1 + 1, k2 + 1, outputs))
    g[1:, 1:] = cells.cumsum(0).cumsum(1)
    g = _without_main(g, counts)
    empty = int((counts == 0).sum())
    said = [f"{empty} of {counts.size} cells hold no row and take the nearest one's"] if empty else []
    said += ["rows outside the grid are left out"] if out1 or out2 else []
    parts = np.empty((0, outputs, k1 + 1, k2 + 1))
    return _effect(chosen, (one, two), np.moveaxis(g, -1, 0), counts, (), parts, "; ".join(said))


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


def _without_main(g: Array, counts: Array) -> Array:
    """Take the accumulated effects of either column alone off a surface (edge, edge, output), and its mean."""
    for axis in (0, 1):
        steps = np.diff(g, axis=axis)
        between = (steps[:, :-1] + steps[:, 1:]) / 2 if axis == 0 else (steps[:-1] + steps[1:]) / 2
        weighted = (counts[..., None] * between).sum(1 - axis) / np.maximum(counts.sum(1 - axis), 1)[:, None]
        main = np.vstack([np.zeros((1, g.shape[-1])), np.cumsum(weighted, 0)])
        if axis == 0:
            first = main
        else:
            g = g - first[:, None] - main[None]
    middle = (g[:-1, :-1] + g[:-1, 1:] + g[1:, :-1] + g[1:, 1:]) / 4
    return np.asarray(g - (counts[..., None] * middle).sum((0, 1)) / counts.sum())
