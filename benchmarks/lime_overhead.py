"""What LIME costs beyond the model on words and on columns, and what the lime package costs there.

    python benchmarks/lime_overhead.py [--samples 5000]

A text of 200 distinct words in an LSTM, and a row of 30 columns in a small dense network, each asked `samples` times.
The plain passes of the same rows at the best batch size are timed in the same run; every figure is a ratio to them.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import xaikit as xk
from xaikit.perturb.memory import MEMORY

WORDS = tuple(f"w{i}" for i in range(400))


def seconds(function: Callable[[], Any], times: int = 5) -> float:
    """Give the best of some runs."""
    found = []
    for _ in range(times):
        MEMORY.clear()
        start = time.perf_counter()
        function()
        found.append(time.perf_counter() - start)
    return min(found)


def reader() -> Any:
    """An LSTM over 200 words with random weights, wrapped."""
    import torch

    class Reader(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = torch.nn.Embedding(402, 32)
            self.lstm, self.head = torch.nn.LSTM(32, 32, batch_first=True), torch.nn.Linear(32, 2)

        def forward(self, ids: Any) -> Any:
            return torch.softmax(self.head(self.lstm(self.embed(ids))[1][0][-1]), -1)

    torch.manual_seed(0)
    text = xk.Text(200, vocabulary=("", "[unknown]", *WORDS))
    return xk.wrap(Reader().eval(), inputs=text, outputs=xk.Classes(["bad", "good"], "softmax"))


def scorer(background: Any) -> Any:
    """A dense network of 30 columns with random weights, wrapped."""
    import torch

    torch.manual_seed(0)
    dense, relu = torch.nn.Linear, torch.nn.ReLU()
    net = torch.nn.Sequential(dense(30, 256), relu, dense(256, 128), relu, dense(128, 2), torch.nn.Softmax(1)).eval()
    columns = xk.Table({f"c{i}": xk.Number() for i in range(30)}, background=background)
    return xk.wrap(net, inputs=columns, outputs=xk.Classes(["no", "yes"], "softmax"))


def plain(model: Any, x: Any, samples: int) -> float:
    """Time the passes of so many rows at the best batch size."""
    found = []
    for size in (2**k for k in range(5, 13)):
        rows = np.repeat(x, size, axis=0)
        passes = max(1, samples // size)
        found.append(seconds(lambda: [model.run(rows) for _ in range(passes)], 3) * samples / (passes * size))  # noqa: B023
    return min(found)


def line(what: str, took: float, bare: float) -> None:
    print(f"{what:44s} {took:8.3f} s   {took / bare:6.2f}")


def text(samples: int) -> None:
    from lime.lime_text import LimeTextExplainer

    model, sentence = reader(), " ".join(np.random.default_rng(0).permutation(WORDS)[:200])
    bare = plain(model, model.inputs.encode(sentence), samples)
    line(f"text: {samples} plain passes", bare, bare)
    ask = lambda: xk.explain(model, sentence, "lime", samples=samples, progress=False, accelerate="none")  # noqa: E731
    line("text: LIME", seconds(ask, 3), bare)
    explainer = LimeTextExplainer(feature_selection="none", random_state=0)
    ids = model.inputs
    ask_words = lambda rows: model.run(ids.encode([r if r.strip() else "w" for r in rows])).output  # noqa: E731
    theirs = lambda: explainer.explain_instance(sentence, ask_words, num_samples=samples)  # noqa: E731
    line("text: lime package", seconds(theirs, 1), bare)


def table(samples: int) -> None:
    from lime.lime_tabular import LimeTabularExplainer

    background = np.random.default_rng(0).normal(size=(500, 30))
    model, row = scorer(background), background[7]
    one = scorer(background[:1])
    bare = plain(model, model.inputs.encode(row[None]), samples)
    line(f"table: {samples} plain passes", bare, bare)
    how = {"samples": samples, "progress": False, "accelerate": "none"}
    line("table: LIME, one background row", seconds(lambda: xk.explain(one, row, "lime", **how)), bare)
    binned = lambda: xk.explain(model, row, "lime", discretized=True, kernel_width=0.75, **how)  # noqa: E731
    line("table: LIME, discretized", seconds(binned), bare)
    for discretize in (True, False):
        explainer = LimeTabularExplainer(
            background, discretize_continuous=discretize, feature_selection="none", random_state=0
        )
        theirs = lambda: explainer.explain_instance(  # noqa: B023, E731
            row, lambda rows: model.run(rows.astype("f")).output, num_samples=samples
        )
        line(f"table: lime package{', discretized' * discretize}", seconds(theirs, 1), bare)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--samples", type=int, default=5000)
    asked = parser.parse_args()
    print(f"{'':44s} {'':8s}     ratio")
    text(asked.samples)
    table(asked.samples)


if __name__ == "__main__":
    main()
