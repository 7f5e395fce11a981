"""Ablation-CAM: a layer's channels weighed by what the score loses without each of them; no gradient is used."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from xaikit.arrays import Array, chunks, rows
from xaikit.attribution import Map, Method, Task, choose_layer, laid_out, methods, parameter
from xaikit.inputs import Raw
from xaikit.model import Model


@methods("ablation-cam")
@dataclass(frozen=True, kw_only=True)
class AblationCam(Method):
    """Where a layer is active in those channels without which the score is lower.

    Σ_k w_k A_k over the channels k of a layer, w_k = (y − y_k) / |y|: y is the score, y_k the score when channel k is
    set to 0 at all places; ReLU by default. The paper divides by y, which is the same where the score is positive;
    by its size the map of a negative score does not turn round. Where the score is 0 it is not divided. Values
    (sample, *space) have no channel axis; `layer`, `upsample` and `quality["cut"]` as in grad-cam. It costs one model
    call for every channel. Source: Desai and Ramaswamy, "Ablation-CAM: Visual Explanations for Deep Convolutional
    Network via Gradient-free Localization" (2020), section 3.
    """

    needs: ClassVar = frozenset({"run", "patch"})
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
        own = task.run(task.x, at=[layer.name]).activations[layer.name]
        activation = np.moveaxis(own, layer.channel, -1).astype(np.float64)
        y = task.value(task.x)
        left = np.stack([self.left(task, layer.name, own[i : i + 1], layer.channel, i) for i in range(len(task))])
        weights = (y[:, None] - left) / np.where(y == 0, 1, np.abs(y))[:, None]
        cam = np.einsum("n...k,nk->n...", activation, weights)
        return laid_out(task, layer, cam, relu=self.relu, sized=self.upsample)

    def left(self, task: Task, layer: str, own: Array, axis: int, sample: int) -> Array:
        """Give the score of one sample without each channel of its activation (1, ...): (channel,)."""
        count, found = own.shape[axis], []
        for part in chunks(count, task.model.batch_size):
            task.check_time()
            there = np.arange(count)[part]
            ablated = np.repeat(own, len(there), 0)
            np.moveaxis(ablated, axis, 1)[np.arange(len(there)), there] = 0
            index = np.full(len(there), sample)
            x = rows(task.x, index)
            output = task.run(x, patch={layer: ablated}).output
            found.append(task.scores.value(output, x, index))
        return np.concatenate(found)
