"""Pictures of shapes on a noisy ground, with the class of every pixel, drawn by code."""

from functools import cache
from typing import NamedTuple

import numpy as np

from xaikit.arrays import Array
from xaikit.data._part import Part, Split

SIDE = 128
SHAPES = ("background", "circle", "rectangle", "triangle")
APART = 70.0  # in the space of colours, at least, between a shape and the ground


class Scenes(NamedTuple):
    """Drawn pictures x (sample, 128, 128, 3) uint8, and y (sample, 128, 128), each pixel's index in SHAPES."""

    x: Array
    y: Array


def draw_shapes(n: int, seed: int = 0, *, noise: float = 1.0, lines: int = 4) -> Scenes:
    """Draw n pictures with one to five shapes, of any colour, size and rotation, over each other where they meet.

    noise: how strong the texture of the ground and of the shapes is, 0 for plain colours; lines: at most so many thin
    lines lie on the ground, under the shapes, and belong to it.
    """
    rng = np.random.default_rng(seed)
    x, y = zip(*(_scene(rng, noise, lines) for _ in range(n)), strict=True)
    return Scenes(np.stack(x), np.stack(y))


def _scene(rng: np.random.Generator, noise: float, lines: int) -> tuple[Array, Array]:
    from skimage.draw import line

    ground = rng.uniform(0, 255, 3)
    picture = np.tile(ground, (SIDE, SIDE, 1)) + noise * _texture(rng, 18.0)
    for _ in range(rng.integers(lines + 1)):
        rows, columns = line(*rng.integers(0, SIDE, 4))  # type: ignore[no-untyped-call]
        colour, width = rng.uniform(0, 255, 3), rng.integers(1, 4)
        for shift in range(width):
            picture[np.minimum(rows + shift, SIDE - 1), columns] = colour
    classes = np.zeros((SIDE, SIDE), np.int64)
    for _ in range(rng.integers(1, 6)):
        kind = int(rng.integers(1, len(SHAPES)))
        inside = _inside(rng, kind)
        picture[inside] = (_colour_apart(rng, ground) + noise * _texture(rng, 8.0))[inside]
        classes[inside] = kind
    picture += noise * rng.normal(0, 8, picture.shape)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8), classes


def _inside(rng: np.random.Generator, kind: int) -> tuple[Array, Array]:
    """The pixels of one shape: its corners, or its edge, on a circle of a random radius about a random place."""
    from skimage.draw import disk, polygon

    centre, radius = rng.uniform(15, SIDE - 15, 2), rng.uniform(12, 32)
    turn = rng.uniform(0, 2 * np.pi)
    if SHAPES[kind] == "circle":  # smaller, so that the classes cover areas of one order
        return disk(centre, 0.7 * radius, shape=(SIDE, SIDE))  # type: ignore[no-untyped-call]
    if SHAPES[kind] == "rectangle":
        half = rng.uniform(np.pi / 8, 3 * np.pi / 8) / 2
        angles = turn + np.array([-half, half, np.pi - half, np.pi + half])
    else:
        angles = turn + np.array([0, 2, 4]) * np.pi / 3 + rng.uniform(-0.35, 0.35, 3)
    rows, columns = centre[0] + radius * np.sin(angles), centre[1] + radius * np.cos(angles)
    return polygon(rows, columns, shape=(SIDE, SIDE))  # type: ignore[no-untyped-call]


def _colour_apart(rng: np.random.Generator, ground: Array) -> Array:
    while True:
        colour = rng.uniform(0, 255, 3)
        if np.linalg.norm(colour - ground) >= APART:
            return colour


def _texture(rng: np.random.Generator, strength: float) -> Array:
    """Soft patches, of 4 to 16 pixels: (height, width, 1) with that standard deviation."""
    cells = int(rng.choice([8, 16, 32]))
    between = np.stack([np.interp(np.linspace(0, cells - 1, SIDE), np.arange(cells), row) for row in np.eye(cells)])
    patches = between.T @ rng.standard_normal((cells, cells)) @ between
    return (strength * patches / patches.std())[..., None]


@cache
def shapes(split: Split = "train") -> Part:
    """Give what `draw_shapes` draws, and which pixels belong to any shape: y (sample, 128, 128) of zeros and ones.

    800 pictures with seed 0 for training, 200 with seed 1 for testing.
    """
    x, kinds = draw_shapes(800, seed=0) if split == "train" else draw_shapes(200, seed=1)
    return Part(x, (kinds > 0).astype(np.int64))
