"""Several methods on one sample: what agrees, what is paid for, what fails."""

import time
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.analytic import Analytic
from tests.contract.nets import ADAPTERS, image_pair, state_of
from xaikit.errors import NotSupported, ParameterError, UnknownName, UsageError
from xaikit.figures import panels
from xaikit.perturb.memory import MEMORY
from xaikit.quality import rank_agreement

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 8)).astype("f")


@pytest.fixture
def net() -> Analytic:
    MEMORY.clear()
    rng = np.random.default_rng(1)
    return Analytic(rng.normal(size=(8, 12)), 0.1, rng.normal(size=(12, 1)))


def test_agreement_is_the_mean_rank_correlation(net: Analytic) -> None:
    c = xk.compare(net, X, ["saliency", "integrated-gradients", "occlusion"])
    assert c.methods == ("saliency", "integrated-gradients", "occlusion")
    for k, name in enumerate(c.methods):
        pairs = [(c["saliency"].values[i], c[name].values[i]) for i in range(2)]
        signed = np.mean([rank_agreement(a, b) for a, b in pairs])
        sizes = np.mean([rank_agreement(np.abs(a), np.abs(b)) for a, b in pairs])
        assert_allclose([c.agreement[0, k], c.agreement_absolute[0, k]], [signed, sizes])
    assert_allclose(c.agreement, c.agreement.T)


def test_results_are_those_of_explain_with_the_shared_parameters(net: Analytic) -> None:
    c = xk.compare(net, X, ["lime", ("kernel-shap", {"samples": 60})], seed=3, baseline=0.5)
    alone = xk.explain(net, X, "lime", seed=3, baseline=0.5)
    assert_array_equal(c["lime"].values, alone.values)
    assert c["kernel-shap"].origin.parameters["samples"] == 60
    assert c["kernel-shap"].origin.parameters["baseline"] == 0.5
    assert c.faithfulness["lime"].origin.parameters["baseline"] == 0.5


def test_each_coalition_is_paid_for_once(net: Analytic) -> None:
    methods = ["exact-shapley", "kernel-shap", "lime"]
    xk.compare(net, X[:1], methods)
    # 2^8 coalitions, and for each of the methods the sample itself; the curves meet no new coalition.
    assert net.rows <= 2**8 + 4 * len(methods)


def test_a_method_that_cannot_serve_is_named_and_the_others_run(net: Analytic) -> None:
    c = xk.compare(net, X, ["grad-cam", "saliency", ("exact-shapley", {"segments": np.zeros(3, int)})])
    assert c.methods == ("saliency",)
    assert "no layer" in c.failed["grad-cam"]
    assert "label map" in c.failed["exact-shapley"]
    assert c.agreement.shape == (1, 1)


def test_where_all_fail_the_first_error_is_raised(net: Analytic) -> None:
    with pytest.raises(NotSupported, match="no layer"):
        xk.compare(net, X, ["grad-cam"])


@pytest.mark.parametrize(
    ("methods", "error", "message"),
    [
        (["lime", "limee"], UnknownName, "did you mean"),
        ([("lime", {"sampels": 3})], ParameterError, "did you mean 'samples'"),
        ([], UsageError, "no method"),
        (["lime", "lime"], UsageError, "twice"),
    ],
)
def test_mistakes_end_it_before_anything_is_run(net: Analytic, methods: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        xk.compare(net, X, methods)
    assert net.rows == 0


class Watched(Analytic):
    """A network that may take its time for a pass, and knows its largest."""

    pause, largest = 0.0, 0

    def _forward(self, x: Any, *rest: Any) -> Any:
        time.sleep(self.pause)
        self.largest = max(self.largest, len(x))
        return super()._forward(x, *rest)


def test_the_budget_holds_for_each_method() -> None:
    MEMORY.clear()
    net = Watched(RNG.normal(size=(8, 2)))
    c = xk.compare(net, X[:1], ["lime", "saliency"], 0, max_calls=6, max_batch=2, accelerate="none")
    for e in c.attributions.values():
        assert e.origin.notes["budget"] == {"max_calls": 6, "max_batch": 2}
    assert c["lime"].quality["complete"] < 1
    assert net.largest == 2


def test_curves_for_which_there_is_no_time_are_named_and_the_map_stays() -> None:
    MEMORY.clear()
    net = Watched(RNG.normal(size=(8, 2)))
    net.pause = 0.05
    c = xk.compare(net, X[:1], ["saliency"], 0, time_limit=0.3, max_batch=2, accelerate="none")
    assert c.methods == ("saliency",)
    assert not c.faithfulness
    assert "time limit" in c.failed["saliency"]


@pytest.mark.parametrize("wrong", [{"max_calls": -1}, {"time_limit": 0}, {"accelerate": "warp"}])
def test_a_budget_that_is_none_ends_it_before_anything_is_run(net: Analytic, wrong: Any) -> None:
    with pytest.raises(ParameterError):
        xk.compare(net, X, ["lime"], **wrong)
    assert net.rows == 0


def test_one_method_may_stand_twice_with_other_parameters(net: Analytic) -> None:
    c = xk.compare(net, X, [("lime", {"samples": 50}), ("lime", {"samples": 500})], evidence=False)
    assert c.methods == ("lime (samples=50)", "lime (samples=500)")
    assert not c.faithfulness


def test_progress_runs_over_all(net: Analytic) -> None:
    told: list[tuple[int, int]] = []
    xk.compare(net, X, ["lime", "saliency"], progress=lambda done, total: told.append((done, total)))
    assert len({total for _, total in told}) == 1
    assert [d for d, _ in told] == sorted(d for d, _ in told)
    assert told[-1][0] == told[-1][1]


@pytest.mark.parametrize("framework", ADAPTERS)
def test_curves_are_of_one_score_and_nothing_is_left_behind(framework: str, tmp_path: Any) -> None:
    model, x = image_pair(framework)
    xk.compare(model, x[:1], ["saliency"], target=2)
    before = state_of(model)
    c = xk.compare(model, x[:1], ["lime", "grad-cam", "integrated-gradients"], target=2, segments=9)
    assert state_of(model) == before
    assert {f.origin.score for f in c.faithfulness.values()} == {"probability"}
    assert {c[m].origin.score for m in c.methods} == {"probability", "logit"}
    assert "advantage" in c["lime"].quality
    assert "advantage" not in c["grad-cam"].quality  # its map is of the logit
    back = xk.load(xk.save(c, tmp_path / "c"))
    assert (back.methods, dict(back.failed)) == (c.methods, dict(c.failed))
    assert_array_equal(back.agreement, c.agreement)
    assert_array_equal(back["lime"].values, c["lime"].values)
    assert_array_equal(back.faithfulness["grad-cam"].deletion_curves, c.faithfulness["grad-cam"].deletion_curves)


def test_several_inputs_are_compared_together() -> None:
    model = xk.wrap(
        lambda x: x["a"] @ np.array([[1.0], [5.0]]) + x["b"] @ np.array([[3.0], [-1.0]]),
        inputs={"a": xk.Array((2,)), "b": xk.Array((2,))},
        version="1",
    )
    x = {"a": np.ones((1, 2), np.float32), "b": np.ones((1, 2), np.float32)}
    c = xk.compare(model, x, ["exact-shapley", "occlusion"])
    assert_allclose(c.agreement, 1)
    assert len(list(panels(c).panels)) == 4 + 3


def test_a_map_without_curves_is_kept_and_told() -> None:
    columns = xk.Table({"a": xk.Number(), "b": xk.Number()})
    model = Analytic(np.ones((2, 1)), inputs=columns)
    c = xk.compare(model, {"a": 1.0, "b": 2.0}, ["saliency", "gradient-x-input"])
    assert c.methods == ("saliency", "gradient-x-input")
    assert "typical rows" in c.failed["saliency"]
    assert not c.faithfulness
    assert [p.title for p in panels(c).below[0]] == ["Rank agreement"]
    assert any(note.startswith("Saliency has no curves") for note in panels(c).notes)
