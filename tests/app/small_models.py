"""Models of every kind of input that are functions of a few lines: they need no framework and answer at once."""

from collections.abc import Mapping
from typing import Any

import numpy as np

import xaikit as xk

ROWS = ({"age": 30.0, "sex": "f"}, {"age": 50.0, "sex": "m"})
WORDS = {"good": 2, "bad": 3, "film": 4}


def total(x: Any) -> Any:
    """Give two scores: the sum of the input, and its first number taken away."""
    flat = np.asarray(x, float).reshape(len(x), -1)
    return np.stack([flat.sum(1), -flat[:, 0]], 1)


def together(x: Mapping[str, Any]) -> Any:
    return total(x["photo"]) + total(x["row"])


def pixels(x: Any) -> Any:
    grey = np.asarray(x, float)[..., 0]
    return np.stack([grey, -grey], -1)


def small_models() -> dict[str, Any]:
    """Give models by the kind of their input: image, table, series, text, several inputs, masks."""
    picture, two = xk.Image(16, 16, 1, scale=1.0), xk.Classes(["low", "high"], form="logits")
    table = xk.Table({"age": xk.Number(mean=40, std=10), "sex": xk.Category(["f", "m"])}, background=ROWS)
    several = {"photo": xk.Image(6, 6, 1, scale=1.0), "row": xk.Array((3,))}
    kinds: dict[str, tuple[Any, Any, Any]] = {
        "pictures": (total, picture, two),
        "rows": (total, table, two),
        "waves": (total, xk.Series(12, 2), two),
        "words": (total, xk.Text(8, vocabulary=WORDS), two),
        "both": (together, several, two),
        "masks": (pixels, xk.Image(6, 6, 1, scale=1.0), xk.Masks(["ground", "thing"])),
    }
    return {
        name: xk.wrap(f, inputs=inputs, outputs=outputs, name=name, version="1")
        for name, (f, inputs, outputs) in kinds.items()
    }
