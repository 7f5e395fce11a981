"""What the autoencoders of handwritten digits take and give."""

from typing import Any

from xaikit.inputs import Image, Reconstruction
from xaikit.zoo.recipes import Divergence, Recipe

DIGITS: dict[str, Any] = {
    "inputs": Image(28, 28, 1),
    "outputs": Reconstruction(error="mse"),
    "data": "mnist",
}
FRAME = (
    "White digits on black, centred and of one size, as in MNIST; anything else comes back as something like a digit."
)
MEAN = "Outside training z is the mean, so that one input has one output; the spread is read at log_variance."


def variational(epochs: int) -> Recipe:
    """Give the recipe of a variational autoencoder: the divergence comes in four cycles, so that z is used."""
    return Recipe(
        loss="summed-binary-crossentropy",
        target="input",
        optimizer="adam",
        learning_rate=1e-3,
        batch=128,
        epochs=epochs,
        schedule="cosine",
        divergence=Divergence(beta=1.0, cycles=4),
    )
