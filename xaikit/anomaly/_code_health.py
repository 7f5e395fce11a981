"""Whether a code does its work: which of its numbers are used, and whether it is narrow enough to leave things out."""

import time
from typing import Any

import numpy as np

from xaikit.anomaly._codes import Code, reconstructed, require_one_input, sizes, variational, where
from xaikit.anomaly._scores import divergence
from xaikit.arrays import Array
from xaikit.attribution._explain import origin_of, prepare, require_wrapped
from xaikit.errors import InputError
from xaikit.inputs import Reconstruction
from xaikit.model import Model
from xaikit.results import CodeCapacity, CodeHealth, Status

UNUSED = 0.01
"""Nats, and variance, below which a number of a code tells nothing."""


def health(model: Model, samples: Any, *, code: Code | None = None) -> CodeHealth:
    """Which numbers of a variational code are used for `samples`, and whether the code has collapsed.

    code: its layers, where their names do not tell. The status warns where numbers have collapsed, and fails where all
    have: then the decoder gives the same whatever the sample. Raises NotSupported for what is no variational
    autoencoder.
    """
    start = time.perf_counter()
    require_wrapped(model, "anomaly.latent.health")
    known = variational(model) if code is None else variational(model, code.mean, code.log_variance, code.z)
    x = np.asarray(prepare(model, samples)[0])
    if len(x) < 2:
        raise InputError("which numbers of a code follow the samples shows only in two samples or more: give some more")
    run = model.run(x, at=(known.mean, known.log_variance))
    mean, log_variance = (
        np.asarray(run.activations[n], np.float64).reshape(len(x), -1) for n in (known.mean, known.log_variance)
    )
    divergences, spreads = divergence(mean, log_variance).mean(0), mean.var(0)
    lost = np.flatnonzero(divergences < UNUSED)
    said = f"{len(lost)} of {len(spreads)} numbers of the code have collapsed to the prior: "
    reasons = (said + ", ".join(f"z{k}" for k in lost[:8]) + (", ..." if len(lost) > 8 else ""),) if len(lost) else ()
    status = Status("fail" if len(lost) == len(spreads) else "warn" if len(lost) else "ok", reasons)
    origin = origin_of(
        model, x, "code-health", parameters={"code": where(known)}, seconds=time.perf_counter() - start, calls=len(x)
    )
    return CodeHealth(divergences, spreads, UNUSED, len(x), status, origin)


def capacity(model: Model, samples: Any, *, draws: int | None = None, seed: int = 0) -> CodeCapacity:
    """Whether an autoencoder has learned to copy: then it gives back anything, anomalies too.

    Sets the errors of `samples` beside those of `draws` (by default as many) samples of uniform noise between the least
    and the largest number of the samples. The status warns where the narrowest layer has as many numbers as the input
    or more, and fails where noise comes back as well as the samples do. Raises InputError, NotSupported.
    """
    start = time.perf_counter()
    require_one_input(model, "capacity")
    x = np.asarray(prepare(model, samples)[0], np.float32)
    if not len(x) or (draws is not None and draws < 1):
        raise InputError("there is nothing to compare: give at least one sample and one draw")
    if x.min() == x.max():
        raise InputError(f"all numbers of the samples are {x.min():.3g}: noise of their range would be the same")
    rng = np.random.default_rng(seed)
    noise = rng.uniform(x.min(), x.max(), (len(x) if draws is None else draws, *x.shape[1:])).astype(np.float32)
    kind = model.outputs.error if isinstance(model.outputs, Reconstruction) else "mse"
    own, of_noise = (_errors(model, given, kind) for given in (x, noise))
    widths = sizes(model)
    width = min(widths.values()) if widths else None
    status = _alarm(width, int(np.prod(x.shape[1:])), float(own.mean()), float(of_noise.mean()))
    origin = origin_of(
        model,
        x,
        "code-capacity",
        parameters={"draws": len(noise), "error": kind},
        seconds=time.perf_counter() - start,
        calls=len(x) + len(noise),
        seed=seed,
    )
    return CodeCapacity(width, int(np.prod(x.shape[1:])), own, of_noise, kind, status, origin)


def _errors(model: Model, x: Array, kind: str) -> Array:
    apart = np.asarray(reconstructed(model, x), np.float64) - x
    return np.asarray((np.abs(apart) if kind == "mae" else np.square(apart)).reshape(len(x), -1).mean(1))


def _alarm(width: int | None, inputs: int, own: float, of_noise: float) -> Status:
    reasons = []
    if width is not None and width >= inputs:
        reasons.append(f"the narrowest layer has {width:,} numbers for {inputs:,} of the input: it can copy")
    if of_noise <= own:
        reasons.insert(0, f"noise comes back as well as the samples: error {of_noise:.3g} against {own:.3g}")
    return Status("fail" if of_noise <= own else "warn" if reasons else "ok", tuple(reasons))
