"""Optima excite more than real samples do, are the same in both frameworks, and a failed run says that it failed."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.contract.nets import ADAPTERS, image_pair
from xaikit import data
from xaikit.errors import InputError, NotSupported, ParameterError, TargetError, UnknownName, UsageError

pytestmark = pytest.mark.slow

STEPS = 40
OPEN = [0, 1, 6]
"""Channels open at the start: the gradient through a closed ReLU is another where it is inside a layer."""


def pictures(count: int = 12) -> Any:
    return np.random.default_rng(8).integers(0, 256, (count, 12, 12, 3)).astype(np.uint8)


@pytest.mark.parametrize("framework", ADAPTERS)
@pytest.mark.parametrize(
    "asked", [{"layer": "c2"}, {"layer": "c2", "unit": "centre", "channel": [1, 4]}, {}, {"target": "c"}]
)
def test_an_optimum_excites_more_than_any_sample(framework: str, asked: dict[str, Any]) -> None:
    model, _ = image_pair(framework)
    found = xk.maximize(model, **asked, steps=STEPS, like=pictures())
    alive = found.quality["silent"] == 0
    assert alive.sum() >= len(found) - 2
    assert (found.quality["activation"][alive] > found.quality["best"][alive]).all()
    assert found.image.shape == (len(found), 12, 12, 3)
    assert found.image.min() >= 0
    assert found.image.max() <= 255
    assert found.trace.shape == (len(found), STEPS)
    assert (found.trace[alive, -5:].mean(1) > found.trace[alive, :5].mean(1)).all()
    assert found.origin.model_calls == len(found) * STEPS


@pytest.mark.parametrize(
    ("layers", "asked"),
    [
        (("r2", "c2"), {"channel": OPEN}),
        (("r1", "c1"), {"direction": np.arange(6.0)}),
        (("r2", "c2"), {"channel": OPEN[:2], "copies": 2}),
        ((None, None), {"target": ["a", "d"]}),
    ],
)
def test_both_frameworks_give_the_same_picture(layers: tuple[Any, Any], asked: dict[str, Any]) -> None:
    torch, keras = (
        xk.maximize(image_pair(f)[0], layer, **asked, steps=64, like=pictures()).image
        for f, layer in zip(ADAPTERS, layers, strict=True)
    )
    assert_allclose(torch / 255, keras / 255, atol=1e-3)


def test_the_activation_is_that_of_the_picture() -> None:
    model, _ = image_pair("torch")
    found = xk.maximize(model, "c2", channel=[5, 2], steps=STEPS, like=pictures(), negative="both")
    values = xk.activations(model, found.image, "c2")["c2"].mean((1, 2))
    assert_allclose(values[np.arange(4), [5, 5, 2, 2]] * [1, -1, 1, -1], found.quality["activation"], rtol=1e-4)
    samples = xk.activations(model, pictures(), "c2")["c2"].mean((1, 2))[:, [5, 5, 2, 2]] * [1, -1, 1, -1]
    assert_allclose(found.quality["best"], samples.max(0), rtol=1e-4)
    assert found.names == ("channel 5", "channel 5, least", "channel 2", "channel 2, least")
    assert values[0, 5] > values[1, 5]
    assert len(found.of(2)) == len(found.of(2, sign=-1)) == 1


def test_a_row_is_the_same_alone_and_among_others() -> None:
    model, _ = image_pair("torch")
    several = xk.maximize(model, "c2", steps=STEPS, like=pictures())
    alone = xk.maximize(model, "c2", channel=3, steps=STEPS, like=pictures())
    assert_allclose(several[3].image, alone.image, atol=0.3)
    assert several[3].names == alone.names


def test_a_seed_gives_one_picture_and_touches_no_other_generator() -> None:
    model, _ = image_pair("torch")
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other = (xk.maximize(model, "c2", 1, steps=20, like=pictures(), seed=s).image for s in (3, 3, 4))
    assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1
    assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def gated(framework: str, bias: float) -> Any:
    """A network whose channel 0 is -bias below what its ReLU lets through."""
    if framework == "torch":
        import torch
        from torch import nn

        net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(200, 2)).eval()
        with torch.no_grad():
            net[0].weight.fill_(0.1)
            net[0].bias.copy_(torch.tensor([bias, 0.1]))
        return xk.wrap(net, inputs=xk.Image(12, 12, 1)), "1"
    import keras

    net = keras.Sequential(
        [
            keras.layers.Input((12, 12, 1)),
            keras.layers.Conv2D(2, 3, activation="relu", name="conv"),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    net.layers[0].set_weights([np.full((3, 3, 1, 2), 0.1), np.array([bias, 0.1])])
    return xk.wrap(net, inputs=xk.Image(12, 12, 1)), "conv"


@pytest.mark.parametrize("framework", ADAPTERS)
def test_a_dead_channel_is_said_to_be_dead(framework: str) -> None:
    model, layer = gated(framework, -50.0)
    found = xk.maximize(model, layer, steps=30, like=np.full((4, 12, 12, 1), 200, np.uint8))
    assert_array_equal(found.quality["silent"], [1, 0])
    assert_array_equal(found.quality["data_rate"], [0, 1])
    assert found.verdicts[0] == "fail"
    assert "dead" in found.status.reasons[0]
    assert "0 % of the samples" in found.status.reasons[0]
    assert np.ptp(found.image[0]) == 0


@pytest.mark.parametrize("framework", ADAPTERS)
def test_a_closed_unit_is_opened(framework: str) -> None:
    model, layer = gated(framework, -0.5)
    found = xk.maximize(model, layer, channel=0, steps=60, background=0, limits=(0, 255), penalties=False)
    assert_array_equal(found.quality["redirected"], [1])
    assert found.quality["activation"][0] > 0.2
    unit = xk.maximize(model, layer, channel=0, unit="centre", steps=60, background=0, limits=(0, 255), penalties=False)
    assert unit.quality["activation"][0] > 0.2
    assert unit.origin.notes.get("tapped") == ("0" if framework == "torch" else None)


def test_a_weak_run_fails_and_says_by_how_much() -> None:
    model, _ = image_pair("torch")
    good = xk.maximize(model, "c2", channel=1, steps=STEPS, like=pictures())
    assert good.status == "ok"
    found = xk.maximize(model, "c2", channel=1, steps=1, like=[*pictures(), good.image[0]])
    ratio = float(found.quality["activation_ratio"][0])
    assert ratio < 1
    assert found.status == "fail"
    assert found.status.reasons == (f"failed: the activation is {ratio:.2f} times that of the best sample",)
    without = xk.maximize(model, "c2", channel=1, steps=3)
    assert without.status == "warn"
    assert "like=" in without.status.reasons[0]


def test_copies_are_kept_apart() -> None:
    model, _ = image_pair("torch")
    near, apart = (
        xk.maximize(model, "c2", channel=2, copies=3, steps=STEPS, like=pictures(), diversity=d) for d in (0.0, 2.0)
    )
    assert len(apart) == 3
    assert apart.names[1] == "channel 2, no. 2"

    def alike(found: Any) -> float:
        flat = xk.activations(model, found.image, "c2")["c2"].reshape(3, -1, 8)
        gram = np.einsum("apc,apd->acd", flat, flat).reshape(3, -1)
        gram /= np.linalg.norm(gram, axis=1, keepdims=True)
        return float((gram @ gram.T)[np.triu_indices(3, 1)].mean())

    assert alike(apart) < alike(near)


def test_maco_keeps_to_the_spectrum_of_the_samples() -> None:
    model, _ = image_pair("torch")
    found = xk.maximize(model, "c2", channel=[0, 2], method="maco", steps=20, crops=3, like=pictures())
    assert found.origin.model_calls == 2 * 20 * 3
    assert found.sensitivity.shape == (2, 12, 12)
    assert found.sensitivity.min() >= 0
    assert found.sensitivity.max() > 0


def test_many_seeds_tell_how_far_the_picture_comes_again() -> None:
    model, _ = image_pair("torch")
    found = xk.maximize(model, "c2", channel=2, steps=20, like=pictures(), reproducibility=2)
    assert 0 < found.quality["reproducibility"][0] <= 1


def test_a_plateau_ends_a_row() -> None:
    model, _ = image_pair("torch")
    found = xk.maximize(model, "c2", channel=2, steps=300, like=pictures(), plateau=0.1)
    assert found.trace.shape[1] < 300
    assert found.trace.shape[1] % 32 == 0


def test_results_are_stored_and_read_back(tmp_path: Path) -> None:
    model, _ = image_pair("torch")
    found = xk.maximize(model, target=["a", "b"], steps=5, like=pictures(), judges=[model])
    again = xk.load(xk.save(found, tmp_path / "optimum"))
    assert_array_equal(again.image, found.image)
    assert_array_equal(again.trace, found.trace)
    assert (again.names, again.status, again.judges) == (found.names, found.status, ("pair",))
    assert again.status.reasons == found.status.reasons
    assert_array_equal(again.quality["transfer_top1"], found.quality["transfer_top1"])
    assert xk.plot(found) is not None


@cache
def series_model() -> Any:
    import torch
    from torch import nn

    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv1d(2, 4, 5, padding=2), nn.ReLU(), nn.Conv1d(4, 3, 5, padding=2)).eval()
    return net


def test_series_are_smooth_and_in_their_own_units() -> None:
    model = xk.wrap(series_model(), inputs=xk.Series(40, 2, mean=10.0, std=2.0))
    found = xk.maximize(model, "2", steps=60)
    rough = xk.maximize(model, "2", steps=60, penalties=False)
    assert found.image.shape == (3, 40, 2)
    assert found.image.min() >= 2
    assert found.image.max() <= 18
    assert np.abs(np.diff(found.image, axis=1)).mean() < np.abs(np.diff(rough.image, axis=1)).mean()
    assert found.origin.notes["limits"] == "mean ± 4 std of the input spec"
    assert xk.plot(found) is not None


def test_many_channels_and_dense_inputs() -> None:
    import torch
    from torch import nn

    torch.manual_seed(1)
    wide = xk.wrap(nn.Conv2d(7, 2, 3).eval(), inputs=xk.Image(9, 9, 7, scale=1.0))
    samples = np.random.default_rng(0).random((5, 9, 9, 7)).astype(np.float32)
    found = xk.maximize(wide, next(iter(wide.layers)), steps=30, like=samples)
    assert found.image.shape == (2, 9, 9, 7)
    assert (found.quality["activation"] > found.quality["best"]).all()
    flat = xk.wrap(nn.Linear(6, 2).eval(), inputs=xk.Array((6,)))
    found = xk.maximize(flat, steps=60, limits=(-1, 1), penalties=False)
    with torch.no_grad():
        expected = np.sign(flat.net.weight.numpy())
    assert_allclose(found.image, expected, atol=0.05)
    assert xk.plot(found) is not None


def test_of_several_inputs_one_is_drawn() -> None:
    import torch
    from torch import nn

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 3), nn.Linear(2, 3)

        def forward(self, left: Any, right: Any) -> Any:
            return self.a(left) + self.b(right)

    torch.manual_seed(0)
    model = xk.wrap(Two().eval(), inputs={"left": xk.Array((4,)), "right": xk.Array((2,))})
    held = {"right": np.ones(2, np.float32)}
    found = xk.maximize(model, input="left", held=held, steps=20, limits=(0, 1))
    assert found.image.shape == (3, 4)
    assert found.input == "left"
    with pytest.raises(UsageError, match="input='left'"):
        xk.maximize(model, steps=2, limits=(0, 1))
    with pytest.raises(InputError, match="right"):
        xk.maximize(model, input="left", steps=2, limits=(0, 1))
    with pytest.raises(UnknownName, match="left"):
        xk.maximize(model, input="lef", held=held)


def test_half_precision() -> None:
    import torch
    from torch import nn

    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()).to(torch.bfloat16).eval()
    found = xk.maximize(xk.wrap(net, inputs=xk.Image(12, 12, 1)), "0", steps=20)
    assert np.isfinite(found.image).all()
    assert (found.trace[:, -1] > found.trace[:, 0]).all()


def test_one_pixel_maps_have_one_place() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 12), nn.Flatten(), nn.Linear(3, 2)).eval()
    model = xk.wrap(net, inputs=xk.Image(12, 12, 1))
    mean, unit = (xk.maximize(model, "0", 1, unit=u, steps=20, transformations={"shift": 0.07}) for u in (None, (0, 0)))
    assert_allclose(mean.quality["activation"], unit.quality["activation"], rtol=1e-4)


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"layer": "c3"}, UnknownName, "c2"),
        ({"layer": "c2", "channel": 8}, ParameterError, "0 to 7"),
        ({"layer": "c2", "channel": 1.5}, ParameterError, "whole number"),
        ({"layer": "c2", "channel": []}, ParameterError, "channel"),
        ({"layer": "c2", "unit": (8, 0)}, ParameterError, "0..7"),
        ({"layer": "c2", "unit": 3}, ParameterError, "0..7"),
        ({"layer": "c2", "unit": "middle"}, ParameterError, "centre"),
        ({"layer": "c2", "direction": np.ones(7)}, ParameterError, "8 channels"),
        ({"layer": "c2", "direction": np.zeros(8)}, ParameterError, "zero"),
        ({"layer": "c2", "channel": 1, "direction": np.ones(8)}, UsageError, "direction"),
        ({"layer": "c2", "target": 1}, UsageError, "target"),
        ({"channel": 1}, UsageError, "layer"),
        ({"target": "e"}, TargetError, "'e'"),
        ({"method": "pixel"}, UnknownName, "pixels"),
        ({"method": "maco"}, ParameterError, "like="),
        ({"steps": 0}, ParameterError, "steps"),
        ({"seed": -1}, ParameterError, "seed"),
        ({"negative": "yes"}, ParameterError, "both"),
        ({"transformations": {"shfit": 1}}, UnknownName, "shift"),
        ({"penalties": {"tv": 1}}, UnknownName, "tv"),
        ({"limits": (1, 0)}, ParameterError, "limits"),
        ({"limits": 3}, ParameterError, "limits"),
        ({"background": (1, 2)}, ParameterError, "background"),
        ({"like": []}, InputError, "no sample"),
        ({"input": "x"}, UsageError, "one input"),
        ({"layer": "c2", "judges": ["pair"]}, UsageError, "judges"),
    ],
)
def test_what_makes_no_sense_is_refused(asked: dict[str, Any], error: type[Exception], said: str) -> None:
    model, _ = image_pair("torch")
    with pytest.raises(error, match=said):
        xk.maximize(model, **{"steps": 2, **asked})


def test_what_cannot_be_maximised_is_refused_with_what_can() -> None:
    import torch
    from torch import nn

    with pytest.raises(NotSupported, match="wrap the network itself"):
        xk.maximize(xk.wrap(lambda x: x.sum(-1), inputs=xk.Array((3,))), limits=(0, 1))
    words = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(20, 2)).eval()
    for spec in (xk.Array((5,), dtype="int64"), xk.Text(5, vocabulary={"a": 2})):
        with pytest.raises(NotSupported, match="token ids"):
            xk.maximize(xk.wrap(words, inputs=spec))
    plain = nn.Linear(3, 2).eval()
    with pytest.raises(ParameterError, match="limits=\\(low, high\\)"):
        xk.maximize(xk.wrap(plain, inputs=xk.Array((3,))))
    with pytest.raises(ParameterError, match="like="):
        xk.maximize(xk.wrap(nn.Conv2d(3, 2, 3).eval(), inputs=xk.Image(12, 12, 3, scale=1.0)))
    bare = xk.wrap(plain)
    with pytest.raises(InputError, match="like="):
        xk.maximize(bare, limits=(0, 1))
    found = xk.maximize(bare, like=torch.eye(3).numpy(), steps=3)
    assert found.image.shape == (2, 3)


def test_a_folder_of_samples_is_a_list_of_them(tmp_path: Path) -> None:
    from PIL import Image as Pillow

    model, _ = image_pair("torch")
    for i, picture in enumerate(pictures(5)):
        Pillow.fromarray(picture).save(tmp_path / f"{i}.png")
    folder, array = (xk.maximize(model, "c2", 1, steps=5, like=given) for given in (tmp_path, pictures(5)))
    assert_allclose(folder.quality["best"], array.quality["best"], rtol=1e-5)
    assert_allclose(folder.image, array.image, atol=1e-3)


def test_the_steps_are_told() -> None:
    told: list[tuple[int, int]] = []
    model, _ = image_pair("torch")
    xk.maximize(model, "c2", 1, steps=3, like=pictures(2), progress=lambda done, total: told.append((done, total)))
    assert told[:3] == [(1, 3), (2, 3), (3, 3)]


# --- the trained network of digits


@pytest.fixture(scope="module")
def digits(data_folder: Path) -> Any:
    return data.load("mnist").read("test").x[:500]


def test_ten_digits_are_recognised_by_other_networks(digits: Any) -> None:
    judges = [xk.zoo.load(name, framework="torch") for name in ("mlp_mnist", "mlp_mnist_dropout")]
    found = xk.maximize(xk.zoo.load("mnist_cnn", framework="torch"), like=digits, judges=judges)
    assert_array_equal(found.quality["top1"], 1)
    assert (found.quality["activation_ratio"] > 1).all()
    assert (found.quality["transfer_top1"].mean(0) >= 0.9).all()
    assert (found.quality["robustness"] > 0.6).all()
    assert found.status == "ok"
    assert found.origin.notes["background"] == "the samples of like="


@pytest.mark.parametrize("asked", [{}, {"layer": "conv2_relu"}])
def test_keras_and_torch_draw_the_same_digits(digits: Any, asked: dict[str, Any]) -> None:
    torch, keras = (
        xk.maximize(xk.zoo.load("mnist_cnn", framework=f), **asked, like=digits, steps=64).image for f in ADAPTERS
    )
    assert len(torch) == (64 if asked else 10)
    gaps = np.abs(torch - keras) / 255  # a ReLU or a pooling may decide otherwise, which 64 steps carry on
    assert (gaps > 1e-3).mean() < 0.01
    assert gaps.max() < 0.05


def test_a_whole_layer_goes_up_in_one_batch(digits: Any) -> None:
    found = xk.maximize(xk.zoo.load("mnist_cnn", framework="torch"), "conv2_relu", like=digits, steps=96)
    assert len(found) == 64
    assert found.origin.model_calls == 64 * 96
    assert np.nanmean(found.quality["activation_ratio"] > 1) > 0.8
