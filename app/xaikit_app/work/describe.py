"""What the app has its workers do besides explaining and predicting: describe a model."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from xaikit.errors import NotSupported, ParameterError, nearest
from xaikit.graph import Geometry, Layer
from xaikit.jobs import Task, Unit, tasks
from xaikit.model import Model
from xaikit.progress import Progress
from xaikit.quality import Verdict, examine
from xaikit.results import RESULTS

FORMAT = 2
"""Raised when a description says something else than before, so that stored ones are made anew."""


@dataclass(frozen=True, eq=False)
class Description:
    """What an app must know of a model without having it: what it takes and gives, its layers, and what can be asked.

    `inputs` and `outputs` are specs, or mappings of them; `layers` and `verdicts` as plain data, in order.
    """

    name: str
    framework: str
    device: str
    inputs: Any
    outputs: Any
    can: tuple[str, ...]
    layout: str | None
    fingerprint: str | None
    weights_id: str | None
    layers: tuple[Mapping[str, Any], ...]
    verdicts: tuple[Mapping[str, Any], ...]

    @property
    def graph(self) -> tuple[Layer, ...]:
        """The layers in call order."""
        return tuple(_layer(stored) for stored in self.layers)

    @property
    def parameters(self) -> int:
        """How many numbers the network has learned or keeps."""
        return sum(int(layer["parameters"]) for layer in self.layers)

    @property
    def methods(self) -> tuple[Verdict, ...]:
        """What the doctor said of every method."""
        return tuple(Verdict(**stored) for stored in self.verdicts)

    @property
    def kind(self) -> str:
        """The kind of its input: "Image", "Text", ..., or "several"."""
        return "several" if isinstance(self.inputs, Mapping) else str(self.inputs.kind)


RESULTS[Description.__name__] = Description


def describe(model: Model, unit: Unit | None = None, progress: Progress | None = None) -> Description:
    """Describe a model. Runs it on one blank sample at most."""
    try:
        fingerprint: str | None = model.fingerprint()
    except NotSupported:
        fingerprint = None
    return Description(
        name=model.name,
        framework=model.framework,
        device=model.device,
        inputs=model.inputs,
        outputs=model.outputs,
        can=tuple(sorted(model.can)),
        layout=getattr(model, "layout", None),
        fingerprint=fingerprint,
        weights_id=model.weights_id,
        layers=tuple(_plain(layer) for layer in model.layers.values()) if "run" in model.can else (),
        verdicts=tuple(asdict(verdict) for verdict in examine(model)),
    )


def _plain(layer: Layer) -> dict[str, Any]:
    said = {k: v for k, v in layer.config.items() if isinstance(v, str | int | float | bool | type(None))}
    return {**asdict(layer), "config": said}


def _layer(stored: Mapping[str, Any]) -> Layer:
    geometry = stored["geometry"]
    return Layer(**{**stored, "geometry": None if geometry is None else _geometry(geometry)})


def _geometry(stored: Mapping[str, Any]) -> Geometry:
    return Geometry(**{**stored, "parts": tuple(_geometry(part) for part in stored.get("parts", ()))})


def _nothing(unit: Unit) -> Mapping[str, Any]:
    for name in unit.parameters:
        raise ParameterError(f"{unit.task} has no parameter {name!r}{nearest(name, ())}")
    return {"format": FORMAT}


tasks("describe")(Task(describe, _nothing))
