"""Break-down: local accuracy, published numbers, agreement with Shapley values, and which definition is meant."""

import csv
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import xaikit as xk
from tests.tabular.models import data_file, normal, of, product, softmax3
from xaikit.errors import InputError, ParameterError, TargetError, UnknownName

SINGLE = 5e-4
"""Outputs are float32, whose step at 4820 is 0.0005."""


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_contributions_sum_to_the_prediction(seed: int, interactions: bool) -> None:
    model = softmax3(seed)
    X = normal(15, 4, seed)
    found = xk.break_down(model, X, X[:3], interactions=interactions)
    assert_allclose(found.intercept + found.contributions.sum(1), found.prediction, atol=1e-6)
    assert_allclose(found.intercepts + found.every.sum(1), found.predictions, atol=1e-6)  # of all classes
    assert_allclose(found.every.sum(-1), 0, atol=1e-6)  # what one class wins the others lose
    taken = [v for i in found.order[0] if i >= 0 for v in found.variables[i].split(":")]
    assert sorted(taken) == ["0", "1", "2", "3"]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_the_mean_over_all_orders_is_the_shapley_value(seed: int) -> None:
    model = softmax3(seed, 3)
    X = normal(12, 3, seed)
    orders = [xk.break_down(model, X, X[:1], target="b", order=list(o)) for o in permutations("012")]
    mean = np.mean([o.contributions[0] for o in orders], 0)
    exact = xk.explain(model, X[:1], "exact-shapley", target="b", baseline=X, score="probability")
    assert_allclose(mean, exact.part_values[0], atol=2e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_an_additive_model_has_one_answer(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=4)
    model = of(lambda x: x @ weights + 3, 4)
    X = normal(20, 4, seed)
    expected = weights * (X[0] - X.mean(0, dtype=np.float64))
    for interactions in (False, True):
        found = xk.break_down(model, X, X[0], interactions=interactions)
        assert_allclose(_singles(found, 4), expected, atol=3e-6)
    for method in ("exact-shapley", "kernel-shap", "permutation-shap"):
        other = xk.explain(model, X[:1], method, baseline=X)
        assert_allclose(other.part_values[0], expected, atol=2e-5)


def _singles(found: Any, count: int) -> Any:
    """Spread the contribution of a pair that rounding has made (of an additive model it is nothing of its own)."""
    if any(":" in found.variables[i] for i in found.order[0] if i >= 0):
        return found.singles[0]
    return found.contributions[0, :count]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_axioms(seed: int) -> None:
    rng = np.random.default_rng(seed)
    X = normal(10, 3, seed)
    X[:, 1] = X[rng.permutation(10), 0]
    f = of(lambda x: np.tanh(x[:, 0] * x[:, 1]), 3)
    shapley = xk.explain(f, X[:1], "exact-shapley", baseline=X).part_values[0]
    broken = xk.break_down(f, X, X[0])
    assert_allclose([shapley[2], broken.contributions[0, 2]], 0, atol=1e-7)  # dummy
    assert_allclose(shapley.sum(), broken.prediction[0] - broken.intercept[0], atol=1e-6)  # local accuracy
    both = np.repeat(X[:, :1], 2, 1)
    same = xk.explain(product(), both[:1], "exact-shapley", baseline=both).part_values[0]
    assert_allclose(same[0], same[1], atol=1e-6)  # symmetry
    g = of(lambda x: x[:, 2] * x[:, 0], 3)
    h = of(lambda x: np.tanh(x[:, 0] * x[:, 1]) + x[:, 2] * x[:, 0], 3)
    apart = [xk.break_down(m, X, X[0], order=["2", "0", "1"]).contributions for m in (f, g, h)]
    assert_allclose(apart[0] + apart[1], apart[2], atol=1e-6)  # additivity, in one order


def test_a_product_against_nothing() -> None:
    shapley = xk.explain(product(), np.array([[2.0, 3.0]]), "exact-shapley", baseline=np.zeros((1, 2)))
    assert_allclose(shapley.part_values[0], [3, 3], atol=1e-6)
    pair = xk.break_down(product(), np.zeros((1, 2)), [[2.0, 3.0]], interactions=True)
    assert pair.path() == [("0:1", "2, 3", 6.0)]
    assert pair.contributions.tolist() == [[0.0, 0.0, 6.0]]
    alone = xk.break_down(product(), np.zeros((1, 2)), [[2.0, 3.0]])
    assert_allclose(sorted(alone.contributions[0]), [0, 6])


def test_interactions_are_interventional() -> None:
    """The table of men in Biecek and Burzykowski (2021), section 7.2: E over the marginal, not within the subgroup."""
    counts = {(1, 1): (11, 12), (0, 1): (13, 166), (1, 0): (22, 69), (0, 0): (306, 1469)}
    X = np.array([key for key, (_, n) in counts.items() for _ in range(n)], float)
    share = np.array([[306 / 1469, 13 / 166], [22 / 69, 11 / 12]])
    model = of(lambda x: share[x[:, 0].astype(int), x[:, 1].astype(int)])
    found = xk.break_down(model, X, [[1.0, 1.0]], interactions=True)
    assert_allclose(found.intercept[0], 0.205128, atol=5e-7)
    assert_allclose(found.singles[0] + found.intercept[0], [0.380853, 0.117886], atol=5e-7)
    beyond = found.prediction[0] - found.intercept[0] - found.singles[0].sum()
    assert_allclose(beyond, 0.623056, atol=5e-7)  # conditional proportions would give 0.579556
    assert found.path()[0][0] == "0:1"


def test_an_additive_model_has_no_pairs() -> None:
    model = of(lambda x: 3 * x[:, 0] + 2 * x[:, 1] + x[:, 2], 3)  # whole numbers: exact
    found = xk.break_down(model, np.zeros((4, 3)), [[1.0, 1.0, 1.0]], interactions=True)
    assert found.path() == [("0", "1", 3.0), ("1", "1", 2.0), ("2", "1", 1.0)]


def test_larger_effects_come_first_whatever_their_sign() -> None:
    model = of(lambda x: -5 * x[:, 0] + x[:, 1], 2)
    found = xk.break_down(model, np.zeros((1, 2)), [[1.0, 1.0]])
    assert [name for name, _, _ in found.path()] == ["0", "1"]
    assert found.path() == [("0", "1", -5.0), ("1", "1", 1.0)]


def test_several_rows_are_those_alone() -> None:
    model, X = softmax3(), normal(30, 4)
    several = xk.break_down(model, X, X[:4], interactions=True)
    for i in range(4):
        alone = xk.break_down(model, X, X[i], interactions=True)
        assert {n: c for n, _, c in alone.path()} == pytest.approx({n: c for n, _, c in several.path(i)}, abs=1e-6)
        assert alone.targets[0] == several.targets[i]
    assert len(set(several.targets)) > 1
    assert several.of("a").shape == several.contributions.shape


def test_model_calls_are_counted() -> None:
    model, X = softmax3(), normal(30, 4)
    assert xk.break_down(model, X, X[0]).origin.model_calls == 1 + 30 * (1 + 4 + 3)


def test_windows_of_a_series_and_the_rest() -> None:
    model = xk.wrap(lambda x: np.asarray(x).sum((1, 2)), inputs=xk.Series(8, 2), outputs=xk.Values(["sum"]))
    X = np.random.default_rng(0).normal(size=(5, 8, 2))
    found = xk.break_down(model, X, X[0], variables={"windows": 4})
    assert_allclose(found.contributions[0], (X[0] - X.mean(0)).reshape(4, 4).sum(1), atol=1e-5)
    some = xk.break_down(model, X, X[0], variables={"first": np.arange(16).reshape(8, 2) < 4})
    assert some.variables == ("first", "everything else")
    assert_allclose(some.contributions.sum(1) + some.intercept, some.prediction, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"target": "d"}, TargetError, "no output"),
        ({"order": ["4"]}, UnknownName, "variable"),
        ({"order": ["0", "0:1"]}, ParameterError, "twice"),
        ({"order": "0"}, ParameterError, "one string"),
        ({"score": "loggit"}, ParameterError, "score"),
        ({"x": np.array([[1.0, np.inf, 0, 0]])}, InputError, "infinite"),
        ({"X": np.empty((0, 4))}, InputError, "no sample|no row|empty"),
        ({"interactions": True, "preference": 0}, ParameterError, "preference"),
    ],
)
def test_bad_input(change: dict[str, Any], error: type[Exception], match: str) -> None:
    asked: dict[str, Any] = {"X": normal(5, 4), "x": normal(1, 4), **change}
    with pytest.raises(error, match=match):
        xk.break_down(softmax3(), **asked)


def test_several_values_need_a_target() -> None:
    two = of(lambda x: x, 2, ("left", "right"))
    with pytest.raises(TargetError, match="left, right"):
        xk.break_down(two, np.zeros((2, 2)), [[1.0, 2.0]])
    found = xk.break_down(two, np.zeros((2, 2)), [[1.0, 2.0]], target="right")
    assert found.contributions.tolist() == [[0.0, 2.0]]


def test_networks_with_several_heads() -> None:
    def heads(x: Any) -> Any:
        e = np.exp(np.stack([x[:, 0], x[:, 1]], 1))
        return {"kind": e / e.sum(1, keepdims=True), "size": x[:, 0] + 2 * x[:, 1]}

    spec = {"kind": xk.Classes(["a", "b"], form="softmax"), "size": xk.Values(["cm"])}
    model = xk.wrap(heads, inputs=xk.Array((2,)), outputs=spec)
    X = normal(10, 2)
    found = xk.break_down(model, X, X[0], target=xk.At("size"))
    assert_allclose(found.contributions[0], [1, 2] * (X[0] - X.mean(0)), atol=1e-6)
    kind = xk.break_down(model, X, X[:2], target=xk.At("kind", index="b"))
    assert_allclose(kind.prediction, model.run(X[:2]).output["kind"][:, 1], atol=1e-6)
    slope = np.diff(xk.profile(model, X, "1", grid=[0.0, 1.0], target=xk.At("size")).values[0])
    assert_allclose(slope, 2, atol=1e-6)
    with pytest.raises(TargetError, match="has the outputs"):
        xk.break_down(model, X, X[0])
    with pytest.raises(TargetError, match="choose one"):
        xk.importance(model, X, np.zeros(10))


def test_steps_of_a_forecast() -> None:
    model = xk.wrap(
        lambda x: np.cumsum(x[:, :2], 1)[..., None], inputs=xk.Array((2,)), outputs=xk.Values(["y"])
    )  # (row, step, value)
    X = normal(10, 2)
    last = xk.break_down(model, X, X[0], target=xk.At(step=1))
    assert_allclose(last.contributions[0], X[0] - X.mean(0), atol=1e-6)
    with pytest.raises(TargetError, match="step"):
        xk.break_down(model, X, X[0])


# ---------------------------------------------------------------- published numbers


NUMBERS = ("construction_year", "surface", "floor", "no_rooms")
DISTRICTS = ["Bemowo", "Bielany", "Mokotow", "Ochota", "Praga", "Srodmiescie", "Ursus", "Ursynow", "Wola", "Zoliborz"]


def apartments() -> tuple[Any, list[dict[str, Any]], list[dict[str, Any]], Any]:
    """The linear model of square metre prices, fitted here to the training file, with both files' rows."""
    files = data_file("apartments.csv", "e101f836e4e529ec"), data_file("apartments_test.csv", "0f5c897a61c5cfec")
    both = [_rows(path) for path in files]
    spec = xk.Table({**{n: xk.Number() for n in NUMBERS}, "district": xk.Category(DISTRICTS)})
    train = np.asarray(spec.encode(both[0][0]), np.float64)
    weights = np.linalg.lstsq(np.c_[np.ones(len(train)), train[:, :-1]], both[0][1], rcond=None)[0]
    model = xk.wrap(
        lambda x: np.c_[np.ones(len(x)), np.asarray(x, np.float64)[:, :-1]] @ weights,
        inputs=spec,
        outputs=xk.Values(["m2_price"]),
    )
    return model, both[0][0], both[1][0], both[1][1]


def _rows(path: Any) -> tuple[list[dict[str, Any]], Any]:
    with path.open(newline="") as file:
        read = list(csv.DictReader(file))
    rows = [{**{n: float(r[n]) for n in NUMBERS}, "district": r["district"]} for r in read]
    return rows, np.array([float(r["m2_price"]) for r in read])


@pytest.mark.slow
def test_apartments() -> None:
    model, train, test, price = apartments()
    said = {"district": 1602.355298, "surface": -469.933026, "floor": 245.300487}
    said |= {"no_rooms": -62.002785, "construction_year": -2.546413}
    found = xk.break_down(model, test, test[0])
    assert_allclose([found.intercept[0], found.prediction[0]], [3506.835870, 4820.009432], atol=SINGLE)
    assert [n for n, _, _ in found.path()] == list(said)
    assert_allclose([c for _, _, c in found.path()], list(said.values()), atol=SINGLE)
    other = xk.break_down(model, train, test[0])
    assert_allclose(other.intercept[0], 3487.019, atol=SINGLE)
    assert_allclose(
        [c for _, _, c in other.path()], [1601.386179, -464.900556, 260.941267, -61.877019, -2.559440], atol=SINGLE
    )
    f = model.run(model.inputs.encode(test)).output[:, 0].astype(np.float64)
    expected = {
        "construction_year": 80164.4348,
        "no_rooms": 86723.0264,
        "floor": 241961.9241,
        "surface": 380554.6755,
        "district": 998087.0456,
    }
    e, x = price - f, model.inputs.encode(test).astype(np.float64)
    assert_allclose(np.sqrt((e**2).mean()), 283.0865327, atol=2e-6)
    found = xk.importance(model, test, price, "mse", repeats=10)
    for name, value in expected.items():
        k = found.variables.index(name)
        g = _part(model, x, k)
        exact = (e**2).mean() + 2 * np.cov(e, g, ddof=0)[0, 1] + 2 * g.var()
        assert_allclose(exact, value, rtol=1e-7)
        assert abs(found.losses[k].mean() - value) < 4 * found.deviation[k] / np.sqrt(10) + 1e-9 * value


def _part(model: Any, x: Any, column: int) -> Any:
    """What a column adds to the predictions, up to a constant."""
    own = model.inputs.parts == column
    return model.net(x * own)


def test_titanic() -> None:
    path = data_file("titanic.csv", "c2db9893cacc85bc")
    with path.open(newline="") as file:
        X = np.array([[r["gender"] == "male", float(r["age"]), float(r["fare"])] for r in csv.DictReader(file)])
    w = np.array([-2.1917364158, -0.0076344521, 0.0072690032])
    model = of(lambda x: 1 / (1 + np.exp(-(x @ w + 0.9625670496))), 3)
    johnny = [[1.0, 8.0, 72.0]]
    assert len(X) == 2207
    found = xk.break_down(model, X, johnny)
    assert_allclose([found.intercept[0], found.prediction[0]], [0.3221567739, 0.3171551148], atol=2e-8)
    assert_allclose(found.singles[0], [-0.10725651, 0.02920843, 0.06922851], atol=2e-8)
    assert_allclose(found.contributions[0], [-0.1072565143, 0.0355027756, 0.0667520796], atol=3e-8)
    assert [n for n, _, _ in found.path()] == ["0", "2", "1"]
    shapley = xk.explain(model, np.array(johnny), "exact-shapley", baseline=X).part_values[0]
    assert_allclose(shapley, [-0.1080069172, 0.0321440543, 0.0708612038], atol=3e-8)
    pairs = {("1", "2"): 0.0048956193, ("0", "2"): -0.0024764279, ("0", "1"): 0.0001294209}
    for pair, beyond in pairs.items():
        both = xk.break_down(model, X, johnny, order=[":".join(pair)], interactions=True)
        singles = sum(found.singles[0][int(i)] for i in pair)
        assert_allclose(both.path()[0][2] - singles, beyond, atol=5e-8)


def test_a_preference_lets_pairs_go_first() -> None:
    """What both do beyond each is 1, each alone does 2: the pair is named when it counts for three times as much."""
    model, X = of(lambda x: 2 * x[:, 0] + 2 * x[:, 1] + x[:, 0] * x[:, 1]), np.zeros((1, 2))
    plain = xk.break_down(model, X, np.ones((1, 2)), interactions=True)
    liked = xk.break_down(model, X, np.ones((1, 2)), interactions=True, preference=3.0)
    assert "0:1" not in plain.variables
    assert [n for n, _, _ in liked.path()] == ["0:1"]
