"""Guided backpropagation, DeconvNet and Guided Grad-CAM against published values, captum, and each other."""

import warnings

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

import xaikit as xk
from tests.attribution.pictures import shown
from xaikit.arrays import agreement
from xaikit.errors import NotSupported
from xaikit.quality import doctor

captum = pytest.importorskip("captum.attr")

METHODS = ("guided-backprop", "deconvnet", "guided-grad-cam")


class OneConvolution(nn.Module):
    """OC of the reference values: a convolution of ones with biases -50 and -75, ReLU, one row of ±1, ReLU."""

    def __init__(self):
        super().__init__()
        self.conv1, self.relu1 = nn.Conv2d(1, 2, 3), nn.ReLU()
        self.fc1, self.relu2 = nn.Linear(8, 1), nn.ReLU()
        with torch.no_grad():
            self.conv1.weight.fill_(1)
            self.conv1.bias.copy_(torch.tensor([-50.0, -75.0]))
            self.fc1.weight.copy_(torch.tensor([[1.0, 1, 1, 1, -1, -1, -1, -1]]))
            self.fc1.bias.zero_()

    def forward(self, x):
        return self.relu2(self.fc1(self.relu1(self.conv1(x)).flatten(1)))


def test_guided_backprop_of_one_convolution_is_as_published():
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    found = xk.explain(xk.wrap(OneConvolution()), x, "guided-backprop").values
    assert_allclose(found[0, 0], [[0, 1, 1, 1], [1, 3, 3, 2], [1, 3, 3, 2], [1, 2, 2, 1]])


def test_deconvnet_of_one_convolution_by_hand():
    """Only the first channel's positive weights go back, through closed ReLUs too: every window counts once."""
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    found = xk.explain(xk.wrap(OneConvolution()), x, "deconvnet").values
    assert_allclose(found[0, 0], [[1, 2, 2, 1], [2, 4, 4, 2], [2, 4, 4, 2], [1, 2, 2, 1]])


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    layers = (
        *(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 2), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(72, 5), nn.ReLU(), nn.Linear(5, 3)),
    )
    return nn.Sequential(*layers).eval()


X = np.random.default_rng(0).normal(size=(3, 2, 10, 12)).astype(np.float32)


def theirs(explainer, **how):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that its hooks are set on the ReLU modules
        return explainer.attribute(torch.tensor(X, requires_grad=True), target=1, **how).detach().numpy()


@pytest.mark.parametrize(("method", "name"), [("guided-backprop", "GuidedBackprop"), ("deconvnet", "Deconvolution")])
def test_the_same_as_captum(net, method, name):
    found = xk.explain(xk.wrap(net), X, method, target=1).values
    assert_allclose(found, theirs(getattr(captum, name)(net)), rtol=1e-5, atol=1e-6)


def test_guided_grad_cam_is_the_same_as_captum(net):
    spec = xk.Image(10, 12, 2, scale=1)
    model = xk.wrap(net, inputs=spec)
    found = xk.explain(model, np.moveaxis(X, 1, -1), "guided-grad-cam", target=1, layer="3").values
    expected = theirs(captum.GuidedGradCam(net, net[3]), interpolate_mode="bilinear")
    assert_allclose(np.moveaxis(found, -1, 1), expected, rtol=1e-4, atol=1e-6)
    bare = xk.explain(xk.wrap(net), X, "guided-grad-cam", target=1, layer="3").values
    assert_allclose(bare, expected, rtol=1e-4, atol=1e-6)


def test_guided_grad_cam_is_the_product():
    from tests.contract.nets import image_pair

    model, x = image_pair("torch")
    product, fine, coarse = (
        xk.explain(model, x, method, target=1).values for method in ("guided-grad-cam", "guided-backprop", "grad-cam")
    )
    assert_allclose(product, fine * coarse[..., None], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["mnist_cnn", "cats_vs_dogs"])
def test_both_frameworks_agree_on_trained_networks(name, method):
    models = [xk.zoo.load(name, framework=f) for f in ("torch", "keras")]
    x = shown(name)
    a, b = (xk.explain(m, x, method, target=1).values for m in models)
    assert agreement(a, b).max() <= 1e-4


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("function", [nn.GELU(), nn.SiLU(), nn.LeakyReLU()])
def test_a_network_without_relu_is_refused_before_it_is_run(method, function):
    net = nn.Sequential(nn.Conv2d(1, 2, 3), function, nn.Flatten(), nn.Linear(32, 2))
    model = xk.wrap(net, inputs=xk.Image(6, 6, 1), outputs=xk.Values(["a", "b"]))
    with pytest.raises(NotSupported, match=r"has no ReLU but \w+, .* use .*integrated-gradients.*saliency"):
        xk.explain(model, np.zeros((6, 6), np.uint8), method, target="a")
    verdict = next(v for v in doctor.examine(model) if v.method == method)
    assert not verdict.serves
    assert "deconvnet" not in verdict.remark.partition("use ")[2]


@pytest.mark.parametrize("method", METHODS)
def test_what_keeps_its_own_gradient_is_said_before_and_after(method):
    net = nn.Sequential(
        *(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 1), nn.GELU(), nn.Flatten(), nn.Linear(32, 2), nn.Sigmoid())
    )
    model = xk.wrap(net, inputs=xk.Image(6, 6, 1), outputs=xk.Values(["a", "b"]))
    verdict = next(v for v in doctor.examine(model) if v.method == method)
    assert verdict.serves
    assert "gelu keep their own gradient" in verdict.remark
    x = np.random.default_rng(0).integers(0, 256, (6, 6)).astype(np.uint8)
    assert xk.explain(model, x, method, target="a").origin.notes["own_gradient"] == ["gelu"]


def test_dead_relus_are_said_and_not_passed_over_in_silence():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2))
    with torch.no_grad():
        net[0].bias.fill_(-1e3)
    model = xk.wrap(net, inputs=xk.Image(6, 6, 1), outputs=xk.Values(["a", "b"]))
    found = xk.explain(model, np.ones((6, 6), np.uint8), "guided-backprop", target="a")
    assert not found.values.any()
    assert found.status == "warn"
    assert "zero everywhere" in found.status.reasons[0]


def test_several_inputs_each_get_their_own_map():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.dense, self.head = nn.Conv2d(1, 2, 3), nn.Linear(3, 4), nn.Linear(36, 2)

        def forward(self, picture, numbers):
            seen = torch.relu(self.conv(picture)).flatten(1)
            return self.head(torch.cat([seen, torch.relu(self.dense(numbers))], 1))

    torch.manual_seed(0)
    inputs = {"picture": xk.Image(6, 6, 1), "numbers": xk.Array((3,))}
    model = xk.wrap(Two(), inputs=inputs, outputs=xk.Values(["a", "b"]))
    x = {"picture": np.full((6, 6), 200, np.uint8), "numbers": np.ones(3, np.float32)}
    found = xk.explain(model, x, "guided-backprop", target="a")
    assert found["picture"].values.shape == (1, 6, 6, 1)
    assert found["numbers"].values.shape == (1, 3)
    assert list(xk.explain(model, x, "guided-grad-cam", target="a")) == ["picture"]
