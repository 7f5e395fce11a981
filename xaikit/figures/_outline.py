"""The borders between labelled regions, as line segments."""

import numpy as np

from xaikit.arrays import Array


def borders(labels: Array) -> Array:
    """Give the borders of a label map (height, width) as segments (segment, end, xy).

    Coordinates are places: pixel (row, column) covers column..column+1 × row..row+1. Neighbouring pieces in a
    line are joined; the map's own frame is no border.
    """
    labels = np.asarray(labels)
    across = _runs(labels[:-1] != labels[1:])
    down = _runs((labels[:, :-1] != labels[:, 1:]).T)[..., ::-1]
    return np.concatenate([across, down])


def _runs(edge: Array) -> Array:
    """Join the marks in each line of `edge` (line, place): segments from (start, line + 1) to (stop, line
    + 1)."""
    padded = np.pad(edge.astype(np.int8), ((0, 0), (1, 1)))
    line, start = np.nonzero(np.diff(padded, axis=1) == 1)
    stop = np.nonzero(np.diff(padded, axis=1) == -1)[1]
    return np.stack([np.stack([start, line + 1], -1), np.stack([stop, line + 1], -1)], axis=1).astype(np.float64)
