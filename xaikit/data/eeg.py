"""Brain waves drawn by code, with and without an epileptic discharge."""

from functools import cache
from typing import NamedTuple

import numpy as np

from xaikit.arrays import Array
from xaikit.data._part import Part, Split

RATE = 50.0
STEPS = 100
SHARPNESS = 0.06  # of a spike, in cycles
PLACES = {  # the 10-20 system seen from above: right, front, in radii of the head
    "Fp1": (-0.3, 0.95),
    "Fp2": (0.3, 0.95),
    "F7": (-0.8, 0.6),
    "F3": (-0.4, 0.5),
    "F4": (0.4, 0.5),
    "F8": (0.8, 0.6),
    "T3": (-1.0, 0.0),
    "C3": (-0.5, 0.0),
    "C4": (0.5, 0.0),
    "T4": (1.0, 0.0),
    "T5": (-0.8, -0.6),
    "P3": (-0.4, -0.5),
    "P4": (0.4, -0.5),
    "T6": (0.8, -0.6),
    "O1": (-0.3, -0.95),
    "O2": (0.3, -0.95),
}
ELECTRODES = tuple(PLACES)


class Waves(NamedTuple):
    """Drawn brain waves.

    x: (sample, 100, 16, 1) float32 in µV, time by electrode; y: (sample,), 1 with a discharge; discharge:
    (sample, 100, 16) float32, the part of x that is the discharge, 0 everywhere without one.
    """

    x: Array
    y: Array
    discharge: Array


def draw_eeg(n: int, seed: int = 0) -> Waves:
    """Draw n pieces of 2 seconds at 50 Hz from 16 electrodes, every second one with a spike-and-wave discharge.

    Everywhere: noise whose power falls as 1/f, alike at electrodes near each other, 15 to 25 µV; an alpha rhythm of 8
    to 12 Hz at the back of the head; in half of the pieces a slow wave of 2 to 4 Hz, in a third a blink at the front.
    A discharge: spikes and slow waves, 2.7 to 3.3 a second, that begin in the first 1.2 seconds, last to the end and
    are strongest at one place, 35 to 110 µV. Neither power at 3 Hz nor amplitude alone decides.
    """
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    time = np.arange(STEPS) / RATE
    background = _noise(rng, n) + _alpha(rng, n, time) + _slow(rng, n, time) + _blinks(rng, n, time)
    discharge = _spikes_and_waves(rng, n, time) * y[:, None, None]
    return Waves((background + discharge)[..., None].astype(np.float32), y, discharge.astype(np.float32))


def _noise(rng: np.random.Generator, n: int) -> Array:
    """Noise with power 1/f in time, mixed between electrodes by their distance: (sample, time, electrode)."""
    frequency = np.fft.rfftfreq(STEPS, 1 / RATE)
    amplitude = np.r_[0.0, frequency[1:] ** -0.5]
    white = np.fft.rfft(rng.standard_normal((n, STEPS, len(ELECTRODES))), axis=1)
    pink = np.fft.irfft(white * amplitude[:, None], STEPS, axis=1)
    mixed = pink @ _nearness(np.array(list(PLACES.values())), 0.5)
    return mixed / mixed.std(axis=(1, 2), keepdims=True) * rng.uniform(15, 25, (n, 1, 1))


def _alpha(rng: np.random.Generator, n: int, time: Array) -> Array:
    back = _nearness(np.array([[0.0, -1.0]]), 0.7)[0]
    swell = 0.6 + 0.4 * _wave(rng, n, time, 0.3, 0.8)
    return rng.uniform(3, 20, (n, 1, 1)) * swell * _wave(rng, n, time, 8, 12) * back


def _slow(rng: np.random.Generator, n: int, time: Array) -> Array:
    there = rng.random((n, 1, 1)) < 0.5
    return there * rng.uniform(10, 35, (n, 1, 1)) * _wave(rng, n, time, 2, 4) * _somewhere(rng, n)


def _blinks(rng: np.random.Generator, n: int, time: Array) -> Array:
    there = rng.random((n, 1, 1)) < 1 / 3
    moment = rng.uniform(0.2, 1.8, (n, 1, 1))
    front = _nearness(np.array([[0.0, 1.1]]), 0.5)[0]
    return there * rng.uniform(40, 90, (n, 1, 1)) * np.exp(-(((time[:, None] - moment) / 0.1) ** 2)) * front


def _spikes_and_waves(rng: np.random.Generator, n: int, time: Array) -> Array:
    onset, rate = rng.uniform(0.0, 1.2, (n, 1, 1)), rng.uniform(2.7, 3.3, (n, 1, 1))
    cycles = np.maximum(time[:, None] - onset, 0.0) * rate
    phase = cycles % 1.0
    spike = np.exp(-(((phase - 0.15) / SHARPNESS) ** 2))
    wave = np.where(phase > 0.3, np.sin(np.pi * (phase - 0.3) / 0.7), 0.0)
    form = spike - 0.7 * wave
    level = SHARPNESS * np.sqrt(np.pi) - 0.7 * 0.7 * 2 / np.pi  # its mean over a cycle, which amplifiers do not pass
    amplitude = np.exp(rng.uniform(np.log(35), np.log(110), (n, 1, 1)))
    return (cycles > 0) * amplitude * (form - level) * _somewhere(rng, n)


def _wave(rng: np.random.Generator, n: int, time: Array, low: float, high: float) -> Array:
    """A sine of a frequency between two and of any phase: (sample, time, 1)."""
    turns = rng.uniform(low, high, (n, 1, 1)) * time[:, None] + rng.random((n, 1, 1))
    return np.sin(2 * np.pi * turns)


def _somewhere(rng: np.random.Generator, n: int) -> Array:
    """How strongly each electrode sees a source at one of them, which reaches a random way: (sample, 1, electrode)."""
    places = np.array(list(PLACES.values()))[rng.integers(len(PLACES), size=n)]
    return _nearness(places, rng.uniform(0.4, 1.0, (n, 1)))[:, None]


def _nearness(places: Array, reach: float | Array) -> Array:
    """1 at an electrode, falling as a Gaussian with the distance: (place, electrode)."""
    away = places[:, None] - np.array(list(PLACES.values()))
    return np.exp(-(away**2).sum(-1) / (2 * np.asarray(reach) ** 2))


@cache
def eeg(split: Split = "train") -> Part:
    """Give what `draw_eeg` draws: 4,000 pieces with seed 0 for training, 1,000 with seed 1 for testing."""
    drawn = draw_eeg(4_000, seed=0) if split == "train" else draw_eeg(1_000, seed=1)
    return Part(drawn.x, drawn.y)
