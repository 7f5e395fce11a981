"""Pictures in the form that costs a page least."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np

from xaikit.arrays import Array
from xaikit.render._pictures import smooth

EMPTY, GUTTER = 160, 6
"""The grey of what holds no image, and the pixels between two."""


def webp(png: bytes, width: int, quality: int) -> bytes:
    """Give a PNG as WebP, at most `width` pixels wide; `quality` 1..100, and 0 keeps every pixel's colour."""
    from PIL import Image

    image = Image.open(BytesIO(png)).convert("RGB")
    if image.width > width:
        size = width, max(1, round(image.height * width / image.width))
        image = image.resize(size, Image.Resampling.LANCZOS if quality else Image.Resampling.NEAREST)
    held = BytesIO()
    image.save(held, "WEBP", lossless=quality == 0, quality=quality or 60, method=4)
    return held.getvalue()


def pixels(image: Array, width: int, quality: int = 78) -> bytes:
    """Give an image (height, width, 3) uint8 as WebP, at most `width` pixels wide; a small one keeps every pixel."""
    from PIL import Image

    held = BytesIO()
    small = Image.fromarray(np.ascontiguousarray(image))
    if small.width > width:
        small = small.resize((width, max(1, round(small.height * width / small.width))), Image.Resampling.LANCZOS)
    lossless = not smooth(image)
    small.save(held, "WEBP", lossless=lossless, quality=60 if lossless else quality, method=4)
    return held.getvalue()


def sheet(images: Sequence[Array], across: int, side: int) -> Array:
    """Set images (height, width, 3) uint8 side by side in squares, as one image with lines of grey between them."""
    from PIL import Image

    rows, pitch = -(-len(images) // across), side + GUTTER
    found = np.full((rows * pitch - GUTTER, across * pitch - GUTTER, 3), EMPTY, np.uint8)
    for k, image in enumerate(images):
        row, column = divmod(k, across)
        scale = side / max(image.shape[:2])
        size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        kept = Image.Resampling.LANCZOS if smooth(image) else Image.Resampling.NEAREST
        small = np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize(size, kept))
        top, left = row * pitch + (side - size[1]) // 2, column * pitch + (side - size[0]) // 2
        found[top : top + size[1], left : left + size[0]] = small
    return found
