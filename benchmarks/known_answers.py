"""Works whose right answer is known, beside shap, captum, scikit-learn and dalex: how fast, and how near to it."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import bare
import numpy as np
from cases import BARE, OURS, Scale, case, explained, row_of, there
from page import Row
from timing import Work

import xaikit as xk
from xaikit.arrays import Array

COLUMNS = 10
NETWORK = f"{COLUMNS} columns, closed form, torch"
TABLE = f"{COLUMNS}-column MLP, torch"
BATCHES = (512, 1024, 2048, 4096)
REPEATS, GRID, ROWS = 5, 20, 300
RNG = np.random.default_rng(0)
WEIGHTS = RNG.normal(size=COLUMNS).astype(np.float32)
BACKGROUND = RNG.normal(size=(50, COLUMNS)).astype(np.float32)
POINT = RNG.normal(size=COLUMNS).astype(np.float32)
NAMES = [f"c{i}" for i in range(COLUMNS)]


def formula() -> Any:
    """A network w·x + x₀x₁ + tanh(3x₂) + x₃², whose values by the axioms can be written down."""
    import torch

    class Formula(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = torch.nn.Parameter(torch.from_numpy(WEIGHTS.copy()))

        def forward(self, x: Any) -> Any:
            bent = x[:, 0] * x[:, 1] + torch.tanh(3 * x[:, 2]) + x[:, 3] ** 2
            return (x @ self.weights + bent)[:, None]

    columns = xk.Table({name: xk.Number() for name in NAMES}, background=BACKGROUND)
    return xk.wrap(Formula().eval(), inputs=columns, outputs=xk.Values(["y"]))


def exact(x: Array, background: Array) -> Array:
    """Give the Shapley values of the formula, the mean over the rows of a background: (column,).

    They are those of expected gradients and, for one row, of integrated gradients too: what is one column's own is
    g(x) - g(b), and of x₀x₁ - b₀b₁ both have (x₀ - b₀)(x₁ + b₁)/2 and its mirror image.
    """
    x, b = np.asarray(x, np.float64), np.asarray(background, np.float64)
    found = WEIGHTS * (x - b)
    found[:, 0] += (x[0] - b[:, 0]) * (x[1] + b[:, 1]) / 2
    found[:, 1] += (x[1] - b[:, 1]) * (x[0] + b[:, 0]) / 2
    found[:, 2] += np.tanh(3 * x[2]) - np.tanh(3 * b[:, 2])
    found[:, 3] += x[3] ** 2 - b[:, 3] ** 2
    return np.asarray(found.mean(0))


def off(found: Any, right: Array) -> float:
    """Give the largest distance from the exact values, over the largest of these."""
    return float(np.abs(np.asarray(found, np.float64).reshape(right.shape) - right).max() / np.abs(right).max())


def errors(found: Mapping[str, Callable[[], Any]], right: Array) -> dict[str, float]:
    return {name: off(values(), right) for name, values in found.items()}


def named(side: str) -> str:
    return "xaikit" if side == OURS else side


def judged(scale: Scale, work: str, network: str, sides: Mapping[str, Work], answers: Any, right: Array) -> Row:
    """Measure sides, and say how far what each gives is from the exact answer; `answers` reads it, by side."""
    wrong = errors({named(n): lambda n=n: answers[n](sides[n]()) for n in sides if n != BARE}, right)
    return row_of(scale.turns(sides), work, network, remark="error over the largest exact value", errors=wrong)


def asked(model: Any) -> Callable[[Any], Any]:
    import torch

    run = bare.forward(model.net)
    return lambda rows: run(torch.from_numpy(np.asarray(rows, np.float32)))[:, 0]


@case("known-shapley")
def shapley(scale: Scale) -> Iterator[Row]:
    import shap
    import torch

    model, right = formula(), exact(POINT, BACKGROUND)
    predict, samples = asked(model), scale.of(400, 60)
    rows = torch.from_numpy(np.repeat(BACKGROUND, samples, axis=0))
    calls = bare.best(bare.forward(model.net), rows, BATCHES)[0]
    ours = partial(explained, model, POINT, accelerate="none")
    kernel = shap.KernelExplainer(predict, BACKGROUND)
    independent = shap.maskers.Independent(BACKGROUND, max_samples=len(BACKGROUND))
    walks = shap.PermutationExplainer(predict, independent, seed=0)
    read = {OURS: lambda e: e.values[0], "shap": lambda e: getattr(e, "values", e)}
    sides = {
        BARE: calls,
        OURS: partial(ours, method="kernel-shap", samples=samples),
        "shap": partial(kernel.shap_values, POINT[None], nsamples=samples, silent=True, l1_reg=False),
    }
    yield judged(scale, f"KernelSHAP, {samples} coalitions × {len(BACKGROUND)} rows", NETWORK, sides, read, right)
    evaluations = samples // (2 * COLUMNS + 1) * (2 * COLUMNS + 1)
    sides = {
        BARE: calls,
        OURS: partial(ours, method="permutation-shap", samples=samples),
        "shap": partial(walks, POINT[None], max_evals=evaluations, silent=True),
    }
    if (dalex := there("dalex")) is not None:
        import pandas as pd

        explainer = dalex.Explainer(
            model, pd.DataFrame(BACKGROUND, columns=NAMES), predict_function=lambda m, d: predict(d), verbose=False
        )
        point = pd.DataFrame(POINT[None], columns=NAMES)
        orders = max(1, samples // COLUMNS)
        sides["dalex"] = partial(explainer.predict_parts, point, type="shap", B=orders, random_state=0)
        read["dalex"] = _of_dalex
    work = f"permutation SHAP, {samples} coalitions × {len(BACKGROUND)} rows"
    yield judged(scale, work, NETWORK, sides, read, right)


def _of_dalex(found: Any) -> Array:
    """Read the mean over the orders that dalex has drawn, column by column."""
    mean = found.result[found.result["B"] == 0].set_index("variable_name")["contribution"]
    return np.asarray(mean[NAMES], np.float64)


@case("known-path")
def along_a_path(scale: Scale) -> Iterator[Row]:
    import captum.attr
    import shap
    import torch

    model, x, start = formula(), torch.from_numpy(POINT[None]), BACKGROUND[:1]
    gradient = bare.gradient(model.net, 0)
    captum_path = captum.attr.IntegratedGradients(model.net)
    read = {OURS: lambda e: e.values[0], "captum": lambda e: e.numpy(), "shap": lambda e: e}
    sides = {
        BARE: partial(gradient, x.repeat(50, 1)),
        OURS: partial(explained, model, POINT, "integrated-gradients", baseline=start[0], steps=50),
        "captum": partial(captum_path.attribute, x, baselines=torch.from_numpy(start), target=0, n_steps=50),
    }
    yield judged(scale, "integrated gradients, 50 steps", NETWORK, sides, read, exact(POINT, start))
    samples = scale.of(200)
    expected = shap.GradientExplainer(model.net, torch.from_numpy(BACKGROUND))
    drawn = captum.attr.GradientShap(model.net)
    sides = {
        BARE: partial(gradient, x.repeat(samples, 1)),
        OURS: partial(explained, model, POINT, "gradient-shap", samples=samples),
        "shap": partial(expected.shap_values, x, nsamples=samples, rseed=0),
        "captum": partial(
            drawn.attribute, x, baselines=torch.from_numpy(BACKGROUND), target=0, n_samples=samples, stdevs=0.0
        ),
    }
    yield judged(scale, f"expected gradients, {samples} points", NETWORK, sides, read, exact(POINT, BACKGROUND))


def table() -> tuple[Any, Array, Array]:
    """Give an MLP with random weights, rows, and answers that it nearly gives."""
    import torch

    torch.manual_seed(0)
    layers = (torch.nn.Linear(COLUMNS, 128), torch.nn.ReLU(), torch.nn.Linear(128, 128), torch.nn.ReLU())
    net = torch.nn.Sequential(*layers, torch.nn.Linear(128, 1)).eval()
    rng = np.random.default_rng(1)
    X = rng.normal(size=(ROWS, COLUMNS)).astype(np.float32)
    model = xk.wrap(net, inputs=xk.Array((COLUMNS,)), outputs=xk.Values(["y"]))
    return model, X, model.run(X).output[:, 0] + rng.normal(size=ROWS) * 0.1


def swapped(model: Any, X: Array, y: Array, column: int) -> float:
    """Give the exact mean squared error where a column is permuted: of all pairs of rows each is as probable."""
    pairs = np.repeat(X, len(X), axis=0)
    pairs[:, column] = np.tile(X[:, column], len(X))
    return float(((model.run(pairs).output[:, 0] - np.repeat(y, len(X))) ** 2).mean())


@case("known-importance")
def importance(scale: Scale) -> Iterator[Row]:
    from sklearn.inspection import permutation_importance
    from tables import Regressor

    model, X, y = table()
    plain = Regressor(model.net)
    right = np.array([swapped(model, X, y, c) for c in range(COLUMNS)]) - ((model.run(X).output[:, 0] - y) ** 2).mean()
    sides: dict[str, Work] = {
        BARE: bare.best(bare.forward(model.net), _tensor(np.tile(X, (1 + REPEATS * COLUMNS, 1))), BATCHES)[0],
        OURS: partial(xk.importance, model, X, y, loss="mse", repeats=REPEATS, progress=False),
        "scikit-learn": partial(
            permutation_importance,
            plain,
            X,
            y,
            n_repeats=REPEATS,
            random_state=0,
            scoring="neg_mean_squared_error",
        ),
    }
    read = {OURS: lambda e: e.differences.mean(1), "scikit-learn": lambda e: e.importances_mean}
    if (dalex := there("dalex")) is not None:
        explainer = _explainer(dalex, plain, X, y)
        sides["dalex"] = partial(
            explainer.model_parts, B=REPEATS, N=None, loss_function=_squared, type="difference", random_state=0
        )
        read["dalex"] = lambda e: e.result.set_index("variable")["dropout_loss"][NAMES].to_numpy()
    yield judged(scale, f"permutation importance, {REPEATS} repeats of {ROWS} rows", TABLE, sides, read, right)


def _squared(y: Any, answered: Any) -> float:
    return float(np.mean((np.asarray(y) - np.asarray(answered)) ** 2))


def _explainer(dalex: Any, plain: Any, X: Array, y: Array) -> Any:
    import pandas as pd

    return dalex.Explainer(plain, pd.DataFrame(X, columns=NAMES), y, verbose=False)


def _tensor(a: Array) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(a))


@case("known-dependence")
def dependence(scale: Scale) -> Iterator[Row]:
    from sklearn.inspection import partial_dependence
    from tables import Regressor

    model, X, y = table()
    plain, grids = Regressor(model.net), [np.linspace(X[:, c].min(), X[:, c].max(), GRID) for c in range(COLUMNS)]
    right = np.array([[_held(model, X, c, at) for at in grids[c]] for c in range(COLUMNS)])

    def theirs() -> Any:
        how = {"grid_resolution": GRID, "percentiles": (0, 1), "method": "brute", "kind": "average"}
        return [partial_dependence(plain, X, [c], **how)["average"][0] for c in range(COLUMNS)]

    columns = [str(c) for c in range(COLUMNS)]
    sides: dict[str, Work] = {
        BARE: bare.best(bare.forward(model.net), _tensor(np.tile(X, (GRID * COLUMNS, 1))), BATCHES)[0],
        OURS: partial(xk.profile, model, X, columns, grid=GRID, progress=False),
        "scikit-learn": theirs,
    }
    read: dict[str, Any] = {OURS: lambda e: [effect.values for effect in e.effects], "scikit-learn": lambda e: e}
    if (dalex := there("dalex")) is not None:
        explainer = _explainer(dalex, plain, X, y)
        how = {"N": None, "center": False, "verbose": False}
        sides["dalex"] = partial(explainer.model_profile, variable_splits=dict(zip(NAMES, grids, strict=True)), **how)
        read["dalex"] = _curves_of_dalex
    with warnings.catch_warnings():  # dalex says that the grid names the columns
        warnings.simplefilter("ignore")
        yield judged(scale, f"partial dependence, {GRID} points of {ROWS} rows", TABLE, sides, read, right)


def _held(model: Any, X: Array, column: int, value: float) -> float:
    """Give the mean answer with a column held at a value: the definition."""
    rows = X.copy()
    rows[:, column] = value
    return float(model.run(rows).output.mean(dtype=np.float64))


def _curves_of_dalex(found: Any) -> list[Any]:
    curves = found.result.sort_values("_x_").groupby("_vname_")["_yhat_"]
    return [curves.get_group(name).to_numpy() for name in NAMES]
