"""`xaikit explain`: files in, results and pictures out."""

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xaikit import storage
from xaikit.attribution import explain
from xaikit.attribution import methods as known
from xaikit.data.files import read_samples
from xaikit.errors import InputError, ParameterError
from xaikit.model import Model
from xaikit.render import png
from xaikit.report import distinct, stem


def explain_files(
    model: Model,
    inputs: Sequence[str],
    method: str,
    target: str | None,
    parameters: Sequence[str],
    output: Path,
    score: str | None,
    seed: int,
    **budget: Any,
) -> list[dict[str, Any]]:
    """Explain every input, write the results, and describe what was written; `budget` is as in `xk.explain`."""
    chosen = parse_parameters(method, parameters)
    samples = [(stem(name), read_samples(name, model.inputs)) for name in inputs]
    names = distinct([s for s, _ in samples])
    written = []
    for name, (_, sample) in zip(names, samples, strict=True):
        result = explain(model, sample, method, target, seed=seed, score=score, **budget, **chosen)
        written.append(write(result, output / f"{name}.{method}"))
    return written


def parse_parameters(method: str, given: Sequence[str]) -> dict[str, Any]:
    """Turn NAME=VALUE into keyword parameters; a value that is no Python literal stays text."""
    known[method]
    found = literals(given)
    known[method].make(found)
    return found


def literals(given: Sequence[str]) -> dict[str, Any]:
    """Turn NAME=VALUE into values by name; what is no Python literal stays text."""
    found: dict[str, Any] = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals:
            raise ParameterError(f"a parameter is written NAME=VALUE, not {item!r}")
        try:
            found[name.replace("-", "_")] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name.replace("-", "_")] = value
    return found


def keep(result: Any, place: Path, figure: Any = None) -> dict[str, str]:
    """Store a result and its picture (None: that of the result), and say where."""
    path = storage.save(result, place)
    picture = place.with_name(place.name + ".png")
    try:
        png(result if figure is None else figure, picture)
    except OSError as error:
        raise InputError(f"the picture cannot be written to {picture}: {error}") from None
    return {"json": str(path.resolve()), "png": str(picture.resolve())}


def write(result: Any, place: Path) -> dict[str, Any]:
    """Store a result and its picture, and say what it found."""
    kept = keep(result, place)
    shown = next(iter(result.values())) if hasattr(result, "values") and not hasattr(result, "axes") else result
    return {
        **kept,
        "method": shown.origin.method,
        "target": list(shown.target_labels),
        "score": [float(s) for s in np.atleast_1d(shown.quality["score"])],
        "status": str(shown.status),
        "reasons": list(shown.status.reasons),
        "model_calls": shown.origin.model_calls,
        "seconds": round(shown.origin.seconds, 3),
    }
