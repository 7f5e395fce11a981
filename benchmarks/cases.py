"""What every case of the comparison shares: how much of it there is, and the row that comes of measured sides."""

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from page import Figure, Row
from timing import Clock, Turns, Work, turns

import xaikit as xk
from xaikit.perturb.memory import MEMORY

OVER = "over bare calls"
BARE, OURS = "bare", "xaikit"
GRADIENTS = "gradients alone"


@dataclass(frozen=True)
class Scale:
    """How much is measured: everything, or as little as shows that it runs."""

    clock: Clock
    quick: bool = False

    def of(self, samples: int, least: int = 20) -> int:
        return max(least, samples // 20) if self.quick else samples

    def turns(self, sides: Mapping[str, Work], **how: Any) -> Turns:
        """Run the sides in turn; a quick run makes one round without a warm-up.

        Memory is looked at where there is a warm-up: what a first call loads would be counted otherwise.
        """
        if self.quick:
            how |= {"least": 1, "most": 1, "warm": False}
        return turns(sides, clock=self.clock, memory=how.get("warm", True), **how)


Case = Callable[[Scale], Iterable[Row]]
CASES: dict[str, Case] = {}
"""The cases by name, in the order of the page; each gives its rows one by one."""


def case(name: str) -> Callable[[Case], Case]:
    def keep(function: Case) -> Case:
        CASES[name] = function
        return function

    return keep


MISSING: dict[str, str] = {}
"""Libraries that could not be imported in this run, with the reason."""


def there(module: str) -> Any:
    """Import a library that a user may lack, or that does not go with the versions of others; None where it fails."""
    try:
        return importlib.import_module(module)
    except Exception as error:  # one made for other versions raises whatever it likes
        MISSING[module.partition(".")[0]] = (str(error).strip() or type(error).__name__).splitlines()[0][:120]
        return None


def explained(model: Any, x: Any, method: str, **parameters: Any) -> Any:
    """Explain without a bar and from an empty memory of coalitions."""
    MEMORY.clear()
    return xk.explain(model, x, method, progress=False, **parameters)


def row_of(
    found: Turns,
    work: str,
    network: str,
    most: float | None = None,
    remark: str = "",
    *,
    side: str = OURS,
    peers: Sequence[str] | None = None,
    figures: Sequence[Figure] = (),
    errors: Mapping[str, float] | None = None,
    agreement: Mapping[str, float] | None = None,
) -> Row:
    """Make a row of measured sides: the bare calls, xaikit as `side`, and peers by name (None: all others).

    `most` is the overhead that is to be reached; `errors` and `agreement` are by side, as in Row.
    """
    own = found.ratio(side, BARE)
    if peers is None:
        peers = [name for name in found.seconds if name not in (BARE, side)]
    return Row(
        work,
        network,
        found.median(BARE),
        own,
        {name: found.ratio(name, BARE) for name in peers},
        {name: found.ratio(name, side).median for name in peers},
        (*(() if most is None else (Figure(OVER, most, own.median),)), *figures),
        remark,
        {OURS if name == side else name: found.memory[name] for name in (side, *peers) if name in found.memory},
        errors or {},
        agreement or {},
    )


def with_evidence(scale: Scale, work: str, network: str, sides: Mapping[str, Work], most: float, remark: str) -> Row:
    """Measure sides whose bare calls are gradients, and the forward passes that say whether the method is complete."""
    found = scale.turns(sides)
    remark = f"{remark}; {found.ratio(OURS, GRADIENTS).median:.2f} over the gradients alone"
    peers = [name for name in sides if name not in (BARE, OURS, GRADIENTS)]
    return row_of(found, work, network, most, remark, peers=peers)


def in_turn(*works: Work) -> None:
    """Do several works, one after the other, as one."""
    for work in works:
        work()


def row(scale: Scale, work: str, network: str, sides: Mapping[str, Work], most: float, remark: str = "") -> Row:
    """Measure sides, and make a row of them."""
    return row_of(scale.turns(sides), work, network, most, remark)
