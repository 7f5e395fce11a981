"""The golden cases carried out, framework by framework, and the frameworks compared with one another."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np

from xaikit import wrapping
from xaikit.arrays import Array
from xaikit.errors import MissingPackage, NotSupported, StorageError
from xaikit.perturb.memory import MEMORY
from xaikit.selftest._bench import Bench, bench
from xaikit.selftest._case import Case, Golden, cases

FILE: Traversable = files("xaikit.selftest") / "golden.npz"
Progress = Callable[[int, int, str], None]
Verdict = Literal["pass", "fail", "skipped"]


@dataclass(frozen=True)
class Outcome:
    """What came of one golden case on one framework, or of the same case on two: "torch = keras".

    `difference` is the greatest one, relative to the largest right value; None where nothing could be compared, and
    then `said` tells why. `seconds` is the time of the calculation.
    """

    framework: str
    case: str
    compared: str
    difference: float | None
    tolerance: float | None
    seconds: float
    verdict: Verdict
    said: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as JSON types; a difference that is no number is None."""
        given = asdict(self)
        if self.difference is not None and not np.isfinite(self.difference):
            given["difference"] = None
        return given


def run(
    frameworks: Sequence[str] = (),
    *,
    device: str | None = None,
    only: Sequence[str] = (),
    golden: str | Path | None = None,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Calculate the golden cases here and compare them with what is right: an Outcome for each, in order.

    frameworks: "torch", "keras"; by default all for which xaikit has an adapter. One that is not installed, or whose
    adapter builds no networks, has one Outcome with the verdict "skipped". With two, cases of trained networks are
    also compared between them. device: "cpu", "cuda", "cuda:1", by default where the framework puts a network. only:
    names or groups of cases. golden: another data file than the package's. progress(done, total, text) is called
    before every case.

    An error in a case is its failure, with the text in `said`. Raises UnknownName for a framework or case that is not
    known, UsageError for a device that is not there, StorageError for a data file that cannot be read.
    """
    chosen, right = cases(tuple(only)), read(golden)
    named = tuple(dict.fromkeys(frameworks)) or tuple(sorted(wrapping.adapters(), reverse=True))
    report, total = progress or (lambda done, total, said: None), len(named) * len(chosen)
    found: list[Outcome] = []
    given: dict[str, dict[str, Array]] = {}
    for k, framework in enumerate(named):
        report(k * len(chosen), total, f"{framework}: starting")
        try:
            with bench(framework, device) as here:
                given[framework] = {}
                for i, case in enumerate(chosen):
                    report(k * len(chosen) + i, total, f"{framework}: {case.name}")
                    found.append(_one(case, here, right, given[framework]))
        except (MissingPackage, NotSupported) as error:
            found.append(Outcome(framework, "", "", None, None, 0.0, "skipped", str(error)))
    report(total, total, "done")
    trained = [case for case in chosen if case.name in right]
    for one, other in combinations(given, 2):
        found += [_both(case, one, other, given) for case in trained if case.name in given[one].keys() & given[other]]
    return found


def read(golden: str | Path | None = None) -> Golden:
    """Read stored arrays by name, of another file or the package's own. Raises StorageError."""
    place = FILE if golden is None else Path(golden)
    try:
        with place.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays}
    except Exception as error:  # NumPy and zipfile raise many kinds for a damaged file
        raise StorageError(f"the golden values in {place} cannot be read: {error}") from None


def _one(case: Case, here: Bench, golden: Golden, kept: dict[str, Array]) -> Outcome:
    MEMORY.clear()  # answers that were remembered would be compared with themselves
    start = time.perf_counter()
    try:
        kept[case.name] = np.asarray(case.given(here, golden))
        right = np.asarray(case.right(golden))
    except Exception as error:  # an installation that is broken fails in its own ways: that is what is to be told
        kept.pop(case.name, None)
        return _failed(case, here.framework, start, f"{type(error).__name__}: {error}")
    return _judged(case, here.framework, kept[case.name], right, time.perf_counter() - start)


def _failed(case: Case, framework: str, start: float, said: str) -> Outcome:
    seconds = time.perf_counter() - start
    return Outcome(framework, case.name, case.compared, None, case.tolerance, seconds, "fail", " ".join(said.split()))


def _both(case: Case, one: str, other: str, given: dict[str, dict[str, Array]]) -> Outcome:
    return _judged(case, f"{one} = {other}", given[other][case.name], given[one][case.name], 0.0)


def _judged(case: Case, framework: str, given: Array, right: Array, seconds: float) -> Outcome:
    if given.shape != right.shape:
        said = f"shape {given.shape}, expected {right.shape}"
        return Outcome(framework, case.name, case.compared, None, case.tolerance, seconds, "fail", said)
    difference = apart(given, right)
    verdict: Verdict = "pass" if difference <= case.tolerance else "fail"  # NaN fails
    return Outcome(framework, case.name, case.compared, difference, case.tolerance, seconds, verdict)


def apart(given: Array, right: Array) -> float:
    """Give max|given - right| / max|right|, or max|given| where all that is right is 0; NaN where a number is."""
    size = float(np.abs(right).max(initial=0.0))
    return float(np.abs(np.asarray(given, np.float64) - right).max(initial=0.0)) / (size or 1.0)
