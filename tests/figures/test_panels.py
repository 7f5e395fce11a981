"""Results become panels: what is shown, as numbers and words."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tests.figures import synthetic as s
from xaikit.arrays import upsample
from xaikit.errors import UsageError
from xaikit.figures import (
    BarPanel,
    ImagePanel,
    LinePanel,
    MapPanel,
    ScorePanel,
    TextPanel,
    label_of,
    panels,
    score_of,
)
from xaikit.figures._attribution import FINEST
from xaikit.inputs import At, Classes, Image, Margin, Values
from xaikit.results import Attribution, Attributions, Comparison


def only(result: Any, kind: type, **options: Any) -> Any:
    found = [p for p in panels(result, **options).panels if isinstance(p, kind)]
    assert len(found) == 1
    return found[0]


def test_a_map_is_the_sum_over_channels() -> None:
    result = s.image()
    panel = only(result, MapPanel)
    assert_allclose(panel.values, result.values[0].sum(-1))
    assert panel.values.min() < 0 < panel.values.max()


def test_an_image_shows_the_photo_the_map_and_the_answer() -> None:
    figure = panels(s.image())
    assert [type(p) for p in figure.panels] == [ImagePanel, MapPanel, ScorePanel]
    assert_array_equal(next(iter(figure.panels)).image, s.photo()[0])


def test_titles_hold_class_score_and_method() -> None:
    figure = panels(s.image())
    assert figure.title == "cat 0.97 · Integrated gradients"
    assert only(s.image(), MapPanel).title == "Integrated gradients for cat"
    assert only(s.image(), ImagePanel).title == "cat 0.97"
    assert "seed 7" in figure.subtitle
    assert "small net" in figure.subtitle


def test_the_answer_lists_names_best_first_and_marks_the_explained_one() -> None:
    panel = only(s.image(), ScorePanel)
    assert panel.names == ("cat", "dog", "bird")
    assert_allclose(panel.scores, (0.97, 0.02, 0.01))
    assert panel.chosen == "cat"


def test_many_classes_give_the_best_five() -> None:
    spec = Classes(tuple(f"class {k}" for k in range(1000)), form="softmax")
    answer = np.full((1, 1000), 1e-4)
    answer[0, 3] = 0.9
    panel = only(s.image(output_spec=spec, prediction=answer, target=(3,), target_labels=("class 3",)), ScorePanel)
    assert len(panel.names) == 5
    assert panel.title == "Top 5 of 1,000 classes"


def test_segments_become_outlines() -> None:
    result = s.segmented()
    panel = only(result, MapPanel)
    assert result.parts is not None
    assert_array_equal(panel.outlines, result.parts[0])
    assert panel.scale.limit == 0.4


def test_parts_as_fine_as_pixels_are_not_outlined() -> None:
    result = s.segmented()
    shape = result.display[0].shape[:2]
    fine = replace(result, parts=np.arange(np.prod(shape)).reshape(1, *shape))
    assert len(np.unique(fine.parts)) > FINEST
    assert only(fine, MapPanel).outlines is None
    assert not any("borders" in note for note in panels(fine).notes)


def test_wide_panels_stand_three_in_a_row() -> None:
    figure = panels({name: s.row() for name in ("a", "b", "c", "d", "e")})
    assert [len(row) for row in figure.rows] == [3, 2]


def test_numbers_without_a_sign_do_not_speak_for_or_against() -> None:
    result = s.text()
    signed = replace(result.origin, method="saliency")
    assert panels(replace(result, origin=signed)).legend.low.startswith("speaks against")
    sizes = replace(result, values=np.abs(result.values), origin=signed)
    assert (panels(sizes).legend.low, panels(sizes).legend.high) == ("", "more sensitive to a change")
    assert "sizes only: no sign" in only(sizes, TextPanel).facts
    rolled = replace(sizes, origin=replace(result.origin, method="attention-rollout"))
    assert panels(rolled).legend.high == "attended to more"
    assert panels(replace(sizes, origin=result.origin)).legend.low.startswith("speaks against")


def test_a_coarse_map_is_drawn_at_every_pixel_and_says_so() -> None:
    result = s.coarse()
    panel = only(result, MapPanel)
    assert panel.values.shape == (4, 4)
    assert_allclose(panel.drawn, upsample(result.values, (s.SIDE, s.SIDE))[0])
    assert "drawn from a grid of 4 × 4" in panel.facts


def test_a_table_row_is_one_bar_per_column_largest_first() -> None:
    panel = only(s.row(), BarPanel)
    assert panel.labels == ("job = nurse", "age = 52", "hours = 45")
    assert_allclose(panel.values, (-0.5, 0.1, 0.05))


def test_part_values_of_a_row_are_shown_as_they_are() -> None:
    panel = only(s.row(part_values=np.array([[0.3, -0.9, 0.6]])), BarPanel)
    assert_allclose(panel.values, (-0.9, 0.6, 0.3))


def test_bars_that_do_not_fit_are_summed() -> None:
    result = s.features(25)
    panel = only(result, BarPanel)
    assert len(panel.labels) == 21
    assert panel.labels[-1] == "5 others together"
    assert_allclose(panel.values.sum(), result.values.sum())


def test_a_series_keeps_its_units_and_time() -> None:
    panel = only(s.series(), LinePanel)
    assert panel.x_label == "time (s)"
    assert [line.name for line in panel.lines] == ["channel 0", "channel 1"]
    assert_allclose(panel.lines[0].x, np.arange(10) / 100)
    assert_allclose(panel.lines[1].contributions[3], -0.6)
    assert "strongest at 0.03 s, channel 1" in panel.alt


def test_a_series_with_many_channels_shows_the_strongest_and_says_how_many_are_left() -> None:
    result = s.series(15)
    panel = only(result, LinePanel)
    assert len(panel.lines) == 12
    assert {"channel 0", "channel 14"} <= {line.name for line in panel.lines}
    assert "3 channels with smaller contributions are not drawn" in panel.facts


def test_a_text_is_shown_whole_with_values_on_its_words() -> None:
    result = s.text()
    panel = only(result, TextPanel)
    assert "".join(piece for piece, _ in panel.pieces) == result.display[0]
    assert [(w, v) for w, v in panel.pieces if v is not None] == [
        ("not", -0.7),
        ("a", 0.01),
        ("good", 0.5),
        ("film", 0.1),
    ]


def test_token_ids_are_shown_as_words() -> None:
    result = s.text()
    panel = only(replace(result, display=result.x), TextPanel)
    assert [w for w, v in panel.pieces if v is not None] == ["not", "a", "good", "film"]


def test_features_are_named_with_their_values() -> None:
    panel = only(s.features(), BarPanel)
    assert panel.labels[0] == "[3] = −4"


def test_a_plane_is_drawn_as_it_is() -> None:
    result = s.KINDS["plane"]()
    assert_allclose(only(result, MapPanel).values, result.values[0])


def test_more_axes_are_summed_and_named() -> None:
    result = s.attribution(np.ones((1, 2, 5, 4, 3)), ("layer", "row", "column", "part"), "saliency")
    panel = only(result, MapPanel)
    assert_allclose(panel.values, np.full((5, 4), 6.0))
    assert "summed over layer, part" in panel.facts
    assert panel.scale.limit == 6.0


def test_values_that_are_not_finite_are_counted() -> None:
    values = s.KINDS["plane"]().values.copy()
    values[0, 1, 1] = np.nan
    panel = only(s.attribution(values, ("a", "b"), "saliency"), MapPanel)
    assert "1 value not finite (yellow)" in panel.facts
    assert panel.badge.level == "fail"
    assert np.isfinite(panel.scale.limit)


# ---------------------------------------------------------------- ranges


def test_zero_is_in_the_middle_of_every_range() -> None:
    for make in (s.image, s.segmented, s.coarse):
        scale = only(make(), MapPanel).scale
        assert scale.low == -scale.limit


def test_one_method_has_one_range_in_all_frameworks() -> None:
    weak = s.image()
    both = {"keras": {"m": replace(weak, values=3 * weak.values)}, "torch": {"m": weak}}
    limits = {p.scale.limit for p in panels(both).panels if isinstance(p, MapPanel)}
    assert len(limits) == 1


def test_methods_have_their_own_range_unless_it_is_shared() -> None:
    results = {"lime": s.segmented(), "occlusion": s.image("occlusion")}
    own = [p.scale.limit for p in panels(results).panels if isinstance(p, MapPanel)]
    shared = [p.scale.limit for p in panels(results, shared=True).panels if isinstance(p, MapPanel)]
    assert own[0] != own[1]
    assert shared == [max(own)] * 2


def test_sharing_stops_where_the_unit_changes() -> None:
    results = {"lime": s.segmented(), "grad-cam": s.coarse()}
    limits = [p.scale.limit for p in panels(results, shared=True).panels if isinstance(p, MapPanel)]
    assert limits == [0.4, 15.0]


def test_every_map_prints_its_range_and_unit() -> None:
    assert only(s.segmented(), MapPanel).subtitle == "±0.4 change of probability"
    assert only(s.coarse(), MapPanel).subtitle == "±15 weighted activation"
    assert only(s.image("saliency", score="logit"), MapPanel).subtitle.endswith("logit per unit of input")


def test_a_map_of_zeros_has_no_range() -> None:
    assert only(s.plane(values=np.zeros((1, 4, 6))), MapPanel).subtitle == "zero everywhere"


def test_extremes_do_not_take_the_colours_from_the_rest() -> None:
    values = np.full((1, 40, 40), 0.01)
    values[0, 0, 0] = 100.0
    panel = only(s.attribution(values, ("height", "width"), "saliency"), MapPanel)
    assert_allclose(panel.scale.limit, 0.01)
    assert any("beyond, up to 100" in fact for fact in panel.facts)


# ---------------------------------------------------------------- legend and words


def test_the_legend_has_numbers_for_one_range_and_words_for_several() -> None:
    one = panels(s.segmented()).legend
    assert one is not None
    assert [label for _, label in one.ticks] == ["−0.4", "−0.2", "0", "0.2", "0.4"]
    assert (one.low, one.high) == ("speaks against cat", "speaks for cat")
    several = panels({"a": s.segmented(), "b": s.coarse()}).legend
    assert several is not None
    assert [label for _, label in several.ticks] == ["−range", "−½", "0", "½", "+range"]


def test_a_regression_is_raised_and_lowered() -> None:
    legend = panels(s.image(output_spec=Values(("price",)), target_labels=("price",))).legend
    assert legend is not None
    assert (legend.low, legend.high) == ("lowers price", "raises price")


def test_the_verdict_and_its_reasons_are_on_the_panel() -> None:
    badge = only(s.segmented(), MapPanel).badge
    assert (badge.level, badge.text) == ("warn", "the surrogate explains R² = 0.40 of the model's changes")
    assert only(s.image(quality={"completeness_gap_relative": [0.001]}), MapPanel).badge.level == "ok"
    assert only(s.image(quality={"completeness_gap_relative": [0.2]}), MapPanel).badge.level == "fail"


def test_a_method_without_evidence_is_not_called_good() -> None:
    assert only(s.coarse(), MapPanel).badge.level == "none"


def test_evidence_and_cost_are_listed() -> None:
    facts = only(s.segmented(), MapPanel).facts
    assert "surrogate R² 0.4" in facts
    assert "1,000 model calls · 250 ms" in facts
    assert "standard error 2.9 % of the largest" in only(s.image(quality={"standard_error": [0.029]}), MapPanel).facts
    unknown = only(s.image(quality={"randomised_similarity": [np.nan]}), MapPanel).facts
    assert not any("random weights" in fact for fact in unknown)


@pytest.mark.parametrize("kind", s.KINDS)
def test_every_panel_is_told_in_words(kind: str) -> None:
    assert all(len(p.alt) > 20 for p in panels(s.KINDS[kind]()).panels)


def test_a_map_is_told_by_sign_and_place() -> None:
    alt = only(s.image(), MapPanel).alt
    assert "67% of the total is positive" in alt
    assert "most positive in the lower right" in alt
    assert "most negative in the upper right" in alt


# ---------------------------------------------------------------- targets and answers


def test_one_sigmoid_names_both_classes() -> None:
    spec, answer = Classes(("dog", "cat"), form="sigmoid"), np.array([[0.9]])
    for label, score in (("cat", "0.90"), ("dog", "0.10")):
        result = s.image(output_spec=spec, prediction=answer, target=(0,), target_labels=(label,))
        assert score_of(result, 0) == score


@pytest.mark.parametrize(
    ("target", "label", "expected"),
    [
        (Margin("cat", "dog"), "cat - dog", ""),
        (At(index=2), "bird", "0.01"),
        (2, "bird", "0.01"),
    ],
)
def test_the_score_follows_the_target(target: Any, label: str, expected: str) -> None:
    result = s.image(target=(target,), target_labels=(label,))
    assert (label_of(result, 0), score_of(result, 0)) == (label, expected)


def test_the_score_of_one_of_several_outputs_and_steps() -> None:
    spec = {"kind": Classes(("a", "b"), form="softmax"), "price": Values(("low", "high"))}
    answers = {"kind": np.array([[0.3, 0.7]]), "price": np.array([[[1.0, 2.0], [3.0, 4.5]]])}
    named = {"output_spec": spec, "prediction": answers}
    first = s.image(**named, target=(At(output="kind", index=1),), target_labels=("kind: b",))
    second = s.image(**named, target=(At(output="price", step=1, index=1),), target_labels=("price: high",))
    assert score_of(first, 0) == "0.70"
    assert score_of(second, 0) == "4.5"
    assert [type(p) for p in panels(second).panels] == [ImagePanel, MapPanel]


# ---------------------------------------------------------------- several results


def test_a_comparison_shows_every_method_and_their_agreement() -> None:
    methods = {"lime": s.segmented(), "grad-cam": s.coarse()}
    figure = panels(Comparison(methods, tuple(methods), np.array([[1.0, 0.25], [0.25, 1.0]])))
    assert [p.title for p in figure.panels] == ["cat 0.97", "LIME", "Grad-CAM", "Rank agreement"]
    (agreement,) = figure.below[0]
    assert "LIME and Grad-CAM 0.25" in agreement.alt


def test_frameworks_are_rows_and_methods_columns() -> None:
    group = {"lime": s.segmented(), "grad-cam": s.coarse()}
    figure = panels({"keras": group, "torch": group})
    titles = [[p.title if p else None for p in row] for row in figure.rows]
    assert titles == [["Keras · cat 0.97", "LIME", "Grad-CAM"], ["PyTorch · cat 0.97", "LIME", "Grad-CAM"]]


def test_many_methods_are_wrapped_into_even_rows() -> None:
    figure = panels({f"method {k}": s.segmented() for k in range(7)})
    assert [len(row) for row in figure.rows] == [5, 4]
    assert figure.rows[1][0] is None


def test_inputs_of_one_network_are_named() -> None:
    figure = panels(Attributions({"photo": s.image(), "row": s.row()}))
    assert [p.title for p in figure.panels][1:] == ["input photo", "input row"]


def test_groups_without_a_picture_are_named_too() -> None:
    figure = panels({"torch": {"lime": s.text()}, "keras": {"lime": s.text()}})
    assert [p.subtitle.partition(" · ")[0] for p in figure.panels] == ["PyTorch", "Keras"]


def test_a_batch_has_a_row_per_sample_up_to_eight() -> None:
    figure = panels(s.image(samples=10))
    assert len(figure.rows) == 8
    assert "8 of 10 samples are shown." in figure.notes
    assert figure.title == "10 samples · Integrated gradients"


@pytest.mark.parametrize("wrong", [3, "lime", None, [s.image()], {}, {"a": 3}, {"a": {"b": 3}}])
def test_what_is_no_result_is_refused(wrong: Any) -> None:
    with pytest.raises(UsageError, match=r"no figure for|a mapping is drawn"):
        panels(wrong)


def test_results_of_different_sample_counts_are_refused() -> None:
    with pytest.raises(UsageError, match=r"results of \[1, 2\] samples"):
        panels({"a": s.image(), "b": s.image(samples=2)})


def test_a_picture_of_one_channel_and_floats_is_shown() -> None:
    shown = np.linspace(0, 1, 64).reshape(1, 8, 8, 1)
    spec = Image(8, 8, 1, scale=1)
    result = s.attribution(shown, ("height", "width", "channel"), "saliency", display=shown, input_spec=spec)
    picture = only(result, ImagePanel).image
    assert (picture.shape, picture.dtype) == ((8, 8, 3), np.uint8)
    assert (picture.min(), picture.max()) == (0, 255)


def test_panels_do_not_change_the_result() -> None:
    result: Attribution = s.segmented()
    before = result.values.copy()
    panels(result)
    assert_array_equal(result.values, before)
