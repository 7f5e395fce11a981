"""Networks made of NumPy, with derivatives on paper, that count what is asked of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from xaikit.graph import Layer
from xaikit.inputs import Array as ArraySpec
from xaikit.model import Network, Pull, Run


class Analytic(Network):
    """y = readout(relu(x·W + b)), or y = x·W + b without a readout; layers "hidden" and "output".

    `rows` counts the samples of forward passes, `pulled` those of pulls.
    """

    framework = "numpy"
    can = frozenset({"run", "pull", "patch"})

    def __init__(self, weights: Any, bias: Any = 0.0, readout: Any = None, **described: Any) -> None:
        self.kernel = np.asarray(weights, np.float64)
        self.bias = np.broadcast_to(np.asarray(bias, np.float64), self.kernel.shape[1:])
        self.readout = None if readout is None else np.asarray(readout, np.float64)
        self.rows = self.pulled = 0
        described.setdefault("inputs", ArraySpec((len(self.kernel),)))
        super().__init__(self.kernel, name="analytic", **described)

    @property
    def device(self) -> str:
        return "paper"

    def fingerprint(self) -> str:
        return str(hash((self.kernel.tobytes(), self.bias.tobytes())))

    def _read_layers(self) -> Mapping[str, Layer]:
        layers = [Layer("hidden", "dense", ("sample", "feature"), (self.kernel.shape[1],), ("input",))]
        if self.readout is not None:
            layers.append(Layer("output", "dense", ("sample", "feature"), (self.readout.shape[1],), ("hidden",)))
        return {layer.name: layer for layer in layers}

    def _forward(self, x: Any, at: tuple[str, ...], patch: Mapping[str, Any], score: Any) -> Run:
        self.rows += len(x)
        hidden, output = self._values(x, patch)
        return Run(output, {n: {"hidden": hidden, "output": output}[n] for n in at})

    def _values(self, x: Any, patch: Mapping[str, Any]) -> tuple[Any, Any]:
        hidden = np.asarray(x, np.float64).reshape(len(x), -1) @ self.kernel + self.bias
        if self.readout is not None:
            hidden = np.maximum(hidden, 0)
        hidden = np.broadcast_to(patch.get("hidden", hidden), hidden.shape)
        return hidden, hidden if self.readout is None else hidden @ self.readout

    def _backward(self, x: Any, seed: Any, of: Any, wrt: Any, patch: Any, rule: Any, score: Any) -> Pull:
        self.pulled += len(x)
        hidden, output = self._values(x, patch)
        value = hidden if of == "hidden" else output
        cotangent = seed(value) if callable(seed) else seed
        if self.readout is not None and of != "hidden":
            cotangent = cotangent @ self.readout.T
        if wrt == "hidden":
            return Pull(value, hidden, cotangent)
        if self.readout is not None:
            cotangent = cotangent * (hidden > 0)
        return Pull(value, np.asarray(x), (cotangent @ self.kernel.T).reshape(np.shape(x)))


def golden() -> Analytic:
    """ML of the reference values: h = relu(W x + b), W = ones(4, 3), b = (-10, 1, 1, 1); y = (Σh - 1, Σh + 1)."""
    net = Analytic(np.ones((3, 4)), (-10, 1, 1, 1), np.ones((4, 2)))
    plain = net._values

    def shifted(x: Any, patch: Any) -> tuple[Any, Any]:
        hidden, output = plain(x, patch)
        return hidden, output + np.array([-1.0, 1.0])

    net._values = shifted  # type: ignore[method-assign]
    return net
