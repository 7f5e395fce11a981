"""Draw the pictures of docs/methods/: python docs/pictures/methods.py [NAME ...].

Methods for pictures explain one photo and one network, so that their pages can be compared; the others explain what
they are made for. XAIKIT_DATA names the folder with the data sets. A few minutes on one core.
"""

import sys
from collections.abc import Callable, Mapping
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

import xaikit as xk
from xaikit import data
from xaikit.figures import MapPanel, panels
from xaikit.render import picture_png, png

FOLDER = Path(__file__).parent / "methods"
WIDTH, TILE = 720, 220
"""Pixels of a page's picture, and of a map in the gallery."""
WIDER = {"anomaly-scores": 1080, "faithfulness": 900, "receptive-field": 900, "profiles": 900}
"""Pictures of several panels."""
QUALITY = 78
ON_PHOTO: Mapping[str, Mapping[str, Any]] = {
    "lime": {},
    "occlusion": {"window": (24, 24), "stride": (6, 6)},
    "rise": {"samples": 2000},
    "kernel-shap": {"samples": 1000},
    "partition-shap": {"samples": 1000},
    "permutation-shap": {"samples": 1000},
    "exact-shapley": {},
    "gradient-shap": {"background": ["blur", "noise", "mean", "zero"], "samples": 400},
    "deep-shap": {"background": ["blur", "mean", "zero"]},
    "saliency": {},
    "gradient-x-input": {},
    "smooth-grad": {"samples": 100},
    "integrated-gradients": {"steps": 400},
    "grad-cam": {},
    "grad-cam-plus-plus": {},
    "layer-cam": {},
    "score-cam": {},
    "guided-grad-cam": {},
    "deep-lift": {},
    "lrp": {"rule": "gamma"},
    "guided-backprop": {},
    "deconvnet": {},
}
"""What is asked of each method, where it is not its defaults."""
REVIEW = (
    "I expected a dull evening, but this film is wonderful: the acting is superb and the story never boring. "
    "Only the ending was a little weak."
)


@cache
def photographed() -> tuple[Any, Any]:
    """Give the network for photos, and the photo: Chelsea the cat, of scikit-image, in the public domain."""
    import skimage.data

    return xk.zoo.load("cats_vs_dogs", framework="torch"), skimage.data.chelsea()


def on_photo(name: str) -> Any:
    """Explain the photo."""
    model, photo = photographed()
    return xk.explain(model, photo, name, target="cat", progress=False, **ON_PHOTO[name])


def of_review(name: str) -> Any:
    """Explain a film review."""
    model = xk.zoo.load("lstm_imdb", framework="torch")
    return xk.explain(model, REVIEW, name, target="positive", progress=False)


def of_rides(name: str) -> Any:
    """Explain a forecast of taxi rides."""
    model = xk.zoo.load("lstm_forecast", framework="torch")
    return xk.explain(model, data.load("nyc_taxi").read("test").x[40], name, progress=False)


def of_digit(name: str) -> Any:
    """Explain a digit by what a small transformer, trained here in half a minute, attends to."""
    digits = data.load("mnist").read("test")
    x = digits.x[np.flatnonzero(np.asarray(digits.y) == 7)[0]]
    return xk.explain(transformer(), x, name, progress=False)


@cache
def transformer() -> Any:
    """Train a transformer of two layers on patches of digits."""
    import torch

    torch.manual_seed(0)
    net = _patches()
    train = data.load("mnist").read("train")
    x = torch.tensor(np.asarray(train.x[:20_000]).reshape(-1, 1, 28, 28) / 255, dtype=torch.float32)
    y = torch.tensor(np.asarray(train.y[:20_000]))
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    for _ in range(3):
        for rows in torch.randperm(len(x)).split(100):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
    classes = xk.Classes([str(i) for i in range(10)], form="logits")
    return xk.wrap(net.eval(), inputs=xk.Image(28, 28, 1), outputs=classes, name="patches")


def _patches() -> Any:
    import torch
    from torch import nn

    class Patches(nn.Module):
        """A class token and 49 patches through two layers of attention."""

        def __init__(self) -> None:
            super().__init__()
            self.cut = nn.Conv2d(1, 32, 4, 4)
            self.token = nn.Parameter(torch.zeros(1, 1, 32))
            self.place = nn.Parameter(0.1 * torch.randn(1, 50, 32))
            layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
            self.blocks = nn.TransformerEncoder(layer, 2)
            self.head = nn.Linear(32, 10)

        def forward(self, x: Any) -> Any:
            parts = self.cut(x).flatten(2).transpose(1, 2)
            tokens = torch.cat([self.token.expand(len(x), -1, -1), parts], 1) + self.place
            return self.head(self.blocks(tokens)[:, 0])

    return Patches()


def of_digits(name: str) -> Any:
    """Look into a small network for digits."""
    model = xk.zoo.load("mnist_cnn", framework="torch")
    first = next(n for n, layer in model.layers.items() if layer.kind == "conv")
    if name == "receptive-field":
        return xk.receptive_field(model)
    if name == "filters":
        return xk.filters(model, first)
    return xk.maximize(model, target=[0, 3, 7], steps=96, like=data.load("mnist").read("test").x[:200], progress=False)


def of_applicants(name: str) -> Any:
    """Ask a model of credit risks about its typical applicants."""
    model = xk.zoo.load("credit_mlp", framework="torch")
    rows = list(model.inputs.background)
    if name == "break-down":
        return xk.break_down(model, rows, rows[0], progress=False)
    if name == "counterfactuals":
        refused = rows[int(np.argmin(model.run(model.inputs.encode(rows)).output[:, 0]))]
        return xk.counterfactuals(model, rows, refused, "good", immutable=["age", "sex"])
    if name == "profiles":
        return xk.profile(model, rows, ["duration", "credit_amount"], kind="ale", progress=False)
    answers = [int(p > 0.5) for p in model.run(model.inputs.encode(rows)).output[:, 0]]
    return xk.importance(model, rows, answers, progress=False)


def of_strokes(name: str) -> Any:
    """Test whether nines depend on what other digits show: a loop, or a stroke alone."""
    model = xk.zoo.load("mnist_cnn", framework="torch")
    test = data.load("mnist").read("test")
    x, y = np.asarray(test.x)[:4000], np.asarray(test.y)[:4000]
    shown = {"a loop (0, 6, 8)": x[np.isin(y, (0, 6, 8))][:120], "a stroke (1)": x[y == 1][:120]}
    return xk.concepts(model, x[y == 9][:120], shown, random=x[-800:], target="9", progress=False)


def judged(name: str) -> Any:
    """Judge an explanation of the photo."""
    model, _ = photographed()
    return xk.faithfulness(model, on_photo("kernel-shap"), progress=False)


def of_heartbeats(name: str) -> Any:
    """Score the first heartbeat that is not normal."""
    model = xk.zoo.load("series_autoencoder", framework="torch")
    beats = data.load("ecg5000_normal").read("test")
    x, abnormal = np.asarray(beats.x), np.asarray(beats.y) == 1
    return xk.anomaly.fit(model, x[~abnormal], progress=False).score(x[abnormal][:1])


MADE: Mapping[str, Callable[[str], Any]] = {
    **dict.fromkeys(ON_PHOTO, on_photo),
    "attention-rollout": of_digit,
    "sequential-integrated-gradients": of_review,
    "temporal-integrated-gradients": of_rides,
    "temporal-saliency-rescaling": of_rides,
    **dict.fromkeys(("receptive-field", "filters", "maximization"), of_digits),
    **dict.fromkeys(("permutation-importance", "profiles", "break-down", "counterfactuals"), of_applicants),
    "concepts": of_strokes,
    "faithfulness": judged,
    "anomaly-scores": of_heartbeats,
}


def save(pixels: bytes, path: Path) -> None:
    """Write a PNG anew as WebP."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(BytesIO(pixels)) as picture:
        picture.convert("RGB").save(path, quality=QUALITY, method=6)


def tile(result: Any) -> bytes:
    """Draw the map alone."""
    shown = [p for p in panels(result).panels if isinstance(p, MapPanel)]
    return picture_png(shown[0], TILE)


if __name__ == "__main__":
    for name in sys.argv[1:] or MADE:
        found = MADE[name](name)
        save(png(found, width=WIDER.get(name, WIDTH)), FOLDER / f"{name}.webp")
        if name in ON_PHOTO:
            save(tile(found), FOLDER / "maps" / f"{name}.webp")
