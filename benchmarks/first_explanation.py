"""How long a newcomer waits: wrapping, the first explanation with its tracing, the second; and the memory of LIME.

    python benchmarks/first_explanation.py

Times are of this machine and only to be compared within one run; each is shown beside the bare forward pass.
"""

import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import xaikit as xk

METHODS = ("saliency", "grad-cam", "occlusion", "lime")


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Time one call."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def torch_resnet50() -> Any:
    """Build ResNet-50 (He et al. 2015, table 1) in plain torch, with random weights."""
    from torch import nn

    class Block(nn.Module):
        def __init__(self, i: int, width: int, stride: int) -> None:
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(i, width, 1, bias=False), nn.BatchNorm2d(width)
            self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
            self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
            self.relu = nn.ReLU(inplace=True)
            self.short: Any = nn.Identity()
            if stride != 1 or i != 4 * width:
                self.short = nn.Sequential(nn.Conv2d(i, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width))

        def forward(self, x: Any) -> Any:
            y = self.relu(self.bn1(self.conv1(x)))
            y = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(y)))))
            return self.relu(y + self.short(x))

    stages: list[Any] = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    width_in = 64
    for width, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        stages += [Block(width_in if k == 0 else 4 * width, width, stride if k == 0 else 1) for k in range(count)]
        width_in = 4 * width
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000), nn.Softmax(1))
    return nn.Sequential(*stages, *head)


def keras_resnet50() -> Any:
    """Build the ResNet-50 of keras.applications, with random weights."""
    import keras

    return keras.applications.ResNet50(weights=None)


def report(name: str, net: Any, spec: Any, x: Any) -> None:
    wrapping, model = seconds(lambda: xk.wrap(net, inputs=spec))
    model.run(spec.encode(x))
    forward, _ = seconds(lambda: model.run(spec.encode(x)))
    print(f"{name}: wrap {wrapping * 1e3:.1f} ms, forward {forward * 1e3:.0f} ms")
    for method in METHODS:
        fresh = xk.wrap(net, inputs=spec)
        few = {"samples": 100} if method == "lime" else {}
        first, _ = seconds(lambda: xk.explain(fresh, x, method, progress=False, **few))  # noqa: B023
        second, result = seconds(lambda: xk.explain(fresh, x + 1, method, progress=False, **few))  # noqa: B023
        floor = forward * result.origin.model_calls
        print(f"  {method:10s} first {first:6.2f} s, again {second:6.2f} s, bare forwards {floor:6.2f} s", flush=True)


def lime_memory(net: Any, spec: Any, x: Any) -> None:
    """Print what LIME with 1000 samples needs beyond the model and one forward pass of a batch."""
    model = xk.wrap(net, inputs=spec)
    xk.explain(model, x, "lime", samples=50, progress=False)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    xk.explain(model, x + 2, "lime", samples=1000, progress=False)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"LIME 1000 at 224: peak memory grew by {grown / 1024:.0f} MiB")


def main() -> None:
    import torch

    torch.set_num_threads(2)
    digit = (np.random.default_rng(0).random((28, 28)) * 200).astype(np.uint8)
    photo = (np.random.default_rng(0).random((224, 224, 3)) * 200).astype(np.uint8)
    for framework in ("torch", "keras"):
        report(f"mnist_cnn, {framework}", xk.zoo.build("mnist_cnn", framework), xk.Image(28, 28, 1), digit)
    for framework, build in (("torch", torch_resnet50), ("keras", keras_resnet50)):
        report(f"ResNet-50 at 224, {framework}", build(), xk.Image(224, 224), photo)
    lime_memory(torch_resnet50(), xk.Image(224, 224), photo)


if __name__ == "__main__":
    main()
