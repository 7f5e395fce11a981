"""The page of layers: one file, without script, every stage with its rows."""

import re
from pathlib import Path

from xaikit.report import write_layers_page
from xaikit.results import LayerGraph, LayerNode, Origin

ORIGIN = Origin("layer-graph", {}, "", 'a<b "c"', "torch", None, None, (), 0, {}, "cpu", 0.0, 0)


def graph(blocks: int) -> LayerGraph:
    """A chain of equal blocks of a convolution and a ReLU, then a dense layer."""
    layers = [LayerNode("stem", "conv", ("input",), (8, 8, 4), {"kernel": (3, 3)}, 10, 10, (3, 3), (1.0, 1.0))]
    for k in range(blocks):
        field = 5 + 2 * k
        layers.append(
            LayerNode(
                f"c{k}", "conv", (layers[-1].name,), (8, 8, 6), {"kernel": (3, 3)}, 20, 15, (field,) * 2, (1.0,) * 2
            )
        )
        layers.append(LayerNode(f"r{k}", "relu", (f"c{k}",), (8, 8, 6), sees=(field,) * 2, step=(1.0,) * 2))
    layers.append(LayerNode("head", "dense", (layers[-1].name,), (2,), {"units": 2}, 7, 7, whole=True))
    return LayerGraph(tuple(layers), {"input": (8, 8, 3)}, {"output": "head"}, ORIGIN)


def test_the_page_holds_every_layer_and_runs_nothing(tmp_path: Path) -> None:
    text = write_layers_page(tmp_path / "layers.html", graph(3)).read_text()
    assert "a&lt;b &#34;c&#34;" in text
    assert "<script" not in text
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert all(f"c{k}, r{k}" in text for k in range(3))
    assert text.count("<details") == 3  # the stem, the block three times, the head
    assert "× 3" in text
    assert "sees 5…9" in text
    assert "77 parameters, 62 of them trainable" in text


def test_a_graph_too_large_to_be_drawn_keeps_its_stages(tmp_path: Path) -> None:
    layers = [LayerNode("l0", "dense", ("input",), (1,), {"units": 1})]
    layers += [LayerNode(f"l{k}", "dense", (f"l{k - 1}",), (k + 1,), {"units": k + 1}) for k in range(1, 500)]
    text = write_layers_page(
        tmp_path / "large.html", LayerGraph(tuple(layers), {"input": (3,)}, {"output": "l499"}, ORIGIN)
    ).read_text()
    assert "too many different layers" in text
    assert "l499" in text
    assert "<svg" not in text
