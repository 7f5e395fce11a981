"""Pictures that come with the installed libraries, for trained networks."""

from functools import cache

import numpy as np
from skimage import data
from skimage.transform import resize
from sklearn.datasets import load_digits


@cache
def shown(name: str) -> np.ndarray:
    """Give two pictures for a network of the zoo, in display units."""
    if name == "mnist_cnn":
        digits = load_digits().images[[3, 7]] / 16
        found = [np.pad(resize(d, (20, 20), order=1), 4) for d in digits]
        return (np.stack(found)[..., None] * 255).astype(np.uint8)
    side = 150 if name == "cats_vs_dogs" else 128
    found = [resize(picture, (side, side), order=1) for picture in (data.chelsea(), data.astronaut())]
    return (np.stack(found) * 255).astype(np.uint8)
