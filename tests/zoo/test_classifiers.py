"""The documented classifiers: one output in both frameworks, and that of keras.applications with its weights."""

import math
import re
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from xaikit.zoo.building import Architecture, Weight
from xaikit.zoo.networks import networks

SMALL = [
    *("mlp_mnist", "mlp_mnist_dropout", "mlp_mnist_wide", "mlp_imdb", "mlp_imdb_small", "mlp_imdb_dropout"),
    *("eeg_cnn", "lenet5_cifar10", "mnist_cnn", "mnist_two_heads", "unet", "xception_small"),
]
LARGE = ["alexnet", "vgg16_c", "googlenet", "inception_v3", "resnet18", "resnet50", "resnet50_keras", "xception"]
APPLICATIONS = {
    "vgg16": "VGG16",
    "vgg19": "VGG19",
    "inception_v3": "InceptionV3",
    "resnet50_keras": "ResNet50",
    "xception": "Xception",
}


def lively(architecture: Architecture) -> dict[str, Any]:
    """Weights that keep the size of what passes (He et al. 2015), no bias at zero, no statistic as it starts.

    Where branches are added up, each weighs half, else sixteen of them would saturate the softmax.
    """
    rng = np.random.default_rng(1)
    gain = 1.0 if any(n.op == "add" for n in architecture.nodes) else 2.0

    def value(name: str, weight: Weight) -> Any:
        if name.endswith(("gamma", "moving_variance")):
            return rng.uniform(0.5, 1.5, weight.shape)
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


def outputs(side: Any, architecture: Architecture, x: Any) -> dict[str, Any]:
    """The outputs of one back-end by name, channels last, with `lively` weights."""
    net = side.build(architecture)
    side.set_weights(net, architecture, lively(architecture))
    if side.__name__ == "xaikit_keras":
        given = net(x)
    else:
        import torch

        with torch.no_grad():
            given = net(torch.from_numpy(np.moveaxis(x, -1, 1).copy() if net.layout == "channels-first" else x))
    named = given if isinstance(given, dict) else {"output": given}
    last = side.__name__ == "xaikit_keras"
    return {k: np.asarray(y) if last or y.ndim < 3 else np.moveaxis(y.numpy(), 1, -1) for k, y in named.items()}


def agree(ours: Any, theirs: Any) -> None:
    assert ours.shape == theirs.shape
    # Different inputs must have different outputs, else agreement says nothing.
    assert np.abs(theirs[0] - theirs[1]).max() > 1e-3 * np.abs(theirs).max()
    # float32 sums in another order: five digits of the largest output.
    assert_allclose(ours, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.parametrize("name", [*SMALL, *(pytest.param(n, marks=pytest.mark.slow) for n in LARGE)])
def test_both_frameworks_give_one_output(both: tuple[Any, Any], name: str) -> None:
    architecture = networks[name].architecture
    x = samples(architecture, 4 if name in SMALL else 2)
    ours, theirs = (outputs(side, architecture, x) for side in both)
    assert set(ours) == set(theirs) == set(architecture.outputs)
    for key in ours:
        agree(ours[key], theirs[key])


def test_lists_of_this_file_are_complete() -> None:
    shipped, alike = {"xo_cnn", "cats_vs_dogs"}, {"vgg16": "vgg16_c", "vgg19": "vgg16_c", "mlp_imdb_l2": "mlp_imdb"}
    assert {*SMALL, *LARGE, *shipped, *alike} == set(networks)


def application(name: str) -> Any:
    keras = pytest.importorskip("keras")
    return getattr(keras.applications, APPLICATIONS[name])(weights=None)


def numbered(names: list[str], kind: str) -> list[str]:
    """Names that were given by counting, in the order of counting."""
    found = [n for n in names if re.fullmatch(rf"{kind}_?\d*", n)]
    return sorted(found, key=lambda n: int(re.sub(r"\D", "", n.removeprefix(kind)) or 0))


def paired(reference: Any, architecture: Architecture) -> dict[str, str]:
    """Our node for each layer of the reference that has weights: of the same name, else the next one of its kind."""
    layers = [layer.name for layer in reference.layers if layer.weights]
    nodes = [n.name for n in architecture.nodes if n.weights]
    pairs = {name: name for name in set(layers) & set(nodes)}
    for theirs, ours in (("conv2d", "conv"), ("batch_normalization", "batch_norm")):
        pairs |= dict(zip(numbered(layers, theirs), numbered(nodes, ours), strict=True))
    assert (set(pairs), set(pairs.values())) == (set(layers), set(nodes))
    return pairs


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n.startswith("vgg") else n for n in APPLICATIONS]
)
def test_counts_are_those_of_keras_applications(name: str) -> None:
    reference, architecture = application(name), networks[name].architecture
    assert reference.count_params() == architecture.total
    assert sum(int(np.prod(w.shape)) for w in reference.trainable_weights) == architecture.trainable
    pairs = paired(reference, architecture)
    for layer, node in pairs.items():
        shapes = [tuple(w.shape) for w in reference.get_layer(layer).weights]
        assert shapes == [w.shape for w in architecture.by_name[node].weights.values()]


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS)
def test_weights_of_keras_applications_fit(both: tuple[Any, Any], name: str) -> None:
    reference, architecture = application(name), networks[name].architecture
    weights = lively(architecture)
    for layer, node in paired(reference, architecture).items():
        reference.get_layer(layer).set_weights([weights[f"{node}/{w}"] for w in architecture.by_name[node].weights])
    x = samples(architecture, 2)
    agree(outputs(both[1], architecture, x)["output"], np.asarray(reference(x)))
