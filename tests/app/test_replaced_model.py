"""A model file that is replaced while the app runs: nothing of the old model is shown for the new one."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("dash")
pytest.importorskip("torch")

from xaikit.jobs import Unit
from xaikit_app import Settings
from xaikit_app.services import Services
from xaikit_app.state import State
from xaikit_app.work.describe import Description

pytestmark = pytest.mark.slow


def written(path: Path, size: int, classes: int) -> None:
    import torch

    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(size * size, classes)).eval()
    fresh = path.with_name("fresh.pt2")
    torch.export.save(torch.export.export(net, (torch.zeros(2, 1, size, size),)), fresh)
    fresh.replace(path)


def described(services: Services, chosen: Any) -> Description:
    until = time.monotonic() + 180
    while not isinstance(found := services.description(chosen), Description):
        assert time.monotonic() < until, found.error
        found.wait(1.0)
    return found


def test_a_replaced_file_is_another_model_without_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "mine.pt2"
    written(path, 8, 2)
    services = Services(Settings(models=(str(path),), cache=tmp_path / "cache"))
    try:
        chosen = services.choose(State())
        old = described(services, chosen)
        unit = Unit(chosen.key, np.ones((1, 8, 8)), "saliency", target=0)
        assert services.submit(unit).result(120).values.size == 8 * 8
        gallery = services.gallery(chosen, old)
        assert services.gallery(chosen, described(services, chosen)) is gallery
        written(path, 6, 3)
        assert services.stored(unit) is None, "a result of the model before"
        new = described(services, chosen)
        assert new.inputs != old.inputs
        assert services.gallery(chosen, new) is not gallery
        other = Unit(chosen.key, np.ones((1, 6, 6)), "saliency", target=0)
        assert services.submit(other).result(120).values.size == 6 * 6
        path.unlink()
        assert described(services, chosen) is new
        gone = services.submit(other)
        assert "there is no model file" in (gone.error or "")
    finally:
        services.close()
