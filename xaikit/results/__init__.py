"""What a calculation gives: frozen, labelled, in raw units, with its origin and the evidence for it."""

from typing import Any

from xaikit.results._activations import Activations
from xaikit.results._anomaly import AnomalyScores, Calibration
from xaikit.results._attribution import Attribution, Attributions, Prediction, by_column
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
from xaikit.results._judging import judge
from xaikit.results._latent import CodeHealth, Decoded, Embedding, Restorations, WordNeighbours
from xaikit.results._layer_graph import LayerGraph, LayerNode
from xaikit.results._maximization import Maximization
from xaikit.results._numbers import Histogram, Moments
from xaikit.results._origin import Origin, Status
from xaikit.results._quality import Comparison, Faithfulness, Parity, Randomisation, Stability, Summary
from xaikit.results._recovery import Recovery
from xaikit.results._scalp import ScalpMap
from xaikit.results._sequence import (
    AttentionMap,
    GradientFlow,
    HiddenStates,
    Prefixes,
    UnitScores,
    UnitText,
)
from xaikit.results._steps import Step, Steps
from xaikit.results._tables import BreakDown, Counterfactuals, Effect, Fairness, Importance, Profile, WhatIf
from xaikit.results._units import LayerPatches, Survey, UnitCard, field_words

__all__ = [
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

SHOWN: tuple[type[Any], ...] = (
    Activations,
    AnomalyExplanation,
    AnomalyScores,
    AttentionMap,
    Attribution,
    Attributions,
    BreakDown,
    Calibration,
    CodeHealth,
    Comparison,
    Concepts,
    Counterfactuals,
    Curves,
    Decoded,
    Detection,
    EffectiveFields,
    Embedding,
    Fairness,
    Faithfulness,
    Filters,
    GradientFlow,
    HiddenStates,
    Importance,
    LayerGraph,
    LayerHealth,
    LayerPatches,
    Maximization,
    Parity,
    Prefixes,
    Profile,
    Randomisation,
    ReceptiveFields,
    Recovery,
    ScalpMap,
    Restorations,
    SeriesScores,
    Stability,
    Steps,
    Summary,
    ThresholdReport,
    TopPatches,
    UnitCard,
    UnitScores,
    UnitText,
    WhatIf,
    WordNeighbours,
)
"""The results that a person looks at: each has panels and shows itself in a notebook."""
RESULTS: dict[str, type[Any]] = {
    c.__name__: c
    for c in (
        *SHOWN,
        Effect,
        Curve,
        Field,
        FieldCheck,
        EffectiveField,
        Event,
        DetectorRecord,
        Misalignment,
        Histogram,
        LayerState,
        LayerNode,
        Origin,
        Prediction,
        Survey,
    )
    if c is not Attributions
}
"""The dataclasses that are written to disk and read back, by name; Attributions are stored input by input."""
