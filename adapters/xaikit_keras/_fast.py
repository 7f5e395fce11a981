"""Accelerated copies of Keras networks: a graph with its weights as constants, and ONNX Runtime.

A copy is made of a trace of the network, which is left as it was found, and is compared with it once.
"""

import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from xaikit.accelerated import Accelerated, package, reason, session
from xaikit.arrays import Array, Tensors, leaves, length
from xaikit.errors import ModelError, NotSupported, UnknownName
from xaikit.inputs import ScoreKind
from xaikit_keras._model import KerasModel
from xaikit_keras._passes import Pass, Task, before_final
from xaikit_keras._private import as_graph, frozen, operations, written_as_onnx
from xaikit_keras._tensors import prepared
from xaikit_keras._traced import made_rows

Form = tuple[ScoreKind, str]
"""A form of the score, and the output's name, "" for the only one."""
Many = Callable[[list[Array]], Sequence[Array]]
"""Gives all forms of all outputs for the inputs in their order."""

_MAKING = threading.Lock()
"""The converter keeps what it does in variables of its module, so one copy is made at a time."""


def fast(model: KerasModel, kind: str) -> Accelerated:
    """Give an accelerated copy of a kind; raises NotSupported with the reason where there is none."""
    makers: dict[str, Callable[[KerasModel], Accelerated]] = {
        "auto": folded,
        "channels-last": folded,
        "onnxruntime": in_onnxruntime,
        "compile": compiled,
    }
    if kind not in makers:
        raise UnknownName("kind of accelerated copy", kind, makers)
    with _MAKING:
        return makers[kind](model)


def folded(model: KerasModel) -> Accelerated:
    """Give a copy whose weights are constants, so that TensorFlow folds batch norms into convolutions before them."""
    _require(model)
    layers = model.layers
    folds = (p for n in layers.values() if n.kind == "batch_norm" for p in n.parents if p in layers)
    if not any("conv" in layers[p].kind for p in folds):
        raise NotSupported(
            f"{model.name} has no batch norm right behind a convolution, and its graph is channels last already: "
            "nothing to gain; use accelerate='onnxruntime' or 'none'"
        )
    traced, names, forms = _traced(model)
    constant = frozen(traced)

    def run(parts: list[Array]) -> Sequence[Array]:
        return [t.numpy() for t in constant(*map(tf.convert_to_tensor, parts))]

    return _copy(model, "folded", names, forms, run)


def compiled(model: KerasModel) -> Accelerated:
    """Refuse: measured, XLA is slower on a CPU than the graph that is run without it."""
    raise NotSupported(
        f"{model.name} runs as a compiled graph already, and XLA made it slower where it was measured: "
        "use accelerate='onnxruntime' or 'auto'"
    )


def in_onnxruntime(model: KerasModel) -> Accelerated:
    """Give a copy that ONNX Runtime runs on the CPU, with the logits as outputs beside a final softmax or sigmoid."""
    for name in ("onnxruntime", "onnx", "tf2onnx"):
        package(name)
    _require(model)
    if model.device != "cpu":
        raise NotSupported(f"{model.name} is on {model.device}, and ONNX Runtime is used on the CPU alone")
    traced, names, forms = _traced(model)
    inputs, outputs = [t.name for t in traced.inputs[: len(names)]], [t.name for t in traced.outputs]
    try:
        with _quietly():
            written = written_as_onnx(traced, inputs, outputs)
    except Exception as error:  # an operation that ONNX does not have, and much else
        raise NotSupported(f"{model.name} cannot be written as ONNX: {reason(error)}") from error
    threads = tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count() or 1  # 0 is TensorFlow's default
    ready = session(model, written, threads)
    wanted = {i.name for i in ready.get_inputs()}

    def run(parts: list[Array]) -> Sequence[Array]:
        given = zip(inputs, parts, strict=True)
        return ready.run(outputs, {n: np.ascontiguousarray(a) for n, a in given if n in wanted})

    return _copy(model, "onnxruntime", names, forms, run)


def _require(model: KerasModel) -> None:
    """Raise NotSupported for a network that cannot be copied faithfully; find out what is not known of it yet."""
    try:
        reading, _ = model._read(), model.outputs
    except ModelError as error:
        raise NotSupported(f"a copy of {model.name} cannot be prepared: {error}") from error
    if not reading.traced or not (model._rows_free or model._fixed_rows):
        raise NotSupported(f"{model.name} cannot be traced for any number of samples, so it has no copy")
    half = {getattr(op, "compute_dtype", None) for op in operations(model.net)} & {"float16", "bfloat16"}
    if half:
        raise NotSupported(
            f"{model.name} computes in {half.pop()}, where a copy rounds otherwise: rebuild it in float32"
        )


def _traced(model: KerasModel) -> tuple[Any, list[str], list[Form]]:
    """Trace all forms of all outputs at once; give the traced function, its inputs by name, and what it gives."""
    sample = prepared(model._sample(), model._declared)
    names, forms = [n for n, _ in leaves(sample)], list[Form]()
    values = [(variable, np.array(value)) for variable, value in model._values]
    finals, changed = model._finals("probability"), model._form("logit") == "logit"

    def function(*parts: Any) -> list[Any]:
        x = dict(zip(names, parts, strict=True)) if isinstance(sample, Mapping) else parts[0]
        own = [
            (variable, tf.constant(value)) for variable, value in values
        ]  # of this graph, not handed in from outside
        made = Pass(model.net, model.name, model._read(), model._fixed_rows, {}, own)
        outputs = _by_name(made.compute(Task(), x, [], None)[0])
        found: dict[Form, Any] = {("output", n): t for n, t in outputs.items()}
        if changed:
            logits = _logits(made, x, outputs)
            found |= {("logit", n): t for n, t in logits.items()}
        for name, final in finals.items():
            squashed = tf.nn.softmax if final == "softmax" else tf.nn.sigmoid
            found["probability", name or ""] = squashed(outputs[name or ""])
        forms[:] = found
        return [tf.identity(t) for t in found.values()]

    specs = [tf.TensorSpec((model._fixed_rows, *a.shape[1:]), a.dtype) for _, a in leaves(sample)]
    return as_graph(function, *specs), names, forms


def _logits(made: Pass, x: Any, outputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give what enters the final functions in this graph; where none is found there, of a second pass."""
    ends = {name or "" for name in made.reading.ends}
    try:
        return {n: before_final(t) if n in ends else t for n, t in outputs.items()}
    except IndexError:  # the end is inside a function of the graph
        return _by_name(made.compute(Task(score="logit"), x, [], None)[0])


def _copy(model: KerasModel, kind: str, names: Sequence[str], forms: Sequence[Form], run: Many) -> Accelerated:
    declared, fixed = model._declared, model._fixed_rows

    def compute(x: Tensors, score: ScoreKind) -> Tensors:
        count = length(x)
        given = dict(leaves(made_rows(prepared(x, declared), fixed or count)))
        values = dict(zip(forms, run([given[n] for n in names]), strict=True))
        outputs = [n for form, n in forms if form == "output"]
        chosen = {n: values.get((score, n), values["output", n])[:count] for n in outputs}
        return chosen[""] if outputs == [""] else chosen

    return Accelerated(model, kind, compute).checked(model)


def _by_name(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {"": value}


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep the converter's advice, on names and on versions of ONNX, from the log and from the warnings."""
    logger = logging.getLogger("tf2onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
