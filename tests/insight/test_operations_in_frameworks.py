"""Operations agree with the layers of PyTorch and Keras on drawn arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import xaikit as xk

EXACT = 1e-9
"""Both calculate in float64; PyTorch may sum in another order."""
X = np.random.default_rng(0).normal(size=(7, 8, 4))
SERIES = np.random.default_rng(1).normal(size=(9, 4))
VOLUME = np.random.default_rng(2).normal(size=(4, 5, 6, 4))
BIAS = np.random.default_rng(3).normal(size=6)


def weights(*shape: int) -> Any:
    return np.random.default_rng(4).normal(size=shape)


def ours(x: Any, operation: str, **parameters: Any) -> Any:
    return xk.explore(x, operation, **parameters).output


# ---------------------------------------------------------------- PyTorch


def through_torch(layer: Callable[[Any], Any], x: Any) -> Any:
    """Run a function of (1, channel, *space) on (*space, channel)."""
    torch = pytest.importorskip("torch")
    with torch.no_grad():
        return np.moveaxis(layer(torch.tensor(np.moveaxis(x, -1, 0)[None])).numpy()[0], 0, -1)


def tensor(kernel: Any) -> Any:
    """(filter, *size, in) -> (filter, in, *size)."""
    import torch

    return torch.tensor(np.moveaxis(kernel, -1, 1))


@pytest.mark.parametrize(
    ("x", "size", "how"),
    [
        (X, (3, 2), {}),
        (X, (3, 2), {"stride": (2, 1), "padding": (1, 0)}),
        (X, (3, 3), {"dilation": 2, "padding": 2}),
        (X, (3, 3), {"groups": 2}),
        (X, (3, 4), {"padding": "same"}),
        (SERIES, (3,), {"stride": 2, "padding": 1}),
        (VOLUME, (2, 3, 2), {"stride": (1, 2, 1)}),
    ],
    ids=lambda v: "" if isinstance(v, np.ndarray) else str(v),
)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_torch_convolutions(x: Any, size: tuple[int, ...], how: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    kernel = weights(6, *size, 4 // how.get("groups", 1))
    function = {2: torch.conv1d, 3: torch.conv2d, 4: torch.conv3d}[x.ndim]
    theirs = through_torch(lambda t: function(t, tensor(kernel), torch.tensor(BIAS), **how), x)
    axes = {"axes": ("time", "channel")} if x.ndim == 2 else {}
    assert_allclose(ours(x, "cross-correlation", kernel=kernel, bias=BIAS, **how, **axes), theirs, atol=EXACT)


@pytest.mark.parametrize(
    ("mode", "border"), [("reflect", "reflect"), ("replicate", "replicate"), ("circular", "circular")]
)
def test_torch_borders(mode: str, border: str) -> None:
    torch = pytest.importorskip("torch")
    kernel = weights(6, 3, 3, 4)

    def padded(t: Any) -> Any:
        return torch.conv2d(torch.nn.functional.pad(t, (1, 1, 1, 1), mode=mode), tensor(kernel))

    theirs = through_torch(padded, X)
    assert_allclose(ours(X, "cross-correlation", kernel=kernel, padding=1, border=border), theirs, atol=EXACT)


@pytest.mark.parametrize(
    "how",
    [
        {"padding": 0},
        {"stride": 2, "padding": 1, "output_padding": 1},
        {"stride": 3, "padding": 0},
        {"stride": 2, "dilation": 2, "padding": 1},
        {"stride": 2, "padding": 0, "groups": 2},
    ],
    ids=str,
)
def test_torch_transposed_convolutions(how: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    groups = how.get("groups", 1)
    kernel = weights(6, 3, 2, 4 // groups)
    split = kernel.reshape(groups, 6 // groups, *kernel.shape[1:])  # torch has (in, filters of the group, *size)
    theirs_weights = torch.tensor(np.moveaxis(split, -1, 1).reshape(4, 6 // groups, 3, 2))
    theirs = through_torch(lambda t: torch.conv_transpose2d(t, theirs_weights, **how), X)
    assert_allclose(ours(X, "transposed-convolution", kernel=kernel, **how), theirs, atol=EXACT)


@pytest.mark.parametrize(
    ("operation", "parameters", "function", "theirs"),
    [
        ("max-pool", {"size": 3, "stride": 2, "padding": 1}, "max_pool2d", (3, 2, 1)),
        ("max-pool", {"size": 2, "stride": 2, "dilation": 2}, "max_pool2d", (2, 2, 0, 2)),
        ("max-pool", {"size": 3, "stride": 2, "ceil": True}, "max_pool2d", (3, 2, 0, 1, True)),
        ("average-pool", {"size": 3, "stride": 2}, "avg_pool2d", (3, 2)),
        (
            "average-pool",
            {"size": 3, "stride": 2, "padding": 1, "count_padding": True},
            "avg_pool2d",
            (3, 2, 1, False, True),
        ),
        (
            "average-pool",
            {"size": 3, "stride": 2, "padding": 1, "ceil": True},
            "avg_pool2d",
            (3, 2, 1, True, False),
        ),
        (
            "average-pool",
            {"size": (2, 3), "stride": 3, "padding": 1, "ceil": True, "count_padding": True},
            "avg_pool2d",
            ((2, 3), 3, 1, True, True),
        ),
        (
            "average-pool",
            {"size": 3, "stride": 2, "padding": 1, "ceil": True, "count_padding": True},
            "avg_pool2d",
            (3, 2, 1, True, True),
        ),
        ("lp-pool", {"size": 2, "p": 2.0}, "lp_pool2d", (2.0, 2)),
        ("adaptive-average-pool", {"size": (3, 5)}, "adaptive_avg_pool2d", ((3, 5),)),
        ("pixel-shuffle", {}, "pixel_shuffle", (2,)),
    ],
    ids=str,
)
def test_torch_pools(operation: str, parameters: Any, function: str, theirs: tuple[Any, ...]) -> None:
    torch = pytest.importorskip("torch")
    found = through_torch(lambda t: getattr(torch.nn.functional, function)(t, *theirs), X)
    assert_allclose(ours(X, operation, **parameters), found, atol=EXACT)


def test_torch_switches_and_unpooling() -> None:
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    t = torch.tensor(np.moveaxis(X, -1, 0)[None])
    pooled, indices = functional.max_pool2d(t, 2, return_indices=True)
    back = functional.max_unpool2d(pooled, indices, 2, output_size=t.shape[2:])
    steps = xk.explore(X, "max-pool")
    assert_allclose(steps.parts["switches"], np.moveaxis(indices.numpy()[0], 0, -1))
    assert_allclose(ours(steps.output, "max-unpool", pooled=steps), np.moveaxis(back.numpy()[0], 0, -1))


@pytest.mark.parametrize(
    ("operation", "mode", "corners"),
    [
        ("upsample-nearest", "nearest", None),
        ("upsample-bilinear", "bilinear", False),
        ("upsample-bilinear", "bilinear", True),
        ("upsample-bicubic", "bicubic", False),
        ("upsample-bicubic", "bicubic", True),
    ],
)
def test_torch_upsampling(operation: str, mode: str, corners: bool | None) -> None:
    torch = pytest.importorskip("torch")
    theirs = through_torch(
        lambda t: torch.nn.functional.interpolate(t, scale_factor=3, mode=mode, align_corners=corners), X
    )
    more = {} if corners is None else {"align_corners": corners}
    assert_allclose(ours(X, operation, factor=3, **more), theirs, atol=EXACT)


def test_torch_normalisations() -> None:
    torch = pytest.importorskip("torch")
    f = torch.nn.functional
    x, scale, shift = np.random.default_rng(5).normal(size=(3, 5, 4, 6)), np.arange(1.0, 7), np.arange(6.0)
    t, g, b = (torch.tensor(a) for a in (np.moveaxis(x, -1, 1), scale, shift))
    given = {"scale": scale, "shift": shift}
    for name, more, theirs in (
        ("batch-norm", given, f.batch_norm(t, None, None, g, b, training=True)),
        ("instance-norm", given, f.instance_norm(t, weight=g, bias=b)),
        ("group-norm", {**given, "groups": 3}, f.group_norm(t, 3, g, b)),
        ("layer-norm", {}, f.layer_norm(t, t.shape[1:])),
        ("softmax", {}, f.softmax(t, 1)),
    ):
        assert_allclose(ours(x, name, **more), np.moveaxis(theirs.numpy(), 1, -1), atol=EXACT, err_msg=name)
    last = torch.tensor(x)
    by_place = {"over": "channel", **given}
    assert_allclose(ours(x, "layer-norm", **by_place), f.layer_norm(last, (6,), g, b).numpy(), atol=EXACT)
    rms = f.rms_norm(last, (6,), g, 1e-5).numpy()
    assert_allclose(ours(x, "rms-norm", over="channel", scale=scale), rms, atol=EXACT)


TORCH_NAMES = {"leaky-relu": "leaky_relu", "arctan": "atan", "hard-tanh": "hardtanh", "hard-sigmoid": "hardsigmoid"}


@pytest.mark.parametrize("name", xk.operations["activation"].parameters()["function"].choices)
def test_torch_activation_functions(name: str) -> None:
    torch = pytest.importorskip("torch")
    # corners included: the derivative there is what automatic differentiation takes
    x = np.array([-7.0, -6, -3, -1, -0.3, 0, 0.2, 1, 3, 6, 50])
    t = torch.tensor(x, requires_grad=True)
    function = {
        "identity": lambda u: u * 1,
        "step": lambda u: torch.heaviside(u, torch.ones((), dtype=u.dtype)),
        "prelu": lambda u: torch.nn.functional.prelu(u, torch.full((1,), 0.25, dtype=u.dtype)),
        "hard-swish": torch.nn.functional.hardswish,
        "arctan": torch.atan,
    }.get(name) or getattr(torch.nn.functional, TORCH_NAMES.get(name, name.replace("-", "_")))
    value = function(t)
    steps = xk.explore(x, "activation", function=name)
    assert_allclose(steps.output[:, 0], value.detach().numpy(), rtol=1e-7, atol=1e-9)
    if name != "step":  # which torch does not differentiate
        value.sum().backward()
        assert_allclose(steps.parts["derivative"][:, 0], t.grad.numpy(), rtol=1e-7, atol=1e-9)


# ---------------------------------------------------------------- Keras

FLOAT32 = 1e-5
"""TensorFlow's layers calculate in float32: sums of at most 72 products of numbers around one."""


def through_keras(layer: Any, x: Any, *kernels: Any) -> Any:
    built = layer
    built.build((1, *x.shape))
    built.set_weights([*kernels][: len(built.weights)])
    return np.asarray(built(x[None].astype("f")))[0]


@pytest.mark.parametrize(
    ("name", "size", "how"),
    [
        ("Conv2D", (3, 2), {}),
        ("Conv2D", (3, 2), {"strides": 2, "padding": "same"}),
        ("Conv2D", (3, 3), {"dilation_rate": 2, "padding": "same"}),
        ("Conv2D", (3, 3), {"groups": 2}),
        ("Conv1D", (3,), {"padding": "causal", "dilation_rate": 2}),
        ("Conv3D", (2, 3, 2), {}),
        ("Conv2DTranspose", (3, 2), {"strides": 2, "padding": "same"}),
        ("Conv2DTranspose", (2, 2), {"strides": 3, "padding": "valid"}),
        ("Conv1DTranspose", (4,), {"strides": 2, "padding": "valid"}),
        ("DepthwiseConv2D", (3, 3), {"padding": "same"}),
    ],
    ids=str,
)
def test_keras_convolutions(name: str, size: tuple[int, ...], how: dict[str, Any]) -> None:
    keras = pytest.importorskip("keras")
    x = {1: SERIES, 2: X, 3: VOLUME}[len(size)]
    depthwise, turned = name.startswith("Depthwise"), name.endswith("Transpose")
    groups = 4 if depthwise else how.get("groups", 1)
    filters = 4 if depthwise else 6
    kernel, bias = weights(filters, *size, 4 // groups), BIAS[:filters]
    own = np.moveaxis(kernel, 0, -2) if turned or depthwise else np.moveaxis(kernel, 0, -1)
    layer = getattr(keras.layers, name)(*([] if depthwise else [6]), size, **how)
    theirs = through_keras(layer, x, own, bias)
    renamed = {{"strides": "stride", "dilation_rate": "dilation"}.get(k, k): v for k, v in how.items()} | {
        "groups": groups
    }
    axes = {"axes": ("time", "channel")} if x.ndim == 2 else {}
    operation = "transposed-convolution" if turned else "cross-correlation"
    assert_allclose(ours(x, operation, kernel=kernel, bias=bias, **renamed, **axes), theirs, atol=FLOAT32)


@pytest.mark.parametrize(
    ("name", "how", "operation", "parameters"),
    [
        ("MaxPooling2D", {"pool_size": 3, "strides": 2, "padding": "same"}, "max-pool", {"size": 3, "stride": 2}),
        (
            "AveragePooling2D",
            {"pool_size": 3, "strides": 2, "padding": "same"},
            "average-pool",
            {"size": 3, "stride": 2},
        ),
        ("GlobalMaxPooling2D", {"keepdims": True}, "global-max-pool", None),
        ("GlobalAveragePooling2D", {"keepdims": True}, "global-average-pool", None),
        ("UpSampling2D", {"size": 2}, "upsample-nearest", None),
        ("UpSampling2D", {"size": 2, "interpolation": "bilinear"}, "upsample-bilinear", None),
        ("LayerNormalization", {}, "layer-norm", {"over": "channel", "epsilon": 1e-3}),
        ("UnitNormalization", {}, "rms-norm", {"over": "channel", "epsilon": 0.0, "scale": 0.5}),
        ("GroupNormalization", {"groups": 2}, "group-norm", {"groups": 2, "epsilon": 1e-3}),
    ],
    ids=str,
)
def test_keras_pools_upsampling_and_normalisations(
    name: str, how: dict[str, Any], operation: str, parameters: Any
) -> None:
    keras = pytest.importorskip("keras")
    layer = getattr(keras.layers, name)(**how)
    theirs = np.asarray(layer(X[None].astype("f")))[0]
    normalised = operation.endswith("norm")
    padding = {"padding": "same"} if how.get("padding") == "same" else {}
    found = ours(X[None] if normalised else X, operation, **(parameters or {}), **padding)
    assert_allclose(found[0] if normalised else found, theirs, atol=FLOAT32)
