"""The digits' CNN in torch beside lime, shap and captum."""

import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any

import bare
import numpy as np
from cases import BARE, GRADIENTS, OURS, Scale, case, explained, in_turn, row, row_of, with_evidence
from networks import GRID, digits, mnist_cnn
from page import Figure, Row
from timing import Work, seconds

from xaikit.arrays import Array

NETWORK = "mnist_cnn, torch"
BATCHES = (32, 64, 128, 256)
CLASS = 3
MEASURED_TOGETHER = 15
"""Seconds for a case with many sides."""


def masked(model: Any, image: Array, count: int) -> Any:
    """Give encoded copies of a picture with half of 49 squares hidden: pooling takes longer on noise than on these."""
    x = model.inputs.encode(image)
    shown = np.random.default_rng(0).random((count, 49))[:, GRID][..., None] < 0.5
    return bare.pictures(np.where(shown, x, x.mean()).astype(np.float32))


def passes(model: Any, image: Array, count: int) -> tuple[Work, int]:
    return bare.best(bare.forward(model.net), masked(model, image, count), BATCHES)


def ours(model: Any, image: Array, method: str, **parameters: Any) -> Work:
    return partial(explained, model, image, method, target=CLASS, **parameters)


def of_captum(model: Any, image: Array, method: str, **how: Any) -> Work:
    """One of captum's methods on a picture, parameters frozen as for the bare calls."""
    import captum.attr

    x, attributor = bare.pictures(model.inputs.encode(image)), getattr(captum.attr, method)(model.net)
    return partial(attributor.attribute, x, target=CLASS, **how)


def of_lime(model: Any, image: Array, labels: Array, samples: int, **how: Any) -> Work:
    """A picture explained by the lime package with given parts; it takes pictures of three channels only."""
    from lime.lime_image import LimeImageExplainer

    run, channels = bare.forward(model.net), image.shape[-1]
    rgb = np.broadcast_to(image, (*image.shape[:2], 3)).astype(np.float64)

    def predict(rows: Array) -> Array:
        return run(bare.pictures(model.inputs.encode(rows[..., :channels])))

    how = {"num_samples": samples, "top_labels": 1, "random_seed": 0, **how}
    explainer = LimeImageExplainer(random_state=0)
    return partial(explainer.explain_instance, rgb, predict, segmentation_fn=lambda _: labels, **how)


@case("lime-picture")
def lime_of_a_picture(scale: Scale) -> Iterator[Row]:
    import torch

    model, image, samples = mnist_cnn(), digits(1)[0], scale.of(1000)
    labels = explained(model, image, "lime", samples=2).parts[0]
    prepared = seconds(partial(model.fast, "onnxruntime"))
    calls, size = passes(model, image, samples)
    captum = partial(
        of_captum, model, image, "Lime", feature_mask=torch.from_numpy(labels[None, None]), n_samples=samples
    )
    sides = {
        BARE: calls,
        OURS: ours(model, image, "lime", samples=samples, accelerate="none"),
        "in ONNX Runtime": ours(model, image, "lime", samples=samples, accelerate="onnxruntime"),
        "lime": of_lime(model, image, labels, samples),
        "lime, best batch": of_lime(model, image, labels, samples, batch_size=size),
        "captum, best batch": captum(perturbations_per_eval=size),
        "captum": captum(),
    }
    found = scale.turns(sides, limit=MEASURED_TOGETHER)
    peers = ("lime", "lime, best batch", "captum, best batch", "captum")
    remark = f"{labels.max() + 1} superpixels, the same for all; lime asks in batches of 10 by default, captum of 1"
    yield row_of(found, f"LIME, {samples} coalitions", NETWORK, 1.10, remark, peers=peers)
    faster = Figure("faster than lime", 5, found.ratio("lime", "in ONNX Runtime").median, "×", at_least=True)
    yield row_of(
        found,
        f"LIME, {samples} coalitions, answered by ONNX Runtime",
        NETWORK,
        remark=f"end to end; the copy takes {prepared:.2f} s, once for a model, which are not in it",
        side="in ONNX Runtime",
        peers=peers[:2],
        figures=[faster],
    )


@case("squares")
def forty_nine_squares(scale: Scale) -> Iterator[Row]:
    import torch

    model, image, samples = mnist_cnn(), digits(1)[0], scale.of(500, 60)
    calls, size = passes(model, image, samples)
    how = {"feature_mask": torch.from_numpy(GRID[None, None]), "n_samples": samples}
    for title, method, theirs in (("KernelSHAP", "kernel-shap", "KernelShap"), ("LIME", "lime", "Lime")):
        captum = partial(of_captum, model, image, theirs, **how)
        sides = {
            BARE: calls,
            OURS: ours(model, image, method, samples=samples, segments=GRID, accelerate="none"),
            "captum, best batch": captum(perturbations_per_eval=size),
            "captum": captum(),
        }
        yield row(scale, f"{title}, {samples} coalitions of 49 squares", NETWORK, sides, 1.25)


def occluded(model: Any, image: Array) -> Array:
    """Give an encoded digit 170 times, all but the last with one of the 169 windows set to zero."""
    rows = np.repeat(model.inputs.encode(image), 170, axis=0)
    for k, (i, j) in enumerate(itertools.product(range(0, 25, 2), repeat=2)):
        rows[k, i : i + 4, j : j + 4] = 0
    return rows


@case("occlusion")
def occlusion(scale: Scale) -> Iterator[Row]:
    model, image = mnist_cnn(), digits(1)[0]
    calls, size = bare.best(bare.forward(model.net), bare.pictures(occluded(model, image)), BATCHES)
    captum = partial(of_captum, model, image, "Occlusion", sliding_window_shapes=(1, 4, 4), strides=(1, 2, 2))
    sides = {
        BARE: calls,
        OURS: ours(model, image, "occlusion", window=4, stride=2, baseline=0.0, accelerate="none"),
        "captum, best batch": captum(perturbations_per_eval=size),
        "captum": captum(),
    }
    yield row(scale, "occlusion, 169 windows", NETWORK, sides, 1.15)


@case("partition-shap")
def partition_shap(scale: Scale) -> Iterator[Row]:
    import shap

    model, image = mnist_cnn(), digits(1)[0]
    x, run = model.inputs.encode(image)[0], bare.forward(model.net)
    masker = shap.maskers.Image(np.full_like(x, x.mean()), x.shape)
    explainer = shap.PartitionExplainer(lambda rows: run(bare.pictures(rows.astype(np.float32))), masker)
    for samples in (scale.of(500, 60), scale.of(1000, 60)):
        sides = {
            BARE: passes(model, image, samples)[0],
            OURS: ours(model, image, "partition-shap", samples=samples, accelerate="none"),
            "shap": partial(explainer, x[None], max_evals=samples, batch_size=50, outputs=[CLASS], silent=True),
        }
        remark = "over single pixels; shap's tree is made before, in batches of 50"
        yield row(scale, f"partition SHAP, {samples} calls", NETWORK, sides, 1.25, remark)


@case("expected-gradients")
def expected_gradients(scale: Scale) -> Iterator[Row]:
    import shap

    model, image, samples = mnist_cnn(), digits(1)[0], scale.of(200)
    x, background = bare.pictures(model.inputs.encode(image)), digits(100)
    explainer = shap.GradientExplainer(model.net, bare.pictures(model.inputs.encode(background)))
    points = masked(model, image, samples)
    gradients = bare.best(bare.gradient(model.net, CLASS), points, BATCHES)[0]
    ends = passes(model, image, 1 + len(background))[0]  # f(x), and f(b) of every picture of the background
    sides = {
        BARE: partial(in_turn, gradients, ends),
        OURS: ours(model, image, "gradient-shap", background=background, samples=samples),
        GRADIENTS: gradients,
        "shap": lambda: explainer.shap_values(x, nsamples=samples, ranked_outputs=1),
    }
    remark = f"background of {len(background)} pictures"
    yield with_evidence(scale, f"expected gradients, {samples} points", NETWORK, sides, 1.2, remark)


@case("integrated-gradients")
def integrated_gradients(scale: Scale) -> Iterator[Row]:
    model, image = mnist_cnn(), digits(1)[0]
    gradients = bare.best(bare.gradient(model.net, CLASS), masked(model, image, 50), (16, 25, 50))[0]
    ends = passes(model, image, 2)[0]  # f(x) and f(b)
    sides = {
        BARE: partial(in_turn, gradients, ends),
        OURS: ours(model, image, "integrated-gradients", steps=50),
        GRADIENTS: gradients,
        "captum": of_captum(model, image, "IntegratedGradients", n_steps=50),
    }
    remark = "captum takes all steps at once and looks at neither end"
    yield with_evidence(scale, "integrated gradients, 50 steps", NETWORK, sides, 1.10, remark)


@case("deep-lift")
def deep_lift(scale: Scale) -> Iterator[Row]:
    import torch

    model, images = mnist_cnn(), digits(64)
    x = bare.pictures(model.inputs.encode(images))
    sides = {
        BARE: partial(bare.gradient(model.net, CLASS), x),
        OURS: ours(model, images, "deep-lift", baseline=0.0),
        "captum": of_captum(model, images, "DeepLift", baselines=torch.zeros_like(x)),
    }
    yield row(scale, "DeepLIFT of 64 pictures", NETWORK, sides, 2.4, "over one gradient of the batch; wanted: 1.7")


@case("one-picture")
def one_picture(scale: Scale) -> Iterator[Row]:
    """Methods of one gradient, for which no figure is set: what a single small picture costs."""
    import captum.attr

    model, image = mnist_cnn(), digits(1)[0]
    layer, x = ours(model, image, "grad-cam")().layer, bare.pictures(model.inputs.encode(image))
    leaf = x.clone().requires_grad_()  # captum asks for an input with a gradient
    grad_cam = captum.attr.LayerGradCam(model.net, dict(model.net.named_modules())[layer])
    works = {
        "saliency": (None, partial(captum.attr.Saliency(model.net).attribute, leaf, target=CLASS)),
        "grad-cam": (layer, partial(grad_cam.attribute, leaf, target=CLASS)),
        "guided-backprop": (None, partial(captum.attr.GuidedBackprop(model.net).attribute, leaf, target=CLASS)),
    }
    for method, (at, theirs) in works.items():
        sides = {
            BARE: partial(bare.gradient(model.net, CLASS, at), x),
            OURS: ours(model, image, method),
            "captum": theirs,
        }
        yield row_of(scale.turns(sides, most=101, limit=3), f"{method}, one picture", NETWORK)
