"""Two studies of the same inputs by the same methods, compared unit by unit: what a new version of a model changes."""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from xaikit.arrays import agreement
from xaikit.errors import StorageError
from xaikit.quality import rank_agreement
from xaikit.quality._agreement import paired
from xaikit.results import Attributions
from xaikit.study._folder import Ledger, Study, open_study


@dataclass(frozen=True)
class UnitDiff:
    """One unit in both studies.

    `rank_agreement` is Spearman's correlation of the two maps, `difference` max|a − b| / max|a| of their values; NaN
    where they explain different targets or have no common places. `predicted` and `score` are of the first and the
    second study; `changed` says that the predicted class is another.
    """

    input: str
    method: str
    target: Any
    rank_agreement: float
    difference: float
    predicted: tuple[Any, Any]
    score: tuple[Any, Any]
    status: tuple[str, str]
    changed: bool


@dataclass(frozen=True)
class MethodDiff:
    """All units of a method: how many, the median and least rank agreement, the largest difference of values.

    `changed` counts units whose predicted class is another, `other_status` those whose status is.
    """

    method: str
    units: int
    median_agreement: float
    least_agreement: float
    largest_difference: float
    changed: int
    other_status: int


@dataclass(frozen=True)
class StudyDiff:
    """Two studies compared: `first` and `second` by their folders, the units in both, and what only one has.

    `failed` counts units of both that have no result in one of them; `other_input` those whose input is not the same
    in both, which are not compared.
    """

    first: str
    second: str
    units: tuple[UnitDiff, ...]
    only_first: int
    only_second: int
    failed: int
    other_input: int

    def methods(self) -> list[MethodDiff]:
        """Sum up by method, in the order of the first study."""
        names = dict.fromkeys(u.method for u in self.units)
        return [_summed(name, [u for u in self.units if u.method == name]) for name in names]

    def changes(self) -> list[UnitDiff]:
        """Give the units whose predicted class is another, once for each input."""
        return list({u.input: u for u in reversed(self.units) if u.changed}.values())[::-1]

    def to_dict(self) -> dict[str, Any]:
        """Give the comparison as JSON types."""
        return {
            "first": self.first,
            "second": self.second,
            "compared": len(self.units),
            "only_first": self.only_first,
            "only_second": self.only_second,
            "failed": self.failed,
            "other_input": self.other_input,
            "methods": [_plain(asdict(m)) for m in self.methods()],
            "changes": [{"input": u.input, "predicted": list(u.predicted)} for u in self.changes()],
            "units": [_plain(asdict(u)) for u in self.units],
        }


def diff(first: str | os.PathLike[str] | Study, second: str | os.PathLike[str] | Study) -> StudyDiff:
    """Compare two studies, such as those of two versions of a model, and give what differs.

    Units are the same where input, method, parameters and target are; inputs by their names in the plan, and only if
    their content is the same. Raises StorageError for a folder that is no study, and for a damaged result.
    """
    a, b = (s if isinstance(s, Study) else open_study(s) for s in (first, second))
    found: list[UnitDiff] = []
    counts = dict.fromkeys(("only_first", "only_second", "failed", "other_input"), 0)
    with Ledger() as one, Ledger() as two:
        one.add(a.events())
        two.add(b.events())
        counts["only_second"] = sum(one.find(row) is None for row in two.rows())
        for row in one.rows():
            other = two.find(row)
            word = _kept_apart(row, other)
            if word is not None:
                counts[word] += 1
            elif other is not None:
                found.append(_compared(a, b, row, other))
    return StudyDiff(str(a.folder), str(b.folder), tuple(found), **counts)


def _kept_apart(row: Mapping[str, Any], other: Mapping[str, Any] | None) -> str | None:
    """Say why a unit is not compared, or None."""
    if other is None:
        return "only_first"
    if "failed" in (row["state"], other["state"]):
        return "failed"
    return None if row["input_hash"] == other["input_hash"] or _is_other_spec(row, other) else "other_input"


def _is_other_spec(row: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether the hashes cannot be compared: they are of encoded inputs, and of a list in one study only."""
    return type(row["input_hash"]) is not type(other["input_hash"])


def _compared(a: Study, b: Study, row: Mapping[str, Any], other: Mapping[str, Any]) -> UnitDiff:
    results = [_each(_read(study, r)) for study, r in ((a, row), (b, other))]
    rank, difference = math.nan, math.nan
    if row["label"] == other["label"]:
        rank, difference = _agreement(*results)
    return UnitDiff(
        row["input"],
        row["method"],
        row["target"],
        rank,
        difference,
        (row["predicted"], other["predicted"]),
        ((row["quality"] or {}).get("score"), (other["quality"] or {}).get("score")),
        (row["status"], other["status"]),
        row["probability"] is not None and row["predicted"] != other["predicted"],
    )


def _read(study: Study, row: Mapping[str, Any]) -> Any:
    result = study.result(row)
    if result is None:
        raise StorageError(f"{study.folder} has no result for {row['method']} of {row['input']}: run it with --resume")
    return result


def _each(result: Any) -> list[Any]:
    return list(result.values()) if isinstance(result, Attributions) else [result]


def _agreement(first: Sequence[Any], second: Sequence[Any]) -> tuple[float, float]:
    """Compare the maps of a unit, over all its inputs and in the mean of its samples."""
    if len(first) != len(second) or len(first[0]) != len(second[0]):
        return math.nan, math.nan
    ranks = [rank_agreement(*paired(first, second, i)) for i in range(len(first[0]))]
    alike = all(np.shape(a.values) == np.shape(b.values) for a, b in zip(first, second, strict=True))
    off = [agreement(a.values, b.values).max() for a, b in zip(first, second, strict=True)] if alike else [math.nan]
    return float(np.mean(ranks)), float(np.max(off))


def _summed(name: str, units: Sequence[UnitDiff]) -> MethodDiff:
    ranks = [u.rank_agreement for u in units if not math.isnan(u.rank_agreement)]
    off = [u.difference for u in units if not math.isnan(u.difference)]
    return MethodDiff(
        name,
        len(units),
        float(np.median(ranks)) if ranks else math.nan,
        min(ranks, default=math.nan),
        max(off, default=math.nan),
        sum(u.changed for u in units),
        sum(u.status[0] != u.status[1] for u in units),
    )


def _plain(data: dict[str, Any]) -> dict[str, Any]:
    return dict(_finite(data))


def _finite(data: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in data.items():
        yield name, None if isinstance(value, float) and not math.isfinite(value) else value
