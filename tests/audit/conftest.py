"""A real model of the zoo, a picture for it, and a database with three records that each test may spoil."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xaikit import audit, zoo
from xaikit.arrays import Array


@pytest.fixture(scope="session")
def model() -> Any:
    pytest.importorskip("torch")
    return zoo.load("xo_cnn", framework="torch")


def drawn(number: int) -> Array:
    """An X drawn with noise of its own: (9, 9), in the units of xo_cnn."""
    noise = 0.2 * np.random.default_rng(number).random((9, 9))
    return np.maximum(noise, np.eye(9) + np.eye(9)[::-1] > 0).astype(np.float32)


@pytest.fixture(scope="session")
def picture() -> Callable[[int], Array]:
    return drawn


@pytest.fixture(scope="session")
def three(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three records: of two methods, the last one with parameters that are arrays."""
    path = tmp_path_factory.mktemp("audit") / "three.db"
    url, halves = f"sqlite:///{path}", np.repeat(np.arange(9), 9).reshape(9, 9) // 5
    audit.record(model, drawn(1), "saliency", db=url, source="xo_cnn")
    audit.record(model, drawn(2), "lime", 1, db=url, seed=7, samples=50)
    audit.record(model, drawn(3), "kernel-shap", "O", db=url, segments=halves, baseline=np.zeros((9, 9, 1)))
    return path


@pytest.fixture
def db(three: Path, tmp_path: Path) -> Path:
    """A copy of the three records."""
    return Path(shutil.copy(three, tmp_path / "audit.db"))
