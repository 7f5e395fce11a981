"""The gates inside torch's recurrent layers: recomputed, replaced, and with gradients through all later steps."""

import numpy as np
import pytest
import torch
from torch import nn

import xaikit_torch
from xaikit.inputs import Series
from xaikit_torch._gates import gates_of
from xaikit_torch.layers import ResetBeforeGRU

STEPS, CHANNELS, UNITS = 6, 3, 4


class Reader(nn.Module):
    """A recurrent layer, as it is or over packed steps, whose states are summed and read with the last ones."""

    def __init__(self, cell: nn.RNNBase, packed: bool) -> None:
        super().__init__()
        self.cell, self.packed = cell, packed
        ways = 2 if cell.bidirectional else 1
        self.head = nn.Linear((cell.proj_size or cell.hidden_size) * ways * (1 + cell.num_layers), 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.cell.batch_first
        given = x if first else x.transpose(0, 1)
        if self.packed:
            lengths = (x.abs().sum(-1) > 0).sum(1).clamp(min=1)
            pack = nn.utils.rnn.pack_padded_sequence(given, lengths, batch_first=first, enforce_sorted=False)
            states, last = self.cell(pack)
            states, _ = nn.utils.rnn.pad_packed_sequence(states, batch_first=True)
        else:
            states, last = self.cell(given)
            states = states if first else states.transpose(0, 1)
        last = last[0] if isinstance(last, tuple) else last
        return self.head(torch.cat([states.sum(1), *last], -1))


CELLS = {
    "lstm": lambda: nn.LSTM(CHANNELS, UNITS, batch_first=True),
    "gru": lambda: nn.GRU(CHANNELS, UNITS, batch_first=True),
    "rnn": lambda: nn.RNN(CHANNELS, UNITS, batch_first=True),
    "relu without bias": lambda: nn.RNN(CHANNELS, UNITS, nonlinearity="relu", bias=False, batch_first=True),
    "projected": lambda: nn.LSTM(CHANNELS, UNITS, proj_size=2, batch_first=True),
    "time first": lambda: nn.LSTM(CHANNELS, UNITS, bias=False),
    "both ways": lambda: nn.GRU(CHANNELS, UNITS, bidirectional=True, batch_first=True),
    "stacked both ways": lambda: nn.LSTM(CHANNELS, UNITS, 2, bidirectional=True, dropout=0.3, batch_first=True),
}


def samples() -> np.ndarray:
    """Three series, of 4, 6 and 2 steps, filled up with zeros."""
    x = np.random.default_rng(0).normal(size=(3, STEPS, CHANNELS)).astype("float32")
    x[0, 4:] = x[2, 2:] = 0
    return x


@pytest.fixture(params=[(name, packed) for name in CELLS for packed in (False, True)], ids=str)
def read(request):
    name, packed = request.param
    torch.manual_seed(0)
    net = Reader(CELLS[name](), packed).eval()
    return net, xaikit_torch.wrap(net, inputs=Series(STEPS, CHANNELS)), [f"cell/{g}" for g, _ in gates_of(net.cell)]


@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")
def test_the_walk_gives_what_the_layer_gives(read):
    net, model, gates = read
    x = samples()
    with torch.no_grad():
        own = net(torch.tensor(x)).numpy()
    plain = model.run(x, at=["cell"])
    walked = model.run(x, at=[*gates, "cell"])
    np.testing.assert_allclose(walked.output, own, atol=1e-6)
    steps = plain.activations["cell"].shape[1]
    top = f"l{net.cell.num_layers - 1}/"
    states = [g for g in gates if g.endswith("/h") and (net.cell.num_layers == 1 or top in g)]
    joined = np.concatenate([walked.activations[g] for g in states], -1)[:, :steps]
    np.testing.assert_allclose(joined, plain.activations["cell"], atol=1e-6)


@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")
def test_a_gate_put_back_changes_nothing_and_a_step_changed_moves_the_output_by_its_gradient(read):
    _, model, gates = read
    x = samples()
    seed = np.array([[1.0, -2.0]] * 3, "float32")
    for gate in (gates[0], gates[-1]):
        pull = model.pull(x, seed, wrt=gate)
        ran = model.run(x, at=[gate])
        np.testing.assert_allclose(pull.source, ran.activations[gate], atol=1e-6)
        np.testing.assert_allclose(model.run(x, patch={gate: pull.source}).output, ran.output, atol=1e-6)
        if gate.endswith(("/h", "/c")):
            continue  # a state that is put in place does not follow the steps before, its gradient does
        changed = pull.source.copy()
        changed += 1e-2
        moved = (model.run(x, patch={gate: changed}).output * seed).sum(1)
        plain = (ran.output * seed).sum(1)
        np.testing.assert_allclose(moved - plain, 1e-2 * pull.gradient.sum((1, 2)), rtol=0.1, atol=2e-3)


def test_steps_behind_the_end_of_a_packed_series_hold_zeros():
    net = Reader(CELLS["lstm"](), True).eval()
    model = xaikit_torch.wrap(net, inputs=Series(STEPS, CHANNELS))
    ran = model.run(samples(), at=["cell/i", "cell/h"])
    for values in ran.activations.values():
        assert not values[0, 4:].any()
        assert not values[2, 2:].any()
        assert (values[0, :4] != 0).all()
        assert (values[2, :2] != 0).all()
        assert (values[1] != 0).all()


def test_the_gates_of_an_lstm_are_those_of_the_cell_computed_by_hand():
    torch.manual_seed(1)
    net = Reader(nn.LSTM(CHANNELS, UNITS, batch_first=True), False).eval()
    x = samples()
    got = xaikit_torch.wrap(net, inputs=Series(STEPS, CHANNELS)).run(x, at=[f"cell/{g}" for g in "ifgoch"])
    w, u, a, b = (p.detach().numpy() for p in net.cell.parameters())
    h = c = np.zeros((3, UNITS))
    for t in range(STEPS):
        i, f, g, o = np.split(x[:, t] @ w.T + a + h @ u.T + b, 4, -1)
        i, f, o = (1 / (1 + np.exp(-v)) for v in (i, f, o))
        g = np.tanh(g)
        c = f * c + i * g
        h = o * np.tanh(c)
        for gate, value in zip("ifgoch", (i, f, g, o, c, h), strict=True):
            np.testing.assert_allclose(got.activations[f"cell/{gate}"][:, t], value, atol=1e-6)


def test_a_gradient_to_a_state_follows_all_later_steps():
    """h_t = relu(h_(t-1)/2 + x_t) with positive x: the last state has the derivative 2^-(T-1-t) in state t."""
    cell = nn.RNN(1, 1, nonlinearity="relu", bias=False, batch_first=True)
    net = Last(cell)
    with torch.no_grad():
        cell.weight_ih_l0.fill_(1.0)
        cell.weight_hh_l0.fill_(0.5)
    x = np.random.default_rng(0).uniform(0.1, 1, size=(2, 5, 1)).astype("float32")
    pull = xaikit_torch.wrap(net, inputs=Series(5)).pull(x, np.ones((2, 1), "float32"), wrt="cell/h")
    np.testing.assert_allclose(pull.gradient[..., 0], np.tile(0.5 ** np.arange(4, -1, -1), (2, 1)), rtol=1e-6)


class Last(nn.Module):
    """The last state of a recurrent layer."""

    def __init__(self, cell: nn.RNNBase) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.cell(x)[0][:, -1]


@pytest.mark.parametrize("both", [False, True])
def test_a_gru_that_resets_before_the_product_has_gates(both):
    torch.manual_seed(0)
    net = Last(ResetBeforeGRU(CHANNELS, UNITS, bidirectional=both)).eval()
    model = xaikit_torch.wrap(net, inputs=Series(STEPS, CHANNELS))
    x = samples()
    ways = ("forward/", "backward/") if both else ("",)
    got = model.run(x, at=[f"cell/{w}{g}" for w in ways for g in "zrnh"] + ["cell"]).activations
    for n, way in enumerate(ways):
        z, new, h = got[f"cell/{way}z"], got[f"cell/{way}n"], got[f"cell/{way}h"]
        steps = slice(None) if way != "backward/" else slice(None, None, -1)
        z, new, walked = z[:, steps], new[:, steps], h[:, steps]
        before = np.concatenate([np.zeros_like(walked[:, :1]), walked[:, :-1]], axis=1)
        np.testing.assert_allclose(walked, z * before + (1 - z) * new, atol=1e-6)
        np.testing.assert_allclose(h, got["cell"][..., n * UNITS : (n + 1) * UNITS], atol=1e-7)
    assert net.cell.tap is None


@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")
@pytest.mark.parametrize("name", CELLS)
def test_gates_are_listed_before_their_layer_and_nothing_is_computed_for_it(name):
    net = Reader(CELLS[name](), False).eval()
    model = xaikit_torch.wrap(net, inputs=Series(STEPS, CHANNELS))
    gates = [f"cell/{g}" for g, _ in gates_of(net.cell)]
    listed = list(model.layers)
    at = listed.index("cell")
    assert listed[at - len(gates) : at] == gates
    for gate, (_, units) in zip(gates, gates_of(net.cell), strict=True):
        found = model.layers[gate]
        assert (found.kind, found.axes, found.shape) == ("gate", ("sample", "time", "channel"), (STEPS, units))
        assert (found.parameters, model.weights(gate)) == (0, {})
        assert found.parents == model.layers["cell"].parents
    assert sum(la.parameters for la in model.layers.values()) == sum(p.numel() for p in net.parameters())


def test_a_cell_called_twice_has_gates_for_each_call():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.GRU(CHANNELS, CHANNELS, batch_first=True)

        def forward(self, x):
            return self.cell(self.cell(x)[0])[0][:, -1]

    torch.manual_seed(0)
    net = Twice().eval()
    model = xaikit_torch.wrap(net, inputs=Series(STEPS, CHANNELS))
    assert [n for n in model.layers if n.endswith("/h")] == ["cell/h", "cell:1/h"]
    assert model.weights("cell:1/h") == {}
    with torch.no_grad():
        first = net.cell(torch.tensor(samples()))[0]
        second = net.cell(first)[0]
    found = model.run(samples(), at=["cell/h", "cell:1/h"]).activations
    np.testing.assert_allclose(found["cell/h"], first, atol=1e-6)
    np.testing.assert_allclose(found["cell:1/h"], second, atol=1e-6)


def test_gates_of_two_directions_see_from_their_own_end():
    import xaikit as xk

    net = Reader(CELLS["stacked both ways"](), False).eval()
    fields = xk.receptive_field(xaikit_torch.wrap(net, inputs=Series(STEPS, CHANNELS)))
    boxes = {
        g: [fields.box(f"cell/{g}/c", (t,)) for t in range(STEPS)] for g in ("l0/forward", "l0/backward", "l1/forward")
    }
    assert boxes["l0/forward"] == [((0,), (t,)) for t in range(STEPS)]
    assert boxes["l0/backward"] == [((t,), (STEPS - 1,)) for t in range(STEPS)]
    assert boxes["l1/forward"] == [((0,), (STEPS - 1,))] * STEPS
