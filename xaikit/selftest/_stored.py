"""Golden cases of trained networks: the right values were calculated once, in float64, without xaikit's methods."""

from typing import Any

import numpy as np

from xaikit import anomaly
from xaikit.attribution import explain
from xaikit.insight import receptive_field
from xaikit.selftest._bench import Bench
from xaikit.selftest._case import EXACT, PARTS, Golden, stored
from xaikit.sequence import hidden_states

NETWORKS = ("xo_cnn", "mnist_cnn", "credit_mlp", "lstm_imdb", "lstm_forecast", "series_autoencoder")
TEXT = "A dull plot, but the actors are wonderful!"
STEPS = 50
"""Of integrated gradients."""
NINE_PARTS = np.kron(np.arange(9).reshape(3, 3), np.ones((3, 3), int))
"""A drawing of 9×9 in nine squares."""
LIME_SAMPLES, LIME_SEED = 200, 0
PAPER = -1.0
"""What an empty place of a drawing is."""


def sample(bench: Bench, golden: Golden, name: str) -> Any:
    """Give the sample that a network is asked about, as a person has it."""
    if name == "lstm_imdb":
        return TEXT
    if name == "credit_mlp":
        return next(iter(bench.load(name).inputs.background))
    return golden[f"{name}/x"]


def other_row(bench: Bench) -> Any:
    """Give the applicant from whom the paths of `credit_mlp` start: the second of those that came with it."""
    return list(bench.load("credit_mlp").inputs.background)[1:2]


def _explained(bench: Bench, golden: Golden, name: str, method: str, target: Any, **parameters: Any) -> Any:
    x = sample(bench, golden, name)
    return explain(bench.load(name), x, method, target=target, progress=False, **parameters)


def _of_outputs(name: str) -> None:
    @stored(f"{name}/output", "the network's answer")
    def _(bench: Bench, golden: Golden) -> Any:
        model = bench.load(name)
        return model.run(model.inputs.encode([sample(bench, golden, name)])).output


for _name in NETWORKS:
    _of_outputs(_name)


@stored("xo_cnn/lime", f"coefficients of nine parts, {LIME_SAMPLES} samples, seed {LIME_SEED}", PARTS)
def _lime(bench: Bench, golden: Golden) -> Any:
    asked = {"segments": NINE_PARTS, "samples": LIME_SAMPLES, "baseline": PAPER}
    return _explained(bench, golden, "xo_cnn", "lime", "X", seed=LIME_SEED, **asked).part_values


@stored("xo_cnn/kernel-shap", "Shapley values of nine parts, all 512 coalitions", PARTS)
def _kernel_shap(bench: Bench, golden: Golden) -> Any:
    asked = {"segments": NINE_PARTS, "baseline": PAPER}
    return _explained(bench, golden, "xo_cnn", "kernel-shap", "X", **asked).part_values


@stored("mnist_cnn/saliency", "the gradient of the logit of 7")
def _saliency(bench: Bench, golden: Golden) -> Any:
    return _explained(bench, golden, "mnist_cnn", "saliency", "7").values


@stored("mnist_cnn/integrated-gradients", f"the logit of 7, {STEPS} steps from black")
def _paths(bench: Bench, golden: Golden) -> Any:
    return _explained(bench, golden, "mnist_cnn", "integrated-gradients", "7", steps=STEPS, baseline=0.0).values


@stored("mnist_cnn/grad-cam", "the map of conv3 for 7, on its own grid of 3×3")
def _cam(bench: Bench, golden: Golden) -> Any:
    return _explained(bench, golden, "mnist_cnn", "grad-cam", "7", layer="conv3", upsample=False).values


@stored("mnist_cnn/receptive-field", "size, stride and padding of every layer with places", EXACT)
def _fields(bench: Bench, golden: Golden) -> Any:
    rf = receptive_field(bench.load("mnist_cnn"))
    layers = ("conv1", "pool1", "conv2", "pool2", "conv3")
    return [[rf[n].size[0], rf[n].stride[0], rf[n].padding[0]] for n in layers]


@stored("credit_mlp/integrated-gradients", f"the logit of 'good' by column, {STEPS} steps from another")
def _of_columns(bench: Bench, golden: Golden) -> Any:
    asked = {"steps": STEPS, "baseline": other_row(bench)}
    return _explained(bench, golden, "credit_mlp", "integrated-gradients", "good", **asked).values


@stored("lstm_imdb/integrated-gradients", f"the logit of 'positive' by word, {STEPS} steps from padding", PARTS)
def _of_words(bench: Bench, golden: Golden) -> Any:
    return _explained(bench, golden, "lstm_imdb", "integrated-gradients", "positive", steps=STEPS, baseline=0).values


@stored("lstm_forecast/gates", "i, f, g, o, c and h at every step")
def _gates(bench: Bench, golden: Golden) -> Any:
    states = hidden_states(bench.load("lstm_forecast"), golden["lstm_forecast/x"], "lstm1")
    return [states[name][0] for name in "ifgoch"]


@stored("series_autoencoder/anomaly", "the error of each step and their mean, the score", PARTS)
def _anomaly(bench: Bench, golden: Golden) -> Any:
    x = golden["series_autoencoder/x"]
    normal = np.stack([x * (0.9 + i / 100) for i in range(20)])
    scored = anomaly.fit(bench.load("series_autoencoder"), normal, progress=False).score(x)
    return np.append(scored.contributions[0].ravel(), scored.values)


@stored("credit_mlp/completeness", "what integrated gradients miss of f(x) - f(baseline)", 1e-2)
def _completeness(bench: Bench, golden: Golden) -> Any:
    asked = {"steps": 200, "baseline": other_row(bench)}
    e = _explained(bench, golden, "credit_mlp", "integrated-gradients", "good", **asked)
    return e.quality["completeness_gap_relative"]
