"""`xaikit anomaly`: fit a detector on normal samples, score others with it, explain one, and compare thresholds."""

from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import Any

import click
import numpy as np

from xaikit.anomaly import RULES, SCORES, Detector, event_scores, forecasting, masking
from xaikit.anomaly import fit as fit_detector
from xaikit.anomaly._stream import HOW
from xaikit.anomaly._thresholds import LABELLED
from xaikit.cli._explain import keep
from xaikit.cli._insight import into, numbers_in, samples_of, tell
from xaikit.cli._main import as_json, emit, model_options, open_model
from xaikit.cli._once import Commands
from xaikit.errors import InputError, ParameterError, not_there
from xaikit.inputs import Series
from xaikit.model import Model
from xaikit.report import safe
from xaikit.results import DetectorRecord, SeriesScores
from xaikit.storage import load, save


@click.group("anomaly", cls=Commands)
def anomaly_group() -> None:
    """Find what an autoencoder cannot give back.

    \b
    xaikit anomaly fit series_autoencoder normal.csv -o beats
    xaikit anomaly score series_autoencoder beats/detector new.csv
    xaikit anomaly explain series_autoencoder beats/detector odd.csv -o beats
    xaikit anomaly report series_autoencoder beats/detector --anomalous bad.csv -o beats
    xaikit anomaly latent dense_vae --view grid -o code

    NORMAL and INPUT are files or folders, as in `xaikit explain`; a .csv or .npy may hold many samples.
    """


def _detector(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.argument("detector", type=click.Path())(command)


def _as(command: Callable[..., Any]) -> Callable[..., Any]:
    said = "forecast: MODEL forecasts a series; masked, or masked:patch=8,hidden=0.3: MODEL fills in what is hidden."
    return click.option("--as", "kind", metavar="KIND", help=said)(command)


@anomaly_group.command("fit")
@model_options
@_as
@click.argument("normal", nargs=-1, required=True)
@click.option(
    "--rule", type=click.Choice([*RULES, LABELLED]), default="quantile", show_default=True, help="Sets the threshold."
)
@click.option("--level", type=float, help="The share of normal samples that stay below; 0.99 by default.")
@click.option("-k", "deviations", type=float, help="Deviations, in place of a level, of mean-sd and median-mad.")
@click.option("--score", type=click.Choice(list(SCORES)), help="By default the error that the model's outputs name.")
@click.option("--anomalous", multiple=True, metavar="INPUT", help="Known anomalies, for the rule best-f1; again.")
@click.option("-p", "--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter of the score.")
@into("anomaly")
@as_json
def fit_command(
    model: str,
    framework: str | None,
    allow_code: bool,
    kind: str | None,
    normal: tuple[str, ...],
    rule: str,
    level: float | None,
    deviations: float | None,
    score: str | None,
    anomalous: tuple[str, ...],
    parameters: tuple[str, ...],
    output: Path,
    json_: bool,
) -> None:
    """Fit a detector on NORMAL samples that the network was not trained with.

    Writes detector.npz and .json (the threshold, and what the score has learned) and threshold.png; the path of
    detector.json goes to stdout, with --json that of the picture too.
    """
    opened = _model(model, framework, allow_code, kind)
    found = fit_detector(
        opened,
        samples_of(normal, opened.inputs),
        rule,
        level,
        k=deviations,
        score=score,
        anomalous=samples_of(anomalous, opened.inputs) if anomalous else None,
        **_read(parameters),
    )
    _warn(found.status)
    place = save(found.record(), output / "detector")
    tell([{"json": str(place.resolve()), "threshold": keep(found.calibration, output / "threshold")["png"]}], json_)


@anomaly_group.command("score")
@model_options
@_as
@_detector
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--stream", is_flag=True, help="INPUT is one long series: windows along it are scored, with events.")
@click.option("--stride", type=click.IntRange(1), default=1, show_default=True, help="Steps between windows.")
@click.option("--how", type=click.Choice(list(HOW)), default="mean", show_default=True, help="Joins windows at a step.")
@click.option("--gap", type=click.IntRange(0), default=0, show_default=True, help="Steps between parts of one event.")
@click.option("--shortest", type=click.IntRange(1), default=1, show_default=True, help="Steps of an event at least.")
@click.option("--event", "true_events", multiple=True, metavar="FIRST-LAST", help="Steps of a true event; again.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="Also write numbers and a picture."
)
@as_json
def score_command(
    model: str,
    framework: str | None,
    allow_code: bool,
    kind: str | None,
    detector: str,
    inputs: tuple[str, ...],
    stream: bool,
    stride: int,
    how: str,
    gap: int,
    shortest: int,
    true_events: tuple[str, ...],
    output: Path | None,
    json_: bool,
) -> None:
    """Score INPUTs with the DETECTOR that `xaikit anomaly fit` wrote.

    With --stream and the true events it says how many of these were found.

    \b
    xaikit anomaly score series_autoencoder beats/detector new.csv
    xaikit anomaly score series_autoencoder beats/detector recording.csv --stream --how median --event 280-419
    """
    if true_events and not stream:
        raise ParameterError("--event is of a series: give --stream too")
    found = _opened(model, framework, allow_code, kind, detector)
    if stream:
        scored: Any = found.stream(_series(inputs, found), stride=stride, how=how, gap=gap, shortest=shortest)
        rows = [{"start": e.start, "stop": e.stop, "peak": e.peak, "score": e.score} for e in scored.events]
    else:
        scored = found.score(samples_of(inputs, found.model.inputs))
        columns = zip(scored.values, scored.flags, scored.p_values, strict=True)
        rows = [
            _known({"sample": i, "score": float(v), "anomalous": bool(f), "p value": float(p)})
            for i, (v, f, p) in enumerate(columns)
        ]
    if output is not None:
        keep(scored, output / ("events" if stream else "scores"))
    _warn(scored.status)
    if true_events:
        told = {"events": rows, "scores": [_event_scores(scored, true_events)]}
        emit(told, json_, lambda: _tables(told))
        return
    emit(rows, json_, lambda: _table(rows, "no event" if stream else "no sample"))


def _event_scores(scored: SeriesScores, events: tuple[str, ...]) -> dict[str, float]:
    """Say how well the true events, FIRST-LAST each, are found."""
    steps = numbers_in(",".join(events))
    if max(steps) >= len(scored.points):
        raise ParameterError(f"--event is of steps from 0 to {len(scored.points) - 1}, not {max(steps)}")
    truth = np.zeros(len(scored.points), bool)
    truth[steps] = True
    return event_scores(scored.flags, truth)


@anomaly_group.command("explain")
@model_options
@_as
@_detector
@click.argument("input_", metavar="INPUT")
@click.option(
    "--index", type=click.IntRange(0), default=0, show_default=True, help="Which sample, if INPUT holds several."
)
@click.option("-m", "--method", help="How the error is attributed; integrated-gradients where there are gradients.")
@into("anomaly")
@as_json
def explain_command(
    model: str,
    framework: str | None,
    allow_code: bool,
    kind: str | None,
    detector: str,
    input_: str,
    index: int,
    method: str | None,
    output: Path,
    json_: bool,
) -> None:
    """Say why one sample is anomalous, what would make it normal, and which normal sample is nearest.

    Writes NAME.anomaly.npz, .json and .png; the path of the .json goes to stdout, with --json those of all.
    """
    found = _opened(model, framework, allow_code, kind, detector)
    samples = samples_of((input_,), found.model.inputs)
    if index >= len(samples):
        raise InputError(f"{input_} holds {len(samples)} samples: --index is from 0 to {len(samples) - 1}")
    told = found.explain(samples[index], method=method)
    _warn(told.status)
    tell([keep(told, output / f"{safe(Path(input_).stem)}.{index}.anomaly")], json_)


@anomaly_group.command("report")
@model_options
@_as
@_detector
@click.option("--anomalous", multiple=True, metavar="INPUT", help="Known anomalies: adds the rule best-f1.")
@click.option(
    "--normal", multiple=True, metavar="INPUT", help="Other normal samples: with --anomalous also AUROC, ...."
)
@click.option(
    "--level", type=float, default=0.99, show_default=True, help="The share of normal samples that stay below."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of every random choice.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="Also write numbers and pictures."
)
@as_json
def report_command(
    model: str,
    framework: str | None,
    allow_code: bool,
    kind: str | None,
    detector: str,
    anomalous: tuple[str, ...],
    normal: tuple[str, ...],
    level: float,
    seed: int,
    output: Path | None,
    json_: bool,
) -> None:
    """Compare the thresholds of all rules, with intervals; with labelled samples also how well they are told apart."""
    found = _opened(model, framework, allow_code, kind, detector)
    if normal and not anomalous:
        raise ParameterError("--normal is for comparing with anomalies: give --anomalous too")
    bad = samples_of(anomalous, found.model.inputs) if anomalous else None
    thresholds = found.thresholds(bad, level=level, seed=seed)
    _warn(thresholds.status)
    rows = {"thresholds": thresholds.table()}
    if output is not None:
        keep(thresholds, output / "thresholds")
    if normal:
        detection = found.evaluate(samples_of(normal, found.model.inputs), bad, seed=seed)
        _warn(detection.status)
        rows["detection"] = [_known(row) for row in detection.table()]
        if output is not None:
            keep(detection, output / "detection")
    emit(rows, json_, lambda: _tables(rows))


def _model(name: str, framework: str | None, allow_code: bool, kind: str | None) -> Model:
    """Open a network, as one that gives its input again. Raises ParameterError."""
    model: Model = open_model(name, framework, allow_code)
    said, _, rest = (kind or "").partition(":")
    if said == "masked":
        return masking(model, **_read(tuple(rest.split(",")) if rest else ()))
    if kind == "forecast":
        return forecasting(model)
    if kind is not None:
        raise ParameterError(f"--as is forecast, masked, or masked:NAME=VALUE,NAME=VALUE, not {kind!r}")
    return model


def _opened(model: str, framework: str | None, allow_code: bool, kind: str | None, place: str) -> Detector:
    record = load(place)
    if not isinstance(record, DetectorRecord):
        raise InputError(f"{place} holds a {type(record).__name__}; give what `xaikit anomaly fit` wrote")
    return Detector.of(_model(model, framework, allow_code, kind), record)


def _series(inputs: tuple[str, ...], detector: Detector) -> Any:
    """Read one long series of numbers, a .csv or .npy."""
    from xaikit.data.files import read_array, read_samples
    from xaikit.data.series import read_series

    if len(inputs) != 1 or not isinstance(detector.model.inputs, Series):
        raise ParameterError("--stream takes one series, and a model of series")
    path = Path(inputs[0])
    if path.suffix == ".npy":
        return read_array(path)
    if not path.exists():
        raise InputError(not_there(path))
    try:
        return read_samples(inputs[0], detector.model.inputs)
    except InputError:  # a recording has moments beside its values
        return read_series(path).values


def _read(parameters: tuple[str, ...]) -> dict[str, Any]:
    """Read NAME=VALUE: whole numbers, numbers, or words."""
    found: dict[str, Any] = {}
    for text in parameters:
        name, equals, value = text.partition("=")
        if not equals:
            raise ParameterError(f"a parameter is given as NAME=VALUE, not {text!r}")
        found[name] = _value(value)
    return found


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _warn(status: Any) -> None:
    for reason in status.reasons:
        click.echo(f"xaikit: {status}: {reason}", err=True)


def _table(rows: list[dict[str, Any]], otherwise: str) -> Any:
    from xaikit.cli import _tables as drawn

    if not rows:
        return otherwise
    return drawn._table(tuple(rows[0]), [[_cell(v) for v in r.values()] for r in rows])


def _tables(rows: dict[str, list[dict[str, Any]]]) -> Any:
    from rich.console import Group

    return Group(*(_table([{k: v for k, v in r.items() if k != "reasons"} for r in t], "") for t in rows.values()))


def _known(row: dict[str, Any]) -> dict[str, Any]:
    """Give None for what is no number: JSON has no other word for it."""
    return {k: None if isinstance(v, float) and not isfinite(v) else v for k, v in row.items()}


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
