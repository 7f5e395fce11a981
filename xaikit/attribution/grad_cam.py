"""Grad-CAM: where the channels of a layer that speak for the score are active."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from xaikit.arrays import SPACE, Array, Tensors, upsample
from xaikit.attribution._method import Map, Method, Task, methods, parameter
from xaikit.errors import NotSupported, UnknownName
from xaikit.graph import Layer
from xaikit.inputs import InputSpec, Raw
from xaikit.model import Model

NOT_FEATURES = (
    "pool",
    "dropout",
    "pad",
    "crop",
    "flatten",
    "reshape",
    "permute",
    "softmax",
    "sigmoid",
    "input",
    "upsample",
)


@methods("grad-cam")
@dataclass(frozen=True, kw_only=True)
class GradCam(Method):
    """Where a layer is active in those channels that speak for the score.

    Σ_k α_k A_k over the channels k of a layer, α_k the mean over space of d score / d A_k; ReLU by default. Values
    (sample, *space) have no channel axis. With `upsample` the map is brought to the input's size by linear
    interpolation, without it keeps the layer's own grid. `layer=None` takes the last layer with more than one place
    that is no pooling, and the choice is recorded. Source: Selvaraju et al., "Grad-CAM" (2017), section 3,
    equations 1 and 2.
    """

    needs: ClassVar = frozenset({"pull"})
    score: ClassVar = "logit"

    layer: str | None = parameter(None, "the layer to look at; None = the last one with places")
    relu: bool = parameter(True, "keep only what speaks for the score")
    upsample: bool = parameter(True, "bring the map to the size of the input")

    @classmethod
    def examine(cls, model: Model) -> str:
        super().examine(model)
        return "" if isinstance(model.inputs, Raw) else f"looks at layer {choose_layer(model, None).name!r}"

    def __call__(self, task: Task) -> Map:
        layer = choose_layer(task.model, self.layer)
        pulled = task.pull(task.x, wrt=layer.name)
        cam = _cam(np.asarray(pulled.source, np.float64), np.asarray(pulled.gradient, np.float64), layer)
        cam = (np.maximum(cam, 0) if self.relu else cam).astype(np.float32)
        axes = tuple(layer.axes[i] for i in layer.space)
        return Map(self._over_inputs(cam, task, layer), axes=axes, layer=layer.name)

    def _over_inputs(self, cam: Array, task: Task, layer: Layer) -> Tensors:
        """Give the map for the input; of several inputs, for those with the layer's places (for all if none has)."""
        if not isinstance(task.x, Mapping):
            return self._sized(cam, input_space(task.x, task.spec, layer))
        sizes = {n: input_space(x, task.spec[n], layer) for n, x in task.x.items()}
        return {n: self._sized(cam, s) for n, s in sizes.items() if s is not None} or dict.fromkeys(sizes, cam)

    def _sized(self, cam: Array, size: tuple[int, ...] | None) -> Array:
        return upsample(cam, size) if self.upsample and size is not None else cam


def _cam(activation: Array, gradient: Array, layer: Layer) -> Array:
    alpha = gradient.mean(layer.space, keepdims=True)
    return np.asarray((alpha * activation).sum(layer.channel))


def choose_layer(model: Model, name: str | None) -> Layer:
    """Give the layer of that name, or the last one whose channels form a map. Raises NotSupported if there is none."""
    if name is not None:
        if name not in model.layers:
            raise UnknownName(f"layer of {model.name}", name, model.layers)
        if not _has_map(model.layers[name]):
            raise NotSupported(
                f"layer {name!r} has axes {model.layers[name].axes}: Grad-CAM needs channels over space or time"
            )
        return model.layers[name]
    found = [layer for layer in model.layers.values() if _is_feature_map(layer)]
    if not found:
        raise NotSupported(
            f"{model.name} has no layer with channels over space or time, which Grad-CAM needs; "
            "use integrated-gradients, occlusion, lime or kernel-shap"
        )
    return found[-1]


def _has_map(layer: Layer) -> bool:
    return bool(layer.space) and layer.channel is not None


def _is_feature_map(layer: Layer) -> bool:
    if not _has_map(layer) or any(word in layer.kind for word in NOT_FEATURES):
        return False
    places = [layer.shape[i - 1] for i in layer.space]
    return any(n is None or n > 1 for n in places)


def input_space(x: Array, spec: InputSpec, layer: Layer) -> tuple[int, ...] | None:
    """Give an input's size along a layer's spatial axes, if it has just these."""
    axes = tuple(layer.axes[i] for i in layer.space)
    named = {axis: n for axis, n in zip(spec.axes, x.shape[1:], strict=False) if axis in SPACE}
    if named:
        return tuple(named[a] for a in axes) if set(named) == set(axes) else None
    same = x.ndim == len(layer.axes) and np.issubdtype(x.dtype, np.floating)
    return tuple(x.shape[i] for i in layer.space) if same else None
