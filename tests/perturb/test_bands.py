"""Bands, channels and what stands in the place of hidden steps of a series."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from xaikit.errors import ParameterError
from xaikit.perturb.bands import BANDS
from xaikit.perturb.baseline import baselines
from xaikit.perturb.maskers import Masker
from xaikit.perturb.segments import Parts

RATE, STEPS = 100.0, 200
TIME = np.arange(STEPS) / RATE
WAVES = {"delta": 2.0, "theta": 6.0, "alpha": 10.0, "beta": 20.0, "gamma": 40.0}
"""A frequency in the middle of each band, with whole periods in the two seconds."""
SIGNAL = sum(
    a * np.sin(2 * np.pi * f * TIME + a) for a, f in zip((1.0, 0.5, 2.0, 0.7, 0.3), WAVES.values(), strict=True)
)
SIGNAL = SIGNAL + 0.4 * np.cos(2 * np.pi * 50 * TIME)  # the highest frequency there is
X = np.stack([SIGNAL, 3 + np.cos(2 * np.pi * 6 * TIME), np.zeros(STEPS)], axis=1).astype(np.float32)
SERIES = xk.Series(STEPS, 3, rate=RATE)
WEIGHTS = np.random.default_rng(0).normal(size=(STEPS, 3))


def model(spec: Any = SERIES) -> Any:
    return xk.wrap(
        lambda a: (a.reshape(len(a), STEPS, 3) * WEIGHTS).sum((1, 2))[:, None], inputs=spec, outputs=xk.Values(["y"])
    )


def component(x: Any, low: float, high: float) -> Any:
    """The part of a series between two frequencies, by the definition of the discrete transform."""
    found = np.zeros_like(x, dtype=np.float64)
    for k in range(STEPS):
        if low <= min(k, STEPS - k) * RATE / STEPS < high:
            wave = np.exp(2j * np.pi * k * np.arange(STEPS) / STEPS)
            found += np.real(np.outer(wave, wave.conj() @ x)) / STEPS
    return found


EXPECTED = np.stack([(component(X, low, high) * WEIGHTS).sum(0) for low, high in BANDS.values()])
"""What each band of each channel adds to a linear score: (band, channel)."""


@pytest.mark.parametrize("method", ["occlusion", "exact-shapley", "kernel-shap", "permutation-shap", "partition-shap"])
def test_a_linear_score_has_each_bands_own_share(method: str) -> None:
    e = xk.explain(model(), X, method, segments="bands")
    assert e.axes == ("sample", "band")
    assert_allclose(e.values[0], EXPECTED.sum(1), atol=1e-3)  # of sums of 600 float32 numbers up to 4
    assert e.parts is None
    assert list(e.origin.notes["bands"]) == list(BANDS)


@pytest.mark.parametrize("method", ["occlusion", "kernel-shap", "partition-shap"])
def test_bands_of_every_channel_and_channels(method: str) -> None:
    both = xk.explain(model(), X, method, segments="bands-by-channel")
    assert both.axes == ("sample", "band", "channel")
    assert_allclose(both.values[0], EXPECTED, atol=1e-3)
    assert_array_equal(both.values[0, :, 2], 0)  # a channel of nothing has nothing to hide
    channels = xk.explain(model(), X, method, segments="channels")
    assert channels.axes == ("sample", "channel")
    assert_allclose(channels.values[0], (X * WEIGHTS).sum(0), atol=1e-3)


def test_lime_finds_the_bands() -> None:
    e = xk.explain(model(), X, "lime", segments="bands", samples=400)
    assert e.quality["surrogate_r2"][0] > 0.99
    assert_allclose(e.values[0], EXPECTED.sum(1), atol=0.05 * np.abs(EXPECTED.sum(1)).max())


def seen(**how: Any) -> list[Any]:
    """Give the inputs that the model was asked about."""
    asked: list[Any] = []

    def watch(a: Any) -> Any:
        asked.extend(a.copy())
        return a.sum((1, 2))[:, None]

    xk.explain(xk.wrap(watch, inputs=SERIES, outputs=xk.Values(["y"])), X, "occlusion", **how)
    return asked


def test_what_is_left_keeps_amplitude_and_phase() -> None:
    """Hiding alpha leaves the other frequencies' coefficients, and the mean, as they were."""
    before = np.fft.rfft(X, axis=0)
    frequency = np.fft.rfftfreq(STEPS, 1 / RATE)
    inside = (frequency >= 8) & (frequency < 13)
    without = [np.fft.rfft(a, axis=0) for a in seen(segments="bands")]
    found = [s for s in without if np.abs(s[inside]).max() < 1e-3]
    assert len(found) == 1
    assert_allclose(found[0][~inside], before[~inside], atol=2e-4)  # 200 float32 roundings of numbers up to 5
    assert any((a == X).all() for a in seen(segments="bands"))


def test_a_band_is_exchanged_for_that_of_the_baseline() -> None:
    other = np.roll(X, 3, axis=0) * 2
    e = xk.explain(model(), X, "occlusion", segments="bands", baseline=other)
    low, high = BANDS["alpha"]
    expected = (component(X - other, low, high) * WEIGHTS).sum()
    assert_allclose(e.values[0, 2], expected, atol=1e-3)
    several = xk.explain(model(), X, "occlusion", segments="bands", baseline=[other, X])
    assert_allclose(several.values[0, 2], expected / 2, atol=1e-3)


def test_bands_of_ones_own_in_an_array_with_time() -> None:
    spec = xk.Array((STEPS, 3), axes=("time", "electrode"))
    asked = ("bands-by-channel", {"rate": RATE, "bands": {"slow": (0, 5), "fast": (5, 60)}})
    e = xk.explain(model(spec), X, "occlusion", segments=asked)
    assert e.axes == ("sample", "band", "electrode")
    assert e.origin.notes["bands"] == {"slow": [0.0, 5.0], "fast": [5.0, 50.0]}
    assert_allclose(e.values[0, 1], (component(X, 5, 60) * WEIGHTS).sum(0), atol=1e-3)


def test_an_axis_of_one_is_left_out() -> None:
    spec = xk.Array((STEPS, 3, 1), axes=("time", "electrode", "channel"))
    e = xk.explain(model(spec), X[..., None], "occlusion", segments=("bands-by-channel", {"rate": RATE}))
    assert e.axes == ("sample", "band", "electrode")
    assert_allclose(e.values[0], EXPECTED, atol=1e-3)
    channels = xk.explain(model(spec), X[..., None], "occlusion", segments="channels")
    assert channels.axes == ("sample", "electrode")
    assert_allclose(channels.values[0], (X * WEIGHTS).sum(0), atol=1e-3)


def test_faithfulness_hides_the_bands_themselves(tmp_path: Any) -> None:
    for segments in ("bands", ("bands-by-channel", {"rate": RATE}), "channels"):
        e = xk.explain(
            model(), X, "exact-shapley" if isinstance(segments, str) else "permutation-shap", segments=segments
        )
        e = xk.load(xk.save(e, tmp_path / "e"))
        found = xk.faithfulness(model(), e)
        assert found.parts[0] == e.values[0].size
        assert_allclose(found.infidelity[0], 0, atol=1e-4)  # the score is linear


def test_a_band_ends_below_its_upper_end() -> None:
    x = np.repeat(np.cos(2 * np.pi * 4 * TIME)[:, None], 3, axis=1)
    e = xk.explain(model(), x, "occlusion", segments=("bands", {"bands": {"slow": (1, 4), "rest": (4.5, 50)}}))
    assert_allclose(e.values, 0, atol=1e-4)


def test_padding_is_no_part_of_a_band() -> None:
    spec = xk.Series(STEPS, 3, rate=RATE, pad=-9.0)
    x = X.copy()
    x[150:] = -9.0
    asked: list[Any] = []

    def watch(a: Any) -> Any:
        asked.extend(a.copy())
        return a.sum((1, 2))[:, None]

    e = xk.explain(xk.wrap(watch, inputs=spec, outputs=xk.Values(["y"])), x, "occlusion", segments="bands")
    assert e.values.shape == (1, 5)
    assert all((a[150:] == -9).all() for a in asked)
    assert any((a[:150] != x[:150]).any() for a in asked)


@pytest.mark.parametrize(
    ("spec", "segments", "why"),
    [
        (xk.Series(STEPS, 3), "bands", "need the sampling rate"),
        (SERIES, ("bands", {"rate": -1}), "positive number"),
        (SERIES, ("bands", {"rates": 1}), "rate and bands, not rates"),
        (SERIES, ("bands", {"bands": {"a": (4, 2)}}), "0 <= from < below"),
        (SERIES, ("bands", {"bands": {"a": (1, 5), "b": (4, 8)}}), "overlap"),
        (SERIES, ("bands", {"bands": {"a": (1.1, 1.2)}}), "none is in a"),
        (SERIES, ("channels", {"rate": 3}), "no parameters"),
        (xk.Array((STEPS, 3)), "bands", "axis of time"),
        (xk.Image(20, 30, 1), "channels", "axis of time"),
    ],
)
def test_bands_that_there_are_none_of(spec: Any, segments: Any, why: str) -> None:
    x = np.full(spec.shape, 100.0, np.float32) if spec.kind == "Image" else X
    with pytest.raises(ParameterError, match=why):
        xk.explain(model(spec), x, "occlusion", segments=segments)


def test_a_series_of_one_step_has_no_band() -> None:
    plain = xk.wrap(lambda a: a[:, 0, :1], inputs=xk.Series(1, 2, rate=100), outputs=xk.Values(["y"]))
    with pytest.raises(ParameterError, match="1 steps at 100 per second"):
        xk.explain(plain, [[[1.0, 2.0]]], "occlusion", segments="bands")
    assert_allclose(xk.explain(plain, [[[1.0, 2.0]]], "occlusion", segments="channels").values, [[1.0, 0.0]])


def test_windows_and_segments_are_one_or_the_other() -> None:
    with pytest.raises(ParameterError, match="windows or segments"):
        xk.explain(model(), X, "occlusion", segments="bands", window=4)
    with pytest.raises(ParameterError, match="a band is at all of them"):
        xk.explain(model(), X, "occlusion", segments="bands", baseline="linear")


# ---------------------------------------------------------------- what stands in the place of hidden steps


def filled(x: Any, hidden_steps: list[int], way: str) -> Any:
    labels = np.arange(len(x))
    masker = Masker({"": x}, Parts({"": labels}), {"": np.full_like(x, 7.0)[None]}, bridged={"": way})
    out = np.empty((1, *x.shape), x.dtype)
    shown = np.ones((1, len(x)), bool)
    shown[0, hidden_steps] = False
    masker.filler()(shown, slice(0, 1), {"": out})
    return out[0, :, 0]


STAIRS = np.array([1, 2, 4, 8, 16, 32], np.float32)[:, None]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([2, 3], [1, 2, 2 + 14 / 3, 2 + 28 / 3, 16, 32]),
        ([0, 1], [4, 4, 4, 8, 16, 32]),
        ([4, 5], [1, 2, 4, 8, 8, 8]),
        ([1, 4], [1, 2.5, 4, 8, 20, 32]),
        ([], [1, 2, 4, 8, 16, 32]),
        ([0, 1, 2, 3, 4, 5], [7] * 6),
    ],
)
def test_a_line_between_the_borders(steps: list[int], expected: list[float]) -> None:
    assert_allclose(filled(STAIRS, steps, "linear"), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [([1, 2, 3], [1, 8, 4, 2, 16, 32]), ([0, 1, 4, 5], [2, 1, 4, 8, 32, 16]), (list(range(6)), [32, 16, 8, 4, 2, 1])],
)
def test_a_stretch_turned_round(steps: list[int], expected: list[float]) -> None:
    assert_array_equal(filled(STAIRS, steps, "reverse"), expected)


@pytest.mark.parametrize("baseline", ["linear", "reverse", "resample", "noise", "mean", 0.0])
@pytest.mark.parametrize("method", ["occlusion", "lime", "kernel-shap"])
def test_every_fill_serves_every_method_that_hides(method: str, baseline: Any) -> None:
    few = {"lime": {"samples": 60}, "kernel-shap": {"samples": 60}}.get(method, {})
    e = xk.explain(model(), X, method, baseline=baseline, **few)
    assert e.values.shape == (1, STEPS)
    assert np.isfinite(e.values).all()
    assert e.values.any()


def test_resampled_numbers_are_those_of_their_channel() -> None:
    x = np.arange(12, dtype=np.float32).reshape(1, 6, 2)
    spec = xk.Series(6, 2)
    own = baselines(("resample", {"draws": 40}), spec, x, 3)
    assert own.shape == (1, 40, 6, 2)
    assert set(own[..., 0].ravel()) == set(x[..., 0].ravel())
    rows = [np.full((6, 2), 50.0), np.full((6, 2), 60.0)]
    given = baselines(("resample", {"draws": 40, "rows": rows}), spec, x, 3)
    assert set(given.ravel()) == {50.0, 60.0}
    assert_array_equal(given, baselines(("resample", {"draws": 40, "rows": rows}), spec, x, 3))
    assert (given != baselines(("resample", {"draws": 40, "rows": rows}), spec, x, 4)).any()
    with pytest.raises(ParameterError, match="draws, a number from 1"):
        baselines(("resample", {"draws": 0}), spec, x)
    with pytest.raises(ParameterError, match="takes draws and rows"):
        baselines(("resample", {"row": 0}), spec, x)


def test_fills_of_series_are_refused_elsewhere() -> None:
    for baseline in ("linear", "reverse"):
        picture = xk.wrap(lambda a: a.sum((1, 2)), inputs=xk.Image(4, 4, 1), outputs=xk.Values(["y"]))
        with pytest.raises(ParameterError, match="for a Series"):
            xk.explain(picture, np.full((4, 4, 1), 9, np.uint8), "occlusion", baseline=baseline)
