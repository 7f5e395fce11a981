"""Dense networks for handwritten digits."""

from dataclasses import replace
from typing import Any

from xaikit.inputs import Classes, Image
from xaikit.zoo.building import Ops, Symbol
from xaikit.zoo.networks import network
from xaikit.zoo.recipes import Recipe

DIGITS: dict[str, Any] = {
    "task": "which digit is drawn",
    "inputs": Image(28, 28, 1),
    "outputs": Classes(tuple("0123456789"), form="softmax"),
    "data": "mnist",
    "limits": (
        "White digits on black, centred and of one size, as in MNIST; a shifted digit is another input altogether.",
        "Anything that is no digit gets a confident answer too.",
    ),
}
RECIPE = Recipe(loss="crossentropy", optimizer="rmsprop", batch=128, epochs=10)


@network(title="Handwritten digits, one hidden layer of 32", recipe=RECIPE, **DIGITS)
def mlp_mnist(net: Ops) -> Symbol:
    """Digits of 28×28×1, flattened to 784, → ten probabilities; 25,450 parameters."""
    x = net.flatten(net.input(28, 28, 1))
    x = net.dense(x, 32, activation="relu")
    return net.dense(x, 10, activation="softmax")


@network(
    title="Handwritten digits, one hidden layer of 512 with dropout",
    recipe=replace(RECIPE, batch=512),
    **DIGITS,
)
def mlp_mnist_dropout(net: Ops) -> Symbol:
    """Digits of 28×28×1 → ten probabilities; 407,050 parameters."""
    x = net.flatten(net.input(28, 28, 1))
    x = net.dense(x, 512, activation="relu")
    x = net.dropout(x, 0.2)
    return net.dense(x, 10, activation="softmax")


@network(title="Handwritten digits, hidden layers of 784 and 16", recipe=RECIPE, **DIGITS)
def mlp_mnist_wide(net: Ops) -> Symbol:
    """Digits of 28×28×1 → ten probabilities; 628,170 parameters."""
    x = net.flatten(net.input(28, 28, 1))
    x = net.dense(x, 784, activation="relu")
    x = net.dense(x, 16, activation="relu")
    return net.dense(x, 10, activation="softmax")
