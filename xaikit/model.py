"""The adapter protocol: two primitives, `run` and `pull`, on NumPy arrays with channels last, and a description.

An adapter derives from `Network` and supplies what only its framework can do; layout, chunks, checks of shapes and
output forms, and the lock are here, once for all frameworks.
"""

import hashlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from xaikit.arrays import Array, Tensors, chunks, concatenate, each, leaves, length, rows
from xaikit.errors import InputError, ModelError, NotSupported, UnknownName, XaikitError, with_article
from xaikit.graph import Layer
from xaikit.inputs import Array as ArraySpec
from xaikit.inputs import Classes, InputSpec, Masks, Raw, Reconstruction, ScoreKind, Text, Values

Seed = Tensors | Callable[[Any], Tensors]
Layout = Literal["as-given", "channels-last", "channels-first", "time-first"]
Rule = Literal["guided", "deconvnet"]

BATCH_BYTES = 20 * 2**20
"""What the rows given to a plain function at once may hold, of which nothing is known but its input."""
ITSELF = "wrap the network itself, a torch.nn.Module or a keras.Model"
"""What to do where a plain function was wrapped, and more than its answers is asked for."""

DESCRIBE = "say by inputs= what the network takes, and by layout= in which order"
"""What to do where a network cannot be run on one blank sample of what is known of its input."""

GATES = {"lstm": 3, "gru": 3}
"""How many times its output a gated layer counts: it works on more numbers at every step than it gives, and LSTMs of 32
to 128 units over 100 and 200 steps, as GRUs of 64, are fastest so."""


@dataclass(frozen=True, eq=False)
class Run:
    """What a forward pass gives: the output, and activations (sample, *layer axes) at the layers asked for.

    `raw` is the network's raw output beside an `output` of logits, where the same pass has given it, else None.
    """

    output: Tensors
    activations: Mapping[str, Array] = field(default_factory=dict)
    raw: Tensors | None = None

    def only(self, index: Any) -> "Run":
        """Give what belongs to some rows."""
        activations = {n: a[index] for n, a in self.activations.items()}
        return Run(rows(self.output, index), activations, None if self.raw is None else rows(self.raw, index))

    @classmethod
    def join(cls, parts: Sequence["Run"]) -> "Run":
        """Put runs of one kind behind each other."""
        if len(parts) == 1:
            return parts[0]
        activations = {n: np.concatenate([p.activations[n] for p in parts]) for n in parts[0].activations}
        return cls(concatenate([p.output for p in parts]), activations, _joined([p.raw for p in parts]))


@dataclass(frozen=True, eq=False)
class Pull:
    """A vector-Jacobian product: the `value` of the layer pulled from, the `source` value pulled to, the `gradient`.

    `gradient` is shaped like `source`: the sum over the value's entries of seed · d value / d source, sample by sample.
    `output` is the network's raw output where the same pass has given it, else None; an adapter may leave it out where
    it is the value. `fingerprint` is that of the weights which the pass has read, if it has told them, else None.
    """

    value: Tensors
    source: Tensors
    gradient: Tensors
    output: Tensors | None = None
    fingerprint: str | None = None

    def only(self, index: Any) -> "Pull":
        """Give what belongs to some rows."""
        value, source, gradient = (rows(part, index) for part in (self.value, self.source, self.gradient))
        return Pull(value, source, gradient, None if self.output is None else rows(self.output, index))

    @classmethod
    def join(cls, parts: Sequence["Pull"]) -> "Pull":
        """Put pulls of one kind behind each other."""
        if len(parts) == 1:
            return parts[0]
        value, source, gradient = (concatenate([getattr(p, f) for p in parts]) for f in ("value", "source", "gradient"))
        return cls(value, source, gradient, _joined([p.output for p in parts]))


@dataclass(frozen=True, eq=False)
class Contributions:
    """What a method of an adapter's own gives: `values` shaped like the input, and what its passes have shown.

    `at_x` and `at_baseline` hold the outputs for every row and for its baseline, None where no pass has given them.
    """

    values: Tensors
    at_x: Run | None = None
    at_baseline: Run | None = None

    @classmethod
    def join(cls, parts: Sequence["Contributions"]) -> "Contributions":
        """Put what belongs to some rows behind each other."""
        runs = [[getattr(p, name) for p in parts] for name in ("at_x", "at_baseline")]
        return cls(concatenate([p.values for p in parts]), *(None if None in r else Run.join(r) for r in runs))


def _joined(parts: Sequence[Tensors | None]) -> Tensors | None:
    there = [p for p in parts if p is not None]
    return concatenate(there) if len(there) == len(parts) else None


@dataclass(frozen=True, eq=False)
class Kernel:
    """What a convolution or dense layer multiplies its input by, in one layout for all frameworks.

    `values` (filter, *space, in): a filter of a grouped convolution sees the `in` channels of its group only, those
    from (f // (filters / groups)) · in on. `bias` (filter,) or None. Dense layers have no
    space; behind a flattening their `in` runs over places with the channel last.
    """

    values: Array
    bias: Array | None = None
    groups: int = 1


class Model(Protocol):
    """A trained network: NumPy in, NumPy out."""

    name: str
    weights_id: str | None

    @property
    def framework(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def can(self) -> frozenset[str]: ...
    @property
    def inputs(self) -> Any: ...
    @property
    def outputs(self) -> Any: ...
    @property
    def layers(self) -> Mapping[str, Layer]: ...
    @property
    def batch_size(self) -> int: ...
    def run(
        self,
        x: Tensors,
        at: Sequence[str] = (),
        patch: Mapping[str, Array] = {},
        *,
        score: ScoreKind = "output",
        raw: bool = True,
    ) -> Run: ...
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
    ) -> Pull: ...
    def native(self, name: str, x: Tensors, target: Any, **parameters: Any) -> Tensors: ...
    def contributions(self, name: str, x: Tensors, target: Any, **parameters: Any) -> Contributions: ...
    def untreated(self, name: str, score: ScoreKind = "logit") -> Mapping[str, str]: ...
    def fast(self, kind: str = "auto") -> "Model": ...
    def weights(self, layer: str) -> Mapping[str, Array]: ...
    def kernel(self, layer: str) -> Kernel | None: ...
    def with_weights(self, weights: Mapping[str, Array]) -> "Model": ...
    def fingerprint(self) -> str: ...


class Network(ABC):
    """A network behind the protocol. `layout` and the output form are found here; the adapter computes.

    Arrays that cross the public side follow the input spec: (sample, *space or time, channel). When the network takes
    another layout, its input, gradients, activations and per-place outputs are moved. Without a spec nothing is moved.
    `own_threads` says that a pass calculates on threads of the framework's own, not on those of NumPy; `makes_masked`
    that inputs may be `xaikit.masked.MaskedRows`, which are made on the network's device if that is not the CPU.
    """

    framework: ClassVar[str]
    own_threads: ClassVar[bool] = False
    makes_masked: ClassVar[bool] = False
    can: frozenset[str] = frozenset({"run"})

    def __init__(
        self,
        net: Any,
        *,
        inputs: Any = None,
        outputs: Any = None,
        name: str | None = None,
        layout: Layout | None = None,
        version: str | None = None,
        weights_id: str | None = None,
    ) -> None:
        self.net = net
        self.name = name or type(net).__name__
        self.version = version
        self.weights_id = weights_id
        self._inputs = inputs
        self._asked_outputs = outputs
        self._outputs: Any = None
        self._asked_layout = layout
        self._lock = threading.RLock()
        self._found_layout: Layout | None = None

    # --- what an adapter supplies ---------------------------------------------------------------------------------

    @property
    @abstractmethod
    def device(self) -> str:
        """Where the network's weights are: "cpu", "cuda:0", ..."""

    @abstractmethod
    def _forward(self, x: Tensors, at: tuple[str, ...], patch: Mapping[str, Array], score: ScoreKind) -> Run:
        """Run one chunk. `x` is in the network's own layout; patches and activations are as `layers[...].axes` says."""

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
        """Pull one chunk back. Input, output, seed and gradient at the network's input are in its own layout."""
        raise NotSupported(
            f"{self.name} is {with_article(self.framework)} model that can only run: it has no gradients; "
            "lime, kernel-shap and occlusion need none"
        )

    def _read_layers(self) -> Mapping[str, Layer]:
        """List the layers in call order; may run the network on one sample."""
        return {}

    def _natural_inputs(self) -> Any:
        """Give the spec that the network itself declares, or Raw()."""
        return Raw()

    def _find_layout(self) -> Layout:
        """Find what the network takes from the first layer that consumes the input; raise ModelError if undecidable."""
        return "as-given"

    def _ends_in(self, output: str | None) -> Literal["softmax", "sigmoid"] | None:
        """Say which function the named output (None: the only one) ends in, once the network has been run."""
        return None

    def _knows_its_end(self) -> bool:
        """Whether `_ends_in` reads the network; a callable's end can only be guessed from its numbers."""
        return True

    def weights(self, layer: str) -> Mapping[str, Array]:
        """Give the named weights that a layer owns, as the framework stores them."""
        raise NotSupported(f"{self.name} is {with_article(self.framework)} model: its weights cannot be read; {ITSELF}")

    def kernel(self, layer: str) -> Kernel | None:
        """Give the kernel of a convolution or dense layer; None for a layer that has none. Raises UnknownName."""
        raise NotSupported(f"{self.name} is {with_article(self.framework)} model: its weights cannot be read; {ITSELF}")

    def with_weights(self, weights: Mapping[str, Array]) -> Model:
        """Give a copy with some weights ("layer/weight") replaced."""
        raise NotSupported(
            f"{self.name} is {with_article(self.framework)} model: its weights cannot be replaced; {ITSELF}"
        )

    def fingerprint(self) -> str:
        """SHA-256 over layer names, shapes, dtypes and weight bytes in canonical order, as hexadecimal digits."""
        raise NotSupported(f"{self.name} has no fingerprint; give wrap(version=...) to name its version yourself")

    def _native(
        self, name: str, x: Tensors, seed: Tensors, baseline: Tensors | None, score: ScoreKind, parameters: Any
    ) -> Contributions:
        """Carry out a method of the adapter's own on one chunk. All is in the network's own layout; what was said of
        the baseline may be a single row that stands for all."""
        raise NotSupported(f"{self.framework} models have no native method {name!r}")

    def untreated(self, name: str, score: ScoreKind = "logit") -> Mapping[str, str]:
        """Name the layers that a method of the adapter's own has no rule for, and why; {} where none is in the way."""
        return {}

    def fast(self, kind: str = "auto") -> Model:
        """Give an accelerated copy that can only run: "auto", "channels-last", "onnxruntime" or "compile".

        It has the weights of now. Raises NotSupported with the reason where there is none, or nothing to gain.
        """
        raise NotSupported(f"{self.framework} models have no accelerated copy of kind {kind!r}")

    # --- the public side ------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} on {self.device}>"

    @property
    def inputs(self) -> Any:
        """The input spec, or a mapping from input name to spec."""
        if self._inputs is None:
            self._inputs = self._natural_inputs()
        return self._inputs

    @property
    def outputs(self) -> Any:
        """The output spec with its form known, or a mapping of specs; runs the network once if it has not run."""
        if self._outputs is None:
            self.run(self._blank())
        return self._outputs

    @property
    def layers(self) -> Mapping[str, Layer]:
        """The layers in call order, by name."""
        with self._lock:
            return self._read_layers()

    @property
    def layout(self) -> Layout:
        """What the network takes: as given, channels last, channels first, or time first."""
        if self._found_layout is None:
            self._found_layout = self._decide_layout()
        return self._found_layout

    @property
    def batch_size(self) -> int:
        """How many samples one chunk has: a power of two by the size of the largest layer."""
        sizes = (_bytes(layer.shape) * GATES.get(layer.kind, 1) for layer in self.layers.values())
        return fastest_batch(max(sizes, default=4096))

    def run(
        self,
        x: Tensors,
        at: Sequence[str] = (),
        patch: Mapping[str, Array] = {},
        *,
        score: ScoreKind = "output",
        raw: bool = True,
    ) -> Run:
        """Run the network on a batch (sample, ...), in chunks, in inference mode.

        `at` names layers whose activations are returned too; `patch` replaces the values of layers (sample or 1, ...);
        `score` is the raw "output", the "logit" before a final softmax or sigmoid, or the "probability". With `raw`
        false the raw output is not wanted beside logits, and a final softmax or sigmoid may be left out altogether.
        Raises UnknownName for a layer, InputError for a wrong shape.
        """
        with self._lock:
            self._check(x, at, patch)
            self._know_outputs(x, score)
            step, some = self.batch_size, length(x) > self.batch_size and not at and not patch
            parts = self._forwards(x, step, score, raw) if some else self._one_by_one(x, step, at, patch, score)
            found = Run.join(parts)
            output = self._outwards(found.output)
            if score == "output":
                self._settle_outputs(output)
            whole = None if found.raw is None else each(_float32, self._outwards(found.raw))
            return Run(each(_float32, output), found.activations, whole)

    def _one_by_one(
        self, x: Tensors, step: int, at: Sequence[str], patch: Mapping[str, Array], score: ScoreKind
    ) -> list[Run]:
        return [
            self._forward(self._inwards(rows(x, s)), tuple(at), patch_rows(patch, s), score)
            for s in chunks(length(x), step)
        ]

    def _forwards(self, x: Tensors, step: int, score: ScoreKind, raw: bool) -> list[Run]:
        """Run several chunks of `step` rows, of which nothing but the output is asked, and the raw one if wanted."""
        return self._one_by_one(x, step, (), {}, score)

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
        """Give seed · d value(of) / d source(wrt) for each sample: a vector-Jacobian product.

        `seed` is the cotangent, shaped like the value, or a function from the value of one chunk to it (it must treat
        all rows alike). `of=None` is the output in the form `score`; `wrt=None` the input. With several layers in
        `wrt` one pass gives them all: source and gradient are mappings by name.
        """
        if rule is not None and f"rule:{rule}" not in self.can:
            raise NotSupported(f"{self.name} ({self.framework}) has no backward rule {rule!r}")
        with self._lock:
            wrt = wrt if wrt is None or isinstance(wrt, str) else tuple(wrt)
            self._check(x, [*([of] if of else []), *named_sources(wrt)], patch)
            self._know_outputs(x, score)
            step = max(1, self.batch_size // 2)
            parts = [self._pull_chunk(x, seed, s, of, wrt, patch, rule, score) for s in chunks(length(x), step)]
            p = Pull.join(parts)
            output = None if p.output is None else each(_float32, p.output)
            return Pull(each(_float32, p.value), each(_float32, p.source), each(_float32, p.gradient), output)

    def _pull_chunk(
        self, x: Tensors, seed: Seed, s: slice, of: Any, wrt: Any, patch: Any, rule: Any, score: ScoreKind
    ) -> Pull:
        if callable(seed):
            asked = seed

            def own(value: Any) -> Tensors:
                given = asked(value if of else self._outwards(value))
                return given if of else self._outwards(given, back=True)

            chunk_seed: Seed = own
        else:
            part = rows(seed, s)
            chunk_seed = part if of else self._outwards(part, back=True)
        p = self._backward(self._inwards(rows(x, s)), chunk_seed, of, wrt, patch_rows(patch, s), rule, score)
        source, gradient = (
            (p.source, p.gradient)
            if wrt
            else (self._inwards(p.source, back=True), self._inwards(p.gradient, back=True))
        )
        value = p.value if of else self._outwards(p.value)
        output = None if p.output is None else self._outwards(p.output)
        return Pull(value, source, gradient, value if of is None and score == "output" else output)

    def native(
        self,
        name: str,
        x: Tensors,
        target: Any,
        *,
        baseline: Tensors | None = None,
        score: ScoreKind = "output",
        **parameters: Any,
    ) -> Tensors:
        """Give the contributions of every input value by a method of the adapter's own ("deep-lift", "lrp").

        `target` is the weight of each output in the explained score, shaped like the output, as the seed of `pull`;
        `baseline` is shaped like `x`. Raises NotSupported, naming the layers that the method has no rule for.
        """
        return self.contributions(name, x, target, baseline=baseline, score=score, **parameters).values

    def contributions(
        self,
        name: str,
        x: Tensors,
        target: Any,
        *,
        baseline: Tensors | None = None,
        score: ScoreKind = "output",
        **parameters: Any,
    ) -> Contributions:
        """Give what `native` gives, with the outputs that its passes have shown, in the form `score`."""
        if f"native:{name}" not in self.can:
            raise NotSupported(f"{self.framework} models have no native method {name!r}")
        with self._lock:
            self._check(x, [], {})
            self._know_outputs(x, score)
            parts = []
            for s in chunks(length(x), max(1, self.batch_size // 2)):
                start = None if baseline is None else self._inwards(rows(baseline, s))
                seed = self._outwards(rows(target, s), back=True)
                found = self._native(name, self._inwards(rows(x, s)), seed, start, score, parameters)
                values = each(_float32, self._inwards(found.values, back=True))
                runs = [self._shown_for(run, s.stop - s.start) for run in (found.at_x, found.at_baseline)]
                parts.append(Contributions(values, *runs))
            return Contributions.join(parts)

    def _shown_for(self, run: Run | None, count: int) -> Run | None:
        """Bring what a pass has shown into the public form, a single row repeated for all."""
        if run is None:
            return None

        def public(y: Tensors) -> Tensors:
            return each(lambda a: np.broadcast_to(_float32(a), (count, *a.shape[1:])), self._outwards(y))

        return Run(public(run.output), {}, None if run.raw is None else public(run.raw))

    # --- layout ---------------------------------------------------------------------------------------------------

    def _decide_layout(self) -> Layout:
        if self._asked_layout is not None:
            return self._asked_layout
        specs = self.inputs.values() if isinstance(self.inputs, Mapping) else [self.inputs]
        return self._find_layout() if any(_has_places(s) for s in specs) else "as-given"

    @property
    def moved(self) -> bool:
        """Whether the network's own axes differ from the public ones."""
        return self.layout in ("channels-first", "time-first")

    def _inwards(self, x: Tensors, back: bool = False) -> Tensors:
        """Move a batch from the public layout into the network's own, or back."""
        if not self.moved:
            return x
        if isinstance(x, Mapping):
            return {n: self._move(a, back) if self._moves(self._spec_of(n)) else a for n, a in x.items()}
        return self._move(x, back) if self._moves(self.inputs) else x

    def _outwards(self, y: Tensors, back: bool = False) -> Tensors:
        """Move an output that has places from the network's own layout to the public one, or back."""
        if not self.moved:
            return y
        return each(lambda a: self._move(a, not back) if a.ndim >= 3 else a, y)

    def _move(self, a: Array, back: bool) -> Array:
        if self.layout == "time-first":
            return np.swapaxes(a, 0, 1)
        return np.moveaxis(a, 1, -1) if back else np.moveaxis(a, -1, 1)

    def _moves(self, spec: Any) -> bool:
        return _has_places(spec) or (
            self._asked_layout is not None and isinstance(spec, ArraySpec) and len(spec.shape) > 1
        )

    def _spec_of(self, name: str) -> Any:
        return self.inputs.get(name) if isinstance(self.inputs, Mapping) else self.inputs

    # --- checks ---------------------------------------------------------------------------------------------------

    def _check(self, x: Tensors, at: Iterable[str], patch: Mapping[str, Array]) -> None:
        if length(x) == 0:
            raise InputError("there is no sample to work on: the batch is empty")
        self._check_shapes(x)
        asked = [*at, *patch]
        if asked:
            require_layers(self)
            known = self.layers
            for name in asked:
                if name not in known:
                    raise UnknownName(f"layer of {self.name}", name, known)

    def _check_shapes(self, x: Tensors) -> None:
        if isinstance(self.inputs, Mapping) != isinstance(x, Mapping):
            wanted = f"a mapping with {list(self.inputs)}" if isinstance(self.inputs, Mapping) else "one array"
            raise InputError(f"{self.name} takes {wanted}, not {type(x).__name__}")
        for name, a in leaves(x):
            spec = self._spec_of(name)
            if spec is None:
                raise UnknownName(f"input of {self.name}", name, self.inputs)
            if not isinstance(spec, Raw) and tuple(a.shape[1:]) != tuple(spec.shape):
                raise InputError(f"{self.name} takes {('sample', *spec.shape)}, not an array of shape {a.shape}")

    def _blank(self) -> Tensors:
        """Give one sample of zeros (for text, of unknown words) in the public layout."""
        if isinstance(self.inputs, Mapping):
            return {n: _zeros(s) for n, s in self.inputs.items()}
        return _zeros(self.inputs)

    # --- outputs --------------------------------------------------------------------------------------------------

    def _know_outputs(self, x: Tensors, score: ScoreKind) -> None:
        """Find the form of the outputs on one sample, before another form of them is asked for."""
        if score != "output" and self._outputs is None:
            self.run(rows(x, slice(0, 1)))

    def _settle_outputs(self, output: Tensors) -> None:
        """On the first call, find and check the output specs."""
        if self._outputs is not None:
            return
        asked = self._asked_outputs
        if isinstance(output, Mapping):
            asked = asked or {}
            if not isinstance(asked, Mapping):
                raise ModelError(
                    f"{self.name} gives several outputs ({', '.join(output)}), and one spec is given: say whose it is, "
                    f"such as outputs={{{next(iter(output))!r}: {asked!r}}}"
                )
            unknown = [n for n in asked if n not in output]
            if unknown:
                raise UnknownName(f"output of {self.name}", unknown[0], output)
            self._outputs = {n: self._settle(asked.get(n), np.asarray(a), n) for n, a in output.items()}
        elif isinstance(asked, Mapping):
            raise ModelError(f"{self.name} gives one array, but its outputs name several: {', '.join(asked)}")
        else:
            self._outputs = self._settle(asked, np.asarray(output), None)

    def _settle(self, spec: Any, output: Array, name: str | None) -> Any:
        width = output.shape[-1] if output.ndim > 1 else 1
        end = self._ends_in(name)
        if spec is None:
            names = tuple(range(width))
            return Classes(names, "softmax") if end == "softmax" and width > 1 else Values(names)
        if isinstance(spec, Reconstruction):
            return spec
        if len(spec.names) != width and not (isinstance(spec, Classes) and spec.binary(width)):
            raise ModelError(f"{self.name} gives {width} numbers, but its outputs name {len(spec.names)}: {spec.names}")
        if not isinstance(spec, Classes) or isinstance(spec, Masks):
            return spec
        form = spec.form or (end or "logits" if self._knows_its_end() else _guess_form(output))
        if form != "logits" and not _are_probabilities(output, form):
            raise ModelError(
                f"{self.name} is said to give {form} probabilities, but its outputs lie in "
                f"{output.min():.3g}..{output.max():.3g}: use Classes(names, form='logits')"
            )
        return replace(spec, form=form)


class CallableModel(Network):
    """A plain function from a batch (sample, ...) to outputs (sample, ...), which can only run."""

    framework = "callable"

    def __init__(self, net: Callable[[Any], Any], **described: Any) -> None:
        named = described.pop("name", None) or getattr(net, "__name__", type(net).__name__)
        super().__init__(net, name=str(named), **described)
        self._works_in_place: bool | None = None

    @property
    def device(self) -> str:
        return "callable"

    @property
    def batch_size(self) -> int:
        """The rows of one call; bounded by memory, since nothing is known of the function's inside."""
        spec = self.inputs
        size = 4096 if isinstance(spec, Raw | Mapping) else _bytes(spec.shape)
        return int(np.clip(BATCH_BYTES // max(size, 1), 1, 4096))

    def _knows_its_end(self) -> bool:
        return False

    def _forward(self, x: Tensors, at: tuple[str, ...], patch: Mapping[str, Array], score: ScoreKind) -> Run:
        output = self._called(x)
        output = each(lambda a: _columns(np.asarray(a), length(x), self.name), output)
        return Run(self._in_form(output, score))

    def _called(self, x: Tensors) -> Any:
        """Call the function: the first time with a copy, later too if it has changed that."""
        given = x if self._works_in_place is False else each(np.copy, x)
        try:
            output = self.net(given)
        except XaikitError:
            raise
        except Exception as error:
            said = (str(error).strip() or type(error).__name__).splitlines()[0]
            shapes = ", ".join(str(a.shape) for _, a in leaves(x))
            raise ModelError(f"the function {self.name!r} cannot be called with {shapes}: {said}") from error
        if self._works_in_place is None:
            untouched, now = dict(leaves(x)), dict(leaves(given))
            self._works_in_place = any(not np.array_equal(a, now[n]) for n, a in untouched.items())
        return output

    def _in_form(self, output: Tensors, score: ScoreKind) -> Tensors:
        if score == "output" or self._outputs is None:
            return output
        if isinstance(output, Mapping):
            return {n: _convert(a, self.outputs[n], score) for n, a in output.items()}
        return _convert(output, self.outputs, score)

    def fingerprint(self) -> str:
        if self.version is None:
            raise NotSupported(
                f"the callable {self.name!r} has no fingerprint; name its version: wrap(f, version='1.2')"
            )
        return hashlib.sha256(f"{self.name}\0{self.version}".encode()).hexdigest()


def _columns(output: Array, count: int, name: str) -> Array:
    if output.dtype.kind not in "biuf" or output.ndim == 0 or len(output) != count:
        raise ModelError(f"the callable {name!r} gave {output.dtype} of shape {output.shape} for {count} samples")
    return output[:, None] if output.ndim == 1 else output


def _convert(output: Array, spec: Any, score: ScoreKind) -> Array:
    """Turn a callable's outputs into probabilities, or probabilities of independent sigmoids into logits."""
    if not isinstance(spec, Classes) or (score == "logit") == (spec.form == "logits"):
        return output
    if score == "probability":
        full = spec.probabilities(output)
        return full[:, 1:] if spec.binary(output.shape[-1]) else full
    raise NotSupported("the logit behind a callable's probabilities is not known: use score='probability'")


def require_layers(model: Model) -> None:
    """Raise NotSupported for a model that shows no layers."""
    if not model.layers:
        raise NotSupported(f"{model.name} is {with_article(model.framework)} model that shows no layers: {ITSELF}")


def named_sources(wrt: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """List the layers that a gradient is asked for at; none where it is the input's."""
    return (wrt,) if isinstance(wrt, str) else wrt or ()


def separable(depthwise: Kernel, pointwise: Kernel) -> Kernel:
    """Give the one kernel that does what a depthwise convolution and a 1×1 convolution after it do together.

    `depthwise` has one group per input channel (Chollet 2017, "Xception").
    """
    spatial = depthwise.values[..., 0].reshape(depthwise.groups, -1, *depthwise.values.shape[1:-1])
    mixing = pointwise.values.reshape(len(pointwise.values), *spatial.shape[:2])
    values = np.einsum("cm...,fcm->f...c", spatial, mixing)
    if depthwise.bias is None:
        return Kernel(values, pointwise.bias)
    added = mixing.reshape(len(mixing), -1) @ depthwise.bias
    return Kernel(values, added if pointwise.bias is None else added + pointwise.bias)


def canonical_hash(weights: Mapping[str, Array], *labels: str) -> str:
    """SHA-256 over names, shapes, dtypes and little-endian bytes of weights in the order of their names."""
    digest = hashlib.sha256("\0".join(labels).encode())
    for name in sorted(weights):
        a = np.ascontiguousarray(weights[name])
        a = a.astype(a.dtype.newbyteorder("<"), copy=False)
        digest.update(f"{name}\0{a.shape}\0{a.dtype.str}\0".encode())
        digest.update(a.tobytes())
    return digest.hexdigest()


def _float32(a: Array) -> Array:
    return a if type(a) is np.ndarray and a.dtype == np.float32 else np.asarray(a).astype(np.float32, copy=False)


def _has_places(spec: Any) -> bool:
    return isinstance(spec, InputSpec) and spec.kind in ("Image", "Series")


def patch_rows(patch: Mapping[str, Array], s: slice) -> Mapping[str, Array]:
    """Give the part of a patch that belongs to some rows; one row serves all."""
    return {n: a if len(a) == 1 else a[s] for n, a in patch.items()}


def fastest_batch(largest: int) -> int:
    """Give the number of rows that a CPU runs fastest at once, for a network whose largest layer holds so many bytes.

    Past the cache the cost of a row rises, but a large layer keeps the processor busy with few rows: the measured best
    falls with the 0.71th power of the size. VGG16 4, ResNet-50 8, a CNN for digits 128, LeNet-5 512, an MLP 4096.
    """
    return int(2 ** np.clip(np.round(np.log2(512 * (13_824 / max(largest, 1)) ** 0.71)), 0, 12))


def _bytes(shape: Sequence[int | None]) -> int:
    return 4 * int(np.prod([n or 1 for n in shape], dtype=np.int64))


def _zeros(spec: InputSpec) -> Array:
    if isinstance(spec, Text):  # of words: a network that masks pads cannot take a sentence of nothing else
        return np.full((1, *spec.shape), spec.unknown, np.int64)
    return np.zeros((1, *spec.shape), np.float32)


def _are_probabilities(output: Array, form: str) -> bool:
    inside = bool(np.all((output >= -1e-5) & (output <= 1 + 1e-5)))
    return inside and (form != "softmax" or bool(np.all(np.abs(output.sum(-1) - 1) < 1e-3)))


def _guess_form(output: Array) -> Literal["softmax", "sigmoid", "logits"]:
    if output.shape[-1] > 1 and _are_probabilities(output, "softmax"):
        return "softmax"
    return "sigmoid" if output.shape[-1] == 1 and _are_probabilities(output, "sigmoid") else "logits"
