"""Three recurrent networks with states of one size, to forecast one series."""

from typing import Any

import numpy as np

from xaikit.inputs import Series, Values
from xaikit.zoo.building import Ops, Symbol
from xaikit.zoo.networks import network
from xaikit.zoo.recipes import Recipe

STEPS, UNITS = 48, 32
MEAN, STD = 15_416.0, 6_864.0
"""Of the half-hourly counts of the training part, in passengers."""
TAXI: dict[str, Any] = {
    "task": "how many people take a taxi in New York in the half hour after a day of half hours",
    "inputs": Series(STEPS, 1, rate=1 / 1800, mean=MEAN, std=STD),
    "outputs": Values(("passengers",)),
    "data": "nyc_taxi",
    "recipe": Recipe(loss="mse", optimizer="adam", learning_rate=3e-3, batch=64, epochs=40, schedule="cosine"),
    "limits": (
        "Half an hour ahead, from the last 24 hours and nothing else: weekday, holidays and weather are unknown.",
        "Trained on July to December 2014; the test part holds the holidays and a blizzard, unlike anything before.",
        "Windows overlap, so those kept for validation resemble the training ones; the test part is apart in time.",
    ),
}


@network(title="Taxi rides, simple recurrent network", **TAXI)
def rnn_forecast(net: Ops) -> Symbol:
    """48 half hours → passengers in the next; 1,122 parameters, one of them fixed (Elman 1990)."""
    return _passengers(net, net.simple_rnn(net.input(STEPS, 1), UNITS))


@network(title="Taxi rides, LSTM", **TAXI)
def lstm_forecast(net: Ops) -> Symbol:
    """48 half hours → passengers in the next; 4,386 parameters, one of them fixed (Hochreiter and Schmidhuber 1997)."""
    return _passengers(net, net.lstm(net.input(STEPS, 1), UNITS))


@network(title="Taxi rides, GRU", **TAXI)
def gru_forecast(net: Ops) -> Symbol:
    """48 half hours → passengers in the next; 3,394 parameters, one of them fixed (Cho et al. 2014)."""
    return _passengers(net, net.gru(net.input(STEPS, 1), UNITS))


def _passengers(net: Ops, state: Symbol) -> Symbol:
    """A number in standard deviations, times the standard deviation: the fixed kernel turns it into passengers."""
    x = net.reshape(net.dense(state, 1), 1, 1)
    x = net.conv(x, 1, 1, bias=False, fixed=np.array([[[STD]]]), name="passengers")
    return net.flatten(x)
