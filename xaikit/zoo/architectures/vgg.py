"""VGG: the deeper, the more 3×3 convolutions in a row."""

from collections.abc import Sequence

from xaikit.zoo.architectures._imagenet import IMAGENET, LIMITS, limits, mean_subtracted
from xaikit.zoo.building import Ops, Symbol
from xaikit.zoo.networks import network

FILTERS = (64, 128, 256, 512, 512)
INPUTS = mean_subtracted(224)


@network(title="ImageNet, VGG-16 (D)", inputs=INPUTS, limits=limits("vgg16"), **IMAGENET)
def vgg16(net: Ops) -> Symbol:
    """Photos of 224×224×3 → 1000 probabilities; 138,357,544 parameters (Simonyan and Zisserman 2015, D)."""
    return _vgg(net, [(3, 3)] * 2 + [(3, 3, 3)] * 3)


@network(title="ImageNet, VGG-16 with 1×1 convolutions (C)", inputs=INPUTS, limits=LIMITS, **IMAGENET)
def vgg16_c(net: Ops) -> Symbol:
    """VGG whose third convolutions see one position only; 133,638,952 parameters (Simonyan and Zisserman 2015, C)."""
    return _vgg(net, [(3, 3)] * 2 + [(3, 3, 1)] * 3)


@network(title="ImageNet, VGG-19 (E)", inputs=INPUTS, limits=limits("vgg19"), **IMAGENET)
def vgg19(net: Ops) -> Symbol:
    """VGG with sixteen convolutions; 143,667,240 parameters (Simonyan and Zisserman 2015, E)."""
    return _vgg(net, [(3, 3)] * 2 + [(3, 3, 3, 3)] * 3)


def _vgg(net: Ops, kernels: Sequence[Sequence[int]]) -> Symbol:
    """Five blocks of convolutions with these kernels, each pooled, then three dense layers."""
    x = net.input(224, 224, 3)
    for block, (filters, row) in enumerate(zip(FILTERS, kernels, strict=True), start=1):
        for i, kernel in enumerate(row, start=1):
            x = net.conv(x, filters, kernel, padding="same", activation="relu", name=f"block{block}_conv{i}")
        x = net.max_pool(x, 2, name=f"block{block}_pool")
    x = net.flatten(x, name="flatten")
    for name in ("fc1", "fc2"):
        x = net.dropout(net.dense(x, 4096, activation="relu", name=name), 0.5)
    return net.dense(x, 1000, activation="softmax", name="predictions")
