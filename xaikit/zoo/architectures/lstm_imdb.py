"""Recurrent networks for film reviews."""

from typing import Any

from xaikit.data import imdb_words
from xaikit.inputs import Classes, Text
from xaikit.zoo.building import Ops, Symbol
from xaikit.zoo.networks import network
from xaikit.zoo.recipes import EarlyStopping, Recipe

LENGTH = 200
UNITS = 32
REVIEWS: dict[str, Any] = {
    "task": "whether a film review is favourable",
    "inputs": Text(LENGTH, vocabulary=imdb_words(), pad_side="right", truncate_side="left"),
    "outputs": Classes(("negative", "positive"), form="sigmoid"),
    "data": "imdb",
    "recipe": Recipe(
        loss="binary-crossentropy",
        optimizer="adam",
        learning_rate=2e-3,
        batch=64,
        epochs=3,
        schedule="cosine",
        early_stopping=EarlyStopping(successive_rises=2),
    ),
    "limits": (
        "Only the last 200 words of a review are read, where most reviewers sum up.",
        "The vocabulary has 9,998 words; any other one is read as [unknown], names and misspellings among them.",
        "English reviews of films up to 2011: other languages, goods and irony get an answer too.",
    ),
}


@network(title="Film reviews, LSTM", **REVIEWS)
def lstm_imdb(net: Ops) -> Symbol:
    """200 words → P(positive); 328,353 parameters, 320,000 of them the embedding (Hochreiter and Schmidhuber 1997)."""
    return _answer(net, net.lstm(_words(net), UNITS))


@network(title="Film reviews, GRU", **REVIEWS)
def gru_imdb(net: Ops) -> Symbol:
    """200 words → P(positive); 326,369 parameters, 320,000 of them the embedding (Cho et al. 2014)."""
    return _answer(net, net.gru(_words(net), UNITS))


@network(title="Film reviews, LSTM in both directions", **REVIEWS)
def bilstm_imdb(net: Ops) -> Symbol:
    """200 words → P(positive); 336,705 parameters, 320,000 of them the embedding (Graves and Schmidhuber 2005)."""
    return _answer(net, net.bidirectional(_words(net), "lstm", UNITS))


def _words(net: Ops) -> Symbol:
    x = net.input(LENGTH, integer=True)
    return net.dropout(net.embedding(x, len(imdb_words()), UNITS, mask_zero=True), 0.3)


def _answer(net: Ops, state: Symbol) -> Symbol:
    return net.dense(net.dropout(state, 0.3), 1, activation="sigmoid")
