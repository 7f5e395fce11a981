"""One architecture in both back-ends: lively weights, telling inputs, outputs that must agree."""

import math
from typing import Any

import numpy as np
from numpy.testing import assert_allclose

from xaikit.zoo.building import Architecture, Weight


def lively(architecture: Architecture) -> dict[str, Any]:
    """Weights that keep the size of what passes (He et al. 2015), no bias at zero, no statistic as it starts.

    Where branches are added up, each weighs half, else sixteen of them would saturate the softmax.
    """
    rng = np.random.default_rng(1)
    gain = 1.0 if any(n.op == "add" for n in architecture.nodes) else 2.0

    def value(name: str, weight: Weight) -> Any:
        if name.endswith(("gamma", "moving_variance", "scale")):
            return rng.uniform(0.5, 1.5, weight.shape)
        if name.endswith("embeddings"):
            return rng.normal(0, 1, weight.shape)
        if len(weight.shape) == 1:
            return rng.normal(0, 0.1, weight.shape)
        read = math.prod(weight.shape[:-2] if name.endswith("depthwise_kernel") else weight.shape[:-1])
        return rng.normal(0, math.sqrt(gain / read), weight.shape)

    return {n: value(n, w).astype(np.float32) for n, w in architecture.weights.items()}


def samples(architecture: Architecture, count: int) -> Any:
    """Noise around a level of each sample and channel, which pooling does not average out."""
    rng = np.random.default_rng(0)
    shape = architecture.inputs[0].shape
    level = rng.uniform(-1, 1, (count, *(1,) * (len(shape) - 1), shape[-1]))
    return (level + rng.uniform(-0.5, 0.5, (count, *shape))).astype(np.float32)


def tokens(architecture: Architecture) -> Any:
    """Token ids whose pads (0) stand nowhere, on the left, on the right, on both sides, between, and everywhere."""
    embedding = next(n for n in architecture.nodes if n.op == "embedding")
    (length,) = architecture.inputs[0].shape
    x = np.random.default_rng(0).integers(1, embedding.parameters["vocabulary"], (6, length))
    third = length // 3
    x[1, :third] = x[2, -third:] = x[3, :third] = x[3, -third:] = x[4, third:-third] = x[5] = 0
    return x


def outputs(side: Any, architecture: Architecture, x: Any, weights: Any = None) -> dict[str, Any]:
    """The outputs of one back-end by name, channels last, with the weights given, else `lively` ones."""
    net = side.build(architecture)
    side.set_weights(net, architecture, lively(architecture) if weights is None else weights)
    if side.__name__ == "xaikit_keras":
        return _named(net(x), np.asarray)
    import torch

    first = net.layout == "channels-first"
    with torch.no_grad():
        given = net(torch.from_numpy(np.moveaxis(x, -1, 1).copy() if first else x))
    return _named(given, lambda y: np.moveaxis(y.numpy(), 1, -1) if first and y.ndim > 2 else y.numpy())


def _named(given: Any, read: Any) -> dict[str, Any]:
    return {k: read(y) for k, y in (given if isinstance(given, dict) else {"output": given}).items()}


def agree(ours: Any, theirs: Any) -> None:
    """Outputs of equal shape that are equal to five digits of the largest, and not the same for every input."""
    assert ours.shape == theirs.shape
    # Different inputs must have different outputs, else agreement says nothing.
    assert np.abs(theirs[0] - theirs[1]).max() > 1e-3 * np.abs(theirs).max()
    # float32 sums in another order: five digits of the largest output.
    assert_allclose(ours, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())


def agree_by_name(both: tuple[Any, Any], architecture: Architecture, x: Any) -> dict[str, Any]:
    """Every output in both back-ends; gives those of the first."""
    ours, theirs = (outputs(side, architecture, x) for side in both)
    assert set(ours) == set(theirs) == set(architecture.outputs)
    for key in ours:
        agree(ours[key], theirs[key])
        assert ours[key].shape[1:] == architecture.by_name[architecture.outputs[key]].shape
    return ours
