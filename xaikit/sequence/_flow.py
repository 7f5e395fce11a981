"""How large gradients are at every step of a recurrent layer."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors, length, rows
from xaikit.attribution import origin_of, prepare, require_wrapped
from xaikit.errors import NotSupported, with_article
from xaikit.inputs import At, Classes, Scores, resolve
from xaikit.inputs.targets import ScoreKind
from xaikit.model import Model
from xaikit.results import GradientFlow
from xaikit.sequence._layers import chosen, on_input, placed, present_of, tokens_of, ways


def gradient_flow(model: Model, x: Any, layer: str | None = None, target: Any = None) -> GradientFlow:
    """Give ‖∂L/∂h_t‖ and ‖∂L/∂x_t‖ at every step, as GradientFlow: (sample, time) each, and whether they vanish.

    L is the score of `target` (None: the predicted class; of outputs at every step the last one): the logit where a
    network has classes. The gradient at a state follows all later steps. `layer` is as in `hidden_states`.

    Raises what `hidden_states` raises, TargetError, and NotSupported for a model without gradients. Source: Bengio,
    Simard and Frasconi, "Learning Long-Term Dependencies with Gradient Descent is Difficult" (1994); Pascanu, Mikolov
    and Bengio (2013), section 2.
    """
    require_wrapped(model, "gradient_flow")
    if "pull" not in model.can:
        raise NotSupported(
            f"{model.name} is {with_article(model.framework)} model that can only run: it has no gradients"
        )
    start = time.perf_counter()
    encoded, display = prepare(model, x)
    output = model.run(encoded).output
    layer, gates = chosen(model, layer)
    scores = scores_at(model, target, encoded, output)
    states = {way: gates[next(n for n in names if n.endswith("h"))] for way, names in ways(gates).items()}
    found, seen = _pulled(model, encoded, scores, tuple(states.values()))
    steps = next(iter(found.values())).shape[1]
    aligned = on_input(model, layer, steps)
    present = present_of(model, encoded, length(encoded), steps, aligned)
    tokens = tokens_of(model, encoded, display) if aligned else None
    return GradientFlow(
        states={way: _sizes(found[name], seen[name], present) for way, name in states.items()},
        inputs=_of_inputs(model, encoded, scores, present) if aligned else None,
        layer=layer,
        tokens=tokens if tokens is None or len(tokens[0]) == steps else None,
        present=present,
        target=tuple(score.label for score in scores.each),
        origin=origin_of(
            model,
            encoded,
            "gradient-flow",
            parameters={"layer": layer, "target": target},
            seconds=time.perf_counter() - start,
            calls=(3 if aligned else 2) * length(encoded),
            score=scores.kind,
        ),
    )


def scores_at(model: Model, target: Any, x: Tensors, output: Tensors) -> Scores:
    """Turn a target into scores: logits of classes where they are known, the last step of outputs at every step."""
    kind: ScoreKind = "output"
    if isinstance(model.outputs, Classes):
        try:
            model.run(rows(x, slice(0, 1)), score="logit")
            kind = "logit"
        except NotSupported:
            pass
    return resolve(stepped(model, target, x, output), model.outputs, output, kind)


def stepped(model: Model, target: Any, x: Tensors, output: Tensors) -> Any:
    """Give targets their step where the output has steps and none is named: each sample's last that is no padding."""
    plain = target is None or isinstance(target, int | str) or (isinstance(target, At) and target.step is None)
    if isinstance(output, Mapping) or np.ndim(output) != 3 or not plain:
        return target
    steps = output.shape[1]
    last = present_of(model, x, len(output), steps, True)[:, ::-1].argmax(1)
    entry = target if isinstance(target, At) else At(index=target)
    return [replace(entry, step=int(steps - 1 - k)) for k in last]


def _pulled(
    model: Model, x: Tensors, scores: Scores, names: tuple[str, ...]
) -> tuple[Mapping[str, Array], Mapping[str, Array]]:
    """Give the gradient at each of the layers, and what they hold."""
    output = model.run(x, score=scores.kind).output
    seed = scores.seed(output, x)
    gradients: dict[str, Array] = {}
    values: dict[str, Array] = {}
    for name in names:  # one by one: a gradient to several begins at the first of them
        pulled = model.pull(x, seed, wrt=name, score=scores.kind)
        gradients[name], values[name] = np.asarray(pulled.gradient), np.asarray(pulled.source)
    return gradients, values


def _sizes(gradient: Array, values: Array, present: Array) -> Array:
    """Give the length of the gradient at every step of the input, NaN at padded ones: (sample, time)."""
    moved = placed([np.concatenate([values, gradient], -1)], present)[0][..., values.shape[-1] :]
    sizes = np.linalg.norm(moved.astype(np.float64), axis=-1)
    return np.where(present, sizes, np.nan)


def _of_inputs(model: Model, x: Tensors, scores: Scores, present: Array) -> Array | None:
    """Give the length of the gradient at the input, or at what embeds it; None where neither has these steps."""
    wrt = None
    if not np.issubdtype(np.asarray(x).dtype, np.floating):
        wrt = next((n for n, la in model.layers.items() if la.kind == "embedding"), None)
        if wrt is None:
            return None
    seed = scores.seed(model.run(x, score=scores.kind).output, x)
    gradient = np.asarray(model.pull(x, seed, wrt=wrt, score=scores.kind).gradient)
    if gradient.ndim != 3 or gradient.shape[:2] != present.shape:
        return None
    return np.where(present, np.linalg.norm(gradient.astype(np.float64), axis=-1), np.nan)
