"""Where a result of this package comes from."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from xaikit.arrays import Tensors, length, rows
from xaikit.attribution import fingerprint, input_hash, versions
from xaikit.errors import UsageError
from xaikit.model import Model
from xaikit.results import Origin


def require_model(model: Any, function: str) -> None:
    """Raise UsageError for what is no wrapped model."""
    if not (hasattr(type(model), "run") and hasattr(model, "can")):
        raise UsageError(f"{function} takes a wrapped model: xk.wrap(net, inputs=...), not {type(model).__name__}")


def hashes(x: Tensors) -> tuple[str, ...]:
    """Give the hash of every encoded sample."""
    return tuple(input_hash(rows(x, slice(i, i + 1))) for i in range(length(x)))


def origin(
    model: Model, method: str, parameters: Mapping[str, Any], start: float, inputs: Iterable[str] = (), calls: int = 0
) -> Origin:
    """Describe a result that began at `start` on the performance counter and is ready now."""
    return Origin(
        method=method,
        parameters=dict(parameters),
        score="output",
        model=model.name,
        framework=model.framework,
        fingerprint=fingerprint(model),
        weights_id=model.weights_id,
        input_hash=tuple(inputs),
        seed=0,
        versions=versions(model.framework),
        device=model.device,
        seconds=time.perf_counter() - start,
        model_calls=calls,
    )
