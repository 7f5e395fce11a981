"""Tasks to ask the engine about: a function as the model, and any samples."""

from collections.abc import Callable
from typing import Any

import numpy as np

from xaikit.arrays import each
from xaikit.attribution import Task
from xaikit.inputs import Image, resolve
from xaikit.wrapping import wrap


def total(x: Any) -> Any:
    """Sum everything in a row."""
    if isinstance(x, dict):
        return np.sum([total(a) for a in x.values()], axis=0)
    return x.reshape(len(x), -1).sum(1, keepdims=True)


def question(x: Any, spec: Any, f: Callable[[Any], Any] = total, seed: int = 0, **how: Any) -> Task:
    """Ask for the only output of `f` at samples `x`, given in display units for an Image and encoded for all others."""
    model = wrap(f, inputs=spec)
    encoded = spec.encode(x) if isinstance(spec, Image) else each(_float32, x)
    prediction = model.run(encoded).output
    return Task(model, encoded, spec, x, resolve(0, model.outputs, prediction), prediction, seed, **how)


def _float32(a: Any) -> Any:
    a = np.asarray(a)
    return a if a.dtype.kind in "iu" else a.astype(np.float32)
