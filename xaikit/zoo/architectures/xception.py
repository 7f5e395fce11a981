"""Xception: separable convolutions in residual blocks."""

from xaikit.inputs import Classes, Image
from xaikit.zoo.architectures._imagenet import IMAGENET, limits, signed
from xaikit.zoo.building import Ops, Symbol
from xaikit.zoo.networks import network
from xaikit.zoo.recipes import Augmentation, Recipe


@network(title="ImageNet, Xception", inputs=signed(299), limits=limits("xception"), **IMAGENET)
def xception(net: Ops) -> Symbol:
    """Photos of 299×299×3 → 1000 probabilities; 22,910,480 parameters (Chollet 2017).

    Layers named as in keras.applications, so that its ImageNet weights fit.
    """
    x = net.input(299, 299, 3)
    for i, (filters, stride) in enumerate(((32, 2), (64, 1)), start=1):
        x = net.conv(x, filters, 3, stride=stride, bias=False, name=f"block1_conv{i}")
        x = net.activation(net.batch_norm(x, name=f"block1_conv{i}_bn"), "relu", name=f"block1_conv{i}_act")
    for block, widths in ((2, (128, 128)), (3, (256, 256)), (4, (728, 728))):
        x = _halved(net, x, block, widths)
    for block in range(5, 13):
        y = x
        for i in (1, 2, 3):
            y = _separable(net, y, 728, f"block{block}_sepconv{i}")
        x = net.add(y, x)
    x = _halved(net, x, 13, (728, 1024))
    for i, filters in ((1, 1536), (2, 2048)):
        x = net.separable_conv(x, filters, 3, padding="same", bias=False, name=f"block14_sepconv{i}")
        x = net.batch_norm(x, name=f"block14_sepconv{i}_bn")
        x = net.activation(x, "relu", name=f"block14_sepconv{i}_act")
    return net.dense(net.global_avg_pool(x, name="avg_pool"), 1000, activation="softmax", name="predictions")


def _halved(net: Ops, x: Symbol, block: int, widths: tuple[int, int]) -> Symbol:
    """Two separable convolutions, pooled, beside a strided 1×1 convolution."""
    residual = net.batch_norm(net.conv(x, widths[-1], 1, stride=2, padding="same", bias=False))
    for i, filters in enumerate(widths, start=1):
        x = _separable(net, x, filters, f"block{block}_sepconv{i}", relu=(block, i) != (2, 1))
    return net.add(net.max_pool(x, 3, stride=2, padding="same", name=f"block{block}_pool"), residual)


def _separable(net: Ops, x: Symbol, filters: int, name: str, relu: bool = True) -> Symbol:
    """ReLU (not where the block before ended with one), separable convolution, batch norm."""
    x = net.activation(x, "relu", name=f"{name}_act") if relu else x
    x = net.separable_conv(x, filters, 3, padding="same", bias=False, name=name)
    return net.batch_norm(x, name=f"{name}_bn")


MOMENTUM = 0.9
"""Of the moving statistics: an epoch has 57 steps, too few for them to follow with the usual 0.99."""


@network(
    title="Photos of cats and dogs, small Xception",
    task="whether a photo shows a cat or a dog",
    inputs=Image(180, 180, 3),
    outputs=Classes(("cat", "dog"), form="sigmoid"),
    data="cats_vs_dogs_180",
    recipe=Recipe(
        loss="binary-crossentropy",
        optimizer="adam",
        learning_rate=1e-3,
        batch=32,
        epochs=12,
        schedule="cosine",
        warmup_epochs=1,
        augmentation=Augmentation(rotation=20.0, shift=0.1, zoom=0.15, horizontal_flip=True),
    ),
    limits=(
        "Trained on 1,800 photos only, from scratch, with as many as 2.8 million parameters.",
        "A photo without a cat or a dog gets an answer too; one with both gets an arbitrary one.",
        "The photo is stretched to a square, so proportions are not what they were.",
    ),
)
def xception_small(net: Ops) -> Symbol:
    """Photos of 180×180×3 → P(dog); 2,782,649 parameters, 2,773,913 of them trained. The input spec scales by 1/255."""
    x = net.input(180, 180, 3)
    for filters, stride in ((32, 2), (64, 1)):
        x = net.conv(x, filters, 3, stride=stride, padding="same")
        x = net.activation(net.batch_norm(x, momentum=MOMENTUM), "relu")
    for filters in (128, 256, 512, 728):
        y = x
        for _ in range(2):
            y = net.separable_conv(net.activation(y, "relu"), filters, 3, padding="same")
            y = net.batch_norm(y, momentum=MOMENTUM)
        y = net.max_pool(y, 3, stride=2, padding="same")
        x = net.add(y, net.conv(x, filters, 1, stride=2, padding="same"))
    x = net.batch_norm(net.separable_conv(x, 1024, 3, padding="same"), momentum=MOMENTUM)
    x = net.global_avg_pool(net.activation(x, "relu"))
    return net.dense(net.dropout(x, 0.5), 1, activation="sigmoid")
