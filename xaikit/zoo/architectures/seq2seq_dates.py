"""A translator with attention, for dates."""

from xaikit.data import DATE_IN, DATE_OUT
from xaikit.inputs import Classes, Text
from xaikit.zoo.building import Ops, Symbol
from xaikit.zoo.networks import network
from xaikit.zoo.recipes import Recipe

LENGTH, STEPS, UNITS = 30, 10, 64


@network(
    title="Dates, encoder and decoder with additive attention",
    task="write a date as year-month-day (ISO 8601)",
    inputs=Text(LENGTH, vocabulary=DATE_IN, tokenizer="characters", pad_side="right", truncate_side="right"),
    outputs=Classes(DATE_OUT, form="softmax"),
    data="dates",
    recipe=Recipe(
        loss="crossentropy",
        optimizer="adam",
        learning_rate=3e-3,
        batch=64,
        epochs=8,
        schedule="cosine",
        warmup_epochs=0.2,
    ),
    limits=(
        "Trained on dates drawn by code, in the forms that it draws: another form, or no date, becomes some date too.",
        "An attention weight says where the answer was read, not that it would be another without that character.",
    ),
)
def seq2seq_dates(net: Ops) -> Symbol:
    """30 characters → at each of 10 steps the probabilities of eleven characters; 122,667 parameters.

    After Bahdanau, Cho and Bengio (2015): annotations from a recurrent network in both directions, additive attention.
    Theirs feeds the last character and the last context back to the decoder; here the decoder's states depend on the
    summary of the date alone and ask all questions without hearing an answer, so there is one input and nothing to
    teach it with. What is answered is computed from the contexts only: all it knows went through the attention.
    """
    x = net.embedding(net.input(LENGTH, integer=True), len(DATE_IN), 32, mask_zero=True)
    annotations = net.bidirectional(x, "gru", UNITS, sequences=True, name="annotations")
    summary = net.gru(annotations, UNITS, name="summary")
    states = net.gru(net.repeat(summary, STEPS), UNITS, sequences=True, name="decoder")
    query, keys = net.dense(states, UNITS, name="query"), net.dense(annotations, UNITS, name="keys")
    contexts = net.attention(query, annotations, keys, name="attention")
    x = net.dense(contexts, UNITS, activation="relu")
    return net.dense(x, len(DATE_OUT), activation="softmax")
