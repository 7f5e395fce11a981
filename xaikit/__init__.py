"""Explain and visualise trained deep models: Keras and PyTorch behind one wrapped model.

    import xaikit as xk

    model = xk.wrap(net, inputs=xk.Image(150, 150), outputs=xk.Classes(["cat", "dog"]))
    result = xk.explain(model, "photo.jpg", "integrated-gradients")
    xk.plot(result)

Importing xaikit brings no framework and no drawing library; they come with the first call that needs them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from xaikit.errors import XaikitError
from xaikit.inputs import (
    Array,
    At,
    Category,
    Classes,
    Image,
    Margin,
    Masks,
    Number,
    Reconstruction,
    ReconstructionError,
    Region,
    Series,
    Table,
    Text,
    Values,
)
from xaikit.later import given_later
from xaikit.render import plot
from xaikit.render.notebook import register
from xaikit.storage import load, save

if TYPE_CHECKING:
    from xaikit import anomaly, audit, sequence, study, zoo
    from xaikit.apps import app
    from xaikit.attribution import explain, methods, scalp_map
    from xaikit.insight import (
        activations,
        concepts,
        effective_field,
        explore,
        filters,
        kernels,
        layer_graph,
        layer_health,
        maximize,
        operations,
        receptive_field,
        top_patches,
        unit_card,
    )
    from xaikit.quality import compare, faithfulness, recovery, summary
    from xaikit.sequence import attention, hidden_states
    from xaikit.tabular import break_down, counterfactuals, fairness, importance, profile, what_if
    from xaikit.training_curves import curves
    from xaikit.wrapping import load_model, wrap

__version__ = "0.1.0"

register()

__all__ = [
    "Array",
    "At",
    "Category",
    "Classes",
    "Image",
    "Margin",
    "Masks",
    "Number",
    "Reconstruction",
    "ReconstructionError",
    "Region",
    "Series",
    "Table",
    "Text",
    "Values",
    "XaikitError",
    "activations",
    "anomaly",
    "app",
    "attention",
    "audit",
    "break_down",
    "compare",
    "concepts",
    "counterfactuals",
    "curves",
    "effective_field",
    "explain",
    "explore",
    "fairness",
    "faithfulness",
    "filters",
    "hidden_states",
    "importance",
    "kernels",
    "layer_graph",
    "layer_health",
    "load",
    "load_model",
    "maximize",
    "methods",
    "operations",
    "plot",
    "profile",
    "receptive_field",
    "recovery",
    "save",
    "scalp_map",
    "sequence",
    "study",
    "summary",
    "top_patches",
    "unit_card",
    "what_if",
    "wrap",
    "zoo",
]

LATER = {
    "activations": "xaikit.insight",
    "app": "xaikit.apps",
    "attention": "xaikit.sequence",
    "break_down": "xaikit.tabular",
    "compare": "xaikit.quality",
    "concepts": "xaikit.insight",
    "counterfactuals": "xaikit.tabular",
    "curves": "xaikit.training_curves",
    "effective_field": "xaikit.insight",
    "explain": "xaikit.attribution",
    "explore": "xaikit.insight",
    "fairness": "xaikit.tabular",
    "faithfulness": "xaikit.quality",
    "filters": "xaikit.insight",
    "hidden_states": "xaikit.sequence",
    "importance": "xaikit.tabular",
    "kernels": "xaikit.insight",
    "layer_graph": "xaikit.insight",
    "layer_health": "xaikit.insight",
    "load_model": "xaikit.wrapping",
    "maximize": "xaikit.insight",
    "methods": "xaikit.attribution",
    "operations": "xaikit.insight",
    "profile": "xaikit.tabular",
    "receptive_field": "xaikit.insight",
    "recovery": "xaikit.quality",
    "scalp_map": "xaikit.attribution",
    "summary": "xaikit.quality",
    "top_patches": "xaikit.insight",
    "unit_card": "xaikit.insight",
    "what_if": "xaikit.tabular",
    "wrap": "xaikit.wrapping",
}
"""Where the names are that nobody waits for who does not use them."""


_later = given_later(__name__, LATER)


def __getattr__(name: str) -> Any:
    if name in ("anomaly", "audit", "sequence", "study", "zoo"):
        return import_module(f"xaikit.{name}")
    return _later(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
