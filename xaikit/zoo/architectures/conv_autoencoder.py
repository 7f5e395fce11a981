"""Convolutional autoencoders for small colour photos."""

from typing import Any

from xaikit.inputs import Image, Reconstruction
from xaikit.zoo.building import Ops, Symbol
from xaikit.zoo.networks import network
from xaikit.zoo.recipes import Recipe

CODE = 192
PHOTOS: dict[str, Any] = {
    "task": "give a photo of 32×32 pixels again from 192 numbers",
    "inputs": Image(32, 32, 3),
    "outputs": Reconstruction(error="mse"),
    "data": "cifar10",
    "recipe": Recipe(
        loss="mse",
        target="input",
        optimizer="adam",
        learning_rate=1e-3,
        batch=128,
        epochs=8,
        steps_per_epoch=100,
        schedule="cosine",
        warmup_epochs=0.5,
    ),
    "limits": (
        "The mean of squares forgives blur: fine texture is lost, whatever the photo.",
        "Small regular photos of any kind come back well, so a large error does not mean that the photo is unusual.",
    ),
}


@network(title="Small photos, convolutional autoencoder", **PHOTOS)
def conv_autoencoder(net: Ops) -> Symbol:
    """Photos of 32×32×3 → the same again, through 192 numbers; 1,723,971 parameters.

    1,666,560 of them are the encoder's: three convolutions, layer normalisation over the channels, a dense layer. The
    decoder repeats every position and convolves (Odena, Dumoulin and Olah 2016), which leaves no checkerboard.
    """
    x = _start(net, _code(net))
    for filters in (64, 32):
        x = net.conv(net.upsample(x, 2), filters, 3, padding="same", activation="relu")
    return net.conv(x, 3, 1, activation="sigmoid")


@network(title="Small photos, autoencoder with transposed convolutions", **PHOTOS)
def conv_autoencoder_transposed(net: Ops) -> Symbol:
    """The same with transposed convolutions of stride two in the decoder; 1,723,971 parameters as well.

    A kernel of three and a stride of two overlap unevenly: compare its checkerboard with `conv_autoencoder`.
    """
    x = _start(net, _code(net))
    for filters in (64, 32):
        x = net.conv_transpose(x, filters, 3, stride=2, padding="same", activation="relu")
    return net.conv(x, 3, 1, activation="sigmoid")


def _code(net: Ops) -> Symbol:
    x = net.input(32, 32, 3)
    for filters in (32, 64):
        x = net.max_pool(net.conv(x, filters, 3, padding="same", activation="relu"), 2)
    x = net.layer_norm(net.conv(x, 128, 3, padding="same", activation="relu"))
    return net.dense(net.flatten(x), CODE, activation="relu", name="code")


def _start(net: Ops, code: Symbol) -> Symbol:
    """The code as a picture of 8×8×3."""
    return net.reshape(net.dense(code, CODE, activation="relu"), 8, 8, 3)
