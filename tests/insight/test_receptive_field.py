"""Receptive fields: closed forms by hand, branches out of line, borders, gates, what cannot be asked."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import xaikit as xk
from xaikit.errors import NotSupported, ParameterError, UnknownName, UsageError

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


def test_paths_begin_where_branches_part() -> None:
    """A stem before the fork, and a branch that is the stem itself: one place behind, as its window has no padding."""

    class Skip(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.early, self.late = nn.Conv1d(1, 1, 3), nn.Conv1d(1, 1, 1), nn.Conv1d(1, 1, 2)

        def forward(self, x: Any) -> Any:
            y = self.early(torch.relu(self.stem(x)))
            return torch.tanh(self.late(y)) + y[..., 1:]

    rf = fields_of(Skip(), xk.Series(9, 1))
    (found,) = rf.misaligned
    assert found.fork == "early"
    assert found.paths == (("late", "tanh"), ("getitem",))
    assert (found.offset, found.strides, found.units) == (0.5, (1.0, 1.0), (0, 5))
    assert found.lengths is None
    assert "late → tanh and getitem" in str(found)


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


class Gated(nn.Module):  # type: ignore[misc]
    """Two convolutions whose result is scaled by a squeeze-and-excitation gate, then a third."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 2, 3)
        self.squeeze, self.excite = nn.Linear(4, 2), nn.Linear(2, 4)

    def forward(self, x: Any) -> Any:
        y = self.b(torch.relu(self.a(x)))
        gate = torch.sigmoid(self.excite(torch.relu(self.squeeze(y.mean((2, 3))))))
        return self.c(y * gate[:, :, None, None])


def test_a_gate_makes_all_seen_but_not_the_features() -> None:
    rf = fields_of(Gated(), xk.Image(16, 12))
    assert (rf["b"].size, rf["b"].global_) == ((5, 5), (False, False))
    assert (rf["c"].size, rf["c"].global_) == ((16, 12), (True, True))
    assert rf["c"].only.mixed_by == ("mean",)
    assert (rf["c"].local.size, rf["c"].local.global_) == ((7, 7), (False, False))
    assert rf.local["c"].size == (7, 7)
    assert rf.box("c", (0, 0)) == ((0, 0), (15, 11))
    assert rf.local.box("c", (4, 4)) == ((2, 2), (8, 8))
    assert rf.exceeding() == "mean"
    assert rf.local.exceeding() == "mean"  # the gate itself is a layer that sees all


def test_a_sequence_sees_what_came_before() -> None:
    class Forward(nn.Module):  # type: ignore[misc]
        def __init__(self, both: bool) -> None:
            super().__init__()
            self.lstm = nn.LSTM(2, 3, batch_first=True, bidirectional=both)

        def forward(self, x: Any) -> Any:
            return self.lstm(x)[0]

    rf = fields_of(Forward(False), xk.Series(5, 2))
    assert boxes(rf, "lstm") == [(0, t) for t in range(5)]
    assert (rf["lstm"].size, rf["lstm"].sizes, rf["lstm"].global_) == ((None,), ((1, 5),), (False,))
    assert boxes(fields_of(Forward(True), xk.Series(5, 2)), "lstm") == [(0, 4)] * 5


def test_causal_convolutions() -> None:
    net = nn.Sequential(nn.ConstantPad1d((4, 0), 0.0), nn.Conv1d(1, 1, 3, dilation=2))
    rf = fields_of(net, xk.Series(9, 1))
    assert boxes(rf, "1") == [(max(0, t - 4) + (t - 4) % 2 * (t < 4), t) for t in range(9)]
    assert (rf["1"].size, rf["1"].padding) == ((5,), (4,))


def test_volumes_with_axes_of_their_own() -> None:
    net = nn.Sequential(nn.Conv3d(1, 2, (3, 1, 2), (2, 1, 1), (1, 0, 0)), nn.MaxPool3d(2))
    rf = fields_of(net, xk.Array((1, 8, 6, 7)))
    assert (rf["1"].size, rf["1"].stride, rf["1"].padding) == ((5, 2, 3), (4, 2, 2), (1, 0, 0))
    assert rf["1"].only.axes == ("depth", "height", "width")
    assert rf.box("1", (1, 2, 2)) == ((3, 4, 4), (7, 5, 6))


def test_transposed_convolutions_take_turns() -> None:
    rf = fields_of(nn.Sequential(nn.ConvTranspose1d(1, 1, 3, 2)), xk.Series(6, 1))
    assert boxes(rf, "0") == [(max(0, (y - 1) // 2), min(5, y // 2)) for y in range(13)]
    assert (rf["0"].sizes, rf["0"].stride, rf["0"].aligned) == (((1, 2),), (0.5,), False)
    gaps = fields_of(nn.Sequential(nn.ConvTranspose1d(1, 1, 1, 2)), xk.Series(3, 1))
    assert boxes(gaps, "0") == [(0, 0), (0, -1), (1, 1), (0, -1), (2, 2)]  # every second unit sees nothing
    assert gaps["0"].padded((1,)) == 1.0


def test_each_input_has_its_own_field() -> None:
    class Two(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.p, self.q = nn.Conv1d(1, 2, 3), nn.Conv1d(1, 2, 5, 2)

        def forward(self, first: Any, second: Any) -> Any:
            return self.p(first) + self.q(second)

    rf = fields_of(Two(), {"first": xk.Series(8, 1), "second": xk.Series(15, 1)})
    last = list(rf)[-1]
    assert list(rf["p"]) == ["first"]
    assert rf["p"].size == (3,)
    assert (rf[last].of("first").size, rf[last].of("second").stride) == ((3,), (2,))
    assert rf.box(last, 5, input="second") == ((10,), (14,))
    assert [r["input"] for r in rf.table()] == ["first", "second", "first", "second"]
    with pytest.raises(UsageError, match=r"first, second.*\.of"):
        _ = rf[last].size
    with pytest.raises(UnknownName, match="second"):
        rf[last].of("third")


def test_other_sizes_of_the_input() -> None:
    model = xk.wrap(nn.Sequential(nn.Conv2d(1, 1, 3, 2), nn.Conv2d(1, 1, 3)).eval(), inputs=xk.Image(20, 20, 1))
    assert xk.receptive_field(model, size=(33, 9))["1"].only.shape == (14, 2)
    free = xk.receptive_field(model, size=(None, None))
    assert (free["1"].size, free["1"].stride, free["1"].padding) == ((7, 7), (2, 2), (0, 0))
    assert not free["1"].only.known
    with pytest.raises(NotSupported, match="give size="):
        free.box("1")
    with pytest.raises(ParameterError, match="height, width"):
        xk.receptive_field(model, size=(3,))
    flat = xk.wrap(nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Linear(36, 2)).eval(), inputs=xk.Image(8, 8, 1))
    with pytest.raises(NotSupported, match="wrap the network for the other size"):
        xk.receptive_field(flat, size=(9, 9))


def test_what_cannot_be_asked() -> None:
    rf = fields_of(nn.Sequential(nn.Conv2d(1, 1, 3)), xk.Image(8, 9, 1))
    with pytest.raises(UnknownName, match="layer"):
        rf["1"]
    with pytest.raises(ParameterError, match=r"6 \(height\) × 7 \(width\)"):
        rf.box("0", (6, 0))
    with pytest.raises(NotSupported, match="shows no layers"):
        xk.receptive_field(xk.wrap(lambda x: x, inputs=xk.Series(4, 1)))


def test_arrays_of_any_shape_are_read_as_the_first_layer_does() -> None:
    model = xk.wrap(nn.Sequential(nn.Conv2d(2, 1, 3), nn.ReLU()).eval())
    model.run(np.zeros((1, 2, 7, 9), np.float32))
    rf = xk.receptive_field(model)
    assert rf.inputs == {"input": {"height": 7, "width": 9}}
    assert rf["1"].size == (3, 3)


def test_theory_is_what_the_network_reacts_to() -> None:
    rf = fields_of(Gated(), xk.Image(9, 8), verify=True)
    assert {c.verdict for c in rf.checks} == {"equal"}
    assert rf.status == "ok"
    toy = fields_of(Toy(), xk.Series(8, 1), verify=True)
    assert {c.verdict for c in toy.checks} == {"equal"}


def test_wrong_theory_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer whose geometry says less, or more, than it does."""
    from dataclasses import replace

    from xaikit.graph import Geometry

    model = xk.wrap(nn.Sequential(nn.Conv1d(1, 1, 3, padding=1)).eval(), inputs=xk.Series(9, 1))
    for size, padding, verdict in ((1, 0, "beyond"), (5, 2, "within")):
        wrong = Geometry("window", (size,), (1,), ((padding, padding),), (1,))
        layers = {"0": replace(model.layers["0"], geometry=wrong)}
        monkeypatch.setattr(type(model), "layers", property(lambda self, layers=layers: layers))
        rf = xk.receptive_field(model, verify=True)
        monkeypatch.undo()
        assert [c.verdict for c in rf.checks] == [verdict]
        assert rf.status == ("fail" if verdict == "beyond" else "ok")


def test_tokens_are_tried_behind_their_embedding() -> None:
    net = nn.Sequential(nn.Embedding(11, 4), nn.LSTM(4, 3, batch_first=True))
    rf = fields_of(net, xk.Text(6, tokenizer="characters"), verify=True)
    assert boxes(rf, "1") == [(0, t) for t in range(6)]
    assert {c.verdict for c in rf.checks} == {"equal"}


def test_storage(tmp_path: Any) -> None:
    rf = fields_of(Gated(), xk.Image(9, 8), verify=True)
    again = xk.load(xk.save(rf, tmp_path / "rf"))
    assert again.table() == rf.table()
    assert (again.checks, again.misaligned, again.status, again.origin) == (
        rf.checks, rf.misaligned, rf.status, rf.origin,
    )  # fmt: skip
    assert_array_equal(again["b"].lo[0], rf["b"].lo[0])
    assert again.local["c"].size == (7, 7)
    toy = fields_of(Toy(), xk.Series(8, 1))
    assert xk.load(xk.save(toy, tmp_path / "toy")).misaligned == toy.misaligned


def test_an_input_smaller_than_the_field_changes_no_numbers() -> None:
    """Also behind a transposed convolution, where a line through all units only bounds what each of them sees."""
    net = nn.Sequential(nn.Conv1d(1, 1, 3, 2, 1), nn.Conv1d(1, 1, 5, 2, 2), nn.ConvTranspose1d(1, 1, 2, 2))
    small, large = (fields_of(net, xk.Series(n, 1)) for n in (8, 64))
    assert [small[n].size for n in small] == [(3,), (11,), (11,)]
    assert small.table()[0]["units"] == (4,)
    for n in small:
        assert (small[n].size, small[n].stride, small[n].padding, small[n].sizes, small[n].aligned) == (
            large[n].size, large[n].stride, large[n].padding, large[n].sizes, large[n].aligned,
        )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "layer", "size", "stride", "padding"),
    [
        pytest.param("vgg16", "block5_pool", 212, 32, 90, marks=pytest.mark.long),
        ("resnet18", "", 435, 32, 217),
        ("resnet50", "", 427, 32, 213),
    ],
)
def test_published_values(name: str, layer: str, size: int, stride: int, padding: int) -> None:
    """Araujo, Norris and Sim (2019), and the same recurrences for torch's ResNets."""
    rf = xk.receptive_field(xk.wrap(xk.zoo.build(name, framework="torch"), inputs=xk.Image(224, 224)))
    found = rf[layer or [n for n in rf if not any(rf[n].global_)][-1]]
    assert (found.size, found.stride, found.padding) == ((size,) * 2, (stride,) * 2, (padding,) * 2)
    assert rf.misaligned == ()
