"""How a documented network is trained: immutable recipes, and the arithmetic that both back-ends share.

Everything random that can be drawn in NumPy is drawn here (order of the samples, augmentation), so that Keras and
PyTorch see the same batches for the same seed.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from xaikit.errors import ModelError

Progress = Callable[[int, int, str], None]
"""Called after every epoch with (done, total, text); raise Cancelled in it to stop."""

Loss = Literal["binary-crossentropy", "crossentropy", "mse", "summed-binary-crossentropy"]
Optimizer = Literal["adam", "rmsprop", "sgd"]
Schedule = Literal["constant", "cosine", "plateau"]


@dataclass(frozen=True)
class Augmentation:
    """Random geometry for training images; what falls outside repeats the nearest pixel.

    rotation: degrees; shift: share of height and width; shear: tangent of the shear angle along x; zoom: relative
    scale per axis; all drawn uniformly from ±value. horizontal_flip: each image with probability one half.
    """

    rotation: float = 0.0
    shift: float = 0.0
    shear: float = 0.0
    zoom: float = 0.0
    horizontal_flip: bool = False


@dataclass(frozen=True)
class EarlyStopping:
    """When to stop by the validation loss E (Prechelt 1998, "Early stopping, but when?").

    generalisation_loss: stop when GL(t) = 100·(E(t) / min E − 1) exceeds it.
    successive_rises: stop when E rose in that many epochs in a row.
    """

    generalisation_loss: float | None = None
    successive_rises: int | None = None

    def stops(self, losses: Sequence[float]) -> bool:
        """Whether training ends after these validation losses (one per epoch)."""
        gl, s = self.generalisation_loss, self.successive_rises
        lost = gl is not None and 100.0 * (losses[-1] / min(losses) - 1.0) > gl
        return lost or bool(s and len(losses) > s and all(np.diff(losses[-s - 1 :]) > 0))


@dataclass(frozen=True)
class Corruption:
    """What is done to the input of an autoencoder in training, while its target stays whole.

    noise: standard deviation of Gaussian noise, in encoded units. patch and hidden: that share of the square patches
    of `patch` pixels is set to zero, and the loss is taken on the hidden patches only (He et al. 2022).
    """

    noise: float = 0.0
    patch: int = 0
    hidden: float = 0.0


@dataclass(frozen=True)
class Divergence:
    """The weight β of KL(q(z|x) ‖ N(0, 1)) in the loss of a variational autoencoder (Kingma and Welling 2014).

    cycles: 0 keeps β constant; otherwise it rises linearly from 0 in that many cycles over the training, reaches its
    value after the share `rising` of each, and stays there to its end (Fu et al. 2019), against posterior collapse.
    """

    beta: float = 1.0
    cycles: int = 0
    rising: float = 0.5

    def weight(self, step: int, steps: int) -> float:
        """β at a step (from 0) of so many."""
        if not self.cycles:
            return self.beta
        within = (step * self.cycles / steps) % 1.0
        return self.beta * min(1.0, within / self.rising)


@dataclass(frozen=True)
class FineTuning:
    """A start from another trained network of the zoo.

    Nodes that have name and weights' shapes in common with `backbone` start from its weights and stay frozen for
    `frozen_epochs`, batch norm's statistics included; then the nodes whose name begins with one of `unfrozen` are
    trained too, everything with `learning_rate`.
    """

    backbone: str
    frozen_epochs: int
    unfrozen: tuple[str, ...]
    learning_rate: float


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    loss: one, or one per output by name, which are added with `loss_weights` (1 unless given); "crossentropy" is over
    the last axis, at every step or pixel where the output has some; "summed-binary-crossentropy" sums over all entries
    of a sample, the others are means. target: what the output is compared with, the labels y of the data or the
    network's own input. l2: penalty λ·Σw² on the kernel of the nodes named. divergence: for networks that sample.
    steps_per_epoch: batches per epoch (None: one pass over the data). warmup_epochs: linear rise of the rate.
    schedule: "cosine" falls to 1 % of learning_rate over the epochs asked for, "plateau" multiplies by 0.1 when the
    validation loss has not improved for plateau_patience epochs. average: decay per step of an exponential moving
    average of the weights, which is then what is validated and kept (0: none). validation: share of the training
    samples kept apart, per class. label_smoothing ε: targets (1 − ε)·one-hot + ε/K.
    """

    loss: Loss | Mapping[str, Loss]
    loss_weights: Mapping[str, float] = field(default_factory=dict)
    target: Literal["labels", "input"] = "labels"
    optimizer: Optimizer = "rmsprop"
    learning_rate: float = 1e-3
    batch: int = 128
    epochs: int = 10
    steps_per_epoch: int | None = None
    schedule: Schedule = "constant"
    warmup_epochs: float = 0.0
    plateau_patience: int = 5
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    average: float = 0.0
    validation: float = 0.1
    l2: Mapping[str, float] = field(default_factory=dict)
    divergence: Divergence | None = None
    corruption: Corruption | None = None
    augmentation: Augmentation | None = None
    fine_tuning: FineTuning | None = None
    early_stopping: EarlyStopping = field(default_factory=EarlyStopping)

    def steps(self, samples: int) -> int:
        """Batches per epoch for that many training samples."""
        return self.steps_per_epoch or max(1, -(-samples // self.batch))

    def rate(self, step: int, steps_per_epoch: int, validation_losses: Sequence[float] = ()) -> float:
        """Learning rate of the step (counted from 0 over all epochs)."""
        warmup = self.warmup_epochs * steps_per_epoch
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        if self.schedule == "cosine":
            done = (step - warmup) / max(1.0, self.epochs * steps_per_epoch - warmup)
            return self.learning_rate * (0.01 + 0.99 * 0.5 * (1.0 + float(np.cos(np.pi * min(1.0, done)))))
        if self.schedule == "plateau":
            return self.learning_rate * 0.1 ** stalls(validation_losses, self.plateau_patience)
        return self.learning_rate


@dataclass(frozen=True)
class Samples:
    """Training and validation samples, channels last; the network sees x · scale as float32.

    x: (sample, *shape), y: (sample,) class indices, or targets (sample, *shape) for "mse".
    """

    x: npt.NDArray[Any]
    y: npt.NDArray[Any]
    x_validation: npt.NDArray[Any]
    y_validation: npt.NDArray[Any]
    scale: float = 1.0


@dataclass(frozen=True)
class Epoch:
    """One line of a training curve: mean training loss, validation loss and accuracy (None for regression)."""

    loss: float
    validation_loss: float
    validation_accuracy: float | None
    learning_rate: float
    seconds: float


def stalls(losses: Sequence[float], patience: int) -> int:
    """How often the loss went `patience` epochs without a new minimum."""
    best, waited, count = np.inf, 0, 0
    for loss in losses:
        waited = 0 if loss < best else waited + 1
        best = min(best, loss)
        if waited >= patience:
            waited, count = 0, count + 1
    return count


def index_batches(rng: np.random.Generator, samples: int, batch: int) -> Iterator[npt.NDArray[np.int64]]:
    """Endless batches of sample indices: one shuffled pass after the other, batches running across the seams."""
    waiting = np.empty(0, np.int64)
    while True:
        while len(waiting) < batch:
            waiting = np.concatenate([waiting, rng.permutation(samples)])
        yield waiting[:batch]
        waiting = waiting[batch:]


def affine_maps(
    augmentation: Augmentation, rng: np.random.Generator, samples: int, height: int, width: int
) -> npt.NDArray[np.float64]:
    """Random affine maps (sample, 2, 3) from output to input positions.

    Positions are (x, y, 1) in pixels from the centre of the image: input = M @ (x, y, 1).
    """
    a = augmentation

    def draw(limit: float) -> npt.NDArray[np.float64]:
        return rng.uniform(-limit, limit, samples)

    angle, shear = np.deg2rad(draw(a.rotation)), draw(a.shear)
    flip = np.where(a.horizontal_flip & (rng.random(samples) < 0.5), -1.0, 1.0)
    zoom_x, zoom_y = 1.0 + draw(a.zoom), 1.0 + draw(a.zoom)
    shift = np.stack([draw(a.shift) * width, draw(a.shift) * height], -1)
    zero, one = np.zeros(samples), np.ones(samples)

    def matrix(*rows: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
        return np.stack([np.stack(row, -1) for row in rows], -2)

    rotation = matrix((np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle)))
    linear = rotation @ matrix((one, shear), (zero, one)) @ matrix((zoom_x * flip, zero), (zero, zoom_y))
    return np.concatenate([linear, shift[..., None]], -1)


def split(
    y: npt.NDArray[Any], share: float, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Sorted indices (training, validation): the same share of every class is kept for validation."""
    kept = [rng.permutation(np.flatnonzero(y == label)) for label in np.unique(y)]
    validation = np.sort(np.concatenate([k[: round(len(k) * share)] for k in kept]))
    return np.setdiff1d(np.arange(len(y)), validation), validation


class Training(ABC):
    """One training, apart from the framework: order of the samples, rate, curve, when to stop, what to keep."""

    def __init__(self, recipe: Recipe, data: Samples, seed: int) -> None:
        self.recipe, self.data = recipe, data
        self.rng = np.random.default_rng(seed)
        self.order = index_batches(self.rng, len(data.x), recipe.batch)
        self.steps = recipe.steps(len(data.x))

    @abstractmethod
    def step(self, chosen: npt.NDArray[np.int64], rate: float) -> float:
        """Train on the chosen samples once and give the loss."""

    @abstractmethod
    def judge(self, part: slice) -> tuple[float, int]:
        """Mean loss and number of right answers on a part of the validation samples."""

    @abstractmethod
    def keep(self) -> None:
        """Remember the present weights as the best so far."""

    @abstractmethod
    def restore(self) -> None:
        """Put the best weights into the network."""

    def run(self, progress: Progress | None = None) -> tuple[Epoch, ...]:
        """Train to the last epoch or until early stopping, leave the best weights in the network, give the curve.

        Raises ModelError when the validation loss is never a number.
        """
        curve: list[Epoch] = []
        best = np.inf
        for number in range(self.recipe.epochs):
            curve.append(self._epoch([e.validation_loss for e in curve]))
            if curve[-1].validation_loss < best:
                best = curve[-1].validation_loss
                self.keep()
            if progress:
                progress(number + 1, self.recipe.epochs, _describe(curve[-1]))
            if self.recipe.early_stopping.stops([e.validation_loss for e in curve]):
                break
        if not np.isfinite(best):
            raise ModelError(f"the training diverged in {len(curve)} epochs; lower the learning rate")
        self.restore()
        return tuple(curve)

    def _epoch(self, losses: Sequence[float]) -> Epoch:
        start, total = time.perf_counter(), 0.0
        for step in range(self.steps):
            rate = self.recipe.rate(len(losses) * self.steps + step, self.steps, losses)
            total += self.step(next(self.order), rate)
        loss, accuracy = self._validate()
        return Epoch(total / self.steps, loss, accuracy, rate, time.perf_counter() - start)

    def _validate(self, size: int = 100) -> tuple[float, float | None]:
        loss, right, n = 0.0, 0, len(self.data.x_validation)
        for start in range(0, n, size):
            part = slice(start, min(start + size, n))
            mean, count = self.judge(part)
            loss += mean * (part.stop - part.start)
            right += count
        return loss / n, (None if self.recipe.loss == "mse" else right / n)


def _describe(epoch: Epoch) -> str:
    accuracy = "" if epoch.validation_accuracy is None else f", accuracy {epoch.validation_accuracy:.4f}"
    return f"loss {epoch.loss:.4f}, validation loss {epoch.validation_loss:.4f}{accuracy}"
