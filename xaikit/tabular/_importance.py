"""Permutation importance: how much worse a model does when a variable tells it nothing."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import ParameterError
from xaikit.inputs import Classes
from xaikit.model import Model
from xaikit.progress import Progress, bar
from xaikit.results import Importance
from xaikit.tabular._losses import Loss, auc, chosen, truth
from xaikit.tabular._reading import (
    Edit,
    about,
    answers,
    constant,
    edited,
    judged,
    questions,
    read,
    require_count,
    require_seed,
    whole_output,
)
from xaikit.tabular._variables import Frame, frame_of


def importance(
    model: Model,
    X: Any,
    y: Any,
    loss: Any = None,
    repeats: int = 10,
    seed: int = 0,
    *,
    variables: Any = None,
    groups: Mapping[str, Any] | None = None,
    permutations: Any = None,
    target: Any = None,
    progress: Progress | bool | None = None,
) -> Importance:
    """Give how much worse a model does when each variable's values are shuffled among the rows, as Importance.

    X: rows as a person has them (a frame, whose columns are found by name, mappings, an array). y: for every row its
    class (index or name) or its values. loss: "cross-entropy" (the default for Classes), "1-auc" (of several classes
    the mean of one against the rest), "1-accuracy"; "rmse" (the default for Values; the mean over outputs), "mse",
    "mae", "1-r2"; or a function of (y, what the model says), which gives probabilities (row, class) for Classes.

    The loss is L = L(y, f(X)), and L* with the rows of a variable's columns permuted together; `difference` is the mean
    of L* over the `repeats` minus L, `ratio` divided by L. The same permutations serve all variables, so that what a
    variable gets does not depend on which others are asked for; `permutations` (repeat, row) gives one's own. The
    reference is the loss with y permuted by them: that of knowing nothing.

    variables: names of columns, or a mapping from names to columns that are shuffled together; of inputs (time,
    channel) "channels", "windows", "channel-windows" or {"windows": 20}, and "bands" (of frequencies, which are
    exchanged with phases); an integer label map. groups: a mapping from names to columns; the columns in none stay
    single.

    target: of a network with several outputs the one that y is of, `xk.At(output=...)` or its name; y may then be a
    mapping by output.

    Status: warn for fewer than two repeats, labels of one class, variables that do not vary, and a model that does no
    better than the reference. Raises InputError, UnknownName, ParameterError, TargetError. Source: Breiman, "Random
    forests" (2001), section 10; Fisher, Rudin and Dominici, "All models are wrong, but many are useful" (2019).
    """
    require_seed(seed)
    require_count("repeats", repeats)
    start = time.perf_counter()
    x = read(model, X, "importance")
    output, spec = whole_output(model, target, "importance")
    ask = questions(model, x, target)
    name, measure = chosen(spec, loss)
    true = truth(spec, y, len(x), output)
    frame = frame_of(model.inputs, x, _with_groups(model, x, variables, groups))
    flat = frame.flatten(x)
    shuffles = _shuffles(len(x), repeats, seed, permutations)
    own = _each(spec, name, measure, ask.names)
    total = len(frame.variables) * len(shuffles)
    with bar(progress, f"importance for {model.name}") as shown:
        given = answers(ask, frame, flat)
        losses, by_output = np.empty(total), np.empty((len(own), total))
        for k, said in enumerate(edited(ask, frame, flat, _edits(frame, flat, shuffles))):
            losses[k] = measure(true, said)
            by_output[:, k] = [one(true, said) for one in own.values()]
            shown(k + 1, total)
    baseline = measure(true, given)
    reference = np.array([measure(true[p], given) for p in shuffles])
    shape = (len(frame.variables), len(shuffles))
    still = constant(frame, flat)
    one_class = true.ndim == 1 and len(np.unique(true)) == 1
    return Importance(
        variables=frame.names,
        members={v.name: v.members for v in frame.variables},
        loss=name,
        losses=losses.reshape(shape),
        baseline=baseline,
        reference=reference,
        outputs=tuple(own),
        by_output=by_output.reshape(len(own), *shape),
        baseline_by_output=np.array([one(true, given) for one in own.values()]),
        rows=len(x),
        status=judged(
            (len(shuffles) < 2, "one repeat does not tell chance from importance"),
            (one_class, "y holds one class alone"),
            (bool(still), f"the same in all rows: {', '.join(still)}"),
            (baseline >= reference.mean(), "the model does no better than with y shuffled"),
            values=np.append(losses, baseline),
        ),
        origin=about(
            ask,
            x,
            "importance",
            {"loss": name, "repeats": len(shuffles), "variables": list(frame.names)},
            start,
            seed,
            permutations="given" if permutations is not None else "drawn",
        ),
    )


def _with_groups(model: Model, x: Array, variables: Any, groups: Mapping[str, Any] | None) -> Any:
    if groups is None:
        return variables
    if variables is not None:
        raise ParameterError("give variables= or groups=, which leaves the columns in no group single, not both")
    own = frame_of(model.inputs, x)
    grouped = frame_of(model.inputs, x, dict(groups))
    taken = {p for v in grouped.variables for p in v.places.tolist()}
    return {**groups, **{v.name: [v.name] for v in own.variables if not taken & set(v.places.tolist())}}


def _shuffles(rows: int, repeats: int, seed: int, given: Any) -> Array:
    if given is None:
        rng = np.random.default_rng(seed)
        return np.stack([rng.permutation(rows) for _ in range(repeats)])
    a = np.asarray(given)
    if a.ndim != 2 or a.shape[1] != rows or a.dtype.kind not in "iu" or (np.sort(a, 1) != np.arange(rows)).any():
        raise ParameterError(f"permutations are orders of the {rows} rows, (repeat, row), not shape {a.shape}")
    return a


def _edits(frame: Frame, flat: Array, shuffles: Array) -> list[Edit]:
    """For every variable, and every order of the rows, write its places in that order."""

    def edit(places: Array, order: Array) -> Edit:
        if len(places) == 1:  # one column without an array of indices, which would be copied element by element
            place = int(places[0])
            column = np.ascontiguousarray(flat[:, place])

            def write(out: Array, s: slice) -> None:
                out[:, place] = column[order[s]]

            return write

        def write_all(out: Array, s: slice) -> None:
            out[:, places] = flat[order[s]][:, places]

        return write_all

    return [edit(v.places, order) for v in frame.variables for order in shuffles]


def _each(spec: Any, name: str, measure: Loss, outputs: tuple[str, ...]) -> dict[str, Loss]:
    """Give a loss for every class, over its own rows, or for every output; none where there is one alone."""
    if len(outputs) < 2 or (isinstance(spec, Classes) and name not in ("cross-entropy", "1-accuracy", "1-auc")):
        return {}

    def of_class(k: int) -> Loss:
        def one(y: Array, p: Array) -> float:
            if name == "1-auc":
                return 1 - auc(y == k, p[:, k])
            return measure(y[y == k], p[y == k]) if (y == k).any() else float("nan")

        return one

    def of_value(k: int) -> Loss:
        return lambda y, f: measure(y[:, [k]], f[:, [k]])

    make = of_class if isinstance(spec, Classes) else of_value
    return {n: make(k) for k, n in enumerate(outputs)}
