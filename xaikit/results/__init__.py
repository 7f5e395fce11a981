"""What a calculation gives: frozen, labelled, in raw units, with its origin and the evidence for it.

Attributions are there at once, every other kind of result with its first use.
"""

from typing import TYPE_CHECKING, Any

from xaikit.later import given_later
from xaikit.results._attribution import Attribution, Attributions, Prediction, by_column
from xaikit.results._judging import judge
from xaikit.results._origin import DISPLAY, Origin, Shown, Status

if TYPE_CHECKING:
    from xaikit.results._activations import Activations
    from xaikit.results._anomaly import AnomalyScores, Calibration
    from xaikit.results._curves import Curve, Curves, lowest
    from xaikit.results._detection import (
        AnomalyExplanation,
        Detection,
        DetectorRecord,
        Event,
        SeriesScores,
        ThresholdReport,
    )
    from xaikit.results._fields import (
        EffectiveField,
        EffectiveFields,
        Field,
        FieldCheck,
        Fields,
        Misalignment,
        ReceptiveFields,
    )
    from xaikit.results._health import LayerHealth, LayerState
    from xaikit.results._inside import Concepts, Filters, TopPatches
    from xaikit.results._latent import (
        CodeCapacity,
        CodeHealth,
        Decoded,
        Embedding,
        Gallery,
        Inpainting,
        Restorations,
        WordNeighbours,
    )
    from xaikit.results._layer_graph import LayerGraph, LayerNode
    from xaikit.results._maximization import Maximization
    from xaikit.results._numbers import Histogram, Moments
    from xaikit.results._quality import Comparison, Faithfulness, Parity, Randomisation, Stability, Summary
    from xaikit.results._recovery import Recovery
    from xaikit.results._scalp import ScalpMap
    from xaikit.results._sequence import AttentionMap, GradientFlow, HiddenStates, Prefixes, UnitScores, UnitText
    from xaikit.results._steps import Step, Steps
    from xaikit.results._tables import BreakDown, Counterfactuals, Effect, Fairness, Importance, Profile, WhatIf
    from xaikit.results._units import LayerPatches, Survey, UnitCard, field_words

__all__ = [
    "DISPLAY",
    "RESULTS",
    "SHOWN",
    "Activations",
    "AnomalyExplanation",
    "AnomalyScores",
    "AttentionMap",
    "Attribution",
    "Attributions",
    "BreakDown",
    "Calibration",
    "CodeCapacity",
    "CodeHealth",
    "Comparison",
    "Concepts",
    "Counterfactuals",
    "Curve",
    "Curves",
    "Decoded",
    "Detection",
    "DetectorRecord",
    "Effect",
    "EffectiveField",
    "EffectiveFields",
    "Embedding",
    "Event",
    "Fairness",
    "Faithfulness",
    "Field",
    "FieldCheck",
    "Fields",
    "Filters",
    "Gallery",
    "GradientFlow",
    "HiddenStates",
    "Histogram",
    "Importance",
    "Inpainting",
    "LayerGraph",
    "LayerHealth",
    "LayerNode",
    "LayerPatches",
    "LayerState",
    "Maximization",
    "Misalignment",
    "Moments",
    "Origin",
    "Parity",
    "Prediction",
    "Prefixes",
    "Profile",
    "Randomisation",
    "ReceptiveFields",
    "Recovery",
    "Restorations",
    "ScalpMap",
    "SeriesScores",
    "Shown",
    "Stability",
    "Status",
    "Step",
    "Steps",
    "Summary",
    "Survey",
    "ThresholdReport",
    "TopPatches",
    "UnitCard",
    "UnitScores",
    "UnitText",
    "WhatIf",
    "WordNeighbours",
    "by_column",
    "field_words",
    "judge",
    "lowest",
]

LATER = {
    name: f"xaikit.results.{module}"
    for module, names in {
        "_activations": "Activations",
        "_anomaly": "AnomalyScores Calibration",
        "_curves": "Curve Curves lowest",
        "_detection": "AnomalyExplanation Detection DetectorRecord Event SeriesScores ThresholdReport",
        "_fields": "EffectiveField EffectiveFields Field FieldCheck Fields Misalignment ReceptiveFields",
        "_health": "LayerHealth LayerState",
        "_inside": "Concepts Filters TopPatches",
        "_latent": "CodeCapacity CodeHealth Decoded Embedding Gallery Inpainting Restorations WordNeighbours",
        "_layer_graph": "LayerGraph LayerNode",
        "_maximization": "Maximization",
        "_numbers": "Histogram Moments",
        "_quality": "Comparison Faithfulness Parity Randomisation Stability Summary",
        "_recovery": "Recovery",
        "_scalp": "ScalpMap",
        "_sequence": "AttentionMap GradientFlow HiddenStates Prefixes UnitScores UnitText",
        "_steps": "Step Steps",
        "_tables": "BreakDown Counterfactuals Effect Fairness Importance Profile WhatIf",
        "_units": "LayerPatches Survey UnitCard field_words",
    }.items()
    for name in names.split()
}
"""In which module a name is that nobody waits for who does not use it."""

SHOWN = (
    "Activations",
    "AnomalyExplanation",
    "AnomalyScores",
    "AttentionMap",
    "Attribution",
    "Attributions",
    "BreakDown",
    "Calibration",
    "CodeCapacity",
    "CodeHealth",
    "Comparison",
    "Concepts",
    "Counterfactuals",
    "Curves",
    "Decoded",
    "Detection",
    "EffectiveFields",
    "Embedding",
    "Fairness",
    "Faithfulness",
    "Filters",
    "Gallery",
    "GradientFlow",
    "HiddenStates",
    "Importance",
    "Inpainting",
    "LayerGraph",
    "LayerHealth",
    "LayerPatches",
    "Maximization",
    "Parity",
    "Prefixes",
    "Profile",
    "Randomisation",
    "ReceptiveFields",
    "Recovery",
    "Restorations",
    "ScalpMap",
    "SeriesScores",
    "Stability",
    "Steps",
    "Summary",
    "ThresholdReport",
    "TopPatches",
    "UnitCard",
    "UnitScores",
    "UnitText",
    "WhatIf",
    "WordNeighbours",
)
"""The results that a person looks at, by name: each has panels and shows itself in a notebook."""
STORED = (
    *(name for name in SHOWN if name != "Attributions"),
    "Curve",
    "DetectorRecord",
    "Effect",
    "EffectiveField",
    "Event",
    "Field",
    "FieldCheck",
    "Histogram",
    "LayerNode",
    "LayerState",
    "Misalignment",
    "Origin",
    "Prediction",
    "Survey",
)
"""The dataclasses that are written to disk and read back; Attributions are stored input by input."""

__getattr__ = given_later(__name__, LATER)


class _Results(dict[str, type[Any]]):
    """The stored dataclasses by name, each imported when it is asked for."""

    def __missing__(self, name: str) -> type[Any]:
        if name not in STORED:
            raise KeyError(name)
        found: type[Any] = globals().get(name) or __getattr__(name)
        self[name] = found
        return found

    def __contains__(self, name: object) -> bool:
        return name in STORED or super().__contains__(name)


RESULTS = _Results()
"""The dataclasses that are written to disk and read back, by name; others may add their own."""
