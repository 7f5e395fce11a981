"""One training apart from the framework: samples, batches, targets, curve, when to stop, what to keep, how to go on.

Everything random that can be drawn in NumPy is drawn here (order of the samples, augmentation, corruption), so that
Keras and PyTorch see the same batches for the same seed.
"""

from __future__ import annotations

import json
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from xaikit.errors import ModelError
from xaikit.storage import write_atomically
from xaikit.zoo.building import Architecture, Node
from xaikit.zoo.recipes import Corruption, Loss, Progress, Recipe

log = logging.getLogger(__name__)

Array = npt.NDArray[Any]
VALIDATION_BATCH = 100
CHECKPOINT_SECONDS = 15.0
CLASSIFYING = ("crossentropy", "binary-crossentropy")


@dataclass(frozen=True)
class Samples:
    """Training and validation samples, channels last; the network sees x · scale as float32.

    x: (sample, *shape). y: class indices (sample,) or (sample, step or pixel), targets (sample, *shape) for "mse", or
    a mapping of such arrays by output. start: neutral weights to start from in place of those of the seed.
    """

    x: Any
    y: Any
    x_validation: Any
    y_validation: Any
    scale: float = 1.0
    start: Mapping[str, Array] = field(default_factory=dict)


class Batch(NamedTuple):
    """What one step sees: x as the network takes it, targets by output, and the entries that the loss counts.

    weight: (sample, *shape) of zeros and ones, or None when every entry counts.
    """

    x: Array
    targets: Mapping[str, Array]
    weight: Array | None


class Judged(NamedTuple):
    """Mean loss over the samples of a batch, and how many of its answers are right."""

    loss: float
    right: int
    answers: int


@dataclass(frozen=True)
class Epoch:
    """One line of a training curve: mean training loss, validation loss and accuracy (None without classes)."""

    loss: float
    validation_loss: float
    validation_accuracy: float | None
    learning_rate: float
    seconds: float


class Order:
    """Endless batches of sample indices: one shuffled pass after the other, batches running across the seams."""

    def __init__(self, rng: np.random.Generator, samples: int, batch: int) -> None:
        self.rng, self.samples, self.batch = rng, samples, batch
        self.waiting = np.empty(0, np.int64)

    def __next__(self) -> npt.NDArray[np.int64]:
        while len(self.waiting) < self.batch:
            self.waiting = np.concatenate([self.waiting, self.rng.permutation(self.samples)])
        chosen, self.waiting = self.waiting[: self.batch], self.waiting[self.batch :]
        return chosen


def split(y: Any, share: float, rng: np.random.Generator) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Sorted indices (training, validation).

    The same share of every class is kept for validation; where the targets are numbers, as in a forecast, it is the
    end of the series; where there is a class at every step, samples are drawn.
    """
    labels = [np.asarray(part) for part in (y.values() if isinstance(y, Mapping) else (y,))]
    classes = next((part for part in labels if part.ndim == 1 and part.dtype.kind in "iu"), None)
    n = len(labels[0])
    if classes is not None:
        kept = [rng.permutation(np.flatnonzero(classes == label)) for label in np.unique(classes)]
        validation = np.sort(np.concatenate([k[: round(len(k) * share)] for k in kept]))
    elif labels[0].dtype.kind == "f":
        validation = np.arange(n - round(n * share), n)
    else:
        validation = np.sort(rng.permutation(n)[: round(n * share)])
    return np.setdiff1d(np.arange(n), validation), validation


def pick(y: Any, chosen: Any) -> Any:
    """Entries of labels, or of each array of a mapping."""
    return {name: part[chosen] for name, part in y.items()} if isinstance(y, Mapping) else y[chosen]


def compared(architecture: Architecture, output: str, loss: Loss) -> Node:
    """The node that a loss is computed from: before a final softmax or sigmoid where that is numerically stable."""
    node = architecture.by_name[architecture.outputs[output]]
    squashing = {"crossentropy": "softmax", "mse": None}.get(loss, "sigmoid")
    if node.op == "activation" and node.parameters["kind"] == squashing:
        return architecture.by_name[node.parents[0]]
    return node


def sampled(architecture: Architecture) -> list[tuple[str, str]]:
    """The names of (mean, log variance) that each sampling node reads."""
    return [(n.parents[0], n.parents[1]) for n in architecture.nodes if n.op == "sampling"]


def corrupted(x: Array, corruption: Corruption, rng: np.random.Generator) -> tuple[Array, Array | None]:
    """Input of an autoencoder (sample, *space, channel) after corruption, and where patches were hidden (or None)."""
    changed = x + rng.normal(0.0, corruption.noise, x.shape).astype(np.float32) if corruption.noise else x
    if not corruption.hidden:
        return changed, None
    grid = (len(x), *(-(-n // corruption.patch) for n in x.shape[1:-1]))
    cells = int(np.prod(grid[1:]))
    ranks = rng.random((len(x), cells)).argsort(-1).argsort(-1)
    hidden = (ranks < round(cells * corruption.hidden)).reshape(grid)
    for axis, length in enumerate(x.shape[1:-1], 1):
        hidden = hidden.repeat(corruption.patch, axis).take(range(length), axis)
    weight = np.broadcast_to(hidden[..., None], x.shape).astype(np.float32)
    return changed * (1.0 - weight), weight


class Training(ABC):
    """The loop that both back-ends share; they say what a step, a judgement and their state are."""

    def __init__(self, architecture: Architecture, recipe: Recipe, data: Samples, seed: int) -> None:
        self.architecture, self.recipe, self.data, self.seed = architecture, recipe, data, seed
        self.losses = recipe.losses(tuple(architecture.outputs))
        self.compared = {o: compared(architecture, o, loss) for o, loss in self.losses.items()}
        self.sampled = sampled(architecture)
        with_classes = recipe.target == "labels"
        self.classified = [o for o, loss in self.losses.items() if with_classes and loss in CLASSIFYING]
        self.rng = np.random.default_rng(seed)
        self.order = Order(self.rng, len(data.x), recipe.batch)
        self.steps = recipe.steps(len(data.x))
        self.curve: list[Epoch] = []

    @abstractmethod
    def step(self, batch: Batch, rate: float, beta: float) -> float:
        """Train on a batch once and give the loss; β weighs the divergence of what is sampled."""

    @abstractmethod
    def judge(self, batch: Batch, beta: float) -> Judged:
        """Loss and right answers of a batch, with the network as it is used, not as it is trained."""

    @abstractmethod
    def keep(self) -> None:
        """Remember the present weights as the best so far."""

    @abstractmethod
    def restore(self) -> None:
        """Put the best weights into the network."""

    @abstractmethod
    def freeze(self, frozen: frozenset[str]) -> None:
        """From now on train all nodes but these, with a fresh optimizer."""

    @abstractmethod
    def state(self) -> dict[str, Array]:
        """Everything that changes in training: weights, their mean, the best ones, optimizer, random state."""

    @abstractmethod
    def set_state(self, state: Mapping[str, Array]) -> None:
        """Go back to a state."""

    # ------------------------------------------------------------------ the loop

    def run(self, progress: Progress | None = None, checkpoint: Checkpoint | None = None) -> tuple[Epoch, ...]:
        """Train to the last epoch or until early stopping, leave the best weights in the network, give the curve.

        With a checkpoint, go on where an interrupted training of the same network, recipe, data and seed stopped.
        Raises ModelError when the validation loss is never a number.
        """
        self._freeze_for(0)
        if checkpoint is not None:
            checkpoint.resume(self)
            if self.curve and progress:
                progress(len(self.curve), self.recipe.epochs, f"going on after epoch {len(self.curve)}")
        while len(self.curve) < self.recipe.epochs and not self._stops():
            self._freeze_for(len(self.curve))
            self.curve.append(self._epoch())
            *before, now = (e.validation_loss for e in self.curve)
            if now < min((loss for loss in before if np.isfinite(loss)), default=np.inf):
                self.keep()
            self._report(progress, checkpoint)
        if not any(np.isfinite(e.validation_loss) for e in self.curve):
            raise ModelError(f"the training diverged in {len(self.curve)} epochs; lower the learning rate")
        self.restore()
        return tuple(self.curve)

    def go_on(self, curve: Sequence[Epoch], state: Mapping[str, Array], rng: Mapping[str, Any]) -> None:
        """Take over what a `Checkpoint` kept."""
        tuning = self.recipe.fine_tuning
        if tuning is not None and len(curve) > tuning.frozen_epochs:
            self._freeze_for(tuning.frozen_epochs)
        self.curve = list(curve)
        self.set_state(state)
        self.rng.bit_generator.state = dict(rng)

    def _stops(self) -> bool:
        return bool(self.curve) and self.recipe.early_stopping.stops([e.validation_loss for e in self.curve])

    def _report(self, progress: Progress | None, checkpoint: Checkpoint | None) -> None:
        """Tell how it goes; whoever interrupts then finds this epoch stored."""
        try:
            if progress:
                progress(len(self.curve), self.recipe.epochs, _describe(self.curve[-1]))
        except BaseException:
            if checkpoint is not None:
                checkpoint.store(self)
            raise
        if checkpoint is not None and checkpoint.is_due():
            checkpoint.store(self)

    def _freeze_for(self, epoch: int) -> None:
        tuning = self.recipe.fine_tuning
        if tuning is None or epoch not in (0, tuning.frozen_epochs):
            return
        taken = {name.rpartition("/")[0] for name in self.data.start}
        frozen = taken if epoch < tuning.frozen_epochs else {n for n in taken if not n.startswith(tuning.unfrozen)}
        self.freeze(frozenset(frozen))

    def _epoch(self) -> Epoch:
        start, total, done = time.perf_counter(), 0.0, len(self.curve)
        divergence = self.recipe.divergence
        for number in range(done * self.steps, (done + 1) * self.steps):
            rate = self._rate(number)
            beta = divergence.weight(number, self.recipe.epochs * self.steps) if divergence else 0.0
            total += self.step(self._batch(self.data.x, self.data.y, next(self.order), self.rng), rate, beta)
        loss, accuracy = self._validate()
        return Epoch(total / self.steps, loss, accuracy, rate, time.perf_counter() - start)

    def _rate(self, number: int) -> float:
        tuning = self.recipe.fine_tuning
        if tuning is not None and number >= tuning.frozen_epochs * self.steps:
            return tuning.learning_rate
        return self.recipe.rate(number, self.steps, [e.validation_loss for e in self.curve])

    def _validate(self) -> tuple[float, float | None]:
        """Mean loss and share of right answers; what is hidden or added is the same in every epoch."""
        rng, n = np.random.default_rng(self.seed + 1), len(self.data.x_validation)
        beta = self.recipe.divergence.beta if self.recipe.divergence else 0.0
        loss, right, answers = 0.0, 0, 0
        for part in np.array_split(np.arange(n), -(-n // VALIDATION_BATCH)):
            judged = self.judge(self._batch(self.data.x_validation, self.data.y_validation, part, rng), beta)
            loss += judged.loss * len(part) / n
            right, answers = right + judged.right, answers + judged.answers
        return loss, (right / answers if answers else None)

    def _batch(self, x: Any, y: Any, chosen: Array, rng: np.random.Generator) -> Batch:
        shown = x[chosen]
        if not self.architecture.inputs[0].parameters["integer"]:
            shown = np.asarray(shown, np.float32) * np.float32(self.data.scale)
        if self.recipe.target == "input":
            changed, weight = corrupted(shown, self.recipe.corruption, rng) if self.recipe.corruption else (shown, None)
            return Batch(changed, dict.fromkeys(self.losses, shown), weight)
        labels = pick(y, chosen)
        return Batch(shown, labels if isinstance(labels, Mapping) else dict.fromkeys(self.losses, labels), None)


def _describe(epoch: Epoch) -> str:
    accuracy = "" if epoch.validation_accuracy is None else f", accuracy {epoch.validation_accuracy:.4f}"
    return f"loss {epoch.loss:.4f}, validation loss {epoch.validation_loss:.4f}{accuracy}"


# ---------------------------------------------------------------------- going on after an interruption


class Checkpoint:
    """A file with the state of an unfinished training; written whole or not at all, gone when the training is done.

    key: what must be equal for a training to go on, as JSON types. What is damaged or of another training is ignored.
    """

    def __init__(self, path: Path, key: Mapping[str, Any]) -> None:
        self.path, self.key = path, json.loads(json.dumps(key, default=str))
        self.resumed_at, self.stored_at = 0, time.monotonic()

    def is_due(self) -> bool:
        """Whether enough would be lost by an interruption."""
        return time.monotonic() - self.stored_at >= CHECKPOINT_SECONDS

    def store(self, training: Training) -> None:
        """Write the state after the last epoch; where that fails, say so in the log and go on training."""
        from safetensors.numpy import save

        told = {
            "key": self.key,
            "curve": [asdict(e) for e in training.curve],
            "rng": training.rng.bit_generator.state,
        }
        arrays = {**training.state(), "order": training.order.waiting}
        content = save({k: np.array(v, order="C") for k, v in arrays.items()}, metadata={"told": json.dumps(told)})
        self.stored_at = time.monotonic()
        try:
            write_atomically(self.path, content)
        except OSError as error:
            log.warning("the state of the training cannot be kept in %s: %s", self.path, error)

    def resume(self, training: Training) -> None:
        """Put the stored state into a training that has just begun, if it is one of the same key."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.path, "numpy") as file:
                told = json.loads((file.metadata() or {})["told"])
                if told["key"] != self.key:
                    return
                names = file.keys()
                arrays = {name: file.get_tensor(name) for name in names}
        except (OSError, KeyError, ValueError, SafetensorError):
            return
        training.order.waiting = arrays.pop("order")
        training.go_on([Epoch(**e) for e in told["curve"]], arrays, told["rng"])
        self.resumed_at = len(training.curve)

    def remove(self) -> None:
        """Delete the file of a training that is finished."""
        self.path.unlink(missing_ok=True)
