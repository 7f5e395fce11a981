"""What every adapter promises, as plain functions for the tests of an adapter; they need no test runner.

    from xaikit.testing import adapter_contract

    def test_the_contract():
        assert adapter_contract(model, x) >= {"run", "layers", "patch"}

`model` is a wrapped network and `x` an encoded batch (sample, ...) of at least two samples, as `model.run` takes it.
Each check raises AssertionError with the clause that does not hold, and says whether its subject was served or
refused. What a framework cannot do, its adapter leaves out of `can`: then the checks want it refused with NotSupported,
and never answered with something else.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors, agreement, each, leaves, length, rows, total
from xaikit.attribution import explain, methods
from xaikit.errors import InputError, NotSupported, UnknownName, XaikitError
from xaikit.inputs import Classes, Raw
from xaikit.model import Model

__all__ = [
    "CHECKS",
    "adapter_contract",
    "check_fingerprint",
    "check_gradients",
    "check_layers",
    "check_methods",
    "check_patches",
    "check_refusals",
    "check_runs",
    "check_scores",
]

SAME = 1e-5
"""How far two float32 passes over the same rows may lie apart, relative to the largest entry of a sample."""
MOVED = 1e-3
"""How far two outputs lie apart that are said to differ, in the same measure."""
STEP = 1e-3
"""The step of a difference quotient, relative to the size of the input."""
SLOPE = 0.05
"""How far a gradient may lie from the difference quotient of a float32 network: rounding and curvature."""
DIRECTIONS = 9
"""Of so many drawn directions the median counts, since a ReLU that turns between the two points spoils a few."""


def adapter_contract(model: Model, x: Tensors) -> set[str]:
    """Run all checks on a wrapped network and an encoded batch, and name those whose subject was served, not refused.

    The names are the keys of CHECKS. Raises AssertionError with the first clause that does not hold.
    """
    assert length(x) >= 2, "the contract needs a batch of at least two samples"
    return {name for name, check in CHECKS.items() if check(model, x)}


def check_runs(model: Model, x: Tensors) -> bool:
    """`run` gives finite float32, the sample first, alike alone and in a batch, and leaves its input as it was."""
    assert "run" in model.can, "`can` names 'run'"
    given = each(np.copy, x)
    output = model.run(x).output
    for name, a in leaves(output):
        assert a.dtype == np.float32, f"output {name!r} is float32, not {a.dtype}"
        assert a.shape[:1] == (length(x),), f"output {name!r} has the sample axis first, not {a.shape}"
        assert a.ndim >= 2, f"output {name!r} has an axis after that of the samples, not {a.shape}"
        assert np.isfinite(a).all(), f"output {name!r} is finite"
    assert _same(output, model.run(x).output), "the same batch gives the same output again"
    for i in range(2):
        one = slice(i, i + 1)
        assert _same(rows(output, one), model.run(rows(x, one)).output), "a sample gives alone what it gives in a batch"
    assert all(np.array_equal(a, b) for a, b in _pairs(given, x)), "the input is left as it was"
    return True


def check_scores(model: Model, x: Tensors) -> bool:
    """Probabilities are those that the form of Classes says; logits, where they can be had, give the same ones."""
    output = dict(leaves(model.run(x).output))
    for name, spec in _named(model.outputs).items():
        if not isinstance(spec, Classes):
            continue
        expected = spec.probabilities(output[name])
        said = dict(leaves(model.run(x, score="probability").output))[name]
        assert np.allclose(said, expected[:, -said.shape[-1] :], atol=SAME), "score='probability' gives probabilities"
        try:
            logits = dict(leaves(model.run(x, score="logit").output))[name]
        except NotSupported:  # the logits of a plain function are not known
            continue
        assert np.allclose(spec.of_logits(logits), said, atol=1e-4), "the logits give the probabilities"
    return True


def check_refusals(model: Model, x: Tensors) -> bool:
    """An empty batch, a wrong shape and an unknown layer are refused with the errors that say so."""
    assert _refused(InputError, lambda: model.run(rows(x, slice(0, 0)))), "an empty batch is an InputError"
    if not any(isinstance(spec, Raw) for spec in _named(model.inputs).values()):
        assert _refused(InputError, lambda: model.run(each(lambda a: a[..., None], x))), (
            "a wrong shape is an InputError"
        )
    expected = UnknownName if model.layers else NotSupported
    assert _refused(expected, lambda: model.run(x, at=["no such layer"])), f"an unknown layer is a {expected.__name__}"
    return True


def check_layers(model: Model, x: Tensors) -> bool:
    """Layers stand in call order, and the activations of each have the axes and lengths that it says."""
    if not model.layers:
        return False
    behind = set(model.layers)
    found = model.run(x, at=list(model.layers)).activations
    for name, layer in model.layers.items():
        assert layer.name == name, f"layer {name!r} has its own name, not {layer.name!r}"
        assert not behind & set(layer.parents), f"layer {name!r} comes after the layers that it reads"
        behind.remove(name)
        shape = found[name].shape
        assert len(shape) == len(layer.axes), f"layer {name!r} says the axes {layer.axes} and gives the shape {shape}"
        own = [n for n, axis in zip(shape, layer.axes, strict=True) if axis != "sample"]
        fits = len(own) == len(layer.shape) and all(b in (None, a) for a, b in zip(own, layer.shape, strict=True))
        assert fits, f"layer {name!r} says the shape {layer.shape} and gives {own}"
    return True


def check_patches(model: Model, x: Tensors) -> bool:
    """A patch stands in for a layer: its own values change nothing, those of other samples reach what reads it."""
    if "patch" not in model.can:
        return False
    plain = model.run(x, at=list(model.layers))
    reached = False
    for name, layer in model.layers.items():
        own = plain.activations[name]
        assert _same(plain.output, model.run(x, patch={name: own}).output), f"{name!r} patched with its own values"
        others = np.roll(own, 1, layer.axes.index("sample"))
        patched = model.run(x, at=[name], patch={name: others})
        assert np.allclose(patched.activations[name], others, atol=SAME), f"{name!r} shows the values put in"
        reached |= bool(agreement(plain.output, patched.output).max() > MOVED)
    assert reached, "values that are put in at a layer reach the layers that read it"
    return True


def check_gradients(model: Model, x: Tensors) -> bool:
    """`pull` gives the derivative of `run`; a model without "pull" in `can` refuses it with NotSupported."""
    output = model.run(x).output
    seed = each(lambda a: np.cos(np.arange(a.size)).reshape(a.shape).astype(np.float32), output)
    if "pull" not in model.can:
        assert _refused(NotSupported, lambda: model.pull(x, seed)), "a gradient that there is not is NotSupported"
        return False
    if any(a.dtype.kind != "f" for _, a in leaves(x)):  # ids have no gradient
        return True
    pulled = model.pull(x, seed)
    assert _same(output, pulled.value), "the value of a pull is the output"
    rng = np.random.default_rng(0)
    off = float(np.median([_off_the_slope(model, x, seed, pulled.gradient, rng) for _ in range(DIRECTIONS)]))
    assert off <= SLOPE, f"the gradient is the derivative of the output: it is off by {off:.0%}"
    return True


def check_fingerprint(model: Model, x: Tensors) -> bool:
    """A fingerprint is 64 hexadecimal digits and stays over a run; a refusal says how to give a version instead."""
    try:
        first = model.fingerprint()
    except NotSupported as error:
        first, said = "", str(error)
    if not first:
        assert "version" in said, "a model without a fingerprint says how to give a version"
        return False
    model.run(x)
    assert re.fullmatch("[0-9a-f]{64}", first), f"a fingerprint is a SHA-256, not {first!r}"
    assert model.fingerprint() == first, "a fingerprint stays while the weights do"
    return True


def check_methods(model: Model, x: Tensors) -> bool:
    """Methods that need more than the model `can` are refused and name others; simple ones that do not, explain it."""
    for name, method in methods.items():
        if not method.needs <= model.can:
            assert _refused(NotSupported, lambda m=method: m.examine(model)), f"{name} is refused"  # type: ignore[misc]
    spec = model.outputs
    if isinstance(model.inputs, Mapping) or isinstance(spec, Mapping):
        return True
    sample = model.inputs.decode(rows(x, slice(0, 1)))
    for name in ("occlusion", "saliency"):
        if methods[name].needs <= model.can and not any(a.dtype.kind in "iu" for _, a in leaves(x)):
            found = explain(model, sample, name, target=None if isinstance(spec, Classes) else 0)
            assert np.isfinite(found.values).all(), f"{name} gives finite numbers"
    return True


CHECKS: Mapping[str, Callable[[Model, Tensors], bool]] = {
    "run": check_runs,
    "scores": check_scores,
    "refusals": check_refusals,
    "layers": check_layers,
    "patch": check_patches,
    "pull": check_gradients,
    "fingerprint": check_fingerprint,
    "methods": check_methods,
}
"""The checks by the name of their subject."""


def _same(a: Tensors, b: Tensors) -> bool:
    return bool(agreement(a, b).max() <= SAME)


def _pairs(a: Tensors, b: Tensors) -> list[tuple[Array, Array]]:
    there = dict(leaves(b))
    return [(value, there[name]) for name, value in leaves(a)]


def _named(spec: Any) -> Mapping[str, Any]:
    return spec if isinstance(spec, Mapping) else {"": spec}


def _refused(error: type[XaikitError], ask: Callable[[], Any]) -> bool:
    """Whether asking raises this error; any other error passes through."""
    try:
        ask()
    except error:
        return True
    return False


def _off_the_slope(model: Model, x: Tensors, seed: Tensors, gradient: Tensors, rng: np.random.Generator) -> Array:
    """Give how far each sample's gradient lies from a central difference along a drawn direction.

    The measure is the size that the change of a random direction has on average, which no cancelling makes small.
    """
    step = each(lambda a: (STEP * (np.abs(a).mean() + STEP) * rng.choice((-1, 1), a.shape)).astype(a.dtype), x)
    above, below = (model.run(each(change, x, step)).output for change in (np.add, np.subtract))
    found = total(each(lambda s, a, b: s * (a.astype(np.float64) - b), seed, above, below)) / 2
    changes = each(lambda g, s: g.astype(np.float64) * s, gradient, step)
    size = np.sqrt(total(each(np.square, changes)))
    return np.abs(found - total(changes)) / np.maximum(size, np.finfo(np.float32).tiny)
