"""What a trained network of the zoo answers to some samples that it never saw."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaikit import data
from xaikit.errors import DataError
from xaikit.zoo._public import card, load
from xaikit.zoo.networks import networks
from xaikit.zoo.training import corrupted


@dataclass(frozen=True, eq=False)
class Answered:
    """Test samples with the truth and the network's raw outputs; truth and output may be mappings by output.

    x holds the samples as a person has them, `encoded` as the network takes them, `given` as it was given them: with
    noise or holes where it is there to restore what is missing. `index` are their places in the test part of `of`.
    """

    x: tuple[Any, ...]
    encoded: Any
    given: Any
    truth: Any
    output: Any
    index: tuple[int, ...]
    of: int
    framework: str


def answered(name: str, count: int = 12, framework: str | None = None, seed: int = 0) -> Answered:
    """Ask a trained network about `count` samples of its test part, drawn with `seed`.

    Raises DataError where it is not trained or its data are not there, MissingPackage without a framework.
    """
    entry = networks[name]
    if card(name).trained is None:
        raise DataError(f"{name} is not trained, so there is nothing to ask it: xaikit zoo train {name}")
    with data.local_only():
        test = data.load(entry.data).read("test")
    of = len(test.x)
    index = np.sort(np.random.default_rng(seed).choice(of, min(count, of), replace=False))
    x = [test.x[i] for i in index]
    encoded = entry.inputs.encode(x if isinstance(test.x, list) else test.x[index])
    corruption = entry.recipe.corruption
    given = corrupted(encoded, corruption, np.random.default_rng(seed))[0] if corruption else encoded
    model = load(name, framework)
    output = model.run(given).output
    return Answered(tuple(x), encoded, given, _at(test.y, index), output, tuple(map(int, index)), of, model.framework)


def _at(values: Any, index: Any) -> Any:
    if isinstance(values, Mapping):
        return {name: _at(v, index) for name, v in values.items()}
    return np.asarray(values)[index]
