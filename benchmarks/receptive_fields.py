"""Seconds for the receptive fields of every unit of every layer: python benchmarks/receptive_fields.py."""

import time

import xaikit as xk
from xaikit.graph import fields

NETWORKS = {"resnet50": 224, "inception_v3": 299, "googlenet": 224}


def main() -> None:
    """Print, for each network, its layers, the seconds to read its graph, and the seconds of the walk."""
    for name, size in NETWORKS.items():
        network = xk.wrap(xk.zoo.build(name, framework="torch"), inputs=xk.zoo.card(name).inputs)
        start = time.perf_counter()
        layers = network.layers
        read = time.perf_counter()
        fields(layers, {"input": {"height": size, "width": size}})
        walked = time.perf_counter()
        print(f"{name:14} {len(layers):4} layers   graph {read - start:6.3f} s   fields {walked - read:6.3f} s")


if __name__ == "__main__":
    main()
