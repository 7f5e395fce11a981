"""SmoothGrad, SquareGrad and VarGrad: identities, captum on the same noise, and their standard errors."""

import tracemalloc

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

import xaikit as xk
from tests.analytic import golden
from tests.contract.nets import image_pair
from xaikit.errors import ParameterError

captum = pytest.importorskip("captum.attr")

FORMS = {"mean": "smoothgrad", "squared": "smoothgrad_sq", "variance": "vargrad"}


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).eval()


def copies(x, samples, noise, seed):
    """The noisy copies that are drawn, by the rule that the docstring gives."""
    sigma = noise * (x.max() - x.min())
    return (x + sigma * np.random.default_rng(seed).standard_normal((samples, *x.shape))).astype(np.float32)


@pytest.mark.parametrize("form", FORMS)
def test_the_same_as_captum_on_the_same_noise(net, form, monkeypatch):
    model = xk.wrap(net, inputs=xk.Array((6,)), outputs=xk.Values(list("abc")))
    x = np.random.default_rng(0).normal(size=6).astype(np.float32)
    noisy = torch.tensor(copies(x, 20, 0.3, 5))
    tunnel = captum.NoiseTunnel(captum.Saliency(net))
    monkeypatch.setattr(torch, "normal", lambda mean, std: noisy - torch.tensor(x))
    theirs = tunnel.attribute(
        torch.tensor(x)[None], nt_type=FORMS[form], nt_samples=20, stdevs=1.0, target=1, abs=False
    )
    monkeypatch.undo()
    ours = xk.explain(model, x, "smooth-grad", target="b", samples=20, noise=0.3, form=form, seed=5)
    assert_allclose(ours.values, theirs.detach().numpy(), rtol=1e-4, atol=1e-6)


def test_the_forms_belong_together():
    model, x = image_pair("torch")
    mean, squared, variance = (
        xk.explain(model, x, "smooth-grad", target=1, form=form, samples=30).values.astype(np.float64) for form in FORMS
    )
    assert_allclose(variance, squared - mean**2, atol=1e-5 * squared.max())
    assert (variance >= 0).all()


@pytest.mark.parametrize("form", FORMS)
def test_the_standard_error_is_the_spread_over_seeds(net, form):
    """What the error says of one run is how much runs with other seeds differ."""
    model = xk.wrap(net, inputs=xk.Array((6,)), outputs=xk.Values(list("abc")))
    x = np.random.default_rng(0).normal(size=6).astype(np.float32)
    runs = [
        xk.explain(model, x, "smooth-grad", target="b", samples=200, noise=0.4, form=form, seed=s) for s in range(60)
    ]
    values = np.concatenate([r.values for r in runs])
    spread = values.std(0, ddof=1).mean()
    said = np.mean([r.quality["standard_error"][0] * np.abs(r.values).max() for r in runs])
    assert_allclose(said, spread, rtol=0.2)  # of a standard deviation over 60 runs the error is about 9 %


@pytest.mark.parametrize("form", FORMS)
def test_how_many_copies_go_together_changes_nothing(form):
    model, x = image_pair("torch")
    whole = xk.explain(model, x[:1], "smooth-grad", target=1, form=form, samples=23).values
    model._batch, before = 4, model.batch_size
    try:
        parts = xk.explain(model, x[:1], "smooth-grad", target=1, form=form, samples=23).values
    finally:
        model._batch = before
    assert_allclose(parts, whole, rtol=1e-4, atol=1e-6 * np.abs(whole).max())


def test_one_copy_without_noise_is_the_gradient():
    model, x = image_pair("torch")
    plain = xk.explain(model, x, "saliency", target=1).values
    assert_allclose(xk.explain(model, x, "smooth-grad", target=1, samples=1, noise=0.0).values, plain, atol=1e-7)
    squared = xk.explain(model, x, "smooth-grad", target=1, samples=3, noise=0.0, form="squared").values
    assert_allclose(squared, plain.astype(np.float64) ** 2, rtol=1e-4, atol=1e-9)


def test_a_linear_score_has_no_variance():
    found = xk.explain(golden(), [[50.0, 50, 50]], "smooth-grad", target=0, form="variance")
    assert not found.values.any()
    assert found.status == "warn"


def test_copies_of_a_large_picture_are_made_a_batch_at_a_time():
    net = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 56 * 56, 2))
    model = xk.wrap(net, inputs=xk.Image(224, 224), outputs=xk.Values(["a", "b"]))
    x = np.random.default_rng(0).integers(0, 256, (224, 224, 3)).astype(np.uint8)
    model._batch = 4
    xk.explain(model, x, "smooth-grad", target="a", samples=2)
    tracemalloc.start()
    try:
        xk.explain(model, x, "smooth-grad", target="a", samples=60)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40 * x.size * 4  # sixty copies and their gradients alone would be 120


def test_several_inputs_have_noise_of_their_own():
    class Product(nn.Module):
        def forward(self, a, b):
            return (a * b).sum(1, keepdim=True)

    model = xk.wrap(Product(), inputs={"a": xk.Array((4,)), "b": xk.Array((4,))}, outputs=xk.Values(["s"]))
    x = {"a": [0.0, 1, 2, 3], "b": [0.0, 1, 2, 3]}
    found = xk.explain(model, x, "smooth-grad", samples=5)
    assert not np.allclose(found["a"].values, found["b"].values)
    again = xk.explain(model, x, "smooth-grad", samples=5)
    assert_array_equal(again["a"].values, found["a"].values)


@pytest.mark.parametrize("wrong", [{"form": "median"}, {"form": "variance", "samples": 1}, {"samples": 0}])
def test_forms_and_samples_that_make_no_sense_are_refused(wrong):
    model, x = image_pair("torch")
    with pytest.raises(ParameterError):
        xk.explain(model, x, "smooth-grad", target=1, **wrong)
