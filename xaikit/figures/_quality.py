"""Evidence as panels: curves beside random maps, agreement, what random weights leave, two frameworks."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from xaikit.arrays import Array
from xaikit.figures._attribution import SAMPLES, _figure, panels
from xaikit.figures._data import Badge, BarPanel, CurvePanel, Figure, MatrixPanel, Panel, Scale, Trace
from xaikit.figures._words import number, percent, spoken
from xaikit.results import Attribution, Comparison, Faithfulness, Parity, Randomisation, Recovery, Stability, Status

RANDOM = -1
"""The colour of random maps: grey."""
COLOURS = 6
"""So many methods have a colour of their own."""
MIDDLE = (10, 90)
"""The percentiles of random maps between which the band lies."""
KINDS = {"deletion": "hidden", "insertion": "shown"}
BETTER = {"deletion": "lower is better", "insertion": "higher is better"}
POINTS = 41
"""Where the curves of several samples are averaged: at so many shares from 0 to 1."""


# ---------------------------------------------------------------- faithfulness


@panels.register
def _faithfulness(result: Faithfulness, *, shared: bool = False) -> Figure:
    shown = range(min(len(result), SAMPLES))
    method = spoken(result.explained.method)
    left_out = (f"{SAMPLES} of {len(result)} samples are shown.",) if len(result) > SAMPLES else ()
    labels = ", ".join(dict.fromkeys(result.target_labels[:4]))
    return Figure(
        title=f"Faithfulness of {method} for {labels}",
        subtitle=f"{result.origin.model} · the {result.origin.score} while parts are hidden or shown, "
        "the most important first",
        rows=tuple(_row(result[i], result.target_labels[i] if len(result) > 1 else "") for i in shown),
        notes=(_about_random(result), *left_out),
    )


def _row(one: Faithfulness, label: str) -> tuple[Panel, ...]:
    first, second = (_against_random(one, kind) for kind in KINDS)
    title = f"{label} · {first.title}" if label else first.title
    return replace(first, title=title, facts=_facts(one)), replace(second, badge=_verdict(one))


def _against_random(one: Faithfulness, kind: str) -> CurvePanel:
    """One curve of one sample, beside the mean of random maps and their spread."""
    shares, own = one.shares[0], getattr(one, f"{kind}_curves")[0]
    random = getattr(one, f"random_{kind}_curves")[0]
    middle, band = random.mean(0), np.percentile(random, MIDDLE, axis=0)
    method = spoken(one.explained.method)
    area, by_chance = float(getattr(one, kind)[0]), float(getattr(one, f"random_{kind}")[0])
    return CurvePanel(
        title=kind.capitalize(),
        subtitle=f"area {number(area)}, random {number(by_chance)}; {BETTER[kind]}",
        traces=(
            Trace("random maps", shares, middle, RANDOM, True, (band[0], band[1])),
            Trace(method, shares, own),
        ),
        x_label=f"share of the parts {KINDS[kind]}",
        alt=f"{kind.capitalize()}: the score goes from {number(float(own[0]))} to {number(_last(own))}; the area is "
        f"{number(area)}, for random maps {number(by_chance)}.",
    )


def _last(curve: Array) -> float:
    return float(curve[np.isfinite(curve)][-1]) if np.isfinite(curve).any() else float("nan")


def _facts(one: Faithfulness) -> tuple[str, ...]:
    told = [
        f"comprehensiveness {number(float(one.comprehensiveness[0]))}, sufficiency {number(float(one.sufficiency[0]))}",
        f"infidelity {percent(float(one.infidelity_relative[0]))} of that of a map of zeros",
    ]
    if np.isfinite(one.max_sensitivity[0]):
        told.append(f"max-sensitivity {number(float(one.max_sensitivity[0]))}")
    return (*told, f"{int(one.parts[0]):,} parts ranked, {one.origin.model_calls:,} model calls")


def _verdict(one: Faithfulness) -> Badge:
    advantage = float(one.advantage[0])
    if np.isnan(advantage):
        return Badge("none", "random maps do not differ: nothing can be told")
    if one.better[0]:
        return Badge("ok", f"better than random maps, by {number(advantage, 2)} of their standard deviations")
    return Badge("fail", f"no better than random maps: {number(advantage, 2)} of their standard deviations")


def _about_random(result: Faithfulness) -> str:
    maps = result.random_deletion_curves.shape[1]
    return f"The band holds the middle 80 % of {maps} random maps, the grey line is their mean."


# ---------------------------------------------------------------- comparison


@panels.register
def _comparison(result: Comparison, *, shared: bool = False) -> Figure:
    figure = _figure(_groups(result), shared)
    figure = replace(figure, rows=_checked(figure.rows, result))
    names = tuple(_named(m) for m in result.methods)
    row: list[Panel] = [matrix("Rank agreement", names, result.agreement)] if len(names) > 1 else []
    row += [_together(result, kind) for kind in KINDS] if result.faithfulness else []
    failed = tuple(
        f"{_named(m)} {'has no curves' if m in result.methods else 'gave nothing'}: {why}"
        for m, why in result.failed.items()
    )
    return replace(figure, below=(tuple(row),) if row else (), notes=(*failed, *figure.notes))


def _checked(rows: Sequence[tuple[Panel | None, ...]], result: Comparison) -> tuple[tuple[Panel | None, ...], ...]:
    """Write below each map how it did against random maps, as its verdict where it has no other."""
    named = {_named(m): result.faithfulness[m] for m in result.methods if m in result.faithfulness}
    seen = dict.fromkeys(named, 0)

    def checked(panel: Panel | None) -> Panel | None:
        if panel is None or panel.title not in named or panel.badge is None:
            return panel
        found = named[panel.title]
        one = found[seen[panel.title] % len(found)]
        seen[panel.title] += 1
        areas = f"deletion {number(float(one.deletion[0]))}, insertion {number(float(one.insertion[0]))}"
        said = f"{areas}, random {number(float(one.random_deletion[0]))}"
        facts = panel.facts if any("deletion" in f for f in panel.facts) else (*panel.facts, said)
        return replace(panel, facts=facts, badge=_verdict(one) if panel.badge.level == "none" else panel.badge)

    return tuple(tuple(checked(p) for p in row) for row in rows)


def _groups(result: Comparison) -> Mapping[str, Mapping[str, Attribution]]:
    """Name the maps: one group, or one for each input of a network with several."""
    each = {m: {"": e} if isinstance(e, Attribution) else dict(e) for m, e in result.attributions.items()}
    inputs = list(dict.fromkeys(n for own in each.values() for n in own))
    if inputs == [""]:
        return {"": {_named(m): own[""] for m, own in each.items()}}
    return {f"input {n}": {_named(m): own[n] for m, own in each.items() if n in own} for n in inputs}


def _named(label: str) -> str:
    """Write the name of a compared method, which may carry parameters."""
    method, space, parameters = label.partition(" ")
    return f"{spoken(method)}{space}{parameters}"


def _together(result: Comparison, kind: str) -> CurvePanel:
    """The curves of all methods, the mean over samples, beside random maps."""
    grid = np.linspace(0, 1, POINTS)
    means = {m: _mean_curve(f, kind, grid) for m, f in result.faithfulness.items()}
    areas = {m: float(getattr(f, kind).mean()) for m, f in result.faithfulness.items()}
    random = np.concatenate([_random_curves(f, kind, grid) for f in result.faithfulness.values()])
    middle, band = random.mean(0), np.percentile(random, MIDDLE, axis=0)
    order = sorted(areas, key=lambda m: areas[m], reverse=kind == "insertion")
    by_chance = np.mean([getattr(f, f"random_{kind}").mean() for f in result.faithfulness.values()])
    told = [f"{_named(m)} {number(areas[m])}" for m in order]
    return CurvePanel(
        title=kind.capitalize(),
        subtitle=f"the {next(iter(result.faithfulness.values())).origin.score}; {BETTER[kind]}",
        traces=(
            *(Trace(_named(m), grid, means[m], k, k >= COLOURS) for k, m in enumerate(means)),
            Trace("random maps", grid, middle, RANDOM, True, (band[0], band[1])),
        ),
        x_label=f"share of the parts {KINDS[kind]}",
        facts=(f"areas: {', '.join(told)}, random {number(float(by_chance))}",),
        alt=f"{kind.capitalize()}, best first: {', '.join(told)}; random maps {number(float(by_chance))}.",
    )


def _mean_curve(result: Faithfulness, kind: str, grid: Array) -> Array:
    curves = getattr(result, f"{kind}_curves")
    return np.mean([_at(grid, s, c) for s, c in zip(result.shares, curves, strict=True)], axis=0)


def _random_curves(result: Faithfulness, kind: str, grid: Array) -> Array:
    """The random maps' curves, the mean over samples: (map, point)."""
    curves = getattr(result, f"random_{kind}_curves")
    return np.mean([[_at(grid, s, c) for c in own] for s, own in zip(result.shares, curves, strict=True)], axis=0)


def _at(grid: Array, shares: Array, curve: Array) -> Array:
    there = np.isfinite(shares)
    return np.interp(grid, shares[there], curve[there])


def matrix(title: str, names: Sequence[str], values: Array) -> MatrixPanel:
    """Rank correlations of every pair as a panel."""
    pairs = [(i, j) for i in range(len(names)) for j in range(i) if np.isfinite(values[i, j])]
    told = ", ".join(f"{names[j]} and {names[i]} {number(float(values[i, j]), 2)}" for i, j in pairs)
    return MatrixPanel(
        title=title,
        subtitle="Spearman, −1 to 1",
        names=tuple(names),
        values=values,
        scale=Scale(1.0, "rank correlation"),
        alt=f"{title}: {told or 'no pair can be compared'}.",
    )


# ---------------------------------------------------------------- stability, randomisation, parity


@panels.register
def _stability(result: Stability, *, shared: bool = False) -> Figure:
    names = [f"seed {s}" for s in result.seeds]
    shown = min(len(result), SAMPLES)
    made = [
        replace(
            matrix(result.target_labels[i], names, result.agreement[i]),
            facts=(f"spread over seeds {percent(float(result.spread[i]))} of the largest value",),
        )
        for i in range(shown)
    ]
    made[-1] = replace(made[-1], badge=_badge(result.status, "the seeds agree"))
    return Figure(
        title=f"Stability of {spoken(result.explained.method)}",
        subtitle=f"{result.origin.model} · rank agreement of the maps from {len(names)} seeds",
        rows=tuple(tuple(made[k : k + 3]) for k in range(0, shown, 3)),
    )


@panels.register
def _recovery(result: Recovery, *, shared: bool = False) -> Figure:
    made: list[Panel] = []
    for i in range(min(len(result), SAMPLES)):
        curves = {"precision": result.precision[i], "recall": result.recall[i]}
        areas = {"precision": float(result.aup[i]), "recall": float(result.aur[i])}
        share = percent(float(result.prevalence[i]))
        made.append(
            CurvePanel(
                title=result.target_labels[i],
                subtitle=f"areas {number(areas['precision'])} and {number(areas['recall'])}",
                traces=tuple(
                    Trace(n, result.thresholds[np.isfinite(y)], y[np.isfinite(y)], k)
                    for k, (n, y) in enumerate(curves.items())
                ),
                x_label="threshold, as a share of the largest value",
                facts=(
                    f"AUROC {number(float(result.auroc[i]))}, by chance 0.5",
                    f"average precision {number(float(result.auprc[i]))}, by chance {share}",
                ),
                alt=f"Precision {number(areas['precision'])} and recall {number(areas['recall'])} over the threshold.",
            )
        )
    made[-1] = replace(made[-1], badge=_badge(result.status, "better than chance"))
    return Figure(
        title=f"What {spoken(result.explained.method)} finds of what is known to matter",
        subtitle=f"{result.origin.model} · sizes of the values, brought to 0 to 1 in each sample",
        rows=tuple(tuple(made[k : k + 3]) for k in range(0, len(made), 3)),
    )


@panels.register
def _randomisation(result: Randomisation, *, shared: bool = False) -> Figure:
    layers = tuple(f"{'from ' if k else ''}{name}" for k, name in enumerate(result.layers))
    kinds = [("Rank correlation", result.rank), ("Rank correlation of the sizes", result.rank_absolute)]
    if np.isfinite(result.ssim).any():
        kinds.append(("Structural similarity of the sizes", result.ssim))
    made: list[Panel] = [_similarity(title, layers, values) for title, values in kinds]
    made[0] = replace(made[0], badge=_badge(result.status, "the map changes with the weights"))
    return Figure(
        title=f"{spoken(result.explained.method)} of networks with random weights",
        subtitle=f"{result.origin.model} · likeness to the map of the trained network, while layers get random weights "
        "from the output down",
        rows=(tuple(made),),
    )


def _similarity(title: str, layers: tuple[str, ...], values: Array) -> BarPanel:
    there = np.isfinite(values)
    means = np.divide(
        np.where(there, values, 0).sum(1), there.sum(1), out=np.full(len(values), np.nan), where=there.any(1)
    )
    told = "; ".join(f"{name} {number(float(v), 2)}" for name, v in zip(layers, means, strict=True))
    return BarPanel(
        title=title, labels=layers, values=means, limit=1.0, ends=("opposite", "alike"), alt=f"{title}: {told}."
    )


@panels.register
def _parity(result: Parity, *, shared: bool = False) -> Figure:
    kept = ~result.flips if not result.flips.all() else np.ones(len(result), bool)
    labels = ("outputs", *(_named(m) for m in result.methods))
    worst = np.array([result.outputs.max(), *(own[kept].max() for own in result.values)])
    told = ", ".join(f"{name} {number(float(v), 2)}" for name, v in zip(labels, worst, strict=True))
    panel = BarPanel(
        title="Largest difference",
        subtitle="max|a − b| / max|a| of the worst sample",
        labels=labels,
        values=worst,
        ends=("", ""),
        facts=(f"{int(result.flips.sum())} of {len(result)} samples with a flipped decision",),
        badge=_badge(result.status, "outputs within 10⁻⁵, explanations within 10⁻⁴"),
        alt=f"Largest differences: {told}.",
    )
    failed = tuple(f"{_named(m)} could not be compared: {why}" for m, why in result.failed.items())
    return Figure(title=" and ".join(result.models), subtitle=f"{len(result)} samples", rows=((panel,),), notes=failed)


def _badge(status: Status, held: str) -> Badge:
    return Badge("ok", held) if status == "ok" else Badge(str(status), "; ".join(status.reasons))
