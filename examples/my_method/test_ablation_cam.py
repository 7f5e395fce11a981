"""Ablation-CAM against its closed form for a head that is linear in the means of the channels."""

import numpy as np
import pytest
import torch
from torch import nn

import xaikit as xk
from xaikit.errors import NotSupported

HEAD = torch.tensor([[1.0, -2.0, 0.5]])


class Net(nn.Module):
    """A convolution of three channels, their means over all places, and their sum with the weights of HEAD."""

    def __init__(self, bias: float) -> None:
        super().__init__()
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            self.conv, self.head = nn.Conv2d(1, 3, 2), nn.Linear(3, 1)
        with torch.no_grad():
            self.head.weight.copy_(HEAD)
            self.head.bias.fill_(bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.conv(x).mean((2, 3)))


X = np.random.default_rng(0).normal(size=(3, 1, 5, 5)).astype(np.float32)


@pytest.mark.parametrize("bias", [4.0, -4.0], ids=["a positive score", "a negative score"])
@pytest.mark.parametrize("relu", [True, False])
def test_the_weights_are_those_on_paper(bias: float, relu: bool) -> None:
    model = xk.wrap(Net(bias), outputs=xk.Values(["score"]))
    run = model.run(X, at=["conv"])
    a = run.activations["conv"].astype(np.float64)
    weights = a.mean((2, 3)) * HEAD.numpy() / np.abs(run.output)
    cam = np.einsum("nkhw,nk->nhw", a, weights)
    found = xk.explain(model, X, "ablation-cam", layer="conv", relu=relu, upsample=False)
    np.testing.assert_allclose(found.values, np.maximum(cam, 0) if relu else cam, rtol=1e-4, atol=1e-5)
    assert found.axes == ("sample", "height", "width")


def test_a_channel_costs_one_call_and_a_batch_equals_its_rows() -> None:
    model = xk.wrap(Net(4.0), outputs=xk.Values(["score"]))
    batch = xk.explain(model, X, "ablation-cam", layer="conv")
    assert batch.origin.model_calls == len(X) * (2 + 3)  # the prediction, the activations, and three channels
    for i in range(len(X)):
        alone = xk.explain(model, X[i : i + 1], "ablation-cam", layer="conv")
        np.testing.assert_allclose(batch.values[i : i + 1], alone.values, rtol=1e-5, atol=1e-6)


def test_a_model_without_layers_is_refused() -> None:
    model = xk.wrap(lambda x: x.reshape(len(x), -1)[:, :1], inputs=xk.Array((4,)), outputs=xk.Values(["score"]))
    with pytest.raises(NotSupported, match=r"cannot patch; use .*occlusion"):
        xk.explain(model, np.ones((1, 4)), "ablation-cam")
