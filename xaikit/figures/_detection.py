"""Detectors as panels: thresholds side by side, one anomaly explained, how well they find, a long series."""

from dataclasses import replace

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import many
from xaikit.figures._anomaly import LIMIT, NORMAL, OWN, _row, _rule, _scores, _upright
from xaikit.figures._attribution import panels
from xaikit.figures._colours import picture
from xaikit.figures._data import Badge, BarPanel, CurvePanel, Figure, ImagePanel, Panel, Trace
from xaikit.figures._words import number, percent, spoken, time_axis
from xaikit.inputs import Image, Series
from xaikit.results import AnomalyExplanation, Calibration, Detection, SeriesScores, ThresholdReport

LARGEST = 12
EVENTS = 6
NAMED = 6


# ---------------------------------------------------------------- thresholds


@panels.register
def _report(result: ThresholdReport, *, shared: bool = False) -> Figure:
    """The scores with every threshold, the thresholds with their intervals, and what they would flag."""
    first, names = result.calibrations[0], tuple(c.rule for c in result.calibrations)
    scores = _scores(first, None)
    top = float(scores.traces[0].y.max())
    upright = [_upright(c.rule, c.threshold, top, 1 + i, dashed=True) for i, c in enumerate(result.calibrations)]
    thresholds = BarPanel(
        labels=names,
        values=np.array([c.threshold for c in result.calibrations]),
        unit="score",
        title="Thresholds",
        subtitle=f"90 % intervals over {result.draws} resamplings of the normal samples",
        ends=("", ""),
        intervals=result.intervals,
        signed=False,
        alt="; ".join(f"{c.rule}: {number(c.threshold)}" for c in result.calibrations),
    )
    alerts = BarPanel(
        labels=names,
        values=100 * result.alerts,
        unit="%",
        title="Alert rate (%)",
        subtitle="of normal samples that a resampling left out, with 90 % of the resamplings",
        ends=("", ""),
        intervals=100 * result.alert_intervals,
        signed=False,
        badge=Badge(str(result.status), "; ".join(result.status.reasons[:2]) or "enough normal samples for every rule"),
        alt="; ".join(f"{n}: {percent(float(a))}" for n, a in zip(names, result.alerts, strict=True)),
    )
    tail = [_tail(c) for c in result.calibrations if c.diagnostics.get("shape") is not None]
    return Figure(
        title=f"{len(names)} thresholds on {len(first):,} normal samples",
        subtitle="; ".join(_rule(c) for c in result.calibrations[:1]),
        rows=((replace(scores, traces=(scores.traces[0], *upright)), *tail),),
        below=((thresholds, alerts),),
        notes=tuple(f"Caution: {r}." for r in result.status.reasons[2:6]),
    )


def _tail(c: Calibration) -> CurvePanel:
    """How many normal scores lie beyond, as seen and as the fitted tail has it."""
    told = c.diagnostics
    seen = np.sort(c.scores[c.scores > told["start"]])
    share = (len(seen) - np.arange(len(seen)) - 0.5) / len(c)
    x = np.linspace(told["start"], max(float(seen.max()), c.threshold), 100)
    y = (x - told["start"]) / told["scale"]
    left = np.exp(-y) if abs(told["shape"]) < 1e-9 else np.maximum(1 + told["shape"] * y, 1e-12) ** (-1 / told["shape"])
    fitted = np.where(left * len(seen) / len(c) > 1e-9, left * len(seen) / len(c), np.nan)
    return CurvePanel(
        traces=(Trace("seen", seen, share, NORMAL), Trace("fitted tail", x, fitted, LIMIT, True)),
        title="The tail of normal scores",
        subtitle=f"share beyond a score; {len(seen)} excesses, shape {number(told['shape'])}, scale "
        f"{number(told['scale'])}, distance {number(told['distance'])}",
        x_label="score",
        logarithmic=True,
        alt=f"The fitted tail is {number(told['distance'])} from the scores at most.",
    )


# ---------------------------------------------------------------- one anomaly


@panels.register
def _explanation(result: AnomalyExplanation, *, shared: bool = False) -> Figure:
    """The sample with its parts, the largest among normal ones, the repair, and the nearest normal sample."""
    below: list[tuple[Panel, ...]] = [(_largest(result), _path(result))]
    below += [tuple(_seen(result))]
    if result.attribution is not None:
        below += [tuple(p for p in row if p is not None) for row in panels(result.attribution).rows]
    repaired = result.repaired_score <= result.threshold
    said = f"normal with {len(result.needed)} of {len(result.names)} parts restored" if repaired else "not repaired"
    title = "Anomalous" if result.value > result.threshold else "Normal"
    return Figure(
        title=f"{title}: score {number(result.value)}, {said}" if title == "Anomalous" else f"Normal: {_score(result)}",
        subtitle=f"{result.origin.model} · {spoken(result.origin.framework)} · threshold {number(result.threshold)}, "
        f"{_rule(result.scores.calibration)}",
        rows=(_row(result.scores, 0),),
        below=tuple(row for row in below if row),
        notes=(
            "Contributions are exact parts of the score: where it is large. An attribution says what in the input it "
            "comes from; both need not be the same place.",
            *(f"Caution: {r}." for r in result.status.reasons),
        ),
    )


def _score(result: AnomalyExplanation) -> str:
    return f"score {number(result.value)}"


def _largest(result: AnomalyExplanation) -> BarPanel:
    values, ranks = result.part_values, result.part_percentiles
    order = np.argsort(-values, kind="stable")[:LARGEST]
    return BarPanel(
        labels=tuple(f"{result.names[p]} ({percent(float(ranks[p]))})" for p in order),
        values=values[order],
        unit="of the score",
        title="Largest parts",
        subtitle="in brackets the share of normal samples with a smaller error there",
        ends=("", ""),
        signed=False,
        alt=f"{result.names[order[0]]} has {number(float(values[order[0]]))} of {number(result.value)}.",
    )


def _path(result: AnomalyExplanation) -> CurvePanel:
    steps = np.arange(len(result.path))
    names = _first(result, result.restored)
    facts = (f"restored in turn: {names}", f"these suffice: {_first(result, result.needed)}") if names else ()
    return CurvePanel(
        traces=(
            Trace("score", steps, result.path, OWN),
            Trace("threshold", np.array([0, max(len(steps) - 1, 1)]), np.repeat(result.threshold, 2), LIMIT, True),
        ),
        title="Repair",
        subtitle="the score as parts are replaced by what the network gives back" if names else "nothing to restore",
        x_label="parts restored",
        facts=facts,
        alt=f"The score falls from {number(float(result.path[0]))} to {number(float(result.path[-1]))}.",
    )


def _first(result: AnomalyExplanation, parts: tuple[int, ...]) -> str:
    return "; ".join(result.names[p] for p in parts[:NAMED]) + f" and {len(parts) - NAMED} more" * (len(parts) > NAMED)


def _seen(result: AnomalyExplanation) -> list[Panel]:
    """The repaired sample and the nearest normal ones, where they can be drawn."""
    spec = result.scores.input_spec
    shown = [("Repaired", result.repaired, f"score {number(result.repaired_score)}")]
    for kind, i in (("input", 0), ("code", 1)):
        if result.nearest[i] >= 0:
            place = f"sample {int(result.nearest[i])}, distance {number(float(result.distances[i]))}"
            shown.append((f"Nearest normal by {kind}", result.nearest_x[i], place))
    if isinstance(spec, Image):
        drawn = [(t, picture(np.clip(spec.decode(x[None])[0], 0, 1 / spec.scale), spec.scale), s) for t, x, s in shown]
        return [ImagePanel(image=p, title=t, subtitle=s, alt=f"{t}: {s}.") for t, p, s in drawn]
    if isinstance(spec, Series):
        time, label = time_axis(spec.steps, spec.rate)
        channel = int(result.scores.contributions[0].sum(0).argmax())
        own = spec.decode(result.scores.x)[0][:, channel]
        return [
            CurvePanel(
                traces=(
                    Trace("sample", time, own, NORMAL),
                    Trace(t.lower(), time, spec.decode(x[None])[0][:, channel], LIMIT, True),
                ),
                title=t,
                subtitle=s,
                x_label=label,
                alt=f"{t}: {s}.",
            )
            for t, x, s in shown
        ]
    return []


# ---------------------------------------------------------------- how well


@panels.register
def _detection(result: Detection, *, shared: bool = False) -> Figure:
    """AUROC with its interval and AUPRC beside those of trivial baselines, and the curves of both."""
    curves = [_curve(result, i) for i in range(len(result.names))]
    chance = np.array([0.0, 1.0])
    roc = CurvePanel(
        traces=(
            *(Trace(n, f, t, i, i > 0) for i, (n, (f, t, _)) in enumerate(zip(result.names, curves, strict=True))),
            Trace("chance", chance, chance, -1, True),
        ),
        title="Found against false alarms",
        subtitle=f"share of anomalies found; 95 % of them at {percent(float(result.fpr_at_95[0]))} false alarms",
        x_label="share of normal samples flagged",
        alt=f"The area of {result.names[0]} is {number(float(result.auroc[0]))}.",
    )
    both = CurvePanel(
        traces=(
            *(Trace(n, t, p, i, i > 0) for i, (n, (_, t, p)) in enumerate(zip(result.names, curves, strict=True))),
            Trace("prevalence", chance, np.repeat(result.prevalence, 2), -1, True),
        ),
        title="Precision against recall",
        subtitle=f"best F1 {number(float(result.best_f1[0]))}, at the fitted threshold "
        f"{number(float(result.deployed_f1[0]))}, precision at {result.k} {number(float(result.precision_at_k[0]))}",
        x_label="share of anomalies found",
        alt=f"AUPRC {number(float(result.auprc[0]))}, chance {number(result.prevalence)}.",
    )
    badge = Badge(str(result.status), "; ".join(result.status.reasons) or "better than every baseline")
    return Figure(
        title=f"{int(result.labels.sum())} anomalies among {len(result.labels):,} samples",
        subtitle=f"{result.origin.model} · {spoken(result.origin.framework)}",
        rows=((roc, both),),
        below=(
            (
                _bars(result, "AUROC", result.auroc, "0.5 is chance, with 90 % intervals", badge),
                _bars(result, "AUPRC", result.auprc, f"{number(result.prevalence)} is chance: the prevalence", None),
            ),
        ),
    )


def _bars(result: Detection, title: str, values: Array, said: str, badge: Badge | None) -> BarPanel:
    return BarPanel(
        labels=result.names,
        values=values,
        title=title,
        subtitle=said,
        ends=("", ""),
        limit=1.0,
        intervals=result.auroc_interval if title == "AUROC" else None,
        signed=False,
        badge=badge,
        alt="; ".join(f"{n} {number(float(v))}" for n, v in zip(result.names, values, strict=True)),
    )


def _curve(result: Detection, i: int) -> tuple[Array, Array, Array]:
    """Give false alarms, anomalies found and precision at every distinct score."""
    order = np.argsort(-result.scores[i], kind="stable")
    ends = np.append(np.diff(result.scores[i][order]) < 0, True)
    caught = np.cumsum(result.labels[order])[ends]
    flagged = np.arange(1, len(order) + 1)[ends]
    bad = int(result.labels.sum())
    false = (flagged - caught) / (len(order) - bad)
    return np.append(0.0, false), np.append(0.0, caught / bad), np.append(np.nan, caught / flagged)


# ---------------------------------------------------------------- a long series


@panels.register
def _series(result: SeriesScores, *, shared: bool = False) -> Figure:
    """The series with its events, and the scores of its points with the threshold."""
    x, label = time_axis(len(result), result.rate)
    n = len(result.events)
    rows: list[tuple[Panel, ...]] = [(_signal(result, x, c, label),) for c in range(min(result.signal.shape[1], 4))]
    scores = CurvePanel(
        traces=(
            Trace(f"{result.how} of the windows over a point", x, result.points, NORMAL),
            Trace("threshold", x[[0, -1]], np.repeat(result.threshold, 2), LIMIT, True),
        ),
        title="Score",
        subtitle=f"windows of {result.steps} steps, {len(result.windows):,} of them",
        x_label=label,
        badge=Badge("warn" if n else "ok", many(n, "event")),
        alt=f"{n} events above {number(result.threshold)}.",
    )
    return Figure(
        title=f"{many(n, 'event')} in {len(result):,} steps",
        subtitle=f"{result.origin.model} · {spoken(result.origin.framework)} · {_rule(result.calibration)}",
        rows=(*rows, (scores,)),
        notes=tuple(
            f"Event from step {e.start:,} to {e.stop - 1:,}, score {number(e.score)} at step {e.peak:,}."
            for e in sorted(result.events, key=lambda e: -e.score)[:EVENTS]
        ),
    )


def _signal(result: SeriesScores, x: Array, channel: int, label: str) -> CurvePanel:
    y = result.signal[:, channel]
    traces = [Trace("signal", x, y, NORMAL)]
    if result.events:
        traces.append(Trace("in an event", x, np.where(result.flags, y, np.nan), OWN))
    several = result.signal.shape[1] > 1
    return CurvePanel(
        traces=tuple(traces),
        title=f"Channel {channel}" if several else "Series",
        x_label=label,
        alt=f"Values from {number(float(y.min()))} to {number(float(y.max()))}.",
    )
