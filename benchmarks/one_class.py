"""One digit is normal, the other nine are not: a small autoencoder beside a linear one and the distance to the mean.

    XAIKIT_DATA=FOLDER python benchmarks/one_class.py [SAMPLES [EPOCHS [SEED]]]

For each digit of MNIST the networks see its training pictures only: the first five sixths of at most SAMPLES train
them, the others set the threshold. They are judged on the whole test set. The linear autoencoder is the projection on
as many principal components as the other has numbers in its code. EPOCHS was chosen by the reconstruction error of the
held-out normal pictures, which must come below that of the projection; the test set had no say in it. Prints the AUROC
of each, by digit and on average, for what mnist.npz holds: it may be a part of the training set.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import xaikit as xk

CODE, HIDDEN, BATCH, NOISE = 8, 256, 128, 0.4


def digits() -> tuple[Any, Any, Any, Any]:
    with np.load(Path(os.environ["XAIKIT_DATA"]) / "mnist.npz") as z:
        return z["x_train"], z["y_train"], z["x_test"], z["y_test"]


def autoencoder(x: Any, epochs: int, seed: int = 0) -> Any:
    """Train 784-256-8-256-784 to take Gaussian noise away."""
    torch.manual_seed(seed)
    layers = [torch.nn.Flatten()]
    for a, b in ((784, HIDDEN), (HIDDEN, CODE), (CODE, HIDDEN)):
        layers += [torch.nn.Linear(a, b), *([torch.nn.ReLU()] if b == HIDDEN else [])]
    net = torch.nn.Sequential(
        *layers, torch.nn.Linear(HIDDEN, 784), torch.nn.Sigmoid(), torch.nn.Unflatten(1, (28, 28, 1))
    )
    clean = torch.tensor(x, dtype=torch.float32)[..., None] / 255
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * -(-len(clean) // BATCH))
    for _ in range(epochs):
        for rows in torch.randperm(len(clean)).split(BATCH):
            optimizer.zero_grad()
            noisy = clean[rows] + NOISE * torch.randn(clean[rows].shape)
            torch.nn.functional.binary_cross_entropy(net(noisy), clean[rows]).backward()
            optimizer.step()
            schedule.step()
    return xk.wrap(net.eval(), inputs=xk.Image(28, 28, 1), outputs=xk.Reconstruction(), name="autoencoder")


def linear(x: Any) -> Any:
    flat = x.reshape(len(x), -1) / 255
    mean = flat.mean(0)
    components = np.linalg.svd(flat - mean, full_matrices=False)[2][:CODE]

    def project(given: Any) -> Any:
        moved = np.asarray(given).reshape(len(given), -1) - mean
        return (moved @ components.T @ components + mean).reshape(np.shape(given))

    return xk.wrap(project, inputs=xk.Image(28, 28, 1), outputs=xk.Reconstruction(), name="linear")


def main(samples: int = 6000, epochs: int = 200, seed: int = 0) -> None:
    x, y, test, labels = digits()
    found, start = [], time.perf_counter()
    print(
        f"{len(x):,} training digits, at most {samples:,} of each; judged on {len(test):,}\n"
        f"784-{HIDDEN}-{CODE}-{HIDDEN}-784, noise {NOISE}, Adam 0.001 to 0 by a cosine, batches of {BATCH}, "
        f"{epochs} epochs, seed {seed}, {torch.get_num_threads()} threads"
    )
    print("digit  trained  held out  autoencoder  linear  distance to mean")
    for digit in range(10):
        own = x[y == digit][:samples]
        cut = len(own) * 5 // 6
        row = []
        for model in (autoencoder(own[:cut], epochs, seed), linear(own[:cut])):
            detector = xk.anomaly.fit(model, own[cut:], progress=False)
            told = detector.evaluate(test[labels == digit], test[labels != digit], draws=1)
            row.append(told.auroc[0])
        found.append([*row, told.auroc[told.names.index("distance to mean")]])
        print(_line(f"{digit:5}  {cut:7}  {len(own) - cut:8}", found[-1]), flush=True)
    print(_line(" mean" + " " * 19, np.mean(found, axis=0)))
    print(f"{time.perf_counter() - start:.0f} seconds")


def _line(begin: str, areas: Any) -> str:
    return f"{begin}  {areas[0]:11.4f}  {areas[1]:6.4f}  {areas[2]:16.4f}"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
