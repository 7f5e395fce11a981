"""What the class activation maps share: the choice of a layer, and the way from its grid to the input."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar
from weakref import WeakKeyDictionary

import numpy as np

from xaikit.arrays import SPACE, Array, Tensors, upsample
from xaikit.attribution._method import Map, Method, Task, parameter
from xaikit.errors import NotSupported, UnknownName
from xaikit.graph import GATE, Layer
from xaikit.inputs import InputSpec, Raw
from xaikit.model import Model
from xaikit.perturb.budget import unbounded

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
_CHOSEN: WeakKeyDictionary[Model, tuple[Mapping[str, Layer], Layer]] = WeakKeyDictionary()
"""By model: its layers, and the one that is looked at where none is named."""


@dataclass(frozen=True, kw_only=True)
class Cam(Method):
    """A map of one layer's activations, its channels weighed by their gradients; a subclass says how.

    `quality["cut"]` is the share of the map, by absolute value, that speaks against the score and is cut by `relu`.
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
        return laid_out(task, layer, self.of_layer(task, layer), relu=self.relu, sized=self.upsample)

    def of_layer(self, task: Task, layer: Layer) -> Array:
        """Give the map on the layer's own grid: (sample, *space), float64."""
        pulled = task.pull(task.x, wrt=layer.name)
        return self.weighed(np.asarray(pulled.source, np.float64), np.asarray(pulled.gradient, np.float64), layer)

    @abstractmethod
    def weighed(self, activation: Array, gradient: Array, layer: Layer) -> Array:
        """Sum the weighed channels: (sample, *space) from two arrays with the layer's axes."""


def laid_out(task: Task, layer: Layer, cam: Array, *, relu: bool, sized: bool) -> Map:
    """Make a Map of what a layer's grid holds (sample, *space), cut below zero and brought to the input's size."""
    kept, quality = cut_below(cam) if relu else (cam, {})
    axes = tuple(layer.axes[i] for i in layer.space)
    values = over_inputs(kept.astype(np.float32), task, layer, sized)
    return Map(values, axes=axes, layer=layer.name, quality=quality)


def cut_below(cam: Array) -> tuple[Array, dict[str, Array]]:
    """Give the positive part, and as quality what share of the whole was cut: 0 where there is nothing at all."""
    kept = np.maximum(cam, 0)
    rest, cut = (a.reshape(len(cam), -1).sum(1) for a in (kept, kept - cam))
    whole = rest + cut
    return kept, {"cut": np.divide(cut, whole, out=np.zeros_like(whole), where=whole > 0)}


def over_inputs(cam: Array, task: Task, layer: Layer, sized: bool = True) -> Tensors:
    """Give the map for the input; of several inputs, for those with the layer's places (for all if none has)."""

    def brought(size: tuple[int, ...] | None) -> Array:
        return upsample(cam, size) if sized and size is not None else cam

    if not isinstance(task.x, Mapping):
        return brought(input_space(task.x, task.spec, layer))
    sizes = {n: input_space(x, task.spec[n], layer) for n, x in task.x.items()}
    return {n: brought(s) for n, s in sizes.items() if s is not None} or dict.fromkeys(sizes, cam)


def _with_maps(model: Model) -> str:
    """Say which layers a class activation map can be taken from: the last of them, where most information is."""
    found = [layer.name for layer in model.layers.values() if _has_map(layer)]
    return f"the last layers that have them: {', '.join(found[-3:])}" if found else f"{model.name} has no such layer"


def choose_layer(model: Model, name: str | None) -> Layer:
    """Give the layer of that name, or the last one whose channels form a map and are not yet the output.

    Raises NotSupported if there is none.
    """
    if name is not None:
        if name not in model.layers:
            raise UnknownName(f"layer of {model.name}", name, model.layers)
        if not _has_map(model.layers[name]):
            raise NotSupported(
                f"layer {name!r} has axes {model.layers[name].axes}: a class activation map (Grad-CAM and its kin) "
                f"needs channels over space or time; {_with_maps(model)}"
            )
        return model.layers[name]
    known = _CHOSEN.get(unbounded(model))
    if known is None or known[0] is not model.layers:
        known = _CHOSEN[unbounded(model)] = model.layers, _last_map(model)
    return known[1]


def _last_map(model: Model) -> Layer:
    layers = list(model.layers.values())
    last = next((layer for layer in reversed(layers) if _is_feature_map(layer)), None)
    if last is None:
        raise NotSupported(
            f"{model.name} has no layer with channels over space or time, which Grad-CAM and its kin need; "
            "use integrated-gradients, occlusion, lime or kernel-shap"
        )
    # A network that answers place by place ends in maps of its answer, whose gradient is the target itself.
    answer = layers[-1].shape
    found = next((layer for layer in reversed(layers) if layer.shape != answer and _is_feature_map(layer)), last)
    return _states(layers, found)


def _states(layers: list[Layer], found: Layer) -> Layer:
    """Give the state at every step in the place of a recurrent layer of which only the last step is read.

    The output of such a layer has a gradient at that step alone; Keras gives no other step to begin with.
    """
    states = [layer for layer in layers if layer.kind == GATE and layer.name.startswith(f"{found.name}/")]
    readers = [layer for layer in layers if found.name in layer.parents]
    last_step = bool(readers) and all(r.kind in ("index", "concat") and not r.space for r in readers)
    return states[-1] if states and last_step else found


def _has_map(layer: Layer) -> bool:
    return bool(layer.space) and layer.channel is not None


def _is_feature_map(layer: Layer) -> bool:
    if not _has_map(layer) or any(word in layer.kind for word in NOT_FEATURES):
        return False
    places = [layer.shape[i - 1] for i in layer.space]
    return any(n is None or n > 1 for n in places)


def input_space(x: Array, spec: InputSpec, layer: Layer) -> tuple[int, ...] | None:
    """Give an input's size along a layer's spatial axes, if it has just these."""
    found = input_axes(x, spec, layer)
    return None if found is None else tuple(x.shape[i] for i in found)


def input_axes(x: Array, spec: InputSpec, layer: Layer) -> tuple[int, ...] | None:
    """Give the numbers of an input's axes (sample, ...) that are a layer's spatial ones, if it has just these."""
    axes = tuple(layer.axes[i] for i in layer.space)
    named = {axis: i for i, axis in enumerate(spec.axes[: x.ndim - 1], start=1) if axis in SPACE}
    if named:
        return tuple(named[a] for a in axes) if set(named) == set(axes) else None
    same = x.ndim == len(layer.axes) and np.issubdtype(x.dtype, np.floating)
    return layer.space if same else None
