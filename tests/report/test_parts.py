"""Strongest parts and agreement: closed forms."""

from dataclasses import replace

import numpy as np
from numpy.testing import assert_allclose

from tests.figures import synthetic as s
from xaikit.quality import comparable
from xaikit.report._parts import sentence, strongest


def test_regions_of_a_picture_sum_to_the_map() -> None:
    e = s.image()
    found = strongest(e, count=1000)
    assert_allclose(sum(p.value for p in found.parts), e.values[0].sum(), rtol=1e-6)
    assert_allclose(sum(p.share for p in found.parts), 1)
    assert [abs(p.value) for p in found.parts] == sorted((abs(p.value) for p in found.parts), reverse=True)
    assert comparable(e).size == e.values.shape[1] * e.values.shape[2]


def test_one_bright_corner_is_named() -> None:
    e = s.image()
    values = np.zeros_like(e.values)
    values[0, 0, -1] = 1
    best = strongest(replace(e, values=values))
    assert [p.name for p in best.parts] == ["upper right"]
    assert best.parts[0].share == 1


def test_parts_of_a_method_are_its_own_numbers() -> None:
    e = s.segmented()
    assert e.part_values is not None
    found = strongest(e)
    assert_allclose(found.parts[0].value, e.part_values[0][np.nanargmax(np.abs(e.part_values[0]))])
    assert found.kind == "part"


def test_a_sentence_names_both_sides_and_says_when_there_is_nothing() -> None:
    e = s.image()
    values = np.zeros_like(e.values)
    values[0, 0, 0], values[0, -1, -1] = 2, -1
    told = sentence(shown := replace(e, values=values), strongest(shown))
    label = e.target_labels[0]
    assert told.startswith(f"What speaks for {label} most is upper left")
    assert "what speaks against it most is lower right" in told
    nothing = replace(e, values=np.zeros_like(e.values))
    assert sentence(nothing, strongest(nothing)) == f"Nothing moves the score of {label}: every value is zero."
    only = replace(e, values=-np.abs(values))
    assert sentence(only, strongest(only)).startswith(f"What speaks against {label} most is upper left")
