"""A dense autoencoder for heartbeats."""

from xaikit.inputs import Reconstruction, Series
from xaikit.zoo.building import Ops, Symbol
from xaikit.zoo.networks import network
from xaikit.zoo.recipes import Corruption, Recipe

STEPS = 140


@network(
    title="Heartbeats, autoencoder of the normal ones",
    task="give a normal heartbeat again from eight numbers, and any other one badly",
    inputs=Series(STEPS, 1),
    outputs=Reconstruction(error="mse"),
    data="ecg5000_normal",
    recipe=Recipe(
        loss="mse",
        target="input",
        optimizer="adam",
        learning_rate=3e-3,
        weight_decay=1e-4,
        batch=16,
        epochs=300,
        schedule="cosine",
        average=0.98,
        corruption=Corruption(noise=0.1),
    ),
    limits=(
        "Trained on 150 normal heartbeats only, of the recording behind ECG5000: another heart is another normal.",
        "A heartbeat is 140 steps, cut out and standardised as in ECG5000; one cut elsewhere has a large error.",
        "The error says that a heartbeat is unusual, not what is wrong with it; it is no diagnosis.",
    ),
)
def series_autoencoder(net: Ops) -> Symbol:
    """Heartbeats of 140 steps → the same again, through eight numbers; 9,684 parameters.

    A wide hidden layer would learn 150 heartbeats by heart: the code is narrow, and training adds noise.
    """
    x = net.flatten(net.input(STEPS, 1))
    x = net.dense(x, 32, activation="relu")
    x = net.dense(x, 8, name="code")
    x = net.dense(x, 32, activation="relu")
    return net.reshape(net.dense(x, STEPS), STEPS, 1)
