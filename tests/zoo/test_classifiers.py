"""The documented classifiers: one output in both frameworks, and that of keras.applications with its weights."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tests.cases import some
from xaikit.inputs import Classes, Masks, Series, Text
from xaikit.zoo.building import Architecture
from xaikit.zoo.networks import networks

from .parity import agree, agree_by_name, lively, outputs, samples

pytestmark = pytest.mark.slow

SMALL = [
    *("mlp_mnist", "mlp_mnist_dropout", "mlp_mnist_wide", "mlp_imdb", "mlp_imdb_small", "mlp_imdb_dropout"),
    *(
        "eeg_cnn",
        "lenet5_cifar10",
        "mnist_cnn",
        "mnist_two_heads",
        "unet",
        "xception_small",
        "cats_vs_dogs_transfer",
        "credit_mlp",
    ),
]
LARGE = [
    "alexnet",
    "alexnet_lrn",
    "vgg16_c",
    "googlenet",
    "inception_v3",
    "resnet18",
    "resnet50",
    "resnet50_keras",
    "xception",
]
APPLICATIONS = {
    "vgg16": "VGG16",
    "vgg19": "VGG19",
    "inception_v3": "InceptionV3",
    "resnet50_keras": "ResNet50",
    "xception": "Xception",
}


@pytest.mark.parametrize("name", SMALL)
def test_both_frameworks_give_one_output(both: tuple[Any, Any], name: str) -> None:
    architecture = networks[name].architecture
    agree_by_name(both, architecture, samples(architecture, 4))


@pytest.mark.slow
@pytest.mark.parametrize("name", some(LARGE, ("resnet50", "xception", "googlenet")))
def test_both_frameworks_give_one_output_of_large_networks(both: tuple[Any, Any], name: str) -> None:
    architecture = networks[name].architecture
    agree_by_name(both, architecture, samples(architecture, 2))


def test_lists_of_this_file_are_complete() -> None:
    shipped = {"xo_cnn", "cats_vs_dogs"}  # compared on real inputs
    alike = {
        "vgg16": "vgg16_c",
        "vgg19": "vgg16_c",
        "mlp_imdb_l2": "mlp_imdb",
        "resnet20_cifar10": "cats_vs_dogs_transfer",
    }
    others = {n for n, e in networks.items() if isinstance(e.inputs, Text | Series) or not classifies(e.outputs)}
    assert {*SMALL, *LARGE, *shipped, *alike} == set(networks) - others


def classifies(spec: Any) -> bool:
    return any(isinstance(s, Classes | Masks) for s in (spec.values() if isinstance(spec, Mapping) else [spec]))


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
@pytest.mark.parametrize("name", some(APPLICATIONS, ("resnet50_keras", "inception_v3", "xception")))
def test_weights_of_keras_applications_fit(both: tuple[Any, Any], name: str) -> None:
    reference, architecture = application(name), networks[name].architecture
    weights = lively(architecture)
    for layer, node in paired(reference, architecture).items():
        reference.get_layer(layer).set_weights([weights[f"{node}/{w}"] for w in architecture.by_name[node].weights])
    x = samples(architecture, 2)
    agree(outputs(both[1], architecture, x)["output"], np.asarray(reference(x)))
