"""ONNX networks for xaikit, run by ONNX Runtime: answers, activations and patches; no gradients."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime import InferenceSession

from xaikit.arrays import Array, Tensors
from xaikit.errors import ModelError, NotSupported
from xaikit.graph import Layer
from xaikit.inputs import Array as ArraySpec
from xaikit.inputs import Classes, ScoreKind
from xaikit.model import Layout, Network, Run, canonical_hash

FILES = (".onnx",)  # the suffixes of the files that `load_network` reads, as in `xaikit explain net.onnx`
PLACES = {3: ("time",), 4: ("height", "width"), 5: ("depth", "height", "width")}
CHANNELS_FIRST = ("Conv", "ConvTranspose", "MaxPool", "AveragePool", "BatchNormalization", "GlobalAveragePool")
BY_ENTRY = ("Relu", "LeakyRelu", "Sigmoid", "Tanh", "Clip", "Dropout", "Identity", "Cast", "Add", "Sub", "Mul", "Div")
ENDS: Mapping[str, Literal["softmax", "sigmoid"]] = {"Softmax": "softmax", "Sigmoid": "sigmoid"}
KINDS = {"Gemm": "dense", "MatMul": "dense", "MaxPool": "max_pool", "AveragePool": "average_pool"}


def load_network(path: Any, *, factory: Any = None) -> onnx.ModelProto:
    """Load an .onnx file, which holds the network and its weights and no code. Raises ModelError where it is none."""
    try:
        return onnx.load(path)
    except Exception as error:  # those of protobuf and of onnx have no common class
        raise ModelError(f"{path} is no readable ONNX file: {error}; write it again with torch.onnx.export") from error


class OnnxModel(Network):
    """An ONNX network of one input and one output; its layers are the nodes of the graph that work on samples."""

    framework = "onnx"
    can = frozenset({"run", "patch"})
    device = "cpu"

    def __init__(self, net: onnx.ModelProto, name: str | None = None, **described: Any) -> None:
        super().__init__(onnx.shape_inference.infer_shapes(net), name=name or net.graph.name, **described)
        graph = self.net.graph
        self._weights = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
        given = [i for i in graph.input if i.name not in self._weights]
        if len(given) != 1 or len(graph.output) != 1:
            raise ModelError(f"{self.name} has {len(given)} inputs and {len(graph.output)} outputs: give one of each")
        if _shape(given[0])[:1] != (None,):
            raise ModelError(f"{self.name} takes a fixed number of samples: export it with a dynamic first axis")
        self._given, self._last = given[0].name, graph.output[0].name
        self._end = next(node for node in graph.node if self._last in node.output)
        self._values = {v.name: v for v in [*graph.value_info, *given, *graph.output]}
        self._sessions: dict[Any, InferenceSession] = {}
        nodes = [n for n in graph.node if self._first(n.output[0]) == self._first(self._given)]
        names = [n.name.strip("/") or n.output[0] for n in nodes]
        unique = names if len(set(names)) == len(names) else [n.output[0] for n in nodes]
        self._nodes = dict(zip(unique, nodes, strict=True))
        self._described = {layer.name: layer for layer in self._read_nodes()}

    def _first(self, value: str) -> str | None:
        """Give the symbol of a value's first axis; None for a value of unknown shape."""
        dims = self._values[value].type.tensor_type.shape.dim if value in self._values else ()
        return dims[0].dim_param if dims else None

    def _read_nodes(self) -> Iterator[Layer]:
        makers = {self._given: "input"} | {node.output[0]: name for name, node in self._nodes.items()}
        axes: dict[str, tuple[str, ...]] = {}
        for name, node in self._nodes.items():
            shape = _shape(self._values[node.output[0]])
            above = next((axes[i] for i in node.input if len(axes.get(i, ())) == len(shape)), None)
            axes[node.output[0]] = own = _axes(node, len(shape), above)
            parents = tuple(makers[i] for i in node.input if i in makers)
            count = sum(self._weights[i].size for i in node.input if i in self._weights)
            yield Layer(name, KINDS.get(node.op_type, node.op_type.lower()), own, shape[1:], parents, parameters=count)

    def _read_layers(self) -> Mapping[str, Layer]:
        return self._described

    def _natural_inputs(self) -> Any:
        shape = _shape(self._values[self._given])[1:]
        return ArraySpec(shape) if shape and None not in shape else super()._natural_inputs()

    def _find_layout(self) -> Layout:
        at = self._given
        for node in (n for n in self.net.graph.node if at in n.input):
            if node.op_type in CHANNELS_FIRST:
                return "channels-first"
            if node.op_type == "Transpose" and list(node.attribute[0].ints)[1:2] == [len(node.attribute[0].ints) - 1]:
                return "channels-last"  # which the network itself moves
            at = node.output[0] if node.op_type in BY_ENTRY else at
        raise ModelError(f"the layout of {self.name} cannot be seen: give wrap(layout='channels-last') or another")

    def _ends_in(self, output: str | None) -> Literal["softmax", "sigmoid"] | None:
        return ENDS.get(self._end.op_type)

    def _forward(self, x: Tensors, at: tuple[str, ...], patch: Mapping[str, Array], score: ScoreKind) -> Run:
        spec, last = self._outputs, self._last
        form = spec.form if isinstance(spec, Classes) and score != "output" else None
        if score == "logit" and form in ("softmax", "sigmoid"):
            if form != self._ends_in(None):
                raise NotSupported(f"{self.name} does not end in a {form}: use score='probability'")
            last = self._end.input[0]
        put = {self._nodes[n].output[0]: np.broadcast_to(a, (len(x), *a.shape[1:])) for n, a in patch.items()}
        shown = {n: self._nodes[n].output[0] for n in at}
        found = self._computed([last, *shown.values()], {self._given: x, **put})
        output = spec.of_logits(found[last]) if (score, form) == ("probability", "logits") else found[last]
        return Run(output, {n: np.array(found[value]) for n, value in shown.items()})

    def _computed(self, asked: Sequence[str], given: Mapping[str, Array]) -> dict[str, Array]:
        """Give values of the graph by name, from the input and from what stands in for values on the way."""
        wanted = [v for v in dict.fromkeys(asked) if v not in given]
        if not wanted:
            return dict(given)
        session = self._session(tuple(wanted), tuple(given))
        dtypes = {i: helper.tensor_dtype_to_np_dtype(self._values[i].type.tensor_type.elem_type) for i in given}
        feed = {i.name: np.ascontiguousarray(given[i.name], dtypes[i.name]) for i in session.get_inputs()}
        return {**given, **dict(zip(wanted, session.run(wanted, feed), strict=True))}

    def _session(self, wanted: tuple[str, ...], given: tuple[str, ...]) -> InferenceSession:
        """Open a copy of the graph whose outputs and inputs are the values asked for and given."""
        if (key := (wanted, given)) not in self._sessions:
            net = onnx.ModelProto.FromString(self.net.SerializeToString())
            for node in net.graph.node:  # what is given is made by no node: its maker writes elsewhere
                node.output[:] = [f"{value} itself" if value in given else value for value in node.output]
            net.graph.input.extend(self._values[v] for v in given if v != self._given)
            net.graph.ClearField("output")
            net.graph.output.extend(self._values[v] for v in wanted)
            self._sessions[key] = InferenceSession(net.SerializeToString(), providers=["CPUExecutionProvider"])
        return self._sessions[key]

    def fingerprint(self) -> str:
        nodes = (node.SerializeToString(deterministic=True).hex() for node in self.net.graph.node)
        return canonical_hash(self._weights, *nodes)


def _shape(value: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    return tuple(d.dim_value or None for d in value.type.tensor_type.shape.dim)


def _axes(node: onnx.NodeProto, count: int, above: tuple[str, ...] | None) -> tuple[str, ...]:
    """Name the axes: a convolution has its channels second, and what works entry by entry keeps those it reads."""
    if node.op_type in CHANNELS_FIRST and count in PLACES:
        return ("sample", "channel", *PLACES[count])
    if node.op_type in BY_ENTRY and above is not None:
        return above
    return ("sample", "channel") if count == 2 else ("sample", *(f"axis{i}" for i in range(1, count)))


wrap = OnnxModel  # what `xk.wrap` calls with the network, its specs and its name
