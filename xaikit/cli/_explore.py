"""`xaikit explore` and `operations`: what a layer does to a picture or a series, one number at a time."""

import inspect
from pathlib import Path
from typing import Any

import click

from xaikit.cli._explain import keep, literals
from xaikit.cli._insight import into, tell
from xaikit.cli._main import as_json, emit
from xaikit.errors import InputError, ParameterError
from xaikit.inputs import picture_array
from xaikit.insight import explore, kernels, operations
from xaikit.report import safe, stem


@click.command("explore")
@click.argument("given", metavar="INPUT")
@click.argument("operation", metavar="OPERATION")
@click.option("-k", "--kernel", help="A name from `xaikit operations --kernels`; the same as -p kernel=NAME.")
@click.option(
    "-p",
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter, as `xaikit operations OPERATION` lists them. Can be given several times.",
)
@click.option("--axes", metavar="NAME,...", help="What the axes of an array are, such as time,channel.")
@click.option("--grey", is_flag=True, help="Take the lightness of a colour picture.")
@click.option("--at", metavar="ROW,COLUMN", help="The place of the output whose step is drawn; the largest by default.")
@into("insight")
@as_json
def explore_command(
    given: str,
    operation: str,
    kernel: str | None,
    parameters: tuple[str, ...],
    axes: str | None,
    grey: bool,
    at: str | None,
    output: Path,
    json_: bool,
) -> None:
    """Apply OPERATION to INPUT and show how a number of the result comes about.

    INPUT is a picture, a .npy array, or numbers by commas (rows by semicolons). OPERATION is a name from
    `xaikit operations`. Writes NAME.OPERATION.npz and .json (input, output, and what every step needs) and .png: the
    input with the window, the weights, the products, and the output.

    \b
    xaikit explore photo.jpg cross-correlation --kernel sobel-x --grey -p padding=same --at 120,80
    xaikit explore "1,10,1,1,1" cross-correlation --kernel mean-3
    xaikit explore "1,2;3,4" upsample-bilinear -p factor=2
    xaikit explore photo.jpg max-pool -p size=4 -o out
    """
    chosen = literals(parameters) | ({} if kernel is None else {"kernel": kernel})
    x, name = _input(given, grey)
    steps = explore(x, operation, axes=None if axes is None else axes.split(","), **chosen)
    if at is not None:
        steps = steps.at(*_place(at))
    tell([keep(steps, output / f"{safe(name)}.{operation}")], json_)


@click.command("operations")
@click.argument("name", metavar="[OPERATION]", required=False)
@click.option("--kernels", "named", is_flag=True, help="List the well-known kernels, with their weights.")
@as_json
def operations_command(name: str | None, named: bool, json_: bool) -> None:
    """List what `xaikit explore` can do, or describe one OPERATION with its parameters.

    \b
    xaikit operations
    xaikit operations cross-correlation
    xaikit operations --kernels
    """
    from xaikit.cli import _tables

    if named:
        rows = [{"name": n, "does": kernels.about(n), "weights": kernels[n].tolist()} for n in kernels]
        emit(rows, json_, lambda: _tables.kernels_table(rows))
    elif name is None:
        rows = [{"name": n, "gives": _tables.first_line(o)} for n, o in operations.items()]
        emit(rows, json_, lambda: _tables.operations_table(rows))
    else:
        page = {
            "name": name,
            "description": inspect.getdoc(operations[name]),
            "parameters": _tables.parameter_rows(operations[name]),
        }
        emit(page, json_, lambda: _tables.operation_text(page))


def _input(given: str, grey: bool) -> tuple[Any, str]:
    """Read INPUT: a file, or numbers; with the name of what is written."""
    if not Path(given).exists() and (not Path(given).suffix or all(c in "0123456789.,;-+e " for c in given)):
        return _numbers(given), "numbers"
    return (picture_array(given, grey=True) if grey else given), stem(given)


def _numbers(given: str) -> Any:
    try:
        rows = [[float(number) for number in row.split(",")] for row in given.split(";")]
    except ValueError:
        raise InputError(
            f"INPUT is a picture, a .npy file, or numbers such as 1,10,1 or 1,2;3,4, not {given!r}"
        ) from None
    if len({len(row) for row in rows}) > 1:
        raise InputError(f"the rows of numbers have {', '.join(str(len(row)) for row in rows)} columns")
    return rows[0] if len(rows) == 1 else rows


def _place(at: str) -> list[int]:
    try:
        return [int(p) for p in at.split(",")]
    except ValueError:
        raise ParameterError(f"--at takes whole numbers by commas, such as 10,20, not {at!r}") from None
