"""Guided Grad-CAM: the fine structure of guided backpropagation where Grad-CAM sees the class."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from xaikit.arrays import Array, Tensors
from xaikit.attribution._cam import choose_layer, input_axes
from xaikit.attribution._method import Map, Method, Task, methods, parameter
from xaikit.attribution._native import takes_ids
from xaikit.attribution._rectified import notes, remark
from xaikit.attribution.grad_cam import GradCam
from xaikit.errors import NotSupported
from xaikit.graph import Layer
from xaikit.inputs import InputSpec, Raw
from xaikit.model import Model


@methods("guided-grad-cam")
@dataclass(frozen=True, kw_only=True)
class GuidedGradCam(Method):
    """Guided backpropagation times Grad-CAM (with ReLU, brought to the input's size), place by place.

    Values have the shape of the encoded input; of several inputs those are explained that have the layer's places.
    `layer` and `quality["cut"]` as in grad-cam, `origin.notes` and refusals as in guided-backprop. Source: Selvaraju et
    al., "Grad-CAM" (2017), section 3.2.
    """

    needs: ClassVar = frozenset({"pull", "rule:guided"})
    score: ClassVar = "logit"

    layer: str | None = parameter(None, "the layer of Grad-CAM; None = the last one with places")

    @classmethod
    def examine(cls, model: Model) -> str:
        super().examine(model)
        if isinstance(model.inputs, Raw):
            return ""
        told = (f"looks at layer {choose_layer(model, None).name!r}", remark(model))
        if takes_ids(model):
            raise NotSupported(
                f"guided-grad-cam multiplies a map of the input's numbers, and {model.name} takes token ids, which "
                "have no gradient; use grad-cam or guided-backprop"
            )
        return "; ".join(t for t in told if t)

    def __call__(self, task: Task) -> Map:
        layer = choose_layer(task.model, self.layer)
        cam = GradCam(layer=layer.name)(task)
        fine = task.pull(task.x, rule="guided").gradient
        found: Tensors
        if isinstance(fine, Mapping):
            coarse = cam.values
            found = {n: _product(fine[n], c, task.spec[n], layer) for n, c in coarse.items()}  # type: ignore[union-attr]
        else:
            found = _product(fine, np.asarray(cam.values), task.spec, layer)
        return Map(found, layer=cam.layer, quality=cam.quality, notes=notes(task.model))


def _product(fine: Array, coarse: Array, spec: InputSpec, layer: Layer) -> Array:
    """Multiply values (sample, *input) with a map (sample, *space) over the input's axes of space."""
    space = input_axes(fine, spec, layer)
    if space is None:
        raise NotSupported(
            f"the input has axes {spec.axes or fine.shape[1:]}, layer {layer.name!r} {layer.axes}: Guided Grad-CAM "
            "multiplies their maps place by place; use grad-cam or guided-backprop"
        )
    sizes = [n if i in space else 1 for i, n in enumerate(fine.shape[1:], start=1)]
    return fine * coarse.reshape(len(coarse), *sizes)
