"""Many small pictures as one: a browser shows one image far faster than it draws hundreds of maps."""

from collections.abc import Sequence

import numpy as np

from xaikit.arrays import Array
from xaikit.figures import Scale, Tile, over
from xaikit.render._layout import Box
from xaikit.render._pictures import smooth

SHARPNESS = 2
"""Pixels of the sprite for each design pixel, for sharp print."""
EDGE = (128, 140, 152, 90)
"""The line around a tile, readable on light and on dark paper."""


def sprite(tiles: Sequence[Tile], zones: Sequence[Box], size: tuple[float, float], scale: Scale) -> Array:
    """Paint tiles into their zones of a picture that is clear elsewhere: (height, width, 4) uint8.

    `size` is its width and height, in design pixels as the zones are.
    """
    canvas = np.zeros((round(SHARPNESS * size[1]) or 1, round(SHARPNESS * size[0]) or 1, 4), np.uint8)
    for tile, zone in zip(tiles, zones, strict=True):
        left, top = round(SHARPNESS * zone.x), round(SHARPNESS * zone.y)
        right, bottom = round(SHARPNESS * (zone.x + zone.width)), round(SHARPNESS * (zone.y + zone.height))
        canvas[max(top - SHARPNESS, 0) : bottom + SHARPNESS, max(left - SHARPNESS, 0) : right + SHARPNESS] = EDGE
        place = canvas[top:bottom, left:right]
        place[..., :3] = _resized(_coloured(tile, scale), place.shape[0], place.shape[1])
        place[..., 3] = 255
    return canvas


def _coloured(tile: Tile, scale: Scale) -> Array:
    """Give a tile's colours: (row, column, 3) uint8."""
    if tile.values.ndim == 3:
        return tile.values
    return np.rint(255 * over(tile.values, tile.scale or scale)).astype(np.uint8)


def _resized(image: Array, height: int, width: int) -> Array:
    """Bring a picture to a size: larger squares for few pixels, averages of many."""
    from PIL import Image
    from PIL.Image import Resampling

    if (height, width) == image.shape[:2] or not height or not width:
        return image[:height, :width]
    larger = height >= image.shape[0] and width >= image.shape[1]
    kept = Resampling.BICUBIC if smooth(image) else Resampling.NEAREST
    return np.asarray(Image.fromarray(image).resize((width, height), kept if larger else Resampling.BOX))
