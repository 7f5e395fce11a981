"""A torch network of 30 columns, beside lime and shap."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import bare
import numpy as np
from cases import BARE, GRADIENTS, OURS, Scale, case, explained, in_turn, row, row_of, with_evidence
from networks import scorer
from page import Figure, Row
from timing import Work, peak

NETWORK = "30-column MLP, torch"
BATCHES = (512, 1024, 2048, 4096, 8192)
BACKGROUND = np.random.default_rng(0).normal(size=(100, 30)).astype(np.float32)
ROWS = np.random.default_rng(1).normal(size=(100, 30)).astype(np.float32)


def passes(model: Any, count: int) -> Work:
    import torch

    rows = np.random.default_rng(2).normal(size=(count, 30)).astype(np.float32)
    return bare.best(bare.forward(model.net), torch.from_numpy(rows), BATCHES)[0]


def asked(model: Any) -> Any:
    """Give the model as a function of rows, which peers ask."""
    import torch

    run = bare.forward(model.net)
    return lambda rows: run(torch.from_numpy(np.asarray(rows, np.float32)))


@case("lime-table")
def lime_of_a_row(scale: Scale) -> Iterator[Row]:
    from lime.lime_tabular import LimeTabularExplainer

    samples = scale.of(5000)
    model, single, predict = scorer(BACKGROUND), scorer(BACKGROUND[:1]), asked(scorer(BACKGROUND))

    def theirs(selection: str, discretized: bool) -> Work:
        explainer = LimeTabularExplainer(
            BACKGROUND, discretize_continuous=discretized, feature_selection=selection, random_state=0
        )
        return partial(explainer.explain_instance, ROWS[0], predict, num_samples=samples, num_features=5)

    ours = partial(explained, x=ROWS[0], method="lime", target=1, samples=samples, accelerate="none")
    plain = {
        BARE: passes(model, samples),
        OURS: partial(ours, single),
        "lime": theirs("none", False),
        "lime, forward selection": theirs("auto", False),
    }
    yield row(scale, f"LIME, {samples} rows", NETWORK, plain, 3, "xaikit hides columns, lime draws numbers around them")
    binned = {
        BARE: plain[BARE],
        OURS: partial(ours, model, discretized=True, kernel_width=0.75),
        "lime": theirs("none", True),
    }
    yield row(scale, f"LIME, {samples} rows, discretised", NETWORK, binned, 4, "quartiles of 100 rows, for both")


@case("kernel-shap-table")
def kernel_shap(scale: Scale) -> Iterator[Row]:
    import shap

    model = scorer(BACKGROUND)
    samples = scale.of(2108, 100)
    explainer = shap.KernelExplainer(asked(model), BACKGROUND)
    sides = {
        BARE: passes(model, samples * len(BACKGROUND)),
        OURS: partial(explained, model, ROWS[0], "kernel-shap", target=1, samples=samples, accelerate="none"),
        "shap": partial(explainer.shap_values, ROWS[:1], nsamples=samples, silent=True, l1_reg=False),
    }
    grown = {name: peak(side) for name, side in sides.items()}
    memory = [] if grown[OURS] is None else [Figure("memory", 80, grown[OURS], " MiB")]
    told = ", ".join(f"{name} {mib or 0:.0f}" for name, mib in grown.items())
    work = f"KernelSHAP, {samples} coalitions × {len(BACKGROUND)} rows"
    yield row_of(scale.turns(sides), work, NETWORK, 1.2, f"MiB at the peak: {told}", figures=memory)


@case("permutation-shap-table")
def permutation_shap(scale: Scale) -> Iterator[Row]:
    import shap

    model = scorer(BACKGROUND)
    made = explained(model, ROWS[0], "permutation-shap", target=1, accelerate="none").origin.model_calls
    explainer = shap.PermutationExplainer(asked(model), shap.maskers.Independent(BACKGROUND, max_samples=100), seed=0)
    evaluations = round(made / len(BACKGROUND))
    sides = {
        BARE: passes(model, made),
        OURS: partial(explained, model, ROWS[0], "permutation-shap", target=1, accelerate="none"),
        "shap": partial(explainer, ROWS[:1], max_evals=evaluations, silent=True),
    }
    yield row(scale, f"permutation SHAP, {made} rows", NETWORK, sides, 1.3, "as many evaluations allowed to shap")


@case("expected-gradients-table")
def expected_gradients(scale: Scale) -> Iterator[Row]:
    import shap
    import torch

    model, samples = scorer(BACKGROUND), scale.of(200)
    explainer = shap.GradientExplainer(model.net, torch.from_numpy(BACKGROUND))
    for count in (1, len(ROWS)):
        x = ROWS[:count]
        points = torch.from_numpy(np.repeat(x, samples, axis=0))
        gradients = bare.best(bare.gradient(model.net, 1), points, (200, *BATCHES))[0]
        ends = passes(model, count + len(BACKGROUND))  # f(x) of every row, and f(b) of every row of the background
        sides = {
            BARE: partial(in_turn, gradients, ends),
            OURS: partial(explained, model, list(x), "gradient-shap", target=1, samples=samples),
            GRADIENTS: gradients,
            "shap": partial(explainer.shap_values, torch.from_numpy(x), nsamples=samples, ranked_outputs=1),
        }
        work = f"expected gradients, {samples} points, {count} row{'s' * (count > 1)}"
        yield with_evidence(scale, work, NETWORK, sides, 3, f"background of {len(BACKGROUND)} rows")
