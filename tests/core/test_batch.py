"""The rule for the rows of one chunk, against the best sizes that were measured on a CPU."""

import pytest

import xaikit as xk
from xaikit.model import fastest_batch

MEASURED = {
    "VGG16": (224 * 224 * 64 * 4, 4),
    "ResNet-50": (112 * 112 * 64 * 4, 8),
    "a CNN for digits": (26 * 26 * 32 * 4, 128),
    "LeNet-5": (24 * 24 * 6 * 4, 512),
    "an LSTM of 32 units over 200 steps": (3 * 200 * 32 * 4, 128),
    "an LSTM of 64 units over 200 steps": (3 * 200 * 64 * 4, 128),
    "an MLP of 128 units": (128 * 4, 4096),
}


@pytest.mark.parametrize("network", MEASURED)
def test_the_rule_gives_the_batch_that_was_fastest(network):
    largest, best = MEASURED[network]
    assert fastest_batch(largest) == best


def test_there_is_always_a_row_and_never_all_at_once():
    assert fastest_batch(2**40) == 1
    assert fastest_batch(0) == fastest_batch(1) == 4096


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_a_recurrent_layer_counts_its_gates(kind):
    torch = pytest.importorskip("torch")
    gates = {"LSTM": 3, "GRU": 3, "RNN": 1}[kind]
    net = getattr(torch.nn, kind)(32, 32, batch_first=True)
    model = xk.wrap(net, inputs=xk.Series(200, 32))
    assert model.batch_size == fastest_batch(gates * 200 * 32 * 4)
