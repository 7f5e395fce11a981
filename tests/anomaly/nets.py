"""Autoencoders with known answers: the projection on principal components, which is the best linear one."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

import xaikit as xk
from xaikit.graph import Layer
from xaikit.model import Network, Pull, Run


class Linear:
    """The mean and the first `size` principal components of the training data: a linear autoencoder, trained."""

    def __init__(self, training: Any, size: int) -> None:
        self.mean = training.mean(0)
        self.components = np.linalg.svd(training - self.mean, full_matrices=False)[2][:size]

    def __call__(self, x: Any) -> Any:
        flat = np.asarray(x, np.float64).reshape(len(x), -1) - self.mean
        return (flat @ self.components.T @ self.components + self.mean).reshape(np.shape(x))


def digits(digit: int) -> tuple[Any, Any, Any]:
    """Every other picture of a digit to train with, the others of it, and all pictures of other digits: (n, 64)."""
    found = load_digits()
    x, own = found.data / 16, found.target == digit
    return x[own][::2], x[own][1::2], x[~own]


def flat(training: Any, size: int = 8, error: Any = "mse") -> Any:
    net = Linear(training, size)
    return xk.wrap(net, inputs=xk.Array((training.shape[1],)), outputs=xk.Reconstruction(error), name="linear")


def pictures(training: Any, size: int = 8) -> Any:
    spec = xk.Image(8, 8, 1, scale=1 / 16)
    return xk.wrap(Linear(training, size), inputs=spec, outputs=xk.Reconstruction(), name="pictures")


class Variational(Linear):
    """The linear autoencoder with named layers "mean" and "log_variance", whose code can be replaced."""

    def __init__(self, training: Any, size: int, log_variance: float = 0.0) -> None:
        super().__init__(training, size)
        self.log_variance = log_variance

    def wrapped(self, spec: Any = None, **described: Any) -> "Coded":
        return Coded(
            self, inputs=spec or xk.Array((self.components.shape[1],)), outputs=xk.Reconstruction(), **described
        )


class Coded(Network):
    """A network around `Variational`, with derivatives on paper."""

    framework = "numpy"
    can = frozenset({"run", "pull", "patch"})

    @property
    def device(self) -> str:
        return "paper"

    def fingerprint(self) -> str:
        return str(hash(self.net.components.tobytes()))

    def _read_layers(self) -> Mapping[str, Layer]:
        shape = (len(self.net.components),)
        return {n: Layer(n, "dense", ("sample", "feature"), shape, ("input",)) for n in ("mean", "log_variance")}

    def _forward(self, x: Any, at: tuple[str, ...], patch: Mapping[str, Any], score: Any) -> Run:
        z = (np.asarray(x, np.float64).reshape(len(x), -1) - self.net.mean) @ self.net.components.T
        layers = {"mean": z, "log_variance": np.full_like(z, self.net.log_variance)} | dict(patch)
        back = np.asarray(layers["mean"], np.float64) @ self.net.components + self.net.mean
        return Run(back.reshape(np.shape(x)), {n: layers[n] for n in at})

    def _backward(self, x: Any, seed: Any, of: Any, wrt: Any, patch: Any, rule: Any, score: Any) -> Pull:
        value = self._forward(x, (), patch, score).output
        cotangent = np.asarray(seed(value) if callable(seed) else seed).reshape(len(x), -1)
        gradient = cotangent @ self.net.components.T @ self.net.components
        return Pull(value, np.asarray(x), gradient.reshape(np.shape(x)))
