"""Every documented recipe runs on its own data, and both frameworks compute the same loss by it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.cases import some
from xaikit import data, zoo
from xaikit.zoo import _public, training
from xaikit.zoo.networks import networks
from xaikit.zoo.training import Samples

pytestmark = pytest.mark.slow

TRAINED_HERE = [name for name in zoo.names() if networks[name].data != "imagenet"]
FEW = 24
ALIKE = (
    *("xception_small", "lenet5_cifar10", "mlp_mnist_wide", "mlp_imdb", "mlp_imdb_small", "bilstm_imdb", "gru_imdb"),
    *("char_lstm", "lstm_forecast", "rnn_forecast", "conv_autoencoder_transposed", "mlp_imdb_dropout"),
    *("mlp_mnist_dropout", "cats_vs_dogs", "unet", "resnet20_cifar10", "conv_autoencoder"),
    *("cats_vs_dogs_transfer", "mnist_two_heads", "mlp_imdb_l2", "conv_vae"),
)
"""Networks whose recipe is that of another one, on another architecture."""


@pytest.fixture(scope="module")
def samples(request: pytest.FixtureRequest) -> Any:
    """Some training samples of each network, each set being read once."""
    known: dict[str, Samples] = {}

    def few(name: str) -> Samples:
        entry = networks[name]
        if not data.load(entry.data).origin.startswith("drawn by"):
            request.getfixturevalue("data_folder")
        if name not in known:
            full = _public._samples(entry, entry.recipe, 0)
            rng = np.random.default_rng(0)
            chosen, kept = (np.sort(rng.permutation(len(x))[:FEW]) for x in (full.x, full.x_validation))
            known[name] = replace(
                full,
                x=full.x[chosen],
                y=training.pick(full.y, chosen),
                x_validation=full.x_validation[kept],
                y_validation=training.pick(full.y_validation, kept),
            )
        return known[name]

    return few


@pytest.mark.parametrize("name", some(TRAINED_HERE, [n for n in TRAINED_HERE if n not in ALIKE]))
def test_both_frameworks_judge_by_a_recipe_alike(name: str, samples: Any, both: tuple[Any, Any]) -> None:
    """One step without learning, then the loss and the share of right answers on what was kept apart."""
    entry = networks[name]
    recipe = replace(
        entry.recipe, learning_rate=0.0, weight_decay=0.0, warmup_epochs=0, batch=8, epochs=1, steps_per_epoch=1
    )
    curves = []
    for backend in both:
        net = backend.build(entry.architecture, 3)
        (epoch,) = backend.fit(net, entry.architecture, recipe, samples(name))
        curves.append(epoch)
    ours, theirs = curves
    assert np.isfinite([ours.loss, theirs.loss]).all()
    # Training is in half precision where the processor has it, and moves the statistics of batch norm by a hundredth.
    assert_allclose(ours.validation_loss, theirs.validation_loss, rtol=1e-3)
    assert (ours.validation_accuracy is None) == (theirs.validation_accuracy is None)
    if ours.validation_accuracy is not None:
        assert abs(ours.validation_accuracy - theirs.validation_accuracy) <= 0.05
