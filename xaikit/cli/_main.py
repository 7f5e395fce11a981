"""The commands. Results go to stdout, progress and messages to stderr; errors are one line and an exit code."""

import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from xaikit.cli._once import Commands
from xaikit.errors import XaikitError

CRASH, INTERRUPTED = 1, 130


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="xaikit")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Explain and visualise trained Keras and PyTorch models.

    \b
    xaikit demo                                        the whole thing on one photo
    xaikit methods                                     what can be asked
    xaikit explain cats_vs_dogs photo.jpg -m lime      why this prediction
    xaikit compare mnist_cnn 7.png -m lime,grad-cam    which explanation holds
    xaikit report mnist_cnn digits/ -m lime,grad-cam   many inputs, one page
    xaikit study run plan.toml -o out                  thousands of them
    xaikit report out --format html,pdf,json           what came of a study
    xaikit study --help                                thousands of inputs, by a plan
    xaikit audit --help                                prove it later
    xaikit selftest                                    does this installation calculate right

    MODEL is a name from `xaikit zoo list` or of an installed package, a model.toml, or a .keras, .h5 or .pt2 file.
    """
    ctx.obj = {"debug": debug}


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    0 ok, 1 crash, 2 usage, 3 a report or study without some of its units, 4 an audit record or a rule of a study does
    not hold, 5 input or model could not be loaded, 130 interrupted.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    sys.exit(_run(arguments, debug="--debug" in arguments))


def _run(arguments: list[str], debug: bool) -> int:
    try:
        return int(cli.main(arguments, prog_name="xaikit", standalone_mode=False) or 0)
    except click.ClickException as error:
        _with_help(error).show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted", INTERRUPTED, debug)
    except XaikitError as error:
        return _fail(str(error), error.exit_code, debug)
    except BrokenPipeError:
        return CRASH
    except Exception as error:
        hint = "" if debug else " (run again with `xaikit --debug ...` for the traceback)"
        return _fail(f"{type(error).__name__}: {error}{hint}", CRASH, debug)


ARGUMENTS = {
    "model": "A name from `xaikit zoo list`, a model.toml, or a .keras, .h5 or .pt2 file.",
    "inputs": "A picture, a .npy array, a .csv of rows or of a series, a .txt, or a sentence.",
    "layer": "A name from `xaikit layers MODEL`.",
    "plan": "A plan.toml; `xaikit study init` writes one.",
}
"""What arguments are, which have no help of their own as options have."""


def _with_help(error: click.ClickException) -> click.ClickException:
    """Add to the message about an argument or option that was left out what it takes."""
    if not isinstance(error, click.MissingParameter) or error.param is None or error.message:
        return error
    known = getattr(error.param, "help", None) or ARGUMENTS.get(error.param.name or "")
    return click.MissingParameter(known, error.ctx, error.param, error.param_hint, error.param_type)


def _fail(message: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    click.echo(f"xaikit: {message}", err=True)
    return code


SOME_FAILED = 3
"""The exit code where some inputs or methods could not be served, and the others were."""


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the MODEL argument and the options that say how it is loaded."""
    command = click.option("--allow-code", is_flag=True, help="Import the factory that a model.toml names.")(command)
    command = click.option("--framework", help="torch or keras; for models of the zoo.")(command)
    return click.argument("model")(command)


def asked_inputs(required: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the inputs, and the options that say by which methods they are explained."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        command = click.option(
            "-p",
            "--parameter",
            "parameters",
            multiple=True,
            metavar="METHOD.NAME=VALUE",
            help="A parameter of a method.",
        )(command)
        command = click.option("-t", "--target", help="Class name or index; the predicted class by default.")(command)
        command = click.option(
            "-m", "--methods", required=required, metavar="NAME,...", help="Names from `xaikit methods`, by commas."
        )(command)
        return click.argument("inputs", nargs=-1, required=required, metavar="INPUT...")(command)

    return add


several_methods = asked_inputs(required=True)


def as_json(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --json."""
    return click.option("--json", "json_", is_flag=True, help="Print JSON instead of a table.")(command)


def emit(data: Any, json_: bool, table: Callable[[], Any]) -> None:
    """Print data as JSON, or as the table that is made on demand."""
    if json_:
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
    else:
        from rich.console import Console

        width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 140
        Console(width=width, highlight=False).print(table())


@cli.command()
@model_options
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("-m", "--method", required=True, help="A name from `xaikit methods`.")
@click.option("-t", "--target", help="Class name or index; the predicted class by default.")
@click.option(
    "-p",
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the method, as `xaikit methods METHOD` lists them; dialect=captum, for one, takes that "
    "library's defaults. Can be given several times.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("explanations"),
    show_default=True,
    help="The folder for what is written.",
)
@click.option("--score", help="logit, probability or output; by the method by default.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of every random choice.")
@click.option("--max-calls", type=click.IntRange(0), help="Model calls for each input, of methods that perturb it.")
@click.option("--max-batch", type=click.IntRange(1), help="Rows of one pass; by the size of the network by default.")
@click.option("--time-limit", type=float, metavar="SECONDS", help="For each input: then what was found is written.")
@click.option(
    "--tolerance",
    type=float,
    help="Stop sampling at this standard error, relative to the largest value, as 0.02; by default all is drawn.",
)
@click.option(
    "--accelerate",
    default="auto",
    show_default=True,
    help="The copy of the network that methods without gradients run: none, channels-last, onnxruntime, compile, or "
    "auto: ONNX Runtime for 100 or more calls, channels-last for 32 or more. A copy is checked, and recorded.",
)
@click.option(
    "--evidence",
    type=click.Choice(["free", "full"]),
    default="free",
    show_default=True,
    help="full: also deletion and insertion beside random maps, other seeds, and random weights.",
)
@as_json
def explain(model: str, framework: str | None, allow_code: bool, json_: bool, **asked: Any) -> None:
    """Explain the prediction for every INPUT.

    INPUT is a picture, a .npy array, a .csv of rows or of a series, a .txt, or a sentence. Each gives NAME.METHOD.npz
    and .json (the numbers, with their origin and quality) and NAME.METHOD.png; their paths go to stdout.

    \b
    xaikit explain cats_vs_dogs cat.jpg dog.jpg -m grad-cam
    xaikit explain mnist_cnn digit.png -m lime -t 7 -p samples=500 -o out
    xaikit explain lstm_imdb "A dull film." -m integrated-gradients --evidence full
    """
    from xaikit.cli._explain import explain_files

    emitted = explain_files(open_model(model, framework, allow_code), **asked)
    click.echo(json.dumps(emitted, indent=2, ensure_ascii=False) if json_ else "\n".join(e["json"] for e in emitted))


@cli.command()
@click.argument("name", required=False)
@click.option("--dialects", is_flag=True, help="List the defaults of other libraries that methods can take instead.")
@as_json
def methods(name: str | None, dialects: bool, json_: bool) -> None:
    """List the methods by family, or describe one.

    With a name: its definition, source and parameters. With --dialects: what captum, lime, shap and others calculate
    under the same name, as presets: xaikit explain ... -p dialect=captum, or xk.explain(..., dialect="captum").
    """
    from xaikit.cli import _tables

    if dialects:
        found = _tables.dialect_rows(name)
        emit(found, json_, lambda: _tables.dialects_table(found))
    elif name is None:
        rows = _tables.method_rows()
        emit(rows, json_, lambda: _tables.methods_table(rows))
    else:
        page = _tables.method_page(name)
        emit(page, json_, lambda: _tables.method_text(page))


@cli.command()
@model_options
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="Draw the graph into this folder."
)
@as_json
def layers(model: str, framework: str | None, allow_code: bool, output: Path | None, json_: bool) -> None:
    """List the layers of MODEL in call order; with -o draw them as a graph that folds.

    Repeated blocks are drawn once, with how often they come. -o writes layers.html, whose stages unfold, layers.png,
    and the numbers as layers.npz and .json; their paths go to stdout.

    \b
    xaikit layers resnet50 -o out
    """
    from xaikit.cli import _layers, _tables

    opened = open_model(model, framework, allow_code)
    if output is not None:
        _layers.draw(opened, output, json_)
        return
    data = _tables.layer_rows(opened)
    emit(data, json_, lambda: _tables.layers_table(data))


@cli.command()
@model_options
@as_json
def doctor(model: str, framework: str | None, allow_code: bool, json_: bool) -> None:
    """Say which methods can explain MODEL.

    Also what it takes and gives, and what was found out about its layout and output.
    """
    from xaikit.cli import _tables

    data = _tables.doctor_page(open_model(model, framework, allow_code))
    emit(data, json_, lambda: _tables.doctor_text(data))


@cli.group(cls=Commands)
def zoo() -> None:
    """Trained models and documented architectures."""


@zoo.command("list")
@as_json
def zoo_list(json_: bool) -> None:
    """List the models with their accuracy and size."""
    from xaikit.cli import _tables

    data = _tables.zoo_rows()
    emit(data, json_, lambda: _tables.zoo_table(data))


@zoo.command("card")
@click.argument("name")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a page with graph and samples.")
@click.option("--framework", help="torch or keras, for the samples on the page.")
@as_json
def zoo_card(name: str, html: Path | None, framework: str | None, json_: bool) -> None:
    """Show what is known of a model: data, recipe, metrics, limits.

    With --html one file is written instead, and its path printed: also the architecture, its layers, the training
    curves, and test samples with the answers.
    """
    from xaikit import zoo
    from xaikit.cli import _tables, _zoo

    if html is not None:
        click.echo(_zoo.page(name, html, framework))
        return
    data = zoo.card(name).to_dict()
    emit(data, json_, lambda: _tables.card_text(data))


@zoo.command("train")
@click.argument("name")
@click.option("--framework", help="torch or keras; whichever is installed by default.")
@click.option("--epochs", type=click.IntRange(min=1), help="At most so many epochs; by the recipe by default.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of every random choice.")
def zoo_train(name: str, framework: str | None, epochs: int | None, seed: int) -> None:
    """Train a model by its documented recipe and keep it in the user's cache; prints where."""
    from xaikit.cli._zoo import train

    click.echo(train(name, framework, epochs, seed))


@cli.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("xaikit-demo"),
    show_default=True,
    help="The folder for what is written.",
)
@click.option("--photo", help="Another photo than the cat of scikit-image.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of every random choice.")
def demo(output: Path, photo: str | None, seed: int) -> None:
    """Explain one photo, on one page.

    Four methods, in every framework that is installed. Prints the answer and the path of the page.
    """
    from xaikit.cli._demo import run

    answer, page = run(output, photo, seed)
    click.echo(f"answer: {answer}")
    click.echo(page)


def open_model(name: str, framework: str | None, allow_code: bool) -> Any:
    """Load MODEL of the command line: a file if it looks like one, else a name of the zoo."""
    from xaikit.jobs import Recipe

    return Recipe(name, framework, allow_code).load()
