"""What the autoencoders of handwritten digits take and give."""

from typing import Any

from xaikit.inputs import Image, Reconstruction

DIGITS: dict[str, Any] = {
    "inputs": Image(28, 28, 1),
    "outputs": Reconstruction(error="mse"),
    "data": "mnist",
}
FRAME = (
    "White digits on black, centred and of one size, as in MNIST; anything else comes back as something like a digit."
)
