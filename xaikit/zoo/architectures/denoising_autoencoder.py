"""A convolutional autoencoder that takes the noise away."""

from xaikit.zoo.architectures._autoencoding import DIGITS, FRAME
from xaikit.zoo.building import Ops, Symbol
from xaikit.zoo.networks import network
from xaikit.zoo.recipes import Corruption, Recipe


@network(
    title="Handwritten digits, denoising autoencoder",
    task="give a digit again without the noise on it",
    recipe=Recipe(
        loss="binary-crossentropy",
        target="input",
        optimizer="adam",
        learning_rate=2e-3,
        batch=128,
        epochs=20,
        schedule="cosine",
        corruption=Corruption(noise=0.5),
    ),
    limits=(FRAME, "Made for Gaussian noise of half the way from black to white; other disturbances may stay."),
    **DIGITS,
)
def denoising_autoencoder(net: Ops) -> Symbol:
    """Noisy digits of 28×28×1 → clean ones; 28,353 parameters (Vincent et al. 2008, with convolutions)."""
    x = net.input(28, 28, 1)
    for _ in range(2):
        x = net.max_pool(net.conv(x, 32, 3, padding="same", activation="relu"), 2)
    for _ in range(2):
        x = net.upsample(net.conv(x, 32, 3, padding="same", activation="relu"), 2)
    return net.conv(x, 1, 3, padding="same", activation="sigmoid")
