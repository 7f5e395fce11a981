"""A dense variational autoencoder whose two latent numbers can be drawn as a map."""

from xaikit.zoo.architectures._autoencoding import DIGITS, FRAME, MEAN, variational
from xaikit.zoo.building import Ops, Symbol
from xaikit.zoo.networks import network


@network(
    title="Handwritten digits, variational autoencoder with two latent numbers",
    task="give a digit again from two numbers that are normally distributed over all digits",
    recipe=variational(50),
    limits=(
        FRAME,
        "Two numbers do not hold every digit: 4 and 9, or 3, 5 and 8, may come back as one another.",
        MEAN,
    ),
    **DIGITS,
)
def dense_vae(net: Ops) -> Symbol:
    """Digits of 28×28×1 → the same again, through z of two numbers; 469,268 parameters (Kingma and Welling 2014).

    z = m + s·ε; nodes "mean", "log_variance" (log s²) and "z".
    """
    x = net.flatten(net.input(28, 28, 1))
    for units in (256, 128):
        x = net.dense(x, units, activation="relu")
    x = latent(net, x, 2)
    for units in (128, 256):
        x = net.dense(x, units, activation="relu")
    return net.activation(net.reshape(net.dense(x, 28 * 28), 28, 28, 1), "sigmoid")


def latent(net: Ops, x: Symbol, size: int) -> Symbol:
    """Record mean, log variance and the sample z of them."""
    mean, log_variance = net.dense(x, size, name="mean"), net.dense(x, size, name="log_variance")
    return net.sampling(mean, log_variance, name="z")
