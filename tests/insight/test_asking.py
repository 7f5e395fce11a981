"""What makes no sense is refused in the same words by every function, in one line, whatever the framework."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

import xaikit as xk
from tests.contract.nets import image_pair
from xaikit.errors import InputError, NotSupported, ParameterError, UnknownName, UsageError


def pictures(count: int = 4) -> Any:
    return np.random.default_rng(2).integers(0, 256, (count, 12, 12, 3)).astype(np.uint8)


FUNCTIONS: dict[str, Any] = {
    "activations": lambda m, s, layer: xk.activations(m, s, layer),
    "layer_health": lambda m, s, layer: xk.layer_health(m, s, layers=layer),
    "effective_field": lambda m, s, layer: xk.effective_field(m, s, layer),
    "filters": lambda m, s, layer: xk.filters(m, layer, samples=s),
    "top_patches": lambda m, s, layer: xk.top_patches(m, s, layer, 0, k=2),
    "maximize": lambda m, s, layer: xk.maximize(m, layer, 0, like=s, steps=2),
}
OVER_FOLDERS = [name for name in FUNCTIONS if name != "activations"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_layer_is_asked_for_by_its_name(name: str) -> None:
    model, _ = image_pair("torch")
    with pytest.raises(UnknownName, match=r"unknown layer of .*; did you mean 'c[12]'"):
        FUNCTIONS[name](model, pictures(), "c22")
    with pytest.raises(UsageError, match=r"'.*', not 3$"):
        FUNCTIONS[name](model, pictures(), 3)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_plain_function_has_nothing_inside(name: str) -> None:
    model = xk.wrap(lambda x: x.mean((1, 2)), inputs=xk.Image(12, 12), outputs=xk.Values(["r", "g", "b"]))
    with pytest.raises(NotSupported) as refused:
        FUNCTIONS[name](model, pictures(), "c1")
    assert "top_patches" not in str(refused.value)  # it could not serve this model either


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two pictures and a file that is none."""
    for i, pixels in enumerate(pictures(2)):
        Pillow.fromarray(pixels).save(tmp_path / f"{i}.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    return tmp_path


@pytest.mark.parametrize("name", OVER_FOLDERS)
def test_files_that_cannot_be_read_are_named(name: str, folder: Path) -> None:
    model, _ = image_pair("torch")
    found = FUNCTIONS[name](model, folder, "c1")
    said = [*found.status.reasons] if hasattr(found, "status") else []
    assert any("1 file could not be read: broken.png" in r for r in (*said, *map(str, found.origin.notes.values())))


@pytest.mark.parametrize("name", OVER_FOLDERS)
def test_why_there_is_no_sample(name: str, tmp_path: Path) -> None:
    model, _ = image_pair("torch")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"no sample to look at: .*broken\.png is not a picture"):
        FUNCTIONS[name](model, tmp_path, "c1")
    with pytest.raises(InputError, match="no sample to look at: the list or folder is empty"):
        FUNCTIONS[name](model, [], "c1")


@pytest.mark.parametrize("channel", [1.5, [], "a", True, [0, 99], -1, 99])
def test_channels_that_are_not_there(channel: Any) -> None:
    model, _ = image_pair("torch")
    for refused in (
        lambda: xk.top_patches(model, pictures(), "c1", channel),
        lambda: xk.maximize(model, "c1", channel, steps=2),
        lambda: xk.unit_card(model, "c1", channel, optimum=False),
    ):
        with pytest.raises(ParameterError, match=r"channel is a whole number|has the channels 0 to 5, not"):
            refused()


def test_channels_are_numbers_or_a_slice() -> None:
    model, _ = image_pair("torch")
    assert list(xk.top_patches(model, pictures(), "c1", slice(1, 3), k=1)) == [1, 2]
    assert xk.maximize(model, "c1", slice(1, 3), steps=2).numbers == (1, 2)


@pytest.mark.parametrize("asked", [{"k": 0}, {"k": 1.5}, {"per_sample": 0}])
def test_how_many_patches(asked: dict[str, Any]) -> None:
    model, _ = image_pair("torch")
    with pytest.raises(ParameterError, match="is a whole number from 1 on"):
        xk.top_patches(model, pictures(), "c1", 0, **asked)
    with pytest.raises(ParameterError, match="is a whole number from 1 on"):
        xk.unit_card(model, "c1", 0, pictures(), optimum=False, **asked)
    with pytest.raises(ParameterError, match="steps is a whole number from 1 on"):
        xk.unit_card(model, "c1", 0, steps=0)


@pytest.mark.parametrize("seed", [-1, 1.5, True])
def test_a_seed_is_a_whole_number(seed: Any) -> None:
    model, _ = image_pair("torch")
    with pytest.raises(ParameterError, match="seed is a whole number from 0 on"):
        xk.effective_field(model, pictures(), "c1", seed=seed)
    with pytest.raises(ParameterError, match="seed is a whole number from 0 on"):
        xk.maximize(model, "c1", 0, seed=seed)


@pytest.mark.parametrize("unit", ["centre", (0.5, 1), (0,), (-1, 0), (99, 0), object()])
def test_a_unit_that_is_not_there(unit: Any) -> None:
    model, _ = image_pair("torch")
    with pytest.raises(ParameterError, match="is not among them"):
        xk.receptive_field(model).box("c1", unit)
    with pytest.raises(ParameterError, match="is not among them"):
        xk.effective_field(model, pictures(), "c1", unit)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"background": "blur"}, "background is a number or one per channel"),
        ({"learning_rate": -1}, "learning_rate is a positive number"),
        ({"learning_rate": 0}, "learning_rate is a positive number"),
        ({"diversity": "a", "copies": 2}, "diversity is a positive number"),
        ({"penalties": {"l2": "a"}}, "l2 is a number from 0 on"),
    ],
)
def test_numbers_of_an_ascent(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        xk.maximize(image_pair("torch")[0], "c1", 0, steps=2, **asked)


def test_judges_are_wrapped_models() -> None:
    model, _ = image_pair("torch")
    with pytest.raises(UsageError, match="judges takes a wrapped model"):
        xk.maximize(model, target=0, steps=2, judges=[3])  # type: ignore[list-item]
    with pytest.raises(ParameterError, match="judges is a list of wrapped models, not TorchModel"):
        xk.maximize(model, target=0, steps=2, judges=model)  # type: ignore[arg-type]


def test_a_name_known_twice_is_suggested_once() -> None:
    assert str(UnknownName("layer", "convv1", ["conv1", "relu", "conv1"])).endswith("did you mean 'conv1'?")


def test_a_network_of_nan_has_no_ascent_to_draw() -> None:
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.ReLU())
    torch.nn.init.constant_(net[0].weight, float("nan"))
    found = xk.maximize(xk.wrap(net, inputs=xk.Image(12, 12)), "0", steps=2)
    assert list(found.verdicts) == ["fail"] * 2
    assert xk.plot(found) is not None
