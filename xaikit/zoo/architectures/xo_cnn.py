"""Three hand-made filters that tell X from O."""

import math

import numpy as np

from xaikit.inputs import Classes, Image
from xaikit.zoo.building import Ops, Symbol
from xaikit.zoo.networks import network
from xaikit.zoo.recipes import Recipe

BACKSLASH = ((1, -1, -1), (-1, 1, -1), (-1, -1, 1))
CROSS = ((1, -1, 1), (-1, 1, -1), (1, -1, 1))
SLASH = ((-1, -1, 1), (-1, 1, -1), (1, -1, -1))
NINTH = math.ceil(2**24 / 9) / 2**24
"""1/9 + 5e-8, in 24 binary places: sums of nine are exact in float32 in any order, so that equal patches really tie."""


@network(
    title="X or O, three fixed filters and twelve votes",
    task="whether a drawing of 9×9 pixels shows an X or an O",
    inputs=Image(9, 9, 1, scale=1.0),
    outputs=Classes(("X", "O"), form="softmax"),
    data="xo",
    recipe=Recipe(loss="crossentropy", optimizer="adam", learning_rate=2e-2, batch=50, epochs=60, schedule="cosine"),
    limits=(
        "Drawings are −1 (paper) and +1 (ink), not 0..255.",
        "The filters are given, not learned: backslash, cross and slash.",
    ),
)
def xo_cnn(net: Ops) -> Symbol:
    """Drawings of 9×9×1 in −1 and +1 → two probabilities (X, O); 27 fixed and 26 trained weights.

    The fixed kernels backslash, cross and slash are divided by nine, so that a convolution is the mean of products.
    """
    kernels = np.stack([BACKSLASH, CROSS, SLASH], axis=-1)[:, :, None, :] * NINTH
    x = net.input(9, 9, 1)
    x = net.conv(x, 3, 3, bias=False, activation="relu", fixed=kernels)
    x = net.max_pool(x, 2, padding="same")
    x = net.max_pool(x, 2)
    x = net.flatten(x)
    return net.dense(x, 2, activation="softmax")
