"""A study's folder as a report reads it: one input after the other, each with its results and what it lacks."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from xaikit import storage
from xaikit.errors import StorageError, XaikitError
from xaikit.figures import spoken
from xaikit.inputs import Table, Text
from xaikit.jobs.remote import is_remote
from xaikit.report._answers import given
from xaikit.report._collect import Explained
from xaikit.report._names import distinct
from xaikit.report._sheet import Entry, Sample, sample_of
from xaikit.report._view import settings
from xaikit.results import Attribution, Attributions, Prediction
from xaikit.study import Study
from xaikit.study._files import PLAN
from xaikit.study._folder import Ledger, is_running, unit_name
from xaikit.study._inputs import items
from xaikit.study._places import place_of

Key = tuple[str, str]
SHOWN = 20
"""How many samples of one input have a place on its page."""
GIST = 90


@dataclass(frozen=True)
class Column:
    """What is asked about every input: a method with its parameters, and a target; `name` tells it from the others."""

    method: str
    parameters: Mapping[str, Any]
    target: Any
    name: str


@dataclass(frozen=True, eq=False)
class Case:
    """One input of a study: its `samples` (at most SHOWN of `of`), and by column why there is no result."""

    number: int
    name: str
    samples: tuple[Sample, ...]
    of: int
    errors: Mapping[str, str]
    rows: Mapping[str, Mapping[str, Any]]

    @property
    def title(self) -> str:
        """Name the input for people."""
        name = PurePath(self.name).name if self.name.startswith(("/", "\\")) else self.name
        return name if len(name) <= GIST else f"{name[: GIST - 1]}…"

    @cached_property
    def gist(self) -> str:
        """What was given, in a few words, where it is words."""
        if not self.samples:
            return ""
        prediction = self.samples[0].explained.prediction
        if not isinstance(prediction.input_spec, Text | Table):
            return ""
        first = given(prediction, 0)[0]
        words = first.text or ", ".join(f"{name} {value}" for name, value in first.lines)
        return words if len(words) <= GIST else f"{words[:GIST].rsplit(' ', 1)[0]} …"


class Reading:
    """A study being read: what it asks, how far it is, and its inputs one by one, so that memory stays flat.

    `columns` maps what a unit is called to its Column, `states` counts units, `many` is the number of inputs with a
    line in the manifest. Lines that are written later are not seen. Nothing in the folder is changed.
    """

    def __init__(self, study: Study) -> None:
        self.study, self.running = study, is_running(study.folder)
        self._ledger = Ledger()
        self._ledger.add(study.events())
        self.states: Counter[str] = Counter()
        self.updated = ""
        asked = dict.fromkeys(_key(m.name, m.parameters, target) for m, target in study.plan.asked())
        for row in self._ledger.rows():
            self.states["failed" if row["state"] == "failed" else "done"] += 1
            self.updated = max(self.updated, str(row.get("at") or ""))
            asked.setdefault(unit_name(row)[1:])
        self.columns = _columns(list(asked))
        self.many = sum(1 for _ in self._ledger.inputs())

    def __enter__(self) -> "Reading":
        return self

    def __exit__(self, *error: object) -> None:
        self._ledger.__exit__(*error)

    @property
    def names(self) -> dict[str, str]:
        """The columns by name, as the methods of a sample."""
        return {column.name: column.name for column in self.columns.values()}

    @cached_property
    def first(self) -> Prediction | None:
        """What the network said of the first input that has a result."""
        return next((case.samples[0].explained.prediction for case in self.cases() if case.samples), None)

    @cached_property
    def planned(self) -> int | None:
        """How many units the plan means; None where its inputs cannot be found any more."""
        plan = self.study.plan
        try:
            spec = None if self.first is None else self.first.input_spec
            return len(list(plan.asked())) * sum(1 for _ in items(plan.inputs, plan.folder, spec))
        except (XaikitError, OSError):
            return None

    @property
    def state(self) -> str:
        """Say whether the study is complete, in progress, or was left unfinished."""
        if self.running:
            return "in progress"
        there = self.states.total()
        planned = there if self.planned is None else self.planned
        return "unfinished" if there < max(planned, self.many * len(self.columns)) else "complete"

    def cases(self) -> Iterator[Case]:
        """Give the inputs in their order."""
        for number, (name, rows) in enumerate(self._ledger.inputs(), 1):
            yield self._case(number, name, rows)

    def _case(self, number: int, name: str, rows: Sequence[Mapping[str, Any]]) -> Case:
        told = {self.columns[unit_name(row)[1:]].name: row for row in rows}
        results: dict[str, Attribution | Attributions] = {}
        errors: dict[str, str] = {}
        for column in self.names:
            try:
                results[column] = self._result(told.get(column))
            except StorageError as error:
                errors[column] = str(error)
        if not results:
            return Case(number, name, (), 0, errors, told)
        prediction = _prediction(next(iter(results.values())))
        same = {n: r for n, r in results.items() if _prediction(r).origin.input_hash == prediction.origin.input_hash}
        errors |= {n: "its result is of another input" for n in results if n not in same}
        explained = Explained(name, name, prediction, same)
        names = tuple(self.names)
        samples = tuple(sample_of(explained, i, names, number, self.names) for i in range(min(len(explained), SHOWN)))
        return Case(number, name, samples, len(explained), errors, told)

    def _result(self, row: Mapping[str, Any] | None) -> Any:
        """Read a result. Raises StorageError, with the words for people, where there is none."""
        if row is None:
            raise StorageError("not yet made" if self.running else "the study was stopped before it")
        if row["state"] == "failed" or row["key"] is None:
            raise StorageError(row["error"] or "it failed")
        key = row["key"]
        data = self.study.store.data(key)  # the store itself removes what is damaged, which is not a report's to do
        found = storage.load_from(lambda suffix: BytesIO(data[suffix]), f"units/{key[:2]}/{key}")
        if not isinstance(found, Attribution | Attributions):
            raise StorageError(f"the stored result is a {type(found).__name__}")
        return found


def _prediction(result: Attribution | Attributions) -> Prediction:
    """Give what the network said, as each explanation of it has kept it."""
    if isinstance(result, Attribution):
        e = result
        return Prediction(e.prediction, e.x, e.display, e.input_spec, e.output_spec, e.origin)
    first = next(iter(result.values()))
    each = dict(result)
    x, display, spec = ({n: getattr(e, f) for n, e in each.items()} for f in ("x", "display", "input_spec"))
    return Prediction(first.prediction, x, display, spec, first.output_spec, first.origin)


def entries_of(case: Case) -> Iterator[Entry]:
    """Give all explanations of an input."""
    return (entry for sample in case.samples for entry in sample.entries)


def is_study(word: str) -> bool:
    """Whether a word names the folder, or the URL, of a study that was run."""
    if is_remote(word):
        return place_of(word).has(PLAN)
    return (Path(word) / PLAN).is_file()


# ---------------------------------------------------------------- what is asked


def _key(method: str, parameters: Mapping[str, Any], target: Any) -> Key:
    from xaikit.inputs import target_to_json

    asked = None if target is None else target_to_json(target)
    return unit_name({"input": "", "method": method, "parameters": dict(parameters), "target": asked})[1:]


def _columns(keys: Sequence[Key]) -> dict[Key, Column]:
    """Name what is asked: by the method, and by target and parameters where methods come more than once."""
    read = [(*json.loads(key[0]), json.loads(key[1])) for key in keys]
    names = []
    for method, parameters, target in read:
        same = [each for each in read if each[0] == method]
        name = spoken(method)
        if any(each[2] != target for each in same):
            name += f" of {_target(target)}"
        if any(each[1] != parameters and each[2] == target for each in same):
            name += f" ({settings(parameters) if parameters else 'defaults'})"
        names.append(name)
    return {
        key: Column(method, parameters, target, name)
        for key, (method, parameters, target), name in zip(keys, read, distinct(names), strict=True)
    }


def _target(target: Any) -> str:
    if target is None:
        return "the predicted class"
    if isinstance(target, Mapping):
        said = ", ".join(str(v) for k, v in target.items() if k != "kind" and v is not None)
        return f"{target.get('kind', 'target')}({said})"
    return str(target)


# ---------------------------------------------------------------- numbers of a sample


def mean_agreement(sample: Sample) -> float:
    """Give how far the methods agree on a sample, in the mean of all pairs; NaN where none can be compared."""
    count = sample.agreement.shape[-1]
    below = np.tril_indices(count, -1)
    pairs = sample.agreement[:, below[0], below[1]]
    there = np.isfinite(pairs)
    return float(pairs[there].mean()) if there.any() else float("nan")
