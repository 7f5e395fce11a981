"""The walk through a graph: exact boxes and affine fields of layers given as data."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from xaikit.graph import Geometry, Layer, Node, fields


def layer(name: str, geometry: Geometry, length: int | None, *parents: str, axes: Any = ("sample", "time")) -> Layer:
    return Layer(name, "any", axes, (length,) * (len(axes) - 1), parents, geometry)


def window(size: int, stride: int = 1, before: int = 0, after: int = 0, dilation: int = 1, mode: str = "") -> Geometry:
    return Geometry("window", (size,), (stride,), ((before, after),), (dilation,), mode=mode)


def walked(*layers: Layer, length: int | None = 8, local: bool = False) -> Node:
    found = fields({x.name: x for x in layers}, {"input": {"time": length}}, local=local)
    return found[layers[-1].name]


def boxes(node: Node) -> list[Any]:
    found = [node.box("input", (i,)) for i in range(node.lengths[0] or 0)]
    return [b and b[0] for b in found]


@pytest.mark.parametrize(
    ("geometry", "length", "expected"),
    [
        (window(3, 2, 1, 1), 4, [(0, 1), (1, 3), (3, 5), (5, 7)]),
        (window(3, 1, 0, 0, 2), 4, [(0, 4), (1, 5), (2, 6), (3, 7)]),
        (window(3, 1, 2, 0, mode="circular"), 2, [(0, 7), (0, 7)]),
        (window(3, 1, 2, 0, mode="reflect"), 2, [(0, 2), (0, 1)]),
        (window(1, 1, -5, 0), 3, [(5, 5), (6, 6), (7, 7)]),
        (Geometry("transposed", (1,), (2,), ((0, 0),), (1,)), 3, [(0, 0), None, (1, 1)]),
        (Geometry("upsample", (2,), (2,), ((0, 0),), (1,)), 16,
         [(0, 0), *((i // 2, min(i // 2 + 1, 7)) for i in range(15))]),
        (Geometry("upsample", (1,), (1,), ((0, 0),), (1,), mode="centres", ratio=(2.0,)), 4,
         [(1, 1), (3, 3), (5, 5), (7, 7)]),
        (Geometry("adaptive"), 3, [(0, 2), (2, 5), (5, 7)]),
        (Geometry("prefix", axes=("time",)), 8, [(0, i) for i in range(8)]),
        (Geometry("suffix", axes=("time",)), 8, [(i, 7) for i in range(8)]),
        (Geometry("table", axes=("time",), sources=(np.array([[7], [0], [-1]]),)), 3, [(7, 7), (0, 0), None]),
        (Geometry("moved", names=("time",), sources=(np.array([[3, 5], [1, -1]]),)), 2, [(3, 5), (1, 1)]),
        (Geometry("renamed", (2,), axes=("",), names=("time",)), 2, [(0, 7), (0, 7)]),
        (Geometry("unknown"), 2, [(0, 7), (0, 7)]),
    ],
)  # fmt: skip
def test_boxes_of_one_layer(geometry: Geometry, length: int, expected: list[Any]) -> None:
    assert boxes(walked(layer("a", geometry, length, "input"))) == expected


def test_each_part_reads_its_own_parent() -> None:
    cut = window(1, 1, -1, 0)
    both = Geometry("each", parts=(cut, window(1, 1, 0, -1)), reads=(0, 0))
    assert boxes(walked(layer("a", both, 7, "input"))) == [(i, i + 1) for i in range(7)]
    # steps after places that were joined
    after = Geometry("steps", parts=(both, window(2)))
    assert boxes(walked(layer("a", after, 6, "input"))) == [(i, i + 2) for i in range(6)]


def test_places_folded_into_the_sample_axis_come_back() -> None:
    table = np.arange(8).reshape(4, 2, 1)
    fold = Geometry("moved", axes=("time",), names=("folded", "time"), sources=(table,), folded=4)
    mixed = Geometry("global", axes=("time",), folded=4)
    back = Geometry("moved", axes=("folded", "time"), names=("time",), sources=(np.arange(8)[:, None],))
    node = walked(layer("a", fold, 2, "input"), layer("b", mixed, 2, "a"), layer("c", back, 8, "b"))
    assert boxes(node) == [(i // 2 * 2, i // 2 * 2 + 1) for i in range(8)]


def test_axes_get_new_names_and_keep_their_affine_field() -> None:
    turned = Geometry("renamed", axes=("width", "height"), names=("height", "width"))
    picture = ("sample", "height", "width")
    conv = Geometry("window", (3, 1), (2, 1), ((1, 1), (0, 0)), (1, 1))
    layers = [layer("a", conv, None, "input", axes=picture), layer("b", turned, None, "a", axes=picture)]
    node = fields({x.name: x for x in layers}, {"input": {"height": 8, "width": 6}})["b"]
    assert node.lengths == (6, 4)
    affine = node.affine["input", "height"]
    assert affine is not None
    assert (affine.along, affine.stride, affine.start, affine.size) == ("width", 2, -1, 3)
    assert node.box("input", (5, 1)) == ((1, 3), (5, 5))


def test_the_affine_field_needs_no_lengths() -> None:
    node = walked(layer("a", window(3, 2, 1, 1), None, "input"), layer("b", window(5), None, "a"), length=None)
    affine = node.affine["input", "time"]
    assert affine is not None
    assert (affine.stride, affine.start, affine.size) == (Fraction(2), Fraction(-1), Fraction(11))
    with pytest.raises(ValueError, match="not all known"):
        node.box("input", (0,))


def test_a_gate_is_left_out_of_the_local_field() -> None:
    norm = layer("norm", Geometry("global", gate=True), 8, "input")
    assert boxes(walked(norm))[2] == (0, 7)
    assert boxes(walked(norm, local=True))[2] == (2, 2)
    pool = layer("pool", Geometry("global"), 1, "input")
    gate = layer("gate", Geometry("pointwise"), 8, "input", "pool")
    assert boxes(walked(pool, gate))[2] == (0, 7)
    assert boxes(walked(pool, gate, local=True))[2] == (2, 2)


def test_what_is_not_known_is_named_ever_after() -> None:
    node = walked(layer("a", Geometry("unknown"), 8, "input"), layer("b", window(3, 1, 1, 1), 8, "a"))
    assert node.bounds == ("a",)
    # a table that does not fit what it is given is no reason to believe it
    wrong = Geometry("moved", names=("time",), sources=(np.array([[9]]),))
    assert walked(layer("a", wrong, 1, "input")).bounds == ("a",)


def test_misaligned_branches_are_named_with_their_offset() -> None:
    a, b = layer("a", window(3, 1, 2, 0), 8, "input"), layer("b", window(3, 1, 0, 2), 8, "input")
    node = walked(a, b, layer("sum", Geometry("pointwise"), 8, "a", "b"))
    (note,) = node.misaligned
    assert (note.layer, note.parents, note.axis, note.offset) == ("sum", ("a", "b"), "time", 2)
    affine = node.affine["input", "time"]
    assert affine is not None
    assert (affine.start, affine.size) == (-2, 5)
