"""Expected gradients: answers on paper, integrated gradients, and the shap package."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.analytic import Analytic
from xaikit.attribution.gradient_shap import drawn
from xaikit.errors import NotSupported, ParameterError

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(0)


class Function(torch.nn.Module):
    def __init__(self, function, *width):
        super().__init__()
        self.function = function

    def forward(self, *x):
        return self.function(*x)


def wrapped(function, width, **how):
    return xk.wrap(Function(function), inputs=how.pop("inputs", xk.Array(width)), outputs=xk.Values(("y",)), **how)


def bent(width, seed=0):
    w = torch.tensor(np.random.default_rng(seed).normal(size=(width, 5)), dtype=torch.float32)
    return lambda x: (torch.tanh(x @ w).sum(1) + x[:, 0] * x[:, 1])[:, None]


def exact(function, x, background, nodes=64):
    """The double mean by quadrature, for one row."""
    at, weights = np.polynomial.legendre.leggauss(nodes)
    total = np.zeros(len(x))
    for b in background:
        path = torch.tensor(b + ((at + 1) / 2)[:, None] * (x - b), dtype=torch.float32, requires_grad=True)
        (gradient,) = torch.autograd.grad(function(path).sum(), path)
        total += (x - b) * (weights / 2 @ gradient.numpy()) / len(background)
    return total


def test_a_linear_score_has_weight_times_distance_from_the_mean_of_the_background():
    w, x, background = RNG.normal(size=6), RNG.normal(size=(3, 6)), RNG.normal(size=(10, 6))
    model = wrapped(lambda x: (x @ torch.tensor(w, dtype=torch.float32))[:, None], 6)
    found = xk.explain(model, x, "gradient-shap", background=background, samples=20)
    assert_allclose(found.values, w * (x - background.mean(0)), atol=1e-5)
    assert found.quality["completeness_gap_relative"].max() < 1e-4
    assert found.status == "ok"
    single = xk.explain(model, x, "gradient-shap")
    assert_allclose(single.values, w * x, atol=1e-5)
    assert single.quality["standard_error"].max() < 1e-6


def test_a_product_with_zero_baseline_is_shared_evenly():
    found = xk.explain(wrapped(lambda x: x[:, :1] * x[:, 1:], 2), [3.0, 5.0], "gradient-shap", samples=400)
    assert_allclose(found.values, [[7.5, 7.5]], rtol=1e-3)


@pytest.mark.parametrize(("rows", "samples"), [(1, 200), (7, 200), (50, 50), (50, 20), (200, 400)])
def test_near_the_double_mean_and_as_near_as_it_says(rows, samples):
    f, x, background = bent(8), RNG.normal(size=8), RNG.normal(size=(rows, 8))
    expected = exact(f, x.astype("f"), background.astype("f"))
    model = wrapped(f, 8)
    runs = [xk.explain(model, x, "gradient-shap", background=background, samples=samples, seed=s) for s in range(12)]
    off = np.sqrt(np.mean([(r.values[0] - expected) ** 2 for r in runs]))
    said = np.mean([r.quality["standard_error"][0] * np.abs(r.values).max() for r in runs])
    assert off < 1.3 * said
    assert off < 0.35 * np.abs(expected).max() / np.sqrt(samples / 20)


def test_stratified_draws_beat_independent_ones():
    f, x, background = bent(8), RNG.normal(size=8).astype("f"), RNG.normal(size=(20, 8)).astype("f")
    expected, model = exact(f, x, background), wrapped(f, 8)
    ours = [xk.explain(model, x, "gradient-shap", background=background, seed=s).values[0] for s in range(10)]
    independent = []
    for s in range(10):
        rng = np.random.default_rng(s)
        b, alpha = background[rng.integers(20, size=200)], rng.random((200, 1))
        path = torch.tensor(b + alpha * (x - b), dtype=torch.float32, requires_grad=True)
        (gradient,) = torch.autograd.grad(f(path).sum(), path)
        independent.append(((x - b) * gradient.numpy()).mean(0))
    errors = [np.sqrt(np.mean((np.array(found) - expected) ** 2)) for found in (ours, independent)]
    assert errors[0] < 0.4 * errors[1]


def test_one_baseline_gives_integrated_gradients():
    f, x = bent(8), RNG.normal(size=(2, 8))
    model = wrapped(f, 8)
    found = xk.explain(model, x, "gradient-shap", background=0.3, samples=2000)
    expected = xk.explain(model, x, "integrated-gradients", baseline=0.3)
    assert_allclose(found.values, expected.values, atol=2e-3)


@pytest.mark.filterwarnings("ignore")
def test_the_shap_package_agrees():
    import shap

    f, x = bent(5), RNG.normal(size=(1, 5)).astype("f")
    background = RNG.normal(size=(30, 5)).astype("f")
    found = xk.explain(wrapped(f, 5), x, "gradient-shap", background=background, samples=3000)
    explainer = shap.GradientExplainer(Function(f), torch.tensor(background))
    theirs = explainer.shap_values(torch.tensor(x), nsamples=4000, rseed=0)
    assert_allclose(found.values[0], np.asarray(theirs).reshape(5), atol=0.15 * np.abs(found.values).max())  # its noise


def test_columns_start_from_the_background_rows():
    rows = [{"a": a, "b": b} for a, b in [(0, "x"), (2, "z"), (1, "x")]]
    spec = xk.Table({"a": xk.Number(), "b": xk.Category("xyz")}, background=rows)
    w = torch.tensor([1.0, 2, -3, 4])
    model = wrapped(lambda x: (x @ w)[:, None], 4, inputs=spec)
    found = xk.explain(model, {"a": 3, "b": "y"}, "gradient-shap")
    assert_allclose(found.values, [[2.0, -3 - (2 + 4 + 2) / 3]], rtol=1e-5)
    assert found.axes == ("sample", "column")


def test_several_inputs():
    model = xk.wrap(
        Function(lambda a, b: a[:, :1] * b.sum((1, 2))[:, None]),
        inputs={"a": xk.Array(1), "b": xk.Series(3)},
        outputs=xk.Values(("y",)),
    )
    found = xk.explain(model, {"a": [4.0], "b": [1.0, 2, 3]}, "gradient-shap", samples=1000)
    assert_allclose(found["a"].values, [[12]], rtol=1e-3)
    assert_allclose(found["b"].values[0, :, 0], [2, 4, 6], rtol=1e-3)
    assert found["a"].quality["completeness_gap"] < 0.05


def test_a_batch_equals_its_rows_and_the_seed_decides():
    model, x = wrapped(bent(8), 8), RNG.normal(size=(5, 8))
    background = RNG.normal(size=(9, 8))
    batch = xk.explain(model, x, "gradient-shap", background=background, samples=31, seed=1)
    for i, row in enumerate(x):
        alone = xk.explain(model, row, "gradient-shap", background=background, samples=31, seed=1)
        assert_allclose(alone.values[0], batch.values[i], rtol=1e-5, atol=1e-6)
        assert_allclose(alone.quality["standard_error"][0], batch.quality["standard_error"][i], rtol=1e-3)
    other = xk.explain(model, x, "gradient-shap", background=background, samples=31, seed=2)
    assert np.abs(other.values - batch.values).max() > 1e-3


def test_no_more_rows_than_a_batch_are_made_at_once():
    model, seen = wrapped(bent(8), 8), []
    pull = model.pull
    model.pull = lambda x, *args, **how: seen.append(len(x)) or pull(x, *args, **how)
    xk.explain(model, RNG.normal(size=(100, 8)), "gradient-shap", samples=300)
    assert sum(seen) == 100 * 300
    assert max(seen) <= model.batch_size


def test_every_draw_counts_and_the_strata_are_even():
    for samples, rows in ((200, 1), (200, 30), (30, 200), (7, 7), (1, 3), (5, 2)):
        found = drawn(samples, rows, np.random.default_rng(0))
        counts = np.bincount(found.which, minlength=rows)
        assert_allclose(found.weight.sum(), 1)
        assert counts.max() - counts.min() <= 1
        assert ((found.alpha >= 0) & (found.alpha < 1)).all()
        if samples >= rows:
            assert_allclose(np.bincount(found.which, weights=found.weight), 1 / rows)
    strata = np.sort(drawn(200, 1, np.random.default_rng(0)).alpha) * 200
    assert_array_equal(strata.astype(int), np.arange(200))


def test_a_tolerance_ends_the_draws():
    model, x, background = wrapped(bent(8), 8), RNG.normal(size=8), RNG.normal(size=(40, 8))
    few = xk.explain(model, x, "gradient-shap", background=background, samples=20_000, tolerance=0.05)
    all_ = xk.explain(model, x, "gradient-shap", background=background, samples=20_000)
    assert few.origin.model_calls < 6000
    assert few.quality["complete"] == 1
    assert np.abs(few.values - all_.values).mean() < 3 * 0.05 * np.abs(all_.values).max()


def test_what_has_no_gradient_is_refused():
    with pytest.raises(NotSupported):
        xk.explain(xk.wrap(lambda x: x.sum(1), inputs=xk.Array(3)), np.ones(3), "gradient-shap")
    with pytest.raises(ParameterError, match="samples"):
        xk.explain(wrapped(bent(8), 8), np.ones(8), "gradient-shap", samples=0)
    one = xk.explain(wrapped(bent(8), 8), np.ones(8), "gradient-shap", samples=1)
    assert np.isnan(one.quality["standard_error"]).all()


def test_the_raw_output_that_is_explained_is_asked_for_once() -> None:
    """One pass for the samples, the pulls, and one over the background for the completeness."""
    net = Analytic(np.ones((4, 1)))
    xk.explain(net, np.ones((2, 4), np.float32), "gradient-shap", samples=8, background=np.zeros((1, 4)))
    assert net.rows <= 2 + 2
