"""Models that are no Network, but keep the protocol as it was described."""

from typing import Any

import numpy as np
import pytest

import xaikit as xk
from xaikit.model import Run


class Older:
    """A model as one writes it by the protocol, before a run could be asked to leave the raw output out."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def run(self, x: Any, at: Any = (), patch: Any = None, *, score: Any = "output") -> Run:
        return self.model.run(x, at, patch or {}, score=score)


@pytest.mark.parametrize("bounds", [{}, {"max_batch": 7}])
@pytest.mark.parametrize("method", ["lime", "kernel-shap", "occlusion"])
def test_they_are_explained_as_the_networks_that_they_ask(method: str, bounds: dict[str, int]) -> None:
    columns = dict.fromkeys("abc", xk.Number())
    spec = xk.Table(columns, background=[dict.fromkeys(columns, 0.0)])
    model = xk.wrap(lambda x: np.stack([x[:, 0] * x[:, 1], x[:, 2]], 1), inputs=spec, outputs=xk.Values(("y", "z")))
    row = {"a": 1.0, "b": 2.0, "c": 3.0}
    found = xk.explain(Older(model), row, method, target="y", **bounds)
    np.testing.assert_array_equal(found.values, xk.explain(model, row, method, target="y").values)
