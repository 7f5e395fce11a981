"""Sets of samples that people give: tables and texts as CSV, arrays as NPZ or NPY, read and checked as a whole."""

import csv
import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.data.files import cell
from xaikit.errors import InputError
from xaikit.inputs import Category, Classes
from xaikit_app.settings import MIB, Settings
from xaikit_app.uploads import read_npy, received, shown_name

MOST = 50_000
"""As many samples as one set has."""
UNPACKED = 8
"""How many times the limit of an upload its arrays may take when they are unpacked."""
TRUTH = ("label", "class", "target", "truth", "y")
"""What a column with the truth is called."""
TAKEN = {"Table": ".csv", "Text": ".csv", "Image": ".npz,.npy", "Series": ".npz,.npy", "Array": ".npz,.npy"}
"""What a file dialogue offers for each kind of input."""


def read_given(contents: str, filename: str | None, spec: Any, outputs: Any, settings: Settings) -> dict[str, Any]:
    """Read an upload, a data URL, as a set of samples to be kept: `samples`, and what is true of them.

    Raises InputError in words for the person who gave it.
    """
    suffix, filename = Path(filename or "").suffix.lower(), shown_name(filename)
    data = received(contents, filename, settings)
    if suffix not in TAKEN.get(spec.kind, ".npz,.npy").split(","):
        raise InputError(f"{filename} is no set of samples for this model: give {TAKEN.get(spec.kind, '.npz')}")
    if suffix == ".csv":
        samples, truth = _rows(data, filename, spec)
        dtype = "object"
    else:
        x, truth = _arrays(data, filename, settings)
        _checked(x, filename, spec)
        samples, dtype = x.tolist(), x.dtype.str
    if not samples or len(samples) > MOST:
        raise InputError(f"{filename} has {len(samples):,} samples; a set has from 1 to {MOST:,}")
    labels, names = _truth(truth, outputs)
    return {"samples": samples, "dtype": None if dtype == "object" else dtype, "labels": labels, "names": names}


def _rows(data: bytes, filename: str, spec: Any) -> tuple[list[Any], list[str] | None]:
    try:
        rows = [row for row in csv.reader(StringIO(data.decode("utf-8-sig"))) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{filename} is not a readable CSV file: {error}") from None
    if len(rows) < 2:
        raise InputError(f"{filename} has no rows below its header")
    header, body = rows[0], rows[1:]
    if len(body) > MOST:
        raise InputError(f"{filename} has {len(body):,} rows; a set has at most {MOST:,}")
    wrong = next((k for k, row in enumerate(body, 2) if len(row) != len(header)), None)
    if wrong is not None:
        raise InputError(f"line {wrong} of {filename} has {len(body[wrong - 2])} cells, its header {len(header)}")
    truth = _truth_column(header, spec)
    told = [row[truth] for row in body] if truth is not None else None
    if spec.kind == "Text":
        place = next(k for k in range(len(header)) if k != truth) if len(header) > (truth is not None) else 0
        return [row[place] for row in body], told
    return [_row(dict(zip(header, row, strict=True)), spec, k, filename) for k, row in enumerate(body, 2)], told


def _truth_column(header: Sequence[str], spec: Any) -> int | None:
    """Find the column that is no input: one of the usual names, else the only one that the model does not take."""
    taken = set(spec.columns) if spec.kind == "Table" else set()
    others = [k for k, name in enumerate(header) if name not in taken]
    named = [k for k in others if header[k].strip().lower() in TRUTH]
    if named:
        return named[0]
    return others[0] if spec.kind == "Table" and len(others) == 1 else None


def _row(row: Mapping[str, str], spec: Any, line: int, filename: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, column in spec.columns.items():
        if name not in row:
            raise InputError(f"{filename} lacks the column {name!r}; this model takes {', '.join(spec.columns)}")
        if isinstance(column, Category):
            found[name] = cell(row[name], column)
            if found[name] not in column.values:
                known = ", ".join(map(str, column.values))
                raise InputError(f"line {line} of {filename}: {name} is {row[name][:40]!r}, not one of {known}")
            continue
        try:
            found[name] = float(row[name])
        except ValueError:
            raise InputError(f"line {line} of {filename}: {name} is {row[name][:40]!r}, not a number") from None
        if not np.isfinite(found[name]):
            raise InputError(f"line {line} of {filename}: {name} is not finite; clean or impute it first")
    return found


def _arrays(data: bytes, filename: str, settings: Settings) -> tuple[Array, Any]:
    """Read x, and y where it is there. Arrays that would unpack to far too much are not read."""
    if data[:2] != b"PK":
        return read_npy(data, filename, settings), None
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            most = UNPACKED * settings.max_upload_bytes
            if sum(entry.file_size for entry in archive.infolist()) > most:
                raise InputError(f"{filename} unpacks to more than {most / MIB:.0f} MiB")
            held = {name.removesuffix(".npy"): archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError) as error:
        raise InputError(f"{filename} is an archive that cannot be read: {error}") from None
    if "x" not in held:
        raise InputError(f"{filename} has {', '.join(held)[:80] or 'nothing'}; give the samples as x, the truth as y")
    truth = read_npy(held["y"], f"y of {filename}", settings).tolist() if "y" in held else None
    return read_npy(held["x"], f"x of {filename}", settings), truth


def _checked(x: Array, filename: str, spec: Any) -> None:
    """Check the shape by the first sample. Raises InputError."""
    if x.ndim < 2 or not len(x) or x.dtype.kind not in "uif":
        raise InputError(f"{filename} holds x of shape {x.shape}; a set is an array of numbers, samples first")
    spec.encode(x[:1])


def _truth(truth: Sequence[Any] | None, outputs: Any) -> tuple[list[Any] | None, list[str]]:
    """Give labels as indices with the names of the classes, or values with none."""
    if truth is None:
        return None, []
    first = next(iter(outputs.values())) if isinstance(outputs, Mapping) else outputs
    if not isinstance(first, Classes):
        try:
            return [float(v) for v in truth], []
        except (TypeError, ValueError):
            return None, []
    names = [str(n) for n in first.names]
    texts = [str(v) for v in truth]
    if set(texts) <= set(names):
        return [names.index(v) for v in texts], names
    if all(text.isdecimal() and int(text) < len(names) for text in texts):
        return [int(text) for text in texts], names
    raise InputError(f"the truth has {next(t for t in texts if t not in names)!r}, which is no class of this model")


__all__ = ["MOST", "TAKEN", "read_given"]
