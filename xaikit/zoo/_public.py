import hashlib
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from xaikit import data, wrapping
from xaikit.arrays import Array
from xaikit.errors import DataError, MissingPackage, ParameterError
from xaikit.inputs import Image
from xaikit.model import Model
from xaikit.progress import bar
from xaikit.zoo import shelf
from xaikit.zoo.building import weights_id
from xaikit.zoo.cards import Card, Trained, blank, judged
from xaikit.zoo.networks import Network, networks
from xaikit.zoo.recipes import Epoch, Progress, Recipe, Samples, split

PACKAGES = {"torch": ("torch",), "keras": ("keras", "tensorflow")}


def names() -> list[str]:
    """The names of all documented networks."""
    return list(networks)


def card(name: str) -> Card:
    """The card of a network: of the weights trained here, else of the shipped ones, else of the bare documentation.

    Raises UnknownName with the nearest name.
    """
    entry = networks[name]
    return _stored(entry)[1] or blank(entry)


def build(name: str, framework: str | None = None, seed: int = 0) -> Any:
    """The bare, untrained network: a torch.nn.Module or a keras.Model, with the same starting weights in both.

    framework: "torch", "keras", or None for the one that is imported already, else the one that is installed.
    """
    return _adapter(framework).build(networks[name].architecture, seed)


def load(name: str, framework: str | None = None) -> Model:
    """A trained network, wrapped with its specs and its `weights_id`.

    The weights are those trained here, else the shipped ones, else it is trained now, which needs its data. Raises
    UnknownName, StorageError for a weights file that is damaged or not the one its card describes, DataError where
    there are neither weights nor data.
    """
    entry = networks[name]
    place, found = _stored(entry)
    if place is None or found is None:
        return train(name, framework)
    return _wrapped(entry, place.weights(entry, found), framework)


def train(
    name: str,
    framework: str | None = None,
    epochs: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    folder: str | Path | None = None,
) -> Model:
    """Train a network by its documented recipe, judge it on the test part, store weights and card, and give it wrapped.

    epochs: other than the recipe's. progress(done, total, text) is called after every epoch; without it a bar is shown
    where there is a terminal. folder: where to store, by default the user's cache, where `load` finds it. Raises
    DataError where the data are not there.
    """
    entry = networks[name]
    if entry.data is None or entry.recipe is None:
        lacks = " and no ".join(what for what, has in (("data set", entry.data), ("recipe", entry.recipe)) if not has)
        raise DataError(f"{name} has no {lacks} to train with; zoo.build({name!r}) gives the bare network, untrained")
    if epochs is not None and epochs < 1:
        raise ParameterError(f"epochs must be at least 1, not {epochs}")
    recipe = entry.recipe if epochs is None else replace(entry.recipe, epochs=epochs)
    adapter = _adapter(framework)
    samples = _samples(entry, recipe, seed)
    net = adapter.build(entry.architecture, seed)
    with bar(None if progress is None else False, f"training {name}") as show:
        report = progress or (lambda done, total, text: show(done, total))
        curve = adapter.fit(net, entry.architecture, recipe, samples, seed=seed, progress=report)
    weights = adapter.get_weights(net, entry.architecture)
    model = _wrapped(entry, weights, adapter=adapter)
    _store(entry, recipe, weights, curve, model, samples, seed, Path(folder) if folder else shelf.cache_folder())
    return model


def _store(
    entry: Network,
    recipe: Recipe,
    weights: Mapping[str, Array],
    curve: tuple[Epoch, ...],
    model: Model,
    samples: Samples,
    seed: int,
    folder: Path,
) -> None:
    content = shelf.packed(weights, entry.name)
    digest = hashlib.sha256(content).hexdigest()
    trained = Trained(
        seed=seed,
        epochs=len(curve),
        best_epoch=1 + int(np.argmin([e.validation_loss for e in curve])),
        samples={"training": len(samples.x), "validation": len(samples.x_validation)},
        metrics=_judge(entry, model),
        curve=tuple(asdict(epoch) for epoch in curve),
        file=f"{entry.name}-{digest[:12]}.safetensors",
        sha256=digest,
        weights_id=weights_id(weights, entry.name),
        date=date.today().isoformat(),
        trained_with={name: import_module(name).__version__ for name in ("numpy", *PACKAGES[model.framework])},
    )
    shelf.put(folder, replace(blank(entry), recipe=asdict(recipe), trained=trained), content)


def _judge(entry: Network, model: Model) -> dict[str, Any]:
    test = data.load(str(entry.data)).read("test")
    outputs = [
        np.asarray(model.run(entry.inputs.encode(part)).output)
        for part in np.array_split(test.x, -(-len(test.x) // 500))
    ]
    said = entry.outputs.predicted(np.concatenate(outputs))
    return judged(tuple(map(str, entry.outputs.names)), test.y, said)


def _samples(entry: Network, recipe: Recipe, seed: int) -> Samples:
    part = data.load(str(entry.data)).read("train")
    x, scale = (part.x, entry.inputs.scale) if _only_scaled(entry.inputs) else (entry.inputs.encode(part.x), 1.0)
    training, validation = split(part.y, recipe.validation, np.random.default_rng(seed))
    return Samples(x[training], part.y[training], x[validation], part.y[validation], scale)


def _only_scaled(spec: Any) -> bool:
    """Whether encoding is a multiplication, so that images can stay bytes until they are needed."""
    return isinstance(spec, Image) and spec.mean == 0.0 and spec.std == 1.0 and spec.order == "rgb"


def _stored(entry: Network) -> tuple[shelf.Shelf | None, Card | None]:
    for place in shelf.shelves():
        if (found := place.card(entry.name)) is not None:
            return place, found
    return None, None


def _wrapped(entry: Network, weights: Mapping[str, Array], framework: str | None = None, adapter: Any = None) -> Model:
    adapter = adapter or _adapter(framework)
    net = adapter.build(entry.architecture)
    adapter.set_weights(net, entry.architecture, weights)
    return wrapping.wrap(
        net,
        inputs=entry.inputs,
        outputs=entry.outputs,
        name=entry.name,
        layout=getattr(net, "layout", "channels-last"),
        weights_id=weights_id(weights, entry.name),
    )


def _adapter(framework: str | None) -> Any:
    """The adapter package of a framework; None: the one already imported, else the first that is installed."""
    if framework is not None:
        return wrapping.adapter(framework)
    installed = wrapping.frameworks()
    if not installed:
        raise MissingPackage("PyTorch or Keras", "torch", "a network of the zoo")
    return wrapping.adapter(next((name for name in installed if name in sys.modules), installed[0]))
