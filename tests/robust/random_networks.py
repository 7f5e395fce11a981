"""Random networks through every method that the doctor says serves them.

    python -m tests.robust.random_networks --minutes 15 --first 1000 [--framework torch]

draws networks by the neutral builder until the time is over and prints what is wrong, with the number that draws the
network again: `tried(number, ...)`.
"""

import argparse
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import xaikit as xk
from tests.zoo.parity import lively
from xaikit import wrapping
from xaikit.arrays import agreement, total
from xaikit.errors import ParameterError
from xaikit.perturb.memory import MEMORY
from xaikit.quality.doctor import examine
from xaikit.zoo.building import Architecture, Ops, Symbol, describe

Rng = np.random.Generator
ACTIVATIONS = ("relu", "relu", "leaky_relu", "elu", "sigmoid", "tanh", "softplus", None)
SAMPLES = 2
FEW: dict[str, dict[str, Any]] = {
    "lime": {"samples": 60},
    "kernel-shap": {"samples": 60},
    "permutation-shap": {"samples": 40},
    "partition-shap": {"samples": 40},
    "exact-shapley": {"segments": 5},
    "smooth-grad": {"samples": 4},
    "gradient-shap": {"samples": 8},
    "integrated-gradients": {"steps": 12},
    "sequential-integrated-gradients": {"steps": 6},
    "temporal-integrated-gradients": {"steps": 6},
    "rise": {"samples": 40, "cell": 3},
}
ADDS_UP = ("kernel-shap", "permutation-shap", "partition-shap", "exact-shapley", "deep-shap")
NUMBERS, PARTS, QUOTIENTS = 1e-5, 1e-4, 1e-3
"""How far the frameworks may be apart: values made of gradients, of parts, and of small differences divided by one
another, which in float32 have lost half of their digits."""
DIVIDING = ("deep-lift", "deep-shap", "lrp")


@dataclass(frozen=True)
class Drawn:
    """A random network with what it takes, and samples as a person has them."""

    number: int
    architecture: Architecture
    inputs: Any
    outputs: Any
    x: Any


def draw(number: int) -> Drawn:
    """Draw a network for pictures, series, texts or rows; the same one for the same number."""
    rng = np.random.default_rng(number)
    kind = ("picture", "picture", "series", "text", "row")[rng.integers(5)]
    while True:
        inputs, x, start = DRAWERS[kind](rng)
        ending = _ending(rng)
        state = rng.bit_generator.state

        def function(net: Ops) -> Symbol:
            rng.bit_generator.state = state  # noqa: B023  (called at once, below)
            return ending[0](net, _body(rng, net, start(net), kind))  # noqa: B023

        try:
            return Drawn(number, describe(f"random{number}", function), inputs, ending[1], x)
        except ParameterError:
            continue  # the places were used up: draw another


def _body(rng: Rng, net: Ops, x: Symbol, kind: str) -> Symbol:
    layers: dict[int, tuple[Callable[[Rng, Ops, Symbol], Symbol], ...]] = {
        3: (_conv, _conv, _conv, _separable, _pool, _norm, _residual, _side_by_side, _activation, _dropout),
        2: (_conv, _conv, _pool, _norm, _recurrent, _recurrent, _residual, _activation, _dropout),
        1: (_dense, _dense, _norm, _activation, _dropout),
    }
    for _ in range(int(rng.integers(1, 5))):
        known = layers[len(x.shape)]
        x = known[rng.integers(len(known))](rng, net, x)
    if len(x.shape) > 1:
        if kind == "text" or (len(x.shape) == 2 and rng.random() < 0.4):
            x = net.lstm(x, 4) if rng.random() < 0.5 else net.gru(x, 4)
        else:
            x = (net.flatten, net.global_avg_pool, net.global_max_pool)[rng.integers(3)](x)
    return x


def _ending(rng: Rng) -> tuple[Callable[[Ops, Symbol], Symbol], Any]:
    kind = rng.integers(3)
    if kind == 0:
        return lambda net, x: net.dense(x, 3, activation="softmax"), xk.Classes(("a", "b", "c"), form="softmax")
    if kind == 1:
        return lambda net, x: net.dense(x, 1, activation="sigmoid"), xk.Classes(("no", "yes"), form="sigmoid")
    return lambda net, x: net.dense(x, 2), xk.Values(("u", "v"))


def _picture(rng: Rng) -> Any:
    height, width, channels = int(rng.integers(6, 11)), int(rng.integers(6, 11)), int(rng.choice([1, 3]))
    drawn = rng.integers(0, 256, (SAMPLES, height * width, channels))
    x = 2 * drawn.argsort(axis=1).reshape(SAMPLES, height, width, channels).astype(np.uint8)  # no two maxima
    return xk.Image(height, width, channels), x, lambda net: net.input(height, width, channels)


def _series(rng: Rng) -> Any:
    steps, channels = int(rng.integers(8, 16)), int(rng.integers(1, 4))
    x = rng.normal(0, 1, (SAMPLES, steps, channels))
    return xk.Series(steps, channels), x, lambda net: net.input(steps, channels)


def _text(rng: Rng) -> Any:
    length, masked = int(rng.integers(5, 9)), bool(rng.integers(2))
    words = ["", "?", *"abcdefgh"]
    drawn = [rng.choice(words[2:], int(rng.integers(2, length))) for _ in range(SAMPLES)]
    x = [" ".join(dict.fromkeys(said)) for said in drawn]  # equal words would be equal maxima

    def start(net: Ops) -> Symbol:
        return net.embedding(net.input(length, integer=True), len(words), 4, mask_zero=masked)

    return xk.Text(length, vocabulary=words), x, start


def _row(rng: Rng) -> Any:
    columns = int(rng.integers(3, 7))
    return xk.Array((columns,)), rng.normal(0, 1, (SAMPLES, columns)), lambda net: net.input(columns)


DRAWERS = {"picture": _picture, "series": _series, "text": _text, "row": _row}


def _conv(rng: Rng, net: Ops, x: Symbol) -> Symbol:
    stride = int(rng.choice([1, 1, 2]))
    padding = str(rng.choice(["valid", "same"]))
    kernel = int(rng.integers(1, 4))
    dilation = 2 if stride == 1 and kernel > 1 and rng.random() < 0.2 else 1
    asked: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation}
    return net.conv(x, int(rng.integers(2, 5)), kernel, activation=_drawn_activation(rng), **asked)


def _separable(rng: Rng, net: Ops, x: Symbol) -> Symbol:
    return net.separable_conv(x, 3, 3, padding="same", activation=_drawn_activation(rng))


def _pool(rng: Rng, net: Ops, x: Symbol) -> Symbol:
    return (net.max_pool, net.avg_pool)[rng.integers(2)](x, 2, padding=str(rng.choice(["valid", "same"])))  # type: ignore[arg-type]


def _norm(rng: Rng, net: Ops, x: Symbol) -> Symbol:
    return (net.batch_norm, net.layer_norm)[rng.integers(2)](x)


def _residual(rng: Rng, net: Ops, x: Symbol) -> Symbol:
    return net.add(x, net.conv(x, x.shape[-1], 3, padding="same", activation=_drawn_activation(rng)))


def _side_by_side(rng: Rng, net: Ops, x: Symbol) -> Symbol:
    return net.concat(net.conv(x, 2, 1), net.conv(x, 2, 3, padding="same", activation=_drawn_activation(rng)))


def _recurrent(rng: Rng, net: Ops, x: Symbol) -> Symbol:
    kind = rng.integers(4)
    if kind == 3:
        return net.bidirectional(x, str(rng.choice(["lstm", "gru"])), 3, sequences=True)
    return (net.lstm, net.gru, net.simple_rnn)[kind](x, 3, sequences=True)


def _dense(rng: Rng, net: Ops, x: Symbol) -> Symbol:
    return net.dense(x, int(rng.integers(2, 9)), activation=_drawn_activation(rng))


def _activation(rng: Rng, net: Ops, x: Symbol) -> Symbol:
    return net.activation(x, _drawn_activation(rng) or "relu")


def _dropout(rng: Rng, net: Ops, x: Symbol) -> Symbol:
    return net.dropout(x, 0.3)


def _drawn_activation(rng: Rng) -> str | None:
    return ACTIVATIONS[rng.integers(len(ACTIVATIONS))]


# ---------------------------------------------------------------- what must hold


def wrapped(drawn: Drawn, framework: str) -> Any:
    """Build and wrap the network with lively weights."""
    adapter = wrapping.adapter(framework)
    net = adapter.build(drawn.architecture, weights=lively(drawn.architecture))
    layout = getattr(net, "layout", "channels-last")
    return xk.wrap(net, drawn.inputs, drawn.outputs, name=f"{drawn.architecture.name}", layout=layout)


def tried(number: int, frameworks: tuple[str, ...], methods: tuple[str, ...] | None = None) -> list[str]:
    """Explain samples by every method that serves, and say what is wrong, in words; [] where nothing is."""
    drawn, wrong = draw(number), []
    models = {framework: wrapped(drawn, framework) for framework in frameworks}
    found: dict[str, dict[str, Any]] = {}
    target = 0 if isinstance(drawn.outputs, xk.Values) else None
    for framework, model in models.items():
        for verdict in examine(model):
            if not verdict.serves or (methods is not None and verdict.method not in methods):
                continue
            MEMORY.clear()
            try:
                asked = dict(FEW.get(verdict.method, {}))
                if isinstance(drawn.inputs, xk.Text):
                    asked.pop("segments", None)  # its parts are its words
                e = xk.explain(model, drawn.x, verdict.method, target=target, progress=False, **asked)
            except Exception as error:
                at = traceback.extract_tb(error.__traceback__)[-1]
                place = f"{at.filename.rpartition('/')[2]}:{at.lineno}"
                wrong.append(f"{framework} {verdict.method}: {type(error).__name__} at {place}: {error}")
                continue
            found.setdefault(verdict.method, {})[framework] = e
            wrong += [f"{framework} {verdict.method}: {said}" for said in _alone(verdict.method, e)]
    for method, both in found.items():
        if len(both) == 2:
            if not _ties(method, drawn):
                wrong += [f"{method}: {said}" for said in _together(method, *both.values())]
        elif len(frameworks) == 2 and "native" not in str(xk.methods[method].needs):
            wrong.append(f"{method} serves {', '.join(both)} alone")
    return wrong


def _alone(method: str, e: Any) -> Iterator[str]:
    finite = np.isfinite(e.values).all()
    if not finite and str(e.status) != "fail":
        yield f"values that are not finite, and the status {e.status}"
    if str(e.status) != "ok" and not e.status.reasons:
        yield f"the status {e.status} without a reason"
    if method in ADDS_UP and finite and "completeness_gap" in e.quality:
        gap, relative = e.quality["completeness_gap"], e.quality["completeness_gap_relative"]
        if ((gap > 1e-5) & (relative > 1e-4)).any():
            yield f"misses f(x) - f(b) by {gap.max():.2g}, relatively {relative.max():.2g}"
    if "completeness_gap" in e.quality and "integrated" in method and e.part_values is None:
        values = total(e.values)
        if not np.isfinite(values).all():
            yield "a sum that is not finite"


def _ties(method: str, drawn: Drawn) -> bool:
    """Whether maxima of closed ReLUs, which are all 0, decide what the method gives: each framework takes another."""
    return method == "deconvnet" and any(n.op in ("max_pool", "global_max_pool") for n in drawn.architecture.nodes)


def _together(method: str, a: Any, b: Any) -> Iterator[str]:
    if agreement(a.prediction, b.prediction).max() > NUMBERS:
        yield f"predictions differ by {agreement(a.prediction, b.prediction).max():.2g}"
    parts = a.part_values is not None
    first, second = (np.nan_to_num(e.part_values) if parts else np.asarray(e.values) for e in (a, b))
    if first.shape != second.shape:
        yield f"shapes {first.shape} and {second.shape}"
        return
    bound = NUMBERS if not parts and "pull" in xk.methods[method].needs else PARTS
    bound = QUOTIENTS if method in DIVIDING else bound
    size = max(np.abs(first).max(), np.abs(second).max())
    apart = np.abs(first.astype(np.float64) - second).max()
    if apart > bound * size and apart > 1e-7:
        yield f"differ by {apart / size:.2g} of the largest value, {size:.2g}"
    if str(a.status) != str(b.status):
        yield f"status {a.status} {a.status.reasons} and {b.status} {b.status.reasons}"


def main() -> int:
    """Draw networks until the time is over; leave with 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--framework", choices=("torch", "keras", "both"), default="both")
    asked = parser.parse_args()
    frameworks = ("torch", "keras") if asked.framework == "both" else (asked.framework,)
    end, number, wrong = time.monotonic() + 60 * asked.minutes, asked.first, Counter[str]()
    while time.monotonic() < end:
        for said in tried(number, frameworks):
            wrong[said.partition(":")[0]] += 1
            sys.stdout.write(f"{number}: {said}\n")
            sys.stdout.flush()
        number += 1
    sys.stdout.write(f"{number - asked.first} networks on {asked.framework}; wrong: {dict(wrong) or 'nothing'}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
