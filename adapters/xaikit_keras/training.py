"""Training of a zoo network in Keras."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from xaikit.zoo.building import Architecture
from xaikit.zoo.recipes import Augmentation, Loss, Progress, Recipe, affine_maps
from xaikit.zoo.training import Batch, Checkpoint, Epoch, Judged, Samples, Training

Array = npt.NDArray[Any]


def fit(
    net: keras.Model,
    architecture: Architecture,
    recipe: Recipe,
    data: Samples,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
) -> tuple[Epoch, ...]:
    """Train net in place, leave it with the weights of the lowest validation loss, and give the curve.

    No global random state is used: dropout draws from the seeds of the network's own layers.
    """
    for number, generator in enumerate(_seed_generators(net)):
        generator.state.assign([seed, number << 20])
    flags = [layer.trainable for layer in net.layers]
    try:
        return _Training(net, architecture, recipe, data, seed).run(progress, checkpoint)
    finally:
        for layer, trained in zip(net.layers, flags, strict=True):
            layer.trainable = trained


def training_device() -> str:
    """Where `fit` trains: "cuda", or "cpu" where there is no GPU."""
    return "cuda" if tf.config.list_logical_devices("GPU") else "cpu"


def _seed_generators(net: keras.Model) -> list[Any]:
    return [layer.seed_generator for layer in net.layers if getattr(layer, "seed_generator", None) is not None]


class _Training(Training):
    def __init__(
        self,
        net: keras.Model,
        architecture: Architecture,
        recipe: Recipe,
        data: Samples,
        seed: int,
    ) -> None:
        super().__init__(architecture, recipe, data, seed)
        self.net = net
        names = {node.name for node in self.compared.values()} | {n for pair in self.sampled for n in pair}
        self.values = keras.Model(net.inputs, {name: net.get_layer(name).output for name in sorted(names)})
        self.mean = [tf.Variable(w.value) for w in net.weights] if recipe.average else []
        self.best: list[Array] = []
        self.freeze(frozenset())

    def freeze(self, frozen: frozenset[str]) -> None:
        for node in self.architecture.nodes:
            if node.weights:
                changes = any(w.trainable for w in node.weights.values())
                self.net.get_layer(node.name).trainable = changes and node.name not in frozen
        self.optimizer = _optimizer(self.recipe)
        self.optimizer.build(self.net.trainable_variables)
        self._compiled_step = tf.function(self._step, reduce_retracing=True)
        self._compiled_judge = tf.function(self._judge, reduce_retracing=True)

    def step(self, batch: Batch, rate: float, beta: float) -> float:
        self.optimizer.learning_rate = rate
        x = tf.convert_to_tensor(batch.x)
        if self.recipe.augmentation:
            x = augment(x, self.recipe.augmentation, self.rng)
        return float(self._compiled_step(x, self._targets(batch), batch.weight, tf.constant(beta, tf.float32)))

    def _step(self, x: tf.Tensor, targets: Mapping[str, tf.Tensor], weight: Any, beta: tf.Tensor) -> tf.Tensor:
        weights = self.net.trainable_variables
        with tf.GradientTape() as tape:
            values = self.values(x, training=True)
            loss = self._loss(values, targets, weight, beta, self.recipe.label_smoothing) + self._penalty()
        gradients = tape.gradient(loss, weights)
        if self.recipe.optimizer != "adam":  # plain L2, as in the papers; AdamW decays by itself
            gradients = [g + self.recipe.weight_decay * w for g, w in zip(gradients, weights, strict=True)]
        self.optimizer.apply(gradients, weights)
        for mean, now in zip(self.mean, self.net.weights, strict=False):
            mean.assign(mean + (1.0 - self.recipe.average) * (now.value - mean))
        return loss

    def _loss(
        self,
        values: Mapping[str, tf.Tensor],
        targets: Mapping[str, tf.Tensor],
        weight: tf.Tensor | None,
        beta: tf.Tensor,
        smoothing: float,
    ) -> tf.Tensor:
        total = tf.constant(0.0)
        for output, loss in self.losses.items():
            one = _loss(values[self.compared[output].name], targets[output], loss, smoothing, weight)
            total += self.recipe.loss_weights.get(output, 1.0) * one
        for mean, log_variance in self.sampled:
            total += beta * _divergence(values[mean], values[log_variance])
        return total

    def _penalty(self) -> tf.Tensor:
        kernels = {name: self.net.get_layer(name).kernel for name in self.recipe.l2}
        return tf.add_n(
            [tf.constant(0.0), *(self.recipe.l2[n] * tf.reduce_sum(tf.square(k)) for n, k in kernels.items())]
        )

    def judge(self, batch: Batch, beta: float) -> Judged:
        with _Holding(self):
            x, targets = tf.convert_to_tensor(batch.x), self._targets(batch)
            loss, right = self._compiled_judge(x, targets, batch.weight, tf.constant(beta, tf.float32))
        return Judged(float(loss), int(right), sum(targets[o].shape.num_elements() for o in self.classified))

    def _judge(
        self, x: tf.Tensor, targets: Mapping[str, tf.Tensor], weight: Any, beta: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        values = self.values(x, training=False)
        right = [_count_right(values[self.compared[o].name], targets[o], self.losses[o]) for o in self.classified]
        return self._loss(values, targets, weight, beta, 0.0), tf.add_n([tf.constant(0, tf.int64), *right])

    def keep(self) -> None:
        with _Holding(self):
            self.best = self.net.get_weights()

    def restore(self) -> None:
        self.net.set_weights(self.best)

    def state(self) -> dict[str, Array]:
        parts = {
            "net": self.net.get_weights(),
            "mean": [np.asarray(m) for m in self.mean],
            "best": self.best,
            "optimizer": [np.asarray(v) for v in self.optimizer.variables],
            "random": [np.asarray(g.state) for g in _seed_generators(self.net)],
        }
        return {f"{part}:{number}": v for part, values in parts.items() for number, v in enumerate(values)}

    def set_state(self, state: Mapping[str, Array]) -> None:
        def part(name: str) -> list[Array]:
            return [state[f"{name}:{n}"] for n in range(sum(k.startswith(f"{name}:") for k in state))]

        self.net.set_weights(part("net"))
        self.best = part("best")
        generators = [g.state for g in _seed_generators(self.net)]
        kept = {"mean": self.mean, "optimizer": self.optimizer.variables, "random": generators}
        for name, variables in kept.items():
            for variable, value in zip(variables, part(name), strict=True):
                variable.assign(value)

    def _targets(self, batch: Batch) -> dict[str, tf.Tensor]:
        kinds = {o: tf.int64 if loss == "crossentropy" else tf.float32 for o, loss in self.losses.items()}
        return {o: tf.cast(batch.targets[o], kind) for o, kind in kinds.items()}


class _Holding:
    """While open, the network holds the moving average of its weights, if the recipe asks for one."""

    def __init__(self, training: _Training) -> None:
        self.training = training
        self.own: list[Array] = []

    def __enter__(self) -> None:
        if self.training.mean:
            self.own = self.training.net.get_weights()
            self.training.net.set_weights([m.numpy() for m in self.training.mean])

    def __exit__(self, *error: object) -> None:
        if self.training.mean:
            self.training.net.set_weights(self.own)


def augment(x: tf.Tensor, augmentation: Augmentation, rng: np.random.Generator) -> tf.Tensor:
    """Randomly moved copies of a batch of images (N, H, W, C); what falls outside repeats the border."""
    n, height, width, _ = x.shape
    maps = affine_maps(augmentation, rng, n, height, width)
    centre = np.array([(width - 1) / 2.0, (height - 1) / 2.0])
    maps[:, :, 2] += centre - maps[:, :, :2] @ centre  # from the centre to the first pixel
    rows = np.concatenate([maps.reshape(n, 6), np.zeros((n, 2))], -1).astype(np.float32)
    return keras.ops.image.affine_transform(
        x, rows, interpolation="bilinear", fill_mode="nearest", data_format="channels_last"
    )


def _optimizer(recipe: Recipe) -> keras.optimizers.Optimizer:
    rate = recipe.learning_rate
    if recipe.optimizer == "adam":
        return keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay, epsilon=1e-7)
    if recipe.optimizer == "rmsprop":
        return keras.optimizers.RMSprop(rate, rho=0.9, epsilon=1e-7)
    return keras.optimizers.SGD(rate, momentum=0.9)


def _loss(scores: tf.Tensor, y: tf.Tensor, loss: Loss, smoothing: float, weight: tf.Tensor | None) -> tf.Tensor:
    if loss == "crossentropy":
        classes = scores.shape[-1]
        target = tf.one_hot(y, classes) * (1.0 - smoothing) + smoothing / classes
        return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(target, scores))
    y = tf.reshape(y, tf.shape(scores))
    if loss == "mse":
        each = tf.square(scores - y)
    else:
        each = tf.nn.sigmoid_cross_entropy_with_logits(y * (1.0 - smoothing) + smoothing / 2.0, scores)
    if loss == "summed-binary-crossentropy":
        return tf.reduce_sum(each) / tf.cast(tf.shape(each)[0], tf.float32)
    return tf.reduce_mean(each) if weight is None else tf.reduce_sum(each * weight) / tf.reduce_sum(weight)


def _divergence(mean: tf.Tensor, log_variance: tf.Tensor) -> tf.Tensor:
    """KL(N(m, σ²) ‖ N(0, 1)) = −½ Σ(1 + log σ² − m² − σ²), the mean over samples."""
    terms = 1.0 + log_variance - tf.square(mean) - tf.exp(log_variance)
    return -0.5 * tf.reduce_sum(terms) / tf.cast(tf.shape(mean)[0], tf.float32)


def _count_right(scores: tf.Tensor, y: tf.Tensor, loss: Loss) -> tf.Tensor:
    said = tf.argmax(scores, -1) if loss == "crossentropy" else tf.cast(tf.reshape(scores, tf.shape(y)) > 0, y.dtype)
    return tf.math.count_nonzero(said == y)
