"""Pictures in the form that costs a page least."""

from io import BytesIO


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
