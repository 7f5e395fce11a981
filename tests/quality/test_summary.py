"""Summaries against the mean over the single explanations, in batches, by class, with their intervals."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

import xaikit as xk
from tests.contract.nets import ADAPTERS, TABULAR, image_pair, linear_net
from tests.contract.transformers import WORDS, wrapped
from xaikit.errors import InputError, NotSupported, ParameterError, UnknownName
from xaikit.quality import _summary


def rows(count: int) -> Any:
    return np.random.default_rng(5).normal(size=(count, 4)).astype(np.float32)


@pytest.mark.parametrize("framework", ADAPTERS)
def test_it_is_the_mean_over_single_explanations_with_students_interval(
    framework: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_summary, "BATCH", 7)  # so that the sums run over batches, the last one short
    model, _ = linear_net(framework)
    s = xk.summary(model, rows(40), "gradient-x-input", target=1, level=0.9)
    values = xk.explain(model, rows(40), "gradient-x-input", target=1).values.astype(np.float64)
    assert_allclose(s.signed[0], values.mean(0), atol=1e-7)
    assert_allclose(s.magnitude[0], np.abs(values).mean(0), atol=1e-7)
    for found, of in ((s.signed_interval, values), (s.magnitude_interval, np.abs(values))):
        expected = stats.t.interval(0.9, 39, of.mean(0), stats.sem(of, 0))
        assert_allclose(found[0], np.stack(expected, -1), atol=1e-6)
    assert s.classes == ("high",)
    assert s.parts == ("0", "1", "2", "3")
    assert_array_equal(s.counts, np.full((1, 4), 40))
    assert len(s) == 40
    assert s.origin.notes["samples"] == 40
    assert s.origin.model_calls == 40 * xk.explain(model, rows(1), "gradient-x-input", target=1).origin.model_calls


def test_intervals_hold_the_mean_as_often_as_they_say() -> None:
    model, weights = linear_net("torch")
    rng = np.random.default_rng(0)
    held = []
    for _ in range(100):
        x = rng.normal(0.5, 1, size=(30, 4)).astype(np.float32)
        low, high = np.moveaxis(xk.summary(model, x, "gradient-x-input", target=0, level=0.9).signed_interval[0], -1, 0)
        held.append((low <= 0.5 * weights[:, 0]) & (0.5 * weights[:, 0] <= high))
    assert 0.85 <= np.mean(held) <= 0.95  # 400 intervals, 0.9 ± 3.3 standard errors


@pytest.mark.parametrize("framework", ADAPTERS)
def test_pictures_are_grouped_by_their_predicted_class(framework: str) -> None:
    model, _ = image_pair(framework)
    x = np.random.default_rng(1).integers(0, 256, (12, 12, 12, 3)).astype(np.uint8)
    x[:6] //= 8
    s = xk.summary(model, x, "saliency")
    e = xk.explain(model, x, "saliency")
    assert s.magnitude.shape == (len(s.classes), 12, 12)
    assert s.axes == ("height", "width")
    for i, name in enumerate(s.classes):
        mine = [k for k, label in enumerate(e.target_labels) if label == name]
        maps = e.values[mine].sum(-1, dtype=np.float64)
        assert_allclose(s.signed[i], maps.mean(0), atol=1e-7)
        assert_allclose(s.magnitude[i], np.abs(maps).mean(0), atol=1e-7)
        assert_allclose(s.display[i], x[mine].mean(0))
        assert s.samples[i] == len(mine)
    assert s.samples.sum() == 12
    assert list(s.classes) == sorted(s.classes)
    assert_array_equal(s[s.classes[-1]].signed[0], s.signed[-1])
    with pytest.raises(UnknownName, match="summarised class"):
        s["no such class"]
    with pytest.raises(NotSupported, match="no ranking"):
        s.ranking()


def test_columns_of_a_table_are_the_parts() -> None:
    model, _ = linear_net("torch", TABULAR)
    rng = np.random.default_rng(2)
    people = [
        {"age": float(a), "job": str(j)}
        for a, j in zip(rng.normal(30, 9, 20), rng.choice(["clerk", "cook"], 20), strict=True)
    ]
    s = xk.summary(model, people, "kernel-shap", target="high")
    values = xk.explain(model, people, "kernel-shap", target="high").values
    assert s.parts == ("age", "job")
    assert_allclose(s.magnitude[0], np.abs(values).mean(0), atol=1e-7)
    assert [s.parts[k] for k in s.ranking()] == [s.parts[k] for k in np.argsort(-np.abs(values).mean(0))]


def test_words_are_counted_by_sample_and_rare_ones_left_out() -> None:
    model = wrapped("text", "torch")
    texts = ["good film", "good plot", "good good bad", "not good", "very bad film"]
    s = xk.summary(model, texts, "occlusion", target="a", minimum=2)
    singles = [xk.explain(model, t, "occlusion", target="a").values[0] for t in texts]
    good = [singles[0][-2], singles[1][-2], (singles[2][-3] + singles[2][-2]) / 2, singles[3][-1]]
    assert set(s.parts) == {"good", "bad", "film"}
    k = s.parts.index("good")
    assert_allclose(s.signed[0, k], np.mean(good), atol=1e-6)
    assert_allclose(s.magnitude[0, k], np.abs(good).mean(), atol=1e-6)
    assert s.counts[0, k] == 4
    assert_array_equal(s.magnitude[0], np.sort(s.magnitude[0])[::-1])
    by_ids = xk.summary(model, model.inputs.encode(texts), "occlusion", target="a", minimum=2)
    assert by_ids.parts == s.parts
    assert_allclose(by_ids.signed, s.signed, atol=1e-6)
    with pytest.raises(NotSupported, match="no word occurs in 9 samples"):
        xk.summary(model, texts, "occlusion", target="a", minimum=9)


def test_a_class_without_a_word_has_no_number_for_it() -> None:
    model = wrapped("text", "torch")
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS[2:], rng.integers(2, 7))) for _ in range(60)]
    s = xk.summary(model, texts, "saliency", minimum=3)
    few = s.counts < 3
    assert len(s.classes) > 1
    assert few.any()
    assert_array_equal(np.isnan(s.magnitude), few)


def test_targets_may_differ_by_sample_and_be_any_score() -> None:
    model, weights = linear_net("torch")
    x = rows(70)
    s = xk.summary(model, x, "saliency", target=[0, 1] * 35)
    assert s.classes == ("low", "high")
    assert_allclose(s.signed, weights.T, atol=1e-6)
    margin = xk.summary(model, x, "saliency", target=xk.Margin("high", "low"))
    assert_allclose(margin.signed[0], weights[:, 1] - weights[:, 0], atol=1e-6)


def test_progress_is_told_and_the_state_is_that_of_the_explanations() -> None:
    model, _ = linear_net("torch")
    told: list[tuple[int, int]] = []
    s = xk.summary(model, rows(130), "saliency", target=0, progress=lambda done, total: told.append((done, total)))
    assert told == [(64, 130), (128, 130), (130, 130)]
    assert s.status == "ok"
    assert s.origin.notes["ok"] == 130


def test_maps_that_are_not_finite_are_left_out_and_said() -> None:
    model = xk.wrap(
        lambda x: np.where(x[:, :1] > 0, x.sum(1, keepdims=True), np.nan),
        inputs=xk.Array((4,)),
        outputs=xk.Values(["v"]),
    )
    x = np.abs(rows(10))
    x[3, 0] = -1
    s = xk.summary(model, x, "occlusion", baseline=1e-3)
    assert s.samples.tolist() == [9]
    assert s.status == "fail"
    assert any("1 of 10 maps are not finite" in reason for reason in s.status.reasons)


def test_what_is_asked_is_checked() -> None:
    model, _ = linear_net("torch")
    with pytest.raises(ParameterError, match="level"):
        xk.summary(model, rows(3), "saliency", target=0, level=95)
    with pytest.raises(ParameterError, match="2 targets were given for 3 samples"):
        xk.summary(model, rows(3), "saliency", target=[0, 1])
    with pytest.raises(InputError, match="empty"):
        xk.summary(model, [], "saliency", target=0)


@pytest.mark.parametrize("kind", ["image", "table", "text"])
def test_stored_drawn_and_told(kind: str, tmp_path: Any) -> None:
    if kind == "image":
        model, x = image_pair("torch")
        s = xk.summary(model, x, "saliency")
    elif kind == "table":
        model, _ = linear_net("torch")
        s = xk.summary(model, rows(9), "saliency", target=0)
    else:
        s = xk.summary(wrapped("text", "torch"), ["good film", "bad film", "a film"], "saliency", target=0, minimum=2)
    back = xk.load(xk.save(s, tmp_path / "s"))
    for name in ("magnitude", "signed", "magnitude_interval", "signed_interval", "counts", "samples"):
        assert_array_equal(getattr(back, name), getattr(s, name))
    assert (back.classes, back.parts, back.axes, back.status) == (s.classes, s.parts, s.axes, s.status)
    assert repr(back) == repr(s)
    figure = xk.plot(back)
    assert str(len(s)) in figure.to_json()
