"""Operations followed place by place: the worked examples of textbooks, the frameworks' own layers, and every step."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from xaikit.errors import InputError, ParameterError, UnknownName
from xaikit.results import Steps
from xaikit.results._functions import FUNCTIONS

EXACT = 1e-12
"""Float64 sums of a few hundred products of numbers around one."""

A = np.array([[[1, 1], [2, 4], [3, 6]], [[4, 8], [5, 10], [6, 12]], [[7, 14], [8, 16], [9, 18]]])
THIRD = np.array([[1, 6, 9], [12, 15, 18], [21, 24, 27]])
"""A third channel of three times the first, but for a 1 in its corner, as the second has one."""
DEEP = np.concatenate([A, THIRD[..., None]], -1)
X = np.where(np.isin(np.add.outer(np.arange(9), np.arange(9)), 8) | np.eye(9, dtype=bool), 1, -1)
X[[0, 0, -1, -1], [0, -1, 0, -1]] = -1
"""A cross of ones on the diagonals of the inner 7 × 7 places, in a square of 9 × 9."""


def drawn(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape)


def plane(x: Any, operation: str, **parameters: Any) -> Any:
    """The first channel of what comes out."""
    return xk.explore(x, operation, **parameters).output[..., 0]


def truncated(values: Any) -> Any:
    return np.trunc(np.round(values * 100, 9)) / 100


# ---------------------------------------------------------------- worked examples


def test_a_mean_of_three() -> None:
    f = [1, 10, 1, 1, 1]
    assert_allclose(plane(f, "cross-correlation", kernel=[1 / 3, 1 / 3, 1 / 3]), [4, 4, 1], rtol=EXACT)
    padded = plane(f, "cross-correlation", kernel="mean-3", padding="same")
    assert_allclose(padded, np.array([11, 12, 12, 3, 2]) / 3, rtol=EXACT)


@pytest.mark.parametrize(
    ("places", "size", "stride", "padding", "dilation", "out"),
    [(227, 11, 4, 0, 1, 55), (13, 3, 2, 0, 1, 6), (10, 3, 1, 0, 2, 6), (7, 4, 2, 1, 1, 3), (5, 5, 1, "same", 1, 5)],
)
def test_how_many_places_there_are(places: int, size: int, stride: int, padding: Any, dilation: int, out: int) -> None:
    kernel = np.ones(size)
    steps = xk.explore(
        np.zeros(places), "cross-correlation", kernel=kernel, stride=stride, padding=padding, dilation=dilation
    )
    assert steps.output.shape == (out, 1)


def test_a_low_pass_in_the_spectrum_is_a_convolution_in_time() -> None:
    t = np.arange(1024) / 1024
    slow, fast = np.sin(2 * np.pi * 2 * t), np.sin(2 * np.pi * 5 * t)
    passes = np.fft.fftfreq(1024, 1 / 1024)
    kernel = np.fft.ifft(np.abs(passes) < 3).real
    found = plane(slow + fast, "convolution", kernel=kernel, padding=(1023, 0), border="circular")
    assert_allclose(found, slow, atol=1e-10)  # 1024 products of numbers up to two
    spectrum = np.where(np.abs(passes) < 3, np.fft.fft(slow + fast), 0)
    assert_allclose(found, np.fft.ifft(spectrum).real, atol=1e-10)


def test_a_curve_answers_to_its_own_curve() -> None:
    curve = np.zeros((7, 7))
    curve[[0, 1, 2, 3, 4], [5, 4, 3, 3, 3]] = 30
    patch = np.where(curve > 0, 50, 0)
    patch[4, 3] = 20
    (value,) = plane(patch, "cross-correlation", kernel=curve).ravel()
    assert value == 4 * 50 * 30 + 20 * 30 == 6600
    assert plane(np.where(curve > 0, 0, 50), "cross-correlation", kernel=curve) == 0


BACKSLASH = """ .77 -.11  .11  .33  .55 -.11  .33
               -.11 1.00 -.11  .33 -.11  .11 -.11
                .11 -.11 1.00 -.33  .11 -.11  .55
                .33  .33 -.33  .55 -.33  .33  .33
                .55 -.11  .11 -.33 1.00 -.11  .11
               -.11  .11 -.11  .33 -.11 1.00 -.11
                .33 -.11  .55  .33  .11 -.11  .77"""
POOLED = {
    "backslash": [[1, 0.33, 0.55, 0.33], [0.33, 1, 0.33, 0.55], [0.55, 0.33, 1, 0.11], [0.33, 0.55, 0.11, 0.77]],
    "cross": [[0.55, 0.33, 0.55, 0.33], [0.33, 1, 0.55, 0.11], [0.55, 0.55, 0.55, 0.11], [0.33, 0.11, 0.11, 0.33]],
    "slash": [[0.33, 0.55, 1, 0.77], [0.55, 0.55, 1, 0.33], [1, 1, 0.11, 0.55], [0.77, 0.33, 0.55, 0.33]],
}
TWICE = {"backslash": [[1, 0.55], [0.55, 1]], "cross": [[1, 0.55], [0.55, 0.55]], "slash": [[0.55, 1], [1, 0.55]]}


@pytest.mark.parametrize("pattern", list(POOLED))
def test_the_letter_x_matched_and_pooled(pattern: str) -> None:
    matched = xk.explore(X, "match", kernel=pattern)
    if pattern == "backslash":
        rows = np.array([line.split() for line in BACKSLASH.splitlines()], float)
        assert_array_equal(truncated(matched.output[..., 0]), rows)
        assert matched.step(1, 1).value == 1
    rectified = xk.explore(matched.output, "activation", function="relu")
    once = xk.explore(rectified.output, "max-pool", size=2, stride=2, padding="same")
    twice = xk.explore(once.output, "max-pool", size=2)
    assert_array_equal(truncated(once.output[..., 0]), POOLED[pattern])
    assert_array_equal(truncated(twice.output[..., 0]), TWICE[pattern])


def test_a_map_of_the_slash_mirrors_the_backslash_and_its_pool_does_not() -> None:
    maps = {p: plane(X, "match", kernel=p) for p in ("slash", "backslash")}
    assert_allclose(maps["slash"], maps["backslash"][:, ::-1], atol=EXACT)
    pooled = {p: plane(m, "max-pool", padding="same") for p, m in maps.items()}
    assert np.abs(pooled["slash"] - pooled["backslash"][:, ::-1]).max() > 0.2


def test_classical_kernels() -> None:
    k = xk.kernels
    photo = drawn(9, 8)
    assert_array_equal(plane(photo, "cross-correlation", kernel="identity", padding="same"), photo)
    assert_array_equal(k["edges-diagonal"], [[1, 0, -1], [0, 0, 0], [-1, 0, 1]])
    assert_array_equal(k["edges-4"], [[0, -1, 0], [-1, 4, -1], [0, -1, 0]])
    assert_array_equal(k["edges-8"], [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]])
    assert_array_equal(k["prewitt-y"], [[-1, -1, -1], [0, 0, 0], [1, 1, 1]])
    assert_array_equal(k["prewitt-x"], k["prewitt-y"].T)
    assert_array_equal(k["gaussian-3"] * 16, [[1, 2, 1], [2, 4, 2], [1, 2, 1]])
    assert_array_equal((k["gaussian-5"] * 256)[2], [6, 24, 36, 24, 6])
    assert_array_equal((k["unsharp-5"] * 256)[2], [-6, -24, 476, -24, -6])
    assert_array_equal(k["sharpen"], k["identity"] + k["edges-4"])


@pytest.mark.parametrize("name", list(xk.kernels))
def test_a_kernel_keeps_or_cancels_what_is_even(name: str) -> None:
    """Blurs and sharpeners keep the mean of a picture; edges and slopes answer nothing to an even one."""
    total = xk.kernels[name].sum()
    strokes = {"backslash": -3, "slash": -3, "cross": 1}
    keeps = name.startswith(("identity", "box", "gaussian", "sharpen", "unsharp", "emboss", "motion", "mean", "binom"))
    assert_allclose(total, strokes.get(name, 1.0 if keeps else 0.0), atol=EXACT)
    assert xk.kernels.about(name)


def test_shapes() -> None:
    picture, sixteen = drawn(6, 4), drawn(16, 3, 3, 1)
    one = xk.explore(picture, "cross-correlation", kernel=sixteen[0, ..., 0])
    assert one.output.shape == (4, 2, 1)
    assert xk.explore(picture, "cross-correlation", kernel=sixteen).output.shape == (4, 2, 16)
    assert xk.explore(one.output, "max-pool", size=2, stride=1).output.shape == (3, 1, 1)
    assert xk.explore(one.output, "max-pool", size=2, stride=2).output.shape == (2, 1, 1)


def test_pools_of_two_channels() -> None:
    pooled = xk.explore(A, "max-pool", size=2, stride=1).output
    assert_array_equal(pooled[..., 0], [[5, 6], [8, 9]])
    assert_array_equal(pooled[..., 1], [[10, 12], [16, 18]])
    assert_array_equal(xk.explore(A, "global-max-pool").output.ravel(), [9, 18])
    assert_allclose(xk.explore(A, "global-average-pool").output.ravel(), A.mean((0, 1)), rtol=EXACT)
    assert_array_equal(xk.explore(A, "min-pool", size=2, stride=1).output[..., 0], [[1, 2], [4, 5]])


def test_three_channels() -> None:
    assert DEEP.size == 27
    assert_array_equal(xk.explore(DEEP, "global-max-pool").output.ravel(), [9, 18, 27])
    assert_array_equal(xk.explore(DEEP, "cross-correlation", kernel=np.ones((3, 3, 3))).output.ravel(), [267])
    assert_array_equal(
        xk.explore(DEEP, "cross-correlation", kernel=np.ones((3, 3))).output.ravel(), [45, 89, 133]
    )  # a kernel without channels acts on each: depthwise


def test_upsampling() -> None:
    small = [[1, 2], [3, 4]]
    assert_array_equal(plane(small, "upsample-nearest"), [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]])
    nails = [[1, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]]
    assert_array_equal(plane(small, "bed-of-nails"), nails)
    assert_array_equal(plane(small, "transposed-convolution", kernel=[[1.0]], stride=2, padding="same"), nails)


def test_normalisations() -> None:
    """The table's rows are two channels, its columns five samples."""
    table = np.array([[0, 0, 1, 1, 2], [2, 3, 3, 4, 4]])
    batch = xk.explore(table.T, "batch-norm", epsilon=0.0)
    assert_allclose(batch.parts["mean"], [0.8, 3.2], rtol=EXACT)
    assert_allclose(batch.parts["std"] ** 2, [0.56, 0.56], rtol=EXACT)
    assert_allclose(batch.output.T, (table - [[0.8], [3.2]]) / 0.56**0.5, rtol=1e-9)
    layer = xk.explore(table.T, "layer-norm", epsilon=0.0).output.T
    assert_allclose(layer, [[-1] * 5, [1] * 5], rtol=1e-9)  # of two numbers one lies a deviation below, one above
    pictures = drawn(2, 4, 5, 6)
    one, six = (xk.explore(pictures, "group-norm", groups=g).output for g in (1, 6))
    assert_allclose(one, xk.explore(pictures, "layer-norm").output, atol=EXACT)
    assert_allclose(six, xk.explore(pictures, "instance-norm").output, atol=EXACT)


def test_activation_functions() -> None:
    x = np.array([-2.0, -0.5, 0.0, 0.5, 2.0])

    def both(function: str, **more: Any) -> tuple[Any, Any]:
        steps = xk.explore(x, "activation", function=function, **more)
        return steps.output[:, 0], steps.parts["derivative"][:, 0]

    e = np.exp(x)
    for name, value, slope in (
        ("identity", x, np.ones(5)),
        ("step", [0, 0, 1, 1, 1], np.zeros(5)),
        ("sigmoid", e / (1 + e), e / (1 + e) ** 2),
        ("tanh", (e - 1 / e) / (e + 1 / e), 4 / (e + 1 / e) ** 2),
        ("arctan", np.arctan(x), [0.2, 0.8, 1, 0.8, 0.2]),
        ("relu", [0, 0, 0, 0.5, 2], [0, 0, 0, 1, 1]),
        ("leaky-relu", [-0.02, -0.005, 0, 0.5, 2], [0.01, 0.01, 0.01, 1, 1]),
        ("prelu", [-0.5, -0.125, 0, 0.5, 2], [0.25, 0.25, 0.25, 1, 1]),
        ("elu", [e[0] - 1, e[1] - 1, 0, 0.5, 2], [e[0], e[1], 1, 1, 1]),
        ("softplus", np.log(1 + e), e / (1 + e)),
    ):
        assert_allclose(both(name)[0], value, atol=EXACT, err_msg=name)
        assert_allclose(both(name)[1], slope, atol=EXACT, err_msg=name)
    assert_allclose(both("elu", alpha=2.0)[0][:2], 2 * (e[:2] - 1), atol=EXACT)


# ---------------------------------------------------------------- every step

WINDOWED = [
    ("cross-correlation", {"kernel": "sobel-x", "padding": "same", "stride": 2, "bias": 0.5}),
    ("cross-correlation", {"kernel": drawn(3, 2, 3, 2), "padding": ((1, 0), (2, 1)), "dilation": (1, 2)}),
    ("cross-correlation", {"kernel": drawn(4, 2, 3, 1), "groups": 2, "border": "reflect", "padding": 1}),
    ("convolution", {"kernel": drawn(2, 3), "padding": "full"}),
    ("match", {"kernel": drawn(3, 3, 2), "padding": "same"}),
    ("normalised-cross-correlation", {"kernel": drawn(2, 3, 2, 2), "padding": 1}),
    ("transposed-convolution", {"kernel": drawn(3, 3, 2, 2), "stride": (2, 3), "padding": 1, "output_padding": 1}),
    ("transposed-convolution", {"kernel": drawn(2, 2), "stride": 3, "padding": "valid"}),
    ("max-pool", {"size": (2, 3), "padding": "same"}),
    ("max-pool", {"size": 2, "dilation": 2, "stride": 1}),
    ("min-pool", {"size": 2, "padding": 1}),
    ("average-pool", {"size": 3, "stride": 2, "padding": "same"}),
    ("average-pool", {"size": 3, "stride": 2, "padding": 1, "count_padding": True, "ceil": True}),
    ("lp-pool", {"size": 2, "p": 3.0}),
    ("global-max-pool", {}),
    ("global-average-pool", {}),
    ("adaptive-average-pool", {"size": (2, 4)}),
    ("upsample-nearest", {"factor": (2, 3)}),
    ("bed-of-nails", {"factor": 3}),
    ("upsample-bilinear", {"factor": 2}),
    ("upsample-bilinear", {"factor": 3, "align_corners": True}),
    ("upsample-bicubic", {"factor": 2}),
    ("pixel-shuffle", {"factor": 1}),
]
PICTURE = drawn(6, 7, 2)


@pytest.mark.parametrize(("operation", "parameters"), WINDOWED, ids=lambda v: v if isinstance(v, str) else "")
def test_every_step_ends_in_its_number_of_the_output(operation: str, parameters: Any) -> None:
    steps = xk.explore(PICTURE, operation, **parameters)
    assert len(steps) == steps.output.size
    for k, step in enumerate(steps):
        assert (step.number, steps.output.shape[-1] > step.place[-1]) == (k, True)
        assert_allclose(step.value, steps.output[step.place], atol=EXACT)
        if step.products is not None and steps.rule == "sum":
            assert_allclose(step.products.sum() + step.facts.get("bias", 0), step.value, atol=EXACT)
        (top, bottom), (left, right) = step.box[:2]
        real = PICTURE[max(top, 0) : bottom + 1, max(left, 0) : right + 1]
        inside = step.window[step.there] if step.there.any() else np.zeros(0)
        assert steps.parameters.get("border", "zero") == "reflect" or np.isin(inside, real).all()


@pytest.mark.parametrize("name", ["batch-norm", "layer-norm", "instance-norm", "group-norm", "rms-norm", "softmax"])
def test_every_step_of_a_normalisation(name: str) -> None:
    more = {"groups": 2} if name == "group-norm" else {}
    scaled = {} if name == "softmax" else {"scale": np.arange(1, 5), "shift": 0.5}
    steps = xk.explore(drawn(2, 3, 4), name, **more, **scaled)
    for step in steps:
        assert_allclose(step.value, steps.output[step.place], atol=EXACT)
        assert steps.x[step.place] in step.window


def test_places_are_named_counted_and_shown() -> None:
    steps = xk.explore(PICTURE, "cross-correlation", kernel=drawn(3, 2, 3, 2))
    assert steps[4].place == (0, 1, 1)
    assert steps[-1].place == tuple(n - 1 for n in steps.output.shape)
    assert steps.step(2, 3).place == (2, 3, 0)
    assert steps.at(2, -1, 1).shown == (2, steps.output.shape[1] - 1, 1)
    assert steps.output[steps.shown] == steps.output.flat[np.abs(steps.output).argmax()]
    assert_array_equal(steps.step(2, 3).box, [[2, 3], [3, 5]])
    assert_array_equal(steps.step(2, 3).window, PICTURE[2:4, 3:6])
    with pytest.raises(ParameterError, match=r"gives \(5, 5, 3\) \(height, width, channel\): it has no place 5, 0"):
        steps.step(5, 0)
    with pytest.raises(IndexError, match="has 75 steps: 75"):
        steps[75]


def test_padding_lies_beyond_the_border() -> None:
    step = xk.explore(np.ones((3, 3)), "cross-correlation", kernel=np.ones((3, 3)), padding="same").step(0, 0)
    assert_array_equal(step.box, [[-1, 1], [-1, 1]])
    assert_array_equal(step.there, [[0, 0, 0], [0, 1, 1], [0, 1, 1]])
    assert step.value == 4


def test_a_convolution_turns_the_kernel() -> None:
    x, k = drawn(8), drawn(3, seed=1)
    assert_allclose(plane(x, "convolution", kernel=k, padding="full"), np.convolve(x, k), atol=EXACT)
    assert_allclose(plane(x, "cross-correlation", kernel=k), np.correlate(x, k), atol=EXACT)


def test_of_equal_values_the_first_by_rows_is_taken() -> None:
    steps = xk.explore([[1, 2], [2, 0]], "max-pool")
    assert steps.parts["switches"].ravel() == 1


def test_a_causal_window_ends_at_its_place() -> None:
    x = drawn(7)
    found = plane(x, "cross-correlation", kernel=[0, 0, 1], padding="causal", dilation=2)
    assert_array_equal(found, x)
    assert_array_equal(plane(x, "cross-correlation", kernel=[1, 0, 0], padding="causal")[2:], x[:-2])


def test_a_transposed_convolution_of_the_same_length_begins_in_the_middle() -> None:
    """Of three places that a stamp exceeds its stride by, one is cut off in front and two behind."""
    found = plane([1.0, 10.0], "transposed-convolution", kernel=[1, 2, 3, 4, 5], stride=2, padding="same")
    assert_array_equal(found, [2, 3 + 10, 4 + 20, 5 + 30])


def test_an_unpooled_maximum_stands_where_it_stood() -> None:
    x = drawn(4, 6, 2)
    pooled = xk.explore(x, "max-pool")
    back = xk.explore(pooled.output, "max-unpool", pooled=pooled)
    assert back.output.shape == x.shape
    assert_array_equal(back.output[back.output != 0], x[back.output != 0])
    assert np.count_nonzero(back.output) == pooled.output.size
    assert all(s.value == back.output[s.place] == s.window.sum() for s in back)


def test_correlation_ignores_brightness_and_contrast_and_agrees_with_scikit_image() -> None:
    from skimage.feature import match_template

    photo = drawn(12, 11)
    photo[:4, :4] = 7.0
    pattern = photo[5:8, 3:7]
    found = xk.explore(5 + 3 * photo, "normalised-cross-correlation", kernel=pattern)
    assert found.shown == (5, 3, 0)
    assert_allclose(found.output[5, 3], 1, atol=1e-9)
    assert_array_equal(found.output[0, 0], 0)  # flat
    even = xk.explore(
        np.full((4, 4), 0.1), "normalised-cross-correlation", kernel=pattern[:, :3]
    )  # a mean with rounding
    assert_array_equal([s.value for s in even], even.output.ravel())
    assert_array_equal(even.output, 0)
    assert_allclose(found.output[..., 0], match_template(5 + 3 * photo, pattern), atol=1e-9)


def test_one_kernel_position_at_a_time_is_what_scipy_gives() -> None:
    from scipy.ndimage import correlate

    photo, k = drawn(9, 8), drawn(3, 5, seed=2)
    for border, theirs in (("reflect", "mirror"), ("replicate", "nearest"), ("circular", "wrap"), ("zero", "constant")):
        ours = plane(photo, "cross-correlation", kernel=k, padding="same", border=border)
        assert_allclose(ours, correlate(photo, k, mode=theirs), atol=EXACT, err_msg=border)


def test_volumes_and_series_of_channels() -> None:
    volume, k = drawn(4, 5, 6, 2), drawn(3, 2, 2, 3, 2)
    steps = xk.explore(volume, "cross-correlation", kernel=k)
    assert steps.output.shape == (3, 4, 4, 3)
    step = steps.step(1, 2, 0, 2)
    assert_allclose(step.value, (volume[1:3, 2:4, 0:3] * k[2]).sum(), atol=EXACT)
    series = xk.explore(drawn(2, 9), "average-pool", axes=("channel", "time"), size=3)
    assert_allclose(series.output, drawn(2, 9).reshape(2, 3, 3).mean(-1).T, atol=EXACT)


def test_filters_of_a_network_give_what_its_layer_gives() -> None:
    model = xk.zoo.load("mnist_cnn")
    digit = np.random.default_rng(1).integers(0, 256, (28, 28, 1)).astype(np.uint8)
    a = xk.activations(model, digit, ["conv1", "conv1_relu"])
    steps = xk.explore(np.asarray(a.x)[0], "cross-correlation", kernel=xk.filters(model, "conv1"))
    # nine products in the network's float32
    assert_allclose(steps.output, a["conv1"][0], atol=1e-5)


# ---------------------------------------------------------------- what people give


def test_pictures_arrays_and_files(tmp_path: Path) -> None:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    np.save(tmp_path / "photo.npy", pixels)
    for given in (str(tmp_path / "photo.png"), tmp_path / "photo.npy", Image.fromarray(pixels), pixels):
        steps = xk.explore(given, "max-pool")
        assert_array_equal(steps.x, pixels)
        assert_array_equal(steps.display, pixels)
    grey = xk.explore(Image.fromarray(pixels[..., 0]), "max-pool")
    assert (grey.x.shape, grey.display.shape) == ((6, 5, 1), (6, 5, 3))
    assert xk.explore(pixels / 255, "max-pool").display is None


@pytest.mark.parametrize(
    ("x", "operation", "parameters", "error", "message"),
    [
        (A, "convolve", {}, UnknownName, "did you mean 'convolution'"),
        (A, "cross-correlation", {}, ParameterError, "kernel is missing"),
        (A, "cross-correlation", {"kernel": "sobel"}, UnknownName, "did you mean 'sobel-"),
        (A, "cross-correlation", {"kernel": "mean-3"}, ParameterError, r"\(3,\) does not fit 2 axes of space"),
        (A, "cross-correlation", {"kernel": np.ones((2, 2, 3))}, ParameterError, "3 input channels in 1 groups"),
        (A, "cross-correlation", {"kernel": [[np.nan]]}, ParameterError, "NaN or infinite weights"),
        (A, "cross-correlation", {"kernel": "box-5"}, ParameterError, "window of 5 places does not fit into 3"),
        (A, "cross-correlation", {"kernel": "box-3", "padding": "sane"}, ParameterError, "padding is one of valid"),
        (A, "cross-correlation", {"kernel": "box-3", "padding": (1, 2, 3)}, ParameterError, "3 entries for 2 axes"),
        (A, "cross-correlation", {"kernel": "box-3", "border": "mirror"}, ParameterError, "border is one of zero"),
        (A, "cross-correlation", {"kernel": "box-3", "strides": 2}, ParameterError, "did you mean 'stride'"),
        (A, "cross-correlation", {"kernel": "box-3", "stride": 0}, ParameterError, "stride is a whole number from 1"),
        (A, "cross-correlation", {"kernel": "box-3", "bias": [1, 2, 3]}, ParameterError, "there are 2 filters"),
        (A, "transposed-convolution", {"kernel": [[1]], "padding": 2}, ParameterError, "cuts off the whole output"),
        (A, "max-pool", {"size": 2, "padding": 2, "stride": 1}, ParameterError, "in the padding altogether"),
        (A, "lp-pool", {"p": 0.0}, ParameterError, "p is over 0"),
        (A, "max-unpool", {}, ParameterError, "undoes a max-pool"),
        (A, "pixel-shuffle", {}, ParameterError, "2 channels cannot be laid out in cells of 4"),
        (A, "group-norm", {"groups": 4}, ParameterError, "2 channels cannot be split into 4 groups"),
        (A, "batch-norm", {"scale": [1, 2, 3]}, ParameterError, "scale has the shape"),
        (A, "activation", {"function": "rellu"}, UnknownName, "'relu'"),
        (np.array([[np.inf, 1]]), "max-pool", {}, InputError, "NaN or infinite"),
        (np.zeros((0, 3)), "max-pool", {}, InputError, "takes numbers"),
        ("gone.png", "max-pool", {}, InputError, "no file gone.png"),
        (np.zeros((1, 2, 3, 4, 5)), "max-pool", {}, ParameterError, "5 axes and no axes given"),
        (np.zeros((2, 3)), "max-pool", {"axes": ("height", "breadth")}, ParameterError, "name each as one of"),
        (np.zeros((2, 3)), "max-pool", {"axes": ("sample", "time")}, ParameterError, "explored on one sample"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_mistakes(x: Any, operation: str, parameters: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        xk.explore(x, operation, **parameters)


@pytest.mark.parametrize("operation", ["cross-correlation", "max-pool", "batch-norm", "activation"])
def test_steps_are_stored(operation: str, tmp_path: Path) -> None:
    steps = xk.explore(PICTURE, operation, **({"kernel": "emboss"} if operation == "cross-correlation" else {}))
    back = xk.load(xk.save(steps, tmp_path / "steps"))
    assert isinstance(back, Steps)
    assert (back.operation, back.axes, back.shown, dict(back.parameters)) == (
        steps.operation,
        steps.axes,
        steps.shown,
        dict(steps.parameters),
    )
    for ours, theirs in zip(steps, back, strict=True):
        assert (ours.place, ours.value) == (theirs.place, theirs.value)
        assert_array_equal(ours.window, theirs.window)


def test_parameters_are_described() -> None:
    for name, operation in xk.operations.items():
        assert operation.__doc__, name
        assert all(p.help for p in operation.parameters().values()), name
    assert xk.operations["max-pool"].parameters()["size"].default == 2


def test_gelu_is_not_its_approximation() -> None:
    exact = [-0.15865525393145707, 1.9544997361036416]
    assert_allclose(FUNCTIONS["gelu"].value(np.array([-1.0, 2.0])), exact, rtol=1e-14)
    assert_allclose(xk.explore([-1.0, 2.0], "activation", function="gelu").output.ravel(), exact, rtol=1e-14)
