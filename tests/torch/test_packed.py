"""Convolutions of a copy that keep their weights in oneDNN's blocks: the same numbers, whatever they are given."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from numpy.testing import assert_allclose
from torch import nn

import xaikit as xk
from tests.torch.nets import Block, draw, seeded
from xaikit_torch._fast import _readers
from xaikit_torch._packed import KEPT, Packed, pack, unpack
from xaikit_torch._private import can_pack

pytestmark = pytest.mark.skipif(not can_pack(), reason="this build of torch keeps no weights in oneDNN's blocks")

CONVOLUTIONS: dict[str, Any] = {
    "plain": lambda: nn.Conv2d(4, 6, 3),
    "no bias": lambda: nn.Conv2d(4, 6, 3, bias=False),
    "stride and padding": lambda: nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 2)),
    "dilation": lambda: nn.Conv2d(4, 6, 3, dilation=2),
    "groups": lambda: nn.Conv2d(4, 8, 3, groups=2),
    "depthwise": lambda: nn.Conv2d(4, 8, 3, groups=4),
    "pointwise": lambda: nn.Conv2d(4, 64, 1),
    "same": lambda: nn.Conv2d(4, 6, 3, padding="same", dilation=2),
    "valid": lambda: nn.Conv2d(4, 6, 3, padding="valid"),
}
LEFT: dict[str, Any] = {
    "same, sides apart": lambda: nn.Conv2d(4, 6, 2, padding="same"),
    "reflected": lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"),
    "turned round": lambda: nn.ConvTranspose2d(4, 6, 3),
    "one dimension": lambda: nn.Conv1d(4, 6, 3),
    "float64": lambda: nn.Conv2d(4, 6, 3).double(),
    "parametrized": lambda: torch.nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 6, 3)),
}


def at_rest(make: Any) -> Any:
    return seeded(make).eval().requires_grad_(False)


def packed(make: Any) -> tuple[Any, Any]:
    """Give a network, and the same one packed."""
    net, twin = at_rest(make), at_rest(make)
    assert pack(twin, _readers(twin, 1)) > 0
    return net, twin


def fused(net: nn.Module) -> int:
    return sum(isinstance(m.forward, Packed) and m.forward.relu for m in net.modules())


@pytest.mark.parametrize("kind", CONVOLUTIONS)
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_every_kind_of_convolution_gives_the_same(kind: str, relu: bool, layout: Any) -> None:
    net, twin = packed(lambda: nn.Sequential(CONVOLUTIONS[kind](), *[nn.Identity(), nn.ReLU()] * relu))
    assert fused(twin) == relu
    for shape in ((5, 4, 9, 8), (1, 4, 9, 8), (3, 4, 12, 7), (2, 4, 30, 31), (5, 4, 9, 8)):
        x = torch.from_numpy(draw(*shape)).contiguous(memory_format=layout)
        assert_allclose(twin(x), net(x), atol=1e-6)
    assert len(twin[0].forward.blocks) == KEPT


@pytest.mark.parametrize("kind", LEFT)
def test_what_the_blocks_do_not_serve_is_left(kind: str) -> None:
    assert pack(at_rest(LEFT[kind]), {}) == 0


@pytest.mark.parametrize("relu", [False, True])
def test_an_unusual_batch_goes_to_the_convolution_itself(relu: bool) -> None:
    net, twin = packed(lambda: nn.Sequential(nn.Conv2d(4, 6, 3), *[nn.ReLU()] * relu))
    for x in (
        draw(4, 9, 8),
        draw(0, 4, 9, 8),
        draw(2, 9, 8, 4).transpose(0, 3, 1, 2),
        draw(4, 4, 18, 16)[::2, :, ::2, ::2],
    ):
        assert_allclose(twin(torch.from_numpy(x)), net(torch.from_numpy(x)), atol=1e-6)


class Padded(nn.Module):
    """What pads in front of a convolution, in several ways."""

    def __init__(self, pad: Any, more: str = "") -> None:
        super().__init__()
        self.more, self.pad, self.conv, self.relu = more, pad, nn.Conv2d(4, 6, 3, padding=1), nn.ReLU()

    def forward(self, x: Any) -> Any:
        y = self.pad(x)
        z = self.relu(self.conv(y))
        return z.mean((2, 3)) + y.mean() if self.more == "read twice" else z


@pytest.mark.parametrize(
    ("make", "more", "taken"),
    [
        (lambda: nn.ZeroPad2d(2), "", True),
        (lambda: nn.ZeroPad2d((1, 1, 3, 3)), "", True),
        (lambda: nn.ConstantPad2d((3, 3, 0, 0), 0.0), "", True),
        (lambda: nn.ZeroPad2d(0), "", True),
        (lambda: nn.ZeroPad2d((1, 2, 1, 1)), "", False),
        (lambda: nn.ZeroPad2d(-1), "", False),
        (lambda: nn.ConstantPad2d(1, 0.5), "", False),
        (lambda: nn.ReflectionPad2d(1), "", False),
        (lambda: nn.ZeroPad2d(1), "read twice", False),
        (lambda: nn.ZeroPad2d(1), "hooked", False),
    ],
)
def test_zeros_around_become_the_padding_of_the_convolution_that_alone_reads_them(
    make: Any, more: str, taken: bool
) -> None:
    net, twin = (at_rest(lambda: Padded(make(), more)) for _ in range(2))
    for each in (net, twin):
        if more == "hooked":
            each.pad.register_forward_hook(lambda module, x, y: y + 1)
    assert pack(twin, _readers(twin, 1)) == 1
    assert ("forward" in vars(twin.pad)) == taken
    for x in (draw(3, 4, 9, 8), draw(1, 4, 12, 7), draw(4, 9, 8)[:, :, ::2]):
        if not (more and x.ndim == 3):
            assert_allclose(twin(torch.from_numpy(x)), net(torch.from_numpy(x)), atol=1e-6)


class Wired(nn.Module):
    """A ReLU behind a convolution in several ways, in most of which it must stay."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way, self.conv, self.other = way, nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Any) -> Any:
        if self.way == "alone":
            return self.other(self.relu(self.conv(x)))
        if self.way == "the sum":
            return self.relu(self.conv(x) + self.other(x))
        if self.way == "overwritten":
            y = self.conv(x)
            return self.relu(y) + 2 * y
        if self.way == "twice":
            return self.relu(self.other(self.relu(self.conv(x))))
        if self.way == "one convolution twice":
            return self.relu(self.conv(x)) + self.conv(2 * x)
        if self.way == "functional":
            return F.relu_(self.conv(x)) + torch.relu(self.other(x))
        if self.way == "weights read":
            return self.relu(self.conv(x)) * self.conv.weight.sum()
        return self.relu(self.conv(x)) if x.mean() > 0 else self.conv(x)


@pytest.mark.parametrize(
    ("way", "taken"),
    [
        ("alone", 1),
        ("the sum", 0),
        ("overwritten", 0),
        ("twice", 0),
        ("one convolution twice", 0),
        ("functional", 0),
        ("weights read", 0),
        ("by the numbers", 0),
    ],
)
def test_only_a_relu_that_alone_reads_a_convolution_becomes_part_of_it(way: str, taken: int) -> None:
    net, twin = packed(lambda: Wired(way))
    assert fused(twin) == taken
    for shift in (1.0, -1.0):
        x = torch.from_numpy(draw(3, 4, 7, 7)) + shift
        assert_allclose(twin(x.clone()), net(x.clone()), atol=1e-5)


def test_hooks_keep_a_relu_apart() -> None:
    net = at_rest(lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.ReLU()))
    net[1].register_forward_hook(lambda module, x, y: 2 * y)
    assert pack(net, _readers(net, 1)) == 1
    assert fused(net) == 0


def test_unpacked_a_network_calls_its_own_modules_again() -> None:
    net, twin = packed(lambda: nn.Sequential(Block(4), nn.Conv2d(4, 6, 3), nn.ReLU()))
    assert fused(twin) == 1
    unpack(twin)
    assert not any("forward" in vars(m) for m in twin.modules())
    x = torch.from_numpy(draw(2, 4, 8, 8))
    assert torch.equal(twin(x), net(x))


def test_the_copy_of_a_wrapped_network_is_packed_and_the_network_is_not() -> None:
    net = seeded(lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 4)))
    model = xk.wrap(net, inputs=xk.Image(8, 8, scale=1.0), outputs=xk.Classes(list("abcd"), "logits"))
    copied = model.fast("channels-last")
    assert fused(copied._twin.net) == 1
    assert not any("forward" in vars(m) for m in net.modules())
    x = draw(40, 8, 8, 3)
    for score in ("output", "logit"):
        assert_allclose(copied.run(x, score=score).output, model.run(x, score=score).output, atol=1e-5)
    map_ = xk.explain(model, x[0], "occlusion", accelerate="channels-last", target=1)
    plain = xk.explain(model, x[0], "occlusion", accelerate="none", target=1)
    assert_allclose(map_.values, plain.values, atol=1e-5)
    assert "channels-last" in map_.origin.notes["accelerated"]
