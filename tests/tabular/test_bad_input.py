"""What is wrong with rows, truths and targets is told in a line by every function, and columns are found by name."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import xaikit as xk
from xaikit.errors import InputError, TargetError, XaikitError

pandas = pytest.importorskip("pandas")
SPEC = xk.Table({"age": xk.Number(40, 10), "home": xk.Category(["own", "rent"]), "sum": xk.Number(2000, 500)})


def classes(x: Any) -> Any:
    p = 1 / (1 + np.exp(-(x[:, 0] + x[:, 1] - 2 * x[:, 2] * x[:, 3])))
    return np.stack([1 - p, p], 1)


MODEL = xk.wrap(classes, inputs=SPEC, outputs=xk.Classes(["bad", "good"], form="softmax"))
RNG = np.random.default_rng(0)
ROWS = [
    {"age": float(a), "home": str(h), "sum": float(s)}
    for a, h, s in zip(
        RNG.uniform(20, 70, 40), RNG.choice(["own", "rent"], 40), RNG.uniform(500, 5000, 40), strict=True
    )
]
Y = RNG.integers(0, 2, 40)
ASKED: dict[str, Callable[[Any], Any]] = {
    "importance": lambda X: xk.importance(MODEL, X, Y[: len(X)], repeats=2),
    "break_down": lambda X: xk.break_down(MODEL, X, ROWS[0]),
    "profile": lambda X: xk.profile(MODEL, X, ["age", ("home", "age")]),
    "ale": lambda X: xk.profile(MODEL, X, ["age", "home", ("home", "age")], "ale"),
    "what_if": lambda X: xk.what_if(MODEL, X, ROWS[0], {"age": 30}),
    "counterfactuals": lambda X: xk.counterfactuals(MODEL, X, ROWS[0], "good"),
    "fairness": lambda X: xk.fairness(MODEL, X, Y[: len(X)], "home"),
}


def with_value(column: str, value: Any) -> list[dict[str, Any]]:
    return [{**ROWS[0], column: value}, *ROWS[1:]]


WRONG = {
    "a missing column": ([{k: v for k, v in r.items() if k != "age"} for r in ROWS], "lacks 'age'"),
    "an unknown column": ([{**r, "agee": 1.0} for r in ROWS], "unknown 'agee'"),
    "an unseen category": (with_value("home", "tent"), "no category 'tent'"),
    "NaN": (with_value("age", float("nan")), "'age' is nan"),
    "infinity": (with_value("age", float("inf")), "'age' is inf"),
    "nothing": (with_value("age", None), "'age' takes numbers, not None"),
    "text": (with_value("age", "old"), "'age' takes numbers, not 'old'"),
    "no rows": ([], "empty"),
}


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("form", [list, pandas.DataFrame])
def test_wrong_rows_are_told_in_a_line(name: str, wrong: str, form: Any) -> None:
    rows, said = WRONG[wrong]
    if form is not list:  # a frame makes NaN of nothing, and without rows it has no columns
        said = {"nothing": "'age' is nan", "no rows": "empty"}.get(wrong, said)
        rows = rows or {name: [] for name in SPEC.names}  # type: ignore[assignment]
    with pytest.raises(InputError, match=said) as error:
        ASKED[name](form(rows))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ASKED)
def test_a_column_twice(name: str) -> None:
    frame = pandas.DataFrame(ROWS)
    with pytest.raises(InputError, match="'age' more than once"):
        ASKED[name](pandas.concat([frame, frame[["age"]]], axis=1))


@pytest.mark.parametrize("name", ASKED)
def test_columns_in_any_order_are_found_by_name(name: str) -> None:
    """A frame with its columns the other way round, and mappings, give what the rows as they are give."""
    frame, turned = pandas.DataFrame(ROWS), [dict(reversed(list(r.items()))) for r in ROWS]
    plain, *others = (ASKED[name](X) for X in (ROWS, frame, frame[["sum", "home", "age"]], turned))
    for other in others:
        for one, two in zip(numbers(plain), numbers(other), strict=True):
            assert_allclose(one, two, atol=1e-6)


def numbers(found: Any) -> list[Any]:
    """What a result says, as arrays."""
    if hasattr(found, "effects"):
        return [e.values for e in found]
    fields = ("losses", "contributions", "after", "scores", "values")
    said = [getattr(found, f, None) for f in fields]
    arrays = [a for a in said if isinstance(a, np.ndarray)]
    assert arrays
    return arrays


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("rows", [ROWS[:1], [{**r, "age": 30.0} for r in ROWS]], ids=["one row", "a constant column"])
def test_little_data_gives_a_result_that_says_so(name: str, rows: Any) -> None:
    found = ASKED[name](rows)
    if name in ("importance", "profile", "ale"):
        assert found.status == "warn"
        assert "the same in all rows: age" in "; ".join(found.status.reasons)
    assert found.status != "fail"


@pytest.mark.parametrize("ask", [xk.importance, lambda m, X, y: xk.fairness(m, X, y, "home")])
@pytest.mark.parametrize(
    ("y", "said"),
    [
        (Y + 5, "no output 5"),
        (["good"] * 39 + ["bd"], "did you mean 'bad'"),
        (Y * 0.5, "no class indices"),
        (Y[:9], "for 40 rows"),
        (None, "for 40 rows"),
        (np.full(40, np.nan), "no class indices"),
        (np.zeros((40, 2)), "one class for every row"),
    ],
)
def test_wrong_truths(ask: Any, y: Any, said: str) -> None:
    with pytest.raises(XaikitError, match=said) as error:
        ask(MODEL, ROWS, y)
    assert "\n" not in str(error.value)


def test_labels_of_one_class() -> None:
    zeros = np.zeros(40, int)
    assert "one class alone" in "; ".join(xk.importance(MODEL, ROWS, zeros).status.reasons)
    area = xk.importance(MODEL, ROWS, zeros, "1-auc")
    assert area.status == "fail"
    assert "one class alone" in "; ".join(area.status.reasons)
    split = xk.fairness(MODEL, ROWS, zeros, "home")
    assert split.status == "warn"
    assert np.isnan(split.of("AUC")["own"][0])


@pytest.mark.parametrize(
    "ask",
    [
        lambda t: xk.break_down(MODEL, ROWS, ROWS[0], t),
        lambda t: xk.profile(MODEL, ROWS, "age", target=t),
        lambda t: xk.what_if(MODEL, ROWS, ROWS[0], {"age": 3}, t),
        lambda t: xk.counterfactuals(MODEL, ROWS, ROWS[0], t),
        lambda t: xk.fairness(MODEL, ROWS, Y, "home", t),
        lambda t: xk.fairness(MODEL, ROWS, Y, "home", target=t),
    ],
)
def test_unknown_targets(ask: Any) -> None:
    for target in ("god", 7, 1.5):
        with pytest.raises(TargetError):
            ask(target)


def test_one_output_has_no_name() -> None:
    with pytest.raises(TargetError, match="one output: leave output='risk' out"):
        xk.importance(MODEL, ROWS, Y, target=xk.At(output="risk"))
    good = xk.break_down(MODEL, ROWS, ROWS[0], xk.At(index="good"))
    assert_allclose(good.contributions, xk.break_down(MODEL, ROWS, ROWS[0], "good").contributions)
    assert xk.fairness(MODEL, ROWS, Y, "home", target=xk.At(index="bad")).positive == "bad"


def test_a_number_that_came_as_text_names_the_number() -> None:
    column = xk.Category([0, 1, 2])
    with pytest.raises(InputError, match="no category '2'; it has 2"):
        column.to_network("2", "job")
