"""The same numbers as captum, on the same torch networks with the same parameters."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

import xaikit as xk

captum = pytest.importorskip("captum.attr")

X = np.random.default_rng(0).normal(size=(3, 2, 10, 12)).astype(np.float32)
"""Pictures in the network's own layout (sample, channel, height, width): without a spec nothing is moved."""


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    layers = (
        nn.Conv2d(2, 4, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 2),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(72, 3),
    )
    return nn.Sequential(*layers).eval()


@pytest.fixture(scope="module")
def model(net):
    return xk.wrap(net)


def test_saliency(net, model):
    theirs = captum.Saliency(net).attribute(torch.tensor(X, requires_grad=True), target=1, abs=False)
    assert_allclose(xk.explain(model, X, "saliency", target=1).values, theirs.numpy(), rtol=1e-5, atol=1e-6)


def test_gradient_x_input(net, model):
    theirs = captum.InputXGradient(net).attribute(torch.tensor(X, requires_grad=True), target=1)
    ours = xk.explain(model, X, "gradient-x-input", target=1).values
    assert_allclose(ours, theirs.detach().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("baseline", [0, 0.3])
def test_integrated_gradients(net, model, baseline):
    explainer = captum.IntegratedGradients(net)
    theirs = explainer.attribute(torch.tensor(X), float(baseline), target=1, n_steps=30, method="gausslegendre")
    ours = xk.explain(model, X, "integrated-gradients", target=1, steps=30, baseline=baseline).values
    assert_allclose(ours, theirs.detach().numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layer", ["3", "4"])
@pytest.mark.parametrize("relu", [True, False])
def test_grad_cam(net, model, layer, relu):
    theirs = captum.LayerGradCam(net, net[int(layer)]).attribute(torch.tensor(X), target=1, relu_attributions=relu)
    ours = xk.explain(model, X, "grad-cam", target=1, layer=layer, relu=relu, upsample=False)
    assert_allclose(ours.values, theirs[:, 0].detach().numpy(), rtol=1e-5, atol=1e-6)
    assert ours.layer == ours.origin.parameters["layer"] == layer


@pytest.mark.parametrize(("window", "stride"), [((3, 4), (3, 4)), ((3, 5), (2, 3)), ((1, 1), (1, 1))])
def test_occlusion(net, window, stride):
    """With a spec, so that the windows cover space and all channels."""
    wrapped = xk.wrap(net, inputs=xk.Image(10, 12, 2, scale=1))
    shapes, strides = (2, *window), (2, *stride)
    theirs = captum.Occlusion(net).attribute(torch.tensor(X), shapes, strides, baselines=0.1, target=1)
    x = np.moveaxis(X, 1, -1)
    ours = xk.explain(wrapped, x, "occlusion", target=1, window=window, stride=stride, baseline=0.1, score="output")
    assert_allclose(ours.values, theirs[:, 0].numpy(), rtol=1e-5, atol=1e-5)


class OneConvolution(nn.Module):
    """OC of the reference values: a convolution of ones with biases -50 and -75, ReLU, one row of ±1, ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.relu1 = nn.Conv2d(1, 2, 3), nn.ReLU()
        self.fc1, self.relu2 = nn.Linear(8, 2), nn.ReLU()
        with torch.no_grad():
            self.conv1.weight.fill_(1)
            self.conv1.bias.copy_(torch.tensor([-50.0, -75.0]))
            self.fc1.weight.copy_(torch.tensor([1.0, 1, 1, 1, -1, -1, -1, -1]).repeat(2, 1))
            self.fc1.bias.zero_()

    def forward(self, x):
        return self.relu2(self.fc1(self.relu1(self.conv1(x)).flatten(1)))


def test_grad_cam_of_one_convolution_is_as_published():
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    e = xk.explain(xk.wrap(OneConvolution()), x, "grad-cam", target=0, layer="conv1", relu=False, upsample=False)
    assert_allclose(e.values[0], [[11.25, 13.5], [20.25, 22.5]], rtol=1e-6)


def test_integrated_gradients_do_not_depend_on_the_implementation():
    """B2 and B3 of the reference values compute the same function, and both give (1.5, -0.5) at (3, 1)."""

    class B2(nn.Module):
        def forward(self, x):
            return torch.relu(torch.relu(x[:, :1]) - 1 - torch.relu(x[:, 1:]))

    class B3(nn.Module):
        def forward(self, x):
            return torch.relu(torch.relu(x[:, :1] - 1) - torch.relu(x[:, 1:]))

    for net in (B2(), B3()):
        e = xk.explain(xk.wrap(net, inputs=xk.Array((2,))), [3.0, 1.0], "integrated-gradients", steps=2000)
        assert_allclose(e.values[0], [1.5, -0.5], atol=2e-3)


def test_a_product_shares_equally():
    net = xk.wrap(ProductNet(), inputs=xk.Array((2,)))
    assert_allclose(xk.explain(net, [3.0, 4.0], "integrated-gradients").values[0], [6, 6], rtol=1e-5)
    assert_allclose(xk.explain(net, [3.0, 4.0], "gradient-x-input").values[0], [12, 12], rtol=1e-5)


class ProductNet(nn.Module):
    def forward(self, x):
        return x[:, :1] * x[:, 1:]


def test_grad_cam_is_brought_to_the_size_of_the_input_with_and_without_a_spec(net, model):
    small = xk.explain(model, X, "grad-cam", target=1, upsample=False).values
    spec = xk.Image(10, 12, 2, scale=1)
    described = xk.explain(xk.wrap(net, inputs=spec), np.moveaxis(X, 1, -1), "grad-cam", target=1)
    bare = xk.explain(model, X, "grad-cam", target=1)
    larger = nn.functional.interpolate(torch.tensor(small)[:, None], (10, 12), mode="bilinear")[:, 0].numpy()
    assert_allclose(bare.values, larger, atol=1e-6)
    assert_allclose(described.values, larger, atol=1e-5)
