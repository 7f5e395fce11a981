"""Every method is in one family, and says which words its parameters take."""

from collections import Counter

import pytest

import xaikit as xk
from xaikit.attribution import FAMILIES, families
from xaikit.errors import ParameterError


def test_every_method_is_in_one_family() -> None:
    placed = Counter(m for members in FAMILIES.values() for m in members)
    assert sorted(placed) == list(xk.methods)
    assert set(placed.values()) == {1}


def test_families_keep_their_order_and_strangers_come_last() -> None:
    found = families(["saliency", "my-own", "occlusion", "lime"])
    assert found == {"perturbation": ["lime", "occlusion"], "gradients": ["saliency"], "others": ["my-own"]}
    assert list(found) == ["perturbation", "gradients", "others"]


CHOICES = [(m, p) for m, cls in xk.methods.items() for p in cls.parameters().values() if p.choices]


def test_parameters_with_few_words_list_them() -> None:
    found = {f"{m}.{p.name}" for m, p in CHOICES}
    assert found == {"attention-rollout.heads", "lime.penalty", "lrp.rule", "smooth-grad.form", "smooth-grad.unit"}


@pytest.mark.parametrize(("method", "parameter"), CHOICES, ids=lambda v: getattr(v, "name", v))
def test_the_words_listed_are_those_taken(method: str, parameter: object) -> None:
    name, choices = parameter.name, parameter.choices  # type: ignore[attr-defined]
    for word in choices:
        assert getattr(xk.methods[method].make({name: word}), name) == word
    with pytest.raises(ParameterError, match=f"{name} .*{choices[0]}.* not 'no-such'"):
        xk.methods[method].make({name: "no-such"})
