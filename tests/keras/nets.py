"""Small networks with fixed random weights that several tests share."""

from typing import Any

import keras
import numpy as np

L = keras.layers


def filled(net: Any, seed: int = 0) -> Any:
    """Give every weight, and the statistics of batch normalisation, numbers of a fixed random stream."""
    rng = np.random.default_rng(seed)
    for variable in net.weights:
        values = rng.normal(size=variable.shape) * 0.5
        variable.assign(np.abs(values) + 0.5 if "variance" in variable.name else values)
    return net


def cnn() -> Any:
    return filled(
        keras.Sequential(
            [
                L.Input((12, 12, 2)),
                L.Conv2D(4, 3, activation="relu", name="c1"),
                L.BatchNormalization(name="bn"),
                L.Dropout(0.5, name="drop"),
                L.Conv2D(6, 3, strides=2, padding="same", name="c2"),
                L.ReLU(name="r2"),
                L.GlobalAveragePooling2D(name="gap"),
                L.Dense(3, activation="softmax", name="head"),
            ],
            name="cnn",
        )
    )


def images(count: int = 3) -> Any:
    return np.random.default_rng(1).normal(size=(count, 12, 12, 2)).astype("float32")


def text(recurrent: Any = None, length: int = 7) -> Any:
    """Ids (sample, token) with 0 for padding, through a masked embedding and a recurrent layer."""
    return filled(
        keras.Sequential(
            [
                L.Input((length,), dtype="int32"),
                L.Embedding(20, 5, mask_zero=True, name="embedding"),
                recurrent or L.LSTM(4, name="lstm"),
                L.Dense(1, activation="sigmoid", name="head"),
            ],
            name="text",
        )
    )


def sentences() -> Any:
    return np.array([[3, 5, 7, 1, 2, 9, 4], [4, 8, 2, 0, 0, 0, 0], [6, 0, 0, 0, 0, 0, 0]])


class Subclassed(keras.Model):
    """Layers called in `call`, with a residual connection, a nested network and a tail of plain operations."""

    def __init__(self, tail: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.first = L.Dense(5, activation="tanh", name="first")
        self.inner = keras.Sequential([L.Dense(5, name="a"), L.ReLU(name="b")], name="inner")
        self.last = L.Dense(3, name="last")
        self.tail = tail

    def call(self, x: Any) -> Any:
        h = self.first(x)
        y = self.last(h + self.inner(h))
        return y if self.tail is None else self.tail(y)


def subclassed(tail: Any = None) -> Any:
    net = Subclassed(tail, name="subclassed")
    net(np.zeros((1, 4), "float32"))
    return filled(net)


def rows(count: int = 3, width: int = 4) -> Any:
    return np.random.default_rng(2).normal(size=(count, width)).astype("float32")


def two_headed() -> Any:
    """Two inputs, two outputs, one shared layer."""
    left, right = L.Input((4,), name="left"), L.Input((4,), name="right")
    shared = L.Dense(3, activation="relu", name="shared")
    both = L.Concatenate(name="both")([shared(left), shared(right)])
    kind = L.Dense(3, activation="softmax", name="kind")(both)
    size = L.Dense(1, name="size")(both)
    return filled(keras.Model([left, right], [kind, size], name="two_headed"))


def hot(count: int, width: int, index: int) -> Any:
    """A cotangent that picks one entry of an output (count, width)."""
    return np.eye(width, dtype="float32")[[index] * count]
