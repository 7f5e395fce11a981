"""Receptive fields: closed forms by hand, branches out of line, borders, gates; in both frameworks."""

from typing import Any

import pytest

import xaikit as xk

torch = pytest.importorskip("torch")
nn = torch.nn
F = nn.functional


class Toy(nn.Module):  # type: ignore[misc]
    """Two branches out of line: 5 places in steps of 2, and 3 behind 3 in steps of 1."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv1d(1, 1, 5, 2), nn.Conv1d(1, 1, 3), nn.Conv1d(1, 1, 3)

    def forward(self, x: Any) -> Any:
        return self.a(F.pad(x, (2, 1))) + self.c(self.b(x))


def fields_of(net: Any, spec: Any, **asked: Any) -> Any:
    return xk.receptive_field(xk.wrap(net.eval(), inputs=spec), **asked)


def boxes(rf: Any, layer: str) -> list[tuple[int, int]]:
    """The boxes of all units of a layer with one axis."""
    each = [rf.box(layer, (u,)) for u in range(rf[layer].only.shape[0])]
    return [(lo[0], hi[0]) for lo, hi in each]


def test_branches_out_of_line() -> None:
    rf = fields_of(Toy(), xk.Series(8, 1))
    assert boxes(rf, "add") == [(0, 4), (0, 5), (2, 6), (3, 7)]
    assert (rf["add"].size, rf["add"].sizes, rf["add"].aligned) == ((None,), ((5, 6),), False)
    (found,) = rf.misaligned
    assert (found.layer, found.fork, found.paths) == ("add", "input", (("pad", "a"), ("b", "c")))
    assert (found.offset, found.strides, found.units) == (2.0, (2.0, 1.0), (0, 3))
    assert rf.status == "warn"
    assert "pad → a" in rf.status.reasons[0]


def test_what_a_stride_drops_is_not_seen_through_padding() -> None:
    net = nn.Sequential(nn.Conv1d(1, 1, 3, 3), nn.Conv1d(1, 1, 3, padding=1))
    rf = fields_of(net, xk.Series(8, 1))
    assert rf.box("1", 1) == ((0,), (5,))
    assert rf.box("1", 1, inside=False) == ((0,), (8,))
    assert rf["1"].padded(1) == pytest.approx(1 / 3)
    assert (rf["1"].size, rf["1"].stride, rf["1"].padding) == ((9,), (3,), (3,))


def test_a_stack_of_convolutions_and_pools() -> None:
    net = nn.Sequential(nn.Conv2d(3, 2, (7, 3), 2, (3, 1)), nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(3, 2, 1))
    rf = fields_of(net, xk.Image(256, 128))
    assert list(rf) == ["0", "1", "2"]
    assert [rf[n].size for n in rf] == [(7, 3), (11, 7), (19, 15)]
    assert [rf[n].stride for n in rf] == [(2, 2), (4, 4), (8, 8)]
    assert [rf[n].padding for n in rf] == [(3, 1), (5, 3), (9, 7)]
    assert rf["2"].global_ == (False, False)
    assert rf["2"].aligned
    assert rf.status == "ok"
