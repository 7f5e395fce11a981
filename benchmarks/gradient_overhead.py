"""What gradient methods and occlusion cost beyond the model: whole calls over just their model calls.

    python benchmarks/gradient_overhead.py [--resnet] [--times 15]

Each ratio is the median over rounds in which both sides run in turn, with the spread in brackets. The bare side is the
framework's own best: a compiled forward and backward pass in Keras, a forward and `torch.autograd.grad` in torch, at
the batch size that the method uses. Then 64 pictures explained in one call against one by one, with the largest
difference of their maps. `--resnet` adds Grad-CAM on a ResNet-50 with random weights at 224 × 224.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import xaikit as xk
from xaikit.arrays import Array, agreement
from xaikit.perturb.memory import MEMORY

Bare = Callable[[Array], Any]


def seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def ratio(whole: Callable[[], Any], bare: Callable[[], Any], times: int) -> str:
    """Give the median of whole / bare over rounds in which both run, and the quartiles."""
    for _ in range(5):
        whole(), bare()
    pairs = [(seconds(whole), seconds(bare)) for _ in range(times)]
    found = np.array([a / b for a, b in pairs])
    low, middle, high = np.percentile(found, [25, 50, 75])
    best = min(a for a, _ in pairs) / min(b for _, b in pairs)
    least = min(b for _, b in pairs) * 1e3
    return f"{middle:5.2f} [{low:.2f} .. {high:.2f}]  best over best {best:5.2f}   bare {least:7.1f} ms"


def digits(count: int) -> Array:
    from skimage.transform import resize
    from sklearn.datasets import load_digits

    found = [np.pad(resize(d / 16, (20, 20), order=1), 4) for d in load_digits().images[:count]]
    return (np.stack(found)[..., None] * 255).astype(np.uint8)


def explained(model: Any, x: Array, method: str, **parameters: Any) -> Any:
    return xk.explain(model, x, method, target=3, progress=False, **parameters)


def bare_torch(model: Any, layer: str | None = None) -> tuple[Bare, Bare]:
    """Give forward and forward with backward of class 3 as one writes them in torch: channels first, no copies."""
    import torch

    net = model.net.eval()
    modules = dict(net.named_modules())

    def forward(x: Array) -> Any:
        with torch.inference_mode():
            return net(torch.from_numpy(np.moveaxis(x, -1, 1))).numpy()

    def backward(x: Array) -> Any:
        given = torch.from_numpy(np.moveaxis(x, -1, 1)).requires_grad_(layer is None)
        kept: list[Any] = []
        if layer is not None:
            hook = modules[layer].register_forward_hook(lambda m, a, out: kept.append(out.requires_grad_()))
        output = net(given)
        if layer is not None:
            hook.remove()
        return torch.autograd.grad(output[:, 3].sum(), kept or given)[0].numpy()

    return forward, backward


def bare_keras(model: Any, layer: str | None = None) -> tuple[Bare, Bare]:
    """Give forward and forward with backward of class 3 as one writes them in TensorFlow, each compiled once."""
    import keras
    import tensorflow as tf

    net = model.net
    parts = keras.Model(net.inputs, [net.get_layer(layer).output, *net.outputs]) if layer else None

    @tf.function(reduce_retracing=True)
    def run(x: Any) -> Any:
        return net(x, training=False)

    @tf.function(reduce_retracing=True)
    def pull(x: Any) -> Any:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            if parts is None:
                tape.watch(x)
                source, output = x, net(x, training=False)
            else:
                tape.watch(x)
                source, output = parts(x, training=False)
            score = output[:, 3]
        return tape.gradient(score, source)

    return (lambda x: run(tf.constant(x)).numpy()), (lambda x: pull(tf.constant(x)).numpy())


BARE: Mapping[str, Callable[..., tuple[Bare, Bare]]] = {"torch": bare_torch, "keras": bare_keras}


def one_picture(framework: str, times: int) -> None:
    model = xk.zoo.load("mnist_cnn", framework=framework)
    x = digits(1)
    encoded = model.inputs.encode(x)
    layer = explained(model, x, "grad-cam").layer
    forward, backward = BARE[framework](model)
    _, to_layer = BARE[framework](model, layer)
    noisy = np.repeat(encoded, 50, axis=0)
    windows = np.repeat(encoded, model.batch_size, axis=0)
    count = 170

    def occluded() -> Any:
        MEMORY.clear()
        return explained(model, x, "occlusion", window=4, stride=2, baseline=0.0, accelerate="none")

    def bare_windows() -> None:
        for start in range(0, count, model.batch_size):
            forward(windows[: count - start])

    cases: list[tuple[str, Callable[[], Any], Callable[[], Any]]] = [
        ("saliency", lambda: explained(model, x, "saliency"), lambda: (forward(encoded), backward(encoded))),
        ("grad-cam", lambda: explained(model, x, "grad-cam"), lambda: (forward(encoded), to_layer(encoded))),
        (
            "smooth-grad 50",
            lambda: explained(model, x, "smooth-grad", samples=50),
            lambda: (forward(encoded), backward(noisy)),
        ),
        (
            "guided-backprop",
            lambda: explained(model, x, "guided-backprop"),
            lambda: (forward(encoded), backward(encoded)),
        ),
        ("occlusion 169", occluded, bare_windows),
    ]
    for name, whole, bare in cases:
        print(f"mnist_cnn {framework:5}  {name:16} {ratio(whole, bare, times)}")


def many(framework: str, times: int) -> None:
    model, x = xk.zoo.load("mnist_cnn", framework=framework), digits(64)
    for method in ("saliency", "grad-cam", "integrated-gradients"):

        def together(method: str = method) -> Any:
            return explained(model, x, method)

        def apart(method: str = method) -> list[Any]:
            return [explained(model, row, method) for row in x]

        off = agreement(together().values, np.concatenate([e.values for e in apart()])).max()
        faster = np.median([seconds(apart) / seconds(together) for _ in range(max(3, times // 5))])
        print(f"mnist_cnn {framework:5}  {method:20} 64 in one call {faster:5.1f} times faster, off by {off:.0e}")


def resnet(framework: str, times: int) -> None:
    model = xk.zoo.build("resnet50" if framework == "torch" else "resnet50_keras", framework=framework)
    wrapped = xk.wrap(model, inputs=xk.Image(224, 224), outputs=xk.Classes(range(1000)))
    x = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3)).astype(np.uint8)
    layer = explained(wrapped, x, "grad-cam").layer
    encoded = wrapped.inputs.encode(x)
    forward, _ = BARE[framework](wrapped)
    _, backward = BARE[framework](wrapped, layer)

    def whole() -> Any:
        return explained(wrapped, x, "grad-cam")

    rounds = max(3, times // 2)
    print(f"resnet50 {framework:5}   grad-cam at {layer!r}")
    print(f"  over one forward and backward                 {ratio(whole, lambda: backward(encoded), rounds)}")
    both = ratio(whole, lambda: (forward(encoded), backward(encoded)), rounds)
    print(f"  over that and the forward pass that predicts  {both}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--times", type=int, default=15)
    parser.add_argument("--resnet", action="store_true")
    parser.add_argument("--frameworks", default="torch,keras")
    asked = parser.parse_args()
    for framework in asked.frameworks.split(","):
        one_picture(framework, asked.times)
        many(framework, asked.times)
        if asked.resnet:
            resnet(framework, asked.times)


if __name__ == "__main__":
    main()
