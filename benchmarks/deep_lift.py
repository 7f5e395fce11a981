"""What DeepLIFT and LRP cost over one gradient, beside captum, on mnist_cnn.

    python benchmarks/deep_lift.py [--batch 64] [--times 9]

In one run on one batch: the plain gradient of the framework itself, the adapter's pull, its DeepLIFT and LRP, and
captum's DeepLift. Processor time of this process on one thread, the best of some rounds in turn; the ratios are over
the plain gradient.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np

import xaikit as xk


def fastest(functions: dict[str, Callable[[], Any]], times: int) -> dict[str, float]:
    """Give the best processor time of each function, called in turn."""
    found = {name: [] for name in functions}  # type: dict[str, list[float]]
    for _ in range(times + 1):
        for name, function in functions.items():
            start = time.process_time()
            function()
            found[name].append(time.process_time() - start)
    return {name: min(seconds[1:]) for name, seconds in found.items()}


def native(framework: str, x: Any, seed: Any) -> tuple[Any, dict[str, Callable[[], Any]]]:
    model = xk.zoo.load("mnist_cnn", framework)
    baseline = np.zeros_like(x)
    return model.net, {
        "pull": lambda: model.pull(x, seed, score="logit"),
        "deep-lift": lambda: model.native("deep-lift", x, seed, baseline=baseline, score="logit"),
        "lrp": lambda: model.native("lrp", x, seed, score="logit"),
    }


def in_torch(x: Any, seed: Any) -> dict[str, Callable[[], Any]]:
    import torch
    from captum.attr import DeepLift

    torch.set_num_threads(1)
    net, functions = native("torch", x, seed)
    net.eval()
    given = torch.tensor(np.moveaxis(x, -1, 1))

    def gradient() -> Any:
        leaf = given.clone().requires_grad_()
        return torch.autograd.grad(net(leaf)[:, 3].sum(), leaf)

    return {"gradient": gradient, **functions, "captum deep-lift": lambda: DeepLift(net).attribute(given, target=3)}


def in_keras(x: Any, seed: Any) -> dict[str, Callable[[], Any]]:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    net, functions = native("keras", x, seed)

    @tf.function
    def gradient(given: Any) -> Any:
        return tf.gradients(net(given, training=False)[:, 3], given)

    given = tf.constant(x)
    return {"gradient": lambda: gradient(given), **functions}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--times", type=int, default=9)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    x = np.random.default_rng(0).random((asked.batch, 28, 28, 1)).astype(np.float32)
    seed = np.zeros((asked.batch, 10), np.float32)
    seed[:, 3] = 1
    print(f"mnist_cnn, batch of {asked.batch}; torch {version('torch')}, captum {version('captum')}")
    for framework, prepared in (("torch", in_torch), ("keras", in_keras)):
        found = fastest(prepared(x, seed), asked.times)
        base = found.pop("gradient")
        ratios = ", ".join(f"{name} {seconds / base:.2f}" for name, seconds in found.items())
        print(f"{framework}: gradient {1000 * base:.1f} ms; over it: {ratios}")


if __name__ == "__main__":
    main()
