"""Three convolutions for handwritten digits."""

from xaikit.inputs import Classes, Image
from xaikit.zoo.building import Ops, Symbol
from xaikit.zoo.networks import network
from xaikit.zoo.recipes import Augmentation, Recipe


@network(
    title="Handwritten digits, three convolutions",
    task="which digit is drawn",
    inputs=Image(28, 28, 1),
    outputs=Classes(tuple("0123456789"), form="softmax"),
    data="mnist",
    recipe=Recipe(
        loss="crossentropy",
        optimizer="rmsprop",
        learning_rate=1e-3,
        batch=64,
        epochs=15,
        schedule="cosine",
        average=0.99,
        augmentation=Augmentation(rotation=8.0, shift=0.05, zoom=0.08),
    ),
    limits=(
        "White digits on black, centred and of one size, as in MNIST; a dark digit on paper must be inverted first.",
        "Anything that is no digit gets a confident answer too.",
    ),
)
def mnist_cnn(net: Ops) -> Symbol:
    """Digits of 28×28×1 → ten probabilities; 93,322 parameters (Chollet, "Deep Learning with Python", section 8.1)."""
    x = net.input(28, 28, 1)
    x = mnist_trunk(net, x)
    return net.dense(x, 10, activation="softmax")


def mnist_trunk(net: Ops, x: Symbol) -> Symbol:
    """Three convolutions and a dense layer: 64 features of a digit."""
    x = net.conv(x, 32, 3, activation="relu")
    x = net.max_pool(x, 2)
    x = net.conv(x, 64, 3, activation="relu")
    x = net.max_pool(x, 2)
    x = net.conv(x, 64, 3, activation="relu")
    x = net.flatten(x)
    return net.dense(x, 64, activation="relu")
