"""What-if and counterfactuals: what was changed, how far that is from the data, and that the model agrees."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import xaikit as xk
from tests.tabular.models import normal, of, product, softmax3
from xaikit import data
from xaikit.errors import InputError, ParameterError, TargetError, UnknownName


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_the_break_down_explains_the_difference(seed: int) -> None:
    model, X = softmax3(seed), normal(30, 4, seed)
    found = xk.what_if(model, X, X[0], {"0": 1.5, "2": -0.5, "3": float(X[0, 3])}, target="b")
    assert [c[0] for c in found.changes] == ["0", "2"]  # the third changes nothing
    before, after = found.of("b")
    assert_allclose(found.break_down.intercept[0], before, atol=1e-6)
    assert_allclose(found.break_down.contributions.sum(), after - before, atol=1e-6)
    changed = X[0].copy()
    changed[0] = 1.5
    assert_allclose(found.alone[0], model.run(changed[None]).output[0], atol=1e-6)
    changed[2] = -0.5
    assert_allclose(found.after, model.run(changed[None]).output[0], atol=1e-6)


def test_a_whole_row_is_a_change_too() -> None:
    X = normal(30, 2)
    found = xk.what_if(product(), X, X[0], X[1])
    assert found.nearest[0] == 1
    assert_allclose(found.distances[0], 0, atol=1e-9)
    assert_allclose(found.neighbour_predictions[0], found.after, atol=1e-6)
    assert not found.off_data


def test_rows_outside_the_data_are_flagged() -> None:
    X = normal(200, 2)
    far = xk.what_if(product(), X, X[0], {"0": 30.0})
    assert far.off_data
    assert far.status == "warn"
    assert "outside the data" in far.status.reasons[0]
    assert far.distance[1] > far.limit > far.distance[0]
    near = xk.what_if(product(), X, [0.0, 0.0], {"0": 0.1})
    assert not near.off_data
    assert near.status == "ok"


def test_between_columns_that_go_together() -> None:
    """Each value alone is usual; both together are not."""
    x = np.linspace(0, 1, 300)
    X = np.stack([x, x + np.random.default_rng(0).normal(size=300) * 0.01], 1)
    assert xk.what_if(product(), X, X[10], {"0": 0.95}).off_data
    assert not xk.what_if(product(), X, X[10], {"0": 0.95, "1": 0.95}).off_data


def test_nothing_changed() -> None:
    X = normal(20, 2)
    same = xk.what_if(product(), X, X[0], {"0": float(X[0, 0])})
    assert same.changes == ()
    assert same.break_down is None
    assert same.status == "warn"


@pytest.mark.parametrize(
    ("row", "changes", "error", "match"),
    [
        ([0.0, 0.0], {"2": 1.0}, UnknownName, "variable"),
        ([0.0, 0.0], {}, ParameterError, "empty"),
        ([0.0, 0.0], {"0": "much"}, InputError, "takes a number"),
        ([0.0, 0.0], {"0": np.nan}, InputError, "new value"),
        (np.zeros((2, 2)), {"0": 1.0}, InputError, "one row, not 2"),
        ([0.0, np.nan], {"0": 1.0}, InputError, "NaN"),
    ],
)
def test_bad_changes(row: Any, changes: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        xk.what_if(product(), normal(10, 2), np.asarray(row), changes)


# ---------------------------------------------------------------- tables


@pytest.fixture(scope="module")
def credit() -> tuple[Any, list[dict[str, Any]], int]:
    """The network for applications for credit, typical rows that ship with it, and one that is refused."""
    pytest.importorskip("torch")
    model = xk.zoo.load("credit_mlp", framework="torch")
    rows = list(model.inputs.background)
    good = model.run(model.inputs.encode(rows)).output[:, 0]
    return model, rows, int(good.argmin())


def test_the_refused_applicant(credit: Any) -> None:
    model, rows, refused = credit
    found = xk.what_if(model, rows, rows[refused], {"duration": 6, "checking_account": "rich"})
    assert found.target == "bad"
    before, after = found.of("bad")
    assert before > 0.5
    assert after < before
    assert {name for name, _, _ in found.changes} == {"duration", "checking_account"}
    assert found.columns == model.inputs.names
    with pytest.raises(InputError, match="did you mean 'rich'"):
        xk.what_if(model, rows, rows[refused], {"checking_account": "rch"})


def test_counterfactuals_are_verified_near_and_different(credit: Any) -> None:
    model, rows, refused = credit
    fixed = ("sex", "age")
    found = xk.counterfactuals(model, rows, rows[refused], "good", immutable=fixed, count=3)
    assert found.found
    assert found.start < 0.5
    again = [dict(zip(found.columns, r, strict=True)) for r in found.rows]
    said = model.outputs.probabilities(model.run(model.inputs.encode(again)).output)[:, 1]
    assert_allclose(said, found.scores, atol=1e-6)
    assert (said > 0.5).all()
    assert (np.diff(found.costs) >= -1e-9).all()
    sets = [frozenset(n for n, _, _ in c) for c in found.changes]
    assert len(set(sets)) == len(sets)
    assert not any(set(fixed) & s for s in sets)
    for row in again:  # whole numbers stay whole
        assert row["duration"] == round(row["duration"])
        assert row["credit_amount"] == round(row["credit_amount"])


def test_ranges_and_allowed_values_hold(credit: Any) -> None:
    model, rows, refused = credit
    found = xk.counterfactuals(
        model, rows, rows[refused], "good", ranges={"duration": (10, 20)}, allowed={"checking_account": ["moderate"]}
    )
    for row in found.rows:
        new = dict(zip(found.columns, row, strict=True))
        if new["duration"] != rows[refused]["duration"]:
            assert 10 <= new["duration"] <= 20
        assert new["checking_account"] in ("moderate", rows[refused]["checking_account"])
    with pytest.raises(InputError, match="no category"):
        xk.counterfactuals(model, rows, rows[refused], "good", allowed={"housing": ["tent"]})
    with pytest.raises(TargetError, match="one class of bad, good"):
        xk.counterfactuals(model, rows, rows[refused], (0.5, 1.0))
    with pytest.raises(ParameterError, match="category"):
        xk.counterfactuals(model, rows, rows[refused], "good", ranges={"housing": (0, 1)})


@pytest.mark.parametrize(
    ("bounds", "chosen"),
    [
        ({"ranges": {"0": (None, 5.5)}}, 5.0),  # the row's own 9 lies outside: what is given must not
        ({"ranges": {"0": (1.5, 5.5)}}, 5.0),
        ({"allowed": {"0": [1, 3]}}, 3.0),  # no value between two that are allowed
        ({"ranges": {"0": (2, None)}}, 6.0),
        ({}, 6.0),
    ],
)
def test_numbers_stay_within_what_is_allowed(bounds: dict[str, Any], chosen: float) -> None:
    X = np.arange(10, dtype=np.float32)[:, None]
    found = xk.counterfactuals(of(lambda x: x[:, 0], 1), X, [9.0], (None, 6.5), **bounds)
    assert found.rows == ((chosen,),)


def test_the_smallest_change_of_a_line() -> None:
    X = np.random.default_rng(0).uniform(0, 10, size=(100, 2))
    model = of(lambda x: x[:, 0] + 3 * x[:, 1])
    found = xk.counterfactuals(model, X, [1.0, 1.0], (10.0, None), count=2, most=1)
    assert found.bounds == (10.0, np.inf)
    (first,), (second,) = found.changes
    assert (first[0], second[0]) == ("1", "0")  # the same gain for a third of the way
    assert_allclose(found.rows[0][1], 3.0, atol=0.01)
    assert (found.scores >= 10).all()
    more = xk.counterfactuals(model, X, [1.0, 1.0], (10.0, None), count=3, most=2)
    assert len(more) == 2  # both together are more than either, which suffices


def test_none_is_found() -> None:
    model = of(lambda x: np.tanh(x[:, 0]))
    found = xk.counterfactuals(model, normal(50, 2), [0.0, 0.0], (2.0, 3.0))
    assert not found.found
    assert found.rows == ()
    assert found.status == "warn"
    assert "no row with up to 3 changes was found" in found.status.reasons[0]
    assert 0.9 < found.best < 1
    already = xk.counterfactuals(model, normal(50, 2), [1.0, 0.0], (0.5, 3.0))
    assert "already" in already.status.reasons[0]
    assert len(already) == 0


@pytest.mark.parametrize(
    ("wanted", "more", "error"),
    [
        ("x", {}, TargetError),
        (0.5, {}, TargetError),
        ((3.0, 1.0), {}, ParameterError),
        ((0.0, 1.0), {"immutable": ["x"]}, UnknownName),
        ((0.0, 1.0), {"immutable": ["0", "1"]}, ParameterError),
        ((0.0, 1.0), {"most": 0}, ParameterError),
    ],
)
def test_bad_wishes(wanted: Any, more: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        xk.counterfactuals(product(), normal(10, 2), [2.0, 2.0], wanted, **more)


# ---------------------------------------------------------------- frames


def test_frames_are_read_by_name_in_whole_columns(credit: Any) -> None:
    pandas = pytest.importorskip("pandas")
    from xaikit.tabular._reading import read

    model, rows, _ = credit
    frame = pandas.DataFrame(rows)
    expected = model.inputs.encode(rows)
    assert_allclose(read(model, frame, "x"), expected)
    assert_allclose(read(model, frame[frame.columns[::-1]], "x"), expected)
    assert_allclose(read(model, frame.to_numpy(), "x"), expected)
    with pytest.raises(InputError, match="lacks 'age'"):
        read(model, frame.drop(columns=["age"]), "x")
    with pytest.raises(InputError, match="unknown 'agee'"):
        read(model, frame.rename(columns={"age": "agee"}), "x")
    with pytest.raises(InputError, match="no category 'tent'"):
        read(model, frame.assign(housing="tent"), "x")
    with pytest.raises(InputError, match="clean or impute"):
        read(model, frame.assign(age=np.nan), "x")
    with pytest.raises(InputError, match="empty"):
        read(model, frame[:0], "x")


@pytest.mark.slow
def test_who_is_refused_credit() -> None:
    """The worked case: real applicants, where they are."""
    try:
        part = data.load("german_credit").read("test")
    except xk.XaikitError as error:
        pytest.skip(str(error))
    pytest.importorskip("torch")
    model = xk.zoo.load("credit_mlp", framework="torch")
    found = xk.importance(model, part.x, part.y)
    assert found.variables[found.order[0]] == "checking_account"
    good = model.run(model.inputs.encode(part.x)).output[:, 0]
    refused = int(np.flatnonzero(good < 0.3)[0])
    broken = xk.break_down(model, part.x, part.x[refused])
    assert broken.targets == ("bad",)
    exact = xk.explain(model, part.x[refused], "exact-shapley", baseline=part.x, target="bad")
    assert np.corrcoef(exact.part_values[0], broken.contributions[0])[0, 1] > 0.9
    assert xk.counterfactuals(model, part.x, part.x[refused], "good", immutable=["age", "sex"]).found


def test_half_is_not_more_than_half() -> None:
    even = xk.wrap(
        lambda x: np.full(len(x), 0.5), inputs=xk.Array((2,)), outputs=xk.Classes(["no", "yes"], form="sigmoid")
    )
    found = xk.counterfactuals(even, normal(20, 2), np.zeros((1, 2)), "yes")
    assert len(found.scores) == 0
    assert "no row with up to" in found.status.reasons[0]
