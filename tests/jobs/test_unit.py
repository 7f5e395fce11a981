"""Addresses: equal for what gives the same result, different for everything that changes it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xaikit as xk
from xaikit.errors import InputError, ModelError, ParameterError, UnknownName
from xaikit.jobs import Recipe, Unit
from xaikit.jobs.unit import address, code_version, model_identity, plain, unit_digest

X = np.arange(12, dtype=np.float32).reshape(3, 4)
UNIT = Unit("m", X, "lime", {"samples": 50})


def test_defaults_written_out_change_nothing() -> None:
    assert unit_digest(replace(UNIT, parameters={"samples": 50, "kernel_width": 0.25})) == unit_digest(UNIT)
    assert unit_digest(replace(UNIT, input=X.copy())) == unit_digest(UNIT)
    assert unit_digest(replace(UNIT, model="another name of the same")) == unit_digest(UNIT)


@pytest.mark.parametrize(
    "change",
    [
        {"input": X + 1},
        {"input": X.reshape(4, 3)},
        {"input": X.astype(np.float64)},
        {"input": [X]},
        {"input": "text"},
        {"method": "kernel-shap"},
        {"parameters": {"samples": 51}},
        {"parameters": {"samples": 50, "score": "logit"}},
        {"parameters": {"samples": 50, "max_calls": 9}},
        {"parameters": {"samples": 50, "tolerance": 0.1}},
        {"parameters": {"samples": 50, "accelerate": "none"}},
        {"parameters": {"samples": 50, "segments": np.zeros((3, 4), int)}},
        {"target": 1},
        {"target": "1"},
        {"target": xk.Margin(0, 1)},
        {"target": xk.At(step=1)},
        {"seed": 1},
        {"task": "predict", "parameters": {}, "method": ""},
    ],
)
def test_everything_that_decides_the_result_counts(change: dict[str, Any]) -> None:
    assert unit_digest(replace(UNIT, **change)) != unit_digest(UNIT)


@pytest.mark.parametrize("asked", [{"dialect": "captum"}, {"evidence": "full"}])
def test_the_dialect_and_the_evidence_count(asked: dict[str, Any]) -> None:
    plainly = replace(UNIT, method="saliency", parameters={})
    assert unit_digest(replace(plainly, parameters=asked)) != unit_digest(plainly)


def test_the_code_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    model = xk.wrap(lambda x: x, inputs=xk.Array((3,)), version="1")
    before = model_identity(model)
    assert code_version().startswith(f"{xk.__version__}+")
    monkeypatch.setattr("xaikit.jobs.unit.code_version", lambda: "0.0.1+0")
    assert model_identity(model) != before


def test_numbers_of_numpy_are_numbers_and_nan_has_an_address() -> None:
    assert plain(np.float32(0.5)) == 0.5
    assert plain((1, np.int64(2))) == [1, 2]
    assert plain(float("nan")) != plain(float("inf")) != plain("inf")
    assert plain({"a": 1}) != plain({"a": 1.5})
    assert plain(xk.Array((2,))) == plain(xk.Array((2,))) != plain(xk.Array((3,)))


def test_a_file_counts_by_content_and_kind(tmp_path: Path) -> None:
    for name, text in {"a.csv": "1", "b.csv": "1", "c.csv": "2", "a.txt": "1"}.items():
        (tmp_path / name).write_text(text)
    a, b, c, other = (plain(tmp_path / n) for n in ("a.csv", "b.csv", "c.csv", "a.txt"))
    assert a == b
    assert c != a != other
    (tmp_path / "a.csv").write_text("12")
    assert plain(tmp_path / "a.csv") != a
    with pytest.raises(InputError, match="there is no file"):
        plain(tmp_path / "d.csv")
    with pytest.raises(InputError, match="cannot be read"):
        plain(tmp_path)


def test_what_is_no_plain_data_is_refused() -> None:
    with pytest.raises(ParameterError, match="not object"):
        unit_digest(replace(UNIT, input=object()))


@pytest.mark.parametrize("parameters", [{"score": "loud"}, {"progress": print}, {"sampels": 3}])
def test_wrong_parameters_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(ParameterError):
        unit_digest(replace(UNIT, parameters=parameters))


def test_a_model_is_identified_by_weights_specs_and_source() -> None:
    def wrapped(**described: Any) -> Any:
        net = described.pop("net", lambda x: x * 2)
        return xk.wrap(net, **{"inputs": xk.Array((3,)), "name": "f", "version": "1", **described})

    same = model_identity(wrapped())
    assert model_identity(wrapped()) == same

    assert same not in [model_identity(wrapped(version="2")), model_identity(wrapped(name="g"))]
    assert same != model_identity(wrapped(outputs=xk.Values(["a", "b", "c"])))
    assert same != model_identity(wrapped(), source="a file")

    assert address(same, "u") != address(same, "v")


def test_recipes_of_the_zoo_differ_by_framework_and_weights() -> None:
    torch, keras = Recipe("xo_cnn", "torch").source(), Recipe("xo_cnn", "keras").source()
    assert len({torch, keras, Recipe("mnist_cnn", "torch").source()}) == 3
    assert Recipe("xo_cnn").source() == Recipe("xo_cnn").settled().source()
    assert Recipe("alexnet", "torch").source() is None, "its weights are not known beforehand"


def test_a_recipe_of_files_changes_with_each_of_them(tmp_path: Path) -> None:
    toml = tmp_path / "model.toml"
    toml.write_text('framework = "torch"\nweights = "w.safetensors"\nfactory = "net:build"\n')
    (tmp_path / "w.safetensors").write_bytes(b"weights")
    (tmp_path / "net.py").write_text("a = 1\n")
    found = [Recipe(str(toml)).source()]
    for name, text in {"w.safetensors": "other", "net.py": "a = 2", "model.toml": toml.read_text() + "\n"}.items():
        (tmp_path / name).write_text(text)
        found.append(Recipe(str(toml)).source())
    assert len(set(found)) == 4


def test_a_recipe_that_leads_nowhere_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="xo_cnn"):
        Recipe("xo_cn").source()
    with pytest.raises(ModelError, match="there is no model file"):
        Recipe(str(tmp_path / "none.keras")).source()
    (tmp_path / "model.toml").write_text("= 3")
    with pytest.raises(ModelError, match="not a readable TOML"):
        Recipe(str(tmp_path / "model.toml")).source()
