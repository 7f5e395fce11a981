"""Three convolutions for windows of an electroencephalogram."""

from xaikit.data.eeg import RATE
from xaikit.inputs import Array, Classes
from xaikit.zoo.building import Ops, Symbol
from xaikit.zoo.networks import network
from xaikit.zoo.recipes import EarlyStopping, Recipe


@network(
    title="Electroencephalogram, three convolutions",
    task="whether 100 steps of 16 electrodes hold a discharge like that of a seizure",
    inputs=Array((100, 16, 1), axes=("time", "electrode", "channel"), rate=RATE),
    outputs=Classes(("background", "seizure-like"), form="sigmoid"),
    data="eeg",
    recipe=Recipe(
        loss="binary-crossentropy",
        optimizer="adam",
        learning_rate=1e-3,
        batch=64,
        epochs=15,
        schedule="plateau",
        plateau_patience=3,
        early_stopping=EarlyStopping(successive_rises=6),
    ),
    limits=(
        "Trained on signals drawn by code, not on recordings: it says nothing about a person and is no diagnosis.",
        "Convolutions run along the electrodes too, so the order of the electrodes matters.",
        "To train it on recordings, keep the windows of one person together, in training or in the test.",
    ),
)
def eeg_cnn(net: Ops) -> Symbol:
    """100 steps × 16 electrodes × 1 → P(seizure-like); 108,001 parameters, 107,681 of them trained."""
    x = net.input(100, 16, 1)
    for filters in (64, 64, 32):
        x = net.batch_norm(net.conv(x, filters, 3, padding="same"))
        x = net.max_pool(net.activation(x, "relu"), 2)
    x = net.flatten(x)
    for units in (64, 32):
        x = net.dropout(net.dense(x, units, activation="relu"), 0.5)
    return net.dense(x, 1, activation="sigmoid")
