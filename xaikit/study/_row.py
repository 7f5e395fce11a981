"""What the manifest says of a result besides where it is."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from xaikit.inputs import Classes, top
from xaikit.jobs import Store
from xaikit.results import Attributions

FIELDS = ("target_labels", "status", "quality", "prediction", "output_spec", "origin")
ROW = ("label", "status", "reasons", "predicted", "probability", "quality", "input_hash", "seconds")
"""What is told."""
GRAVITY = ("ok", "warn", "fail")
FEW = 16
"""So many numbers of an output are told; a longer one, such as a picture, is not."""


def row_of(result: Any) -> dict[str, Any]:
    """Tell of a result: label, status, reasons, quality, what was predicted, the input's hash, seconds."""
    each = list(result.values()) if isinstance(result, Attributions) else [result]
    return _told([{name: getattr(e, name) for name in FIELDS} for e in each])


def row_at(store: Store, key: str) -> dict[str, Any]:
    """Tell the same of a stored result, most of which is not read. Raises StorageError."""
    return _told(store.glance(key, FIELDS))


def _told(each: list[dict[str, Any]]) -> dict[str, Any]:
    first = each[0]
    worst = max((e["status"] for e in each), key=lambda status: GRAVITY.index(str(status)))
    quality: dict[str, Any] = {}
    for e in each:
        quality = {**{name: _number(np.atleast_1d(a)) for name, a in e["quality"].items()}, **quality}
    predicted, probability = _predicted(first["output_spec"], first["prediction"])
    return {
        "label": _single(first["target_labels"]),
        "status": str(worst),
        "reasons": list(worst.reasons),
        "predicted": predicted,
        "probability": probability,
        "quality": quality,
        "input_hash": _single(first["origin"].input_hash),
        "seconds": round(first["origin"].seconds, 6),
    }


def _predicted(spec: Any, output: Any) -> tuple[Any, Any]:
    """Give the most probable class with its probability, or the few numbers of an output; by name of several."""
    if isinstance(output, Mapping):
        both = {n: _predicted(spec[n], output[n]) for n in output}
        return {n: b[0] for n, b in both.items()}, {n: b[1] for n, b in both.items()}
    if isinstance(spec, Classes) and np.ndim(output) <= 2:
        best = [row[0] for row in top(spec, output, 1)]
        return _single([name for name, _ in best]), _single([_finite(p) for _, p in best])
    rows = np.asarray(output).reshape(len(output), -1)
    return (None, None) if rows.shape[1] > FEW else (_single([_number(row) for row in rows]), None)


def _single(values: Iterable[Any]) -> Any:
    """Give the only one of one, and a list of several."""
    found = list(values)
    return found[0] if len(found) == 1 else found


def _number(values: Any) -> Any:
    return _single(_finite(float(v)) for v in np.ravel(values))


def _finite(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
