"""A recurrent network that continues texts."""

from xaikit.data import CHARACTERS
from xaikit.inputs import Classes, Text
from xaikit.zoo.building import Ops, Symbol
from xaikit.zoo.networks import network
from xaikit.zoo.recipes import Recipe

LENGTH = 100


@network(
    title="Characters of film reviews, LSTM",
    task="which character comes next, after each of the characters before",
    inputs=Text(LENGTH, vocabulary=CHARACTERS, tokenizer="characters"),
    outputs=Classes(CHARACTERS, form="softmax"),
    data="characters",
    recipe=Recipe(
        loss="crossentropy",
        optimizer="adam",
        learning_rate=4e-3,
        batch=128,
        epochs=6,
        schedule="cosine",
        warmup_epochs=0.2,
    ),
    limits=(
        "It has read film reviews in English, lower-cased and with few signs; anything else is read as [unknown].",
        "It remembers one window of 100 characters: spelling and short phrases, no sense beyond them.",
        "The answer at a step is that of the characters up to it; those behind have no influence, by construction.",
    ),
)
def char_lstm(net: Ops) -> Symbol:
    """100 characters → at every step the probabilities of the next one; 184,050 parameters (Graves 2013)."""
    x = net.input(LENGTH, integer=True)
    x = net.embedding(x, len(CHARACTERS), 32, mask_zero=True)
    x = net.lstm(x, 192, sequences=True)
    return net.dense(x, len(CHARACTERS), activation="softmax")
