"""What both back-ends make of a recipe: outputs, reconstruction, divergence, penalties, frozen nodes, resuming."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from xaikit.errors import Cancelled, ParameterError
from xaikit.zoo import training
from xaikit.zoo.building import Architecture, describe, initial_weights
from xaikit.zoo.recipes import Augmentation, Corruption, Divergence, FineTuning, Recipe, smoothed
from xaikit.zoo.training import Checkpoint, Samples, compared, corrupted, split

pytestmark = pytest.mark.slow

ADAM: dict[str, Any] = {"optimizer": "adam", "learning_rate": 1e-2, "batch": 16}


def vectors(n: int = 96, width: int = 6, seed: int = 0) -> Any:
    return np.random.default_rng(seed).uniform(size=(n, width)).astype(np.float32)


def fitted(backend: Any, architecture: Architecture, recipe: Recipe, data: Samples, **more: Any) -> Any:
    net = backend.build(architecture, 0)
    if data.start:
        backend.set_weights(net, architecture, {**backend.get_weights(net, architecture), **data.start})
    curve = backend.fit(net, architecture, recipe, data, **more)
    return backend.get_weights(net, architecture), curve


def two_heads(net: Any) -> Any:
    x = net.dense(net.input(6), 8, activation="tanh")
    return {"side": net.dense(x, 2, activation="softmax", name="side"), "sum": net.dense(x, 1, name="sum")}


def autoencoder(net: Any) -> Any:
    x = net.dense(net.input(6), 3, activation="tanh")
    return net.dense(x, 6, activation="sigmoid")


def variational(net: Any) -> Any:
    x = net.dense(net.input(6), 8, activation="tanh")
    mean, log_variance = net.dense(x, 2, name="mean"), net.dense(x, 2, name="log_variance")
    z = net.sampling(mean, log_variance, name="z")
    return net.dense(net.dense(z, 8, activation="tanh"), 6, activation="sigmoid")


def stepwise(net: Any) -> Any:
    x = net.embedding(net.input(5, integer=True), 7, 4)
    return net.dense(net.gru(x, 8, sequences=True), 7, activation="softmax")


def with_labels(x: Any, y: Any) -> Samples:
    cut = len(x) * 3 // 4
    return Samples(x[:cut], training.pick(y, slice(cut)), x[cut:], training.pick(y, slice(cut, None)))


# ---------------------------------------------------------------------- what is learnt


def test_several_outputs_are_learnt_together(backend: Any) -> None:
    x = vectors()
    y = {"side": (x[:, 0] > x[:, 1]).astype(np.int64), "sum": x.sum(1)}
    recipe = Recipe(loss={"side": "crossentropy", "sum": "mse"}, loss_weights={"sum": 0.5}, epochs=30, **ADAM)
    _, curve = fitted(backend, describe("heads", two_heads), recipe, with_labels(x, y))
    assert curve[-1].validation_loss < 0.5 * curve[0].validation_loss
    assert curve[-1].validation_accuracy is not None
    assert curve[-1].validation_accuracy > 0.85


def test_losses_for_other_outputs_are_refused(backend: Any) -> None:
    recipe = Recipe(loss={"side": "crossentropy"}, epochs=1, **ADAM)
    with pytest.raises(ParameterError, match="losses for side, outputs are side, sum"):
        fitted(backend, describe("heads", two_heads), recipe, with_labels(vectors(), {}))


def test_the_loss_of_an_autoencoder_is_taken_after_its_sigmoid(backend: Any) -> None:
    architecture, x = describe("ae", autoencoder), vectors()
    data = Samples(x, np.zeros(96, int), x, np.zeros(96, int))
    recipe = Recipe(loss="mse", target="input", epochs=1, **{**ADAM, "learning_rate": 0.0})
    weights, curve = fitted(backend, architecture, recipe, data)
    hidden = np.tanh(x @ weights["dense1/kernel"] + weights["dense1/bias"])
    output = 1 / (1 + np.exp(-(hidden @ weights["dense2/kernel"] + weights["dense2/bias"])))
    assert_allclose(curve[0].validation_loss, np.square(output - x).mean(), rtol=1e-5)
    assert curve[0].validation_accuracy is None


def test_the_loss_of_a_variational_autoencoder(backend: Any) -> None:
    """At inference z is the mean; summed cross-entropy plus β·KL, by the formulas."""
    architecture, x = describe("vae", variational), vectors()
    data = Samples(x, np.zeros(96, int), x, np.zeros(96, int))
    recipe = Recipe(
        loss="summed-binary-crossentropy",
        target="input",
        divergence=Divergence(beta=0.7),
        epochs=1,
        **{**ADAM, "learning_rate": 0.0},
    )
    weights, curve = fitted(backend, architecture, recipe, data)

    def dense(value: Any, name: str) -> Any:
        return value @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]

    hidden = np.tanh(dense(x, "dense1"))
    mean, log_variance = dense(hidden, "mean"), dense(hidden, "log_variance")
    p = 1 / (1 + np.exp(-dense(np.tanh(dense(mean, "dense2")), "dense3")))
    entropy = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(-1).mean()
    divergence = -0.5 * (1 + log_variance - mean**2 - np.exp(log_variance)).sum(-1).mean()
    assert_allclose(curve[0].validation_loss, entropy + 0.7 * divergence, rtol=1e-5)
    assert curve[0].loss != pytest.approx(curve[0].validation_loss, rel=1e-6)  # training draws z


def test_every_step_has_an_answer(backend: Any) -> None:
    x = np.random.default_rng(0).integers(0, 7, (160, 5))
    recipe = Recipe(loss="crossentropy", epochs=25, **ADAM)
    data = with_labels(x, (x + 1) % 7)
    _, curve = fitted(backend, describe("steps", stepwise), recipe, data)
    assert curve[-1].validation_accuracy is not None
    assert curve[-1].validation_accuracy > 0.9


def test_a_penalty_keeps_kernels_small(backend: Any) -> None:
    x = vectors()
    data = with_labels(x, (x[:, 0] > x[:, 1]).astype(np.int64))

    def body(net: Any) -> Any:
        return net.dense(net.dense(net.input(6), 8, activation="relu"), 2, activation="softmax")

    architecture = describe("small", body)
    plain = Recipe(loss="crossentropy", epochs=20, **ADAM)
    free, _ = fitted(backend, architecture, plain, data)
    held, _ = fitted(backend, architecture, replace(plain, l2={"dense1": 0.05}), data)
    assert np.square(held["dense1/kernel"]).sum() < 0.3 * np.square(free["dense1/kernel"]).sum()


def test_hidden_patches_alone_count(backend: Any) -> None:
    """A network that gives its input unchanged has no error where it can see."""

    def copy(net: Any) -> Any:
        return net.conv(net.input(4, 4, 1), 1, 1, bias=False)

    architecture = describe("copy", copy)
    x = np.random.default_rng(0).uniform(1, 2, (40, 4, 4, 1)).astype(np.float32)
    data = Samples(x, np.zeros(40, int), x, np.zeros(40, int), start={"conv1/kernel": np.ones((1, 1, 1, 1), "f4")})
    recipe = Recipe(
        loss="mse",
        target="input",
        corruption=Corruption(patch=2, hidden=0.5),
        epochs=1,
        **{**ADAM, "learning_rate": 0.0},
    )
    _, curve = fitted(backend, architecture, recipe, data)
    assert_allclose(curve[0].validation_loss, np.square(x).mean(), rtol=0.05)  # hidden entries come back as 0


# ---------------------------------------------------------------------- fine-tuning


def test_a_frozen_backbone_stays_until_it_is_thawed(backend: Any) -> None:
    def body(net: Any) -> Any:
        x = net.dense(net.input(6), 8, name="low")
        x = net.activation(net.batch_norm(x, name="low_norm"), "relu")
        x = net.dense(x, 8, activation="relu", name="top")
        return net.dense(x, 2, activation="softmax", name="head")

    architecture, x = describe("tuned", body), vectors()
    start = {k: v + 0.1 for k, v in initial_weights(architecture, 5).items() if not k.startswith("head")}
    data = replace(with_labels(x, (x[:, 0] > x[:, 1]).astype(np.int64)), start=start)
    recipe = Recipe(
        loss="crossentropy",
        epochs=2,
        fine_tuning=FineTuning("other", frozen_epochs=2, unfrozen=("top",), learning_rate=1e-3),
        **ADAM,
    )
    frozen, _ = fitted(backend, architecture, recipe, data)
    for name, value in start.items():
        assert_array_equal(frozen[name], value, err_msg=name)
    assert np.abs(frozen["head/kernel"] - initial_weights(architecture, 0)["head/kernel"]).max() > 1e-3
    tuned, curve = fitted(backend, architecture, replace(recipe, epochs=4), data)
    assert [e.learning_rate for e in curve] == [1e-2, 1e-2, 1e-3, 1e-3]
    if np.argmin([e.validation_loss for e in curve]) >= 2:
        assert np.abs(tuned["top/kernel"] - start["top/kernel"]).max() > 1e-4
    for name in ("low/kernel", "low_norm/gamma", "low_norm/moving_mean", "low_norm/moving_variance"):
        assert_array_equal(tuned[name], start[name], err_msg=name)


def test_everything_is_trainable_again_after_fine_tuning(framework: str, backend: Any) -> None:
    architecture = describe("ae", autoencoder)
    start = {k: v for k, v in initial_weights(architecture, 1).items() if k.startswith("dense1")}
    data = Samples(vectors(), np.zeros(96, int), vectors(), np.zeros(96, int), start=start)
    tuning = FineTuning("other", frozen_epochs=1, unfrozen=(), learning_rate=1e-3)
    net = backend.build(architecture, 0)
    backend.fit(net, architecture, Recipe(loss="mse", target="input", epochs=1, fine_tuning=tuning, **ADAM), data)
    if framework == "torch":
        assert all(p.requires_grad for p in net.parameters())
    else:
        assert len(net.trainable_weights) == 4


# ---------------------------------------------------------------------- interruption


@pytest.mark.parametrize("kind", ["variational", "tuned"])
def test_an_interrupted_training_ends_where_the_whole_one_does(
    backend: Any, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dropping(net: Any) -> Any:
        x = net.dropout(net.dense(net.input(6), 8, activation="relu"), 0.3)
        return net.dense(net.batch_norm(x), 2, activation="softmax")

    x = vectors()
    if kind == "variational":
        architecture = describe("vae", variational)
        data = Samples(x[:64], np.zeros(64, int), x[64:], np.zeros(32, int))
        recipe = Recipe(
            loss="summed-binary-crossentropy", target="input", divergence=Divergence(cycles=2), epochs=5, **ADAM
        )
    else:
        architecture = describe("dropping", dropping)
        start = {k: v for k, v in initial_weights(architecture, 3).items() if k.startswith("dense1")}
        data = replace(with_labels(x, (x[:, 0] > x[:, 1]).astype(np.int64)), start=start)
        tuning = FineTuning("other", frozen_epochs=2, unfrozen=("dense1",), learning_rate=1e-3)
        recipe = Recipe(loss="crossentropy", epochs=5, average=0.9, fine_tuning=tuning, **ADAM)
    whole, curve = fitted(backend, architecture, recipe, data)

    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    path = tmp_path / "vae.unfinished"

    def interrupt_after(epochs: int) -> Any:
        def progress(done: int, total: int, text: str) -> None:
            if done == epochs:
                raise Cancelled("stopped")

        return progress

    for after in (1, 3):
        with pytest.raises(Cancelled):
            fitted(
                *(backend, architecture, recipe, data),
                progress=interrupt_after(after),
                checkpoint=Checkpoint(path, {"recipe": asdict(recipe)}),
            )
        assert path.exists()
    checkpoint = Checkpoint(path, {"recipe": asdict(recipe)})
    resumed, again = fitted(backend, architecture, recipe, data, checkpoint=checkpoint)
    assert checkpoint.resumed_at == 3
    assert [e.validation_loss for e in again] == [e.validation_loss for e in curve]
    for name, value in whole.items():
        assert_array_equal(resumed[name], value, err_msg=name)


@pytest.mark.parametrize("damage", ["other key", "truncated", "empty"])
def test_a_checkpoint_that_does_not_fit_is_not_used(backend: Any, damage: str, tmp_path: Path) -> None:
    architecture, x = describe("ae", autoencoder), vectors()
    data = Samples(x, np.zeros(96, int), x, np.zeros(96, int))
    recipe = Recipe(loss="mse", target="input", epochs=2, **ADAM)
    path = tmp_path / "ae.unfinished"

    def stop(*_: Any) -> None:
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        fitted(backend, architecture, recipe, data, progress=stop, checkpoint=Checkpoint(path, {"seed": 0}))
    if damage != "other key":
        path.write_bytes(path.read_bytes()[: 100 if damage == "truncated" else 0])
    checkpoint = Checkpoint(path, {"seed": 1 if damage == "other key" else 0})
    _, curve = fitted(backend, architecture, recipe, data, checkpoint=checkpoint)
    assert (checkpoint.resumed_at, len(curve)) == (0, 2)
    checkpoint.remove()
    checkpoint.remove()
    assert not path.exists()


# ---------------------------------------------------------------------- arithmetic


def test_label_smoothing_worked_example() -> None:
    target = smoothed(np.array([1.0, 0.0, 0.0]), 0.1)
    assert_allclose(target, [0.93333, 0.03333, 0.03333], atol=5e-6)
    assert_allclose(np.log(target / (1 - target)), [2.63906, -3.3673, -3.3673], atol=5e-5)


def test_beta_rises_in_cycles() -> None:
    beta = Divergence(beta=2.0, cycles=4, rising=0.5)
    assert_allclose([beta.weight(s, 400) for s in (0, 25, 50, 99, 100, 125)], [0, 1, 2, 2, 0, 1])
    assert Divergence(beta=3.0).weight(0, 10) == 3.0


def test_corruption_hides_whole_patches_and_adds_noise() -> None:
    x = np.ones((50, 28, 28, 1), np.float32)
    changed, weight = corrupted(x, Corruption(patch=4, hidden=0.6), np.random.default_rng(0))
    assert weight is not None
    assert_array_equal(changed, 1 - weight)
    patches = weight.reshape(50, 7, 4, 7, 4)
    assert_array_equal(patches.min((2, 4)), patches.max((2, 4)))
    assert_array_equal(patches.max((2, 4)).sum((1, 2)), round(49 * 0.6))
    assert len(np.unique(patches.max((2, 4)).reshape(50, -1), axis=0)) == 50
    changed, weight = corrupted(x, Corruption(noise=0.5), np.random.default_rng(0))
    assert weight is None
    assert_allclose(changed.std(), 0.5, rtol=0.05)


@pytest.mark.parametrize(("size", "patch"), [((10, 7, 2), 3), ((9, 3), 4)])
def test_patches_at_the_border_may_be_smaller(size: tuple[int, ...], patch: int) -> None:
    changed, weight = corrupted(np.ones((4, *size)), Corruption(patch=patch, hidden=0.5), np.random.default_rng(0))
    assert weight is not None
    assert changed.shape == weight.shape == (4, *size)
    assert 0.2 < weight.mean() < 0.8


def test_recipes_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(ParameterError, match="needs target='input'"):
        Recipe(loss="mse", corruption=Corruption(noise=1))
    with pytest.raises(ParameterError, match="augmentation moves the input"):
        Recipe(loss="mse", target="input", augmentation=Augmentation(shift=0.1))


def test_losses_are_computed_before_what_squashes() -> None:
    heads = describe("heads", two_heads)
    assert compared(heads, "side", "crossentropy").name == "side"
    assert compared(heads, "sum", "mse").name == "sum"
    ae = describe("ae", autoencoder)
    assert compared(ae, "output", "mse").op == "activation"
    assert compared(ae, "output", "summed-binary-crossentropy").name == "dense2"


def test_the_end_of_a_series_validates_its_forecast() -> None:
    first, last = split(np.arange(50.0), 0.2, np.random.default_rng(0))
    assert_array_equal(first, np.arange(40))
    assert_array_equal(last, np.arange(40, 50))
    drawn, kept = split(np.zeros((50, 10), int), 0.2, np.random.default_rng(0))
    assert (len(drawn), len(kept)) == (40, 10)
    assert kept.max() - kept.min() > 10
    labels = {"digit": np.arange(40) % 4, "thickness": np.zeros(40)}
    assert_array_equal(np.bincount(labels["digit"][split(labels, 0.2, np.random.default_rng(0))[1]]), [2, 2, 2, 2])
