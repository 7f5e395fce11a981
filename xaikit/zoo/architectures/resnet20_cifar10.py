"""A residual network small enough for two processor cores."""

from typing import Any

from xaikit.data import CIFAR10
from xaikit.inputs import Classes, Image
from xaikit.zoo.building import Ops, Symbol
from xaikit.zoo.networks import network
from xaikit.zoo.recipes import Augmentation, Recipe

PIXELS: dict[str, Any] = {"scale": 1 / 255, "mean": (0.491, 0.482, 0.447), "std": (0.247, 0.243, 0.262)}


@network(
    title="Small photos of ten kinds, ResNet-20",
    task="which of ten kinds of things a photo of 32×32 pixels shows",
    inputs=Image(32, 32, 3, **PIXELS),
    outputs=Classes(CIFAR10, form="softmax"),
    data="cifar10",
    recipe=Recipe(
        loss="crossentropy",
        optimizer="sgd",
        learning_rate=0.1,
        weight_decay=5e-4,
        batch=128,
        epochs=12,
        schedule="cosine",
        warmup_epochs=2,
        augmentation=Augmentation(shift=0.1, horizontal_flip=True),
    ),
    limits=(
        "A photo of anything else gets one of the ten answers too.",
        "Thirty-two pixels are few: an enlarged map is smooth because it was interpolated.",
    ),
)
def resnet20_cifar10(net: Ops) -> Symbol:
    """Photos of 32×32×3 → ten probabilities; 274,042 parameters (He et al. 2016, section 4.2, n = 3).

    Where the shape changes the shortcut is projected by a 1×1 convolution.
    """
    x = resnet20(net, net.input(32, 32, 3))
    return net.dense(x, 10, activation="softmax")


def resnet20(net: Ops, x: Symbol) -> Symbol:
    """Record the layers up to the mean over space, 64 numbers."""
    x = net.activation(_conv(net, x, 16, 3), "relu")
    for stage, width in enumerate((16, 32, 64)):
        for block in range(3):
            x = _block(net, x, width, 2 if stage and not block else 1)
    return net.global_avg_pool(x)


def _block(net: Ops, x: Symbol, width: int, stride: int) -> Symbol:
    y = net.activation(_conv(net, x, width, 3, stride), "relu")
    y = _conv(net, y, width, 3)
    shortcut = x if x.shape == y.shape else _conv(net, x, width, 1, stride)
    return net.activation(net.add(y, shortcut), "relu")


def _conv(net: Ops, x: Symbol, filters: int, kernel: int, stride: int = 1) -> Symbol:
    x = net.conv(x, filters, kernel, stride=stride, padding="same", bias=False)
    return net.batch_norm(x, epsilon=1e-5, momentum=0.9)
