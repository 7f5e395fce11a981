"""From an attribution of channels to a map of the head, where the places of the electrodes are given."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import ParameterError
from xaikit.results import Attribution, ScalpMap


def scalp_map(e: Attribution, places: Any) -> ScalpMap:
    """Bring an attribution to the head: sums over everything but the electrodes, at the places that are given.

    `places` is a mapping of electrode names to (right, front) in radii of the head seen from above, in the order of the
    channels, or an array (electrode, 2) of these. No place is guessed from a name. The axis of the electrodes is the
    one of as many entries that is no time, band or sample. Raises ParameterError where there is no such axis, or two.
    """
    names = tuple(map(str, places)) if isinstance(places, Mapping) else ()
    where = _checked(list(places.values()) if isinstance(places, Mapping) else places)
    names = names or tuple(f"channel {k}" for k in range(len(where)))
    sizes = dict(zip(e.axes[1:], e.values.shape[1:], strict=True))
    fitting = [axis for axis, size in sizes.items() if size == len(where) and axis not in ("time", "band")]
    if len(fitting) != 1:
        said = " × ".join(f"{n} {axis}" for axis, n in sizes.items())
        raise ParameterError(f"{len(where)} places belong to one axis of electrodes, and the attribution has {said}")
    found = e.by(fitting[0])
    return ScalpMap(found.values, where, names, e.target_labels, e.status, found.origin)


def _checked(places: Any) -> Array:
    try:
        where = np.asarray(places, np.float64)
    except (TypeError, ValueError):
        where = np.zeros(0)
    if where.ndim != 2 or where.shape[1] != 2 or not np.isfinite(where).all() or len(where) < 1:
        raise ParameterError("places are (right, front) of each electrode, in radii of the head: (electrode, 2)")
    if np.hypot(*where.T).max() > 1.5:
        raise ParameterError("places are in radii of the head, from -1 to 1: divide them by the head's radius")
    return where
