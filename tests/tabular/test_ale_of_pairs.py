"""Accumulated local effects of two columns, of which one or both are categories: closed forms, and sums by hand."""

from itertools import product as pairs
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from xaikit.figures import panels
from xaikit.tabular._ale import _filled

WORTH, PRICE = np.array([1.0, 5.0, 2.0, -1.0]), np.array([0.5, -1.0, 2.0])


def model_of(function: Any) -> Any:
    """A function of a class of four, a class of three and a number, as a model; the classes are numbered in words."""
    spec = xk.Table(
        {"grade": xk.Category(["1", "2", "3", "4"]), "floor": xk.Category(["0", "1", "2"]), "size": xk.Number(10, 2)}
    )

    def said(x: Any) -> Any:
        x = np.asarray(x, np.float64)
        return function(x[:, :4].argmax(1), x[:, 4:7].argmax(1), x[:, 7] * 2 + 10)

    return xk.wrap(said, inputs=spec, outputs=xk.Values(["y"]))


def rows_of(grade: Any, floor: Any, size: Any) -> list[dict[str, Any]]:
    return [
        {"grade": str(g + 1), "floor": str(f), "size": float(s)} for g, f, s in zip(grade, floor, size, strict=True)
    ]


def dependent(seed: int, count: int = 120) -> tuple[Any, Any, Any]:
    """Grades and floors that go with the size, so that columns are anything but independent."""
    rng = np.random.default_rng(seed)
    size = rng.uniform(5, 15, count)
    grade = np.clip(((size - 5) / 2.5 + rng.normal(size=count)).astype(int), 0, 3)
    floor = np.clip((grade + rng.integers(-1, 2, count)) // 2, 0, 2)
    grade[:4], floor[:3] = range(4), range(3)  # each occurs
    return grade, floor, size


def test_a_product_with_a_category_is_the_centred_product() -> None:
    """With the same sizes in each grade the effect is (worth - its mean)(size - its mean), of rows as they are."""
    model = model_of(lambda g, f, s: WORTH[g] * s + 3 * s + 7 * WORTH[g])
    size = np.arange(5.5, 15, 1)  # the middles of the bins
    share = np.array([1, 4, 2, 3])
    design = [(g, s) for g, n in enumerate(share) for s in size for _ in range(n)]
    grade, of_size = (np.array(c) for c in zip(*design, strict=True))
    rows = rows_of(grade, np.zeros(len(grade), int), of_size)
    effect = xk.profile(model, rows, [("grade", "size")], "ale", grid=np.arange(5.0, 16)).only
    centred = WORTH - (share * WORTH).sum() / share.sum()
    assert_allclose(effect.values[0], np.outer(centred, np.arange(5.0, 16) - 10), atol=3e-5)
    assert_array_equal(effect.grid[0], ["1", "2", "3", "4"])
    assert_array_equal(effect.counts, np.outer(share, np.ones(10)))
    assert effect.kinds == ("category", "number")
    assert "order of likeness" in effect.remark
    other = xk.profile(model, rows, [("size", "grade")], "ale", grid=np.arange(5.0, 16)).only
    assert_allclose(other.values[0], effect.values[0].T, atol=1e-6)


def test_a_product_of_categories_is_the_centred_product() -> None:
    """Of independent columns with unequal shares each factor is centred by its own."""
    model = model_of(lambda g, f, s: WORTH[g] * PRICE[f] + WORTH[g] - 4 * PRICE[f])
    one, two = np.array([1, 4, 2, 3]), np.array([2, 1, 3])
    design = [(g, f) for g, f in pairs(range(4), range(3)) for _ in range(one[g] * two[f])]
    grade, floor = (np.array(c) for c in zip(*design, strict=True))
    rows = rows_of(grade, floor, np.full(len(grade), 10.0))
    effect = xk.profile(model, rows, [("grade", "floor")], "ale").only
    factors = WORTH - (one * WORTH).sum() / one.sum(), PRICE - (two * PRICE).sum() / two.sum()
    assert_allclose(effect.values[0], np.outer(*factors), atol=1e-5)
    assert_array_equal(effect.counts, np.outer(one, two))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([("grade", "size"), ("grade", "floor"), ("size", "floor")]))
def test_what_adds_up_has_no_interaction(seed: int, pair: tuple[str, str]) -> None:
    model = model_of(lambda g, f, s: WORTH[g] + PRICE[f] ** 2 + np.sin(s))
    found = xk.profile(model, rows_of(*dependent(seed)), [pair], "ale", grid=5)
    assert_allclose(found.values, 0, atol=2e-5)


def by_hand(f: Any, one: Any, two: Any) -> Any:
    """The effect of two columns of categories in words of numbers, row by row and cell by cell."""
    k1, k2, n = one.max() + 1, two.max() + 1, len(one)
    cells = [[[] for _ in range(k2 - 1)] for _ in range(k1 - 1)]  # type: ignore[var-annotated]
    for i in range(n):
        for a in (one[i] - 1, one[i]):
            for b in (two[i] - 1, two[i]):
                if 0 <= a < k1 - 1 and 0 <= b < k2 - 1:
                    cells[a][b].append(f(a + 1, b + 1) - f(a, b + 1) - f(a + 1, b) + f(a, b))
    g = np.zeros((k1, k2))
    for a in range(1, k1):
        for b in range(1, k2):
            g[a, b] = sum(np.mean(cells[i][j]) for i in range(a) for j in range(b))
    first = np.zeros(k1)
    for a in range(k1 - 1):
        near = (one == a) | (one == a + 1)
        first[a + 1] = first[a] + np.mean([g[a + 1, t] - g[a, t] for t in two[near]])
    second = np.zeros(k2)
    for b in range(k2 - 1):
        near = (two == b) | (two == b + 1)
        second[b + 1] = second[b] + np.mean([g[t, b + 1] - g[t, b] for t in one[near]])
    g = g - first[:, None] - second[None]
    return g - np.mean([g[s, t] for s, t in zip(one, two, strict=True)])


def test_of_columns_that_go_together_the_sums_by_hand() -> None:
    grade, _, size = dependent(3)
    rng = np.random.default_rng(3)
    floor = np.where(rng.uniform(size=len(grade)) < 0.5, np.minimum(grade, 2), rng.integers(0, 3, len(grade)))
    table = rng.normal(size=(4, 3))
    model = model_of(lambda g, f, s: table[g, f])
    effect = xk.profile(model, rows_of(grade, floor, size), [("grade", "floor")], "ale").only
    assert_allclose(effect.values[0], by_hand(lambda a, b: table[a, b], grade, floor), atol=1e-6)


@pytest.mark.parametrize("pair", [("grade", "size"), ("grade", "floor"), ("size", "floor")])
def test_what_is_left_has_no_effect_along_either_column(pair: tuple[str, str]) -> None:
    """The accumulated effect of a surface that has been cleaned of them is zero, and so is its mean over the rows."""
    table = np.random.default_rng(0).normal(size=(4, 3))
    model = model_of(lambda g, f, s: table[g, f] * s**2 + WORTH[g] * s)
    own = dict(zip(("grade", "floor", "size"), dependent(5, 400), strict=True))
    rows = rows_of(*own.values())
    effect = xk.profile(model, rows, [pair], "ale", grid=[5.0, 8.0, 12.0, 15.0]).only
    ends = [
        (own[n], own[n]) if n != "size" else (b := np.digitize(own[n], [8.0, 12.0], right=True), b + 1) for n in pair
    ]
    surface = effect.values[0]
    corners = [surface[i, j] for i, j in pairs(*ends)]
    assert_allclose(np.mean(corners), 0, atol=1e-5)
    for k, name in enumerate(pair):
        along, (low, high) = np.moveaxis(surface, k, 0), ends[1 - k]
        for step in range(len(along) - 1):
            near = np.isin(own[name], [step, step + 1]) if name != "size" else ends[k][0] == step
            gain = along[step + 1] - along[step]
            assert_allclose((gain[low[near]] + gain[high[near]]).mean(), 0, atol=1e-5)


def test_groups_have_surfaces_of_their_own() -> None:
    """Each is that of its rows alone."""
    model = model_of(lambda g, f, s: WORTH[g] * s * (1 + f))
    design = list(pairs(range(4), range(2), np.arange(5.5, 15, 1)))
    rows = rows_of(*(np.array(c) for c in zip(*design, strict=True)))
    found = xk.profile(model, rows, [("grade", "size")], "ale", grid=np.arange(5.0, 16), by="floor").only
    assert found.groups == ("0", "1")
    for k, name in enumerate(found.groups):
        alone = [r for r in rows if r["floor"] == name]
        expected = xk.profile(model, alone, [("grade", "size")], "ale", grid=np.arange(5.0, 16))
        assert_allclose(found.grouped[k], expected.values, atol=1e-5)
    assert_allclose(found.grouped[1], 2 * found.grouped[0], atol=1e-4)


def test_empty_cells_and_a_single_category_are_said() -> None:
    model = model_of(lambda g, f, s: WORTH[g] * s)
    rows = rows_of(np.array([0, 0, 0, 1, 2]), np.zeros(5, int), np.array([5.0, 6.0, 6.0, 9.0, 9.0]))
    found = xk.profile(model, rows, [("grade", "size"), ("floor", "size")], "ale", grid=[5.0, 6.0, 8.0, 9.0])
    said = "1 of 4 cells hold no row and take the nearest one's; categories in an order of likeness"
    assert found["grade × size"].remark == said
    assert found["grade × size"].grouped.shape == (0, *found["grade × size"].values.shape)
    assert np.isfinite(found["grade × size"].values).all()
    assert_allclose(found["floor × size"].values, 0)
    assert "one value alone" in found["floor × size"].remark
    assert found["floor × size"].grid[0].tolist() == ["0"]
    drawn = panels(found)
    assert [p.title for row in drawn.rows for p in row] == ["grade × size", "floor × size"]


def test_an_empty_cell_takes_the_nearest_one_s_difference() -> None:
    one, two = np.array([0.0, 1.0, 2.0, 20.0]), np.arange(3.0)
    cells = np.array([[1.0, 0.0], [4.0, 7.0], [2.0, 0.0]])[..., None]
    filled = _filled(cells, np.array([[1, 0], [1, 2], [3, 0]]), one, two)
    # a twentieth of the range of one to 7, half the range of two to 1; 9.5/20 to 7, half the range of two to 2
    assert_array_equal(filled[..., 0], [[1, 7], [4, 7], [2, 7]])
    filled = _filled(cells, np.array([[1, 0], [0, 0], [0, 0]]), one, two)
    assert_array_equal(filled[..., 0], np.ones((3, 2)))
    assert _filled(cells, np.ones((3, 2), int), one, two) is cells
