"""What a method is given, and what it gives back."""

import dataclasses
import numbers
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, Literal, TypeVar, cast, get_args

import numpy as np

from xaikit.arrays import Array, Tensors, concatenate, each, leaves, length, rows
from xaikit.attribution._dialects import preset
from xaikit.errors import NotSupported, ParameterError, TimeUp, nearest, with_article
from xaikit.inputs import Classes, ScoreKind, Scores
from xaikit.model import Model, Network, Pull, Rule, Run
from xaikit.perturb.baseline import baselines
from xaikit.perturb.budget import unbounded
from xaikit.progress import Progress, silent
from xaikit.registry import Registry

T = TypeVar("T")


@dataclass(frozen=True)
class Parameter:
    """One parameter of a method: its name, type as text, default and meaning; `choices` are all it takes, if listed."""

    name: str
    type: str
    default: Any
    help: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be explained: a batch of encoded samples with one score each, and the model to ask.

    `x` (sample, *shape), channels last; `spec` and `display` as in Attribution; `predicted` the raw output, or None
    where it need not be known beforehand: `prediction` is then what the model says on the way, or is asked for it.
    Model calls are counted: one for each sample of a forward pass or of a pull. With `by_logits` probabilities are
    taken from the logits in float64: near 0 and 1 a float32 probability is too coarse for the difference of two.
    The budget (`max_calls`, `deadline`, `tolerance`) and `accelerate` are as in the engine's Question:
    `ask` and `until` heed them. `notes` go into the origin. `said` is what a model has said of `x` on the way, by the
    form of its output ("output" is the raw one), with that model and `x`; `beside` what it has said of baselines in a
    pass that was made for something else, with these; `marks` the fingerprint of every model that was asked.
    """

    model: Model
    x: Tensors
    spec: Any
    display: Any
    scores: Scores
    predicted: Tensors | None
    seed: int
    progress: Progress = silent
    max_calls: int | None = None
    calls: dict[str, int] = field(default_factory=lambda: {"model_calls": 0})
    by_logits: bool = False
    deadline: float = np.inf
    tolerance: float | None = None
    accelerate: str = "none"
    notes: dict[str, Any] = field(default_factory=dict)
    said: dict[ScoreKind, tuple[Model, Tensors, Tensors]] = field(default_factory=dict)
    beside: list[tuple[Model, Tensors, Tensors]] = field(default_factory=list)
    marks: list[tuple[Model, str | None]] = field(default_factory=list)

    def __len__(self) -> int:
        return length(self.x)

    @property
    def prediction(self) -> Tensors:
        """The raw output for the samples; the model is run for it only if no pass has given it by now."""
        if self.predicted is not None:
            return self.predicted
        known = self._known("output")
        if known is None and self.by_logits and self._known(self.scores.kind) is None:
            self.run(self.x)  # mostly gives the raw output too
            known = self._known("output")
        if known is None:
            self._count(self.x)
            known = self.model.run(self.x).output
            self._require_fit(self._known(self.scores.kind), known)
            self.said["output"] = (self.model, self.x, known)
        return known

    @property
    def awaits(self) -> bool:
        """Whether what the model says of the samples is still to be found out."""
        return self.predicted is None and self._known("output") is None

    @property
    def fingerprint(self) -> str | None:
        """The model's fingerprint as it was first asked for in this task; None for a function without a version."""
        found = next((mark for mark in self.marks if mark[0] is self.model), None)
        if found is None:
            found = (self.model, fingerprint(self.model))
            self.marks.append(found)
        return found[1]

    def rng(self) -> np.random.Generator:
        """A random stream that starts anew from the seed; take one for every sample."""
        return np.random.default_rng(self.seed)

    def run(self, x: Tensors, **how: Any) -> Run:
        """Run the model in the form of the scores, and count."""
        self._count(x)
        if "raw" in how and not isinstance(unbounded(self.model), Network):  # another's, made before there was `raw`
            how = {name: value for name, value in how.items() if name != "raw"}
        run = self.model.run(x, score=self.form, **how)
        if self.by_logits:
            run = dataclasses.replace(run, output=probabilities(run.output, self.model.outputs))
        if not how.get("patch"):
            self.remember(x, run.output, run.raw)
        return run

    def remember(self, x: Tensors, output: Tensors, raw: Tensors | None = None) -> None:
        """Keep what the model says of the samples themselves, in the form of the scores, and its raw output."""
        if x is self.x:
            self._require_fit(output, raw)
            self.said[self.scores.kind] = (self.model, x, output)
            if raw is not None:
                self.said["output"] = (self.model, x, raw)

    def _require_fit(self, said: Tensors | None, raw: Tensors | None) -> None:
        """Raise Misfit where the raw output has other probabilities than the logits, from which they are taken."""
        if self.by_logits and said is not None and raw is not None and not agree(self.model, said, raw):
            raise Misfit

    def _known(self, form: ScoreKind) -> Tensors | None:
        """Give what this model has said of the samples in one form of its output."""
        model, x, output = self.said.get(form, (None, None, None))
        return output if model is self.model and x is self.x else None

    @property
    def form(self) -> ScoreKind:
        """The form of the output that the model is asked for."""
        return "logit" if self.by_logits else self.scores.kind

    def asking(self, model: Model) -> "Task":
        """Give the same task for another model; calls and notes are kept in one place."""
        return dataclasses.replace(self, model=model)

    def check_time(self) -> None:
        """Raise TimeUp when the time limit is over."""
        if time.perf_counter() >= self.deadline:
            raise TimeUp("the time limit was over before there was anything to return: give a longer time_limit")

    def value(self, x: Tensors, index: Array | None = None) -> Array:
        """Give the explained scalar of every row: (row,); `index` says to which sample a row belongs."""
        known = self._known(self.scores.kind) if x is self.x and index is None else None
        return self.scores.value(self.run(x).output if known is None else known, x, index)

    def risen(self, starts: Tensors, count: int) -> Array:
        """Give f(x) - f(b), the mean over the baselines b, for the first `count` samples: (sample,).

        `starts` (sample, baseline, *shape). Samples and baselines go through the model together, and baselines that all
        samples share only once; those that a pull has run beside its own rows not at all.
        """
        baselines, there = next(a.shape[1] for _, a in leaves(starts)), slice(0, count)
        b, shared = _distinct(starts, count)
        x, known = rows(self.x, there), self._known(self.scores.kind)
        at_b = self._known_beside(starts) if count == len(self) else None
        if known is not None:
            at_x, at_b = rows(known, there), self.run(b).output if at_b is None else at_b
        else:
            run = self.run(concatenate([x, b]))
            at_x, at_b = rows(run.output, there), rows(run.output, slice(count, None))
            if count == len(self):
                self.remember(self.x, at_x, None if run.raw is None else rows(run.raw, there))
        which = np.tile(np.arange(baselines), count) if shared else np.arange(count * baselines)
        index = np.repeat(np.arange(count), baselines)
        below = self.scores.value(rows(at_b, which), rows(b, which), index).reshape(count, baselines)
        return np.asarray(self.scores.value(at_x, x) - below.mean(1))

    def _known_beside(self, starts: Tensors) -> Tensors | None:
        """Give what this model has said of these very baselines beside a pull."""
        return next((said for model, asked, said in self.beside if model is self.model and asked is starts), None)

    def pull(
        self,
        x: Tensors,
        index: Array | None = None,
        *,
        wrt: str | None = None,
        rule: Rule | None = None,
        beside: Tensors | bool = False,
    ) -> Pull:
        """Pull the explained scalar back to the input, or to the layer `wrt`, row by row; `rule` is for its ReLUs.

        The gradient is total: for a reconstruction error it includes the input's direct part. `beside` names what will
        be asked for next: True the samples themselves, baselines (sample, baseline, *shape) these and the samples, as
        `risen` does. Where they fit into the same pass they are run in it, since a small pass of its own costs more
        than a few rows.
        """
        if wrt is None and any(a.dtype.kind in "iu" for _, a in leaves(x)):
            able = ", ".join(n for n, m in methods.items() if "pull" not in m.needs)
            raise NotSupported(f"{self.model.name} takes integers, which have no gradient; use {able}")
        others = self._others(x, beside) if wrt is None and rule is None else None
        if others is not None:
            return self._pulled_beside(x, index, beside, others)
        self._count(x)
        if self.scores.linear:
            seed = self.scores.seed(x, x, index)  # of the output it takes no more than the number of rows
            pulled = self.model.pull(x, seed, wrt=wrt, rule=rule, score=self.scores.kind)
            self.remember(x, pulled.value, pulled.output)
            if pulled.fingerprint is not None and not self.marks:
                self.marks.append((self.model, pulled.fingerprint))
            return pulled
        output = self.run(x).output
        pulled = self.model.pull(x, self.scores.seed(output, x, index), wrt=wrt, rule=rule, score=self.scores.kind)
        direct = self.scores.direct(output, x, index)
        if wrt is not None or direct is None:
            return pulled
        return dataclasses.replace(pulled, gradient=each(np.add, pulled.gradient, direct))

    def _pulled_beside(self, x: Tensors, index: Array | None, beside: Tensors | bool, others: list[Tensors]) -> Pull:
        """Pull rows back in one pass with `others`, the samples and perhaps baselines; keep what it says of these."""
        count, own = length(x), np.arange(len(self))
        which = [np.arange(count) if index is None else index, own, *(np.zeros(length(b), int) for b in others[1:])]
        both = self.pull(concatenate([x, *others]), np.concatenate(which))
        at_x, at_b = both.only(slice(count, count + len(own))), both.only(slice(count + len(own), None))
        self.remember(self.x, at_x.value, at_x.output)
        if not isinstance(beside, bool):
            self.beside.append((self.model, beside, at_b.value))
        return both.only(slice(0, count))

    def _others(self, x: Tensors, beside: Tensors | bool) -> list[Tensors] | None:
        """Give what fits into the pass that pulls `x` back: the samples, and baselines; None where nothing is due."""
        if beside is False or self.by_logits or not self.scores.linear:
            return None
        room = self.model.batch_size // 2 - length(x) - len(self)
        if beside is True:
            return [self.x] if room >= 0 and self._known(self.scores.kind) is None else None
        if room < 1 or self._known_beside(beside) is not None:
            return None
        ends, _ = _distinct(beside, len(self))
        return [self.x, ends] if length(ends) <= room else None

    def baselines(self, value: Any) -> Tensors:
        """Give the encoded baselines of every sample: (sample, baseline, *shape)."""
        return baselines(value, self.spec, self.x, self.seed)

    def _count(self, x: Tensors) -> None:
        self.calls["model_calls"] += length(x)


@dataclass(frozen=True, eq=False)
class Map:
    """What a method found: `values` (sample, *space), for each input when there are several.

    `axes` names the axes after the sample axis (None: those of the input spec); `parts`, `part_values` and `quality`
    as in Attribution; `layer` is the layer that was looked at; `notes` are choices worth recording.
    """

    values: Tensors
    axes: tuple[str, ...] | None = None
    parts: Any = None
    part_values: Any = None
    quality: Mapping[str, Array] = field(default_factory=dict)
    layer: str | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Method(ABC):
    """A way to explain a score. A method is a frozen dataclass whose fields are its parameters.

    `dialect` names a library whose defaults it has instead of its own; it is a parameter of all methods, and described
    by none.

    `needs` names what the model must be able to do; `score` is the form of the output that is explained where the
    model gives class scores: "logit" or "probability". `tokens` is set by methods that follow the gradient to the
    input: of token ids they are given the embeddings (sample, token, channel), and their values become one number per
    token, the "sum" over the channels (contributions) or the L2 "norm" (gradients).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"run"})
    score: ClassVar[str] = "probability"
    stochastic: ClassVar[bool] = False
    tokens: ClassVar[Literal["sum", "norm"] | None] = None

    dialect: str | None = None

    @abstractmethod
    def __call__(self, task: Task) -> Map:
        """Explain the task's scores."""

    @classmethod
    def parameters(cls) -> dict[str, Parameter]:
        """Describe the parameters by name, in order: what a form or a command line needs."""
        return described(cls)

    @classmethod
    def examine(cls, model: Model) -> str:
        """Say in words how the method would treat this model. Raises NotSupported if it cannot serve it."""
        lacking = sorted(cls.needs - model.can)
        if lacking:
            able = ", ".join(serving(model))
            why = "has no gradients" if "pull" in lacking else f"cannot {', '.join(lacking)}"
            raise NotSupported(
                f"{_title(cls)} cannot explain {model.name}: {with_article(model.framework)} model {why}; use {able}"
            )
        return ""

    @classmethod
    def make(cls, parameters: Mapping[str, Any]) -> "Method":
        """Build the method from keyword parameters. Raises ParameterError: the nearest name, or the type asked for.

        The parameters of a `dialect` are taken where none are given.
        """
        if parameters.get("dialect") is not None:
            parameters = {**preset(_title(cls), parameters["dialect"]).parameters, **parameters}
        checked(cls, _title(cls), parameters)
        return cls(**parameters)


def described(cls: Any) -> dict[str, Parameter]:
    """Describe the fields of a frozen dataclass that are its parameters, by name, in order."""
    return dict(_described(cast(Any, cls)))


@cache
def _described(cls: Any) -> Mapping[str, Parameter]:
    return {
        f.name: Parameter(f.name, _type_text(f.type), f.default, *(f.metadata.get(k, v) for k, v in DESCRIBED))
        for f in dataclasses.fields(cls)
        if f.name != "dialect"
    }


def checked(cls: Any, title: str, parameters: Mapping[str, Any]) -> None:
    """Raise ParameterError for a parameter that a frozen dataclass has not, or whose value is of another type."""
    known, fields = _described(cast(Any, cls)), cls.__dataclass_fields__
    for name, value in parameters.items():
        if name == "dialect" and name in fields:
            continue
        if name not in known:
            raise ParameterError(f"{title} has no parameter {name!r}{nearest(name, known)}")
        if not _fits(value, fields[name].type):
            raise ParameterError(f"{title} takes {known[name].type} for {name}, not {value!r}")


def serving(model: Model) -> list[str]:
    """List the methods that can explain the model."""
    return [name for name, method in methods.items() if method.needs <= model.can and _serves(method, model)]


def _serves(method: type[Method], model: Model) -> bool:
    try:
        method.examine(model)
    except NotSupported:
        return False
    return True


methods: Registry[type[Method]] = Registry("method", "xaikit.attribution", group="xaikit.methods")
"""The methods by name: `list(xk.methods)`, `xk.methods["lime"].parameters()`. An unknown name raises UnknownName."""


def _distinct(starts: Tensors, count: int) -> tuple[Tensors, bool]:
    """Give the baselines (row, *shape) of the first `count` samples, and whether these share them: then only once."""
    shared = count > 1 and all((a[1:count] == a[:1]).all() for _, a in leaves(starts))
    return each(lambda a: a[0] if shared else a[:count].reshape(-1, *a.shape[2:]), starts), shared


def sample_by_sample(task: Task, one: Callable[[int], T]) -> list[T]:
    """Give what `one` gives of each sample, as far as the time limit lets it: a Map of these is filled up with NaN.

    Raises TimeUp if there is none at all.
    """
    found: list[T] = []
    for i in range(len(task)):
        try:
            found.append(one(i))
        except TimeUp:
            if not found:
                raise
            break
    return found


def filled_up(found: Map, count: int) -> Map:
    """Fill a Map of fewer than `count` samples up with NaN, and say in its quality which samples it has."""
    there = length(found.values)
    if there == count:
        return found

    def whole(a: Array) -> Array:
        kind = a.dtype if a.dtype.kind == "f" else np.float64
        return np.concatenate([a, np.full((count - there, *a.shape[1:]), np.nan, kind)])

    quality = {n: whole(np.asarray(a)) for n, a in found.quality.items()}
    complete = np.nan_to_num(quality.get("complete", whole(np.ones(there))))
    part_values = None if found.part_values is None else each(whole, found.part_values)
    return dataclasses.replace(
        found, values=each(whole, found.values), part_values=part_values, quality={**quality, "complete": complete}
    )


def fingerprint(model: Model) -> str | None:
    """Give the model's fingerprint, or None for a callable without a version."""
    try:
        return model.fingerprint()
    except NotSupported:
        return None


class Misfit(Exception):
    """A network's logits do not give the probabilities of this sample, though they have given those of others."""


def agree(model: Model, said: Tensors, raw: Tensors) -> bool:
    """Whether the probabilities that come of the logits are those of the raw output, tried on the first sample."""
    specs = model.outputs if isinstance(model.outputs, Mapping) else {"": model.outputs}
    found, given = dict(leaves(rows(said, slice(0, 1)))), dict(leaves(rows(raw, slice(0, 1))))
    classes = [(found[n], given[n], s) for n, s in specs.items() if isinstance(s, Classes) and n in found]
    return all(np.allclose(p, s.of_logits(a) if s.form == "logits" else a, atol=1e-4) for p, a, s in classes)


def probabilities(logits: Tensors, spec: Any) -> Tensors:
    """Turn the logits of Classes into probabilities in float64; other outputs stay."""
    if isinstance(logits, Mapping):
        return {n: np.asarray(probabilities(a, spec[n])) for n, a in logits.items()}
    return spec.of_logits(logits) if isinstance(spec, Classes) else logits


DESCRIBED = (("help", ""), ("choices", ()))


def parameter(default: Any, help: str, choices: tuple[str, ...] = ()) -> Any:
    """Declare a parameter of a method with its default, its meaning and, where these are few words, all it takes."""
    return field(default=default, metadata={"help": help, "choices": choices})


def require(condition: bool, message: str) -> None:
    """Raise ParameterError unless the condition holds."""
    if not condition:
        raise ParameterError(message)


def _type_text(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _fits(value: Any, annotation: Any) -> bool:
    """Whether a value is of an annotated type: int and float take any such number, but no bool."""
    if isinstance(value, bool | np.bool_):
        return Any in _members(annotation) or bool in _members(annotation)
    kinds = {int: numbers.Integral, float: numbers.Real}
    return any(m is Any or isinstance(value, kinds.get(m, m)) for m in _members(annotation))


def _members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) or (annotation,)


@cache
def _title(cls: type[Any]) -> str:
    return next((n for n, m in methods.items() if m is cls), cls.__name__)
