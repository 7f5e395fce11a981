"""Wrapping: objects and files become models, and what is neither gets a clear refusal."""

import json
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from xaikit import wrapping
from xaikit.errors import InputError, MissingPackage, ModelError, NotSupported, UnknownName, UnsafeFile, UsageError

KERNEL = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])


def test_a_function_is_a_model_that_can_only_run():
    model = xk.wrap(lambda a: a @ KERNEL, inputs=xk.Array((3,)), name="mine")
    assert (model.name, model.framework, model.can) == ("mine", "callable", frozenset({"run"}))
    assert_allclose(model.run(np.eye(3)).output, KERNEL)
    assert model.outputs == xk.Values([0, 1])
    with pytest.raises(NotSupported, match="no gradients"):
        model.pull(np.eye(3), np.ones((3, 2)))


def test_a_function_has_a_fingerprint_only_by_version():
    unnamed = xk.wrap(lambda a: a, inputs=xk.Array((3,)))
    with pytest.raises(NotSupported, match=r"wrap\(f, version="):
        unnamed.fingerprint()
    one, same, other = (xk.wrap(np.sin, xk.Array((3,)), version=v).fingerprint() for v in ("1", "1", "2"))
    assert one == same != other


def test_large_batches_are_cut():
    seen = []

    def net(a):
        seen.append(len(a))
        return a.sum(axis=(1, 2, 3))

    model = xk.wrap(net, inputs=xk.Array((256, 256, 3)))
    assert model.run(np.ones((60, 256, 256, 3), "f")).output.shape == (60, 1)
    assert max(seen) * 256 * 256 * 3 * 4 <= 20 * 2**20
    assert sum(seen) == 60


def test_outputs_are_checked_on_the_first_call():
    two = {"a": xk.Values(["x"]), "b": xk.Values(["y"])}
    net = xk.wrap(lambda a: a @ KERNEL, inputs=xk.Array((3,)), outputs=two)
    with pytest.raises(ModelError, match="gives one array, but its outputs name several: a, b"):
        net.run(np.eye(3))
    net = xk.wrap(lambda a: a @ KERNEL, inputs=xk.Array((3,)), outputs=xk.Classes(["a", "b", "c"]))
    with pytest.raises(ModelError, match="gives 2 numbers, but its outputs name 3"):
        net.run(np.eye(3))
    net = xk.wrap(lambda a: a @ KERNEL, inputs=xk.Array((3,)), outputs=xk.Classes(["a", "b"], "softmax"))
    with pytest.raises(ModelError, match="form='logits'"):
        net.run(np.eye(3))


def test_the_form_of_a_function_is_read_off_its_numbers():
    def softmax(a):
        e = np.exp(a @ KERNEL)
        return e / e.sum(1, keepdims=True)

    for net, form in ((softmax, "softmax"), (lambda a: a @ KERNEL, "logits")):
        model = xk.wrap(net, inputs=xk.Array((3,)), outputs=xk.Classes(["a", "b"]))
        model.run(np.eye(3))
        assert model.outputs.form == form


def test_logits_become_probabilities_on_request():
    model = xk.wrap(lambda a: a @ KERNEL, inputs=xk.Array((3,)), outputs=xk.Classes(["a", "b"], "logits"))
    p = model.run(np.eye(3), score="probability").output
    assert_allclose(p, 1 / (1 + np.exp(KERNEL[:, ::-1] - KERNEL)), rtol=1e-5)
    with pytest.raises(NotSupported, match="use score='probability'"):
        xk.wrap(lambda a: p[: len(a)], inputs=xk.Array((3,)), outputs=xk.Classes(["a", "b"])).run(
            np.eye(3), score="logit"
        )


@pytest.mark.parametrize(
    ("net", "error", "message"),
    [
        (3, ModelError, "int is no network"),
        ("model.keras", ModelError, "the path 'model.keras' is no network"),
        (None, ModelError, "NoneType is no network"),
    ],
)
def test_what_is_no_network_is_refused(net, error, message):
    with pytest.raises(error, match=message):
        xk.wrap(net)


def test_bad_descriptions_are_refused():
    with pytest.raises(UsageError, match=r"a spec is one of xk\.Image"):
        xk.wrap(np.sin, inputs=(3,))
    with pytest.raises(UsageError, match="layout is"):
        xk.wrap(np.sin, layout="NCHW")
    with pytest.raises(UsageError, match="wrapped already"):
        xk.wrap(xk.wrap(np.sin))


def test_a_function_that_gives_rubbish_is_told_so():
    for net in (lambda a: "text", lambda a: a[:1], lambda a: 3.0):
        with pytest.raises(ModelError, match=r"gave .* for 2 samples"):
            xk.wrap(net, inputs=xk.Array((3,))).run(np.ones((2, 3)))


def test_shapes_and_layers_are_checked_before_the_network_runs():
    model = xk.wrap(lambda a: a, inputs=xk.Array((3,)))
    with pytest.raises(InputError, match=r"\('sample', 3\), not an array of shape \(2, 4\)"):
        model.run(np.ones((2, 4)))
    with pytest.raises(InputError, match="batch is empty"):
        model.run(np.ones((0, 3)))
    with pytest.raises(NotSupported, match="shows no layers"):
        model.run(np.ones((1, 3)), at=["hidden"])


def test_finding_an_adapter_imports_no_framework():
    program = (
        "import sys; from xaikit import wrapping; found = list(wrapping.adapters()), wrapping.frameworks();"
        "print(found, [m for m in ('torch', 'keras', 'tensorflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")
    assert "'torch'" in done.stdout
    assert "'keras'" in done.stdout


def test_a_missing_framework_gives_the_pip_command(monkeypatch):
    find = wrapping.importlib.util.find_spec
    monkeypatch.setattr(wrapping.importlib.util, "find_spec", lambda n: None if n == "torch" else find(n))
    with pytest.raises(MissingPackage, match=r"pip install 'xaikit\[torch\]'"):
        wrapping.adapter("torch")
    assert "torch" not in wrapping.frameworks()
    with pytest.raises(UnknownName, match="did you mean 'torch'"):
        wrapping.adapter("torhc")


class TestFiles:
    @pytest.mark.parametrize(
        ("name", "error", "message"),
        [
            ("gone.keras", ModelError, "there is no model file"),
            ("net.pkl", UnsafeFile, "may be a pickle"),
            ("net.joblib", UnsafeFile, "may be a pickle"),
            ("net.safetensors", UnsafeFile, "without a network; describe it in a model.toml"),
            ("net.pt", UnsafeFile, "without a network"),
            ("net.txt", ModelError, "is no model file"),
        ],
    )
    def test_files_that_are_no_models(self, tmp_path, name, error, message):
        if not name.startswith("gone"):
            (tmp_path / name).write_bytes(b"anything")
        with pytest.raises(error, match=message):
            xk.load_model(tmp_path / name)

    @pytest.mark.parametrize("name", ["net.keras", "net.h5", "net.pt2"])
    def test_a_damaged_model_is_one_line(self, tmp_path, name):
        (tmp_path / name).write_bytes(b"\x00 this is not a model")
        with pytest.raises(ModelError) as caught:
            xk.load_model(tmp_path / name)
        assert "\n" not in str(caught.value)
        assert name in str(caught.value)

    def test_a_factory_is_code_and_needs_leave(self, tmp_path):
        import torch
        from safetensors.torch import save_file

        (tmp_path / "mine.py").write_text("import torch\ndef build():\n    return torch.nn.Linear(3, 2)\n")
        net = torch.nn.Linear(3, 2)
        save_file(net.state_dict(), tmp_path / "w.safetensors")
        toml = tmp_path / "model.toml"
        toml.write_text(
            'framework = "torch"\nweights = "w.safetensors"\nfactory = "mine:build"\nname = "own"\n'
            '[inputs]\nkind = "Array"\nshape = [3]\n[outputs]\nkind = "Values"\nnames = ["a", "b"]\n'
        )
        with pytest.raises(UnsafeFile, match="--allow-code"):
            xk.load_model(toml)
        model = xk.load_model(toml, allow_code=True)
        x = np.ones((1, 3), np.float32)
        assert_allclose(model.run(x).output, net(torch.tensor(x)).detach().numpy(), rtol=1e-6)
        assert (model.name, model.outputs) == ("own", xk.Values(["a", "b"]))

    def test_a_described_keras_model(self, tmp_path):
        import keras

        net = keras.Sequential([keras.layers.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
        net.save(tmp_path / "net.keras")
        (tmp_path / "model.toml").write_text(
            'weights = "net.keras"\n[inputs]\nkind = "Image"\nheight = 8\nwidth = 8\nchannels = 1\n'
            '[outputs]\nkind = "Classes"\nnames = ["odd", "even"]\n'
        )
        model = xk.load_model(tmp_path / "model.toml")
        assert model.inputs == xk.Image(8, 8, 1)
        model.run(model.inputs.encode(np.zeros((8, 8), np.uint8)))
        assert model.outputs == xk.Classes(["odd", "even"], "logits")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("weights = ", "not a readable TOML"),
            ("name = 'x'", "no entry weights"),
            ("weights = 'gone.keras'", "weights that are not there"),
            ("weight = 'net.keras'", "did you mean 'weights'"),
            ("weights = 'net.keras'\n[inputs]\nkind = 'Imag'", "did you mean 'Image'"),
            ("weights = 'net.keras'\n[inputs]\nkind = 'Image'\nheight = 3", "width"),
            ("weights = 'net.keras'\ninputs = 3", "are tables"),
        ],
    )
    def test_a_bad_description_says_what_is_wrong(self, tmp_path, text, message):
        (tmp_path / "net.keras").write_bytes(b"x")
        (tmp_path / "model.toml").write_text(text)
        with pytest.raises((ModelError, UnknownName), match=message):
            xk.load_model(tmp_path / "model.toml")


def test_a_result_of_another_schema_is_refused(tmp_path):
    from xaikit.errors import StorageError

    model = xk.wrap(lambda a: a @ KERNEL, inputs=xk.Array((3,)), version="1")
    path = xk.save(xk.explain(model, np.ones(3), "occlusion", target=0), tmp_path / "r")
    described = json.loads(path.read_text())
    path.write_text(json.dumps({**described, "schema": 99}))
    with pytest.raises(StorageError, match="schema 99; this version of xaikit reads schema 1"):
        xk.load(path)
    path.write_text("{")
    with pytest.raises(StorageError, match="damaged"):
        xk.load(path)
    with pytest.raises(StorageError, match="no stored result"):
        xk.load(tmp_path / "gone")


def test_a_function_that_works_in_place_changes_nothing_of_ours():
    def halved(x):
        x *= 0.5
        return x

    model, x = xk.wrap(halved, inputs=xk.Array((3,))), np.ones((2, 3), np.float32)
    for _ in range(2):
        assert_array_equal(model.run(x).output, 0.5)
        assert_array_equal(x, 1)


def test_an_error_in_a_function_is_told_in_one_line():
    def broken(x):
        raise ZeroDivisionError("by nothing\nat all")

    with pytest.raises(ModelError, match=r"^the function 'broken' cannot be called with \(2, 3\): by nothing$"):
        xk.wrap(broken, inputs=xk.Array((3,))).run(np.ones((2, 3), np.float32))
