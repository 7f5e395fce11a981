"""A data set that is read in chunks, and any of whose samples can be had once more."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from xaikit.arrays import Tensors, rows
from xaikit.attribution import prepare
from xaikit.data.files import contents, is_folder
from xaikit.errors import InputError
from xaikit.model import Model


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some samples, by their `numbers` in the data set: encoded, and as a person sees them."""

    numbers: tuple[int, ...]
    x: Tensors
    display: Any


class Samples:
    """The samples of a list, batch, stream or folder, in chunks, whose memory does not grow with their number.

    A sample has the number of its place. What can be read again (files, lists, arrays) is; of a stream the samples are
    held that `keep` names. Files of a folder that cannot be read are left out, and named in `unread`. `items` are what
    a person has; None of a stream.
    """

    def __init__(self, model: Model, given: Any) -> None:
        self.model = model
        self.unread: dict[str, str] = {}
        self._folder = _folder_of(given)
        self._held: dict[int, Any] = {}
        self.items: Sequence[Any] | None
        if self._folder is not None:
            self.items = contents(self._folder, model.inputs)
        elif isinstance(given, Mapping):
            self.items = _Rows({n: model.inputs[n].samples(v) for n, v in given.items()} if _several(model) else given)
        elif isinstance(given, list):
            self.items = given
        elif not isinstance(given, Iterable) or _is_one_value(given):
            self.items = model.inputs.samples(given)
        else:
            self.items, self._stream = None, iter(given)

    @property
    def total(self) -> int:
        """Count the samples, or the files of a folder; 0 = not known."""
        return 0 if self.items is None else len(self.items)

    def chunks(self, size: int) -> Iterator[Chunk]:
        """Give all samples, `size` at a time."""
        stream = iter(self.items) if self.items is not None else self._stream
        first = 0
        while items := list(islice(stream, size)):
            numbered = dict(enumerate(items, first))
            first += len(items)
            chunk = self._read(numbered)
            if chunk is not None:
                if self.items is None:
                    self._held |= numbered
                yield chunk

    def keep(self, numbers: Iterable[int]) -> None:
        """Say which samples of a stream may be asked for again; the others are let go."""
        wanted = set(numbers)
        self._held = {n: item for n, item in self._held.items() if n in wanted}

    def again(self, numbers: Sequence[int]) -> Chunk:
        """Read some samples once more, in the order of their numbers. Raises InputError where a file is gone."""
        items = self._held if self.items is None else self.items
        return Chunk(tuple(numbers), *prepare(self.model, _gathered(self.model, [items[n] for n in numbers])))

    def some(self, count: int) -> Any:
        """Give so many samples from all over a data set that can be read again, as a person sees them."""
        readable = [n for n in range(self.total) if self.name(n) not in self.unread]
        step = max(1, len(readable) // count)
        return self.again(readable[::step][:count]).display

    def none(self) -> InputError:
        """Give the error for samples that are none, with why where files could not be read."""
        why = next(iter(self.unread.values()), "the list or folder is empty")
        return InputError(f"there is no sample to look at: {why}")

    def name(self, number: int) -> str:
        """Give the path of a sample's file, in its folder where it came with one; "" for what is no file."""
        item = self._held.get(number) if self.items is None else self.items[number]
        if not isinstance(item, Path) and not (isinstance(item, str) and self.model.inputs.kind == "Image"):
            return ""
        path = Path(item)
        return path.relative_to(self._folder).as_posix() if self._folder is not None else str(path)

    def _read(self, numbered: Mapping[int, Any]) -> Chunk | None:
        """Encode a chunk; what cannot be read of a folder is left out."""
        try:
            found = prepare(self.model, _gathered(self.model, list(numbered.values())))
            return Chunk(tuple(numbered), *found)
        except InputError as error:
            if self._folder is None:
                raise
            if len(numbered) == 1:
                (number,) = numbered
                self.unread[self.name(number)] = str(error)
                return None
        parts = [self._read({n: item}) for n, item in numbered.items()]
        whole = [p for p in parts if p is not None]
        if not whole:
            return None
        x = together([p.x for p in whole], np.concatenate)
        return Chunk(tuple(n for p in whole for n in p.numbers), x, _displays([p.display for p in whole]))


def left_out(unread: Mapping[str, str]) -> str:
    """Say which files could not be read; "" where all could."""
    count = len(unread)
    return f"{count} file{'s' * (count != 1)} could not be read: {', '.join(list(unread)[:3])}" if count else ""


class _Rows(Sequence[Any]):
    """The samples of a network with several inputs, from the samples of each."""

    def __init__(self, columns: Mapping[str, Sequence[Any]]) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return max((len(c) for c in self.columns.values()), default=0)

    def __getitem__(self, place: Any) -> Any:
        missing = [n for n, c in self.columns.items() if place >= len(c)]
        if len(missing) == len(self.columns):
            raise IndexError(place)
        return {n: c[place] for n, c in self.columns.items() if n not in missing}


def chosen(chunk: Chunk, numbers: Sequence[int]) -> tuple[Tensors, Any]:
    """Give the samples of these numbers out of a chunk, encoded and as a person sees them."""
    place = {n: i for i, n in enumerate(chunk.numbers)}
    index = [place[n] for n in numbers]
    return rows(chunk.x, index), shown_rows(chunk.display, index)


def shown_rows(display: Any, index: Sequence[int]) -> Any:
    """Select samples as a person sees them: of an array, a list, or of each input."""
    if isinstance(display, Mapping):
        return {n: shown_rows(d, index) for n, d in display.items()}
    return display[list(index)] if isinstance(display, np.ndarray) else [display[i] for i in index]


def together(each: Sequence[Any], join: Any) -> Any:
    """Join parts one behind the other, input by input where there are several."""
    if isinstance(each[0], Mapping):
        return {n: join([e[n] for e in each]) for n in each[0]}
    return join(each)


def _displays(each: Sequence[Any]) -> Any:
    return together(
        each, lambda p: np.concatenate(p) if isinstance(p[0], np.ndarray) else [d for shown in p for d in shown]
    )


def _several(model: Model) -> bool:
    return isinstance(model.inputs, Mapping)


def _gathered(model: Model, items: list[Any]) -> Any:
    """Give a list of samples as the spec takes it: of several inputs a list for each."""
    if not _several(model):
        return items
    if not all(isinstance(item, Mapping) for item in items):
        raise InputError(f"{model.name} has several inputs: every sample is a mapping with {', '.join(model.inputs)}")
    names = dict.fromkeys(n for item in items for n in item)
    return {n: [item[n] for item in items if n in item] for n in names}


def _folder_of(given: Any) -> Path | None:
    try:
        return Path(given) if isinstance(given, str | Path) and is_folder(given) else None
    except OSError:  # a sentence longer than a name may be
        return None


def _is_one_value(given: Any) -> bool:
    """Whether a spec takes this apart: arrays, tables and text, not a stream of samples."""
    return isinstance(given, str | Path) or hasattr(given, "__array__") or hasattr(given, "columns")
