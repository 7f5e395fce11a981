"""Kernels in one layout: applied by hand they give what the layer gives, in both frameworks."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.contract.nets import ADAPTERS, IMAGE, image_pair, state_of, weights
from xaikit.errors import NotSupported, UnknownName, UsageError
from xaikit.insight._filters import _statistics
from xaikit.results import Filters

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
    assert s["similarity"][2] == 0, "the opposite is not alike"


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
