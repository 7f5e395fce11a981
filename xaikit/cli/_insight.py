"""`xaikit filters` and `activations`: what layers are made of, and what they give."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from xaikit.cli._explain import keep
from xaikit.cli._main import as_json, model_options, open_model
from xaikit.data.files import contents, read_samples
from xaikit.insight import activations, filters
from xaikit.report import distinct, safe, stem


def into(folder: str) -> Callable[..., Any]:
    """Add --output."""
    return click.option(
        "-o", "--output", type=click.Path(path_type=Path, file_okay=False), default=Path(folder), show_default=True
    )


@click.command("filters")
@model_options
@click.argument("layer")
@into("insight")
@as_json
def filters_command(model: str, framework: str | None, allow_code: bool, layer: str, output: Path, json_: bool) -> None:
    """Show the filters of LAYER, strongest first.

    Writes LAYER.filters.npz and .json (all of them, with their statistics) and .png; their paths go to stdout.

    \b
    xaikit filters mnist_cnn conv1 -o out
    """
    result = filters(open_model(model, framework, allow_code), layer)
    tell([keep(result, output / f"{safe(layer)}.filters")], json_)


@click.command("activations")
@model_options
@click.argument("inputs", nargs=-1, required=True)
@click.option("-l", "--layer", "layers", multiple=True, help="A name from `xaikit layers`; may be given again.")
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
) -> None:
    """Show what layers give for every INPUT; all layers by default.

    INPUT is as in `xaikit explain`. Each gives NAME.activations.npz and .json (the numbers) and .png.

    \b
    xaikit activations cats_vs_dogs cat.jpg --layer conv1_relu --layer conv4_relu -o out
    """
    opened = open_model(model, framework, allow_code)
    samples = [read_samples(name, opened.inputs) for name in inputs]
    names = distinct([stem(name) for name in inputs])
    tell(
        [
            keep(activations(opened, x, layers or None), output / f"{name}.activations")
            for name, x in zip(names, samples, strict=True)
        ],
        json_,
    )


def _samples(name: str, spec: Any) -> list[Any]:
    """Read one INPUT, which may hold several samples."""
    given = read_samples(name, spec)
    return [given] if hasattr(given, "keys") else list(spec.samples(given))


def samples_of(inputs: Sequence[str], spec: Any) -> list[Any]:
    """Read every INPUT, which may be a folder, and hold several samples; of a folder's pictures the paths are given."""
    folders = [Path(name).is_dir() for name in inputs]
    read = [
        contents(Path(name), spec) if folder else _samples(name, spec)
        for name, folder in zip(inputs, folders, strict=True)
    ]
    return [sample for samples in read for sample in samples]


def tell(written: list[dict[str, str]], json_: bool) -> None:
    """Say on stdout where results are."""
    click.echo(json.dumps(written, indent=2) if json_ else "\n".join(w["json"] for w in written))
