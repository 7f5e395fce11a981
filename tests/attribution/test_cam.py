"""Class activation maps: formulas worked out by hand, both frameworks, and networks of every dimension."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn
from torch.nn import functional as F

import xaikit as xk
from tests.attribution.pictures import shown
from tests.cases import some
from tests.contract.nets import image_pair
from xaikit.arrays import agreement, upsample
from xaikit.errors import Cancelled, NotSupported, ParameterError, UnknownName

CAMS = ("grad-cam", "grad-cam-plus-plus", "layer-cam", "score-cam")
GRADIENT_CAMS = CAMS[:3]


def twin(dimensions: int = 2, **described):
    """A convolution with two channels whose head sums them with the weights 1 and -1: d score / d A is known."""
    conv = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[dimensions]

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.conv, self.head = conv(1, 2, 2), nn.Linear(2, 1, bias=False)
            with torch.no_grad():
                self.head.weight.copy_(torch.tensor([[1.0, -1.0]]))

        def forward(self, x):
            a = self.conv(x)
            return self.head(a.flatten(2).mean(2))

    return xk.wrap(Net(), outputs=xk.Values(["score"]), **described)


def given(dimensions):
    x = np.random.default_rng(0).normal(size=(2, 1, *(5,) * dimensions)).astype(np.float32)
    return x, 1 / 4**dimensions  # d score / d A at each of the 4^d places is ±this


def activations(model, x):
    return model.run(x, at=["conv"]).activations["conv"].astype(np.float64)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("relu", [True, False])
def test_the_formulas_by_hand_in_every_dimension(dimensions, relu):
    model, (x, g) = twin(dimensions), given(dimensions)
    a, b = np.moveaxis(activations(model, x), 1, 0)
    space = tuple(range(1, a.ndim))
    # of the second channel the gradient is negative, which Grad-CAM++ and Layer-CAM leave out
    alpha = 1 / (2 + g * a.sum(space, keepdims=True))
    expected = {
        "grad-cam": g * a - g * b,
        "grad-cam-plus-plus": alpha * g * 4**dimensions * a,
        "layer-cam": g * a,
    }
    for method, value in expected.items():
        found = xk.explain(model, x, method, layer="conv", relu=relu, upsample=False)
        assert_allclose(found.values, np.maximum(value, 0) if relu else value, rtol=1e-4, atol=1e-6, err_msg=method)
        assert found.axes == ("sample", "depth", "height", "width")[:1] + ("depth", "height", "width")[
            -dimensions:
        ] or (dimensions == 1 and found.axes == ("sample", "time"))


@pytest.mark.parametrize("method", CAMS)
@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_maps_of_every_dimension_are_brought_to_the_input(method, dimensions):
    model, (x, _) = twin(dimensions), given(dimensions)
    small, large = (xk.explain(model, x, method, upsample=up).values for up in (False, True))
    assert large.shape[1:] == (5,) * dimensions
    assert_allclose(large, upsample(small, (5,) * dimensions), rtol=1e-5, atol=1e-7)


def test_score_cam_is_the_loop_over_channels():
    """Definition 3 of the paper with nothing shared: one channel, one masked picture, one score at a time."""
    model, x = image_pair("torch")
    x = x[0]
    found = xk.explain(model, x, "score-cam", target=1, layer="c2", relu=False, upsample=False, baseline=0)
    encoded = model.inputs.encode(x)
    channels = np.moveaxis(model.run(encoded, at=["c2"]).activations["c2"][0], -1, 0)
    scores = []
    for channel in channels:
        large = upsample(channel[None], (12, 12))[0]
        share = (large - large.min()) / (large.max() - large.min())
        scores.append(model.run(encoded * share[None, ..., None], score="logit").output[0, 1])
    nothing = model.run(encoded * 0, score="logit").output[0, 1]
    rise = np.array(scores) - nothing
    weights = np.exp(rise) / np.exp(rise).sum()
    assert_allclose(found.values[0], np.einsum("chw,c->hw", channels, weights), rtol=1e-4, atol=1e-6)
    assert np.ptp(weights) > 1e-3
    assert found.origin.model_calls <= len(channels) + 3


def test_score_cam_asks_about_the_channels_that_vary_most_when_calls_are_few():
    model, x = image_pair("torch")
    whole = xk.explain(model, x[0], "score-cam", target=1)
    part = xk.explain(model, x[0], "score-cam", target=1, max_calls=4)
    assert part.status == "warn"
    assert_allclose(part.quality["complete"], 0.5)
    assert part.origin.model_calls == whole.origin.model_calls - 4
    assert np.corrcoef(whole.values.ravel(), part.values.ravel())[0, 1] > 0.5


def test_score_cam_can_be_stopped():
    model, x = image_pair("torch")

    def stop(done, total):
        assert total == 8
        raise Cancelled("enough")

    assert xk.explain(model, x[0], "score-cam", target=1, progress=stop).quality["complete"] > 0


def test_score_cam_of_a_constant_layer_is_zero_and_says_so():
    net = nn.Sequential(nn.Conv2d(1, 3, 1), nn.Flatten(), nn.Linear(48, 2))
    with torch.no_grad():
        net[0].weight.zero_()
    model = xk.wrap(net, inputs=xk.Image(4, 4, 1), outputs=xk.Values(["a", "b"]))
    found = xk.explain(model, np.arange(16, dtype=np.uint8).reshape(4, 4), "score-cam", target="a")
    assert not found.values.any()
    assert found.status == "warn"


def test_score_cam_needs_a_model_that_shows_its_layers():
    model = xk.wrap(lambda x: x.sum((1, 2, 3)), inputs=xk.Image(4, 4, 1))
    with pytest.raises(NotSupported, match="shows no layers; use rise, occlusion"):
        xk.explain(model, np.zeros((4, 4), np.uint8), "score-cam")


def test_layer_cam_of_several_layers_is_their_scaled_maximum():
    model, x = image_pair("torch")
    maps = [xk.explain(model, x, "layer-cam", target=1, layer=n).values.astype(np.float64) for n in ("c1", "c2")]
    scaled = [np.tanh(2 * m / m.max((1, 2), keepdims=True)) for m in maps]
    found = xk.explain(model, x, "layer-cam", target=1, layer=["c1", "c2"])
    assert_allclose(found.values, np.maximum(*scaled), rtol=1e-5, atol=1e-7)
    assert list(found.origin.parameters["layer"]) == ["c1", "c2"]
    with pytest.raises(NotSupported, match="different places"):
        xk.explain(model, x, "layer-cam", target=1, layer=["c1", "c2"], upsample=False)


@pytest.mark.parametrize("layer", [3, [], ["c1", 3], ()])
def test_layer_cam_takes_names_of_layers(layer):
    model, x = image_pair("torch")
    with pytest.raises(ParameterError, match="a list of such"):
        xk.explain(model, x, "layer-cam", target=1, layer=layer)


@pytest.mark.parametrize("method", CAMS)
def test_an_unknown_layer_suggests_the_nearest(method):
    model, x = image_pair("torch")
    with pytest.raises(UnknownName, match="did you mean 'head'"):
        xk.explain(model, x, method, target=1, layer="heat")
    with pytest.raises(NotSupported, match="needs channels over space or time"):
        xk.explain(model, x, method, target=1, layer="head")


@pytest.mark.parametrize("method", GRADIENT_CAMS)
def test_a_map_that_only_speaks_against_says_so(method):
    """Every activation is negative where the gradient is positive: the ReLU leaves nothing, and the reason is told."""
    net = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Flatten(), nn.Linear(16, 1, bias=False))
    with torch.no_grad():
        net[0].weight.fill_(-1), net[0].bias.zero_(), net[2].weight.fill_(1)
    model = xk.wrap(net, inputs=xk.Image(4, 4, 1), outputs=xk.Values(["a"]))
    x = np.arange(1, 17, dtype=np.uint8).reshape(4, 4)
    found = xk.explain(model, x, method, layer="0")
    assert not found.values.any()
    assert_allclose(found.quality["cut"], 1)
    assert found.status == "warn"
    assert "speaks against the score" in found.status.reasons[0]
    assert (xk.explain(model, x, method, layer="0", relu=False).values < 0).any()


@pytest.mark.parametrize("method", GRADIENT_CAMS)
def test_dead_relus_give_zeros_with_the_reason(method):
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2))
    with torch.no_grad():
        net[0].bias.fill_(-1e3)
    model = xk.wrap(net, inputs=xk.Image(6, 6, 1), outputs=xk.Values(["a", "b"]))
    found = xk.explain(model, np.ones((6, 6), np.uint8), method, target="a")
    assert not found.values.any()
    assert found.status == "warn"
    assert "does not depend on that layer" in found.status.reasons[0]


@pytest.mark.parametrize("method", CAMS)
def test_gradients_that_are_no_numbers_fail(method):
    class Broken(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3)

        def forward(self, x):
            return torch.sqrt(self.conv(x).flatten(1).sum(1, keepdim=True) * 0 - 1)

    model = xk.wrap(Broken(), inputs=xk.Image(6, 6, 1), outputs=xk.Values(["a"]))
    found = xk.explain(model, np.arange(36, dtype=np.uint8).reshape(6, 6), method)
    assert found.status == "fail"


class TwoInputs(nn.Module):
    """A picture and a series, each with its own convolution, one of which is called twice."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.steps, self.head = nn.Conv2d(3, 3, 3, padding=1), nn.Conv1d(2, 3, 3), nn.Linear(6, 2)
        with torch.no_grad():
            self.head.weight.abs_()

    def forward(self, picture, series):
        seen = F.relu(self.conv(self.conv(picture)), inplace=True)
        return self.head(torch.cat([seen.mean((2, 3)), self.steps(series).mean(2)], 1))


@pytest.mark.parametrize("method", CAMS)
@pytest.mark.parametrize("kind", ["float32", "float16"])
def test_odd_networks_several_inputs_shared_layers_and_half_precision(method, kind):
    net = TwoInputs().half() if kind == "float16" else TwoInputs()
    inputs = {"picture": xk.Image(8, 8), "series": xk.Series(9, 2)}
    model = xk.wrap(net, inputs=inputs, outputs=xk.Values(["a", "b"]))
    rng = np.random.default_rng(0)
    x = {"picture": rng.integers(0, 256, (8, 8, 3)).astype(np.uint8), "series": rng.normal(size=(9, 2))}
    for layer, name, shape in (("conv:1", "picture", (1, 8, 8)), ("steps", "series", (1, 9))):
        found = xk.explain(model, x, method, target="a", layer=layer, relu=False)
        assert list(found) == [name]
        assert found[name].values.shape == shape
        assert np.isfinite(found[name].values).all()
        assert found[name].values.any()


@pytest.mark.slow
@pytest.mark.parametrize("method", CAMS)
@pytest.mark.parametrize("name", some(["mnist_cnn", "cats_vs_dogs"], ["mnist_cnn"]))
def test_both_frameworks_agree_on_trained_networks(name, method):
    models = [xk.zoo.load(name, framework=f) for f in ("torch", "keras")]
    x = shown(name)
    a, b = (xk.explain(m, x, method, target=1) for m in models)
    assert agreement(a.values, b.values).max() <= 1e-4
    assert a.layer == b.layer or (a.layer or "").startswith(str(b.layer))


ON_PLACES = ("saliency", "smooth-grad", *CAMS, "guided-backprop", "deconvnet", "guided-grad-cam", "rise", "occlusion")
BRIEF = {"smooth-grad": {"samples": 4}, "rise": {"samples": 64}, "occlusion": {"window": 64, "stride": 32}}


@pytest.mark.slow
@pytest.mark.parametrize("method", ON_PLACES)
def test_a_region_of_a_segmentation_is_explained(method):
    model = xk.zoo.load("unet", framework="torch")
    region = xk.Region("shape", box=(40, 40, 80, 80))
    found = xk.explain(model, shown("unet")[:1], method, target=region, **BRIEF.get(method, {}))
    assert found.values.shape[:3] == (1, 128, 128)
    assert np.isfinite(found.values).all()
    assert found.values.any()
    assert found.target_labels == ("shape in the region",)


@pytest.mark.slow
def test_the_map_of_a_segmentation_is_not_the_answer_itself():
    """The last maps are the answer's own logits; the layer before them is what there is to look at."""
    model = xk.zoo.load("unet", framework="torch")
    layer = xk.explain(model, shown("unet")[:1], "grad-cam", target=xk.Region("shape", pixel=(5, 5))).layer
    assert model.layers[layer].shape[-1] > 2


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["torch", "keras"])
@pytest.mark.parametrize("method", ON_PLACES)
def test_a_reconstruction_error_is_explained(method, framework):
    model = xk.zoo.load("conv_autoencoder", framework=framework)
    x = shown("conv_autoencoder")[:1, ::4, ::4]
    brief = {**BRIEF, "occlusion": {"window": 8}}
    found = xk.explain(model, x, method, target=xk.ReconstructionError(), **brief.get(method, {}))
    assert found.values.shape[:3] == (1, 32, 32)
    assert found.values.any() or found.quality["cut"] == 1


@pytest.mark.parametrize("method", [m for m in ON_PLACES if "cam" not in m])
def test_the_error_of_a_series_is_explained(method):
    model = xk.zoo.load("series_autoencoder", framework="torch")
    x = np.sin(np.arange(140) / 9)[:, None]
    brief = {**BRIEF, "occlusion": {"window": 20}}
    found = xk.explain(model, x, method, target=xk.ReconstructionError(), **brief.get(method, {}))
    assert found.values.shape[1] == 140
    assert found.values.any()


@pytest.mark.parametrize("method", CAMS)
def test_a_network_without_maps_is_refused(method):
    model = xk.zoo.load("series_autoencoder", framework="torch")
    with pytest.raises(NotSupported, match=r"no layer with channels over space or time.*use integrated-gradients"):
        xk.explain(model, np.zeros((140, 1)), method)
