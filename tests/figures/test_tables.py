"""What a data set says of a model, as panels: bars with repeats, waterfalls, curves, surfaces, tables of words."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.tabular.models import normal, product, softmax3
from xaikit import render
from xaikit.figures import BarPanel, CurvePanel, SurfacePanel, TablePanel, panels


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """One of each."""
    model, X = softmax3(), normal(40, 4)
    y = np.random.default_rng(0).integers(0, 3, 40)
    spec = xk.Table({"kind": xk.Category(["a", "b"]), "size": xk.Number()})
    table = xk.wrap(lambda x: x[:, 0] * 0.5 + x[:, 2] ** 2, inputs=spec, outputs=xk.Values(["y"]))
    rows = [{"kind": "ab"[i % 2], "size": float(v)} for i, v in enumerate(X[:, 0])]
    return {
        "importance": xk.importance(model, X, y),
        "break-down": xk.break_down(model, X, X[:2], interactions=True),
        "partial-dependence": xk.profile(table, rows, ["kind", "size", ("size", "kind")], by="kind"),
        "ceteris-paribus": xk.profile(product(), X[:, :2], ["0"], "ceteris-paribus", rows=X[0, :2]),
        "ale": xk.profile(model, X, ["0", ("0", "1")], "ale", grid=5),
        "what-if": xk.what_if(table, rows, rows[0], {"size": 2.0, "kind": "b"}),
        "counterfactuals": xk.counterfactuals(table, rows, rows[0], (3.0, None)),
        "fairness": xk.fairness(model, X, y, np.arange(40) % 2, positive="a"),
    }


KINDS = (
    "importance",
    "break-down",
    "partial-dependence",
    "ceteris-paribus",
    "ale",
    "what-if",
    "counterfactuals",
    "fairness",
)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_everything_is_drawn_shown_and_stored(results: dict[str, Any], kind: str, tmp_path: Path) -> None:
    result = results[kind]
    figure = panels(result)
    assert f"{result.origin.model_calls:,} model calls" in figure.subtitle
    assert all(panel.alt for panel in figure.panels)
    assert len(render.png(result)) > 5000
    assert xk.plot(result).layout.annotations
    assert result._repr_mimebundle_()
    xk.save(result, tmp_path / "kept")
    _equal(xk.load(tmp_path / "kept.json"), result)


def _equal(a: Any, b: Any) -> None:
    assert type(a) is type(b)
    if isinstance(a, np.ndarray):
        assert_array_equal(a, b)
    elif hasattr(a, "__dataclass_fields__"):
        for name in a.__dataclass_fields__:
            _equal(getattr(a, name), getattr(b, name))
    elif isinstance(a, tuple | list):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            _equal(one, other)
    elif isinstance(a, float) and np.isnan(a):
        assert np.isnan(b)
    else:
        assert a == b


def test_bars_of_importance_show_all_repeats(results: dict[str, Any]) -> None:
    result = results["importance"]
    bars, by_class = panels(result).rows[0]
    assert isinstance(bars, BarPanel)
    assert_array_equal(bars.points, result.differences[result.order])
    assert bars.labels[0] == result.variables[result.order[0]]
    assert isinstance(by_class, SurfacePanel)
    assert by_class.columns == ("a", "b", "c")


def test_a_waterfall_leads_from_the_mean_to_the_prediction(results: dict[str, Any]) -> None:
    result = results["break-down"]
    bars = panels(result).rows[1][0]
    assert isinstance(bars, BarPanel)
    assert bars.starts is not None
    assert_allclose(bars.starts[0], result.intercept[1])
    assert_allclose((bars.starts + bars.values)[-1], result.prediction[1], atol=1e-6)
    assert_allclose(bars.starts[1:], (bars.starts + bars.values)[:-1])  # each begins where the last ends
    assert (bars.labels[0], bars.labels[-1]) == ("mean prediction", "prediction")


def test_profiles_are_curves_bars_and_surfaces(results: dict[str, Any]) -> None:
    kind, size = panels(results["partial-dependence"]).rows[0]
    surface = panels(results["partial-dependence"]).rows[1][0]
    assert isinstance(kind, BarPanel)
    assert isinstance(size, CurvePanel)
    assert [t.name for t in size.traces if t.name] == ["kind a", "kind b", "mean"]
    assert isinstance(surface, SurfacePanel)
    assert surface.values.shape == (2, 20)
    assert (surface.row_label, surface.column_label) == ("kind", "size")
    own = panels(results["ceteris-paribus"]).rows[0][0]
    assert isinstance(own, CurvePanel)
    assert own.mark is not None
    assert_allclose(own.mark.x, results["ceteris-paribus"].only.at[0, 0])


def test_tables_of_words(results: dict[str, Any]) -> None:
    nearest = panels(results["what-if"]).below[0][0]
    assert isinstance(nearest, TablePanel)
    assert nearest.headers == ("", "kind", "size", "y")
    assert nearest.rows[1][:3] == ("changed", "b", "2")
    assert nearest.strong == {(1, 1), (1, 2)}
    found = panels(results["counterfactuals"]).rows[0][0]
    assert isinstance(found, TablePanel)
    assert len(found.rows) == 1 + len(results["counterfactuals"])
    assert found.facts == ()
    assert found.subtitle == "wanted: 3 or more; the nearest first"
    fair = panels(results["fairness"]).below[0][0]
    assert isinstance(fair, TablePanel)
    assert "fewer than 30 rows" in fair.badge.text  # type: ignore[union-attr]


def test_wide_tables_show_what_changes() -> None:
    X = normal(30, 20)
    model = xk.wrap(lambda x: x[:, 0], inputs=xk.Array((20,)), outputs=xk.Values(["y"]))
    nearest = panels(xk.what_if(model, X, X[0], {"3": 1.0, "7": 2.0})).below[0][0]
    assert isinstance(nearest, TablePanel)
    assert nearest.headers == ("", "3", "7", "y")
