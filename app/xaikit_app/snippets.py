"""Code that makes a result of the app again: where the model and the sample come from, then the page's own lines."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from xaikit.errors import XaikitError
from xaikit.inputs import At, Margin, ReconstructionError, Region
from xaikit.zoo.networks import networks

TARGETS = (At, Margin, ReconstructionError, Region)


def snippet(view: Any, *lines: str, sample: str | None = None) -> Sequence[str]:
    """Give lines of Python: imports, `model`, with a `sample` also `x`, then the lines given."""
    lines = (loading(view), *([sampling(view, sample)] if sample else []), *lines)
    numpy = ["import numpy as np"] if any("np." in line for line in lines) else []
    brought = [*numpy, "import xaikit as xk"]
    brought += ["import xaikit.data"] if any("xk.data." in line for line in lines) else []
    return [*brought, "", *lines]


def loading(view: Any) -> str:
    """Give the line that makes `model`."""
    choice, framework = view.chosen.choice, view.chosen.framework
    recipe = choice.recipes.get(framework)
    if recipe is None:
        return f"model = {choice.name}  # the model that the app was started with"
    if recipe.is_file:
        return f'model = xk.load_model("{recipe.name}")'
    return f'model = xk.zoo.load("{recipe.name}", framework="{framework}")'


def sampling(view: Any, id: str) -> str:
    """Give the line that makes `x`: a sample of the test data by its number, a text or row as it is, else a file.

    The file is the one that one gets by taking the input along.
    """
    kind, _, number = id.rpartition("-")
    set_name = networks[view.chosen.name].data if view.chosen.name in networks else None
    if kind == "test" and number.isdecimal() and set_name:
        return f'x = xk.data.load("{set_name}").read("test").x[{number}]'
    try:
        value = view.services.sample(view.chosen, view.description, id)
    except XaikitError:
        return f'x = "your-input"  # here: {id}'
    return f"x = {_written(value, view.description.inputs, id)}"


def explaining(unit: Any) -> Sequence[str]:
    """Give the lines that explain `x` as a unit asks for it, from `model` and `x` on."""
    given = {**({} if unit.target is None else {"target": unit.target}), "seed": unit.seed, **unit.parameters}
    said = "".join(f", {name}={spoken_value(value)}" for name, value in given.items())
    return [f'result = xk.explain(model, x, "{unit.method}"{said})', "figure = xk.plot(result)"]


def spoken_value(value: Any) -> str:
    """Write a value as Python; a target is one of xaikit's own."""
    if isinstance(value, TARGETS):
        named = {f.name: getattr(value, f.name) for f in fields(value)}
        kept = ", ".join(f"{n}={v!r}" for n, v in named.items() if v is not None)
        return f"xk.{type(value).__name__}({kept})"
    return repr(value)


def _written(value: Any, spec: Any, id: str) -> str:
    if isinstance(spec, Mapping):
        ids = {part.partition(":")[0]: part.partition(":")[2] for part in id.split(",")}
        return f"{{{', '.join(f'{n!r}: {_written(value[n], spec[n], ids.get(str(n), str(n)))}' for n in spec)}}}"
    if not isinstance(value, np.ndarray):
        return repr(value)
    name = file_name(value, spec, id)
    return f'"{name}"' if name.endswith(".png") else f'np.load("{name}")'


def file_name(value: Any, spec: Any, id: str) -> str:
    """Give the name of the file that holds an input: a picture of bytes as PNG, other arrays as NPY, words as text."""
    stem = re.sub(r"[^\w.-]", "-", id)[:16]
    if isinstance(value, str):
        return f"{stem}.txt"
    if not isinstance(value, np.ndarray):
        return f"{stem}.csv"
    return f"{stem}.png" if spec.kind == "Image" and value.dtype == np.uint8 else f"{stem}.npy"


__all__ = ["explaining", "file_name", "loading", "sampling", "snippet", "spoken_value"]
