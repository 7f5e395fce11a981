"""What integrated gradients cost beyond the bare gradients, and how much memory they take.

    python benchmarks/integrated_gradients.py [--steps 50] [--skip-resnet]

On mnist_cnn and on a ResNet-50 at 224 (random weights). The bare gradients are torch's own at the same points, at the
best of several batch sizes, timed in the same run; memory is the growth of the process's peak.
"""

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import xaikit as xk


def seconds(function: Callable[[], Any], times: int) -> float:
    """Give the best of some runs."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        function()
        found.append(time.perf_counter() - start)
    return min(found)


def bare(net: Any, points: Any, size: int) -> None:
    """The gradients of the first output at some points (point, channel, height, width), `size` at a time."""
    import torch

    for start in range(0, len(points), size):
        x = torch.tensor(points[start : start + size], requires_grad=True)
        torch.autograd.grad(net(x)[:, 0].sum(), x)


def peak() -> float:
    """Give the process's peak of memory in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure(name: str, model: Any, image: Any, steps: int, sizes: tuple[int, ...], times: int) -> None:
    explain = lambda: xk.explain(model, image, "integrated-gradients", target=0, steps=steps, progress=False)  # noqa: E731
    model.layers  # noqa: B018
    before = peak()
    explain()
    grown = peak() - before
    x = np.moveaxis(model.inputs.encode(image), -1, 1)
    points = np.ascontiguousarray(np.linspace(0, 1, steps, dtype=np.float32).reshape(-1, 1, 1, 1) * x)
    net = model.net.eval()
    found = {size: seconds(lambda: bare(net, points, size), times) for size in sizes}  # noqa: B023
    best = min(found, key=lambda size: found[size])
    took = seconds(explain, times)
    print(
        f"{name:12s} bare {found[best]:7.3f} s (batches of {best})   integrated gradients {took:7.3f} s"
        f"   {took / found[best]:5.2f}   {grown:5.2f} GiB more at peak"
    )


def resnet() -> Any:
    import torch

    torch.manual_seed(0)
    net = xk.zoo.build("resnet50", framework="torch").eval()
    return xk.wrap(net, inputs=xk.Image(224, 224), outputs=xk.Classes(1000))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--skip-resnet", action="store_true")
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    digits = xk.zoo.load("mnist_cnn", framework="torch")
    digit = rng.integers(0, 256, digits.inputs.shape).astype(np.float32)
    measure("mnist_cnn", digits, digit, asked.steps, (16, 32, 64), 9)
    if not asked.skip_resnet:
        photo = rng.integers(0, 256, (224, 224, 3)).astype(np.float32)
        measure("resnet50", resnet(), photo, asked.steps, (1, 4, 8), 1)


if __name__ == "__main__":
    main()
