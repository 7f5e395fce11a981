"""A Keras network behind the protocol: which pass is traced, which runs eagerly, what the network says of itself."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import tensorflow as tf

from xaikit.accelerated import Accelerated
from xaikit.arrays import Array, Tensors, each, leaves, length
from xaikit.errors import InputError, ModelError, NotSupported, UnknownName, XaikitError
from xaikit.graph import Layer
from xaikit.inputs import Array as ArraySpec
from xaikit.inputs import Classes, Raw, ScoreKind
from xaikit.model import DESCRIBE, Contributions, Kernel, Layout, Network, Pull, Rule, Run, Seed
from xaikit_keras._native import contributed
from xaikit_keras._passes import Pass, Task
from xaikit_keras._private import as_graph, functional, intercepted, is_built, operations, stored_in, untouched
from xaikit_keras._reading import Final, Reading, Recorder, read
from xaikit_keras._tensors import Declared, built_inputs, call_net, declared_inputs, prepared
from xaikit_keras._traced import Key, Traced, as_arrays, as_tensors, made_rows, one_row, power_above, shapes_of
from xaikit_keras._weights import Marks, clone, fingerprint, kernel_of, named_weights


class KerasModel(Network):
    """A trained keras.Model with the TensorFlow backend.

    A pass that comes again, or has many rows, is traced into a graph once for any number of rows; a network that
    cannot be traced so is traced for fixed numbers of rows, and one that cannot be traced at all runs eagerly.
    """

    framework: ClassVar[str] = "keras"
    own_threads = makes_masked = True
    can = frozenset({"run", "pull", "patch", "rule:guided", "rule:deconvnet", "native:deep-lift", "native:lrp"})

    def __init__(self, net: Any, *, values: Sequence[tuple[Any, Any]] = (), **described: Any) -> None:
        super().__init__(net, **described)
        self._values = values
        self.name = described.get("name") or str(net.name)
        self.traced = Traced()
        self._reading: Reading | None = None
        self._seen: Tensors | None = None
        self._marks = Marks()
        self._fingerprint: tuple[tuple[bytes, ...], str] | None = None
        self._read_in: dict[Key, list[Any]] = {}
        self._read_beside: tuple[list[Any], list[Any]] | None = None
        self._untreated: dict[tuple[str, str], dict[str, str]] = {}
        self._batch: int | None = None
        self._inputs_declared: Declared = {}
        self._place = ""
        self._rows_free = False
        self._rows_ahead = 0

    # --- what the network says of itself ------------------------------------------------------------------------------

    @property
    def device(self) -> str:
        """Where the weights are: "cpu", "cuda:0", ..."""
        if not self._place and self.net.weights:  # which TensorFlow never moves
            kind, _, number = str(self.net.weights[0].value.device).rpartition("device:")[2].partition(":")
            self._place = "cpu" if kind in ("CPU", "") else f"{'cuda' if kind == 'GPU' else kind.lower()}:{number or 0}"
        if self._place:
            return self._place
        return "cuda:0" if tf.config.list_logical_devices("GPU") else "cpu"

    @property
    def precision(self) -> str:
        """The type of number that the network computes in."""
        return next((str(layer.compute_dtype) for layer in self.net.layers if layer.weights), "float32")

    @property
    def batch_size(self) -> int:
        """How many samples one chunk has; a network built for a fixed number takes that many."""
        if self._batch is None:
            self._batch = self._fixed_rows or super().batch_size
        return self._batch

    @property
    def _fixed_rows(self) -> int | None:
        return next((shape[0] for shape, _ in self._declared.values() if shape and shape[0]), None)

    @property
    def _declared(self) -> Declared:
        self._inputs_declared = self._inputs_declared or declared_inputs(self.net)
        return self._inputs_declared

    def _natural_inputs(self) -> Any:
        found = self._declared or built_inputs(self.net)
        if not found or any(n is None for shape, _ in found.values() for n in shape[1:]):
            return Raw()
        specs = {name: ArraySpec(tuple(int(n or 0) for n in shape[1:])) for name, (shape, _) in found.items()}
        return specs if len(specs) > 1 else next(iter(specs.values()))

    def _find_layout(self) -> Layout:
        windows = (op for op in operations(self.net) if hasattr(op, "kernel_size") or hasattr(op, "pool_size"))
        first = next((op for op in windows if hasattr(op, "data_format")), None)
        return "channels-first" if getattr(first, "data_format", None) == "channels_first" else "as-given"

    def _ends_in(self, output: str | None) -> Literal["softmax", "sigmoid"] | None:
        end = self._read().ends.get(output)
        return end.function if end else None

    def _read_layers(self) -> Mapping[str, Layer]:
        return self._read().layers

    # --- the public side: see what is coming --------------------------------------------------------------------------

    def run(
        self,
        x: Tensors,
        at: Sequence[str] = (),
        patch: Mapping[str, Array] = {},
        *,
        score: ScoreKind = "output",
        raw: bool = True,
    ) -> Run:
        with self._lock, self._expecting(x):
            return super().run(x, at, patch, score=score, raw=raw)

    def pull(
        self,
        x: Tensors,
        seed: Seed,
        *,
        of: str | None = None,
        wrt: str | Sequence[str] | None = None,
        patch: Mapping[str, Array] = {},
        rule: Rule | None = None,
        score: ScoreKind = "output",
    ) -> Pull:
        with self._lock, self._expecting(x):
            self._read_beside = None
            found = super().pull(x, seed, of=of, wrt=wrt, patch=patch, rule=rule, score=score)
            read, self._read_beside = self._read_beside, None
            if read is None:
                return found
            mark = self._fingerprint_at(self._marks.of(*read))
            return Pull(found.value, found.source, found.gradient, found.output, mark)

    run.__doc__, pull.__doc__ = Network.run.__doc__, Network.pull.__doc__

    @contextmanager
    def _expecting(self, x: Tensors) -> Iterator[None]:
        """Note how many rows are coming and, for a network that does not declare its input, what they look like."""
        before, self._rows_ahead = self._rows_ahead, length(x)
        declares = functional(self.net) is not None and not isinstance(self.inputs, Raw)
        if self._seen is None and self._rows_ahead and not declares:
            self._check_shapes(x)
            self._seen = each(lambda a: np.asarray(a[:1]), x)
        try:
            yield
        finally:
            self._rows_ahead = before

    # --- reading ------------------------------------------------------------------------------------------------------

    def _read(self) -> Reading:
        if self._reading is None:
            sample, self._seen = self._sample(), None  # seen again on the next call, should this one fail
            with self._refusing(sample):
                if not self.net.built:
                    call_net(self.net, as_tensors(sample))
                elif not is_built(self.net):
                    with untouched(self.net):
                        call_net(self.net, as_tensors(sample))
                self._reading = self._record_traced(sample, self._fixed_rows) or self._record_eagerly(sample)
        return self._reading

    def _sample(self) -> Tensors:
        """Give a batch in the network's own layout that a pass can be recorded on; only its shape matters."""
        specs = list(self.inputs.values()) if isinstance(self.inputs, Mapping) else [self.inputs]
        if self._seen is None and any(isinstance(s, Raw) for s in specs):
            raise ModelError(
                f"the layers of {self.name} are not known before its input is: "
                "wrap it with inputs=... (an xk.Image, xk.Series, ...) or run it once"
            )
        sample = self._inwards(self._blank() if self._seen is None else self._seen)
        return prepared(made_rows(sample, self._fixed_rows or 1), self._declared)

    def _record_traced(self, sample: Tensors, count: int | None) -> Reading | None:
        """Record a pass while it is traced; the traced function, which gives the plain output, is kept."""
        found: list[Reading] = []

        def function(x: Any, patch: Any, seed: Any) -> Any:
            recorder = Recorder(self.net, _by_name(x), tf.compat.v1.get_default_graph())
            with untouched(self.net, self._values), intercepted(operations(self.net), recorder):
                result = call_net(self.net, x)
            found.append(read(recorder, result, self._axes()))
            return Pass(self.net, self.name, found[-1], count, {}).outputs(result, Task()), [], None

        try:
            self.traced.trace(Key(Task(), shapes_of(sample), count), function, sample, [], None)
        except XaikitError:
            raise
        except Exception:  # whatever stops the trace, an eager pass will show whether the network runs at all
            return None if count else self._record_traced(sample, 1)
        self._rows_free = count is None
        return found[-1]

    def _record_eagerly(self, sample: Tensors) -> Reading:
        x = as_tensors(sample)
        recorder = Recorder(self.net, _by_name(x))
        with untouched(self.net, self._values), intercepted(operations(self.net), recorder), recorder.noting():
            result = call_net(self.net, x)
        return read(recorder, result, self._axes())

    def _axes(self) -> dict[str, tuple[str, ...]]:
        """Name the axes of the inputs where the specs do, in the network's own layout."""
        specs = self.inputs if isinstance(self.inputs, Mapping) else {"input": self.inputs}
        named = {n: tuple(s.axes) for n, s in specs.items() if s.kind in ("Image", "Series")}
        first = self.layout == "channels-first"
        return {n: ("sample", a[-1], *a[:-1]) if first else ("sample", *a) for n, a in named.items()}

    # --- passes -------------------------------------------------------------------------------------------------------

    def _forward(self, x: Tensors, at: tuple[str, ...], patch: Mapping[str, Array], score: ScoreKind) -> Run:
        task, x = Task(at, tuple(sorted(patch)), self._form(score)), self._typed(x)
        output, values, raw = self._compute(task, self._key(task, x), x, patch)
        return Run(output, dict(zip(at, values, strict=True)), raw)

    def _backward(
        self,
        x: Tensors,
        seed: Seed,
        of: str | None,
        wrt: str | tuple[str, ...] | None,
        patch: Mapping[str, Array],
        rule: Rule | None,
        score: ScoreKind,
    ) -> Pull:
        x = self._typed(x)
        if wrt is None:
            self._check_differentiable(x)
        kind = self._form("output" if of else score)
        task = Task((), tuple(sorted(patch)), kind, True, of, wrt, rule)
        key = self._key(task, x)
        if rule is not None and key is None:
            raise NotSupported(
                f"the rule {rule!r} needs a traced network and whole layers; {self.name} runs eagerly here"
            )
        if callable(seed) and key is not None:
            # a graph cannot call back: the value is computed first, in a graph of its own
            ran = self._forward(x, (of,) if of else (), patch, kind)
            seed = seed(ran.activations[of] if of else ran.output)
        value, source, gradient, output = self._compute(task, key, x, patch, seed)
        output = value if output is None and of is None else output
        return Pull(value, x if source is None else source, gradient, output)

    def _native(
        self, name: str, x: Tensors, seed: Tensors, baseline: Tensors | None, score: ScoreKind, parameters: Any
    ) -> Contributions:
        made, task, x, baseline = self._walk(name, x, baseline, score, parameters)
        count = length(x)
        total = made.count or count
        start = None if baseline is None else made_rows(baseline, total)
        shared = None if start is None or made.count else one_row(start)
        key = Key(task, shapes_of(x), made.count)

        def found(start: Tensors | None) -> Contributions:
            arguments = made_rows(x, total), start, _seed(seed, count, total)
            traced = self.traced(key, lambda *given: contributed(made, task, *given), *arguments)
            values, *shown = as_arrays(traced, count)
            return Contributions(values, *(None if y is None else Run(y, {}, raw) for y, raw in shown))

        with self._refusing(x):
            if shared is not None:
                try:
                    return found(shared)
                except tf.errors.InvalidArgumentError:  # the network lays the rows of several samples out in one axis
                    pass
            return found(start)

    def _walk(
        self, name: str, x: Tensors, baseline: Tensors | None, score: ScoreKind, parameters: Mapping[str, Any]
    ) -> tuple[Pass, Task, Tensors, Tensors | None]:
        """Prepare a walk back by the rules of DeepLIFT or LRP."""
        x = self._typed(x)
        self._check_differentiable(x)
        reading = self._read()
        if not reading.traced:
            raise NotSupported(f"{name} needs the graph of a network, and {self.name} cannot be traced")
        fixed = self._rows_of_trace(length(x))
        task = Task(score=self._form(score), pulls=True, native=(name, *sorted(parameters.items())))
        made = Pass(self.net, self.name, reading, fixed, self._finals(task.score), self._values)
        start = None if baseline is None or name == "lrp" else prepared(baseline, self._declared)
        return made, task, x, start

    def untreated(self, name: str, score: ScoreKind = "logit") -> Mapping[str, str]:
        with self._lock:
            if (name, score) not in self._untreated:
                sample = self._sample()
                made, task, x, start = self._walk(name, sample, sample, score, {})
                stopped: dict[str, str] = {}

                def spec(a: Array) -> Any:
                    return tf.TensorSpec((made.count, *a.shape[1:]), a.dtype)

                def walk(x: Any, start: Any) -> Any:
                    return contributed(made, task, x, start, partial(each, tf.ones_like), stopped)

                with self._refusing(sample):
                    specs = [None if given is None else each(spec, given) for given in (x, start)]
                    as_graph(walk, *specs)
                self._untreated[name, score] = stopped
            return self._untreated[name, score]

    def _compute(
        self, task: Task, key: Key | None, x: Tensors, patch: Mapping[str, Array], seed: Seed | None = None
    ) -> Any:
        """Compute a task on inputs in the types of the network: in the graph of that key, or eagerly without one."""
        count = length(x)
        patches = [self._checked_patch(name, patch[name], count) for name in task.patch]
        fixed = self._fixed_rows if key is None else key.rows
        total = fixed or count

        def compute(*given: Any) -> Any:
            known = total if key is None else fixed
            made = Pass(self.net, self.name, self._read(), known, self._finals(task.score), self._values)
            return made.compute(task, *given)

        arguments = [made_rows(x, total), [made_rows(p, total) for p in patches], _seed(seed, count, total)]
        with self._refusing(x):
            if key is None:
                result = compute(*as_tensors(arguments))
            elif task.pulls:
                result = self._with_weights_read(key, compute, arguments)
            else:
                result = self.traced(key, compute, *arguments)
        return as_arrays(result, count)

    def _with_weights_read(self, key: Key, compute: Callable[..., Any], arguments: list[Any]) -> Any:
        """Compute in a graph that also gives all weights: for a small network less work than to read them afterwards.

        They are no copies, and what says of which weights the result is.
        """

        def both(*given: Any) -> Any:
            read = [] if self._values else [stored_in(v) for v in self.net.weights]
            kept = {k: v for k, v in self._read_in.items() if k in self.traced}
            self._read_in = {**kept, key: read if all("CPU" in v.device for v in read) else []}
            return compute(*given), [v.read_value() for v in self._read_in[key]]

        result, values = self.traced(key, both, *arguments)
        self._read_beside = (self._read_in[key], values) if values else None
        return result

    def _rows_of_trace(self, count: int) -> int | None:
        """Give the rows that a traced pass takes; None = any number."""
        return self._fixed_rows or (None if self._rows_free else power_above(count))

    def _typed(self, x: Tensors) -> Tensors:
        """Give inputs in the types of the network, which are known once it is read."""
        self._read()
        return prepared(x, self._declared)

    def _key(self, task: Task, x: Tensors) -> Key | None:
        """Give the key of the graph that a pass runs in, None where it runs eagerly.

        It runs in one always where only a graph can do it or time steps are walked.
        """
        reading, count = self._read(), length(x)
        if not reading.traced or any(name in reading.gates for name in (*task.read, *task.patch)):
            return None
        key = Key(task, shapes_of(x), self._rows_of_trace(count))
        if key in self.traced or reading.recurrent or task.rule is not None:
            return key
        unnamed = task.score == "logit" and any(end.place is None for end in reading.ends.values())
        return key if unnamed or self.traced.worth(key, count, self._rows_ahead) else None

    def _checked_patch(self, name: str, value: Array, count: int) -> Array:
        value = np.asarray(value, np.float32)
        shape = self._read().layers[name].shape
        fits = value.ndim == len(shape) + 1 and all(n in (None, m) for n, m in zip(shape, value.shape[1:], strict=True))
        if not fits or len(value) not in (1, count):
            raise InputError(f"layer {name!r} gives {('sample', *shape)} for {count} samples, not {value.shape}")
        return made_rows(value, count)  # type: ignore[return-value]

    def _check_differentiable(self, x: Tensors) -> None:
        """Raise NotSupported if no input is a number that the output could change with: token ids are not."""
        reading = self._read()
        named = _by_name(x)
        closed = {
            n: reading.embeddings(n) for n, a in named.items() if a.dtype.kind not in "f" or reading.embeddings(n)
        }
        if len(closed) == len(named):
            layers = [layer for found in closed.values() for layer in found]
            hint = f": ask for the gradient at {layers[0]!r}" if layers else ""
            raise NotSupported(f"the input of {self.name} is integer ids, which have no gradient{hint}")

    def _form(self, score: ScoreKind) -> ScoreKind:
        """Give the score, or "output" where that is the same, so that one traced pass serves both."""
        changes = self._read().ends if score == "logit" else self._finals(score)
        return score if changes else "output"

    def _finals(self, score: ScoreKind) -> dict[str | None, Final]:
        """Name the function that makes probabilities of each output of logits, when they are asked for."""
        if score != "probability":
            return {}
        specs = self.outputs
        named = specs if isinstance(specs, Mapping) else {None: specs}
        logits = {n: s for n, s in named.items() if isinstance(s, Classes) and s.form == "logits"}
        return {n: "sigmoid" if s.binary(1) else "softmax" for n, s in logits.items()}

    @contextmanager
    def _refusing(self, x: Tensors) -> Iterator[None]:
        """Turn what Keras or TensorFlow raise into one line; what the caller's own functions raise passes through."""
        try:
            yield
        except XaikitError:
            raise
        except _CallerError as error:
            raise error.original from None
        except Exception as error:
            shapes = " and ".join(f"{a.dtype} {a.shape}" for _, a in leaves(x))
            said = f"{self.name} could not be run on {shapes}: {_one_line(error)}"
            if self._reading is not None:
                raise InputError(said) from error
            raise ModelError(f"{said}; {DESCRIBE}") from error

    # --- weights ------------------------------------------------------------------------------------------------------

    def weights(self, layer: str) -> Mapping[str, Array]:
        """Give copies of the weights that a layer owns by name: "kernel", "bias", "recurrent_kernel", ..."""
        reading = self._read()
        if layer not in reading.layers:
            raise UnknownName(f"layer of {self.name}", layer, reading.layers)
        replaced = self._replaced
        return {name: np.asarray(replaced.get(id(v), v)).copy() for name, v in self._variables(layer).items()}

    def kernel(self, layer: str) -> Kernel | None:
        weights, call = self.weights(layer), self._read().calls.get(layer)
        return None if call is None else kernel_of(call[0], weights)

    kernel.__doc__ = Network.kernel.__doc__

    def _variables(self, layer: str) -> dict[str, Any]:
        reading = self._read()
        return named_weights(reading.calls[layer][0]) if layer in reading.calls else {}

    @property
    def _replaced(self) -> dict[int, Any]:
        return {id(variable): value for variable, value in self._values}

    def with_weights(self, weights: Mapping[str, Array]) -> "KerasModel":
        """Give a copy with some weights ("layer/weight") replaced; the network itself is not touched.

        A network that Keras cannot copy (most subclassed ones) is shared: the copy has values of its own for all its
        weights, which stand in the place of the variables while the network is called.
        """
        known = {f"{layer}/{n}": v for layer in self._read().calls for n, v in self._variables(layer).items()}
        for name, value in weights.items():
            if name not in known:
                raise UnknownName(f"weight of {self.name}", name, known)
            if np.shape(value) != tuple(known[name].shape):
                raise InputError(f"weight {name!r} has shape {tuple(known[name].shape)}, not {np.shape(value)}")
        new = {**self._replaced, **{id(known[name]): value for name, value in weights.items()}}
        made = None if self._values else clone(self.net)
        described = {"inputs": self._inputs, "outputs": self._asked_outputs, "layout": self._asked_layout}
        if made is None:
            own = [(v, tf.constant(np.array(new.get(id(v), v)), v.dtype)) for v in self.net.weights]
            return KerasModel(self.net, values=own, name=self.name, **described)
        for ours, theirs in zip(self.net.weights, made.weights, strict=True):
            theirs.assign(new.get(id(ours), ours))
        return KerasModel(made, name=self.name, **described)

    def fast(self, kind: str = "auto") -> Accelerated:
        from xaikit_keras._fast import fast

        with self._lock:
            return fast(self, kind)

    fast.__doc__ = Network.fast.__doc__

    def fingerprint(self) -> str:
        """SHA-256 over names, shapes, types and bytes of all weights; numbers that Keras gave do not count."""
        weights = self.net.weights
        if not weights:
            self._read()
            weights = self.net.weights
        return self._fingerprint_at(self._marks(weights))

    def _fingerprint_at(self, now: tuple[bytes, ...]) -> str:
        """Give the fingerprint of weights with these checksums, which are those of now."""
        if self._fingerprint is None or self._fingerprint[0] != now:
            self._fingerprint = (now, fingerprint(self.net, self._replaced))
        return self._fingerprint[1]


class _CallerError(Exception):
    """Carries what a caller's seed raised past what Keras' errors are turned into."""

    def __init__(self, original: Exception) -> None:
        super().__init__(str(original))
        self.original = original


def _by_name(x: Any) -> dict[str, Any]:
    return dict(x) if isinstance(x, Mapping) else {"input": x}


def _one_line(error: Exception) -> str:
    text = re.sub(r"\x1b\[\d*m", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("Exception encountered", "in user code", "Graph execution"))]
    return (told or [type(error).__name__])[0][:300]


def _seed(seed: Any, count: int, total: int) -> Any:
    """Give a cotangent `total` rows of which only the first `count` are asked for, or a function that does."""
    if seed is None:
        return None
    if not callable(seed):
        return made_rows(each(lambda a: np.asarray(a, np.float32), seed), total)

    def asked(value: Any) -> Any:
        try:
            given = seed(as_arrays(value, count))
        except Exception as error:
            raise _CallerError(error) from error
        return as_tensors(_seed(given, count, total))

    return asked
