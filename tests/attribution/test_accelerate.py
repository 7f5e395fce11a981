"""Accelerated copies: which answers, how it is checked and kept, and what is recorded."""

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from xaikit.errors import NotSupported, ParameterError
from xaikit.model import CallableModel
from xaikit.perturb import copies
from xaikit.perturb.copies import COPIES, FEW, MANY
from xaikit.perturb.memory import MEMORY

X = np.random.default_rng(0).normal(size=(2, 12)).astype(np.float32)


@pytest.fixture(autouse=True)
def _empty():
    MEMORY.clear()
    COPIES.clear()


def f(x: Any) -> Any:
    return np.stack([np.sin(x.sum(1)), x[:, 0] * x[:, 1]], axis=1)


class Copied(CallableModel):
    """A function with copies that count their rows; a kind may be refused, or be off by so much."""

    device = "cpu"

    def __init__(self, refuse: tuple[str, ...] = (), off: float = 0.0) -> None:
        self.asked: dict[str, int] = {}
        self.refuse, self.off, self.made = refuse, off, []
        super().__init__(self._counted("none", 0.0), inputs=xk.Array(12), version="1")

    def _counted(self, kind: str, off: float) -> Any:
        def g(x: Any) -> Any:
            self.asked[kind] = self.asked.get(kind, 0) + len(x)
            return f(x) + off

        return g

    def fast(self, kind: str = "auto") -> Any:
        self.made.append(kind)
        if kind in self.refuse:
            raise NotSupported(f"no {kind} here")
        return xk.wrap(self._counted(kind, self.off), inputs=self.inputs, outputs=self.outputs)


def lime(model: Any, x: Any = X, samples: int = 200, **how: Any) -> Any:
    return xk.explain(model, x, "lime", target=0, samples=samples, **how)


@pytest.fixture
def onnx(monkeypatch):
    monkeypatch.setattr(copies, "find_spec", lambda name: object())


@pytest.fixture
def no_onnx(monkeypatch):
    monkeypatch.setattr(copies, "find_spec", lambda name: None)


@pytest.mark.parametrize(("samples", "kind"), [(FEW - 1, "none"), (FEW, "channels-last"), (MANY, "onnxruntime")])
@pytest.mark.usefixtures("onnx")
def test_auto_takes_the_copy_that_pays_for_so_many_calls(samples, kind):
    model = Copied()
    found = lime(model, samples=samples)
    assert model.made == ([] if kind == "none" else [kind])
    assert list(found.origin.notes.get("accelerated", {"none": None})) == [kind]


@pytest.mark.usefixtures("onnx")
def test_calls_for_a_sample_decide_and_not_those_for_the_batch():
    model = Copied()
    lime(model, np.tile(X, (5, 1)), samples=FEW - 1)
    assert model.made == []


@pytest.mark.usefixtures("onnx")
def test_the_budget_counts_as_what_is_due():
    model = Copied()
    lime(model, samples=1000, max_calls=FEW - 1)
    assert model.made == []


@pytest.mark.usefixtures("no_onnx")
def test_without_onnx_runtime_auto_takes_the_other_layout():
    model = Copied()
    lime(model)
    assert model.made == ["channels-last"]


@pytest.mark.usefixtures("onnx")
def test_the_copy_answers_and_gives_the_same_values():
    model, plain = Copied(), Copied()
    fast, slow = lime(model), lime(plain, accelerate="none")
    assert_array_equal(fast.values, slow.values)
    assert model.asked["onnxruntime"] >= fast.origin.model_calls - len(X)
    assert model.asked["none"] < 30  # the prediction, and what the copy is compared with
    assert plain.asked == {"none": plain.asked["none"]}
    assert "accelerated" not in slow.origin.notes


@pytest.mark.usefixtures("onnx")
def test_a_copy_is_made_once_and_what_it_is_worth_is_recorded():
    model = Copied(off=1e-5)
    notes = [lime(model, seed=s).origin.notes["accelerated"] for s in (0, 1)]
    assert model.made == ["onnxruntime"]
    assert notes[0] == notes[1]
    assert notes[0]["onnxruntime"]["seconds"] >= 0
    assert notes[0]["onnxruntime"]["difference"] == pytest.approx(1e-5, rel=0.1)


@pytest.mark.usefixtures("onnx")
def test_other_weights_get_a_copy_of_their_own():
    model = Copied()
    lime(model)
    model.version = "2"
    lime(model)
    assert model.made == ["onnxruntime"] * 2


@pytest.mark.usefixtures("onnx")
def test_auto_falls_back_to_the_next_copy_and_then_to_the_model_and_says_why():
    one, both = Copied(refuse=("onnxruntime",)), Copied(refuse=("onnxruntime", "channels-last"))
    found = lime(one)
    assert list(found.origin.notes["accelerated"]) == ["channels-last"]
    assert found.origin.notes["not_accelerated"] == ["onnxruntime: no onnxruntime here"]
    MEMORY.clear()
    found = lime(both)
    assert "accelerated" not in found.origin.notes
    assert len(found.origin.notes["not_accelerated"]) == 2
    lime(both, seed=1)
    assert both.made == ["onnxruntime", "channels-last"]  # a refusal is kept too


@pytest.mark.usefixtures("onnx")
def test_a_copy_that_answers_otherwise_is_dropped():
    model = Copied(off=1e-3)
    found = lime(model)
    assert "accelerated" not in found.origin.notes
    assert "differ" in found.origin.notes["not_accelerated"][0]
    assert_array_equal(found.values, lime(Copied(), accelerate="none").values)


def test_a_copy_that_was_asked_for_and_cannot_be_had_is_an_error():
    with pytest.raises(NotSupported, match="no compile here"):
        lime(Copied(refuse=("compile",)), accelerate="compile")
    with pytest.raises(NotSupported, match="differ"):
        lime(Copied(off=1e-3), accelerate="channels-last")


def test_a_kind_that_was_asked_for_is_taken_however_few_calls_are_due():
    model = Copied()
    assert lime(model, samples=3, accelerate="compile").origin.notes["accelerated"].keys() == {"compile"}


@pytest.mark.usefixtures("onnx")
def test_what_a_copy_said_is_not_taken_for_what_the_model_says():
    model = Copied(off=5e-5)
    fast, slow = lime(model), lime(model, accelerate="none")
    assert fast.origin.model_calls == slow.origin.model_calls + len(X)  # the model itself says of X on the way
    again = [lime(model), lime(model, accelerate="none")]
    assert [a.origin.model_calls for a in again] == [len(X)] * 2
    assert_array_equal(again[0].values, fast.values)
    assert_array_equal(again[1].values, slow.values)
    assert lime(model, accelerate="onnxruntime").origin.model_calls == len(X)


@pytest.mark.usefixtures("onnx")
def test_what_the_model_said_serves_where_the_choice_is_open():
    model = Copied(off=5e-5)
    slow, fast = lime(model, accelerate="none"), lime(model)
    assert fast.origin.model_calls == len(X)
    assert_array_equal(fast.values, slow.values)
    assert "accelerated" not in fast.origin.notes
    assert lime(model, accelerate="onnxruntime").origin.model_calls == slow.origin.model_calls


SHAPLEY = {"exact-shapley": {}, "kernel-shap": {"samples": 20}, "permutation-shap": {"samples": 60}}
"""Under "auto" answered by ONNX Runtime, the model, and a copy in another layout."""


@pytest.mark.parametrize("order", list(permutations(SHAPLEY)))
@pytest.mark.usefixtures("onnx")
def test_in_any_order_no_coalition_is_asked_about_twice_and_numbers_stay(order):
    model, alone = Copied(off=5e-7), {}
    for method, how in SHAPLEY.items():
        alone[method] = xk.explain(Copied(), X[:1], method, target=1, accelerate="none", **how)
        MEMORY.clear()
    found = {method: xk.explain(model, X[:1], method, target=1, **SHAPLEY[method]) for method in order}
    assert sum(f.origin.model_calls - 1 for f in found.values()) == 2**12  # beside the predictions
    for method, one in found.items():
        assert_allclose(one.values, alone[method].values, atol=2e-6)
    again = [xk.explain(model, X[:1], method, target=1, **SHAPLEY[method]) for method in order]
    assert [a.origin.model_calls for a in again] == [1] * 3


@pytest.mark.usefixtures("onnx")
def test_a_copy_that_has_answered_answers_all_of_a_smaller_question():
    model = Copied(off=1e-5)
    lime(model)
    made, asked = list(model.made), model.asked["none"]
    few = lime(model, samples=FEW - 1, seed=1)
    assert few.origin.notes["accelerated"].keys() == {"onnxruntime"}
    assert (model.made, model.asked["none"]) == (made, asked + len(X))  # the prediction alone
    MEMORY.clear()
    assert "accelerated" not in lime(model, samples=FEW - 1, seed=1).origin.notes


@pytest.mark.usefixtures("onnx")
def test_a_sample_has_the_same_numbers_alone_and_in_a_batch():
    batch = lime(Copied(off=5e-5))
    MEMORY.clear()
    for i in (0, 1):
        assert_array_equal(lime(Copied(off=5e-5), X[i]).values[0], batch.values[i])


@pytest.mark.usefixtures("onnx")
def test_auto_leaves_a_model_elsewhere_than_on_the_cpu_alone(monkeypatch):
    monkeypatch.setattr(Copied, "device", "cuda:0")
    model = Copied()
    lime(model)
    assert model.made == []


def test_a_function_has_no_copies_and_says_so():
    plain = xk.wrap(f, inputs=xk.Array(12), version="1")
    found = lime(plain)
    assert "accelerated" not in found.origin.notes
    assert "not_accelerated" not in found.origin.notes
    with pytest.raises(NotSupported, match="no accelerated copy"):
        lime(plain, accelerate="onnxruntime")


def test_an_unknown_kind_and_a_method_of_gradients_are_refused():
    with pytest.raises(ParameterError, match="auto, none, channels-last"):
        lime(Copied(), accelerate="gpu")
    torch = pytest.importorskip("torch")
    model = xk.wrap(torch.nn.Linear(12, 2), inputs=xk.Array(12))
    with pytest.raises(ParameterError, match="saliency needs gradients"):
        xk.explain(model, X, "saliency", target=0, accelerate="onnxruntime")


@pytest.mark.parametrize("method", ["partition-shap", "kernel-shap", "permutation-shap", "occlusion", "exact-shapley"])
@pytest.mark.usefixtures("onnx")
def test_all_that_is_asked_of_a_sample_is_answered_by_one_copy(method):
    model = Copied()
    how = {"occlusion": {"window": 1}}.get(method, {})
    spec = xk.Array((120,)) if method == "occlusion" else model.inputs
    model._inputs = spec
    x = np.random.default_rng(0).normal(size=(1, *spec.shape)).astype(np.float32)
    found = xk.explain(model, x, method, target=0, **how)
    assert found.origin.notes["accelerated"].keys() == {"onnxruntime"}
    assert model.asked["none"] < 30
