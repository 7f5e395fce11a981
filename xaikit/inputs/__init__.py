"""What goes into a network and what comes out: specs of inputs and outputs, and the targets that choose a scalar."""

from collections.abc import Mapping
from typing import Any

from xaikit.inputs._spec import InputSpec, plain, spec_from
from xaikit.inputs.array import Array, Series
from xaikit.inputs.image import Image, picture_array, read_picture
from xaikit.inputs.outputs import (
    Classes,
    Masks,
    Named,
    OutputSpec,
    OutputSpecs,
    Reconstruction,
    Values,
    sigmoid,
    softmax,
    top,
)
from xaikit.inputs.raw import Raw
from xaikit.inputs.table import Category, Number, Table
from xaikit.inputs.targets import (
    At,
    ErrorScore,
    LinearScore,
    Margin,
    ReconstructionError,
    Region,
    Score,
    ScoreKind,
    Scores,
    Target,
    resolve,
    target_from_json,
    target_to_json,
)
from xaikit.inputs.text import Text

InputSpecs = InputSpec | Mapping[str, InputSpec]

INPUTS: dict[str, type[InputSpec]] = {c.kind: c for c in (Image, Series, Text, Array, Table, Raw)}
OUTPUTS: dict[str, type[Any]] = {c.kind: c for c in (Classes, Values, Reconstruction, Masks)}


def specs_to_dict(spec: Any) -> Any:
    """Give a spec, or a mapping of specs, as JSON types."""
    if isinstance(spec, Mapping):
        return {"kind": "several", "specs": {name: s.to_dict() for name, s in spec.items()}}
    return spec.to_dict()


def specs_from_dict(data: Mapping[str, Any]) -> Any:
    """Rebuild what `specs_to_dict` gave, for inputs and outputs alike."""
    if data.get("kind") == "several":
        return {name: specs_from_dict(d) for name, d in data["specs"].items()}
    return spec_from({**INPUTS, **OUTPUTS}, data)


__all__ = [
    "INPUTS",
    "OUTPUTS",
    "Array",
    "At",
    "Category",
    "Classes",
    "ErrorScore",
    "Image",
    "InputSpec",
    "InputSpecs",
    "LinearScore",
    "Margin",
    "Masks",
    "Named",
    "Number",
    "OutputSpec",
    "OutputSpecs",
    "Raw",
    "Reconstruction",
    "ReconstructionError",
    "Region",
    "Score",
    "ScoreKind",
    "Scores",
    "Series",
    "Table",
    "Target",
    "Text",
    "Values",
    "picture_array",
    "plain",
    "read_picture",
    "resolve",
    "sigmoid",
    "softmax",
    "specs_from_dict",
    "specs_to_dict",
    "target_from_json",
    "target_to_json",
    "top",
]
