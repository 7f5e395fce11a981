"""A dialect gives what the library of that name gives with its own defaults."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import xaikit as xk
from tests.contract.nets import image_pair
from xaikit.attribution import methods
from xaikit.attribution._dialects import DIALECTS
from xaikit.errors import ParameterError

CLASS = 2
OF_THEIRS = pytest.mark.filterwarnings(
    "ignore:Please import `zoom`:DeprecationWarning", "ignore:(?s).*structure of `inputs`:UserWarning"
)
CLOSE = {"rtol": 1e-4, "atol": 1e-6}
CASES = [(method, library) for method, known in DIALECTS.items() for library in known]


@cache
def torch_side() -> tuple[Any, Any, Any]:
    """Give the wrapped network, a picture, and the picture as torch takes it."""
    import torch

    model, x = image_pair("torch")
    encoded = model.inputs.encode(x[:1])
    return model, x[:1], torch.tensor(encoded.transpose(0, 3, 1, 2))


def explained(framework: str, method: str, dialect: str, **parameters: Any) -> Any:
    model, x = image_pair(framework)
    return xk.explain(model, x[:1], method, CLASS, dialect=dialect, seed=0, **parameters)


@pytest.mark.parametrize(("method", "library"), CASES)
def test_every_dialect_is_made_of_the_methods_own_parameters(method: str, library: str) -> None:
    assert set(DIALECTS[method][library].parameters) <= set(methods[method].parameters())
    assert methods[method].make({"dialect": library}).dialect == library


def test_captum_saliency_has_no_sign() -> None:
    from captum.attr import Saliency

    model, _, x = torch_side()
    theirs = Saliency(model.net.eval()).attribute(x.requires_grad_(), target=CLASS).detach().numpy()
    assert_allclose(explained("torch", "saliency", "captum").values[0], theirs[0].transpose(1, 2, 0), **CLOSE)


def test_captum_integrated_gradients_starts_at_what_the_network_calls_zero() -> None:
    from captum.attr import IntegratedGradients

    model, _, x = torch_side()
    theirs = IntegratedGradients(model.net.eval()).attribute(x, target=CLASS).detach().numpy()
    ours = explained("torch", "integrated-gradients", "captum")
    assert_allclose(ours.values[0], theirs[0].transpose(1, 2, 0), **CLOSE)
    assert ours.origin.parameters["baseline"] == "encoded-zero"
    assert ours.origin.score == "output"


@pytest.mark.filterwarnings("ignore:Setting backward hooks")
@pytest.mark.parametrize(
    ("method", "name"),
    [("gradient-x-input", "InputXGradient"), ("guided-backprop", "GuidedBackprop"), ("deconvnet", "Deconvolution")],
)
def test_captum_gradients(method: str, name: str) -> None:
    import captum.attr

    model, _, x = torch_side()
    theirs = (
        getattr(captum.attr, name)(model.net.eval())
        .attribute(x.clone().requires_grad_(), target=CLASS)
        .detach()
        .numpy()
    )
    assert_allclose(explained("torch", method, "captum").values[0], theirs[0].transpose(1, 2, 0), **CLOSE)


def test_captum_grad_cam_has_both_signs_on_the_layers_own_grid() -> None:
    from captum.attr import LayerGradCam

    model, _, x = torch_side()
    theirs = LayerGradCam(model.net.eval(), model.net.c2).attribute(x, target=CLASS).detach().numpy()
    ours = explained("torch", "grad-cam", "captum", layer="c2").values
    assert_allclose(ours, theirs[:, 0], **CLOSE)
    assert ours.min() < 0 < ours.max()


def test_captum_occlusion_moves_by_one() -> None:
    from captum.attr import Occlusion

    model, _, x = torch_side()
    theirs = Occlusion(model.net.eval()).attribute(x, (3, 4, 4), target=CLASS).detach().numpy()
    ours = explained("torch", "occlusion", "captum", window=4).values
    assert_allclose(ours[0], theirs[0].mean(0), **CLOSE)


def test_captum_smooth_grad_on_average() -> None:
    import torch
    from captum.attr import NoiseTunnel, Saliency

    model, _, x = torch_side()
    torch.manual_seed(0)
    theirs = NoiseTunnel(Saliency(model.net.eval())).attribute(x, target=CLASS, nt_samples=2000, stdevs=0.5)
    ours = explained("torch", "smooth-grad", "captum", samples=2000, noise=0.5)
    error = 5 * 2**0.5 * ours.quality["standard_error"][0] * np.abs(ours.values).max()
    assert np.abs(ours.values[0] - theirs[0].detach().numpy().transpose(1, 2, 0)).mean() < error
    assert (ours.values >= 0).all()


def test_captum_lime_is_a_lasso() -> None:
    import torch
    from captum.attr import Lime

    model, _, x = torch_side()
    parts = np.arange(9).reshape(3, 3).repeat(4, 0).repeat(4, 1)
    mask = torch.tensor(parts[None, None].repeat(3, 1))
    torch.manual_seed(0)
    theirs = Lime(model.net.eval()).attribute(x, target=CLASS, feature_mask=mask, n_samples=4000)
    ours = explained("torch", "lime", "captum", segments=parts, samples=4000).values[0]
    assert_allclose(ours, theirs.detach().numpy()[0, 0], atol=0.05 * np.abs(ours).max() + 1e-4)
    weak = explained("torch", "lime", "captum", segments=parts, samples=4000, alpha=1e-5).values[0]
    assert np.count_nonzero(weak) > np.count_nonzero(ours)


@OF_THEIRS
def test_tf_keras_vis_saliency_is_scaled_to_its_own_range() -> None:
    pytest.importorskip("tf_keras_vis")
    from tf_keras_vis.saliency import Saliency
    from tf_keras_vis.utils.scores import CategoricalScore

    model, x = image_pair("keras")
    theirs = Saliency(model.net)(CategoricalScore([CLASS]), model.inputs.encode(x[:1]))
    ours = explained("keras", "saliency", "tf-keras-vis")
    assert_allclose(ours.values, theirs, rtol=1e-3, atol=1e-5)
    assert ours.axes == ("sample", "height", "width")


@OF_THEIRS
def test_tf_keras_vis_grad_cam_lays_corner_on_corner() -> None:
    pytest.importorskip("tf_keras_vis")
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.utils.scores import CategoricalScore

    model, x = image_pair("keras")
    theirs = Gradcam(model.net)(CategoricalScore([CLASS]), model.inputs.encode(x[:1]), penultimate_layer="c2")
    ours = explained("keras", "grad-cam", "tf-keras-vis", layer="c2").values
    assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)


def test_pytorch_grad_cam_scales_before_and_after_it_resizes() -> None:
    pytest.importorskip("pytorch_grad_cam", reason="pytorch-grad-cam needs torchvision")
    from pytorch_grad_cam import GradCAM, LayerCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    model, _, x = torch_side()
    for method, library in (("grad-cam", GradCAM), ("layer-cam", LayerCAM)):
        theirs = library(model.net.eval(), [model.net.c2])(x, [ClassifierOutputTarget(CLASS)])
        assert_allclose(explained("torch", method, "pytorch-grad-cam", layer="c2").values, theirs, atol=1e-5)


def test_lime_cuts_with_its_own_quickshift() -> None:
    from lime.lime_image import LimeImageExplainer

    rng = np.random.default_rng(5)
    photo = (rng.random((6, 6, 3)).repeat(8, 0).repeat(8, 1) * 255).astype(np.uint8)
    weights = rng.normal(size=(48, 48, 3))

    def net(x: Any) -> Any:
        z = (x.astype(np.float64) * weights).sum((1, 2, 3)) / 200
        p = 1 / (1 + np.exp(-z))
        return np.stack([1 - p, p], 1)

    model = xk.wrap(net, inputs=xk.Image(48, 48, scale=1.0), outputs=xk.Classes(["no", "yes"]), version="1")
    theirs = LimeImageExplainer(random_state=3).explain_instance(
        photo, net, labels=(1,), top_labels=None, num_samples=1000, random_seed=3
    )
    ours = xk.explain(model, photo, "lime", "yes", dialect="lime", seed=3)
    expected = dict(theirs.local_exp[1])
    painted = np.vectorize(expected.get)(theirs.segments)
    assert len(expected) >= 5
    assert_allclose(ours.values[0], painted, atol=1e-6 * np.abs(painted).max())


def test_what_is_given_goes_before_the_dialect() -> None:
    ours = explained("torch", "integrated-gradients", "captum", steps=7)
    assert (ours.origin.parameters["steps"], ours.origin.parameters["dialect"]) == (7, "captum")


def test_a_dialect_is_replayed_with_the_parameters_of_its_origin() -> None:
    ours = explained("torch", "saliency", "tf-keras-vis")
    model, x = image_pair("torch")
    again = xk.explain(model, x[:1], "saliency", CLASS, **ours.origin.parameters)
    assert_allclose(again.values, ours.values)
    assert (ours.values.min(), ours.axes) == (0, ("sample", "height", "width"))
    assert not [key for key in ours.quality if key.startswith("completeness")]


def test_unknown_dialects_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"saliency has no dialect 'capto'; did you mean 'captum'"):
        explained("torch", "saliency", "capto")
    with pytest.raises(ParameterError, match="rise has no dialects"):
        explained("torch", "rise", "captum")
