"""What methods promise for sequences, over every adapter: closed forms, targets at any step, pads, one answer."""

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.contract.nets import ADAPTERS, image_pair, state_of
from tests.contract.sequences import S1, S1_VALUES, STEPS, linear_recurrence, many_to_many
from xaikit.arrays import agreement
from xaikit.attribution import methods
from xaikit.errors import NotSupported, ParameterError, TargetError
from xaikit.perturb.memory import MEMORY

pytestmark = pytest.mark.slow

PATHS = ("sequential-integrated-gradients", "temporal-integrated-gradients")
STEPWISE = (*PATHS, "temporal-saliency-rescaling")
"""Methods that need an order of steps: pictures and tables have none, so that the other suite cannot ask them."""
FEW: dict[str, dict[str, Any]] = {
    "lime": {"samples": 60, "segments": 6},
    "kernel-shap": {"samples": 60, "segments": 6},
    "permutation-shap": {"samples": 30, "segments": 6},
    "partition-shap": {"samples": 40, "segments": 6},
    "exact-shapley": {"segments": 3},
    "gradient-shap": {"samples": 20},
    "smooth-grad": {"samples": 4},
    "occlusion": {"window": 1},
    "rise": {"samples": 100},
    "temporal-saliency-rescaling": {"alpha": 0.3},
}
GOLDEN: dict[str, dict[str, Any]] = {
    "integrated-gradients": {},
    "gradient-x-input": {},
    "sequential-integrated-gradients": {},
    "temporal-integrated-gradients": {},
    "occlusion": {"window": (1, 1), "stride": (1, 1)},
    "exact-shapley": {"segments": np.arange(8).reshape(4, 2)},
    "kernel-shap": {"segments": np.arange(8).reshape(4, 2)},
    "permutation-shap": {"segments": np.arange(8).reshape(4, 2)},
    "partition-shap": {"segments": np.arange(8).reshape(4, 2)},
    "gradient-shap": {"background": [np.zeros((4, 2))], "samples": 20},
}
CASES = [*itertools.product(STEPWISE, ADAPTERS)]


@pytest.mark.parametrize(("method", "framework"), [*itertools.product(GOLDEN, ADAPTERS)])
def test_a_linear_recurrence_has_its_closed_form(method: str, framework: str) -> None:
    e = xk.explain(linear_recurrence(framework), S1, method, **GOLDEN[method])
    assert_allclose(e.values[0], S1_VALUES, atol=2e-6)  # float32 sums of numbers up to 5
    assert_allclose(e.values.sum(), 4.64, atol=1e-5)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("integrated-gradients", (3, 3)),
        ("exact-shapley", (3, 3)),
        ("gradient-x-input", (6, 6)),
        ("occlusion", (6, 6)),
        ("sequential-integrated-gradients", (6, 6)),  # each alone, the other there
        ("temporal-integrated-gradients", (0, 6)),  # the first finds no second
    ],
)
def test_a_gate(method: str, expected: tuple[float, float]) -> None:
    torch = pytest.importorskip("torch")

    class Gate(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x.prod(1)

    model = xk.wrap(Gate(), inputs=xk.Series(2, 1), outputs=xk.Values(["y"]))
    own = {"occlusion": {"window": 1}}.get(method, {})
    assert_allclose(xk.explain(model, np.array([[2.0], [3.0]]), method, **own).values.ravel(), expected, atol=1e-5)


@pytest.mark.parametrize(("method", "framework"), CASES)
@pytest.mark.parametrize("text", [False, True])
def test_a_batch_equals_its_rows_and_leaves_nothing_behind(method: str, framework: str, text: bool) -> None:
    model, x = many_to_many(framework, text)
    target = xk.At(step=4, index="high")
    batch = xk.explain(model, x, method, target=target, **FEW.get(method, {}))
    before = state_of(model)
    MEMORY.clear()
    alone = [xk.explain(model, row, method, target=target, **FEW.get(method, {})) for row in x]
    assert agreement(batch.values, np.concatenate([a.values for a in alone])).max() <= 1e-5
    assert state_of(model) == before


@pytest.mark.parametrize("method", STEPWISE)
@pytest.mark.parametrize("text", [False, True])
def test_torch_equals_keras(method: str, text: bool) -> None:
    a, b = (
        xk.explain(model, x, method, target=xk.At(step=5, index=0), **FEW.get(method, {}))
        for model, x in (many_to_many(f, text) for f in ADAPTERS)
    )
    assert agreement(a.values, b.values).max() <= 1e-4
    assert (a.axes, a.target) == (b.axes, b.target)


@pytest.mark.parametrize("method", STEPWISE)
def test_stored_shown_and_judged(method: str, tmp_path: Any) -> None:
    model, x = many_to_many("torch")
    e = xk.explain(model, x, method, target=xk.At(step=5, index=0), **FEW.get(method, {}))
    back = xk.load(xk.save(e, tmp_path / "result"))
    assert_array_equal(back.values, e.values)
    assert len(xk.plot(back).data) > 0
    assert xk.faithfulness(model, e).deletion.shape == (2,)
    assert e.status in ("ok", "warn", "fail")


@pytest.mark.parametrize("framework", ADAPTERS)
@pytest.mark.parametrize("text", [False, True])
def test_sums_of_one_step_at_a_time(framework: str, text: bool) -> None:
    """A sequential step's values are its occlusion; temporal ones sum to f(x) - f(b), and a prefix says nothing of what
    comes after the step that is asked about."""
    model, x = many_to_many(framework, text)
    target = xk.At(step=3, index="low")
    a, b = (xk.explain(model, x, m, target=target) for m in PATHS)
    assert (a.quality["step_gap_relative"] < 1e-3).all()
    assert (b.quality["completeness_gap_relative"] < 1e-3).all()
    hidden = xk.explain(model, x, "occlusion", target=target, **FEW["occlusion"]).values
    for e in (a, b):
        by_step = e.values.reshape(2, STEPS, -1).sum(2)
        assert_array_equal(by_step[:, 4:], 0)
        assert (by_step[:, 3] != 0).all()
    if not text:
        assert_allclose(a.values.sum(2), hidden, atol=2e-5)


@pytest.mark.parametrize("method", STEPWISE)
@pytest.mark.parametrize("framework", ADAPTERS)
def test_pads_have_exactly_zero(method: str, framework: str) -> None:
    model, x = many_to_many(framework, text=True)
    e = xk.explain(model, x[:1], method, target=xk.At(step=5, index=1), **{**FEW.get(method, {}), "baseline": 1})
    assert_array_equal(e.values[0, :2], 0)
    assert (e.values[0, 2:] != 0).any()


@pytest.mark.parametrize("framework", ADAPTERS)
@pytest.mark.parametrize("text", [False, True])
def test_the_same_prediction_by_ids_and_by_embeddings(framework: str, text: bool) -> None:
    """What is split at the embeddings is the whole network: the score at x is the same."""
    model, x = many_to_many(framework, text)
    e = xk.explain(model, x, PATHS[0], target=xk.At(step=5, index=1))
    assert_allclose(e.quality["score"], model.run(x).output[:, 5, 1], atol=1e-6)


SERVED = [m for m in methods if m != "attention-rollout" and not any(n.startswith("rule:") for n in methods[m].needs)]


@pytest.mark.parametrize("method", SERVED)
@pytest.mark.parametrize("framework", ADAPTERS)
def test_every_step_and_output_can_be_asked_about(method: str, framework: str) -> None:
    """The target of a network with an answer at every step; a causal one does not look ahead."""
    model, x = many_to_many(framework)
    try:
        e = xk.explain(model, x, method, target=xk.At(step=2, index="high"), **FEW.get(method, {}))
    except NotSupported:
        assert methods[method].needs - {"pull", "run"} or "cam" in method
        return
    assert e.target == (xk.At(step=2, index=1),) * 2
    assert e.values.shape[:2] == (2, STEPS)
    assert_allclose(e.quality["score"], model.run(x).output[:, 2, 1], atol=1e-6)
    if method not in ("lime", "rise", "exact-shapley", "smooth-grad") and "cam" not in method:  # drawn, or coarser
        assert np.abs(e.values[:, 3:]).max() <= 1e-6 + 1e-4 * np.abs(e.values).max()
    for wrong in (xk.At(step=9, index=0), xk.At(step=0, index="none"), None):
        with pytest.raises(TargetError):
            xk.explain(model, x, method, target=wrong, **FEW.get(method, {}))


@pytest.mark.parametrize("method", ["integrated-gradients", "occlusion", "lime", *STEPWISE])
@pytest.mark.parametrize("framework", ADAPTERS)
def test_a_forecast_of_several_steps_and_several_outputs(method: str, framework: str) -> None:
    """One to many: the steps of a forecast are its entries; several outputs are told by name."""
    outputs = {"forecast": xk.Values([*"0123"]), "class": xk.Values(["a", "b"])}
    model = xk.wrap(FORECASTS[framework](), inputs=xk.Series(STEPS, 3), outputs=outputs, layout="channels-last")
    x = np.random.default_rng(0).normal(size=(STEPS, 3)).astype("f")
    ahead = xk.explain(model, x, method, target=xk.At(output="forecast", step=3), **FEW.get(method, {}))
    named = xk.explain(model, x, method, target=xk.At(output="class", index="b"), **FEW.get(method, {}))
    assert ahead.target[0].output == "forecast"
    assert named.target[0].output == "class"
    assert agreement(ahead.values, named.values).max() > 1e-3
    if method in ("integrated-gradients", "temporal-integrated-gradients"):
        at_x, at_zero = (model.run(v[None]).output["forecast"][0, 3] for v in (x, 0 * x))
        assert_allclose(ahead.values.sum(), at_x - at_zero, rtol=1e-4)


def _forecast_torch() -> Any:
    torch = pytest.importorskip("torch")

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Linear(STEPS * 3, 4)

        def forward(self, x: Any) -> Any:
            y = self.head(x.flatten(1))
            return {"forecast": y, "class": y[:, :2] ** 2}

    return Net()


def _forecast_keras() -> Any:
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(0)
    x = keras.Input((STEPS, 3))
    y = keras.layers.Dense(4)(keras.layers.Flatten()(x))
    return keras.Model(x, {"forecast": y, "class": y[:, :2] ** 2})


FORECASTS = {"torch": _forecast_torch, "keras": _forecast_keras}


# ---------------------------------------------------------------- temporal saliency rescaling


@pytest.mark.parametrize("framework", ADAPTERS)
def test_rescaling_of_a_known_map(framework: str) -> None:
    """The map of gradient-x-input is linear here, so masking a cell takes away just its own value."""
    e = xk.explain(linear_recurrence(framework), S1, "temporal-saliency-rescaling", base="gradient-x-input", alpha=0.0)
    size = np.abs(S1_VALUES)
    assert_allclose(e.values[0], size * size.sum(1, keepdims=True), rtol=1e-5, atol=1e-5)
    half = xk.explain(
        linear_recurrence(framework), S1, "temporal-saliency-rescaling", base="gradient-x-input", alpha=1.0
    )
    assert_array_equal(np.flatnonzero(half.values.any((0, 2))), [3])  # the last step carries 8 of 16
    assert half.quality["maps"] == 1 + 4 + 2


@pytest.mark.parametrize("base", ["occlusion", "lime", ("integrated-gradients", {"steps": 4}), "kernel-shap"])
def test_rescaling_stands_on_any_method(base: Any) -> None:
    model, x = many_to_many("torch")
    e = xk.explain(model, x, "temporal-saliency-rescaling", target=xk.At(step=5, index=0), base=base, max_calls=200)
    assert e.values.shape == x.shape
    assert (e.values >= 0).all()
    assert e.values.any()


def test_rescaling_refuses_what_it_cannot_stand_on() -> None:
    model, x = many_to_many("torch")
    for base, why in [
        ("temporal-saliency-rescaling", "its own base"),
        (("lime",), "name of a method"),
        (("occlusion", {"windows": 2}), "window"),
    ]:
        with pytest.raises(ParameterError, match=why):
            xk.explain(model, x, "temporal-saliency-rescaling", target=xk.At(step=5, index=0), base=base)
    with pytest.raises(ParameterError, match="quantile"):
        xk.explain(model, x, "temporal-saliency-rescaling", target=xk.At(step=5, index=0), alpha=2.0)
    with pytest.raises(ParameterError, match="a single one"):
        xk.explain(model, x, "temporal-saliency-rescaling", target=xk.At(step=5, index=0), baseline="noise")
    plain = xk.wrap(lambda a: a.sum((1, 2))[:, None], inputs=xk.Series(4, 2), outputs=xk.Values(["y"]))
    with pytest.raises(NotSupported, match="has no gradients"):
        xk.explain(plain, S1, "temporal-saliency-rescaling")
    assert xk.explain(plain, S1, "temporal-saliency-rescaling", base="occlusion").values.any()


# ---------------------------------------------------------------- what is no sequence


@pytest.mark.parametrize("method", STEPWISE)
def test_pictures_and_tables_have_no_steps(method: str) -> None:
    model, x = image_pair("torch")
    with pytest.raises(NotSupported, match=r"no order of steps.*integrated-gradients"):
        xk.explain(model, x, method, target=2)


@pytest.mark.parametrize("method", STEPWISE)
def test_a_single_step(method: str) -> None:
    model = xk.wrap(_sum_net(), inputs=xk.Series(1, 2), outputs=xk.Values(["y"]), layout="channels-last")
    e = xk.explain(model, np.array([[2.0, -1.0]]), method)
    assert np.isfinite(e.values).all()
    if method in PATHS:
        assert_allclose(e.values[0], [[2.0, -1.0]], atol=1e-6)


@pytest.mark.parametrize("method", STEPWISE)
def test_nothing_but_padding_and_nothing_but_the_baseline(method: str) -> None:
    model, _ = many_to_many("torch", text=True)
    e = xk.explain(model, np.zeros((1, 6), np.int64), method, target=xk.At(step=5, index=0))
    assert_array_equal(e.values, 0)
    assert e.status != "ok"
    series = xk.wrap(_sum_net(), inputs=xk.Series(3, 2), outputs=xk.Values(["y"]), layout="channels-last")
    still = xk.explain(series, np.zeros((3, 2)), method)
    assert_array_equal(still.values, 0)


def _sum_net() -> Any:
    torch = pytest.importorskip("torch")

    class Sum(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x.sum((1, 2))[:, None]

    return Sum()
