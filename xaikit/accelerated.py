"""Accelerated copies of networks: what they have in common, whoever makes them and whatever runs them."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors, each, leaves, rows
from xaikit.errors import MissingPackage, NotSupported, XaikitError
from xaikit.graph import Layer
from xaikit.inputs import ScoreKind
from xaikit.model import Network, Pull, Run

TOLERANCE = 1e-4
"""How far the output of an accelerated copy may lie from the network's own: absolute, relative where it is above 1."""
SAMPLES = 3
"""How many are compared together, beside one alone: another number than a network is exported with."""


class Accelerated(Network):
    """A copy of a network that runs faster, and can do nothing else; it keeps the weights it was made with.

    `compute` gives the output of one chunk, in the network's own layout, in a form of the score; `twin` knows how
    outputs are laid out, where that takes more than the layout's name. The copy never refers to the original.
    """

    def __init__(
        self,
        original: Network,
        kind: str,
        compute: Callable[[Tensors, ScoreKind], Tensors],
        twin: Network | None = None,
    ) -> None:
        super().__init__(
            compute,
            inputs=original.inputs,
            outputs=original._asked_outputs,
            name=original.name,
            layout=original._asked_layout,
            version=original.version,
            weights_id=original.weights_id,
        )
        self.framework = original.framework  # type: ignore[misc]  # that of the network, whatever runs it now
        self.kind = kind
        self._twin = twin
        self._device, self._rows = original.device, original.batch_size
        self._described = original.layers
        self._found_layout, self._outputs = original.layout, original.outputs
        self._marked = original.fingerprint()

    @property
    def device(self) -> str:
        return self._device

    @property
    def batch_size(self) -> int:
        return self._rows

    def _read_layers(self) -> Mapping[str, Layer]:
        return self._described

    def _outwards(self, y: Tensors, back: bool = False) -> Tensors:
        return super()._outwards(y, back) if self._twin is None else self._twin._outwards(y, back)

    def run(
        self,
        x: Tensors,
        at: Sequence[str] = (),
        patch: Mapping[str, Array] = {},
        *,
        score: ScoreKind = "output",
        raw: bool = True,
    ) -> Run:
        if at or patch:
            raise self._refusal("reads and replaces no layers")
        return super().run(x, score=score, raw=raw)

    def _forward(self, x: Tensors, at: tuple[str, ...], patch: Mapping[str, Array], score: ScoreKind) -> Run:
        return Run(self.net(x, score))

    def _backward(self, *_: Any, **__: Any) -> Pull:
        raise self._refusal("has no gradients")

    def _refusal(self, what: str) -> NotSupported:
        return NotSupported(f"an accelerated copy of {self.name} {what}: ask the model that it was made of")

    def fingerprint(self) -> str:
        """Give the fingerprint that the network had when this copy was made."""
        return self._marked

    def checked(self, original: Network) -> "Accelerated":
        """Give this copy if it agrees with the original, on one sample and on more; raise NotSupported if not."""
        drawn, outputs = _samples(original)
        one = rows(drawn, slice(0, 1))
        self._compare(original.run(one).output, one, "output")
        self._compare(outputs, drawn, "output")
        try:
            logits = original.run(drawn, score="logit").output
        except NotSupported:  # which the copy cannot give either
            return self
        self._compare(logits, drawn, "logit")
        return self

    def _compare(self, expected: Tensors, x: Tensors, score: ScoreKind) -> None:
        try:
            given = dict(leaves(self.run(x, score=score).output))
        except Exception as error:  # whatever the runtime raises for this network
            raise NotSupported(f"the copy of {self.name} by {self.kind} cannot run: {reason(error)}") from error
        for name, right in leaves(expected):
            if given[name].shape != right.shape:
                raise NotSupported(
                    f"the copy of {self.name} by {self.kind} gives {given[name].shape}, not {right.shape}"
                )
            off = float(np.max(np.abs(given[name] - right) / np.maximum(1, np.abs(right)), initial=0))
            if not off <= TOLERANCE:
                raise NotSupported(f"the copy of {self.name} by {self.kind} differs from it by {off:.1e}")


def package(name: str) -> Any:
    """Import a package that copies in ONNX Runtime need; raise NotSupported with the pip command where it is not."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise NotSupported(str(MissingPackage(name, "fast", "a copy in ONNX Runtime"))) from None


def session(model: Network, written: bytes, threads: int) -> Any:
    """Open a network written as ONNX in ONNX Runtime, on the CPU; raise NotSupported with the reason if that fails."""
    runtime = package("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4
    try:
        return runtime.InferenceSession(written, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own errors have no common class
        raise NotSupported(f"ONNX Runtime cannot run {model.name}: {reason(error)}") from error


def reason(error: Exception) -> str:
    """Give the first line of what another library has raised."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]


def _samples(model: Network) -> tuple[Tensors, Tensors]:
    """Give samples to compare a copy on, and the outputs: drawn numbers where it takes numbers, else blanks."""
    blank = rows(model._blank(), np.zeros(SAMPLES, int))
    draw = np.random.default_rng(0).standard_normal
    drawn = each(lambda a: draw(a.shape).astype(a.dtype) if a.dtype.kind == "f" else a, blank)
    if model.device == "cpu":  # an index out of range, drawn for an embedding, breaks an accelerator
        with suppress(XaikitError):
            return drawn, model.run(drawn).output
    return blank, model.run(blank).output
