"""Grad-CAM++: Grad-CAM whose channels are weighed by each place's own positive influence."""

from dataclasses import dataclass

import numpy as np

from xaikit.arrays import Array
from xaikit.attribution._cam import Cam
from xaikit.attribution._method import methods
from xaikit.graph import Layer


@methods("grad-cam-plus-plus")
@dataclass(frozen=True, kw_only=True)
class GradCamPlusPlus(Cam):
    """Where a layer is active, its channels weighed so that every occurrence of the class counts, large or small.

    Σ_k w_k A_k, w_k = Σ_ij α_ij · relu(g_ij), with g = d score / d A and, for the exponential of the score, the closed
    form α = g² / (2 g² + g³ Σ_ab A_ab). The positive factor exp(score), one number for a whole map, is left out: it
    overflows for large logits. ReLU, values, `layer`, `upsample` and `quality["cut"]` as in grad-cam. Source:
    Chattopadhay et al., "Grad-CAM++" (2018), section 3, equations 6, 7 and 19.
    """

    def weighed(self, activation: Array, gradient: Array, layer: Layer) -> Array:
        total = activation.sum(layer.space, keepdims=True)
        below = 2 * gradient**2 + gradient**3 * total
        alpha = np.divide(gradient**2, below, out=np.zeros_like(below), where=below != 0)
        weights = (alpha * np.maximum(gradient, 0)).sum(layer.space, keepdims=True)
        return np.asarray((weights * activation).sum(layer.channel))
