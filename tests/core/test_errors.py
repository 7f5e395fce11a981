"""What messages are made of: the nearest name, where a path was looked for, counts in words; and first mistakes."""

from pathlib import Path

import numpy as np
import pytest

import xaikit as xk
from xaikit.errors import InputError, ModelError, UsageError, XaikitError, many, nearest, not_there

METHODS = [
    "deep-lift",
    "deep-shap",
    "grad-cam",
    "grad-cam-plus-plus",
    "gradient-shap",
    "guided-grad-cam",
    "kernel-shap",
]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("GradCAM", "; did you mean 'grad-cam'?"),
        ("grad_cam++", "; did you mean 'grad-cam-plus-plus'?"),
        ("Deep Lift", "; did you mean 'deep-lift'?"),
        ("shap", "; did you mean 'deep-shap' or 'gradient-shap' or 'kernel-shap'?"),
        ("kernal-shap", "; did you mean 'kernel-shap' or 'deep-shap'?"),
    ],
)
def test_the_nearest_name_is_offered(written: str, meant: str) -> None:
    assert nearest(written, METHODS) == meant


def test_a_name_that_is_like_none_is_answered_with_those_that_are_known() -> None:
    assert nearest("xyz", METHODS, shown=2) == "; known: 'deep-lift', 'deep-shap' and 5 more"
    assert nearest("xyz", []) == "; known: none"


def test_a_path_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photo.jpg").touch()
    assert not_there(tmp_path / "foto.jpg") == f"there is no file {tmp_path}/foto.jpg; did you mean 'photo.jpg'?"
    assert not_there(tmp_path / "x.toml", "plan") == f"there is no plan {tmp_path}/x.toml: check its name"
    gone = tmp_path / "gone"
    assert not_there(gone / "x.png") == f"there is no file {gone}/x.png: the folder {gone} is not there"
    monkeypatch.chdir(tmp_path)
    assert not_there("x.toml") == f"there is no file x.toml in {tmp_path}"


def test_counts_in_words() -> None:
    assert [many(n, "sample") for n in (0, 1, 2, 1200)] == ["0 samples", "1 sample", "2 samples", "1,200 samples"]


def total(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1).sum(1, keepdims=True)


PICTURES = xk.Image(4, 4, 1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.full((4, 4), 0.5), r"floats in 0.5..0.5, but this model takes display units 0..255 .*give x \* 255"),
        (np.linspace(-2, 2, 16).reshape(4, 4), "floats in -2..2, .*before it was normalised"),
        (np.full((4, 4), 4095), "numbers in 4.1e.03..4095, .*bring it to 0..255"),
        (None, "must hold numbers, not NoneType$"),
        ([np.zeros((4, 4, 1)), [[1, 2], [3]]], "its parts have different lengths"),
        ("foto.jpg", "there is no file foto.jpg in /"),
    ],
)
def test_mistakes_about_pictures_say_what_to_do(given: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        PICTURES.encode(given)


def test_dark_and_bright_pictures_are_no_mistake() -> None:
    for value in (np.zeros((4, 4)), np.full((4, 4), 255.0), np.full((4, 4), -1, np.int16)):
        assert PICTURES.encode(value).shape == (1, 4, 4, 1)


def test_samples_of_unequal_shape_need_a_spec_that_fits_them() -> None:
    with pytest.raises(InputError, match=r"different shapes, \(2, 3\) and \(2, 4\): .*xk.Image"):
        xk.explain(xk.wrap(total), [np.zeros((2, 3)), np.zeros((2, 4))], "lime")


@pytest.mark.parametrize(
    ("method", "said"),
    [
        (None, "a method is one name of xk.methods, such as 'saliency', not None"),
        (["lime", "rise"], "; xk.compare takes several"),
    ],
)
def test_a_method_is_asked_for_by_its_name(method: object, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        xk.explain(xk.wrap(total, inputs=xk.Array((3,))), np.zeros(3), method)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("net", "said"),
    [
        (Path, r"Path is a class, not a network: make one, net = Path\(...\)"),
        ("net.keras", "the path 'net.keras' is no network: xk.load_model"),
        ({"weight": np.zeros(3)}, "a dict is no network: load these weights into one"),
    ],
)
def test_what_is_taken_for_a_network(net: object, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        xk.wrap(net)


def test_a_method_that_cannot_serve_names_those_that_can() -> None:
    model = xk.wrap(total, inputs=xk.Array((3,)), name="total")
    with pytest.raises(XaikitError, match=r"saliency cannot explain total: .* has no gradients; use ") as caught:
        xk.explain(model, np.zeros(3), "saliency")
    for name in str(caught.value).partition("; use ")[2].split(", "):
        others = {"base": "occlusion"} if name == "temporal-saliency-rescaling" else {}
        assert xk.explain(model, np.ones(3), name, max_calls=60, **others).values.shape == (1, 3)


def test_a_misspelt_public_name_is_corrected() -> None:
    with pytest.raises(AttributeError, match="no attribute 'explian'") as caught:
        xk.explian  # noqa: B018
    assert (caught.value.name, caught.value.obj) == ("explian", xk)  # of which Python makes its "Did you mean"


@pytest.mark.parametrize(
    ("spec", "given", "hint"),
    [
        (xk.Image(6, 8), (3, 6, 8), True),
        (xk.Series(50, 2), (2, 50), True),
        (xk.Array((4, 5, 3)), (3, 4, 5), True),
        (xk.Array((4, 5, 3)), (5, 5, 3), False),
    ],
)
def test_channels_first_is_recognised(spec: xk.Array, given: tuple[int, ...], hint: bool) -> None:
    with pytest.raises(InputError, match=r"has shape .* expected") as caught:
        spec.encode(np.zeros(given))
    assert str(caught.value).endswith("it looks channels-first: use np.moveaxis(x, 0, -1)") is hint
