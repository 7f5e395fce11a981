"""Three convolutions for windows of an electroencephalogram."""

from xaikit.inputs import Array, Classes
from xaikit.zoo.building import Ops, Symbol
from xaikit.zoo.networks import network


@network(
    title="Electroencephalogram, three convolutions",
    task="to which of two groups a recording of 16 electrodes belongs",
    inputs=Array((100, 16, 1), axes=("time", "electrode", "channel")),
    outputs=Classes((0, 1), form="sigmoid"),
    limits=(
        "Convolutions run along the electrodes too, so the order of the electrodes matters.",
        "Windows of one person must not be spread over training and test.",
    ),
)
def eeg_cnn(net: Ops) -> Symbol:
    """100 steps × 16 electrodes × 1 → P(second group); 108,001 parameters, 107,681 of them trained."""
    x = net.input(100, 16, 1)
    for filters in (64, 64, 32):
        x = net.batch_norm(net.conv(x, filters, 3, padding="same"))
        x = net.max_pool(net.activation(x, "relu"), 2)
    x = net.flatten(x)
    for units in (64, 32):
        x = net.dropout(net.dense(x, units, activation="relu"), 0.5)
    return net.dense(x, 1, activation="sigmoid")
