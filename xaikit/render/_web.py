"""Pictures in the form that costs a page least."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np

from xaikit.arrays import Array
from xaikit.figures import ImagePanel, MapPanel, borders, rgba
from xaikit.render._pictures import smooth

OUTLINE = (0.1, 0.13, 0.17, 0.6)
"""Colour and strength of the borders between parts."""

EMPTY, GUTTER = 160, 6
"""The grey of what holds no image, and the pixels between two."""


def painted(panel: MapPanel | ImagePanel, width: int) -> Array:
    """Give the picture or map of a panel `width` pixels wide, edge to edge: (height, width, 3) uint8.

    The same as `xaikit.render.picture_png` draws, in a tenth of its time. Frames are not drawn.
    """
    rows, columns = panel.shape if isinstance(panel, MapPanel) else panel.image.shape[:2]
    size = width, max(1, round(width * rows / columns))
    if isinstance(panel, ImagePanel):
        return _shown(panel.image, size)
    below = np.full((size[1], size[0], 3), 255.0)
    if panel.background is not None:
        below = _shown(panel.background, size).astype(np.float64)
    colours = rgba(panel.drawn, panel.scale, panel.opacity)
    layers = _sized(np.concatenate([colours[..., :3] * colours[..., 3:], colours[..., 3:]], -1), size)
    image = 255 * layers[..., :3] + (1 - layers[..., 3:]) * below
    if panel.outlines is not None:
        ink = OUTLINE[3] * _lines(borders(panel.outlines), panel.drawn.shape, size)[..., None]
        image = ink * 255 * np.array(OUTLINE[:3]) + (1 - ink) * image
    return np.rint(np.clip(image, 0, 255)).astype(np.uint8)


def _shown(image: Array, size: tuple[int, int]) -> Array:
    """Bring a picture to a size: smooth between the pixels of a photo, squares for those of a small picture."""
    from PIL import Image
    from PIL.Image import Resampling

    larger = size[0] >= image.shape[1]
    kept = Resampling.BICUBIC if smooth(image) else Resampling.NEAREST
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize(size, kept if larger else Resampling.LANCZOS))


def _sized(layers: Array, size: tuple[int, int]) -> Array:
    """Bring numbers (row, column, layer) to a size: squares where it is larger, else means."""
    from PIL import Image
    from PIL.Image import Resampling

    kept = Resampling.NEAREST if size[0] >= layers.shape[1] else Resampling.BOX
    each = (Image.fromarray(layers[..., k].astype(np.float32)).resize(size, kept) for k in range(layers.shape[-1]))
    return np.stack([np.asarray(layer, np.float64) for layer in each], -1)


def _lines(segments: Array, shape: tuple[int, ...], size: tuple[int, int]) -> Array:
    """Draw segments (segment, end, xy), in places of a map, as lines one pixel thick: (height, width) in 0..1."""
    from PIL import Image, ImageDraw

    canvas = Image.new("L", size)
    pen = ImageDraw.Draw(canvas)
    for (x0, y0), (x1, y1) in segments * (size[0] / shape[1], size[1] / shape[0]):
        pen.line((x0, y0, x1, y1), fill=255, width=1)
    return np.asarray(canvas) / 255


def decoded(png: bytes) -> Array:
    """Give the pixels of a PNG: (height, width, 3) uint8."""
    from PIL import Image

    return np.asarray(Image.open(BytesIO(png)).convert("RGB"))


def cropped(png: bytes, colours: int = 64, edge: int = 6) -> tuple[bytes, int, int]:
    """Give a drawing without the empty paper around it, in few colours: PNG, width, height."""
    from PIL import Image

    image = decoded(png)
    inked = (image != image[0, 0]).any(-1)
    rows, columns = (np.flatnonzero(inked.any(axis)) for axis in (1, 0))
    if len(rows):
        top, left = max(rows[0] - edge, 0), max(columns[0] - edge, 0)
        image = image[top : rows[-1] + 1 + edge, left : columns[-1] + 1 + edge]
    small = Image.fromarray(np.ascontiguousarray(image)).quantize(colours, dither=Image.Dither.NONE)
    held = BytesIO()
    small.save(held, "PNG", optimize=True)
    return held.getvalue(), small.width, small.height


def reduced(image: Array, width: int, quality: int, form: str = "WEBP") -> bytes:
    """Give an image (height, width, 3) uint8 as WebP, JPEG or PNG, at most `width` pixels wide.

    `quality` is 1..100, and 0 keeps every pixel's colour: not as JPEG.
    """
    from PIL import Image

    small = Image.fromarray(np.ascontiguousarray(image))
    if small.width > width:
        size = width, max(1, round(small.height * width / small.width))
        small = small.resize(size, Image.Resampling.LANCZOS if quality else Image.Resampling.NEAREST)
    held = BytesIO()
    if form == "WEBP":
        small.save(held, form, lossless=quality == 0, quality=quality or 60, method=4)
    else:
        small.save(held, form, **({"quality": quality} if form == "JPEG" else {"optimize": True}))
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
