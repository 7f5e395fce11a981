"""Several samples of a view at once: its slice, else some of all that the model has."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xaikit_app import cohorts, thumbs
from xaikit_app.samples import Sample, home

MOST = 200


def several(view: Any, most: int = MOST) -> Sequence[Sample]:
    """Give the samples of the slice, at most so many; without a slice evenly spaced ones of all, with their labels.

    () for a model that takes several inputs. Raises InputError, ParameterError or UnknownName for a wrong slice.
    """
    found: Sequence[Sample] = view.once(("several", most), lambda: _several(view, most))
    return found


def _several(view: Any, most: int) -> Sequence[Sample]:
    if thumbs.shelf(view) is None:
        return ()
    if view.state.more.get(cohorts.KEY):
        return tuple(cohorts.samples(view, most))
    stock = cohorts.Cohort(view).stock
    if not stock.count:
        return ()
    chosen = np.unique(np.linspace(0, stock.count - 1, min(most, stock.count)).astype(int))
    with home(view.services.galleries.home):
        return tuple(stock.take(int(i)) for i in chosen)


__all__ = ["several"]
