"""How long `zoo.load` takes for every shipped network, beside building the bare network without weights.

    python benchmarks/zoo_loading.py [torch|keras]

Prints seconds after the framework is imported, and the ratio to building; each is the best of three.
"""

import argparse
from collections.abc import Callable
from functools import partial
from importlib import import_module

from timing import seconds

import xaikit as xk


def best(call: Callable[[], object], times: int = 3) -> float:
    """Give the least of several durations, in seconds."""
    return min(seconds(call) for _ in range(times))


def main(framework: str) -> None:
    """Print one line for every network that has weights."""
    import_module(framework)
    print(f"{framework:<24}{'parameters':>12}{'load':>9}{'build':>9}{'ratio':>7}")
    for name in xk.zoo.names():
        if xk.zoo.card(name).trained is not None:
            load = best(partial(xk.zoo.load, name, framework))
            build = best(partial(xk.zoo.build, name, framework))
            total = xk.zoo.card(name).parameters["total"]
            print(f"{name:<24}{total:>12,}{load:>8.2f}s{build:>8.2f}s{load / build:>7.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("framework", nargs="?", choices=["torch", "keras"], default="torch")
    main(parser.parse_args().framework)
