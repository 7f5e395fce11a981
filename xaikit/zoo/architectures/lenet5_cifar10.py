"""LeNet-5 for small colour photos."""

from xaikit.data import CIFAR10
from xaikit.inputs import Classes, Image
from xaikit.zoo.building import Ops, Symbol
from xaikit.zoo.networks import network
from xaikit.zoo.recipes import Augmentation, Recipe


@network(
    title="Small photos of ten kinds, LeNet-5",
    task="which of ten kinds of things a photo of 32×32 pixels shows",
    inputs=Image(32, 32, 3),
    outputs=Classes(CIFAR10, form="softmax"),
    data="cifar10",
    recipe=Recipe(
        loss="crossentropy",
        optimizer="adam",
        learning_rate=2e-3,
        epochs=30,
        schedule="cosine",
        warmup_epochs=1,
        augmentation=Augmentation(shift=0.08, horizontal_flip=True),
    ),
    limits=("A photo of anything else gets one of the ten answers too.",),
)
def lenet5_cifar10(net: Ops) -> Symbol:
    """Photos of 32×32×3 → ten probabilities; 62,006 parameters (LeCun et al. 1998, with ReLU and softmax)."""
    x = net.input(32, 32, 3)
    x = net.conv(x, 6, 5, activation="relu", name="C1")
    x = net.avg_pool(x, 2, name="S2")
    x = net.conv(x, 16, 5, activation="relu", name="C3")
    x = net.avg_pool(x, 2, name="S4")
    x = net.conv(x, 120, 5, activation="relu", name="C5")
    x = net.flatten(x)
    x = net.dense(x, 84, activation="relu", name="F6")
    return net.dense(x, 10, activation="softmax")
