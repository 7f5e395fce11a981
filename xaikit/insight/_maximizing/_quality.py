"""How far to trust an optimum: beside real samples, under changes not trained on, and in other networks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors
from xaikit.errors import ParameterError
from xaikit.inputs import Classes
from xaikit.insight._maximizing._ascent import Fed, asked, changed
from xaikit.insight._maximizing._canvas import Canvas
from xaikit.insight._maximizing._objectives import Objective
from xaikit.insight._maximizing._transforms import Transformations
from xaikit.model import Model
from xaikit.results import Status

HELD_OUT = 32
"""Random changes that the ascent has not seen, under which robustness is measured."""
FRAGILE = 0.3
"""The robustness under which there is a warning."""


def numbers(model: Model, objective: Objective, x: Tensors, which: Array) -> Array:
    """Give the objective of inputs as they are: (row,)."""
    return objective.values(asked(model, objective, x), which)


def robustness(
    model: Model,
    canvas: Canvas,
    objective: Objective,
    which: Array,
    u: Array,
    plain: Array,
    transformations: Transformations,
    feed: Fed,
    seed: int,
) -> Array:
    """Give the mean objective under held-out changes over that of the pictures as they are: (row,)."""
    rng = np.random.default_rng([seed, 2])
    total = np.zeros(len(u))
    for _ in range(HELD_OUT):
        view = transformations.draw(canvas.places, rng)
        total += numbers(model, objective, feed(canvas.inputs(changed(canvas, u, view))), which)
    return share(total / HELD_OUT, plain)


def share(a: Array, b: Array) -> Array:
    """Give a/b where b is positive, NaN where not."""
    return np.divide(a, b, out=np.full(len(a), np.nan), where=b > 0)


def beside(activation: Array, samples: Array) -> dict[str, Array]:
    """Compare (row,) with what real samples have, (sample, row)."""
    best = samples.max(0)
    return {
        "best": best,
        "activation_ratio": share(activation, best),
        "percentile": 100.0 * (samples < activation).mean(0),
    }


def recognised(model: Model, x: Tensors, classes: Sequence[int]) -> tuple[Array, Array]:
    """Give whether a network's first answer is the class of every row, and its probability of it."""
    p = model.outputs.probabilities(model.run(x).output)
    own = p[np.arange(len(p)), list(classes)]
    return (p.argmax(-1) == np.asarray(classes)).astype(np.float64), own


def transferred(judges: Sequence[Model], display: Array, labels: Sequence[str]) -> dict[str, Array]:
    """Ask other networks for the classes of these names, of pictures in display units: (row, judge) each."""
    top, probability = [], []
    for judge in judges:
        if not isinstance(judge.outputs, Classes):
            raise ParameterError(f"a judge has classes as its output; {judge.name} has {type(judge.outputs).__name__}")
        found = recognised(judge, judge.inputs.encode(display), [judge.outputs.index(name) for name in labels])
        top.append(found[0])
        probability.append(found[1])
    return {"transfer_top1": np.stack(top, 1), "transfer_probability": np.stack(probability, 1)}


def reproduced(pictures: Array, background: Array) -> Array:
    """Give the mean cosine between the pictures (seed, row, *places, channel) of different seeds: (row,)."""
    off = (pictures - background).reshape(*pictures.shape[:2], -1).astype(np.float64)
    off /= np.maximum(np.linalg.norm(off, axis=-1, keepdims=True), 1e-12)
    count = len(off)
    whole = np.square(off.sum(0)).sum(-1) - np.square(off).sum((0, 2))
    return whole / (count * (count - 1))


def judged(quality: Mapping[str, Array], row: int) -> Status:
    """Judge one row in words."""
    has: Callable[[str], Any] = lambda name: quality[name][row] if name in quality else None  # noqa: E731
    fails, warns = [], []
    if has("silent"):
        rate = has("data_rate")
        seen = "" if rate is None else f"; it is above zero in {100 * rate:.3g} % of the samples"
        fails.append(f"dead: the gradient was zero at every step{seen}")
    elif not np.isfinite(has("activation")):
        fails.append("the activation is not finite")
    elif has("best") is None:
        warns.append("no samples were given (like=), so it is not known whether this excites more than real inputs do")
    elif has("activation") < has("best"):
        ratio = has("activation_ratio")
        said = f"{ratio:.2f} times" if np.isfinite(ratio) else "less than"
        fails.append(f"failed: the activation is {said} that of the best sample")
    if has("top1") == 0:
        warns.append("the network itself does not take it for the class")
    if has("robustness") is not None and has("robustness") < FRAGILE and not fails:
        warns.append(f"of its activation {100 * max(has('robustness'), 0):.0f} % is left after small changes in place")
    return Status("fail" if fails else "warn" if warns else "ok", (*fails, *warns))
