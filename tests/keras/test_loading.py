"""Model files: what is read, and what is refused before anything in it could run."""

import json
import os
import subprocess
import sys
import zipfile

import h5py
import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

import xaikit_keras
from tests.keras.nets import L, cnn, filled, images, rows, text
from xaikit.errors import ModelError, UnsafeFile


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_saved_network_comes_back(tmp_path, suffix):
    net = cnn()
    net.compile("sgd", "categorical_crossentropy")
    path = tmp_path / f"net.{suffix}"
    net.save(path)
    loaded = xaikit_keras.load_network(path)
    np.testing.assert_allclose(loaded(images()), net(images()), rtol=1e-6)
    assert xaikit_keras.wrap(loaded).fingerprint() == xaikit_keras.wrap(net).fingerprint()
    assert not loaded.compiled
    assert xaikit_keras.load_network(str(path)).name == net.name


def test_weights_go_into_the_network_of_a_factory(tmp_path):
    net = text()
    net.save_weights(tmp_path / "net.weights.h5")
    loaded = xaikit_keras.load_network(tmp_path / "net.weights.h5", factory=lambda: text(L.LSTM(4, name="lstm")))
    for a, b in zip(loaded.weights, net.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ModelError, match="holds only weights: name the function that builds the network, factory = in"):
        xaikit_keras.load_network(tmp_path / "net.weights.h5")
    with pytest.raises(ModelError, match=r"net\.weights\.h5 do not fit the network"):
        xaikit_keras.load_network(tmp_path / "net.weights.h5", factory=cnn)
    with pytest.raises(ModelError, match=r"gave str, expected a keras\.Model"):
        xaikit_keras.load_network(tmp_path / "net.weights.h5", factory=lambda: "net")


def test_safetensors_are_assigned_by_name(tmp_path):
    inner = keras.Sequential([L.Input((4,)), L.Dense(3, name="a")], name="inner")
    net = keras.Sequential([L.Input((4,)), inner, L.Dense(2, name="b")])
    rng = np.random.default_rng(0)
    shapes = {"inner/a/kernel": (4, 3), "inner/a/bias": (3,), "b/kernel": (3, 2), "b/bias": (2,)}
    values = {n: rng.normal(size=s).astype("float32") for n, s in shapes.items()}
    path = tmp_path / "net.safetensors"
    save_file(values, path)
    loaded = xaikit_keras.load_network(path, factory=lambda: net)
    expected = (rows() @ values["inner/a/kernel"] + values["inner/a/bias"]) @ values["b/kernel"] + values["b/bias"]
    np.testing.assert_allclose(loaded(rows()), expected, rtol=1e-5, atol=1e-6)
    save_file({**values, "b/bias": np.zeros(3, "float32")}, path)
    with pytest.raises(ModelError, match=r"'b/bias' has shape \(3,\), expected \(2,\)"):
        xaikit_keras.load_network(path, factory=lambda: net)
    save_file({n: v for n, v in values.items() if n != "b/bias"}, path)
    with pytest.raises(ModelError, match="the file has no 'b/bias'"):
        xaikit_keras.load_network(path, factory=lambda: net)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ModelError, match="do not fit"):
        xaikit_keras.load_network(path, factory=lambda: net)


@pytest.mark.parametrize("name", ["a.keras", "a.h5", "a.weights.h5", "a.safetensors"])
def test_a_missing_file_is_one_line(tmp_path, name):
    with pytest.raises(ModelError, match="there is no model file"):
        xaikit_keras.load_network(tmp_path / name)


@pytest.mark.parametrize("name", ["a.keras", "a.h5"])
@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 but then nothing", b"\x89HDF\r\n\x1a\n and nothing"])
def test_a_damaged_file_is_one_line(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"is damaged|cannot be loaded") as caught:
        xaikit_keras.load_network(path)
    assert "\n" not in str(caught.value)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "net.pt").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"none of \.keras, \.h5"):
        xaikit_keras.load_network(tmp_path / "net.pt")
    with pytest.raises(ModelError, match=r"is a folder.*save the network again as \.keras"):
        xaikit_keras.load_network(tmp_path)
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("config.json", json.dumps({"what": "ever"}))
    with pytest.raises(ModelError, match="cannot be loaded"):
        xaikit_keras.load_network(tmp_path / "other.keras")


def test_a_truncated_file_is_one_line(tmp_path):
    cnn().save(tmp_path / "net.keras")
    content = (tmp_path / "net.keras").read_bytes()
    (tmp_path / "net.keras").write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="is damaged"):
        xaikit_keras.load_network(tmp_path / "net.keras")


def with_lambda(nested):
    layer = L.Lambda(lambda t: t * 2, name="twice", output_shape=(4,))
    inner = keras.Sequential([L.Input((4,)), layer], name="inner") if nested else layer
    return filled(keras.Sequential([L.Input((4,)), inner, L.Dense(2)]))


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_lambda_layer_is_not_opened(tmp_path, suffix, nested):
    path = tmp_path / f"net.{suffix}"
    with_lambda(nested).save(path)
    with pytest.raises(UnsafeFile, match="holds a Lambda layer, which can run any code"):
        xaikit_keras.load_network(path)


def changed_keras(path, change):
    with zipfile.ZipFile(path) as archive:
        parts = {n: archive.read(n) for n in archive.namelist()}
    config = json.loads(parts["config.json"])
    change(config)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**parts, "config.json": json.dumps(config)}.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    "smuggled",
    [
        {"class_name": "Lambda", "module": "keras.src.layers.core.lambda_layer", "config": {}},
        {"class_name": "keras.layers>Lambda", "config": {}},
        {"class_name": "Anything", "registered_name": "Package>Lambda", "config": {}},
        {"class_name": "__lambda__", "config": {"value": "x"}},
        {"class_name": "TFSMLayer", "module": "keras.layers", "config": {"filepath": "elsewhere"}},
        {"class_name": "TorchModuleWrapper", "module": "keras.layers", "config": {}},
    ],
)
def test_code_is_found_wherever_it_hides(tmp_path, smuggled):
    cnn().save(tmp_path / "net.keras")
    changed_keras(
        tmp_path / "net.keras", lambda c: c["config"]["layers"][1]["config"].update(kernel_initializer=smuggled)
    )
    with pytest.raises(UnsafeFile):
        xaikit_keras.load_network(tmp_path / "net.keras")


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_old_python_code_in_h5_is_found(tmp_path):
    path = tmp_path / "net.h5"
    cnn().save(path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][1]["config"] |= {"function": ["4wEAAA==", None, None], "function_type": "lambda"}
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(UnsafeFile):
        xaikit_keras.load_network(path)


def test_a_class_of_the_users_own_is_named(tmp_path):
    class Own(keras.Layer):
        def call(self, x):
            return x

    keras.Sequential([L.Input((4,)), Own()]).save(tmp_path / "net.keras")
    with pytest.raises(ModelError, match="Own"):
        xaikit_keras.load_network(tmp_path / "net.keras")


def test_a_foreign_module_is_not_imported(tmp_path):
    cnn().save(tmp_path / "net.keras")
    where = {"module": "antigravity", "class_name": "Own", "config": {}, "registered_name": "Own"}
    changed_keras(tmp_path / "net.keras", lambda c: c["config"]["layers"].__setitem__(1, where))
    with pytest.raises(ModelError):
        xaikit_keras.load_network(tmp_path / "net.keras")
    assert "antigravity" not in sys.modules


@pytest.mark.slow
def test_loading_is_quiet(tmp_path):
    cnn().save(tmp_path / "net.keras")
    program = (
        "import sys, xaikit_keras\n"
        "assert 'tensorflow' not in sys.modules\n"
        "net = xaikit_keras.wrap(xaikit_keras.load_network(sys.argv[1]))\n"
        "import numpy as np; net.run(np.zeros((1, 12, 12, 2), 'float32'))\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "net.keras")],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert (ran.stdout, ran.stderr) == ("", "")
