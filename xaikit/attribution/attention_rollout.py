"""Attention rollout: how much of each input token the layers of attention mix into the place that is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from xaikit.arrays import Array, Tensors, chunks, rows, upsample
from xaikit.attribution._method import Map, Method, Task, methods, parameter, require
from xaikit.errors import NotSupported, UnknownName
from xaikit.graph import Layer
from xaikit.inputs import Image, InputSpec, Raw, Text
from xaikit.model import Model

HEADS: Mapping[str, Any] = {"mean": np.mean, "max": np.max, "min": np.min}
EXTRA = 8
"""The most tokens that may stand before those of the input: a class token, a distillation token, registers."""


@methods("attention-rollout")
@dataclass(frozen=True, kw_only=True)
class AttentionRollout(Method):
    """Which input tokens the class token (or another place) has attended to, through all layers.

    The rows of Ā = (1 - residual)·A + residual·I, normalised, multiplied from the last layer to the first; A is a
    layer's attention with its heads joined. It looks at attention alone: the map is the same for every target, is
    never negative, and does not sum to the score. For pictures the tokens stand on a grid of patches, brought to the
    size of the picture by linear interpolation with `upsample`; otherwise values (sample, token or time) hold one
    number for every token, and padded steps of a text get exactly 0. Tokens that a network puts before those of the
    input are left out of the map.

    `position=None` reads the first token where the network puts tokens of its own before the input's, else takes the
    mean over the tokens that are no padding. Source: Abnar and Zuidema, "Quantifying Attention Flow in Transformers"
    (2020), section 3, where residual = 0.5.
    """

    score: ClassVar = "logit"

    heads: str = parameter("mean", "how the heads of a layer are joined: mean, max or min", tuple(HEADS))
    residual: float = parameter(0.5, "the share of a token that passes a layer by its residual connection")
    discard: float = parameter(0.0, "the share of the smallest weights of every row that counts as zero")
    position: int | str | None = parameter(
        None, "the token that is read: its number, or 'mean'; None = the class token, or the mean where there is none"
    )
    layers: Any = parameter(None, "names of layers that give attention weights, in order; None = all")
    upsample: bool = parameter(True, "bring the grid of patches to the size of the picture")

    def __post_init__(self) -> None:
        require(self.heads in HEADS, f"heads must be one of {', '.join(HEADS)}, not {self.heads!r}")
        require(0 <= self.residual <= 1, f"residual must lie in 0..1, not {self.residual}")
        require(0 <= self.discard < 1, f"discard must be at least 0 and under 1, not {self.discard}")
        known = self.position is None or self.position == "mean" or isinstance(self.position, int)
        require(known, f"position must be the number of a token or 'mean', not {self.position!r}")

    @classmethod
    def examine(cls, model: Model) -> str:
        super().examine(model)
        specs = model.inputs.values() if isinstance(model.inputs, Mapping) else [model.inputs]
        if any(isinstance(s, Raw) for s in specs):
            return ""
        if not _known(model) and _possible(model):
            return f"needs layers=, such as {_possible(model)[0]!r}: which softmax is attention is not known"
        if _crossing(model):
            return f"needs layers=: {', '.join(_crossing(model))} attend from one sequence to another"
        return f"rolls out {len(attentions(model, None))} layers of attention, the same for every target"

    def __call__(self, task: Task) -> Map:
        layers = attentions(task.model, self.layers)
        rolled = np.concatenate(
            [self._rolled(task, layers, s) for s in chunks(len(task), max(1, task.model.batch_size))]
        )
        inputs = task.x if isinstance(task.x, Mapping) else {"": task.x}
        specs = task.spec if isinstance(task.spec, Mapping) else {"": task.spec}
        maps = {n: self._map(rolled, x, specs[n], task.model, layers) for n, x in inputs.items()}
        fitting = {n: m for n, m in maps.items() if m is not None}
        if not fitting:
            shapes = ", ".join(str(x.shape[1:]) for x in inputs.values())
            raise NotSupported(
                f"the {rolled.shape[-1]} tokens of {task.model.name} cannot be placed on an input of shape {shapes}; "
                "use occlusion, lime or kernel-shap"
            )
        notes = {"layers": [layer.name for layer in layers], "target": "the map does not depend on the target"}
        axes = {n: _axes(specs[n], m) for n, m in fitting.items()}
        one = not isinstance(task.x, Mapping)
        return Map(
            fitting[""] if one else fitting,
            axes=axes[""] if one else axes,  # type: ignore[arg-type]
            layer=layers[-1].name,
            notes=notes,
        )

    def _rolled(self, task: Task, layers: Sequence[Layer], s: slice) -> Array:
        """Multiply the layers' attention: (sample, target token, input token)."""
        names = [layer.name for layer in layers]
        found = task.run(rows(task.x, s), at=list(dict.fromkeys(names))).activations
        joined: Array | None = None
        for name in names:
            mixing = self._mixing(found[name])
            if joined is not None and joined.shape != mixing.shape:
                raise NotSupported(
                    f"{task.model.name} attends over {mixing.shape[-1]} tokens in {name!r} and over "
                    f"{joined.shape[-1]} before: name the layers of one sequence in layers="
                )
            joined = mixing if joined is None else mixing @ joined
        return np.asarray(joined)

    def _mixing(self, weights: Array) -> Array:
        """How a layer mixes its tokens: (sample, target, source), every row summing to one."""
        a = weights.astype(np.float64)
        if a.ndim == 4:
            a = HEADS[self.heads](a, axis=1)
        dropped = int(self.discard * a.shape[-1])
        if dropped:
            smallest = np.argsort(a, axis=-1, kind="stable")[..., :dropped]
            np.put_along_axis(a, smallest, 0.0, axis=-1)
        mixed = (1 - self.residual) * a + self.residual * np.eye(a.shape[-1])
        size = mixed.sum(-1, keepdims=True)  # zero at a padded step that attends to nothing
        return np.divide(mixed, size, out=np.zeros_like(mixed), where=size > 0)

    def _map(self, rolled: Array, x: Array, spec: InputSpec, model: Model, layers: Sequence[Layer]) -> Array | None:
        """Read one row and lay its tokens over an input; None where the tokens are not this input's."""
        tokens = rolled.shape[-1]
        if isinstance(spec, Image):
            return self._on_picture(rolled, spec, model, layers)
        places = x.shape[1] if x.ndim > 1 else 0
        own = tokens - places
        if not places or not 0 <= own <= EXTRA:
            return None
        there = x != spec.pad if isinstance(spec, Text) else np.ones((len(x), places), bool)
        return np.asarray(np.where(there, self._row(rolled, own, there)[:, own:], 0.0), np.float32)

    def _on_picture(self, rolled: Array, spec: Image, model: Model, layers: Sequence[Layer]) -> Array | None:
        grid = patch_grid(model, layers[0], rolled.shape[-1], spec)
        if grid is None:
            return None
        own = rolled.shape[-1] - grid[0] * grid[1]
        there = np.ones((len(rolled), grid[0] * grid[1]), bool)
        cells = self._row(rolled, own, there)[:, own:].reshape(-1, *grid).astype(np.float32)
        return upsample(cells, (spec.height, spec.width)) if self.upsample else cells

    def _row(self, rolled: Array, own: int, there: Array) -> Array:
        """Give the row that is read: (sample, token); the mean is over the input's tokens that are `there`."""
        position = self.position if self.position is not None else 0 if own else "mean"
        if isinstance(position, int):
            tokens = rolled.shape[-1]
            require(-tokens <= position < tokens, f"position {position} is outside the {tokens} tokens")
            return np.asarray(rolled[:, position])
        weight = there / np.maximum(there.sum(1, keepdims=True), 1)
        return np.einsum("st,stk->sk", weight, rolled[:, own:])


def attentions(model: Model, names: Any) -> list[Layer]:
    """Give the layers with the weights of attention of a sequence to itself. Raises NotSupported, UnknownName."""
    if names is not None:
        return [_named(model, n) for n in ([names] if isinstance(names, str) else names)]
    if _crossing(model):
        raise NotSupported(
            f"{model.name} attends from one sequence to another in {', '.join(_crossing(model))}: "
            "name the layers of one sequence in layers="
        )
    if not _known(model):
        possible = f"; if {_possible(model)[0]!r} gives them, name it in layers=" if _possible(model) else ""
        raise NotSupported(
            f"{model.name} has no layer of attention whose weights are known, which attention-rollout needs{possible}; "
            "use integrated-gradients, occlusion, lime or kernel-shap"
        )
    return _known(model)


def _known(model: Model) -> list[Layer]:
    return [layer for layer in model.layers.values() if layer.kind == "attention_weights"]


def _crossing(model: Model) -> list[str]:
    return [layer.name for layer in _known(model) if layer.shape[-1] != layer.shape[-2]]


def _possible(model: Model) -> list[str]:
    """Name the softmaxes over a square: attention that a network computes by itself."""
    return [n for n, layer in model.layers.items() if layer.kind == "softmax" and _is_square(layer)]


def _is_square(layer: Layer) -> bool:
    return len(layer.shape) in (2, 3) and layer.shape[-1] == layer.shape[-2]


def _named(model: Model, name: str) -> Layer:
    if name not in model.layers:
        raise UnknownName(f"attention of {model.name}", name, [layer.name for layer in _known(model)] or model.layers)
    layer = model.layers[name]
    if not _is_square(layer):
        raise NotSupported(
            f"layer {name!r} has shape {layer.shape}: attention weights are (head, token, token) or (token, token)"
        )
    return layer


def patch_grid(model: Model, before: Layer, tokens: int, spec: Image) -> tuple[int, int] | None:
    """Find the rows and columns of patches that the tokens of a picture came from.

    The last layer with height and width in front of the attention tells them; without one, a grid in the proportions
    of the picture, with or without a token of the network's own.
    """
    found = None
    for layer in model.layers.values():
        if layer.name == before.name:
            break
        sides = {a: n for a, n in zip(layer.axes[1:], layer.shape, strict=True) if a in ("height", "width") and n}
        if len(sides) == 2 and 0 <= tokens - sides["height"] * sides["width"] <= EXTRA:
            found = (sides["height"], sides["width"])
    for own in (0, 1) if found is None else ():
        high = round(np.sqrt((tokens - own) * spec.height / spec.width))
        if high and high * round((tokens - own) / high) == tokens - own:
            return high, (tokens - own) // high
    return found


def _axes(spec: InputSpec, values: Tensors) -> tuple[str, ...]:
    named = ("height", "width") if isinstance(spec, Image) else spec.axes[:1]
    return tuple(named) or ("token",)
