"""What DeepLIFT and layer-wise relevance propagation share: asking the adapter, and saying what it cannot treat."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors, chunks, each, leaves, rows
from xaikit.attribution._method import Task
from xaikit.attribution.integrated_gradients import completeness, gaps
from xaikit.errors import ModelError, NotSupported
from xaikit.model import Contributions, Model

RULES = {"deep-shap": "deep-lift"}
CELLS = ("rnn", "lstm", "gru", "bidirectional", "conv_lstm")
ALTERNATIVES = "gradient-shap, integrated-gradients, permutation-shap or kernel-shap"


def require_rules(model: Model, name: str) -> None:
    """Raise NotSupported, naming the layers and the reason, if the adapter has no rule for some of them.

    A model that cannot be asked before it was run is not refused here, but when it is explained.
    """
    try:
        if takes_ids(model):
            raise _refusal(model, name, {n: "recurrent" for n, layer in model.layers.items() if layer.kind in CELLS})
        found = model.untreated(RULES.get(name, name))
    except ModelError:
        return
    if found:
        raise _refusal(model, name, found)


def _refusal(model: Model, name: str, found: Mapping[str, str]) -> NotSupported:
    if not found:
        return NotSupported(
            f"{name} follows numbers, and {model.name} takes token ids; "
            "use gradient-shap or integrated-gradients, which follow the embeddings"
        )
    said = "; ".join(f"{layer!r}: {why}" for layer, why in list(found.items())[:3])
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    cells = any(model.layers[layer].kind in CELLS for layer in found if layer in model.layers)
    reason = ": the gates of a recurrent cell multiply each other step by step, which no rule divides" * cells
    return NotSupported(f"{name} cannot treat all layers of {model.name} ({said}{more}){reason}; use {ALTERNATIVES}")


def takes_ids(model: Model) -> bool:
    """Whether a model reads token ids, which have no gradient of their own."""
    specs = model.inputs.values() if isinstance(model.inputs, Mapping) else [model.inputs]
    return any(spec.kind == "Text" for spec in specs)


def maxima(model: Model) -> str:
    """Say what DeepLIFT does about maxima, and where; "" where there are none or the layers are not known yet."""
    try:
        found = [n for n, layer in model.layers.items() if layer.kind in ("max_pool", "global_max_pool")]
    except ModelError:
        return ""
    named = ", ".join(map(repr, found))
    return f"gives the rise of a maximum to its place now, the fall to its place in the baseline: {named}" * bool(found)


def native(task: Task, name: str, x: Tensors, index: Array, **how: Any) -> Contributions:
    """Let the adapter explain rows `x` of the samples `index` by its own method, and count the passes.

    A squared error is quadratic in the output: its slope between sample and baseline is its derivative at their mean.
    """
    for _, a in leaves(x):
        if np.issubdtype(a.dtype, np.integer):
            raise NotSupported(f"{name} follows numbers, and {task.model.name} takes integers; use {ALTERNATIVES}")
    require_rules(task.model, name)  # by now the layers are known, also of a network that says nothing of its input
    task._count(x)
    start = how.get("baseline")
    if task.scores.linear:
        seed = task.scores.seed(x, x, index)  # of the output it takes no more than the number of rows
        return task.model.contributions(name, x, seed, score=task.scores.kind, **how)
    if start is None or any(getattr(s, "error", "mse") != "mse" for s in task.scores.each):
        raise NotSupported(f"{name} explains outputs and mean squared errors, no other error; use {ALTERNATIVES}")
    middle = each(_mean, x, start)
    output = each(_mean, task.run(x).output, task.run(start).output)
    found = task.model.native(name, x, task.scores.seed(output, middle, index), score=task.scores.kind, **how)
    direct = task.scores.direct(output, middle, index)
    return Contributions(found if direct is None else each(lambda f, d, a, b: f + d * (a - b), found, direct, x, start))


def _mean(a: Array, b: Array) -> Array:
    return np.asarray((np.asarray(a, np.float64) + b) / 2)


def against(task: Task, starts: Tensors, **how: Any) -> tuple[Tensors, dict[str, Array]]:
    """Give DeepLIFT's contributions, the mean over the baselines (sample, baseline, *shape), shaped like `task.x`, and
    how much their sums miss f(x) - f(b)."""
    count = next(a.shape[1] for _, a in leaves(starts))
    sums = each(lambda a: np.zeros(a.shape), task.x)
    parts: list[Contributions] = []
    pairs = len(task) * count
    for s in chunks(pairs, max(1, task.model.batch_size)):
        i, b = np.divmod(np.arange(s.start, s.stop), count)
        start = each(lambda a: a[i, b], starts)  # noqa: B023
        found = native(task, "deep-lift", rows(task.x, i), i, baseline=start, **how)
        each(lambda t, f: _added(t, f / count, i), sums, found.values)  # noqa: B023
        parts.append(found)
        task.progress(s.stop, pairs)
    values = each(lambda a: a.astype(np.float32), sums)
    risen = _risen(task, Contributions.join(parts), count)
    return values, completeness(task, values, starts) if risen is None else gaps(values, risen)


def _risen(task: Task, found: Contributions, baselines: int) -> Array | None:
    """Give f(x) - f(b), the mean over the baselines (sample,), from what the passes have shown; None if not all was."""
    if found.at_x is None or found.at_baseline is None or task.by_logits:
        return None
    i = np.repeat(np.arange(len(task)), baselines)
    # a linear score takes nothing of the input, for which anything may stand
    at_x, at_baseline = (task.scores.value(y, y, i) for y in (found.at_x.output, found.at_baseline.output))
    if baselines == 1:
        task.remember(task.x, found.at_x.output, found.at_x.raw)
    return np.asarray((at_x - at_baseline).reshape(-1, baselines).mean(1))


def _added(sums: Array, values: Array, index: Array) -> Array:
    """Add values to the sums of their samples, those of one sample behind each other."""
    starts = np.flatnonzero(np.diff(index, prepend=-1))
    sums[index[starts]] += values if len(starts) == len(index) else np.add.reduceat(values, starts, axis=0)
    return sums
