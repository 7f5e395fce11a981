"""A unit of work as plain data, the model it asks for, and the address under which its result is kept."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import xaikit
from xaikit import untrusted, wrapping, zoo
from xaikit.attribution import methods
from xaikit.errors import InputError, ModelError, ParameterError, UnknownName, not_there
from xaikit.inputs import INPUTS, OUTPUTS, At, Margin, ReconstructionError, Region, specs_to_dict, target_to_json
from xaikit.jobs.kinds import tasks
from xaikit.model import Model, canonical_hash

SCHEMA = 1
TARGETS = (Margin, At, Region, ReconstructionError)
READERS = ("audit", "cli", "figures", "render", "report", "study", "testing.py", "training_curves")
"""Packages that read results, and change none."""
SPECS = (*INPUTS.values(), *OUTPUTS.values())


@dataclass(frozen=True)
class Recipe:
    """How to get a model: a name of the zoo or of an installed package, or the path of a file with a network.

    `framework` is for models of the zoo (None: the first that is installed); `allow_code` lets a model.toml import its
    factory.
    """

    name: str
    framework: str | None = None
    allow_code: bool = False

    @property
    def is_file(self) -> bool:
        """Whether the name is meant as a path."""
        return bool(Path(self.name).suffix) or "/" in self.name or Path(self.name).exists()

    @property
    def path(self) -> Path | None:
        """The file to load: the one named, or the description of an installed model; None for a network of the zoo."""
        path, installed = Path(self.name), wrapping.models().get(self.name)
        if installed is not None and not path.is_file() and self.name not in zoo.names():
            return installed
        return path if self.is_file else None

    def settled(self) -> "Recipe":
        """Give the recipe with its choice of framework made, so that every process makes the same."""
        if self.path is not None or self.framework is not None:
            return self
        return replace(self, framework=next(iter(wrapping.frameworks()), None))

    def load(self) -> Model:
        """Load the model. Raises UnknownName, ModelError, UnsafeFile, MissingPackage."""
        if self.path is not None:
            return wrapping.load_model(self.path, allow_code=self.allow_code)
        self._require_known()
        return zoo.load(self.name, framework=self.settled().framework)

    def _require_known(self) -> None:
        if self.name not in zoo.names():
            raise UnknownName("model", self.name, [*zoo.names(), *wrapping.models()])

    def source(self) -> str | None:
        """Identify what would be loaded, without loading it: by the content of files, or the weights of the zoo.

        None for a model of the zoo whose weights are not known beforehand. Raises UnknownName or ModelError where
        there is no such model.
        """
        path = self.path
        if path is None:
            self._require_known()
            trained = zoo.card(self.name).trained
            if trained is None:
                return None
            return _digest(["zoo", self.name, self.settled().framework, trained.sha256])
        if not path.is_file():
            raise ModelError(not_there(path, "model file"))
        return _digest(["files", *(file_digest(p) for p in model_files(path))])


@dataclass(frozen=True, eq=False)
class Unit:
    """One piece of work as plain data: a `task` on a `model`, known by its name in the pool, and one `input`.

    `input` is what a person has: an array in display units, a text, a `Path` of a file, a mapping, or a list of these.
    `parameters` are the method's own; for the task "explain" also `score`, the budget and `accelerate`.
    """

    model: str
    input: Any
    method: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    target: Any = None
    seed: int = 0
    task: str = "explain"

    @property
    def title(self) -> str:
        """Name the work for people: "lime on mnist_cnn"."""
        return f"{self.method or self.task} on {self.model}"


def unit_digest(unit: Unit) -> str:
    """SHA-256 over everything that decides a unit's result but model and code, with parameters after defaults.

    Raises ParameterError for a value that is no plain data and for parameters that the method does not take.
    """
    described = {
        "task": unit.task,
        "method": unit.method,
        "parameters": plain(tasks[unit.task].parameters(unit)),
        "input": plain(unit.input),
        "target": plain(unit.target),
        "seed": plain(unit.seed),
    }
    return _digest(described)


def model_identity(model: Model, source: str | None = None) -> str:
    """SHA-256 over a model's fingerprint and what else decides its results: framework, specs, layout, files, code.

    `source` is the recipe's: a fingerprint is of layers and weights, and does not see what a file says besides them.
    """
    described = {
        "fingerprint": model.fingerprint(),
        "framework": model.framework,
        "name": model.name,
        "layout": getattr(model, "layout", None),
        "inputs": plain(specs_to_dict(model.inputs)),
        "outputs": plain(specs_to_dict(model.outputs)),
        "source": source,
        "code": code_version(),
    }
    return _digest(described)


def address(model: str, unit: str) -> str:
    """Give the address of a result from `model_identity` and `unit_digest`: 64 hexadecimal digits."""
    return _digest([SCHEMA, model, unit])


def plain(value: Any) -> Any:
    """Turn plain data into what canonical JSON can say: arrays and files become their digests.

    Raises ParameterError for anything else, and InputError for a file that cannot be read.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$": "float", "is": str(value)}
    if isinstance(value, np.ndarray) and value.dtype != object:
        return {"$": "array", "sha256": canonical_hash({"": value})}
    if isinstance(value, Path):
        return {"$": "file", "suffix": value.suffix.lower(), "sha256": _input_digest(value)}
    if isinstance(value, TARGETS):
        return {"$": "target", "target": plain(target_to_json(value))}
    if isinstance(value, SPECS):
        return {"$": "spec", "spec": plain(value.to_dict())}
    if isinstance(value, Mapping):
        return {"$": "mapping", "items": {str(k): plain(v) for k, v in value.items()}}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(v) for v in value]
    raise no_part_of_a_unit(value)


def no_part_of_a_unit(value: Any) -> ParameterError:
    """The error for a value that cannot be sent to a worker."""
    return ParameterError(
        f"a unit holds arrays, numbers, text and paths, not {type(value).__name__}: give one of these"
    )


@cache
def code_version() -> str:
    """Give the version of xaikit and a digest of the sources that can change a result: its own, adapters', methods'."""
    digest = hashlib.sha256()
    others = {*(point.module for point in wrapping.adapters().values()), *methods.guests()}
    for name in ("xaikit", *sorted({other.partition(".")[0] for other in others})):
        for place, file in _sources(name):
            digest.update(f"{name}/{place}\0".encode() + file.read_bytes() + b"\0")
    return f"{xaikit.__version__}+{digest.hexdigest()[:16]}"


def _sources(module: str) -> Iterator[tuple[str, Path]]:
    """Give the files of a package that can change a result, by their place in it, or the one of a plain module."""
    found = find_spec(module)
    if found is not None and found.submodule_search_locations is None and found.origin is not None:
        yield Path(found.origin).name, Path(found.origin)
    for folder in (found.submodule_search_locations or ()) if found else ():
        for file in sorted(Path(folder).rglob("*.py")):
            place = file.relative_to(folder)
            if place.parts[0] not in READERS:
                yield place.as_posix(), file


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content; kept while its size and time of change stay."""
    at = path.stat()
    return _content(path, at.st_mtime_ns, at.st_size)


@lru_cache(maxsize=256)
def _content(path: Path, changed: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _input_digest(path: Path) -> str:
    with read_as_input(path):
        return file_digest(path)


@contextmanager
def read_as_input(path: Path) -> Iterator[None]:
    """Turn what opening a file raises into InputError."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(not_there(path)) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None


def model_files(path: Path) -> Iterator[Path]:
    """Give the files that make a model: of a description also its weights, and its factory where that lies beside.

    Raises ModelError for a description that cannot be read.
    """
    yield path
    if path.suffix != ".toml":
        return
    try:
        text = untrusted.toml(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ModelError(f"{path} is not a readable TOML file: {untrusted.brief(error)}") from None
    factory = f"{str(text.get('factory', '')).partition(':')[0]}.py"
    yield from (p for p in (path.parent / str(text.get("weights", "")), path.parent / factory) if p.is_file())


def _digest(described: Any) -> str:
    text = json.dumps(described, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
