"""Functions with known answers, as models."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xaikit as xk


def of(function: Callable[[Any], Any], columns: int = 2, outputs: tuple[str, ...] = ("y",)) -> Any:
    """A function of float64 rows as a model of values."""
    return xk.wrap(
        lambda x: function(np.asarray(x, np.float64)), inputs=xk.Array((columns,)), outputs=xk.Values(list(outputs))
    )


def product() -> Any:
    return of(lambda x: x[:, 0] * x[:, 1])


def softmax3(seed: int = 0, columns: int = 4) -> Any:
    """Three classes whose logits are quadratic, so that columns interact."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(columns, 3)), rng.normal(size=(columns, columns, 3))

    def classes(x: Any) -> Any:
        x = np.asarray(x, np.float64)
        z = x @ a + np.einsum("ni,nj,ijk->nk", x, x, b) / 3
        e = np.exp(z - z.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)

    return xk.wrap(classes, inputs=xk.Array((columns,)), outputs=xk.Classes(["a", "b", "c"], form="softmax"))


def normal(rows: int, columns: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)


def data_file(name: str, digest: str) -> Path:
    """A file of the folder XAIKIT_DATA, whose numbers are those that results are known for; skips without it."""
    import os

    folder = os.environ.get("XAIKIT_DATA")
    path = Path(folder or "") / "tabular" / name
    if not folder or not path.exists():
        pytest.skip(f"XAIKIT_DATA holds no tabular/{name}, which may not be shipped")
    if sha256(path.read_bytes()).hexdigest()[:16] != digest:
        pytest.skip(f"tabular/{name} is not the file that the numbers were calculated with")
    return path
