"""What an explanation will cost: about how many model calls a method makes, and how long these take here."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from xaikit.attribution import methods
from xaikit.figures import seconds
from xaikit.jobs import Unit
from xaikit_app.work.describe import Description
from xaikit_app.work.explain import Pace

SEGMENTS = {"Image": 36, "Series": 20}
"""About so many parts a picture and a series are cut into."""
SLOW = 200
"""From so many model calls on a method counts as slow, and says what it costs."""
BACKGROUND = 40
"""About so many rows of a table stand in for a hidden column."""


def calls(method: str, given: Mapping[str, Any], description: Description) -> int:
    """Estimate the model calls for one sample of a method with its parameters; those left out have their defaults."""
    known = {name: p.default for name, p in methods[method].parameters().items()} | dict(given)
    parts, rows = _parts(description), BACKGROUND if description.kind == "Table" else 1
    if method == "integrated-gradients":
        return int(known["steps"]) * rows + 3
    if method in ("sequential-integrated-gradients", "temporal-integrated-gradients"):
        return int(known["steps"]) * _steps(description)
    if method == "temporal-saliency-rescaling":
        return _steps(description) + 2
    if method == "exact-shapley":
        return int(2 ** min(parts if description.kind == "Table" else 9, 20)) * rows
    if method == "kernel-shap":
        return _drawn(known, 2 * parts + 2048, parts) * rows
    if method == "permutation-shap":
        return _drawn(known, 2 + 20 * max(parts - 1, 0), parts) * rows
    if method == "occlusion":
        return _windows(description, known["window"], known["stride"]) * rows
    if method == "score-cam":
        return 1 + _channels(description, known["layer"])
    if isinstance(known.get("samples"), int):
        return int(known["samples"]) + 2
    return 2 if "pull" in methods[method].needs else 3


def words(count: int, method: str, pace: Pace | None) -> str:
    """Say what so many model calls of a method cost: "about 1,000 model calls, 12 s"."""
    text = f"about {_round(count):,} model calls"
    if pace is None:
        return text
    time = taking(count, method, pace)
    return f"{text}, {seconds(time) if time >= 1 else 'under 1 s'}"


def taking(count: int, method: str, pace: Pace) -> float:
    """Estimate the seconds that so many model calls of a method take."""
    each = pace.pull if "pull" in methods[method].needs and pace.pull else pace.run
    return max(count * each, 1e-3)


def pace_of(services: Any, chosen: Any, description: Description, sample: str | None, patience: float) -> Pace | None:
    """Give how fast a model is, taken on the first sample of its gallery; None where that is not known in time."""
    gallery = None if isinstance(description.inputs, Mapping) else services.gallery(chosen, description)
    first = gallery.shown[0].id if gallery is not None and gallery.ready.is_set() and gallery.shown else sample
    if not first:
        return None
    job = services.submit(Unit(chosen.key, services.sample(chosen, description, first), task="app-pace"))
    return job.result() if job.wait(patience) and job.status == "done" else None


def _round(count: int) -> int:
    """Round to two figures: more would claim too much."""
    digits = max(0, int(math.log10(max(count, 1))) - 1)
    return int(round(count, -digits))


def _drawn(known: Mapping[str, Any], by_itself: int, parts: int) -> int:
    return min(by_itself if known["samples"] is None else int(known["samples"]), int(2 ** min(parts, 40)))


def _parts(description: Description) -> int:
    spec = description.inputs
    if isinstance(spec, Mapping):
        return 20 * len(spec)
    if description.kind == "Table":
        return len(spec.names)
    if description.kind == "Text":
        return min(int(spec.shape[0]), 60)
    places = int(np.prod([n for n in spec.shape[:2] if n] or [1]))
    return min(SEGMENTS.get(description.kind, 40), max(places // (9 if description.kind == "Image" else 1), 1))


def _steps(description: Description) -> int:
    shape = getattr(description.inputs, "shape", ())
    return int(shape[0]) if shape else 20


def _windows(description: Description, window: Any, stride: Any) -> int:
    spec = description.inputs
    if description.kind not in ("Image", "Series"):
        return _parts(description) + 1
    sizes = spec.shape[:2] if description.kind == "Image" else spec.shape[:1]
    count = 1
    for axis, size in enumerate(sizes):
        across = _entry(window, axis) or max(1, round(size / 8))
        step = _entry(stride, axis) or max(1, across // 2)
        count *= -(-max(size - across, 0) // step) + 1
    return count + 2


def _entry(value: Any, axis: int) -> int:
    return int(value[axis]) if isinstance(value, list | tuple) else int(value or 0)


def _channels(description: Description, layer: str | None) -> int:
    """How many channels the layer has that a map of activation looks at: the named, else the last one with places."""
    found = [one for one in description.graph if one.name == layer or (layer is None and len(one.shape) == 3)]
    return int(found[-1].shape[-1] or 0) if found else 64


__all__ = ["SLOW", "calls", "pace_of", "seconds", "taking", "words"]
