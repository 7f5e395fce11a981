"""What is read off a network: names, order, kinds, axes, parents, geometry and counts."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import xaikit as xk
import xaikit_torch
from tests.torch import nets
from xaikit.errors import ModelError, UnknownName
from xaikit.graph import Geometry, Layer

IMAGE = xk.Image(16, 16, 3)


def layers(net: Any, *shape: int, **how: Any) -> Any:
    return xaikit_torch.wrap(net, inputs=xk.Array(shape), **how).layers


@pytest.fixture(scope="module")
def residual() -> Any:
    return xaikit_torch.wrap(nets.seeded(nets.Residual), inputs=IMAGE).layers


def test_modules_and_functions_are_named_in_call_order(residual: Any) -> None:
    block = ["conv1", "bn", "relu", "conv2", "add", "relu:1"]
    places = [f"layer1/{i}/add" if n == "add" else f"layer1.{i}.{n}" for i in (0, 1) for n in block]
    assert list(residual) == [
        *("stem", "relu", "max_pool2d", *places, "adaptive_avg_pool2d", "flatten", "drop", "head", "softmax")
    ]


def test_the_kinds_are_the_fields_words(residual: Any) -> None:
    kinds = {n: residual[n].kind for n in ("stem", "relu", "max_pool2d", "layer1.0.bn", "layer1/0/add", "drop")}
    assert kinds == dict(zip(kinds, ("conv", "relu", "max_pool", "batch_norm", "add", "dropout"), strict=True))
    assert [residual[n].kind for n in ("adaptive_avg_pool2d", "flatten", "head", "softmax")] == [
        *("global_avg_pool", "flatten", "dense", "softmax")
    ]


def test_parents_follow_the_tensors(residual: Any) -> None:
    assert residual["stem"].parents == ("input",)
    assert residual["layer1/0/add"].parents == ("layer1.0.conv2", "max_pool2d")
    assert residual["layer1.0.relu:1"].parents == ("layer1/0/add",)
    assert residual["layer1.1.conv1"].parents == ("layer1.0.relu:1",)
    assert residual["softmax"].parents == ("head",)


def test_channels_are_last_and_say_so(residual: Any) -> None:
    assert residual["stem"].axes == ("sample", "height", "width", "channel")
    assert residual["stem"].shape == (7, 7, 4)
    assert residual["flatten"].axes == ("sample", "feature")


def test_without_a_spec_axes_are_as_they_are() -> None:
    found = layers(nets.seeded(nets.Residual), 3, 16, 16)
    assert found["stem"].axes == ("sample", "channel", "height", "width")
    assert found["stem"].shape == (4, 7, 7)


def test_modules_made_of_modules_can_be_looked_up_but_are_no_layers(residual: Any) -> None:
    assert "layer1" in residual
    assert "layer1" not in list(residual)
    assert residual["layer1"].shape == (3, 3, 4)
    assert residual["layer1"].parents == ("layer1.1.relu:1",)
    with pytest.raises(UnknownName, match=r"did you mean .*'layer1\.0\.conv1'"):
        xaikit_torch.wrap(nets.seeded(nets.Residual), inputs=IMAGE).run(nets.draw(1, 16, 16, 3), at=["layer1.0.conv"])


def test_counts_have_the_running_statistics_but_not_the_number_of_batches(residual: Any) -> None:
    assert (residual["layer1.0.bn"].parameters, residual["layer1.0.bn"].trainable) == (16, 8)
    assert (residual["stem"].parameters, residual["stem"].trainable) == (4 * 3 * 9 + 4, 4 * 3 * 9 + 4)
    net = nets.Residual()
    total = sum(p.numel() for p in net.parameters()) + sum(b.numel() for b in net.buffers() if b.ndim)
    assert sum(layer.parameters for layer in residual.values()) == total


def test_a_frozen_layer_is_not_trainable() -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1)).requires_grad_(False)
    assert [layer.trainable for layer in layers(net, 3).values()] == [0, 0]


def test_weights_used_twice_are_counted_once() -> None:
    found = xaikit_torch.wrap(nets.Siamese(), inputs={"a": xk.Array(4), "b": xk.Array(4)}).layers
    assert list(found) == ["trunk.0", "trunk.1", "trunk.0:1", "trunk.1:1", "sub", "abs", "head"]
    assert [found[n].parameters for n in ("trunk.0", "trunk.0:1", "head")] == [30, 0, 7]
    assert found["trunk.0:1"].parents == ("b",)
    assert found["sub"].parents == ("trunk.1", "trunk.1:1")


def test_dropout_at_rest_does_not_stand_for_its_input() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.drop = nn.Linear(3, 3), nn.Dropout()

        def forward(self, x: Any) -> Any:
            y = self.fc(x)
            return self.drop(y) + y

    assert layers(Net(), 3)["add"].parents == ("drop", "fc")


def test_in_place_functions_and_writes_are_followed() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 3)

        def forward(self, x: Any) -> Any:
            y = self.fc(x)
            y.mul_(2)
            y += 1
            y[:, 0] = x.exp()[:, 0]
            return y.tanh()

    found = layers(Net(), 3)
    assert list(found) == ["fc", "mul", "add", "exp", "getitem", "tanh"]
    assert found["add"].parents == ("mul",)
    assert found["tanh"].parents == ("add", "getitem")


def test_functions_are_numbered_by_place_and_constants_take_no_number() -> None:
    class Sub(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 3)

        def forward(self, x: Any) -> Any:
            offset = torch.zeros(3) + 1.0
            return self.fc(x + offset) + x

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.sub = Sub()

        def forward(self, x: Any) -> Any:
            return self.sub(self.sub(x)) + x + 1

    found = layers(Net(), 3)
    names = ["sub/add", "sub.fc", "sub/add:1", "sub/add:2", "sub.fc:1", "sub/add:3", "add", "add:1"]
    assert list(found) == names
    assert found["add:1"].parents == ("add",)
    assert found["add"].parents == ("sub/add:3", "input")


def test_a_module_of_one_function_is_one_layer() -> None:
    class Swish(nn.Module):
        def forward(self, x: Any) -> Any:
            return x * torch.sigmoid(x)

    class Sum(nn.Module):
        def forward(self, *parts: Any) -> Any:
            return sum(parts[1:], parts[0])

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.swish, self.sum, self.fc = Swish(), Sum(), nn.Linear(3, 3)

        def forward(self, x: Any) -> Any:
            y = self.fc(x)
            return self.sum(self.swish(y), y, x)

    found = layers(Net(), 3)
    assert list(found) == ["fc", "swish/sigmoid", "swish/mul", "sum"]
    assert found["sum"].kind == "add"
    assert found["sum"].parents == ("swish/mul", "fc", "input")


def test_the_last_name_is_the_output_even_if_more_is_called_after_it() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.aside = nn.Linear(3, 2), nn.Linear(3, 4)

        def forward(self, x: Any) -> Any:
            y = self.head(x)
            self.aside(x)
            return y

    assert list(layers(Net(), 3)) == ["aside", "head"]


def test_parameters_that_functions_use_belong_to_them() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token, self.kernel = nn.Parameter(torch.ones(1, 1, 4)), nn.Parameter(torch.ones(2, 4))

        def forward(self, x: Any) -> Any:
            x = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
            return F.linear(x.mean(1), self.kernel)

    found = layers(Net(), 5, 4)
    assert {n: layer.parameters for n, layer in found.items()} == {"cat": 4, "mean": 0, "linear": 8}
    assert found["linear"].kind == "dense"


def test_one_layer_alone_is_a_network() -> None:
    assert [*layers(nn.Linear(3, 2), 3).values()] == [
        Layer("linear", "dense", ("sample", "feature"), (2,), ("input",), Geometry("global"), 8, 8)
    ]


def test_the_layers_are_not_known_before_the_first_call_without_a_spec() -> None:
    model = xaikit_torch.wrap(nn.Sequential(nn.Linear(3, 2)))
    with pytest.raises(ModelError, match="wrap it with inputs=, or run it once"):
        _ = model.layers
    model.run(nets.draw(4, 3))
    assert list(model.layers) == ["0"]


def test_a_network_that_cannot_run_says_so_in_one_line() -> None:
    model = xaikit_torch.wrap(nn.Sequential(nn.Linear(3, 2)), inputs=xk.Array(4), name="wrong")
    with pytest.raises(ModelError, match=r"wrong cannot be run on a sample of \(2, 4\): mat1 and mat2") as caught:
        _ = model.layers
    assert "\n" not in str(caught.value)


class Everything(nn.Module):
    """Functions that move axes."""

    def forward(self, x: Any) -> Any:
        a = x.permute(0, 2, 3, 1)
        b = a.flatten(1, 2)
        c = b.transpose(1, 2)
        d = c[:, :, 0]
        e = x[:, :, None].squeeze(2).mean((2, 3), keepdim=True)
        f = x.unsqueeze(1)
        return d.sum() + e.sum() + f.sum() + x.mean(1).sum() + x.reshape(len(x), -1).sum()


def test_axes_follow_functions_that_move_them() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.rest = nn.Conv2d(2, 3, 1), Everything()

        def forward(self, x: Any) -> Any:
            self.rest(self.conv(x))
            return self.conv(x)

    found = layers(Net(), 2, 4, 4)
    axes = {n.removeprefix("rest/"): layer.axes for n, layer in found.items()}
    assert axes["permute"] == ("sample", "height", "width", "channel")
    assert axes["flatten"] == ("sample", "token", "channel")
    assert axes["transpose"] == ("sample", "channel", "token")
    assert axes["getitem"] == ("sample", "feature")
    assert axes["squeeze"] == ("sample", "channel", "height", "width")
    assert axes["mean"] == ("sample", "channel", "height", "width")
    assert axes["unsqueeze"] == ("sample", "axis 1", "channel", "height", "width")
    assert axes["mean:1"] == ("sample", "height", "width")
    assert axes["reshape"] == ("sample", "feature")


@pytest.mark.parametrize(
    ("net", "shape", "axes"),
    [
        (nn.Conv1d(4, 2, 1), (4, 6), ("sample", "channel", "time")),
        (nn.Conv3d(1, 2, 1), (1, 3, 4, 5), ("sample", "channel", "depth", "height", "width")),
        (nn.LSTM(4, 2, batch_first=True), (6, 4), ("sample", "time", "channel")),
        (nn.Linear(4, 2), (6, 4), ("sample", "time", "channel")),
        (nn.LayerNorm(4), (6, 4), ("sample", "time", "channel")),
        (nn.Sequential(nn.Conv1d(4, 2, 1), nn.Tanh()), (4, 6), ("sample", "channel", "time")),
        (nn.Sequential(nn.GRU(4, 4, batch_first=True)), (6, 4), ("sample", "time", "channel")),
    ],
)
def test_axes_of_series_come_from_what_made_them(net: Any, shape: tuple[int, ...], axes: tuple[str, ...]) -> None:
    assert [*layers(net, *shape).values()][-1].axes == axes


def test_a_squeeze_does_not_take_the_sample_axis_away() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(2, 3)

        def forward(self, x: Any) -> Any:
            return self.fc(self.pool(x).squeeze())

    found = layers(Net(), 2, 4, 4)
    assert (found["squeeze"].axes, found["squeeze"].shape) == (("sample", "feature"), (2,))
    assert (found["fc"].axes, found["fc"].shape) == (("sample", "feature"), (3,))


def test_the_sample_axis_is_first_whatever_the_network_does_inside() -> None:
    model = xaikit_torch.wrap(nets.Attentive(batch_first=False), inputs=xk.Text(5))
    assert model.layers["encoder.self_attn"].axes == ("sample", "token", "channel")
    found = model.run(nets.draw(3, 5).astype(int) % 12, at=["encoder.linear1", "encoder"]).activations
    assert [a.shape for a in found.values()] == [(3, 5, 16), (3, 5, 8)]


@pytest.mark.parametrize(
    ("net", "geometry"),
    [
        (
            nn.Conv2d(2, 3, (3, 5), stride=(2, 1), padding=(1, 0), dilation=(1, 2)),
            Geometry("window", (3, 5), (2, 1), ((1, 1), (0, 0)), (1, 2)),
        ),
        (
            nn.Conv2d(2, 3, (3, 4), padding="same", dilation=(1, 2)),
            Geometry("window", (3, 4), (1, 1), ((1, 1), (3, 3)), (1, 2)),
        ),
        (nn.MaxPool2d(3, 2, 1), Geometry("window", (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1))),
        (
            nn.AvgPool2d(2, ceil_mode=True),
            Geometry("window", (2, 2), (2, 2), ((0, 1), (0, 1)), (1, 1)),
        ),
        (
            nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1, output_padding=1),
            Geometry("transposed", (3, 3), (2, 2), ((1, 0), (1, 0)), (1, 1)),
        ),
        (nn.Upsample(scale_factor=2), Geometry("upsample", (1, 1), (2, 2), ((0, 0), (0, 0)), (1, 1))),
        (
            nn.UpsamplingBilinear2d(scale_factor=3),
            Geometry("upsample", (2, 2), (3, 3), ((0, 0), (0, 0)), (1, 1), mode="corners"),
        ),
        (nn.ZeroPad2d((1, 2, 3, 4)), Geometry("window", (1, 1), (1, 1), ((3, 4), (1, 2)), (1, 1))),
        (nn.AdaptiveAvgPool2d(1), Geometry("global")),
        (nn.AdaptiveMaxPool2d(3), Geometry("window", (3, 3), (3, 3), ((0, 0), (0, 0)), (1, 1))),
        (nn.AdaptiveAvgPool2d(4), Geometry("adaptive", (4, 4))),
        (nn.BatchNorm2d(2), Geometry("pointwise")),
        (nn.GroupNorm(1, 2), Geometry("global", gate=True)),
        (nn.LocalResponseNorm(3), Geometry("pointwise")),
        (nn.Softmax(1), Geometry("pointwise")),
        (nn.Softmax(2), Geometry("global", axes=("height",), gate=True)),
        (nn.LeakyReLU(), Geometry("pointwise")),
        (nn.Flatten(), Geometry("moved", axes=("height", "width"), names=("feature",))),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, nn.Module) else "",
)
def test_geometry_of_modules(net: Any, geometry: Geometry) -> None:
    # a 1×1 convolution before it says which axes are the places
    found = layers(nn.Sequential(nn.Conv2d(2, 2, 1), net), 2, 9, 9)["1"]
    assert found.geometry == geometry
    if geometry.kind == "window":
        space = tuple(n for a, n in zip(found.axes[1:], found.shape, strict=True) if a in ("height", "width"))
        assert geometry.output_size((9, 9)) == space


@pytest.mark.parametrize(
    ("function", "module"),
    [
        (lambda x: F.conv2d(x, torch.ones(3, 2, 3, 3), None, 2, 1), nn.Conv2d(2, 3, 3, 2, 1)),
        (lambda x: F.conv2d(x, torch.ones(3, 2, 3, 3), padding=1, dilation=2), nn.Conv2d(2, 3, 3, 1, 1, 2)),
        (lambda x: F.max_pool2d(x, 2), nn.MaxPool2d(2)),
        (lambda x: F.avg_pool2d(x, 3, stride=1), nn.AvgPool2d(3, 1)),
        (lambda x: F.conv_transpose2d(x, torch.ones(2, 3, 2, 2), stride=2), nn.ConvTranspose2d(2, 3, 2, 2)),
        (lambda x: F.interpolate(x, scale_factor=2), nn.Upsample(scale_factor=2)),
        (lambda x: F.pad(x, (1, 2, 3, 4)), nn.ZeroPad2d((1, 2, 3, 4))),
        (lambda x: F.gelu(x), nn.GELU()),
        (lambda x: F.adaptive_max_pool2d(x, 1), nn.AdaptiveMaxPool2d(1)),
        (lambda x: x.softmax(2), nn.Softmax(2)),
    ],
)
def test_a_function_is_described_as_the_module_is(function: Any, module: Any) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(2, 2, 1)

        def forward(self, x: Any) -> Any:
            return function(self.first(x))

    one = [*layers(Net(), 2, 9, 9).values()][-1]
    other = layers(nn.Sequential(nn.Conv2d(2, 2, 1), module), 2, 9, 9)["1"]
    assert (one.kind, one.geometry, one.axes, one.shape) == (other.kind, other.geometry, other.axes, other.shape)


@pytest.mark.parametrize(
    ("net", "shape", "kinds"),
    [
        (nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU()), (2, 9, 9), ["window", "pointwise"]),
        (nn.Sequential(nn.ReLU(), nn.Conv1d(2, 3, 3)), (2, 9), ["pointwise", "window"]),
        (nn.Sequential(nn.Linear(2, 3), nn.LSTM(3, 2, batch_first=True)), (9, 2), ["pointwise", *7 * ["prefix"]]),
        (nn.Sequential(nn.Unflatten(1, (1, 9)), nn.Conv2d(1, 3, 3)), (9, 9), ["renamed", "steps"]),
        (nn.Sequential(nn.Linear(4, 16), nn.Unflatten(1, (1, 4, 4))), (4,), ["global", "moved"]),
    ],
)
def test_geometry_needs_no_spec(net: Any, shape: tuple[int, ...], kinds: list[str]) -> None:
    model = xaikit_torch.wrap(net)
    model.run(nets.draw(2, *shape))
    assert [g and g.kind for g in (layer.geometry for layer in model.layers.values())] == kinds


def test_a_mean_over_all_places_is_a_global_pool() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 3, 1)

        def forward(self, x: Any) -> Any:
            return self.conv(x).mean((2, 3))

    found = layers(Net(), 2, 4, 4)["mean"]
    assert (found.kind, found.geometry, found.axes) == ("global_avg_pool", Geometry("global"), ("sample", "feature"))
