"""A unit of work as plain data, the model it asks for, and the address under which its result is kept."""

import hashlib
import json
import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import xaikit
from xaikit import wrapping, zoo
from xaikit.errors import InputError, ModelError, ParameterError
from xaikit.inputs import INPUTS, OUTPUTS, At, Margin, ReconstructionError, Region, specs_to_dict, target_to_json
from xaikit.jobs.kinds import tasks
from xaikit.model import Model, canonical_hash

SCHEMA = 1
TARGETS = (Margin, At, Region, ReconstructionError)
READERS = ("audit", "cli", "figures", "render", "report", "study", "training_curves")
"""Packages that read results, and change none."""
SPECS = (*INPUTS.values(), *OUTPUTS.values())


@dataclass(frozen=True)
class Recipe:
    """How to get a model: a name of the zoo, or the path of a model.toml, .keras, .h5 or .pt2.

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

    def settled(self) -> "Recipe":
        """Give the recipe with its choice of framework made, so that every process makes the same."""
        if self.is_file or self.framework is not None:
            return self
        return replace(self, framework=next(iter(wrapping.frameworks()), None))

    def load(self) -> Model:
        """Load the model. Raises UnknownName, ModelError, UnsafeFile, MissingPackage."""
        if self.is_file:
            return wrapping.load_model(self.name, allow_code=self.allow_code)
        return zoo.load(self.name, framework=self.settled().framework)

    def source(self) -> str | None:
        """Identify what would be loaded, without loading it: by the content of files, or the weights of the zoo.

        None for a model of the zoo whose weights are not known beforehand. Raises UnknownName or ModelError where
        there is no such model.
        """
        if not self.is_file:
            trained = zoo.card(self.name).trained
            if trained is None:
                return None
            return _digest(["zoo", self.name, self.settled().framework, trained.sha256])
        path = Path(self.name)
        if not path.is_file():
            raise ModelError(f"there is no model file {path}")
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
    raise ParameterError(f"a unit holds arrays, numbers, text and paths, not a {type(value).__name__}")


@cache
def code_version() -> str:
    """Give the version of xaikit and a digest of its sources and its adapters' that can change a result."""
    digest = hashlib.sha256()
    for name in ("xaikit", *sorted(point.module for point in wrapping.adapters().values())):
        found = find_spec(name)
        for folder in (found.submodule_search_locations or ()) if found else ():
            for file in sorted(Path(folder).rglob("*.py")):
                if file.relative_to(folder).parts[0] in READERS:
                    continue
                digest.update(f"{name}/{file.relative_to(folder).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return f"{xaikit.__version__}+{digest.hexdigest()[:16]}"


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content; kept while its size and time of change stay."""
    at = path.stat()
    return _content(path, at.st_mtime_ns, at.st_size)


@lru_cache(maxsize=256)
def _content(path: Path, changed: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _input_digest(path: Path) -> str:
    try:
        return file_digest(path)
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
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
        text = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is not a readable TOML file: {error}") from None
    factory = f"{str(text.get('factory', '')).partition(':')[0]}.py"
    yield from (p for p in (path.parent / str(text.get("weights", "")), path.parent / factory) if p.is_file())


def _digest(described: Any) -> str:
    text = json.dumps(described, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
