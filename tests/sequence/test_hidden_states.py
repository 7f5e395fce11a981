"""Gates and states by name, on the steps of the input, and what they are good for."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

import xaikit as xk
from tests.sequence.nets import CHANNELS, STEPS, UNITS, Last, of, series
from xaikit.errors import InputError, NotSupported, ParameterError, UnknownName, UsageError
from xaikit.sequence import following_units
from xaikit.sequence._states import _status
from xaikit.sequence._units import _areas


def test_an_lstm_has_its_six_gates_and_they_make_its_state() -> None:
    model = of(nn.LSTM(CHANNELS, UNITS, batch_first=True))
    found = xk.hidden_states(model, series())
    assert (found.gates, found.kind, found.layer) == (("i", "f", "g", "o", "c", "h"), "lstm", "cell")
    i, f, g, o, c, h = (found[k] for k in found.gates)
    assert h.shape == (2, STEPS, UNITS)
    before = np.concatenate([np.zeros_like(c[:, :1]), c[:, :-1]], axis=1)
    assert_allclose(c, f * before + i * g, atol=1e-6)
    assert_allclose(h, o * np.tanh(c), atol=1e-6)
    assert found.deviation < 1e-6
    assert str(found.status) == "ok"
    assert found.tokens is None
    assert found.present.all()


def test_a_gru_and_a_plain_cell_have_theirs() -> None:
    gru = xk.hidden_states(of(nn.GRU(CHANNELS, UNITS, batch_first=True)), series())
    assert (gru.gates, gru.kind, gru.cell) == (("z", "r", "n", "h"), "gru", "h")
    rnn = xk.hidden_states(of(nn.RNN(CHANNELS, UNITS, batch_first=True)), series())
    assert (rnn.gates, rnn.kind) == (("h",), "rnn")


def test_time_first_is_the_same_as_batch_first() -> None:
    first, last = (of(nn.LSTM(CHANNELS, UNITS, batch_first=b), seed=3) for b in (True, False))
    for gate in ("i", "c", "h"):
        assert_allclose(xk.hidden_states(first, series())[gate], xk.hidden_states(last, series())[gate], atol=1e-6)


def test_both_directions_lie_on_the_steps_of_the_input() -> None:
    model = of(nn.LSTM(CHANNELS, UNITS, batch_first=True, bidirectional=True))
    x = series()
    found = xk.hidden_states(model, x)
    own = model.run(x, at=["cell"]).activations["cell"]
    assert_allclose(found["h"], own, atol=1e-6)
    assert_allclose(found["backward/h"], own[..., UNITS:], atol=1e-6)
    changed = x.copy()
    changed[:, 0] += 1  # which the backward direction reads last
    moved = xk.hidden_states(model, changed)["backward/h"]
    assert_array_equal(moved[:, 1:], found["backward/h"][:, 1:])
    assert np.abs(moved[:, 0] - found["backward/h"][:, 0]).min() > 0


def test_reading_the_last_step_of_the_backward_direction_is_warned_of() -> None:
    found = xk.hidden_states(of(nn.LSTM(CHANNELS, UNITS, batch_first=True, bidirectional=True)), series())
    assert str(found.status) == "warn"
    assert "has seen that step alone" in found.status.reasons[0]

    class Right(Last):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            states = self.cell(x)[0]
            return self.head(torch.cat([states[:, -1, :UNITS], states[:, 0, UNITS:]], -1))

    net = Right(nn.LSTM(CHANNELS, UNITS, batch_first=True, bidirectional=True)).eval()
    right = xk.hidden_states(xk.wrap(net, inputs=xk.Series(STEPS, CHANNELS)), series())
    assert str(right.status) == "ok"


def test_layers_stacked_in_one_module_are_named() -> None:
    model = of(nn.GRU(CHANNELS, UNITS, 2, batch_first=True))
    found = xk.hidden_states(model, series())
    assert found.gates == ("l0/z", "l0/r", "l0/n", "l0/h", "l1/z", "l1/r", "l1/n", "l1/h")
    assert_allclose(found["l1/h"], model.run(series(), at=["cell"]).activations["cell"], atol=1e-6)
    with pytest.raises(UnknownName, match="l0/h"):
        found["h"]


class Packed(nn.Module):
    """A network that packs what is not zero, after it moved left padding to the end."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTM(1, UNITS, batch_first=True)
        self.head = nn.Linear(UNITS, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        there = x[..., 0] != -9
        front = torch.argsort((~there).long(), dim=1, stable=True)
        moved = x.gather(1, front[..., None])
        lengths = there.sum(1).clamp(min=1).cpu()
        pack = nn.utils.rnn.pack_padded_sequence(moved, lengths, batch_first=True, enforce_sorted=False)
        return self.head(self.cell(pack)[1][0][0])


@pytest.mark.parametrize("left", [False, True])
def test_packed_series_stand_where_they_are_read_and_padding_is_nan(left: bool) -> None:
    torch.manual_seed(0)
    model = xk.wrap(Packed().eval(), inputs=xk.Series(STEPS, 1, pad=-9.0))
    x = np.random.default_rng(0).normal(size=(3, STEPS, 1)).astype(np.float32)
    there = np.ones((3, STEPS), bool)
    there[0, : 2 if left else 0] = there[2, : 4 if left else 0] = False
    if not left:
        there[0, 4:] = there[2, 2:] = False
    x[~there] = -9
    found = xk.hidden_states(model, x)
    assert_array_equal(found.present, there)
    for values in found.values.values():
        assert_array_equal(np.isfinite(values).all(-1), there)
        assert_array_equal(np.isnan(values).all(-1), ~there)
    alone = Packed().eval()
    alone.load_state_dict(model.net.state_dict())
    short = xk.wrap(alone, inputs=xk.Series(int(there[2].sum()), 1, pad=-9.0))
    assert_allclose(found["i"][2][there[2]], xk.hidden_states(short, x[2][there[2]])["i"][0], atol=1e-6)


def test_half_precision_has_gates() -> None:
    net = Last(nn.GRU(CHANNELS, UNITS, batch_first=True)).eval().to(torch.bfloat16)
    found = xk.hidden_states(xk.wrap(net, inputs=xk.Series(STEPS, CHANNELS)), series())
    assert found["h"].dtype == np.float32
    assert found.deviation < 0.02  # bfloat16 has 8 bits


def test_names_are_asked_for_where_there_are_several_layers_or_none() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.decoder = nn.GRU(CHANNELS, 4, batch_first=True), nn.GRU(4, 2, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.decoder(self.encoder(x)[0])[0][:, -1]

    model = xk.wrap(Two().eval(), inputs=xk.Series(STEPS, CHANNELS))
    with pytest.raises(UsageError, match="name one: encoder, decoder"):
        xk.hidden_states(model, series())
    assert xk.hidden_states(model, series(), "decoder")["h"].shape == (2, STEPS, 2)
    with pytest.raises(UnknownName, match="encoder"):
        xk.hidden_states(model, series(), "encodr")
    flat = xk.wrap(
        nn.Sequential(nn.Flatten(), nn.Linear(18, 2)), inputs=xk.Series(STEPS, CHANNELS), layout="channels-last"
    )
    with pytest.raises(NotSupported, match="no recurrent layer"):
        xk.hidden_states(flat, series())
    with pytest.raises(NotSupported, match=r"'1' .* is no recurrent layer"):
        xk.hidden_states(flat, series(), "1")
    with pytest.raises(UsageError, match="takes a wrapped model"):
        xk.hidden_states(Two(), series())
    with pytest.raises(InputError, match="shape"):
        xk.hidden_states(model, series()[:, :3], "encoder")


def test_a_cell_that_a_network_calls_by_itself_is_named_in_the_error() -> None:
    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.GRUCell(CHANNELS, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = x.new_zeros(len(x), 2)
            for t in range(x.shape[1]):
                h = self.cell(x[:, t], h)
            return h

    with pytest.raises(NotSupported, match="one that the network calls by itself"):
        xk.hidden_states(xk.wrap(Loop(), inputs=xk.Series(STEPS, CHANNELS), layout="channels-last"), series())


def test_a_unit_is_tanh_of_its_cell() -> None:
    found = xk.hidden_states(of(nn.LSTM(CHANNELS, UNITS, batch_first=True)), series())
    unit = found.unit(2, sample=1)
    assert_allclose(unit.values, np.tanh(found["c"][1, :, 2]), atol=1e-6)
    assert (unit.label, unit.predicted) == ("tanh(c)", ())
    assert_array_equal(found.unit(2, gate="f").values, found["f"][0, :, 2].astype(np.float64))
    with pytest.raises(ParameterError, match="units 0 to 3"):
        found.unit(4)
    with pytest.raises(ParameterError, match="no sample 2"):
        found.unit(0, sample=2)


# ---------------------------------------------------------------- units that follow an annotation


def test_areas_and_correlations_are_those_of_their_definitions() -> None:
    from sklearn.metrics import roc_auc_score

    found = xk.hidden_states(of(nn.GRU(CHANNELS, UNITS, batch_first=True)), series(8))
    marks = np.random.default_rng(1).random((8, STEPS)) > 0.6
    areas = following_units(found, marks, rotations=20)
    flat = found["h"].reshape(-1, UNITS)
    assert_allclose(areas.scores, [roc_auc_score(marks.ravel(), flat[:, k]) for k in range(UNITS)], rtol=1e-12)
    numbers = np.random.default_rng(2).normal(size=(8, STEPS))
    found_r = following_units(found, numbers, rotations=20)
    expected = [np.corrcoef(numbers.ravel(), flat[:, k])[0, 1] for k in range(UNITS)]
    assert_allclose(found_r.scores, expected, atol=1e-12)
    assert (areas.measure, found_r.measure) == ("auroc", "correlation")


def test_a_unit_that_is_the_annotation_is_found_and_chance_is_not() -> None:
    found = xk.hidden_states(of(nn.GRU(CHANNELS, UNITS, batch_first=True)), series(20))
    own = found["h"][..., 2] > np.median(found["h"][..., 2])
    best = following_units(found, own, rotations=200)
    assert best.order[0] == 2
    assert_allclose(best.scores[2], 1.0, atol=1e-12)
    assert_allclose(best.p_values[2], 1 / 201)
    p = [
        following_units(found, np.random.default_rng(k).random((20, STEPS)) > 0.5, rotations=99).p_values.min()
        for k in range(40)
    ]
    assert np.mean(np.array(p) <= 0.05) <= 0.15  # 5 % of forty, and two standard errors


def test_annotations_of_another_kind_are_refused() -> None:
    found = xk.hidden_states(of(nn.GRU(CHANNELS, UNITS, batch_first=True)), series())
    for wrong, said in (
        (np.zeros((2, 3)), "shape"),
        (np.zeros((2, STEPS)), "nothing to follow"),
        (np.full((2, STEPS), np.nan), "not finite"),
        ("words", "yes and no"),
    ):
        with pytest.raises(InputError, match=said):
            following_units(found, wrong)
    with pytest.raises(ParameterError, match="rotations"):
        following_units(found, np.eye(2, STEPS), rotations=0)


@pytest.mark.parametrize(
    ("deviation", "status"), [(1e-6, "ok"), (1e-3, "warn"), (0.02, "fail"), (float("nan"), "fail")]
)
def test_gates_that_make_another_output_are_told(deviation: float, status: str) -> None:
    found = _status(deviation, None)
    assert str(found) == status
    assert bool(found.reasons) == (status != "ok")


def test_values_that_are_equal_count_half() -> None:
    """Of the pairs of a marked and another step (2, 1), (2, 2), (3, 1), (3, 2) three and a half are in order."""
    values = np.array([[2.0], [1.0], [2.0], [3.0]])
    assert_allclose(_areas(values)(np.array([[1.0, 0.0, 0.0, 1.0]])), [[3.5 / 4]])
