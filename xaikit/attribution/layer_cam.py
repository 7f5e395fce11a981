"""Layer-CAM: activations weighed place by place, so that early layers give fine maps."""

from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors, each
from xaikit.attribution._cam import Cam, choose_layer, laid_out
from xaikit.attribution._method import Map, Task, methods, parameter, require
from xaikit.errors import NotSupported
from xaikit.graph import Layer

SHARPNESS = 2.0
"""γ of the paper's equation 8: how soon the fused map of several layers saturates."""


@methods("layer-cam")
@dataclass(frozen=True, kw_only=True)
class LayerCam(Cam):
    """Where a layer is active at places whose own gradient speaks for the score.

    Σ_k relu(d score / d A_k) · A_k, the weight of every place its own; ReLU by default. Of several layers each map is
    brought to the input's size and scaled to tanh(2 M / max M), and the largest is taken at each place. Values,
    `upsample` and `quality["cut"]` as in grad-cam. Source: Jiang et al., "LayerCAM" (2021), section III, equations 5
    to 9.
    """

    layer: Any = parameter(None, "the layer to look at, or several; None = the last one with places")

    def __post_init__(self) -> None:
        several = isinstance(self.layer, list | tuple) and self.layer
        names = self.layer if several else [self.layer]
        valid = all(isinstance(n, str) for n in names) or self.layer is None
        require(valid, f"layer is the name of a layer, or a list of such, not {self.layer!r}")

    def __call__(self, task: Task) -> Map:
        if not isinstance(self.layer, list | tuple):
            return super().__call__(task)
        layers = [choose_layer(task.model, name) for name in self.layer]
        maps = [laid_out(task, a, self.of_layer(task, a), relu=self.relu, sized=self.upsample) for a in layers]
        shapes = {str(each(lambda v: np.array(v.shape[1:]), m.values)) for m in maps}
        if len({m.axes for m in maps}) > 1 or len(shapes) > 1:
            raise NotSupported(
                f"the maps of {', '.join(self.layer)} have different places ({', '.join(sorted(shapes))}): "
                "take layers of one size, or upsample=True"
            )
        fused = reduce(lambda a, b: each(np.maximum, a, b), [_scaled(m.values) for m in maps])
        cut = np.mean([m.quality["cut"] for m in maps], axis=0) if self.relu else None
        quality = {} if cut is None else {"cut": cut}
        return replace(maps[0], values=fused, layer=None, quality=quality)

    def weighed(self, activation: Array, gradient: Array, layer: Layer) -> Array:
        return np.asarray((np.maximum(gradient, 0) * activation).sum(layer.channel))


def _scaled(values: Tensors) -> Tensors:
    """Give tanh(γ M / max M) of every sample; a map of zeros stays one."""

    def one(maps: Array) -> Array:
        top = np.abs(maps).reshape(len(maps), -1).max(1).reshape(-1, *(1,) * (maps.ndim - 1))
        return np.tanh(SHARPNESS * np.divide(maps, top, out=np.zeros_like(maps), where=top > 0))

    return each(one, values)
