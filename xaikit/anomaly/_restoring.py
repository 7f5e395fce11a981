"""Networks that give more than their input again, as networks that give that alone."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from xaikit.anomaly._codes import coded, given_back, nothing, taken_back
from xaikit.arrays import Array, Tensors, length
from xaikit.attribution._explain import require_wrapped
from xaikit.errors import NotSupported, UnknownName
from xaikit.graph import Layer
from xaikit.inputs import Reconstruction, ScoreKind
from xaikit.model import Contributions, Model, Network, Pull, Rule, Run, Seed

EQUAL = 1e-4
"""How far two answers to one sample may lie apart by rounding, relative to the largest."""


class Restoring(Network):
    """The output of a network that is its input again, in the input's shape; all else is the network's own.

    `output` names it where there are several. Of a network that draws its code, what is given back is that of the mean:
    `still` is the layer of the logarithm of the variance, which is set to almost nothing wherever no other value is
    asked for.
    """

    def __init__(self, model: Model, output: str | None, spec: Reconstruction, still: str | None = None) -> None:
        super().__init__(model, inputs=model.inputs, outputs=spec, name=model.name, layout="as-given")
        self.weights_id = model.weights_id
        self.framework = model.framework  # type: ignore[misc]  # that of the network
        self.can = model.can if still is None else frozenset(c for c in model.can if not c.startswith("native:"))
        self.output = output
        self._outputs, self._still = spec, still
        self._patch: Mapping[str, Array] = {} if still is None else nothing(model, still)

    @property
    def device(self) -> str:
        return str(self.net.device)

    @property
    def batch_size(self) -> int:
        return int(self.net.batch_size)

    def _read_layers(self) -> Mapping[str, Layer]:
        found: Mapping[str, Layer] = self.net.layers
        return found

    def _forward(self, x: Tensors, at: tuple[str, ...], patch: Mapping[str, Array], score: ScoreKind) -> Run:
        asked = tuple(n for n in at if n != self._still)
        run = self.net.run(x, asked, {**self._patch, **patch})
        found = dict(run.activations)
        if len(asked) < len(at):  # its own value, not the one that it is set to
            found |= self.net.run(x, (self._still,), patch).activations
        return Run(self._own(run.output), found)

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
        whole = {**self._patch, **patch}
        if of is not None:
            given: Seed = seed
        else:
            outputs = self.net.run(x, (), whole).output
            given = self._seed(seed(self._own(outputs)) if callable(seed) else seed, outputs)
        found: Pull = self.net.pull(x, given, of=of, wrt=wrt, patch=whole, rule=rule)
        output = None if found.output is None else self._own(found.output)
        return Pull(found.value if of else self._own(found.value), found.source, found.gradient, output)

    def _native(
        self, name: str, x: Tensors, seed: Tensors, baseline: Tensors | None, score: ScoreKind, parameters: Any
    ) -> Contributions:
        given = self._seed(seed, self.net.run(x).output)
        found: Contributions = self.net.contributions(name, x, given, baseline=baseline, **parameters)
        runs = [None if r is None else Run(self._own(r.output)) for r in (found.at_x, found.at_baseline)]
        return Contributions(found.values, *runs)

    def _own(self, outputs: Tensors) -> Array:
        return given_back(self.net, outputs, self.output)

    def _seed(self, seed: Any, outputs: Tensors) -> Tensors:
        """Give the seed the shape of the network's own output, with nothing for its others."""
        if not isinstance(outputs, Mapping):
            return taken_back(self.net, np.asarray(seed), np.shape(outputs))
        return {
            n: taken_back(self.net, np.asarray(seed), np.shape(a))
            if n == self.output
            else np.zeros((length(seed), *np.shape(a)[1:]), np.float32)
            for n, a in outputs.items()
        }

    def untreated(self, name: str, score: ScoreKind = "logit") -> Mapping[str, str]:
        found: Mapping[str, str] = self.net.untreated(name, score)
        return found

    def weights(self, layer: str) -> Mapping[str, Array]:
        found: Mapping[str, Array] = self.net.weights(layer)
        return found

    def kernel(self, layer: str) -> Any:
        return self.net.kernel(layer)

    def with_weights(self, weights: Mapping[str, Array]) -> Model:
        return Restoring(self.net.with_weights(weights), self.output, self.outputs, self._still)

    def fingerprint(self) -> str:
        """Give that of the network together with the name of the output."""
        return hashlib.sha256(f"{self.net.fingerprint()}\0{self.output}\0{self._still}".encode()).hexdigest()


def restoring(model: Model, asked: str, x: Array | None = None, output: str | int | None = None) -> Model:
    """Give a network as one that gives its input again and nothing else: itself where it is one.

    `x` holds encoded samples to look at, by default a blank one; `output` names one of several outputs, by default the
    one that the model's outputs say to be xk.Reconstruction. Raises NotSupported, UnknownName.
    """
    name, spec = named(model, asked, output)
    given = np.zeros((1, *model.inputs.shape), np.float32) if x is None else np.asarray(x)
    whole = model.run(given[[0, 0]]).output
    back = np.asarray(whole if name is None else whole[name])
    still = _still(model) if draws(back) else None
    if name is None and still is None and (back.shape[1:] == given.shape[1:] or back[0].size != given[0].size):
        return model
    return Restoring(model, name, spec, still)


def draws(twice: Array) -> bool:
    """Whether a network's answers to one sample, given twice, differ by more than rounding."""
    return bool(np.abs(twice[0] - twice[1]).max() > EQUAL * max(1e-6, float(np.abs(twice).max())))


def named(model: Model, asked: str, output: str | int | None = None) -> tuple[str | None, Reconstruction]:
    """Give the name of the output that is the input again, None for the only one, and its spec.

    `asked` names the function that was called. Raises UsageError, NotSupported, UnknownName.
    """
    require_wrapped(model, asked)
    if isinstance(model.inputs, Mapping) or not getattr(model.inputs, "shape", None):
        raise NotSupported(f"{model.name} has several inputs, or one of unknown shape: a reconstruction is of one")
    if not isinstance(model.outputs, Mapping):
        if output is not None:
            raise NotSupported(f"{model.name} has one output: leave output= out")
        if not isinstance(model.outputs, Reconstruction):
            raise NotSupported(
                f"{model.name} gives {type(model.outputs).__name__}, not its input again; wrap an autoencoder with "
                "outputs=xk.Reconstruction()"
            )
        return None, model.outputs
    output = None if output is None else str(output)
    if output is not None and output not in model.outputs:
        raise UnknownName(f"output of {model.name}", output, model.outputs)
    said = [n for n, spec in model.outputs.items() if isinstance(spec, Reconstruction)]
    if output is None and len(said) != 1:
        known = said or _fitting(model)
        if not known:
            raise NotSupported(f"{model.name} gives {', '.join(model.outputs)}, none of which is its input again")
        raise NotSupported(
            f"{model.name} gives several outputs ({', '.join(model.outputs)}): say which is its input again, by "
            f"output={known[0]!r}, or where it is wrapped by outputs={{{known[0]!r}: xk.Reconstruction()}}"
        )
    name = said[0] if output is None else output
    spec = model.outputs[name]
    return name, spec if isinstance(spec, Reconstruction) else Reconstruction()


def _fitting(model: Model) -> list[str]:
    """List the outputs that have as many numbers as the input."""
    given = np.zeros((1, *model.inputs.shape), np.float32)
    found = model.run(given).output
    assert isinstance(found, Mapping)
    return [n for n, a in found.items() if np.size(a) == given.size]


def _still(model: Model) -> str | None:
    try:
        code = coded(model)
    except NotSupported:
        return None
    return None if isinstance(code, str) else code.log_variance
