"""`xaikit maximize`: what a part of a network reacts to most."""

import json
from pathlib import Path
from typing import Any

import click

from xaikit.cli._explain import keep
from xaikit.cli._insight import given_samples, into, numbers_in
from xaikit.cli._main import SOME_FAILED, as_json, model_options, open_model
from xaikit.errors import UsageError
from xaikit.insight import maximize
from xaikit.insight._maximizing._schedule import METHODS
from xaikit.report import safe


@click.command("maximize")
@model_options
@click.argument("layer", required=False)
@click.option("-c", "--channel", "channels", help="A number, several by commas, or a range as 0-15; all by default.")
@click.option("-u", "--unit", help="One place instead of the mean over all: numbers by commas, or centre.")
@click.option("-t", "--target", "targets", multiple=True, help="A class instead of LAYER; may be given again.")
@click.option(
    "--like", multiple=True, help="Real samples to compare with and to take the range from: a folder, or a file; again."
)
@click.option("--negative", is_flag=True, help="Also what it reacts to least, beside it.")
@click.option("--method", type=click.Choice(METHODS), help="By the size of the input by default.")
@click.option("--steps", type=click.IntRange(min=1), help="By the size of the input by default.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of every random choice.")
@into("insight")
@as_json
def maximize_command(
    model: str,
    framework: str | None,
    allow_code: bool,
    layer: str | None,
    channels: str | None,
    unit: str | None,
    targets: tuple[str, ...],
    like: tuple[str, ...],
    negative: bool,
    method: str | None,
    steps: int | None,
    seed: int,
    output: Path,
    json_: bool,
) -> None:
    """Make the inputs that LAYER reacts to most: one for each channel, in one batch.

    Without LAYER the classes are made, those of --target or all. With --like each is compared with the best of real
    samples; one that stays below it is a failed run, and the exit code is 3. Writes LAYER.maximum.npz and .json (the
    pictures, the ascent, the figures of quality) and .png; their paths go to stdout.

    \b
    xaikit maximize mnist_cnn --like digits/ -o out              all ten classes
    xaikit maximize mnist_cnn conv2_relu --like digits/          all 64 channels
    xaikit maximize cats_vs_dogs conv4_relu -c 3,17 --unit centre
    """
    if layer is None and (channels or unit):
        raise UsageError("--channel and --unit belong to a layer: name it, as `xaikit layers MODEL` lists it")
    opened = open_model(model, framework, allow_code)
    result = maximize(
        opened,
        layer,
        channel=None if channels is None else numbers_in(channels),
        unit=None if unit is None else unit if unit in ("centre", "center") else tuple(numbers_in(unit)),
        target=list(targets) or None,
        steps=steps,
        seed=seed,
        negative="both" if negative else False,
        like=given_samples(like, opened.inputs) if like else None,
        method=method,
    )
    written = keep(result, output / f"{safe(layer or 'classes')}.maximum")
    told = {**written, "status": str(result.status), "reasons": list(result.status.reasons), "rows": _rows(result)}
    click.echo(json.dumps(told, indent=2, ensure_ascii=False) if json_ else written["json"])
    for reason in result.status.reasons:
        click.echo(f"{result.status}: {reason}", err=True)
    if result.status == "fail":
        raise click.exceptions.Exit(SOME_FAILED)


def _rows(result: Any) -> list[dict[str, Any]]:
    """List the figures of quality row by row; what is not a number is left out."""
    flat = {n: a for n, a in result.quality.items() if a.ndim == 1}
    return [
        {"name": name, **{n: round(float(a[i]), 4) for n, a in flat.items() if a[i] == a[i]}}
        for i, name in enumerate(result.names)
    ]
