"""Stability: does an explanation that rests on chance come out alike from other seeds?"""

import time
from itertools import combinations

import numpy as np

from xaikit.arrays import Array
from xaikit.attribution._method import require
from xaikit.model import Model
from xaikit.progress import Progress, bar
from xaikit.quality._agreement import each_input, paired, rank_agreement
from xaikit.quality._asking import again, first, no_numbers, question, recorded
from xaikit.results import Attribution, Attributions, Stability, judge

SEEDS = 2**32


def stability(
    model: Model,
    e: Attribution | Attributions,
    *,
    seeds: int = 3,
    progress: Progress | bool | None = None,
) -> Stability:
    """Explain again with other seeds, and give the rank agreement of the maps of every pair of seeds.

    The explanation itself is the first of `seeds`; the others follow its own seed. Maps over the same parts are
    compared part by part, others place by place. A method without chance agrees with itself and its spread is 0.
    Raises UsageError for an explanation of other inputs, ParameterError.
    """
    require(seeds >= 2, f"seeds must be at least 2, not {seeds}")
    start, one = time.perf_counter(), first(e)
    task = question(model, e)
    chosen = tuple((one.origin.seed + k) % SEEDS for k in range(seeds))
    runs = [e]
    with bar(progress, "stability") as shown:
        for k, seed in enumerate(chosen[1:]):
            runs.append(again(task, e, seed=seed))
            shown(k + 1, seeds - 1)
    table = np.ones((len(one), seeds, seeds))
    for a, b in combinations(range(seeds), 2):
        table[:, a, b] = table[:, b, a] = between(runs[a], runs[b])
    made_from = recorded(task, "stability", start, {"seeds": seeds})
    agreed = {"rank_agreement": table[:, *np.triu_indices(seeds, 1)].mean(1)}
    status = judge(agreed, no_numbers(e))
    return Stability(chosen, table, _spread(runs), one.target_labels, one.origin, status, made_from)


def between(a: Attribution | Attributions, b: Attribution | Attributions, absolute: bool = False) -> Array:
    """Give the rank correlation of two explanations of the same samples: (sample,). Maps of zeros agree."""
    found = []
    inputs, others = each_input(a), each_input(b)
    for i in range(len(first(a))):
        x, y = paired(list(inputs.values()), [others[n] for n in inputs], i)
        x, y = (np.abs(x), np.abs(y)) if absolute else (x, y)
        found.append(1.0 if np.array_equal(x, y) else rank_agreement(x, y))
    return np.array(found)


def _spread(runs: list[Attribution | Attributions]) -> Array:
    """The mean standard deviation over the seeds, relative to the largest mean value: (sample,)."""
    maps = np.stack(
        [
            np.concatenate([np.asarray(a.values, np.float64).reshape(len(a), -1) for a in each_input(r).values()], 1)
            for r in runs
        ]
    )
    largest = np.abs(maps.mean(0)).max(1)
    return np.divide(maps.std(0, ddof=1).mean(1), largest, out=np.zeros(len(largest)), where=largest > 0)
