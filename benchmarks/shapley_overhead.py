"""What the Shapley methods cost beyond their model calls.

    python benchmarks/shapley_overhead.py [--framework torch] [--rounds 5] [--accelerate none]

Each method is timed in turn with just its model calls, at the batch size that suits the model best; the ratio is the
median over the rounds, with its smallest and largest. Time is the processor's, which other work on the machine does not
change; on one thread (OMP_NUM_THREADS=1) it is the time that passes. The memory of coalitions is emptied before every
round. A table has 30 columns, 100 background rows and a network with two hidden layers of 128; its peak is what the
process grew by.
"""

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import xaikit as xk
from xaikit.arrays import Array, chunks
from xaikit.perturb.memory import MEMORY

BATCHES = (64, 128, 256, 512, 1024, 4096)


def seconds(function: Callable[[], Any]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def digit() -> Array:
    """Give a stroke drawn by code: what a network takes as a digit costs as much as one."""
    image = np.zeros((28, 28, 1), np.uint8)
    image[4:24, 12:16] = 230
    image[4:8, 8:16] = 200
    return image


def table_net(framework: str, width: int = 30) -> Any:
    """A classifier of rows with random weights: 30 columns, two hidden layers of 128."""
    rng = np.random.default_rng(0)
    kernels = [rng.normal(size=s).astype("f") / np.sqrt(s[0]) for s in ((width, 128), (128, 128), (128, 2))]
    columns = {f"c{i}": xk.Number() for i in range(width)}
    spec = xk.Table(columns, background=list(rng.normal(size=(100, width))))
    return xk.wrap(
        _torch(kernels) if framework == "torch" else _keras(kernels), inputs=spec, outputs=xk.Classes(("a", "b"))
    )


def _torch(kernels: list[Array]) -> Any:
    import torch

    layers: list[Any] = []
    for kernel in kernels:
        dense = torch.nn.Linear(*kernel.shape)
        with torch.no_grad():
            dense.weight.copy_(torch.tensor(kernel.T))
        layers += [dense, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1], torch.nn.Softmax(1)).eval()


def _keras(kernels: list[Array]) -> Any:
    import keras

    ends = ["relu", "relu", "softmax"]
    layers = [keras.layers.Dense(k.shape[1], activation=end) for k, end in zip(kernels, ends, strict=True)]
    net = keras.Sequential([keras.layers.Input((len(kernels[0]),)), *layers])
    for layer, kernel in zip(layers, kernels, strict=True):
        layer.set_weights([kernel, np.zeros(kernel.shape[1], "f")])
    return net


def bare(model: Any, x: Array, pull: bool) -> Callable[[], None]:
    """Give the function that makes just the model calls, in the batches that are fastest."""
    model.run(x[:2])
    cotangent = np.ones((1, len(model.outputs.names)), np.float32)

    def calls(size: int) -> None:
        for s in chunks(len(x), size):
            if pull:
                model.pull(x[s], np.repeat(cotangent, s.stop - s.start, 0), score="logit")
            else:
                model.run(x[s], score="logit")

    sizes = [size for size in BATCHES if size <= 2 * model.batch_size]
    for size in sizes:
        calls(size)
    best = min(sizes, key=lambda size: min(seconds(lambda: calls(size)) for _ in range(2)))
    return lambda: calls(best)


def measure(name: str, model: Any, x: Any, rounds: int, parameters: dict[str, Any], accelerate: str) -> None:
    method = name.split()[0]
    if method != "gradient-shap":
        parameters = {**parameters, "accelerate": accelerate}

    def whole() -> Any:
        MEMORY.clear()
        return xk.explain(model, x, method, progress=False, **parameters)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    calls = int(whole().origin.model_calls)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    encoded = model.inputs.encode(x)
    alone = bare(model, np.repeat(encoded, -(-calls // len(encoded)), axis=0)[:calls], method == "gradient-shap")
    ratios = sorted((seconds(whole), seconds(alone)) for _ in range(rounds))
    found = np.sort([a / b for a, b in ratios])
    print(
        f"{name:38} {np.median([a for a, _ in ratios]):8.3f} s for {calls:7} calls, {np.median(found):5.2f} of the "
        f"bare calls ({found[0]:.2f} to {found[-1]:.2f}), {grown:4.0f} MiB more at peak",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--framework", default="torch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--accelerate", default="none", help="'auto' lets the methods answer from a faster copy")
    asked = parser.parse_args()
    cnn, table = xk.zoo.load("mnist_cnn", asked.framework), table_net(asked.framework)
    rows = list(np.random.default_rng(1).normal(size=(100, 30)))
    cells = np.arange(28) // 4
    grid = {"segments": cells[:, None] * 7 + cells}
    cases: list[tuple[str, Any, Any, dict[str, Any]]] = [
        ("kernel-shap table, 2108 × 100", table, rows[0], {}),
        ("permutation-shap table, 582 × 100", table, rows[0], {}),
        ("kernel-shap 500, 49 parts", cnn, digit(), {"samples": 500, **grid}),
        ("permutation-shap 500, 49 parts", cnn, digit(), {"samples": 500, **grid}),
        ("partition-shap 500, pixels", cnn, digit(), {"samples": 500}),
        ("partition-shap 1000, pixels", cnn, digit(), {"samples": 1000}),
        ("gradient-shap 200, mnist_cnn", cnn, digit(), {}),
        ("gradient-shap 200, table, one row", table, rows[0], {}),
        ("gradient-shap 200, table, 100 rows", table, rows, {}),
    ]
    for name, model, x, parameters in cases:
        measure(name, model, x, asked.rounds, parameters, asked.accelerate)


if __name__ == "__main__":
    main()
