"""Thousands of explanations in one process: does memory stay flat, and is nothing left behind?

    python -m tests.robust.soak --explanations 2000 [--framework torch] [--every 200]

prints, as it goes, the memory of the process, and what is left: threads, open files, hooks on the networks. Leaves with
1 where the memory grew by more than 20 MiB after the warm-up, or where something is left.
"""

import argparse
import gc
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

import xaikit as xk
from xaikit.perturb.memory import MEMORY

MIB = 2**20
GROWTH = 20 * MIB
"""What the process may grow by after the warm-up."""
CASES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("xo_cnn", "lime", {"samples": 50}),
    ("xo_cnn", "kernel-shap", {"segments": 9, "samples": 60}),
    ("mnist_cnn", "saliency", {}),
    ("mnist_cnn", "integrated-gradients", {"steps": 8}),
    ("mnist_cnn", "grad-cam", {}),
    ("mnist_cnn", "guided-backprop", {}),
    ("mnist_cnn", "occlusion", {"window": 7, "stride": 7}),
    ("mnist_cnn", "deep-lift", {}),
    ("mnist_cnn", "lrp", {}),
    ("mnist_cnn", "smooth-grad", {"samples": 4}),
    ("credit_mlp", "integrated-gradients", {"steps": 8}),
    ("credit_mlp", "exact-shapley", {}),
    ("lstm_forecast", "integrated-gradients", {"steps": 4}),
    ("lstm_forecast", "temporal-saliency-rescaling", {}),
)
"""Network, method, parameters; each in turn, with another input every time."""


@dataclass(frozen=True)
class Held:
    """What a process holds: bytes of memory, threads, open files, hooks on the networks."""

    memory: int
    threads: int
    files: int
    hooks: int


def held(models: dict[str, Any]) -> Held:
    """Measure this process, after a collection of garbage."""
    gc.collect()
    return Held(resident(), threading.active_count(), len(list(Path("/proc/self/fd").iterdir())), hooks(models))


def resident() -> int:
    """Bytes of memory that are this process's own, from Linux."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def hooks(models: dict[str, Any]) -> int:
    """Count the hooks on the modules of PyTorch networks; Keras has none."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    nets = [m.net for m in models.values() if hasattr(m.net, "modules")]
    return sum(len(getattr(module, kind)) for net in nets for module in net.modules() for kind in kinds)


def inputs(model: Any) -> Iterator[Any]:
    """Give ever new inputs for a network: noise in its own units, or its background rows with other numbers."""
    rng, spec = np.random.default_rng(0), model.inputs
    while True:
        if isinstance(spec, xk.Table):
            row = dict(list(spec.background)[int(rng.integers(len(spec.background)))])
            yield {**row, "duration": float(rng.integers(4, 60))}
        elif isinstance(spec, xk.Image):
            yield (
                rng.uniform(-1, 1, spec.shape) if spec.scale == 1 else rng.integers(2, 256, spec.shape).astype(np.uint8)
            )
        else:
            yield spec.mean + spec.std * rng.normal(0, 1, spec.shape)


def soaked(framework: str, count: int, warm: int, every: int, say: Any) -> tuple[Held, Held]:
    """Explain `count` times after `warm` ones that are not counted; give what was held before and after."""
    models = {name: xk.zoo.load(name, framework) for name, _, _ in CASES}
    streams = {name: inputs(model) for name, model in models.items()}

    def explain(many: int) -> Iterator[int]:
        for number, (name, method, parameters) in enumerate(islice(cycle(CASES), many), start=1):
            target = 0 if name != "lstm_forecast" else None
            e = xk.explain(models[name], next(streams[name]), method, target=target, progress=False, **parameters)
            assert np.isfinite(e.values).all(), (name, method)
            yield number

    for _ in explain(warm):
        pass
    MEMORY.clear()  # which keeps up to 64 MiB of answers, by intent: here it starts empty and is counted
    before, start = held(models), time.perf_counter()
    for number in explain(count):
        if number % every == 0:
            now, rate = held(models), number / (time.perf_counter() - start)
            grown, kept = (now.memory - before.memory) / MIB, MEMORY.size / MIB
            say(
                f"{framework} {number:6,}  {now.memory / MIB:8.1f} MiB  {grown:+6.1f}  answers kept {kept:5.2f} MiB  "
                f"threads {now.threads}  files {now.files}  hooks {now.hooks}  {rate:.0f}/s"
            )
    return before, held(models)


def left(before: Held, after: Held) -> list[str]:
    """Say what is more than it was, in words; the memory by more than it may."""
    said = [
        f"{n}: {getattr(after, n)}, before {getattr(before, n)}"
        for n in ("threads", "files", "hooks")
        if getattr(after, n) > getattr(before, n)
    ]
    if after.memory - before.memory > GROWTH:
        said.append(f"memory: {(after.memory - before.memory) / MIB:.1f} MiB more")
    return said


def main() -> int:
    """Soak in one framework or in both, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--explanations", type=int, default=2000)
    parser.add_argument("--warm", type=int, default=10 * len(CASES))
    parser.add_argument("--every", type=int, default=200)
    parser.add_argument("--framework", choices=("torch", "keras", "both"), default="both")
    asked = parser.parse_args()
    found: list[str] = []
    for framework in ("torch", "keras") if asked.framework == "both" else (asked.framework,):
        before, after = soaked(framework, asked.explanations, asked.warm, asked.every, _say)
        said = left(before, after)
        found += said
        grown = (after.memory - before.memory) / MIB
        _say(
            f"{framework}: {asked.explanations:,} explanations, {grown:+.1f} MiB; left: {'; '.join(said) or 'nothing'}"
        )
    return 1 if found else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
