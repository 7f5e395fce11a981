"""How a picture's pixels are shown, the same in every renderer."""

from xaikit.arrays import Array

SMOOTH_FROM = 64
"""Pictures with fewer pixels on a side are shown as the squares they are."""


def smooth(image: Array) -> bool:
    """Whether the colours between the pixels of an image (height, width, 3) are interpolated."""
    return min(image.shape[:2]) >= SMOOTH_FROM or image.shape[0] == 1
