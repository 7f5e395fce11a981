"""The layers of a network as a graph that folds, with what each holds and sees."""

import time
from collections.abc import Mapping
from dataclasses import replace

from xaikit.attribution import origin_of, require_wrapped
from xaikit.graph import GATE
from xaikit.insight._field_inputs import input_shapes
from xaikit.insight._receptive_field import receptive_field
from xaikit.model import Model, require_layers
from xaikit.results import LayerGraph, LayerNode, ReceptiveFields
from xaikit.zoo.graphs import described, ends


def layer_graph(model: Model) -> LayerGraph:
    """Give the layers of a model as a LayerGraph: shapes, parameters and receptive fields on the nodes.

    It is drawn with repeated blocks folded (`xk.plot`, or in a notebook by itself), without Graphviz; the page that
    `xaikit layers MODEL -o DIR` writes unfolds them. The gates inside recurrent layers are not drawn. Raises
    NotSupported for a model that shows no layers.
    """
    require_wrapped(model, "layer_graph")
    start = time.perf_counter()
    require_layers(model)
    fields = receptive_field(model)
    out_of_line = {m.layer for m in fields.misaligned}
    drawn = [layer for layer in model.layers.values() if layer.kind != GATE]
    nodes = tuple(_with_field(described(layer), fields, out_of_line) for layer in drawn)
    outputs = _outputs(model, nodes)
    seconds = time.perf_counter() - start
    origin = origin_of(model, None, "layer-graph", parameters={}, seconds=seconds, calls=0)
    return LayerGraph(nodes, dict(input_shapes(model, model.layers)), outputs, origin)


def _outputs(model: Model, nodes: tuple[LayerNode, ...]) -> dict[str, str]:
    """Name the layers at the ends; those beside the only output (a state, say) are none."""
    found = ends(nodes)
    return found if isinstance(model.outputs, Mapping) or len(found) == 1 else {"output": nodes[-1].name}


def _with_field(node: LayerNode, fields: ReceptiveFields, out_of_line: set[str]) -> LayerNode:
    """Add what the units of a layer see of the first input that they see."""
    if node.name not in fields or not len(fields[node.name]):
        return node
    field = next(iter(fields[node.name].values()))
    whole = bool(field.global_) and all(field.global_)
    largest = [n if n is not None else s and s[1] for n, s in zip(field.size, field.sizes, strict=True)]
    return replace(
        node,
        sees=None if whole or None in largest or not largest else tuple(int(n or 0) for n in largest),
        step=None if whole or None in field.stride or not largest else tuple(float(n or 0) for n in field.stride),
        whole=whole,
        varies=any(s is not None and s[0] != s[1] for s in field.sizes),
        aligned=node.name not in out_of_line,
        bound=bool(field.bounds),
    )
