"""The inputs of a plan, one after the other: nothing is read before it is its turn, and no list of them is kept."""

import csv
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

from xaikit.data.files import PICTURES, READERS, cell, is_number
from xaikit.errors import InputError, nearest
from xaikit.study._plan import InputsPlan

MAGIC = frozenset("*?[")
FILES = (".csv", ".npy", ".txt", *PICTURES)
"""How the name of something ends that can only be a file."""


@dataclass(frozen=True, eq=False)
class Item:
    """One input: its `name` in the study, and what it is as a unit takes it; or why it is none."""

    name: str
    value: Any = None
    error: str | None = None


def items(plan: InputsPlan, root: Path, spec: Any) -> Iterator[Item]:
    """Give the inputs in their order: of a folder or glob by name, of a CSV file by row.

    `spec` is the model's. What is wrong with one input is in its item. Raises InputError for a glob or folder without
    files, and for a CSV file that cannot be read from its first line.
    """
    found = (item for number, word in enumerate(plan.paths) for item in _meant(word, number, plan, root, spec))
    return islice(found, plan.limit)


def _meant(word: str, number: int, plan: InputsPlan, root: Path, spec: Any) -> Iterator[Item]:
    """Give what one word of the plan means."""
    path = root / word
    if isinstance(spec, Mapping) and "=" in word:
        parts = dict(part.partition("=")[::2] for part in word.split(","))
        yield Item(f"input-{number + 1}", {n: _cell(v, spec.get(n), root) for n, v in parts.items()})
    elif _is_sentence(word, path, spec):
        yield Item(f"text-{number + 1}", word)
    elif MAGIC & set(word) and not path.exists():
        yield from _several(_matching(root, word), plan, root, spec, f"no file is like {word!r} in {root.absolute()}")
    elif path.is_dir():
        suffixes = _suffixes(spec)
        within = (f"{word.rstrip('/')}/{name}" for name in _within(path) if name.lower().endswith(suffixes))
        yield from _several(within, plan, root, spec, f"the folder {path} holds no file {', '.join(suffixes)}")
    elif path.suffix.lower() == ".csv":
        yield from _rows(word, path, plan, spec)
    else:
        yield _file(word, root)


def _several(names: Iterator[str], plan: InputsPlan, root: Path, spec: Any, none: str) -> Iterator[Item]:
    """Give files; of a table each file holds inputs row by row."""
    first = next(names, None)
    if first is None:
        raise InputError(none)
    table = getattr(spec, "kind", None) == "Table"
    for name in chain([first], names):
        if table and name.lower().endswith(".csv"):
            yield from _rows(name, root / name, plan, spec)
        else:
            yield _file(name, root)


def _file(name: str, root: Path) -> Item:
    path = root / name
    return Item(name, path) if path.is_file() else Item(name, path, f"there is no file {path}")


def _is_sentence(word: str, path: Path, spec: Any) -> bool:
    if getattr(spec, "kind", None) != "Text" or word.lower().endswith(FILES):
        return False
    try:
        return not path.exists() and not (MAGIC & set(word) and " " not in word)
    except OSError:  # longer than a path may be
        return True


def _suffixes(spec: Any) -> tuple[str, ...]:
    return PICTURES if getattr(spec, "kind", None) == "Image" else tuple(READERS)


def _within(folder: Path) -> Iterator[str]:
    """Give the files in a folder and in those in it, by name; what is hidden is left out."""
    for name, is_folder in _listed(folder):
        if is_folder:
            yield from (f"{name}/{inner}" for inner in _within(folder / name))
        else:
            yield name


def _listed(folder: Path) -> list[tuple[str, bool]]:
    """List one folder by name: (name, whether it is a folder)."""
    try:
        with os.scandir(folder) as found:
            return sorted((each.name, each.is_dir()) for each in found if not each.name.startswith("."))
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be read: {error.strerror or error}") from None


def _matching(root: Path, pattern: str) -> Iterator[str]:
    """Give the files that a glob means, by name; ** is any number of folders, also none."""
    head, *parts = pattern.split("/")
    start = "" if head else "/"
    return _walk(root, start, [head, *parts] if head else parts)


def _walk(root: Path, before: str, parts: list[str]) -> Iterator[str]:
    part, rest = parts[0], parts[1:]
    if part == "**":
        yield from _walk(root, before, rest or ["*"])
        for name, is_folder in _listed(root / before):
            if is_folder:
                yield from _walk(root, f"{before}{name}/", parts)
        return
    if not MAGIC & set(part):
        path = root / before / part
        if rest and path.is_dir():
            yield from _walk(root, f"{before}{part}/", rest)
        elif not rest and path.is_file():
            yield before + part
        return
    for name, is_folder in _listed(root / before):
        if fnmatchcase(name, part) and is_folder == bool(rest):
            if rest:
                yield from _walk(root, f"{before}{name}/", rest)
            else:
                yield before + name


def _rows(word: str, path: Path, plan: InputsPlan, spec: Any) -> Iterator[Item]:
    """Give the rows of a CSV file; one that cannot be read is an item with its error."""
    try:  # what is no UTF-8 is kept apart, so that it spoils its own row and no other
        file = path.open(newline="", encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    with file:
        reader = csv.reader(file)
        header = next(reader, None)
        if header is None:
            raise InputError(f"{path} is empty")
        row_of = _Row(word, path, header, plan, spec)
        if row_of.headless:
            yield row_of.item(1, header)
        for number in count(1 + row_of.headless):
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Item(f"{word}:{number}", None, f"row {number} of {path} cannot be read: {error}")
                continue
            if row:
                yield row_of.item(number, row)


class _Row:
    """Turns a row of a CSV file into an input, as the model's spec takes it."""

    def __init__(self, word: str, path: Path, header: list[str], plan: InputsPlan, spec: Any) -> None:
        self.word, self.path, self.header, self.spec = word, path, [h.strip() for h in header], spec
        self.kind = getattr(spec, "kind", None)
        self.numbers = self.kind in ("Series", "Array") and plan.column is None
        self.headless = self.numbers and all(is_number(h) for h in header)
        self.id, self.column = self._place(plan.id), self._place(plan.column)
        if self.kind in ("Text", "Image") and self.column is None:
            self.column = self._only(plan)

    def _place(self, name: str | None) -> int | None:
        if name is None:
            return None
        if name not in self.header:
            raise InputError(f"{self.path} has no column {name!r}{nearest(name, self.header)}")
        return self.header.index(name)

    def _only(self, plan: InputsPlan) -> int:
        left = [i for i in range(len(self.header)) if i != self.id]
        usual = [i for i in left if self.header[i].lower() in ("text", "path", "file", "input")]
        if len(left) == 1 or len(usual) == 1:
            return left[0] if len(left) == 1 else usual[0]
        listed = ", ".join(self.header)
        raise InputError(f"{self.path} has the columns {listed}: say in [inputs] which is meant, column = ...")

    def item(self, number: int, row: list[str]) -> Item:
        name = f"{self.word}:{number}"
        if self.id is not None and self.id < len(row):
            name = row[self.id] or name
        if len(row) != len(self.header):
            said = f"row {number} of {self.path} has {len(row)} cells, and the first line {len(self.header)}"
            return Item(_readable(name), None, said)
        if any(_readable(c) != c for c in row):
            return Item(_readable(name), None, f"row {number} of {self.path} is not in UTF-8")
        try:
            return Item(name, self._value(row))
        except ValueError as error:
            return Item(name, None, f"row {number} of {self.path} holds something that is no number: {error}")

    def _value(self, row: list[str]) -> Any:
        folder = self.path.parent
        if isinstance(self.spec, Mapping):
            return {h: _cell(v, self.spec.get(h), folder) for h, v in zip(self.header, row, strict=True)}
        if self.column is not None:
            return _cell(row[self.column], self.spec, folder)
        if self.numbers:
            return _numbers([v for i, v in enumerate(row) if i != self.id], self.spec)
        columns = self.spec.columns
        return {h: cell(v, columns.get(h)) for h, v in zip(self.header, row, strict=True) if h in columns}


def _cell(text: str, spec: Any, folder: Path) -> Any:
    """Give what one cell says: a sentence, or the path of a file beside the CSV file."""
    kind = getattr(spec, "kind", None)
    return text if kind == "Text" and not text.lower().endswith(FILES) else folder / text


def _numbers(row: list[str], spec: Any) -> Any:
    """Give a row as one sample of a series or array, where it has as many numbers."""
    import numpy as np

    values = np.array([float(v) for v in row])
    return values.reshape(spec.shape) if values.size == np.prod(spec.shape) else values[None]


def _readable(text: str) -> str:
    """Replace what was no UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
