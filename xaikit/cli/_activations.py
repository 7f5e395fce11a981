"""`xaikit activations` and `layer-health`: what layers give for an input, and how they do over a data set."""

import json
from pathlib import Path
from typing import Any

import click
import numpy as np

from xaikit.cli._explain import keep
from xaikit.cli._insight import given_samples, into, samples_of, tell
from xaikit.cli._main import as_json, model_options, open_model
from xaikit.data.files import read_array, read_samples
from xaikit.errors import InputError, UsageError
from xaikit.insight import activations, layer_health
from xaikit.report import distinct, safe, stem

ORDERS = ("max", "mean", "mean-abs", "sparsity")
RANGES = ("layer", "map", "figure")


@click.command("activations")
@model_options
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("-l", "--layer", "layers", multiple=True, help="A name from `xaikit layers`; may be given again.")
@click.option("--order", type=click.Choice(ORDERS), default="max", show_default=True, help="Which channels come first.")
@click.option("--maps", type=click.IntRange(min=1), help="How many channels of a layer are drawn; 64 by default.")
@click.option("--colours", type=click.Choice(RANGES), default="layer", show_default=True, help="What has one range.")
@click.option("--against", metavar="INPUT", help="Another input: show both and their difference, channel by channel.")
@click.option("--over", is_flag=True, help="Lay one channel over the input, every unit where its field has its centre.")
@click.option("-c", "--channel", type=int, help="The channel for --over; the first in the order by default.")
@into("insight")
@as_json
def activations_command(
    model: str,
    framework: str | None,
    allow_code: bool,
    inputs: tuple[str, ...],
    layers: tuple[str, ...],
    output: Path,
    json_: bool,
    **shown: Any,
) -> None:
    """Show what layers give for every INPUT; all layers by default.

    INPUT is as in `xaikit explain`. Each gives NAME.activations.npz and .json (the numbers) and .png.

    \b
    xaikit activations cats_vs_dogs cat.jpg --layer conv1_relu --layer conv4_relu -o out
    xaikit activations cats_vs_dogs cat.jpg --layer conv4_relu --over --channel 68
    xaikit activations cats_vs_dogs cat.jpg --against dog.jpg --layer conv3_relu
    """
    _check(layers, shown)
    opened = open_model(model, framework, allow_code)
    order = "difference" if shown["against"] else shown["order"]
    samples = [read_samples(name, opened.inputs) for name in inputs]
    if shown["against"]:
        other = _one(opened, shown["against"])
        samples = [[_one(opened, name), other] for name in inputs]
    names = distinct([stem(name) for name in inputs])
    written = []
    for name, x in zip(names, samples, strict=True):
        result = activations(opened, x, layers or None, order=order)
        written.append(keep(result, output / f"{name}.activations", _figure(result, shown)))
    tell(written, json_)


def _check(layers: tuple[str, ...], shown: dict[str, Any]) -> None:
    if shown["over"] and (shown["against"] or len(layers) != 1):
        raise UsageError("--over takes exactly one --layer, and no --against")
    if shown["channel"] is not None and not shown["over"]:
        raise UsageError("--channel names what --over lays over the input")


def _one(model: Any, name: str) -> Any:
    """Read the only sample of an INPUT."""
    found = samples_of([name], model.inputs)
    if len(found) != 1 or hasattr(found[0], "keys"):
        raise UsageError(f"--against compares single samples of a model with one input; {name} holds {len(found)}")
    return found[0]


def _figure(result: Any, shown: dict[str, Any]) -> Any:
    """Choose the picture by the options."""
    from xaikit.figures import activation_figure, overlay_figure, panels

    if shown["over"]:
        return overlay_figure(result, next(iter(result)), shown["channel"])
    return panels(result) if shown["against"] else activation_figure(result, shown["colours"], shown["maps"])


@click.command("layer-health")
@model_options
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("-l", "--layer", "layers", multiple=True, help="A name from `xaikit layers`; may be given again.")
@click.option(
    "-y",
    "--truth",
    type=click.Path(path_type=Path),
    help="A .npy file, or a text with one class name, index or value a line, in the order of the inputs.",
)
@click.option("--no-gradients", is_flag=True, help="Measure activations and weights alone.")
@into("insight")
@as_json
def health_command(
    model: str,
    framework: str | None,
    allow_code: bool,
    inputs: tuple[str, ...],
    layers: tuple[str, ...],
    truth: Path | None,
    no_gradients: bool,
    output: Path,
    json_: bool,
) -> None:
    """Measure every layer over all INPUTs: dead and saturated units, histograms, and whether the gradient vanishes.

    INPUT is a folder, or as in `xaikit explain`. With --truth the gradient is that of the loss, else that of the
    predicted class' score. Writes MODEL.layer-health.npz, .json and .png; a table goes to stderr.

    \b
    xaikit layer-health mnist_cnn digits/ --truth digits.txt -o out
    """
    opened = open_model(model, framework, allow_code)
    samples = given_samples(inputs, opened.inputs)
    y = None if truth is None else _labels(truth)
    result = layer_health(opened, samples, y, layers or None, gradients=not no_gradients)
    kept = keep(result, output / f"{safe(opened.name)}.layer-health")
    click.echo(result.text, err=True)
    if not json_:
        tell([kept], False)
        return
    told = {"status": str(result.status), "reasons": list(result.status.reasons), "flow": result.flow}
    ratio = None if np.isnan(result.ratio) else result.ratio
    click.echo(json.dumps({**kept, **told, "ratio": ratio, "layers": result.table()}, indent=2))


def _labels(path: Path) -> Any:
    """Read labels: numbers where all lines are numbers, else names."""
    try:
        if path.suffix == ".npy":
            return read_array(path)
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"the labels {path} cannot be read: {why}") from None
    try:
        numbers = np.array([float(line) for line in lines])
    except ValueError:
        return lines
    return numbers.astype(int) if np.all(numbers == np.floor(numbers)) else numbers
