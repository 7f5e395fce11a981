"""Galleries: a few samples of a model's own kind, from its test data where they are there, else made by code."""

import os
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
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
from xaikit_app.tasks import Description

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


class Gallery:
    """Samples by id: those that are shown, and any other of the same source."""

    def __init__(self, name: str, description: Description, home: Path | None) -> None:
        self.name, self.description, self.home = name, description, home
        self.shown: tuple[Sample, ...] = ()
        self.note = ""
        self.ready, self.started = threading.Event(), time.monotonic()
        self._find: Callable[[int], Sample] | None = None
        threading.Thread(target=self._load, daemon=True, name=f"gallery-{name}").start()

    def sample(self, id: str) -> Any:
        """Give the value of a sample. Raises InputError for an id that this gallery does not have."""
        self.ready.wait(60)
        for sample in self.shown:
            if sample.id == id:
                return sample.value
        kind, _, number = id.rpartition("-")
        if kind == "test" and number.isdecimal() and self._find is not None:
            with _home(self.home):
                return self._find(int(number)).value
        raise InputError(f"{self.name} has no sample {id!r} here: choose another one")

    def _load(self) -> None:
        try:
            with _home(self.home):
                self.shown, self._find = _from_test_data(self.name)
            self.note = "From the test data, which the network never saw in training."
        except (XaikitError, KeyError):
            self.shown = tuple(_made(self.description))
            self.note = "Examples that come with xaikit." if self.shown else ""
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


ENVIRONMENT = threading.Lock()


@contextmanager
def _home(folder: Path | None) -> Iterator[None]:
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


def _from_test_data(name: str) -> tuple[tuple[Sample, ...], Callable[[int], Sample]]:
    """Give some samples of a zoo network's test part, a few of every class, and the way to any other."""
    entry = networks[name]
    if entry.data is None:
        raise DataError(f"{name} has no data set")
    found = data.load(entry.data)
    if entry.data in ARCHIVES:
        return _from_archive(*ARCHIVES[entry.data], found.classes, entry.inputs)
    if data.folder() is None and entry.data not in MADE:
        raise DataError("XAIKIT_DATA names no folder")
    test = found.read("test")
    take = partial(_taken, test, found.classes)
    return tuple(take(i) for i in _spread(_labels(test.y, len(test.x)), len(test.x))), take


MADE = ("xo", "eeg", "shapes", "dates")
"""Sets that are made by code; others may be looked for on the network, which nobody asked for."""


def _taken(test: data.Part, classes: tuple[str, ...], index: int) -> Sample:
    if not 0 <= index < len(test.x):
        raise InputError(f"the test data have {len(test.x)} samples, there is no number {index}")
    labels = _labels(test.y, len(test.x))
    label = classes[int(labels[index])] if labels is not None and classes else ""
    value = test.x[index]
    return Sample(f"test-{index}", label, value.item() if isinstance(value, np.generic) else value)


def _labels(y: Any, count: int) -> Array | None:
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


def _from_archive(
    file: str, folders: tuple[str, ...], classes: tuple[str, ...], spec: Any
) -> tuple[tuple[Sample, ...], Callable[[int], Sample]]:
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

    return tuple(take(i) for i in _spread(np.array([label for _, label in names]), len(names))), take


@cache
def _archive(path: Path, changed: int) -> tuple[str, ...]:
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(sorted(archive.namelist()))
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is damaged: {error}") from None


def _members(path: Path, under: str) -> list[str]:
    return [n for n in _archive(path, path.stat().st_mtime_ns) if n.startswith(under) and not n.endswith("/")]


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
    for i, row in enumerate((spec.background or ())[:SHOWN]):
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
__all__ = ["Galleries", "Gallery", "Sample"]
