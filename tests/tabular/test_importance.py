"""Permutation importance: the exact expectation over all permutations, scikit-learn's numbers, and what it refuses."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import log_loss, roc_auc_score

import xaikit as xk
from tests.tabular.models import normal, of, product, softmax3
from xaikit.errors import InputError, NotSupported, ParameterError, UnknownName, UsageError


def shifts(n: int) -> Any:
    """All cyclic shifts: every row gets every value once, as over all permutations, which a mean over rows cannot tell
    apart."""
    return (np.arange(n)[None] + np.arange(n)[:, None]) % n


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 25))
def test_the_expected_loss_of_an_additive_part_is_exact(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3)).astype(np.float32)
    y = rng.normal(size=n)
    model = of(lambda x: np.sin(x[:, 0]) + x[:, 1] * x[:, 2], 3)
    found = xk.importance(model, X, y, "mse", variables=["0"], permutations=shifts(n), progress=False)
    g = np.sin(X[:, 0].astype(np.float64))
    e = y - (g + X[:, 1].astype(np.float64) * X[:, 2])
    expected = (e**2).mean() + 2 * np.cov(e, g, ddof=0)[0, 1] + 2 * g.var()
    assert_allclose(found.losses.mean(), expected, rtol=2e-6)  # outputs are float32


def test_scikit_learn_on_the_same_permutations() -> None:
    from sklearn.inspection import permutation_importance
    from sklearn.linear_model import LinearRegression

    X = normal(200, 4)
    y = X @ [3, 2, 1, 0] + normal(200, 1, 1)[:, 0]
    fitted = LinearRegression().fit(X, y)
    theirs = permutation_importance(
        fitted, X, y, n_repeats=5, random_state=0, scoring="neg_root_mean_squared_error"
    ).importances
    seed = np.random.RandomState(0).randint(np.iinfo(np.int32).max + 1)
    rng, order, drawn = np.random.RandomState(seed), np.arange(200), [np.arange(200)]
    for _ in range(5):
        rng.shuffle(order)
        drawn.append(drawn[-1][order])
    model = xk.wrap(fitted.predict, inputs=xk.Array((4,)), outputs=xk.Values(["y"]))
    ours = xk.importance(model, X, y, permutations=np.stack(drawn[1:]))
    assert_allclose(ours.differences, theirs, atol=2e-6)
    assert ours.order[0] == 0
    assert ours.order[-1] == 3


def test_losses_are_those_of_scikit_learn() -> None:
    model, X = softmax3(), normal(120, 4)
    p = model.run(X).output.astype(np.float64)
    p /= p.sum(1, keepdims=True)  # which float32 leaves a little off one
    y = np.random.default_rng(3).integers(0, 3, 120)
    assert_allclose(xk.importance(model, X, y, repeats=1).baseline, log_loss(y, p), rtol=1e-6)
    area = roc_auc_score(y, p, multi_class="ovr")
    assert_allclose(xk.importance(model, X, y, "1-auc", repeats=1).baseline, 1 - area, rtol=1e-6)
    assert_allclose(
        xk.importance(model, X, y, lambda t, q: log_loss(t, q / q.sum(1, keepdims=True)), repeats=1).baseline,
        log_loss(y, p),
        rtol=1e-6,
    )
    assert_allclose(xk.importance(model, X, y, "1-accuracy", repeats=1).baseline, (p.argmax(1) != y).mean())


def test_an_area_with_ties_counts_them_half() -> None:
    from xaikit.tabular._losses import auc

    y, s = np.array([0, 1, 0, 1, 1, 0]), np.array([0.1, 0.1, 0.4, 0.4, 0.9, 0.1])
    assert_allclose(auc(y == 1, s), roc_auc_score(y, s))


def test_all_repeats_are_kept_and_no_other_variable_changes_them() -> None:
    model, X = product(), normal(50, 2)
    y = X[:, 0] * X[:, 1]
    both = xk.importance(model, X, y, repeats=7, seed=3)
    assert both.losses.shape == (2, 7)
    assert both.reference.shape == (7,)
    alone = xk.importance(model, X, y, repeats=7, seed=3, variables=["1"])
    assert_array_equal(alone.losses[0], both.losses[1])
    assert_allclose(both.baseline, 0, atol=1e-7)
    assert_allclose(both.ratio[0], both.losses[0].mean() / both.baseline if both.baseline else np.inf)
    assert both.origin.seed == 3
    assert both.origin.model_calls == 50 * (1 + 2 * 7)
    assert not np.array_equal(xk.importance(model, X, y, repeats=7, seed=4).losses, both.losses)


def test_by_class_and_by_output() -> None:
    X = normal(90, 3)
    two = of(lambda x: np.stack([x[:, 0], 10 * x[:, 1]], 1), 3, ("small", "large"))
    y = two.run(X).output
    found = xk.importance(two, X, y)
    assert found.outputs == ("small", "large")
    assert_allclose(found.losses, found.by_output.mean(0))  # the RMSE of both is the mean of the two
    assert_allclose(found.of("small")[1:], 0, atol=1e-6)
    assert found.of("large")[1] > 5
    model = softmax3()
    X = normal(90, 4)
    y = model.run(X).output.argmax(1)
    classes = xk.importance(model, X, y)
    share = np.bincount(y, minlength=3) / 90
    assert_allclose(classes.losses, np.einsum("k,kvr->vr", share, classes.by_output), rtol=1e-6)
    with pytest.raises(UnknownName, match="did you mean"):
        found.of("smal")


def test_groups_are_shuffled_together() -> None:
    X = normal(60, 3)
    X[:, 1] = X[:, 0]
    model = of(lambda x: x[:, 0] - x[:, 1] + x[:, 2], 3)
    y = X[:, 2]
    single = xk.importance(model, X, y)
    together = xk.importance(model, X, y, groups={"twins": ["0", "1"]})
    assert together.variables == ("twins", "2")
    assert together.members["twins"] == ("0", "1")
    assert_allclose(together.difference[0], 0, atol=1e-6)  # their difference stays zero
    assert single.difference[0] > 0.5


def test_names_of_classes_and_one_column_of_them() -> None:
    model, X = softmax3(), normal(40, 4)
    k = model.run(X).output.argmax(1)
    names = np.array(["a", "b", "c"])[k]
    assert_array_equal(xk.importance(model, X, names).losses, xk.importance(model, X, k[:, None]).losses)


def test_what_cannot_be_measured_is_flagged() -> None:
    model, X = softmax3(), normal(40, 4)
    X[:, 2] = 1.0
    y = np.zeros(40, int)
    found = xk.importance(model, X, y, repeats=1)
    assert found.status == "warn"
    said = " ".join(found.status.reasons)
    assert "one class alone" in said
    assert "the same in all rows: 2" in said
    assert "one repeat" in said
    assert_allclose(found.difference[2], 0, atol=1e-12)
    area = xk.importance(model, X, y, "1-auc")
    assert area.status == "fail"  # there is no area without a second class


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"y": np.zeros(3)}, InputError, "one entry for every row"),
        ({"y": np.full(20, np.nan)}, InputError, "NaN"),
        ({"y": np.array(["x"] * 20)}, InputError, "must hold numbers"),
        ({"X": np.full((20, 2), np.nan)}, InputError, "NaN"),
        ({"X": np.empty((0, 2))}, InputError, "no sample|no row|empty"),
        ({"X": np.zeros((20, 3))}, InputError, "shape"),
        ({"loss": "rsme"}, UnknownName, "rmse"),
        ({"loss": 3}, ParameterError, "loss"),
        ({"repeats": 0}, ParameterError, "repeats"),
        ({"seed": -1}, ParameterError, "seed"),
        ({"variables": ["2"]}, UnknownName, "variable"),
        ({"variables": {"none": []}}, ParameterError, "no members"),
        ({"variables": "bands"}, ParameterError, "time, channel"),
        ({"permutations": np.zeros((2, 20), int)}, ParameterError, "orders of the 20 rows"),
    ],
)
def test_bad_input(change: dict[str, Any], error: type[Exception], match: str) -> None:
    asked: dict[str, Any] = {"X": normal(20, 2), "y": np.zeros(20), **change}
    with pytest.raises(error, match=match):
        xk.importance(product(), **asked)


def test_what_is_no_model_or_has_several_inputs() -> None:
    with pytest.raises(UsageError, match="wrapped model"):
        xk.importance(lambda x: x, normal(4, 2), np.zeros(4))  # type: ignore[arg-type]
    two = xk.wrap(
        lambda x: x["a"] + x["b"], inputs={"a": xk.Array((1,)), "b": xk.Array((1,))}, outputs=xk.Values(["y"])
    )
    with pytest.raises(NotSupported, match="one input"):
        xk.importance(two, {"a": np.zeros((3, 1)), "b": np.zeros((3, 1))}, np.zeros(3))


# ---------------------------------------------------------------- series


def series(rate: float | None = 100.0) -> Any:
    """A model that looks at the second channel's last half alone."""
    return xk.wrap(
        lambda x: np.asarray(x)[:, 50:, 1].mean(1),
        inputs=xk.Series(100, 3, rate=rate),
        outputs=xk.Values(["level"]),
    )


def test_channels_and_windows() -> None:
    X = np.random.default_rng(0).normal(size=(60, 100, 3)) + np.random.default_rng(1).normal(size=(60, 1, 3))
    model = series()
    y = model.run(model.inputs.encode(X)).output
    channels = xk.importance(model, X, y)
    assert channels.variables == ("channel 0", "channel 1", "channel 2")
    assert_allclose(channels.difference[[0, 2]], 0, atol=1e-7)
    assert channels.difference[1] > 0.5
    windows = xk.importance(model, X, y, variables={"windows": 4})
    assert_allclose(windows.difference[:2], 0, atol=1e-7)
    assert (windows.difference[2:] > 0.05).all()
    both = xk.importance(model, X, y, variables={"channel-windows": 2})
    assert set(np.flatnonzero(both.difference > 0.01)) == {3}
    assert both.variables[3] == "channel 1, 0.5 s–1 s"


def test_bands() -> None:
    time = np.arange(200) / 100
    rng = np.random.default_rng(0)
    size = rng.uniform(1, 3, size=(40, 2))
    X = size[:, :1] * np.sin(2 * np.pi * 10 * time) + size[:, 1:] * np.sin(2 * np.pi * 25 * time)

    def alpha(x: Any) -> Any:
        waves = np.fft.rfft(np.asarray(x, np.float64)[..., 0], axis=1)
        return np.abs(waves[:, 20])[:, None] / 100  # 10 Hz of 200 steps at 100 a second

    model = xk.wrap(alpha, inputs=xk.Series(200, 1, rate=100.0), outputs=xk.Values(["alpha"]))
    found = xk.importance(model, X[..., None], size[:, 0], variables="bands")
    by_name = dict(zip(found.variables, found.difference, strict=True))
    assert by_name["alpha"] > 0.3
    assert max(abs(v) for n, v in by_name.items() if n != "alpha") < 1e-5
    with pytest.raises(ParameterError, match="rate"):
        xk.importance(series(None), np.zeros((4, 100, 3)), np.zeros(4), variables="bands")


def test_every_repeat_has_a_permutation_of_its_own() -> None:
    X = normal(40, 2)
    found = xk.importance(product(), X, X[:, 0] * X[:, 1] + 0.1, repeats=6)
    assert len(np.unique(found.losses[0])) == 6
    assert len(np.unique(found.reference)) == 6
    assert (found.deviation > 0).all()


def test_a_model_that_knows_nothing_is_said_to() -> None:
    X = normal(40, 2)
    y = X[:, 0] * X[:, 1]
    assert xk.importance(product(), X, y + 0.1).status == "ok"
    against = xk.importance(product(), X, -y)
    assert against.status == "warn"
    assert "no better than with y shuffled" in against.status.reasons[0]


def test_areas_by_class_are_those_against_the_rest() -> None:
    from sklearn.metrics import roc_auc_score

    model, X = softmax3(), normal(50, 4)
    p = model.run(X).output
    y = (p + np.random.default_rng(0).gumbel(size=p.shape) / 3).argmax(1)
    found = xk.importance(model, X, y, "1-auc", repeats=2)
    expected = [1 - roc_auc_score(y == k, p[:, k]) for k in range(3)]
    assert_allclose(found.baseline_by_output, expected, atol=1e-9)
    assert_allclose(found.baseline, np.mean(expected), atol=1e-9)


def test_the_share_that_is_not_explained() -> None:
    from sklearn.metrics import r2_score

    from xaikit.tabular._losses import one_minus_r2

    y, f = np.random.default_rng(0).normal(size=(2, 30, 2))
    f += 2
    assert_allclose(one_minus_r2(y, f), 1 - r2_score(y, f), rtol=1e-12)


@pytest.mark.parametrize(
    ("rate", "count", "first"),
    [(256.0, 10, "0 s–0.102 s"), (1 / 1800, 4, "0 s–115200 s"), (1000.0, 256, "0 s–0.001 s"), (None, 4, "0–64")],
)
def test_windows_are_named_by_times_that_differ(rate: float | None, count: int, first: str) -> None:
    model = xk.wrap(lambda x: x.mean((1, 2)), inputs=xk.Series(256, 1, rate), outputs=xk.Values(["y"]))
    found = xk.importance(model, normal(8, 256)[..., None], np.zeros(8), repeats=1, variables={"windows": count})
    assert len(set(found.variables)) == count
    assert found.variables[0] == first


def test_windows_far_from_the_start_keep_their_digits() -> None:
    model = xk.wrap(lambda x: x.mean((1, 2)), inputs=xk.Series(2048, 1, 256.0), outputs=xk.Values(["y"]))
    found = xk.importance(model, normal(3, 2048)[..., None], np.zeros(3), repeats=1, variables={"windows": 2048})
    assert found.variables[-1] == "7.99609 s–8 s"
