"""Deep SHAP: the mean over a background, as captum and shap have it."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

import xaikit as xk

captum = pytest.importorskip("captum.attr")

rng = np.random.default_rng(0)
ROWS, BACKGROUND = rng.normal(size=(4, 6)).astype(np.float32), rng.normal(size=(20, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 3)).eval()


def ours(net):
    return xk.explain(xk.wrap(net, inputs=xk.Array((6,))), ROWS, "deep-shap", target=1, background=BACKGROUND)


@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks:UserWarning", "ignore:Input Tensor:UserWarning")
def test_as_captum(net):
    theirs = captum.DeepLiftShap(net).attribute(torch.tensor(ROWS), torch.tensor(BACKGROUND), target=1)
    assert_allclose(ours(net).values, theirs.detach().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:unrecognized nn.Module:UserWarning", "ignore:__array_wrap__:DeprecationWarning")
def test_as_shap(net):
    shap = pytest.importorskip("shap")
    theirs = shap.DeepExplainer(net, torch.tensor(BACKGROUND)).shap_values(torch.tensor(ROWS))
    assert_allclose(ours(net).values, np.asarray(theirs)[..., 1], rtol=1e-5, atol=1e-5)


def test_sums_to_the_rise_over_the_mean_of_the_background(net):
    found = ours(net)
    with torch.no_grad():
        rise = net(torch.tensor(ROWS))[:, 1] - net(torch.tensor(BACKGROUND))[:, 1].mean()
    assert_allclose(found.values.sum(1), rise, atol=1e-5)
    assert (found.quality["completeness_gap"] < 1e-5).all()
    assert found.status == "ok"


def test_one_background_sample_is_deep_lift(net):
    model = xk.wrap(net, inputs=xk.Array((6,)))
    shap = xk.explain(model, ROWS, "deep-shap", target=1, background=BACKGROUND[:1]).values
    assert_allclose(shap, xk.explain(model, ROWS, "deep-lift", target=1, baseline=BACKGROUND[0]).values, rtol=1e-6)
