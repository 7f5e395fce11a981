"""Inputs of every kind, drawn by code, and reports about them by trained networks of the zoo."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xaikit import zoo
from xaikit.arrays import Array
from xaikit.jobs import Local
from xaikit.report import Explanations, collect


def digit(shift: int = 0) -> Array:
    """A seven with some grain, without which it would be one superpixel: (28, 28) uint8."""
    image = np.random.default_rng(shift).uniform(0, 25, (28, 28))
    image[7:9, 7 + shift : 20 + shift] = 230
    for row in range(9, 23):
        column = 19 + shift - (row - 9) // 2
        image[row, column - 1 : column + 2] = 230
    return image.astype(np.uint8)


def applicant(**changed: Any) -> dict[str, Any]:
    row = {"sex": "male", "job": 2, "housing": "own", "saving_accounts": "little", "checking_account": "moderate"}
    return {**row, "credit_amount": 3000, "duration": 24, "purpose": "car", "age": 35, **changed}


def beat() -> Array:
    """A heartbeat of 140 steps: (140, 1)."""
    t = np.arange(140)
    wave = 2 * np.exp(-(((t - 105) / 6) ** 2)) - 4 * np.exp(-(((t - 4) / 3) ** 2)) + 0.3 * np.sin(t / 20)
    return np.asarray(wave[:, None])


REVIEW = "A wonderful, moving film with great actors. Only the ending is boring and far too long."

Make = Callable[..., Explanations]


@pytest.fixture(scope="session")
def explained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """Explain inputs by a network of the zoo in this process; all share one store."""
    folder = tmp_path_factory.mktemp("store")
    lines: list[Local] = []

    def make(
        name: str, inputs: dict[str, Any], methods: list[str], framework: str = "torch", **more: Any
    ) -> Explanations:
        line = Local({name: zoo.load(name, framework=framework)}, folder=folder)
        lines.append(line)
        return collect(line, name, inputs, methods, **more)

    yield make
    for line in lines:
        line.close()


@pytest.fixture(scope="session")
def digits(explained: Make) -> Explanations:
    """Two digits and something that is none, by three methods, one of which cannot explain this network."""
    return explained(
        "mnist_cnn",
        {"seven": digit(), "other": digit(3), "letter": "no file of this name.png"},
        ["lime", "grad-cam", "integrated-gradients"],
        parameters={"lime": {"samples": 100}, "grad-cam": {"layer": "no_such_layer"}},
    )


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "report"
