"""What can be explained of a model's answer, as short texts that fit into an address."""

from collections.abc import Iterator, Mapping
from typing import Any

from xaikit.errors import TargetError
from xaikit.inputs import At, Classes, Masks, Region, Values
from xaikit_app.tasks import Description

MOST = 1000
"""As many targets as a list offers; others can still be named in an address."""


def targets(description: Description) -> list[dict[str, str]]:
    """List the targets of a model as {value, label}; empty where there is only one thing to explain."""
    return [{"value": value, "label": label} for value, label, _ in _all(description)][:MOST]


def target_of(text: str | None, description: Description) -> Any:
    """Give the target that a text names; None is the predicted class or the only output. Raises TargetError."""
    if not text:
        return None
    for value, _, target in _all(description):
        if value == text:
            return target
    raise TargetError(f"this model has no target {text!r}: choose another one")


def default(description: Description) -> str | None:
    """Give the target that is chosen first: None where the model's own answer decides."""
    spec = description.outputs
    chooses = isinstance(spec, Mapping) or (isinstance(spec, Values) and len(spec.names) > 1) or isinstance(spec, Masks)
    first = next(_all(description), None) if chooses or _steps(description) else None
    return first[0] if first else None


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
