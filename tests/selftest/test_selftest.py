"""The self-test: it passes here, it sees what is wrong, and its stored values are those of the script."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.cli.conftest import run as run  # the fixture
from xaikit import selftest
from xaikit.errors import StorageError, UnknownName, UsageError
from xaikit.selftest import _run
from xaikit.selftest._bench import Bench

pytestmark = pytest.mark.slow


def only_torch() -> None:
    pytest.importorskip("torch")


def changed(tmp_path: Path, **arrays: Any) -> Path:
    """A copy of the data file with other arrays; "/" is written as "__"."""
    golden = {**_run.read(), **{name.replace("__", "/"): value for name, value in arrays.items()}}
    path = tmp_path / "golden.npz"
    np.savez(path, **golden)
    return path


def test_stored_values_are_those_of_the_script() -> None:
    only_torch()
    from tests.selftest import golden_values

    calculated, kept = golden_values.values(), _run.read()
    assert set(calculated) == set(kept)
    for name, value in calculated.items():
        # float64 sums in the order of another machine's libraries
        assert_allclose(kept[name], value, rtol=0, atol=1e-10 * max(1, np.abs(value).max()), err_msg=name)


def test_every_case_passes_here_and_is_written_down(run: Any, tmp_path: Path) -> None:
    only_torch()
    code, out, err = run("selftest", "--framework", "torch", "--json", tmp_path / "found.json")
    found = json.loads((tmp_path / "found.json").read_text())
    assert code == 0, out
    assert [o["case"] for o in found["outcomes"]] == [c.name for c in selftest.cases()]
    assert {o["verdict"] for o in found["outcomes"]} == {"pass"}
    assert found["versions"]["numpy"] == np.__version__
    assert all(name in out for name in ("linear/lime", "mnist_cnn/grad-cam", "lstm_forecast/gates"))
    assert f"{len(found['outcomes'])} of {len(found['outcomes'])} comparisons pass" in err


def test_both_frameworks_and_one_with_the_other() -> None:
    only_torch()
    pytest.importorskip("keras")
    said: list[str] = []
    found = selftest.run(only=("xo_cnn", "gates"), device="cpu", progress=lambda done, total, text: said.append(text))
    assert {o.verdict for o in found} == {"pass"}
    both = [o for o in found if o.framework == "torch = keras"]
    assert [o.case for o in both] == ["xo_cnn/output", "xo_cnn/lime", "xo_cnn/kernel-shap"]
    assert [o.framework for o in found].count("keras") == 4
    assert said[0] == "torch: starting"
    assert "keras: gates/constant" in said


def test_other_weights_are_a_mismatch(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    only_torch()
    load = Bench.load

    def patched(bench: Bench, name: str) -> Any:
        model = load(bench, name)
        kernel = dict(model.weights("dense1"))
        kernel["bias"] = kernel["bias"] + 1e-3
        return model.with_weights({"dense1": kernel})

    monkeypatch.setattr(Bench, "load", patched)
    code, out, err = run("selftest", "--framework", "torch", "--only", "mnist_cnn/output", "--only", "linear/lime")
    assert code == 4
    assert "fail" in out
    assert err.rstrip().endswith("failed: mnist_cnn/output (torch)")


def test_other_stored_values_are_a_mismatch(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only_torch()
    gates = _run.read()["lstm_forecast/gates"].copy()
    gates[1, 5, 3] += 1e-3
    monkeypatch.setattr(_run, "FILE", changed(tmp_path, lstm_forecast__gates=gates))
    assert run("selftest", "--framework", "torch", "--only", "lstm_forecast")[0] == 4


@pytest.mark.parametrize(
    ("wrong", "said"),
    [(np.full((1, 10), np.nan), ""), (np.zeros((1, 9)), "shape (1, 10), expected (1, 9)")],
    ids=["not a number", "another shape"],
)
def test_what_cannot_be_compared_fails(tmp_path: Path, wrong: Any, said: str) -> None:
    only_torch()
    golden = changed(tmp_path, mnist_cnn__output=wrong)
    (found,) = selftest.run(["torch"], only=["mnist_cnn/output"], golden=golden)
    assert (found.verdict, found.said) == ("fail", said)
    assert json.dumps(found.to_dict(), allow_nan=False)


def test_an_error_in_a_case_is_its_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    only_torch()
    monkeypatch.setattr("xaikit.selftest._bench.PACKAGE", "weights_that_are_not_there")
    found = selftest.run(["torch"], only=["xo_cnn/output", "linear/saliency"])
    assert [(o.case, o.verdict) for o in found] == [("linear/saliency", "pass"), ("xo_cnn/output", "fail")]
    assert found[1].said.startswith("DataError: the trained weights")


def test_a_missing_framework_is_said_and_skipped(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    only_torch()
    there = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *a: None if name == "keras" else there(name, *a))
    code, out, err = run("selftest", "--only", "linear/saliency")
    assert code == 0
    assert "skipped: a keras model needs keras, which is not installed: pip install 'xaikit[keras]'" in err
    assert "linear/saliency" in out
    code, _, err = run("selftest", "--framework", "keras")
    assert code == 5
    assert "pip install 'xaikit[keras]'" in err


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("--only", "linaer"), "did you mean 'linear'"),
        (("--framework", "torhc"), "did you mean 'torch'"),
        (("--framework", "torch", "--device", "cuda:99"), "no device 'cuda:99' here"),
        (("--framework", "torch", "--device", "toaster"), "no device 'toaster' here"),
    ],
)
def test_what_makes_no_sense(run: Any, asked: tuple[str, ...], said: str) -> None:
    only_torch()
    code, _, err = run("selftest", *asked)
    assert code == 2
    assert said in err.splitlines()[-1]


def test_a_data_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "golden.npz").write_bytes(b"PK\x03\x04 but nothing else")
    with pytest.raises(StorageError, match="cannot be read"):
        selftest.run(["torch"], golden=tmp_path / "golden.npz")


def test_a_device_that_keras_does_not_have() -> None:
    pytest.importorskip("keras")
    with pytest.raises(UsageError, match=r"TensorFlow has no device 'cuda:99' here; known: cpu:0"):
        selftest.run(["keras"], device="cuda:99")


def test_names_of_cases() -> None:
    every = selftest.cases()
    assert len({c.name for c in every}) == len(every) > 40
    assert [c.name for c in selftest.cases(("linear/lime", "gates"))] == ["linear/lime", "gates/constant"]
    assert {c.tolerance for c in every} <= {0.0, 1e-5, 1e-4, 1e-2}
    with pytest.raises(UnknownName, match="golden case"):
        selftest.cases(("nothing",))
