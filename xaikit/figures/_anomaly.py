"""Anomaly scores as panels: what was given, what came back, where they differ, and the score among normal ones."""

from dataclasses import replace
from statistics import NormalDist

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import many
from xaikit.figures._attribution import SAMPLES, _painter, _Shown, panels
from xaikit.figures._colours import limit_of, picture
from xaikit.figures._data import (
    Badge,
    BarPanel,
    CurvePanel,
    Figure,
    ImagePanel,
    Legend,
    MapPanel,
    Panel,
    Scale,
    Trace,
)
from xaikit.figures._words import number, percent, spoken, story, time_axis
from xaikit.inputs import Image, Series
from xaikit.results import AnomalyScores, Attribution, Calibration

BINS = 40
ERRORS = {
    "mse": "mean squared error",
    "mae": "mean absolute error",
    "top-share": "mean of the largest squared errors",
    "standardised": "mean of squared errors over their usual size",
    "ssim": "1 − structural similarity",
    "latent": "squared Mahalanobis distance of the code",
    "joint": "distance of the code and error over its variance",
    "reconstruction-probability": "−log reconstruction probability (nats)",
    "elbo": "negative evidence bound (nats)",
}
LARGEST = 12
"""How many numbers of a code are shown."""
NORMAL, LIMIT, OWN = 0, 1, 5
"""Colours of the lines, in turn of the theme's."""


@panels.register
def _anomaly(result: AnomalyScores, *, shared: bool = False) -> Figure:
    """A row per sample. Ranges are those of all samples, whatever `shared`: normal ones are paler than others."""
    shown = range(min(len(result), SAMPLES))
    rows = tuple(_row(result, i) for i in shown)
    diverging = [p.scale for row in rows for p in row if isinstance(p, MapPanel) and p.scale.kind == "diverging"]
    left_out = (f"{SAMPLES} of {len(result)} samples are shown.",) if len(result) > SAMPLES else ()
    return Figure(
        title=_title(result),
        subtitle=_subtitle(result),
        rows=rows,
        legend=_legend(diverging[0].limit) if diverging else None,
        notes=(*_about(result.calibration), *left_out),
    )


@panels.register
def _calibration(result: Calibration, *, shared: bool = False) -> Figure:
    panel = replace(_scores(result, None), title="Scores of normal samples", badge=_trust(result))
    return Figure(
        title=f"Threshold {number(result.threshold)}", subtitle=_rule(result), rows=((panel,),), notes=_about(result)
    )


def _row(result: AnomalyScores, i: int) -> tuple[Panel, ...]:
    score = replace(_scores(result.calibration, float(result.values[i])), badge=_verdict(result, i))
    parts = () if result.code is None else (_code(result, i),)
    if isinstance(result.input_spec, Image):
        given, came, difference, places = _pictures(result, i)
        return (given, came, difference, *([places] if _has_places(result) else []), *parts, score)
    if isinstance(result.input_spec, Series):
        return (_overlay(result, i), *([_explained(result, i)] if _has_places(result) else []), *parts, score)
    return (*([_explained(result, i)] if _has_places(result) else []), *parts, score)


def _has_places(result: AnomalyScores) -> bool:
    """Whether the score has parts in the input: a distance of codes has none."""
    return result.code is None or bool(result.contributions.any())


def _code(result: AnomalyScores, i: int) -> BarPanel:
    """The parts of the score that the numbers of the code have, the largest first."""
    assert result.code is not None
    parts = result.code[i]
    order = np.argsort(-np.abs(parts), kind="stable")[:LARGEST]
    left = f", the largest {LARGEST} of {len(parts)}" if len(parts) > LARGEST else ""
    return BarPanel(
        labels=tuple(f"z{d}" for d in order),
        values=parts[order],
        unit="of the score",
        title="Parts of the code",
        subtitle=f"together {number(float(parts.sum()))} of {number(float(result.values[i]))}{left}",
        alt=f"The largest part is that of z{order[0]}: {number(float(parts[order[0]]))}.",
    )


# ---------------------------------------------------------------- pictures


def _pictures(result: AnomalyScores, i: int) -> tuple[Panel, ...]:
    spec = result.input_spec
    back = spec.decode(result.reconstruction[i : i + 1])[0]
    size = f"{spec.width} × {spec.height} pixels"
    given = ImagePanel(
        image=picture(result.display[i], spec.scale),
        title="Input" if len(result) == 1 else f"Input {i + 1}",
        subtitle=size,
        alt="The picture as the network is given it.",
    )
    came = ImagePanel(
        image=picture(np.clip(back, 0, 1 / spec.scale), spec.scale),
        title="Reconstruction",
        subtitle="what the network gives back",
        alt="The picture that the network gives back.",
    )
    return given, came, _difference(result, i), _parts(result, i)


def _difference(result: AnomalyScores, i: int) -> MapPanel:
    maps = _shown(result.difference, mean=True)
    scale = Scale(max(limit_of([m]) for m in maps[:SAMPLES]), "of input")
    return MapPanel(
        values=maps[i],
        scale=scale,
        title="Difference",
        subtitle=f"input − reconstruction, ±{number(scale.limit)}",
        facts=("mean of the channels",) if result.difference.shape[-1] > 1 else (),
        alt=story(maps[i], "Input minus reconstruction"),
    )


def _parts(result: AnomalyScores, i: int) -> MapPanel:
    maps = _shown(result.contributions)
    scale = Scale(max(limit_of([m]) for m in maps[:SAMPLES]), "of the score", "sequential")
    return MapPanel(
        values=maps[i],
        scale=scale,
        opacity=1.0,
        title="Contributions",
        subtitle=f"of the score: 0 dark, {number(scale.limit)} yellow",
        facts=_concentration(maps[i], float(result.values[i])),
        alt=story(maps[i], "Contributions to the score"),
    )


def _shown(values: Array, mean: bool = False) -> Array:
    """Pictures' numbers without the channel axis: (sample, height, width)."""
    return np.asarray(values.mean(-1) if mean else values.sum(-1))


def _concentration(parts: Array, score: float) -> tuple[str, ...]:
    if not np.isfinite(score) or score <= 0:
        return (f"together {number(score)}",)
    falling = np.cumsum(np.sort(parts.ravel())[::-1])
    needed = 1 + int(np.searchsorted(falling, score / 2))
    return (f"together {number(score)}, half of it in {percent(needed / parts.size)} of the places",)


# ---------------------------------------------------------------- series, tables, arrays


def _overlay(result: AnomalyScores, i: int) -> CurvePanel:
    """The channel with the largest error, before and after."""
    channel = int(np.nan_to_num(result.contributions[i].sum(0)).argmax())
    spec = result.input_spec
    x, label = time_axis(len(result.x[i]), spec.rate)
    back = spec.decode(result.reconstruction[i : i + 1])[0]
    signal = np.asarray(result.display[i], np.float64).reshape(back.shape)
    of = f"channel {channel}" if back.shape[-1] > 1 else "signal"
    return CurvePanel(
        traces=(Trace("input", x, signal[:, channel], 0), Trace("reconstruction", x, back[:, channel], 1, True)),
        title="Input and reconstruction" if len(result) == 1 else f"Input {i + 1} and reconstruction",
        subtitle=f"{of}, the one with the largest error" if back.shape[-1] > 1 else "in the units of the series",
        x_label=label,
        alt=f"The {of} and what the network gives back for it.",
    )


def _explained(result: AnomalyScores, i: int) -> Panel:
    """Contributions drawn as an attribution of the score is."""
    label = ERRORS[result.error]
    score = Attribution(
        values=result.contributions,
        axes=result.axes,
        parts=None,
        part_values=None,
        x=result.x,
        display=result.display,
        input_spec=result.input_spec,
        output_spec=result.output_spec,
        prediction=result.reconstruction,
        target=(None,) * len(result),
        quality={},
        status=result.status,
        origin=result.origin,
        target_labels=(label,) * len(result),
    )
    limit = max(limit_of([result.contributions[k]], robust=False) for k in range(min(len(result), SAMPLES)))
    panel = _painter(s := _Shown(score, i, "", "", Scale(limit, "of the score")))(s)
    said = "" if isinstance(panel, BarPanel) else f"red: up to {number(limit)} of the score"
    facts = _concentration(result.contributions[i], float(result.values[i]))
    return replace(panel, title="Contributions", subtitle=said, facts=(*panel.facts, *facts))


# ---------------------------------------------------------------- the score among normal ones


def _scores(calibration: Calibration, own: float | None) -> CurvePanel:
    """A histogram of the normal scores as a stepped line, the threshold, and the sample's own score."""
    normal = calibration.scores
    low, high = float(normal.min()), float(normal.max())
    counts, edges = np.histogram(
        normal, bins=min(BINS, 5 + len(normal) // 5), range=(low, high if high > low else low + 1e-9)
    )
    x, y = np.repeat(edges, 2), np.concatenate([[0], np.repeat(counts, 2), [0]])
    top = float(counts.max())
    traces = [
        Trace(_normals(calibration), x, y.astype(np.float64), NORMAL),
        _upright(f"threshold {number(calibration.threshold)}", calibration.threshold, top, LIMIT, dashed=True),
    ]
    if own is not None and np.isfinite(own):
        traces.append(_upright(f"this sample {number(own)}", own, top, OWN))
    said = f", this sample {number(own)}" if own is not None else ""
    return CurvePanel(
        traces=tuple(traces),
        title="Score" if own is None else f"Score {number(own)}",
        subtitle="beside those of normal samples" if own is not None else "how many samples have which score",
        x_label="score",
        alt=f"Normal scores from {number(low)} to {number(high)}, threshold {number(calibration.threshold)}{said}.",
    )


def _upright(name: str, at: float, top: float, colour: int, dashed: bool = False) -> Trace:
    return Trace(name, np.array([at, at]), np.array([0.0, top]), colour, dashed)


def _verdict(result: AnomalyScores, i: int) -> Badge:
    score, threshold = float(result.values[i]), result.threshold
    if not np.isfinite(score):
        return Badge("fail", "the score is not a number")
    said = f"{number(score / threshold, 3)} × the threshold" if threshold > 0 else f"threshold {number(threshold)}"
    below, of = int((result.calibration.scores < score).sum()), len(result.calibration)
    rank = f"above {'all' if below == of else f'{below:,} of'} {of:,} normal samples"
    return Badge("warn" if result.flags[i] else "ok", f"{'anomalous' if result.flags[i] else 'normal'}: {said}, {rank}")


def _trust(calibration: Calibration) -> Badge:
    reasons = "; ".join(calibration.status.reasons)
    return Badge(str(calibration.status), reasons or "enough normal samples for the rule")


# ---------------------------------------------------------------- words about the whole figure


def _title(result: AnomalyScores) -> str:
    flagged = int(result.flags.sum())
    if len(result) == 1:
        return f"{'Anomalous' if flagged else 'Normal'}: score {number(float(result.values[0]))}"
    return f"{flagged} of {len(result)} samples {'is' if flagged == 1 else 'are'} anomalous"


def _subtitle(result: AnomalyScores) -> str:
    origin, score = result.origin, ERRORS[result.error]
    return f"{origin.model} · {spoken(origin.framework)} · score: {score} · threshold: {_rule(result.calibration)}"


def _rule(calibration: Calibration) -> str:
    level = "" if calibration.level is None else percent(calibration.level)
    found = calibration.diagnostics
    if calibration.rule == "quantile":
        return f"{level} quantile of {_normals(calibration)}"
    if calibration.rule == "pot":
        return f"{level} quantile by the tail of {_normals(calibration)}, fitted to {number(found['excesses'])}"
    if calibration.rule == "alert-rate":
        return f"at most {percent(1 - (calibration.level or 0))} of new normal samples, from {_normals(calibration)}"
    if calibration.rule == "best-f1":
        others = number(found["anomalous_samples"])
        return f"best F1 ({number(found['f1'])}) on {_normals(calibration)} and {others} anomalous ones"
    middle, spread = {"mean-sd": ("mean", "standard deviations"), "median-mad": ("median", "MAD")}[calibration.rule]
    k = calibration.k if calibration.level is None else NormalDist().inv_cdf(calibration.level)
    said = f" ({level} of a normal distribution)" if level else ""
    return f"{middle} + {number(float(k or 0))} {spread} of {_normals(calibration)}{said}"


def _normals(calibration: Calibration) -> str:
    return many(len(calibration), "normal sample")


def _about(calibration: Calibration) -> tuple[str, ...]:
    low, high = (percent(share) for share in calibration.false_alarms)
    alarms = f"Of new normal samples {low} to {high} will be flagged (90 % interval)."
    return (alarms, *(f"Caution: {reason}." for reason in calibration.status.reasons))


def _legend(limit: float) -> Legend:
    ticks = tuple((k / 4, number((k / 2 - 1) * limit)) for k in range(5))
    return Legend("diverging", ticks, "input below its reconstruction", "input above it")
