"""How a documented network is trained: immutable recipes, and their arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from xaikit.errors import ParameterError

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

    def __post_init__(self) -> None:
        if self.corruption and self.target != "input":
            raise ParameterError("a corrupted input needs target='input': what is restored is the input itself")
        if self.augmentation and self.target == "input":
            raise ParameterError("augmentation moves the input, so the input cannot be the target")

    def steps(self, samples: int) -> int:
        """Batches per epoch for that many training samples."""
        return self.steps_per_epoch or max(1, -(-samples // self.batch))

    def losses(self, outputs: Sequence[str]) -> Mapping[str, Loss]:
        """The loss of each output. Raises ParameterError when the recipe names others."""
        if not isinstance(self.loss, Mapping):
            return dict.fromkeys(outputs, self.loss)
        if set(self.loss) != set(outputs):
            raise ParameterError(f"the recipe has losses for {', '.join(self.loss)}, outputs are {', '.join(outputs)}")
        return self.loss

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


def stalls(losses: Sequence[float], patience: int) -> int:
    """How often the loss went `patience` epochs without a new minimum."""
    best, waited, count = np.inf, 0, 0
    for loss in losses:
        waited = 0 if loss < best else waited + 1
        best = min(best, loss)
        if waited >= patience:
            waited, count = 0, count + 1
    return count


def smoothed(one_hot: npt.NDArray[Any], epsilon: float) -> npt.NDArray[Any]:
    """Targets (1 − ε)·δ + ε/K over the last axis of K classes (Szegedy et al. 2016, section 7)."""
    return (1.0 - epsilon) * np.asarray(one_hot) + epsilon / np.shape(one_hot)[-1]


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
