"""Grad-CAM: where the channels of a layer that speak for the score are active."""

from dataclasses import dataclass
from math import prod

import numpy as np

from xaikit.arrays import Array
from xaikit.attribution._cam import Cam
from xaikit.attribution._method import methods
from xaikit.graph import Layer


@methods("grad-cam")
@dataclass(frozen=True, kw_only=True)
class GradCam(Cam):
    """Where a layer is active in those channels that speak for the score.

    Σ_k α_k A_k over the channels k of a layer, α_k the mean over space of d score / d A_k; ReLU by default. Values
    (sample, *space) have no channel axis. With `upsample` the map is brought to the input's size by linear
    interpolation, without it keeps the layer's own grid. `layer=None` takes the last layer with more than one place
    that is neither pooling nor shaped like the output, and the choice is recorded. `quality["cut"]` is the share of the
    map that speaks against the score and is cut. Source: Selvaraju et al., "Grad-CAM" (2017), section 3, equations 1
    and 2.
    """

    def weighed(self, activation: Array, gradient: Array, layer: Layer) -> Array:
        places = prod(gradient.shape[i] for i in layer.space)
        alpha = gradient.sum(layer.space, keepdims=True) / places
        return np.asarray((alpha * activation).sum(layer.channel))
