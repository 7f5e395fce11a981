"""Kernels in one layout: applied by hand they give what the layer gives, in both frameworks."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.contract.nets import ADAPTERS, IMAGE, image_pair, state_of, weights
from xaikit.errors import InputError, NotSupported, ParameterError, UnknownName, UsageError
from xaikit.insight._filters import _statistics
from xaikit.results import Filters

pytestmark = pytest.mark.slow

SIDE = 6
CASES = ["conv1", "conv2", "conv3", "grouped", "depthwise", "depthwise_wide", "separable", "transposed1", "transposed2"]


def layer_of(framework: str, case: str) -> Any:
    """A layer on four channels with six places along each axis, with drawn weights, valid and of stride 1."""
    if framework == "torch":
        import torch
        from torch import nn

        made = {
            "conv1": lambda: nn.Conv1d(4, 6, 3),
            "conv2": lambda: nn.Conv2d(4, 6, (3, 2)),
            "conv3": lambda: nn.Conv3d(4, 6, (2, 3, 2)),
            "grouped": lambda: nn.Conv2d(4, 6, (3, 2), groups=2),
            "depthwise": lambda: nn.Conv2d(4, 4, (3, 2), groups=4),
            "depthwise_wide": lambda: nn.Conv2d(4, 8, (3, 2), groups=4),
            "separable": lambda: nn.Sequential(nn.Conv2d(4, 8, (3, 2), groups=4), nn.Conv2d(8, 6, 1)),
            "transposed1": lambda: nn.ConvTranspose1d(4, 6, 3),
            "transposed2": lambda: nn.ConvTranspose2d(4, 6, (3, 2), groups=2),
        }[case]
        with torch.random.fork_rng([]):
            torch.manual_seed(4)
            return nn.Sequential(made())
    import keras

    L = keras.layers
    layer = {
        "conv1": lambda: L.Conv1D(6, 3),
        "conv2": lambda: L.Conv2D(6, (3, 2)),
        "conv3": lambda: L.Conv3D(6, (2, 3, 2)),
        "grouped": lambda: L.Conv2D(6, (3, 2), groups=2),
        "depthwise": lambda: L.DepthwiseConv2D((3, 2)),
        "depthwise_wide": lambda: L.DepthwiseConv2D((3, 2), depth_multiplier=2),
        "separable": lambda: L.SeparableConv2D(6, (3, 2), depth_multiplier=2),
        "transposed1": lambda: L.Conv1DTranspose(6, 3),
        "transposed2": lambda: L.Conv2DTranspose(6, (3, 2)),
    }[case]()
    net = keras.Sequential([L.Input((*(SIDE,) * rank_of(case), 4)), layer])
    rng = np.random.default_rng(4)
    net.set_weights([rng.normal(size=w.shape) for w in net.weights])
    return net


def rank_of(case: str) -> int:
    return int(case[-1]) if case[-1].isdigit() else 2


def applied(x: Any, filters: Filters, transposed: bool) -> Any:
    """Convolve (sample, *space, channel) with filters, valid and of stride 1, one offset of the window at a time."""
    values, space = filters.values, x.shape[1:-1]
    sizes = values.shape[1:-1]
    grow = 1 if transposed else -1
    out = np.zeros((len(x), *(n + grow * (k - 1) for n, k in zip(space, sizes, strict=True)), len(values)))
    for offset in itertools.product(*map(range, sizes)):
        for f in range(len(values)):
            share = x[..., filters.inputs_of(f)] @ values[(f, *offset)]
            if transposed:
                out[(slice(None), *(slice(o, o + n) for o, n in zip(offset, space, strict=True)), f)] += share
            else:
                cut = tuple(slice(o, o + m) for o, m in zip(offset, out.shape[1:-1], strict=True))
                out[..., f] += share[(slice(None), *cut)]
    return out + (0 if filters.bias is None else filters.bias)


@pytest.mark.parametrize(("framework", "case"), list(itertools.product(ADAPTERS, CASES)))
def test_the_kernels_give_what_the_layer_gives(framework: str, case: str) -> None:
    net, shape = layer_of(framework, case), (*(SIDE,) * rank_of(case), 4)
    first = framework == "torch"
    model = xk.wrap(net, layout="channels-first" if first else None, inputs=xk.Array(shape))
    x = np.random.default_rng(5).normal(size=(2, *shape)).astype("f")
    name = "0" if first else net.layers[0].name
    f = xk.filters(model, name)
    assert f.axes == (
        "filter",
        *{1: ("time",), 2: ("height", "width"), 3: ("depth", "height", "width")}[x.ndim - 2],
        "in",
    )
    assert len(f) == f.total == f.values.shape[0]
    each = len(f) // f.groups
    if each == 1:  # no other filter sees the same channel
        assert_array_equal(f.statistics["similarity"], 0)
    assert_array_equal(f.statistics["nearest"] // each, np.arange(len(f)) // each)
    # sums of at most 3·2·8 products of normal numbers in float32
    assert_allclose(applied(x, f, "transposed" in case), model.run(x).output, atol=1e-4)


@pytest.mark.parametrize("framework", ADAPTERS)
def test_the_same_weights_are_the_same_filters(framework: str) -> None:
    model, _ = image_pair(framework)
    before = state_of(model)
    for name, (kernel, bias) in weights().items():
        f = xk.filters(model, name)
        assert_array_equal(f.values, np.moveaxis(kernel, -1, 0))
        assert_array_equal(f.bias, bias)
        assert f.order == ("rgb" if name == "c1" else None)
    assert state_of(model) == before


@pytest.mark.parametrize("framework", ADAPTERS)
def test_a_layer_without_kernels_names_those_that_have(framework: str) -> None:
    model, _ = image_pair(framework)
    without = next(n for n, layer in model.layers.items() if layer.kind not in ("conv", "dense"))
    with pytest.raises(NotSupported, match="nearest that have: 'c1', 'c2'"):
        xk.filters(model, without)
    with pytest.raises(UnknownName, match="did you mean 'c1'"):
        xk.filters(model, "cl1")


def test_a_model_that_only_runs_has_no_filters() -> None:
    with pytest.raises(NotSupported, match="weights cannot be read"):
        xk.filters(xk.wrap(lambda x: x, inputs=xk.Array((3,))), "layer")
    with pytest.raises(UsageError, match="filters takes a wrapped model"):
        xk.filters("mnist_cnn", "conv1")


@pytest.mark.parametrize("framework", ADAPTERS)
def test_dense_weights_on_a_picture_have_its_shape(framework: str) -> None:
    """The value of a unit is the sum of its weights times the picture."""
    if framework == "torch":
        from torch import nn

        net: Any = nn.Sequential(nn.Flatten(), nn.Linear(12 * 12 * 3, 5))
        name = "1"
    else:
        import keras

        net = keras.Sequential([keras.layers.Input((12, 12, 3)), keras.layers.Flatten(), keras.layers.Dense(5)])
        name = net.layers[1].name
    model = xk.wrap(net, inputs=IMAGE, layout="channels-first" if framework == "torch" else None)
    f = xk.filters(model, name)
    assert f.axes == ("filter", "height", "width", "in")
    assert f.order == "rgb"
    x = np.random.default_rng(1).normal(size=(2, 12, 12, 3)).astype("f")
    # 432 products in float32
    assert_allclose(np.einsum("fhwc,nhwc->nf", f.values, x) + f.bias, model.run(x).output, rtol=1e-4, atol=1e-4)


def test_a_function_has_the_kernel_that_was_given_to_it() -> None:
    import torch
    from torch.nn import functional as F

    class Bare(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w, self.b = torch.nn.Parameter(torch.randn(6, 2, 3, 3)), torch.nn.Parameter(torch.randn(6))
            self.scale = torch.nn.Parameter(torch.ones(1))

        def forward(self, x: Any) -> Any:
            return F.relu(F.conv2d(x, self.w, self.b, groups=2)) * self.scale

    net = Bare()
    model = xk.wrap(net, inputs=xk.Array((6, 6, 4)), layout="channels-first")
    name = next(n for n, layer in model.layers.items() if layer.kind == "conv")
    f = xk.filters(model, name)
    assert_array_equal(f.values, net.w.detach().numpy().transpose(0, 2, 3, 1))
    assert_array_equal(f.bias, net.b.detach().numpy())
    assert (f.groups, list(f.inputs_of(2)), list(f.inputs_of(3))) == (2, [0, 1], [2, 3])


@pytest.mark.parametrize("framework", ADAPTERS)
def test_nested_and_shared_layers_are_found(framework: str) -> None:
    if framework == "torch":
        from tests.torch import nets

        model = xk.wrap(nets.Residual(), inputs=IMAGE)
        f = xk.filters(model, "layer1.0.conv1")
        assert_array_equal(f.values, model.net.layer1[0].conv1.weight.detach().numpy().transpose(0, 2, 3, 1))
        with pytest.raises(NotSupported, match=r"layers inside it that have: 'layer1.0.conv1', 'layer1.0.conv2'"):
            xk.filters(model, "layer1")
        shared = xk.wrap(nets.Siamese(), inputs={"a": xk.Array((4,)), "b": xk.Array((4,))})
        names, own = ("trunk.0", "trunk.0:1"), shared.net.trunk[0].weight.detach().numpy()
    else:
        from tests.keras import nets as keras_nets

        model = xk.wrap(keras_nets.subclassed(), inputs=xk.Array((4,)))
        f = xk.filters(model, "inner/a")
        assert_array_equal(f.values, np.asarray(model.net.inner.layers[0].kernel).T)
        shared = xk.wrap(keras_nets.two_headed())
        names, own = ("shared", "shared:1"), np.asarray(shared.net.get_layer("shared").kernel).T
    for name in names:
        assert_array_equal(xk.filters(shared, name).values, own)


def test_statistics() -> None:
    values = np.zeros((5, 3, 3, 2), "f")
    values[0, 0, 0, 0], values[1, 0, 0, 0], values[2, 1] = 3.0, 6.0, 1.0
    values[3] = -values[2]
    s = _statistics(values)
    assert_allclose(s["norm"], [3, 6, 6**0.5, 6**0.5, 0], rtol=1e-12)
    assert_allclose(s["sparsity"], [17 / 18, 17 / 18, 12 / 18, 12 / 18, 1])
    assert_array_equal(s["dead"], [False, False, False, False, True])
    assert_array_equal(s["nearest"][:2], [1, 0])
    assert_allclose(s["similarity"][:2], 1)
    assert_array_equal(s["nearest"][2:], [3, 2, 4])
    assert_allclose(s["similarity"][2:], [-1, -1, 0], atol=1e-12)  # opposite, opposite, zero


@pytest.mark.parametrize("framework", ADAPTERS)
def test_parts_keep_their_numbers_and_results_are_stored(framework: str, tmp_path: Path) -> None:
    model, _ = image_pair(framework)
    f = xk.filters(model, "c2")
    by_norm = f.strongest()
    assert_array_equal(by_norm.statistics["norm"], np.sort(f.statistics["norm"])[::-1])
    part = by_norm[:3]
    assert_array_equal(part.values, f.values[part.numbers])
    assert_array_equal(part.bias, f.bias[part.numbers])
    assert (len(part), part.total, f[2].numbers.tolist()) == (3, 8, [2])
    with pytest.raises(IndexError, match="there are 8 filters"):
        f[8]
    with pytest.raises(UnknownName, match="'norm'"):
        f.strongest("norms")
    back = xk.load(xk.save(part, tmp_path / "filters"))
    assert_array_equal(back.values, part.values)
    assert_array_equal(back.numbers, part.numbers)
    assert (back.axes, back.layer, back.order, back.origin) == (part.axes, "c2", None, part.origin)
    assert {n: a.tolist() for n, a in back.statistics.items()} == {n: a.tolist() for n, a in part.statistics.items()}


@pytest.mark.parametrize("name", ["mnist_cnn", "cats_vs_dogs", "resnet20_cifar10"])
def test_shipped_networks_have_the_same_filters_in_both_frameworks(name: str) -> None:
    models = [xk.zoo.load(name, framework) for framework in ADAPTERS]
    for layer in models[0].layers.values():
        if layer.kind in ("conv", "dense"):
            ours, theirs = (xk.filters(m, layer.name) for m in models)
            assert_array_equal(ours.values, theirs.values)
            assert_array_equal(ours.bias, theirs.bias)
            assert (ours.order, ours.axes) == (theirs.order, theirs.axes)


# ---------------------------------------------------------------- what filters give for samples


@pytest.mark.parametrize("framework", ADAPTERS)
def test_filters_by_what_they_give(framework: str) -> None:
    model, _ = image_pair(framework)
    samples = np.random.default_rng(0).integers(0, 256, (70, 12, 12, 3)).astype(np.uint8)
    f = xk.filters(model, "c2", samples=samples)
    response = f.origin.parameters["response"]
    inside = framework == "keras"  # there the function is part of the layer
    assert (response == "c2", model.layers[response].kind) == (inside, "conv" if inside else "relu")
    given = xk.activations(model, samples, response)[response].astype(np.float64).reshape(-1, f.total)
    # sums of some thousand numbers, in another order
    assert_allclose(f.statistics["activation"], given.mean(0), rtol=1e-9, atol=1e-12)
    assert_allclose(f.statistics["active"], (given > 0).mean(0), rtol=1e-12)
    assert_array_equal(f.statistics["silent"], ~(given > 0).any(0))
    alive = given.std(0) > 0
    expected = np.zeros((f.total, f.total))
    expected[np.ix_(alive, alive)] = np.corrcoef(given[:, alive].T)
    np.fill_diagonal(expected, 0)
    partner = f.statistics["correlated"]
    assert_allclose(f.statistics["correlation"], expected[np.arange(f.total), partner], atol=1e-9)
    assert_allclose(np.abs(f.statistics["correlation"]), np.abs(expected).max(1), atol=1e-9)
    assert (f.by, f.origin.model_calls) == ("activation", 70)
    assert_array_equal(f.strongest().numbers, np.argsort(-f.statistics["activation"], kind="stable"))
    assert_array_equal(f.strongest("norm").numbers, xk.filters(model, "c2").strongest().numbers)


def test_filters_of_the_last_layer_are_measured_before_the_softmax() -> None:
    model = xk.zoo.load("mnist_cnn", "torch")
    f = xk.filters(model, "dense2", samples=np.zeros((3, 28, 28), np.uint8))
    assert f.origin.parameters["response"] == "dense2"
    one = xk.activations(model, np.zeros((28, 28)), "dense2")["dense2"][0]
    assert_allclose(f.statistics["activation"], one, atol=1e-6)  # float32, alone and in a batch


# ---------------------------------------------------------------- before and after


@pytest.mark.parametrize("framework", ADAPTERS)
def test_filters_before_and_after(framework: str) -> None:
    model, _ = image_pair(framework)
    name = next(n for n in model.weights("c2") if n in ("kernel", "weight"))
    new = model.weights("c2")[name].copy()
    out = -1 if framework == "keras" else 0
    np.moveaxis(new, out, 0)[3] *= -2.0
    np.moveaxis(new, out, 0)[5] += 0.25
    joint = "/" if framework == "keras" else "."
    tuned = model.with_weights({f"c2{joint}{name}": new})
    f, own = xk.filters(tuned, "c2", before=model), xk.filters(model, "c2")
    assert_array_equal(f.before, own.values)
    assert (f.by, set(f.strongest()[:2].numbers)) == ("change", {3, 5})
    norm = own.statistics["norm"]
    # float32 weights, doubled exactly
    assert_allclose(f.statistics["change"][3], 3 * norm[3], rtol=1e-6)
    assert_allclose(f.statistics["relative_change"][3], 3, rtol=1e-6)
    assert_allclose(f.statistics["agreement"][[0, 3]], [1, -1], rtol=1e-6)
    assert_allclose(f.statistics["change"][5], 0.25 * own.values[0].size ** 0.5, rtol=1e-6)
    assert_array_equal(f.statistics["change"][[0, 1, 2, 4, 6, 7]], 0)
    assert_allclose(f.changes, np.linalg.norm((f.values - own.values).reshape(8, -1, own.values.shape[-1]), axis=1))
    assert_array_equal(xk.filters(tuned, "c2", before=own).statistics["change"], f.statistics["change"])
    assert_array_equal(f[3].before, own.values[3:4])
    with pytest.raises(ParameterError, match="cannot be compared"):
        xk.filters(tuned, "c2", before=xk.filters(model, "c1"))


def test_the_same_network_in_two_frameworks_has_not_changed() -> None:
    f = xk.filters(xk.zoo.load("mnist_cnn", "torch"), "dense1", before=xk.zoo.load("mnist_cnn", "keras"))
    assert_array_equal(f.statistics["change"], 0)
    assert_allclose(f.statistics["agreement"], 1, rtol=1e-12)


# ---------------------------------------------------------------- layouts and patterns


@pytest.mark.parametrize("framework", ADAPTERS)
def test_units_of_a_dense_network_are_drawn_as_the_picture_that_they_read(framework: str) -> None:
    model = xk.zoo.load("mlp_mnist", framework)
    f = xk.filters(model, "dense1")
    assert (f.axes, f.values.shape) == (("filter", "height", "width", "in"), (32, 28, 28, 1))
    own = model.weights("dense1")
    raw = own["kernel"].T if framework == "keras" else own["weight"]
    assert_array_equal(f.values.reshape(32, 784), raw)


def test_a_dense_layer_that_reads_a_row_is_given_a_shape() -> None:
    import torch

    net = torch.nn.Sequential(torch.nn.Linear(12, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2))
    model = xk.wrap(net, inputs=xk.Array((12,)))
    f = xk.filters(model, "0", shape=(3, 4))
    assert (f.axes, f.values.shape) == (("filter", "height", "width", "in"), (5, 3, 4, 1))
    assert_array_equal(f.values[2, 1, :, 0], net[0].weight[2, 4:8].detach().numpy())
    assert xk.filters(model, "0", shape=(2, 2, 3)).values.shape == (5, 2, 2, 3)
    with pytest.raises(ParameterError, match="reads 12 numbers"):
        xk.filters(model, "0", shape=(3, 5))


def test_the_main_pattern_of_a_filter_that_has_only_one() -> None:
    model, _ = image_pair("torch")
    rng = np.random.default_rng(0)
    pattern, mix = rng.normal(size=(3, 3)), np.abs(rng.normal(size=4))
    values = np.stack([pattern[..., None] * mix, -pattern[..., None] * mix, np.zeros((3, 3, 4))])
    f = replace(xk.filters(model, "c1")[:3], values=values)
    found, share = f.components()
    assert_allclose(found[0], pattern * np.linalg.norm(mix), rtol=1e-9)
    assert_allclose(found[1], -found[0], rtol=1e-9)
    assert_allclose(share, [1, 1, 0], atol=1e-12)


def test_the_table_has_a_row_for_each_filter_in_order() -> None:
    f = xk.filters(image_pair("torch")[0], "c1")
    rows = f.table()
    assert [r["filter"] for r in rows] == f.strongest().numbers.tolist()
    assert rows[0]["norm"] == f.statistics["norm"].max()
    assert {"mean", "std", "sparsity", "dead", "nearest", "similarity", "bias"} <= set(rows[0])


# ---------------------------------------------------------------- odd kernels and mistakes


def test_odd_kernels() -> None:
    constant = _statistics(np.ones((3, 2, 2, 1), "f"))
    assert_allclose(constant["similarity"], 1, rtol=1e-6)
    assert_array_equal(constant["std"], 0)
    alone = _statistics(np.ones((1, 2, 2, 1), "f"))
    assert (alone["nearest"].tolist(), alone["similarity"].tolist()) == ([0], [0])
    single = _statistics(np.ones((4, 1), "f"))  # of one weight each, all would be alike
    assert_array_equal(single["similarity"], 0)
    broken = np.random.default_rng(0).normal(size=(4, 3, 3, 2)).astype("f")
    broken[1, 0, 0, 0], broken[2, 0, 0, 0] = np.nan, np.inf
    s = _statistics(broken)
    assert_array_equal(np.isfinite(s["norm"]), [True, False, False, True])
    assert (s["nearest"][0], s["dead"].any()) == (3, False)
    assert_array_equal(s["similarity"][1:3], 0)
    zeros = _statistics(np.zeros((3, 2, 2, 1), "f"))
    assert_array_equal(zeros["dead"], True)
    two_groups = np.repeat(np.random.default_rng(1).normal(size=(2, 3, 3, 1)), 2, 0).astype("f")
    s = _statistics(two_groups[[0, 2, 1, 3]], groups=2)  # alike, but on other channels
    assert_array_equal(s["nearest"], [1, 0, 3, 2])
    assert np.abs(s["similarity"]).max() < 0.9


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"by": "norms"}, UnknownName, "did you mean 'norm'"),
        ({"by": "activation"}, ParameterError, "by='activation' needs samples="),
        ({"by": "change"}, ParameterError, "by='change' needs before="),
        ({"samples": []}, InputError, "no sample to look at"),
        ({"before": "other"}, UsageError, "takes a wrapped model"),
        ({"shape": (3, 3, 3)}, ParameterError, "has a shape of its own"),
    ],
    ids=str,
)
def test_mistakes(asked: Any, error: type[Exception], message: str) -> None:
    model, _ = image_pair("torch")
    with pytest.raises(error, match=message):
        xk.filters(model, "c1", **asked)
