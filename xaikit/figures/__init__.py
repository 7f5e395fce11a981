"""From results to figures as data: panels of raw numbers, colours and words that any renderer can draw."""

from xaikit.figures import _anomaly as _anomaly  # registers the panels of AnomalyScores
from xaikit.figures import _curves as _curves  # registers the panels of Curves
from xaikit.figures import _detection as _detection  # registers the panels of AnomalyExplanation and its like
from xaikit.figures import _fields as _fields  # registers the panels of ReceptiveFields and EffectiveFields
from xaikit.figures import _filters as _filters  # registers the panels of Filters
from xaikit.figures import _health as _health  # registers the panels of LayerHealth
from xaikit.figures import _latent as _latent  # registers the panels of Decoded, Embedding and their like
from xaikit.figures import _layer_graph as _layer_graph  # registers the panels of LayerGraph
from xaikit.figures import _maximization as _maximization  # registers the panels of Maximization
from xaikit.figures import _operations as _operations  # registers the panels of Steps
from xaikit.figures import _patches as _patches  # registers the panels of TopPatches and LayerPatches
from xaikit.figures import _quality as _quality  # registers the panels of Faithfulness, Comparison and their like
from xaikit.figures import _scalp as _scalp  # registers the panels of ScalpMap
from xaikit.figures import _sequence as _sequence  # registers the panels of HiddenStates, AttentionMap and their like
from xaikit.figures import _summary as _summary  # registers the panels of Summary and Concepts
from xaikit.figures import _tables as _tables  # registers the panels of Importance, BreakDown and their like
from xaikit.figures import _unit_cards as _unit_cards  # registers the panels of UnitCard
from xaikit.figures._activations import activation_figure, difference_figure, overlay_figure
from xaikit.figures._attribution import panels
from xaikit.figures._cards import (
    Measures,
    about_lines,
    error_curve,
    file_lines,
    measures,
    recipe_lines,
    spec_words,
    training_lines,
)
from xaikit.figures._colours import (
    NOT_FINITE,
    class_colour,
    class_picture,
    limit_of,
    over,
    paled,
    picture,
    rgba,
    sign_colour,
    stops,
)
from xaikit.figures._data import (
    Badge,
    BarPanel,
    Cloud,
    CurvePanel,
    Figure,
    Frame,
    GraphPanel,
    Grid,
    GridsPanel,
    ImagePanel,
    Legend,
    Line,
    LinePanel,
    MapPanel,
    Mark,
    MatrixPanel,
    Panel,
    Scale,
    ScorePanel,
    SpacePanel,
    StepsPanel,
    SurfacePanel,
    TablePanel,
    TextPanel,
    Tile,
    TilesPanel,
    Trace,
)
from xaikit.figures._fields import boxes_figure
from xaikit.figures._filters import filter_figure
from xaikit.figures._numbers import Numbers, numbers_of
from xaikit.figures._outline import borders
from xaikit.figures._reading import reading
from xaikit.figures._words import (
    answer_of,
    badge_of,
    brief,
    facts_of,
    label_of,
    moment,
    names_with_scores,
    number,
    percent,
    probability,
    score_of,
    seconds,
    sizes_of,
    spell,
    spoken,
    time_axis,
    unit,
)

__all__ = [
    "NOT_FINITE",
    "Badge",
    "BarPanel",
    "Cloud",
    "CurvePanel",
    "Figure",
    "Frame",
    "GraphPanel",
    "Grid",
    "GridsPanel",
    "ImagePanel",
    "Legend",
    "Line",
    "LinePanel",
    "MapPanel",
    "Mark",
    "MatrixPanel",
    "Measures",
    "Numbers",
    "Panel",
    "Scale",
    "ScorePanel",
    "SpacePanel",
    "StepsPanel",
    "SurfacePanel",
    "TablePanel",
    "TextPanel",
    "Tile",
    "TilesPanel",
    "Trace",
    "about_lines",
    "activation_figure",
    "answer_of",
    "badge_of",
    "borders",
    "boxes_figure",
    "brief",
    "class_colour",
    "class_picture",
    "difference_figure",
    "error_curve",
    "facts_of",
    "file_lines",
    "filter_figure",
    "label_of",
    "limit_of",
    "measures",
    "moment",
    "names_with_scores",
    "number",
    "numbers_of",
    "over",
    "overlay_figure",
    "paled",
    "panels",
    "percent",
    "picture",
    "probability",
    "reading",
    "recipe_lines",
    "rgba",
    "score_of",
    "seconds",
    "sign_colour",
    "sizes_of",
    "spec_words",
    "spell",
    "spoken",
    "stops",
    "time_axis",
    "training_lines",
    "unit",
]
