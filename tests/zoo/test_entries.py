"""What a network is registered with fits its architecture: specs, data, the nodes that its recipe names."""

from collections.abc import Mapping

import pytest

from xaikit import data
from xaikit.inputs import Classes, Masks, Reconstruction
from xaikit.zoo.networks import Network, networks

NAMES = list(networks)
WITH_RECIPE = [name for name in NAMES if networks[name].recipe]


def specs(entry: Network) -> Mapping[str, object]:
    return entry.outputs if isinstance(entry.outputs, Mapping) else {"output": entry.outputs}


@pytest.mark.parametrize("name", NAMES)
def test_the_specs_have_the_shapes_of_the_network(name: str) -> None:
    entry = networks[name]
    (given,) = entry.architecture.inputs
    assert tuple(entry.inputs.shape) == given.shape
    assert set(specs(entry)) == set(entry.architecture.outputs)
    for key, spec in specs(entry).items():
        shape = entry.architecture.by_name[entry.architecture.outputs[key]].shape
        if isinstance(spec, Reconstruction):
            assert shape == given.shape
        else:
            assert isinstance(spec, Masks) == (len(shape) == 3)
            names = len(spec.names)  # type: ignore[attr-defined]
            assert shape[-1] == (1 if isinstance(spec, Classes) and spec.form == "sigmoid" else names)


@pytest.mark.parametrize("name", WITH_RECIPE)
def test_what_a_recipe_names_is_there(name: str) -> None:
    entry = networks[name]
    recipe, nodes = entry.recipe, entry.architecture.by_name
    assert recipe is not None
    assert data.load(str(entry.data)).name == entry.data
    assert set(recipe.l2) <= {n.name for n in nodes.values() if "kernel" in n.weights}
    assert set(recipe.losses(list(entry.architecture.outputs))) == set(entry.architecture.outputs)
    assert any(n.op == "sampling" for n in nodes.values()) == (recipe.divergence is not None)


def test_transfer_takes_over_everything_but_the_head() -> None:
    entry = networks["cats_vs_dogs_transfer"]
    assert entry.recipe is not None
    tuning = entry.recipe.fine_tuning
    assert tuning is not None
    backbone = networks[tuning.backbone].architecture.weights
    own = entry.architecture.weights
    shared = {n for n, w in own.items() if n in backbone and backbone[n].shape == w.shape}
    assert set(own) - shared == {"head/kernel", "head/bias"}
    unfrozen = {n.name for n in entry.architecture.nodes if n.weights and n.name.startswith(tuning.unfrozen)}
    assert unfrozen == set(tuning.unfrozen)
    assert {entry.architecture.by_name[n].shape for n in unfrozen} == {(24, 24, 64)}
