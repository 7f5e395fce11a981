"""What is said of a prediction beside the numbers: who, for whom, what was decided, how long it is kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from math import isfinite
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors
from xaikit.errors import NotSupported, ParameterError, nearest
from xaikit.inputs import Classes, Values

INVOLVEMENT = {
    "none": "no person had a part in the decision",
    "reviewed": "a person saw the model's decision and could change it",
    "decided": "a person decided, with the model's answer as advice",
}
"""The part that a person had in the decision."""
RETENTION = {"short": 183, "standard": 5 * 365 + 1, "long": 10 * 365 + 3}
"""How many days the records of a retention class are kept: half a year, five years, ten."""


@dataclass(frozen=True)
class Terms:
    """What a person says of a record; all of it may be left unsaid.

    author: who made the record. recipient: whom the prediction is about or who is told. involvement: one of
    INVOLVEMENT. taken: what was decided in the end, where that is not what the model says. threshold: from which score
    on the decision is for the last of two classes, for any of several, or for a value. retention, until: a class of
    RETENTION or a name of one's own with a day (YYYY-MM-DD).
    """

    author: str | None = None
    recipient: str | None = None
    involvement: str | None = None
    taken: str | None = None
    threshold: float | None = None
    retention: str | None = None
    until: str | None = None

    def __post_init__(self) -> None:
        """Raise ParameterError for what makes no sense."""
        for name in ("author", "recipient", "taken", "retention"):
            require_words(name, getattr(self, name), may_be_none=True)
        if self.involvement is not None and self.involvement not in INVOLVEMENT:
            hint = nearest(str(self.involvement), INVOLVEMENT)
            raise ParameterError(f"involvement is one of {', '.join(INVOLVEMENT)}, not {self.involvement!r}{hint}")
        if self.threshold is not None and not (_is_number(self.threshold) and isfinite(self.threshold)):
            raise ParameterError(f"a threshold is a number, not {self.threshold!r}")
        if self.until is not None and not _is_day(self.until):
            raise ParameterError(f"until is a day, YYYY-MM-DD, not {self.until!r}")
        if self.retention is not None and self.until is None and self.retention not in RETENTION:
            known = ", ".join(RETENTION)
            raise ParameterError(f"the retention class {self.retention!r} needs a day, until; those with one: {known}")

    def kept_until(self, today: date) -> str | None:
        """Give the day until which a record of today is kept; None where nothing is said."""
        if self.until is not None or self.retention is None:
            return self.until
        return (today + timedelta(days=RETENTION[self.retention])).isoformat()


def require_words(name: str, value: Any, may_be_none: bool = False) -> None:
    """Raise ParameterError for what is no text or a blank one."""
    if value is None and may_be_none:
        return
    if not isinstance(value, str) or not value.strip():
        raise ParameterError(f"{name} is a text that says something, not {value!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _is_day(value: Any) -> bool:
    try:
        return date.fromisoformat(value).isoformat() == value
    except (TypeError, ValueError):
        return False


def scores_of(spec: Any, prediction: Tensors) -> tuple[tuple[str, ...], Array] | None:
    """Give the names of all classes, or of all values, and the score of each: (name,), float64.

    Classes have probabilities. None for outputs that are neither.
    """
    if isinstance(prediction, Mapping) or not isinstance(spec, Classes | Values) or np.ndim(prediction) != 2:
        return None
    one = np.asarray(prediction, np.float64)
    found = spec.probabilities(one)[0] if isinstance(spec, Classes) else one[0]
    return (tuple(spec.names), found) if len(spec.names) == len(found) else None


def decision_of(spec: Any, prediction: Tensors, threshold: float | None) -> str | None:
    """Give what the model decides, in words; None where its output is no decision.

    Of two classes the last one is decided for from the threshold on, the first one below it; of several the most
    probable one, if it reaches the threshold, else "none". Without a threshold it is the most probable class. A value
    is a decision only with a threshold: "at least T" or "below T". Raises NotSupported for a threshold that no output
    of the model can be held against.
    """
    found = scores_of(spec, prediction)
    if found is None or (isinstance(spec, Values) and len(found[0]) != 1):
        if threshold is not None:
            raise NotSupported("a threshold needs a model with classes or with one value")
        return None
    names, scores = found
    if isinstance(spec, Values):
        return None if threshold is None else f"{'at least' if scores[0] >= threshold else 'below'} {threshold:g}"
    if not np.isfinite(scores).all():
        return "none"
    best = int(scores.argmax())
    if threshold is None:
        return names[best]
    if len(names) == 2:
        return names[int(scores[1] >= threshold)]
    return names[best] if scores[best] >= threshold else "none"
