"""The graph as SVG: well-formed, nothing overlaps, everything is there, repeated blocks once."""

import re
from itertools import combinations
from xml.etree import ElementTree

import pytest

from xaikit.render.diagram import WIDEST, diagram
from xaikit.zoo.building import Ops, describe
from xaikit.zoo.folding import fold
from xaikit.zoo.networks import networks

pytestmark = pytest.mark.slow

SVG = "{http://www.w3.org/2000/svg}"
NAMES = ["mnist_cnn", "mnist_two_heads", "resnet50", "unet", "inception_v3", "googlenet", "xception", "bilstm_imdb"]


def drawn(architecture):
    return ElementTree.fromstring(diagram(fold(architecture), architecture.outputs, architecture.name))


def boxes(root):
    """Place and size of every unit's box."""
    found = [group.find(f"{SVG}rect") for group in root.iter(f"{SVG}g")]
    return [tuple(float(rect.get(k)) for k in ("x", "y", "width", "height")) for rect in found]


@pytest.mark.parametrize("name", NAMES)
def test_every_unit_has_a_box_inside_the_picture_and_none_overlap(name):
    architecture = networks[name].architecture
    root = drawn(architecture)
    placed = boxes(root)
    assert len(placed) == sum(len(b.units) for b in fold(architecture))
    width, height = float(root.get("width")), float(root.get("height"))
    assert all(x >= 0 and y >= 0 and x + w <= width and y + h <= height for x, y, w, h in placed)
    for (x, y, w, h), (a, b, c, d) in combinations(placed, 2):
        assert x + w <= a + 0.1 or a + c <= x + 0.1 or y + h <= b + 0.1 or b + d <= y + 0.1
    assert width <= WIDEST


@pytest.mark.parametrize("name", NAMES)
def test_edges_lead_down_from_box_to_box(name):
    root = drawn(networks[name].architecture)
    placed = boxes(root)
    tops, bottoms = {round(y, 1) for _, y, _, _ in placed}, {round(y + h, 1) for _, y, _, h in placed}
    paths = [p.get("d") for p in root.iter(f"{SVG}path") if "stroke-width:1.3" in p.get("style")]
    assert len(paths) >= len(placed) - 1
    for path in paths:
        numbers = [float(n) for n in re.findall(r"-?\d+\.\d", path)]
        assert round(numbers[1], 1) in bottoms
        assert round(numbers[-1], 1) in tops


def test_repeated_blocks_are_framed_once_with_their_number():
    text = diagram(fold(networks["resnet50"].architecture), {"output": "dense1"}, "resnet50")
    assert re.findall(r"× (\d)", text) == ["2", "3", "5", "2"]


def test_chains_are_straight():
    root = drawn(networks["inception_v3"].architecture)
    middles = [x + w / 2 for x, _, w, _ in boxes(root)]
    # Half of Inception's units stand under the one before them in their own branch.
    assert len({round(m, 1) for m in middles}) < len(middles) / 3


def test_outputs_are_named_and_words_are_escaped():
    def net(ops: Ops):
        x = ops.input(4)
        return {"a<b": ops.dense(x, 2), "c": ops.dense(x, 3)}

    text = diagram(fold(describe("two", net)), describe("two", net).outputs, 'the "two" & more')
    assert "2 → a&lt;b" in text
    ElementTree.fromstring(text)
