"""Everything that reaches into private parts of Keras, in one place."""

import random
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache, lru_cache
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common.masking import get_keras_mask, set_keras_mask
from keras.src.utils.naming import to_snake_case

from xaikit.masked import MaskedRows
from xaikit_keras._masked import to_tensor

try:
    from tensorflow.python.eager import execute
    from tensorflow.python.eager.context import context
    from tensorflow.python.framework.constant_op import convert_to_eager_tensor
except ImportError:  # another TensorFlow keeps them elsewhere: what is quick by them goes the ordinary way
    execute = context = convert_to_eager_tensor = None

Handler = Callable[[Any, int, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]

_ABSENT = object()
_OPEN = threading.RLock()
"""Layers may be shared between wrapped networks, so only one of them is intercepted at a time."""


def operations(net: Any) -> list[Any]:
    """List all that a network may call: itself, its layers at any depth, and the operations of functional graphs."""
    found: dict[int, Any] = {}
    for layer in net._flatten_layers():
        found.setdefault(id(layer), layer)
        graph = functional(layer)
        for operation in graph.operations if graph is not None else ():
            found.setdefault(id(operation), operation)
    return list(found.values())


def functional(layer: Any) -> Any:
    """Give the graph of a functional model or of a built Sequential, else None."""
    if isinstance(layer, keras.Sequential):
        return layer._functional
    return layer if isinstance(layer, keras.Model) and hasattr(layer, "operations") else None


def sublayers(layer: Any) -> list[Any]:
    """List the layers directly inside a layer."""
    return list(getattr(layer, "_layers", ()))


def is_container(operation: Any) -> bool:
    """Say whether a call is seen through to the layers inside: models, and layers of the user's own that hold layers.

    Keras' own composite layers (Bidirectional, MultiHeadAttention, TimeDistributed, ...) are one layer each.
    """
    if isinstance(operation, keras.Model):
        return True
    if not isinstance(operation, keras.Layer) or not sublayers(operation):
        return False
    owner = next(c for c in type(operation).__mro__ if "call" in vars(c))
    return owner.__module__.split(".")[0] != "keras"


def automatic_name(layer: Any) -> str:
    """Give the name, less its number, that Keras gives to a layer whose user gave none."""
    return str(to_snake_case(type(layer).__name__))


def is_built(net: Any) -> bool:
    """Say whether every layer has its weights."""
    return all(layer.built for layer in net._flatten_layers())


def python_call(operation: Any) -> Callable[..., Any]:
    """Give an operation's `call` as plain Python, also where the user decorated it with tf.function."""
    call = getattr(operation, _entry(operation))
    return getattr(call, "python_function", call)


def is_decorated(operation: Any) -> bool:
    """Say whether the user put tf.function around `call`, which would hide the layers inside from interception."""
    return hasattr(getattr(operation, "call", None), "python_function")


def _entry(operation: Any) -> str:
    return "quantized_call" if getattr(operation, "quantization_mode", None) else "call"


@contextmanager
def intercepted(targets: Sequence[Any], handler: Handler) -> Iterator[None]:
    """Send the calls of `targets` made by this thread to `handler(operation, turn, call, args, kwargs)`.

    `turn` counts the calls of one operation from 0. Every operation gets its own `call` back, also on errors.
    """
    with _OPEN, ExitStack() as undo:
        for operation in targets:
            undo.enter_context(replaced(operation, _entry(operation), _counted(operation, handler)))
        yield


def _counted(operation: Any, handler: Handler) -> Callable[..., Any]:
    owner, call, turn = threading.get_ident(), python_call(operation), iter(range(2**31))

    def intercepting(*args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() != owner:
            return call(*args, **kwargs)
        return handler(operation, next(turn), call, args, kwargs)

    return intercepting


def inner_softmax(attention: Any) -> Any:
    """Give the layer that turns the scores of a multi-head attention into weights."""
    return attention._softmax


@contextmanager
def replaced_scores(attention: Any, function: Callable[..., Any]) -> Iterator[None]:
    """Give an Attention layer another function from (scores, value) to (result, weights) for a while.

    `function` is called with the original as its first argument.
    """
    original = attention._apply_scores
    with replaced(attention, "_apply_scores", lambda *args, **kwargs: function(original, *args, **kwargs)):
        yield


@contextmanager
def replaced(target: Any, name: str, value: Any) -> Iterator[None]:
    """Set an attribute behind Keras' tracking and locks, and restore what was there."""
    before = vars(target).get(name, _ABSENT)
    object.__setattr__(target, name, value)
    try:
        yield
    finally:
        if before is _ABSENT:
            object.__delattr__(target, name)
        else:
            object.__setattr__(target, name, before)


class _Scope(keras.src.backend.name_scope):
    """Keras' scope of names, under a name that a graph takes: Keras takes any for a layer, as "my network (2)"."""

    def __init__(self, name: str, **more: Any) -> None:
        super().__init__(name, **more)
        self._tf_name_scope = tf.name_scope(re.sub(r"^[^A-Za-z0-9.]|[^A-Za-z0-9_.-]", ".", name))


@contextmanager
def any_names() -> Iterator[None]:
    """Let networks be traced whatever their layers are called.

    Keras' own scope raises in a graph for a name with a space, and then leaves itself open for all that follows.
    """
    with _OPEN, replaced(keras.src.backend, "name_scope", _Scope):
        yield


def as_graph(function: Callable[..., Any], *specs: Any) -> Any:
    """Trace a function for arguments of these specifications; give the concrete function.

    Python's control flow over tensors is not converted, as in Keras' own `fit` and `predict`.
    """
    with any_names():
        return tf.function(function, autograph=False).get_concrete_function(*specs)


@contextmanager
def untouched(net: Any, values: Sequence[tuple[Any, Any]] = ()) -> Iterator[None]:
    """Run a network without side effects, with `values` in the place of some variables.

    Keras' own stateless scope discards what a call assigns to variables (states of stateful recurrent layers, which
    start from zero here, seeds, statistics); the losses collected by the last call of the user are put back.
    """
    layers = net._flatten_layers()
    losses = [(layer, list(layer._losses), set(layer._loss_ids)) for layer in layers if layer._losses]
    zeros = [(state, keras.ops.zeros_like(state.value)) for state in _recurrent_states(layers)]
    try:
        with keras.StatelessScope(state_mapping=[*values, *zeros]):
            yield
    finally:
        for layer, kept, ids in losses:
            layer._losses[:] = kept
            layer._loss_ids.clear()
            layer._loss_ids.update(ids)


def _recurrent_states(layers: Sequence[Any]) -> list[Any]:
    found: dict[int, Any] = {}
    for layer in layers:
        if getattr(layer, "stateful", False):
            found.update((id(s), s) for s in keras.tree.flatten(getattr(layer, "states", None)) if s is not None)
    return list(found.values())


@contextmanager
def python_randomness_kept() -> Iterator[None]:
    """Keras draws the seeds of new layers from Python's global generator: give its state back."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)


def with_mask_of(source: Any, tensor: Any) -> Any:
    """Hand the Keras mask of one tensor on to another."""
    mask = get_keras_mask(source)
    if mask is not None:
        set_keras_mask(tensor, mask)
    return tensor


@contextmanager
def operations_noted(note: Callable[[str, Sequence[Any], Any, Sequence[Any]], Any]) -> Iterator[None]:
    """Call `note(type, inputs, attributes, outputs)` for every operation that TensorFlow runs eagerly."""
    from tensorflow.python.framework import op_callbacks

    def noted(kind: str, inputs: Any, attributes: Any, outputs: Any, op_name: Any = None, graph: Any = None) -> None:
        if graph is None:
            plain = kind.decode() if isinstance(kind, bytes) else kind
            note(str(plain), inputs, [a.decode() if isinstance(a, bytes) else a for a in attributes], outputs)

    op_callbacks.add_op_callback(noted)
    try:
        yield
    finally:
        op_callbacks.remove_op_callback(noted)


def operation_arguments(kind: str) -> Any:
    """Give the definition of one of TensorFlow's operations."""
    from tensorflow.python.framework import op_def_registry

    return op_def_registry.get(kind)


def called_functions(op: Any) -> list[str]:
    """Name the functions that an operation of a graph calls: the body of a loop, a branch, a tf.function."""
    return [a.func.name for a in op.node_def.attr.values() if a.HasField("func")]


def frozen(traced: Any) -> Any:
    """Give a traced function with the weights of now as constants."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    return convert_variables_to_constants_v2(traced)


def written_as_onnx(traced: Any, inputs: list[str], outputs: list[str]) -> bytes:
    """Write a traced function, its inputs and outputs by name, as ONNX.

    tf2onnx's own entry copies the graph before each of a dozen rewritings, until nothing changes: 25 s for ResNet-50,
    where the three that matter here take 1 s; ONNX Runtime does the rest.
    """
    import tensorflow as tf
    from tf2onnx import optimizer, tf_loader
    from tf2onnx.tfonnx import process_tf_graph

    chosen = {name: optimizer._optimizers[name] for name in ("optimize_transpose", "fold_constants", "remove_identity")}
    with tf.device("/cpu:0"):
        graph_def = tf_loader.from_function(traced, inputs, outputs)
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(graph_def, name="")
            made = process_tf_graph(graph, opset=18, input_names=inputs, output_names=outputs, continue_on_error=False)
            made = optimizer.optimize_graph(made, catch_errors=False, optimizers=chosen)
            return bytes(made.make_model("xaikit").SerializeToString())


def stored_in(variable: Any) -> Any:
    """Give TensorFlow's own variable that one of Keras keeps its value in, whatever scope is open."""
    stored = variable._value
    return variable.value if stored is None else stored


def read_together(stored: Sequence[Any]) -> Callable[[], list[Any]]:
    """Give what reads TensorFlow's variables by one operation; one by one where they lie on several devices."""
    if not reads_together() or len({v.device for v in stored}) != 1:
        return lambda: [v.read_value() for v in stored]
    count, handles = len(stored), [v.handle for v in stored]
    attributes = ("N", count, "dtypes", tuple(v.dtype.as_datatype_enum for v in stored))
    return lambda: list(execute.execute(b"_ReadVariablesOp", count, handles, attributes, context()))


def flatly_called(traced: Any) -> Callable[[Sequence[Any]], Any]:
    """Give a traced function as one of arrays, lists of arrays and None, called without all that is for training.

    What TensorFlow does around a call (its arguments compared with its signature, the tapes that may watch, what it has
    captured gathered anew) takes as long as a small network's pass.
    """
    return _past_tapes(traced) if calls_flatly() else _as_usual(traced)


def _as_usual(traced: Any) -> Callable[[Sequence[Any]], Any]:
    """Call a traced function as TensorFlow documents it."""

    def call(arguments: Sequence[Any]) -> Any:
        return traced(*tf.nest.map_structure(lambda a: None if a is None else to_tensor(a), list(arguments)))

    return call


def _past_tapes(traced: Any) -> Callable[[Sequence[Any]], Any]:
    inner, captured, made = traced._inference_function, traced._captured_inputs, traced.structured_outputs
    count = len(inner.function_type.flat_outputs)
    fixed = None if any(callable(c) for c in captured) else traced.captured_inputs

    def call(arguments: Sequence[Any]) -> Any:
        here = context()
        flat = [a for given in arguments if given is not None for a in (given if isinstance(given, list) else [given])]
        tensors = [_held(a, here) for a in flat]
        found = here.call_function(inner.name, tensors + (traced.captured_inputs if fixed is None else fixed), count)
        return _packed(made, iter(found))

    return call


FEW_BYTES = 1024
"""Arrays of no more, as the weights of the classes in a score mostly are, stay tensors once they have been made."""


def _held(a: Any, here: Any) -> Any:
    """Turn an array into a tensor, which takes as long for few numbers as for many."""
    if isinstance(a, MaskedRows):
        return to_tensor(a)
    if a.nbytes > FEW_BYTES or a.dtype.kind not in "biuf":
        return convert_to_eager_tensor(a, here)
    return _small(a.tobytes(), a.dtype, a.shape, here.device_name)


@lru_cache(256)
def _small(numbers: bytes, dtype: Any, shape: tuple[int, ...], device: str) -> Any:
    return convert_to_eager_tensor(np.frombuffer(numbers, dtype).reshape(shape), context())


def _packed(like: Any, found: Iterator[Any]) -> Any:
    """Put tensors into a structure of mappings, lists and tuples, in the order in which TensorFlow takes it apart."""
    if like is None:
        return None
    if isinstance(like, (list, tuple)):
        return [_packed(part, found) for part in like]
    if isinstance(like, dict):
        put = {name: _packed(like[name], found) for name in sorted(like)}
        return {name: put[name] for name in like}
    return next(found)


def _works(attempt: Callable[[], Any], expected: Any) -> bool:
    """Whether a way through TensorFlow's private parts gives what it should; any other version may lack any of them."""
    try:
        return bool(attempt() == expected)
    except Exception:
        return False


@cache
def reads_together() -> bool:
    """Whether this TensorFlow reads two variables by one operation; tried once, when it is first needed."""
    with tf.device("/cpu:0"):
        kept = [tf.Variable(v, dtype=tf.float32) for v in (1.0, 2.0)]
        handles, attributes = [v.handle for v in kept], ("N", 2, "dtypes", (tf.float32.as_datatype_enum,) * 2)
        return _works(
            lambda: [float(v) for v in execute.execute(b"_ReadVariablesOp", 2, handles, attributes, context())],
            [1.0, 2.0],
        )


@cache
def calls_flatly() -> bool:
    """Whether a traced function of an array, a list and None, which reads a variable, can be called past the tapes."""
    with tf.device("/cpu:0"):
        kept = tf.Variable(3.0)
        spec = tf.TensorSpec((None,), tf.float32)
        traced = tf.function(lambda x, more, none: (x * kept, [more[0] + 1.0], none), autograph=False)
        given = [np.ones(1, np.float32), [np.zeros(1, np.float32)], None]
        made = traced.get_concrete_function(spec, [spec], None)

        def attempt() -> Any:
            y, (z,), none = _past_tapes(made)(given)
            return float(y[0]), float(z[0]), none

        return _works(attempt, (3.0, 1.0, None))
