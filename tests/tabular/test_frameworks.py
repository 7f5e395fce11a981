"""The same table functions on the same network in PyTorch, in Keras, and as a function of scikit-learn."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk

pytestmark = pytest.mark.slow  # starts TensorFlow
CLOSE = {"atol": 1e-5, "rtol": 1e-4}
"""Both frameworks work in float32, on sums of different order; of large numbers to this share of the largest."""


def loaded(name: str, framework: str) -> Any:
    pytest.importorskip({"torch": "torch", "keras": "keras"}[framework])
    if xk.zoo.card(name).trained is None:
        pytest.skip(f"there are no trained weights of {name}")
    return xk.zoo.load(name, framework)


def in_sklearn(model: Any) -> Any:
    """The network of applicants as the classifier of scikit-learn that has its weights."""
    from sklearn.neural_network import MLPClassifier

    weights = [model.weights(n) for n in ("dense1", "dense2", "dense3")]
    plain = MLPClassifier((32, 16), max_iter=200, random_state=0, solver="lbfgs")
    rng = np.random.default_rng(0)
    plain.fit(rng.normal(size=(20, 29)), np.arange(20) % 2)
    plain.coefs_ = [np.asarray(w["weight"], np.float64).T for w in weights]
    plain.intercepts_ = [np.asarray(w["bias"], np.float64) for w in weights]
    return xk.wrap(plain.predict_proba, inputs=model.inputs, outputs=xk.Classes(["bad", "good"], form="softmax"))


@pytest.fixture(scope="module")
def applicants() -> Any:
    """The three models, the applicants that ship with the network, and something to compare with."""
    torch = loaded("credit_mlp", "torch")
    models = [torch, loaded("credit_mlp", "keras"), in_sklearn(torch)]
    rows = list(torch.inputs.background)
    return models, rows, np.random.default_rng(0).integers(0, 2, len(rows))


def alike(found: list[Any], *names: str) -> None:
    """Say that numbers are the same to float32, and everything else equal."""
    first = found[0]
    for other in found[1:]:
        for name in names:
            one, two = getattr(first, name), getattr(other, name)
            if isinstance(one, np.ndarray) and one.dtype.kind == "f":
                largest = max(1.0, float(np.nanmax(np.abs(one), initial=0)))
                assert_allclose(one, two, err_msg=name, rtol=1e-4, atol=1e-5 * largest)
            elif isinstance(one, np.ndarray):
                assert_array_equal(one, two, err_msg=name)
            else:
                assert one == two, name


def test_importance(applicants: Any) -> None:
    models, rows, y = applicants
    for loss in ("cross-entropy", "1-auc", "1-accuracy"):
        found = [xk.importance(m, rows, y, loss, repeats=3) for m in models]
        alike(found, "variables", "losses", "reference", "by_output", "baseline_by_output", "outputs", "order")
    together = [xk.importance(m, rows, y, groups={"money": ["saving_accounts", "credit_amount"]}) for m in models]
    alike(together, "variables", "losses")


@pytest.mark.parametrize("interactions", [False, True])
def test_break_down(applicants: Any, interactions: bool) -> None:
    models, rows, _ = applicants
    found = [xk.break_down(m, rows, rows[:3], interactions=interactions) for m in models]
    alike(found, "variables", "contributions", "intercept", "prediction", "order", "values", "targets", "every")
    for one in found:
        assert_allclose(one.contributions.sum(1) + one.intercept, one.prediction, atol=1e-6)


def test_shapley_values(applicants: Any) -> None:
    models, rows, _ = applicants
    for method in ("exact-shapley", "permutation-shap"):
        found = [xk.explain(m, rows[:2], method, target="good", seed=0) for m in models]
        for other in found[1:]:
            assert_allclose(other.values, found[0].values, err_msg=method, **CLOSE)  # type: ignore[arg-type]


def test_profile(applicants: Any) -> None:
    models, rows, _ = applicants
    columns = ["age", "housing", ("age", "duration"), ("housing", "age"), ("housing", "sex")]
    for kind in ("partial-dependence", "ceteris-paribus", "ale"):
        found = [xk.profile(m, rows, columns, kind, grid=5, by="sex") for m in models]
        assert found[0].status == found[1].status == found[2].status
        for name in [e.name for e in found[0]]:
            parts = [f[name] for f in found]
            alike(parts, "values", "curves", "starts", "counts", "grouped", "groups", "kinds", "remark")
            for k in range(len(parts[0].grid)):
                assert_array_equal(parts[0].grid[k], parts[1].grid[k])


def test_what_if(applicants: Any) -> None:
    models, rows, _ = applicants
    found = [xk.what_if(m, rows, rows[0], {"duration": 48, "housing": "rent"}) for m in models]
    alike(found, "row", "changed", "before", "after", "alone", "nearest", "distances", "off_data", "target")
    alike([f.break_down for f in found], "contributions", "order", "intercept", "prediction")
    between = [xk.what_if(m, rows, rows[0], rows[1]) for m in models]
    alike(between, "changes", "after", "alone")


def test_counterfactuals(applicants: Any) -> None:
    models, rows, _ = applicants
    refused = int(models[0].run(models[0].inputs.encode(rows)).output[:, 0].argmin())
    found = [
        xk.counterfactuals(m, rows, rows[refused], "good", immutable=["age", "sex"], ranges={"duration": (6, 36)})
        for m in models
    ]
    assert len(found[0].changes)
    alike(found, "changes", "scores", "costs", "off_data", "wanted")
    for m, one in zip(models, found, strict=True):
        for row, score in zip(one.rows, one.scores, strict=True):
            x = m.inputs.encode([dict(zip(one.columns, row, strict=True))])
            assert_allclose(m.run(x, score="probability").output[0, -1], score, atol=1e-5)


def test_fairness(applicants: Any) -> None:
    models, rows, y = applicants
    for by in ("sex", "age"):
        found = [xk.fairness(m, rows, y, by) for m in models]
        alike(found, "groups", "counts", "measures", "values", "low", "high")


def test_electrodes_windows_and_bands() -> None:
    """Of an input (time, electrode, 1), whose values are shuffled, set and shifted as one."""
    models = [loaded("eeg_cnn", f) for f in ("torch", "keras")]
    X = np.random.default_rng(0).normal(size=(12, 100, 16, 1)).astype(np.float32) * 0.3
    X[::2, :, 3] += np.sin(np.arange(100) / 50 * 2 * np.pi * 5)[:, None]  # 5 Hz, over one electrode
    said = models[0].run(X).output[:, 0]
    y = (said > np.median(said)).astype(int)
    for variables, count in ((None, 16), ("channels", 16), ({"windows": 4}, 4), ("bands", 5)):
        found = [xk.importance(m, X, y, variables=variables, repeats=2) for m in models]
        alike(found, "variables", "losses")
        assert len(found[0]) in (count, count - 1)  # the highest band may lie beyond what the rate can show
        broken = [xk.break_down(m, X, X[:1], variables=variables) for m in models]
        alike(broken, "variables", "contributions", "order")
        assert_allclose(broken[0].contributions.sum() + broken[0].intercept, broken[0].prediction, atol=1e-5)
    assert found[0].variables[0] == "delta"
    assert xk.importance(models[0], X, y, repeats=1).variables[3] == "electrode 3"
    alpha = [xk.profile(m, X, "theta", variables="bands", grid=[0.0, 0.5, 1.0]) for m in models]
    alike([a.only for a in alpha], "values", "curves")
    level = [xk.profile(m, X, ["electrode 3", ("electrode 3", "electrode 4")], "ale", grid=3) for m in models]
    alike(level[0].effects and [p.effects[0] for p in level], "values", "counts")


@pytest.mark.parametrize("name", ["gru_forecast", "lstm_forecast", "rnn_forecast"])
def test_forecasts(name: str) -> None:
    models = [loaded(name, f) for f in ("torch", "keras")]
    X = np.random.default_rng(0).uniform(8000, 24000, (10, 48, 1))
    y = np.concatenate([m.run(m.inputs.encode(X)).output for m in models[:1]])[:, 0] + 0.05
    variables = {"windows": 6}
    alike([xk.importance(m, X, y, variables=variables, repeats=2) for m in models], "losses", "order")
    broken = [xk.break_down(m, X, X[0], variables=variables, interactions=True) for m in models]
    alike(broken, "contributions", "prediction")
    last = broken[0].variables[5]
    found = [xk.profile(m, X, last, variables=variables, grid=4) for m in models]
    alike([f.only for f in found], "values", "curves")
    assert found[0].grid[0] > 1000  # passengers, not standard deviations
    changed = [xk.what_if(m, X, X[0], {last: 20000.0}, variables=variables) for m in models]
    alike(changed, "before", "after", "distances")
    assert changed[0].after[0] != changed[0].before[0]


def test_two_heads() -> None:
    models = [loaded("mnist_two_heads", f) for f in ("torch", "keras")]
    X = np.random.default_rng(0).integers(0, 256, (6, 28, 28, 1)).astype(np.uint8)
    halves = np.repeat([0, 1], 14)[:, None, None] * np.ones((28, 28, 1), int)
    y = {"digit": np.arange(6), "thickness": np.linspace(1, 3, 6)}
    for target in ("digit", xk.At(output="thickness")):
        found = [xk.importance(m, X, y, variables=halves, target=target, repeats=2) for m in models]
        alike(found, "losses", "loss", "by_output")
        broken = [xk.break_down(m, X, X[:2], target, variables=halves) for m in models]
        alike(broken, "contributions", "targets", "every")
