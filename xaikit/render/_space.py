"""Points in space as seen from one side: where everything goes on paper, computed once for renderers without depth."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from xaikit.arrays import Array
from xaikit.figures import Cloud
from xaikit.render._layout import BODY, Box

EYE = (1.35, 1.7, 1.05)
"""The side from which points are seen, until they are turned."""
SYMBOLS = ("circle", "square", "diamond")
"""Shapes of points, the next one where the colours begin anew."""
DOT = 5.0
BANDS = 12
"""Of how many distances points are told apart where near ones hide far ones."""
FILLED = 0.325
"""Half an edge of the cube on paper, as a share of the box's smaller side: its corners reach 1.5 times as far."""


@dataclass(frozen=True, eq=False)
class Dots:
    """Points of one look: their places on paper (point, 2), and how `near` they are, 0 at the back to 1 in front."""

    places: Array
    near: float
    colour: str
    symbol: str

    @property
    def opacity(self) -> float:
        """What is near hides more."""
        return 0.5 + 0.45 * self.near

    @property
    def size(self) -> float:
        """The width of a point, in design pixels."""
        return DOT * (0.8 + 0.4 * self.near)


@dataclass(frozen=True, eq=False)
class View:
    """A cube of space with points in it: `centre` (3,), half an edge, ticks (axis) of (number, its words), colours."""

    clouds: Sequence[Cloud]
    colours: Sequence[str]
    labels: tuple[str, str, str]
    centre: Array
    half: float
    ticks: Sequence[Sequence[tuple[float, str]]]
    ink: str
    muted: str
    faint: str

    def on_paper(self, points: Array, box: Box) -> Array:
        """Where points (..., 3) are in a box: (..., 2), in parallel projection along EYE."""
        across, up, _ = directions()
        scaled = (points - self.centre) / self.half
        reach = FILLED * min(box.width, box.height)
        middle = np.array([box.x + box.width / 2, box.y + box.height / 2])
        return np.asarray(middle + reach * np.stack([scaled @ across, -scaled @ up], -1))

    def dots(self, box: Box) -> Iterator[Dots]:
        """Give the points from the back to the front, in bands of about the same nearness, cloud by cloud."""
        towards = directions()[2]
        kept = [c.points[np.isfinite(c.points).all(1)] for c in self.clouds]
        near = [((points - self.centre) @ towards / (self.half * np.sqrt(3)) + 1) / 2 for points in kept]
        for band in range(BANDS):
            for cloud, colour, points, depth in zip(self.clouds, self.colours, kept, near, strict=True):
                here = np.clip(np.floor(BANDS * depth), 0, BANDS - 1) == band
                if here.any():
                    yield Dots(self.on_paper(points[here], box), (band + 0.5) / BANDS, colour, symbol_of(cloud))

    def grid(self, box: Box) -> Array:
        """Give the lines on the three walls behind the points: (line, end, 2)."""
        found = []
        for wall in range(3):
            for along in range(3):
                if along == wall:
                    continue
                other = 3 - wall - along
                for place in (-self.half, self.half, *(t - self.centre[other] for t, _ in self.ticks[other])):
                    ends = np.zeros((2, 3))
                    ends[:, wall], ends[:, other] = -self.half, place
                    ends[:, along] = -self.half, self.half
                    found.append(self.centre + ends)
        return self.on_paper(np.array(found), box)

    def words(self, box: Box) -> Iterator[tuple[float, float, str, bool]]:
        """Give the numbers and names of the axes: the middle of their line on paper, and whether it is a name."""
        middle = self.on_paper(self.centre, box)
        for axis in range(3):
            edge = self._edge(axis)
            outwards = self.on_paper(self.centre + edge, box) - middle
            outwards = np.array([-1.0, 0.0]) if axis == 2 else outwards / np.linalg.norm(outwards)
            said_at = [(*tick, False) for tick in self.ticks[axis]]
            for place, said, name in (*said_at, (float(self.centre[axis]), self.labels[axis], True)):
                at = self.centre + edge
                at[axis] = place
                away = (4.2 if name and axis < 2 else 1.5) * BODY * outwards
                x, y = self.on_paper(at, box) + away
                if name and axis == 2:  # above the upright axis, where it hides no number
                    at[axis] = self.centre[axis] + self.half
                    x, y = self.on_paper(at, box) + np.array([0.0, -1.6 * BODY])
                yield float(x), float(y), said, name

    def _edge(self, axis: int) -> Array:
        """Where an axis has its numbers, from the centre: in front below, the upright one at the left."""
        edge = np.full(3, -self.half)
        if axis == 2:
            corners = [np.array([a, -a, 0.0]) * self.half for a in (1, -1)]
            return min(corners, key=lambda corner: float(corner @ directions()[0]))
        edge[1 - axis] = self.half
        edge[axis] = 0.0
        return edge


def directions() -> tuple[Array, Array, Array]:
    """Give the directions to the right, upwards, and towards the eye: unit vectors (3,) at right angles."""
    towards = np.array(EYE) / np.linalg.norm(EYE)
    across = np.cross([0.0, 0.0, 1.0], towards)
    across /= np.linalg.norm(across)
    return across, np.cross(towards, across), towards


def symbol_of(cloud: Cloud, colours: int = 6) -> str:
    """Give the shape of a cloud's points: another one where the colours have been used up."""
    number = 0 if isinstance(cloud.colour, str) else max(cloud.colour, 0)
    return SYMBOLS[number // colours % len(SYMBOLS)]


def cube_of(clouds: Sequence[Cloud]) -> tuple[Array, float]:
    """Give the centre and half an edge of the cube that holds all points with some room around them."""
    points = np.concatenate([c.points for c in clouds])
    points = points[np.isfinite(points).all(1)]
    if not len(points):
        return np.zeros(3), 1.0
    low, high = points.min(0), points.max(0)
    return np.asarray((low + high) / 2), float(1.08 * (high - low).max() / 2) or 1.0
