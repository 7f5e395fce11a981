"""How far estimated Shapley values are from the exact ones, beside the shap package at equal model calls.

    python benchmarks/shapley_error.py [--images 20] [--seeds 3]

Digits are cut into 12 to `--most` parts (SLIC where it gives so many, else a grid of 3 × 4), a hidden part is the
mean of the image, and all coalitions of every image are asked for, so that the error is known. Each estimator then has
5, 10 and 20 coalitions for every part. Printed are the median over images and seeds of the root mean squared error,
and its ratio to that of shap.KernelExplainer with the better of l1_reg=False and l1_reg="num_features(n)". Owen values
are no Shapley values: partition-shap is measured against its own exact values, and beside shap.PartitionExplainer over
the same tree.
"""

import argparse
import itertools
import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from networks import digits, mnist_cnn

from xaikit.arrays import Array
from xaikit.attribution import Task, prepare
from xaikit.inputs import resolve
from xaikit.perturb.coalitions import exhaustive, permutations, shapley_kernel
from xaikit.perturb.evaluate import ask
from xaikit.perturb.hierarchy import Hierarchy, Owen, by_place, centres
from xaikit.perturb.maskers import maskers
from xaikit.perturb.segments import Parts, cut
from xaikit.perturb.solvers import shapley_kriging, shapley_values, walked

Game = Callable[[Array], Array]
SHARES = (5, 10, 20)


def parts_of(task: Task, most: int) -> Parts:
    """Cut an image into 12 parts or more."""
    for wanted in (16, 15, 17, 18, 14, 19, 20):
        found = cut(task, ("slic", {"n_segments": wanted}))[0]
        if 12 <= found.count <= most:
            return found
    rows, columns = np.arange(28) * 3 // 28, np.arange(28) * 4 // 28
    return cut(task, rows[:, None] * 4 + columns)[0]


def task_for(model: Any, image: Array) -> Task:
    x, display = prepare(model, image)
    prediction = model.run(x).output
    scores = resolve(None, model.outputs, prediction, "probability")
    return Task(model, x, model.inputs, display, scores, prediction, 0, by_logits=True)


def game_of(task: Task, parts: Parts) -> tuple[Game, Array]:
    """Give the whole game of an image as a look-up, and its exact Shapley values."""
    whole = exhaustive(parts.count)
    answers = ask(task, maskers(task, [parts]), [whole.masks])[0]
    places = 1 << np.arange(parts.count)
    table = np.empty(len(whole.masks))
    table[whole.masks @ places] = answers.values
    return lambda masks: table[masks.astype(int) @ places], shapley_values(whole.masks, answers.values)


def kernel_shap(game: Game, n: int, samples: int, seed: int) -> Array:
    masks = shapley_kernel(n, samples, np.random.default_rng(seed)).masks
    return shapley_kriging(masks, game(masks))[0]


def permutation_shap(game: Game, n: int, samples: int, seed: int) -> Array:
    walks = permutations(n, samples, np.random.default_rng(seed))
    return walked(walks, game(walks.masks), np.ones(len(walks.masks), bool))[0]


def partition_shap(game: Game, tree: Hierarchy, samples: int) -> Array:
    n = len(tree.order)
    owen = Owen(tree, np.ones(n, bool), game(np.array([[True] * n, [False] * n])))
    spent = 2
    while len(masks := owen.ask(samples - spent)):
        owen.learn(game(masks), np.ones(len(masks), bool))
        spent += len(masks)
    return owen.values()


def of_shap(game: Game, n: int, samples: int, seed: int, l1: Any) -> Array:
    import shap

    np.random.seed(seed)  # noqa: NPY002
    explainer = shap.KernelExplainer(lambda rows: game(rows > 0.5), np.zeros((1, n)))
    return np.asarray(explainer.shap_values(np.ones((1, n)), nsamples=samples - 2, l1_reg=l1, silent=True)[0])


def permutations_of_shap(game: Game, n: int, samples: int, seed: int) -> Array | None:
    import shap

    if samples < 2 * n + 1:
        return None
    explainer = shap.PermutationExplainer(lambda rows: game(rows > 0.5), np.zeros((1, n)), seed=seed)
    return np.asarray(explainer(np.ones((1, n)), max_evals=samples, silent=True).values[0])


def partition_of_shap(game: Game, tree: Hierarchy, samples: int, seed: int) -> Array:
    import shap

    np.random.seed(seed)  # noqa: NPY002
    n = len(tree.order)
    masker = shap.maskers.Partition(np.zeros((1, n)), clustering=linkage(tree))
    explainer = shap.PartitionExplainer(lambda rows: game(rows > 0.5), masker)
    return np.asarray(explainer(np.ones((1, n)), max_evals=samples, silent=True).values[0])


def linkage(tree: Hierarchy) -> Array:
    """Write a tree as scipy's linkage matrix: the later a node, the earlier it is joined."""
    n = len(tree.order)
    inner = [k for k in range(len(tree.bounds) - 1, -1, -1) if tree.children[k, 0] >= 0]
    names = {k: int(tree.parts(k)[0]) for k in range(len(tree.bounds)) if tree.children[k, 0] < 0}
    names |= {k: n + i for i, k in enumerate(inner)}
    return np.array(
        [[names[a], names[b], 1.0 + i, len(tree.parts(k))] for i, k in enumerate(inner) for a, b in [tree.children[k]]]
    )


def found(game: Game, tree: Hierarchy, samples: int, seed: int) -> dict[str, Array | None]:
    """Give what every estimator makes of so many coalitions."""
    n = len(tree.order)
    return {
        "kernel-shap": kernel_shap(game, n, samples, seed),
        "permutation-shap": permutation_shap(game, n, samples, seed),
        "shap kernel, l1_reg=False": of_shap(game, n, samples, seed, 0),
        "shap kernel, num_features(n)": of_shap(game, n, samples, seed, f"num_features({n})"),
        "shap permutation": permutations_of_shap(game, n, samples, seed),
        "partition-shap": partition_shap(game, tree, samples),
        "shap partition": partition_of_shap(game, tree, samples, seed),
    }


def errors(model: Any, images: Array, seeds: int, most: int) -> tuple[dict[tuple[int, str], list[float]], list[int]]:
    """Give every estimator's errors by (calls for a part, estimator), and how many parts each image has."""
    off: dict[tuple[int, str], list[float]] = defaultdict(list)
    counts = []
    for image in images:
        task = task_for(model, image)
        parts = parts_of(task, most)
        (game, exact), tree = game_of(task, parts), by_place(centres(parts.labels[""]))
        owen = partition_shap(game, tree, 10**9)
        counts.append(parts.count)
        for share, seed in itertools.product(SHARES, range(seeds)):
            for name, phi in found(game, tree, share * parts.count, seed).items():
                if phi is not None:
                    truth = owen if "partition" in name else exact
                    off[share, name].append(float(np.sqrt(np.mean((phi - truth) ** 2))))
    return off, counts


def best_of_shap(median: Mapping[tuple[int, str], float], share: int) -> float:
    """Give the error of shap's KernelExplainer with the better of its two settings."""
    return min(median[share, f"shap kernel, {l1}"] for l1 in ("l1_reg=False", "num_features(n)"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--most", type=int, default=14, help="parts at most, from 12 to 16; 2^parts calls are made")
    parser.add_argument("--framework", choices=["torch", "keras"], default="torch")
    asked = parser.parse_args()
    report(*errors(mnist_cnn(asked.framework), digits(asked.images), asked.seeds, asked.most))


def report(off: Mapping[tuple[int, str], list[float]], counts: list[int]) -> None:
    import shap

    median = {key: float(np.median(e)) for key, e in off.items()}
    print(f"{len(counts)} images of {min(counts)} to {max(counts)} parts, shap {shap.__version__}")
    print(f"{'median RMSE, and its ratio to shap kernel':44}" + "".join(f"{f'{s}n calls':>20}" for s in SHARES))
    best = {s: best_of_shap(median, s) for s in SHARES}
    for name in dict.fromkeys(name for _, name in off):
        theirs = {s: median[s, "shap partition"] if "partition" in name else best[s] for s in SHARES}
        cells = [(median.get((s, name), np.nan), median.get((s, name), np.nan) / theirs[s]) for s in SHARES]
        print(f"{name:44}" + "".join(f"{f'{error:.5f} ({ratio:.2f})':>20}" for error, ratio in cells))
    print("partition-shap and shap partition: against exact Owen values, ratio to shap partition")


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of shap
        main()
