"""Forms from parameter fields, and back."""

from typing import Any

import numpy as np
import pytest

import xaikit as xk
from xaikit.attribution import DIALECTS
from xaikit.errors import ParameterError
from xaikit_app import forms
from xaikit_app.work.describe import describe


def description() -> Any:
    model = xk.wrap(lambda x: np.asarray(x).sum((1, 2, 3))[:, None], inputs=xk.Image(8, 8, 1), name="sum")
    return describe(model)


@pytest.mark.parametrize("method", list(xk.methods))
def test_every_method_has_a_control_for_each_parameter(method: str) -> None:
    controls = forms.form(method, description(), {}, "explain")
    dialect = ["dialect"] if method in DIALECTS else []
    assert [c.id["name"] for c in controls] == [*xk.methods[method].parameters(), *dialect]
    assert all(c.label and c.description for c in controls)


@pytest.mark.parametrize("method", list(xk.methods))
def test_an_untouched_form_gives_the_defaults(method: str) -> None:
    controls = forms.form(method, description(), {}, "explain")
    entries = {c.id["name"]: getattr(c, "checked", getattr(c, "value", None)) for c in controls}
    assert forms.filled(method, entries) == {}


def test_bounds_are_those_that_the_method_keeps() -> None:
    assert forms.least("lime", "samples") == 2
    assert forms.least("integrated-gradients", "steps") == 1


@pytest.mark.parametrize(
    ("method", "entries", "given"),
    [
        ("lime", {"samples": 500}, {"samples": 500}),
        ("lime", {"kernel_width": 1}, {"kernel_width": 1.0}),
        ("lime", {"segments": "slic"}, {"segments": "slic"}),
        ("lime", {"segments": "12"}, {"segments": 12}),
        ("lime", {"baseline": ""}, {"baseline": None}),
        ("occlusion", {"window": "[3, 5]"}, {"window": (3, 5)}),
        ("kernel-shap", {"samples": ""}, {}),
        ("lrp", {"rule": "gamma"}, {"rule": "gamma"}),
        ("saliency", {"dialect": "captum"}, {"dialect": "captum"}),
        ("saliency", {"dialect": None}, {}),
        ("layer-cam", {"layer": ["conv1", "conv2"]}, {"layer": ("conv1", "conv2")}),
        ("layer-cam", {"layer": []}, {}),
        ("attention-rollout", {"position": "3"}, {"position": 3}),
        ("attention-rollout", {"position": "mean"}, {"position": "mean"}),
        ("grad-cam", {"relu": False, "layer": "conv"}, {"relu": False, "layer": "conv"}),
    ],
)
def test_entries_become_parameters(method: str, entries: dict[str, Any], given: dict[str, Any]) -> None:
    found = forms.filled(method, entries)
    assert found == given
    assert [type(v) for v in found.values()] == [type(v) for v in given.values()]  # 1 and 1.0 have two addresses


def test_a_parameter_with_few_words_is_a_choice() -> None:
    controls = {c.id["name"]: c for c in forms.form("smooth-grad", description(), {}, "explain")}
    assert (controls["form"].data, controls["form"].value) == (["mean", "squared", "variance", "absolute"], "mean")
    assert controls["dialect"].data == list(DIALECTS["smooth-grad"])
    assert controls["dialect"].value is None


def test_what_the_method_refuses_is_refused() -> None:
    with pytest.raises(ParameterError, match="samples must be at least 2, not 1"):
        forms.filled("lime", {"samples": 1})
