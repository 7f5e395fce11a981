"""Filters as panels: small pictures in rows, in the order of a statistic, on one scale."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import UsageError, many
from xaikit.figures._attribution import GROUPS, panels
from xaikit.figures._colours import NOT_FINITE, PERCENTILE, limit_of
from xaikit.figures._data import Figure, MapPanel, Panel, Scale, Tile, TilesPanel
from xaikit.figures._insight import ACROSS, ROWS, TILES, listed, network, plane, signed_legend
from xaikit.figures._words import number, percent
from xaikit.results import Filters

BESIDE, COLUMNS = 24, 3
"""How many filters a panel has at most where several stand side by side, and in how many columns."""
SPOKEN = {"norm": "largest norm", "activation": "most active", "change": "most changed", "similarity": "most alike"}
MEASURED = {
    "norm": "the L2 norm of what is shown",
    "activation": "the mean of what it gives for the samples",
    "change": "the L2 norm of its change",
}
Show = Literal["slices", "components"]


@panels.register
def _filters(result: Filters, *, shared: bool = False) -> Figure:
    return filter_figure(result)


def filter_figure(result: Filters, show: Show = "slices") -> Figure:
    """Give filters as a Figure, in falling order of `result.by`, on one scale around zero.

    Filters on colours, on one channel or of a series are shown whole. Of a deeper layer: the strength of every input
    channel, and either the strongest "slices" of the strongest filters, or the "components", the one pattern in space
    nearest to each filter. Those with a `before` stand beside it, and beside their change.
    """
    limit = limit_of([result.values, *_earlier(result)], robust=result.values.size > 1000)
    scale = Scale(limit, "weight")
    if result.before is not None:
        row: tuple[Panel, ...] = _changed(result, scale)
    elif _pointwise(result):
        row = (_weights(result, scale),)
    elif show == "components" and not _coloured(result):
        row = (_strengths(result), _components(result.strongest()[:TILES]))
    elif _whole(result):
        row = (_kernels(result.strongest()[:TILES], scale),)
    else:
        row = (_strengths(result), _slices(result.strongest()[:ROWS], scale))
    patterns = show == "components" and len(row) > 1 and result.before is None
    own = patterns or result.before is not None  # then scales differ, and stand at the panels
    return Figure(
        title=f"Filters of {result.layer}{' before and after' if result.before is not None else ''}",
        subtitle=f"{network(result.origin)} · {_shape(result)}",
        rows=(row,),
        legend=None if _coloured(result) else signed_legend(None if own else limit),
        notes=_notes(result, limit, row, patterns),
    )


def _beside(results: Mapping[str, Filters]) -> Figure:
    """Give the filters of several layers or networks side by side, each on its own scale."""
    row = [_one_of_several(str(name), result) for name, result in results.items()]
    return Figure(
        title="Filters side by side",
        subtitle=" · ".join(f"{name}: {_shape(r)}" for name, r in results.items()),
        rows=(tuple(row),),
        notes=("Each panel has its own scale, around zero.",),
    )


GROUPS[Filters] = _beside


def _one_of_several(name: str, result: Filters) -> Panel:
    scale = Scale(limit_of([result.values], robust=result.values.size > 1000), "weight")
    if _pointwise(result):
        return replace(_weights(result, scale), title=name)
    if _whole(result):
        return replace(_kernels(result.strongest()[:BESIDE], scale), across=COLUMNS, title=name)
    return replace(_slices(result.strongest()[:ROWS], scale, COLUMNS), title=name)


# ---------------------------------------------------------------- which layout


def _coloured(result: Filters) -> bool:
    return result.order is not None and result.values.ndim == 4


def _pointwise(result: Filters) -> bool:
    return not _coloured(result) and max(result.values.shape[1:-1], default=1) == 1


def _whole(result: Filters) -> bool:
    """Whether a filter is one picture: it has the three colours, a single channel, or is one of a series."""
    return _coloured(result) or result.values.shape[-1] == 1 or result.values.ndim == 3


def _earlier(result: Filters) -> list[Array]:
    return [] if result.before is None else [result.before]


# ---------------------------------------------------------------- words


def _shape(result: Filters) -> str:
    count = f"{len(result)} of {result.total}" if len(result) < result.total else f"{result.total}"
    size = " × ".join(map(str, result.values.shape[1:-1]))
    grouped = f" in each of {result.groups} groups" if result.groups > 1 else ""
    what = "units" if result.kind == "dense" else "filters"
    inputs = many(result.values.shape[-1], "input" if not size else "input channel")
    return f"{count} {what}{f' of {size}' if size else ''} on {inputs}{grouped}"


def _notes(result: Filters, limit: float, row: Sequence[Panel], patterns: bool) -> tuple[str, ...]:
    notes = []
    if result.before is not None and not result.statistics["change"].any():
        notes.append("No weight has changed.")
    if _coloured(result):
        notes.append(
            f"One scale for all: grey is a weight of zero, black −{number(limit)}, white {number(limit)}; "
            "a filter reacts to the colours that it shows."
        )
    tiles = [p for p in row if isinstance(p, TilesPanel)]
    if patterns:
        notes.append("Below each: its number, and how much of the filter's squared norm the pattern has.")
    elif tiles and _whole(result):
        notes.append(f"Below each: its number, and {MEASURED.get(result.by, result.by.replace('_', ' '))}.")
    elif tiles:
        what = "what is shown" if result.before is None else "its change"
        notes.append(f"Below each: the filter and the input channel, and the L2 norm of {what}.")
    shown = TILES if result.before is None else BESIDE
    if tiles and _whole(result) and len(result) > shown:
        notes.append(
            f"The {shown} with the {_first(result)} of {len(result)} are shown; take others by filters[64:128]."
        )
    return (*notes, *_ranges(result, limit), *_flags(result))


def _first(result: Filters) -> str:
    return {"norm": "largest norm", "activation": "highest activation", "change": "largest change"}.get(
        result.by, f"highest {result.by.replace('_', ' ')}"
    )


def _ranges(result: Filters, limit: float) -> list[str]:
    """Say what the colours cover, and how large the filters are."""
    norms, sizes = result.statistics["norm"], np.abs(result.values)
    finite = norms[np.isfinite(norms)]
    found = []
    beyond = float(np.mean(sizes > limit))
    if beyond:
        top = number(float(sizes[np.isfinite(sizes)].max()))
        found.append(
            f"The colours cover {PERCENTILE:.0f} % of the weights; {percent(beyond)} lie beyond, up to ±{top}."
        )
    if len(finite) > 1:
        low, middle, high = (number(float(f(finite))) for f in (np.min, np.median, np.max))
        found.append(f"L2 norms from {low} to {high}, half of them over {middle}.")
    return found


def _flags(result: Filters) -> list[str]:
    """Name the filters that something is odd about."""
    known, numbers = result.statistics, result.numbers
    found = []
    broken = numbers[~np.isfinite(known["norm"])]
    if len(broken):
        found.append(f"With weights that are NaN or infinite: {listed(broken)}.")
    if known["dead"].any():
        found.append(f"Dead, with hardly any weight: {listed(numbers[known['dead']])}.")
    if "silent" in known and known["silent"].any():
        found.append(f"Silent, never above zero for the samples: {listed(numbers[known['silent'].astype(bool)])}.")
    for name, partner, said in (
        ("similarity", "nearest", "Alike but for their size and sign (|cosine| over 0.95)"),
        ("correlation", "correlated", "Going together for the samples (|correlation| over 0.95)"),
    ):
        there = np.abs(np.nan_to_num(known.get(name, np.zeros(len(numbers))))) > 0.95
        if there.any():
            pairs = zip(numbers[there], known[partner][there] if partner in known else numbers[there], strict=True)
            found.append(f"{said}: {listed(list(dict.fromkeys(_pair(a, b) for a, b in pairs)))}.")
    return found


def _pair(a: int, b: int) -> str:
    return f"{a}" if a == b else f"{min(a, b)} ≈ {max(a, b)}"


def _named(result: Filters, i: int) -> tuple[str, str, str]:
    """Give the name, the note and the hint of a filter."""
    known = {n: a[i] for n, a in result.statistics.items()}
    flag = " dead" if known["dead"] else " ≈" if result.twins[i] else ""
    hint = ", ".join(f"{n.replace('_', ' ')} {number(float(known[n]))}" for n in HINTED if n in known)
    return f"{result.numbers[i]}{flag}", number(float(known[result.by]), 2), f"{result.numbers[i]}: {hint}"


HINTED = ("norm", "mean", "std", "sparsity", "similarity", "activation", "active", "change", "agreement")


# ---------------------------------------------------------------- filters shown whole


def _picture(values: Array, order: str | None, limit: float) -> Array:
    """Give one filter as colours around grey, or as a map; of a series, its channels are the rows."""
    if order is not None and values.ndim == 3:
        shades = np.rint(255 * np.clip(0.5 + np.nan_to_num(values) / (2 * limit), 0, 1))
        shades = np.where(np.isfinite(values).all(-1, keepdims=True), shades, 255 * np.array(NOT_FINITE))
        return (shades if order == "rgb" else shades[..., ::-1]).astype(np.uint8)
    return values.T if values.ndim == 2 else plane(values[..., 0])


def _tiles(result: Filters, values: Array, limit: float) -> list[Tile]:
    tiles = []
    for i, kernel in enumerate(values):
        name, note, hint = _named(result, i)
        tiles.append(Tile(_picture(kernel, result.order, limit), name, note, hint=hint))
    return tiles


def _kernels(result: Filters, scale: Scale) -> TilesPanel:
    kind = "colours" if _coloured(result) else "weights"
    return _panel(result, _tiles(result, result.values, scale.limit), scale, f"{kind} ±{number(scale.limit)}")


def _panel(result: Filters, tiles: Sequence[Tile], scale: Scale, said: str, title: str = "") -> TilesPanel:
    first = SPOKEN.get(result.by, f"highest {result.by.replace('_', ' ')}")
    return TilesPanel(
        tiles=tuple(tiles),
        across=min(ACROSS, len(tiles)),
        scale=scale,
        title=title,
        subtitle=f"{first} first · {said}",
        alt=f"The filters {listed(result.numbers)} of {result.layer}.",
    )


# ---------------------------------------------------------------- filters of deeper layers


def _slices(result: Filters, scale: Scale, across: int = ACROSS) -> TilesPanel:
    """A row per filter: what it does with those input channels that it weighs most."""
    across = min(across, result.values.shape[-1])
    chosen = _strongest_channels(result.strengths, across)
    tiles = [
        _slice(result, result.values, i, c, float(result.strengths[i, c])) for i, row in enumerate(chosen) for c in row
    ]
    first = "strongest" if result.by == "norm" else SPOKEN.get(result.by, result.by)
    return TilesPanel(
        tiles=tuple(tiles),
        across=across,
        scale=scale,
        title=f"The {len(result)} {first} filters",
        subtitle=f"each row a filter ← its strongest input channels · colours ±{number(scale.limit)}",
        alt=f"Slices of the filters {listed(result.numbers)} of {result.layer}.",
    )


def _strongest_channels(strengths: Array, count: int) -> Array:
    return np.argsort(-np.nan_to_num(strengths), axis=1, kind="stable")[:, :count]


def _slice(result: Filters, values: Array, i: int, c: int, size: float) -> Tile:
    name = f"{result.numbers[i]} ← {result.inputs_of(i)[c]}"
    return Tile(plane(values[i, ..., c]), name, number(size, 2))


def _components(result: Filters) -> TilesPanel:
    """The pattern in space that is nearest to each filter, and how much of the filter it is."""
    patterns, shares = result.components()
    scale = Scale(limit_of([patterns], robust=patterns.size > 1000), "weight")
    tiles = [
        Tile(plane(np.atleast_2d(p)), f"{n}", percent(float(s)))
        for p, n, s in zip(patterns, result.numbers, shares, strict=True)
    ]
    said = f"first singular vector, and its share · ±{number(scale.limit)}"
    return _panel(result, tiles, scale, said, "Main pattern in space")


def _strengths(result: Filters) -> MapPanel:
    said = "Strength by input channel"
    return _by_channel(result, result.strengths, said, "L2 norm", "is the strongest")


def _by_channel(result: Filters, sizes: Array, title: str, what: str, most: str) -> MapPanel:
    known = np.nan_to_num(sizes)
    return MapPanel(
        values=sizes,
        scale=Scale(limit_of([sizes], robust=sizes.size > 1000), "norm", "sequential"),
        opacity=1.0,
        title=title,
        subtitle=f"rows: filters, columns: input channels; {what} up to {number(float(known.max()))}",
        facts=("dark: none, yellow: most",),
        alt=f"{title} of every filter; filter {int(result.numbers[known.sum(1).argmax()])} {most}.",
    )


def _weights(result: Filters, scale: Scale, values: Array | None = None, title: str = "All weights") -> MapPanel:
    """All weights at once, where a filter has one place only."""
    values = (result.values if values is None else values).reshape(len(result), -1)
    return MapPanel(
        values=values,
        scale=scale,
        opacity=1.0,
        title=title,
        subtitle=f"rows: {'units' if result.kind == 'dense' else 'filters'}, columns: inputs · ±{number(scale.limit)}",
        alt=f"The weights of {result.layer}, up to {number(float(np.abs(np.nan_to_num(values)).max()))} in size.",
    )


# ---------------------------------------------------------------- before and after


def _changed(result: Filters, scale: Scale) -> tuple[Panel, ...]:
    """Filters before and after on one scale, and their change on its own, in the same places."""
    if result.before is None:
        raise UsageError(
            "these filters have no `before` to compare with: xk.filters(model, layer, before=...) gives one"
        )
    difference = result.values - result.before
    own = Scale(limit_of([difference], robust=difference.size > 1000), "change")
    three = (("Before", scale), ("After", scale), ("Change", own))
    if _pointwise(result):
        arrays = (result.before, result.values, difference)
        return tuple(_weights(result, s, a, t) for (t, s), a in zip(three, arrays, strict=True))
    shown = result.strongest()[: BESIDE if _whole(result) else ROWS]
    assert shown.before is not None
    arrays = (shown.before, shown.values, shown.values - shown.before)
    make = _all_whole(shown) if _whole(result) else _most_changed(shown)
    found = tuple(
        replace(_panel(shown, make(a, s.limit), s, f"±{number(s.limit)}", t), across=COLUMNS)
        for (t, s), a in zip(three, arrays, strict=True)
    )
    if _whole(result):
        return found
    return (_by_channel(result, result.changes, "Change by input channel", "L2 norm", "has changed most"), *found)


def _all_whole(shown: Filters) -> Callable[[Array, float], list[Tile]]:
    return lambda values, limit: _tiles(shown, values, limit)


def _most_changed(shown: Filters) -> Callable[[Array, float], list[Tile]]:
    """Slices of those input channels that have changed most."""
    chosen: Any = _strongest_channels(shown.changes, min(COLUMNS, shown.values.shape[-1]))
    return lambda values, limit: [
        _slice(shown, values, i, c, float(shown.changes[i, c])) for i, row in enumerate(chosen) for c in row
    ]
