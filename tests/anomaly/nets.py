"""Autoencoders with known answers: the projection on principal components, which is the best linear one."""

from typing import Any

import numpy as np
from sklearn.datasets import load_digits

import xaikit as xk


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
