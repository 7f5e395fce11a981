"""Rules that a study must hold, such as "status=fail:0.1": at most a tenth of the units may fail."""

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xaikit.errors import ParameterError, nearest

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
WRITTEN = re.compile(r"\s*([A-Za-z_][\w-]*)\s*(!=|>=|<=|=|>|<)\s*([^:\s]+)\s*(?::\s*(\S+)\s*)?")
WORDS = {"status": ("ok", "warn", "fail"), "state": ("done", "failed")}
EXAMPLES = "'status=fail:0.1', 'completeness_gap_relative>0.05' or 'state=failed:0.01'"


@dataclass(frozen=True)
class Rule:
    """Broken where `field operator value` holds of more than the `share` of all units of the study.

    `field` is "status" (of an explanation: ok, warn, fail), "state" (of a unit: done, failed) or a quality key. A unit
    of several samples counts if one of them does; one without that quality key, or where it is NaN, does not.
    """

    field: str
    operator: str
    value: str | float
    share: float = 0.0

    @classmethod
    def of(cls, text: str) -> "Rule":
        """Read FIELD=VALUE:SHARE; the operator may be = != > >= < <=, and the share is 0 where it is left out.

        Raises ParameterError.
        """
        match = WRITTEN.fullmatch(text)
        if match is None:
            raise ParameterError(f"a rule is written as {EXAMPLES}, not {text!r}")
        field, compare, value, share = match.groups()
        return cls(field, compare, _value(field, compare, value, text), _share(share, text))

    def __str__(self) -> str:
        """Give the rule as it is written."""
        value = self.value if isinstance(self.value, str) else f"{self.value:g}"
        return f"{self.field}{self.operator}{value}:{self.share:g}"

    def holds_of(self, row: Mapping[str, Any]) -> bool:
        """Whether a unit is one of those that the rule counts."""
        if self.field in WORDS:
            found = "done" if self.field == "state" and row["state"] == "skipped" else row.get(self.field)
            return found is not None and OPERATORS[self.operator](found, self.value)
        found = (row.get("quality") or {}).get(self.field)
        values = found if isinstance(found, list) else [found]
        return any(v is not None and OPERATORS[self.operator](v, self.value) for v in values)


def _value(field: str, compare: str, value: str, text: str) -> str | float:
    if field in WORDS:
        if value not in WORDS[field] or compare not in ("=", "!="):
            known = " or ".join(f"{field}={w}" for w in WORDS[field])
            raise ParameterError(f"in the rule {text!r}, {field} is asked for as {known}{nearest(value, WORDS[field])}")
        return value
    try:
        return float(value)
    except ValueError:
        raise ParameterError(f"in the rule {text!r}, {field} is compared with a number, not {value!r}") from None


def _share(share: str | None, text: str) -> float:
    try:
        found = 0.0 if share is None else float(share)
    except ValueError:
        found = math.nan
    if not 0 <= found <= 1:
        raise ParameterError(f"in the rule {text!r}, the share is a number from 0 to 1, not {share!r}")
    return found


class Gate:
    """Counts the units that rules are about, one unit after the other."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(dict.fromkeys(rules))
        self.counts = [0] * len(self.rules)
        self.total = 0

    def see(self, row: Mapping[str, Any]) -> None:
        """Count one unit by its line of the manifest."""
        self.total += 1
        for i, rule in enumerate(self.rules):
            self.counts[i] += rule.holds_of(row)

    def broken(self) -> tuple[str, ...]:
        """Say which rules do not hold, each with what was found."""
        return tuple(
            f"{rule}: {count} of {self.total} units ({count / self.total:.1%})"
            for rule, count in zip(self.rules, self.counts, strict=True)
            if self.total and count > rule.share * self.total
        )
