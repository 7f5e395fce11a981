"""What a column of a table contributes, whichever way a method gives it."""

from dataclasses import replace

import numpy as np
from numpy.testing import assert_allclose

import xaikit as xk
from xaikit.figures import panels
from xaikit.results import by_column


def test_columns_are_taken_as_they_are_or_summed_over_their_dummies() -> None:
    table = xk.Table({"age": xk.Number(), "sex": xk.Category(["f", "m"], encoding="one-hot")})
    model = xk.wrap(
        lambda x: x @ np.array([[1.0], [2.0], [4.0]]), inputs=table, outputs=xk.Values(["risk"]), version="1"
    )
    e = xk.explain(model, [{"age": 3, "sex": "m"}], "occlusion", baseline=[{"age": 0, "sex": "f"}])
    whole = by_column(e, 0)
    assert whole.shape == (2,)
    direct = replace(e, values=whole[None], axes=("sample", "column"), parts=None, part_values=None)
    assert_allclose(by_column(direct, 0), whole)
    encoded = replace(direct, values=np.array([[3.0, 0.5, 4.0]]), axes=("sample", "feature"))
    assert_allclose(by_column(encoded, 0), [3.0, 4.5])
    bars = next(iter(panels(direct).panels))
    assert_allclose(np.sort(bars.values), np.sort(whole))  # type: ignore[attr-defined]


def test_a_whole_number_of_a_row_is_written_with_all_its_figures() -> None:
    table = xk.Table({"amount": xk.Number(), "rate": xk.Number()})
    model = xk.wrap(lambda x: x @ np.array([[1.0], [2.0]]), inputs=table, outputs=xk.Values(["risk"]), version="1")
    zero = [{"amount": 0, "rate": 0}]
    e = xk.explain(model, [{"amount": 4308, "rate": 0.12345}], "occlusion", baseline=zero)
    bars = next(iter(panels(e).panels))
    assert set(bars.labels) == {"amount = 4,308", "rate = 0.123"}  # type: ignore[attr-defined]
