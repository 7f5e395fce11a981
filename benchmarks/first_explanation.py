"""How long a newcomer waits: wrapping, the first explanation with its tracing, the second; and the memory of LIME.

    python benchmarks/first_explanation.py [--skip-memory]

Times are of this machine and only to be compared within one run; each is shown beside the bare forward pass.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
from networks import digits, photo, resnet50
from timing import keep_to, peak, seconds, threads

import xaikit as xk

METHODS = ("saliency", "grad-cam", "occlusion", "lime")


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Give the seconds of one call, and what it gives."""
    kept: list[Any] = []
    return seconds(lambda: kept.append(work())), kept[0]


def keras_resnet50() -> Any:
    """Build the ResNet-50 of keras.applications, with random weights."""
    import keras

    return keras.applications.ResNet50(weights=None)


def report(name: str, net: Any, spec: Any, x: Any) -> None:
    wrapping, model = timed(lambda: xk.wrap(net, inputs=spec))
    model.run(spec.encode(x))
    forward, _ = timed(lambda: model.run(spec.encode(x)))
    print(f"{name}: wrap {wrapping * 1e3:.1f} ms, forward {forward * 1e3:.0f} ms")
    for method in METHODS:
        fresh = xk.wrap(net, inputs=spec)
        few = {"samples": 100} if method == "lime" else {}
        first, _ = timed(lambda: xk.explain(fresh, x, method, progress=False, **few))  # noqa: B023
        second, result = timed(lambda: xk.explain(fresh, x + 1, method, progress=False, **few))  # noqa: B023
        floor = forward * result.origin.model_calls
        print(f"  {method:10s} first {first:6.2f} s, again {second:6.2f} s, bare forwards {floor:6.2f} s", flush=True)


def lime_memory(net: Any, spec: Any, x: Any) -> None:
    """Print what LIME with 1000 samples needs beyond the model and one forward pass of a batch."""
    model = xk.wrap(net, inputs=spec)
    xk.explain(model, x, "lime", samples=50, progress=False)
    grown = peak(lambda: xk.explain(model, x + 2, "lime", samples=1000, progress=False))
    print(f"LIME 1000 at 224: peak memory grew by {grown or float('nan'):.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--skip-memory", action="store_true", help="leave out LIME's memory on ResNet-50: minutes")
    asked = parser.parse_args()
    keep_to(threads())
    digit, picture = digits(1)[0], photo().astype(np.uint8)
    for framework in ("torch", "keras"):
        report(f"mnist_cnn, {framework}", xk.zoo.build("mnist_cnn", framework), xk.Image(28, 28, 1), digit)
    net = resnet50().net
    report("ResNet-50 at 224, torch", net, xk.Image(224, 224), picture)
    report("ResNet-50 at 224, keras", keras_resnet50(), xk.Image(224, 224), picture)
    if not asked.skip_memory:
        lime_memory(net, xk.Image(224, 224), picture)


if __name__ == "__main__":
    main()
