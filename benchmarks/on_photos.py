"""Pictures of 224 × 224 and a ResNet-50 in torch, beside lime, shap and captum."""

import copy
from collections.abc import Iterator, Mapping
from functools import cache, partial
from typing import Any

import bare
import numpy as np
from cases import BARE, OURS, Scale, case, explained, row_of
from networks import photo, resnet50
from on_digits import CLASS, of_captum, of_lime, ours
from page import Figure, Row
from timing import Work, peak

import xaikit as xk
from xaikit.arrays import Array
from xaikit.perturb.coalitions import coin_flips
from xaikit.perturb.copies import FEW, MANY, choice
from xaikit.perturb.hierarchy import by_place, centres
from xaikit.perturb.maskers import Masker
from xaikit.perturb.segments import Parts
from xaikit.perturb.solvers import surrogate

NETWORK = "ResNet-50 at 224, torch"
NONE = "none: 224 × 224 × 3"
BATCHES = (4, 8)
GIBIBYTE = 1024


@cache
def network() -> Any:
    return resnet50()


def mean_parts(image: Array, labels: Array) -> Array:
    hidden = image.copy()
    for part in range(labels.max() + 1):
        hidden[labels == part] = image[labels == part].mean(0)
    return hidden


def lime_loop(image: Array, hidden: Array, labels: Array, masks: Array) -> None:
    """What lime_image.data_labels does besides the model: deep copy, a mask for each hidden segment, fancy store."""
    for row in masks:
        masked = copy.deepcopy(image)
        mask = np.zeros(labels.shape, bool)
        for z in np.where(row == 0)[0]:
            mask[labels == z] = True
        masked[mask] = hidden[mask]


def engine(masker: Masker, masks: Array, batch: int) -> None:
    out = {"": np.empty((batch, *masker.x[""].shape), np.float32)}
    fill = masker.filler()
    for start in range(0, len(masks), batch):
        rows = masks[start : start + batch]
        fill(rows, np.zeros(len(rows), int), {"": out[""][: len(rows)]})


def copies(image: Array, count: int, batch: int) -> None:
    """A plain copy of a picture into a buffer, over and over: nothing that makes masked pictures is faster."""
    out = np.empty((batch, *image.shape), np.float32)
    for start in range(0, count, batch):
        out[: count - start] = image


def without_a_model() -> tuple[Any, Array, Array]:
    """Give a model that costs nothing, a photo and its superpixels."""
    model, image = xk.wrap(lambda x: x.mean((1, 2)), inputs=xk.Image(224, 224)), photo()
    return model, image, explained(model, image, "lime", target=0, samples=2).parts[0]


@case("masked-pictures")
def masked_pictures(scale: Scale) -> Iterator[Row]:
    _, image, labels = without_a_model()
    samples, batch, hidden = scale.of(1000), 8, mean_parts(image, labels)
    masks = coin_flips(samples, labels.max() + 1, 0)
    masker = Masker({"": image}, Parts({"": labels}), {"": hidden[None]})
    sides = {
        BARE: partial(copies, image, samples, batch),
        OURS: partial(engine, masker, masks, batch),
        "lime": partial(lime_loop, image.astype(np.float64), hidden, labels, masks),
    }
    found = scale.turns(sides)
    faster = Figure("faster than lime", 20, found.ratio("lime", OURS).median, "×", at_least=True)
    remark = f"{labels.max() + 1} superpixels; the bare side copies the picture as often, in batches of {batch}"
    yield row_of(found, f"{samples} masked pictures", NONE, remark=remark, figures=[faster])


@case("superpixels")
def superpixels_and_fit(scale: Scale) -> Iterator[Row]:
    from lime.lime_base import LimeBase
    from lime.wrappers.scikit_image import SegmentationAlgorithm

    model, image, labels = without_a_model()
    masks = coin_flips(scale.of(1000), labels.max() + 1, 0)
    scores = masks @ np.random.default_rng(0).random(labels.max() + 1)
    quickshift = SegmentationAlgorithm("quickshift", kernel_size=4, max_dist=200, ratio=0.2, random_seed=0)
    base = LimeBase(lambda d: np.sqrt(np.exp(-(d**2) / 0.25**2)), random_state=0)
    distances = 1 - np.sqrt(masks.mean(1))  # cosine distances from the row that shows all

    def theirs() -> None:
        quickshift(image / 255)
        base.explain_instance_with_data(masks.astype(float), np.c_[scores], distances, 0, 100000)

    def whole() -> None:
        explained(model, image, "lime", target=0, samples=2)
        surrogate(masks, scores, 0.25)

    found = scale.turns({OURS: whole, "lime": theirs})
    yield Row(
        "superpixels and the fit of the surrogate",
        NONE,
        faster={"lime": found.ratio("lime", OURS).median},
        figures=[Figure("together", 0.08, found.median(OURS), " s")],
        remark="slic against lime's quickshift; one closed-form solution against scikit-learn's ridge",
    )


@case("tree")
def tree_of_a_picture(scale: Scale) -> Iterator[Row]:
    import shap

    rows = np.arange(224)[:, None] * 64 // 224 * 64 + np.arange(224) * 64 // 224
    found = scale.turns(
        {
            OURS: lambda: by_place(centres(rows)),
            "shap": lambda: shap.maskers.Image(np.zeros((224, 224, 3)), (224, 224, 3)),
        }
    )
    yield Row(
        "the tree of partition SHAP",
        NONE,
        faster={"shap": found.ratio("shap", OURS).median},
        figures=[Figure("xaikit's", 0.1, found.median(OURS), " s")],
        remark="of 4,096 blocks, as many as xaikit takes of such a picture; shap's is of every number",
    )


def last_convolution(model: Any) -> str:
    return explained(model, photo(), "grad-cam", target=CLASS).layer


@case("grad-cam")
def grad_cam(scale: Scale) -> Iterator[Row]:
    import captum.attr

    model, image = network(), photo()
    layer, x = last_convolution(model), bare.pictures(model.inputs.encode(image))
    theirs = captum.attr.LayerGradCam(model.net, dict(model.net.named_modules())[layer])
    leaf = x.clone().requires_grad_()  # captum needs an input with a gradient where parameters are frozen
    sides = {
        BARE: partial(bare.gradient(model.net, CLASS, layer), x),
        OURS: ours(model, image, "grad-cam"),
        "captum": partial(theirs.attribute, leaf, target=CLASS),
        "forward": partial(bare.forward(model.net), x),
    }
    found = scale.turns(sides, limit=10)
    alone = found.ratio("forward", BARE).median
    remark = f"over one forward pass and the backward pass to {layer}; a forward pass alone is {alone:.2f} of both"
    yield row_of(found, "Grad-CAM", NETWORK, 1.05, remark, peers=["captum"])


@case("integrated-gradients-photo")
def integrated_gradients(scale: Scale) -> Iterator[Row]:
    model, image, steps = network(), photo(), scale.of(50, 8)
    x = np.repeat(model.inputs.encode(image), steps, axis=0)
    x *= np.linspace(0, 1, steps, dtype=np.float32)[:, None, None, None]
    calls, size = bare.best(bare.gradient(model.net, CLASS), bare.pictures(x), (1, *BATCHES))
    sides = {
        BARE: calls,
        OURS: ours(model, image, "integrated-gradients", steps=steps),
        "captum": of_captum(model, image, "IntegratedGradients", n_steps=steps),
        "captum, best batch": of_captum(model, image, "IntegratedGradients", n_steps=steps, internal_batch_size=size),
    }
    grown: dict[str, float | None] = {}

    def watched(name: str) -> None:
        grown[name] = peak(sides[name])

    found = scale.turns({name: partial(watched, name) for name in sides}, least=1, most=1, warm=False)
    memory = [Figure("memory", 1.2, grown[OURS] / GIBIBYTE, " GiB")] if grown[OURS] is not None else []
    told = ", ".join(f"{name} {mib or 0:.0f}" for name, mib in grown.items())
    remark = f"one round; MiB at the peak: {told}; best batch {size}"
    yield row_of(found, f"integrated gradients, {steps} steps", NETWORK, 1.10, remark, figures=memory)


COPIES = {"channels-last": (0.82, FEW), "onnxruntime": (0.62, MANY)}
"""The kinds of copies: the share of the plain forward passes that is to be reached, and from how many calls on
accelerate="auto" takes them."""
ROUNDS = 2
"""Of so many passes that two say enough."""


@case("perturbation-photo")
def perturbation(scale: Scale) -> Iterator[Row]:
    yield from on_a_copy(scale, "channels-last")


@case("perturbation-photo-onnx")
def perturbation_in_onnxruntime(scale: Scale) -> Iterator[Row]:
    yield from on_a_copy(scale, "onnxruntime")


def on_a_copy(scale: Scale, kind: str) -> Iterator[Row]:
    """Every perturbation method on a copy, over the network's own forward passes of as many masked pictures."""
    import torch

    model, image, calls = network(), photo(), scale.of(100, 4)
    labels = explained(model, image, "lime", target=CLASS, samples=2).parts[0]
    parts = torch.from_numpy(labels[None, None])
    windows = {"sliding_window_shapes": (3, 80, 80), "strides": (3, 16, 16)}
    captum = partial(of_captum, model, image)
    methods: Mapping[str, tuple[dict[str, Any], dict[str, Work]]] = {
        "lime": ({"samples": calls}, {"lime": of_lime(model, image, labels, calls)}),
        "kernel-shap": (
            {"samples": calls},
            {"captum, best batch": captum("KernelShap", feature_mask=parts, n_samples=calls, perturbations_per_eval=8)},
        ),
        "occlusion": (
            {"window": 80, "stride": 16, "max_calls": calls + 2},
            {"captum, best batch": captum("Occlusion", perturbations_per_eval=8, **windows)},
        ),
        "rise": ({"samples": calls}, {}),
    }
    hidden = mean_parts(image, labels)
    rows = np.stack(
        [np.where(shown[labels][..., None], image, hidden) for shown in coin_flips(calls, labels.max() + 1, 0)]
    )
    plain, size = bare.best(bare.forward(model.net), bare.pictures(model.inputs.encode(rows)), BATCHES)
    ours(model, image, "lime", samples=2, accelerate=kind)()  # a copy is made at the first call
    most, due = COPIES[kind]
    chosen = choice(model, "auto", calls)
    auto = f"'auto' takes {'this copy' if kind == chosen else chosen} here, this one from {due} calls on"
    remark = f"{ROUNDS} rounds; plain passes in batches of {size}; {auto}"
    for method, (how, peers) in methods.items():
        sides = {BARE: plain, OURS: ours(model, image, method, accelerate=kind, **how), **peers}
        found = scale.turns(sides, least=ROUNDS, limit=0, warm=False)
        times = [found.ratio(name, OURS).median for name in peers if name == "lime" and kind == "onnxruntime"]
        figures = [Figure("faster than lime", 1.7, t, "×", at_least=True) for t in times]
        work = f"{method}, {calls} calls, answered by a copy: {kind}"
        yield row_of(found, work, NETWORK, most, remark, figures=figures)
