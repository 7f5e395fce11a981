"""Occlusion against answers on paper and against captum."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from xaikit.attribution import explain
from xaikit.errors import Cancelled, ParameterError
from xaikit.inputs import Array, Category, Image, Number, Series, Table, Text
from xaikit.perturb.memory import MEMORY
from xaikit.wrapping import wrap


@pytest.fixture(autouse=True)
def _empty_memory():
    MEMORY.clear()


def hidden_units(x):
    """The network of the reference values: four units, all weights 1, of which one has the bias -10."""
    h = np.maximum(x @ np.ones((3, 4)) + [-10, 1, 1, 1], 0)
    return h.sum(1) - 1


def test_the_reference_value():
    found = explain(wrap(hidden_units, inputs=Array(3)), [20.0, 50.0, 30.0], "occlusion")
    assert_allclose(found.values, [[80, 200, 120]])
    assert found.status == "ok"


def test_a_linear_score_has_weight_times_distance_from_the_baseline():
    w, x = np.array([1.0, -2, 3]), np.array([[4.0, 5, 6], [1, 0, -1]])
    found = explain(wrap(lambda x: x @ w, inputs=Array(3)), x, "occlusion", baseline=0.5)
    assert_allclose(found.values, w * (x - 0.5), rtol=1e-6)


def torch_net(*layers):
    import torch

    torch.manual_seed(0)
    net = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.LazyLinear(5)).eval()

    def call(x):
        with torch.no_grad():
            return net(torch.tensor(np.moveaxis(x, -1, 1))).numpy()

    return net, call


CASES = [((4, 4), (4, 4)), ((5, 7), (3, 4)), ((6, 3), (1, 2)), ((17, 19), (1, 1)), ((17, 4), (17, 3))]


@pytest.mark.parametrize(("window", "stride"), CASES)
def test_images_equal_captum_with_its_clipped_windows(window, stride):
    import torch
    from captum.attr import Occlusion

    net, call = torch_net(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    x = np.random.default_rng(0).normal(size=(2, 17, 19, 3)).astype(np.float32)
    with torch.no_grad():
        net(torch.zeros(1, 3, 17, 19))
        found = Occlusion(net).attribute(
            torch.tensor(np.moveaxis(x, -1, 1)),
            sliding_window_shapes=(3, *window),
            strides=(3, *stride),
            target=2,
            baselines=0.3,
        )
    model = wrap(call, inputs=Image(17, 19, scale=1))
    ours = explain(model, x, "occlusion", target=2, window=window, stride=stride, baseline=0.3)
    for channel in range(3):
        assert_allclose(ours.values, found[:, channel].numpy(), atol=1e-5)


@pytest.mark.parametrize(("window", "stride"), [(5, 2), (4, 4), (12, 1)])
def test_series_equal_captum(window, stride):
    import torch
    from captum.attr import Occlusion

    net, call = torch_net(torch.nn.Conv1d(2, 4, 3), torch.nn.ReLU())
    x = np.random.default_rng(0).normal(size=(3, 30, 2)).astype(np.float32)
    with torch.no_grad():
        net(torch.zeros(1, 2, 30))
        found = Occlusion(net).attribute(
            torch.tensor(np.moveaxis(x, -1, 1)), sliding_window_shapes=(2, window), strides=(2, stride), target=1
        )
    ours = explain(wrap(call, inputs=Series(30, 2)), x, "occlusion", target=1, window=window, stride=stride)
    assert ours.axes == ("sample", "time")
    assert_allclose(ours.values, found[:, 0].numpy(), atol=1e-5)


def test_a_whole_batch_of_a_photo_sized_window_is_the_difference():
    """One window over everything is f(x) - f(baseline) everywhere."""
    model = wrap(lambda x: x.reshape(len(x), -1).sum(1), inputs=Image(4, 6, scale=1))
    x = np.random.default_rng(0).random((2, 4, 6, 3))
    found = explain(model, x, "occlusion", window=(4, 6), baseline=0)
    assert_allclose(found.values, np.broadcast_to(x.sum((1, 2, 3))[:, None, None], (2, 4, 6)), rtol=1e-6)
    assert found.parts is None


def test_a_column_is_hidden_with_all_its_dummies_and_averaged_over_the_background():
    rows = [{"age": 30, "sex": "m"}, {"age": 50, "sex": "f"}]
    spec = Table({"age": Number(40, 10), "sex": Category("mfx")}, background=rows)
    model = wrap(lambda x: x @ [1.0, 2, 3, 40], inputs=spec)
    found = explain(model, {"age": 60, "sex": "x"}, "occlusion")
    assert found.axes == ("sample", "column")
    assert_allclose(found.values, [[2 - 0, 40 - 2.5]], rtol=1e-6)
    assert_allclose(found.part_values, found.values)


def test_a_token_is_replaced_by_padding():
    model = wrap(lambda x: (x == 5).sum(1) - 2.0 * (x == 3).sum(1), inputs=Text(5, {"good": 5, "bad": 3, "a": 2}))
    found = explain(model, ["good bad a", "a"], "occlusion")
    assert_allclose(found.values, [[0, 0, 1, -2, 0], [0, 0, 0, 0, 0]])


def test_windows_are_of_one_input_at_a_time():
    model = wrap(lambda x: x["a"].sum(1) * x["b"].sum((1, 2)), inputs={"a": Array(2), "b": Series(4)})
    found = explain(model, {"a": [1.0, 2.0], "b": [1.0, 2, 3, 4]}, "occlusion", window={"b": 2}, stride={"b": 2})
    assert_allclose(found["a"].values, [[10, 20]])
    assert_allclose(found["b"].values, [[9, 9, 21, 21]])


def test_an_evaluation_cut_short_says_so_and_covers_the_whole_image():
    model = wrap(lambda x: x.reshape(len(x), -1).sum(1), inputs=Image(32, 32, scale=1))
    x = np.random.default_rng(0).random((1, 32, 32, 3))
    found = explain(model, x, "occlusion", window=4, max_calls=120)
    assert found.origin.model_calls == 121
    assert_allclose(found.quality["complete"], 120 / 226)
    assert found.status == "warn"
    assert "stopped early" in found.status.reasons[0]
    quarters = found.values.reshape(2, 16, 2, 16)
    assert ((quarters != 0).mean((1, 3)) > 0.8).all()


def test_cancelled_in_the_first_batch_raises_only_when_nothing_is_known():
    def stop(done, total):
        raise Cancelled("enough")

    model = wrap(lambda x: x.reshape(len(x), -1).sum(1), inputs=Image(300, 300, scale=1))
    x = np.random.default_rng(0).random((1, 300, 300, 3))
    found = explain(model, x, "occlusion", progress=stop, baseline=0)
    assert found.quality["complete"] == pytest.approx(model.batch_size / 226)
    assert found.status == "warn"


def test_windows_that_do_not_fit_are_refused():
    model = wrap(lambda x: x.sum((1, 2)), inputs=Series(10))
    with pytest.raises(ParameterError, match="window 11"):
        explain(model, np.ones(10), "occlusion", window=11)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_windows_over_every_axis_channels_too_equal_captum(dimensions):
    """In the network's own layout, without a spec: (channel, *space)."""
    import torch
    from captum.attr import Occlusion

    conv = {1: torch.nn.Conv1d, 2: torch.nn.Conv2d, 3: torch.nn.Conv3d}[dimensions]
    torch.manual_seed(0)
    net = torch.nn.Sequential(conv(2, 3, 2), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.LazyLinear(4)).eval()
    x = np.random.default_rng(0).normal(size=(2, 2, *(7, 6, 5)[:dimensions])).astype(np.float32)
    with torch.no_grad():
        net(torch.tensor(x))
        window = (1, *(4, 3, 2)[:dimensions])
        stride = (1, *(max(1, n // 2) for n in window[1:]))
        theirs = Occlusion(net).attribute(torch.tensor(x), window, stride, target=2, baselines=0.2)
    ours = explain(wrap(net), x, "occlusion", target=2, window=window, stride=stride, baseline=0.2)
    assert_allclose(ours.values, theirs.numpy(), atol=1e-5)


def test_a_window_that_names_the_channels_slides_over_them():
    """A linear score: each number's own part, channel by channel, which windows over all channels cannot tell."""
    w = np.random.default_rng(0).normal(size=(6, 8, 3))
    model = wrap(lambda x: (x * w).reshape(len(x), -1).sum(1), inputs=Image(6, 8, scale=1))
    x = np.random.default_rng(1).random((1, 6, 8, 3))
    found = explain(model, x, "occlusion", window=(1, 1, 1), baseline=0)
    assert found.axes == ("sample", "height", "width", "channel")
    assert_allclose(found.values, x * w, atol=1e-5)
    series = wrap(lambda x: (x * w[0]).reshape(len(x), -1).sum(1), inputs=Series(8, 3))
    found = explain(series, x[:, 0], "occlusion", window=(2, 1), stride=(2, 1), baseline=0)
    assert found.axes == ("sample", "time", "channel")
    assert_allclose(found.values, (x[:, 0] * w[0]).reshape(1, 4, 2, 3).sum(2).repeat(2, 1), atol=1e-5)
