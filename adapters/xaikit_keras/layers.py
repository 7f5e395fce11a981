"""Layers of the neutral builder that Keras has not: sampling, local response normalisation."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="xaikit")
class Sampling(keras.Layer):
    """mean + exp(log_variance / 2) · ε with ε ~ N(0, 1) in training, otherwise the mean (Kingma and Welling 2014)."""

    def __init__(self, seed: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        mean, log_variance = inputs
        if not training:
            return ops.convert_to_tensor(mean)
        noise = keras.random.normal(ops.shape(mean), dtype=mean.dtype, seed=self.seed_generator)
        return mean + ops.exp(log_variance / 2) * noise

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable(package="xaikit")
class LocalResponseNormalization(keras.Layer):
    """a / (k + alpha · Σ a²)^beta, the sum over `size` neighbouring channels (Krizhevsky et al. 2012, section 3.3)."""

    def __init__(self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0, **options: Any) -> None:
        super().__init__(**options)
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def call(self, inputs: Any) -> Any:
        channels, side = inputs.shape[-1], self.size // 2
        padded = ops.pad(ops.square(inputs), [(0, 0)] * (len(inputs.shape) - 1) + [(side, side)])
        around = sum((padded[..., i : i + channels] for i in range(1, self.size)), padded[..., :channels])
        return inputs / ops.power(self.k + self.alpha * around, self.beta)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        own = {"size": self.size, "alpha": self.alpha, "beta": self.beta, "k": self.k}
        return {**super().get_config(), **own}
