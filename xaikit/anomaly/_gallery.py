"""The samples that a network gives back best, as usual, and worst."""

import time
from typing import Any

import numpy as np

from xaikit.anomaly._codes import reconstructed, require_one_input
from xaikit.attribution._explain import origin_of, prepare
from xaikit.errors import InputError, ParameterError
from xaikit.inputs import ErrorScore, Reconstruction, ReconstructionError
from xaikit.model import Model
from xaikit.results import Gallery

GROUPS = ("best", "median", "worst")


def gallery(model: Model, samples: Any, count: int = 4) -> Gallery:
    """The `count` samples that come back best, those in the middle, and those that come back worst.

    By the mean squared error, or the error that the model's outputs name; equal ones in the order given. Of an even
    number of samples the lower middle one stands in the middle. Raises InputError for fewer than `count` samples,
    NotSupported for a network that does not give its input again.
    """
    start = time.perf_counter()
    require_one_input(model, "gallery")
    if count < 1:
        raise ParameterError(f"count is a number of samples from 1 on, not {count}")
    x = np.asarray(prepare(model, samples)[0])
    error: Any = model.outputs.error if isinstance(model.outputs, Reconstruction) else "mse"
    back = reconstructed(model, x)
    if len(x) < count:
        raise InputError(f"a gallery of {count} samples of each kind needs as many, and {len(x)} are given")
    errors = ErrorScore(ReconstructionError(error), error, error).value(back, x)
    if not np.isfinite(errors).all():
        raise InputError(f"{int((~np.isfinite(errors)).sum())} of {len(x)} samples do not come back as finite numbers")
    order = np.argsort(errors, kind="stable")
    first = min(max((len(x) - 1) // 2 - (count - 1) // 2, 0), len(x) - count)
    positions = np.stack([order[:count], order[first : first + count], order[len(x) - count :]])
    return Gallery(
        groups=GROUPS,
        positions=positions,
        x=x[positions],
        reconstruction=back[positions],
        errors=errors[positions],
        median=float(np.median(errors)),
        samples=len(x),
        error=error,
        input_spec=model.inputs,
        origin=origin_of(
            model,
            x,
            "gallery",
            parameters={"count": count, "error": error},
            seconds=time.perf_counter() - start,
            calls=len(x),
        ),
    )
