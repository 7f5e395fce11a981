"""The neutral description of a network, built as an ordinary functional keras.Model, and its weights."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from xaikit.errors import ParameterError
from xaikit.zoo.building import Architecture, Node, check_weights, initial_weights
from xaikit_keras.layers import LocalResponseNormalization, Sampling

Array = npt.NDArray[Any]

# Starting weights come from `initial_weights`; Keras' own would be drawn with Python's global random state.
ZEROS = {"kernel_initializer": "zeros", "bias_initializer": "zeros"}
CELLS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU, "simple_rnn": keras.layers.SimpleRNN}


def build(architecture: Architecture, seed: int = 0, weights: Mapping[str, Array] | None = None) -> keras.Model:
    """A network, channels last; its starting weights are `weights`, or those of `initial_weights(seed)`."""
    with _python_randomness_kept():
        net = _functional(architecture)
    set_weights(net, architecture, initial_weights(architecture, seed) if weights is None else weights)
    return net


@contextmanager
def _python_randomness_kept() -> Iterator[None]:
    """Keras draws unused seeds for copied cells from Python's global generator: give its state back."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)


def _functional(architecture: Architecture) -> keras.Model:
    tensors: dict[str, Any] = {}
    for node in architecture.nodes:
        if node.op == "input":
            kind = "int32" if node.parameters["integer"] else "float32"
            tensors[node.name] = keras.Input(node.shape, name=node.name, dtype=kind)
        else:
            read = [tensors[p] for p in node.parents]
            layer = LAYERS[node.op](node, architecture)
            tensors[node.name] = layer(read if len(read) > 1 else read[0])
            layer.trainable = not node.weights or any(w.trainable for w in node.weights.values())
    inputs = {n.name: tensors[n.name] for n in architecture.inputs}
    outputs = {key: tensors[name] for key, name in architecture.outputs.items()}
    return keras.Model(_one_or_all(inputs), _one_or_all(outputs), name=architecture.name)


def _one_or_all(tensors: dict[str, Any]) -> Any:
    return tensors if len(tensors) > 1 else next(iter(tensors.values()))


def set_weights(net: keras.Model, architecture: Architecture, weights: Mapping[str, Array]) -> None:
    """Put neutral weights into the network. Raises ParameterError when names or shapes do not fit."""
    check_weights(architecture, weights)
    for node in architecture.nodes:
        if node.weights:
            net.get_layer(node.name).set_weights([np.asarray(weights[f"{node.name}/{name}"]) for name in node.weights])


def get_weights(net: keras.Model, architecture: Architecture) -> dict[str, Array]:
    """The network's weights in the neutral names and layouts, as copies."""
    taken = {}
    for node in architecture.nodes:
        if node.weights:
            values = net.get_layer(node.name).get_weights()
            if len(values) != len(node.weights):
                raise ParameterError(f"{node.name} has {len(values)} weights, expected {', '.join(node.weights)}")
            taken.update({f"{node.name}/{k}": np.array(v) for k, v in zip(node.weights, values, strict=True)})
    return taken


# ---------------------------------------------------------------------- from nodes to layers


def _rank(node: Node, architecture: Architecture) -> int:
    return len(architecture.by_name[node.parents[0]].shape) - 1


def _ranked(kind: str, node: Node, architecture: Architecture) -> Any:
    return getattr(keras.layers, f"{kind}{_rank(node, architecture)}D")


def _conv(node: Node, architecture: Architecture) -> keras.Layer:
    p = node.parameters
    return _ranked("Conv", node, architecture)(
        p["filters"],
        p["kernel"],
        strides=p["stride"],
        padding=p["padding"],
        dilation_rate=p["dilation"],
        use_bias=p["bias"],
        name=node.name,
        **ZEROS,
    )


def _depthwise(node: Node, architecture: Architecture) -> keras.Layer:
    p = node.parameters
    return _ranked("DepthwiseConv", node, architecture)(
        _plain(p["kernel"]),
        strides=_plain(p["stride"]),
        padding=p["padding"],
        depth_multiplier=p["multiplier"],
        use_bias=p["bias"],
        depthwise_initializer="zeros",
        bias_initializer="zeros",
        name=node.name,
    )


def _separable(node: Node, architecture: Architecture) -> keras.Layer:
    p = node.parameters
    return _ranked("SeparableConv", node, architecture)(
        p["filters"],
        _plain(p["kernel"]),
        strides=_plain(p["stride"]),
        padding=p["padding"],
        use_bias=p["bias"],
        depthwise_initializer="zeros",
        pointwise_initializer="zeros",
        bias_initializer="zeros",
        name=node.name,
    )


def _plain(sizes: tuple[int, ...]) -> Any:
    return sizes[0] if len(sizes) == 1 else sizes


def _transposed(node: Node, architecture: Architecture) -> keras.Layer:
    p = node.parameters
    kind = getattr(keras.layers, f"Conv{_rank(node, architecture)}DTranspose")
    return kind(
        p["filters"],
        p["kernel"],
        strides=p["stride"],
        padding=p["padding"],
        use_bias=p["bias"],
        name=node.name,
        **ZEROS,
    )


def _pool(kind: str) -> Callable[[Node, Architecture], keras.Layer]:
    def made(node: Node, architecture: Architecture) -> keras.Layer:
        p = node.parameters
        layer = _ranked(kind, node, architecture)
        return layer(p["kernel"], strides=p["stride"], padding=p["padding"], name=node.name)

    return made


def _global_pool(kind: str) -> Callable[[Node, Architecture], keras.Layer]:
    return lambda node, architecture: _ranked(kind, node, architecture)(name=node.name)


def _upsample(node: Node, architecture: Architecture) -> keras.Layer:
    p = node.parameters
    kind = {"interpolation": p["kind"]} if len(p["factor"]) == 2 else {}
    return _ranked("UpSampling", node, architecture)(_plain(p["factor"]), name=node.name, **kind)


def _zero_pad(node: Node, architecture: Architecture) -> keras.Layer:
    return _ranked("ZeroPadding", node, architecture)(_plain(node.parameters["pads"]), name=node.name)


def _batch_norm(node: Node, architecture: Architecture) -> keras.Layer:
    p = node.parameters
    return keras.layers.BatchNormalization(
        scale=p["scale"], epsilon=p["epsilon"], momentum=p["momentum"], name=node.name
    )


def _embedding(node: Node, architecture: Architecture) -> keras.Layer:
    p = node.parameters
    return keras.layers.Embedding(
        p["vocabulary"], p["size"], mask_zero=p["mask_zero"], embeddings_initializer="zeros", name=node.name
    )


def _recurrent(node: Node, architecture: Architecture) -> keras.Layer:
    p = node.parameters
    more = {"reset_after": p["reset_after"]} if p["cell"] == "gru" else {}
    cell = CELLS[p["cell"]](
        p["units"],
        return_sequences=p["sequences"],
        recurrent_initializer="zeros",
        seed=0,
        name=f"{node.name}_cell" if p["bidirectional"] else node.name,
        **ZEROS,
        **more,
    )
    return keras.layers.Bidirectional(cell, name=node.name) if p["bidirectional"] else cell


def _attention(node: Node, architecture: Architecture) -> keras.Layer:
    kinds = {"additive": keras.layers.AdditiveAttention, "dot": keras.layers.Attention}
    return kinds[node.parameters["kind"]](use_scale=node.parameters["scale"], name=node.name)


def _group_norm(node: Node, architecture: Architecture) -> keras.Layer:
    p = node.parameters
    return keras.layers.GroupNormalization(p["groups"], epsilon=p["epsilon"], name=node.name)


LAYERS: Mapping[str, Callable[[Node, Architecture], keras.Layer]] = {
    "conv": _conv,
    "depthwise_conv": _depthwise,
    "separable_conv": _separable,
    "conv_transpose": _transposed,
    "max_pool": _pool("MaxPooling"),
    "avg_pool": _pool("AveragePooling"),
    "global_avg_pool": _global_pool("GlobalAveragePooling"),
    "global_max_pool": _global_pool("GlobalMaxPooling"),
    "upsample": _upsample,
    "zero_pad": _zero_pad,
    "dense": lambda n, a: keras.layers.Dense(
        n.parameters["units"], use_bias=n.parameters["bias"], name=n.name, **ZEROS
    ),
    "activation": lambda n, a: keras.layers.Activation(n.parameters["kind"], name=n.name),
    "dropout": lambda n, a: keras.layers.Dropout(n.parameters["rate"], seed=0, name=n.name),
    "flatten": lambda n, a: keras.layers.Flatten(name=n.name),
    "reshape": lambda n, a: keras.layers.Reshape(n.shape, name=n.name),
    "concat": lambda n, a: keras.layers.Concatenate(name=n.name),
    "add": lambda n, a: keras.layers.Add(name=n.name),
    "batch_norm": _batch_norm,
    "layer_norm": lambda n, a: keras.layers.LayerNormalization(epsilon=n.parameters["epsilon"], name=n.name),
    "embedding": _embedding,
    "recurrent": _recurrent,
    "attention": _attention,
    "repeat": lambda n, a: keras.layers.RepeatVector(n.parameters["times"], name=n.name),
    "sampling": lambda n, a: Sampling(name=n.name),
    "group_norm": _group_norm,
    "local_response_norm": lambda n, a: LocalResponseNormalization(**n.parameters, name=n.name),
}
