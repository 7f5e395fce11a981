"""Recipes and their arithmetic, and training in both frameworks."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tests.cases import some
from xaikit import zoo
from xaikit.errors import ModelError
from xaikit.inputs import Classes, Image
from xaikit.zoo.building import Architecture, describe
from xaikit.zoo.recipes import Augmentation, EarlyStopping, Recipe, affine_maps, stalls
from xaikit.zoo.training import Order, Samples, split

from .test_backends import global_random_states

pytestmark = pytest.mark.slow

RECIPE = Recipe(loss="crossentropy", optimizer="adam", learning_rate=1e-2, batch=16, epochs=4)


@pytest.fixture(scope="module")
def stripes() -> Samples:
    """Noisy horizontal and vertical stripes, as bytes."""
    rng = np.random.default_rng(0)
    y = np.arange(160) % 2
    image = np.where(np.arange(8) % 2, 200.0, 50.0)
    x = np.where(y[:, None, None] == 0, image[:, None], image[None, :]) + rng.normal(0, 40, (160, 8, 8))
    x = np.clip(x, 0, 255).astype(np.uint8)[..., None]
    return Samples(x[:120], y[:120], x[120:], y[120:], scale=1 / 255)


def small(dropout: float = 0.0, end: str = "softmax") -> Architecture:
    def body(net: Any) -> Any:
        x = net.conv(net.input(8, 8, 1), 4, 3, activation="relu")
        x = net.flatten(net.max_pool(net.batch_norm(x), 2))
        x = net.dropout(x, dropout) if dropout else x
        return net.dense(x, 2 if end == "softmax" else 1, activation=end)

    return describe("small", body)


def trained(backend: Any, architecture: Architecture, recipe: Recipe, data: Samples, **more: Any) -> Any:
    net = backend.build(architecture, 0)
    return net, backend.fit(net, architecture, recipe, data, **more)


def test_training_improves_the_loss(backend: Any, stripes: Samples) -> None:
    told: list[tuple[int, int, str]] = []
    _, curve = trained(backend, small(), RECIPE, stripes, progress=lambda *args: told.append(args))
    assert curve[-1].loss < 0.5 * curve[0].loss
    assert curve[-1].validation_accuracy is not None
    assert curve[-1].validation_accuracy > 0.9
    assert [(done, total) for done, total, _ in told] == [(n, 4) for n in range(1, 5)]
    assert f"validation loss {curve[-1].validation_loss:.4f}" in told[-1][2]


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "sgd"])
def test_one_output_with_averaged_weights(backend: Any, stripes: Samples, optimizer: Any) -> None:
    recipe = replace(
        RECIPE, loss="binary-crossentropy", optimizer=optimizer, average=0.8, weight_decay=1e-4, label_smoothing=0.1
    )
    _, curve = trained(backend, small(end="sigmoid"), replace(recipe, epochs=8), stripes)
    assert curve[-1].validation_loss < 0.7 * curve[0].validation_loss


def test_the_global_random_state_stays(backend: Any, stripes: Samples) -> None:
    recipe = replace(RECIPE, epochs=1, augmentation=Augmentation(rotation=5, horizontal_flip=True))
    net = backend.build(small(dropout=0.5))
    before = global_random_states()
    backend.fit(net, small(dropout=0.5), recipe, stripes)
    assert global_random_states() == before


def test_the_seed_decides_the_order_of_the_samples(backend: Any, stripes: Samples) -> None:
    recipe = replace(RECIPE, epochs=1, augmentation=Augmentation(shift=0.1))
    same, again, other = (trained(backend, small(), recipe, stripes, seed=s)[1][0].loss for s in (1, 1, 2))
    # Parallel sums may differ in the last digit.
    assert_allclose(same, again, rtol=1e-5)
    assert abs(same - other) > 1e-3


def test_the_seed_decides_what_is_dropped(backend: Any, stripes: Samples) -> None:
    """One sample over and over, so that only dropout is left to chance, and the global generators moved on."""
    import torch

    alike = replace(stripes, x=np.repeat(stripes.x[:1], 16, 0), y=np.repeat(stripes.y[:1], 16))
    losses = []
    with torch.random.fork_rng():
        for seed in (1, 1, 2):
            torch.rand(7)
            losses.append(trained(backend, small(0.5), replace(RECIPE, epochs=1), alike, seed=seed)[1][0].loss)
    assert_allclose(losses[0], losses[1], rtol=1e-5)
    assert abs(losses[0] - losses[2]) > 1e-3


def test_both_frameworks_take_the_same_steps(both: tuple[Any, Any], stripes: Samples) -> None:
    recipe = replace(RECIPE, epochs=2, augmentation=Augmentation(rotation=10, zoom=0.1), average=0.9)
    torch_curve, keras_curve = (trained(side, small(), recipe, stripes)[1] for side in both)
    # bfloat16 forward passes in torch have three digits.
    assert_allclose([e.loss for e in torch_curve], [e.loss for e in keras_curve], rtol=0.03)


def test_the_best_weights_are_kept(backend: Any, stripes: Samples) -> None:
    # Every fourth label to validate with is wrong: growing confidence makes the loss rise again.
    wrong = (np.arange(40) % 4 == 0).astype(int)
    noisy = replace(stripes, y_validation=stripes.y_validation ^ wrong)
    architecture = small()
    net, curve = trained(backend, architecture, replace(RECIPE, epochs=8, learning_rate=0.05), noisy)
    best = min(e.validation_loss for e in curve)
    assert curve[-1].validation_loss > 1.1 * best, "the case must have its best epoch before the last"
    model = backend.wrap(net, inputs=Image(8, 8, 1), outputs=Classes(("rows", "columns")))
    p = model.run(model.inputs.encode(stripes.x_validation)).output
    assert_allclose(-np.log(p[np.arange(40), noisy.y_validation]).mean(), best, rtol=1e-3)


def test_a_diverging_training_is_reported(backend: Any, stripes: Samples) -> None:
    recipe = replace(RECIPE, optimizer="sgd", learning_rate=1e30, epochs=2)
    with pytest.raises(ModelError, match=r"diverged.*lower the learning rate"):
        trained(backend, small(), recipe, stripes)


def test_early_stopping_ends_the_training(backend: Any, stripes: Samples) -> None:
    recipe = replace(RECIPE, epochs=30, early_stopping=EarlyStopping(successive_rises=1))
    _, curve = trained(backend, small(), replace(recipe, learning_rate=0.1), stripes)
    assert len(curve) < 30
    assert curve[-1].validation_loss > curve[-2].validation_loss


def test_augmentation_is_the_same_in_both_frameworks(both: tuple[Any, Any]) -> None:
    import torch

    from xaikit_keras.training import augment as in_keras
    from xaikit_torch.training import augment as in_torch

    x = np.random.default_rng(0).uniform(size=(4, 12, 20, 3)).astype(np.float32)
    a = Augmentation(rotation=40, shift=0.2, shear=0.2, zoom=0.2, horizontal_flip=True)
    ours = in_torch(torch.from_numpy(np.moveaxis(x, -1, 1).copy()), a, np.random.default_rng(1)).numpy()
    theirs = np.asarray(in_keras(x, a, np.random.default_rng(1)))
    # Positions are computed in float32 of up to 20 pixels: five digits.
    assert_allclose(np.moveaxis(ours, 1, -1), theirs, atol=1e-4)
    assert np.abs(theirs - x).max() > 0.1


# ---------------------------------------------------------------------- arithmetic


def test_maps_turn_flip_and_shift() -> None:
    none = affine_maps(Augmentation(), np.random.default_rng(0), 3, 10, 10)
    assert_allclose(none, np.tile(np.eye(2, 3), (3, 1, 1)))
    flips = affine_maps(Augmentation(horizontal_flip=True), np.random.default_rng(0), 200, 10, 10)
    assert set(flips[:, 0, 0]) == {-1.0, 1.0}
    assert_allclose(flips[:, 1, 1], 1.0)
    turns = affine_maps(Augmentation(rotation=30), np.random.default_rng(0), 200, 10, 10)[:, :, :2]
    assert_allclose(turns @ turns.transpose(0, 2, 1), np.tile(np.eye(2), (200, 1, 1)), atol=1e-12)
    angles = np.rad2deg(np.arctan2(turns[:, 1, 0], turns[:, 0, 0]))
    assert 25 < np.abs(angles).max() <= 30
    shifts = affine_maps(Augmentation(shift=0.1), np.random.default_rng(0), 200, 10, 40)[:, :, 2]
    assert 3.5 < np.abs(shifts[:, 0]).max() <= 4.0
    assert 0.8 < np.abs(shifts[:, 1]).max() <= 1.0


def test_generalisation_loss_and_successive_rises() -> None:
    gl = EarlyStopping(generalisation_loss=10)
    assert not gl.stops([1.0, 0.5, 0.54])
    assert gl.stops([1.0, 0.5, 0.56])
    rises = EarlyStopping(successive_rises=2)
    assert rises.stops([1.0, 0.5, 0.6, 0.7])
    assert not rises.stops([1.0, 0.5, 0.7, 0.6])
    assert not rises.stops([0.5, 0.6])
    assert not EarlyStopping().stops([1.0, 100.0])


def test_rates() -> None:
    cosine = Recipe(loss="mse", learning_rate=1.0, epochs=10, schedule="cosine", warmup_epochs=1)
    assert_allclose([cosine.rate(s, 10) for s in (0, 4, 9)], [0.1, 0.5, 1.0])
    assert_allclose([cosine.rate(s, 10) for s in (10, 55, 100)], [1.0, 0.505, 0.01])
    plateau = Recipe(loss="mse", learning_rate=1.0, schedule="plateau", plateau_patience=2)
    assert plateau.rate(5, 1, [3, 2, 2.1]) == 1.0
    assert_allclose(plateau.rate(5, 1, [3, 2, 2.1, 2.2]), 0.1)
    assert stalls([3, 2, 2, 2, 2, 2, 1], 2) == 2


def test_batches_pass_over_all_samples() -> None:
    batches = Order(np.random.default_rng(0), 10, 4)
    seen = np.concatenate([next(batches) for _ in range(5)])
    assert_array_equal(np.sort(seen[:10]), np.arange(10))
    assert_array_equal(np.sort(seen[10:]), np.arange(10))


def test_split_keeps_the_share_of_every_class() -> None:
    y = np.repeat([0, 1, 2], [100, 50, 10])
    training, validation = split(y, 0.1, np.random.default_rng(0))
    assert_array_equal(np.bincount(y[validation]), [10, 5, 1])
    assert_array_equal(np.sort(np.concatenate([training, validation])), np.arange(160))


@pytest.mark.parametrize("framework", some(["torch", "keras"], ["torch"]), indirect=True)
@pytest.mark.usefixtures("data_folder", "cache")
def test_mnist_from_scratch_in_three_epochs(framework: str) -> None:
    zoo.train("mnist_cnn", framework, epochs=3)
    trained_here = zoo.card("mnist_cnn").trained
    assert trained_here is not None
    assert trained_here.metrics["accuracy"] > 0.95
    assert sum(epoch["seconds"] for epoch in trained_here.curve) < 120
