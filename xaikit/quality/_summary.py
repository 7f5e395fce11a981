"""Summary: what a method says of a model over a whole data set, class by class, with intervals."""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.attribution import explain, origin_of, require_wrapped
from xaikit.errors import InputError, NotSupported, ParameterError, UnknownName
from xaikit.inputs import Image, Text
from xaikit.model import Model
from xaikit.progress import Progress, bar
from xaikit.results import Attribution, Attributions, Status, Summary

BATCH = 64
"""Samples that are explained, and whose maps are held, at one time."""
TOLERATED = 0.05
"""The share of explanations that may fail before the summary itself does."""


def summary(
    model: Model,
    X: Any,
    method: str,
    target: Any = None,
    *,
    level: float = 0.95,
    minimum: int = 5,
    input: str | None = None,
    seed: int = 0,
    score: str | None = None,
    progress: Progress | bool | None = None,
    **parameters: Any,
) -> Summary:
    """Give what a method attributes to every part on average over the samples `X`, class by class, as a Summary.

    `X` is a batch (sample, ...) or a list of samples as xk.explain takes them; its maps are added up in batches and
    never held together. Samples are grouped by the target that is explained: with `target=None` by their predicted
    class. A part is a column of a table, a place of a picture (channels added), a time and channel of a series, a
    feature of an array, or a word: of a word in several places of a text the mean counts, and words in fewer than
    `minimum` samples of a class are left out. `level` is that of the confidence intervals of the means, mean ± t · s /
    √n (Student 1908); they hold for samples drawn independently. Of a network with several inputs `input` names the one
    that is summed up. `seed`, `score` and `parameters` are those of xk.explain.

    Raises what xk.explain raises, ParameterError for a level outside 0..1, and NotSupported where the maps of the
    samples have no common places. The mean of |value| is the global importance of Lundberg et al. (2020), "From local
    explanations to global understanding with explainable AI for trees", section "SHAP summary plots".
    """
    require_wrapped(model, "summary")
    if not 0 < level < 1:
        raise ParameterError(f"level must lie between 0 and 1, not {level!r}")
    if minimum < 1:
        raise ParameterError(f"minimum must be at least 1, not {minimum!r}")
    start, samples = time.perf_counter(), _samples(model, X)
    targets = _targets(target, len(samples))
    gathered = _Gathered()
    with bar(progress, "summary") as shown:
        for s in _slices(len(samples)):
            e = explain(
                model,
                samples.cut(s),
                method,
                targets[s] if isinstance(targets, list) else targets,
                seed=seed,
                score=score,
                progress=False,
                **parameters,
            )
            gathered.add(_one(e, input))
            shown(s.stop, len(samples))
    return _result(model, gathered, method, level, minimum, seed, time.perf_counter() - start)


@dataclass(frozen=True)
class _Samples:
    """Single samples, or by input where there are several."""

    each: Any

    def __len__(self) -> int:
        return len(next(iter(self.each.values()))) if isinstance(self.each, Mapping) else len(self.each)

    def cut(self, s: slice) -> Any:
        """Give some samples as xk.explain takes them."""
        return {n: v[s] for n, v in self.each.items()} if isinstance(self.each, Mapping) else self.each[s]


def _samples(model: Model, X: Any) -> _Samples:
    spec = model.inputs
    if not isinstance(spec, Mapping):
        return _checked(_Samples(spec.samples(X)))
    if not isinstance(X, Mapping) or set(X) != set(spec):
        raise InputError(f"{model.name} has several inputs: give a mapping with {', '.join(spec)}")
    return _checked(_Samples({n: s.samples(X[n]) for n, s in spec.items()}))


def _checked(samples: _Samples) -> _Samples:
    if len(samples) == 0:
        raise InputError("there is no sample to sum up: the data set is empty")
    return samples


def _targets(target: Any, count: int) -> Any:
    """Give a list with one target per sample as a list, and a target for all as it is."""
    if not isinstance(target, list | np.ndarray):
        return target
    if len(target) != count:
        raise ParameterError(f"{len(target)} targets were given for {count} samples")
    return list(target)


def _slices(count: int) -> Iterator[slice]:
    return (slice(i, min(i + BATCH, count)) for i in range(0, count, BATCH))


def _one(e: Attribution | Attributions, name: str | None) -> Attribution:
    """Give the explanation of the input that is summed up."""
    if isinstance(e, Attribution):
        return e
    if name is None:
        raise NotSupported(f"the network has several inputs: choose one with input=, of {', '.join(e)}")
    if name not in e:
        raise UnknownName("input with a map", name, e)
    return e[name]


class _Moments:
    """Running count, mean and sum of squared deviations of arrays that are added one by one (Welford 1962)."""

    def __init__(self) -> None:
        self.count: Any = 0
        self.mean: Any = 0.0
        self.squares: Any = 0.0

    def add(self, value: Any) -> None:
        """Take in one more value."""
        self.count += 1
        off = value - self.mean
        self.mean = self.mean + off / self.count
        self.squares = self.squares + off * (value - self.mean)

    def interval(self, level: float) -> tuple[Any, Any]:
        """Give both ends of the mean's confidence interval; NaN for a single value."""
        from scipy.stats import t

        if self.count < 2:
            return self.mean * np.nan, self.mean * np.nan
        reach = t.ppf((1 + level) / 2, self.count - 1) * np.sqrt(self.squares / (self.count - 1) / self.count)
        return self.mean - reach, self.mean + reach


class _Pair:
    """The moments of a value and of its magnitude."""

    def __init__(self) -> None:
        self.signed, self.magnitude = _Moments(), _Moments()

    def add(self, value: Any) -> None:
        """Take in one more value."""
        self.signed.add(value)
        self.magnitude.add(np.abs(value))


class _Gathered:
    """Everything that is kept of the samples: running sums by class, in the order of the classes' first mention."""

    def __init__(self) -> None:
        self.example: Attribution | None = None
        self.places: dict[str, _Pair] = {}
        self.words: dict[str, dict[str, _Pair]] = {}
        self.inputs: dict[str, _Moments] = {}
        self.order: dict[str, Any] = {}
        self.statuses = {"ok": 0, "warn": 0, "fail": 0}
        self.reasons: dict[str, int] = {}
        self.digest = hashlib.sha256()
        self.seconds, self.calls, self.count, self.left_out = 0.0, 0, 0, 0

    def add(self, e: Attribution) -> None:
        """Take in a batch of explanations."""
        self.example = self.example or e[0]
        self.calls += e.origin.model_calls
        for i in range(len(e)):
            one = e[i]
            self.count += 1
            self.statuses[str(one.status)] += 1
            self.digest.update(one.origin.input_hash[0].encode())
            for reason in one.status.reasons:
                self.reasons[reason.partition(" ")[0]] = self.reasons.get(reason.partition(" ")[0], 0) + 1
            self._sample(one)

    def _sample(self, e: Attribution) -> None:
        if not np.isfinite(e.values).all():
            self.left_out += 1
            return
        label = e.target_labels[0]
        self.order.setdefault(label, e.target[0])
        values = _by_place(e)
        if isinstance(e.input_spec, Text):
            pairs = self.words.setdefault(label, {})
            for word, value in _by_word(e, values).items():
                pairs.setdefault(word, _Pair()).add(value)
            self.places.setdefault(label, _Pair()).add(np.zeros(()))
            return
        first = next(iter(self.places.values()), None)
        if first is not None and np.shape(first.signed.mean) != values.shape:
            raise NotSupported(
                f"the maps have {np.shape(first.signed.mean)} and {values.shape} places: a summary needs common ones"
            )
        self.places.setdefault(label, _Pair()).add(values)
        if isinstance(e.input_spec, Image):
            self.inputs.setdefault(label, _Moments()).add(np.asarray(e.display[0], np.float64))

    @property
    def classes(self) -> list[str]:
        """The labels of the targets, in the order of their indices."""
        return sorted(self.order, key=lambda n: _order(self.order[n], n))


def _order(target: Any, label: str) -> tuple[int, int, str]:
    """By index where the target is one, other targets after them by name."""
    return (0, target, label) if isinstance(target, int) else (1, 0, label)


def _by_place(e: Attribution) -> Array:
    """Give one sample's values without a channel axis, but for series, whose channels are parts."""
    values = np.asarray(e.values[0], np.float64)
    if isinstance(e.input_spec, Image) and "channel" in e.axes:
        return values.sum(e.axes.index("channel") - 1)
    return values


def _by_word(e: Attribution, values: Array) -> dict[str, float]:
    """Give the mean value of every different word of one text."""
    spec, text = e.input_spec, e.display[0]
    if isinstance(text, str):
        words: Sequence[str | None] = [None if t is None else t[0] for t in spec.placed(text)]
    else:
        words = [str(w) or None if i != spec.pad else None for i, w in zip(text, spec.decode(e.x)[0], strict=True)]
    found: dict[str, list[float]] = {}
    for word, value in zip(words, values, strict=True):
        if word is not None:
            found.setdefault(word, []).append(float(value))
    return {word: float(np.mean(each)) for word, each in found.items()}


def _result(model: Model, g: _Gathered, method: str, level: float, minimum: int, seed: int, seconds: float) -> Summary:
    if g.example is None or not g.order:
        raise NotSupported(f"none of the {g.count} explanations holds finite values: there is nothing to sum up")
    e = g.example
    numbers = _words(g, level, minimum) if isinstance(e.input_spec, Text) else _places(g, level)
    return Summary(
        **numbers,
        classes=tuple(g.classes),
        samples=np.array([g.places[c].signed.count for c in g.classes]),
        level=level,
        method=method,
        display=np.stack([g.inputs[c].mean for c in g.classes]) if g.inputs else None,
        input_spec=e.input_spec,
        output_spec=e.output_spec,
        status=_status(g),
        origin=origin_of(
            model,
            None,
            "summary",
            parameters={"method": method, "level": level, "minimum": minimum, **e.origin.parameters},
            seconds=seconds,
            calls=g.calls,
            score=e.origin.score,
            seed=seed,
            notes={"samples": g.count, "inputs": g.digest.hexdigest(), **g.statuses},
        ),
    )


def _places(g: _Gathered, level: float) -> dict[str, Any]:
    e, pairs = g.example, [g.places[c] for c in g.classes]
    assert e is not None
    axes = tuple(a for a in e.axes[1:] if a != "channel" or not isinstance(e.input_spec, Image))
    counts = np.stack([np.full(np.shape(p.signed.mean), p.signed.count) for p in pairs])
    names = tuple(getattr(e.input_spec, "columns", ())) if axes == ("column",) else ()
    if not names and len(axes) == 1 and axes[0] not in ("time", "token"):
        names = tuple(map(str, range(counts.shape[1])))
    return {"axes": axes, "parts": names, "counts": counts, **_means(pairs, level)}


def _means(pairs: Sequence[_Pair], level: float) -> dict[str, Any]:
    return {
        "magnitude": np.stack([p.magnitude.mean for p in pairs]),
        "signed": np.stack([p.signed.mean for p in pairs]),
        "magnitude_interval": np.stack([np.stack(p.magnitude.interval(level), -1) for p in pairs]),
        "signed_interval": np.stack([np.stack(p.signed.interval(level), -1) for p in pairs]),
    }


def _words(g: _Gathered, level: float, minimum: int) -> dict[str, Any]:
    """Lay the words out as (class, word), the most important first; NaN where a class has too few of a word."""
    enough = {c: {w: p for w, p in g.words[c].items() if p.signed.count >= minimum} for c in g.classes}
    largest: dict[str, float] = {}
    for pairs in enough.values():
        for word, pair in pairs.items():
            largest[word] = max(largest.get(word, 0.0), float(pair.magnitude.mean))
    if not largest:
        raise NotSupported(f"no word occurs in {minimum} samples of a class: lower minimum=, or give more samples")
    words = sorted(largest, key=lambda w: (-largest[w], w))
    shape = (len(g.classes), len(words))
    table = {name: np.full(shape, np.nan) for name in ("magnitude", "signed")}
    table |= {f"{name}_interval": np.full((*shape, 2), np.nan) for name in ("magnitude", "signed")}
    counts = np.zeros(shape, int)
    for i, c in enumerate(g.classes):
        for k, word in enumerate(words):
            if word in g.words[c]:
                counts[i, k] = g.words[c][word].signed.count
            if word in enough[c]:
                for name in ("magnitude", "signed"):
                    moments = getattr(enough[c][word], name)
                    table[name][i, k] = moments.mean
                    table[f"{name}_interval"][i, k] = moments.interval(level)
    return {"axes": ("word",), "parts": tuple(words), "counts": counts, **table}


def _status(g: _Gathered) -> Status:
    """Judge the summary by the explanations that went into it."""
    said = [f"{n} of {g.count} explanations: {level}" for level, n in g.statuses.items() if n and level != "ok"]
    if g.left_out:
        said.append(f"{g.left_out} of {g.count} maps are not finite and left out")
    if g.statuses["fail"] > TOLERATED * g.count:
        return Status("fail", tuple(said))
    return Status("warn" if said else "ok", tuple(said))
