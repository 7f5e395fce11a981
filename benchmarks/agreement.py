"""How far the two frameworks, and a sample alone and in a batch, agree: every method, three zoo models, real inputs.

    XAIKIT_DATA=... python benchmarks/agreement.py [--inputs 100] [--models mnist_cnn xo_cnn cats_vs_dogs]

Prints, for each method, the largest max|a - b| / max|a| over the samples for which no ReLU or max-pool decision
flipped, and the share of the others. A flip is seen as a difference above the bound for a gradient method: rounding
alone moves the gradients by about 1e-6.
"""

import argparse
from typing import Any

import numpy as np

import xaikit as xk
from xaikit import data
from xaikit.arrays import agreement
from xaikit.perturb.memory import MEMORY

FEW: dict[str, dict[str, Any]] = {
    "lime": {"samples": 100},
    "kernel-shap": {"samples": 100},
    "exact-shapley": {"segments": 6},
    "permutation-shap": {"samples": 100},
    "partition-shap": {"samples": 100},
    "gradient-shap": {"samples": 50},
    "smooth-grad": {"samples": 5},
}
"""Fewer coalitions than by default: agreement does not depend on their number."""
BOUNDS = {"output": 1e-5, "gradient": 1e-5, "parts": 1e-4, "alone": 1e-6}


def inputs(name: str, count: int) -> Any:
    """Give real inputs in display units: test digits, test photos of both kinds, drawings not trained on."""
    if name == "xo_cnn":
        return data.xo(count, seed=12345)[0]
    x = data.load({"mnist_cnn": "mnist"}.get(name, name)).read("test").x
    return x[:: len(x) // count][:count]


def of(result: Any) -> Any:
    """Give what is compared: part values where there are parts, else the map."""
    return result.values if result.part_values is None else np.nan_to_num(result.part_values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100)
    parser.add_argument("--models", nargs="*", default=["mnist_cnn", "xo_cnn", "cats_vs_dogs"])
    asked = parser.parse_args()
    print(f"{'model':14s} {'method':22s} {'keras-torch':>11s} {'flipped':>8s} {'alone-batch':>11s}")
    for name in asked.models:
        x = inputs(name, asked.inputs)
        torch, keras = (xk.zoo.load(name, framework=f) for f in ("torch", "keras"))
        encoded = torch.inputs.encode(x)
        gap = agreement(torch.run(encoded).output, keras.run(encoded).output).max()
        print(f"{name:14s} {'(output)':22s} {gap:11.1e}")
        for method in xk.methods:
            row(name, method, torch, keras, x)


def row(name: str, method: str, torch: Any, keras: Any, x: Any) -> None:
    how = {"seed": 0, "progress": False, **FEW.get(method, {})}
    a, b = (xk.explain(m, x, method, **how) for m in (torch, keras))
    gaps = agreement(of(a), of(b))
    bound = BOUNDS["parts" if a.part_values is not None else "gradient"]
    flipped = gaps > bound
    kept = gaps[~flipped].max() if (~flipped).any() else float("nan")
    MEMORY.clear()  # or the samples alone would read the answers that the batch had
    alone = [of(xk.explain(torch, one, method, **how)) for one in x[:5]]
    single = max(agreement(both[None, : one.shape[1]], one).max() for both, one in zip(of(a), alone, strict=False))
    print(f"{name:14s} {method:22s} {kept:11.1e} {flipped.mean():8.1%} {single:11.1e}", flush=True)


if __name__ == "__main__":
    main()
