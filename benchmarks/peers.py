"""Measure xaikit beside the libraries that one would otherwise take, and write docs/benchmarks.md.

    OMP_NUM_THREADS=2 python benchmarks/peers.py [--quick] [--write] [--only CASE ...]

Every case runs three kinds of sides in turn in one process: the bare model calls that a method needs, written as one
writes them in the framework, at the best of several batch sizes; xaikit; and the libraries that one would otherwise
take. A ratio is the median over the rounds of what two sides took in the same round, with its quartiles in brackets, so
that other work on the machine falls on both. Memory is looked at in a round of its own; what a side gives is compared
with the exact answer where there is one. Seconds are those of the wall clock; --clock processor counts the processor's
instead. --quick runs everything once with few samples: it shows that the cases work, its numbers mean nothing.
"""

import argparse
import importlib
import os
import platform
import warnings
from datetime import UTC, datetime
from importlib.metadata import distributions, version
from pathlib import Path

from cases import CASES, MISSING, Scale
from page import ABSENT, Measured, Row, added, as_line, load, page, save
from timing import CLOCKS, keep_to, threads

MODULES = (
    "on_digits",
    "on_photos",
    "on_text",
    "on_tables",
    "many_at_once",
    "in_keras",
    "exactness",
    "known_answers",
    "more_peers",
)
FRAMEWORKS = ("torch", "tensorflow", "tensorflow-cpu", "keras", "onnxruntime", "numpy")
PEERS = {
    "lime": "lime",
    "shap": "shap",
    "captum": "captum",
    "xplique": "xplique",
    "tf-keras-vis": "tf_keras_vis",
    "grad-cam": "pytorch_grad_cam",
    "torch-lucent": "lucent",
    "dalex": "dalex",
    "scikit-learn": "sklearn",
}
"""The libraries that are compared with, by the name to install them by, and how each is imported."""
HERE = Path(__file__).parent
KEPT, PAGE = HERE / "peers.json", HERE.parent / "docs" / "benchmarks.md"
TITLE = """# Benchmarks

What explanations cost and how right they are, beside the libraries that one would otherwise take: lime, shap, captum,
xplique, tf-keras-vis, pytorch-grad-cam, lucent, dalex and scikit-learn. Each row is one work, done by all of them in
the same process, in turns, with the same network and the same input. The page is written by one command, in a checkout
of xaikit:

    pip install -e ".[all]" -r benchmarks/peers.txt
    pip install --no-deps -r benchmarks/peers-without-pins.txt
    OMP_NUM_THREADS=1 python benchmarks/peers.py --write

Some peers ask for older versions of NumPy, TensorFlow or torch than the others need: the second file is installed
without what they ask for, best into an environment of its own. A peer that is absent or does not import is named with
the reason under "not compared", and its cells are missing; all else is measured. `--only CASE` measures a part again,
and `--clock processor` counts the processor's time instead of the wall clock's, which other work on a machine disturbs
less. What was measured together stands in one table, under its own conditions.

What the columns mean:

* **bare calls**: the seconds of just the model calls that the work needs, written in the framework itself, at the best
  of several batch sizes, with frozen parameters. Integrated gradients of a digit and expected gradients also run the
  network forward, on the input and on what it is compared with: by how much the values miss f(x) - E f(b) is part of
  every answer. Those passes are bare calls too, and the remark says what the work takes over the gradients alone.
* **over bare calls**: how many times as long the whole work takes; 1 means that nothing is lost. The median over the
  rounds of one run in which all sides took turns, after one to warm up, and the quartiles in brackets.
* **peer's time over xaikit's**: above 1 xaikit is faster, below 1 the peer is. 2× means that the peer takes twice as
  long.
* **peak memory**: by how many MiB the process grows at most during one call, beyond what it holds before; 0 where the
  memory of earlier calls is enough.
* **accuracy**: where the right answer can be written down or counted out, how far the largest error is from it, over
  the largest right value ("off by 1e-03" is a thousandth; 1e-07 is the rounding of float32). Elsewhere the correlation
  of a peer's map with xaikit's: 1 is the same map but for its scale.
* **figure** and **reached**: what xaikit sets itself, and what was found. What is not reached stays in the table.

Ratios on the same machine say something, seconds say little: another machine has other ones. A clock of the processor
counts what calculates, whatever else the machine does meanwhile. Below 1 is a network that takes longer for some
pictures than for others, or a batch that suits it better than the sizes that were tried.
Networks have trained weights (mnist_cnn) or random ones; in torch their weights lie channels first in memory, as torch
makes them, and xaikit answers from the network itself unless the row says that a copy answers. The one of closed form
is w·x + x₀x₁ + tanh(3x₂) + x₃²: no three columns interact, which suits estimators that are exact for pairs. For the
permutation importance the right answer is the mean over all permutations, counted out over all pairs of rows: what is
off there is the chance of the few that are drawn. Of torchvision, which pytorch-grad-cam and lucent import, no
operators for boxes are used; those that it does not find beside another torch than its own are declared, not called.
"""


def installed(name: str) -> bool:
    return bool(list(distributions(name=name)))


def conditions(clock: str) -> dict[str, str]:
    """Give the versions and what else the numbers hold for."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {vectors()}, {memory:.0f} GiB of memory, no GPU used"
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": machine,
        "threads": str(threads()),
        "clock": clock,
        "Python": platform.python_version(),
        "libraries": ", ".join(f"{name} {version(name)}" for name in (*FRAMEWORKS, *PEERS) if installed(name)),
        ABSENT: "; ".join(absent()) or "none",
    }


def vectors() -> str:
    """Name the widest vectors that torch finds the processor to calculate with: AVX2, AVX512 or another's."""
    import torch

    return torch.backends.cpu.get_cpu_capability()


def absent() -> list[str]:
    """Say which peers are not in this run, and why: not installed, or not to be imported beside the others."""
    found = []
    for name, module in PEERS.items():
        if not installed(name):
            found.append(f"{name} (not installed)")
        elif module in MISSING:
            found.append(f"{name} (does not import: {MISSING[module]})")
    return found


def measured(name: str, scale: Scale) -> list[Row]:
    """Run one case; print its rows as they come."""
    rows = []
    for row in CASES[name](scale):
        print(as_line(row), flush=True)
        rows.append(row)
    return rows


def write(found: dict[str, list[Row]], now: dict[str, str]) -> None:
    """Keep what was measured, in place of older rows of the same cases, and write the page."""
    runs = added(load(KEPT) if KEPT.exists() else [], Measured(found, now), list(CASES))
    save(KEPT, runs)
    PAGE.write_text(page(TITLE, runs), encoding="utf-8")


def main() -> None:
    for module in MODULES:
        importlib.import_module(module)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few samples, one round: does it run?")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=list(CASES),
        default=list(CASES),
        metavar="CASE",
        help=f"some of {', '.join(CASES)}; with --write the other rows stay",
    )
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="what seconds are (default: %(default)s)")
    asked = parser.parse_args()
    if asked.quick and asked.write:
        parser.error("a quick run says nothing: it is not written")
    keep_to(threads())
    warnings.simplefilter("ignore")  # those of the peers
    scale = Scale(CLOCKS[asked.clock], asked.quick)
    for name in asked.only:
        rows = measured(name, scale)
        if asked.write:
            write({name: rows}, conditions(asked.clock))


if __name__ == "__main__":
    main()
