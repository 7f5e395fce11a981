"""Detectors: a network that gives its input again, with the error that normal samples have."""

import time
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from xaikit.anomaly._restoring import Restoring, draws, named, restoring
from xaikit.anomaly._scores import CHUNK, SCORES, Score, score_of
from xaikit.anomaly._thresholds import FEW, calibrate, level_of
from xaikit.arrays import Array, chunks
from xaikit.attribution._explain import origin_of, prepare
from xaikit.attribution._method import fingerprint
from xaikit.errors import InputError, ModelError
from xaikit.model import Model
from xaikit.progress import Progress, bar
from xaikit.results import (
    AnomalyExplanation,
    AnomalyScores,
    Calibration,
    Detection,
    DetectorRecord,
    SeriesScores,
    Status,
    ThresholdReport,
)

DRAWS = "the network answers one sample differently each time: it draws numbers, and so does its score"


@dataclass(frozen=True, eq=False)
class Detector:
    """Finds samples that a network gives back worse than normal ones; made by `xk.anomaly.fit`.

    `calibration` holds the scores of the normal samples, the rule, the threshold and its status; `error` the score
    with what it has learned; `normal` (sample, *input) the normal samples in the network's units.
    """

    model: Model
    calibration: Calibration
    error: Score = field(repr=False)
    normal: Array | None = field(default=None, repr=False)

    @property
    def threshold(self) -> float:
        """The largest score that is still normal."""
        return self.calibration.threshold

    @property
    def status(self) -> Status:
        """Whether the threshold can be trusted, "ok" or "warn" with reasons."""
        return self.calibration.status

    def using(
        self, rule: str = "quantile", level: float | None = None, *, k: float | None = None, anomalous: Any = None
    ) -> "Detector":
        """Give the same detector with another threshold; the network is run on `anomalous` samples only.

        Raises as `xaikit.anomaly.calibrate`.
        """
        known = self.calibration
        found = calibrate(
            known.scores, rule, level, k=k, anomalous=self._labelled(anomalous), explained=known.explained
        )
        return replace(self, calibration=_told(found, DRAWS in known.status.reasons))

    def values(self, x: Array, progress: Progress | None = None) -> Array:
        """Score encoded samples (sample, *input): (sample,), without the parts of the scores."""
        found = []
        for s in chunks(len(x), CHUNK):
            found.append(self.error.parts(self.model, x[s]).values)
            if progress is not None:
                progress(min(s.stop, len(x)), len(x))
        return np.concatenate(found) if found else np.zeros(0)

    def score(self, x: Any) -> AnomalyScores:
        """Score samples: values (sample,), contributions (sample, *input), threshold and flags.

        `x` is what a person has (a path, a picture, an array in display units, a series) or a list or batch of these.
        The contributions are the exact parts of each score (see `xk.anomaly.SCORES`): they sum to it, with those of the
        code where the score has any. Raises InputError.
        """
        start = time.perf_counter()
        encoded, display = prepare(self.model, x)
        given = np.asarray(encoded)
        parts = self.error.parts(self.model, given)
        spec, cal = self.model.inputs, self.calibration
        return AnomalyScores(
            values=parts.values,
            contributions=parts.places,
            axes=("sample", *(spec.axes or tuple(f"axis {i}" for i in range(parts.places.ndim - 1)))),
            x=given,
            reconstruction=parts.reconstruction,
            display=display,
            error=self.error.name,
            calibration=cal,
            input_spec=spec,
            output_spec=self.model.outputs,
            status=_judged(parts.values, cal),
            origin=origin_of(
                self.model,
                given,
                "anomaly",
                parameters={
                    "rule": cal.rule,
                    "level": cal.level,
                    "k": cal.k,
                    "error": self.error.name,
                    **self.error.parameters,
                },
                seed=getattr(self.error, "seed", 0),
                seconds=time.perf_counter() - start,
                calls=len(given) * self.error.calls,
                notes={"normal_samples": len(cal)},
            ),
            code=parts.code,
        )

    def explain(self, x: Any, **asked: Any) -> AnomalyExplanation:
        """Say why one sample is anomalous, and the least that would make it normal; as `xaikit.anomaly.explain`."""
        from xaikit.anomaly._explanation import explain

        return explain(self, x, **asked)

    def stream(self, series: Any, **asked: Any) -> SeriesScores:
        """Score a series that is longer than the network's window, with its events; as `xaikit.anomaly.stream`."""
        from xaikit.anomaly._stream import stream

        return stream(self, series, **asked)

    def evaluate(self, normal: Any, anomalous: Any, **asked: Any) -> Detection:
        """Say how well labelled samples are told apart, beside trivial baselines; as `xaikit.anomaly.evaluate`."""
        from xaikit.anomaly._metrics import evaluate

        return evaluate(self, normal, anomalous, **asked)

    def thresholds(self, anomalous: Any = None, **asked: Any) -> ThresholdReport:
        """Set several rules side by side, with intervals; as `xaikit.anomaly.threshold_report`, but for samples."""
        from xaikit.anomaly._report import threshold_report

        return threshold_report(self.calibration.scores, anomalous=self._labelled(anomalous), **asked)

    def _labelled(self, anomalous: Any) -> Array | None:
        """Score the known anomalies, if there are any."""
        if anomalous is None:
            return None
        if hasattr(anomalous, "__len__") and not len(anomalous):
            raise InputError("anomalous= holds no sample: leave it out, or give at least one")
        return self.values(np.asarray(prepare(self.model, anomalous)[0]))

    def record(self) -> DetectorRecord:
        """Give what is needed to score later, for `xk.save`; the network is not part of it."""
        state = {f.name: getattr(self.error, f.name) for f in fields(self.error)}
        found = fingerprint(self.model)
        output = self.model.output if isinstance(self.model, Restoring) else None
        return DetectorRecord(self.error.name, state, self.normal, self.calibration, self.model.name, found, output)

    @classmethod
    def of(cls, model: Model, record: DetectorRecord) -> "Detector":
        """Make a detector of a network and a record of it. Raises ModelError where it was another network."""
        model = restoring(model, "anomaly.Detector.of", record.normal, record.output)
        if record.fingerprint is not None and record.fingerprint != fingerprint(model):
            raise ModelError(
                f"the detector was fitted on {record.model} with other weights than {model.name} has now: fit it again"
            )
        return cls(model, record.calibration, SCORES[record.score](**record.state), record.normal)

    def __repr__(self) -> str:
        return f"<Detector of {self.model.name}: {self.calibration!r}>"


def fit(
    model: Model,
    normal: Any,
    rule: str = "quantile",
    level: float | None = None,
    *,
    k: float | None = None,
    score: str | None = None,
    training: Any = None,
    anomalous: Any = None,
    output: str | int | None = None,
    progress: Progress | bool | None = None,
    **parameters: Any,
) -> Detector:
    """A detector of what `model` does not give back: a threshold on the scores of `normal` samples.

    model: a wrapped network whose outputs are xk.Reconstruction; `xk.anomaly.forecasting` and `xk.anomaly.masking` make
    one of a forecaster and of a network that fills in what is hidden. Of a network with several outputs, as a
    variational autoencoder that gives (reconstruction, mean, log variance), `output` names the one that is its input
    again, unless wrap(outputs={"0": xk.Reconstruction()}) has said so; where it draws its code, the reconstruction is
    that of the mean. normal: samples without anomalies, as a person
    has them; best ones that the network was not trained with, since their error is what new samples will have. rule,
    level, k: see `xaikit.anomaly.calibrate`; by default the 0.99 quantile. anomalous: known anomalies, for the rule
    "best-f1" alone. progress: a function of (done, total), True, False, or None for a bar when the work is long.

    score: a name of `xk.anomaly.SCORES`, by default the error that the model's outputs name; `parameters` are its own,
    such as share=0.05 of "top-share", layer= of "latent" and "joint", samples= and seed= of "elbo". training: the
    samples that a score learns spreads from, by default the normal ones.

    `detector.status` warns where the normal samples are too few for the level, where they look like a mixture, where
    the network does not give them back, and where it answers a sample differently each time. Raises UnknownName,
    ParameterError, InputError, and NotSupported for a model that does not give its input again. Its `score(x)` gives
    AnomalyScores with `values` (sample,) and `contributions` (sample, *input). Source: Sakurada and Yairi, "Anomaly
    Detection Using Autoencoders with Nonlinear Dimensionality Reduction" (2014).
    """
    _, spec = named(model, "anomaly.fit", output)
    asked = score_of(score or spec.error, parameters)
    level_of(rule, level, k, anomalous is not None)  # a mistake in what is asked is said before the network runs
    encoded = np.asarray(prepare(model, _some(normal))[0])
    model = restoring(model, "anomaly.fit", encoded, output)
    learned = asked.learn(model, encoded if training is None else np.asarray(prepare(model, _some(training))[0]))
    bare = Detector(model, None, learned, encoded)  # type: ignore[arg-type]
    with bar(progress, "scoring normal samples") as shown:
        found = bare.values(encoded, shown)
    if not np.isfinite(found).all():
        raise InputError(f"{model.name} gives no finite numbers for {int((~np.isfinite(found)).sum())} normal samples")
    known = bare._labelled(anomalous)
    calibration = calibrate(found, rule, level, k=k, anomalous=known, explained=_explained(bare, found))
    return replace(bare, calibration=_told(calibration, draws(np.asarray(model.run(encoded[[0, 0]]).output))))


def _told(calibration: Calibration, drawn: bool) -> Calibration:
    """Add to the status that the network draws, where it does."""
    if not drawn:
        return calibration
    return replace(calibration, status=Status("warn", (DRAWS, *calibration.status.reasons)))


def _explained(detector: Detector, scores: Array) -> float | None:
    """The share of the normal samples' variance that comes back, None for too few of them or for equal ones."""
    assert detector.normal is not None
    x = np.asarray(detector.normal[:CHUNK], np.float64)
    if len(x) < FEW or not (variance := float(x.var(0, ddof=1).mean())):
        return None
    if detector.error.name == "mse":
        return 1 - float(scores[: len(x)].mean()) / variance
    return 1 - float(np.square(np.asarray(detector.model.run(detector.normal[:CHUNK]).output) - x).mean()) / variance


def _some(normal: Any) -> Any:
    if hasattr(normal, "__len__") and not len(normal):
        raise InputError("no sample is given as normal: a detector is fitted on at least one, best on hundreds")
    return normal


def _judged(values: Array, calibration: Calibration) -> Status:
    lost = int((~np.isfinite(values)).sum())
    if not lost:
        return calibration.status
    return Status("fail", (f"{lost} scores are not finite", *calibration.status.reasons))
