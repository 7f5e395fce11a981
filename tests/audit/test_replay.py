"""A replay is equal in the same framework and in the other one, and says what is different where it is not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xaikit import audit, zoo
from xaikit.inputs import Classes
from xaikit.perturb.memory import MEMORY

METHODS = ["saliency", "integrated-gradients", "lime", "kernel-shap", "occlusion", "smooth-grad", "grad-cam"]


@pytest.fixture(scope="module")
def keras_model() -> Any:
    pytest.importorskip("tensorflow")
    return zoo.load("xo_cnn", framework="keras")


@pytest.mark.parametrize("method", METHODS)
def test_the_same_model_says_the_same(model: Any, picture: Any, tmp_path: Path, method: str) -> None:
    made = audit.record(model, picture(0), method, db=f"sqlite:///{tmp_path / 'new.db'}", seed=3)
    found = audit.replay(audit.read(f"sqlite:///{tmp_path / 'new.db'}", made.id), model)
    assert (found.verdict, found.tolerance, dict(found.changes)) == ("equal", 1e-6, {}), found
    assert set(found.differences) == {"prediction", "values", "part values", "parts"}
    assert max(found.differences.values()) <= 1e-6


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("first", ["torch", "keras"])
def test_the_other_framework_says_the_same(
    model: Any, keras_model: Any, picture: Any, tmp_path: Path, first: str, method: str
) -> None:
    one, other = (model, keras_model) if first == "torch" else (keras_model, model)
    made = audit.record(one, picture(0), method, db=f"sqlite:///{tmp_path / 'new.db'}", seed=3)
    found = audit.replay(made, other)
    assert (found.verdict, found.tolerance) == ("equal", 1e-4), found
    assert found.changes["framework"] == (first, other.framework)
    assert set(found.differences) == {"prediction", "values", "part values", "parts"}
    assert max(found.differences.values()) <= 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("method", ["integrated-gradients", "lime"])
def test_a_digit_is_replayed_in_both_frameworks(tmp_path: Path, method: str) -> None:
    one, other = (zoo.load("mnist_cnn", framework=name) for name in ("torch", "keras"))
    digit = np.zeros((28, 28), np.uint8)
    digit[5:8, 8:20], digit[5:24, 17:20] = 255, 255
    url = f"sqlite:///{tmp_path / 'new.db'}"
    made = audit.record(one, digit, method, "7", db=url, source="mnist_cnn")
    assert isinstance(made.output_spec, Classes)
    assert audit.replay(audit.read(url, 1), one).verdict == "equal"
    assert audit.replay(audit.read(url, 1), other).verdict == "equal"


def test_an_explanation_that_is_not_the_model_s_differs_by_so_much(db: Path, model: Any) -> None:
    read = audit.read(f"sqlite:///{db}", 1)
    found = audit.replay(replace(read, values=np.asarray(read.values) * 1.01), model)
    assert found.verdict == "differs"
    assert found.differences["values"] == pytest.approx(0.01 / 1.01, rel=1e-4)
    assert found.differences["prediction"] == 0
    assert "the values differs by 0.0099, more than 1e-06" in found.reason


@pytest.mark.parametrize("field", ["prediction", "values", "part_values"])
def test_another_number_or_shape_is_a_difference(db: Path, model: Any, field: str) -> None:
    read = audit.read(f"sqlite:///{db}", 2)
    spoilt = np.array(getattr(read, field))
    spoilt.flat[0] = np.nan
    for other in (spoilt, spoilt[..., :-1]):
        found = audit.replay(replace(read, **{field: other}), model)
        assert (found.verdict, found.differences[field.replace("_", " ")]) == ("differs", np.inf)


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_what_is_no_finite_number_in_both_is_equal(odd: float) -> None:
    from xaikit.audit._replaying import _one_difference

    values = np.array([[1.0, odd, 3.0]])
    assert _one_difference(values, values.copy()) == 0
    assert _one_difference(values, np.array([[1.0, odd, 3.3]])) == pytest.approx(0.1)
    assert _one_difference(values, np.array([[1.0, -odd if odd == np.inf else 2.0, 3.0]])) == np.inf


def test_other_parts_are_a_difference(db: Path, model: Any) -> None:
    read = audit.read(f"sqlite:///{db}", 3)
    parts = np.array(read.parts)
    parts[0, 0, :] = 1
    found = audit.replay(replace(read, parts=parts), model)
    assert (found.verdict, found.differences["parts"]) == ("differs", pytest.approx(1 / 9))


def test_another_seed_is_a_difference(db: Path, model: Any) -> None:
    read = audit.read(f"sqlite:///{db}", 2)
    found = audit.replay(replace(read, origin=replace(read.origin, seed=8)), model)
    assert found.verdict == "differs"
    assert found.differences["prediction"] == 0


def test_the_tolerance_can_be_chosen(db: Path, model: Any) -> None:
    read = audit.read(f"sqlite:///{db}", 1)
    other = replace(read, values=np.asarray(read.values) * 1.01)
    assert audit.replay(other, model, tolerance=0.1).verdict == "equal"


def test_changed_weights_are_refused_with_both_fingerprints(db: Path, model: Any) -> None:
    layer = next(n for n in model.layers if model.weights(n))
    name, weight = next(iter(model.weights(layer).items()))
    changed = model.with_weights({f"{layer}/{name}": weight + np.float32(1e-3)})
    found = audit.replay(audit.read(f"sqlite:///{db}", 1), changed)
    assert found.verdict == "refused"
    assert model.fingerprint() in found.reason
    assert changed.fingerprint() in found.reason
    assert model.fingerprint() != changed.fingerprint()


def test_other_weights_in_the_other_framework_are_refused(db: Path, keras_model: Any) -> None:
    read = audit.read(f"sqlite:///{db}", 1)
    other = replace(read, origin=replace(read.origin, weights_id="0" * 64))
    found = audit.replay(other, keras_model)
    assert found.verdict == "refused"
    assert str(keras_model.weights_id) in found.reason
    assert "0" * 64 in found.reason
    nameless = replace(read, origin=replace(read.origin, weights_id=None))
    assert "without a weights_id" in audit.replay(nameless, keras_model).reason


def test_a_record_without_its_input_needs_it_again(model: Any, picture: Any, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    audit.record(model, picture(1), "saliency", db=url, keep_input=False)
    read = audit.read(url, 1)
    assert audit.replay(read, model).verdict == "impossible"
    assert audit.replay(read, model, x=picture(1)).verdict == "equal"
    found = audit.replay(read, model, x=picture(2))
    assert found.verdict == "refused"
    assert read.origin.input_hash[0] in found.reason


def test_another_environment_is_named_and_widens_the_tolerance(db: Path, model: Any) -> None:
    read = audit.read(f"sqlite:///{db}", 1)
    older = replace(read, origin=replace(read.origin, versions={**read.origin.versions, "numpy": "2.0.0"}))
    found = audit.replay(older, model)
    assert (found.verdict, found.tolerance) == ("equal", 1e-4)
    assert dict(found.changes) == {"numpy": ("2.0.0", np.__version__)}


def test_a_question_that_cannot_be_asked_any_more_is_impossible(db: Path, model: Any) -> None:
    read = audit.read(f"sqlite:///{db}", 1)
    found = audit.replay(replace(read, origin=replace(read.origin, method="salience")), model)
    assert found.verdict == "impossible"
    assert "did you mean 'saliency'" in found.reason


def test_the_budget_and_the_copy_on_record_are_asked_for_again(model: Any, picture: Any, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    bounded = {"max_calls": 60, "tolerance": 0.5, "time_limit": 500.0}
    for how in (bounded, {"accelerate": "none"}):
        made = audit.record(model, picture(0), "lime", db=url, **how)
        found = audit.replay(made, model)
        assert (found.verdict, dict(found.changes)) == ("equal", {}), found


def test_another_copy_is_a_change_that_widens_the_tolerance(
    model: Any, picture: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = audit.record(model, picture(0), "lime", db=f"sqlite:///{tmp_path / 'new.db'}")
    answered = next(iter(made.origin.notes["accelerated"]))
    MEMORY.clear()
    monkeypatch.setattr("xaikit.perturb.copies._has_copies", lambda model: False)
    found = audit.replay(made, model)
    assert found.changes["answered by"] == (answered, "the model")
    assert (found.verdict, found.tolerance) == ("equal", 1e-4)
