"""Guided Grad-CAM: the fine structure of guided backpropagation where Grad-CAM sees the class."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from xaikit.arrays import SPACE, Array
from xaikit.attribution._cam import choose_layer
from xaikit.attribution._method import Map, Method, Task, methods, parameter
from xaikit.attribution._rectified import notes, remark
from xaikit.attribution.grad_cam import GradCam
from xaikit.errors import NotSupported
from xaikit.inputs import Raw
from xaikit.model import Model


@methods("guided-grad-cam")
@dataclass(frozen=True, kw_only=True)
class GuidedGradCam(Method):
    """Guided backpropagation times Grad-CAM (with ReLU, brought to the input's size), place by place.

    Values have the shape of the encoded input; of several inputs those are explained that have the layer's places.
    `layer` as in grad-cam, `origin.notes` and refusals as in guided-backprop. Source: Selvaraju et al., "Grad-CAM"
    (2017), section 3.2.
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
        return "; ".join(t for t in told if t)

    def __call__(self, task: Task) -> Map:
        cam = GradCam(layer=self.layer)(task)
        fine = task.pull(task.x, rule="guided").gradient
        if isinstance(fine, Mapping):
            coarse = cam.values
            found = {n: _product(fine[n], c, task.spec[n].axes) for n, c in coarse.items()}  # type: ignore[union-attr]
            return Map(found, layer=cam.layer, quality=cam.quality, notes=notes(task.model))
        values = _product(fine, np.asarray(cam.values), task.spec.axes)
        return Map(values, layer=cam.layer, quality=cam.quality, notes=notes(task.model))


def _product(fine: Array, coarse: Array, axes: tuple[str, ...]) -> Array:
    """Multiply values (sample, *input) with a map (sample, *space) over the input's axes of space."""
    space = [i for i, axis in enumerate(axes) if axis in SPACE] or list(range(coarse.ndim - 1))
    sizes = [1] * (fine.ndim - 1)
    if [fine.shape[i + 1] for i in space] != list(coarse.shape[1:]):
        raise NotSupported(
            f"the map of the layer has the places {coarse.shape[1:]}, the input {fine.shape[1:]}: Guided Grad-CAM "
            "multiplies them place by place; use grad-cam or guided-backprop"
        )
    for i in space:
        sizes[i] = fine.shape[i + 1]
    return fine * coarse.reshape(len(coarse), *sizes)
