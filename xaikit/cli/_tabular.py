"""`xaikit importance`, `break-down`, `profile`, `what-if` and `fairness`: what a data set of rows says of a model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import click
import numpy as np

from xaikit import tabular
from xaikit.arrays import Array
from xaikit.cli._explain import keep
from xaikit.cli._insight import into
from xaikit.cli._main import as_json, emit, model_options, open_model
from xaikit.cli._tables import _table as drawn
from xaikit.data.files import cell, read_array, read_lines, read_samples
from xaikit.errors import InputError, ParameterError, UnknownName, not_there
from xaikit.inputs import At, Table
from xaikit.model import Model
from xaikit.report import safe
from xaikit.tabular._profile import PROFILES
from xaikit.tabular._variables import KINDS


def data_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the DATA argument."""
    return click.argument("data", type=click.Path(dir_okay=False))(command)


def row_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that chooses rows."""
    return click.option("-r", "--row", default=0, show_default=True, help="The row of DATA, from 0.")(command)


def target_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that chooses an output."""
    said = "Class name or index, or output; of several outputs OUTPUT or OUTPUT:CLASS."
    return click.option("-t", "--target", help=said)(command)


def output_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that chooses which of several outputs the truth is of."""
    return click.option("-t", "--target", metavar="OUTPUT", help="Of several outputs the one that is true.")(command)


def variables_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that says what a variable is in an input with time."""
    said = "Of inputs (time, channel): channels, windows:20, channel-windows:10, bands, bands:alpha=8-13,beta=13-30."
    return click.option("--variables", metavar="KIND", help=said)(command)


def variables_of(text: str | None) -> Any:
    """Turn KIND, KIND:COUNT or bands:NAME=LOW-HIGH,... into variables. Raises ParameterError."""
    kind, colon, rest = (text or "").partition(":")
    if text is not None and kind not in KINDS:
        raise UnknownName("kind of variables", kind, KINDS)
    if not colon:
        return text
    if kind != "bands":
        return {kind: _number(rest)}
    bands = {}
    for item in rest.split(","):
        name, edges = named(item, "a band", "LOW-HIGH")
        low, _, high = edges.partition("-")
        try:
            bands[name] = float(low), float(high)
        except ValueError:
            raise ParameterError(f"a band is written NAME=LOW-HIGH, not {item!r}") from None
    return {"bands": bands}


def truth_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that says what is true."""
    said = "The column of DATA that is true, or a .npy file."
    return click.option("-y", "--truth", required=True, metavar="COLUMN", help=said)(command)


def target_of(model: Model, text: str | None) -> Any:
    """Turn OUTPUT:CLASS into a target of a model with several outputs; what has no colon stays as it is."""
    name, colon, entry = (text or "").partition(":")
    if not isinstance(model.outputs, Mapping) or not colon or name not in model.outputs:
        return text
    return At(name, index=entry)


def read_table(name: str, spec: Any, truth: str | None = None) -> tuple[Any, Array | None]:
    """Read rows, and the column that is true of them; columns that the model does not know are left out.

    Raises InputError, UnknownName.
    """
    path = Path(name)
    if path.suffix.lower() != ".csv":
        if truth is not None and not Path(truth).exists():
            raise InputError(f"rows in {name} have no column {truth!r}: give a .npy file with one entry for each")
        return read_samples(name, spec), None if truth is None else read_array(Path(truth))
    if not path.exists():
        raise InputError(not_there(name))
    header, *lines = read_lines(path)
    rows = [dict(zip_longest(header, line[: len(header)])) for line in lines]
    if not rows:
        raise InputError(f"{name} holds no rows")
    if truth is not None and truth not in rows[0]:
        raise UnknownName(f"column of {name}", truth, rows[0])
    y = None if truth is None else _column(name, truth, [_number(row[truth]) for row in rows])
    if isinstance(spec, Table):
        known = spec.columns
        return [{n: cell(row[n], known[n]) for n in known if row.get(n) is not None} for row in rows], y
    if any(len(line) > len(header) for line in lines):
        raise InputError(f"{name} has a row of more cells than its header of {len(header)}")
    names = [n for n in header if n != truth]
    try:
        return np.array([[float(row[n]) for n in names] for row in rows]), y
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} holds something that is no number: {error}") from None


def _column(name: str, column: str, values: list[Any]) -> Array:
    empty = [i for i, v in enumerate(values) if v == ""]
    if empty:
        raise InputError(f"{name} has no {column!r} in row {empty[0]}, and in {len(empty) - 1} more")
    return np.array(values)


def _number(text: str | None) -> Any:
    if not text:
        return ""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def one_row(rows: Any, row: int) -> Any:
    """Give one row of those that were read. Raises ParameterError."""
    if not 0 <= row < len(rows):
        raise ParameterError(f"--row is a number from 0 to {len(rows) - 1}, not {row}")
    return rows[row]


def settings(given: Sequence[str], spec: Any) -> dict[str, Any]:
    """Turn COLUMN=VALUE into values of their columns. Raises ParameterError."""
    found: dict[str, Any] = {}
    for item in given:
        name, value = named(item, "a change", "VALUE")
        found[name] = written(value, name, spec)
    return found


def named(item: str, what: str, value: str) -> tuple[str, str]:
    """Split COLUMN=VALUE. Raises ParameterError."""
    name, equals, given = item.partition("=")
    if not equals:
        raise ParameterError(f"{what} is written COLUMN={value}, not {item!r}")
    return name, given


def written(value: str, name: str, spec: Any) -> Any:
    """Turn the text of a value into that of its column."""
    column = spec.columns.get(name) if isinstance(spec, Table) else None
    return cell(value, column) if column is not None and hasattr(column, "values") else _number(value)


def tell(result: Any, place: Path, rows: list[dict[str, Any]], json_: bool) -> None:
    """Store a result, and print its numbers as a table, or with the paths as JSON."""
    written = keep(result, place)
    told = {**written, "status": str(result.status), "reasons": list(result.status.reasons), "rows": rows}
    lines = [[_said(v) for v in row.values()] for row in rows]
    right = tuple(i for i, v in enumerate(rows[0].values()) if not isinstance(v, str)) if rows else ()
    emit(told, json_, lambda: drawn(tuple(rows[0]), lines, right=right) if rows else "none")
    if not json_:
        click.echo(written["json"])
    for reason in result.status.reasons:
        click.echo(f"{result.status}: {reason}", err=True)


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)


@click.command("importance")
@model_options
@data_argument
@truth_option
@click.option("--loss", help="cross-entropy, 1-auc, 1-accuracy; rmse, mse, mae, 1-r2; by the outputs by default.")
@click.option("--repeats", type=click.IntRange(1), default=10, show_default=True, help="How often each is shuffled.")
@click.option("--group", "groups", multiple=True, metavar="NAME=A,B", help="Columns that are shuffled together; again.")
@output_option
@click.option("--seed", type=int, default=0, show_default=True, help="Of every random choice.")
@variables_option
@into("tables")
@as_json
def importance_command(
    model: str,
    framework: str | None,
    allow_code: bool,
    data: str,
    truth: str,
    loss: str | None,
    repeats: int,
    groups: tuple[str, ...],
    target: str | None,
    seed: int,
    variables: str | None,
    output: Path,
    json_: bool,
) -> None:
    """Say which columns of DATA the model relies on: how much worse it does when each is shuffled.

    DATA is a .csv with a header, whose columns are found by their names, or a .npy. Writes importance.npz, .json and
    .png.

    \b
    xaikit importance credit_mlp german.csv -y risk
    xaikit importance credit_mlp german.csv -y risk --loss 1-auc --group money=saving_accounts,checking_account
    """
    opened = open_model(model, framework, allow_code)
    rows, y = read_table(data, opened.inputs, truth)
    together = {n: _members(m, g) for g in groups for n, _, m in [g.partition("=")]}
    result = tabular.importance(
        opened, rows, y, loss, repeats, seed, variables=variables_of(variables), groups=together or None, target=target
    )
    tell(result, output / "importance", result.table(), json_)


def _members(names: str, given: str) -> list[str]:
    if not names:
        raise ParameterError(f"a group is written NAME=COLUMN,COLUMN, not {given!r}")
    return names.split(",")


@click.command("break-down")
@model_options
@data_argument
@row_option
@target_option
@click.option("--interactions", is_flag=True, help="Pairs that do more together than alone are set at once.")
@click.option("--reference", metavar="DATA", help="The rows of reference; DATA by default.")
@variables_option
@into("tables")
@as_json
def break_down_command(
    model: str,
    framework: str | None,
    allow_code: bool,
    data: str,
    row: int,
    target: str | None,
    interactions: bool,
    reference: str | None,
    variables: str | None,
    output: Path,
    json_: bool,
) -> None:
    """Say how the prediction for one row of DATA comes about: the mean, and what each value adds.

    Writes break-down.npz, .json and .png.

    \b
    xaikit break-down credit_mlp german.csv --row 9 --interactions
    """
    opened = open_model(model, framework, allow_code)
    rows = read_table(data, opened.inputs)[0]
    against = rows if reference is None else read_table(reference, opened.inputs)[0]
    result = tabular.break_down(
        opened, against, one_row(rows, row), target_of(opened, target), interactions, variables=variables_of(variables)
    )
    start = {"variable": "mean prediction", "value": "", "contribution": float(result.intercept[0])}
    steps = [{"variable": n, "value": v, "contribution": c} for n, v, c in result.path()]
    end = {"variable": f"prediction ({result.targets[0]})", "value": "", "contribution": float(result.prediction[0])}
    tell(result, output / "break-down", [start, *steps, end], json_)


@click.command("profile")
@model_options
@data_argument
@click.argument("columns", nargs=-1, required=True, metavar="COLUMN...")
@click.option(
    "--kind", type=click.Choice(PROFILES), default="partial-dependence", show_default=True, help="What a curve is."
)
@click.option("-r", "--row", "row", type=int, help="For ceteris-paribus the row of DATA; all by default.")
@click.option("--grid", type=click.IntRange(2), default=20, show_default=True, help="Values, or bins, of a number.")
@click.option("--by", metavar="COLUMN", help="Curves for groups of rows.")
@target_option
@variables_option
@into("tables")
@as_json
def profile_command(
    model: str,
    framework: str | None,
    allow_code: bool,
    data: str,
    columns: tuple[str, ...],
    kind: str,
    row: int | None,
    grid: int,
    by: str | None,
    target: str | None,
    variables: str | None,
    output: Path,
    json_: bool,
) -> None:
    """Say how the answer goes with each COLUMN of DATA, or with two as A,B.

    Writes KIND.npz, .json and .png.

    \b
    xaikit profile credit_mlp german.csv age duration
    xaikit profile credit_mlp german.csv duration,credit_amount --kind ale
    xaikit profile credit_mlp german.csv age --kind ceteris-paribus --row 9
    """
    opened = open_model(model, framework, allow_code)
    rows = read_table(data, opened.inputs)[0]
    asked = [tuple(c.split(",")) if "," in c else c for c in columns]
    chosen = None if row is None else [one_row(rows, row)]
    result = tabular.profile(
        opened, rows, asked, kind, chosen, grid, target_of(opened, target), by=by, variables=variables_of(variables)
    )
    said = [
        {
            "column": e.name,
            "output": o,
            "least": float(e.values[k].min()),
            "largest": float(e.values[k].max()),
            "at least": _place(e, e.values[k].argmin()),
            "at largest": _place(e, e.values[k].argmax()),
        }
        for e in result
        for k, o in enumerate(result.outputs)
    ]
    tell(result, output / safe(kind), said, json_)


def _place(effect: Any, at: Any) -> str:
    index = np.unravel_index(int(at), tuple(len(g) for g in effect.grid))
    return ", ".join(
        str(g[i]) if g.dtype.kind == "U" else f"{g[i]:.4g}" for g, i in zip(effect.grid, index, strict=True)
    )


@click.command("what-if")
@model_options
@data_argument
@row_option
@click.option("-s", "--set", "changes", multiple=True, metavar="COLUMN=VALUE", help="A new value; again.")
@variables_option
@target_option
@into("tables")
@as_json
def what_if_command(
    model: str,
    framework: str | None,
    allow_code: bool,
    data: str,
    row: int,
    changes: tuple[str, ...],
    variables: str | None,
    target: str | None,
    output: Path,
    json_: bool,
) -> None:
    """Say what the model answers for one row of DATA with other values, and whether there are such rows.

    Which changes would lead to another answer `xaikit counterfactuals` looks for. Writes what-if.npz, .json and .png.

    \b
    xaikit what-if credit_mlp german.csv --row 1 --set duration=24 --set housing=rent
    """
    if not changes:
        raise ParameterError("give a new value, --set COLUMN=VALUE; `xaikit counterfactuals` looks for them itself")
    opened = open_model(model, framework, allow_code)
    rows = read_table(data, opened.inputs)[0]
    one = one_row(rows, row)
    new = settings(changes, opened.inputs)
    asked, units = target_of(opened, target), variables_of(variables)
    result = tabular.what_if(opened, rows, one, new, asked, variables=units)
    k = result.outputs.index(result.target)
    steps = [(f"{n}: {a} → {b}", float(v[k])) for (n, a, b), v in zip(result.changes, result.alone, strict=True)]
    both = [("as it is", float(result.before[k])), *steps, ("all together", float(result.after[k]))]
    tell(result, output / "what-if", [{"change": n, result.target: v} for n, v in both], json_)
    for name in new if result.changes else ():
        if name not in {n for n, _, _ in result.changes}:
            click.echo(f"{name} is {new[name]} as it is", err=True)


@click.command("fairness")
@model_options
@data_argument
@truth_option
@click.option("--by", "column", required=True, metavar="COLUMN", help="Rows are split by it; a .npy file has labels.")
@click.option("--positive", metavar="CLASS", help="The class that is looked at; the second of two by default.")
@click.option("--cutoff", type=float, default=0.5, show_default=True, help="Positive from this probability on.")
@target_option
@into("tables")
@as_json
def fairness_command(
    model: str,
    framework: str | None,
    allow_code: bool,
    data: str,
    truth: str,
    column: str,
    positive: str | None,
    cutoff: float,
    target: str | None,
    output: Path,
    json_: bool,
) -> None:
    """Say how well the model does for each group of DATA: rates, area under the ROC curve, calibration.

    COLUMN is any column of DATA, whether or not the model uses it; numbers of many values are cut at their thirds.
    Writes fairness.npz, .json and .png.

    \b
    xaikit fairness credit_mlp german.csv -y risk --by sex
    xaikit fairness credit_mlp german.csv -y risk --by age --positive bad --cutoff 0.3
    """
    opened = open_model(model, framework, allow_code)
    rows, y = read_table(data, opened.inputs, truth)
    held = Path(data).suffix.lower() == ".csv" or Path(column).exists()
    by = read_table(data, opened.inputs, column)[1] if held else column
    result = tabular.fairness(opened, rows, y, by, positive, cutoff=cutoff, target=target_of(opened, target))
    result = replace(result, by=column)
    said = [
        {column: group, "measure": m, "value": _finite(value), "from": _finite(low), "to": _finite(high)}
        for m in result.measures
        for group, (value, low, high) in result.of(m).items()
    ]
    tell(result, output / "fairness", said, json_)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
