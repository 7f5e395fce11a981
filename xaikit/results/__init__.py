"""What a calculation gives: frozen, labelled, in raw units, with its origin and the evidence for it.

Attributions are there at once, every other kind of result with its first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

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
    from xaikit.results._latent import CodeHealth, Decoded, Embedding, Restorations, WordNeighbours
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
    "GradientFlow",
    "HiddenStates",
    "Histogram",
    "Importance",
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
    "Activations": "_activations",
    "AnomalyScores": "_anomaly",
    "Calibration": "_anomaly",
    "Curve": "_curves",
    "Curves": "_curves",
    "lowest": "_curves",
    "AnomalyExplanation": "_detection",
    "Detection": "_detection",
    "DetectorRecord": "_detection",
    "Event": "_detection",
    "SeriesScores": "_detection",
    "ThresholdReport": "_detection",
    "EffectiveField": "_fields",
    "EffectiveFields": "_fields",
    "Field": "_fields",
    "FieldCheck": "_fields",
    "Fields": "_fields",
    "Misalignment": "_fields",
    "ReceptiveFields": "_fields",
    "LayerHealth": "_health",
    "LayerState": "_health",
    "Concepts": "_inside",
    "Filters": "_inside",
    "TopPatches": "_inside",
    "CodeHealth": "_latent",
    "Decoded": "_latent",
    "Embedding": "_latent",
    "Restorations": "_latent",
    "WordNeighbours": "_latent",
    "LayerGraph": "_layer_graph",
    "LayerNode": "_layer_graph",
    "Maximization": "_maximization",
    "Histogram": "_numbers",
    "Moments": "_numbers",
    "Comparison": "_quality",
    "Faithfulness": "_quality",
    "Parity": "_quality",
    "Randomisation": "_quality",
    "Stability": "_quality",
    "Summary": "_quality",
    "Recovery": "_recovery",
    "ScalpMap": "_scalp",
    "AttentionMap": "_sequence",
    "GradientFlow": "_sequence",
    "HiddenStates": "_sequence",
    "Prefixes": "_sequence",
    "UnitScores": "_sequence",
    "UnitText": "_sequence",
    "Step": "_steps",
    "Steps": "_steps",
    "BreakDown": "_tables",
    "Counterfactuals": "_tables",
    "Effect": "_tables",
    "Fairness": "_tables",
    "Importance": "_tables",
    "Profile": "_tables",
    "WhatIf": "_tables",
    "LayerPatches": "_units",
    "Survey": "_units",
    "UnitCard": "_units",
    "field_words": "_units",
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
    "GradientFlow",
    "HiddenStates",
    "Importance",
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


def __getattr__(name: str) -> Any:
    if name not in LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"xaikit.results.{LATER[name]}"), name)
    return found
