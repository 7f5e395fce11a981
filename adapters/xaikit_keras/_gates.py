"""What happens inside recurrent and attention layers: gates and states at every step, attention weights.

A recurrent layer is walked through step by step and its cell computed here from the same weights, so that every gate
can be read, replaced, and be the source of a gradient that follows all later steps.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import keras
from keras import ops

from xaikit.graph import GATE, Geometry, Layer
from xaikit_keras._private import inner_softmax, intercepted, replaced, replaced_scores

Tap = Callable[[str, int | None, Any], Any]
"""From the name of a gate, the time step (None: all at once) and its value to the value that goes on."""

Shape = tuple[int | None, ...]

CELLS: Mapping[str, tuple[str, ...]] = {
    "LSTMCell": ("i", "f", "g", "o", "c", "h"),
    "GRUCell": ("z", "r", "n", "h"),
    "SimpleRNNCell": ("h",),
}
INNER_SOFTMAX = ("MultiHeadAttention", "GroupedQueryAttention")
SCORED = ("Attention", "AdditiveAttention")


def gates_of(operation: Any, layer: Layer, sources: Sequence[Shape]) -> list[tuple[str, Layer]]:
    """List the gates of a recurrent or attention layer as layers named "layer/gate".

    `sources` are the shapes of what the layer reads: a sequence, or query and value.
    """
    found: list[tuple[str, Layer]] = []

    def add(gate: str, kind: str, axes: tuple[str, ...], shape: Shape, geometry: Geometry | None = None) -> None:
        found.append((gate, Layer(f"{layer.name}/{gate}", kind, axes, shape, layer.parents, geometry)))

    for prefix, rnn in _directions(operation):
        for gate in CELLS[_class(rnn.cell)]:
            seen = Geometry("suffix" if rnn.go_backwards else "prefix")
            add(prefix + gate, GATE, ("sample", "time", "channel"), (sources[0][1], rnn.cell.units), seen)
    if _class(operation) in (*INNER_SOFTMAX, *SCORED):
        heads = _heads(operation)
        pair = (sources[0][1], sources[min(1, len(sources) - 1)][1])
        axes = ("sample", *("head",) * len(heads), "target", "source")
        add("weights", "attention_weights", axes, (*heads, *pair))
    return found


def _class(operation: Any) -> str:
    """Give the name of Keras' own class that a layer is or is derived from."""
    known = (c.__name__ for c in type(operation).__mro__ if c.__module__.split(".")[0] == "keras")
    return next(known, "")


def _directions(operation: Any) -> list[tuple[str, Any]]:
    """Give the recurrent layers that an operation consists of, with the prefix of their gates' names."""
    parts = [("", operation)]
    if _class(operation) == "Bidirectional":
        parts = [("forward/", operation.forward_layer), ("backward/", operation.backward_layer)]
    return [(prefix, rnn) for prefix, rnn in parts if _class(getattr(rnn, "cell", None)) in CELLS]


def _heads(operation: Any) -> tuple[int, ...]:
    if _class(operation) in SCORED:
        return ()
    return (int(getattr(operation, "num_heads", None) or operation.num_query_heads),)


def opened(operation: Any, tap: Tap, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Call a layer with every gate passed through `tap`."""
    kind = _class(operation)
    if kind in INNER_SOFTMAX:
        return _attending(operation, tap, call, args, kwargs)
    if kind in SCORED:
        return _scoring(operation, tap, call, args, kwargs)
    with ExitStack() as stack:
        for prefix, rnn in _directions(operation):
            # Keras' own loop, unrolled: it then calls the cell once for every step, and keeps masks and states right
            stack.enter_context(replaced(rnn, "unroll", True))
            if hasattr(rnn, "use_cudnn"):
                stack.enter_context(replaced(rnn, "use_cudnn", False))
            if rnn is operation:
                return _walk(prefix, rnn, tap, call, args, kwargs)

            def walk(inner: Any, turn: int, inner_call: Any, a: Any, k: Any, prefix: str = prefix) -> Any:
                return _walk(prefix, inner, tap, inner_call, a, k)

            stack.enter_context(intercepted([rnn], walk))
        return call(*args, **kwargs)


def _walk(prefix: str, rnn: Any, tap: Tap, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    mask = kwargs.get("mask")
    mask = mask[0] if isinstance(mask, list | tuple) else mask
    steps = args[0].shape[1]
    formula = _FORMULAS[_class(rnn.cell)]

    def cell(inner: Any, turn: int, inner_call: Any, a: Any, k: Any) -> Any:
        time = steps - 1 - turn if rnn.go_backwards else turn
        states = keras.tree.flatten(a[1] if len(a) > 1 else k["states"])
        keep = None if mask is None else ops.cast(mask[:, time], "bool")[:, None]
        new = formula(inner, a[0], states, keep, lambda gate, value: tap(prefix + gate, time, value))
        return new[0], new

    zeroing = mask is not None and rnn.go_backwards and rnn.zero_output_for_mask
    with ExitStack() as stack:
        stack.enter_context(intercepted([rnn.cell], cell))
        if zeroing:
            stack.enter_context(replaced(rnn, "zero_output_for_mask", False))
        result = call(*args, **kwargs)
    return _zeroed(rnn, result, mask) if zeroing else result


def _zeroed(rnn: Any, result: Any, mask: Any) -> Any:
    """Put zeros where steps are masked; Keras' unrolled loop takes the mask of the wrong direction going backwards."""
    output, *states = result if isinstance(result, list | tuple) else [result]
    there = ops.cast(mask, "bool")
    there = ops.flip(there, 1) if rnn.return_sequences else there[:, 0]
    output = ops.where(there[..., None], output, ops.zeros_like(output))
    return [output, *states] if states else output


def _kept(keep: Any, new: Any, old: Any) -> Any:
    """At a masked step the state stays what it was."""
    return new if keep is None else ops.where(keep, new, old)


def _lstm(cell: Any, x: Any, states: Any, keep: Any, tap: Callable[[str, Any], Any]) -> list[Any]:
    h, c = states
    total = ops.matmul(x, cell.kernel) + ops.matmul(h, cell.recurrent_kernel)
    total = total + cell.bias if cell.use_bias else total
    before = ops.split(total, 4, axis=-1)
    i, f, o = (tap(g, cell.recurrent_activation(before[k])) for g, k in (("i", 0), ("f", 1), ("o", 3)))
    g = tap("g", cell.activation(before[2]))
    c = tap("c", _kept(keep, f * c + i * g, c))
    return [tap("h", _kept(keep, o * cell.activation(c), h)), c]


def _gru(cell: Any, x: Any, states: Any, keep: Any, tap: Callable[[str, Any], Any]) -> list[Any]:
    h = states[0]
    biases: list[Any] = [0, 0]
    if cell.use_bias:
        biases = ops.unstack(cell.bias) if cell.reset_after else [cell.bias, 0]
    xz, xr, xn = ops.split(ops.matmul(x, cell.kernel) + biases[0], 3, axis=-1)
    units = cell.units
    rest = ops.convert_to_tensor(cell.recurrent_kernel)
    if cell.reset_after:
        hz, hr, hn = ops.split(ops.matmul(h, rest) + biases[1], 3, axis=-1)
    else:
        hz, hr = ops.split(ops.matmul(h, rest[:, : 2 * units]), 2, axis=-1)
    z = tap("z", cell.recurrent_activation(xz + hz))
    r = tap("r", cell.recurrent_activation(xr + hr))
    n = tap("n", cell.activation(xn + (r * hn if cell.reset_after else ops.matmul(r * h, rest[:, 2 * units :]))))
    return [tap("h", _kept(keep, z * h + (1 - z) * n, h))]


def _simple(cell: Any, x: Any, states: Any, keep: Any, tap: Callable[[str, Any], Any]) -> list[Any]:
    h = states[0]
    total = ops.matmul(x, cell.kernel) + ops.matmul(h, cell.recurrent_kernel)
    total = total + cell.bias if cell.use_bias else total
    return [tap("h", _kept(keep, cell.activation(total), h))]


_FORMULAS: Mapping[str, Callable[..., list[Any]]] = {"LSTMCell": _lstm, "GRUCell": _gru, "SimpleRNNCell": _simple}


def _attending(operation: Any, tap: Tap, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Ask for the scores, so that Keras takes the path that computes them, and tap the softmax inside."""

    def softmax(inner: Any, turn: int, inner_call: Any, a: Any, k: Any) -> Any:
        return tap("weights", None, inner_call(*a, **k))

    with intercepted([inner_softmax(operation)], softmax):
        result = call(*args, **{**kwargs, "return_attention_scores": True})
    return result if kwargs.get("return_attention_scores") else result[0]


def _scoring(operation: Any, tap: Tap, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    def applied(original: Callable[..., Any], scores: Any, value: Any, **options: Any) -> Any:
        weights = tap("weights", None, original(scores, value, **options)[1])
        return ops.matmul(weights, value), weights

    with replaced_scores(operation, applied):
        return call(*args, **kwargs)
