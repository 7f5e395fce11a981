"""What a report says of all inputs of a study together, counted as they pass: memory does not grow with them."""

import heapq
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count as numbers

import numpy as np

from xaikit.arrays import Array
from xaikit.figures import badge_of, number
from xaikit.figures import probability as written
from xaikit.report._answers import Answer
from xaikit.report._page import LOWEST, Measure, evidence_columns
from xaikit.report._sheet import Entry, Sample
from xaikit.report._study import Case, entries_of, mean_agreement
from xaikit.report._view import listed, said, signed

KEPT = 4096
"""Up to so many numbers a median is exact; beyond it is that of so many, drawn with equal chances."""
WORST = 5
FAILED, NAMED = 50, 4
"""How many different errors are listed, and how many of their inputs are named."""
LABELS = 1000
AREAS = ("deletion", "insertion", "random_deletion", "random_insertion")


class Spread:
    """Many numbers: how many, the least, the largest, and their median."""

    def __init__(self) -> None:
        self.count, self.low, self.high = 0, math.inf, -math.inf
        self._kept: list[float] = []
        self._rng = np.random.default_rng(0)

    def add(self, value: float) -> None:
        """Take a number; one that is not finite is left out."""
        if not math.isfinite(value):
            return
        self.count += 1
        self.low, self.high = min(self.low, value), max(self.high, value)
        if len(self._kept) < KEPT:
            self._kept.append(value)
        elif (place := int(self._rng.integers(self.count))) < KEPT:
            self._kept[place] = value

    @property
    def median(self) -> float:
        """The number in the middle; NaN of none."""
        return float(np.median(self._kept)) if self._kept else math.nan


@dataclass
class OfMethod:
    """All explanations by one method: verdicts, evidence, cost."""

    levels: Counter[str] = field(default_factory=Counter)
    quality: dict[str, Spread] = field(default_factory=dict)
    seconds: float = 0.0
    calls: int = 0

    def add(self, entry: Entry) -> None:
        """Take one explanation."""
        origin = entry.result.origin
        self.levels[badge_of(entry.result).level] += 1
        self.seconds += origin.seconds / entry.together
        self.calls += origin.model_calls // entry.together
        for key, value in entry.quality.items():
            self.quality.setdefault(key, Spread()).add(value)

    def worst(self, key: str) -> float | None:
        """Give the worst of a kind of evidence, or None."""
        found = self.quality.get(key)
        return None if found is None or not found.count else found.low if key in LOWEST else found.high


@dataclass(frozen=True)
class Outlier:
    """An input that stands out: its number and name, and by what."""

    number: int
    name: str
    value: float
    said: str
    by: str = ""


class Extremes:
    """The few inputs with the least of something (or the most, where `sign` is -1)."""

    def __init__(self, title: str, why: str, sign: int = 1) -> None:
        self.title, self.why, self.sign = title, why, sign
        self._worst: list[tuple[float, int, Outlier]] = []
        self._order = numbers(0, -1)

    def add(self, case: Case, value: float, words: str, by: str = "") -> None:
        """Take an input; a number that is not finite is left out."""
        if not math.isfinite(value):
            return
        item = (-self.sign * value, next(self._order), Outlier(case.number, case.title, value, words, by))
        if len(self._worst) < WORST:
            heapq.heappush(self._worst, item)
        else:
            heapq.heappushpop(self._worst, item)

    def found(self) -> list[Outlier]:
        """Give them, the worst first."""
        return [outlier for _, _, outlier in sorted(self._worst, reverse=True)]


@dataclass
class SameError:
    """Units that failed with the same words: by which methods, on which inputs (the first of them), how many."""

    error: str
    methods: dict[str, None] = field(default_factory=dict)
    inputs: dict[int, str] = field(default_factory=dict)
    units: int = 0
    many: int = 0
    last: int = 0

    def told(self) -> tuple[str, str, list[tuple[int, str]], int, int]:
        """Give error, methods, inputs, how many more inputs, and how many units."""
        return self.error, listed(list(self.methods)), list(self.inputs.items()), self.more, self.units

    @property
    def more(self) -> int:
        """Count the inputs that are not named."""
        return self.many - len(self.inputs)

    def add(self, case: Case, method: str) -> None:
        """Take one unit; inputs come one after the other."""
        self.units += 1
        self.methods[method] = None
        if case.number != self.last:
            self.many, self.last = self.many + 1, case.number
            if len(self.inputs) < NAMED:
                self.inputs[case.number] = case.title


class Tally:
    """All inputs together; `add` them one by one."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.methods = {name: OfMethod() for name in names}
        self.failed: dict[str, int] = dict.fromkeys(names, 0)
        self.failures: dict[str, SameError] = {}
        self.unlisted = 0
        self.inputs = self.samples = self.empty = 0
        self.labels: Counter[str] = Counter()
        self.scores = Spread()
        self.score_kind = ""
        shape = (len(self.names), len(self.names))
        self._sum, self.compared = np.zeros(shape), np.zeros(shape, int)
        self._extremes = {
            "agreement": Extremes("Least agreement", "the methods differ most about why"),
            "verdict": Extremes("Most failed checks", "explanations that did not pass, with caution counted half", -1),
            "completeness_gap_relative": Extremes("Largest completeness gap", "the values do not add up", -1),
            "surrogate_r2": Extremes("Lowest fit of a surrogate", "R² of what stands for the network"),
            "advantage": Extremes("Least faithful", "in standard deviations beyond random maps"),
            "confidence": Extremes("Lowest confidence", "the network is least sure of its answer"),
            "error": Extremes("Largest reconstruction error", "the network gives these back worst", -1),
        }

    def add(self, case: Case) -> None:
        """Take an input."""
        self.inputs += 1
        self.samples += case.of
        self.empty += not case.samples
        for entry in entries_of(case):
            self.methods[entry.method].add(entry)
        for name, error in case.errors.items():
            self.failed[name] += 1
            if error in self.failures or len(self.failures) < FAILED:
                self.failures.setdefault(error, SameError(error)).add(case, name)
            else:
                self.unlisted += 1
        for sample in case.samples:
            self._add(case, sample)

    def _add(self, case: Case, sample: Sample) -> None:
        for table in sample.agreement:
            there = np.isfinite(table)
            self.compared += there
            self._sum += np.where(there, table, 0.0)
        self._extremes["agreement"].add(case, mean := mean_agreement(sample), signed(mean))
        levels = [badge_of(e.result).level for e in sample.entries]
        bad = levels.count("fail") + levels.count("warn") / 2
        if bad:
            told = [f"{levels.count(k)} {w}" for k, w in (("fail", "failed"), ("warn", "with caution")) if k in levels]
            self._extremes["verdict"].add(case, bad, ", ".join(told))
        for key, _, write in evidence_columns(e.quality for e in sample.entries):
            if key in self._extremes:
                self._of_evidence(case, sample, key, write)
        for answer in sample.answers[:1]:
            self._answered(case, answer)

    def _of_evidence(self, case: Case, sample: Sample, key: str, write: Callable[[float], str]) -> None:
        worst = min if key in LOWEST else max
        there = [(e.quality[key], e.name) for e in sample.entries if math.isfinite(e.quality.get(key, math.nan))]
        if there:
            value, name = worst(there)
            self._extremes[key].add(case, value, write(value), name)

    def _answered(self, case: Case, answer: Answer) -> None:
        if not answer.rows:
            return
        first = answer.rows[0]
        self.score_kind = answer.kind
        self.scores.add(first.value)
        if answer.kind == "probability":
            if first.name in self.labels or len(self.labels) < LABELS:
                self.labels[first.name] += 1
            self._extremes["confidence"].add(case, first.value, f"{first.name} {written(first.value)}")
        elif answer.label == "reconstruction error":
            self._extremes["error"].add(case, first.value, said(answer).removeprefix("reconstruction error "))

    @property
    def agreement(self) -> Array:
        """The mean rank agreement of every pair of methods: (method, method), NaN where none could be compared."""
        nothing = np.full(self._sum.shape, np.nan)
        return np.divide(self._sum, self.compared, out=nothing, where=self.compared > 0)

    @property
    def levels(self) -> Counter[str]:
        """Verdicts of all methods."""
        return sum((m.levels for m in self.methods.values()), Counter())

    @property
    def made(self) -> int:
        """Count explanations."""
        return self.levels.total()

    def outliers(self) -> Iterator[tuple[str, Extremes]]:
        """Give what is extreme, as far as there is any."""
        return ((kind, each) for kind, each in self._extremes.items() if each.found())

    def evidence(self) -> tuple[Measure, ...]:
        """Give the columns of evidence."""
        there = {key for m in self.methods.values() for key, spread in m.quality.items() if spread.count}
        return tuple(measure for measure in evidence_columns([there]) if measure[0] in there)

    def faithfulness(self) -> list[tuple[str, list[str]]]:
        """Give, for each method that was judged, the median areas under deletion and insertion, and of random maps."""
        rows = []
        for name, method in self.methods.items():
            medians = [method.quality[key].median for key in AREAS if key in method.quality]
            if len(medians) == len(AREAS):
                gain = method.quality.get("advantage")
                rows.append((name, [*map(number, medians), f"{number(gain.median, 2)} sd" if gain else "–"]))
        return rows


def shares(labels: Counter[str], most: int = 10) -> list[tuple[str, int, float]]:
    """Give the most frequent labels with their counts and shares."""
    total = labels.total() or 1
    return [(label, count, count / total) for label, count in labels.most_common(most)]
