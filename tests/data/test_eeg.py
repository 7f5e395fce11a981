"""Brain waves: what is drawn, where the discharge is, and that no simple measure gives it away."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from xaikit import data

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def waves() -> data.Waves:
    return data.draw_eeg(400, seed=3)


def test_waves_come_from_the_seed(waves: data.Waves) -> None:
    assert waves.x.shape == (400, 100, 16, 1)
    assert waves.x.dtype == np.float32
    assert len(data.ELECTRODES) == 16
    assert_array_equal(np.bincount(waves.y), [200, 200])
    assert_array_equal(data.draw_eeg(400, seed=3).x, waves.x)
    assert not np.array_equal(data.draw_eeg(400, seed=4).x, waves.x)


def test_a_discharge_begins_somewhere_and_lasts_to_the_end(waves: data.Waves) -> None:
    size = abs(waves.discharge).max(axis=2)
    assert not size[waves.y == 0].any()
    ill = size[waves.y == 1]
    begins = (ill > 0).argmax(axis=1)
    assert begins.min() <= 5
    assert 50 <= begins.max() <= 61
    assert all((row[first:] > 0).all() for row, first in zip(ill, begins, strict=True))
    assert 20 < ill.max(axis=1).min() < ill.max(axis=1).max() < 160


def test_a_discharge_repeats_three_times_a_second(waves: data.Waves) -> None:
    place = abs(waves.discharge).max(axis=1).argmax(axis=1)
    early = [
        i for i in np.flatnonzero(waves.y) if (abs(waves.discharge[i]).max(axis=1) > 0).argmax() < 10
    ]  # at least five cycles
    power = np.abs(np.fft.rfft([waves.discharge[i, :, place[i]] for i in early], axis=1))
    peak = np.fft.rfftfreq(100, 1 / 50.0)[1 + power[:, 1:].argmax(axis=1)]
    assert len(early) > 10
    assert ((peak >= 2.5) & (peak <= 3.5)).all()


def test_the_noise_is_pink_and_alike_nearby(waves: data.Waves) -> None:
    calm = waves.x[waves.y == 0, ..., 0]
    power = (np.abs(np.fft.rfft(calm, axis=1)) ** 2).mean(axis=(0, 2))
    frequency = np.fft.rfftfreq(100, 1 / 50.0)
    band = frequency > 13
    slope = np.polyfit(np.log(frequency[band]), np.log(power[band]), 1)[0]
    assert_allclose(slope, -1.0, atol=0.25)
    together = np.corrcoef(calm.transpose(2, 0, 1).reshape(16, -1))
    at = data.ELECTRODES.index
    assert together[at("O1"), at("O2")] > together[at("Fp1"), at("O2")] + 0.3


def test_the_alpha_rhythm_is_at_the_back(waves: data.Waves) -> None:
    power = np.abs(np.fft.rfft(waves.x[waves.y == 0, ..., 0], axis=1)) ** 2
    alpha = power[:, 16:25].mean(axis=(0, 1)) / power[:, 30:].mean(axis=(0, 1))
    at = data.ELECTRODES.index
    assert alpha[[at("O1"), at("O2")]].min() > 1.5 * alpha[[at("F7"), at("F8")]].max()


def test_neither_amplitude_nor_power_at_3_hz_tells(waves: data.Waves) -> None:
    x = waves.x[..., 0]
    amplitude = abs(x).max(axis=(1, 2))
    power = (np.abs(np.fft.rfft(x, axis=1)) ** 2)[:, 5:8].sum(axis=1).max(axis=1)
    level = abs(x.mean(axis=1)).max(axis=1)
    for measure in (amplitude, power, level):
        best = max(((measure > cut) == waves.y).mean() for cut in np.quantile(measure, np.linspace(0, 1, 101)))
        assert best < 0.85


def test_the_set() -> None:
    described = data.load("eeg")
    assert described.classes == ("background", "discharge")
    training, test = described.read("train"), described.read("test")
    data.load("eeg").read.cache_clear()  # type: ignore[attr-defined]
    assert training.x.shape == (4000, 100, 16, 1)
    assert test.x.shape == (1000, 100, 16, 1)
    assert_array_equal(np.bincount(test.y), [500, 500])
    assert not {x.tobytes() for x in training.x} & {x.tobytes() for x in test.x}
