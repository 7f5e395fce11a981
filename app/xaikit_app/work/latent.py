"""What workers do for the page Latent: what codes are decoded to, where samples lie, which numbers are used."""

from typing import Any

import numpy as np

from xaikit.anomaly import latent
from xaikit.inputs import Reconstruction
from xaikit.jobs import Unit
from xaikit.model import Model
from xaikit.progress import Progress
from xaikit.results import (
    CodeCapacity,
    CodeHealth,
    Decoded,
    Embedding,
    Gallery,
    Inpainting,
    Restorations,
    WordNeighbours,
)
from xaikit_app.work._asking import Known, add, asked

KNOWN: Known = {
    "app-latent-grid": {"size": 11, "numbers": None},
    "app-latent-traverse": {"steps": 15, "reach": 3.0},
    "app-latent-between": {"steps": 11},
    "app-latent-embed": {"dimensions": 2, "layer": None, "labels": None, "errors": False},
    "app-latent-means": {"labels": None},
    "app-latent-sum": {},
    "app-latent-gallery": {"count": 6},
    "app-latent-health": {},
    "app-latent-capacity": {},
    "app-latent-inpaint": {"patch": 4},
    "app-latent-restore": {"kind": "noise", "patch": 4},
    "app-latent-words": {"word": "", "minus": None, "plus": None, "count": 12},
}


def grid(model: Model, unit: Unit, progress: Progress) -> Decoded:
    """Decode a grid of two numbers of the code; without a prior it goes as far as the codes of the samples."""
    said = asked(unit, KNOWN)
    numbers = None if said["numbers"] is None else tuple(said["numbers"])
    return latent.grid(model, said["size"], numbers=numbers, samples=unit.input)


def traverse(model: Model, unit: Unit, progress: Progress) -> Decoded:
    """Change one number of a sample's code at a time."""
    said = asked(unit, KNOWN)
    return latent.traverse(model, unit.input["sample"], unit.input["samples"], steps=said["steps"], reach=said["reach"])


def between(model: Model, unit: Unit, progress: Progress) -> Decoded:
    """Give the ways from one sample to another."""
    return latent.interpolate(model, unit.input["from"], unit.input["to"], asked(unit, KNOWN)["steps"])


def embed(model: Model, unit: Unit, progress: Progress) -> Embedding:
    """Say where samples lie, with their labels, or with the errors of what comes back."""
    said = asked(unit, KNOWN)
    scores = _errors(model, unit.input) if said["errors"] else None
    progress(1, 2)
    found = latent.embed(
        model, unit.input, dimensions=said["dimensions"], labels=said["labels"], scores=scores, layer=said["layer"]
    )
    progress(2, 2)
    return found


def _errors(model: Model, samples: Any) -> Any:
    """Give the mean squared error of each sample: (sample,); None for a network that gives something else."""
    if not isinstance(model.outputs, Reconstruction):
        return None
    x = np.asarray(model.inputs.encode(samples))
    apart = np.asarray(model.run(x).output, np.float64).reshape(len(x), -1) - x.reshape(len(x), -1)
    return np.square(apart).mean(1)


def means(model: Model, unit: Unit, progress: Progress) -> Decoded:
    """Decode the mean code of every label."""
    return latent.means(model, unit.input, asked(unit, KNOWN)["labels"])


def added(model: Model, unit: Unit, progress: Progress) -> Decoded:
    """Decode one code minus another plus a third."""
    return latent.arithmetic(model, unit.input["a"], unit.input["b"], unit.input["c"])


def gallery(model: Model, unit: Unit, progress: Progress) -> Gallery:
    """Give the samples that come back best, as usual and worst."""
    return latent.gallery(model, unit.input, min(asked(unit, KNOWN)["count"], len(unit.input)))


def health(model: Model, unit: Unit, progress: Progress) -> CodeHealth:
    """Say which numbers of a variational code are used."""
    return latent.health(model, unit.input)


def capacity(model: Model, unit: Unit, progress: Progress) -> CodeCapacity:
    """Say whether a network has learned to copy."""
    return latent.capacity(model, unit.input, seed=unit.seed)


def inpaint(model: Model, unit: Unit, progress: Progress) -> Inpainting:
    """Fill in every patch of samples from its surroundings."""
    return latent.inpaint(model, unit.input, patch=asked(unit, KNOWN)["patch"], seed=unit.seed)


def restore(model: Model, unit: Unit, progress: Progress) -> Restorations:
    """Give what comes back of samples that are spoiled more and more."""
    said = asked(unit, KNOWN)
    return latent.restore(model, unit.input, said["kind"], patch=said["patch"], seed=unit.seed)


def words(model: Model, unit: Unit, progress: Progress) -> WordNeighbours:
    """Give the words nearest to one, or to one minus a second plus a third."""
    said = asked(unit, KNOWN)
    if said["minus"] and said["plus"]:
        return latent.analogy(model, said["minus"], said["word"], said["plus"], count=said["count"])
    return latent.nearest_words(model, said["word"], count=said["count"])


add(
    KNOWN,
    {
        "app-latent-grid": grid,
        "app-latent-traverse": traverse,
        "app-latent-between": between,
        "app-latent-embed": embed,
        "app-latent-means": means,
        "app-latent-sum": added,
        "app-latent-gallery": gallery,
        "app-latent-health": health,
        "app-latent-capacity": capacity,
        "app-latent-inpaint": inpaint,
        "app-latent-restore": restore,
        "app-latent-words": words,
    },
    1,
)
