"""What can be explained of a model's answer, as short texts that fit into an address.

"3" is the class or value of that index, "head.1" an entry of one of several outputs, "@2" the predicted entry at step 2
and "@2.7" entry 7 there, "3-5" class 3 against class 5, "all-1" class 1 over a whole picture and
"box-1,top,left,bottom,right" over a box in it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from xaikit.errors import TargetError
from xaikit.inputs import At, Classes, Margin, Masks, Region, Values
from xaikit_app.work.describe import Description

MOST = 1000
"""As many targets as a list offers; others can still be named in an address."""
MARGIN, ENTRY, BOX = re.compile(r"(\d+)-(\d+)"), re.compile(r"@(\d+)\.(\d+)"), re.compile(r"box-(\d+),(.+)")
FOUR = re.compile(r"\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*")


@dataclass(frozen=True)
class Aim:
    """A target in the pieces that the page asks for: an entry of the list, and what is said about it besides.

    `against` is the index of another class, `box` four numbers (top, left, bottom, right) in pixels, `entry` the index
    of the entry at a step.
    """

    first: str | None = None
    against: str | None = None
    box: str | None = None
    entry: str | None = None

    @property
    def text(self) -> str | None:
        """The target as one text, None for the model's own choice. Raises TargetError for half a target."""
        if self.against:
            if not (self.first or "").isdecimal():
                raise TargetError("to set one class against another, choose both")
            return f"{self.first}-{self.against}"
        if self.box and (self.first or "").startswith("all-"):
            edges = FOUR.fullmatch(self.box)
            if edges is None:
                raise TargetError(f"a box is four whole numbers, as 10,20,40,60 (top, left, bottom, right): {self.box}")
            return f"box-{str(self.first)[4:]},{','.join(edges.groups())}"
        if self.entry and (self.first or "").startswith("@"):
            return f"{self.first}.{self.entry}"
        return self.first


def aim(text: str | None) -> Aim:
    """Take a target apart."""
    if text and (found := MARGIN.fullmatch(text)):
        return Aim(found[1], against=found[2])
    if text and (found := ENTRY.fullmatch(text)):
        return Aim(f"@{found[1]}", entry=found[2])
    if text and (found := BOX.fullmatch(text)):
        return Aim(f"all-{found[1]}", box=found[2])
    return Aim(text or None)


def targets(description: Description) -> list[dict[str, str]]:
    """List the targets of a model as {value, label}; empty where there is only one thing to explain."""
    return [{"value": value, "label": label} for value, label, _ in _all(description)][:MOST]


def rivals(description: Description) -> list[dict[str, str]]:
    """List the classes that another can be set against; empty where there are not two to choose from."""
    spec = description.outputs
    if not isinstance(spec, Classes) or _steps(description) or len(spec.names) < 2:
        return []
    return _named(spec.names)


def entries(description: Description) -> list[dict[str, str]]:
    """List what can be explained at one step of a sequence; empty for other outputs."""
    return _named(description.outputs.names) if _steps(description) else []


def boxes(description: Description) -> bool:
    """Whether a part of the picture can be explained: the model says something about every pixel."""
    return isinstance(description.outputs, Masks)


def target_of(text: str | None, description: Description) -> Any:
    """Give the target that a text names; None is the predicted class or the only output. Raises TargetError."""
    if not text:
        return None
    for value, _, target in _all(description):
        if value == text:
            return target
    found = _composed(text, description)
    if found is None:
        raise TargetError(f"this model has no target {text!r}: choose another one")
    return found


def default(description: Description) -> str | None:
    """Give the target that is chosen first: None where the model's own answer decides."""
    spec = description.outputs
    chooses = isinstance(spec, Mapping) or (isinstance(spec, Values) and len(spec.names) > 1) or isinstance(spec, Masks)
    first = next(_all(description), None) if chooses or _steps(description) else None
    return first[0] if first else None


def _composed(text: str, description: Description) -> Any:
    """Read a target that says more than an entry of the list, or None."""
    known = len(getattr(description.outputs, "names", ()))
    pieces = aim(text)
    if pieces.against and rivals(description) and max(int(pieces.first or 0), int(pieces.against)) < known:
        return Margin(int(pieces.first or 0), int(pieces.against))
    if pieces.entry and int(str(pieces.first)[1:]) < _steps(description) and int(pieces.entry) < known:
        return At(step=int(str(pieces.first)[1:]), index=int(pieces.entry))
    edges = FOUR.fullmatch(pieces.box or "")
    if edges and boxes(description) and (label := int(str(pieces.first)[4:])) < known:
        region = Region(label, box=tuple(int(edge) for edge in edges.groups()))  # type: ignore[arg-type]
        region.weights(*tuple(description.inputs.shape)[:2])
        return region
    return None


def _named(names: Any) -> list[dict[str, str]]:
    return [{"value": str(i), "label": str(name)} for i, name in enumerate(names)][:MOST]


def _all(description: Description) -> Iterator[tuple[str, str, Any]]:
    spec, steps = description.outputs, _steps(description)
    if isinstance(spec, Mapping):
        for output, one in spec.items():
            for i, name in enumerate(getattr(one, "names", ())):
                yield f"{output}.{i}", f"{output}: {name}", At(output=output, index=i)
    elif isinstance(spec, Masks):
        height, width = tuple(description.inputs.shape)[:2]
        for i, name in enumerate(spec.names):
            yield f"all-{i}", f"{name}, over the whole picture", Region(i, box=(0, 0, height, width))
    elif steps:
        for step in range(steps):
            yield f"@{step}", f"step {step + 1}: the predicted entry", At(step=step)
    elif isinstance(spec, Classes) or (isinstance(spec, Values) and len(spec.names) > 1):
        for i, name in enumerate(spec.names):
            yield str(i), str(name), i


def _steps(description: Description) -> int:
    """Count the steps of an output that is a sequence of class scores, 0 for any other."""
    shape: tuple[int | None, ...] = description.layers[-1]["shape"] if description.layers else ()
    return int(shape[0] or 0) if isinstance(description.outputs, Classes) and len(shape) == 2 else 0


__all__ = ["Aim", "aim", "boxes", "default", "entries", "rivals", "target_of", "targets"]
