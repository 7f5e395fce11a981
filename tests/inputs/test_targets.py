"""Targets: the scalar of every kind, its derivative by finite differences, and errors that say what there is."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import xaikit as xk
from xaikit.errors import TargetError
from xaikit.inputs import resolve, target_from_json, target_to_json

RNG = np.random.default_rng(0)
CLASSES = xk.Classes(["cat", "dog", "owl"], "softmax")
ONE = np.array([[0.2, 0.7, 0.1], [0.5, 0.3, 0.2]])
PAIR = xk.Classes(["cat", "dog"], "sigmoid")
P = np.array([[0.3]])


def value(target, spec, output, kind="output", x=None):
    x = output if x is None else x
    return resolve(target, spec, output, kind).value(output, x)


def test_none_is_the_predicted_class_of_each_sample():
    scores = resolve(None, CLASSES, ONE)
    assert [s.label for s in scores.each] == ["dog", "cat"]
    assert_allclose(scores.value(ONE, ONE), [0.7, 0.5])


@pytest.mark.parametrize("target", [2, "owl", "2", np.int64(2)])
def test_a_class_by_index_or_name(target):
    assert_allclose(value(target, CLASSES, ONE), ONE[:, 2])


def test_both_names_of_one_sigmoid():
    assert_allclose(value("dog", PAIR, P), [0.3])
    assert_allclose(value("cat", PAIR, P), [0.7])
    scores = resolve("cat", PAIR, P, "logit")
    assert_allclose(scores.value(np.array([[2.0]]), P), [-2.0])
    assert [s.target for s in (resolve(t, PAIR, P)[0] for t in ("cat", "dog", None))] == [0, 1, 0]


def test_one_sigmoid_with_values_is_raw():
    assert_allclose(value(0, xk.Values(["p"]), P), [0.3])
    assert_allclose(value(None, xk.Values(["p"]), P), [0.3])


def test_a_margin_is_a_difference():
    assert_allclose(value(xk.Margin("dog", "owl"), CLASSES, ONE), [0.6, 0.1])


def test_one_target_per_sample():
    assert_allclose(value(["cat", xk.Margin(0, 2)], CLASSES, ONE), [0.2, 0.3])
    with pytest.raises(TargetError, match="3 targets were given for 2 samples"):
        value([0, 1, 2], CLASSES, ONE)


def test_a_step_of_many():
    out = RNG.normal(size=(1, 4, 3))
    assert_allclose(value(xk.At(step=-1, index="owl"), CLASSES, out), out[:, 3, 2])
    assert_allclose(value(xk.At(step=2), xk.Values(range(4)), out[..., 0]), out[:, 2, 0])
    with pytest.raises(TargetError, match=r"choose a place with xk\.At\(step"):
        value("owl", CLASSES, out)
    with pytest.raises(TargetError, match=r"place 4 is outside 0..3"):
        value(xk.At(step=4, index=0), CLASSES, out)


def test_one_output_of_several():
    out = {"digit": ONE, "width": np.array([[3.0], [4.0]])}
    specs = {"digit": CLASSES, "width": xk.Values(["width"])}
    assert_allclose(value(xk.At("width"), specs, out), [3.0, 4.0])
    assert_allclose(value(xk.At("digit", index="cat"), specs, out), [0.2, 0.5])
    with pytest.raises(TargetError, match=r"several outputs \['digit', 'width'\]"):
        value("cat", specs, out)
    with pytest.raises(TargetError, match="did you mean 'width'"):
        value(xk.At("widt"), specs, out)


@pytest.mark.parametrize("region", [{"box": (1, 0, 3, 2)}, {"mask": np.eye(4, dtype=bool)}, {"pixel": (2, 3)}])
def test_a_region_is_the_mean_over_its_pixels(region):
    out = RNG.normal(size=(1, 4, 4, 2))
    chosen = {"box": out[0, 1:3, 0:2, 1], "mask": out[0, range(4), range(4), 1], "pixel": out[0, 2, 3, 1]}
    key = next(iter(region))
    assert_allclose(value(xk.Region("sea", **region), xk.Masks(["sky", "sea"]), out), [chosen[key].mean()])


@pytest.mark.parametrize("wrong", [{"box": (0, 0, 9, 2)}, {"pixel": (4, 0)}, {"mask": np.zeros((4, 4))}, {}])
def test_a_region_outside_is_an_error(wrong):
    with pytest.raises(TargetError):
        value(xk.Region(0, **wrong), xk.Masks(["sky", "sea"]), np.zeros((1, 4, 4, 2)))


@pytest.mark.parametrize("error", ["mse", "mae"])
def test_a_reconstruction_error_has_its_total_derivative(error):
    x, y = RNG.normal(size=(2, 5)), RNG.normal(size=(2, 5))
    scores = resolve(None, xk.Reconstruction(error), y)
    expected = np.mean((x - y) ** 2, 1) if error == "mse" else np.mean(np.abs(x - y), 1)
    assert_allclose(scores.value(y, x), expected)
    assert_allclose(scores[0].contributions(y, x).sum(1), expected)
    for analytic, move in ((scores.seed(y, x), (1, 0)), (scores.direct(y, x), (0, 1))):
        for i in range(5):
            h = 1e-6 * np.eye(5)[i]
            slope = (scores.value(y + move[0] * h, x + move[1] * h) - scores.value(y, x)) / 1e-6
            assert_allclose(analytic[:, i], slope, rtol=1e-3, atol=1e-5)


def test_rows_belong_to_samples_by_index():
    scores = resolve([0, 2], CLASSES, ONE)
    rows, index = RNG.normal(size=(4, 3)), np.array([1, 0, 1, 0])
    assert_allclose(scores.value(rows, rows, index), [rows[0, 2], rows[1, 0], rows[2, 2], rows[3, 0]])
    assert_allclose(scores.seed(rows, rows, index), np.eye(3)[[2, 0, 2, 0]])


def test_samples_that_are_asked_for_one_class_share_its_score():
    output = np.arange(12, dtype=np.float32).reshape(4, 3)
    scores = resolve([1, 0, 1, None], xk.Classes(("a", "b", "c")), output)
    assert scores[0] is scores[2]
    assert_allclose(scores.value(output, output), [1, 3, 7, 11])
    assert_allclose(scores.seed(output, output), np.eye(3)[[1, 0, 1, 2]])
    rows = [2, 1, 0, 2]  # of the output; they belong to these samples
    assert_allclose(scores.value(output[rows], output[rows], np.array(rows)), [7, 3, 1, 7])


def test_an_output_that_is_not_there_is_not_passed_over():
    with pytest.raises(TargetError, match="has one output: leave output='boxes' out"):
        value(xk.At(output="boxes", index=1), CLASSES, ONE)


def test_an_array_of_one_number_is_a_class():
    assert_allclose(value(np.array(2), CLASSES, ONE), [0.1, 0.2])


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("dgo", "did you mean 'dog'"),
        (3, "has 3 outputs, 0 to 2"),
        (-1, "no output -1"),
        (1.5, "not 1.5"),
        (True, "not True"),
    ],
)
def test_an_unknown_class_suggests_the_nearest(target, message):
    with pytest.raises(TargetError, match=message):
        value(target, CLASSES, ONE)


@pytest.mark.parametrize("target", [3, xk.Margin(1, 2), xk.At("digit", index=2), xk.ReconstructionError("mae")])
def test_targets_survive_json(target):
    assert target_from_json(target_to_json(target)) == target


def test_a_region_survives_json():
    back = target_from_json(target_to_json(xk.Region(1, mask=np.eye(3, dtype=bool))))
    assert_allclose(back.weights(3, 3), np.eye(3) / 3)
