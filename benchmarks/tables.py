"""What permutation importance and partial dependence cost over the bare calls of a model, beside other libraries.

    OMP_NUM_THREADS=1 python benchmarks/tables.py [--rows 10000] [--columns 30]

The model is an MLP in PyTorch (columns-128-128-1). Bare are as many passes over as many rows as the method asks for,
in batches of all rows, without gradients; scikit-learn calls the same network through a function, dalex too where it is
installed. All sides take turns in one run, in processor time on one thread; ratios are medians over the rounds. The
numbers of scikit-learn on the same permutations, and on the same grid, are compared as well.
"""

import argparse
import importlib.util
from typing import Any

import numpy as np
from timing import CLOCKS, Turns, keep_to, turns

REPEATS, GRID = 5, 20


class Regressor:
    """A network as scikit-learn wants it."""

    _estimator_type = "regressor"

    def __init__(self, net: Any) -> None:
        self.net, self.is_fitted_ = net, True

    def fit(self, X: Any, y: Any) -> "Regressor":
        return self

    def predict(self, X: Any) -> Any:
        import torch

        with torch.inference_mode():
            return self.net(torch.from_numpy(np.asarray(X, np.float32))).numpy()[:, 0]

    def __sklearn_tags__(self) -> Any:
        from sklearn.base import BaseEstimator, RegressorMixin

        tags = type("Tags", (RegressorMixin, BaseEstimator), {})().__sklearn_tags__()
        tags.requires_fit = False
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return True


def told(what: str, measured: Turns, compared: str) -> None:
    sides = [s for s in measured.seconds if s != "bare"]
    said = ", ".join(f"{side} {measured.ratio(side, 'bare')}" for side in sides)
    print(f"{what}: bare calls {measured.median('bare'):.2f} s; times as long: {said}; {compared}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--columns", type=int, default=30)
    asked = parser.parse_args()
    keep_to(1)

    import torch
    from sklearn.inspection import partial_dependence, permutation_importance

    import xaikit as xk

    torch.manual_seed(0)
    layers = (torch.nn.Linear(asked.columns, 128), torch.nn.ReLU(), torch.nn.Linear(128, 128), torch.nn.ReLU())
    net = torch.nn.Sequential(*layers, torch.nn.Linear(128, 1)).eval()
    rng = np.random.default_rng(0)
    X = rng.normal(size=(asked.rows, asked.columns)).astype(np.float32)
    plain = Regressor(net)
    y = plain.predict(X) + rng.normal(size=asked.rows) * 0.1
    model = xk.wrap(net, inputs=xk.Array((asked.columns,)), outputs=xk.Values(["y"]))

    def bare(times: int) -> None:
        with torch.inference_mode():
            x = torch.from_numpy(X)
            for _ in range(times):
                net(x)

    def sk_importance() -> Any:
        return permutation_importance(
            plain, X, y, n_repeats=REPEATS, random_state=0, scoring="neg_root_mean_squared_error"
        )

    def sk_profile() -> list[Any]:
        return [
            partial_dependence(plain, X, [c], grid_resolution=GRID, percentiles=(0, 1), method="brute", kind="average")
            for c in range(asked.columns)
        ]

    names = [str(c) for c in range(asked.columns)]
    sides = {
        "bare": lambda: bare(1 + REPEATS * asked.columns),
        "xaikit": lambda: xk.importance(model, X, y, repeats=REPEATS, progress=False),
        "scikit-learn": sk_importance,
    }
    profiles = {
        "bare": lambda: bare(GRID * asked.columns),
        "xaikit": lambda: xk.profile(model, X, names, grid=GRID, progress=False),
        "scikit-learn": sk_profile,
    }
    if importlib.util.find_spec("dalex"):
        import dalex
        import pandas as pd

        explainer = dalex.Explainer(plain, pd.DataFrame(X, columns=names), y, verbose=False)
        sides["dalex"] = lambda: explainer.model_parts(B=REPEATS, N=None)
        profiles["dalex"] = lambda: explainer.model_profile(N=None, grid_points=GRID, verbose=False)
    told("permutation importance", turns(sides, clock=CLOCKS["processor"], limit=20), _same_importance(model, X, y))
    told(
        "partial dependence", turns(profiles, clock=CLOCKS["processor"], limit=20), _same_profile(model, X, sk_profile)
    )


def _same_importance(model: Any, X: Any, y: Any) -> str:
    """Compare with scikit-learn on the permutations that it draws: each on top of the last, alike for columns."""
    from sklearn.inspection import permutation_importance

    import xaikit as xk

    seed = np.random.RandomState(0).randint(np.iinfo(np.int32).max + 1)
    rng, order, drawn = np.random.RandomState(seed), np.arange(len(X)), [np.arange(len(X))]
    for _ in range(REPEATS):
        rng.shuffle(order)
        drawn.append(drawn[-1][order])
    ours = xk.importance(model, X, y, permutations=np.stack(drawn[1:]), progress=False)
    theirs = permutation_importance(
        Regressor(model.net), X, y, n_repeats=REPEATS, random_state=0, scoring="neg_root_mean_squared_error"
    )
    off = np.abs(ours.differences - theirs.importances).max() / np.abs(theirs.importances).max()
    return f"scikit-learn's numbers on its permutations to {off:.0e}"


def _same_profile(model: Any, X: Any, theirs: Any) -> str:
    import xaikit as xk

    off = 0.0
    for c, other in enumerate(theirs()):
        ours = xk.profile(model, X, str(c), grid=other["grid_values"][0], progress=False)
        off = max(off, float(np.abs(ours.values[0] - other["average"][0]).max()))
    return f"scikit-learn's curves on its grid to {off:.0e}"


if __name__ == "__main__":
    main()
