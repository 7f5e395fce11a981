"""Weights from files of Keras and torchvision: the network answers as its original does, and no other file gets in."""

import json
import math
import pickle
import re
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tests.cases import some
from xaikit import zoo
from xaikit.errors import DataError, StorageError, UnsafeFile
from xaikit.zoo import pretrained
from xaikit.zoo.architectures._imagenet import CLASSES, KERAS, standardised
from xaikit.zoo.networks import networks

h5py = pytest.importorskip("h5py")

APPLICATIONS = {
    "vgg16": ("VGG16", "vgg16"),
    "vgg19": ("VGG19", "vgg19"),
    "resnet50_keras": ("ResNet50", "resnet"),
    "inception_v3": ("InceptionV3", "inception_v3"),
    "xception": ("Xception", "xception"),
}


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """No cache, no data, no folder of Keras, and no way out to the internet; large files do not outlive the test."""
    for name in ("XAIKIT_CACHE", "XAIKIT_DATA", "KERAS_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setattr(urllib.request, "_opener", None)  # it would remember the way out, or the lack of one
    yield tmp_path
    shutil.rmtree(tmp_path)


def photos() -> list[Any]:
    skimage = pytest.importorskip("skimage.data")
    return [skimage.chelsea(), skimage.astronaut()]


def lively(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    """Values that keep the size of what passes, no bias at zero, no statistic as it starts."""
    if name in ("gamma", "moving_variance"):
        return rng.uniform(0.5, 1.5, shape)
    if len(shape) == 1:
        return rng.normal(0, 0.1, shape)
    return rng.normal(0, math.sqrt(1.5 / math.prod(shape[:2] if name == "depthwise_kernel" else shape[:-1])), shape)


def enliven(net: Any, x: Any) -> None:
    """Random weights for a Keras network, and a last layer that does not saturate the softmax of `x`."""
    keras = pytest.importorskip("keras")
    rng = np.random.default_rng(3)
    for layer in net.layers:
        for variable in layer.weights:
            variable.assign(lively(variable.name, tuple(variable.shape), rng))
    last = next(layer for layer in reversed(net.layers) if layer.weights)
    size = np.sqrt(np.mean(np.square(keras.Model(net.inputs[0], last.input)(x))))
    last.kernel.assign(last.kernel / max(float(size), 1e-6))


def agree(ours: Any, theirs: Any) -> None:
    assert ours.shape == theirs.shape
    assert np.abs(theirs[0] - theirs[1]).max() > 1e-3 * np.abs(theirs).max()
    # float32 sums in another order: five digits of the largest output.
    assert_allclose(ours, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())


def legacy(path: Path, net: Any) -> Path:
    """The layout in which keras.applications publishes."""
    layout = pytest.importorskip("keras.src.legacy.saving.legacy_h5_format")
    with h5py.File(path, "w") as file:
        layout.save_weights_to_hdf5_group(file, net)
    return path


def keras_3(path: Path, net: Any) -> Path:
    path = path.with_suffix(".weights.h5")
    net.save_weights(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("save", [legacy, keras_3])
@pytest.mark.parametrize("name", ["eeg_cnn", "resnet20_cifar10"])
def test_a_network_of_the_zoo_reads_what_keras_saves(
    both: tuple[Any, Any], framework: str, save: Callable[[Path, Any], Path], name: str, tmp_path: Path
) -> None:
    net = both[1].build(networks[name].architecture)
    x = np.random.default_rng(0).normal(0, 1, (2, *networks[name].inputs.shape)).astype(np.float32)
    enliven(net, x)
    path = save(tmp_path / "mine.h5", net)
    model = zoo.load(name, framework, weights=path)
    agree(model.run(x).output, np.asarray(net(x)))
    assert re.fullmatch(rf"{re.escape(path.name)}, MD5 [0-9a-f]{{32}}", model.version)


@pytest.mark.slow
@pytest.mark.parametrize("name", some(APPLICATIONS, ("resnet50_keras",)))
def test_weights_of_keras_applications_give_the_same_answers(name: str, nowhere: Path) -> None:
    keras = pytest.importorskip("keras")
    function, module = APPLICATIONS[name]
    reference = getattr(keras.applications, function)(weights=None)
    spec = networks[name].inputs
    seen = np.stack([spec.display(p) for p in photos()]).astype(np.float32)
    x = getattr(keras.applications, module).preprocess_input(seen)
    enliven(reference, x)
    official = nowhere / "KERAS_HOME" / "models" / KERAS[name].file
    official.parent.mkdir(parents=True)
    files = [legacy(official, reference), keras_3(nowhere / "other.h5", reference)]
    theirs = np.asarray(reference(x))
    del reference
    for framework, path in (("torch", files[0]), ("keras", files[1])):
        model = zoo.load(name, framework, weights=path)
        agree(model.run(model.inputs.encode(photos())).output, theirs)
    with pytest.warns(UserWarning, match=rf"not the file that Keras publishes \(MD5 {KERAS[name].md5}\)"):
        found = pretrained.find(networks[name])
    assert found is not None
    assert found.origin.startswith(official.name)
    assert found.network.inputs == spec


@pytest.mark.parametrize("name", APPLICATIONS)
def test_inputs_are_scaled_as_keras_applications_scales_them(name: str) -> None:
    keras = pytest.importorskip("keras")
    theirs = getattr(keras.applications, APPLICATIONS[name][1]).preprocess_input
    spec = networks[name].inputs
    photo = photos()[0]
    side = spec.height
    same_size = photo[:side, :side] if side <= 300 else photo
    expected = theirs(same_size.astype(np.float32).copy()[None])
    assert_allclose(spec.encode(same_size), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_torchvision_scaling_is_mean_and_deviation_of_each_channel() -> None:
    photo = photos()[0][:224, :224]
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    assert_allclose(standardised(224).encode(photo)[0], (photo / 255 - mean) / std, atol=1e-5)


def test_published_files_are_those_of_the_installed_keras() -> None:
    source = Path(pytest.importorskip("keras").__file__).parent / "src" / "applications"
    for name, published in KERAS.items():
        text = (source / f"{APPLICATIONS[name][1]}.py").read_text()
        assert published.md5 in text
        if name != "resnet50_keras":
            assert f"{published.folder}/{published.file}" in text


# ---------------------------------------------------------------------- torchvision


def torch_vgg(lengths: tuple[int, ...]) -> Any:
    """VGG with the names of torchvision."""
    nn = pytest.importorskip("torch.nn")
    features, read = [], 3
    for width, length in zip((64, 128, 256, 512, 512), lengths, strict=True):
        for _ in range(length):
            features += [nn.Conv2d(read, width, 3, padding=1), nn.ReLU()]
            read = width
        features.append(nn.MaxPool2d(2))
    classifier = [nn.Linear(512 * 49, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout()]
    net = nn.Sequential()
    net.add_module("features", nn.Sequential(*features))
    net.add_module("avgpool", nn.Flatten())
    net.add_module("classifier", nn.Sequential(*classifier, nn.Linear(4096, 1000)))
    return net


def torch_resnet(depth: int, lengths: tuple[int, ...]) -> Any:
    """A residual network with the names of torchvision."""
    nn = pytest.importorskip("torch.nn")

    class Block(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self, read: int, width: int, stride: int) -> None:
            super().__init__()
            out = width * (4 if depth == 3 else 1)
            plan = [(read, width, 3, stride), (width, width, 3, 1)]
            if depth == 3:
                plan = [(read, width, 1, 1), (width, width, 3, stride), (width, out, 1, 1)]
            for i, (a, b, kernel, step) in enumerate(plan, start=1):
                setattr(self, f"conv{i}", nn.Conv2d(a, b, kernel, step, kernel // 2, bias=False))
                setattr(self, f"bn{i}", nn.BatchNorm2d(b))
            if stride > 1 or read != out:
                self.downsample = nn.Sequential(nn.Conv2d(read, out, 1, stride, bias=False), nn.BatchNorm2d(out))

        def forward(self, x: Any) -> Any:
            y = x
            for i in range(1, depth + 1):
                y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
                y = y.relu() if i < depth else y
            return (y + (self.downsample(x) if hasattr(self, "downsample") else x)).relu()

    class ResNet(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
            self.pool = nn.MaxPool2d(3, 2, 1)
            read = 64
            for stage, length in enumerate(lengths, start=1):
                width, blocks = 64 * 2 ** (stage - 1), []
                for i in range(length):
                    blocks.append(Block(read, width, 2 if stage > 1 and i == 0 else 1))
                    read = width * (4 if depth == 3 else 1)
                setattr(self, f"layer{stage}", nn.Sequential(*blocks))
            self.fc = nn.Linear(read, 1000)

        def forward(self, x: Any) -> Any:
            x = self.pool(self.bn1(self.conv1(x)).relu())
            for stage in (1, 2, 3, 4):
                x = getattr(self, f"layer{stage}")(x)
            return self.fc(x.mean((2, 3)))

    return ResNet()


def state_dict(net: Any, path: Path) -> Path:
    """Fill a torch network with random numbers and write its state_dict."""
    import torch
    from safetensors.torch import save_file

    neutral = {"running_var": "moving_variance", "weight": "gamma"}
    rng = np.random.default_rng(4)
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if value.ndim:
                last = name.rpartition(".")[2]
                shape = tuple(value.shape)
                kind = neutral.get(last, last) if value.ndim == 1 else "kernel"
                drawn = lively(kind, (*shape[1:], shape[0]), rng) if value.ndim > 1 else lively(kind, shape, rng)
                value.copy_(torch.from_numpy(np.moveaxis(drawn, -1, 0).copy() if value.ndim > 1 else drawn))
    save_file(net.state_dict(), path)
    return path


TORCH: dict[str, Callable[[], Any]] = {
    "resnet18": lambda: torch_resnet(2, (2, 2, 2, 2)),
    "resnet50": lambda: torch_resnet(3, (3, 4, 6, 3)),
    "vgg16": lambda: torch_vgg((2, 2, 3, 3, 3)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", some(TORCH, [n for n in TORCH if n != "vgg16"]))
def test_a_state_dict_of_torchvision_gives_the_same_answers(both: tuple[Any, Any], name: str, nowhere: Path) -> None:
    import torch

    folder = nowhere / "XAIKIT_DATA"
    folder.mkdir()
    net = TORCH[name]().eval()
    state_dict(net, folder / f"{name}.safetensors")
    x = standardised(224).encode(photos())
    with torch.no_grad():
        theirs = net(torch.from_numpy(np.moveaxis(x, -1, 1).copy())).softmax(-1).numpy()
    del net
    for framework in ("torch", "keras"):
        model = zoo.load(name, framework)
        assert model.inputs == standardised(224)
        agree(model.run(model.inputs.encode(photos())).output, theirs)


# ---------------------------------------------------------------------- order, names, places


@pytest.mark.slow
def test_layers_are_ordered_as_keras_orders_them() -> None:
    keras = pytest.importorskip("keras")
    for name in ("inception_v3", "resnet50_keras", "xception"):
        reference = getattr(keras.applications, APPLICATIONS[name][0])(weights=None)
        theirs = [[tuple(w.shape) for w in layer.weights] for layer in reference.layers if layer.weights]
        ours = pretrained.in_order_of_keras(networks[name].architecture)
        assert theirs == [[w.shape for w in node.weights.values()] for node in ours]
        called = [int(n.name[4:]) for n in ours if re.fullmatch(r"conv\d+", n.name)]
        named = [layer.name for layer in reference.layers if re.fullmatch(r"conv2d(_\d+)?", layer.name)]
        counted = [int(n.partition("_")[2] or 0) for n in named]
        assert np.argsort(called).tolist() == np.argsort(counted).tolist()


def listed(folder: Path) -> dict[str, list[str]]:
    names = {str(i): [f"n{i:08d}", "crane" if i in (134, 517) else f"thing_{i}"] for i in range(1000)}
    folder.mkdir(parents=True)
    (folder / "imagenet_class_index.json").write_text(json.dumps(names))
    return names


def test_classes_have_names_where_the_list_of_keras_lies(nowhere: Path) -> None:
    assert pretrained.classes() == CLASSES
    listed(nowhere / "KERAS_HOME" / "models")
    found = pretrained.classes()
    assert (found.label(0), found.label(134), found.label(517)) == ("thing_0", "crane (n00000134)", "crane (n00000517)")
    assert found.form == "softmax"


def test_a_damaged_list_of_classes_is_refused(nowhere: Path) -> None:
    names = listed(nowhere / "XAIKIT_DATA")
    del names["999"]
    (nowhere / "XAIKIT_DATA" / "imagenet_class_index.json").write_text(json.dumps(names))
    with pytest.raises(StorageError, match=r"imagenet_class_index\.json is no list of ImageNet's 1000 classes"):
        pretrained.classes()


@pytest.mark.usefixtures("both")
def test_without_a_file_and_without_internet_it_is_said_what_to_put_where(nowhere: Path) -> None:
    where = re.escape(str(nowhere / "KERAS_HOME" / "models"))
    with pytest.raises(DataError, match=rf"put {KERAS['vgg16'].file} from https.*{where}.*Keras could not get it"):
        zoo.load("vgg16")
    with pytest.raises(DataError, match=r"put resnet50\.safetensors into .*safetensors\.torch\.save_file"):
        zoo.load("resnet50")


def test_the_card_says_where_weights_come_from() -> None:
    said = " ".join(zoo.card("vgg16").limits)
    for part in (KERAS["vgg16"].file, KERAS["vgg16"].md5, KERAS["vgg16"].address, "vgg16.safetensors", "class_index"):
        assert part in said


# ---------------------------------------------------------------------- other files

LAYERS: dict[str, dict[str, tuple[int, ...]]] = {
    "conv2d": {"kernel": (3, 3, 1, 32), "bias": (32,)},
    "conv2d_1": {"kernel": (3, 3, 32, 64), "bias": (64,)},
    "conv2d_2": {"kernel": (3, 3, 64, 64), "bias": (64,)},
    "dense": {"kernel": (576, 64), "bias": (64,)},
    "dense_1": {"kernel": (64, 10), "bias": (10,)},
}
"""What Keras saves of mnist_cnn."""


def written(path: Path, layers: Any = LAYERS, value: float = 0.5) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [n.encode() for n in layers]
        for name, weights in layers.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{w}:0".encode() for w in weights]
            for weight, shape in weights.items():
                group[f"{name}/{weight}:0"] = np.full(shape, value, np.float32)
    return path


def refused(path: Path, error: type[Exception], match: str, name: str = "mnist_cnn") -> None:
    with pytest.raises(error, match=match) as caught:
        pretrained.read(networks[name], path)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_of_known_names_are_read_by_name_and_others_in_order(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file["dense_1"].attrs["weight_names"] = [b"dense_1/bias:0", b"dense_1/kernel:0"]
        del file["dense"]["dense/kernel:0"]
        file["dense"].attrs["weight_names"] = [b"dense_W:0", b"dense_b:0"]
        file["dense"]["dense_W:0"] = np.ones((576, 64), np.float32)
        file["dense"]["dense_b:0"] = np.zeros(64, np.float32)
    found = pretrained.read(networks["mnist_cnn"], path).weights
    assert found.keys() == networks["mnist_cnn"].architecture.weights.keys()
    nodes = [n.name for n in networks["mnist_cnn"].architecture.nodes if n.weights]
    assert_array_equal(found[f"{nodes[3]}/kernel"], 1)
    assert_array_equal(found[f"{nodes[4]}/kernel"], 0.5)


def test_safetensors_in_the_names_of_the_zoo_are_read(tmp_path: Path, framework: str) -> None:
    from safetensors.numpy import save_file

    weights = {n: np.full(w.shape, 0.1, np.float32) for n, w in networks["mnist_cnn"].architecture.weights.items()}
    save_file(weights, tmp_path / "mine.safetensors")
    model = zoo.load("mnist_cnn", framework, weights=tmp_path / "mine.safetensors")
    assert model.inputs == networks["mnist_cnn"].inputs
    other = {"a": np.zeros(3, np.float32)}
    save_file(other, tmp_path / "other.safetensors")
    refused(tmp_path / "other.safetensors", StorageError, r"does not fit mnist_cnn: it lacks .* and has a and 0 more")
    refused(tmp_path / "other.safetensors", StorageError, r"does not fit vgg16: it lacks classifier\.0\.bias", "vgg16")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "mine.safetensors").read_bytes()[:-4])
    refused(tmp_path / "cut.safetensors", StorageError, "no readable safetensors file")


def test_a_file_of_another_network_is_refused_with_layer_and_shapes(tmp_path: Path) -> None:
    layers = {**LAYERS, "dense": {"kernel": (400, 64), "bias": (64,)}}
    match = r"layer dense: it has dense/kernel:0 \(400, 64\), .* needs kernel \(576, 64\), bias \(64,\)"
    refused(written(tmp_path / "a.h5", layers), StorageError, match)
    fewer = {k: v for k, v in LAYERS.items() if not k.startswith("dense")}
    refused(written(tmp_path / "b_notop.h5", fewer), StorageError, "has 3 layers .* has 5; a 'notop' file lacks")
    refused(written(tmp_path / "c.h5"), StorageError, "has 5 layers .*, vgg16 has 16; .* as mnist_cnn", "vgg16")


def test_layers_under_each_others_names_are_refused(tmp_path: Path) -> None:
    nodes = [n for n in networks["vgg16"].architecture.nodes if n.weights]
    swapped = {"block3_conv2": "block3_conv3", "block3_conv3": "block3_conv2"}
    layers = {swapped.get(n.name, n.name): {k: w.shape for k, w in n.weights.items()} for n in nodes[:8]}
    small = {n.name: {"kernel": (1, 1), "bias": (1,)} for n in nodes[8:]}
    path = written(tmp_path / "a.h5", layers | small)
    refused(path, StorageError, "layer block3_conv3: vgg16 has block3_conv2 in its place", "vgg16")


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    refused(written(tmp_path / "a.h5", value=np.nan), StorageError, "kernel:0 of conv2d holds values that are NaN")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5")
    path.write_bytes(path.read_bytes()[:-1000])
    refused(path, StorageError, "is damaged and cannot be read: .*truncated")


def test_a_damaged_file_of_keras_3_is_refused(tmp_path: Path, both: tuple[Any, Any]) -> None:
    net = both[1].build(networks["mnist_cnn"].architecture)
    path = keras_3(tmp_path / "a.h5", net)
    with h5py.File(path, "a") as file:
        del file["layers/dense_1"]
    refused(path, StorageError, "has 4 layers with weights, mnist_cnn has 5")


def test_a_whole_model_is_refused(tmp_path: Path, both: tuple[Any, Any]) -> None:
    net = both[1].build(networks["mnist_cnn"].architecture)
    net.save(tmp_path / "whole.keras")
    refused(tmp_path / "whole.keras", StorageError, "holds a whole model, not weights alone: xk.load_model opens it")
    with h5py.File(tmp_path / "whole.h5", "w") as file:
        file.attrs["model_config"] = net.to_json()
        file.create_group("model_weights")
    refused(tmp_path / "whole.h5", StorageError, "holds a whole model, not weights alone: xk.load_model opens it")


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    class Boom:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    for name in ("weights.pth", "weights.h5"):
        (tmp_path / name).write_bytes(pickle.dumps(Boom()))
        refused(tmp_path / name, UnsafeFile, r"looks like a pickle .* safetensors\.torch\.save_file")
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_of_torch_is_not_opened(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"a": torch.zeros(3)}, tmp_path / "weights.pth")
    refused(tmp_path / "weights.pth", UnsafeFile, r"torch\.load\('weights\.pth', weights_only=True\)")


def test_links_out_of_the_file_are_not_followed(tmp_path: Path) -> None:
    written(tmp_path / "secret.h5")
    path = written(tmp_path / "linked.h5")
    with h5py.File(path, "a") as file:
        del file["dense"]
        file["dense"] = h5py.ExternalLink("secret.h5", "/dense")
    refused(path, UnsafeFile, r"links to another file, .*secret\.h5")
    path = written(tmp_path / "raw.h5")
    (tmp_path / "raw.bin").write_bytes(bytes(40))
    with h5py.File(path, "a") as file:
        del file["dense_1"]["dense_1/bias:0"]
        file["dense_1"].create_dataset("dense_1/bias:0", (10,), "f4", external=[(tmp_path / "raw.bin", 0, 40)])
    refused(path, UnsafeFile, "keeps dense_1/bias:0 in another file")


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda p: None, DataError, "there is no weights file"),
        (lambda p: p.mkdir(), DataError, "is a folder"),
        (lambda p: p.write_text("weights"), StorageError, "neither HDF5 nor safetensors"),
        (lambda p: p.write_bytes(b""), StorageError, "neither HDF5 nor safetensors"),
        (lambda p: h5py.File(p, "w").close(), StorageError, "holds no weights as Keras saves them"),
    ],
)
def test_what_is_no_weights_file_is_refused(
    make: Callable[[Path], Any], error: type[Exception], match: str, tmp_path: Path
) -> None:
    make(tmp_path / "given.h5")
    refused(tmp_path / "given.h5", error, match)
