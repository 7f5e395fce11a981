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

pytestmark = pytest.mark.slow


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


def nets(seed: int) -> Any:
    """A random stack of convolutions, transposed ones, means and upsampling, with positive weights."""
    import torch
    from torch import nn

    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    parts: list[Any] = []
    channels = 1
    for _ in range(int(rng.integers(2, 5))):
        k, s, d = int(rng.integers(1, 4)), int(rng.integers(1, 3)), int(rng.integers(1, 3))
        kind = rng.choice(["conv", "conv", "pool", "transposed", "up"])
        if kind == "conv":
            parts.append(nn.Conv2d(channels, 2, k, s, padding=int(rng.integers(0, 3)), dilation=d))
            channels = 2
        elif kind == "pool":
            parts.append(nn.AvgPool2d(2, s, ceil_mode=bool(rng.integers(2))))
        elif kind == "transposed":
            parts.append(nn.ConvTranspose2d(channels, 2, k, s))
            channels = 2
        else:
            parts.append(nn.Upsample(scale_factor=2, mode="nearest"))
    net = nn.Sequential(*parts)
    for p in net.parameters():
        p.data = p.data.abs() + 0.1
    return net


@pytest.mark.parametrize("seed", range(12))
def test_crops_of_random_networks_hold_what_moves_the_unit_and_nothing_else(seed: int) -> None:
    model = xk.wrap(nets(seed), inputs=xk.Image(14, 11, 1))
    x = np.random.default_rng(seed).integers(1, 256, (4, 14, 11, 1)).astype(np.uint8)
    layer = list(model.layers)[-1]
    found = xk.top_patches(model, x, layer, 0, k=8, per_sample=2, projection="gradient")
    shape = model.layers[layer].shape
    for i in range(len(found)):
        seed_ = np.zeros((1, *shape), "f")
        seed_[(0, *found.places[i], 0)] = 1
        moved = np.argwhere(model.pull(found.x[i : i + 1], seed_, of=layer).gradient[0, ..., 0])
        if found.boxes is None or not len(moved):
            assert found.boxes is None or np.all(found.boxes[i, :, 1] < found.boxes[i, :, 0])
            continue
        assert_array_equal(np.stack([moved.min(0), moved.max(0)], -1), found.boxes[i])
        assert np.all(found.windows[i] >= found.windows[0] - 99)
    if found.windows is not None:
        assert len({tuple(w[:, 1] - w[:, 0]) for w in found.windows}) == 1
        assert found.projections.shape[1:3] == tuple(found.windows[0, :, 1] - found.windows[0, :, 0] + 1)


@pytest.mark.parametrize("framework", ADAPTERS)
def test_a_planted_pattern_is_the_strongest_patch(framework: str) -> None:
    rng = np.random.default_rng(4)
    pattern = rng.normal(size=(5, 5)).astype("f")
    pattern -= pattern.mean()
    x = rng.uniform(100, 140, (6, 20, 20, 1))
    for sample, (top, left) in ((4, (3, 11)), (1, (15, 0))):
        x[sample, top : top + 5, left : left + 5, 0] += (40 + sample) * pattern
    spec = xk.Image(20, 20, 1)
    if framework == "torch":
        import torch

        net: Any = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 5))
        net[0].weight.data = torch.tensor(pattern[None, None])
        model = xk.wrap(net, inputs=spec)
    else:
        import keras

        net = keras.Sequential([keras.layers.Input((20, 20, 1)), keras.layers.Conv2D(1, 5, name="c")])
        net.get_layer("c").set_weights([pattern[:, :, None, None], np.zeros(1)])
        model = xk.wrap(net, inputs=spec)
    found = xk.top_patches(model, x, list(model.layers)[-1], 0, k=2)
    assert_array_equal(found.samples, [4, 1])
    assert_array_equal(found.boxes, [[[3, 7], [11, 15]], [[15, 19], [0, 4]]])
    # of a linear unit the projection is its filter
    assert_allclose(found.projections[..., 0], np.stack([pattern, pattern]), rtol=1e-5, atol=1e-6)


def ending_at(framework: str, place: list[int], channel: int) -> Any:
    """The network of `image_pair` up to one unit behind its second ReLU."""
    model, _ = image_pair(framework)
    if framework == "torch":
        from torch import nn

        class Unit(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.front = nn.Sequential(model.net.c1, nn.ReLU(), model.net.c2, nn.ReLU())

            def forward(self, x: Any) -> Any:
                return self.front(x)[:, channel, place[0], place[1]][:, None]

        net: Any = Unit().eval()
    else:
        import keras

        y = model.net.get_layer("c2").output
        net = keras.Model(model.net.inputs, y[:, place[0], place[1], channel : channel + 1])
    return xk.wrap(net, inputs=IMAGE, outputs=xk.Values(["unit"]))


@pytest.mark.parametrize("framework", ADAPTERS)
@pytest.mark.parametrize(("projection", "method"), [("deconvnet", "deconvnet"), ("guided", "guided-backprop")])
def test_a_projection_is_the_method_on_the_network_that_ends_at_the_unit(
    framework: str, projection: Any, method: str
) -> None:
    model, _ = image_pair(framework)
    found = xk.top_patches(model, pictures(3), "r2" if framework == "torch" else "c2", 5, k=2, projection=projection)
    assert found.projection == projection
    for i in range(2):
        unit = ending_at(framework, found.places[i].tolist(), 5)
        whole = xk.explain(unit, found.display[i], method, target=0).values[0]
        (top, bottom), (left, right) = found.windows[i]
        assert_allclose(found.projections[i], whole[top : bottom + 1, left : right + 1], rtol=1e-4, atol=1e-6)
        whole[top : bottom + 1, left : right + 1] = 0
        assert_array_equal(whole, 0)


def test_keras_and_torch_find_the_same() -> None:
    torch_found, keras_found = (
        xk.top_patches(image_pair(f)[0], pictures(12), layer, None, k=4, projection="deconvnet")
        for f, layer in (("torch", "r2"), ("keras", "c2"))
    )
    assert_array_equal(torch_found.survey.samples, keras_found.survey.samples)
    assert_array_equal(torch_found.survey.places, keras_found.survey.places)
    assert_allclose(torch_found.survey.values, keras_found.survey.values, rtol=1e-5, atol=1e-6)
    assert_array_equal(torch_found.windows[""], keras_found.windows[""])
    scale = np.abs(torch_found.projections[""]).max()
    assert_allclose(torch_found.projections[""], keras_found.projections[""], atol=1e-5 * scale)
    for name, values in torch_found.survey.statistics.items():
        assert_allclose(values, keras_found.survey.statistics[name], rtol=1e-4, atol=1e-5)


def test_all_channels_in_one_pass_are_each_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = image_pair("torch")
    x = pictures(10)
    runs: list[int] = []
    run = type(model).run
    monkeypatch.setattr(type(model), "run", lambda self, x, *a, **k: (runs.append(len(x)), run(self, x, *a, **k))[1])
    found = xk.top_patches(model, x, "c2", k=3, per_sample=2)
    assert sum(runs) <= 2 * len(x)  # the pass, and once more what was found
    assert (list(found), len(found), found.projection) == (list(range(8)), 8, None)
    some = xk.top_patches(model, x, "c2", [6, 2], k=3, per_sample=2, projection="deconvnet")
    assert list(some) == [6, 2]
    for channel in range(8):
        alone = xk.top_patches(model, x, "c2", channel, k=3, per_sample=2)
        for name in ("values", "samples", "places", "boxes", "windows", "display", "reproduced"):
            assert_array_equal(getattr(found[channel], name), getattr(alone, name))
        assert found[channel].origin.input_hash == alone.origin.input_hash
        if channel in (2, 6):
            assert_allclose(some[channel].projections, alone.projections, rtol=1e-5, atol=1e-7)
    with pytest.raises(ParameterError, match=r"channel 3 of 'c2' was not looked at: 6, 2 were"):
        some[3]


def test_many_channels_read_back_equal(tmp_path: Path) -> None:
    model, _ = image_pair("torch")
    found = xk.top_patches(model, pictures(3), "c2", [1, 4], k=2, projection="gradient")
    back = xk.load(xk.save(found, tmp_path / "layer"))
    assert list(back) == [1, 4]
    for name in ("values", "places", "boxes", "windows", "x", "projections", "reproduced"):
        assert_array_equal(getattr(back[4], name), getattr(found[4], name))
    assert (back[4].origin, back[4].status, back[4].sources) == (found[4].origin, found[4].status, found[4].sources)


def folder_of(x: Any, folder: Path) -> Path:
    from PIL import Image

    for i, picture in enumerate(x):
        place = folder / ("cats" if i % 2 else "dogs")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(place / f"{i}.png")
    return folder


def test_folders_of_classes_hidden_files_and_broken_ones(tmp_path: Path) -> None:
    model, _ = image_pair("torch")
    x = pictures(4)
    folder_of(x, tmp_path / "data")
    (tmp_path / "data" / ".cache").mkdir()
    (tmp_path / "data" / ".cache" / "9.png").write_bytes(b"")
    found = xk.top_patches(model, tmp_path / "data", "c1", 2, k=4)
    ordered = xk.top_patches(model, x[[1, 3, 0, 2]], "c1", 2, k=4)
    assert_array_equal(found.values, ordered.values)
    named = ["cats/1.png", "cats/3.png", "dogs/0.png", "dogs/2.png"]
    assert list(found.sources) == [named[n] for n in found.samples]
    assert found.status == "ok"
    (tmp_path / "data" / "cats" / "3.png").write_bytes(b"no picture")
    left = xk.top_patches(model, tmp_path / "data", "c1", 2, k=4)
    assert (len(left), left.seen, left.status) == (3, 3, "warn")
    assert left.status.reasons == ("1 file could not be read: cats/3.png",)
    for file in (tmp_path / "data").rglob("[0-9].png"):
        file.write_bytes(b"")
    with pytest.raises(InputError, match="not a picture that Pillow can read"):
        xk.top_patches(model, tmp_path / "data", "c1", 2)
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="holds no file"):
        xk.top_patches(model, tmp_path / "none", "c1", 2)


def test_samples_that_change_between_are_warned_of(tmp_path: Path) -> None:
    from PIL import Image

    model, _ = image_pair("torch")
    folder = folder_of(pictures(2), tmp_path / "data")

    def change(done: int, total: int) -> None:
        Image.fromarray(255 - pictures(2)[0]).save(folder / "dogs" / "0.png")

    found = xk.top_patches(model, folder, "c1", 2, k=2, progress=change)
    assert found.status == "warn"
    assert "run again, sample 1 gives" in found.status.reasons[0]
    assert np.abs(found.reproduced - found.values).max() > 1e-3
    assert xk.top_patches(model, folder, "c1", 2, k=2).status == "ok"


def test_a_dead_unit_is_said_to_be_one() -> None:
    import torch

    net = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.ReLU())
    net[0].bias.data[1] = -1e3
    model = xk.wrap(net, inputs=IMAGE)
    found = xk.top_patches(model, pictures(4), "1", k=2)
    assert_array_equal(found.survey.statistics["dead"], [False, True])
    assert (found[0].status, found[1].status) == ("ok", "warn")
    assert "nowhere above zero in all 4 samples" in found[1].status.reasons[0]
    assert_array_equal(found[1].values, 0)


def test_values_that_are_not_finite_fail() -> None:
    import torch

    class Root(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.log(x - 0.5)

    model = xk.wrap(torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), Root()), inputs=IMAGE)
    found = xk.top_patches(model, np.zeros((2, 12, 12, 3), np.uint8), "1", 0, k=2, projection=None)
    assert found.status == "fail"


def test_maps_of_one_pixel_and_layers_without_places() -> None:
    import torch
    from torch import nn

    net = nn.Sequential(nn.Conv2d(3, 4, 12), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2), nn.Flatten(0))
    model = xk.wrap(nn.Sequential(*net[:4]), inputs=IMAGE)
    found = xk.top_patches(model, pictures(4), "1", 3, k=2)
    assert_array_equal(found.boxes, [[[0, 11], [0, 11]]] * 2)
    assert found.space == (1, 1)
    assert found.projections.shape == (2, 12, 12, 3)
    flat = xk.wrap(nn.Sequential(nn.Conv2d(3, 2, 1), nn.Flatten()), inputs=IMAGE)
    units = xk.top_patches(flat, pictures(2), "1", [0, 143, 144], k=1)
    assert [units[c].boxes.tolist() for c in units] == [[[[n, n]] * 2] for n in (0, 11, 0)]
    dense = xk.top_patches(model, pictures(4), "3", 1, k=2)
    assert (dense.boxes, dense.windows, dense.space) == (None, None, ())
    assert dense.projections.shape == (2, 12, 12, 3)
    assert torch.is_grad_enabled()


def test_what_has_no_projection(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from torch import nn

    smooth = xk.wrap(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh()), inputs=IMAGE)
    found = xk.top_patches(smooth, pictures(2), "1", 0, k=1)
    assert (found.projection, found.projections) == (None, None)
    assert "no ReLU lies between the input and '1' but tanh" in found.origin.notes["projection"]
    assert xk.top_patches(smooth, pictures(2), "1", 0, k=1, projection="gradient").projections is not None
    with pytest.raises(NotSupported, match="no ReLU lies between the input and '1' but tanh"):
        xk.top_patches(smooth, pictures(2), "1", 0, projection="deconvnet")
    with pytest.raises(UnknownName, match="did you mean 'guided'"):
        xk.top_patches(smooth, pictures(2), "1", 0, projection="giuded")  # type: ignore[arg-type]
    first = xk.top_patches(image_pair("torch")[0], pictures(2), "c1", 0, k=1, projection="deconvnet")
    assert "No ReLU lies between the input and c1" in first.origin.notes["projection"]
    words = xk.wrap(
        nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(24, 2)),
        inputs=xk.Text(6, dict(zip("abcdef", range(2, 8), strict=True))),
    )
    assert torch.is_grad_enabled()
    with pytest.raises(NotSupported, match="reads tokens"):
        xk.top_patches(words, ["a b c"], "0", 0, projection="guided")


@pytest.mark.parametrize("framework", ADAPTERS)
def test_of_a_text_the_patch_is_the_words(framework: str) -> None:
    spec = xk.Text(8, {w: i for i, w in enumerate(["a", "dull", "film", "with", "good", "actors", "and", "music"], 2)})
    if framework == "torch":
        import torch
        from torch import nn

        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.embed, self.conv = nn.Embedding(12, 4), nn.Conv1d(4, 3, 3)

            def forward(self, x: Any) -> Any:
                return self.conv(self.embed(x.long()).transpose(1, 2)).amax(2)

        torch.manual_seed(0)
        model = xk.wrap(Net(), inputs=spec)
    else:
        import keras

        L = keras.layers
        net = keras.Sequential([L.Input((8,)), L.Embedding(12, 4), L.Conv1D(3, 3, name="conv"), L.GlobalMaxPooling1D()])
        model = xk.wrap(net, inputs=spec)
    found = xk.top_patches(model, ["A dull film with good actors and music", "good film"], "conv", 1, k=3, per_sample=2)
    assert found.projection is None
    assert_array_equal(found.boxes[:, 0, 1] - found.boxes[:, 0, 0], 2)
    text = found.display[0]
    words = text.split()
    place = int(found.places[0, 0])
    if text.startswith("A"):
        assert found.patch(0) == " ".join(words[place : place + 3])


def two_inputs() -> Any:
    import keras

    L = keras.layers
    a, b = L.Input((10, 10, 1), name="photo"), L.Input((3,), name="row")
    y = L.Conv2D(2, 3, name="conv")(a)
    y = L.Concatenate(name="both")([L.Flatten()(y), b])
    net = keras.Model([a, b], L.Dense(2, name="out")(y))
    return xk.wrap(net, inputs={"photo": xk.Image(10, 10, 1), "row": xk.Array((3,))})


def test_networks_with_several_inputs() -> None:
    model = two_inputs()
    x = {"photo": np.random.default_rng(0).integers(0, 256, (5, 10, 10, 1)).astype(np.uint8), "row": np.eye(5)[:, :3]}
    found = xk.top_patches(model, x, "conv", 1, k=2, projection="gradient")
    assert (list(found.boxes), list(found.windows)) == (["photo"], ["photo"])
    assert found.projections["photo"].shape == (2, 3, 3, 1)
    assert found.patch(0, "photo").shape == (3, 3, 1)
    assert_array_equal(found.by_input["row"].display, x["row"][found.samples])
    listed = [{n: v[i] for n, v in x.items()} for i in range(5)]
    again = xk.top_patches(model, listed, "conv", 1, k=2, projection=None)
    assert_array_equal(again.values, found.values)
    both = xk.top_patches(model, x, "out", 1, k=2, projection="gradient")
    assert (both.boxes, both.projections["row"].shape) == (None, (2, 3))
    with pytest.raises(UnknownName, match="did you mean 'photo'"):
        found.patch(0, "photos")


def test_layers_whose_size_varies_and_gates_that_see_everything() -> None:
    import keras

    L = keras.layers
    x = np.random.default_rng(0).integers(0, 256, (6, 16, 20, 3)).astype(np.uint8)
    net = keras.Sequential(
        [
            L.Input((None, None, 3)),
            L.Conv2D(4, 3, padding="same", name="a", activation="relu"),
            L.MaxPooling2D(name="p"),
            L.Conv2D(5, 3, name="b", activation="relu"),
        ]
    )
    found = xk.top_patches(xk.wrap(net, inputs=xk.Image(16, 20, 3)), x, "b", 2, k=3)
    assert found.space == (6, 8)
    assert found.projections.shape == (3, 8, 8, 3)
    assert np.all(found.boxes >= 0)
    i = L.Input((16, 20, 3))
    y = L.Conv2D(4, 3, activation="relu", name="c")(i)
    gate = L.Dense(4, activation="sigmoid", name="gate")(L.GlobalAveragePooling2D(keepdims=True)(y))
    gated = xk.wrap(keras.Model(i, L.Multiply(name="gated")([y, gate])), inputs=xk.Image(16, 20, 3))
    scaled = xk.top_patches(gated, x, "gated", 1, k=3)
    assert_array_equal(scaled.boxes[..., 1] - scaled.boxes[..., 0], 2)


@pytest.mark.parametrize("channels", [1, 5])
def test_grey_pictures_and_those_of_many_channels(channels: int) -> None:
    from torch import nn

    from xaikit.figures import panels

    model = xk.wrap(nn.Sequential(nn.Conv2d(channels, 2, 3), nn.ReLU()), inputs=xk.Image(9, 9, channels))
    x = np.random.default_rng(0).integers(0, 256, (3, 9, 9, channels)).astype(np.uint8)
    found = xk.top_patches(model, x, "1", 0, k=2)
    assert found.patch(0).shape == (3, 3, channels)
    assert found.projections.shape == (2, 3, 3, channels)
    shapes = [t.values.shape for p in panels(found).panels for t in p.tiles]  # type: ignore[attr-defined]
    assert shapes == [(3, 3, 3)] * 4 + [(9, 9, 3)] * 2
