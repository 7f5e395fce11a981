"""The networks and inputs of the benchmarks: made by code or shipped with xaikit, so that nothing is downloaded."""

from typing import Any

import numpy as np

import xaikit as xk
from xaikit.arrays import Array

WORDS = tuple(f"w{i}" for i in range(400))
GRID = np.arange(28)[:, None] // 4 * 7 + np.arange(28) // 4
"""49 squares of a digit."""


def digits(count: int) -> Array:
    """Give scikit-learn's digits as the digits' CNN takes them: (picture, 28, 28, 1), 0 to 255."""
    from skimage.transform import resize
    from sklearn.datasets import load_digits

    found = [np.pad(resize(d / 16, (20, 20), order=1), 4) for d in load_digits().images[:count]]
    return (np.stack(found)[..., None] * 255).astype(np.uint8)


def photo(size: int = 224) -> Array:
    """Give a photo: (size, size, 3), 0 to 255."""
    from skimage.data import astronaut
    from skimage.transform import resize

    return (resize(astronaut(), (size, size)) * 255).astype(np.float32)


def ordinary(model: Any) -> Any:
    """Lay a torch network's weights out as torch does by default; networks of the zoo are channels last."""
    import torch

    model.net.to(memory_format=torch.contiguous_format)
    return model


def mnist_cnn(framework: str = "torch") -> Any:
    """The digits' CNN of the zoo with its trained weights, 93,322 of them."""
    model = xk.zoo.load("mnist_cnn", framework=framework)
    return ordinary(model) if framework == "torch" else model


def resnet50() -> Any:
    """A torch ResNet-50 at 224 × 224 with random weights, its batch normalisation set to what it sees.

    It sees a photo and noise; without that numbers grow from block to block. The logits are small, as random weights
    turn rounding into more than trained ones do, and copies are refused for that.
    """
    import torch

    torch.manual_seed(0)
    net = xk.zoo.build("resnet50", framework="torch")
    model = xk.wrap(net, inputs=xk.Image(224, 224), outputs=xk.Classes(range(1000)))
    photos = model.inputs.encode(np.stack([np.roll(photo(), 56 * i, axis=i % 2) for i in range(4)]))
    noise = np.random.default_rng(0).standard_normal(photos.shape).astype(np.float32)
    seen = np.concatenate([photos, noise])
    norms = [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the mean of what it sees
        norm.reset_running_stats()
    with torch.no_grad():
        net.train()(torch.from_numpy(np.ascontiguousarray(np.moveaxis(seen, -1, 1))))
    net.eval()
    last = [m for m in net.modules() if isinstance(m, torch.nn.Linear)][-1]
    with torch.no_grad():
        last.weight.div_(float(np.abs(model.run(seen, score="logit").output).max()))
    return ordinary(model)


def reader() -> Any:
    """A torch LSTM of width 64 over 200 words with random weights."""
    import torch

    class Reader(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = torch.nn.Embedding(len(WORDS) + 2, 64)
            self.lstm, self.head = torch.nn.LSTM(64, 64, batch_first=True), torch.nn.Linear(64, 2)

        def forward(self, ids: Any) -> Any:
            return torch.softmax(self.head(self.lstm(self.embed(ids))[1][0][-1]), -1)

    torch.manual_seed(0)
    text = xk.Text(200, vocabulary=("", "[unknown]", *WORDS))
    return xk.wrap(Reader().eval(), inputs=text, outputs=xk.Classes(["bad", "good"], "softmax"))


def sentence() -> str:
    """A text of 200 different words."""
    return " ".join(np.random.default_rng(0).permutation(WORDS)[:200])


def scorer(background: Array) -> Any:
    """A torch network of 30 columns, hidden layers of 256 and 128, random weights; `background` (row, column)."""
    import torch

    torch.manual_seed(0)
    dense, relu = torch.nn.Linear, torch.nn.ReLU()
    net = torch.nn.Sequential(dense(30, 256), relu, dense(256, 128), relu, dense(128, 2), torch.nn.Softmax(1)).eval()
    columns = xk.Table({f"c{i}": xk.Number() for i in range(30)}, background=background)
    return xk.wrap(net, inputs=columns, outputs=xk.Classes(["no", "yes"], "softmax"))
