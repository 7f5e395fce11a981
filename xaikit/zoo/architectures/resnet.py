"""Residual networks, as torchvision has them: no bias before batch norm, the stride on the 3×3 convolution."""

from collections.abc import Callable

from xaikit.zoo.architectures._imagenet import IMAGENET, limits, standardised
from xaikit.zoo.building import Ops, Symbol
from xaikit.zoo.networks import network

INPUTS = standardised(224)
Block = Callable[[Ops, Symbol, int, int], Symbol]


@network(title="ImageNet, ResNet-18", inputs=INPUTS, limits=limits("resnet18"), **IMAGENET)
def resnet18(net: Ops) -> Symbol:
    """Photos of 224×224×3 → 1000 probabilities; 11,699,112 parameters, 11,689,512 trained (He et al. 2016)."""
    return _resnet(net, _basic, (2, 2, 2, 2))


@network(title="ImageNet, ResNet-50", inputs=INPUTS, limits=limits("resnet50"), **IMAGENET)
def resnet50(net: Ops) -> Symbol:
    """Photos of 224×224×3 → 1000 probabilities; 25,610,152 parameters, 25,557,032 trained (He et al. 2016)."""
    return _resnet(net, _bottleneck, (3, 4, 6, 3))


def _resnet(net: Ops, block: Block, lengths: tuple[int, ...]) -> Symbol:
    x = net.activation(_conv(net, net.input(224, 224, 3), 64, 7, 2), "relu")
    x = net.max_pool(net.zero_pad(x, (1, 1), (1, 1)), 3, stride=2)
    for stage, length in enumerate(lengths):
        for i in range(length):
            x = block(net, x, 64 * 2**stage, 2 if stage and not i else 1)
    return net.dense(net.global_avg_pool(x), 1000, activation="softmax")


def _conv(net: Ops, x: Symbol, filters: int, kernel: int, stride: int = 1) -> Symbol:
    """Convolution and batch norm with equal zeros on both sides, which "same" does not give for a stride of two."""
    margin = kernel // 2
    x = net.zero_pad(x, (margin, margin), (margin, margin)) if margin else x
    return net.batch_norm(net.conv(x, filters, kernel, stride=stride, bias=False), epsilon=1e-5, momentum=0.9)


def _basic(net: Ops, x: Symbol, width: int, stride: int) -> Symbol:
    y = net.activation(_conv(net, x, width, 3, stride), "relu")
    return _joined(net, x, _conv(net, y, width, 3), stride)


def _bottleneck(net: Ops, x: Symbol, width: int, stride: int) -> Symbol:
    y = net.activation(_conv(net, x, width, 1), "relu")
    y = net.activation(_conv(net, y, width, 3, stride), "relu")
    return _joined(net, x, _conv(net, y, 4 * width, 1), stride)


def _joined(net: Ops, x: Symbol, y: Symbol, stride: int) -> Symbol:
    """ReLU of the branch and the shortcut, which is projected where the shapes differ."""
    shortcut = x if x.shape == y.shape else _conv(net, x, y.shape[-1], 1, stride)
    return net.activation(net.add(y, shortcut), "relu")
