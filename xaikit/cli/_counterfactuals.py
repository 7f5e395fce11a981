"""`xaikit counterfactuals`: the smallest changes of a row after which a model says what is wanted."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from xaikit import tabular
from xaikit.cli._insight import into
from xaikit.cli._main import as_json, model_options, open_model
from xaikit.cli._tabular import (
    data_argument,
    named,
    one_row,
    read_table,
    row_option,
    target_of,
    tell,
    variables_of,
    variables_option,
    written,
)
from xaikit.errors import ParameterError
from xaikit.inputs import At
from xaikit.model import Model


@click.command("counterfactuals")
@model_options
@data_argument
@row_option
@click.option(
    "-w",
    "--wanted",
    required=True,
    metavar="CLASS",
    help="What the model shall say; of a number LOW..HIGH, 3.. or ..5; of several outputs OUTPUT:CLASS.",
)
@click.option("--immutable", multiple=True, metavar="COLUMN", help="A column that must not change; again.")
@click.option("--range", "ranges", multiple=True, metavar="COLUMN=LOW..HIGH", help="Bounds of a number; again.")
@click.option("--allow", "allowed", multiple=True, metavar="COLUMN=A,B", help="The values that may be chosen; again.")
@click.option("--at-least", type=float, help="The probability that shall be reached; more than half by default.")
@click.option("--count", type=click.IntRange(1), default=3, show_default=True, help="How many, of different columns.")
@click.option("--most", type=click.IntRange(1), default=3, show_default=True, help="How many columns may change.")
@variables_option
@into("tables")
@as_json
def counterfactuals_command(
    model: str,
    framework: str | None,
    allow_code: bool,
    data: str,
    row: int,
    wanted: str,
    immutable: tuple[str, ...],
    ranges: tuple[str, ...],
    allowed: tuple[str, ...],
    at_least: float | None,
    count: int,
    most: int,
    variables: str | None,
    output: Path,
    json_: bool,
) -> None:
    """Look for the smallest changes of one row of DATA after which the model says what is wanted.

    The rows of DATA give the values that are tried. Every row that is found has been run through the model. Writes
    counterfactuals.npz, .json and .png.

    \b
    xaikit counterfactuals credit_mlp german.csv --row 1 --wanted good --immutable sex --immutable age
    xaikit counterfactuals credit_mlp german.csv --row 1 -w good --range duration=12..36 --allow housing=own,rent
    """
    opened = open_model(model, framework, allow_code)
    rows = read_table(data, opened.inputs)[0]
    found = tabular.counterfactuals(
        opened,
        rows,
        one_row(rows, row),
        wanted_of(opened, wanted),
        count=count,
        most=most,
        immutable=immutable,
        ranges={name: _range(text, item) for item in ranges for name, text in [named(item, "a range", "LOW..HIGH")]},
        allowed={
            name: [written(v, name, opened.inputs) for v in text.split(",")]
            for item in allowed
            for name, text in [named(item, "what is allowed", "VALUE,VALUE")]
        },
        at_least=at_least,
        variables=variables_of(variables),
    )
    said = [
        {
            "changes": "; ".join(f"{n}: {a} → {b}" for n, a, b in c),
            found.wanted: float(s),
            "cost": float(k),
            "off the data": bool(off),
        }
        for c, s, k, off in zip(found.changes, found.scores, found.costs, found.off_data, strict=True)
    ]
    tell(found, output / "counterfactuals", said, json_)


def wanted_of(model: Model, text: str) -> Any:
    """Turn CLASS, LOW..HIGH, or one of them behind OUTPUT:, into what is wanted. Raises ParameterError."""
    head, dots, _ = text.partition("..")
    if not dots:
        return target_of(model, text)
    name, colon, low = head.rpartition(":")
    bounds = _range(low + text[len(head) :], text)
    if not colon:
        return bounds
    return (At(name) if isinstance(model.outputs, Mapping) and name in model.outputs else name), *bounds


def _range(text: str, item: str) -> tuple[float | None, float | None]:
    """Read LOW..HIGH, of which one may be left out."""
    low, dots, high = text.partition("..")
    try:
        if dots and (low or high):
            return float(low) if low else None, float(high) if high else None
    except ValueError:
        pass
    raise ParameterError(f"a range is written LOW..HIGH, LOW.. or ..HIGH, not {item!r}")
