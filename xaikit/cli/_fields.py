"""`xaikit receptive-field`: what the units of each layer see, in theory and by gradients."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from xaikit.cli._explain import keep
from xaikit.cli._insight import given_samples
from xaikit.cli._main import as_json, emit, model_options, open_model
from xaikit.errors import ParameterError, UsageError
from xaikit.insight import effective_field, receptive_field
from xaikit.model import Model
from xaikit.results import ReceptiveFields
from xaikit.storage import write_atomically


@click.command("receptive-field")
@model_options
@click.option("-l", "--layer", "layers", multiple=True, help="A name from `xaikit layers`; may be given again.")
@click.option("-u", "--unit", metavar="I,J", help="The place of a unit in the layer; the middle one by default.")
@click.option("-s", "--size", metavar="H,W", help="Other lengths of the input's axes; ? for one that is not known.")
@click.option("--input", "input_", help="The name of an input, where there are several.")
@click.option("--verify", is_flag=True, help="Compare with what the network reacts to: it is run on many samples.")
@click.option(
    "-e",
    "--effective",
    "samples",
    multiple=True,
    type=click.Path(),
    metavar="INPUTS",
    help="Also measure by gradients, over these samples: a folder of pictures, or as in `xaikit explain`; 16 or more.",
)
@click.option("--photo", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Draw the boxes on it.")
@click.option("--seed", type=int, default=0, show_default=True, help="For the signs of --effective.")
@click.option("--csv", "csv_", is_flag=True, help="Print CSV instead of a table.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder for numbers (.npz, .json, .csv) and pictures; their paths go to stdout.",
)
@as_json
def field_command(
    model: str,
    framework: str | None,
    allow_code: bool,
    layers: tuple[str, ...],
    unit: str | None,
    size: str | None,
    input_: str | None,
    verify: bool,
    samples: tuple[str, ...],
    photo: Path | None,
    seed: int,
    csv_: bool,
    output: Path | None,
    json_: bool,
) -> None:
    """Show what the units of each layer of MODEL see of its input.

    Size, stride and left padding of the field on each axis, and notes: layers from which on everything is seen,
    branches that are merged out of line, operations that are not known. With --layer the exact box of one unit, in
    pixels from 0, first and last; with --effective how much of it really moves the unit.

    \b
    xaikit receptive-field resnet50
    xaikit receptive-field cats_vs_dogs --layer conv3 --unit 3,4
    xaikit receptive-field vgg16 --size 320,240 --csv
    xaikit receptive-field cats_vs_dogs -l conv3 -l pool4 --effective photos/ --photo cat.jpg -o out
    """
    opened = open_model(model, framework, allow_code)
    rf = receptive_field(opened, size=_lengths(size), verify=verify)
    place = _place(unit)
    if samples and not layers:
        raise UsageError("--effective needs --layer, once or several times")
    if output is not None:
        written = _written(opened, rf, layers, place, input_, samples, photo, seed, output)
        click.echo(json.dumps(written, indent=2) if json_ else "\n".join(w["json"] for w in written))
        return
    if photo is not None:
        raise UsageError("--photo draws a picture: say where with -o")
    rows = _rows(rf, layers, place, input_)
    if samples:
        found = effective_field(opened, given_samples(samples, opened.inputs), layers, place, input=input_, seed=seed)
        rows = [r | {f"effective {k}": v for k, v in found[r["layer"]].row().items() if k in MEASURED} for r in rows]
    if csv_:
        click.echo(csv_text(rows), nl=False)
        return
    emit(rows, json_, lambda: _drawn(rf, rows))


MEASURED = ("diameter", "sigma", "square", "square interval", "outside")


def _lengths(text: str | None) -> tuple[int | None, ...] | None:
    if text is None:
        return None
    try:
        return tuple(None if part.strip() == "?" else int(part) for part in text.split(","))
    except ValueError:
        raise ParameterError(
            f"--size takes whole numbers by commas, as 224,224 (? = not known), not {text!r}"
        ) from None


def _place(text: str | None) -> tuple[int, ...] | None:
    try:
        return None if text is None else tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ParameterError(f"--unit takes whole numbers by commas, as 3,4, not {text!r}") from None


def _rows(
    rf: ReceptiveFields, layers: Sequence[str], unit: tuple[int, ...] | None, given: str | None
) -> list[dict[str, Any]]:
    """Give a row for each layer and input; of layers asked for with the box of the unit."""
    if unit is not None and not layers:
        raise UsageError("--unit needs --layer")
    if not layers:
        return [r for r in rf.table() if given in (None, r["input"])]
    rows = []
    for name in layers:
        fields = rf[name]
        for f in [fields.of(given)] if given else fields.values():
            lo, hi = f.box(unit) if f.known else ((), ())
            at = () if not f.known else f.middle if unit is None else unit
            rows.append(f.row() | {"unit": at, "first": lo, "last": hi, "padded": f.padded(unit) if f.known else None})
    return rows


def csv_text(rows: Sequence[dict[str, Any]]) -> str:
    """Write rows as CSV: what has several numbers with " x " between them."""
    held = io.StringIO()
    writer = csv.DictWriter(held, list(dict.fromkeys(k for r in rows for k in r)), lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: _cell(v) for k, v in r.items()} for r in rows)
    return held.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, tuple):
        return " x ".join("-".join(map(str, v)) if isinstance(v, tuple) else _cell(v) for v in value)
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _drawn(rf: ReceptiveFields, rows: Sequence[dict[str, Any]]) -> Any:
    """Draw the table, with what is to be said of all layers below it."""
    from rich.console import Group
    from rich.markup import escape

    from xaikit.cli import _tables

    extra = [k for k in ("unit", "first", "last", "padded", "effective square", "effective diameter") if k in rows[0]]
    several = ["input"] * (len(rf.inputs) > 1)
    head = ("layer", "kind", *several, "units", "size", "stride", "padding", *extra, "notes")
    lines = [[*(escape(_said(r, k)) for k in head[:-1]), escape(_notes(r))] for r in rows]
    beyond = rf.exceeding()
    below = [f"From {beyond} on the field is the whole input or larger."] if beyond else []
    below += [f"{rf.status}: {reason}" for reason in rf.status.reasons]
    if rf.checks:
        counts = {v: sum(c.verdict == v for c in rf.checks) for v in ("equal", "within", "beyond", "unprobed")}
        below.append("compared with the network: " + ", ".join(f"{n} layers {v}" for v, n in counts.items() if n))
    return Group(_tables._table(head, lines), *map(escape, below))


def _said(row: dict[str, Any], key: str) -> str:
    value = row[key]
    if key == "size":
        each = zip(value, row["global"], row["sizes"], strict=True)
        value = tuple("all" if g else s if s is not None else "varies" if r is None else r for s, g, r in each)
    if isinstance(value, tuple):
        cells = [f"{v[0]} to {v[1]}" if isinstance(v, tuple) else "–" if v is None else _cell(v) for v in value]
        return ", ".join(cells) if key in ("unit", "first", "last") else " × ".join(cells)
    return _cell(value)


def _notes(row: dict[str, Any]) -> str:
    notes = [] if row["aligned"] else ["not aligned"]
    if row["local global"] != row["global"]:
        local = " × ".join(
            "all" if g else _cell(s) for s, g in zip(row["local size"], row["local global"], strict=True)
        )
        notes.append(f"without gates {local}")
    if row["upper bound by"]:
        notes.append("upper bound")
    if any(row["global"]):
        notes.append(f"by {', '.join(row['mixed by'][:2])}")
    return "; ".join(notes)


def _written(
    model: Model,
    rf: ReceptiveFields,
    layers: Sequence[str],
    unit: tuple[int, ...] | None,
    given: str | None,
    samples: Sequence[str],
    photo: Path | None,
    seed: int,
    output: Path,
) -> list[dict[str, str]]:
    """Write all there is, and say where."""
    written = [keep(rf, output / "receptive-field")]
    table = output / "receptive-field.csv"
    write_atomically(table, csv_text(_rows(rf, layers, unit, given)).encode())
    written[0]["csv"] = str(table.resolve())
    if samples:
        found = effective_field(model, given_samples(samples, model.inputs), layers, unit, input=given, seed=seed)
        written.append(keep(found, output / "effective-field"))
    if photo is not None:
        from xaikit.figures import boxes_figure
        from xaikit.render import png

        picture = output / "receptive-field.boxes.png"
        spec = model.inputs[given] if given is not None and hasattr(model.inputs, "keys") else model.inputs
        png(boxes_figure(rf, spec.show(str(photo))[0], layers or None, unit, given), picture)
        written[0]["boxes"] = str(picture.resolve())
    return written
