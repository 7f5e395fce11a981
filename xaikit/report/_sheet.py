"""What a report says, as data: the page and report.json are two readers of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.attribution import methods as known
from xaikit.figures import badge_of, label_of, spoken, unit
from xaikit.inputs import specs_to_dict, target_to_json
from xaikit.jobs.kinds import BESIDES
from xaikit.quality import agreements
from xaikit.report._answers import Answer, answers
from xaikit.report._collect import PREDICT, Explained, Explanations
from xaikit.report._parts import Strongest, sentence, strongest
from xaikit.results import Attribution, Prediction

KIND, SCHEMA = "xaikit-report", 1


@dataclass(frozen=True, eq=False)
class Entry:
    """One explanation of one sample: what a method says of one input of the network."""

    method: str
    of_input: str
    result: Attribution
    together: int
    named: str = ""

    @property
    def name(self) -> str:
        """The method as people write it, with what tells it from others."""
        return self.named or spoken(self.method)

    @cached_property
    def strongest(self) -> Strongest:
        """The strongest parts."""
        return strongest(self.result)

    @cached_property
    def sentence(self) -> str:
        """The strongest parts in words."""
        return sentence(self.result, self.strongest)

    @property
    def quality(self) -> dict[str, float]:
        """The evidence of this sample by name."""
        return {name: float(values[0]) for name, values in self.result.quality.items() if np.ndim(values) == 1}


@dataclass(frozen=True, eq=False)
class Sample:
    """One sample of one input with everything that was found of it."""

    number: int
    explained: Explained
    index: int
    entries: tuple[Entry, ...]
    missing: tuple[str, ...]
    agreement: Array
    """How far the methods agree, for each input of the network: (input, method, method)."""

    @property
    def title(self) -> str:
        """Name the sample for people."""
        several = len(self.explained) > 1
        return f"{self.explained.name}, sample {self.index + 1}" if several else self.explained.name

    @cached_property
    def answers(self) -> tuple[Answer, ...]:
        """What the network says."""
        return answers(self.explained.prediction, self.index)


@dataclass(frozen=True, eq=False)
class Sheet:
    """All samples, and how far the methods agree on them: (method, method), with the number of maps compared."""

    found: Explanations
    samples: tuple[Sample, ...]
    agreement: Array
    compared: Array

    @property
    def entries(self) -> Iterator[Entry]:
        """All explanations."""
        return (entry for sample in self.samples for entry in sample.entries)


def sheet(found: Explanations) -> Sheet:
    """Read everything that a report says out of the results."""
    samples: list[Sample] = []
    for explained in found.inputs:
        for i in range(len(explained)):
            samples.append(sample_of(explained, i, found.methods, len(samples) + 1))
    table = np.concatenate([sample.agreement for sample in samples])
    compared = np.isfinite(table).sum(0)
    mean = np.divide(np.nansum(table, 0), compared, out=np.full(compared.shape, np.nan), where=compared > 0)
    return Sheet(found, tuple(samples), mean, compared)


def sample_of(
    explained: Explained, i: int, methods: tuple[str, ...], number: int, named: Mapping[str, str] | None = None
) -> Sample:
    """Give one sample with all that was found of it; `named` are other names for methods."""
    there = (m for m in methods if m in explained.results)
    entries = tuple(e for m in there for e in _entries(m, explained, i, (named or {}).get(m, "")))
    missing = tuple(m for m in methods if m not in explained.results)
    return Sample(number, explained, i, entries, missing, _agreement(entries, methods))


def _entries(method: str, explained: Explained, i: int, named: str) -> Iterator[Entry]:
    result = explained.results[method]
    each = {"": result} if isinstance(result, Attribution) else result
    return (Entry(method, name, one[i], len(one), named) for name, one in each.items())


def _agreement(entries: tuple[Entry, ...], methods: tuple[str, ...]) -> Array:
    """Compare what all methods say of each input of the network: (input, method, method)."""
    tables = []
    for name in dict.fromkeys(e.of_input for e in entries):
        there = {e.method: e.result for e in entries if e.of_input == name}
        tables.append(agreements([there.get(m) for m in methods]))
    return np.stack(tables) if tables else np.empty((0, len(methods), len(methods)))


# ---------------------------------------------------------------- as JSON


def described(s: Sheet, places: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    """Give everything but the files as JSON types; `places` maps (input, method) to the file of the result.

    Numbers that are not finite are null: the files have them.
    """
    found, origin = s.found, s.found.origin
    return {
        "kind": KIND,
        "schema": SCHEMA,
        "versions": dict(origin.versions),
        "model": model_to_dict(found.model, s.samples[0].explained.prediction),
        "seed": found.seed,
        "target": _target(found.target),
        "methods": [_method(name, s) for name in found.methods],
        "agreement": {
            "measure": "Spearman's rank correlation, mean over samples",
            "methods": list(found.methods),
            "values": finite(s.agreement.tolist()),
            "compared": s.compared.astype(int).tolist(),
        },
        "samples": [sample_to_dict(sample, places) for sample in s.samples],
        "failed": [{"input": f.input, "method": f.method, "error": f.error} for f in found.failures],
    }


def model_to_dict(asked: str, prediction: Prediction) -> dict[str, Any]:
    """Give what is known of a model as JSON types; `asked` is what it was loaded by."""
    origin = prediction.origin
    return {
        "asked": asked,
        "name": origin.model,
        "framework": origin.framework,
        "device": origin.device,
        "fingerprint": origin.fingerprint,
        "weights_id": origin.weights_id,
        "inputs": _short(specs_to_dict(prediction.input_spec)),
        "outputs": _short(specs_to_dict(prediction.output_spec)),
    }


def counts(s: Sheet, method: str) -> dict[str, int]:
    """Count a method's verdicts: ok, warn, fail, none where nothing could be checked, and units without a result."""
    levels = [badge_of(e.result).level for e in s.entries if e.method == method]
    failed = sum(f.method == method for f in s.found.failures)
    return {**{level: levels.count(level) for level in ("ok", "warn", "fail", "none")}, "failed": failed}


def _method(name: str, s: Sheet) -> dict[str, Any]:
    asked = dict(s.found.parameters.get(name, {}))
    explainer = known[name].make({k: v for k, v in asked.items() if k not in BESIDES})
    settled = {k: getattr(explainer, k) for k in known[name].parameters()}
    return {"name": name, "parameters": finite(_json({**settled, **asked})), "units": counts(s, name)}


def sample_to_dict(sample: Sample, places: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    """Give a sample as JSON types; `places` maps (input, method) to the file of the result."""
    explained, i = sample.explained, sample.index
    return {
        "title": sample.title,
        "input": explained.name,
        "given": explained.given,
        "index": i,
        "input_hash": explained.prediction.origin.input_hash[i],
        "prediction": places[explained.name, PREDICT],
        "answers": [
            {
                "output": a.output,
                "label": a.label,
                "numbers": a.kind,
                "of": a.of,
                "rows": [{"name": r.name, "value": finite(r.value)} for r in a.rows],
            }
            for a in sample.answers
        ],
        "results": [_entry(e, places[explained.name, e.method], i) for e in sample.entries],
        "missing": list(sample.missing),
    }


def _entry(e: Entry, place: str, i: int) -> dict[str, Any]:
    r, origin = e.result, e.result.origin
    return {
        "method": e.method,
        "input": e.of_input or None,
        "unit": place,
        "index": i,
        "target": _target(r.target[0]),
        "target_label": label_of(r, 0),
        "explained": origin.score,
        "layer": r.layer,
        "quality": finite(e.quality),
        "status": str(r.status),
        "reasons": list(r.status.reasons),
        "numbers": unit(r),
        "seconds": origin.seconds,
        "model_calls": origin.model_calls,
        "samples_together": e.together,
        "sentence": e.sentence,
        "part": e.strongest.kind,
        "strongest": [{"part": p.full, "value": finite(p.value), "share": p.share} for p in e.strongest.parts],
    }


def _target(target: Any) -> Any:
    if isinstance(target, list | tuple):
        return [_target(each) for each in target]
    if target is None or isinstance(target, np.integer):
        return None if target is None else int(target)
    return target_to_json(target)


def _json(value: Any) -> Any:
    """Give a parameter as JSON types: an array is told by its shape."""
    if isinstance(value, np.ndarray):
        return f"array of {' × '.join(map(str, value.shape))}"
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {str(k): _json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_json(v) for v in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def finite(value: Any) -> Any:
    """Replace numbers that are not finite by None."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {k: finite(v) for k, v in value.items()}
    return [finite(v) for v in value] if isinstance(value, list) else value


def _short(spec: Any) -> Any:
    """Leave out of a spec what is too long to read; the stored results have it."""
    if isinstance(spec, Mapping):
        return {k: _short(v) for k, v in spec.items() if k not in ("vocabulary", "background")}
    return spec
