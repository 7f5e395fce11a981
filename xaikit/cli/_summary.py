"""`xaikit summary`: what a method attributes on average over a data set."""

from pathlib import Path
from typing import Any

import click

from xaikit.cli._explain import keep, parse_parameters
from xaikit.cli._insight import into, samples_of, tell
from xaikit.cli._main import as_json, model_options, open_model
from xaikit.quality import summary


@click.command("summary")
@model_options
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("-m", "--method", required=True, help="A name from `xaikit methods`.")
@click.option("-t", "--target", help="Class name or index; the predicted class of every sample by default.")
@click.option("-p", "--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter of the method.")
@click.option("--level", type=float, default=0.95, show_default=True, help="Of the confidence intervals.")
@click.option("--minimum", type=int, default=5, show_default=True, help="Samples that a word must occur in.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of every random choice.")
@into("summary")
@as_json
def summary_command(
    model: str,
    framework: str | None,
    allow_code: bool,
    inputs: tuple[str, ...],
    method: str,
    parameters: tuple[str, ...],
    output: Path,
    json_: bool,
    **asked: Any,
) -> None:
    """Sum up what a method attributes over all INPUTs, class by class, with confidence intervals.

    INPUT is a folder of pictures, or as in `xaikit explain`. Writes METHOD.summary.npz, .json and .png.

    \b
    xaikit summary mnist_cnn digits/ --method saliency -o out
    """
    opened = open_model(model, framework, allow_code)
    chosen = parse_parameters(method, parameters)
    result = summary(opened, samples_of(inputs, opened.inputs), method, **asked, **chosen)
    tell([keep(result, output / f"{method}.summary")], json_)
