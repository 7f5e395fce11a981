"""What the accelerated copies of a network cost and gain, relative to its own forward pass.

    python benchmarks/acceleration.py [--framework torch] [--networks resnet50 vgg16 mnist_cnn] [--compile]

Both sides run in turn in one process on the same batch, through the same `run`; printed are the median of the ratios
of each round with their quartiles, the seconds that a copy took to make (its check included), and the largest change of
the logits relative to the largest logit. The networks have random weights; those of torch start in torch's own memory
layout, channels first, as a network that was not built for speed has them, and the same copies are compared with that.
"""

import argparse
import os
import time
from importlib.metadata import version
from typing import Any

import numpy as np
from networks import ordinary, resnet50
from timing import Ratio, keep_to, threads, turns

import xaikit as xk
from xaikit.errors import NotSupported

ROWS = {"resnet50": 8, "vgg16": 4, "mnist_cnn": 128}
PACKAGES = {"torch": ("torch", "onnxruntime"), "keras": ("keras", "onnxruntime", "tf2onnx")}


def network(name: str, framework: str) -> Any:
    """A network of the zoo with random weights of a usual size, and its logits as output scores."""
    if name == "resnet50" and framework == "torch":
        return resnet50()
    net = xk.zoo.build(name, framework=framework)
    size, channels = (28, 1) if name == "mnist_cnn" else (224, 3)
    model = xk.wrap(net, inputs=xk.Image(size, size, channels))
    if framework == "torch":  # such weights let numbers grow from layer to layer; the logits of a trained one do not
        import torch

        torch.manual_seed(0)
        weighted = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
        for module in weighted:
            torch.nn.init.kaiming_normal_(module.weight)
        logits = model.run(rows(name, (size, size, channels))[:2], score="logit").output
        weighted[-1].weight.data.div_(float(np.abs(logits).max()) / 10)
        ordinary(model)
    return model


def rows(name: str, shape: tuple[int, ...]) -> Any:
    return np.random.default_rng(0).standard_normal((ROWS[name], *shape)).astype(np.float32)


def compared(model: Any, copied: Any, x: Any, rounds: int) -> tuple[Ratio, float, float]:
    """Give how long the copy takes over the network, the seconds of the network, and the relative change of logits."""
    found = turns({"network": lambda: model.run(x), "copy": lambda: copied.run(x)}, least=rounds, limit=0)
    logits = model.run(x, score="logit").output
    change = np.abs(copied.run(x, score="logit").output - logits).max() / np.abs(logits).max()
    return found.ratio("copy", "network"), found.median("network"), float(change)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--framework", default="torch", choices=["torch", "keras"])
    parser.add_argument("--networks", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--compile", action="store_true", help="torch.compile too, which takes a minute or two")
    asked = parser.parse_args()
    keep_to(threads())
    print(" ".join(f"{p} {version(p)}" for p in PACKAGES[asked.framework]), f"load {os.getloadavg()[0]:.1f}")
    for name in asked.networks:
        model = network(name, asked.framework)
        x = rows(name, model.inputs.shape)
        model.run(x)
        for kind in ("auto", "onnxruntime", *(("compile",) if asked.compile else ())):
            start = time.perf_counter()
            try:
                copied = model.fast(kind)
            except NotSupported as error:
                print(f"{name:10} {kind:12} {error}")
                continue
            prepared = time.perf_counter() - start
            ratio, plain, change = compared(model, copied, x, asked.rounds)
            print(
                f"{name:10} {kind:12} {ratio} of {plain:.4f} s for {len(x)} rows   "
                f"prepared in {prepared:5.1f} s   logits change by {change:.1e}"
            )


if __name__ == "__main__":
    main()
