"""Codes as panels: what they are decoded to, where samples lie, which numbers are used, and which words are near."""

from dataclasses import replace

import numpy as np

from xaikit.arrays import Array
from xaikit.figures._attribution import panels
from xaikit.figures._colours import picture
from xaikit.figures._data import Badge, BarPanel, CurvePanel, Figure, Panel, Scale, Tile, TilesPanel, Trace
from xaikit.figures._words import number, percent, spoken
from xaikit.inputs import Image
from xaikit.results import CodeHealth, Decoded, Embedding, Origin, Restorations, WordNeighbours

SAMPLES, CLASSES, COLOURS, GROUPS, MOST = 6, 12, 6, 5, 16
TITLES = {"grid": "What two numbers of the code give", "interpolation": "From one sample to another",
          "traversal": "One number of the code at a time"}  # fmt: skip


@panels.register
def _decoded(result: Decoded, *, shared: bool = False) -> Figure:
    """Pictures in rows and columns, or lines for what is none; with the score along the way."""
    rows: list[tuple[Panel, ...]] = [(_tiles(result),)] if isinstance(result.input_spec, Image) else _curves(result)
    if result.scores is not None and result.kind == "interpolation":
        x = np.arange(result.scores.shape[1])
        named = enumerate(zip(result.row_names, result.scores, strict=True))
        traces = [Trace(n, x, s, i, i > 0) for i, (n, s) in named]
        if result.threshold is not None:
            traces.append(Trace("threshold", x[[0, -1]], np.repeat(result.threshold, 2), -1, True))
        rows.append((CurvePanel(traces=tuple(traces), title="Score on the way", x_label="step", alt="Scores."),))
    said = {"divergence": "divergence from the prior", "change": "change of the output"}.get(result.effect or "", "")
    return Figure(
        title=TITLES[result.kind],
        subtitle=_model(result.origin) + (f" · sorted by {said}" if said else ""),
        rows=tuple(rows),
    )


def _tiles(result: Decoded) -> TilesPanel:
    rows, columns = result.codes.shape[:2]
    notes = [["" if result.scores is None else number(float(s)) for s in row] for row in (
        np.zeros((rows, columns)) if result.scores is None else result.scores)]  # fmt: skip
    tiles = []
    for r in range(min(rows, MOST)):
        for c in range(columns):
            name = _row_name(result, r) if c == 0 and result.kind != "grid" else ""
            hint = f"{result.row_names[r]}, {result.column_names[c]}"
            tiles.append(Tile(_drawn(result, r, c), name, "" if name else notes[r][c], hint=hint))
    across, down = (f"{n[0]} to {n[-1].split('= ')[-1]}" for n in (result.column_names, result.row_names[::-1]))
    axes = f"{across} from left to right, {down} upwards"
    return TilesPanel(
        tiles=tuple(tiles),
        across=columns,
        scale=Scale(1.0),
        title="Decoded",
        subtitle=axes if result.kind == "grid" else f"{result.column_names[0]} to {result.column_names[-1]}",
        alt=f"{rows} rows of {columns} decoded codes.",
    )


def _row_name(result: Decoded, r: int) -> str:
    if result.effects is None:
        return result.row_names[r]
    return f"{result.row_names[r]}: {number(float(result.effects[r]))}"


def _drawn(result: Decoded, r: int, c: int) -> Array:
    spec = result.input_spec
    return picture(np.clip(spec.decode(result.decoded[r, c][None])[0], 0, 1 / spec.scale), spec.scale)


def _curves(result: Decoded) -> list[tuple[Panel, ...]]:
    """A panel for each row, at most eight, with a line for each step, the ends in colour."""
    found: list[Panel] = []
    count = result.codes.shape[1]
    for r in range(min(len(result.row_names), 8)):
        shown = [0, count // 2, count - 1]
        lines = np.asarray(result.decoded[r, shown], np.float64)
        values = lines.reshape(len(shown), result.decoded.shape[2], -1)[..., 0]
        found.append(
            CurvePanel(
                traces=tuple(
                    Trace(result.column_names[c], np.arange(len(v)), v, i, i == 1)
                    for i, (c, v) in enumerate(zip(shown, values, strict=True))
                ),
                title=_row_name(result, r),
                x_label="step",
                alt=f"{result.row_names[r]} at its ends and in the middle.",
            )
        )
    return [tuple(found[k : k + 2]) for k in range(0, len(found), 2)]


@panels.register
def _embedding(result: Embedding, *, shared: bool = False) -> Figure:
    """Points along the components, two at a time: one plane for two, three for three."""
    count = result.coordinates.shape[1]
    pairs = [(0, 1)] if count == 2 else [(0, 1), (0, 2), (1, 2)]
    groups = _groups(result)
    size = len(groups) if len(groups) <= COLOURS else -(-len(groups) // -(-len(groups) // COLOURS))
    shown = [groups[k : k + size] for k in range(0, len(groups), size)]
    return Figure(
        title=f"{len(result.coordinates):,} samples in the code",
        subtitle=f"{_model(result.origin)} · layer {result.layer} · principal components",
        rows=tuple(tuple(_plane(result, a, b, some) for a, b in pairs) for some in shown),
    )


def _plane(result: Embedding, a: int, b: int, groups: list[tuple[str, Array]]) -> CurvePanel:
    """Two components, with the samples of some groups in colour and the others in grey."""
    x, y = result.coordinates[:, a], result.coordinates[:, b]
    others = ~np.any([m for _, m in groups], axis=0)
    rest = [Trace("others", x[others], y[others], -1, silent=True, dots=True)] if others.any() else []
    return CurvePanel(
        traces=(*rest, *(Trace(n, x[m], y[m], i, dots=True) for i, (n, m) in enumerate(groups))),
        title=f"Components {a + 1} and {b + 1}",
        subtitle=f"{percent(float(result.explained[a]))} and {percent(float(result.explained[b]))} of the variance",
        x_label=f"component {a + 1}",
        alt=f"{len(x)} samples, {len(groups)} groups in colour.",
    )


def _groups(result: Embedding) -> list[tuple[str, Array]]:
    """Name the samples of each class, or of each fifth of the scores."""
    if result.labels is not None:
        labels = np.array(result.labels)
        names = sorted(set(result.labels))
        shown = [(n, labels == n) for n in names[:CLASSES]]
        rest = ~np.isin(labels, names[:CLASSES])
        return [*shown, *([("further classes", rest)] if rest.any() else [])]
    if result.scores is not None:
        edges = np.unique(np.nanquantile(result.scores, np.linspace(0, 1, GROUPS + 1)))
        at = np.clip(np.searchsorted(edges, result.scores, side="right") - 1, 0, max(len(edges) - 2, 0))
        return [(f"score to {number(float(edges[min(g + 1, len(edges) - 1)]))}", at == g) for g in np.unique(at)]
    return [("samples", np.ones(len(result.coordinates), bool))]


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
    what = "noise (standard deviation)" if result.kind == "noise" else "hidden share"
    curve = CurvePanel(
        traces=(Trace("came back", result.levels, after, 0), Trace("given", result.levels, before, 1, True)),
        title="Mean squared error",
        subtitle="of the hidden places" if result.kind == "mask" else "against the clean samples",
        x_label=what,
        alt=f"From {number(float(after[0]))} to {number(float(after[-1]))}.",
    )
    rows: list[tuple[Panel, ...]] = [(curve,)]
    spec = result.input_spec
    if isinstance(spec, Image):
        count, tiles = min(len(result.clean), SAMPLES), []
        for k, level in enumerate(result.levels):
            for name, values in (("given", result.given[k]), ("back", result.restored[k])):
                for i in range(count):
                    shown = picture(np.clip(spec.decode(values[i : i + 1])[0], 0, 1 / spec.scale), spec.scale)
                    tiles.append(Tile(shown, f"{name} {number(float(level))}" if i == 0 else ""))
        panel = TilesPanel(
            tiles=tuple(tiles),
            across=count,
            scale=Scale(1.0),
            title="Given and what came back",
            subtitle=f"by {what}",
            alt=f"{count} samples at {len(result.levels)} levels.",
        )
        rows.insert(0, (panel,))
    title = "Without the noise" if result.kind == "noise" else "What was hidden"
    return Figure(title=title, subtitle=_model(result.origin), rows=tuple(rows))


def _model(origin: Origin) -> str:
    return f"{origin.model} · {spoken(origin.framework)}"
