"""Normal samples, by which a detector learns how large a reconstruction error is usual."""

import threading
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from xaikit import data
from xaikit.arrays import Array
from xaikit.errors import DataError, InputError, XaikitError
from xaikit.inputs import Series, Values
from xaikit.zoo.networks import networks
from xaikit_app.samples import ARCHIVES, MADE, _members, labels_of
from xaikit_app.samples import home as at_home
from xaikit_app.settings import Settings
from xaikit_app.uploads import read_npy, received, shown_name

MOST = 1000
"""As many samples as a threshold is taken from; of more, evenly spaced ones."""
FEWEST = 2


class Normal:
    """The normal samples of a network of the zoo, read in the background: `samples` (sample, ...) or None."""

    def __init__(self, name: str, home: Path | None) -> None:
        self.ready = threading.Event()
        self.samples: Array | None = None
        self.note = ""
        threading.Thread(target=self._load, args=(name, home), daemon=True, name=f"normal-{name}").start()

    def _load(self, name: str, home: Path | None) -> None:
        try:
            with at_home(home):
                self.samples = from_training_data(name)
            self.note = f"{len(self.samples):,} normal samples of the training data"
        except (XaikitError, KeyError) as error:
            self.note = str(error)
        finally:
            self.ready.set()


class Normals:
    """The normal samples of an app's models, read when they are first asked for."""

    def __init__(self, settings: Settings) -> None:
        self.home = Path(settings.data) if settings.data else None
        self._known: dict[str, Normal] = {}
        self._lock = threading.Lock()

    def of(self, name: str) -> Normal:
        """Give the normal samples of a model by name, which may still be on their way."""
        with self._lock:
            if name not in self._known:
                self._known[name] = Normal(name, self.home)
            return self._known[name]


def from_training_data(name: str) -> Array:
    """Give up to MOST samples of a zoo network's training part, of its first class where others are abnormal.

    Raises DataError where the data are not there, and UnknownName.
    """
    entry = networks[name]
    if entry.data is None:
        raise DataError(f"{name} has no data set")
    found = data.load(entry.data)
    if entry.data in ARCHIVES:
        return _from_archive(*ARCHIVES[entry.data], entry.inputs)
    if data.folder() is None and entry.data not in MADE:
        raise DataError("XAIKIT_DATA names no folder")
    train = found.read("train")
    labels = labels_of(train.y, len(train.x))
    kept = np.arange(len(train.x))
    if labels is not None and "abnormal" in found.classes:
        kept = np.flatnonzero(labels == found.classes.index("normal"))
    chosen = _spaced(kept)
    if isinstance(entry.inputs, Series) and isinstance(entry.outputs, Values):
        return _with_what_came(np.asarray(train.x[chosen]), np.asarray(train.y)[chosen])
    return np.asarray(train.x[chosen])


def _with_what_came(windows: Array, after: Array) -> Array:
    """Put what a forecaster should give behind each window: (sample, time, channel)."""
    return np.concatenate([windows, after.reshape(len(windows), -1, windows.shape[-1])], axis=1)


def _from_archive(file: str, folders: tuple[str, ...], spec: Any) -> Array:
    from PIL import Image as Pillow

    path = data.find(file, "")
    names = _spaced(np.array([name for folder in folders for name in _members(path, f"train/{folder}/")]))
    with zipfile.ZipFile(path) as archive:
        return np.stack([spec.display(Pillow.open(BytesIO(archive.read(str(name))))) for name in names])


def _spaced(values: Array) -> Array:
    return values[np.linspace(0, len(values) - 1, min(MOST, len(values))).astype(int)]


def read_normal(contents: str, filename: str, spec: Any, settings: Settings) -> Array:
    """Read an upload of normal samples: a .npy array (sample, ...). Raises InputError."""
    name = shown_name(filename)
    found = read_npy(received(contents, name, settings), name, settings)
    if found.ndim != len(spec.shape) + 1 or len(found) < FEWEST:
        wanted = " × ".join(map(str, ("samples", *spec.shape)))
        raise InputError(f"{name} holds {found.shape}; normal samples are an array of {wanted}, at least {FEWEST}")
    spec.encode(found)  # says what else is wrong with them
    return found[_spaced(np.arange(len(found)))]
