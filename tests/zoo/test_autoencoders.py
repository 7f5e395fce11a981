"""The autoencoders: what they give has the shape of what they take, in both frameworks the same."""

from typing import Any

import pytest

from xaikit.inputs import Reconstruction
from xaikit.zoo.networks import networks

from .parity import agree_by_name, samples

NAMES = [name for name, entry in networks.items() if isinstance(entry.outputs, Reconstruction)]
VARIATIONAL = {"dense_vae": 2, "conv_vae": 8}


@pytest.mark.parametrize("name", NAMES)
def test_both_frameworks_give_one_reconstruction(both: tuple[Any, Any], name: str) -> None:
    architecture = networks[name].architecture
    agree_by_name(both, architecture, samples(architecture, 4))


@pytest.mark.parametrize("name", NAMES)
def test_the_target_of_the_training_is_the_input(name: str) -> None:
    entry = networks[name]
    assert entry.recipe is not None
    assert entry.recipe.target == "input"
    assert entry.architecture.last.shape == tuple(entry.inputs.shape)
    assert (entry.recipe.divergence is not None) == (name in VARIATIONAL)


@pytest.mark.parametrize(("name", "size"), VARIATIONAL.items())
def test_variational_ones_draw_z_from_mean_and_log_variance(name: str, size: int) -> None:
    nodes = networks[name].architecture.by_name
    assert nodes["z"].parents == ("mean", "log_variance")
    assert {nodes[n].shape for n in ("mean", "log_variance", "z")} == {(size,)}


def test_the_encoder_and_the_decoder_of_the_photos_have_their_documented_sizes() -> None:
    nodes = networks["conv_autoencoder"].architecture.nodes
    end = 1 + [n.name for n in nodes].index("code")
    sizes = [sum(w.size for n in part for w in n.weights.values()) for part in (nodes[:end], nodes[end:])]
    assert sizes == [1_666_560, 57_411]


def test_both_decoders_of_the_photos_have_as_many_weights() -> None:
    plain, transposed = (networks[n].architecture for n in ("conv_autoencoder", "conv_autoencoder_transposed"))
    assert plain.total == transposed.total
    assert [n.op for n in transposed.nodes].count("conv_transpose") == 2
