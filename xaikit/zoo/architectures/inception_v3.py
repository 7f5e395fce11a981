"""Inception v3: large kernels factorised into small ones and into rows and columns."""

from typing import Any

from xaikit.zoo.architectures._imagenet import IMAGENET, limits, signed
from xaikit.zoo.building import Ops, Symbol
from xaikit.zoo.networks import network


@network(title="ImageNet, Inception v3", inputs=signed(299), limits=limits("inception_v3"), **IMAGENET)
def inception_v3(net: Ops) -> Symbol:
    """Photos of 299×299×3 → 1000 probabilities; 23,851,784 parameters (Szegedy et al. 2016).

    Layers in the order of keras.applications, so that its ImageNet weights fit; batch norms have no scale.
    """
    x = _unit(net, net.input(299, 299, 3), 32, 3, stride=2, padding="valid")
    x = _unit(net, _unit(net, x, 32, 3, padding="valid"), 64, 3)
    x = net.max_pool(x, 3, stride=2)
    x = _unit(net, _unit(net, x, 80, 1), 192, 3, padding="valid")
    x = net.max_pool(x, 3, stride=2)
    for i, pooled in enumerate((32, 64, 64)):
        x = _grid35(net, x, pooled, f"mixed{i}")
    x = _to17(net, x)
    for i, middle in enumerate((128, 160, 160, 192), start=4):
        x = _grid17(net, x, middle, f"mixed{i}")
    x = _to8(net, x)
    for i in (9, 10):
        x = _grid8(net, x, f"mixed{i}")
    return net.dense(net.global_avg_pool(x), 1000, activation="softmax", name="predictions")


def _unit(net: Ops, x: Symbol, filters: int, kernel: Any, stride: int = 1, padding: Any = "same") -> Symbol:
    x = net.conv(x, filters, kernel, stride=stride, padding=padding, bias=False)
    return net.activation(net.batch_norm(x, scale=False), "relu")


def _row(net: Ops, x: Symbol, *units: tuple[int, Any]) -> Symbol:
    """Units of (filters, kernel) one after the other."""
    for filters, kernel in units:
        x = _unit(net, x, filters, kernel)
    return x


def _pooled(net: Ops, x: Symbol, filters: int) -> Symbol:
    return _unit(net, net.avg_pool(x, 3, stride=1, padding="same"), filters, 1)


def _grid35(net: Ops, x: Symbol, pooled: int, name: str) -> Symbol:
    return net.concat(
        _unit(net, x, 64, 1),
        _row(net, x, (48, 1), (64, 5)),
        _row(net, x, (64, 1), (96, 3), (96, 3)),
        _pooled(net, x, pooled),
        name=name,
    )


def _to17(net: Ops, x: Symbol) -> Symbol:
    return net.concat(
        _unit(net, x, 384, 3, stride=2, padding="valid"),
        _unit(net, _row(net, x, (64, 1), (96, 3)), 96, 3, stride=2, padding="valid"),
        net.max_pool(x, 3, stride=2),
        name="mixed3",
    )


def _grid17(net: Ops, x: Symbol, m: int, name: str) -> Symbol:
    return net.concat(
        _unit(net, x, 192, 1),
        _row(net, x, (m, 1), (m, (1, 7)), (192, (7, 1))),
        _row(net, x, (m, 1), (m, (7, 1)), (m, (1, 7)), (m, (7, 1)), (192, (1, 7))),
        _pooled(net, x, 192),
        name=name,
    )


def _to8(net: Ops, x: Symbol) -> Symbol:
    return net.concat(
        _unit(net, _unit(net, x, 192, 1), 320, 3, stride=2, padding="valid"),
        _unit(net, _row(net, x, (192, 1), (192, (1, 7)), (192, (7, 1))), 192, 3, stride=2, padding="valid"),
        net.max_pool(x, 3, stride=2),
        name="mixed8",
    )


def _grid8(net: Ops, x: Symbol, name: str) -> Symbol:
    return net.concat(
        _unit(net, x, 320, 1),
        _fork(net, _unit(net, x, 384, 1)),
        _fork(net, _row(net, x, (448, 1), (384, 3))),
        _pooled(net, x, 192),
        name=name,
    )


def _fork(net: Ops, x: Symbol) -> Symbol:
    return net.concat(_unit(net, x, 384, (1, 3)), _unit(net, x, 384, (3, 1)))
