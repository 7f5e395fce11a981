"""What workers do for the page Data: ask the network about every sample that there is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from xaikit.arrays import Array, chunks
from xaikit.errors import InputError, NotSupported, ParameterError, XaikitError
from xaikit.inputs import Classes, Masks, Reconstruction, Values
from xaikit.jobs import Task, Unit, tasks
from xaikit.model import Model
from xaikit.progress import Progress
from xaikit.results import RESULTS
from xaikit_app.normals import from_training_data
from xaikit_app.samples import Stock, home, test_data

FORMAT = 1
"""Raised when the task gives something else than before, so that stored results are made anew."""
BATCH = 64
MOST = 12
"""As many values of each sample as are kept of a network that gives many."""
USUAL = 0.99
"""The share of normal samples whose error is below what is called unusual."""
NORMAL = 300
"""As many normal samples as that is taken from."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What a network says of many samples: `scores` (sample, name), and in `predicted` (sample,) the largest of them.

    `kind` says what the scores are: "classes" probabilities, "values" numbers, "error" that of reconstruction, "shares"
    of the pixels of each class, "steps" the mean probability of the entries of a sequence. `texts` are the sequences.
    `limit` is the error that 99 % of normal samples stay below, NaN where that is not known.
    """

    kind: str
    output: str
    names: tuple[str, ...]
    scores: Array
    predicted: Array
    texts: tuple[str, ...] = ()
    limit: float = float("nan")

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.scores)

    @property
    def sure(self) -> Array:
        """The largest score of each sample: (sample,), of classes the probability of the answer."""
        return np.asarray(self.scores.max(1))


RESULTS[Answers.__name__] = Answers


def output_of(outputs: Any) -> tuple[str, Any]:
    """Give the output that the answers are of: the only one, or the first of classes. Raises NotSupported."""
    if not isinstance(outputs, Mapping):
        found = ("", outputs)
    else:
        found = next(((n, s) for n, s in outputs.items() if isinstance(s, Classes)), next(iter(outputs.items())))
    if not isinstance(found[1], Classes | Values | Masks | Reconstruction):
        raise NotSupported(f"answers of the kind {type(found[1]).__name__} have no table")
    return found


def all_answers(model: Model, unit: Unit, progress: Progress) -> Answers:
    """Ask a model about all samples: those in the unit's `samples`, or the test data of a `network` of the zoo."""
    if isinstance(model.inputs, Mapping):
        raise NotSupported(f"{model.name} takes several inputs at once; a table of samples has those of one")
    folder, network = unit.input.get("home"), unit.input.get("network")
    with home(Path(folder) if folder else None):
        batches, count = _batches(unit)
        name, spec = output_of(model.outputs)
        parts = []
        for done, samples in batches:
            parts.append(_said(model, samples, name, spec))
            progress(min(done, count), count)
        limit = _limit(model, network, spec) if network and isinstance(spec, Reconstruction) else float("nan")
    if not parts:
        raise InputError("there are no samples to ask about")
    scores = np.concatenate([scores for scores, _ in parts]).astype(np.float32)
    texts = tuple(text for _, part in parts for text in part)
    names = ("mean probability",) if texts else names_of(spec)[: scores.shape[1]]
    return Answers(_kind(spec, bool(texts)), name, names, scores, scores.argmax(1), texts, limit)


def _batches(unit: Unit) -> tuple[Iterator[tuple[int, Sequence[Any]]], int]:
    """Give the samples in batches, with how many are done after each, and how many there are."""
    given = unit.input.get("samples")
    if given is None:
        stock = _stock(unit.input["network"])
        count, some = stock.count, partial(_taken, stock)
    else:
        count, some = len(given), given.__getitem__
    return ((s.stop, some(s)) for s in chunks(count, BATCH)), count


@lru_cache(maxsize=1)
def _stock(network: str) -> Stock:
    return test_data(network)


def _taken(stock: Stock, some: slice) -> Any:
    return stock.x[some] if stock.x is not None else [stock.take(i).value for i in range(*some.indices(stock.count))]


def _said(model: Model, samples: Any, name: str, spec: Any) -> tuple[Array, list[str]]:
    """Give scores (sample, name) of a batch, and its texts where the network gives sequences."""
    x = model.inputs.prepare(samples)[0]
    output = model.run(x).output
    return scored(spec, np.asarray(output[name] if name else output), np.asarray(x))


def scored(spec: Any, values: Array, x: Array) -> tuple[Array, list[str]]:
    """Turn what a network gave for `x` into scores (sample, name), and texts where it gave sequences."""
    if isinstance(spec, Reconstruction):
        gap = (values.astype(np.float64) - x).reshape(len(values), -1)
        return (gap**2 if spec.error == "mse" else np.abs(gap)).mean(1)[:, None], []
    if isinstance(spec, Masks):
        best = values.argmax(-1).reshape(len(values), -1)
        return np.stack([(best == k).mean(1) for k in range(len(spec.names))], 1), []
    if isinstance(spec, Classes) and values.ndim > 2:
        texts = ["".join(spec.label(int(k)) for k in row) for row in values.argmax(-1)]
        return spec.probabilities(values).max(-1).mean(1, keepdims=True), texts
    if isinstance(spec, Classes):
        return spec.probabilities(values), []
    return values.reshape(len(values), -1)[:, :MOST], []


def _kind(spec: Any, sequences: bool) -> str:
    if sequences:
        return "steps"
    return {Classes: "classes", Masks: "shares", Reconstruction: "error"}.get(type(spec), "values")


def names_of(spec: Any) -> tuple[str, ...]:
    """Give the names of the scores."""
    return tuple(str(n) for n in getattr(spec, "names", ("reconstruction error",)))


def _limit(model: Model, network: str, spec: Any) -> float:
    """Give the error that is unusual for normal samples; NaN where there are none."""
    try:
        normal = from_training_data(network)
    except XaikitError:
        return float("nan")
    chosen = normal[np.linspace(0, len(normal) - 1, min(NORMAL, len(normal))).astype(int)]
    errors = [_said(model, chosen[s], "", spec)[0][:, 0] for s in chunks(len(chosen), BATCH)]
    return float(np.quantile(np.concatenate(errors), USUAL))


def _address(unit: Unit) -> Mapping[str, Any]:
    for name in unit.parameters:
        raise ParameterError(f"{unit.task} has no parameter {name!r}")
    return {"format": FORMAT}


tasks("app-answers")(Task(all_answers, _address))
