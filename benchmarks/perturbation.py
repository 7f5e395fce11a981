"""What the perturbation engine costs beyond the model, against the lime package and against bare forward passes.

    python benchmarks/perturbation.py [--size 224] [--samples 1000] [--segments 50] [--deep 16]

Everything is measured in one run, by processor time so that other work on the machine counts little: building masked
images by lime's own loop and by the engine; superpixels and the fit of the surrogate; a whole LIME of a small network
by lime, by xaikit, and the bare forward passes of the same number of images, its memory, and a second LIME and a Kernel
SHAP that find their coalitions in memory; LIME and occlusion of the digits' CNN with and without accelerated copies;
and `--deep` calls of every perturbation method to a ResNet-50, against its plain forward passes at their best batch.
"""

import argparse
import copy
import resource
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import xaikit as xk
from xaikit.arrays import Array
from xaikit.perturb.maskers import Masker
from xaikit.perturb.memory import MEMORY
from xaikit.perturb.segments import Parts

Work = dict[str, tuple[str, dict[str, Any]]]
"""By name: a method and its parameters."""


def seconds(function: Callable[[], Any], times: int = 3) -> float:
    """Give the processor time of the best of some runs."""
    found = []
    for _ in range(times):
        start = time.process_time()
        function()
        found.append(time.process_time() - start)
    return min(found)


def together(functions: dict[str, Callable[[], Any]], times: int = 3) -> dict[str, float]:
    """Give the best of some runs of each, in turns, after one run that warms up."""
    for function in functions.values():
        function()
    rounds = [{name: seconds(function, 1) for name, function in functions.items()} for _ in range(times)]
    return {name: min(r[name] for r in rounds) for name in functions}


def photo(size: int) -> Array:
    from skimage.data import astronaut
    from skimage.transform import resize

    return (resize(astronaut(), (size, size)) * 255).astype(np.float32)


def network(size: int) -> Any:
    """A small convolutional classifier with random weights, wrapped."""
    import torch

    torch.manual_seed(0)
    layers: list[Any] = []
    for before, after in ((3, 16), (16, 32), (32, 64)):
        layers += [torch.nn.Conv2d(before, after, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2)]
    head = [torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(1024, 10), torch.nn.Softmax(1)]
    net = torch.nn.Sequential(*layers, *head).eval()
    return xk.wrap(net, inputs=xk.Image(size, size), outputs=xk.Classes(range(10), "softmax"))


def lime_loop(image: Array, hidden: Array, labels: Array, masks: Array) -> None:
    """The loop of lime_image.data_labels without the model: deep copy, a mask for each hidden segment, fancy store."""
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


def of_lime(image: Array, labels: Array, model: Any, samples: int, batch: int) -> None:
    from lime.lime_image import LimeImageExplainer

    explainer = LimeImageExplainer(random_state=0)
    channels = image.shape[-1]  # that package takes three
    explainer.explain_instance(
        np.broadcast_to(image, (*image.shape[:2], 3)).astype(np.float64),
        lambda rows: model.run(model.inputs.encode(rows[..., :channels])).output,
        segmentation_fn=lambda _: labels,
        num_samples=samples,
        batch_size=batch,
        top_labels=1,
        random_seed=0,
    )


def explained(model: Any, image: Array, method: str, **parameters: Any) -> Any:
    return xk.explain(model, image, method, progress=False, **parameters)


def fresh(function: Callable[[], Any]) -> Any:
    MEMORY.clear()
    return function()


def small_parts(image: Array, segments: int, samples: int) -> None:
    """Time what LIME does of a picture besides masking and asking: superpixels, and the fit."""
    from xaikit.perturb.coalitions import coin_flips
    from xaikit.perturb.solvers import surrogate

    masks = coin_flips(samples, segments, 0)
    scores = masks @ np.random.default_rng(0).random(segments)
    parts = xk.wrap(lambda x: x.mean((1, 2)), inputs=xk.Image(*image.shape[:2]))
    found = together(
        {
            "superpixels": lambda: fresh(lambda: explained(parts, image, "lime", target=0, samples=2)),
            "fit": lambda: surrogate(masks, scores, 0.25),
        }
    )
    print(f"superpixels     {found['superpixels']:7.3f} s   fit {found['fit']:7.4f} s")


def ordinary(model: Any) -> Any:
    """Lay a network's weights out as torch does unless it is told otherwise; networks of the zoo are channels last."""
    import torch

    model.net.to(memory_format=torch.contiguous_format)
    return model


def copies_of(model: Any, image: Array, batch: int, work: Work, times: int = 3) -> None:
    """Time methods by the model and by its copies, against the plain forward passes of as many masked images."""
    x = np.repeat(model.inputs.encode(image), batch, axis=0)
    shown = np.random.default_rng(0).random((batch, 7, 7, 1)) < 0.5  # what a pooling layer takes depends on the numbers
    x = np.where(np.kron(shown, np.ones((1, image.shape[0] // 7, image.shape[1] // 7, 1), bool)), x, x.mean())
    x = x.astype(np.float32)
    kinds = ["none"]
    for kind in ("channels-last", "onnxruntime"):
        try:
            took = seconds(partial(model.fast, kind), 1)
        except xk.XaikitError as error:
            print(f"  {kind}: {error}")
            continue
        kinds.append(kind)
        print(f"  {kind} takes {took:.2f} s to prepare")
    for name, (method, parameters) in work.items():
        calls = fresh(lambda: explained(model, image, method, **parameters)).origin.model_calls  # noqa: B023
        passes = -(-calls // batch)
        run: dict[str, Callable[[], Any]] = {"plain": lambda: [model.run(x) for _ in range(passes)]}  # noqa: B023
        for kind in kinds:
            how = {**parameters, "accelerate": kind}
            run[kind] = partial(fresh, partial(explained, model, image, method, **how))
        found = together(run, times)
        bare = found.pop("plain") * calls / (passes * batch)
        print(f"  {name:22s} {calls:5d} calls   plain {bare:7.3f} s   " + ratios(found, bare))


def ratios(found: dict[str, float], bare: float) -> str:
    return "   ".join(f"{kind} {took / bare:5.2f}" for kind, took in found.items())


GRID = np.arange(28)[:, None] // 4 * 7 + np.arange(28) // 4
"""49 squares of a digit."""


def digits(samples: int) -> None:
    """The digits' CNN of the zoo, whose own batch is the best one."""
    model = ordinary(xk.zoo.load("mnist_cnn", framework="torch"))
    image = photo(28).mean(2, keepdims=True).astype(np.uint8)
    print(f"mnist_cnn, batches of {model.batch_size}")
    work: Work = {
        f"lime {samples}": ("lime", {"samples": samples}),
        "kernel-shap 500 of 49": ("kernel-shap", {"samples": 500, "segments": GRID}),
        "occlusion 169": ("occlusion", {"window": 4, "stride": 2}),
    }
    copies_of(model, image, model.batch_size, work)
    labels = explained(model, image, "lime", samples=2).parts[0]
    copy = partial(explained, model, image, "lime", samples=samples, accelerate="onnxruntime")
    found = together(
        {
            "ours": lambda: fresh(copy),
            "by tens": lambda: of_lime(image, labels, model, samples, 10),
            "batched": lambda: of_lime(image, labels, model, samples, model.batch_size),
        }
    )
    print(f"  the lime package takes {found['by tens'] / found['ours']:.1f} times as long as LIME in ONNX Runtime, ")
    print(f"  and {found['batched'] / found['ours']:.1f} times in batches of {model.batch_size} instead of its own 10")


def deep(calls: int) -> None:
    """A ResNet-50 with random weights at 224 × 224."""
    model = ordinary(xk.wrap(xk.zoo.build("resnet50", framework="torch"), inputs=xk.Image(224, 224)))
    print(f"ResNet-50 at 224, batches of {model.batch_size}")
    work: Work = {
        "lime": ("lime", {"samples": calls}),
        "kernel-shap": ("kernel-shap", {"samples": calls}),
        "rise": ("rise", {"samples": calls}),
        "occlusion": ("occlusion", {"max_calls": calls}),
    }
    copies_of(model, photo(224), model.batch_size, work, times=2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--segments", type=int, default=50)
    parser.add_argument("--deep", type=int, default=16, help="calls to a ResNet-50; 0 leaves it out")
    asked = parser.parse_args()
    model, image = network(asked.size), photo(asked.size)
    batch = model.batch_size

    first = explained(model, image, "lime", samples=2, segments=asked.segments)
    labels = first.parts[0]
    hidden = image.copy()
    for part in range(labels.max() + 1):
        hidden[labels == part] = image[labels == part].mean(0)
    masks = np.random.RandomState(0).randint(0, 2, (asked.samples, labels.max() + 1)).astype(bool)
    masker = Masker({"": image}, Parts({"": labels}), {"": hidden[None]})
    print(f"{asked.size} × {asked.size}, {labels.max() + 1} segments, {asked.samples} samples, batches of {batch}")

    loop = seconds(lambda: lime_loop(image, hidden, labels, masks))
    ours = seconds(lambda: engine(masker, masks, batch))
    print(f"masked images   lime's loop {loop:7.3f} s   engine {ours:7.3f} s   {loop / ours:5.1f} times faster")

    x = np.repeat(model.inputs.encode(image), batch, axis=0)
    passes = -(-asked.samples // batch)
    bare = seconds(lambda: [model.run(x) for _ in range(passes)]) * asked.samples / (passes * batch)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    lime = partial(explained, model, image, "lime", samples=asked.samples, segments=asked.segments, accelerate="none")
    whole = seconds(lambda: fresh(lime))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    theirs = seconds(lambda: of_lime(image, labels, model, asked.samples, batch), 1)
    print(f"bare forwards   {bare:7.3f} s")
    print(f"LIME            {whole:7.3f} s   {whole / bare:5.2f} of that   {after - before:5.0f} MiB more at peak")
    print(f"lime package    {theirs:7.3f} s   {theirs / bare:5.2f} of that   {theirs / whole:5.2f} of LIME here")

    again = seconds(lime, 1)
    print(f"LIME again      {again:7.3f} s   {lime().origin.model_calls} model calls")
    shap = partial(explained, model, image, "kernel-shap", samples=asked.samples, segments=asked.segments)
    print(f"kernel-shap     {seconds(lambda: fresh(shap), 1):7.3f} s   {seconds(shap, 1):7.3f} s again")
    small_parts(image, labels.max() + 1, asked.samples)
    digits(asked.samples)
    if asked.deep:
        deep(asked.deep)


if __name__ == "__main__":
    main()
