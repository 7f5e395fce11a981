import hashlib
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from xaikit import data, wrapping
from xaikit.arrays import Array
from xaikit.errors import DataError, MissingPackage, ParameterError
from xaikit.inputs import Array as ArraySpec
from xaikit.inputs import Image, plain
from xaikit.model import Model
from xaikit.progress import bar
from xaikit.zoo import shelf
from xaikit.zoo.building import weights_id
from xaikit.zoo.cards import Card, Trained, blank
from xaikit.zoo.judging import judge
from xaikit.zoo.networks import Network, networks
from xaikit.zoo.recipes import Progress, Recipe
from xaikit.zoo.training import Checkpoint, Epoch, Samples, corrupted, pick, split

CHUNK = 500
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
    Raises UnknownName for a name that is not in `zoo.names()`, and MissingPackage without a framework.
    """
    return _adapter(framework).build(networks[name].architecture, seed)


def load(name: str, framework: str | None = None, weights: str | Path | None = None) -> Model:
    """A trained network, wrapped with its specs and its `weights_id`.

    weights: a file to read them from (see `zoo.pretrained.read`). Without one they are those trained here, else the
    shipped ones, else those that Keras or torchvision publish for ImageNet, else it is trained now, which needs its
    data. Weights from a file bring their own scaling into the input spec, and their file and MD5 into `version`.
    Raises UnknownName, StorageError for a weights file that is damaged or not the one its card describes, UnsafeFile
    for a pickle, DataError where there are neither weights nor data.
    """
    entry = networks[name]
    place, found = (None, None) if weights is not None else _stored(entry)
    if place is not None and found is not None:
        return _wrapped(entry, place.weights(entry, found), framework)
    from xaikit.zoo import pretrained  # most loads need none of it

    given = pretrained.find(entry) if weights is None else pretrained.read(entry, weights)
    if given is None:
        return train(name, framework)
    return _wrapped(given.network, given.weights, framework, version=given.origin)


def train(
    name: str,
    framework: str | None = None,
    epochs: int | None = None,
    seed: int = 0,
    *,
    progress: Progress | None = None,
    folder: str | Path | None = None,
) -> Model:
    """Train a network by its documented recipe, judge it on the test part, store weights and card, and give it wrapped.

    epochs: other than the recipe's. progress(done, total, text) is called after every epoch; without it a bar is shown
    where there is a terminal. folder: where to store, by default the user's cache, where `load` finds it. Raises
    DataError where the data are not there.
    """
    entry = networks[name]
    if epochs is not None and epochs < 1:
        raise ParameterError(f"epochs must be at least 1, not {epochs}")
    recipe = entry.recipe if epochs is None else replace(entry.recipe, epochs=epochs)
    adapter, home = _adapter(framework), Path(folder) if folder else shelf.cache_folder()
    samples = _samples(entry, recipe, seed)
    net = adapter.build(entry.architecture, seed)
    if samples.start:
        adapter.set_weights(net, entry.architecture, {**adapter.get_weights(net, entry.architecture), **samples.start})
    checkpoint = _checkpoint(entry, recipe, adapter.__name__, seed, home)
    with bar(None if progress is None else False, f"training {name}") as show:
        report = progress or (lambda done, total, text: show(done, total))
        report(0, recipe.epochs, _place(adapter))
        curve = adapter.fit(net, entry.architecture, recipe, samples, seed=seed, progress=report, checkpoint=checkpoint)
    weights = adapter.get_weights(net, entry.architecture)
    model = _wrapped(entry, weights, adapter=adapter)
    _store(entry, recipe, weights, curve, model, samples, seed, home, adapter.training_device())
    checkpoint.remove()
    return model


def _place(adapter: Any) -> str:
    """Say where the training runs."""
    where = "on a GPU" if adapter.training_device() == "cuda" else "on the processor, for no GPU was found"
    return f"training with {adapter.__name__.removeprefix('xaikit_')} {where}"


def _checkpoint(entry: Network, recipe: Recipe, adapter: str, seed: int, home: Path) -> Checkpoint:
    key = {"recipe": asdict(recipe), "weights": {n: w.shape for n, w in entry.architecture.weights.items()}}
    return Checkpoint(home / f"{entry.name}.{adapter}.unfinished", {**key, "seed": seed, "adapter": adapter})


def _store(
    entry: Network,
    recipe: Recipe,
    weights: Mapping[str, Array],
    curve: tuple[Epoch, ...],
    model: Model,
    samples: Samples,
    seed: int,
    folder: Path,
    device: str,
) -> None:
    content = shelf.packed(weights, entry.name)
    digest = hashlib.sha256(content).hexdigest()
    trained = Trained(
        seed=seed,
        epochs=len(curve),
        best_epoch=1 + int(np.nanargmin([e.validation_loss for e in curve])),
        samples={"training": len(samples.x), "validation": len(samples.x_validation)},
        metrics=measure(entry, model),
        curve=tuple(asdict(epoch) for epoch in curve),
        file=f"{entry.name}-{digest[:12]}.safetensors",
        sha256=digest,
        weights_id=weights_id(weights, entry.name),
        date=date.today().isoformat(),
        trained_with={name: import_module(name).__version__ for name in ("numpy", *PACKAGES[model.framework])},
        device=device,
    )
    shelf.put(folder, replace(blank(entry), recipe=plain(asdict(recipe)), trained=trained), content)


def measure(entry: Network, model: Model, most: int | None = None) -> dict[str, Any]:
    """Give a model's metrics on the test part of a network's data, of `most` evenly spread samples where given."""
    described = data.load(entry.data)
    test = described.read("test")
    n = len(test.x)
    chosen = np.arange(n) if most is None or most >= n else np.linspace(0, n - 1, most).round().astype(int)
    x, given, weights = [], [], []
    rng = np.random.default_rng(0)
    for part in np.array_split(chosen, -(-len(chosen) // CHUNK)):
        x.append(entry.inputs.encode(_some(test.x, part)))
        changed, weight = _corrupted(entry, x[-1], rng)
        given.append(model.run(changed).output)
        weights.append(weight)
    naive = described.naive(_some(test.x, chosen)) if described.naive else None
    hidden = [w for w in weights if w is not None]
    weight = np.concatenate(hidden) if hidden else None
    return judge(entry.outputs, np.concatenate(x), pick(test.y, chosen), _joined(given), naive, weight)


def _corrupted(entry: Network, x: Array, rng: np.random.Generator) -> tuple[Array, Array | None]:
    """Give what an autoencoder is tested with: what it was trained to restore."""
    corruption = entry.recipe.corruption
    return (x, None) if corruption is None else corrupted(x, corruption, rng)


def _some(x: Any, chosen: Array) -> Any:
    """Give some samples; strings and paths as a list, which every spec takes for several samples."""
    return list(x[chosen]) if x.dtype == object and x.ndim == 1 else x[chosen]


def _joined(outputs: list[Any]) -> Any:
    if isinstance(outputs[0], Mapping):
        return {name: np.concatenate([o[name] for o in outputs]) for name in outputs[0]}
    return np.concatenate(outputs)


def _samples(entry: Network, recipe: Recipe, seed: int) -> Samples:
    part = data.load(entry.data).read("train")
    raw = _only_scaled(entry.inputs) and part.x.dtype != object
    x, scale = (part.x, entry.inputs.scale) if raw else (_encoded(entry.inputs, part.x), 1.0)
    training, validation = split(part.y, recipe.validation, np.random.default_rng(seed))
    y = pick(part.y, training), pick(part.y, validation)
    return Samples(_part(x, training), y[0], _part(x, validation), y[1], scale, _start(entry, recipe))


@dataclass(frozen=True)
class Files:
    """Pictures by the paths of their files; an index gives them as the network takes them, a part is still unread."""

    paths: Array
    spec: Image

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, chosen: Array) -> Array:
        return np.asarray(self.spec.encode(list(self.paths[chosen])), np.float32)

    def part(self, chosen: Array) -> "Files":
        return Files(self.paths[chosen], self.spec)


def _part(x: Any, chosen: Array) -> Any:
    return x.part(chosen) if isinstance(x, Files) else x[chosen]


def _encoded(spec: Any, x: Any) -> Any:
    """Give all samples as the network takes them; what is as it should be already is not copied."""
    if isinstance(spec, ArraySpec) and isinstance(x, np.ndarray):
        return x
    if isinstance(spec, Image) and x.dtype == object:
        return Files(x, spec)
    encoded = np.asarray(spec.encode(x))
    return encoded.astype(np.float32) if encoded.dtype == np.float64 else encoded


def _start(entry: Network, recipe: Recipe) -> Mapping[str, Array]:
    """Give the weights that a fine-tuned network takes over from its backbone."""
    if recipe.fine_tuning is None:
        return {}
    backbone = networks[recipe.fine_tuning.backbone]
    place, found = _stored(backbone)
    if place is None or found is None:
        raise DataError(
            f"{entry.name} starts from {backbone.name}, which is not trained here: zoo.train({backbone.name!r}) first"
        )
    own = entry.architecture.weights
    taken = place.weights(backbone, found)
    return {name: value for name, value in taken.items() if name in own and own[name].shape == value.shape}


def _only_scaled(spec: Any) -> bool:
    """Whether encoding is a multiplication, so that images can stay bytes until they are needed."""
    return isinstance(spec, Image) and spec.mean == 0.0 and spec.std == 1.0 and spec.order == "rgb"


def _stored(entry: Network) -> tuple[shelf.Shelf | None, Card | None]:
    for place in shelf.shelves():
        if (found := place.card(entry.name)) is not None:
            return place, found
    return None, None


def _wrapped(
    entry: Network,
    weights: Mapping[str, Array],
    framework: str | None = None,
    adapter: Any = None,
    version: str | None = None,
) -> Model:
    adapter = adapter or _adapter(framework)
    net = adapter.build(entry.architecture, weights=weights)
    return wrapping.wrap(
        net,
        inputs=entry.inputs,
        outputs=entry.outputs,
        name=entry.name,
        layout=getattr(net, "layout", "channels-last"),
        version=version,
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
