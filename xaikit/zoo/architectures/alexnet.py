"""AlexNet."""

from xaikit.zoo.architectures._imagenet import IMAGENET, LIMITS, standardised
from xaikit.zoo.building import Ops, Symbol
from xaikit.zoo.networks import network

INPUTS = standardised(227)


@network(title="ImageNet, AlexNet", inputs=INPUTS, limits=LIMITS, **IMAGENET)
def alexnet(net: Ops) -> Symbol:
    """Photos of 227×227×3 → 1000 probabilities; 62,383,848 parameters (Krizhevsky, Sutskever and Hinton 2012).

    One column instead of two, and batch normalisation, after every convolution, where the paper has local response
    normalisation.
    """
    x = net.input(227, 227, 3)
    x = _pool(net, net.batch_norm(net.conv(x, 96, 11, stride=4, activation="relu")))
    x = _pool(net, net.batch_norm(net.conv(x, 256, 5, padding="same", activation="relu")))
    for filters in (384, 384, 256):
        x = net.batch_norm(net.conv(x, filters, 3, padding="same", activation="relu"))
    return _classified(net, x)


@network(title="ImageNet, AlexNet with local response normalisation", inputs=INPUTS, limits=LIMITS, **IMAGENET)
def alexnet_lrn(net: Ops) -> Symbol:
    """Photos of 227×227×3 → 1000 probabilities; 62,378,344 parameters (Krizhevsky, Sutskever and Hinton 2012).

    Local response normalisation after the first two convolutions, as in section 3.3; one column instead of two.
    """
    x = net.input(227, 227, 3)
    x = _pool(net, net.local_response_norm(net.conv(x, 96, 11, stride=4, activation="relu")))
    x = _pool(net, net.local_response_norm(net.conv(x, 256, 5, padding="same", activation="relu")))
    for filters in (384, 384, 256):
        x = net.conv(x, filters, 3, padding="same", activation="relu")
    return _classified(net, x)


def _classified(net: Ops, x: Symbol) -> Symbol:
    x = net.flatten(_pool(net, x))
    for _ in range(2):
        x = net.dropout(net.dense(x, 4096, activation="relu"), 0.5)
    return net.dense(x, 1000, activation="softmax")


def _pool(net: Ops, x: Symbol) -> Symbol:
    return net.max_pool(x, 3, stride=2)
