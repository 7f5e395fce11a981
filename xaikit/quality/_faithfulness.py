"""Faithfulness: does the score follow what an explanation calls important, and more than it follows a random map?"""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaikit.arrays import Array, each, leaves, rows, upsample
from xaikit.attribution import Task, methods
from xaikit.attribution._method import require
from xaikit.attribution.lime import own_means
from xaikit.errors import Cancelled, NotSupported, ParameterError
from xaikit.model import Model
from xaikit.perturb.evaluate import Answers, ask
from xaikit.perturb.maskers import Masker, maskers
from xaikit.perturb.segments import Parts, cut, has_layout, renumbered
from xaikit.progress import Progress, bar
from xaikit.quality._agreement import each_input
from xaikit.quality._asking import again, first, question, recorded, same_network
from xaikit.results import Attribution, Attributions, Faithfulness, by_column, judge

SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)
"""The shares of the strongest parts that comprehensiveness and sufficiency look at."""
CHEAP = 500
"""A method that asks the model no more often than this is asked again for its sensitivity by default."""
JUDGED = ("deletion", "insertion", "advantage", "ranked_parts")
"""What the verdict heeds."""
CONTRIBUTIONS = frozenset(
    {
        "lime",
        "kernel-shap",
        "partition-shap",
        "permutation-shap",
        "exact-shapley",
        "gradient-shap",
        "deep-shap",
        "gradient-x-input",
        "integrated-gradients",
        "sequential-integrated-gradients",
        "temporal-integrated-gradients",
        "deep-lift",
        "lrp",
    }
)
"""Methods whose values are parts of the score; those of the others are gradients, or have no unit."""


def faithfulness(
    model: Model,
    e: Attribution | Attributions,
    seed: int = 0,
    *,
    steps: int = 20,
    random_maps: int = 10,
    baseline: Any = None,
    score: str | None = None,
    shares: Sequence[float] = SHARES,
    perturbations: int | None = None,
    radius: float = 0.02,
    progress: Progress | bool | None = None,
) -> Faithfulness:
    """Measure how an explanation's order of importance holds, beside random orders, and give a Faithfulness.

    Parts are hidden one after the other, the most important first (deletion), or shown (insertion), in about `steps`
    steps: the parts of the method (superpixels, segments, columns, tokens), or where it has a value at every place, the
    pixels over all channels, the steps of a series channel by channel, the entries of an array. `random_maps` is even:
    each random order comes with its reverse, so that their gain (insertion minus deletion) is 0 on average. A gradient
    ranks by what it says that hiding does, gradient · (x - baseline); equal values are ranked at random. `baseline` is
    what stands in place of hidden parts (None: what the method itself used), `score` the form of the output (None: the
    one that was explained). For a reconstruction error, deletion takes away what raises the error.

    Comprehensiveness and sufficiency are means over the `shares` of the strongest parts. Infidelity takes the random
    coalitions as perturbations; a map without a unit of the score, as of Grad-CAM, is scaled to fit best.
    `perturbations` (None: 5 for methods of at most 500 calls, else none) samples within `radius` times the sample's
    range, each place apart, are explained again for the max-sensitivity; NaN without any, and for integers.

    Sources: Petsiuk, Das and Saenko, "RISE" (2018), section 4.2; DeYoung et al., "ERASER" (2020), section 4.2; Yeh et
    al., "On the (In)fidelity and Sensitivity of Explanations" (2019), definitions 2.1 and 3.1. Raises UsageError for an
    explanation of another network, ParameterError, NotSupported.
    """
    _check(steps, random_maps, shares, perturbations, radius)
    start = time.perf_counter()
    with bar(progress, "faithfulness") as shown:
        task = dataclasses.replace(question(model, e, score=score, seed=seed, progress=shown), accelerate="auto")
        same_network(task, e)
        ranked = [_parts(task, e, i) for i in range(len(task))]
        hiding, used = _maskers(task, e, [p for p, _ in ranked], baseline)
        values = [_predicted(task, e, i, v, hiding[i]) for i, (_, v) in enumerate(ranked)]
        plans = [_plan(v, steps, random_maps, shares, np.random.default_rng(seed)) for v in values]
        answers = ask(task, hiding, [p.coalitions for p in plans])
        if not all(a.known.all() for a in answers):
            task.check_time()
            raise Cancelled("stopped before all curves were measured")
    fitted = score not in (None, first(e).origin.score) or not (_per_unit(e) or _of_the_score(e))
    found = [_measured(p, v, a, fitted) for p, v, a in zip(plans, values, answers, strict=True)]
    count = _count(e, perturbations)
    sensitivity = max_sensitivity(task, e, count, radius, seed)
    return _result(
        task,
        e,
        found,
        sensitivity,
        {
            "steps": steps,
            "random_maps": random_maps,
            "baseline": used,
            "shares": tuple(shares),
            "perturbations": count,
            "radius": radius,
        },
        start,
    )


def _check(steps: int, random_maps: int, shares: Sequence[float], perturbations: int | None, radius: float) -> None:
    require(steps >= 2, f"steps must be at least 2, not {steps}")
    require(random_maps >= 2 and random_maps % 2 == 0, f"random_maps must be even and at least 2, not {random_maps}")
    require(len(shares) > 0 and all(0 < q <= 1 for q in shares), f"shares lie in 0..1, not {shares!r}")
    require(perturbations is None or perturbations >= 0, f"perturbations must not be negative, not {perturbations}")
    require(radius > 0, f"radius must be positive, not {radius}")


# ---------------------------------------------------------------- parts and what the map says of them


def _parts(task: Task, e: Attribution | Attributions, i: int) -> tuple[Parts, Array]:
    """Give the parts of sample `i` over all inputs, and the map's value of each: (part,)."""
    inputs = each_input(e)
    labels, values = {}, []
    laid = _laid_out(task, e)
    for name, x in leaves(task.x):
        if laid and name in laid[i].layouts:
            labels[name] = laid[i].labels[name]
            values.append(np.asarray(inputs[name].values[i], np.float64).ravel())
        elif name in inputs:
            labels[name], own = _of_input(inputs[name], i)
            values.append(own)
        else:
            labels[name] = np.full(x.shape[1:2], -1, np.int32)
    return Parts(labels, laid[i].layouts if laid else {}), np.concatenate(values)


def _laid_out(task: Task, e: Attribution | Attributions) -> list[Parts]:
    """Give the channels or bands that a method had as parts, which no label map in the input's own axes tells."""
    asked = first(e).origin.parameters.get("segments")
    if all(a.axes[1:] == ("channel",) and a.input_spec.kind == "Series" for a in each_input(e).values()):
        asked = "channels"
    return cut(task, asked) if has_layout(asked) else []


def _of_input(e: Attribution, i: int) -> tuple[Array, Array]:
    spec, x = e.input_spec, np.asarray(e.x[i])
    if spec.kind == "Table":
        return spec.parts.astype(np.int32), by_column(e, i)
    if e.parts is not None and e.part_values is not None:
        labels = np.asarray(e.parts[i])
        return labels, np.asarray(e.part_values[i], np.float64)[: labels.max() + 1]
    places = _places(e, i, x)
    labels = np.arange(places.size, dtype=np.int32).reshape(places.shape)
    if spec.kind == "Text":
        words = x != spec.pad
        labels = renumbered(np.where(words if words.any() else ~words, labels, -1))
    return labels, places[labels >= 0].ravel()


def _places(e: Attribution, i: int, x: Array) -> Array:
    """Give one value for every place of an input: colours of a picture summed, a coarser map interpolated."""
    values, axes, spec = np.asarray(e.values[i], np.float64), e.axes[1:], e.input_spec
    if "channel" in axes and len(axes) > 1 and spec.kind != "Series":
        values = values.sum(axes.index("channel"))
        axes = tuple(a for a in axes if a != "channel")
    named = tuple(n for axis, n in zip(spec.axes, x.shape, strict=False) if axis in axes)
    shape = named if len(named) == values.ndim else x.shape[: values.ndim]
    if spec.kind == "Raw" and values.ndim < x.ndim:
        raise NotSupported(
            f"where the places of the map {values.shape} lie in an input {x.shape} is not known: "
            "wrap the model with inputs=xk.Image(...) or xk.Series(...)"
        )
    return values if values.shape == shape else upsample(values[None], shape)[0]


def _per_unit(e: Attribution | Attributions) -> bool:
    """Whether the values are a gradient at every number of the input: score per unit of input."""
    own = each_input(e).values()
    numbers = all(a.values.shape == a.x.shape and a.x.dtype.kind == "f" for a in own)
    return methods[first(e).origin.method].tokens == "norm" and numbers


def _of_the_score(e: Attribution | Attributions) -> bool:
    return first(e).origin.method in CONTRIBUTIONS


def _predicted(task: Task, e: Attribution | Attributions, i: int, values: Array, masker: Masker) -> Array:
    """Give what the map says that each part adds to the score: (part,)."""
    if not _per_unit(e):
        return values
    found = np.zeros(masker.parts.count + 1)
    for name, a in each_input(e).items():
        change = np.asarray(masker.x[name], np.float64) - np.asarray(masker.hidden[name], np.float64).mean(0)
        said = (np.asarray(a.values[i], np.float64) * change).ravel()
        found += np.bincount(masker.places[name], said, minlength=len(found))
    return found[:-1]


def _maskers(task: Task, e: Attribution | Attributions, parts: list[Parts], asked: Any) -> tuple[list[Masker], Any]:
    """Give the maskers with the baseline asked for, or the method's own; where that hides nothing, the input's."""
    if asked is not None:
        return maskers(task, parts, asked), asked
    origin = first(e).origin
    own = origin.parameters.get("baseline")
    own = own_means(own, task.spec) if origin.method == "lime" else own
    try:
        return maskers(task, parts, own), own
    except ParameterError:
        if own is None:
            raise
        return maskers(task, parts, None), None


# ---------------------------------------------------------------- coalitions along orders


@dataclass(frozen=True, eq=False)
class Orders:
    """Coalitions along orders of the parts, made when they are asked for.

    `ranks` (order, part) is each part's place in the order; `rows` (coalition, 3) the order, how many parts come first,
    and 1 where these are shown, 0 where they are hidden.
    """

    ranks: Array
    rows: Array

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, s: slice, /) -> Array:
        order, count, shows = self.rows[s].T
        return np.asarray((self.ranks[order] < count[:, None]) == (shows[:, None] == 1))


@dataclass(frozen=True, eq=False)
class _Plan:
    """What is asked of one sample: the points of the curves, orders (own first, then random), shares in parts."""

    points: Array
    orders: int
    sizes: Array
    coalitions: Orders

    def curves(self, scores: Array) -> Array:
        """Give the curves: (order, deletion and insertion, point)."""
        return scores[: self.orders * 2 * len(self.points)].reshape(self.orders, 2, len(self.points))


def _plan(values: Array, steps: int, random_maps: int, shares: Sequence[float], rng: np.random.Generator) -> _Plan:
    n = len(values)
    half = np.floor(np.linspace(0, n / 2, steps // 2 + 1)).astype(int)
    points = np.unique(np.concatenate([half, n - half]))  # symmetric, so that a reverse order meets the same coalitions
    own = np.lexsort((rng.permutation(n), -np.nan_to_num(values)))
    orders = [own, *(rng.permutation(n) for _ in range(random_maps // 2))]
    ranks = np.argsort(orders, axis=1).astype(np.int32)
    sizes = np.maximum(1, np.rint(np.asarray(shares) * n).astype(int))
    rows = [(k, p, shows) for k in range(len(orders)) for shows in (0, 1) for p in points]
    rows += [(0, p, shows) for shows in (0, 1) for p in sizes]
    return _Plan(points, len(orders), sizes, Orders(ranks, np.array(rows, np.int32)))


# ---------------------------------------------------------------- numbers


def _measured(plan: _Plan, values: Array, answers: Answers, fitted: bool) -> dict[str, Any]:
    """Turn the answers for one sample into its curves and numbers."""
    scores = np.where(answers.known, answers.values, np.nan)
    curves = plan.curves(scores)
    deletion, insertion = curves[1:, 0], curves[1:, 1]
    without, alone = scores[plan.orders * 2 * len(plan.points) :].reshape(2, -1)
    full = curves[0, 0, 0]
    infidelity, scale = _infidelity(plan, values, scores, fitted)
    return {
        "shares": plan.points / max(plan.points[-1], 1),
        "deletion_curves": curves[0, 0],
        "insertion_curves": curves[0, 1],
        "random_deletion_curves": np.concatenate([deletion, insertion[:, ::-1]]),
        "random_insertion_curves": np.concatenate([insertion, deletion[:, ::-1]]),
        "comprehensiveness": (full - without).mean(),
        "sufficiency": (full - alone).mean(),
        "infidelity": infidelity,
        "infidelity_relative": infidelity / scale if scale > 0 else np.nan,
        "parts": len(values),
    }


def _infidelity(plan: _Plan, values: Array, scores: Array, fitted: bool) -> tuple[float, float]:
    """Give E (said - f(x) + f(hidden))² over the random coalitions, and E (f(x) - f(hidden))².

    `said` is the sum of the hidden parts' values, times the factor that fits best where `fitted`.
    """
    width = 2 * len(plan.points)
    chosen = slice(width, plan.orders * width)
    shown = plan.coalitions[chosen]
    said = (~shown) @ values
    change = scores[0] - scores[chosen]
    if fitted:
        size = float(said @ said)
        said = said * (float(said @ change) / size if size else 0.0)
    return float(np.mean((said - change) ** 2)), float(np.mean(change**2))


def _count(e: Attribution | Attributions, asked: int | None) -> int:
    one = first(e)
    integers = all(np.issubdtype(np.asarray(a.x).dtype, np.integer) for a in each_input(e).values())
    if integers:
        return 0
    return asked if asked is not None else 5 if one.origin.model_calls <= CHEAP * len(one) else 0


def max_sensitivity(task: Task, e: Attribution | Attributions, count: int, radius: float, seed: int) -> Array:
    """Give the largest ‖Φ(x + r) - Φ(x)‖ / ‖Φ(x)‖ over `count` perturbations r of each sample: (sample,).

    r is even in ±`radius` times the sample's range (max - min), each number apart; integers stay. NaN for count 0 and
    maps of zeros. Source: Yeh et al. (2019), definition 3.1.
    """
    rng = np.random.default_rng(seed)
    noise = each(lambda a: rng.uniform(-1, 1, (count, *a.shape[1:])), task.x)
    found = np.zeros((count, len(task)))
    before = _flat(e)
    size = np.linalg.norm(before, axis=1)
    for k in range(count):
        moved = again(task, e, x=each(lambda a, n: _moved(a, n, radius), task.x, rows(noise, k)))
        found[k] = np.linalg.norm(_flat(moved) - before, axis=1)
    worst = found.max(0, initial=0.0)
    return np.divide(worst, size, out=np.full(len(task), np.nan), where=(size > 0) & (count > 0))


def _moved(x: Array, noise: Array, radius: float) -> Array:
    if x.dtype.kind in "iu":
        return x
    span = (x.reshape(len(x), -1).max(1) - x.reshape(len(x), -1).min(1)).reshape(-1, *(1,) * (x.ndim - 1))
    return (x + radius * span * noise).astype(x.dtype)


def _flat(e: Attribution | Attributions) -> Array:
    own = [np.asarray(a.values, np.float64) for a in each_input(e).values()]
    return np.concatenate([a.reshape(len(a), -1) for a in own], axis=1)


def _result(
    task: Task,
    e: Attribution | Attributions,
    found: list[dict[str, Any]],
    sensitivity: Array,
    parameters: Mapping[str, Any],
    start: float,
) -> Faithfulness:
    one = first(e)
    origin = recorded(task, "faithfulness", start, parameters)
    fields = {name: _stacked([f[name] for f in found]) for name in found[0]}
    made = Faithfulness(
        **fields,
        max_sensitivity=sensitivity,
        target_labels=one.target_labels,
        explained=one.origin,
        status=judge({}, np.zeros((0, 1))),
        origin=origin,
    )
    return dataclasses.replace(made, status=judge({n: made.quality[n] for n in JUDGED}, made.deletion_curves[:, :0]))


def _stacked(numbers: list[Any]) -> Array:
    """Stack what samples have; curves with fewer points are filled with NaN."""
    if np.ndim(numbers[0]) == 0:
        return np.array(numbers)
    longest = max(n.shape[-1] for n in numbers)
    pads = [[(0, 0)] * (n.ndim - 1) + [(0, longest - n.shape[-1])] for n in numbers]
    return np.stack([np.pad(n, p, constant_values=np.nan) for n, p in zip(numbers, pads, strict=True)])
