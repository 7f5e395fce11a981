"""Dense networks for film reviews, read as the set of their words."""

from dataclasses import replace
from typing import Any

from xaikit.inputs import Array, Classes
from xaikit.zoo.building import Ops, Symbol
from xaikit.zoo.networks import network
from xaikit.zoo.recipes import Recipe

WORDS = 10_000
REVIEWS: dict[str, Any] = {
    "task": "whether a film review is favourable",
    "inputs": Array((WORDS,), axes=("word",), dtype="float32"),
    "outputs": Classes(("negative", "positive"), form="sigmoid"),
    "data": "imdb_multi_hot",
    "limits": (
        "A review is the set of its words (1 where a word occurs): order, number and negation are lost.",
        "Only the 9,998 most frequent words of the training reviews count; others are left out.",
    ),
}
RECIPE = Recipe(loss="binary-crossentropy", optimizer="rmsprop", learning_rate=1e-3, batch=512, epochs=20)


@network(title="Film reviews, two hidden layers of 16", recipe=RECIPE, **REVIEWS)
def mlp_imdb(net: Ops) -> Symbol:
    """Which of 10,000 words occur → P(positive); 160,305 parameters (Chollet, "Deep Learning with Python", 4.1)."""
    return _dense(net, 16)


@network(title="Film reviews, two hidden layers of 4", recipe=RECIPE, **REVIEWS)
def mlp_imdb_small(net: Ops) -> Symbol:
    """The same with hidden layers of four units, which overfits later; 40,029 parameters."""
    return _dense(net, 4)


@network(
    title="Film reviews, two hidden layers of 16 with an L2 penalty",
    recipe=replace(RECIPE, l2={"dense1": 0.01, "dense2": 0.01}),
    **REVIEWS,
)
def mlp_imdb_l2(net: Ops) -> Symbol:
    """The layers of mlp_imdb; its training adds 0.01·Σw² of both hidden kernels to the loss; 160,305 parameters."""
    return _dense(net, 16)


@network(title="Film reviews, two hidden layers of 16 with dropout", recipe=RECIPE, **REVIEWS)
def mlp_imdb_dropout(net: Ops) -> Symbol:
    """The same with dropout of one half after each hidden layer; 160,305 parameters."""
    return _dense(net, 16, dropout=0.5)


def _dense(net: Ops, units: int, dropout: float = 0.0) -> Symbol:
    x = net.input(WORDS)
    for _ in range(2):
        x = net.dense(x, units, activation="relu")
        x = net.dropout(x, dropout) if dropout else x
    return net.dense(x, 1, activation="sigmoid")
