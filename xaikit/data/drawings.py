"""X's and O's of 9×9 pixels, drawn by code."""

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import ParameterError

SIZE = 9
RADIUS = 3.0


def exact_x() -> Array:
    """Give the X of the worked example, (9, 9) float32: −1, with +1 on both diagonals of the inner 7×7 pixels."""
    return draw("x")


def draw(
    letter: str,
    *,
    shift: tuple[float, float] = (0.0, 0.0),
    scale: float = 1.0,
    angle: float = 0.0,
    thickness: float = 1.0,
) -> Array:
    """Draw an "x" or an "o", (9, 9) float32 in −1 (paper) and +1 (ink).

    shift: (down, right) in pixels; scale: 1 fills the inner 7×7 pixels; angle: degrees; thickness: pixels.
    """
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2.0
    y, x = (y - shift[0]) / scale, (x - shift[1]) / scale
    turn = np.deg2rad(angle)
    u, v = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    if letter == "x":
        distance = np.minimum(abs(u - v), abs(u + v)) / np.sqrt(2.0)
        reach = np.maximum(abs(u), abs(v)) <= RADIUS + 0.25
    elif letter == "o":
        distance = abs(np.hypot(u, v) - RADIUS)
        reach = np.ones_like(u, bool)
    else:
        raise ParameterError(f"a letter is 'x' or 'o', not {letter!r}")
    return np.where((distance * scale <= thickness / 2.0) & reach, 1.0, -1.0).astype(np.float32)


def xo(n: int = 400, seed: int = 0) -> tuple[Array, Array]:
    """Draw n letters, X and O in turn, shifted, scaled, rotated and thicker.

    Gives images (n, 9, 9, 1) float32 in −1 and +1, and labels (n,): 0 for X, 1 for O. The first two are untouched.
    """
    rng = np.random.default_rng(seed)
    images = [draw("x"), draw("o")]
    for number in range(2, n):
        images.append(
            draw(
                "xo"[number % 2],
                shift=(rng.uniform(-1, 1), rng.uniform(-1, 1)),
                scale=rng.uniform(0.8, 1.1),
                angle=rng.uniform(-15, 15),
                thickness=rng.uniform(1.0, 1.3),
            )
        )
    return np.stack(images)[:n, :, :, None], np.arange(n) % 2
