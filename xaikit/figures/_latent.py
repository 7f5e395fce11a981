"""Codes as panels: what they are decoded to, where samples lie, which numbers are used, and which words are near."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from xaikit.arrays import Array
from xaikit.figures._attribution import panels
from xaikit.figures._colours import VIRIDIS, limit_of, picture
from xaikit.figures._data import (
    Badge,
    BarPanel,
    Cloud,
    CurvePanel,
    Figure,
    Panel,
    Scale,
    SpacePanel,
    SurfacePanel,
    Tile,
    TilesPanel,
    Trace,
)
from xaikit.figures._words import number, percent, spoken
from xaikit.inputs import Image, Series
from xaikit.results import (
    CodeCapacity,
    CodeHealth,
    Decoded,
    Embedding,
    Gallery,
    Inpainting,
    Origin,
    Restorations,
    WordNeighbours,
)

SAMPLES, CLASSES, COLOURS, MOST, LINES, ELLIPSES = 6, 12, 6, 16, 8, 60
HIDDEN = 0.45
"""How bright a hidden place is drawn, between black and white."""
SCORED = tuple(f"#{VIRIDIS[k]}" for k in (1, 3, 4, 6, 7))
"""Colours of low to high scores: those that are seen on light and on dark paper."""
TITLES = {
    "grid": "What two numbers of the code give",
    "interpolation": "From one sample to another",
    "to-normal": "From a sample to the nearest normal one",
    "traversal": "One number of the code at a time",
    "means": "The mean code of every class",
    "arithmetic": "One code minus another, added to a third",
}


@panels.register
def _decoded(result: Decoded, *, shared: bool = False) -> Figure:
    """Pictures in rows and columns, or lines for what is none; with the score along the way."""
    pictures = isinstance(result.input_spec, Image)
    rows: list[tuple[Panel, ...]] = [(_tiles(result),)] if pictures else _curves(result)
    if result.kind == "traversal" and not pictures:
        rows.append((_moved(result),))
    if result.scores is not None:
        rows.append((_way(result) if result.kind in ("interpolation", "to-normal") else _scored(result),))
    said = {"divergence": "divergence from the prior", "change": "change of the output"}.get(result.effect or "", "")
    hidden = len(result.row_names) - (MOST if pictures else LINES)
    return Figure(
        title=TITLES[result.kind] if len(result.row_names) > 1 or result.kind != "grid" else "What the code gives",
        subtitle=_model(result.origin) + (f" · sorted by {said}" if said else ""),
        rows=tuple(rows),
        notes=(f"The last {hidden} of {len(result.row_names)} rows are not drawn.",) if hidden > 0 else (),
    )


def _tiles(result: Decoded) -> TilesPanel:
    """Decoded pictures on a map; of a traversal also where each number moves the picture."""
    rows, columns = min(len(result.codes), MOST), result.codes.shape[1]
    moved = result.variances.mean(-1) if result.kind == "traversal" else None
    scale = None if moved is None else Scale(limit_of(moved[:rows], robust=False), "variance", "sequential")
    tiles = []
    for r in range(rows):
        for c in range(columns):
            score = "" if result.scores is None else f": score {number(float(result.scores[r, c]))}"
            place = ", ".join(filter(None, (result.row_names[r], result.column_names[c])))
            tiles.append(Tile(_drawn(result, r, c), hint=place + score))
        if moved is not None:
            tiles.append(Tile(moved[r], scale=scale, hint=f"{result.row_names[r]}: variance to {moved[r].max():.3g}"))
    said = {"grid": _axes(result)}
    if moved is not None and scale is not None:
        said["traversal"] = f"the last column is the variance along the row, bright at {number(scale.limit)}"
    return TilesPanel(
        tiles=tuple(tiles),
        across=columns + (moved is not None),
        scale=Scale(1.0),
        title="Decoded",
        subtitle=said.get(result.kind, ""),
        alt=f"{rows} rows of {columns} decoded codes.",
        rows=tuple(_row_name(result, r) for r in range(rows)),
        columns=(*_short(result.column_names), *(["variance"] if moved is not None else [])),
    )


def _short(names: Sequence[str]) -> tuple[str, ...]:
    """Leave out of "z0 = -1.64" what is said once for all, with a true minus sign."""
    return tuple(re.sub(r"^-", "−", re.sub(r"^z\d+ = ", "", name)).replace(" - ", " − ") for name in names)


def _axes(result: Decoded) -> str:
    """Say which numbers of the code run across and up."""
    across, up = (names[0].partition(" =")[0] for names in (result.column_names, result.row_names))
    return f"across: {across}" + (f" · up: {up}" if up else "")


def _row_name(result: Decoded, r: int) -> str:
    if result.effects is None:
        return _short(result.row_names)[r]
    what = "KL" if result.effect == "divergence" else "change"
    return f"{result.row_names[r]}: {what} {number(float(result.effects[r]))}"


def _drawn(result: Decoded, r: int, c: int) -> Array:
    return _displayed(result.input_spec, result.decoded[r, c])


def _displayed(spec: Image, values: Array) -> Array:
    return picture(np.clip(spec.decode(values[None])[0], 0, 1 / spec.scale), spec.scale)


def _curves(result: Decoded) -> list[tuple[Panel, ...]]:
    """A panel for each row, at most eight, with a line for each step, the ends in colour."""
    found: list[Panel] = []
    count = result.codes.shape[1]
    for r in range(min(len(result.row_names), LINES)):
        shown = sorted({0, count // 2, count - 1}) if result.kind != "means" else range(min(count, COLOURS))
        found.append(
            CurvePanel(
                traces=tuple(
                    Trace(result.column_names[c], np.arange(len(v)), v, i, i == 1)
                    for i, (c, v) in enumerate((c, _first_channel(result.decoded[r, c])) for c in shown)
                ),
                title=_row_name(result, r),
                subtitle="the first channel" if isinstance(result.input_spec, Series) and _channels(result) > 1 else "",
                x_label=_places(result),
                alt=f"{result.row_names[r]} at its ends and in the middle.",
            )
        )
    return [tuple(found[k : k + 2]) for k in range(0, len(found), 2)]


def _places(result: Decoded) -> str:
    return "step" if isinstance(result.input_spec, Series) else "number"


def _channels(result: Decoded) -> int:
    return int(result.decoded.shape[-1])


def _first_channel(values: Array) -> Array:
    return np.asarray(values, np.float64).reshape(len(values), -1)[:, 0]


def _moved(result: Decoded) -> SurfacePanel:
    """Where each number moves what is no picture."""
    rows = min(len(result.row_names), MOST)
    values = np.stack([_first_channel(v) for v in result.variances[:rows]])
    return SurfacePanel(
        values=values,
        rows=result.row_names[:rows],
        columns=tuple(str(k) for k in range(values.shape[1])),
        scale=Scale(limit_of([values], robust=False), "variance", "sequential"),
        title="Variance along each row",
        subtitle=f"bright at {number(limit_of([values], robust=False))}",
        column_label=_places(result),
        alt=f"Where {rows} numbers of the code move the output.",
    )


def _way(result: Decoded) -> CurvePanel:
    assert result.scores is not None
    x = np.linspace(0, 100, result.scores.shape[1])
    named = enumerate(zip(result.row_names, result.scores, strict=True))
    traces = [Trace(n, x, s, i, i > 0) for i, (n, s) in named]
    if result.threshold is not None:
        traces.append(Trace("threshold", x[[0, -1]], np.repeat(result.threshold, 2), -1, True))
    if "own_score" in result.origin.notes:
        own = float(result.origin.notes["own_score"])
        traces.append(Trace("the sample itself", x[:1], np.array([own]), 2, dots=True))
    ends = f"from {number(float(result.scores[0, 0]))} to {number(float(result.scores[0, -1]))}"
    return CurvePanel(traces=tuple(traces), title="Score on the way", x_label="% of the way", alt=f"Scores {ends}.")


def _scored(result: Decoded) -> SurfacePanel:
    assert result.scores is not None
    rows = min(len(result.row_names), MOST)
    limit = limit_of([result.scores], robust=False)
    above = result.threshold is not None and (result.scores > result.threshold).mean()
    return SurfacePanel(
        values=result.scores[:rows],
        rows=_short(result.row_names[:rows]),
        columns=_short(result.column_names),
        scale=Scale(limit, "score", "sequential"),
        title="Score of what is decoded",
        column_label=_axes(result).removeprefix("across: ").split(" ·")[0] if result.kind == "grid" else "",
        row_label=_axes(result).partition("up: ")[2] if result.kind == "grid" else "",
        subtitle=f"bright at {number(limit)}" + (f"; {percent(float(above))} above the threshold" if above else ""),
        alt=f"Scores from {number(float(result.scores.min()))} to {number(float(result.scores.max()))}.",
    )


@panels.register
def _embedding(result: Embedding, *, shared: bool = False) -> Figure:
    """Points along the components: one plane for two; for three a space that can be turned, and its planes."""
    count = result.coordinates.shape[1]
    pairs = [(0, 1)] if count == 2 else [(0, 1), (0, 2), (1, 2)]
    groups = _groups(result)
    size = len(groups) if len(groups) <= COLOURS else -(-len(groups) // -(-len(groups) // COLOURS))
    shown = [groups[k : k + size] for k in range(0, len(groups), size)]
    planes = [_plane(result, a, b, some) for some in shown for a, b in pairs]
    below = tuple(tuple(planes[k : k + 2]) for k in range(0, len(planes), 2))
    return Figure(
        title=f"{len(result.coordinates):,} samples in the code",
        subtitle=f"{_model(result.origin)} · layer {result.layer} · principal components, "
        f"{percent(float(result.explained.sum()))} of the variance",
        rows=below if count == 2 else ((_space(result, groups),),),
        below=() if count == 2 else below,
    )


Group = tuple[str, Array, int | str]


def _space(result: Embedding, groups: list[Group]) -> SpacePanel:
    return SpacePanel(
        clouds=tuple(Cloud(n, result.coordinates[m], colour) for n, m, colour in groups),
        labels=(_axis(result, 0), _axis(result, 1), _axis(result, 2)),
        title="Three components",
        subtitle="one scale for all axes",
        alt=f"{len(result.coordinates)} samples, {len(groups)} groups in colour.",
    )


def _axis(result: Embedding, k: int) -> str:
    return f"component {k + 1} ({percent(float(result.explained[k]))})"


def _plane(result: Embedding, a: int, b: int, groups: list[Group]) -> CurvePanel:
    """Two components, with the samples of some groups in colour and the others in grey."""
    x, y = result.coordinates[:, a], result.coordinates[:, b]
    others = ~np.any([m for _, m, _ in groups], axis=0)
    rest = [Trace("others", x[others], y[others], -2, silent=True, dots=True)] if others.any() else []
    coloured = (
        Trace(n, x[m], y[m], c if isinstance(c, str) or c < 0 else c % COLOURS, dots=True) for n, m, c in groups
    )
    spread = _spread(result, a, b)
    return CurvePanel(
        traces=(*([spread] if spread else []), *rest, *coloured),
        title=f"Components {a + 1} and {b + 1}",
        subtitle=f"one standard deviation of the code around {_whom(result)}" if spread else "",
        x_label=f"across: {_axis(result, a)} · up: {_axis(result, b)}",
        alt=f"{len(x)} samples, {len(groups)} groups in colour.",
    )


def _spread(result: Embedding, a: int, b: int) -> Trace | None:
    """Ellipses of one standard deviation around samples, of many around some at equal distances in their order."""
    if result.covariances is None:
        return None
    count = len(result.coordinates)
    shown = np.unique(np.linspace(0, count - 1, min(count, ELLIPSES)).round().astype(int))
    apart = [np.concatenate([result.ellipse(int(i), a, b), np.full((1, 2), np.nan)]) for i in shown]
    line = np.concatenate(apart)
    return Trace("", np.nan_to_num(line[:, 0], nan=float(line[0, 0])), line[:, 1], -2, silent=True)


def _whom(result: Embedding) -> str:
    return "each sample" if len(result.coordinates) <= ELLIPSES else f"{ELLIPSES} of the samples"


def _groups(result: Embedding) -> list[Group]:
    """Name the samples of each class, or of each fifth of the scores, with their colours."""
    if result.labels is not None:
        labels = np.array(result.labels)
        counts = {n: int((labels == n).sum()) for n in sorted(set(result.labels), key=_in_order)}
        names = list(counts)
        if len(names) > CLASSES:
            names = sorted(sorted(names, key=lambda n: -counts[n])[:CLASSES], key=_in_order)
        shown: list[Group] = [(n, labels == n, k) for k, n in enumerate(names)]
        rest = ~np.isin(labels, names)
        return [*([("further classes", rest, -1)] if rest.any() else []), *shown]
    if result.scores is not None:
        lost = ~np.isfinite(result.scores)
        if lost.all():
            return [("no finite score", lost, -1)]
        edges = np.unique(np.quantile(result.scores[~lost], np.linspace(0, 1, len(SCORED) + 1)))
        count = max(len(edges) - 1, 1)
        at = np.clip(np.searchsorted(edges, result.scores, side="right") - 1, 0, count - 1)
        spread = np.rint(np.linspace(0, len(SCORED) - 1, count)).astype(int)
        fifths: list[Group] = [
            (f"score to {number(float(edges[min(g + 1, len(edges) - 1)]))}", (at == g) & ~lost, SCORED[spread[g]])
            for g in np.unique(at[~lost]).tolist()
        ]
        return [*fifths, *([("no finite score", lost, -1)] if lost.any() else [])]
    return [("samples", np.ones(len(result.coordinates), bool), 0)]


def _in_order(name: str) -> tuple[bool, float, str]:
    """Numbers by size, then words by letters."""
    try:
        return False, float(name), name
    except ValueError:
        return True, 0.0, name


@panels.register
def _health(result: CodeHealth, *, shared: bool = False) -> Figure:
    order = np.argsort(-result.divergences, kind="stable")[:MOST]
    names = tuple(f"z{k}" + (" (collapsed)" if result.collapsed[k] else "") for k in order)
    kl, spread = (
        BarPanel(
            labels=names,
            values=values[order],
            title=title,
            subtitle=f"over {result.samples:,} samples; below {number(result.limit)} {said}",
            ends=("", ""),
            signed=False,
            alt=f"From {number(float(values.max()))} down to {number(float(values.min()))}.",
        )
        for title, values, said in (
            ("Divergence from the prior (nats)", result.divergences, "it is collapsed"),
            ("Variance of the mean", result.spreads, "it is not active"),
        )
    )
    badge = Badge(str(result.status), "; ".join(result.status.reasons) or "every number is used")
    return Figure(
        title=f"{int(result.active.sum())} of {len(result.spreads)} numbers of the code are active",
        subtitle=_model(result.origin),
        rows=((replace(kl, badge=badge), spread),),
    )


@panels.register
def _words(result: WordNeighbours, *, shared: bool = False) -> Figure:
    bars = BarPanel(
        labels=result.neighbours,
        values=result.similarities,
        title="Cosine",
        subtitle=f"of the vectors in {result.layer}",
        ends=("", ""),
        limit=1.0,
        signed=False,
        alt=f"The nearest is {result.neighbours[0]}." if result.neighbours else "",
    )
    return Figure(title=f"Nearest to {result.asked}", subtitle=_model(result.origin), rows=((bars,),))


@panels.register
def _restorations(result: Restorations, *, shared: bool = False) -> Figure:
    """What was given and what came back at each level, and the error against the level."""
    after, before = result.errors.mean(1), result.before.mean(1)
    noise = result.kind == "noise"
    what = "noise (standard deviation)" if noise else "hidden share"
    ratios = result.psnr(), result.psnr_before()
    curves = [
        CurvePanel(
            traces=(Trace("came back", result.levels, a, 0), Trace("given", result.levels, b, 1, True)),
            title=title,
            subtitle="of the hidden places" if not noise else "against the clean samples",
            x_label=what,
            alt=f"From {number(float(a[0]))} to {number(float(a[-1]))}.",
        )
        for title, a, b in (("Mean squared error", after, before), ("Peak signal-to-noise ratio (dB)", *ratios))
        if np.isfinite(a).any()
    ]
    rows: list[tuple[Panel, ...]] = []
    spec = result.input_spec
    if isinstance(spec, Image):
        count = min(len(result.clean), SAMPLES)
        given = [(f"given, {number(float(v))}", a) for v, a in zip(result.levels, _covered(result), strict=True)]
        back = [(f"came back, {number(float(v))}", a) for v, a in zip(result.levels, result.restored, strict=True)]
        shown = [("clean", result.clean), *(pair for both in zip(given, back, strict=True) for pair in both)]
        panel = TilesPanel(
            tiles=tuple(Tile(_displayed(spec, values[i]), hint=name) for name, values in shown for i in range(count)),
            across=count,
            scale=Scale(1.0),
            title="Given and what came back",
            subtitle=f"by {what}" + ("" if noise else "; what was hidden is grey"),
            alt=f"{count} samples at {len(result.levels)} levels.",
            rows=tuple(name for name, _ in shown),
            columns=tuple(f"sample {i}" for i in range(count)),
        )
        rows.append((panel,))
    elif isinstance(spec, Series):
        k = len(result.levels) // 2
        series = (
            ("given", result.given[k, 0], 1),
            ("came back", result.restored[k, 0], 0),
            ("clean", result.clean[0], 2),
        )
        rows.append((_strip(f"Sample 0 at {number(float(result.levels[k]))}", series),))
    title = "Without the noise" if noise else "What was hidden"
    below = (tuple(curves),) if rows else ()
    return Figure(title=title, subtitle=_model(result.origin), rows=tuple(rows) or (tuple(curves),), below=below)


def _covered(result: Restorations) -> Array:
    """What was given, with hidden places grey: the number that stands there may be one of the picture's own."""
    if result.hidden is None:
        return result.given
    spec = result.input_spec
    grey = np.full((1, *result.clean.shape[1:]), HIDDEN / spec.scale)
    return np.where(result.hidden[:, None], spec.encode(list(grey))[0], result.given)


def _strip(title: str, series: Sequence[tuple[str, Array, int]]) -> CurvePanel:
    """Series over one another, by their first channels."""
    lines = [(n, _first_channel(v), c) for n, v, c in series]
    return CurvePanel(
        traces=tuple(Trace(n, np.arange(len(v)), v, c, i == 1) for i, (n, v, c) in enumerate(lines)),
        title=title,
        x_label="step",
        alt=f"{', '.join(n for n, _, _ in series)}.",
    )


@panels.register
def _inpainting(result: Inpainting, *, shared: bool = False) -> Figure:
    """Samples, what was filled in and its error, and beside them the plain reconstruction and its error."""
    count, spec = min(len(result.x), SAMPLES), result.input_spec
    limit = limit_of([result.errors, result.copied_errors])
    rows: list[tuple[Panel, ...]] = []
    if isinstance(spec, Image):
        scale = Scale(limit, "squared error", "sequential")
        columns = ("given", "filled in", "its error", "copied", "its error")
        tiles = []
        for i in range(count):
            both = ((result.filled, result.errors), (result.copied, result.copied_errors))
            tiles.append(Tile(_displayed(spec, result.x[i]), hint=f"sample {i}"))
            for back, errors in both:
                tiles.append(Tile(_displayed(spec, back[i]), hint=f"sample {i}"))
                tiles.append(Tile(errors[i], scale=scale, hint=f"mean squared error {number(float(errors[i].mean()))}"))
        said = (f"sample {i}: {number(float(result.values[i]))}" for i in range(count))
        rows.append(
            (
                TilesPanel(
                    tiles=tuple(tiles),
                    across=len(columns),
                    scale=scale,
                    title="Each patch from its surroundings",
                    subtitle=f"squared error, bright at {number(limit)}",
                    alt=f"{count} samples with what was filled in.",
                    rows=tuple(said),
                    columns=columns,
                ),
            )
        )
    else:
        for i in range(min(count, 3)):
            values = (("given", result.x[i], 2), ("filled in", result.filled[i], 0), ("whole", result.copied[i], 1))
            apart = (("filled in", result.errors[i], 0), ("whole", result.copied_errors[i], 1))
            rows.append((_strip(f"Sample {i}", values), _strip("Squared error", apart)))
    hidden = "one at a time" if result.hidden * result.errors[0].size < 2 * result.patch**2 else percent(result.hidden)
    return Figure(
        title=f"Patches of {result.patch} filled in from their surroundings",
        subtitle=f"{_model(result.origin)} · hidden: {hidden}",
        rows=tuple(rows),
        notes=("An anomaly that is copied from the whole sample is not seen through a patch that hides it.",),
    )


@panels.register
def _gallery(result: Gallery, *, shared: bool = False) -> Figure:
    """Each group as a row of samples over a row of what came back; lines for what is no picture."""
    spec, count = result.input_spec, min(result.x.shape[1], 2 * SAMPLES)
    error = "mean squared error" if result.error == "mse" else "mean absolute error"
    ranges = [f"{number(float(e[0]))} to {number(float(e[-1]))}" for e in result.errors]
    rows: list[tuple[Panel, ...]] = []
    if isinstance(spec, Image):
        tiles, names = [], []
        for g, group in enumerate(result.groups):
            for said, values in ((f"{group}: given", result.x[g]), ("came back", result.reconstruction[g])):
                names.append(said)
                tiles += [
                    Tile(
                        _displayed(spec, values[i]),
                        hint=f"sample {result.positions[g, i]}: {number(float(result.errors[g, i]))}",
                    )
                    for i in range(count)
                ]
        listed = " · ".join(f"{g}: {r}" for g, r in zip(result.groups, ranges, strict=True))
        panel = TilesPanel(
            tiles=tuple(tiles),
            across=count,
            scale=Scale(1.0),
            title=error.capitalize(),
            subtitle=listed,
            alt=f"{count} samples of each group.",
            rows=tuple(names),
        )
        rows.append((panel,))
    else:
        for g, group in enumerate(result.groups):
            panes = []
            for i in range(min(count, 2)):
                pair = (("given", result.x[g, i], 0), ("came back", result.reconstruction[g, i], 1))
                title = f"{group.capitalize()}: {number(float(result.errors[g, i]))}"
                strip = _strip(title, pair)
                panes.append(
                    replace(
                        strip,
                        subtitle=f"sample {result.positions[g, i]}",
                        x_label="step" if isinstance(spec, Series) else "number",
                    )
                )
            rows.append(tuple(panes))
    return Figure(
        title=f"What comes back best and worst of {result.samples:,} samples",
        subtitle=f"{_model(result.origin)} · median {error} {number(result.median)}",
        rows=tuple(rows),
    )


@panels.register
def _capacity(result: CodeCapacity, *, shared: bool = False) -> Figure:
    """The errors of samples and of noise, and how narrow the network is."""
    sorts = ((np.sort(v), (np.arange(len(v)) + 0.5) / len(v)) for v in (result.errors, result.noise_errors))
    (own, own_share), (noise, noise_share) = sorts
    curve = CurvePanel(
        traces=(
            Trace("samples", own_share, np.where(own > 0, own, np.nan), 0),
            Trace("uniform noise", noise_share, np.where(noise > 0, noise, np.nan), 1, True),
        ),
        title="Mean squared error" if result.error == "mse" else "Mean absolute error",
        subtitle=f"that of noise is {number(result.ratio)} times as large",
        x_label="share of the samples with less",
        logarithmic=bool((own > 0).any() and (noise > 0).any()),
        badge=Badge(str(result.status), "; ".join(result.status.reasons) or "it cannot copy just anything"),
        alt=f"Samples {number(float(own.mean()))}, noise {number(float(noise.mean()))} on average.",
    )
    widths = [("input", result.inputs), *([("narrowest layer", result.width)] if result.width is not None else [])]
    bars = BarPanel(
        labels=tuple(n for n, _ in widths),
        values=np.array([float(v) for _, v in widths]),
        title="Numbers for a sample",
        ends=("", ""),
        signed=False,
        said=tuple(f"{v:,}" for _, v in widths),
        alt=", ".join(f"{n}: {v:,}" for n, v in widths),
    )
    title = {"ok": "It cannot copy just anything", "warn": "It may copy", "fail": "It copies anything"}
    return Figure(title=title[str(result.status)], subtitle=_model(result.origin), rows=((curve, bars),))


def _model(origin: Origin) -> str:
    return f"{origin.model} · {spoken(origin.framework)}"
