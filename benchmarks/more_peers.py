"""The digits' CNN beside pytorch-grad-cam, lucent and xplique, where they can be imported."""

import importlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import bare
import numpy as np
from cases import BARE, OURS, Scale, case, explained, row_of, there
from networks import digits, mnist_cnn
from on_digits import CLASS, occluded, ours
from page import Row
from timing import Work

import xaikit as xk
from xaikit.arrays import Array, upsample

TORCH, KERAS = "mnist_cnn, torch", "mnist_cnn, Keras"
STEPS = 32
DECLARED: list[Any] = []
"""Kept, since what a torch library declares goes with it."""
WINDOW = 4


def with_torchvision(module: str) -> Any:
    """Import a peer that needs torchvision, of which only transformations of pictures are used.

    A torchvision that was built for CUDA stops beside a torch without it, for want of operators for boxes that it looks
    up and that nothing here calls: they are declared, one by one, so that the rest can be imported.
    """
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    DECLARED.append(library)
    for _ in range(20):
        try:
            importlib.import_module("torchvision")
            break
        except RuntimeError as error:
            lacking = re.search(r"torchvision::(\w+) does not exist", str(error))
            if lacking is None:
                break
            library.define(f"{lacking[1]}(Tensor boxes) -> Tensor")
            for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
                del sys.modules[name]
        except ImportError:
            break  # the peer itself says what it lacks
    return there(module)


def alike(a: Any, b: Any) -> float:
    """Give the correlation of two maps; one is brought to the size of the larger, channels are summed up."""
    a, b = _flat_map(a), _flat_map(b)
    size = tuple(np.maximum(a.shape, b.shape).tolist())
    return float(np.corrcoef(upsample(a[None], size).ravel(), upsample(b[None], size).ravel())[0, 1])


def _flat_map(a: Any) -> Array:
    a = np.asarray(a, np.float64)
    a = a[0] if a.ndim > 2 and len(a) == 1 else a
    return a.sum(-1) if a.ndim == 3 else a


def agreement(sides: Mapping[str, Work], read: Mapping[str, Callable[[Any], Any]]) -> dict[str, float]:
    """Give the correlation of every peer's map with xaikit's; `read` takes the map out of what a side gives."""
    own = read[OURS](sides[OURS]())
    return {name: alike(take(sides[name]()), own) for name, take in read.items() if name in sides and name != OURS}


@case("grad-cam-torch")
def grad_cam(scale: Scale) -> Iterator[Row]:
    import captum.attr

    model, image = mnist_cnn(), digits(1)[0]
    seen = int(model.run(model.inputs.encode(image)).output.argmax())  # of another class the map may be 0 everywhere
    x, layer = bare.pictures(model.inputs.encode(image)), ours(model, image, "grad-cam")().layer
    module = dict(model.net.named_modules())[layer]
    theirs = captum.attr.LayerGradCam(model.net, module)
    sides: dict[str, Work] = {
        BARE: partial(bare.gradient(model.net, seen, layer), x),
        OURS: partial(explained, model, image, "grad-cam", target=seen, score="output"),
        "captum": partial(theirs.attribute, x.clone().requires_grad_(), target=seen, relu_attributions=True),
    }
    read: dict[str, Callable[[Any], Any]] = {
        OURS: lambda e: e.values,
        "captum": lambda m: m.detach().numpy()[:, 0],
        "pytorch-grad-cam": lambda m: m,
    }
    if (library := with_torchvision("pytorch_grad_cam")) is not None:
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        cam = library.GradCAM(model=model.net, target_layers=[module])
        sides["pytorch-grad-cam"] = partial(
            cam, input_tensor=x.clone().requires_grad_(), targets=[ClassifierOutputTarget(seen)]
        )
    found = scale.turns(sides, most=101, limit=3)
    remark = "of what the network gives; pytorch-grad-cam's map is scaled up to the picture and to 1"
    yield row_of(found, "Grad-CAM, one picture, all libraries", TORCH, remark=remark, agreement=agreement(sides, read))


@case("maximisation")
def maximisation(scale: Scale) -> Iterator[Row]:
    import torch

    if (render := with_torchvision("lucent.optvis.render")) is None:
        return
    model, steps = mnist_cnn(), scale.of(STEPS, 4)
    x = torch.rand(1, 1, 28, 28)
    gradient = bare.gradient(model.net, CLASS)
    module = [n for n, m in model.net.named_modules() if isinstance(m, torch.nn.Linear)][-1]

    def pixels() -> Any:
        picture = (torch.rand(1, 1, 28, 28) * 0.02 + 0.49).requires_grad_()
        return [picture], lambda: picture

    def theirs() -> Any:
        return render.render_vis(
            model.net,
            f"{module.replace('.', '_')}:{CLASS}",
            param_f=pixels,
            transforms=[],
            preprocess=False,
            thresholds=(steps,),
            fixed_image_size=28,  # it would make 224 × 224 of it otherwise
            show_image=False,
            progress=False,
            verbose=False,
        )

    sides: dict[str, Work] = {
        BARE: lambda: [gradient(x) for _ in range(steps)],
        OURS: partial(
            xk.maximize,
            model,
            target=CLASS,
            steps=steps,
            plateau=None,
            transformations=False,
            penalties=False,
            progress=False,
        ),
        "lucent": theirs,
    }
    remark = "a class by its plain gradient, without transformations; xaikit also judges what it has found"
    yield row_of(scale.turns(sides), f"feature maximisation, {steps} steps", TORCH, remark=remark)


@case("keras-xplique")
def in_keras(scale: Scale) -> Iterator[Row]:
    if (library := there("xplique.attributions")) is None:
        return
    model, image = mnist_cnn("keras"), digits(1)[0]
    x, layer = model.inputs.encode(image), ours(model, image, "grad-cam")().layer
    seen = int(model.run(x).output.argmax())
    one_hot = np.eye(10, dtype=np.float32)[[seen]]
    by_input, by_layer = (bare.keras_gradient(model.net, seen, at) for at in (None, layer))
    windows = {"patch_size": WINDOW, "patch_stride": 2, "occlusion_value": 0.0}
    works: list[tuple[str, str, Work, dict[str, Any], Any]] = [
        ("saliency", "saliency", partial(by_input, x), {}, library.Saliency(model.net)),
        ("Grad-CAM", "grad-cam", partial(by_layer, x), {}, library.GradCAM(model.net, conv_layer=layer)),
        (
            "occlusion",
            "occlusion",
            bare.best(bare.keras_forward(model.net), occluded(model, image), (64, 128, 170))[0],
            {"window": WINDOW, "stride": 2, "baseline": 0.0, "accelerate": "none"},
            library.Occlusion(model.net, batch_size=170, **windows),
        ),
    ]
    for name, method, calls, how, theirs in works:
        sides: dict[str, Work] = {
            BARE: calls,
            OURS: partial(explained, model, image, method, target=seen, score="output", **how),
            "xplique": partial(theirs, x, one_hot),
        }
        sized = np.abs if method == "saliency" else np.asarray  # xplique's saliency has no sign
        read = {OURS: lambda e, sized=sized: sized(e.values), "xplique": np.asarray}
        found, remark = scale.turns(sides, most=51), "of what the network gives"
        yield row_of(found, f"{name}, one picture", KERAS, remark=remark, agreement=agreement(sides, read))
