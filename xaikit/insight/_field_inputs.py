"""The inputs of a network as its layers read them: names, axes with places, lengths."""

from collections.abc import Mapping
from typing import Any

from xaikit.graph import Geometry, Layer
from xaikit.model import Model

Lengths = dict[str, int | None]


def input_lengths(model: Model, layers: Mapping[str, Layer]) -> dict[str, Lengths]:
    """Give the axes of places of every input, by the name that the layers have for it, with their lengths."""
    specs = _specs(model, layers)
    return {
        name: {
            a: n for a, n in zip(axes, _shape(model, name, specs[name]), strict=True) if a not in ("sample", "channel")
        }
        for name, axes in axes_given(model, layers).items()
    }


def axes_given(model: Model, layers: Mapping[str, Layer]) -> dict[str, tuple[str, ...]]:
    """Name the axes of one sample of every input; those of an array without names as its first reader takes them."""
    found = {}
    for name, spec in _specs(model, layers).items():
        axes, rank = tuple(spec.axes), len(_shape(model, name, spec))
        nameless = len(axes) != rank or all(a.startswith("axis ") for a in axes)
        if nameless:
            axes = _as_read(layers, name, rank)
        elif spec.kind == "Array":
            axes = _as_meant(axes, next((r.geometry for r in layers.values() if name in r.parents), None))
        found[name] = axes
    return found


def input_shapes(model: Model, layers: Mapping[str, Layer]) -> dict[str, tuple[int, ...]]:
    """Give the shape of one sample of every input, by the name that the layers have for it."""
    return {name: _shape(model, name, spec) for name, spec in _specs(model, layers).items()}


def _specs(model: Model, layers: Mapping[str, Layer]) -> dict[str, Any]:
    if isinstance(model.inputs, Mapping):
        return dict(model.inputs)
    return {next((p for layer in layers.values() for p in layer.parents if p not in layers), "input"): model.inputs}


def _shape(model: Model, name: str, spec: Any) -> tuple[int, ...]:
    """Give the shape of one sample as the network is given it; of an array of any shape that of the first call."""
    if spec.kind != "Raw":
        return tuple(int(n) for n in spec.shape)
    blank = model._blank()  # type: ignore[attr-defined]
    return tuple((blank[name] if isinstance(blank, Mapping) else blank).shape[1:])


def _as_read(layers: Mapping[str, Layer], name: str, rank: int) -> tuple[str, ...]:
    """Name the axes of an input as the layer that reads it first does: of convolutions, embeddings, recurrence."""
    for layer in layers.values():
        if name in layer.parents:
            read = layer.axes[1:]
            if layer.kind == "embedding":
                return tuple(a for a in read if a != "channel")[:rank]
            if len(read) == rank and layer.kind not in ("permute", "reshape", "flatten"):
                return _as_meant(read, layer.geometry)
    return tuple(f"axis {i}" for i in range(rank))


def _as_meant(read: tuple[str, ...], geometry: Geometry | None) -> tuple[str, ...]:
    """Give an axis the name that the geometry has for it, where the layer's own axes have another."""
    meant = {a for g in (geometry, *(geometry.parts if geometry else ())) if g for a in g.axes}
    other = [a for a in read if a not in meant and a != "channel"]
    missing = sorted(meant - set(read))
    if len(missing) == len(other) == 1:
        return tuple(missing[0] if a == other[0] else a for a in read)
    return read
