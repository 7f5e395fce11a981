"""What the perturbation engine costs beyond the model, against the lime package and against bare forward passes.

    python benchmarks/perturbation.py [--size 224] [--samples 1000] [--segments 50]

Everything is measured in one run on one photo, so that the ratios hold whatever the machine is doing: building the
masked images by lime's own loop and by the engine; a whole LIME of a small network by lime, by xaikit, and the bare
forward passes of the same number of images; its memory; and a second LIME and a Kernel SHAP that find their coalitions
in memory.
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


def seconds(function: Callable[[], Any], times: int = 3) -> float:
    """Give the best of some runs."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        function()
        found.append(time.perf_counter() - start)
    return min(found)


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
    explainer.explain_instance(
        image.astype(np.float64),
        lambda rows: model.run(model.inputs.encode(rows)).output,
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--segments", type=int, default=50)
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
    lime = partial(explained, model, image, "lime", samples=asked.samples, segments=asked.segments)
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


if __name__ == "__main__":
    main()
