"""What travels to the workers of a Dask cluster, and what they do with it.

Everything here is pickled between a client, a scheduler and workers that trust each other.
"""

import hashlib
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from distributed import WorkerPlugin, get_worker

from xaikit.attribution._explain import versions
from xaikit.errors import StorageError, XaikitError
from xaikit.jobs import Recipe, Store, Unit, store_at
from xaikit.jobs.remote import is_remote
from xaikit.jobs.unit import address, code_version, model_identity, unit_digest
from xaikit.model import Model
from xaikit.study._executors import carried_out
from xaikit.study._files import PLAN

LIBRARIES = ("captum", "lime", "onnxruntime", "scikit-image", "scikit-learn", "scipy", "shap")
"""What else a result may depend on."""
PENALTY = 2.0
"""Seconds that a refused worker holds a unit, so that it does not draw all of them."""


@dataclass(frozen=True)
class File:
    """A file of a model: its place in a folder for it, its content, and the hash of that."""

    place: str
    data: bytes = field(repr=False)
    sha256: str = ""


@dataclass(frozen=True)
class Content:
    """A file of an input, as it travels: its content and the path that it had."""

    path: str
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Setup:
    """What a worker needs once: what loads the model, where results go, and what it must have in common with others."""

    name: str
    recipe: Recipe
    source: str
    store: str
    framework: str
    environment: Mapping[str, str]
    files: tuple[File, ...] = ()


class Refused(Exception):
    """Why a worker cannot take part."""


def environment(framework: str) -> dict[str, str]:
    """Give the versions of all that decides a result: the code of xaikit, Python, libraries."""
    found = {"code of xaikit": code_version(), **versions(framework)}
    for package in LIBRARIES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def differences(ours: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """Say what a worker has otherwise; nothing is the empty text."""
    return "; ".join(
        f"{name} is {theirs.get(name, 'missing')} there and {ours.get(name, 'missing')} here"
        for name in {**ours, **theirs}
        if ours.get(name) != theirs.get(name)
    )


class Shelf(WorkerPlugin):
    """Keeps the model of a study on a worker; workers that join later get it as well."""

    def __init__(self, setup: Setup) -> None:
        self.told = setup
        self.name = setup.name

    def setup(self, worker: Any) -> None:
        """Begin with nothing: the model is loaded with the first unit."""
        self.lock = threading.Lock()
        self.ready: tuple[Model, str, Store] | None = None
        self.refused: str | None = None
        self.delivered = False
        self.folder: Path | None = None

    def teardown(self, worker: Any) -> None:
        """Leave nothing."""
        self.ready = None
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def model(self) -> tuple[Model, str, Store]:
        """Give the model, its identity and the store. Raises Refused."""
        with self.lock:
            if self.refused is not None:
                raise Refused(self.refused)
            if self.ready is None:
                try:
                    self.ready = self._loaded()
                except Refused as error:
                    self.refused = str(error)
                    raise
                except XaikitError as error:
                    self.refused = f"it cannot load the model: {error}"
                    raise Refused(self.refused) from None
            return self.ready

    def _loaded(self) -> tuple[Model, str, Store]:
        told = self.told
        other = differences(told.environment, environment(told.framework))
        if other:
            raise Refused(other)
        if not is_remote(told.store) and not (Path(told.store) / PLAN).is_file():
            raise Refused(f"it does not see the folder {told.store}: give one that all machines share, or a URL")
        recipe = replace(told.recipe, name=str(self._unpacked() / told.recipe.name)) if told.files else told.recipe
        if recipe.source() != told.source:
            raise Refused(f"its weights of {told.recipe.name} are others")
        model = recipe.load()
        return model, model_identity(model, told.source), store_at(told.store)

    def _unpacked(self) -> Path:
        """Write the files of the model, which are what they were when they were sent."""
        self.folder = Path(tempfile.mkdtemp(prefix="xaikit-model-"))
        for file in self.told.files:
            if hashlib.sha256(file.data).hexdigest() != file.sha256:
                raise Refused(f"the model file {file.place} has been damaged on its way")
            path = self.folder / file.place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.data)
        return self.folder


def carry_out(name: str, unit: Unit, key: str, digest: str) -> dict[str, Any]:
    """Carry out a unit on this worker and tell of it: `row` or `error`, `worker`, `first`, or why it is `refused`."""
    worker = get_worker()
    told: dict[str, Any] = {"worker": worker.address, "row": None, "error": None, "refused": None, "first": False}
    shelf = worker.plugins.get(name)
    try:
        if not isinstance(shelf, Shelf):
            raise Refused("it has not been told of the study")
        model, identity, store = shelf.model()
        if address(identity, digest) != key:
            raise Refused("its model or code is another")
    except Refused as why:
        time.sleep(PENALTY)
        return {**told, "refused": str(why)}
    with tempfile.TemporaryDirectory(prefix="xaikit-input-") as folder:
        paths: dict[str, str] = {}
        here = replace(unit, input=_mapped(unit.input, lambda value: _written(value, Path(folder), paths)))
        if unit_digest(here) != digest:
            return {**told, "error": "the input has been changed since its turn came: run again with --resume"}
        row, error = carried_out(model, here, key, store)
    for there, original in paths.items():
        error = error and error.replace(there, original)
    told["first"], shelf.delivered = row is not None and not shelf.delivered, shelf.delivered or row is not None
    return {**told, "row": row, "error": error}


def without_paths(unit: Unit) -> Unit:
    """Give a unit with the content of its files in their place. Raises OSError."""
    return replace(unit, input=_mapped(unit.input, _content))


def _content(value: Any) -> Any:
    return Content(str(value), value.read_bytes()) if isinstance(value, Path) else value


def _written(value: Any, folder: Path, paths: dict[str, str]) -> Any:
    if not isinstance(value, Content):
        return value
    path = folder / f"{len(paths)}{Path(value.path).suffix}"
    try:
        path.write_bytes(value.data)
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error.strerror or error}") from None
    paths[str(path)] = value.path
    return path


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """Change every value of nested mappings and lists."""
    if isinstance(value, Mapping):
        return {name: _mapped(v, change) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [_mapped(v, change) for v in value]
    return change(value)
