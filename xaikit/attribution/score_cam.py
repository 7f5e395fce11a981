"""Score-CAM: a layer's channels weighed by the score of what each of them shows; no gradient is used."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from xaikit.arrays import Array, leaves, upsample
from xaikit.attribution._cam import choose_layer, input_axes, laid_out
from xaikit.attribution._method import Map, Method, Task, methods, parameter
from xaikit.errors import NotSupported, with_article
from xaikit.graph import Layer
from xaikit.inputs import Raw, Text
from xaikit.model import Model
from xaikit.perturb.soft import Fading, Masks

ROUNDING = 1e-6
"""Relative differences of float32 scores that say nothing."""


@methods("score-cam")
@dataclass(frozen=True, kw_only=True)
class ScoreCam(Method):
    """Where a layer is active in those channels whose region, shown alone, has a high score.

    Σ_k α_k A_k, α the softmax over the channels of C_k = f(x shown where A_k is active) - f(nothing shown). A channel
    is brought to the input's size and scaled to 0..1, which is how much of the input it shows; the rest is `baseline`
    (the paper's is 0 in the network's units). Constant channels tell no place from another and have no weight; none
    has where the score is f(x) whatever is shown, of which the softmax would make equal weights.
    `quality["complete"]` is the share of the channels that were asked about, those that vary most first; ReLU, values,
    `layer`, `upsample` and `quality["cut"]` as in grad-cam. Source: Wang et al., "Score-CAM" (2020), section 3,
    definition 3 and algorithm 1.
    """

    needs: ClassVar = frozenset({"run", "patch"})
    score: ClassVar = "logit"

    layer: str | None = parameter(None, "the layer to look at; None = the last one with places")
    relu: bool = parameter(True, "keep only what speaks for the score")
    upsample: bool = parameter(True, "bring the map to the size of the input")
    baseline: Any = parameter(
        None, "what stands where a channel shows nothing: a number, an array, 'mean', 'blur', 'zero'; None = by input"
    )

    @classmethod
    def examine(cls, model: Model) -> str:
        if "patch" not in model.can:
            raise NotSupported(
                f"score-cam cannot explain {model.name}: {with_article(model.framework)} model shows no layers; "
                "use rise, occlusion, lime or kernel-shap"
            )
        specs = list(model.inputs.values()) if isinstance(model.inputs, Mapping) else [model.inputs]
        if all(isinstance(s, Text) for s in specs):
            raise NotSupported(
                "score-cam fades an input into its baseline, and there is nothing between two words: for a Text use "
                "kernel-shap, permutation-shap, lime or occlusion"
            )
        return "" if isinstance(model.inputs, Raw) else f"looks at layer {choose_layer(model, None).name!r}"

    def __call__(self, task: Task) -> Map:
        layer = choose_layer(task.model, self.layer)
        activation = np.moveaxis(task.run(task.x, at=[layer.name]).activations[layer.name], layer.channel or -1, -1)
        spread = np.ptp(activation, axis=tuple(range(1, activation.ndim - 1)))
        order = np.argsort(-spread, axis=1, kind="stable")
        places = _places(task, layer)
        scores, known = np.zeros(order.shape), np.zeros(order.shape, bool)

        def masks(i: int, s: slice) -> Masks:
            channels = np.moveaxis(activation[i][..., order[i, s]], -1, 0)
            return {
                n: _broad(_shares(upsample(channels, size)), axes, ndim) for n, (size, axes, ndim) in places.items()
            }

        def take(i: int, s: slice, made: Masks, found: Array) -> None:
            scores[i, order[i, s]], known[i, order[i, s]] = found, True

        complete = Fading(task, list(places), self.baseline).ask(order.shape[1], masks, take)
        weights = _softmax(scores, known & (spread > 0)) * _moved(scores, task.value(task.x), known)[:, None]
        cam = np.einsum("n...k,nk->n...", activation.astype(np.float64), weights)
        found = laid_out(task, layer, cam, relu=self.relu, sized=self.upsample)
        return replace(found, quality={**found.quality, "complete": complete})


def _places(task: Task, layer: Layer) -> dict[str, tuple[tuple[int, ...], tuple[int, ...], int]]:
    """Give size, axes and number of axes of every input that has the layer's places. Raises NotSupported."""
    specs = task.spec if isinstance(task.x, Mapping) else {"": task.spec}
    axes = {n: input_axes(x, specs[n], layer) for n, x in leaves(task.x) if x.dtype.kind == "f"}
    inputs = dict(leaves(task.x))
    found = {n: (tuple(inputs[n].shape[i] for i in a), a, inputs[n].ndim) for n, a in axes.items() if a is not None}
    if not found:
        raise NotSupported(
            f"no input of {task.model.name} has the places of layer {layer.name!r}, so a channel cannot show a part of "
            "it; use grad-cam, occlusion or kernel-shap"
        )
    return found


def _broad(maps: Array, axes: tuple[int, ...], ndim: int) -> Array:
    """Lay maps (map, *space) on the axes of an input (sample, ...), alike along the others."""
    sizes = dict(zip(axes, maps.shape[1:], strict=True))
    return maps.reshape(len(maps), *(sizes.get(i, 1) for i in range(1, ndim)))


def _shares(maps: Array) -> Array:
    """Scale each map (map, *space) to 0..1; a constant one shows nothing."""
    axes = tuple(range(1, maps.ndim))
    low, span = maps.min(axes, keepdims=True), np.ptp(maps, axis=axes, keepdims=True)
    return np.divide(maps - low, span, out=np.zeros_like(maps), where=span > 0)


def _moved(scores: Array, own: Array, asked: Array) -> Array:
    """Say of which samples some channel's score (sample, channel) is another than f(x), by more than rounding."""
    same = np.abs(scores - own[:, None]) <= ROUNDING * np.abs(own[:, None])
    return np.asarray((~same & asked).any(1))


def _softmax(scores: Array, counted: Array) -> Array:
    """Softmax over the channels that count (sample, channel): f(nothing shown), the same for all, drops out of it."""
    top = np.max(scores, axis=1, keepdims=True, where=counted, initial=-np.inf)
    powers = np.exp(scores - top, where=counted, out=np.zeros_like(scores))
    total = powers.sum(1, keepdims=True)
    return np.divide(powers, total, out=np.zeros_like(powers), where=total != 0)
