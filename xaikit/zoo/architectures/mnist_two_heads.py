"""One trunk for handwritten digits with two answers."""

from xaikit.inputs import Classes, Image, Values
from xaikit.zoo.architectures.mnist_cnn import mnist_trunk
from xaikit.zoo.building import Ops, Symbol
from xaikit.zoo.networks import network
from xaikit.zoo.recipes import Recipe


@network(
    title="Handwritten digits, class and stroke thickness",
    task="which digit is drawn, and how thick its strokes are",
    inputs=Image(28, 28, 1),
    outputs={"digit": Classes(tuple("0123456789"), form="softmax"), "thickness": Values(("thickness",))},
    data="mnist_thickness",
    recipe=Recipe(
        loss={"digit": "crossentropy", "thickness": "mse"},
        optimizer="adam",
        learning_rate=1e-3,
        batch=64,
        epochs=15,
        schedule="cosine",
        average=0.99,
    ),
    limits=(
        "White digits on black, centred and of one size, as in MNIST.",
        "Thickness is in pixels and was measured by code on the drawing; nobody judged it.",
    ),
)
def mnist_two_heads(net: Ops) -> dict[str, Symbol]:
    """Digits of 28×28×1 → ten probabilities and one thickness; 93,387 parameters, 93,322 of them mnist_cnn's."""
    x = net.input(28, 28, 1)
    x = mnist_trunk(net, x)
    return {
        "digit": net.dense(x, 10, activation="softmax", name="digit"),
        "thickness": net.dense(x, 1, name="thickness"),
    }
