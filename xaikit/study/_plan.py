"""The plan of a study as dataclasses, and as a TOML file that people write."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NoReturn

from xaikit import untrusted
from xaikit.attribution import methods as known_methods
from xaikit.attribution._evidence import evidence
from xaikit.errors import InputError, MissingPackage, StorageError, UsageError, XaikitError, nearest, not_there
from xaikit.inputs import At, Margin, ReconstructionError, Region, target_from_json, target_to_json
from xaikit.jobs.kinds import BESIDES
from xaikit.jobs.unit import Recipe
from xaikit.storage import write_atomically
from xaikit.study._gate import Rule
from xaikit.study._lines import Place, lines

TARGETS = (Margin, At, Region, ReconstructionError)
FRAMEWORKS = ("torch", "keras")


@dataclass(frozen=True)
class InputsPlan:
    """What is explained: each of `paths` is a glob, a folder, a file, a CSV file with one row per input, or a sentence.

    Paths are relative to the plan's folder. Of a CSV file `column` names the column with the text or the path, and
    `id` the one that names the inputs; `limit` takes so many inputs from the beginning.
    """

    paths: tuple[str, ...]
    column: str | None = None
    id: str | None = None
    limit: int | None = None


@dataclass(frozen=True)
class MethodPlan:
    """One method: its `name`, its `target` (a list means several, each a unit of its own), its `parameters`.

    Parameters are the method's own, and what `xk.explain` takes besides: score, max_calls, time_limit, ...
    """

    name: str
    target: Any = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def targets(self) -> tuple[Any, ...]:
        """The targets, each of which is a unit for every input."""
        return tuple(self.target) if isinstance(self.target, list) else (self.target,)


@dataclass(frozen=True)
class QualityPlan:
    """What is checked of every explanation beyond what costs nothing, and the rules that the study must hold.

    `faithfulness` is deletion and insertion beside random maps, `stability` the rank agreement over three seeds,
    `randomisation` what is left of a map when all weights are random. `limits` are rules as `--fail-on` takes them.
    """

    faithfulness: bool = False
    stability: bool = False
    randomisation: bool = False
    limits: tuple[str, ...] = ()

    @property
    def evidence(self) -> str:
        """The checks, as `xk.explain` takes them."""
        asked = [name for name in evidence if getattr(self, name)]
        return ",".join(asked) or "free"


@dataclass(frozen=True)
class OutputsPlan:
    """Where results go: `folder`, relative to the plan's, unless another is given."""

    folder: str | None = None


@dataclass(frozen=True)
class Plan:
    """A study: a `model`, `inputs`, and what is asked about each of them.

    `model` is a name of the zoo or a path; `framework` is for models of the zoo. `root` is the folder that relative
    paths start from; None is the present one.
    """

    model: str
    inputs: InputsPlan
    methods: tuple[MethodPlan, ...]
    framework: str | None = None
    seed: int = 0
    quality: QualityPlan = QualityPlan()
    outputs: OutputsPlan = OutputsPlan()
    root: str | None = None

    @property
    def folder(self) -> Path:
        """The folder that relative paths start from."""
        return Path(self.root) if self.root is not None else Path()

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules that the study must hold."""
        return tuple(Rule.of(text) for text in self.quality.limits)

    def recipe(self, allow_code: bool = False) -> Recipe:
        """Give what loads the model."""
        beside = self.folder / self.model
        name = str(beside) if beside.is_file() else self.model
        return Recipe(name, self.framework, allow_code).settled()

    def asked(self) -> Iterator[tuple[MethodPlan, Any]]:
        """Give what is asked about every input: a method and one target."""
        return ((method, target) for method in self.methods for target in method.targets)

    def to_dict(self) -> dict[str, Any]:
        """Give the plan as TOML has it; what is left at its default is left out."""
        found = {f.name: _written(f.name, getattr(self, f.name)) for f in fields(self)}
        return {name: value for name, value in found.items() if value not in (None, {}, [])}

    def toml(self) -> str:
        """Give the text of a plan file, which reads back equal. Raises StorageError for what TOML cannot say."""
        from tomli_w import dumps

        data = self.to_dict()
        after: dict[str, Any] = {name: data.pop(name) for name in ("quality", "outputs") if name in data}
        try:
            methods = (f"[{dumps({'methods': each})}".replace("]", "]]", 1) for each in data.pop("methods"))
            return "\n".join(filter(None, (dumps(data), *methods, dumps(after))))
        except (TypeError, ValueError) as error:
            raise StorageError(f"the plan cannot be written as TOML: {error}") from None

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the plan file, whole or not at all, and give its path. Raises StorageError."""
        try:
            write_atomically(Path(path), self.toml().encode())
        except OSError as error:
            raise StorageError(f"the plan cannot be written to {path}: {error.strerror or error}") from None
        return Path(path)


def _written(name: str, value: Any) -> Any:
    if name == "inputs":
        rest = _without_defaults(value, ("paths",))
        paths = value.paths[0] if len(value.paths) == 1 else list(value.paths)
        return {"paths": list(value.paths), **rest} if rest else paths
    if name == "methods":
        return [_method(each) for each in value]
    if name == "seed":
        return value
    if name in ("quality", "outputs"):
        return _without_defaults(value)
    return value


def _without_defaults(plan: Any, besides: Sequence[str] = ()) -> dict[str, Any]:
    own = {f.name: getattr(plan, f.name) for f in fields(plan) if f.name not in besides}
    usual = {f.name: f.default for f in fields(plan)}
    return {n: list(v) if isinstance(v, tuple) else v for n, v in own.items() if v != usual[n]}


def _method(plan: MethodPlan) -> dict[str, Any]:
    found: dict[str, Any] = {"name": plan.name}
    if plan.target is not None:
        several = isinstance(plan.target, list)
        found["target"] = [_target(t) for t in plan.target] if several else _target(plan.target)
    if plan.parameters:
        found["parameters"] = dict(plan.parameters)
    return found


def _target(target: Any) -> Any:
    written = target_to_json(target)
    return {k: v for k, v in written.items() if v is not None} if isinstance(written, dict) else written


def load_plan(path: str | os.PathLike[str]) -> Plan:
    """Read a plan file; its relative paths start from its own folder, unless it says `root`.

    Raises UsageError with the path and the line of what is wrong, and InputError where there is no such file.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not a text in UTF-8: {error.reason} at byte {error.start}") from None
    except FileNotFoundError:
        raise InputError(not_there(path, "plan")) from None
    except OSError as error:
        raise InputError(f"the plan {path} cannot be read: {error.strerror or error}") from None
    found = read_plan(text, str(path))
    return found if found.root is not None else replace(found, root=str(path.parent))


def read_plan(text: str, name: str = "plan") -> Plan:
    """Read the text of a plan; `name` stands before the line in errors. Raises UsageError."""
    try:
        data = untrusted.toml(text)
    except ValueError as error:
        raise UsageError(f"{name}:{_line_of(error, text)}: this is no TOML: {untrusted.brief(error)}") from None
    return _Reader(name, lines(text.replace("\r\n", "\n"))).plan(data)


def _line_of(error: ValueError, text: str) -> int:
    _, found, rest = str(error).rpartition("(at line ")
    return int(rest.partition(",")[0]) if found else text.count("\n") + 1


class _Reader:
    """Turns what tomllib gives into a plan; every complaint has its line."""

    def __init__(self, name: str, places: Mapping[Place, int]) -> None:
        self.name, self.places = name, places

    def fail(self, place: Place, message: str) -> NoReturn:
        """Complain about the nearest place that is in the file."""
        at = place
        while at and at not in self.places:
            at = at[:-1]
        raise UsageError(f"{self.name}:{self.places.get(at, 1)}: {dotted(place)}{message}")

    def plan(self, data: dict[str, Any]) -> Plan:
        self.only(data, Plan, ())
        self.need(data, ("model", "inputs", "methods"), ())
        framework = self.text(data, "framework", ())
        if framework not in (None, *FRAMEWORKS):
            self.fail(("framework",), f" is torch or keras, not {framework!r}{nearest(framework, FRAMEWORKS)}")
        seed = data.get("seed", 0)
        if not _whole(seed) or not 0 <= seed < 2**32:
            self.fail(("seed",), f" is a whole number from 0 to 2**32 - 1, not {seed!r}")
        return Plan(
            self.text(data, "model", ()) or self.fail(("model",), " is empty: give a name of the zoo or a path"),
            self.inputs(data["inputs"]),
            self.methods(data["methods"]),
            framework,
            seed,
            self.quality(self.table(data, "quality")),
            self.outputs(self.table(data, "outputs")),
            self.text(data, "root", ()),
        )

    def inputs(self, data: Any) -> InputsPlan:
        at: Place = ("inputs",)
        if not isinstance(data, dict):
            return InputsPlan(self.paths(data, at))
        self.only(data, InputsPlan, at)
        self.need(data, ("paths",), at)
        limit = data.get("limit")
        if limit is not None and (not _whole(limit) or limit < 1):
            self.fail((*at, "limit"), f" is a whole number from 1, not {limit!r}")
        column, id_ = (self.text(data, name, at) for name in ("column", "id"))
        return InputsPlan(self.paths(data["paths"], (*at, "paths")), column, id_, limit)

    def paths(self, data: Any, at: Place) -> tuple[str, ...]:
        found = self.texts(data, at)
        if not found:
            self.fail(at, " is empty: give a glob, a folder, a CSV file, or a list of paths or sentences")
        return found

    def methods(self, data: Any) -> tuple[MethodPlan, ...]:
        if not isinstance(data, list) or not data or not all(isinstance(each, dict) for each in data):
            self.fail(("methods",), ": methods are written as tables, [[methods]] and below it name = ...")
        found = tuple(self.method(each, ("methods", i)) for i, each in enumerate(data))
        for i, each in enumerate(found):
            if each in found[:i]:
                self.fail(("methods", i), f" asks for the same as methods[{found.index(each)}]")
        return found

    def method(self, data: dict[str, Any], at: Place) -> MethodPlan:
        self.only(data, MethodPlan, at)
        self.need(data, ("name",), at)
        name = self.text(data, "name", at) or ""
        if name not in known_methods:
            self.fail((*at, "name"), f": unknown method {name!r}{nearest(name, known_methods)}")
        parameters = self.table(data, "parameters", at)
        self.parameters(name, parameters, (*at, "parameters"))
        return MethodPlan(name, self.target(data.get("target"), (*at, "target")), parameters)

    def parameters(self, method: str, given: dict[str, Any], at: Place) -> None:
        cls = known_methods[method]
        known = (*cls.parameters(), *BESIDES, "dialect")
        for name in given:
            if name not in known:
                self.fail((*at, name), f": {method} has no parameter {name!r}{nearest(name, known)}")
        own = {n: v for n, v in given.items() if n not in BESIDES}
        for name, value in own.items():
            alone = {name: value} if "dialect" not in own else {name: value, "dialect": own["dialect"]}
            self.tried((*at, name), lambda alone=alone: cls.make(alone))
        self.tried(at, lambda: cls.make(own))

    def tried(self, at: Place, call: Any) -> Any:
        """Call, and say the line where that fails."""
        try:
            return call()
        except MissingPackage:
            raise
        except XaikitError as error:
            self.fail(at, f": {error}")

    def target(self, data: Any, at: Place) -> Any:
        if isinstance(data, list):
            if not data:
                self.fail(at, " is an empty list: leave it out for the predicted class")
            return [self.target(each, (*at, i)) for i, each in enumerate(data)]
        if data is None or _whole(data) or isinstance(data, str):
            return data
        kinds = {cls.__name__: cls for cls in TARGETS}
        if not isinstance(data, dict) or data.get("kind") not in kinds:
            self.fail(at, f" is a class name, an index, or a table with kind = {' | '.join(kinds)}, not {data!r}")
        try:
            return target_from_json(data)
        except (TypeError, ValueError, XaikitError) as error:
            self.fail(at, f": {error}")

    def quality(self, data: dict[str, Any]) -> QualityPlan:
        at: Place = ("quality",)
        self.only(data, QualityPlan, at)
        for name in evidence:
            if not isinstance(data.get(name, False), bool):
                self.fail((*at, name), f" is true or false, not {data[name]!r}")
        limits = self.texts(data.get("limits", []), (*at, "limits"))
        for i, text in enumerate(limits):
            self.tried((*at, "limits", i), lambda text=text: Rule.of(text))
        return QualityPlan(**{name: data.get(name, False) for name in evidence}, limits=limits)

    def outputs(self, data: dict[str, Any]) -> OutputsPlan:
        self.only(data, OutputsPlan, ("outputs",))
        return OutputsPlan(self.text(data, "folder", ("outputs",)))

    def only(self, data: dict[str, Any], cls: Any, at: Place) -> None:
        known = [f.name for f in fields(cls)]
        for name in data:
            if name not in known:
                self.fail((*at, name), f": unknown field {name!r}{nearest(name, known)}")

    def need(self, data: dict[str, Any], names: Sequence[str], at: Place) -> None:
        for name in names:
            if name not in data:
                self.fail((*at, name), " is missing")

    def table(self, data: dict[str, Any], name: str, at: Place = ()) -> dict[str, Any]:
        found = data.get(name, {})
        return found if isinstance(found, dict) else self.fail((*at, name), f" is a table, not {found!r}")

    def text(self, data: dict[str, Any], name: str, at: Place) -> str | None:
        found = data.get(name)
        return found if found is None or isinstance(found, str) else self.fail((*at, name), f" is text, not {found!r}")

    def texts(self, data: Any, at: Place) -> tuple[str, ...]:
        """Read a text or a list of texts."""
        found = [data] if isinstance(data, str) else data
        if not isinstance(found, list):
            self.fail(at, f" is text or a list of texts, not {data!r}")
        for i, each in enumerate(found):
            if not isinstance(each, str) or not each:
                self.fail((*at, i), f" is text, not {each!r}")
        return tuple(found)


def dotted(place: Place) -> str:
    """Write a path as people do: methods[0].name."""
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in place).lstrip(".")


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def difference(first: Plan, second: Plan) -> list[str]:
    """Say in which fields two plans ask for different units: where files lie, and what limits hold, does not matter."""
    a, b = _flat(first), _flat(second)
    return [
        f"{name} is {_shown(a.get(name))} and not {_shown(b.get(name))}"
        for name in {**a, **b}
        if a.get(name) != b.get(name)
    ]


def _flat(plan: Plan) -> dict[str, Any]:
    asked = replace(plan, root=None, outputs=OutputsPlan(), quality=replace(plan.quality, limits=()))
    data = asked.to_dict()
    flat: dict[str, Any] = {}

    def walk(value: Any, at: Place) -> None:
        if isinstance(value, dict):
            for name, each in value.items():
                walk(each, (*at, name))
        elif isinstance(value, list):
            for i, each in enumerate(value):
                walk(each, (*at, i))
        else:
            flat[dotted(at)] = value

    walk(data, ())
    return flat


def _shown(value: Any) -> str:
    return "not given" if value is None else repr(value)
