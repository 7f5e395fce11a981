"""Gradient flow in closed form, golden linear networks in both frameworks, predictions so far."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

import xaikit as xk
from tests.sequence.nets import CHANNELS, GOLDEN, LINEAR, STEPS, UNITS, Last, of, series
from xaikit.errors import InputError, NotSupported, ParameterError, TargetError
from xaikit.sequence import gradient_flow, prefixes


@pytest.fixture(params=list(LINEAR))
def linear(request):
    return LINEAR[request.param]


@pytest.mark.slow
def test_the_golden_linear_network(linear) -> None:
    """S1: all exact attributions of y = 4.64 are one, and the gradient at h_t is 2 · 0.8^(T - t)."""
    model = linear()
    gold = [[1.024, -1.024], [0, 0.64], [4.8, -0.8], [4, -4]]
    assert_allclose(model.run(GOLDEN[None]).output, [[4.64]], rtol=1e-5)
    for method in ("gradient-x-input", "integrated-gradients"):
        assert_allclose(xk.explain(model, GOLDEN, method).values[0], gold, atol=2e-5)
    assert_allclose(xk.explain(model, GOLDEN, "occlusion", window=(1, 1), stride=(1, 1)).values[0], gold, atol=2e-5)
    one_by_one = np.arange(8).reshape(4, 2)
    assert_allclose(xk.explain(model, GOLDEN, "exact-shapley", segments=one_by_one).values[0], gold, atol=2e-5)
    assert_allclose(xk.explain(model, GOLDEN, "integrated-gradients").values.sum(), 4.64, rtol=1e-5)
    flow = gradient_flow(model, GOLDEN)
    assert_allclose(flow.states[""], [2 * 0.8 ** np.arange(3, -1, -1)], rtol=1e-6)
    assert_allclose(flow.inputs[0], flow.states[""][0] * np.hypot(1, 0.5), rtol=1e-6)
    assert_allclose(flow.slope(), -np.log(0.8), rtol=1e-6)
    assert flow.verdict() == "healthy"
    so_far = prefixes(model, GOLDEN)
    h, states = 0.0, []
    for step in GOLDEN:
        h = 0.8 * h + step @ np.array([1, -0.5])
        states.append(2 * h)
    if "keras" in model.framework:  # the bias that keeps torch's cell open is taken away for four steps alone
        assert_allclose(so_far.scores[0], states, atol=1e-5)
    assert_allclose(so_far.scores[0, -1], 4.64, rtol=1e-5)


def gate_torch():
    class Gate(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :1] * x[:, 1:]

    return Gate()


def gate_keras():
    import keras

    x = keras.layers.Input((2,))
    return keras.Model(x, keras.layers.Multiply()([x[:, :1], x[:, 1:]]))


@pytest.mark.parametrize("gate", [gate_torch, pytest.param(gate_keras, marks=pytest.mark.slow)])
def test_the_golden_gate(gate) -> None:
    """S2: f = x1 · x2 at (2, 3): integrated gradients share equally, the gradient times the input counts twice."""
    model = xk.wrap(gate(), inputs=xk.Array((2,)), outputs=xk.Values(["f"]))
    x = np.array([[2.0, 3.0]], np.float32)
    assert_allclose(xk.explain(model, x, "integrated-gradients").values, [[3, 3]], rtol=1e-5)
    assert_allclose(xk.explain(model, x, "gradient-x-input").values, [[6, 6]], rtol=1e-6)
    assert_allclose(xk.explain(model, x, "exact-shapley").values, [[3, 3]], rtol=1e-5)
    assert_allclose(xk.explain(model, x, "occlusion").values, [[6, 6]], rtol=1e-6)


@pytest.mark.parametrize("framework", ["torch", pytest.param("keras", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("a", "verdict"), [(0.4, "vanishing"), (2.5, "exploding"), (1.0, "healthy")])
def test_the_verdict_of_linear_networks(a: float, verdict: str, framework: str) -> None:
    flow = gradient_flow(LINEAR[framework](a, steps=10), np.random.default_rng(0).normal(size=(3, 10, 2)))
    assert_allclose(flow.curve(), 2 * a ** np.arange(10), rtol=1e-5)
    assert_allclose(flow.ratio(), a**9, rtol=1e-5)
    assert flow.verdict() == verdict
    assert str(flow.status) == ("ok" if verdict == "healthy" else "warn")
    assert verdict in flow.words()


def test_the_backward_direction_is_counted_from_its_own_end() -> None:
    class Sides(Last):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            states = self.cell(x)[0]
            return self.head(torch.cat([states[:, -1, :UNITS], states[:, 0, UNITS:]], -1))

    torch.manual_seed(0)
    net = Sides(nn.RNN(CHANNELS, UNITS, batch_first=True, bidirectional=True)).eval()
    flow = gradient_flow(xk.wrap(net, inputs=xk.Series(STEPS, CHANNELS)), series(), target=0)
    assert list(flow.states) == ["forward", "backward"]
    weights = net.head.weight.detach().numpy()[0]
    assert_allclose(flow.curve("forward")[0], np.linalg.norm(weights[:UNITS]), rtol=1e-5)
    assert_allclose(flow.curve("backward")[0], np.linalg.norm(weights[UNITS:]), rtol=1e-5)
    assert_array_equal(flow.states["backward"].argmax(1), [0, 0])
    assert_array_equal(flow.states["forward"].argmax(1), [STEPS - 1] * 2)


def test_no_gradient_is_a_verdict_of_its_own() -> None:
    net = Last(nn.GRU(CHANNELS, UNITS, batch_first=True)).eval()
    with torch.no_grad():
        net.head.weight.zero_()
    flow = gradient_flow(xk.wrap(net, inputs=xk.Series(STEPS, CHANNELS)), series(), target=0)
    assert flow.verdict() == "none"
    assert "no gradient reaches" in flow.words()


def test_a_function_has_no_gradient_flow() -> None:
    with pytest.raises(NotSupported, match="can only run"):
        gradient_flow(xk.wrap(lambda x: x.sum((1, 2)), inputs=xk.Series(STEPS, CHANNELS)), series())


def test_outputs_at_every_step_are_asked_at_the_last() -> None:
    class Every(Last):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.cell(x)[0])

    torch.manual_seed(0)
    net = Every(nn.GRU(CHANNELS, UNITS, batch_first=True)).eval()
    model = xk.wrap(net, inputs=xk.Series(STEPS, CHANNELS), outputs=xk.Values(["a", "b"]))
    x = series()
    flow = gradient_flow(model, x, target="b")
    assert all("step 5" in label for label in flow.target)
    early = gradient_flow(model, x, target=xk.At(step=2, index="b"))
    assert not early.states[""][:, 3:].any()
    assert_allclose(early.curve(), early.states[""][:, 2::-1].mean(0))  # lag 0 is the step that is asked
    assert early.verdict() == "healthy"
    so_far = prefixes(model, x, "b")
    assert so_far.how.startswith("answered at every step")
    assert_allclose(so_far.scores, model.run(x).output[..., 1], atol=1e-6)
    with pytest.raises(TargetError, match="leave step= out"):
        prefixes(model, x, xk.At(step=2, index="b"))


def test_answers_at_every_step_that_know_what_comes_are_cut() -> None:
    class Every(Last):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.cell(x)[0])

    torch.manual_seed(0)
    net = Every(nn.GRU(CHANNELS, UNITS, batch_first=True, bidirectional=True)).eval()
    model = xk.wrap(net, inputs=xk.Series(STEPS, CHANNELS), outputs=xk.Values(["a", "b"]))
    found = prefixes(model, series(), "b")
    assert found.how == "the series ends there"
    short = xk.wrap(net, inputs=xk.Series(3, CHANNELS)).run(series()[:, :3]).output[:, -1, 1]
    assert_allclose(found.scores[:, 2], short, atol=1e-6)


def test_an_answer_of_other_steps_is_asked_at_the_step_named() -> None:
    class Onwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.GRU(CHANNELS, UNITS, batch_first=True, bidirectional=True)
            self.decoder = nn.GRU(1, UNITS, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.decoder(x.new_zeros(len(x), 4, 1), self.encoder(x)[1][:1].contiguous())[0]

    torch.manual_seed(0)
    net = Onwards().eval()
    model = xk.wrap(net, inputs=xk.Series(STEPS, CHANNELS))
    found = prefixes(model, series(), xk.At(step=1, index=2))
    assert found.how == "the series ends there"
    assert_allclose(found.scores[:, -1], model.run(series()).output[:, 1, 2], atol=1e-6)
    short = xk.wrap(net, inputs=xk.Series(3, CHANNELS)).run(series()[:, :3]).output[:, 1, 2]
    assert_allclose(found.scores[:, 2], short, atol=1e-6)


@pytest.mark.parametrize(
    ("cell", "state"),
    [
        (lambda: nn.GRU(CHANNELS, UNITS, 2, batch_first=True), "cell/l1/h"),
        (lambda: nn.LSTM(CHANNELS, UNITS), "cell/h"),
    ],
)
def test_the_last_of_stacked_states_and_of_time_first_ones_is_read(cell, state) -> None:
    model = of(cell())
    x = series()
    found = prefixes(model, x, "a")
    assert repr(state) in found.how
    for n in (1, 4):
        short = xk.wrap(model.net, inputs=xk.Series(n, CHANNELS), layout=model.layout).run(x[:, :n]).output[:, 0]
        assert_allclose(found.scores[:, n - 1], short, atol=1e-6)


# ---------------------------------------------------------------- predictions so far


def test_prefixes_are_what_a_shorter_series_gives() -> None:
    model = of(nn.LSTM(CHANNELS, UNITS, batch_first=True))
    x = series()
    found = prefixes(model, x, "b")
    assert "cell/h" in found.how
    for n in range(1, STEPS + 1):
        short = xk.wrap(model.net, inputs=xk.Series(n, CHANNELS)).run(x[:, :n]).output[:, 1]
        assert_allclose(found.scores[:, n - 1], short, atol=1e-6)
    assert_array_equal(found.lengths, [range(1, STEPS + 1)] * 2)
    assert_array_equal(prefixes(model, x, "b", every=4).lengths, [[4, 6]] * 2)


def test_a_network_of_two_directions_is_cut() -> None:
    model = of(nn.GRU(CHANNELS, UNITS, batch_first=True, bidirectional=True))
    x = series()
    found = prefixes(model, x, "a")
    assert found.how == "the series ends there"
    short = xk.wrap(model.net, inputs=xk.Series(3, CHANNELS)).run(x[:, :3]).output[:, 0]
    assert_allclose(found.scores[:, 2], short, atol=1e-6)


def test_the_backward_direction_alone_is_cut_too() -> None:
    """Its state at a step has seen what comes, not what was: the series must end there."""

    class Backward(Last):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.cell(x)[0][:, -1, UNITS:])

    torch.manual_seed(0)
    net = Backward(nn.GRU(CHANNELS, UNITS, batch_first=True, bidirectional=True))
    net.head = nn.Linear(UNITS, 2)
    model = xk.wrap(net.eval(), inputs=xk.Series(STEPS, CHANNELS), outputs=xk.Values(["a", "b"]))
    found = prefixes(model, series(), "a")
    assert found.how == "the series ends there"
    for n in (1, 3, 6):
        alone = xk.wrap(net, inputs=xk.Series(1, CHANNELS)).run(series()[:, n - 1 : n]).output[:, 0]
        assert_allclose(found.scores[:, n - 1], alone, atol=1e-6)


def test_a_shorter_series_keeps_the_layout_that_was_named() -> None:
    class Sum(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.sum(0)[:, :1] * x.flip(0)[0, :, :1]

    model = xk.wrap(Sum(), inputs=xk.Series(STEPS, CHANNELS), outputs=xk.Values(["y"]), layout="time-first")
    x = series()
    found = prefixes(model, x, "y")
    assert_allclose(found.scores, x[..., 0].cumsum(1) * x[..., 0], atol=1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_rest_of_a_text_is_padding_on_its_side(side: str) -> None:
    words = ("[pad]", "[unknown]", "not", "a", "good", "film")
    seen: list[np.ndarray] = []

    def network(ids: np.ndarray) -> np.ndarray:
        seen.append(ids.copy())
        return (ids == 4).sum(1) - 2.0 * (ids == 2).sum(1)

    spec = xk.Text(6, vocabulary=words, pad_side=side)
    model = xk.wrap(network, inputs=spec, outputs=xk.Values(["score"]))
    found = prefixes(model, ["not a good film", "good"])
    assert_array_equal(found.scores, [[-2, -2, -1, -1], [1, np.nan, np.nan, np.nan]])
    assert_array_equal(found.lengths, [[1, 2, 3, 4], [1, 0, 0, 0]])
    rows = np.concatenate(seen)
    expected = [0, 0, 0, 0, 2, 3] if side == "left" else [2, 3, 0, 0, 0, 0]
    assert any((row == expected).all() for row in rows)
    assert found.settled(0) == 3


def test_what_has_no_prefixes_is_refused() -> None:
    with pytest.raises(InputError, match="need Text or a Series"):
        prefixes(xk.wrap(nn.Linear(3, 1), inputs=xk.Array((3,))), np.zeros((1, 3)))
    with pytest.raises(ParameterError, match="every"):
        prefixes(of(nn.GRU(CHANNELS, UNITS, batch_first=True)), series(), every=0)
    fixed = nn.Sequential(nn.Flatten(), nn.Linear(STEPS * CHANNELS, 1))
    with pytest.raises(NotSupported, match="takes no series of 1 of its 6 steps"):
        prefixes(xk.wrap(fixed, inputs=xk.Series(STEPS, CHANNELS), layout="channels-last"), series(), 0)


class Counting(nn.Module):
    """Answers at every step how often each of three letters was read until then."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.one_hot(x, 4)[..., 1:].float().cumsum(1)


def test_a_full_text_with_padding_before_is_asked_at_its_last_step() -> None:
    """Each beginning stands at the end, behind its padding, also where the whole text has none."""
    text = xk.Text(4, {"a": 1, "b": 2, "c": 3}, tokenizer="characters", unknown=3, pad_side="left")
    model = xk.wrap(Counting(), inputs=text, outputs=xk.Classes(["a", "b", "c"], form="logits"))
    assert_array_equal(prefixes(model, "abab", "a").scores, [[1, 1, 2, 2]])
    assert_array_equal(prefixes(model, "aba", "a").scores, [[1, 1, 2]])
