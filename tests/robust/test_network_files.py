"""Files with networks and weights from strangers, in both frameworks: a network, or one line."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xaikit as xk
from tests.robust.hostile import ROUNDS, answers, copies, damaged, refused
from xaikit.zoo.networks import networks
from xaikit.zoo.shelf import packed, shelves

pytestmark = pytest.mark.slow

NETS = """
import torch

def make():
    return torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(72, 2))
"""
DESCRIPTION = """
framework = "torch"
weights = "{name}"
factory = "strange_nets:make"
[inputs]
kind = "Image"
height = 8
width = 8
channels = 1
scale = 1.0
"""
X = np.ones((8, 8, 1), np.float32)
ROUNDS_OF_FILES = ROUNDS // 2


@pytest.fixture
def described(tmp_path: Path) -> Any:
    """A function from a state_dict to what comes of loading and explaining it."""
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    (tmp_path / "strange_nets.py").write_text(NETS)
    scope: dict[str, Any] = {}
    exec(NETS, scope)
    torch.manual_seed(0)

    def explained(path: Path) -> Any:
        (tmp_path / "model.toml").write_text(DESCRIPTION.format(name=path.name))
        model = xk.load_model(tmp_path / "model.toml", allow_code=True)
        return xk.explain(model, X, "saliency", target=0, progress=False)

    def written(weights: dict[str, Any]) -> Path:
        save_file(weights, tmp_path / "w.safetensors")
        return tmp_path / "w.safetensors"

    return scope["make"]().eval(), explained, written


def test_damaged_weights_for_a_torch_factory(described: Any, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    net, explained, written = described
    path = written(net.state_dict())
    assert np.isfinite(explained(path).values).all()
    for copy in copies(path, rounds=ROUNDS_OF_FILES):
        answers(explained, copy)
    torch.save(net.state_dict(), tmp_path / "w.pt")
    assert np.isfinite(explained(tmp_path / "w.pt").values).all()
    for copy in copies(tmp_path / "w.pt", rounds=ROUNDS_OF_FILES):
        answers(explained, copy)


@pytest.mark.parametrize("kind", ["int32", "bool", "complex64"])
def test_weights_of_other_numbers_are_refused(described: Any, kind: str) -> None:
    torch = pytest.importorskip("torch")
    net, explained, written = described
    other = {**net.state_dict(), "0.weight": net.state_dict()["0.weight"].to(getattr(torch, kind))}
    assert f"0.weight holds torch.{kind}, not torch.float32" in refused(explained, written(other))


@pytest.mark.parametrize("shape", [(2, 1, 3, 4), (), (2, 1, 3, 3, 1), (0,)])
def test_weights_of_another_shape_are_refused(described: Any, shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    net, explained, written = described
    assert "do not fit" in refused(explained, written({**net.state_dict(), "0.weight": torch.ones(shape)}))


def test_weights_that_are_not_finite_are_said_in_the_status(described: Any) -> None:
    net, explained, written = described
    weights = {name: w.clone() for name, w in net.state_dict().items()}
    weights["0.weight"].fill_(float("nan"))
    e = explained(written(weights))
    assert str(e.status) == "fail"
    assert e.status.reasons


def test_damaged_programs(described: Any, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    program = torch.export.export(described[0], (torch.ones(2, 1, 8, 8),))
    torch.export.save(program, tmp_path / "net.pt2")
    spec = xk.Image(8, 8, 1, scale=1.0)
    assert xk.load_model(tmp_path / "net.pt2", inputs=spec).run(X[None]).output.shape == (1, 2)
    for copy in copies(tmp_path / "net.pt2", rounds=ROUNDS_OF_FILES):
        answers(lambda path: xk.load_model(path, inputs=spec), copy)


def test_damaged_weights_of_the_zoo(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    shelf = list(shelves())[-1]
    card = shelf.card("xo_cnn")
    assert card is not None
    (tmp_path / "xo.safetensors").write_bytes(packed(shelf.weights(networks["xo_cnn"], card), "xo_cnn"))
    for copy in copies(tmp_path / "xo.safetensors", rounds=2 * ROUNDS_OF_FILES):
        answers(lambda path: xk.zoo.load("xo_cnn", "torch", weights=path), copy)


def test_damaged_keras_files(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    layers = keras.layers
    net = keras.Sequential([layers.Input((8, 8, 1)), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(2)])
    net.save(tmp_path / "net.keras")
    with zipfile.ZipFile(tmp_path / "net.keras") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    path, rng = tmp_path / "other.keras", np.random.default_rng(0)

    def load(**changed: bytes | str | None) -> Any:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in {**parts, **changed}.items():
                if data is not None:
                    archive.writestr(name, data)
        return answers(xk.load_model, path)

    assert load().run(X[None]).output.shape == (1, 2)
    for copy in copies(tmp_path / "net.keras", rounds=ROUNDS_OF_FILES):
        assert isinstance(answers(xk.load_model, copy), Exception)
    for name, data in parts.items():
        for _ in range(ROUNDS_OF_FILES // 5):
            load(**{name: damaged(data, rng)})
    for text in ("[" * 100_000, "null", "[]", "3", "{}", '"a"'):
        assert isinstance(load(**{"config.json": text}), Exception)
    config = json.loads(parts["config.json"])
    config["config"]["layers"].append({"class_name": "Lambda", "config": {"name": "l"}, "module": "keras.layers"})
    assert "Lambda layer, which can run any code" in str(load(**{"config.json": json.dumps(config)}))
    assert isinstance(load(**{"model.weights.h5": None}), Exception)
