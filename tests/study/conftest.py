"""Studies of the smallest network of the zoo, in folders of their own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from xaikit.study import InputsPlan, MethodPlan, Plan

pytest.importorskip("torch")


def draw(folder: Path, count: int, first: int = 0) -> None:
    """Put pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(first, first + count):
        pixels = np.random.default_rng(i).integers(0, 256, (28, 28)).astype(np.uint8)
        Pillow.fromarray(pixels).save(folder / f"{i:03}.png")


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """A folder with six pictures."""
    draw(tmp_path / "digits", 6)
    return tmp_path / "digits"


@pytest.fixture
def plan(digits: Path) -> Callable[..., Plan]:
    """Give a plan of two methods for the pictures; what is given is changed."""

    def make(*methods: Any, inputs: Any = "digits/*.png", **changes: Any) -> Plan:
        paths = (inputs,) if isinstance(inputs, str) else tuple(inputs)
        asked = tuple(MethodPlan(m) if isinstance(m, str) else m for m in methods or ("saliency", "grad-cam"))
        given = {"model": "mnist_cnn", "framework": "torch", "root": str(digits.parent), **changes}
        return Plan(inputs=InputsPlan(paths), methods=asked, **given)

    return make
