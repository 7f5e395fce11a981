"""How a picture is made: the defaults for what is drawn, and what was given in their place."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import NotSupported, ParameterError, UnknownName
from xaikit.insight._maximizing._ascent import Crops, Penalties, Schedule
from xaikit.insight._maximizing._canvas import SMALL, Canvas
from xaikit.insight._maximizing._parameters import Fourier, Parameters, Pixels, colours_of, phases
from xaikit.insight._maximizing._transforms import Transformations

METHODS = ("pixels", "fourier", "maco")
FLOORS = {"pixels": 1.0, "fourier": 1e-3, "maco": 1e-3}
"""The floor of Adam: pixels far from anything that matters have tiny gradients, frequencies do not."""
OF_UNIT = 0.02
"""The share of the sides by which a picture for a unit is shifted: it sees a part only, and tolerates no more."""
RAREST = (0.1, 5.0)
"""Between which shares the weight of a place in the L1 penalty lies."""


def usual(on: Canvas) -> str:
    """Name the method that is taken where none is asked for."""
    return "fourier" if on.photo and min(on.places) >= SMALL else "pixels"


def schedule_for(
    on: Canvas,
    method: str | None,
    steps: int | None,
    rate: float | None,
    transformations: Mapping[str, Any] | bool | None,
    penalties: Mapping[str, float] | bool | None,
    crops: int,
    fixed: bool,
) -> Schedule:
    """Take the defaults for what is drawn, and what was given before them; a unit's place is `fixed`."""
    if method is not None and method not in METHODS:
        raise UnknownName("method of maximisation", method, METHODS)
    method = method or usual(on)
    if method != "pixels" and not on.places:
        raise NotSupported(f"the input has no places, so it has no spectrum: use method='pixels', not {method!r}")
    chosen = Penalties(1.8, 0.45) if method == "pixels" or not on.photo else Penalties()
    chosen = Penalties() if method == "maco" or penalties is False else chosen
    if isinstance(penalties, Mapping):
        chosen = _replaced(chosen, penalties, "penalties")
    changes = Transformations(shift=OF_UNIT) if fixed else Transformations()
    changes = changes if on.places else Transformations(0, 0, 0)
    if isinstance(transformations, Mapping):
        changes = _replaced(changes, transformations, "transformations")
    elif transformations is False:
        changes = Transformations(0, 0, 0)
    maco = method == "maco"
    least = max([0.25, *(min(16 / n, 1.0) for n in on.places)])
    return Schedule(
        steps=steps or (512 if method == "fourier" else 256),
        rate=rate or (1.0 if maco else 0.05),
        floor=FLOORS[method],
        transformations=changes,
        penalties=chosen,
        crops=Crops(count=crops, large=min(1.0, max(0.5, 2 * least)), small=least) if maco else None,
    )


def _replaced(value: Any, changes: Mapping[str, Any], what: str) -> Any:
    unknown = [n for n in changes if not hasattr(value, n)]
    if unknown:
        raise UnknownName(f"entry of {what}", unknown[0], asdict(value))
    return replace(value, **changes)


def parameters_for(on: Canvas, method: str, like: Array | None, fixed: bool) -> Parameters:
    """Give what the ascent moves; around a unit's `fixed` place nothing but the background stays as it was."""
    u = None if like is None else on.read(like)
    if method == "pixels":
        return Pixels(on, None if u is None or fixed else u.mean(0).astype(np.float32))
    colours = colours_of(on, u) if on.photo else None
    if method == "fourier":
        return Fourier(on, colours)
    if u is None:
        raise ParameterError("maco takes the magnitudes of real samples: give like= (samples, or a folder of them)")
    return phases(on, u, colours)


def rarity(on: Canvas, like: Array | None) -> Array | None:
    """Give how seldom real samples differ from the background at a place: (*places, channel); None without samples.

    Ink is then held back most where there never is any, as at the border of a digit; photos differ everywhere alike.
    """
    if like is None:
        return None
    differing = np.abs(on.read(like) - on.background).mean(0)
    usual = differing.mean()
    if usual <= 0:
        return None
    return np.clip(usual / (differing + 0.1 * usual), *RAREST).astype(np.float32)


def diversity_of(given: float | None, copies: int) -> float:
    """Give the share of the objective that keeps copies apart, which one copy does not need."""
    if copies == 1:
        return 0.0
    return 0.5 if given is None else float(given)
