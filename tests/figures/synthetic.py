"""Results with numbers chosen by hand, one for each kind of input, for tests of figures, renderers and pages."""

from dataclasses import replace
from typing import Any

import numpy as np

from xaikit.inputs import Array, Category, Classes, Image, Number, Series, Table, Text, Values
from xaikit.results import Attribution, Origin, judge

SIDE = 24


def origin(method: str, framework: str = "torch", score: str = "probability", **other: Any) -> Origin:
    base = Origin(
        method=method,
        parameters={"samples": 100, "baseline": None, "layer": None},
        score=score,
        model="small net",
        framework=framework,
        fingerprint="0f" * 32,
        weights_id=None,
        input_hash=("00",),
        seed=7,
        versions={"xaikit": "0.1.0", framework: "1.2.3"},
        device="cpu",
        seconds=0.25,
        model_calls=1000,
    )
    return replace(base, **other)


def attribution(numbers: Any, axes: tuple[str, ...], method: str, **other: Any) -> Attribution:
    values = np.asarray(other.pop("values", numbers), np.float64)
    quality = {name: np.asarray(v, np.float64) for name, v in other.pop("quality", {}).items()}
    about = {name: other.pop(name) for name in ("framework", "score", "seconds") if name in other}
    fields: dict[str, Any] = {
        "values": values,
        "axes": ("sample", *axes),
        "parts": None,
        "part_values": None,
        "x": values,
        "display": values,
        "input_spec": Array(values.shape[1:]),
        "output_spec": Classes(("dog", "cat", "bird"), form="softmax"),
        "prediction": np.array([[0.02, 0.97, 0.01]] * len(values)),
        "target": (1,) * len(values),
        "quality": quality,
        "status": judge(quality, values),
        "origin": origin(method, **about),
        "target_labels": ("cat",) * len(values),
    }
    return Attribution(**(fields | other))


def photo(samples: int = 1) -> Any:
    """Pictures (sample, SIDE, SIDE, 3) uint8: a ramp of colours."""
    ramp = np.linspace(0, 255, SIDE)
    one = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], 128.0), axis=-1)
    return np.repeat(np.rint(one).astype(np.uint8)[None], samples, axis=0)


def image(method: str = "integrated-gradients", samples: int = 1, **other: Any) -> Attribution:
    """A map with a channel axis: a negative upper half and a positive lower half."""
    shown = photo(samples)
    values = np.where(np.arange(SIDE)[:, None] < SIDE // 2, -0.5, 1.0) * np.linspace(0.1, 1, SIDE)[None]
    values = np.repeat(np.stack([values, 2 * values, -values], axis=-1)[None], samples, axis=0)
    given = {"display": shown, "x": shown / 255, "input_spec": Image(SIDE, SIDE)}
    return attribution(values, ("height", "width", "channel"), method, **(given | other))


def segmented(method: str = "lime", **other: Any) -> Attribution:
    """Four square parts with the values 0.4, -0.1, 0, 0.2."""
    half = np.arange(SIDE) // (SIDE // 2)
    parts = 2 * half[:, None] + half[None]
    part_values = np.array([[0.4, -0.1, 0.0, 0.2]])
    shown = photo()
    given = {"display": shown, "x": shown / 255, "input_spec": Image(SIDE, SIDE), "parts": parts[None]}
    quality = {"surrogate_r2": [0.4]}
    named = {"part_values": part_values, "quality": quality}
    return attribution(part_values[0][parts][None], ("height", "width"), method, **(given | named | other))


def coarse(method: str = "grad-cam", **other: Any) -> Attribution:
    """A class-activation map on a grid of 4 × 4."""
    shown = photo()
    given = {"display": shown, "x": shown / 255, "input_spec": Image(SIDE, SIDE), "score": "logit"}
    values = np.arange(16.0).reshape(1, 4, 4)
    return attribution(values, ("height", "width"), method, **(given | other))


def row(**other: Any) -> Attribution:
    """A table row: the category's three dummies make one column."""
    columns = {"age": Number(40, 10), "job": Category(("clerk", "cook", "nurse")), "hours": Number(38, 5)}
    spec, shown = Table(columns), {"age": 52, "job": "nurse", "hours": 45}
    values = np.array([[0.1, -0.2, -0.1, -0.2, 0.05]])
    given = {"display": [shown], "x": spec.encode([shown]), "input_spec": spec}
    return attribution(values, ("feature",), "kernel-shap", **(given | other))


def series(channels: int = 2, **other: Any) -> Attribution:
    """A ramp of ten steps whose last channel's step 3 carries most."""
    values = np.zeros((1, 10, channels))
    values[0, 3, -1], values[0, 7, 0] = -0.6, 0.3
    signal = np.arange(10.0)[None, :, None] * np.ones(channels)
    given = {"display": signal, "x": signal, "input_spec": Series(10, channels, rate=100.0)}
    return attribution(values, ("time", "channel"), "integrated-gradients", **(given | other))


def text(**other: Any) -> Attribution:
    """A sentence of three words in five places, padded on the left."""
    sentence = "not  a <good> film!"
    spec = Text(5, vocabulary=("", "?", "not", "a", "good", "film"))
    values = np.array([[0.0, -0.7, 0.01, 0.5, 0.1]])
    given = {"display": [sentence], "x": spec.encode(sentence), "input_spec": spec}
    return attribution(values, ("token",), "occlusion", **(given | other))


def features(count: int = 4, **other: Any) -> Attribution:
    """Plain features with the values 1, -2, 3, -4, ..., of a regression."""
    values = np.arange(1.0, count + 1) * (-1.0) ** np.arange(count)
    given = {"output_spec": Values(("price",)), "prediction": np.array([[312.4]]), "target": (0,)}
    return attribution(values[None], ("feature",), "saliency", **(given | {"target_labels": ("price",)} | other))


def plane(**other: Any) -> Attribution:
    """Numbers from -9 to 14 on two axes."""
    return attribution(np.arange(24.0).reshape(1, 4, 6) - 9, ("a", "b"), "saliency", **other)


KINDS = {
    "image": image,
    "segmented": segmented,
    "coarse": coarse,
    "row": row,
    "series": series,
    "text": text,
    "features": features,
    "plane": plane,
}
