"""The strongest places of a data set: exact whatever the chunks, and what their units see is what moves them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.contract.nets import ADAPTERS, IMAGE, image_pair
from tests.torch import nets as torch_nets
from xaikit.errors import InputError, NotSupported, ParameterError, UnknownName
from xaikit.insight import _survey
from xaikit.insight._seen import Sight


def pictures(count: int) -> Any:
    return np.random.default_rng(8).integers(0, 256, (count, 12, 12, 3)).astype(np.uint8)


@pytest.mark.parametrize("framework", ADAPTERS)
@pytest.mark.parametrize("per_sample", [1, 3])
def test_the_strongest_are_those_of_all_at_once(
    framework: str, per_sample: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = image_pair(framework)
    x = pictures(20)
    values = xk.activations(model, x, "c2")["c2"][..., 5]
    flat = np.sort(values.reshape(20, -1), axis=1)[:, ::-1][:, :per_sample]
    monkeypatch.setattr(_survey, "CHUNK", 6)
    steps: list[tuple[int, int]] = []
    found = xk.top_patches(
        model, x, "c2", 5, k=7, per_sample=per_sample, progress=lambda done, total: steps.append((done, total))
    )
    assert_allclose(found.values, np.sort(flat.ravel())[::-1][:7], rtol=1e-5, atol=1e-6)
    assert steps == [(6, 20), (12, 20), (18, 20), (20, 20)]
    for value, sample, place in zip(found.values, found.samples, found.places, strict=True):
        assert_allclose(values[(sample, *place)], value, rtol=1e-5, atol=1e-6)
    assert_array_equal(found.display, x[found.samples])
    assert (len(found), found.seen, found.space, found.axes) == (7, 20, (8, 8), ("height", "width"))
    if per_sample == 1:
        assert len(set(found.samples)) == 7


@pytest.mark.parametrize("framework", ADAPTERS)
def test_nothing_outside_the_box_moves_the_unit(framework: str) -> None:
    model, _ = image_pair(framework)
    found = xk.top_patches(model, pictures(5), "c2", 1, k=2)
    assert found.boxes is not None
    for i in range(2):
        (top, bottom), (left, right) = found.boxes[i]
        assert (bottom - top, right - left) == (4, 4)
        outside = found.display[i].copy()
        outside[...] = 0
        outside[top : bottom + 1, left : right + 1] = found.patch(i)
        again = xk.activations(model, outside, "c2")["c2"][(0, *found.places[i], 1)]
        assert_allclose(again, found.values[i], rtol=1e-5, atol=1e-6)


def layered(framework: str) -> Any:
    """Padded, dilated and strided convolutions, pooling, two paths, upsampling and a transposed convolution."""
    if framework == "torch":
        from torch import nn

        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.a = nn.Conv2d(3, 4, 3, padding=2, dilation=2)
                self.b = nn.Conv2d(3, 4, 1)
                self.pool = nn.MaxPool2d(2)
                self.c = nn.Conv2d(4, 4, 3, stride=2, padding=1)
                self.up = nn.Upsample(scale_factor=2, mode="bilinear")
                self.t = nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1)

            def forward(self, x: Any) -> Any:
                return self.t(self.up(self.c(self.pool(self.a(x) + self.b(x)))))

        net = torch_nets.seeded(Net)
        model = xk.wrap(net, inputs=IMAGE)
    else:
        import keras

        from tests.keras.nets import filled

        L = keras.layers
        x = L.Input((12, 12, 3))
        y = L.Add()([L.Conv2D(4, 3, padding="same", dilation_rate=2, name="a")(x), L.Conv2D(4, 1, name="b")(x)])
        y = L.Conv2D(4, 3, strides=2, padding="same", name="c")(L.MaxPooling2D(2, name="pool")(y))
        y = L.UpSampling2D(2, interpolation="bilinear", name="up")(y)
        model = xk.wrap(
            filled(keras.Model(x, L.Conv2DTranspose(2, 3, strides=2, padding="same", name="t")(y))), inputs=IMAGE
        )
    return model


@pytest.mark.parametrize("framework", ADAPTERS)
@pytest.mark.parametrize("layer", ["a", "pool", "c", "up", "t"])
def test_crops_are_the_places_with_a_gradient(framework: str, layer: str) -> None:
    """Of every unit: the hull of what moves it, tried with positive weights, is its box."""
    model = layered(framework)
    positive = model.with_weights(
        {f"{n}/{w}": np.abs(v) + 0.1 for n in model.layers for w, v in model.weights(n).items()}
    )
    x = np.random.default_rng(0).uniform(1, 2, size=(1, 12, 12, 3)).astype("f")
    height, width, channels = model.layers[layer].shape
    places = np.array(list(np.ndindex(height, width)))
    seed = np.zeros((len(places), height, width, channels), "f")
    seed[(np.arange(len(places)), *places.T, 0)] = 1
    moved = np.abs(positive.pull(np.repeat(x, len(places), 0), seed, of=layer).gradient).sum(-1) > 0
    boxes, windows = Sight(model, layer, x).boxes("", places)
    for gradient, box, window in zip(moved, boxes, windows, strict=True):
        at = np.argwhere(gradient)
        lengths = box[:, 1] - box[:, 0] + 1
        if layer in ("pool", "c", "up", "t"):  # a maximum sees one place of four
            assert np.all(at.min(0) >= box[:, 0])
            assert np.all(at.max(0) <= box[:, 1])
            assert np.all(at.min(0) - box[:, 0] <= 1)
        else:
            assert_array_equal(np.stack([at.min(0), at.max(0)], -1), box)
        assert np.all(window[:, 0] <= box[:, 0])
        assert np.all(window[:, 1] >= box[:, 1])
        assert np.all(lengths > 0)
    assert len({tuple(w[:, 1] - w[:, 0]) for w in windows}) == 1


def test_a_layer_that_mixes_all_places_has_no_box() -> None:
    model, _ = image_pair("torch")
    found = xk.top_patches(model, pictures(4), "head", 0, k=2)
    assert found.boxes is None
    assert found.places.shape == (2, 0)
    with pytest.raises(NotSupported, match="sees is not known"):
        found.patch(0)


def test_folders_and_streams(tmp_path: Path) -> None:
    from PIL import Image

    model, _ = image_pair("keras")
    x = pictures(5)
    for i, picture in enumerate(x):
        Image.fromarray(picture).save(tmp_path / f"{i}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    expected = xk.top_patches(model, x, "c1", 2, k=3)
    for samples in (tmp_path, str(tmp_path), (p for p in x), list(x)):
        found = xk.top_patches(model, samples, "c1", 2, k=3)
        assert_array_equal(found.samples, expected.samples)
        assert_array_equal(found.values, expected.values)
        assert_array_equal(found.boxes, expected.boxes)


def test_fewer_samples_than_asked_and_equal_values() -> None:
    model, _ = image_pair("torch")
    x = np.repeat(pictures(1), 3, axis=0)
    found = xk.top_patches(model, x, "c1", 0, k=9)
    assert_array_equal(found.samples, [0, 1, 2])


@pytest.mark.parametrize("framework", ADAPTERS)
def test_series(framework: str) -> None:
    spec = xk.Series(9, 2)
    x = torch_nets.draw(4, 9, 2)
    if framework == "torch":
        model = xk.wrap(torch_nets.seeded(torch_nets.Inplace), inputs=spec)
        name = "conv"
    else:
        import keras

        net = keras.Sequential([keras.layers.Input((9, 2)), keras.layers.Conv1D(3, 3, name="conv")])
        model, name = xk.wrap(net, inputs=spec), "conv"
    found = xk.top_patches(model, x, name, 1, k=2)
    assert found.boxes is not None
    assert_array_equal(found.boxes[:, 0, 1] - found.boxes[:, 0, 0], [2, 2])
    assert found.patch(0).shape == (3, 2)


def test_what_cannot_be_asked() -> None:
    model, _ = image_pair("torch")
    with pytest.raises(ParameterError, match="channels 0 to 5, not 6"):
        xk.top_patches(model, pictures(1), "c1", 6)
    with pytest.raises(UnknownName, match="did you mean 'c1'"):
        xk.top_patches(model, pictures(1), "cl1", 0)
    with pytest.raises(InputError, match="no sample"):
        xk.top_patches(model, [], "c1", 0)
    with pytest.raises(ParameterError, match="k is a whole number"):
        xk.top_patches(model, pictures(1), "c1", 0, k=0)


def test_what_was_stored_reads_back_equal(tmp_path: Path) -> None:
    model, _ = image_pair("torch")
    found = xk.top_patches(model, pictures(3), "c2", 0, k=2)
    back = xk.load(xk.save(found, tmp_path / "patches"))
    for name in ("values", "samples", "places", "boxes", "x", "display"):
        assert_array_equal(getattr(back, name), getattr(found, name))
    assert (back.layer, back.channel, back.axes, back.space, back.origin) == (
        *("c2", 0, found.axes, found.space),
        found.origin,
    )
