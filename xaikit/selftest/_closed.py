"""Golden cases whose right values follow on paper: linear networks, worked examples, constant gates."""

import math
from typing import Any

import numpy as np

from xaikit import anomaly
from xaikit.arrays import Array
from xaikit.attribution import explain
from xaikit.inputs import Array as ArraySpec
from xaikit.inputs import Image, Reconstruction, Series, Values
from xaikit.insight import receptive_field
from xaikit.model import Model
from xaikit.selftest._bench import Bench
from xaikit.selftest._case import EXACT, NUMBERS, PARTS, Golden, closed
from xaikit.sequence import hidden_states
from xaikit.tabular import break_down

# ---------------------------------------------------------------- f(x) = W x + c

KERNEL = np.array([[2.0, -1], [-3, 0.5], [0.5, 4], [1, -2]])
BIAS = np.array([0.5, -1.0])
X, START = np.array([1.0, 2, -1, 3]), np.array([0.5, 0, 1, 1])
FROM_START, FROM_ZERO = KERNEL[:, 0] * (X - START), KERNEL[:, 0] * X


def _linear(bench: Bench) -> Model:
    weights = {"dense1/kernel": KERNEL, "dense1/bias": BIAS}
    return bench.made(lambda net: net.dense(net.input(4), 2), weights, ArraySpec((4,)), Values(("a", "b")))


def _of_linear(method: str, right: Any, formula: str, tolerance: float, **parameters: Any) -> None:
    @closed(f"linear/{method}", f"f = Wx + c: {formula}", [right], tolerance)
    def _(bench: Bench, golden: Golden) -> Any:
        return _values(_linear(bench), X, method, **parameters)


def _values(model: Model, x: Array, method: str, **parameters: Any) -> Array:
    return np.asarray(explain(model, x, method, target=0, progress=False, **parameters).values)


_of_linear("saliency", KERNEL[:, 0], "the weights", NUMBERS)
_of_linear("smooth-grad", KERNEL[:, 0], "the weights, whatever the noise", NUMBERS, samples=5)
_of_linear("gradient-x-input", FROM_ZERO, "weight · x", NUMBERS)
_of_linear("lrp", FROM_ZERO, "weight · x", NUMBERS)
for _name in ("integrated-gradients", "deep-lift"):
    _of_linear(_name, FROM_START, "weight · (x - baseline)", NUMBERS, baseline=START)
for _name in ("gradient-shap", "deep-shap"):
    _of_linear(_name, FROM_START, "weight · (x - background)", NUMBERS, background=START[None])
for _name in ("exact-shapley", "kernel-shap", "permutation-shap", "partition-shap"):
    _of_linear(_name, FROM_START, "weight · (x - baseline)", PARTS, baseline=START)
_of_linear("occlusion", FROM_START, "weight · (x - baseline)", PARTS, window=1, stride=1, baseline=START)
_of_linear("lime", FROM_START, "weight · (x - baseline), without a penalty", PARTS, alpha=0.0, baseline=START)


@closed("linear/break-down", "f = Wx + c: weight · (x - mean of the rows)", FROM_START[None], PARTS)
def _steps(bench: Bench, golden: Golden) -> Any:
    rows = np.stack([START - 1, START + 1])
    found = break_down(_linear(bench), rows, X, target=0, progress=False)
    order = np.argsort([int(v) for v in found.variables])
    return np.asarray(found.contributions)[..., order].reshape(1, -1)


# ---------------------------------------------------------------- sums of rectified sums (captum's basic models)


def _rectified(bench: Bench) -> Model:
    """h = relu(1x + (-10, 1, 1, 1)), y = Σh - 1."""
    weights = {
        "dense1/kernel": np.ones((3, 4)),
        "dense1/bias": np.array([-10.0, 1, 1, 1]),
        "dense2/kernel": np.ones((4, 1)),
        "dense2/bias": np.array([-1.0]),
    }
    return bench.made(
        lambda net: net.dense(net.dense(net.input(3), 4, activation="relu"), 1),
        weights,
        ArraySpec((3,)),
        Values(("y",)),
    )


RECTIFIED = np.array([20.0, 50, 30])


@closed("rectified/exact-shapley", "Shapley values (230, 590, 350) / 3", [[230 / 3, 590 / 3, 350 / 3]], PARTS)
def _shapley(bench: Bench, golden: Golden) -> Any:
    return _values(_rectified(bench), RECTIFIED, "exact-shapley", baseline=0.0)


@closed("rectified/kernel-shap", "Shapley values (230, 590, 350) / 3", [[230 / 3, 590 / 3, 350 / 3]], PARTS)
def _kernel_shap(bench: Bench, golden: Golden) -> Any:
    return _values(_rectified(bench), RECTIFIED, "kernel-shap", baseline=0.0)


@closed("rectified/occlusion", "(80, 200, 120)", [[80, 200, 120]], PARTS)
def _occlusion(bench: Bench, golden: Golden) -> Any:
    return _values(_rectified(bench), RECTIFIED, "occlusion", window=1, stride=1, baseline=0.0)


@closed("rectified/implementation-invariance", "two networks of one function: (3/2, -1/2) of both", [[1.5, -0.5]] * 2)
def _invariance(bench: Bench, golden: Golden) -> Any:
    """relu(relu(a) - 1 - relu(b)) and relu(relu(a - 1) - relu(b)) (Sundararajan et al. 2017, figure 3)."""
    found = []
    for first, second in ((0.0, -1.0), (-1.0, 0.0)):
        weights = {
            "dense1/kernel": np.eye(2),
            "dense1/bias": np.array([first, 0.0]),
            "dense2/kernel": np.array([[1.0], [-1.0]]),
            "dense2/bias": np.array([second]),
        }
        model = bench.made(
            lambda net: net.dense(net.dense(net.input(2), 2, activation="relu"), 1, activation="relu"),
            weights,
            ArraySpec((2,)),
            Values(("y",)),
        )
        found.append(_values(model, np.array([3.0, 1.0]), "integrated-gradients", baseline=0.0, steps=50)[0])
    return found


# ---------------------------------------------------------------- one convolution, by hand


def _convolved(bench: Bench) -> Model:
    weights = {
        "conv1/kernel": np.ones((3, 3, 1, 2)),
        "conv1/bias": np.array([-50.0, -75.0]),
        "dense1/kernel": _channels_last(np.array([1.0, 1, 1, 1, 1, -1, -1, -1]))[:, None],
        "dense1/bias": np.zeros(1),
    }
    return bench.made(
        lambda net: net.dense(net.flatten(net.conv(net.input(4, 4, 1), 2, 3, activation="relu")), 1, activation="relu"),
        weights,
        ArraySpec((4, 4, 1), axes=("height", "width", "channel")),
        Values(("y",)),
    )


def _channels_last(row: Array) -> Array:
    """Weights of two maps of 2×2, one after the other, in the order of a flattened map with its channels last."""
    return row.reshape(2, 4).T.ravel()


SQUARE = np.arange(16.0).reshape(4, 4, 1)


@closed("convolution/grad-cam", "3×3 convolution on 0..15: the map by hand", [[[11.25, 13.5], [20.25, 22.5]]])
def _cam(bench: Bench, golden: Golden) -> Any:
    return _values(_convolved(bench), SQUARE, "grad-cam", layer="conv1", relu=False, upsample=False)


@closed(
    "convolution/guided-backprop",
    "3×3 convolution on 0..15: the map by hand",
    [[[0, 1, 1, 1], [1, 3, 3, 2], [1, 3, 3, 2], [1, 2, 2, 1]]],
)
def _guided(bench: Bench, golden: Golden) -> Any:
    return _values(_convolved(bench), SQUARE, "guided-backprop")[..., 0]


@closed("convolution/mean-of-three", "(1, 10, 1, 1, 1) · (1/3, 1/3, 1/3), zeros around", [[11 / 3, 4, 4, 1, 2 / 3]])
def _mean_of_three(bench: Bench, golden: Golden) -> Any:
    model = bench.made(
        lambda net: net.flatten(net.conv(net.input(5, 1), 1, 3, padding="same", bias=False)),
        {"conv1/kernel": np.full((3, 1, 1), 1 / 3)},
        Series(5, 1),
    )
    return model.run(np.array([1.0, 10, 1, 1, 1], np.float32).reshape(1, 5, 1)).output


BACKSLASH_VOTES = [[1, 0.55], [0.55, 1]]
CROSS_VOTES = [[1, 0.55], [0.55, 0.55]]
SLASH_VOTES = [[0.55, 1], [1, 0.55]]


@closed(
    "convolution/twelve-votes",
    "the X of 9×9, three kernels, two poolings: 1 or 5/9",
    np.where(np.stack([BACKSLASH_VOTES, CROSS_VOTES, SLASH_VOTES], axis=-1) == 1, 1.0, 5 / 9)[None],
)
def _votes(bench: Bench, golden: Golden) -> Any:
    model = bench.load("xo_cnn")
    return model.run(model.inputs.encode(golden["xo_cnn/x"]), at=("pool2",)).activations["pool2"]


# ---------------------------------------------------------------- what a unit sees

STACKS = ((1, 1), (2, 1), (1, 2))
"""Stride and dilation of three 3×3 convolutions."""


def _field(stride: int, dilation: int) -> list[list[int]]:
    """Size and stride layer by layer: r = 1 + Σ (k - 1) d Π s."""
    size, step, found = 1, 1, []
    for _ in range(3):
        size, step = size + 2 * dilation * step, step * stride
        found.append([size, step])
    return found


@closed(
    "receptive-field/stacks",
    "three 3×3 layers: sizes 3, 5, 7; strided 3, 7, 15; dilated 5, 9, 13",
    [_field(*stack) for stack in STACKS],
    EXACT,
)
def _fields(bench: Bench, golden: Golden) -> Any:
    found = []
    for stride, dilation in STACKS:

        def stack(net: Any, stride: int = stride, dilation: int = dilation) -> Any:
            x = net.input(40, 40, 1)
            for _ in range(3):
                x = net.conv(x, 1, 3, stride=stride, dilation=dilation, padding="same", bias=False)
            return x

        kernels = {f"conv{i}/kernel": np.ones((3, 3, 1, 1)) for i in (1, 2, 3)}
        rf = receptive_field(bench.made(stack, kernels, Image(40, 40, 1, scale=1.0)))
        found.append([[rf[f"conv{i}"].size[0], rf[f"conv{i}"].stride[0]] for i in (1, 2, 3)])
    return found


# ---------------------------------------------------------------- gates that no input moves

GATES = {"i": 0.5, "f": 0.2, "g": 0.8, "o": 0.6}
STEPS = 6


def _lstm_by_hand() -> Array:
    """i, f, g, o, c, h at each step: c = i g (1 - f^t) / (1 - f), h = o tanh(c), Hochreiter and Schmidhuber (1997)."""
    i, f, g, o = GATES.values()
    c = i * g * (1 - f ** np.arange(1, STEPS + 1)) / (1 - f)
    return np.stack([np.full(STEPS, v) for v in GATES.values()] + [c, o * np.tanh(c)])


@closed("gates/constant", "an LSTM with constant gates: c = i·g·(1 - f^t) / (1 - f)", _lstm_by_hand())
def _gates(bench: Bench, golden: Golden) -> Any:
    i, f, g, o = GATES.values()
    logit = [math.log(v / (1 - v)) for v in (i, f, o)]
    weights = {
        "lstm1/kernel": np.zeros((1, 4)),
        "lstm1/recurrent_kernel": np.zeros((1, 4)),
        "lstm1/bias": np.array([logit[0], logit[1], math.atanh(g), logit[2]]),
    }
    model = bench.made(lambda net: net.lstm(net.input(STEPS, 1), 1), weights, Series(STEPS, 1))
    states = hidden_states(model, np.ones((STEPS, 1)), "lstm1")
    return [states[name][0, :, 0] for name in (*GATES, "c", "h")]


# ---------------------------------------------------------------- an anomaly that is in one column


@closed("anomaly/one-column", "a copy that halves column 1 of 4: error x²/16 there, 0 elsewhere", [[0, 4, 0, 0, 4]])
def _anomaly(bench: Bench, golden: Golden) -> Any:
    halved = np.diag([1.0, 0.5, 1, 1])
    weights = {"dense1/kernel": halved, "dense1/bias": np.zeros(4)}
    model = bench.made(lambda net: net.dense(net.input(4), 4), weights, ArraySpec((4,)), Reconstruction())
    normal = np.linspace(-1, 1, 400).reshape(100, 4)
    scored = anomaly.fit(model, normal, progress=False).score(np.array([3.0, 8, -5, 1]))
    return np.concatenate([scored.contributions, scored.values[:, None]], axis=1)
