"""Profiles: closed forms of partial dependence, ceteris paribus and accumulated local effects, ties and categories."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.tabular.models import normal, of, product, softmax3
from xaikit.errors import InputError, ParameterError, TargetError, UnknownName, UsageError

KNOWN = np.array([-1, -0.71, -0.43, -0.14, 0.14, 0.43, 0.71, 1])
"""The eight points of Biecek and Burzykowski (2021), section 18.3."""


def test_known_effects_of_an_interaction() -> None:
    model, X = of(lambda x: (x[:, 0] + 1) * x[:, 1]), np.stack([KNOWN, KNOWN], 1)
    assert_allclose(xk.profile(model, X, "0").values, 0, atol=1e-7)
    found = xk.profile(model, X, "0", "ale", grid=[-1, -0.5, 0, 0.5, 1])
    assert_allclose(found.values[0], [0.35625, -0.07125, -0.21375, -0.07125, 0.35625], atol=1e-7)
    assert_allclose(np.diff(found.values[0]), [-0.4275, -0.1425, 0.1425, 0.4275], atol=1e-7)
    assert_array_equal(found.only.counts, [2, 2, 2, 2])


def test_slopes_of_columns_that_are_equal() -> None:
    x = np.linspace(0, 1, 50)
    X, model = np.stack([x, x], 1), of(lambda x: x[:, 0] + x[:, 1])
    for kind in ("partial-dependence", "ale"):
        found = xk.profile(model, X, "0", kind)
        assert_allclose(np.diff(found.values[0]) / np.diff(found.grid), 1, atol=1e-4)


def test_ale_of_a_product_of_equal_columns_is_half_the_square() -> None:
    x = np.linspace(0, 1, 2001)
    found = xk.profile(product(), np.stack([x, x], 1), "0", "ale", grid=100)
    expected = found.grid**2 / 2
    assert_allclose(found.values[0] - found.values[0, 0], expected - expected[0], atol=3e-4)
    assert abs(found.values[0].mean() - 0) < 0.01


def test_partial_dependence_is_scikit_learn_s() -> None:
    from sklearn.ensemble import GradientBoostingRegressor
    from sklearn.inspection import partial_dependence

    X = normal(150, 3)
    net = GradientBoostingRegressor(n_estimators=20, random_state=0).fit(X, X[:, 0] * X[:, 1])
    model = xk.wrap(net.predict, inputs=xk.Array((3,)), outputs=xk.Values(["y"]))
    one = partial_dependence(net, X, [0], grid_resolution=15, kind="both", method="brute")
    ours = xk.profile(model, X, "0", "ceteris-paribus", grid=one["grid_values"][0])
    assert_allclose(ours.values[0], one["average"][0], atol=1e-6)
    assert_allclose(ours.curves[:, 0], one["individual"][0], atol=1e-6)
    two = partial_dependence(net, X, [(0, 1)], grid_resolution=6, method="brute", kind="average")
    grid = dict(zip("01", two["grid_values"], strict=True))
    assert_allclose(xk.profile(model, X, [("0", "1")], grid=grid).values[0], two["average"][0], atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12))
def test_ale_of_an_additive_model_is_the_centred_column(seed: int, bins: int) -> None:
    X = np.round(normal(40, 2, seed), 1)  # with ties
    model = of(lambda x: 3 * x[:, 0] - x[:, 1])
    found = xk.profile(model, X, "0", "ale", grid=bins)
    assert (found.only.counts > 0).all()
    assert found.only.counts.sum() == 40
    assert_allclose(np.diff(found.values[0]), 3 * np.diff(found.grid), atol=2e-5)
    middle = (found.values[0, 1:] + found.values[0, :-1]) / 2
    assert_allclose((found.only.counts * middle).sum(), 0, atol=1e-4)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_two_columns_without_interaction_have_none(seed: int) -> None:
    X = normal(80, 2, seed)
    additive = xk.profile(of(lambda x: x[:, 0] ** 2 + np.sin(x[:, 1])), X, [("0", "1")], "ale", grid=5)
    assert_allclose(additive.values, 0, atol=2e-5)


def test_ale_of_two_columns_is_the_centred_product() -> None:
    a = np.linspace(-1, 1, 41)
    X = np.stack(np.meshgrid(a, a), -1).reshape(-1, 2)
    found = xk.profile(
        product(), X, [("0", "1")], "ale", grid={"0": np.linspace(-1, 1, 11), "1": np.linspace(-1, 1, 9)}
    )
    g = found.only.grid
    assert_allclose(found.values[0], np.outer(g[0], g[1]), atol=0.06)  # bins hold one row more at their upper edges
    counts = found.only.counts
    middle = found.values[0, 1:, 1:] + found.values[0, :-1, 1:] + found.values[0, 1:, :-1] + found.values[0, :-1, :-1]
    assert_allclose((counts * middle).sum(), 0, atol=1e-3)


def test_ale_takes_off_lines_that_are_not_there() -> None:
    """Empty bins are merged, a constant column has no effect, rows outside a grid are said to be left out."""
    X = np.array([[0.0, 1], [0.1, 1], [5.0, 1]])
    model = of(lambda x: x[:, 0] + x[:, 1])
    found = xk.profile(model, X, ["0", "1"], "ale", grid=[0, 0.05, 0.2, 1, 2, 6])
    assert_array_equal(found["0"].grid[0], [0, 0.05, 0.2, 6])
    assert_array_equal(found["0"].counts, [1, 1, 1])
    assert "left out" not in found["0"].remark
    still = xk.profile(model, X, "1", "ale")
    assert_allclose(still.values, 0)
    assert still.only.remark == "one value alone: no effect"
    assert still.status == "warn"
    assert "left out" in xk.profile(model, X, "0", "ale", grid=[0, 0.05, 0.2, 1]).only.remark


def test_oscillations() -> None:
    """At (0, 1) of f = x1 x2 the first column matters and the second does not; their chapter 11."""
    X = np.array([[-1.0, -1], [1, 1]])
    found = xk.profile(product(), X, ["0", "1"], "ceteris-paribus", rows=[[0.0, 1.0]], grid=21)
    assert_allclose(found["0"].oscillations[0, 0], np.abs(np.linspace(-1, 1, 21)).mean(), atol=1e-6)
    assert_allclose(found["1"].oscillations[0, 0], 0, atol=1e-7)
    seen = xk.profile(
        product(), np.array([[-1.0, 0], [3, 0], [3, 0]]), "0", "ceteris-paribus", [[0.0, 1.0]], "observed"
    )
    assert_allclose(seen.only.oscillations[0, 0], (1 + 3 + 3) / 3)  # each value as often as it was seen


def table() -> tuple[Any, list[dict[str, Any]]]:
    """A model of a table: what a colour is worth, and twice a length in its own units."""
    worth = np.array([1.0, 5.0, 2.0])
    spec = xk.Table({"colour": xk.Category(["red", "green", "blue"]), "length": xk.Number(mean=10, std=2)})
    model = xk.wrap(lambda x: x[:, :3] @ worth + 2 * (x[:, 3] * 2 + 10), inputs=spec, outputs=xk.Values(["price"]))
    rng = np.random.default_rng(0)
    rows = [{"colour": str(c), "length": float(v)} for c, v in zip(
        rng.choice(["red", "green", "blue"], 30), rng.uniform(5, 15, 30), strict=True)]  # fmt: skip
    return model, rows


def test_categories_and_units() -> None:
    model, rows = table()
    found = xk.profile(model, rows, ["colour", "length", ("colour", "length")])
    assert found["colour"].kinds == ("category",)
    assert_array_equal(found["colour"].grid[0], ["red", "green", "blue"])
    assert_allclose(np.diff(found["colour"].values[0]), [4, -3], atol=1e-5)
    assert found["length"].grid[0][0] == pytest.approx(min(r["length"] for r in rows), abs=1e-5)
    assert_allclose(np.diff(found["length"].values[0]) / np.diff(found["length"].grid[0]), 2, atol=1e-4)
    assert found["colour × length"].values.shape == (1, 3, 20)
    ale = xk.profile(model, rows, "colour", "ale")
    by_name = dict(zip(ale.grid, ale.values[0], strict=True))
    assert_allclose([by_name["green"] - by_name["red"], by_name["blue"] - by_name["red"]], [4, 1], atol=1e-5)
    count = dict(zip(ale.grid, ale.only.counts, strict=True))
    assert_allclose(sum(count[c] * by_name[c] for c in count), 0, atol=1e-4)


def test_categories_that_are_alike_stand_together() -> None:
    from xaikit.tabular._ale import likeness
    from xaikit.tabular._variables import frame_of

    spec = xk.Table({"town": xk.Category(["d", "a", "e", "c", "b"]), "rent": xk.Number()})
    rows = [{"town": t, "rent": 2 * i + 0.7 * k} for i, t in enumerate("abcde") for k in range(10)]  # they overlap
    x = spec.encode(rows)
    frame = frame_of(spec, x)
    order = likeness(frame, x, frame["town"], np.arange(5))
    found = "".join(str(frame["town"].words[i]) for i in order)
    assert found in ("abcde", "edcba")


def test_groups() -> None:
    model, rows = table()
    found = xk.profile(model, rows, "length", by="colour")
    assert set(found.only.groups) == {"red", "green", "blue"}
    level = dict(zip(found.only.groups, found.only.grouped[:, 0, 0], strict=True))
    assert_allclose(level["green"] - level["red"], 4, atol=1e-5)
    X = normal(90, 2)
    thirds = xk.profile(product(), X, "0", by="1")
    assert len(thirds.only.groups) == 3
    slopes = thirds.only.grouped[:, 0, -1] - thirds.only.grouped[:, 0, 0]
    assert slopes[0] < 0 < slopes[2]
    shares = [((X[:, 1] >= 0) == up).mean() for up in (False, True)]
    signs = xk.profile(product(), X, "0", by=X[:, 1] >= 0)
    assert_allclose(np.einsum("g,gok->ok", shares, signs.only.grouped), signs.values, atol=1e-6)
    cut = xk.profile(product(), X, "0", "ale", by="1")
    assert (np.diff(cut.only.grouped[2, 0]) > -1e-6).all()


def test_rows_that_are_drawn_and_all_classes() -> None:
    model, X = softmax3(), normal(60, 4)
    found = xk.profile(model, X, "0", rows=10, seed=1)
    assert found.rows == 10
    assert found.outputs == ("a", "b", "c")
    assert_allclose(found.values.sum(0), 1, atol=1e-6)
    assert found.origin.model_calls == 10 * 20 + 10
    assert xk.profile(model, X, "0", target="b").outputs == ("b",)
    assert_allclose(xk.profile(model, X, "0", target="b").values[0], xk.profile(model, X, "0").values[1], atol=1e-6)


def test_levels_and_amplitudes_of_series() -> None:
    spec = xk.Series(64, 2, rate=32.0)
    mean = xk.wrap(lambda x: np.asarray(x)[:, :32, 0].mean(1), inputs=spec, outputs=xk.Values(["level"]))
    X = np.random.default_rng(0).normal(size=(9, 64, 2))
    found = xk.profile(mean, X, "0 s–1 s", variables={"windows": 2}, grid=[0.0, 1.0])
    assert_allclose(np.diff(found.values[0]), 1, atol=1e-5)  # all of both channels is shifted so that the mean is one
    power = xk.wrap(
        lambda x: np.sqrt((np.asarray(x, np.float64) ** 2).mean(1)), inputs=spec, outputs=xk.Values(["l", "r"])
    )
    waves = np.sin(2 * np.pi * 10 * np.arange(64) / 32)[None, :, None] * np.ones((3, 1, 2))
    alpha = xk.profile(power, waves, "alpha", variables={"bands": {"alpha": (8, 13)}}, grid=[0.0, 1.0, 2.0])
    assert_allclose(alpha.values[:, 0], 0, atol=1e-6)
    assert_allclose(alpha.values[:, 2], 2 * alpha.values[:, 1], rtol=1e-5)
    assert_allclose((alpha.values**2).sum(0), [0, 1, 4], atol=1e-5)  # root mean square of both channels together


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"kind": "pdp"}, UnknownName, "partial-dependence"),
        ({"columns": "2"}, UnknownName, "variable"),
        ({"columns": []}, ParameterError, "columns"),
        ({"columns": [("0", "0")]}, ParameterError, "two different"),
        ({"grid": 1}, ParameterError, "grid"),
        ({"grid": "seen"}, ParameterError, "observed"),
        ({"grid": [np.nan]}, ParameterError, "not finite"),
        ({"spacing": "log"}, ParameterError, "spacing"),
        ({"rows": 0}, ParameterError, "rows"),
        ({"kind": "ale", "rows": [[0.0, 1.0]]}, ParameterError, "number of them"),
        ({"by": [1, 2]}, InputError, "one label for each"),
        ({"target": "z"}, TargetError, "no output"),
        ({"X": [[np.nan, 1.0]]}, InputError, "NaN"),
    ],
)
def test_bad_input(change: dict[str, Any], error: type[Exception], match: str) -> None:
    asked: dict[str, Any] = {"X": normal(10, 2), "columns": "0", **change}
    with pytest.raises(error, match=match):
        xk.profile(product(), **asked)


def test_one_profile_alone_has_shorthands() -> None:
    found = xk.profile(product(), normal(5, 2), ["0", "1"])
    with pytest.raises(UsageError, match="choose one of 0, 1"):
        found.values  # noqa: B018
    with pytest.raises(UnknownName, match="profile"):
        found["2"]
    assert [e.name for e in found] == ["0", "1"]


def test_numbers_are_cut_at_their_thirds() -> None:
    from xaikit.tabular._profile import grouped

    found = grouped(np.arange(9.0)[::-1])
    assert [sorted(rows.tolist()) for rows in found.values()] == [[6, 7, 8], [3, 4, 5], [0, 1, 2]]
