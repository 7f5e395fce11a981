"""An autoencoder that fills in what is hidden."""

from xaikit.zoo.architectures._autoencoding import DIGITS, FRAME
from xaikit.zoo.building import Ops, Symbol
from xaikit.zoo.networks import network
from xaikit.zoo.recipes import Corruption, Recipe


@network(
    title="Handwritten digits, masked autoencoder",
    task="draw the hidden patches of a digit from those that are left",
    recipe=Recipe(
        loss="mse",
        target="input",
        optimizer="adam",
        learning_rate=1e-3,
        batch=128,
        epochs=30,
        schedule="cosine",
        corruption=Corruption(patch=4, hidden=0.6),
    ),
    limits=(
        FRAME,
        "Hidden patches are black like the paper, and nothing tells the network which ones they are.",
        "Only hidden patches count in its training: what it draws where a patch was visible is a by-product.",
    ),
    **DIGITS,
)
def masked_autoencoder(net: Ops) -> Symbol:
    """Digits of 28×28×1 with 60 % of their 4×4 patches hidden → whole ones; 468,240 parameters.

    After He et al. (2022), with dense layers for the transformer: as there, every patch that is drawn sees every patch
    that is left, which a few small convolutions would not give.
    """
    x = net.flatten(net.input(28, 28, 1))
    for _ in range(2):
        x = net.dense(x, 256, activation="relu")
    return net.activation(net.reshape(net.dense(x, 28 * 28), 28, 28, 1), "sigmoid")
