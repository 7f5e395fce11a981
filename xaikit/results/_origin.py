"""How a result came about, and the verdict on it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Origin:
    """How a result came about, in full: enough to make it again."""

    method: str
    parameters: Mapping[str, Any]
    score: str
    model: str
    framework: str
    fingerprint: str | None
    weights_id: str | None
    input_hash: tuple[str, ...]
    seed: int
    versions: Mapping[str, str]
    device: str
    seconds: float
    model_calls: int
    notes: Mapping[str, Any] = field(default_factory=dict)


class Status(str):
    """A verdict on a result, "ok", "warn" or "fail": a string with the `reasons` in words."""

    reasons: tuple[str, ...]

    def __new__(cls, level: str, reasons: tuple[str, ...] = ()) -> "Status":
        """Make a status of one of the three levels."""
        if level not in ("ok", "warn", "fail"):
            raise ValueError(f"a status is ok, warn or fail, not {level!r}")
        status = super().__new__(cls, level)
        status.reasons = tuple(reasons)
        return status

    def __reduce__(self) -> tuple[Any, ...]:
        return Status, (str(self), self.reasons)


Display = Callable[[Any, Iterable[str] | None, Iterable[str] | None], Any]
DISPLAY: list[Display] = []
"""How a result shows itself in a notebook: what was said last. Results know no figures, so that drawing says it."""


class Shown:
    """A result that a person looks at: it has panels, and shows itself in a notebook."""

    def _repr_mimebundle_(self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None) -> Any:
        """Give the result as a notebook shows it: (data by media type, metadata); as text where nothing draws."""
        return DISPLAY[-1](self, include, exclude) if DISPLAY else ({"text/plain": repr(self)}, {})


def alone(i: int, count: int) -> slice:
    """Give the rows of sample `i` alone, of `count`; it may be counted from the end. Raises IndexError."""
    if not -count <= i < count:
        raise IndexError(f"sample {i} of {count}")
    return slice(i, i + 1) if i != -1 else slice(i, None)
