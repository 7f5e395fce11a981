"""Receptive fields of torch networks: what is calculated against what is measured, and against published values."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import xaikit as xk
import xaikit_torch
from tests import fields as measure
from tests.drawing import RANDOM, Drawn
from tests.torch import nets, placed_nets, published_nets, random_nets
from xaikit.graph import fields

pytestmark = pytest.mark.slow

AXES = {1: ("time",), 2: ("height", "width"), 3: ("depth", "height", "width")}
SEQUENCE, IMAGE = xk.Series(8, channels=4), xk.Image(8, 8, 3)

EVEN = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning")


def wrapped(net: Any, inputs: Any, layout: str) -> Any:
    return xaikit_torch.wrap(net.double().eval(), inputs=inputs, layout=layout)


def wrong(model: Any, axes: dict[str, int], shape: tuple[int, ...], first: int, base: Any, exact: bool = True) -> Any:
    names = [n for n, layer in model.layers.items() if layer.kind != "attention_weights"]
    supports = measure.measured(model, names, shape, range(first, first + len(axes)), base)
    return measure.mismatches(model, axes, supports, exact=exact)


def random_case(rng: Drawn) -> tuple[Any, tuple[int, ...]]:
    dims = int(rng.choice([1, 1, 2, 2, 3]))
    low, high = {1: (5, 14), 2: (3, 8), 3: (2, 5)}[dims]
    lengths = tuple(int(n) for n in rng.integers(low, high, dims))
    return random_nets.network(rng, dims, lengths, int(rng.integers(1, 7))), lengths


def check_a_random_network(data: st.DataObject) -> None:
    net, lengths = random_case(Drawn(data))
    shape = (random_nets.CHANNELS, *lengths)
    model = wrapped(net, xk.Array(shape), "as-given")
    axes = dict(zip(AXES[len(lengths)], lengths, strict=True))
    assert wrong(model, axes, shape, 1, None) == []
    assert [b for node in fields(model.layers, {"input": axes}).values() for b in node.bounds] == []


@EVEN
@settings(RANDOM, max_examples=40)
@given(st.data())
def test_boxes_of_random_networks_are_the_support_of_their_derivatives(data: st.DataObject) -> None:
    check_a_random_network(data)


@pytest.mark.long
@EVEN
@settings(RANDOM, max_examples=400)
@given(st.data())
def test_boxes_of_four_hundred_random_networks_are_the_support_of_their_derivatives(data: st.DataObject) -> None:
    check_a_random_network(data)


@pytest.mark.parametrize("name", placed_nets.SEQUENCES)
def test_sequences(name: str) -> None:
    net = nets.seeded(placed_nets.SEQUENCES[name])
    model = wrapped(net, SEQUENCE, "as-given")
    base = np.random.default_rng(0).normal(size=(8, 4))
    assert wrong(model, {"time": 8}, (8, 4), 0, base) == []
    assert not any(n.bounds for n in fields(model.layers, {"input": {"time": 8}}).values())


@pytest.mark.parametrize("name", placed_nets.BOUNDED)
def test_what_cannot_be_told_is_bounded_and_named(name: str) -> None:
    build, layer = placed_nets.BOUNDED[name]
    model = wrapped(nets.seeded(build), SEQUENCE, "as-given")
    base = np.random.default_rng(0).normal(size=(8, 4))
    assert wrong(model, {"time": 8}, (8, 4), 0, base, exact=False) == []
    assert layer in fields(model.layers, {"input": {"time": 8}})[layer].bounds


@pytest.mark.parametrize("name", placed_nets.IMAGES)
def test_images(name: str) -> None:
    model = wrapped(nets.seeded(placed_nets.IMAGES[name]), IMAGE, "channels-first")
    base = np.random.default_rng(0).normal(size=(8, 8, 3))
    assert wrong(model, {"height": 8, "width": 8}, (8, 8, 3), 0, base) == []
    assert not any(n.bounds for n in fields(model.layers, {"input": {"height": 8, "width": 8}}).values())


def test_gates_are_left_out_of_the_local_field() -> None:
    model = wrapped(nets.seeded(placed_nets.Excited), IMAGE, "channels-first")
    given = {"input": {"height": 8, "width": 8}}
    last = [*model.layers][-1]
    assert fields(model.layers, given)[last].box("input", (4, 4)) == ((0, 7), (0, 7))
    assert fields(model.layers, given, local=True)[last].box("input", (4, 4)) == ((3, 5), (3, 5))


def test_an_exported_program_has_the_fields_of_its_network(tmp_path: Path) -> None:
    net = nets.seeded(placed_nets.UNet).eval()
    batch = {"x": {0: torch.export.Dim("batch", min=2, max=64)}}
    program = torch.export.export(net, (torch.zeros(2, 3, 8, 8),), dynamic_shapes=batch)
    torch.export.save(program, tmp_path / "net.pt2")
    exported = xaikit_torch.wrap(xaikit_torch.load_network(tmp_path / "net.pt2"), inputs=IMAGE)
    given = {"height": 8, "width": 8}
    plain = fields(xaikit_torch.wrap(net, inputs=IMAGE).layers, {"input": given})
    name = next(p for layer in exported.layers.values() for p in layer.parents if p not in exported.layers)
    found = fields(exported.layers, {name: given})
    end, other = [*found.values()][-1], [*plain.values()][-1]
    assert [end.box(name, (i, 7 - i)) for i in range(8)] == [other.box("input", (i, 7 - i)) for i in range(8)]
    assert end.bounds == ()


# --- published values -------------------------------------------------------------------------------------------------

# size and stride: the table beside the article; the padding where the network pads alike on both sides
PUBLISHED = [
    ("vgg16", (), 212, 32, 90),
    ("alexnet_v2", (), 195, 32, 64),
    ("mobilenet_v1", (), 315, 32, None),
    ("inception_v2", (), 699, 32, None),
    ("inception_v3", (), 1311, 32, 618),
    ("inception_v4", (), 2071, 32, 998),
    ("inception_resnet_v2", (), 3039, 32, 1482),
    ("resnet", ((3, 4, 6, 3), False, False), 483, 32, None),
    ("resnet", ((3, 4, 23, 3), False, False), 1027, 32, None),
    ("resnet", ((3, 8, 36, 3), False, False), 1507, 32, None),
    ("resnet", ((3, 4, 6, 3),), 427, 32, 213),
]


@pytest.mark.parametrize(("name", "how", "size", "stride", "padding"), PUBLISHED)
def test_published_fields(name: str, how: Any, size: int, stride: int, padding: int | None) -> None:
    net = getattr(published_nets, name)(*how)
    node = [*described(net, 128 if name == "resnet" else 139).values()][-1]
    for axis in ("height", "width"):
        affine = node.affine["input", axis]
        assert affine is not None
        assert affine.start is not None
        assert (affine.size, affine.stride) == (size, stride)
        assert padding is None or affine.start == -padding
    assert node.misaligned == ()
    assert node.bounds == ()


def described(net: nn.Module, size: int) -> Any:
    model = xaikit_torch.wrap(net.eval(), inputs=xk.Image(size, size, 1))
    return fields(model.layers, {"input": {"height": size, "width": size}})


def three(node: Any) -> tuple[Any, ...]:
    affine = node.affine["input", "height"]
    return affine.size, affine.stride, -affine.start


def test_stages_of_a_resnet_and_end_points_of_a_vgg() -> None:
    resnet = described(published_nets.resnet((2, 2, 2, 2), basic=True), 128)
    ends = [[n for n in resnet if n.startswith(f"{stage}.")][-1] for stage in (2, 3, 4, 5)]
    assert [three(resnet[n]) for n in ends] == [(43, 4, 21), (99, 8, 49), (211, 16, 105), (435, 32, 217)]
    vgg = described(published_nets.vgg16(), 64)
    assert [three(vgg[n]) for n in ("2", "7", "17")] == [(6, 2, 2), (32, 4, 14), (212, 32, 90)]


def test_a_convolution_and_two_pools() -> None:
    net = nn.Sequential(nn.Conv2d(1, 1, 7, 2, 3), nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(3, 2, 1))
    assert [three(n) for n in list(described(net, 256).values())[1:]] == [(7, 2, 3), (11, 4, 5), (19, 8, 9)]


class Toy(nn.Module):
    """The misaligned network of the article: a strided branch beside two valid convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.pad, self.a = nn.ConstantPad1d((2, 1), 0.0), nn.Conv1d(1, 1, 5, 2)
        self.b = nn.Sequential(nn.Conv1d(1, 1, 3), nn.Conv1d(1, 1, 3))

    def forward(self, x: Any) -> Any:
        return self.a(self.pad(x)) + self.b(x)


def test_the_misaligned_network_of_the_article() -> None:
    model = xaikit_torch.wrap(Toy(), inputs=xk.Series(8))
    node = fields(model.layers, {"input": {"time": 8}})["add"]
    assert [node.box("input", (i,)) for i in range(4)] == [((0, 4),), ((0, 5),), ((2, 6),), ((3, 7),)]
    (note,) = node.misaligned
    assert (note.layer, note.parents, note.offset) == ("add", ("a", "b.1"), None)
    assert node.affine["input", "time"] is None


def test_places_that_later_padding_looks_at_do_not_exist() -> None:
    net = nn.Sequential(nn.Conv1d(1, 1, 3, 3), nn.Conv1d(1, 1, 3, 1, 1))
    node = fields(xaikit_torch.wrap(net, inputs=xk.Series(8)).layers, {"input": {"time": 8}})["1"]
    assert node.box("input", (1,)) == ((0, 5),)
    assert node.reach("input", (1,)) == ((0, 8),)


# --- the documented networks ------------------------------------------------------------------------------------------

SMALL = (
    "mnist_cnn", "mnist_two_heads", "lenet5_cifar10", "conv_autoencoder", "conv_autoencoder_transposed", "conv_vae",
    "denoising_autoencoder", "xo_cnn", "gru_forecast", "series_autoencoder", "char_lstm", "seq2seq_dates",
    "resnet20_cifar10", "mlp_mnist",
)  # fmt: skip
LARGE = ("cats_vs_dogs", "cats_vs_dogs_transfer", "unet", "googlenet", "resnet18", "xception_small", "bilstm_imdb")


@pytest.mark.parametrize("name", [*SMALL, *(pytest.param(n, marks=pytest.mark.slow) for n in LARGE)])
def test_what_moves_in_a_documented_network_lies_inside_the_boxes(name: str) -> None:
    spec = xk.zoo.card(name).inputs
    model = xk.wrap(xk.zoo.build(name, framework="torch").double(), inputs=spec)
    shape, rng = tuple(spec.shape), np.random.default_rng(0)
    lengths = {a: n for a, n in zip(spec.axes, shape, strict=True) if a != "channel"}
    at = tuple(int(rng.integers(n)) for n in lengths.values())
    start = rng.integers(1, 12, shape) if spec.axes == ("token",) else rng.normal(size=shape)
    moved = start.copy()
    moved[at] = moved[at] + 1
    names = [n for n, layer in model.layers.items() if layer.kind != "attention_weights"]
    found = model.run(np.stack([start, moved]), at=names).activations
    nodes = fields(model.layers, {"input": lengths})
    outside = [(n, axis) for n in names for axis in _outside(model.layers[n], nodes[n], found[n], lengths, at)]
    assert outside == []
    assert any(np.ptp(found[n], 0).max() > 0 for n in names)


def _outside(layer: Any, node: Any, values: Any, lengths: dict[str, int], at: tuple[int, ...]) -> list[str]:
    """List the input axes along which a unit that has moved does not see the place that was moved."""
    changed = np.abs(values[1] - values[0])
    changed = changed > 1e-9 * max(np.abs(values).max(), 1e-300)
    axes = [a for a in layer.axes if a != "sample"]
    changed = changed.any(tuple(i for i, a in enumerate(axes) if a == "channel"))
    sees = {a: measure.edges(node, ("input", a)) for a in lengths}
    return [a for (a, (lo, hi)), p in zip(sees.items(), at, strict=True) if (changed & ~((lo <= p) & (p <= hi))).any()]
