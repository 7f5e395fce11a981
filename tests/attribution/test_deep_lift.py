"""DeepLIFT: closed forms, completeness, captum's numbers where captum is complete, and refusals that name the layer."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn
from torch.nn import functional

import xaikit as xk
from tests.contract.nets import image_pair, state_of
from xaikit.errors import NotSupported

captum = pytest.importorskip("captum.attr")
pytestmark = [
    pytest.mark.filterwarnings("ignore:Setting forward, backward hooks:UserWarning"),
    pytest.mark.filterwarnings("ignore:Input Tensor:UserWarning"),
]

rng = np.random.default_rng(0)
PICTURES = rng.normal(size=(3, 2, 10, 12)).astype(np.float32)
OTHERS = rng.normal(size=(3, 2, 10, 12)).astype(np.float32)
ROWS = rng.normal(size=(5, 4)).astype(np.float32)


class Apart(nn.Module):
    """Keeps captum's hooks on a ReLU and on the pooling after it from landing on one tensor, where one is lost."""

    def forward(self, x: Any) -> Any:
        return x + 0


def ours(net: Any, x: Any, **how: Any) -> Any:
    how.setdefault("target", 0)
    return xk.explain(xk.wrap(net), x, "deep-lift", **how)


def theirs(net: Any, x: Any, baseline: Any, target: int = 0) -> Any:
    """One by one: captum takes the gradient of the first sample for all where a pooled value has not changed."""
    lift = captum.DeepLift(net)
    baseline = np.broadcast_to(np.float32(baseline), x.shape).copy()
    pairs = zip(torch.tensor(x), torch.tensor(baseline), strict=True)
    return np.concatenate([lift.attribute(a[None], b[None], target=target).detach().numpy() for a, b in pairs])


def test_a_relu_of_a_sum_shares_its_rise_by_weight() -> None:
    """y = relu(2a - b - 1) at (3, 1) from 0: the rise 4 over the change 5 of what enters, times (6, -1)."""
    net = nn.Sequential(nn.Linear(2, 1), nn.ReLU())
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[2.0, -1.0]]))
        net[0].bias.fill_(-1)
    assert_allclose(ours(net, np.float32([[3, 1]])).values, [[4.8, -0.8]], rtol=1e-6)


def test_two_layers_multiply() -> None:
    """y = relu(3 relu(a)) at 2 from -1: Δ of the inner is 2 over 3, of the outer 6 over 6."""
    net = nn.Sequential(nn.ReLU(), nn.Linear(1, 1, bias=False), nn.ReLU())
    nn.init.constant_(net[1].weight, 3)
    assert_allclose(ours(net, np.float32([[2]]), baseline=np.float32([-1])).values, [[6]], rtol=1e-6)


def test_a_product_is_shared_by_the_mean_of_the_other() -> None:
    """y = a·b from (1, 2) to (3, 5): 2 · 3.5 and 3 · 2, together 13."""

    class Product(nn.Module):
        def forward(self, x: Any) -> Any:
            return x[:, :1] * x[:, 1:]

    assert_allclose(ours(Product(), np.float32([[3, 5]]), baseline=np.float32([1, 2])).values, [[7, 6]], rtol=1e-6)


def test_a_maximum_gives_the_rise_to_its_place_now_and_the_fall_to_its_place_before() -> None:
    net = nn.Sequential(nn.MaxPool1d(2), nn.Flatten())
    x, before = np.float32([[[1, 2]], [[1, 2]]]), np.float32([[3, 0.5]])
    assert_allclose(ours(net, x, baseline=before).values, [[[-1, 0]], [[-1, 0]]], atol=1e-7)
    assert_allclose(ours(net, x, baseline=np.float32([[1.5, 0.5]])).values[0], [[0, 0.5]], atol=1e-7)


@pytest.mark.parametrize("baseline", [0, 0.3, OTHERS])
def test_as_captum(baseline: Any) -> None:
    torch.manual_seed(0)
    before = nn.Conv2d(2, 4, 3), nn.ReLU()
    after = (
        *(nn.MaxPool2d(2), nn.Conv2d(4, 6, 2), nn.Tanh(), nn.BatchNorm2d(6), nn.Flatten()),
        *(nn.Linear(72, 5), nn.ELU(), nn.Linear(5, 4), nn.Sigmoid(), nn.Linear(4, 4), nn.Softplus(), nn.Linear(4, 3)),
    )
    net = nn.Sequential(*before, *after).eval()
    expected = theirs(nn.Sequential(*before, Apart(), *after).eval(), PICTURES, baseline, target=1)
    if np.ndim(baseline):
        found = np.concatenate([ours(net, x[None], baseline=b, target=1).values for x, b in zip(PICTURES, OTHERS)])  # noqa: B905
        assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        return
    # of equal values in a constant baseline captum takes the one that rounding has made the largest
    found = ours(net, PICTURES, baseline=baseline, target=1)
    assert (found.quality["completeness_gap"] < 1e-6).all()
    assert_allclose(found.values.sum((1, 2, 3)), expected.sum((1, 2, 3)), atol=1e-6)


def test_captum_loses_a_pooling_after_a_relu_and_this_does_not() -> None:
    """Why the network is not handed to captum."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(80, 1)).eval()
    with torch.no_grad():
        rise = (net(torch.tensor(PICTURES)) - net(torch.tensor(OTHERS)))[:, 0].numpy()
    found = np.concatenate([ours(net, x[None], baseline=b).values for x, b in zip(PICTURES, OTHERS, strict=True)])
    assert_allclose(found.sum((1, 2, 3)), rise, atol=1e-5)
    assert np.abs(theirs(net, PICTURES, OTHERS).sum((1, 2, 3)) - rise).max() > 1e-3


class Odd(nn.Module):
    """One ReLU used twice and in place, functions, a sum in place, a gate, another nonlinearity by name."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 2)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Any) -> Any:
        h = self.relu(self.first(x))
        g = functional.relu(self.second(h))
        h = self.relu(h - 0.3) * 2
        h += g
        h = functional.gelu(h) * torch.sigmoid(g)
        return torch.softmax(self.head(functional.silu(h.relu_())), -1)


def test_odd_networks_are_complete_and_left_as_they_were() -> None:
    torch.manual_seed(1)
    net = Odd().train()
    net.first.weight.requires_grad_(False)
    model = xk.wrap(net, inputs=xk.Array((4,)), outputs=xk.Classes(["a", "b"]))
    before = state_of(model)
    found = xk.explain(model, ROWS, "deep-lift", target=1)
    assert state_of(model) == before
    assert (found.quality["completeness_gap_relative"] < 1e-4).all()
    assert np.abs(found.values - xk.explain(model, ROWS, "gradient-x-input", target=1).values).max() > 1e-3


def test_a_relu_is_the_same_as_module_as_function_and_in_place() -> None:
    torch.manual_seed(0)
    first, second = nn.Linear(4, 6), nn.Linear(6, 2)

    class Function(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = first, second

        def forward(self, x: Any) -> Any:
            return self.second(functional.relu(self.first(x)))

    modules = [nn.Sequential(first, relu, second) for relu in (nn.ReLU(), nn.ReLU(inplace=True))]
    expected = theirs(modules[0], ROWS, 0.1)
    for net in (*modules, Function()):
        assert_allclose(ours(net, ROWS, baseline=0.1).values, expected, rtol=1e-5, atol=1e-6)


def test_overlapping_windows_and_adaptive_pools_are_complete() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        *(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(16, 2))
    ).eval()
    found = ours(net, PICTURES, baseline=0.3)
    assert (found.quality["completeness_gap"] < 1e-5).all()


@pytest.mark.parametrize("way", ["max", "amax", "keyword"])
def test_a_maximum_over_axes_is_complete_and_that_of_a_pool(way: str) -> None:
    class Largest(nn.Module):
        def forward(self, x: Any) -> Any:
            if way == "amax":
                return torch.amax(torch.tanh(x), (2, 3))
            if way == "max":
                return torch.tanh(x).max(-1).values.max(2, keepdim=True)[0][:, :, 0]
            return torch.amax(torch.tanh(x).flatten(2), dim=-1)

    pool = nn.Sequential(nn.Tanh(), nn.AdaptiveMaxPool2d(1), nn.Flatten())
    found, expected = (ours(net, PICTURES, baseline=OTHERS[0]) for net in (Largest(), pool))
    assert (found.quality["completeness_gap"] < 1e-6).all()
    if way != "max":  # in two steps the fall may go another way
        assert_allclose(found.values, expected.values, rtol=1e-5, atol=1e-6)


def test_several_inputs_and_several_baselines() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(5, 2)

        def forward(self, a: Any, b: Any) -> Any:
            return self.head(torch.tanh(torch.cat([a, b], 1)))

    model = xk.wrap(Two(), inputs={"a": xk.Array((3,)), "b": xk.Array((2,))})
    x = {"a": ROWS[:, :3], "b": ROWS[:, 2:]}
    found = xk.explain(model, x, "deep-lift", target=0)
    assert (found["a"].quality["completeness_gap"] < 1e-5).all()
    assert found["b"].values.shape == (5, 2)
    net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))
    rows = ROWS[3:]
    each = [ours(net, ROWS[:2], baseline=b).values for b in rows]
    assert_allclose(ours(net, ROWS[:2], baseline=rows).values, np.mean(each, 0), rtol=1e-5, atol=1e-7)


def test_half_precision_is_served() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 1))
    expected = ours(net, ROWS).values
    assert_allclose(ours(net.to(torch.bfloat16), ROWS).values, expected, atol=0.05)  # eight bits of mantissa


def test_a_squared_error_is_decomposed() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 4))
    model = xk.wrap(net, inputs=xk.Array((4,)), outputs=xk.Reconstruction())
    found = xk.explain(model, ROWS, "deep-lift")
    assert (found.quality["completeness_gap_relative"] < 1e-4).all()
    with pytest.raises(NotSupported, match="squared"):
        xk.explain(xk.wrap(net, inputs=xk.Array((4,)), outputs=xk.Reconstruction("mae")), ROWS, "deep-lift")


class Steps(nn.Module):
    def __init__(self, cell: type[Any]) -> None:
        super().__init__()
        self.cell, self.norm, self.head = cell(3, 4, batch_first=True), nn.LayerNorm(4), nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        return self.head(self.norm(self.cell(x)[0][:, -1]))


@pytest.mark.parametrize("method", ["deep-lift", "deep-shap", "lrp"])
@pytest.mark.parametrize("cell", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_cells_are_refused_by_name_and_reason(method: str, cell: type[Any]) -> None:
    model = xk.wrap(Steps(cell), inputs=xk.Series(5, 3))
    before = state_of(model)
    with pytest.raises(NotSupported, match=r"'norm'.*'cell'.*gates of a recurrent cell.*gradient-shap"):
        xk.explain(model, np.zeros((1, 5, 3), np.float32), method, target=0)
    assert state_of(model) == before


def test_what_is_chosen_by_a_condition_is_refused() -> None:
    class Chosen(nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.where(x > 0, x, 0.1 * x).sum(1, keepdim=True)

    with pytest.raises(NotSupported, match="where"):
        ours(Chosen(), ROWS)


def test_probabilities_behind_a_softmax_are_refused() -> None:
    model, x = image_pair("torch")
    with pytest.raises(NotSupported, match="softmax"):
        xk.explain(model, x, "deep-lift", target=1, score="probability")


def test_a_way_that_the_baseline_does_not_take_is_refused() -> None:
    class Turning(nn.Module):
        def forward(self, x: Any) -> Any:
            return (torch.relu(x) if x.sum() > 0 else torch.tanh(x)).sum(1, keepdim=True)

    with pytest.raises(NotSupported, match="another way"):
        ours(Turning(), np.ones((1, 3), np.float32), baseline=-1)


class Laid(nn.Module):
    """Lays the steps of all samples out in one axis, so that one row of a baseline cannot stand for all."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 5), nn.Linear(15, 2)

    def forward(self, x: Any) -> Any:
        steps = torch.tanh(self.first(x.reshape(-1, 4)))
        return self.last(steps.reshape(len(x), -1))


@pytest.mark.parametrize("kind", ["pictures", "channels last", "steps"])
def test_samples_that_share_a_baseline_have_the_values_they_have_alone(kind: str) -> None:
    torch.manual_seed(0)
    if kind == "steps":
        net, x = Laid(), rng.normal(size=(4, 3, 4)).astype(np.float32)
    else:
        first, second = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 3, 2)
        pools = nn.MaxPool2d(3, 2), nn.AdaptiveMaxPool2d(2)
        net = nn.Sequential(first, nn.ReLU(), pools[0], second, nn.Softplus(), pools[1], nn.Flatten(), nn.Linear(12, 2))
        net = net.to(memory_format=torch.channels_last) if kind == "channels last" else net
        x = PICTURES
    net = net.eval()
    together = ours(net, x, baseline=0.3)
    assert together.quality["completeness_gap_relative"].max() < 1e-4
    for i in range(len(x)):
        assert_allclose(together.values[i], ours(net, x[i : i + 1], baseline=0.3).values[0], atol=1e-5)


def test_a_shared_baseline_is_one_row() -> None:
    seen = []

    class Counting(nn.Linear):
        def forward(self, x: Any) -> Any:
            seen.append(len(x))
            return super().forward(x)

    torch.manual_seed(0)
    model = xk.wrap(Counting(4, 2), inputs=xk.Array(4))
    model.untreated("deep-lift")
    model.run(ROWS)
    seed = np.ones((5, 2), np.float32)
    seen.clear()
    model.native("deep-lift", ROWS, seed, baseline=np.zeros_like(ROWS))
    assert seen == [1, 5]
    seen.clear()
    model.native("deep-lift", ROWS, seed, baseline=ROWS[::-1].copy())
    assert seen == [5, 5]


def counted(net: Any) -> list[int]:
    """Note the rows of every pass of a network."""
    seen: list[int] = []
    net.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    return seen


def test_scores_come_from_the_passes_of_the_method() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3), nn.Softmax(-1)).eval()
    model = xk.wrap(net, inputs=xk.Array(4), outputs=xk.Classes(range(3)))
    first = xk.explain(model, ROWS, "deep-lift", target=1, baseline=0.0)
    seen = counted(net)
    again = xk.explain(model, ROWS, "deep-lift", target=1, baseline=0.0)
    assert seen == [1, len(ROWS)]
    assert_allclose(again.values, first.values, rtol=0)
    assert_allclose(again.prediction, model.run(ROWS).output, rtol=1e-6)
    logits = model.run(np.concatenate([ROWS, np.zeros((1, 4), np.float32)]), score="logit").output[:, 1]
    assert_allclose(again.quality["score"], logits[:-1], rtol=1e-6)
    # the float32 values sum to the rise of the score
    assert_allclose(again.values.sum(1), logits[:-1] - logits[-1], atol=1e-5)
    assert again.quality["completeness_gap"].max() < 1e-5


@pytest.mark.parametrize("targets", [1, [0, 1, 2, 0, 1]])
def test_contributions_come_with_the_outputs_for_every_row(targets: Any) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).eval()
    model = xk.wrap(net, inputs=xk.Array(4))
    seed = np.eye(3, dtype=np.float32)[np.broadcast_to(targets, 5)]
    found = model.contributions("deep-lift", ROWS, seed, baseline=np.zeros_like(ROWS))
    assert_allclose(found.at_x.output, model.run(ROWS).output, rtol=1e-6)
    assert_allclose(found.at_baseline.output, model.run(np.zeros_like(ROWS)).output, rtol=1e-6)
    e = xk.explain(model, ROWS, "deep-lift", target=targets, baseline=[ROWS[0], ROWS[1]])
    assert e.quality["completeness_gap"].max() < 1e-5


@pytest.mark.parametrize("sizes", [(2, (2, 2)), ((3, 2), (3, 2))])
def test_pools_side_by_side_are_pools_like_others(sizes: Any) -> None:
    """With ceil_mode windows that fit are the same, but they are treated as windows that may overlap."""
    torch.manual_seed(0)
    size, asked = sizes
    shape = [n // k * k for n, k in zip(PICTURES.shape[2:], asked, strict=True)]
    x, b = (np.ascontiguousarray(a[..., : shape[0], : shape[1]]) for a in (PICTURES, OTHERS))
    x[0, 0, :3, :3], x[1] = 0.5, 0  # of equal values the first is the largest, also where all are 0
    linear = nn.Linear(2 * shape[0] // asked[0] * (shape[1] // asked[1]), 2)
    nets = [nn.Sequential(nn.MaxPool2d(size, ceil_mode=c), nn.Flatten(), linear).eval() for c in (False, True)]
    for baseline in (0.2, -0.5, b):
        apart, general = (ours(net, x, baseline=baseline).values for net in nets)
        assert_allclose(apart, general, atol=1e-6)


def test_a_relu_passes_on_by_its_slope_where_nothing_has_changed() -> None:
    net = nn.Sequential(nn.ReLU(), nn.Linear(4, 1, bias=False))
    net[1].weight.data.fill_(1.0)
    x = np.array([[2.0, -2.0, 0.0, 3.0]], np.float32)
    model = xk.wrap(net.eval())
    found = model.contributions("deep-lift", x, np.ones((1, 1), np.float32), baseline=np.float32([[2, -2, 0, -1]]))
    assert_allclose(found.values, [[0, 0, 0, 3]], atol=1e-6)
    from xaikit_torch._native import _ratio_of_relu

    b = torch.tensor([[2.0, -2.0, 0.0, -1.0]])
    ratio = _ratio_of_relu(torch.tensor(x), b, b.relu())
    assert_allclose(ratio, [[1, 0, 0, 0.75]], rtol=1e-6)
