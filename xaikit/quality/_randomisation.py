"""Randomisation: an explanation of a network must change when the network forgets what it learnt."""

import time
from collections.abc import Mapping

import numpy as np

from xaikit.arrays import Array
from xaikit.attribution._method import require
from xaikit.errors import NotSupported
from xaikit.model import Model
from xaikit.progress import Progress, bar
from xaikit.quality._agreement import each_input, paired, structural_similarity
from xaikit.quality._asking import again, first, no_numbers, question, recorded
from xaikit.quality._stability import between
from xaikit.results import Attribution, Attributions, Randomisation, judge


def randomisation(
    model: Model,
    e: Attribution | Attributions,
    *,
    seed: int = 0,
    depths: int | None = None,
    progress: Progress | bool | None = None,
) -> Randomisation:
    """Give a network's layers new weights from the output down, explain again at each depth, and compare the maps.

    Kernels are drawn from a normal distribution of their own mean and spread, vectors (biases, batch-norm statistics)
    are shuffled, so that a layer still gives numbers of its size. `depths` bounds the explanations: that many depths,
    evenly spread, the last with all layers new (None: every layer with weights). The same target and parameters are
    explained. Source: Adebayo et al., "Sanity Checks for Saliency Maps" (2018), section 3, cascading randomisation.

    Raises NotSupported for models whose weights cannot be replaced, and UsageError.
    """
    require(depths is None or depths >= 1, f"depths must be at least 1, not {depths}")
    start, one = time.perf_counter(), first(e)
    task = question(model, e)
    named = _weights(model)
    if not named:
        raise NotSupported(f"{model.name} has no layer with weights to randomise")
    layers = list(named)[::-1]
    places = _depths(len(layers), depths)
    rng = np.random.default_rng(seed)
    new: dict[str, Array] = {}
    rank, absolute, ssim = [], [], []
    with bar(progress, "randomisation") as shown:
        for depth, layer in enumerate(layers):
            new |= {f"{layer}/{name}": renewed(a, rng) for name, a in named[layer].items()}
            if depth not in places:
                continue
            other = model.with_weights(new)
            found = again(task, e, model=other)
            rank.append(between(e, found))
            absolute.append(between(e, found, absolute=True))
            ssim.append(_ssim(e, found))
            both = list(each_input(e).values()), list(each_input(found).values())
            shown(len(rank), len(places))
    made_from = recorded(task, "randomisation", start, {"depths": depths}, seed=seed)
    counts = np.array([len(paired(*both, i)[0]) for i in range(len(one))])
    status = judge({"randomised_similarity": rank[-1], "ranked_parts": counts}, no_numbers(e))
    return Randomisation(
        tuple(layers[d] for d in sorted(places)),
        np.stack(rank),
        np.stack(absolute),
        np.stack(ssim),
        one.target_labels,
        one.origin,
        status,
        made_from,
    )


def _weights(model: Model) -> dict[str, Mapping[str, Array]]:
    """Give the weights of every layer that has some, in call order; weights that two layers share once."""
    found = {layer: model.weights(layer) for layer in model.layers if ":" not in layer}
    return {layer: {n: a for n, a in w.items() if a.dtype.kind == "f"} for layer, w in found.items() if w}


def _depths(layers: int, asked: int | None) -> set[int]:
    count = layers if asked is None else min(asked, layers)
    return {round(layers * (k + 1) / count) - 1 for k in range(count)}


def renewed(a: Array, rng: np.random.Generator) -> Array:
    """Give random weights in the place of `a`: a normal draw of its mean and spread, or a vector's own in any order."""
    if a.ndim < 2:
        return rng.permutation(a.ravel()).reshape(a.shape)
    return (a.mean() + a.std() * rng.standard_normal(a.shape)).astype(a.dtype)


def _ssim(e: Attribution | Attributions, found: Attribution | Attributions) -> Array:
    """The mean over the inputs that are pictures: (sample,); NaN without any."""
    pairs = list(zip(each_input(e).values(), each_input(found).values(), strict=True))
    table = np.array([[structural_similarity(a, b, i) for a, b in pairs] for i in range(len(first(e)))])
    there = np.isfinite(table)
    total = np.where(there, table, 0.0).sum(1)
    return np.divide(total, there.sum(1), out=np.full(len(table), np.nan), where=there.any(1))
