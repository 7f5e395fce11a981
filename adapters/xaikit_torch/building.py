"""The neutral description of a network, built as an ordinary torch.nn.Module, and its weights in the neutral layout.

Networks whose input is first read by a convolution, pooling or batch norm take (N, C, *space); all others take what
they are given, (N, T, C) or (N, features). Inside, a tensor is kept in one of these two layouts, and a named Permute
stands where the next operation needs the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from xaikit.zoo.building import ELEMENTWISE, Architecture, Node, check_weights, initial_weights
from xaikit_torch._gates import in_order
from xaikit_torch.layers import AdditiveAttention, DotAttention, Repeat, ResetBeforeGRU, Sampling

Array = npt.NDArray[Any]
Layout = Literal["channels-first", "channels-last"]

FIRST: Layout = "channels-first"
LAST: Layout = "channels-last"
SPATIAL = (
    *("conv", "depthwise_conv", "separable_conv", "conv_transpose", "max_pool", "avg_pool", "batch_norm"),
    *("global_avg_pool", "global_max_pool", "upsample", "zero_pad", "group_norm", "local_response_norm"),
)
ON_LAST = ("dense", "layer_norm", "recurrent", "attention", "embedding", "reshape", "repeat")
# The cells that have one bias; a GRU that resets after the product has two and is torch's own.
CELLS: Mapping[str, Callable[..., nn.RNNBase]] = {
    "lstm": partial(nn.LSTM, batch_first=True),
    "gru": ResetBeforeGRU,
    "simple_rnn": partial(nn.RNN, batch_first=True),
}
ATTENTIONS = {"additive": AdditiveAttention, "dot": DotAttention}
# Where each block of Keras' gate columns stands in torch: LSTM i f c o = i f g o; GRU z r h -> r z n.
GATE_ORDER: Mapping[str, tuple[int, ...]] = {"lstm": (0, 1, 2, 3), "gru": (1, 0, 2), "simple_rnn": (0,)}


class Network(nn.Module):
    """A graph of named modules, called in the order of the description.

    forward takes one tensor per input and gives the output, or a dict by name when there are several outputs.
    `layout` says what the inputs look like: "channels-first" or "channels-last".
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        plan = _Plan(architecture)
        self.layout: Layout = max((layouts(architecture)[n.name] for n in architecture.inputs), key=FIRST.__eq__)
        self._steps = plan.steps
        for name, module in plan.modules.items():
            self.add_module(name, module)

    def forward(self, *x: torch.Tensor) -> Any:
        values = self._values(x)
        given = {key: values[name] for key, name in self.architecture.outputs.items()}
        return given if len(given) > 1 else next(iter(given.values()))

    def _values(self, x: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        values = {
            node.name: tensor.long() if node.parameters["integer"] else tensor
            for node, tensor in zip(self.architecture.inputs, x, strict=True)
        }
        masks: dict[str, torch.Tensor] = {}
        for name, parents, node in self._steps:
            module = getattr(self, name)
            read = [values[p] for p in parents]
            mask = masks.get(parents[0])
            if node is not None and node.op == "recurrent":
                values[name] = _recur(module, read[0], node, mask)
            elif node is not None and node.op == "attention":
                values[name] = _attend(module, read, masks.get(parents[1]), mask)
            else:
                values[name] = module(*read)
            if node is not None and node.masked:
                masks[name] = mask if mask is not None else read[0] != 0
        return values


class Permute(nn.Module):
    """The same tensor with its axes in another order."""

    def __init__(self, *order: int) -> None:
        super().__init__()
        self.order = order

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(self.order)

    def extra_repr(self) -> str:
        return str(self.order)


class Concat(nn.Module):
    """Tensors side by side along an axis."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, *parts: torch.Tensor) -> torch.Tensor:
        return torch.cat(parts, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Add(nn.Module):
    """The sum of tensors of equal shape."""

    def forward(self, *parts: torch.Tensor) -> torch.Tensor:
        return sum(parts[1:], parts[0])


def build(architecture: Architecture, seed: int = 0, weights: Mapping[str, Array] | None = None) -> Network:
    """A network in evaluation mode; its starting weights are `weights`, or those of `initial_weights(seed)`."""
    with torch.random.fork_rng(devices=[]):  # torch draws weights of its own, which are not kept
        net = Network(architecture)
    set_weights(net, architecture, initial_weights(architecture, seed) if weights is None else weights)
    for node in architecture.nodes:
        for parameter in _module(net, node).parameters():
            parameter.requires_grad_(any(w.trainable for w in node.weights.values()))
    if _images(architecture):
        nn.Module.to(net, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net.eval()


# ---------------------------------------------------------------------- from nodes to modules

Step = tuple[str, tuple[str, ...], Node | None]


@cache
def layouts(architecture: Architecture) -> Mapping[str, Layout]:
    """The layout of every node's output; vectors count as channels last."""
    found: dict[str, Layout] = {}
    for node in architecture.nodes:
        if node.op == "input":
            found[node.name] = _input_layout(node, architecture)
        else:
            reads = _reads(node, architecture, found)
            found[node.name] = LAST if node.op in ON_LAST or len(node.shape) == 1 else reads
    return found


def _input_layout(node: Node, architecture: Architecture) -> Layout:
    readers = architecture.readers[node.name]
    while readers and readers[0].op in ELEMENTWISE:
        readers = architecture.readers[readers[0].name]
    return FIRST if len(node.shape) > 1 and readers and readers[0].op in SPATIAL else LAST


def _reads(node: Node, architecture: Architecture, found: Mapping[str, Layout]) -> Layout:
    """The layout in which a node reads its parents: its own need, or that of the first parent."""
    parent = architecture.by_name[node.parents[0]]
    if len(parent.shape) == 1 or node.op in ON_LAST:
        return LAST
    if node.op in SPATIAL:
        return FIRST
    if node.op == "flatten" and not _dense_after(node, architecture):
        return LAST
    return found[parent.name]


class _Plan:
    """Lists the modules of a network and the steps in which they are called, permutations included."""

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture
        self.layouts = layouts(architecture)
        self.modules: dict[str, nn.Module] = {}
        self.steps: list[Step] = []
        for node in architecture.nodes:
            if node.op != "input":
                self._place(node)

    def _place(self, node: Node) -> None:
        layout = _reads(node, self.architecture, self.layouts)
        parents = tuple(self._as(parent, layout, node.name) for parent in node.parents)
        for suffix, module in _modules(node, self.architecture, layout):
            name = node.name + suffix
            self._step(name, parents, module, None if suffix else node)
            parents = (name,)

    def _as(self, name: str, layout: Layout, reader: str) -> str:
        axes = len(self.architecture.by_name[name].shape) + 1
        if axes == 2 or self.layouts[name] == layout:
            return name
        order = (0, axes - 1, *range(1, axes - 1)) if layout == FIRST else (0, *range(2, axes), 1)
        permuted = f"{reader}_permute" if f"{reader}_permute" not in self.modules else f"{reader}_permute_{name}"
        self._step(permuted, (name,), Permute(*order), None)
        return permuted

    def _step(self, name: str, parents: tuple[str, ...], module: nn.Module, node: Node | None) -> None:
        self.modules[name] = module
        self.steps.append((name, parents, node))


def _modules(node: Node, architecture: Architecture, layout: Layout) -> list[tuple[str, nn.Module]]:
    """The modules of a node as (suffix of the name, module); the one that carries the node's name comes last."""
    parent = architecture.by_name[node.parents[0]]
    rank = len(parent.shape) - 1
    return MODULES[node.op](node, parent.shape, rank, layout)


Made = list[tuple[str, nn.Module]]


def _by_rank(kind: str, rank: int) -> Any:
    return getattr(nn, f"{kind}{rank}d")


def _padded(node: Node, rank: int, value: float, make: Callable[[tuple[int, ...]], nn.Module]) -> Made:
    """Symmetric padding inside the module; asymmetric padding as a module before it."""
    pads = node.parameters["pads"]
    if all(before == after for before, after in pads):
        return [("", make(tuple(before for before, _ in pads)))]
    return [("_pad", _pad_module(pads, rank, value)), ("", make((0,) * rank))]


def _pad_module(pads: tuple[tuple[int, int], ...], rank: int, value: float = 0.0) -> nn.Module:
    flat = tuple(n for pair in reversed(pads) for n in pair)
    return _by_rank("ConstantPad", rank)(flat, value)


def _conv(node: Node, shape: tuple[int, ...], rank: int, layout: Layout) -> Made:
    p = node.parameters

    def make(padding: tuple[int, ...]) -> nn.Module:
        return _by_rank("Conv", rank)(
            *(shape[-1], p["filters"], p["kernel"]),
            stride=p["stride"],
            padding=padding,
            dilation=p["dilation"],
            bias=p["bias"],
        )

    return _padded(node, rank, 0.0, make)


def _depthwise(node: Node, shape: tuple[int, ...], rank: int, layout: Layout) -> Made:
    p = node.parameters

    def make(padding: tuple[int, ...]) -> nn.Module:
        channels = shape[-1]
        return _by_rank("Conv", rank)(
            *(channels, channels * p["multiplier"], p["kernel"]),
            stride=p["stride"],
            padding=padding,
            groups=channels,
            bias=p["bias"],
        )

    return _padded(node, rank, 0.0, make)


def _separable(node: Node, shape: tuple[int, ...], rank: int, layout: Layout) -> Made:
    p, conv = node.parameters, _by_rank("Conv", rank)

    def make(padding: tuple[int, ...]) -> nn.Module:
        pair = nn.Sequential()
        pair.add_module(
            "depthwise",
            conv(shape[-1], shape[-1], p["kernel"], p["stride"], padding, groups=shape[-1], bias=False),
        )
        pair.add_module("pointwise", conv(shape[-1], p["filters"], 1, bias=p["bias"]))
        return pair

    return _padded(node, rank, 0.0, make)


def _transposed(node: Node, shape: tuple[int, ...], rank: int, layout: Layout) -> Made:
    """Full transposed convolution, then for "same" the surplus max(k − s, 0) cut off, the odd one behind."""
    p = node.parameters
    surplus = [max(k - s, 0) for k, s in zip(p["kernel"], p["stride"], strict=True)]
    missing = tuple(max(s - k, 0) for k, s in zip(p["kernel"], p["stride"], strict=True))
    module = _by_rank("ConvTranspose", rank)(
        *(shape[-1], p["filters"], p["kernel"]), stride=p["stride"], output_padding=missing, bias=p["bias"]
    )
    if p["padding"] == "valid" or not any(surplus):
        return [("", module)]
    crop = _pad_module(tuple((-(n // 2), -(n - n // 2)) for n in surplus), rank)
    return [("_full", module), ("", crop)]


def _max_pool(node: Node, shape: tuple[int, ...], rank: int, layout: Layout) -> Made:
    return [("", _pooling(node, rank, "MaxPool"))]


def _avg_pool(node: Node, shape: tuple[int, ...], rank: int, layout: Layout) -> Made:
    inside = {"divisor_override": None} if rank > 1 else {}
    return [("", _pooling(node, rank, "AvgPool", count_include_pad=False, **inside))]


def _pooling(node: Node, rank: int, kind: str, **more: Any) -> nn.Module:
    """An odd zero behind is what ceil_mode means: a last window that starts inside and hangs over the edge."""
    p = node.parameters
    before = tuple(a for a, _ in p["pads"])
    ceil = any(a != b for a, b in p["pads"])
    return _by_rank(kind, rank)(p["kernel"], p["stride"], before, ceil_mode=ceil, **more)


def _global_pool(kind: str) -> Callable[..., Made]:
    def made(node: Node, shape: tuple[int, ...], rank: int, layout: Layout) -> Made:
        return [("_grid", _by_rank(kind, rank)(1)), ("", nn.Flatten())]

    return made


def _upsample(node: Node, shape: tuple[int, ...], rank: int, layout: Layout) -> Made:
    factor = tuple(float(f) for f in node.parameters["factor"])
    kind = node.parameters["kind"]
    corners = False if kind == "bilinear" else None  # positions are centres of their cells
    return [("", nn.Upsample(scale_factor=factor if rank > 1 else factor[0], mode=kind, align_corners=corners))]


def _zero_pad(node: Node, shape: tuple[int, ...], rank: int, layout: Layout) -> Made:
    return [("", _pad_module(node.parameters["pads"], rank))]


def _dense(node: Node, shape: tuple[int, ...], rank: int, layout: Layout) -> Made:
    return [("", nn.Linear(shape[-1], node.parameters["units"], bias=node.parameters["bias"]))]


def _activation(node: Node, shape: tuple[int, ...], rank: int, layout: Layout) -> Made:
    made: dict[str, Callable[[], nn.Module]] = {
        "relu": nn.ReLU,
        "leaky_relu": lambda: nn.LeakyReLU(0.2),
        "elu": nn.ELU,
        "sigmoid": nn.Sigmoid,
        "softmax": lambda: nn.Softmax(dim=1 if layout == FIRST else -1),
        "tanh": nn.Tanh,
        "softplus": nn.Softplus,
    }
    return [("", made[node.parameters["kind"]]())]


def _dropout(node: Node, shape: tuple[int, ...], rank: int, layout: Layout) -> Made:
    return [("", nn.Dropout(node.parameters["rate"]))]


def _flatten(node: Node, shape: tuple[int, ...], rank: int, layout: Layout) -> Made:
    return [("", nn.Flatten())]


def _reshape(node: Node, shape: tuple[int, ...], rank: int, layout: Layout) -> Made:
    if rank == 0:
        return [("", nn.Unflatten(1, node.shape))]
    return [("_flat", nn.Flatten()), ("", nn.Unflatten(1, node.shape))]


def _concat(node: Node, shape: tuple[int, ...], rank: int, layout: Layout) -> Made:
    return [("", Concat(1 if layout == FIRST else -1))]


def _add(node: Node, shape: tuple[int, ...], rank: int, layout: Layout) -> Made:
    return [("", Add())]


def _batch_norm(node: Node, shape: tuple[int, ...], rank: int, layout: Layout) -> Made:
    p = node.parameters
    kind = _by_rank("BatchNorm", max(rank, 1))
    module = kind(shape[-1], eps=p["epsilon"], momentum=1.0 - p["momentum"])
    if not p["scale"]:  # a constant instead of a parameter, so that all that reads `weight` still can
        del module.weight
        module.register_buffer("weight", torch.ones(shape[-1]), persistent=False)
    return [("", module)]


def _layer_norm(node: Node, shape: tuple[int, ...], rank: int, layout: Layout) -> Made:
    return [("", nn.LayerNorm(shape[-1], eps=node.parameters["epsilon"]))]


def _group_norm(node: Node, shape: tuple[int, ...], rank: int, layout: Layout) -> Made:
    return [("", nn.GroupNorm(node.parameters["groups"], shape[-1], eps=node.parameters["epsilon"]))]


def _local_response_norm(node: Node, shape: tuple[int, ...], rank: int, layout: Layout) -> Made:
    p = node.parameters  # torch takes the mean over the channels where the paper takes the sum
    return [("", nn.LocalResponseNorm(p["size"], p["size"] * p["alpha"], p["beta"], p["k"]))]


def _embedding(node: Node, shape: tuple[int, ...], rank: int, layout: Layout) -> Made:
    return [("", nn.Embedding(node.parameters["vocabulary"], node.parameters["size"]))]


def _recurrent(node: Node, shape: tuple[int, ...], rank: int, layout: Layout) -> Made:
    p = node.parameters
    if p["reset_after"]:
        return [("", nn.GRU(shape[-1], p["units"], batch_first=True, bidirectional=p["bidirectional"]))]
    module = CELLS[p["cell"]](shape[-1], p["units"], bidirectional=p["bidirectional"])
    _one_bias(module)
    return [("", module)]


def _attention(node: Node, shape: tuple[int, ...], rank: int, layout: Layout) -> Made:
    return [("", ATTENTIONS[node.parameters["kind"]](node.weights["scale"].shape if node.weights else None))]


def _one_bias(module: nn.RNNBase) -> None:
    """Keep one bias, as Keras has it: torch's second one adds nothing (a GRU's does) and becomes a buffer of zeros."""
    for name in [n for n, _ in module.named_parameters() if n.startswith("bias_hh")]:
        zeros = torch.zeros_like(getattr(module, name))
        delattr(module, name)
        module.register_buffer(name, zeros, persistent=False)
    module.to(torch.float32)  # makes the module gather its weights anew


MODULES: Mapping[str, Callable[[Node, tuple[int, ...], int, Layout], Made]] = {
    "conv": _conv,
    "depthwise_conv": _depthwise,
    "separable_conv": _separable,
    "conv_transpose": _transposed,
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "global_avg_pool": _global_pool("AdaptiveAvgPool"),
    "global_max_pool": _global_pool("AdaptiveMaxPool"),
    "upsample": _upsample,
    "zero_pad": _zero_pad,
    "dense": _dense,
    "activation": _activation,
    "dropout": _dropout,
    "flatten": _flatten,
    "reshape": _reshape,
    "concat": _concat,
    "add": _add,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "embedding": _embedding,
    "recurrent": _recurrent,
    "attention": _attention,
    "repeat": lambda node, *_: [("", Repeat(node.parameters["times"]))],
    "sampling": lambda node, *_: [("", Sampling())],
    "group_norm": _group_norm,
    "local_response_norm": _local_response_norm,
}


def _images(architecture: Architecture) -> bool:
    return any(len(n.shape) == 3 for n in architecture.inputs)


# ---------------------------------------------------------------------- recurrent layers and masks


def _recur(module: nn.Module, x: torch.Tensor, node: Node, mask: torch.Tensor | None) -> torch.Tensor:
    """Every state (N, T, units) or the last one (N, units); masked steps leave the state as it is."""
    if mask is not None and not isinstance(module, ResetBeforeGRU):
        return _recur_masked(module, x, node, mask)
    states, last = module(x) if mask is None else module(x, mask=mask)
    if not node.parameters["sequences"]:
        return _last(last)
    if mask is None or not node.parameters["bidirectional"]:
        return states
    return states.masked_fill(mask.logical_not()[..., None], 0.0)


def _attend(
    module: nn.Module, read: list[torch.Tensor], value_mask: torch.Tensor | None, query_mask: torch.Tensor | None
) -> torch.Tensor:
    masks = {"value_mask": value_mask, "query_mask": query_mask}
    context: torch.Tensor = module(*read, **{k: m for k, m in masks.items() if m is not None})
    return context


def _last(state: Any) -> torch.Tensor:
    hidden: torch.Tensor = state[0] if isinstance(state, tuple) else state
    return torch.cat(tuple(hidden), -1) if hidden.shape[0] > 1 else hidden[0]


def _recur_masked(module: nn.Module, x: torch.Tensor, node: Node, mask: torch.Tensor) -> torch.Tensor:
    """As Keras: masked steps are skipped; their place shows the state before them, in two directions zeros."""
    steps = x.shape[1]
    lengths = mask.sum(1)
    front = torch.argsort(mask.logical_not().long(), dim=1, stable=True)  # unmasked steps first, in order
    packed = nn.utils.rnn.pack_padded_sequence(
        x.gather(1, front[..., None].expand_as(x)), lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False
    )
    states, last = module(in_order(packed, front))
    empty = (lengths == 0)[:, None]
    if not node.parameters["sequences"]:
        return _last(last).masked_fill(empty, 0.0)
    states, _ = nn.utils.rnn.pad_packed_sequence(states, batch_first=True, total_length=steps)
    place = mask.cumsum(1) - 1
    shown = states.gather(1, place.clamp(min=0)[..., None].expand(-1, -1, states.shape[-1]))
    dark = mask.logical_not() if node.parameters["bidirectional"] else place < 0
    return shown.masked_fill(dark[..., None], 0.0)


# ---------------------------------------------------------------------- weights


def set_weights(net: nn.Module, architecture: Architecture, weights: Mapping[str, Array]) -> None:
    """Put neutral weights into the network. Raises ParameterError when names or shapes do not fit."""
    check_weights(architecture, weights)
    with torch.no_grad():
        for node in architecture.nodes:
            neutral = {name: np.asarray(weights[f"{node.name}/{name}"]) for name in node.weights}
            module = _module(net, node)
            for name, value in _to_torch(node, architecture, neutral).items():
                target = (
                    module.get_parameter(name) if name in dict(module.named_parameters()) else module.get_buffer(name)
                )
                target.copy_(torch.from_numpy(np.asarray(value, order="C")))


def get_weights(net: nn.Module, architecture: Architecture) -> dict[str, Array]:
    """The network's weights in the neutral names and layouts, as copies."""
    taken = {}
    for node in architecture.nodes:
        if node.weights:
            own = {k: v.detach().cpu().numpy() for k, v in _module(net, node).state_dict().items()}
            neutral = _to_neutral(node, architecture, own)
            taken.update({f"{node.name}/{name}": np.array(neutral[name], order="C") for name in node.weights})
    return taken


def _module(net: nn.Module, node: Node) -> nn.Module:
    full = f"{node.name}_full"
    name = full if hasattr(net, full) else node.name
    return net.get_submodule(name) if node.weights else nn.Module()


def _kernel_to_torch(kernel: Array) -> Array:
    """(*space, in, out) -> (out, in, *space); for transposed convolutions (*space, out, in) -> (in, out, *space)."""
    space = range(kernel.ndim - 2)
    return np.ascontiguousarray(kernel.transpose(kernel.ndim - 1, kernel.ndim - 2, *space))


def _kernel_to_neutral(weight: Array) -> Array:
    return weight.transpose(*range(2, weight.ndim), 1, 0)


def _depthwise_to_torch(kernel: Array) -> Array:
    """(*space, in, multiplier) -> (in · multiplier, 1, *space)."""
    moved = kernel.transpose(kernel.ndim - 2, kernel.ndim - 1, *range(kernel.ndim - 2))
    return moved.reshape(-1, 1, *kernel.shape[:-2])


def _depthwise_to_neutral(weight: Array, channels: int) -> Array:
    split = weight.reshape(channels, -1, *weight.shape[2:])
    return split.transpose(*range(2, split.ndim), 0, 1)


def _to_torch(node: Node, architecture: Architecture, w: Mapping[str, Array]) -> dict[str, Array]:
    if node.op == "recurrent":
        return _recurrent_to_torch(node, w)
    made: dict[str, Array] = {"bias": w["bias"]} if "bias" in w else {}
    if node.op in ("conv", "conv_transpose"):
        made["weight"] = _kernel_to_torch(w["kernel"])
    elif node.op == "depthwise_conv":
        made["weight"] = _depthwise_to_torch(w["kernel"])
    elif node.op == "separable_conv":
        made = {f"pointwise.{k}": v for k, v in made.items()}
        made["depthwise.weight"] = _depthwise_to_torch(w["depthwise_kernel"])
        made["pointwise.weight"] = _kernel_to_torch(w["pointwise_kernel"])
    elif node.op == "dense":
        made["weight"] = w["kernel"][_rows(node, architecture)].T
    elif node.op == "embedding":
        made["weight"] = w["embeddings"]
    elif node.op == "attention":
        made = dict(w)
    elif node.op in NORMS:
        made = {NORM[name]: value for name, value in w.items()}
    return made


def _to_neutral(node: Node, architecture: Architecture, own: Mapping[str, Array]) -> dict[str, Array]:
    if node.op == "recurrent":
        return _recurrent_to_neutral(node, own)
    made: dict[str, Array] = {"bias": own["bias"]} if "bias" in own else {}
    if node.op in ("conv", "conv_transpose"):
        made["kernel"] = _kernel_to_neutral(own["weight"])
    elif node.op == "depthwise_conv":
        made["kernel"] = _depthwise_to_neutral(own["weight"], node.weights["kernel"].shape[-2])
    elif node.op == "separable_conv":
        made = {"bias": own["pointwise.bias"]} if "pointwise.bias" in own else {}
        made["depthwise_kernel"] = _depthwise_to_neutral(own["depthwise.weight"], len(own["depthwise.weight"]))
        made["pointwise_kernel"] = _kernel_to_neutral(own["pointwise.weight"])
    elif node.op == "dense":
        made["kernel"] = own["weight"].T[np.argsort(_rows(node, architecture))]
    elif node.op == "embedding":
        made["embeddings"] = own["weight"]
    elif node.op == "attention":
        made = dict(own)
    elif node.op in NORMS:
        made = {name: own[NORM[name]] for name in node.weights}
    return made


NORMS = ("batch_norm", "layer_norm", "group_norm")
NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def _dense_after(flatten: Node, architecture: Architecture) -> bool:
    """Whether all that is read from a flatten is read by dense layers, so that their rows can be put in order."""
    readers = architecture.readers[flatten.name]
    given = flatten.name in architecture.outputs.values()
    follow = [r for r in readers if r.op in ELEMENTWISE and r.parameters.get("kind") != "softmax"]
    rest = [r for r in readers if r not in follow]
    return not given and all(r.op == "dense" for r in rest) and all(_dense_after(r, architecture) for r in follow)


def _rows(dense: Node, architecture: Architecture) -> Array:
    """Which row of the neutral kernel each torch input has: torch flattens (C, *space), Keras (*space, C)."""
    node = architecture.by_name[dense.parents[0]]
    while node.op in ELEMENTWISE:
        node = architecture.by_name[node.parents[0]]
    size = dense.weights["kernel"].shape[0]
    if node.op != "flatten" or not _dense_after(node, architecture) or not _channels_first(node, architecture):
        return np.arange(size)
    shape = architecture.by_name[node.parents[0]].shape
    return np.moveaxis(np.arange(math.prod(shape)).reshape(shape), -1, 0).ravel()


def _channels_first(flatten: Node, architecture: Architecture) -> bool:
    return layouts(architecture)[flatten.parents[0]] == FIRST


def _recurrent_to_torch(node: Node, w: Mapping[str, Array]) -> dict[str, Array]:
    made: dict[str, Array] = {}
    for side, end in _sides(node):
        for name, kind in (("kernel", "weight_ih"), ("recurrent_kernel", "weight_hh")):
            made[f"{kind}_l0{end}"] = _gates(node, w[side + name]).T
        biases = _gates(node, np.atleast_2d(w[f"{side}bias"]))
        made.update(zip((f"bias_ih_l0{end}", f"bias_hh_l0{end}"), biases, strict=False))
    return made


def _recurrent_to_neutral(node: Node, own: Mapping[str, Array]) -> dict[str, Array]:
    made = {}
    for side, end in _sides(node):
        made[f"{side}kernel"] = _gates(node, own[f"weight_ih_l0{end}"].T, back=True)
        made[f"{side}recurrent_kernel"] = _gates(node, own[f"weight_hh_l0{end}"].T, back=True)
        biases = [own[f"{kind}_l0{end}"] for kind in ("bias_ih", "bias_hh") if f"{kind}_l0{end}" in own]
        made[f"{side}bias"] = _gates(node, np.stack(biases), back=True).reshape(node.weights[f"{side}bias"].shape)
    return made


def _sides(node: Node) -> tuple[tuple[str, str], ...]:
    return (("forward_", ""), ("backward_", "_reverse")) if node.parameters["bidirectional"] else (("", ""),)


def _gates(node: Node, columns: Array, back: bool = False) -> Array:
    """The blocks of gate columns (..., gates · units) in the other framework's order."""
    order = GATE_ORDER[node.parameters["cell"]]
    blocks = np.split(columns, len(order), axis=-1)
    return np.concatenate([blocks[i] for i in (np.argsort(order) if back else order)], axis=-1)
