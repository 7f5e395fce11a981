"""Detectors: a network that gives its input again, with the error that normal samples have."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from xaikit.anomaly._thresholds import calibrate, level_of
from xaikit.arrays import Array, chunks
from xaikit.attribution._explain import origin_of, prepare, require_wrapped
from xaikit.errors import InputError, NotSupported
from xaikit.inputs import ErrorScore, Reconstruction, ReconstructionError
from xaikit.model import Model
from xaikit.progress import Progress, bar
from xaikit.results import AnomalyScores, Calibration, Status

CHUNK = 1024
"""How many samples are reconstructed at a time: all differences of a large data set would not fit into memory."""


@dataclass(frozen=True, eq=False)
class Detector:
    """Finds samples that a network gives back worse than normal ones; made by `xk.anomaly.fit`.

    `calibration` holds the scores of the normal samples, the rule, the threshold and its status.
    """

    model: Model
    calibration: Calibration
    error: ErrorScore = field(repr=False)

    @property
    def threshold(self) -> float:
        """The largest score that is still normal."""
        return self.calibration.threshold

    @property
    def status(self) -> Status:
        """Whether the threshold can be trusted, "ok" or "warn" with reasons."""
        return self.calibration.status

    def using(self, rule: str = "quantile", level: float | None = None, *, k: float | None = None) -> "Detector":
        """Give the same detector with another threshold; the network is not run again.

        Raises as `xaikit.anomaly.calibrate`.
        """
        return replace(self, calibration=calibrate(self.calibration.scores, rule, level, k))

    def score(self, x: Any) -> AnomalyScores:
        """Score samples: values (sample,), contributions (sample, *input), threshold and flags.

        `x` is what a person has (a path, a picture, an array in display units, a series) or a list or batch of these.
        Each difference between input and reconstruction is squared (mse) or taken without its sign (mae) and divided
        by the number of places: these contributions sum to the sample's score. Raises InputError.
        """
        start = time.perf_counter()
        encoded, display = prepare(self.model, x)
        given = np.asarray(encoded)
        back = np.asarray(self.model.run(given).output)
        parts = self.error.contributions(back, given)
        values = _totals(parts)
        spec, cal = self.model.inputs, self.calibration
        return AnomalyScores(
            values=values,
            contributions=parts,
            axes=("sample", *(spec.axes or tuple(f"axis {i}" for i in range(parts.ndim - 1)))),
            x=given,
            reconstruction=back,
            display=display,
            error=self.error.error,
            calibration=cal,
            input_spec=spec,
            output_spec=self.model.outputs,
            status=_judged(values, cal),
            origin=origin_of(
                self.model,
                given,
                "anomaly",
                parameters={"rule": cal.rule, "level": cal.level, "k": cal.k, "error": self.error.error},
                seconds=time.perf_counter() - start,
                calls=len(given),
                notes={"normal_samples": len(cal)},
            ),
        )

    def __repr__(self) -> str:
        return f"<Detector of {self.model.name}: {self.calibration!r}>"


def fit(
    model: Model,
    normal: Any,
    rule: str = "quantile",
    level: float | None = None,
    *,
    k: float | None = None,
    progress: Progress | bool | None = None,
) -> Detector:
    """A detector of what `model` does not give back: a threshold on the reconstruction error of `normal` samples.

    model: a wrapped network whose outputs are xk.Reconstruction. normal: samples without anomalies, as a person has
    them; best ones that the network was not trained with, since their error is what new samples will have. rule:
    "quantile" (the `level` quantile of the normal scores, by default 0.99), "mean-sd" (mean + k standard deviations) or
    "median-mad" (median + k · 1.4826 MAD); the last two take `k`, or find it from `level` as if scores were normally
    distributed. progress: a function of (done, total), True, False, or None for a bar when the work is long.

    `detector.status` warns where the normal samples are too few for the level. Raises UnknownName, ParameterError,
    InputError, and NotSupported for a model that does not give its input again.
    """
    error = _error_of(model)
    level_of(rule, level, k)  # a mistake in the rule is said before the network runs
    encoded = np.asarray(prepare(model, normal)[0])
    scores = []
    with bar(progress, "scoring normal samples") as shown:
        for s in chunks(len(encoded), CHUNK):
            scores.append(_totals(error.contributions(np.asarray(model.run(encoded[s]).output), encoded[s])))
            shown(min(s.stop, len(encoded)), len(encoded))
    found = np.concatenate(scores)
    if not np.isfinite(found).all():
        raise InputError(f"{model.name} gives no finite numbers for {int((~np.isfinite(found)).sum())} normal samples")
    return Detector(model, calibrate(found, rule, level, k), error)


def _error_of(model: Any) -> ErrorScore:
    require_wrapped(model, "anomaly.fit")
    if isinstance(model.inputs, Mapping) or isinstance(model.outputs, Mapping):
        raise NotSupported(f"{model.name} has several inputs or outputs: a reconstruction error is of one")
    if not isinstance(model.outputs, Reconstruction):
        raise NotSupported(
            f"{model.name} gives {type(model.outputs).__name__}, not its input again; wrap an autoencoder with "
            "outputs=xk.Reconstruction()"
        )
    error = model.outputs.error
    return ErrorScore(ReconstructionError(error), f"reconstruction error ({error})", error)


def _totals(parts: Array) -> Array:
    return np.asarray(parts.reshape(len(parts), -1).sum(1))


def _judged(values: Array, calibration: Calibration) -> Status:
    lost = int((~np.isfinite(values)).sum())
    if not lost:
        return calibration.status
    return Status("fail", (f"{lost} scores are not finite", *calibration.status.reasons))
