"""Galleries: a few samples of a model's own kind, from its test data where they are there, else made by code."""

import os
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from xaikit import data
from xaikit.arrays import Array
from xaikit.errors import DataError, InputError, XaikitError
from xaikit.zoo.networks import networks
from xaikit_app.settings import Settings
from xaikit_app.work.describe import Description

SHOWN = 12
ARCHIVES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "cats_vs_dogs": ("cats_vs_dogs.zip", ("cats", "dogs")),
    "cats_vs_dogs_96": ("cats_vs_dogs.zip", ("cats", "dogs")),
    "cats_vs_dogs_180": ("cats_vs_dogs.zip", ("cats", "dogs")),
    "cifar10": ("cifar10.zip", data.CIFAR10),
}
"""Sets that lie in an archive of photos, of which a few can be read without the others."""
PHOTOS = ("astronaut", "chelsea", "coffee", "rocket", "camera", "coins")
SENTENCES = {
    "praise": "A wonderful film: the story is moving, the actors are superb and I would gladly watch it again.",
    "scorn": "What a waste of time. The plot makes no sense, the acting is terrible and the ending is boring.",
    "mixed": "The pictures are beautiful and the music is great, but the story is weak and far too long.",
    "negation": "It is not a bad film at all, and the critics who called it dull were wrong.",
}


@dataclass(frozen=True, eq=False)
class Sample:
    """One sample as a person has it, with its id and a few words on it (the truth, where it is known)."""

    id: str
    label: str
    value: Any


@dataclass(frozen=True, eq=False)
class Stock:
    """All samples of one source: `take(i)` gives each by its number, `labels` (sample,) what is true of them.

    `x` is the array that they are taken from, None where each is read from a file of its own; `y` is the whole truth of
    the source, as a data set has it. The labels are indices into `classes`, None where no class is known. `tested` says
    that these are the test data of the network, which a worker can read itself.
    """

    count: int
    take: Callable[[int], Sample]
    labels: Array | None = None
    classes: tuple[str, ...] = ()
    x: Any = None
    y: Any = None
    tested: bool = False


class Gallery:
    """Samples by id: those that are shown, and any other of the same source."""

    def __init__(self, name: str, description: Description, home: Path | None) -> None:
        self.name, self.description, self.home = name, description, home
        self.shown: tuple[Sample, ...] = ()
        self.note = ""
        self.ready, self.started = threading.Event(), time.monotonic()
        self.stock = Stock(0, _none)
        threading.Thread(target=self._load, daemon=True, name=f"gallery-{name}").start()

    def sample(self, id: str) -> Any:
        """Give the value of a sample. Raises InputError for an id that this gallery does not have."""
        self.ready.wait(60)
        for sample in self.shown:
            if sample.id == id:
                return sample.value
        kind, _, number = id.rpartition("-")
        if kind in ("test", "row") and number.isdecimal() and self.stock.count:
            with home(self.home):
                found = self.stock.take(int(number))
            if found.id == id:
                return found.value
        raise InputError(f"{self.name} has no sample {id!r} here: choose another one")

    def _load(self) -> None:
        try:
            with home(self.home):
                self.stock = test_data(self.name)
                self.shown = tuple(self.stock.take(i) for i in _spread(self.stock.labels, self.stock.count))
            self.note = "From the test data, which the network never saw in training."
        except (XaikitError, KeyError):
            made = tuple(_made(self.description))
            self.shown, self.stock = made[:SHOWN], Stock(len(made), partial(_nth, made))
            own = self.description.kind == "Table"  # rows of the background that its specification has
            self.note = f"Examples that come with {'the model' if own else 'xaikit'}." if self.shown else ""
        finally:
            self.ready.set()


class Galleries:
    """The galleries of an app, made when they are first asked for."""

    def __init__(self, settings: Settings) -> None:
        self.home = Path(settings.data) if settings.data else None
        self._known: dict[str, Gallery] = {}
        self._lock = threading.Lock()

    def of(self, name: str, description: Description) -> Gallery:
        """Give a model's gallery; it fills itself in the background."""
        with self._lock:
            if name not in self._known:
                self._known[name] = Gallery(name, description, self.home)
            return self._known[name]

    def forget(self, name: str) -> None:
        """Have the galleries of a model made anew when they are asked for again."""
        with self._lock:
            for known in [key for key in self._known if key == name or key.startswith(f"{name}, input ")]:
                del self._known[known]


ENVIRONMENT = threading.Lock()


@contextmanager
def home(folder: Path | None) -> Iterator[None]:
    """Have data sets looked for in a folder, while something is read."""
    if folder is None:
        yield
        return
    with ENVIRONMENT:
        before = os.environ.get("XAIKIT_DATA")
        os.environ["XAIKIT_DATA"] = str(folder)
        try:
            yield
        finally:
            if before is None:
                del os.environ["XAIKIT_DATA"]
            else:
                os.environ["XAIKIT_DATA"] = before


# ---------------------------------------------------------------- test data


def test_data(name: str) -> Stock:
    """Give the test part of a zoo network's data set. Raises DataError where it is not there, and KeyError."""
    entry = networks[name]
    if entry.data is None:
        raise DataError(f"{name} has no data set")
    found = data.load(entry.data)
    if entry.data in ARCHIVES:
        return _from_archive(*ARCHIVES[entry.data], found.classes, entry.inputs)
    if data.folder() is None and entry.data not in MADE:
        raise DataError("XAIKIT_DATA names no folder")
    test = found.read("test")
    labels = labels_of(test.y, len(test.x))
    take = partial(_taken, test.x, labels, found.classes)
    return Stock(len(test.x), take, labels, found.classes, test.x, test.y, tested=True)


def _none(index: int) -> Sample:
    raise InputError(f"there are no samples here, and so no number {index}")


def _nth(made: tuple[Sample, ...], index: int) -> Sample:
    if not 0 <= index < len(made):
        raise InputError(f"there are {len(made)} samples, there is no number {index}")
    return made[index]


MADE = ("xo", "eeg", "shapes", "dates")
"""Sets that are made by code; others may be looked for on the network, which nobody asked for."""


def _taken(x: Array, labels: Array | None, classes: tuple[str, ...], index: int) -> Sample:
    if not 0 <= index < len(x):
        raise InputError(f"the test data have {len(x)} samples, there is no number {index}")
    label = classes[int(labels[index])] if labels is not None and classes else ""
    value = x[index]
    return Sample(f"test-{index}", label, value.item() if isinstance(value, np.generic) else value)


def labels_of(y: Any, count: int) -> Array | None:
    """Give the class of every sample, where there is one."""
    first = next(iter(y.values())) if isinstance(y, Mapping) else y
    array = np.asarray(first)
    return array if array.shape == (count,) and array.dtype.kind in "iu" else None


def _spread(labels: Array | None, total: int, count: int = SHOWN) -> list[int]:
    """Choose indices so that the classes take turns; without classes evenly over all samples."""
    if labels is None:
        return [int(i) for i in np.linspace(0, total - 1, min(count, total))]
    by_class = [np.flatnonzero(labels == k) for k in np.unique(labels)]
    turns = [int(members[turn]) for turn in range(count) for members in by_class if turn < len(members)]
    return turns[:count]


def _from_archive(file: str, folders: tuple[str, ...], classes: tuple[str, ...], spec: Any) -> Stock:
    """The same for photos in an archive; indices count as in the data set."""
    path = data.find(file, "")
    names = [(folder, label) for label, f in enumerate(folders) for folder in _members(path, f"test/{f}/")]

    def take(index: int) -> Sample:
        from PIL import Image as Pillow

        if not 0 <= index < len(names):
            raise InputError(f"the test data have {len(names)} samples, there is no number {index}")
        name, label = names[index]
        with zipfile.ZipFile(path) as archive:
            picture = Pillow.open(BytesIO(archive.read(name)))
            return Sample(f"test-{index}", classes[label], spec.display(picture))

    return Stock(len(names), take, np.array([label for _, label in names]), classes, tested=True)


@cache
def _archive(path: Path, changed: int) -> tuple[str, ...]:
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(sorted(archive.namelist()))
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is damaged: {error}") from None


def _members(path: Path, under: str) -> list[str]:
    return [n for n in _archive(path, path.stat().st_mtime_ns) if n.startswith(under) and not n.endswith("/")]


# ---------------------------------------------------------------- samples that somebody gave


def given_stock(own: Any, id: str) -> Stock:
    """Give the samples of an upload. Raises InputError where they are not kept any more."""
    kept = own.get(id)
    if not isinstance(kept, Mapping) or "samples" not in kept:
        raise InputError("this link names one sample, not a set of them")
    dtype = kept.get("dtype")
    x = np.array(kept["samples"], dtype) if dtype else np.array([*kept["samples"], None], object)[:-1]
    names = kept.get("names") or ()
    labels = np.array(kept["labels"]) if kept.get("labels") is not None else None
    known = labels if names else labels_of(labels, len(x)) if labels is not None else None
    return Stock(len(x), partial(_given, x, known, tuple(names), id), known, tuple(names), x, labels)


def _given(x: Any, labels: Array | None, names: Sequence[str], id: str, index: int) -> Sample:
    if not 0 <= index < len(x):
        raise InputError(f"there are {len(x)} samples, there is no number {index}")
    label = str(names[int(labels[index])]) if labels is not None and names else ""
    return Sample(f"{id}.{index}", label, x[index])


# ---------------------------------------------------------------- made by code


def _made(description: Description) -> Iterator[Sample]:
    """Make samples that fit an input spec."""
    spec = description.inputs
    maker = None if isinstance(spec, Mapping) else MAKERS.get(spec.kind)
    return iter(()) if maker is None else maker(spec)


def _pictures(spec: Any) -> Iterator[Sample]:
    if spec.shape == (9, 9, 1) and spec.scale == 1:  # the set is -1 and 1
        images, labels = data.xo(SHOWN)
        yield from (Sample(f"draw-{i}", "XO"[labels[i]], images[i]) for i in range(SHOWN))
        return
    if spec.channels not in (1, 3):  # no picture file has so many
        return
    from PIL import Image as Pillow
    from skimage import data as photos

    for name in PHOTOS:
        try:
            picture = Pillow.fromarray(getattr(photos, name)())
        except (OSError, ValueError, ModuleNotFoundError, ConnectionError):
            continue  # some of scikit-image's photos are not in every installation
        yield Sample(f"photo-{name}", name, spec.display(picture))


def _sentences(spec: Any) -> Iterator[Sample]:
    if spec.vocabulary is not None:
        yield from (Sample(f"text-{name}", name, text) for name, text in SENTENCES.items())


def _rows(spec: Any) -> Iterator[Sample]:
    for i, row in enumerate(spec.background or ()):
        yield Sample(f"row-{i}", f"row {i}", dict(row))


def _waves(spec: Any) -> Iterator[Sample]:
    t = np.arange(spec.steps) / spec.steps
    for name, wave in (
        ("sine", np.sin(2 * np.pi * 4 * t)),
        ("step", np.where(t < 0.5, -1.0, 1.0)),
        ("pulse", np.exp(-(((t - 0.5) / 0.05) ** 2))),
        ("trend", 2 * t - 1),
    ):
        yield Sample(f"wave-{name}", name, spec.decode(np.repeat(wave[:, None], spec.channels, 1)))


MAKERS: Mapping[str, Callable[[Any], Iterator[Sample]]] = {
    "Image": _pictures,
    "Text": _sentences,
    "Table": _rows,
    "Series": _waves,
}
__all__ = ["Galleries", "Gallery", "Sample", "Stock", "given_stock", "home", "labels_of", "test_data"]
