"""GoogLeNet, the first Inception network."""

from xaikit.zoo.architectures._imagenet import IMAGENET, LIMITS, signed
from xaikit.zoo.building import Ops, Symbol
from xaikit.zoo.networks import network

# Table 1 of the paper: 1×1; 3×3 with its reduction; 5×5 with its reduction; the projection of the pool.
MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


@network(title="ImageNet, GoogLeNet", inputs=signed(224), limits=LIMITS, **IMAGENET)
def googlenet(net: Ops) -> Symbol:
    """Photos of 224×224×3 → 1000 probabilities; 6,998,552 parameters (Szegedy et al. 2015, without auxiliary heads)."""
    x = net.input(224, 224, 3)
    x = _pool(net, net.conv(x, 64, 7, stride=2, padding="same", activation="relu"))
    x = net.conv(x, 64, 1, activation="relu")
    x = _pool(net, net.conv(x, 192, 3, padding="same", activation="relu"))
    for name, widths in MODULES.items():
        x = _inception(net, x, name, *widths)
        x = _pool(net, x) if name in ("3b", "4e") else x
    x = net.dropout(net.global_avg_pool(x), 0.4)
    return net.dense(x, 1000, activation="softmax")


def _pool(net: Ops, x: Symbol) -> Symbol:
    return net.max_pool(x, 3, stride=2, padding="same")


def _inception(
    net: Ops, x: Symbol, name: str, one: int, to3: int, three: int, to5: int, five: int, pool: int
) -> Symbol:
    """Four branches side by side: what is seen at one position, in 3×3, in 5×5, and the maximum of 3×3."""

    def conv(x: Symbol, filters: int, kernel: int, branch: str) -> Symbol:
        return net.conv(x, filters, kernel, padding="same", activation="relu", name=f"inception_{name}_{branch}")

    return net.concat(
        conv(x, one, 1, "1x1"),
        conv(conv(x, to3, 1, "3x3_reduce"), three, 3, "3x3"),
        conv(conv(x, to5, 1, "5x5_reduce"), five, 5, "5x5"),
        conv(net.max_pool(x, 3, stride=1, padding="same"), pool, 1, "pool_proj"),
        name=f"inception_{name}",
    )
