"""Training of a zoo network in Keras."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from xaikit.zoo.building import Architecture
from xaikit.zoo.recipes import Augmentation, Epoch, Progress, Recipe, Samples, Training, affine_maps

Array = npt.NDArray[Any]


def fit(
    net: keras.Model,
    architecture: Architecture,
    recipe: Recipe,
    data: Samples,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[Epoch, ...]:
    """Train net in place, leave it with the weights of the lowest validation loss, and give the curve.

    No global random state is used: dropout draws from the seeds of the network's own layers.
    """
    for number, generator in enumerate(_seed_generators(net)):
        generator.state.assign([seed, number << 20])
    return _Training(net, architecture, recipe, data, seed).run(progress)


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
        super().__init__(recipe, data, seed)
        self.net = net
        self.scores = _before_squashing(net, architecture)
        self.optimizer = _optimizer(recipe)
        self.optimizer.build(net.trainable_variables)
        self.mean = [tf.Variable(w.value) for w in net.weights] if recipe.average else []
        self.best: list[Array] = []
        self._compiled_step = tf.function(self._step, reduce_retracing=True)
        self._compiled_judge = tf.function(self._judge, reduce_retracing=True)

    def step(self, chosen: Array, rate: float) -> float:
        self.optimizer.learning_rate = rate
        x = self._inputs(self.data.x[chosen])
        if self.recipe.augmentation:
            x = augment(x, self.recipe.augmentation, self.rng)
        return float(self._compiled_step(x, self._targets(self.data.y[chosen])))

    def _step(self, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        weights = self.net.trainable_variables
        with tf.GradientTape() as tape:
            loss = _loss(self.scores(x, training=True), y, self.recipe, self.recipe.label_smoothing)
        gradients = tape.gradient(loss, weights)
        if self.recipe.optimizer != "adam":  # plain L2, as in the papers; AdamW decays by itself
            gradients = [g + self.recipe.weight_decay * w for g, w in zip(gradients, weights, strict=True)]
        self.optimizer.apply(gradients, weights)
        for mean, now in zip(self.mean, self.net.weights, strict=False):
            mean.assign(mean + (1.0 - self.recipe.average) * (now.value - mean))
        return loss

    def judge(self, part: slice) -> tuple[float, int]:
        with _Holding(self):
            x, y = self._inputs(self.data.x_validation[part]), self._targets(self.data.y_validation[part])
            loss, right = self._compiled_judge(x, y)
        return float(loss), int(right)

    def _judge(self, x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        scores = self.scores(x, training=False)
        return _loss(scores, y, self.recipe, 0.0), _count_right(scores, y, self.recipe)

    def keep(self) -> None:
        with _Holding(self):
            self.best = self.net.get_weights()

    def restore(self) -> None:
        self.net.set_weights(self.best)

    def _inputs(self, x: Array) -> tf.Tensor:
        if x.dtype.kind == "f" or self.data.scale != 1.0:
            x = x.astype(np.float32) * np.float32(self.data.scale)
        return tf.convert_to_tensor(x)

    def _targets(self, y: Array) -> tf.Tensor:
        return tf.convert_to_tensor(y, tf.int64 if self.recipe.loss == "crossentropy" else tf.float32)


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


def _before_squashing(net: keras.Model, architecture: Architecture) -> keras.Model:
    """The network without its final softmax or sigmoid: what a numerically stable loss is computed from."""
    last = architecture.last
    if last.op != "activation" or last.parameters["kind"] not in ("softmax", "sigmoid"):
        return net
    return keras.Model(net.inputs, net.get_layer(last.name).input)


def _optimizer(recipe: Recipe) -> keras.optimizers.Optimizer:
    rate = recipe.learning_rate
    if recipe.optimizer == "adam":
        return keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay, epsilon=1e-7)
    if recipe.optimizer == "rmsprop":
        return keras.optimizers.RMSprop(rate, rho=0.9, epsilon=1e-7)
    return keras.optimizers.SGD(rate, momentum=0.9)


def _loss(scores: tf.Tensor, y: tf.Tensor, recipe: Recipe, smoothing: float) -> tf.Tensor:
    if recipe.loss == "binary-crossentropy":
        target = y * (1.0 - smoothing) + smoothing / 2.0
        losses = tf.nn.sigmoid_cross_entropy_with_logits(target, tf.reshape(scores, [-1]))
    elif recipe.loss == "crossentropy":
        classes = scores.shape[-1]
        target = tf.one_hot(y, classes) * (1.0 - smoothing) + smoothing / classes
        losses = tf.nn.softmax_cross_entropy_with_logits(target, scores)
    else:
        losses = tf.square(scores - y)
    return tf.reduce_mean(losses)


def _count_right(scores: tf.Tensor, y: tf.Tensor, recipe: Recipe) -> tf.Tensor:
    if recipe.loss == "mse":
        return tf.constant(0, tf.int64)
    said = tf.argmax(scores, -1) if recipe.loss == "crossentropy" else tf.cast(tf.reshape(scores, [-1]) > 0, tf.float32)
    return tf.math.count_nonzero(said == y)
