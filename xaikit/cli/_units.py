"""`xaikit top-patches`, `unit-card` and `atlas`: what excites units, all that is known of one, and of all."""

import json
import shlex
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from xaikit.cli._explain import keep
from xaikit.cli._insight import given_samples, into, numbers_in, tell
from xaikit.cli._main import SOME_FAILED, as_json, model_options, open_model
from xaikit.insight import top_patches, unit_card
from xaikit.report import safe

PROJECTIONS = ("auto", "deconvnet", "guided", "gradient", "none")


def projected(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add -k, --per-sample and --projection."""
    command = click.option(
        "--projection",
        type=click.Choice(PROJECTIONS),
        default="auto",
        show_default=True,
        help="Where in each patch the signal comes from; auto: deconvnet where the network has ReLUs.",
    )(command)
    command = click.option(
        "--per-sample", type=click.IntRange(min=1), default=1, show_default=True, help="Places of one sample, at most."
    )(command)
    return click.option("-k", type=click.IntRange(min=1), default=9, show_default=True, help="How many patches.")(
        command
    )


def maximised(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --optimum, --steps and --seed."""
    command = click.option("--seed", type=int, default=0, show_default=True, help="Of every random choice.")(command)
    command = click.option(
        "--steps", type=click.IntRange(min=1), help="Steps of the optimum; 256 or 512 by the size of the input."
    )(command)
    return click.option(
        "--optimum/--no-optimum", default=True, show_default=True, help="Also make optima, which takes longest."
    )(command)


@click.command("top-patches")
@model_options
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("-l", "--layer", required=True, help="A name from `xaikit layers`.")
@click.option("-c", "--channel", help="The number of a channel or unit, or several: 0-15,20; all by default.")
@projected
@into("insight")
@as_json
def patches_command(
    model: str,
    framework: str | None,
    allow_code: bool,
    inputs: tuple[str, ...],
    layer: str,
    channel: str | None,
    k: int,
    per_sample: int,
    projection: str,
    output: Path,
    json_: bool,
) -> None:
    """Show what in INPUT excites a channel most, and where in that its signal comes from.

    INPUT is a folder of pictures, also in folders inside it, or as in `xaikit explain`. Writes LAYER.CHANNEL.patches
    .npz, .json and .png, of several channels LAYER.patches; their paths go to stdout. The samples are read once, for
    all channels.

    \b
    xaikit top-patches cats_vs_dogs photos/ --layer conv4_relu --channel 51
    xaikit top-patches cats_vs_dogs photos/ --layer conv4_relu --projection guided
    """
    opened = open_model(model, framework, allow_code)
    numbers = None if channel is None else numbers_in(channel)
    one = numbers[0] if numbers is not None and len(numbers) == 1 else None
    asked: Any = None if projection == "none" else projection
    given = given_samples(inputs, opened.inputs)
    result = top_patches(
        opened, given, layer, numbers if one is None else one, k, per_sample=per_sample, projection=asked
    )
    name = safe(layer) if one is None else f"{safe(layer)}.{one}"
    tell([keep(result, output / f"{name}.patches")], json_)


@click.command("unit-card")
@model_options
@click.argument("layer")
@click.argument("channel", type=int)
@click.option(
    "-i",
    "--inputs",
    multiple=True,
    help="A folder of pictures, or an input as in `xaikit explain`; may be given again.",
)
@projected
@maximised
@into("insight")
@as_json
def card_command(
    model: str,
    framework: str | None,
    allow_code: bool,
    layer: str,
    channel: int,
    inputs: tuple[str, ...],
    k: int,
    per_sample: int,
    projection: str,
    optimum: bool,
    steps: int | None,
    seed: int,
    output: Path,
    json_: bool,
) -> None:
    """Show all that is known of one CHANNEL (or unit) of LAYER on one figure.

    Its filter and receptive field; over the inputs its statistics, histogram, and strongest patches with their
    projections; its optimum and the opposite. Writes LAYER.CHANNEL.card.npz, .json and .png; the words go to stderr,
    the paths to stdout.

    \b
    xaikit unit-card cats_vs_dogs conv4_relu 51 --inputs photos/
    """
    opened = open_model(model, framework, allow_code)
    asked: Any = None if projection == "none" else projection
    result = unit_card(
        opened,
        layer,
        channel,
        given_samples(inputs, opened.inputs) if inputs else None,
        k,
        per_sample=per_sample,
        projection=asked,
        optimum=optimum,
        steps=steps,
        seed=seed,
    )
    click.echo(result.text(), err=True)
    tell([keep(result, output / f"{safe(layer)}.{channel}.card")], json_)


@click.command("atlas")
@model_options
@click.option(
    "-i", "--inputs", multiple=True, required=True, help="A folder of pictures, or an input; may be given again."
)
@click.option("-l", "--layer", "layers", multiple=True, help="A name from `xaikit layers`; may be given again.")
@click.option("-c", "--channels", help="Only these of each layer, as 0-15,20; all by default.")
@projected
@maximised
@into("atlas")
@click.option("--title", default="", help="The heading of the index.")
@as_json
def atlas_command(
    model: str,
    framework: str | None,
    allow_code: bool,
    inputs: tuple[str, ...],
    layers: tuple[str, ...],
    channels: str | None,
    output: Path,
    json_: bool,
    projection: str,
    title: str,
    **asked: Any,
) -> int:
    """Make the cards of all units of layers, with pages to look them up in.

    By default of every convolution and dense layer, behind its ReLU where it has one. DIR/index.html shows all units;
    DIR/LAYER/CHANNEL.html is the page of one, at the same address for ever, and .json beside it its card for xk.load.
    No page needs a network or a script. The path of the index goes to stdout.

    Every card is kept as soon as it is made: the same command goes on after an interruption, makes what is missing, and
    tries again what failed; more layers can be added to an atlas. Another model, other inputs or other options in the
    same folder are refused. Units that failed are listed on the index, and the exit code is 3.

    \b
    xaikit atlas mnist_cnn --inputs digits/ -o mnist-atlas
    xaikit atlas vgg16 --inputs photos/ --layer block3_conv1 --channels 0-31 --no-optimum
    """
    from xaikit.report import write_atlas

    opened = open_model(model, framework, allow_code)
    numbers = None if channels is None else list(dict.fromkeys(numbers_in(channels)))
    with told_on_stderr() as progress:
        found = write_atlas(
            opened,
            output,
            given_samples(inputs, opened.inputs),
            list(layers) or None,
            numbers,
            projection=None if projection == "none" else projection,
            title=title,
            command=_command(click.get_current_context().params),
            progress=progress,
            **asked,
        )
    told = {
        "page": str(found.page),
        "made": found.made,
        "kept": found.kept,
        "failed": [{"layer": f.layer, "channel": f.channel, "error": f.error} for f in found.failed],
    }
    click.echo(json.dumps(told, indent=2, ensure_ascii=False) if json_ else found.page)
    for f in found.failed:
        unit = f"unit {f.channel} of {f.layer}" if f.channel is not None else f.layer
        click.echo(f"xaikit: {unit}: {f.error}", err=True)
    return SOME_FAILED if found.failed else 0


@contextmanager
def told_on_stderr() -> Any:
    """Show how far units are, with the time left, on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[many]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task("units", total=None, many="")

        def progress(done: float, total: int, said: str) -> None:
            shown.update(task, completed=done, total=total, description=f"{said:<36.36}", many=f"{int(done)}/{total}")

        yield progress


def _command(asked: dict[str, Any]) -> str:
    """Give the command that makes the atlas again."""
    words = ["xaikit", "atlas", asked["model"]]
    for name in ("inputs", "layers"):
        words += [
            w for value in asked[name] for w in (f"--{name.removesuffix('s') if name == 'layers' else name}", value)
        ]
    defaults = {
        "framework": None,
        "channels": None,
        "k": 9,
        "per_sample": 1,
        "projection": "auto",
        "steps": None,
        "seed": 0,
    }
    for name, usual in defaults.items():
        if asked[name] != usual:
            words += [f"-{name}" if len(name) == 1 else f"--{name.replace('_', '-')}", str(asked[name])]
    words += [] if asked["optimum"] else ["--no-optimum"]
    words += ["--allow-code"] if asked["allow_code"] else []
    return shlex.join([*words, "-o", str(asked["output"])])
