"""Weights that others trained, read from a file into the neutral weights of a documented network.

Read are: weights files of Keras 1 to 3 (.h5, .weights.h5), a state_dict of torchvision as safetensors, and safetensors
in the names of the zoo. A file is known by its first bytes, never by its ending; none is unpickled, no link out of it
is followed, and nothing is read before its shape fits. `find` looks where Keras keeps ImageNet's weights.
"""

import hashlib
import json
import math
import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from xaikit import data, wrapping
from xaikit.arrays import Array
from xaikit.errors import DataError, MissingPackage, StorageError, UnsafeFile, XaikitError, not_there
from xaikit.inputs import Classes
from xaikit.zoo.architectures._imagenet import CLASSES, KERAS, TORCHVISION, standardised
from xaikit.zoo.building import Architecture, Node, Shape
from xaikit.zoo.networks import Network, networks

NAMES = "imagenet_class_index.json"
HDF5, ZIP, PICKLE = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"\x80"
KINDS = {
    "conv": "conv{}d",
    "conv_transpose": "conv{}d_transpose",
    "depthwise_conv": "depthwise_conv{}d",
    "separable_conv": "separable_conv{}d",
    "dense": "dense",
    "batch_norm": "batch_normalization",
    "layer_norm": "layer_normalization",
    "group_norm": "group_normalization",
    "embedding": "embedding",
}
"""What Keras 3 calls the layers of an operation in a .weights.h5 file; {} is the number of axes of space."""
COUNTED = re.compile(r"((separable|depthwise)_?)?(conv|convolution|dense|batch_?norm(alization)?|embedding)(\dd)?_?\d*")
"""Names that come from counting and say nothing: conv2d_3, batchnormalization_12, dense1."""
TORCH = {
    "conv": {"kernel": "weight", "bias": "bias"},
    "dense": {"kernel": "weight", "bias": "bias"},
    "batch_norm": {
        "gamma": "weight",
        "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    },
}
RESNETS = {"resnet18": (2, (2, 2, 2, 2)), "resnet50": (3, (3, 4, 6, 3))}
"""Convolutions per block, and blocks per stage."""


@dataclass(frozen=True, eq=False)
class Pretrained:
    """Weights from a file, and the network with the scaling and the class names that go with them.

    origin: the file's name and its MD5, and whether that is the published one.
    """

    network: Network
    weights: dict[str, Array]
    origin: str


@dataclass(frozen=True, eq=False)
class Stored:
    """An array that still lies in its file."""

    name: str
    shape: Shape
    read: Callable[[], Array]


Layers = Sequence[tuple[str, Sequence[Stored]]]


def read(network: Network, path: str | Path) -> Pretrained:
    """Read the weights of a network from a file: Keras' .h5 or .weights.h5, or safetensors.

    A state_dict of torchvision brings torchvision's scaling with it, other files keep the network's own. Raises
    DataError where there is no such file, UnsafeFile for a pickle, and StorageError for a file that is damaged or of
    another network, naming the file, the layer and both shapes.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise DataError(f"{path} is a folder; name the weights file in it")
    if not path.is_file():
        raise DataError(
            f"{not_there(path, 'weights file')}; zoo.load({network.name!r}) without weights= looks in the known places"
        )
    with path.open("rb") as file:
        start = file.read(9)
    known = _md5(path)
    published = network.name in KERAS and known == KERAS[network.name].md5
    inputs = network.inputs
    try:
        if start.startswith(HDF5):
            weights = _from_hdf5(path, network.architecture, check_names=not published)
        elif start[8:] == b"{":
            weights, inputs = _from_safetensors(path, network)
        else:
            raise _no_weights(path, start)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise StorageError(f"{path} is damaged and cannot be read: {_line(error)}") from None
    outputs = classes() if network.outputs == CLASSES else network.outputs
    origin = f"{path.name}, MD5 {known}" + (", as published by Keras" if published else "")
    return Pretrained(replace(network, inputs=inputs, outputs=outputs), weights, origin)


def find(network: Network) -> Pretrained | None:
    """Find the published weights of a network; None where nobody publishes any that fit.

    Looks for NAME.safetensors and Keras' file in the folder of XAIKIT_DATA and in Keras' own, then asks Keras to
    download its file. Raises DataError that says which file to put where.
    """
    if network.name not in KERAS and network.name not in TORCHVISION:
        return None
    published = KERAS.get(network.name)
    for folder in places():
        for name in ([published.file] if published else []) + [f"{network.name}.safetensors"]:
            if (folder / name).is_file():
                return _trusted(read(network, folder / name), name)
    return read(network, _downloaded(network.name))


def places() -> list[Path]:
    """The folders in which published files are looked for: that of XAIKIT_DATA, and Keras' own."""
    home = data.folder()
    return [*([home] if home else []), keras_folder() / "models"]


def keras_folder() -> Path:
    """Keras' folder: KERAS_HOME, or .keras in the user's home."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")


def classes() -> Classes:
    """ImageNet's classes: by name where Keras' list of them is found, else numbered.

    A name that two classes share ("crane", "maillot") is followed by its WordNet number. Raises StorageError for a
    list that is damaged.
    """
    for folder in places():
        if (folder / NAMES).is_file():
            return Classes(_class_names(folder / NAMES), form=CLASSES.form)
    return CLASSES


def _class_names(path: Path) -> tuple[str, ...]:
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        entries = [(str(number), str(name)) for number, name in (listed[str(i)] for i in range(len(CLASSES.names)))]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{path} is no list of ImageNet's 1000 classes: {_line(error)}") from None
    names = [name for _, name in entries]
    return tuple(name if names.count(name) == 1 else f"{name} ({number})" for number, name in entries)


def _trusted(found: Pretrained, name: str) -> Pretrained:
    """Warn of a file that has a published name and other content; its owner may have put it there."""
    if name.endswith(".h5") and "published" not in found.origin:
        warnings.warn(
            f"{found.origin}: not the file that Keras publishes (MD5 {KERAS[found.network.name].md5})", stacklevel=4
        )
    return found


def _downloaded(name: str) -> Path:
    folder = str(data.folder() or "the folder that XAIKIT_DATA names")
    if name not in KERAS:
        raise DataError(
            f"there are no weights of {name}: put {name}.safetensors into {folder}, or name it in weights=; it is made "
            f"of torchvision's network: safetensors.torch.save_file(net.state_dict(), '{name}.safetensors')"
        )
    wanted = KERAS[name]
    missing = (
        f"there are no weights of {name}: put {wanted.file} from {wanted.address} into {folder} or "
        f"{keras_folder() / 'models'}, or name it in weights="
    )
    if "keras" not in wrapping.frameworks():
        raise DataError(missing)
    try:
        keras = import_module(".published", wrapping.adapter("keras").__name__)
        return Path(keras.fetch(wanted.file, wanted.address, wanted.md5, keras_folder()))
    except XaikitError as error:
        raise DataError(f"{missing}; Keras could not get it: {error}") from None


def _md5(path: Path) -> str:
    """The checksum in which Keras states its files; against mistakes, not against attacks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _no_weights(path: Path, start: bytes) -> XaikitError:
    if start.startswith(ZIP) and path.suffix == ".keras":
        return StorageError(f"{path} holds a whole model, not weights alone: xk.load_model opens it")
    if start.startswith((ZIP, PICKLE)):
        return UnsafeFile(
            f"{path} looks like a pickle of PyTorch, which can run code when it is opened, and was not; convert it: "
            f"safetensors.torch.save_file(torch.load({path.name!r}, weights_only=True), '{path.stem}.safetensors')"
        )
    return StorageError(f"{path} is neither HDF5 nor safetensors; give a .h5, .weights.h5 or .safetensors file")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


# ---------------------------------------------------------------------- Keras


def _from_hdf5(path: Path, architecture: Architecture, check_names: bool) -> dict[str, Array]:
    try:
        import h5py  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        raise MissingPackage("h5py", "keras", "a weights file of Keras") from None
    with h5py.File(path, "r") as file:
        if "model_config" in file.attrs or "model_weights" in file:
            raise StorageError(
                f"{path} holds a whole model, not weights alone: xk.load_model opens it, "
                "and its save_weights writes a file that fits here"
            )
        if "layer_names" in file.attrs:
            return _in_order(path, architecture, _legacy_layers(file), check_names)
        if "layers" in file:
            return _in_order(path, architecture, _counted_layers(path, file, architecture), check_names)
    raise StorageError(f"{path} is an HDF5 file, but it holds no weights as Keras saves them")


def _legacy_layers(file: Any) -> Layers:
    """The layers that have weights, in the order in which Keras wrote them."""
    layers = []
    for layer in map(_text, file.attrs["layer_names"]):
        group = _inside(file, file, layer)
        names = [_text(n) for n in group.attrs["weight_names"]]
        if names:
            layers.append((layer, [_stored(file, group, name) for name in names]))
    return layers


def _counted_layers(path: Path, file: Any, architecture: Architecture) -> Layers:
    """The layers of Keras 3, which counts each kind for itself, put into the network's order."""
    found: dict[str, list[tuple[int, str, list[Stored]]]] = {}
    for name in file["layers"]:
        group = _inside(file, file["layers"], name)
        variables: Any = _inside(file, group, "vars") if "vars" in group else {}
        if len(variables):
            kind, number = _counted(name)
            stored = [_stored(file, variables, str(i)) for i in sorted(map(int, variables))]
            found.setdefault(kind, []).append((number, _text(variables.attrs.get("name", name)), stored))
    nodes = in_order_of_keras(architecture)
    kinds = [KINDS.get(n.op, n.op).format(len(n.shape) - 1) for n in nodes]
    if Counter(kinds) != {kind: len(of_kind) for kind, of_kind in found.items()}:
        every = [stored for of_kind in found.values() for _, _, stored in of_kind]
        raise _unlike(path, architecture, len(every), _size(every))
    waiting = {kind: iter(sorted(of_kind, key=lambda g: g[0])) for kind, of_kind in found.items()}
    return [(name, stored) for _, name, stored in (next(waiting[kind]) for kind in kinds)]


def _counted(name: str) -> tuple[str, int]:
    """The kind of a group and its number: conv2d, conv2d_1, ..."""
    kind, _, number = name.rpartition("_")
    return (kind, int(number)) if number.isdecimal() and kind else (name, 0)


def _size(layers: Iterable[Sequence[Stored]]) -> int:
    return sum(math.prod(s.shape) for stored in layers for s in stored)


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _inside(file: Any, group: Any, name: str) -> Any:
    """A member that lies in this very file. Raises UnsafeFile for a link out of it."""
    member = group[name]
    if member.file.filename != file.filename:
        raise UnsafeFile(f"{file.filename} links to another file, {member.file.filename}, and was not followed")
    return member


def _stored(file: Any, group: Any, name: str) -> Stored:
    values = _inside(file, group, name)
    if getattr(values, "external", None) or getattr(values, "is_virtual", False):
        raise UnsafeFile(f"{file.filename} keeps {name} in another file, which was not followed")
    return Stored(name, tuple(values.shape), lambda: values[()])


def in_order_of_keras(architecture: Architecture) -> list[Node]:
    """The nodes with weights as Keras sorts layers: the farthest from the output first, then as met from there."""
    depth: dict[str, int] = {}
    for node in reversed(architecture.nodes):
        for parent in node.parents:
            depth[parent] = max(depth.get(parent, 0), depth.get(node.name, 0) + 1)
    met = {name: place for place, name in enumerate(_backwards(architecture))}
    weighty = [n for n in architecture.nodes if n.weights and n.name in met]
    return sorted(weighty, key=lambda n: (-depth.get(n.name, 0), met[n.name]))


def _backwards(architecture: Architecture) -> Iterator[str]:
    """Names in a depth-first walk from the outputs, each once, the first parent first."""
    waiting, seen = list(architecture.outputs.values())[::-1], set()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            yield name
            waiting.extend(architecture.by_name[name].parents[::-1])


def _in_order(path: Path, architecture: Architecture, layers: Layers, check_names: bool) -> dict[str, Array]:
    """Give each node the layer at its place. Raises StorageError where number, name or shape differs."""
    nodes = in_order_of_keras(architecture)
    size = _size(stored for _, stored in layers)
    if len(layers) != len(nodes):
        raise _unlike(path, architecture, len(layers), size)
    weights = {}
    for node, (layer, stored) in zip(nodes, layers, strict=True):
        shapes = [s.shape for s in stored]
        if check_names and not _may_be(layer, node, architecture):
            raise _unfit(path, layer, f"{architecture.name} has {node.name} in its place", architecture, size)
        if sorted(shapes) != sorted(w.shape for w in node.weights.values()):
            expected = ", ".join(f"{n} {w.shape}" for n, w in node.weights.items())
            given = ", ".join(f"{s.name} {s.shape}" for s in stored)
            raise _unfit(path, layer, f"it has {given}; {node.name} needs {expected}", architecture, size)
        for name, one in _by_name(node, stored):
            weights[f"{node.name}/{name}"] = _taken(path, layer, one, node.weights[name].shape)
    return weights


def _may_be(layer: str, node: Node, architecture: Architecture) -> bool:
    """Whether the layer's name is the node's, or one of both comes from counting and belongs to no other node."""
    if layer == node.name:
        return True
    counted = COUNTED.fullmatch(layer) or COUNTED.fullmatch(node.name)
    return bool(counted) and (COUNTED.fullmatch(layer) is not None or layer not in architecture.by_name)


def _by_name(node: Node, stored: Sequence[Stored]) -> Iterator[tuple[str, Stored]]:
    """Weights by their names (kernel:0) where these are known, else by their order."""
    named = {s.name.rpartition("/")[2].partition(":")[0]: s for s in stored}
    if named.keys() == node.weights.keys():
        yield from named.items()
    else:
        yield from zip(node.weights, stored, strict=True)


def _taken(path: Path, layer: str, one: Stored, shape: Shape) -> Array:
    if one.shape != shape:
        raise StorageError(f"{path}: {one.name} of {layer} has shape {one.shape}, expected {shape}")
    values = np.asarray(one.read(), np.float32)
    if not np.isfinite(values).all():
        raise StorageError(f"{path}: {one.name} of {layer} holds values that are NaN or infinite")
    return values


def _unlike(path: Path, architecture: Architecture, layers: int, size: int) -> StorageError:
    needs = len([n for n in architecture.nodes if n.weights])
    cut = "; a 'notop' file lacks the classifier" if "notop" in path.name else ""
    return StorageError(
        f"{path} has {layers} layers with weights, {architecture.name} has {needs}{cut}{_rather(architecture, size)}"
    )


def _unfit(path: Path, layer: str, why: str, architecture: Architecture, size: int) -> StorageError:
    return StorageError(f"{path}, layer {layer}: {why}{_rather(architecture, size)}")


def _rather(architecture: Architecture, size: int) -> str:
    """The network that has as many weights as the file."""
    alike = [n for n in networks if n != architecture.name and networks[n].architecture.total == size]
    return f"; it has as many weights as {' or '.join(alike)}" if alike else ""


# ---------------------------------------------------------------------- safetensors


def _from_safetensors(path: Path, network: Network) -> tuple[dict[str, Array], Any]:
    """The weights, and the input spec that goes with them."""
    from safetensors import SafetensorError, safe_open

    architecture = network.architecture
    try:
        with safe_open(path, framework="np") as file:
            there = {name: _sliced(file, name) for name in file.keys()}  # noqa: SIM118
            if there.keys() == architecture.weights.keys():
                fits = {n: _taken(path, "the file", there[n], w.shape) for n, w in architecture.weights.items()}
                return fits, network.inputs
            if network.name in TORCHVISION:
                return _from_torchvision(path, architecture, there), standardised(network.inputs.height)
    except SafetensorError as error:
        raise StorageError(f"{path} is no readable safetensors file: {_line(error)}") from None
    raise _unnamed(path, architecture, there, architecture.weights)


def _sliced(file: Any, name: str) -> Stored:
    return Stored(name, tuple(file.get_slice(name).get_shape()), lambda: file.get_tensor(name))


def _from_torchvision(path: Path, architecture: Architecture, there: Mapping[str, Stored]) -> dict[str, Array]:
    """torchvision's arrays, (out, in, height, width) and (out, in), in the neutral layouts."""
    there = {name: one for name, one in there.items() if not name.endswith("num_batches_tracked")}
    wanted = dict(_torchvision_names(architecture))
    if there.keys() != wanted.keys():
        raise _unnamed(path, architecture, there, wanted)
    weights = {}
    for name, (node, weight) in wanted.items():
        shape = node.weights[weight].shape
        if weight == "kernel" and node.op == "conv":
            given = _taken(path, name, there[name], (shape[3], shape[2], *shape[:2]))
            values = given.transpose(2, 3, 1, 0)
        elif weight == "kernel":
            values = _rows_channels_last(_taken(path, name, there[name], shape[::-1]), node, architecture)
        else:
            values = _taken(path, name, there[name], shape)
        weights[f"{node.name}/{weight}"] = np.ascontiguousarray(values)
    return weights


def _rows_channels_last(kernel: Array, node: Node, architecture: Architecture) -> Array:
    """(out, in) -> (in, out); after a flattened map the channel runs fastest, not slowest."""
    before = architecture.by_name[node.parents[0]]
    if before.op != "flatten":
        return kernel.T
    height, width, channels = architecture.by_name[before.parents[0]].shape
    return kernel.reshape(-1, channels, height, width).transpose(2, 3, 1, 0).reshape(-1, kernel.shape[0])


def _torchvision_names(architecture: Architecture) -> Iterator[tuple[str, tuple[Node, str]]]:
    """Every name of the state_dict, with the node and the weight it stands for."""
    weighty = [n for n in architecture.nodes if n.weights]
    modules = _residual(*RESNETS[architecture.name]) if architecture.name in RESNETS else _sequential(architecture)
    for node, module in zip(weighty, modules, strict=True):
        for weight in node.weights:
            yield f"{module}.{TORCH[node.op][weight]}", (node, weight)


def _sequential(architecture: Architecture) -> Iterator[str]:
    """VGG: every operation is counted, before flattening as features, after it as classifier."""
    part, count = "features", 0
    for node in architecture.nodes[1:]:
        if node.op == "flatten":
            part, count = "classifier", -1
        if node.weights:
            yield f"{part}.{count}"
        count += 1


def _residual(convolutions: int, lengths: Sequence[int]) -> Iterator[str]:
    yield from ("conv1", "bn1")
    for stage, length in enumerate(lengths, start=1):
        for block in (f"layer{stage}.{i}" for i in range(length)):
            for i in range(1, convolutions + 1):
                yield from (f"{block}.conv{i}", f"{block}.bn{i}")
            if block.endswith(".0") and (stage > 1 or convolutions == 3):
                yield from (f"{block}.downsample.0", f"{block}.downsample.1")
    yield "fc"


def _unnamed(path: Path, architecture: Architecture, there: Any, wanted: Any) -> StorageError:
    missing, unknown = sorted(wanted.keys() - there.keys()), sorted(there.keys() - wanted.keys())
    lacks = f"lacks {missing[0]} and {len(missing) - 1} more" if missing else "lacks nothing"
    has = f"has {unknown[0]} and {len(unknown) - 1} more, which are unknown" if unknown else "has nothing else"
    size = _size([list(there.values())])
    return StorageError(f"{path} does not fit {architecture.name}: it {lacks}, and {has}{_rather(architecture, size)}")
