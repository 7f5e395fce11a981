"""Draw the pictures of docs/howto/: python docs/pictures/howto.py [NAME ...]. About a minute on one core."""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from methods import photographed, save  # the script beside this one

import xaikit as xk
from xaikit.render import png

FOLDER = Path(__file__).parent / "howto"
WIDTH = 1500
"""Twice what a page shows, so that words stay sharp."""


@cache
def explained(method: str, **parameters: Any) -> Any:
    """Explain the photo; its seconds are the processor's, which other work on the machine does not change."""
    model, photo = photographed()
    start = time.process_time()
    found = xk.explain(model, photo, method, target="cat", progress=False, **parameters)
    return replace(found, origin=replace(found.origin, seconds=time.process_time() - start))


def grains() -> Mapping[str, Any]:
    """The same answer by maps of a different grain."""
    return {
        "saliency: pixels": explained("saliency"),
        "lime: superpixels": explained("lime"),
        "grad-cam: a layer's places": explained("grad-cam"),
    }


def baselines() -> Mapping[str, Any]:
    """The same method, the photo compared with three others."""
    return {
        "mean (unless asked)": explained("integrated-gradients", steps=200),
        "black": explained("integrated-gradients", steps=200, baseline=0),
        "white": explained("integrated-gradients", steps=200, baseline=255),
    }


def steps() -> Mapping[str, Any]:
    """The same method with too few steps, and with enough."""
    found = {n: explained("integrated-gradients", steps=n) for n in (4, 50, 300)}
    return {f"{n} steps: {e.status}": e for n, e in found.items()}


MADE: Mapping[str, Callable[[], Mapping[str, Any]]] = {"grains": grains, "baselines": baselines, "steps": steps}

if __name__ == "__main__":
    for name in sys.argv[1:] or MADE:
        save(png(MADE[name](), width=WIDTH), FOLDER / f"{name}.webp")
