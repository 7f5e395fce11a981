"""A convolutional variational autoencoder."""

from xaikit.zoo.architectures._autoencoding import DIGITS, FRAME, MEAN, variational
from xaikit.zoo.architectures.dense_vae import latent
from xaikit.zoo.building import Ops, Symbol
from xaikit.zoo.networks import network


@network(
    title="Handwritten digits, convolutional variational autoencoder",
    task="give a digit again from eight numbers that are normally distributed over all digits",
    recipe=variational(20),
    limits=(
        FRAME,
        MEAN,
        "A number of z that the decoder does not need stays at mean 0 and variance 1 and means nothing.",
    ),
    **DIGITS,
)
def conv_vae(net: Ops) -> Symbol:
    """Digits of 28×28×1 → the same again, through z of eight numbers; 304,529 parameters (Kingma and Welling 2014).

    z = m + s·ε; nodes "mean", "log_variance" (log s²) and "z".
    """
    x = net.input(28, 28, 1)
    for filters in (32, 64):
        x = net.conv(x, filters, 3, stride=2, padding="same", activation="relu")
    x = latent(net, net.dense(net.flatten(x), 64, activation="relu"), 8)
    x = net.reshape(net.dense(x, 7 * 7 * 64, activation="relu"), 7, 7, 64)
    for filters in (64, 32):
        x = net.conv_transpose(x, filters, 3, stride=2, padding="same", activation="relu")
    return net.conv(x, 1, 3, padding="same", activation="sigmoid")
