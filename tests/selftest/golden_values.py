"""Calculates what xaikit/selftest/golden.npz holds: in float64, from formulas, with none of xaikit's methods.

    python -m tests.selftest.golden_values

Networks are written out here again, in PyTorch's float64, from the weights that came with the package; the encoding of
a text and a table row is the input spec's. Needs torch.
"""

from collections.abc import Callable, Mapping
from importlib.resources import files
from itertools import combinations
from math import factorial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from xaikit.selftest import _stored as cases
from xaikit.zoo.networks import networks
from xaikit.zoo.shelf import PACKAGE, Shelf

FILE = Path(__file__).resolve().parents[2] / "xaikit" / "selftest" / "golden.npz"
Weights = Mapping[str, torch.Tensor]
Network = Callable[[torch.Tensor], torch.Tensor]


def weights_of(name: str) -> dict[str, torch.Tensor]:
    shelf, entry = Shelf(files(PACKAGE)), networks[name]
    return {n: torch.from_numpy(w).double() for n, w in shelf.weights(entry, shelf.card(name)).items()}


# ---------------------------------------------------------------- samples


def drawings() -> dict[str, Any]:
    """An X of 9×9; a 7 with a grain, so that no two places tie in a pooling; passengers; a heartbeat."""
    x = np.full((9, 9, 1), cases.PAPER)
    for i in range(1, 8):
        x[i, i] = x[i, 8 - i] = 1
    row, column = np.mgrid[:28, :28]
    stroke = np.exp(-(((row - 7) / 1.5) ** 2)) * ((column > 6) & (column < 21))
    stroke += np.exp(-(((column - 20 + 0.6 * (row - 7)) / 1.7) ** 2)) * ((row >= 7) & (row < 24))
    digit = np.clip(230 * stroke + np.random.RandomState(7).randint(0, 25, (28, 28)), 0, 255)
    hours = np.arange(48)
    passengers = 15000 + 6000 * np.sin(2 * np.pi * hours / 48) + 900 * np.sin(hours)
    time = np.linspace(0, 1, 140)
    beat = 2 * np.exp(-(((time - 0.1) / 0.03) ** 2)) - 3 * np.exp(-(((time - 0.3) / 0.08) ** 2)) + time
    return {
        "xo_cnn/x": x,
        "mnist_cnn/x": digit.round().astype(np.uint8)[:, :, None],
        "lstm_forecast/x": passengers[:, None],
        "series_autoencoder/x": beat[:, None],
    }


def encoded(name: str, sample: Any) -> torch.Tensor:
    """One sample as the network takes it, without its leading axis; float64, or integers."""
    given = torch.from_numpy(np.asarray(networks[name].inputs.encode([sample]))[0])
    return given if given.dtype in (torch.int32, torch.int64) else given.double()


# ---------------------------------------------------------------- the networks: logits, or raw outputs


def conv(x: torch.Tensor, w: Weights, name: str) -> torch.Tensor:
    """Channels last in and out, (sample, height, width, channel)."""
    kernel = w[f"{name}/kernel"].permute(3, 2, 0, 1)
    return F.conv2d(x.permute(0, 3, 1, 2), kernel, w.get(f"{name}/bias")).permute(0, 2, 3, 1)


def pool(x: torch.Tensor, ceil: bool = False) -> torch.Tensor:
    return F.max_pool2d(x.permute(0, 3, 1, 2), 2, ceil_mode=ceil).permute(0, 2, 3, 1)


def dense(x: torch.Tensor, w: Weights, name: str) -> torch.Tensor:
    return x @ w[f"{name}/kernel"] + w[f"{name}/bias"]


def xo(w: Weights) -> Network:
    return lambda x: dense(pool(pool(conv(x, w, "conv1").relu(), ceil=True)).flatten(1), w, "dense1")


def mnist_features(w: Weights) -> Network:
    def features(x: torch.Tensor) -> torch.Tensor:
        for name in ("conv1", "conv2"):
            x = pool(conv(x, w, name).relu())
        return conv(x, w, "conv3")

    return features


def mnist_head(w: Weights) -> Network:
    return lambda a: dense(dense(a.relu().flatten(1), w, "dense1").relu(), w, "dense2")


def mnist(w: Weights) -> Network:
    features, head = mnist_features(w), mnist_head(w)
    return lambda x: head(features(x))


def credit(w: Weights) -> Network:
    return lambda x: dense(dense(dense(x, w, "dense1").relu(), w, "dense2").relu(), w, "dense3")


def autoencoder(w: Weights) -> Network:
    def give_back(x: torch.Tensor) -> torch.Tensor:
        code = dense(dense(x.flatten(1), w, "dense1").relu(), w, "code")
        return dense(dense(code, w, "dense2").relu(), w, "dense3").reshape(x.shape)

    return give_back


def lstm(x: torch.Tensor, present: Any, w: Weights) -> dict[str, torch.Tensor]:
    """Gates and states at every step (time, sample, unit); a step that is not present changes nothing."""
    units = w["lstm1/recurrent_kernel"].shape[0]
    h = c = torch.zeros(len(x), units, dtype=torch.float64)
    found: dict[str, list[torch.Tensor]] = {name: [] for name in "ifgoch"}
    for t in range(x.shape[1]):
        z = x[:, t] @ w["lstm1/kernel"] + h @ w["lstm1/recurrent_kernel"] + w["lstm1/bias"]
        i, f, g, o = z.split(units, dim=1)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        if present[t]:
            c = f * c + i * g
            h = o * c.tanh()
        for name, value in zip("ifgoch", (i, f, g, o, c, h), strict=True):
            found[name].append(value)
    return {name: torch.stack(values) for name, values in found.items()}


def sentiment(w: Weights, present: Any) -> Network:
    """From embeddings (sample, word, channel) to the logit."""
    return lambda embedded: dense(lstm(embedded, present, w)["h"][-1], w, "dense1")


def forecast(w: Weights) -> Network:
    """The next value: a dense layer, then a convolution of width 1 that scales to passengers."""

    def answer(x: torch.Tensor) -> torch.Tensor:
        last = dense(lstm(x, [True] * x.shape[1], w)["h"][-1], w, "dense1")
        return last @ w["passengers/kernel"][0]

    return answer


# ---------------------------------------------------------------- the methods


def gradient(f: Network, x: torch.Tensor, output: int) -> torch.Tensor:
    x = x.clone().requires_grad_()
    (found,) = torch.autograd.grad(f(x)[:, output].sum(), x)
    return found


def integrated(f: Network, x: torch.Tensor, start: torch.Tensor, output: int) -> torch.Tensor:
    """Gauss-Legendre on [0, 1], of one sample and one baseline."""
    nodes, weights = np.polynomial.legendre.leggauss(cases.STEPS)
    path = torch.stack([start + float(a) * (x - start) for a in (nodes + 1) / 2])
    along = gradient(f, path, output)
    return (x - start) * torch.tensordot(torch.from_numpy(weights / 2), along, dims=1)


def of_coalitions(f: Network, x: torch.Tensor, coalitions: Any, output: int) -> Any:
    """Probabilities of drawings with the hidden squares empty."""
    shown = torch.from_numpy(coalitions[:, cases.NINE_PARTS][..., None].astype(bool))
    return f(torch.where(shown, x, cases.PAPER)).softmax(1)[:, output].numpy()


def lime(f: Network, x: torch.Tensor, output: int) -> Any:
    """Ribeiro et al. (2016): coin flips, the kernel of the cosine distance, a ridge with alpha 1 and an intercept."""
    flips = np.random.RandomState(cases.LIME_SEED).randint(0, 2, cases.LIME_SAMPLES * 9).reshape(-1, 9)
    flips[0] = 1
    scores = of_coalitions(f, x, flips, output)
    length = np.sqrt(flips.sum(1))
    similarity = np.divide(flips.sum(1), 3 * length, out=np.zeros(len(flips)), where=length > 0)
    kernel = np.sqrt(np.exp(-((1 - similarity) ** 2) / 0.25**2))
    z, y = flips - np.average(flips, axis=0, weights=kernel), scores - np.average(scores, weights=kernel)
    return np.linalg.solve((z * kernel[:, None]).T @ z + np.eye(9), (z * kernel[:, None]).T @ y)


def shapley(f: Network, x: torch.Tensor, output: int) -> Any:
    """Shapley (1953): the mean of what a part adds, over all orders; from all 2^9 coalitions."""
    every = [frozenset(c) for size in range(10) for c in combinations(range(9), size)]
    masks = np.array([[p in c for p in range(9)] for c in every], int)
    value = dict(zip(every, of_coalitions(f, x, masks, output), strict=True))
    share = [factorial(s) * factorial(8 - s) / factorial(9) for s in range(9)]
    return np.array([sum(share[len(c)] * (value[c | {p}] - value[c]) for c in every if p not in c) for p in range(9)])


# ---------------------------------------------------------------- the values


def values() -> dict[str, Any]:
    """Every array of the file by name."""
    given = drawings()
    with torch.no_grad():
        found = {**of_xo(given), **of_forecast(given), **of_autoencoder(given)}
    return {**given, **found, **of_mnist(given), **of_credit(), **of_words()}


def of_xo(given: Mapping[str, Any]) -> dict[str, Any]:
    f, x = xo(weights_of("xo_cnn")), encoded("xo_cnn", given["xo_cnn/x"])
    return {
        "xo_cnn/output": f(x[None]).softmax(1).numpy(),
        "xo_cnn/lime": lime(f, x, 0)[None],
        "xo_cnn/kernel-shap": shapley(f, x, 0)[None],
    }


def of_mnist(given: Mapping[str, Any]) -> dict[str, Any]:
    w, x = weights_of("mnist_cnn"), encoded("mnist_cnn", given["mnist_cnn/x"])[None]
    f = mnist(w)
    map_ = mnist_features(w)(x)
    alpha = gradient(mnist_head(w), map_, 7).mean((1, 2), keepdim=True)
    return {
        "mnist_cnn/output": f(x).softmax(1).numpy(),
        "mnist_cnn/saliency": gradient(f, x, 7).numpy(),
        "mnist_cnn/integrated-gradients": integrated(f, x[0], torch.zeros_like(x[0]), 7).numpy()[None],
        "mnist_cnn/grad-cam": (alpha * map_).sum(3).relu().numpy(),
        "mnist_cnn/receptive-field": seen(((3, 1), (2, 2), (3, 1), (2, 2), (3, 1))),
    }


def seen(windows: tuple[tuple[int, int], ...]) -> Any:
    """Size, stride and padding after each window (kernel, stride): r = 1 + Σ (k - 1) Π s."""
    size, step, rows = 1, 1, []
    for kernel, stride in windows:
        size, step = size + (kernel - 1) * step, step * stride
        rows.append([size, step, 0])
    return np.array(rows)


def of_credit() -> dict[str, Any]:
    f, spec = credit(weights_of("credit_mlp")), networks["credit_mlp"].inputs
    x, start = (encoded("credit_mlp", row) for row in list(spec.background)[:2])
    widths = [len(getattr(column, "values", (0,))) for column in spec.columns.values()]
    firsts = np.cumsum([0, *widths[:-1]])
    return {
        "credit_mlp/output": f(x[None]).sigmoid().numpy(),
        "credit_mlp/integrated-gradients": np.add.reduceat(integrated(f, x, start, 0).numpy(), firsts)[None],
        "credit_mlp/completeness": np.zeros(1),
    }


def of_words() -> dict[str, Any]:
    w, ids = weights_of("lstm_imdb"), encoded("lstm_imdb", cases.TEXT)
    table, present = w["embedding1/embeddings"], (ids != 0).tolist()
    f, x = sentiment(w, present), table[ids]
    start = torch.where((ids != 0)[:, None], table[0], x)
    return {
        "lstm_imdb/output": f(x[None]).sigmoid().numpy(),
        "lstm_imdb/integrated-gradients": integrated(f, x, start, 0).sum(1).numpy()[None],
    }


def of_forecast(given: Mapping[str, Any]) -> dict[str, Any]:
    w, x = weights_of("lstm_forecast"), encoded("lstm_forecast", given["lstm_forecast/x"])[None]
    gates = lstm(x, [True] * x.shape[1], w)
    return {
        "lstm_forecast/output": forecast(w)(x).numpy(),
        "lstm_forecast/gates": np.stack([gates[name][:, 0].numpy() for name in "ifgoch"]),
    }


def of_autoencoder(given: Mapping[str, Any]) -> dict[str, Any]:
    x = encoded("series_autoencoder", given["series_autoencoder/x"])[None]
    back = autoencoder(weights_of("series_autoencoder"))(x)
    error = ((x - back) ** 2).numpy().ravel()
    return {
        "series_autoencoder/output": back.numpy(),
        "series_autoencoder/anomaly": np.append(error / len(error), error.mean()),
    }


if __name__ == "__main__":
    np.savez_compressed(FILE, **values())
