"""Explain and visualise trained deep models: Keras and PyTorch behind one wrapped model.

    import xaikit as xk

    model = xk.wrap(net, inputs=xk.Image(150, 150), outputs=xk.Classes(["cat", "dog"]))
    result = xk.explain(model, "photo.jpg", "integrated-gradients")
    xk.plot(result)

Importing xaikit brings no framework and no drawing library; they come with the first call that needs them.
"""

from xaikit import anomaly, zoo
from xaikit.apps import app
from xaikit.attribution import explain, methods
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
from xaikit.insight import activations, filters, top_patches
from xaikit.render import plot
from xaikit.render.notebook import register
from xaikit.storage import load, save
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
    "curves",
    "explain",
    "filters",
    "load",
    "load_model",
    "methods",
    "plot",
    "save",
    "top_patches",
    "wrap",
    "zoo",
]
