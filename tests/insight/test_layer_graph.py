"""The layers of a network as a graph: what each does, gives, holds and sees."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xaikit as xk
from tests.contract.nets import ADAPTERS
from xaikit.errors import NotSupported, UnknownName


def residual(framework: str) -> Any:
    """A stem, two equal residual blocks and a head, wrapped."""
    if framework == "torch":
        from torch import nn

        class Block(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.a, self.b = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
                self.act = nn.ReLU()

            def forward(self, x: Any) -> Any:
                return self.act(x + self.b(self.act(self.a(x))))

        net = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), Block(), Block(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
        )
        return xk.wrap(net.eval(), inputs=xk.Image(16, 16))
    import keras

    L = keras.layers
    inputs = L.Input((16, 16, 3))
    x = L.Conv2D(8, 3, 2, padding="same")(inputs)
    for _ in range(2):
        y = L.Conv2D(8, 3, padding="same", activation="relu")(x)
        x = L.ReLU()(L.Add()([x, L.Conv2D(8, 3, padding="same")(y)]))
    outputs = L.Dense(4)(L.Flatten()(L.GlobalAveragePooling2D(keepdims=True)(x)))
    return xk.wrap(keras.Model(inputs, outputs), inputs=xk.Image(16, 16))


@pytest.mark.parametrize("framework", ADAPTERS)
def test_layers_say_what_they_hold_and_see(framework: str) -> None:
    model = residual(framework)
    graph = xk.layer_graph(model)
    assert list(graph) == list(model.layers)
    assert graph.parameters == 8 * (27 + 1) + 4 * 8 * (72 + 1) + 4 * 9
    convs = [layer for layer in graph.layers if layer.kind == "conv"]
    assert [layer.sees for layer in convs] == [(3, 3), (7, 7), (11, 11), (15, 15), (19, 19)]
    assert [layer.step for layer in convs] == [(2.0, 2.0)] * 5
    assert convs[0].said["kernel"] == (3, 3)
    assert convs[0].remark == "sees 3 /2"
    assert graph.layers[-1].whole
    assert graph.layers[-1].remark == "sees all"
    assert graph.inputs == {"input": (16, 16, 3)}
    assert graph.outputs == {"output": list(graph)[-1]}
    with pytest.raises(UnknownName):
        graph["nothing"]


@pytest.mark.parametrize("framework", ADAPTERS)
def test_repeated_blocks_are_folded_and_say_both_ends(framework: str) -> None:
    from xaikit.render.diagram import noted
    from xaikit.render.graphs import blocks_of, remarks_of

    graph = xk.layer_graph(residual(framework))
    (block,) = [b for b in blocks_of(graph) if b.times > 1]
    assert block.times == 2
    assert noted(block, 0, remarks_of(graph)) == "sees 7…15 /2"


def test_a_graph_reads_back_equal_and_is_drawn(tmp_path: Path) -> None:
    graph = xk.layer_graph(residual("torch"))
    again = xk.load(xk.save(graph, tmp_path / "graph"))
    assert again.layers == graph.layers
    assert (again.inputs, again.outputs) == (graph.inputs, graph.outputs)
    figure = xk.plot(graph)
    written = " ".join(a.text for a in figure.layout.annotations)
    assert "× 2" in written
    assert "sees 3 /2" in written
    assert len(figure.data) == 1  # all edges are one line
    assert np.isnan(np.asarray(figure.data[0].x, float)).sum() >= 6


def test_what_shows_no_layers_is_refused() -> None:
    model = xk.wrap(lambda x: x, inputs=xk.Array((3,)))
    with pytest.raises(NotSupported, match="no layers"):
        xk.layer_graph(model)


@pytest.mark.parametrize("framework", ADAPTERS)
def test_recurrent_layers_and_embeddings_say_their_sizes(framework: str) -> None:
    model = xk.wrap(xk.zoo.build("char_lstm", framework=framework), inputs=xk.zoo.card("char_lstm").inputs)
    graph = xk.layer_graph(model)
    by_kind = {layer.kind: layer for layer in graph.layers}
    length = graph.inputs["input"][0]
    assert by_kind["embedding"].said["size"] == by_kind["embedding"].shape[-1]
    assert by_kind["lstm"].said["units"] == by_kind["lstm"].shape[-1]
    # In torch padding is moved behind the steps by an index that hangs on the input.
    assert by_kind["lstm"].remark == {"keras": f"sees up to {length}", "torch": "may see all"}[framework]
    assert xk.plot(graph).layout.annotations


@pytest.mark.parametrize("framework", ADAPTERS)
def test_places_in_the_padding_see_nothing_and_do_not_count(framework: str) -> None:
    """A padding layer has places that see nothing along one axis, whatever they see along the other."""
    if framework == "torch":
        from torch import nn

        net: Any = nn.Sequential(nn.ZeroPad2d(2), nn.Conv2d(3, 4, 3)).eval()
    else:
        import keras

        L = keras.layers
        net = keras.Sequential([L.Input((16, 16, 3)), L.ZeroPadding2D(2), L.Conv2D(4, 3)])
    pad, conv = xk.layer_graph(xk.wrap(net, inputs=xk.Image(16, 16))).layers
    assert (pad.remark, conv.remark) == ("sees 1", "sees 3")


def test_a_network_wrapped_without_a_spec_is_drawn_after_its_first_call() -> None:
    torch = pytest.importorskip("torch")
    model = xk.wrap(torch.nn.Sequential(torch.nn.Conv1d(2, 3, 3), torch.nn.ReLU()))
    model.run(np.zeros((1, 2, 9), np.float32))
    assert xk.layer_graph(model).inputs == {"input": (2, 9)}


@pytest.mark.parametrize("framework", ADAPTERS)
def test_gates_are_listed_and_not_drawn(framework: str) -> None:
    if framework == "torch":
        from torch import nn

        from tests.sequence.nets import of

        model = of(nn.LSTM(3, 4, batch_first=True))
    else:
        import keras

        L = keras.layers
        model = xk.wrap(keras.Sequential([L.Input((6, 3)), L.LSTM(4, name="cell"), L.Dense(2)]))
    listed = list(model.layers)
    at = listed.index("cell")
    assert listed[at - 6 : at] == [f"cell/{gate}" for gate in "ifgoch"]
    assert list(xk.layer_graph(model)) == [n for n in listed if not n.startswith("cell/")]
