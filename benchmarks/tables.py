"""What permutation importance and partial dependence cost over the bare calls of a model, beside other libraries.

    OMP_NUM_THREADS=1 python benchmarks/tables.py [--rows 10000] [--columns 30]

The model is an MLP in PyTorch (columns-128-128-1). Bare are as many passes over as many rows as the method asks for,
in batches of all rows, without gradients; scikit-learn calls the same network through a function, dalex too where it is
installed. All sides take turns in one run, in processor time on one thread; ratios are medians over the rounds. The
numbers are compared as well: scikit-learn's on the same permutations and on the same grid, dalex's importance within
the standard error of its repeats (it draws permutations of its own), its profiles, ceteris paribus and break-down
number by number.
"""

import argparse
import importlib.util
import warnings
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


def told(what: str, measured: Turns, compared: list[str]) -> None:
    sides = [s for s in measured.seconds if s != "bare"]
    said = ", ".join(f"{side} {measured.ratio(side, 'bare')}" for side in sides)
    print(f"{what}: bare calls {measured.median('bare'):.2f} s; times as long: {said}")
    for line in compared:
        print(f"  {line}")


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
    importances, curves = [_same_importance(model, X, y)], [_same_profile(model, X, sk_profile)]
    breaks = {
        "bare": lambda: bare(2 * asked.columns),
        "xaikit": lambda: xk.break_down(model, X, X[0], progress=False),
    }
    steps = []
    if importlib.util.find_spec("dalex"):
        import dalex
        import pandas as pd

        rows = pd.DataFrame(X, columns=names)
        explainer = dalex.Explainer(plain, rows, y, verbose=False)
        sides["dalex"] = lambda: explainer.model_parts(B=REPEATS, N=None, loss_function="rmse")
        profiles["dalex"] = lambda: explainer.model_profile(N=None, grid_points=GRID, verbose=False)
        breaks["dalex"] = lambda: explainer.predict_parts(rows.iloc[[0]], type="break_down")
        importances.append(_near_dalex(model, X, y, explainer))
        curves.append(_same_curves(model, X, explainer))
        steps.append(_same_steps(model, X, explainer))
    clock = CLOCKS["processor"]
    told("permutation importance", turns(sides, clock=clock, limit=20), importances)
    told("partial dependence", turns(profiles, clock=clock, limit=20), curves)
    told("break-down", turns(breaks, clock=clock, limit=20), steps)


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


def _near_dalex(model: Any, X: Any, y: Any, explainer: Any) -> str:
    """Compare mean losses of both, in standard errors of their difference: the largest of about 30 lies near 2."""
    import xaikit as xk

    ours = xk.importance(model, X, y, repeats=REPEATS, progress=False)
    result = explainer.model_parts(B=REPEATS, N=None, loss_function="rmse")
    theirs = result.permutation[list(ours.variables)].to_numpy().T
    error = np.sqrt((ours.losses.var(1, ddof=1) + theirs.var(1, ddof=1)) / REPEATS)
    away = np.abs(ours.losses.mean(1) - theirs.mean(1)) / error
    full = float(result.permutation["_full_model_"].iloc[0])
    said = f"{np.median(away):.1f} standard errors in the middle, {away.max():.1f} at most"
    return f"dalex's losses, whose permutations are others: {said}; the full model's to {abs(ours.baseline - full):.0e}"


def _same_curves(model: Any, X: Any, explainer: Any) -> str:
    """Compare partial dependence, and ceteris paribus of a row, on one grid."""
    import xaikit as xk

    off, alone = 0.0, 0.0
    for c in map(str, range(X.shape[1])):
        ours = xk.profile(model, X, c, grid=GRID, progress=False)
        row = xk.profile(model, X, c, "ceteris-paribus", X[:1], grid=GRID, progress=False)
        split = {c: ours.grid}
        asked = {"variable_splits": split, "verbose": False}
        with warnings.catch_warnings():  # that the grid says which columns are asked for
            warnings.simplefilter("ignore")
            mean = explainer.model_profile(N=None, center=False, **asked).result
            found = explainer.predict_profile(explainer.data.iloc[[0]], **asked).result
        off = max(off, float(np.abs(ours.values[0] - mean.sort_values("_x_")["_yhat_"].to_numpy()).max()))
        kept = found[np.isin(found[c], split[c])].drop_duplicates(c).sort_values(c)["_yhat_"].to_numpy()
        alone = max(alone, float(np.abs(row.effects[0].curves[0, 0] - kept).max()))
    return f"dalex's curves on our grid to {off:.0e}, its ceteris paribus to {alone:.0e}"


def _same_steps(model: Any, X: Any, explainer: Any) -> str:
    """Compare the contributions of a break-down in our order; dalex sorts by the effect alone with its sign."""
    import xaikit as xk

    ours = xk.break_down(model, X, X[0], progress=False)
    order = [ours.variables[i] for i in ours.order[0]]
    theirs = explainer.predict_parts(explainer.data.iloc[[0]], type="break_down", order=order).result
    value = dict(zip(theirs["variable_name"], theirs["contribution"], strict=True))
    off = max(abs(float(ours.contributions[0, i]) - value[n]) for i, n in enumerate(ours.variables))
    start = abs(float(ours.intercept[0]) - value["intercept"])
    return f"dalex's contributions in our order to {off:.0e}, its intercept to {start:.0e}"


if __name__ == "__main__":
    main()
