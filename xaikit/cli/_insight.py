"""`xaikit filters`: what layers are made of."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from xaikit.cli._explain import keep
from xaikit.cli._main import as_json, emit, model_options, open_model
from xaikit.cli._tables import statistics_table
from xaikit.data.files import contents, is_folder, read_samples
from xaikit.errors import ParameterError
from xaikit.figures import filter_figure
from xaikit.insight import filters
from xaikit.report import safe


def into(folder: str) -> Callable[..., Any]:
    """Add --output."""
    return click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path(folder),
        show_default=True,
        help="The folder for what is written.",
    )


@click.command("filters")
@model_options
@click.argument("layer")
@click.option("--before", metavar="MODEL", help="The network before fine-tuning: show both, the most changed first.")
@click.option("--inputs", multiple=True, metavar="INPUT", help="Measure what the filters give for files or folders.")
@click.option(
    "--by", metavar="NAME", help="A statistic: norm, mean, std, sparsity, similarity, activation, change, ..."
)
@click.option("--shape", metavar="H,W,C", help="The shape of the picture that a dense LAYER reads in a row.")
@click.option(
    "--show",
    type=click.Choice(["slices", "components"]),
    default="slices",
    show_default=True,
    help="How a kernel is drawn.",
)
@click.option("--table", is_flag=True, help="Print the statistics of every filter instead of the paths.")
@into("insight")
@as_json
def filters_command(
    model: str,
    framework: str | None,
    allow_code: bool,
    layer: str,
    before: str | None,
    inputs: tuple[str, ...],
    by: str | None,
    shape: str | None,
    show: Any,
    table: bool,
    output: Path,
    json_: bool,
) -> None:
    """Show the filters of LAYER, strongest first, with those that are dead or alike.

    Writes LAYER.filters.npz and .json (all of them, with their statistics) and .png; their paths go to stdout. Of a
    deeper layer --show slices draws the strongest, --show components one pattern in space for each filter.

    \b
    xaikit filters mnist_cnn conv1 -o out
    xaikit filters mlp_mnist dense1
    xaikit filters cats_vs_dogs conv1 --by activation --inputs photos/
    xaikit filters tuned.keras conv3 --before cats_vs_dogs --table
    """
    opened = open_model(model, framework, allow_code)
    result = filters(
        opened,
        layer,
        by=by,
        samples=given_samples(inputs, opened.inputs) if inputs else None,
        before=None if before is None else open_model(before, framework, allow_code),
        shape=None if shape is None else _numbers(shape),
    )
    written = keep(result, output / f"{safe(layer)}.filters", filter_figure(result, show))
    if not table:
        tell([written], json_)
        return
    rows = result.table()
    emit(rows, json_, lambda: statistics_table(rows))


def _numbers(text: str) -> list[int]:
    try:
        return [int(n) for n in text.split(",")]
    except ValueError:
        raise ParameterError(f"--shape takes whole numbers by commas, such as 28,28,1, not {text!r}") from None


def _samples(name: str, spec: Any) -> list[Any]:
    """Read one INPUT, which may hold several samples."""
    given = read_samples(name, spec)
    return [given] if hasattr(given, "keys") else list(spec.samples(given))


def samples_of(inputs: Sequence[str], spec: Any) -> list[Any]:
    """Read every INPUT, which may be a folder, and hold several samples; of a folder's pictures the paths are given."""
    folders = [is_folder(name) for name in inputs]
    read = [
        contents(Path(name), spec) if folder else _samples(name, spec)
        for name, folder in zip(inputs, folders, strict=True)
    ]
    return [sample for samples in read for sample in samples]


def given_samples(inputs: Sequence[str], spec: Any) -> Any:
    """Give the only folder as such, which is read as it goes; anything else as a list of samples."""
    return inputs[0] if len(inputs) == 1 and is_folder(inputs[0]) else samples_of(inputs, spec)


def numbers_in(text: str) -> list[int]:
    """Read whole numbers by commas and ranges, 3,17 or 0-15. Raises ParameterError."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or (dash and int(last) < int(first)):
            raise ParameterError(f"numbers are written as 3,17 or 0-15, not {text!r}")
        found += range(int(first), int(last if dash else first) + 1)
    return found


def tell(written: list[dict[str, str]], json_: bool) -> None:
    """Say on stdout where results are."""
    click.echo(json.dumps(written, indent=2) if json_ else "\n".join(w["json"] for w in written))
