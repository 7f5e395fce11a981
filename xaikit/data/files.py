"""Samples from files, as the command line names them."""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from xaikit import untrusted
from xaikit.arrays import Array
from xaikit.errors import InputError, not_there
from xaikit.inputs import InputSpec


def read_samples(name: str, spec: Any) -> Any:
    """Turn one INPUT of the command line into what the model's spec takes.

    A picture for Image; a .npy array for anything; a .csv with a header for Table, with numbers for Series and Array;
    a .txt file or the sentence itself for Text. For several inputs: NAME=FILE joined by commas.
    Raises InputError for a file that is missing or holds something else.
    """
    if isinstance(spec, Mapping):
        return _several(name, spec)
    path = Path(name)
    if spec.kind == "Text" and not path.suffix:
        return name
    if not path.exists():
        raise InputError(not_there(name))
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        if spec.kind == "Image":
            return name
        raise InputError(f"{name} is no input for a model that takes {spec.kind}: give {suffixes_for(spec)}")
    return reader(path, spec)


PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
"""How the names of picture files end."""


def contents(folder: Path, spec: Any) -> list[Any]:
    """List the samples in a folder and in the folders in it: paths of pictures for Image, else what the files hold.

    In the order of their paths; hidden files are left out. Raises InputError where no file is of a kind that the spec
    takes.
    """
    if isinstance(spec, Mapping):
        raise InputError(f"a folder holds samples of one input; this model has {', '.join(spec)}: give a list")
    suffixes = PICTURES if spec.kind == "Image" else tuple(READERS)
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in suffixes
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )
    if not files:
        raise InputError(f"there is no sample to look at: the folder {folder} holds no file {', '.join(suffixes)}")
    if spec.kind == "Image":
        return list(files)
    return [sample for file in files for sample in spec.samples(read_samples(str(file), spec))]


def _several(name: str, spec: Mapping[str, InputSpec]) -> dict[str, Any]:
    given = dict(item.partition("=")[::2] for item in name.split(","))
    if set(given) != set(spec):
        raise InputError(f"this model has the inputs {', '.join(spec)}: write {','.join(f'{n}=FILE' for n in spec)}")
    return {n: read_samples(given[n], s) for n, s in spec.items()}


def is_folder(given: str | Path) -> bool:
    """Whether a folder is given; the empty text is none, though as a path it is the folder that one stands in."""
    return str(given) != "" and Path(given).is_dir()


def _npy(path: Path, spec: InputSpec) -> Array:
    return read_array(path)


def read_array(path: Path) -> Array:
    """Read a .npy array without unpickling. Raises InputError."""
    try:
        with path.open("rb") as file:
            return untrusted.array(file, path.stat().st_size)
    except FileNotFoundError:
        raise InputError(not_there(path)) from None
    except (ValueError, OSError) as error:
        said = untrusted.brief(error)
        raise InputError(f"{path} is not a .npy array that can be read without unpickling: {said}") from None


def read_lines(path: Path) -> list[list[str]]:
    """Read the lines of a CSV file as text, the header among them; empty ones are left out. Raises InputError."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if row]
    except FileNotFoundError:
        raise InputError(not_there(path)) from None
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise InputError(f"{path} is not a readable CSV file: {untrusted.brief(error)}") from None
    if not rows:
        raise InputError(f"{path} is empty: give a file with at least one row of data")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(rows[0]):
            raise InputError(f"row {number} of {path} has {len(row)} cells, and the first has {len(rows[0])}")
    return rows


def _csv(path: Path, spec: InputSpec) -> Any:
    rows = read_lines(path)
    if spec.kind == "Table":
        columns = getattr(spec, "columns", {})
        return [{h: cell(v, columns.get(h)) for h, v in zip(rows[0], row, strict=False)} for row in rows[1:]]
    rows = rows if is_number(rows[0][0]) else rows[1:]
    try:
        return np.array([[float(v) for v in row] for row in rows])
    except ValueError as error:
        raise InputError(f"{path} holds something that is no number: {untrusted.brief(error)}") from None


def cell(text: str, column: Any) -> Any:
    """Give a cell in the type that its column has."""
    if column is None or not hasattr(column, "values"):
        return text
    return next((v for v in column.values if str(v) == text), text)


def is_number(text: str) -> bool:
    """Whether a cell of a CSV file says a number, as Python reads one."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _txt(path: Path, spec: InputSpec) -> Any:
    if spec.kind != "Text":
        raise InputError(f"{path} holds text, and the model takes {spec.kind}: give {suffixes_for(spec)}")
    try:
        return path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path} is not a text in UTF-8: {error}") from None


READERS: dict[str, Callable[[Path, InputSpec], Any]] = {".npy": _npy, ".csv": _csv, ".txt": _txt}


def suffixes_for(spec: InputSpec) -> str:
    """Say in words which files hold samples of a spec."""
    own = {"Image": ("a picture", ".npy"), "Text": (".txt", "a sentence", ".npy")}
    return ", ".join(own.get(spec.kind, (".csv", ".npy")))
