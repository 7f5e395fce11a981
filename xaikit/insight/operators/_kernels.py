"""Well-known kernels by name."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import UnknownName

BINOMIAL = np.array([1.0, 4.0, 6.0, 4.0, 1.0])
GAUSSIAN_3, GAUSSIAN_5 = np.outer([1, 2, 1], [1, 2, 1]) / 16, np.outer(BINOMIAL, BINOMIAL) / 256
CENTRE = np.pad([[1.0]], 2)

KERNELS: dict[str, tuple[Any, str]] = {
    "identity": ([[0, 0, 0], [0, 1, 0], [0, 0, 0]], "leaves a picture as it is"),
    "box-3": (np.full((3, 3), 1 / 9), "mean of 3 × 3 places"),
    "box-5": (np.full((5, 5), 1 / 25), "mean of 5 × 5 places"),
    "gaussian-3": (GAUSSIAN_3, "blur with binomial weights, sixteenths"),
    "gaussian-5": (GAUSSIAN_5, "blur with binomial weights, 256ths"),
    "sharpen": ([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], "the picture and its edges"),
    "unsharp-5": (2 * CENTRE - GAUSSIAN_5, "twice the picture less its blur, 256ths"),
    "emboss": ([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], "light from the top left"),
    "motion-blur-5": (np.eye(5) / 5, "smear along the diagonal"),
    "laplacian": ([[0, 1, 0], [1, -4, 1], [0, 1, 0]], "second derivative, four neighbours"),
    "laplacian-8": ([[1, 1, 1], [1, -8, 1], [1, 1, 1]], "second derivative, eight neighbours"),
    "laplacian-of-gaussian": (
        [[0, 0, 1, 0, 0], [0, 1, 2, 1, 0], [1, 2, -16, 2, 1], [0, 1, 2, 1, 0], [0, 0, 1, 0, 0]],
        "second derivative of a blurred picture (Marr and Hildreth 1980)",
    ),
    "edges-diagonal": ([[1, 0, -1], [0, 0, 0], [-1, 0, 1]], "mixed second derivative: corners and diagonals"),
    "edges-4": ([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], "edges against four neighbours"),
    "edges-8": ([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], "edges against eight neighbours"),
    "sobel-x": ([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], "brighter to the right: vertical edges"),
    "sobel-y": ([[-1, -2, -1], [0, 0, 0], [1, 2, 1]], "brighter downwards: horizontal edges"),
    "prewitt-x": ([[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]], "brighter to the right, all rows alike"),
    "prewitt-y": ([[-1, -1, -1], [0, 0, 0], [1, 1, 1]], "brighter downwards, all columns alike"),
    "scharr-x": ([[-3, 0, 3], [-10, 0, 10], [-3, 0, 3]], "brighter to the right, nearly the same in all directions"),
    "scharr-y": ([[-3, -10, -3], [0, 0, 0], [3, 10, 3]], "brighter downwards, nearly the same in all directions"),
    "roberts-x": ([[1, 0], [0, -1]], "difference along one diagonal"),
    "roberts-y": ([[0, 1], [-1, 0]], "difference along the other diagonal"),
    "backslash": ([[1, -1, -1], [-1, 1, -1], [-1, -1, 1]], "a stroke down to the right"),
    "slash": ([[-1, -1, 1], [-1, 1, -1], [1, -1, -1]], "a stroke up to the right"),
    "cross": ([[1, -1, 1], [-1, 1, -1], [1, -1, 1]], "two strokes that cross"),
    "mean-3": ([1 / 3, 1 / 3, 1 / 3], "of a series: mean of three steps"),
    "mean-5": (np.full(5, 0.2), "of a series: mean of five steps"),
    "binomial-5": (BINOMIAL / 16, "of a series: blur with binomial weights"),
    "difference": ([-1, 1], "of a series: rise from one step to the next"),
    "central-difference": ([-0.5, 0, 0.5], "of a series: slope"),
    "second-difference": ([1, -2, 1], "of a series: curvature"),
}
"""Weights as a cross-correlation takes them (what frameworks call a convolution), and what they do."""


class Kernels(Mapping[str, Array]):
    """A read-only mapping from names to kernels: float64 arrays of one axis for series, of two for pictures.

    They are written as a cross-correlation takes them, which is what frameworks call a convolution: "sobel-x" is
    positive where a picture gets brighter to the right. `kernels.about(name)` says in words what one does.
    """

    def __getitem__(self, name: str) -> Array:
        return np.array(self._entry(name)[0], np.float64)

    def about(self, name: str) -> str:
        """Say in words what a kernel does. Raises UnknownName."""
        return self._entry(name)[1]

    def _entry(self, name: str) -> tuple[Any, str]:
        if name not in KERNELS:
            raise UnknownName("kernel", name, KERNELS)
        return KERNELS[name]

    def __iter__(self) -> Iterator[str]:
        return iter(KERNELS)

    def __len__(self) -> int:
        return len(KERNELS)

    def __contains__(self, name: object) -> bool:
        return name in KERNELS

    def __repr__(self) -> str:
        return f"<{len(self)} kernels: {', '.join(self)}>"


kernels = Kernels()
"""Well-known kernels by name."""
