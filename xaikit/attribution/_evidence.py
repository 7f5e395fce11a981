"""The evidence that costs model calls of its own: checks that the quality package registers, run on request."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from xaikit.arrays import Array
from xaikit.errors import Cancelled, ParameterError, TimeUp, nearest
from xaikit.model import Model
from xaikit.progress import Progress
from xaikit.registry import Registry
from xaikit.results import Attribution, Attributions, Origin, judge

LEVELS = ("free", "full")


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a check found: numbers (sample,) for `quality`, and how they came about."""

    quality: Mapping[str, Array]
    origin: Origin


Check = Callable[[Model, Attribution | Attributions, Progress | bool | None], Evidence | str]
"""A check of one explanation; words say why where it cannot be checked so."""

evidence: Registry[Check] = Registry("evidence", "xaikit.quality")


def require_level(asked: Any) -> None:
    """Raise ParameterError for what is neither a level of evidence nor the names of checks."""
    if asked in LEVELS:
        return
    known = (*LEVELS, *evidence)
    for name in asked.split(",") if isinstance(asked, str) else [asked]:
        if name not in evidence:
            words = f"evidence is 'free', 'full', or checks by commas ({', '.join(evidence)}), not {asked!r}"
            raise ParameterError(words + nearest(str(name), known))


def with_evidence(
    model: Model, e: Attribution | Attributions, progress: Progress | bool | None = None, level: str = "full"
) -> Attribution | Attributions:
    """Run the checks of a level on an explanation, and give it with their numbers, its status judged by them too.

    The origin's notes hold, under "evidence", the parameters, seed and cost of each check, or why it was skipped: a
    check that is cancelled, or for which a model in bounds of time has none left, does not take the explanation away.
    """
    asked = list(evidence) if level == "full" else level.split(",")
    found = {name: _checked(evidence[name], model, e, progress) for name in asked}
    done = [check for check in found.values() if isinstance(check, Evidence)]
    quality = {key: array for check in done for key, array in check.quality.items()}
    notes = {name: {"skipped": c} if isinstance(c, str) else _told(c.origin) for name, c in found.items()}
    if isinstance(e, Attribution):
        return judged(e, quality, notes)
    return Attributions({name: judged(own, quality, notes) for name, own in e.items()})


def _checked(
    check: Check, model: Model, e: Attribution | Attributions, progress: Progress | bool | None
) -> Evidence | str:
    try:
        return check(model, e, progress)
    except (TimeUp, Cancelled) as error:
        return "the time limit was over" if isinstance(error, TimeUp) else "it was cancelled"


def judged(e: Attribution, quality: Mapping[str, Array], notes: Mapping[str, Any]) -> Attribution:
    """Add numbers and what is known of them to an explanation, and judge it again."""
    numbers = {**e.quality, **quality}
    origin = replace(e.origin, notes={**e.origin.notes, "evidence": {**e.origin.notes.get("evidence", {}), **notes}})
    return replace(e, quality=numbers, status=judge(numbers, e.values), origin=origin)


def _told(origin: Origin) -> dict[str, Any]:
    return {
        "parameters": dict(origin.parameters),
        "score": origin.score,
        "seed": origin.seed,
        "model_calls": origin.model_calls,
        "seconds": origin.seconds,
    }
