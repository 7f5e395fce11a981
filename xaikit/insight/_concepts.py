"""Concepts: does a class depend on what people call striped, red, or loud? Directions in a layer, tested (TCAV)."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors, chunks, length, rows
from xaikit.attribution import Task, origin_of, prepare, require, require_wrapped
from xaikit.attribution._cam import choose_layer
from xaikit.errors import InputError, NotSupported, UnknownName, with_article
from xaikit.graph import Layer
from xaikit.inputs import Classes, resolve
from xaikit.model import Model
from xaikit.progress import Progress, bar
from xaikit.results import Concepts, Status

LEAST = 6
"""The fewest samples of a set: two thirds fit a plane, the rest try it. A set is half of what there is."""
CONTROLS = 5
"""How many runs with random sets in the place of a concept there are for one run of a concept."""
RIDGE = 0.01
"""How strongly the planes are shrunk, relative to the mean squared length of a sample."""
TOLD_APART = 0.6
"""The accuracy on samples held out under which a concept is not in the layer; guessing has 0.5."""


def concepts(
    model: Model,
    X: Any,
    concepts: Mapping[str, Any],
    random: Any,
    layer: str | None = None,
    target: Any = None,
    *,
    runs: int = 10,
    level: float = 0.95,
    seed: int = 0,
    progress: Progress | bool | None = None,
) -> Concepts:
    """Give how the score of the samples `X` depends on concepts that people name, as Concepts (TCAV).

    `concepts` maps a name to samples that show it, `random` is a pool of samples that show nothing in particular; all
    as xk.explain takes them, twelve of each at least. In each of `runs` runs a linear classifier tells half of a
    concept's samples from a random set by the values of `layer` (None: the last with channels over places, as Grad-CAM
    takes); the concept's direction v is the normal of its plane. The score is the share of `X` whose
    d score / d layer · v is positive. `X` are samples of the class that `target` names (None: the class predicted for
    each), and what is explained is the logit where there are classes.

    In place of a concept another random set is put, five times as often; a two-sided t-test (Welch) of the two means,
    corrected for the samples that runs share (Nadeau and Bengio 2003), times the number of concepts (Bonferroni), gives
    `p_values`. A larger pool makes it sharper. All sets have half the size of the smallest one given, drawn anew in
    every run from `seed`; a third is held out to give the accuracies. The classifier is ridge regression on ±1.

    Scores are (concept,), a share in 0..1.
    Raises ParameterError for sets or pools that are too small, UnknownName for a layer, NotSupported for a model
    without gradients. Source: Kim et al., "Interpretability Beyond Feature Attribution: Quantitative Testing with
    Concept Activation Vectors" (2018), sections 3.2 to 3.4.
    """
    require_wrapped(model, "concepts")
    if "pull" not in model.can:
        raise NotSupported(f"{with_article(model.framework)} model has no gradients, which concepts need: {model.name}")
    require(runs >= 2, f"runs must be at least 2, not {runs!r}")
    require(0 < level < 1, f"level must lie between 0 and 1, not {level!r}")
    if not isinstance(concepts, Mapping) or not concepts:
        raise InputError("concepts maps the name of every concept to its samples: {'striped': [...]}")
    start = time.perf_counter()
    x, display = prepare(model, X)
    prediction = model.run(x).output
    looked = _layer(model, layer)
    task = Task(model, x, model.inputs, display, _scores(model, target, prediction), prediction, seed)
    with bar(progress, "concepts") as shown:
        stages = len(concepts) + 2
        points = {}
        for k, (name, samples) in enumerate({**concepts, "": random}.items()):
            points[name] = _points(task, looked, prepare(model, samples)[0])
            shown(k + 1, stages)
        planes = _planes(points, runs, seed)
        slopes = _slopes(task, looked, np.concatenate([p.normals for p in planes.values()]))
        shown(stages, stages)
    return _result(task, looked, planes, slopes, level, time.perf_counter() - start)


def _layer(model: Model, name: str | None) -> Layer:
    if name is None:
        return choose_layer(model, None)
    if name not in model.layers:
        raise UnknownName(f"layer of {model.name}", name, model.layers)
    return model.layers[name]


def _scores(model: Model, target: Any, prediction: Tensors) -> Any:
    specs = model.outputs.values() if isinstance(model.outputs, Mapping) else [model.outputs]
    return resolve(
        target, model.outputs, prediction, "logit" if any(isinstance(s, Classes) for s in specs) else "output"
    )


def _points(task: Task, layer: Layer, x: Tensors) -> Array:
    """Give the values of the layer for samples as points: (sample, feature)."""
    parts = [task.run(rows(x, s), at=[layer.name]).activations[layer.name] for s in chunks(length(x), _step(task))]
    return np.concatenate([p.reshape(len(p), -1) for p in parts])


def _step(task: Task) -> int:
    return max(1, min(task.model.batch_size, 64))


@dataclass(frozen=True, eq=False)
class _Planes:
    """The unit normals (run, feature) of the planes between a concept and random sets, and how well they do (run,).

    `shared` is the share of samples that two runs have in common, on average over both sets.
    """

    normals: Array
    accuracies: Array
    shared: float


def _planes(points: Mapping[str, Array], runs: int, seed: int) -> dict[str, _Planes]:
    """Fit the planes of every concept, and under the name "" those of random sets in the place of a concept."""
    pool = points[""]
    size = min(len(p) for p in points.values()) // 2
    small = min(points, key=lambda n: len(points[n]))
    what = f"the concept {small!r} has {len(points[small])}" if small else f"the random pool has {len(pool)}"
    require(size >= LEAST, f"a concept and the random pool need {2 * LEAST} samples; {what}")
    found = {}
    for name, own in points.items():
        rng = np.random.default_rng(seed)  # anew: a concept's numbers do not hang on which others are tested
        count = runs if name else CONTROLS * runs
        fits = [_fit(*_drawn(own, pool, name == "", size, rng)) for _ in range(count)]
        shared = size * (1 / len(own) + 1 / len(pool)) / 2
        found[name] = _Planes(np.stack([n for n, _ in fits], dtype=np.float32), np.array([a for _, a in fits]), shared)
    return found


def _drawn(own: Array, pool: Array, control: bool, size: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draw two sets without a common sample: of the concept, or for the control of the pool, and of the pool.

    A set is half of the samples at most: with the same samples in every run the runs of a concept would be far more
    alike than those of the control.
    """
    order = rng.permutation(len(pool))
    others = pool[order[:size]]
    return (pool[order[size : 2 * size]] if control else own[rng.permutation(len(own))[:size]]), others


def _fit(inside: Array, outside: Array) -> tuple[Array, float]:
    """Give the unit normal of the plane between two sets, towards the first, and its accuracy on what is held out.

    Ridge regression on ±1 in its dual form, since there are far fewer samples than features.
    """
    kept = -(-2 * len(inside) // 3)
    a = np.concatenate([inside[:kept], outside[:kept]]).astype(np.float64)
    centre = (a[:kept].mean(0) + a[kept:].mean(0)) / 2
    a = a - centre
    sides = np.repeat([1.0, -1.0], kept)
    products = a @ a.T
    shrink = RIDGE * max(float(np.trace(products)) / len(a), np.finfo(float).tiny)
    normal = a.T @ np.linalg.solve(products + shrink * np.eye(len(a)), sides)
    size = np.linalg.norm(normal)
    if size == 0:  # both sets are one point: any direction does as well as none
        return normal, 0.5
    normal = normal / size
    right = [(inside[kept:] - centre) @ normal > 0, (outside[kept:] - centre) @ normal < 0]
    return normal, float(np.concatenate(right).mean())


def _slopes(task: Task, layer: Layer, normals: Array) -> Array:
    """Give d score / d layer · v for every direction and sample: (direction, sample)."""
    found = []
    for s in chunks(len(task), _step(task)):
        gradient = np.asarray(task.pull(rows(task.x, s), np.arange(s.start, s.stop), wrt=layer.name).gradient)
        found.append(normals @ gradient.reshape(s.stop - s.start, -1).T)
    return np.concatenate(found, axis=1)


def _result(
    task: Task, layer: Layer, planes: Mapping[str, _Planes], slopes: Array, level: float, seconds: float
) -> Concepts:
    names = [n for n in planes if n]
    ends = np.cumsum([len(p.normals) for p in planes.values()])[:-1]
    own = dict(zip(planes, np.split(slopes, ends), strict=True))
    shares = {n: (s > 0).mean(1) for n, s in own.items()}
    runs = np.stack([shares[n] for n in names])
    accuracies = np.stack([planes[n].accuracies for n in names])
    vectors = np.stack([planes[n].normals.mean(0) for n in names])
    raw = [_p_value(r, planes[n].shared, shares[""], planes[""].shared) for n, r in zip(names, runs, strict=True)]
    shape = tuple(int(n or 0) for n in layer.shape)
    whole = int(np.prod(shape)) == vectors.shape[1]
    return Concepts(
        concepts=tuple(names),
        scores=runs.mean(1),
        runs=runs,
        accuracies=accuracies,
        p_values=np.minimum(1.0, len(names) * np.array(raw)),
        random_runs=shares[""],
        random_accuracies=planes[""].accuracies,
        sensitivities=np.stack([own[n].mean(0) for n in names]),
        vectors=vectors.reshape(-1, *shape) if whole else vectors,
        layer=layer.name,
        axes=layer.axes[1:] if whole else ("feature",),
        level=level,
        target=tuple(s.target for s in task.scores.each),
        target_labels=tuple(s.label for s in task.scores.each),
        status=_status(names, accuracies, slopes),
        origin=origin_of(
            task.model,
            task.x,
            "concepts",
            parameters={"layer": layer.name, "runs": runs.shape[1], "level": level, "concepts": tuple(names)},
            seconds=seconds,
            calls=task.calls["model_calls"] + len(task),
            score=task.scores.kind,
            seed=task.seed,
        ),
    )


def _p_value(runs: Array, shared: float, control: Array, control_shared: float) -> float:
    """Two-sided t-test of two means (Welch), whose runs share samples.

    Runs that share ρ of their samples correlate by about ρ: the variance of their mean is s² (1/n + ρ / (1 - ρ))
    instead of s²/n (Nadeau and Bengio 2003, "Inference for the Generalization Error", section 3).
    """
    from scipy.stats import t

    difference = float(runs.mean() - control.mean())
    a, b = (
        float(of.var(ddof=1)) * (1 / len(of) + rho / (1 - rho))
        for of, rho in ((runs, shared), (control, control_shared))
    )
    if a + b == 0:
        return float(difference == 0)
    freedom = (a + b) ** 2 / (a**2 / (len(runs) - 1) + b**2 / (len(control) - 1))
    return float(2 * t.sf(abs(difference) / np.sqrt(a + b), freedom))


def _status(names: Sequence[str], accuracies: Array, slopes: Array) -> Status:
    if not np.isfinite(slopes).all():
        return Status("fail", ("the gradients hold values that are not finite",))
    if not slopes.any():
        return Status("warn", ("the score does not react to the layer: all gradients are zero",))
    unseen = [
        f"{n} is told from random samples in {a:.0%} only: it is hardly in this layer"
        for n, a in zip(names, accuracies.mean(1), strict=True)
        if a < TOLD_APART
    ]
    return Status("warn" if unseen else "ok", tuple(unseen))
