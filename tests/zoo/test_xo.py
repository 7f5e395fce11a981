"""The worked example: every table of the X drawing, in both frameworks."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from xaikit import wrapping
from xaikit.data import exact_x
from xaikit.zoo.networks import networks

# Truncated to two places, as written down; every value is a number of ninths.
BACKSLASH_MAP = """
 0.77 -0.11  0.11  0.33  0.55 -0.11  0.33
-0.11  1.00 -0.11  0.33 -0.11  0.11 -0.11
 0.11 -0.11  1.00 -0.33  0.11 -0.11  0.55
 0.33  0.33 -0.33  0.55 -0.33  0.33  0.33
 0.55 -0.11  0.11 -0.33  1.00 -0.11  0.11
-0.11  0.11 -0.11  0.33 -0.11  1.00 -0.11
 0.33 -0.11  0.55  0.33  0.11 -0.11  0.77
"""
POOLED = {
    "backslash": "1.00 .33 .55 .33   .33 1.00 .33 .55   .55 .33 1.00 .11   .33 .55 .11 .77",
    "cross": ".55 .33 .55 .33   .33 1 .55 .11   .55 .55 .55 .11   .33 .11 .11 .33",
    "slash": ".33 .55 1 .77   .55 .55 1 .33   1 1 .11 .55   .77 .33 .55 .33",
}
POOLED_AGAIN = {"backslash": "1 .55 .55 1", "cross": "1 .55 .55 .55", "slash": ".55 1 1 .55"}
KERNELS = list(POOLED)


def table(text: str, side: int) -> Any:
    return np.array(text.split(), float).reshape(side, side)


def truncated(values: Any) -> Any:
    """Two places; the ninths are restored first, since float32 gives 0.99999994 for one."""
    ninths = np.round(np.asarray(values, float) * 9)
    np.testing.assert_allclose(values, ninths / 9, atol=1e-6)
    return np.trunc(ninths * 100 / 9 + np.sign(ninths) * 1e-9) / 100


@pytest.fixture
def activations(framework: str, backend: Any) -> Any:
    entry = networks["xo_cnn"]
    net = backend.build(entry.architecture)
    model = wrapping.wrap(net, inputs=entry.inputs, outputs=entry.outputs)
    x = entry.inputs.encode(exact_x())
    return model.run(x, at=("conv1", "pool1", "conv1_relu", "pool2", "flatten1")).activations


def test_the_drawing_is_the_one_of_the_example() -> None:
    expected = -np.ones((9, 9))
    inner = np.arange(1, 8)
    expected[inner, inner] = expected[inner, inner[::-1]] = 1.0
    assert_array_equal(exact_x(), expected)


def test_backslash_map(activations: Any) -> None:
    assert activations["conv1"].shape == (1, 7, 7, 3)
    assert_array_equal(truncated(activations["conv1"][0, :, :, 0]), table(BACKSLASH_MAP, 7))


def test_slash_map_mirrors_the_backslash_map(activations: Any) -> None:
    assert_array_equal(truncated(activations["conv1"][0, :, :, 2]), table(BACKSLASH_MAP, 7)[:, ::-1])


@pytest.mark.parametrize("kernel", KERNELS)
def test_pooled_maps(activations: Any, kernel: str) -> None:
    pooled = activations["pool1"][0, :, :, KERNELS.index(kernel)]
    assert_array_equal(truncated(pooled), table(POOLED[kernel], 4))


@pytest.mark.parametrize("kernel", KERNELS)
def test_maps_pooled_again(activations: Any, kernel: str) -> None:
    assert_array_equal(truncated(activations["pool2"][0, :, :, KERNELS.index(kernel)]), table(POOLED_AGAIN[kernel], 2))


def test_rectified_map_has_no_negative_entry(activations: Any) -> None:
    assert_array_equal(activations["conv1_relu"], np.maximum(activations["conv1"], 0))
    assert (activations["conv1"] < 0).any()


def test_there_are_twelve_votes(activations: Any) -> None:
    assert activations["flatten1"].shape == (1, 12)


def test_the_kernels_are_frozen(framework: str, backend: Any) -> None:
    architecture = networks["xo_cnn"].architecture
    net = backend.build(architecture)
    kernel = backend.get_weights(net, architecture)["conv1/kernel"]
    assert_array_equal(np.round(kernel[:, :, 0, 0] * 9), [[1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    if framework == "torch":
        assert [n for n, p in net.named_parameters() if p.requires_grad] == ["dense1.weight", "dense1.bias"]
    else:
        assert [w.path for w in net.trainable_weights] == ["dense1/kernel", "dense1/bias"]
