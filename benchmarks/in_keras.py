"""The digits' CNN in Keras beside tf-keras-vis."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import bare
import numpy as np
from cases import BARE, OURS, Scale, case, row, row_of
from many_at_once import together_and_apart
from networks import digits, mnist_cnn
from on_digits import CLASS, occluded, ours
from page import Row
from timing import Work

NETWORK = "mnist_cnn, Keras"
COPIES = 20


def peers(model: Any, image: Any) -> dict[str, Work]:
    """Give the methods of tf-keras-vis on one picture, by the name of xaikit's."""
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.saliency import Saliency
    from tf_keras_vis.utils.scores import CategoricalScore

    score, x = CategoricalScore([CLASS]), model.inputs.encode(image)
    saliency, grad_cam = (kind(model.net, clone=False) for kind in (Saliency, Gradcam))
    return {
        "saliency": partial(saliency, score, x),
        "grad-cam": partial(grad_cam, score, x, penultimate_layer=-1),
        "smooth-grad": partial(saliency, score, x, smooth_samples=COPIES, smooth_noise=0.2),
    }


@case("keras-gradients")
def gradients(scale: Scale) -> Iterator[Row]:
    model, image = mnist_cnn("keras"), digits(1)[0]
    x = model.inputs.encode(image)
    layer = ours(model, image, "grad-cam")().layer
    by_input, by_layer = (bare.keras_gradient(model.net, CLASS, at) for at in (None, layer))
    noisy = np.repeat(x, COPIES, axis=0)
    works: list[tuple[str, str, Work, dict[str, Any]]] = [
        ("saliency", "saliency", partial(by_input, x), {}),
        ("Grad-CAM", "grad-cam", partial(by_layer, x), {}),
        (f"SmoothGrad of {COPIES}", "smooth-grad", partial(by_input, noisy), {"samples": COPIES}),
    ]
    theirs = peers(model, image)
    for name, method, call, how in works:
        sides = {
            BARE: call,
            OURS: ours(model, image, method, **how),
            "tf-keras-vis": theirs[method],
        }
        found = scale.turns(sides, most=101)
        yield row_of(found, f"{name}, one picture", NETWORK, 1.5, "over one compiled gradient")


@case("keras-occlusion")
def occlusion(scale: Scale) -> Iterator[Row]:
    model, image = mnist_cnn("keras"), digits(1)[0]
    sides = {
        BARE: bare.best(bare.keras_forward(model.net), occluded(model, image), (64, 128, 170))[0],
        OURS: ours(model, image, "occlusion", window=4, stride=2, baseline=0.0, accelerate="none"),
    }
    yield row(scale, "occlusion, 169 windows", NETWORK, sides, 1.15, "tf-keras-vis has none")


@case("keras-deep-lift")
def deep_lift(scale: Scale) -> Iterator[Row]:
    model, images = mnist_cnn("keras"), digits(64)
    sides = {
        BARE: partial(bare.keras_gradient(model.net, CLASS), model.inputs.encode(images)),
        OURS: ours(model, images, "deep-lift", baseline=0.0),
    }
    yield row(
        scale, "DeepLIFT of 64 pictures", NETWORK, sides, 2.4, "over one gradient of the batch; no peer in Keras 3"
    )


@case("keras-many")
def many(scale: Scale) -> Iterator[Row]:
    yield from together_and_apart(scale, "keras")
