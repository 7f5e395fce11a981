"""What stands beside an explanation on record: another method's answer, and the smallest change that turns it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.attribution import explain
from xaikit.audit._terms import decision_of
from xaikit.errors import Cancelled, NotSupported, ParameterError, UsageError, XaikitError
from xaikit.inputs import Classes, Table
from xaikit.model import Model
from xaikit.quality._stability import between
from xaikit.results import Attribution, Attributions, Counterfactuals

Explained = Attribution | Attributions

OTHERS = ("integrated-gradients", "kernel-shap", "occlusion", "lime")
"""Second methods in the order in which they are taken: a path of gradients, or one that hides parts."""
CHECKS = ("faithfulness", "stability", "randomisation")
MARGIN = 1e-3
"""How far beyond the threshold a counterfactual is sought, so that it holds with its numbers as they are written."""


def first_of(e: Explained) -> Attribution:
    """Give the explanation of the first input."""
    return next(iter(e.values())) if isinstance(e, Mapping) else e


def checks_left_out(e: Explained) -> dict[str, str]:
    """Say for each check of an explanation why it was not made."""
    notes = first_of(e).origin.notes.get("evidence", {})
    untold = {"skipped": "it was not asked for"}
    return {n: own["skipped"] for n in CHECKS if "skipped" in (own := notes.get(n, untold))}


def second_opinion(model: Model, x: Any, e: Explained, method: str | None) -> dict[str, Any] | str:
    """Explain the same target by another method, the first of OTHERS that serves the model where none is named.

    Gives its parameters, values and rank agreement with the first, or the reason why there is none. Raises what
    xk.explain raises where a method was named.
    """
    one = first_of(e)
    for name in [method] if method is not None else [n for n in OTHERS if n != one.origin.method]:
        try:
            found = explain(model, x, name, one.target[0], seed=one.origin.seed, progress=False)
        except Cancelled:
            raise
        except XaikitError:
            if method is not None:
                raise
            continue
        return _opinion(e, found)
    return "no other method serves this model"


def _opinion(e: Explained, other: Explained) -> dict[str, Any]:
    own = first_of(other)
    values: Any = {n: a.values for n, a in other.items()} if isinstance(other, Attributions) else own.values
    return {
        "method": own.origin.method,
        "parameters": dict(own.origin.parameters),
        "score": own.origin.score,
        "seed": own.origin.seed,
        "model_calls": own.origin.model_calls,
        "status": str(own.status),
        "agreement": float(between(e, other)[0]),
        "values": values,
    }


def turned(
    model: Model, x: Any, e: Explained, threshold: float | None, options: Mapping[str, Any], asked: bool
) -> Counterfactuals | str:
    """Find the smallest changes after which the decision is another one, each run again as it is written down.

    `options` are those of xk.counterfactuals; `wanted` is by default the other one of two classes, `X` the rows that
    the input spec brings. Gives the reason where there are none; raises what xk.counterfactuals raises, where `asked`.
    """
    try:
        found = _counterfactuals(model, x, first_of(e), threshold, dict(options))
    except Cancelled:
        raise
    except UsageError as error:
        if asked and not isinstance(error, NotSupported):
            raise
        return str(error)
    if not found.found:
        return "; ".join(found.status.reasons) or "none was found"
    return _verified(model, found, threshold)


def _counterfactuals(
    model: Model, x: Any, one: Attribution, threshold: float | None, options: dict[str, Any]
) -> Counterfactuals:
    from xaikit.tabular import counterfactuals

    spec, outputs = model.inputs, model.outputs
    if not isinstance(spec, Table):
        raise NotSupported(
            f"counterfactuals are for tables, and {model.name} takes {getattr(spec, 'kind', 'several inputs')}: "
            "leave them out"
        )
    data = options.pop("X", None)
    data = list(spec.background or ()) if data is None else data
    if len(data) == 0:
        raise NotSupported("counterfactuals need rows of the data, X, and the input spec brings none")
    wanted = options.pop("wanted", None)
    wanted = _other(outputs, one, threshold) if wanted is None else wanted
    if isinstance(outputs, Classes) and "at_least" not in options:
        options["at_least"] = _least(outputs, wanted, threshold)
    return counterfactuals(model, data, x, wanted, **{"seed": one.origin.seed, **options})


def _other(outputs: Any, one: Attribution, threshold: float | None) -> str:
    decided = decision_of(outputs, one.prediction, threshold)
    if not isinstance(outputs, Classes) or len(outputs.names) != 2 or decided not in outputs.names:
        raise NotSupported("what is wanted instead must be named: the model does not decide between two classes")
    return str(outputs.names[1 - outputs.names.index(decided)])


def _least(outputs: Classes, wanted: Any, threshold: float | None) -> float:
    """Give the probability that the wanted class must reach for the decision to be for it, and a little more."""
    cut = 0.5 if threshold is None else threshold
    of_two_the_first = len(outputs.names) == 2 and outputs.index(wanted) == 0
    least = (1 - cut if of_two_the_first else cut) + MARGIN
    if not 0 < least <= 1:
        raise ParameterError(f"no probability of {wanted!r} is beyond the threshold {threshold}")
    return least


def _verified(model: Model, found: Counterfactuals, threshold: float | None) -> Counterfactuals | str:
    """Keep the rows for which the model, run on them as they are written, decides as wanted."""
    if not isinstance(model.outputs, Classes):
        return found
    said = [_decided(model, dict(zip(found.columns, row, strict=True)), threshold) for row in found.rows]
    kept = [i for i, decided in enumerate(said) if decided == found.wanted]
    if not kept:
        return f"none holds when its numbers are rounded: the model then says {', '.join(map(str, said))}"

    def of(values: Array) -> Array:
        return np.asarray(values)[kept]

    return replace(
        found,
        rows=tuple(found.rows[i] for i in kept),
        changes=tuple(found.changes[i] for i in kept),
        scores=of(found.scores),
        costs=of(found.costs),
        off_data=of(found.off_data),
    )


def _decided(model: Model, row: Mapping[str, Any], threshold: float | None) -> str | None:
    return decision_of(model.outputs, model.run(model.inputs.encode([row])).output, threshold)
