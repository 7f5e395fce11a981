"""The zoo's sequence networks: one answer in both frameworks, the known alignment of dates, spaces in characters."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.equality import same
from xaikit.data.dates import alignment, dates
from xaikit.errors import UsageError
from xaikit.figures import CurvePanel, StepsPanel, TextPanel, panels
from xaikit.sequence import following_units, gradient_flow, prefixes

pytestmark = pytest.mark.slow

REVIEW = ["a wonderful film with a terrible ending that i would not watch again", "bad"]
LINE = "the movie was so boring that i fell asleep (really)."


def waves() -> np.ndarray:
    return 15416 + 3000 * np.sin(np.arange(48) / 4)[None, :, None] * np.array([1.0, 2.0])[:, None, None]


def alike(torch, keras, tolerance: float = 2e-5) -> None:
    assert torch.gates == keras.gates
    for gate in torch.gates:
        assert_allclose(torch[gate], keras[gate], atol=tolerance, rtol=0)
    assert max(torch.deviation, keras.deviation) < 1e-5
    assert (str(torch.status), str(keras.status)) == ("ok", "ok")


@pytest.mark.parametrize(
    ("name", "layer", "x"),
    [
        pytest.param("bilstm_imdb", None, REVIEW, marks=pytest.mark.long),
        ("char_lstm", None, [LINE, "short"]),
        ("seq2seq_dates", "annotations", ["12 march 1999", "3/4/2020"]),
        pytest.param("seq2seq_dates", "decoder", ["12 march 1999"], marks=pytest.mark.long),
        ("rnn_forecast", None, waves()),
        pytest.param("lstm_forecast", None, waves(), marks=pytest.mark.long),
        ("gru_forecast", None, waves()),
    ],
)
def test_keras_and_torch_have_the_same_gates_and_gradients(name, layer, x) -> None:
    models = [xk.zoo.load(name, framework=f) for f in ("torch", "keras")]
    alike(*(xk.hidden_states(m, x, layer) for m in models))
    target = xk.At(step=6) if name == "seq2seq_dates" else None
    torch, keras = (gradient_flow(m, x, layer, target) for m in models)
    assert list(torch.states) == list(keras.states)
    for way, sizes in torch.states.items():
        assert_allclose(sizes, keras.states[way], rtol=1e-4, atol=1e-5 * np.nanmax(sizes))
    assert torch.verdict() == keras.verdict()


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_attention_over_dates_follows_the_known_alignment(framework: str) -> None:
    """A digit of the answer was read at the digit that says it: judged on days and years written in digits."""
    model = xk.zoo.load("seq2seq_dates", framework=framework)
    texts = [t for t in dates("test").x if len(t) <= 30][:60]
    found = xk.attention(model, texts)
    assert_allclose(np.nansum(found.weights, -1), 1, atol=1e-6)
    hits = []
    for i, text in enumerate(texts):
        assert_array_equal(np.isnan(found.weights[i]).all(0), np.array(found.source[i]) == "")
        peak = found.peak(i)
        for step, span in enumerate(alignment(text)):
            if span is not None and step < 4:
                hits.append(span[0] <= peak[step] < span[1])
    assert np.mean(hits) > 0.9
    inside = [
        float(np.nansum(found.weights[i][step, span[0] : span[1]]))
        for i, text in enumerate(texts)
        for step, span in enumerate(alignment(text))
        if span is not None
    ]
    assert np.mean(inside) > 0.5  # an even look would leave a tenth of it there
    if framework == "torch":
        keras = xk.attention(xk.zoo.load("seq2seq_dates", framework="keras"), texts)
        assert_allclose(found.weights, keras.weights, atol=1e-5)
        assert (found.source, found.target) == (keras.source, keras.target)


@pytest.fixture(scope="module")
def reader():
    return xk.zoo.load("bilstm_imdb", framework="torch")


@pytest.fixture(scope="module")
def speller():
    return xk.hidden_states(xk.zoo.load("char_lstm", framework="torch"), [LINE, "short"])


def test_padding_of_texts_is_nan_and_has_no_gradient(reader) -> None:
    found = xk.hidden_states(reader, REVIEW)
    assert found.tokens[1][:2] == ("bad", "")
    assert_array_equal(found.present.sum(1), [13, 1])
    for values in found.values.values():
        assert_array_equal(np.isnan(values).all(-1), ~found.present)
    flow = gradient_flow(reader, REVIEW)
    for sizes in (flow.inputs, *flow.states.values()):
        assert_array_equal(np.isnan(sizes), ~found.present)
    encoded = reader.inputs.encode(REVIEW)
    pull = reader.pull(encoded, np.ones((2, 1), np.float32), wrt="embedding1")
    assert not pull.gradient[~found.present].any()


def test_a_long_text_is_read_word_by_word(reader) -> None:
    found = prefixes(reader, REVIEW, "positive")
    whole = reader.run(reader.inputs.encode(REVIEW), score="logit").output[:, 0]
    assert_allclose([found.scores[0, 12], found.scores[1, 0]], whole, atol=1e-5)
    part = reader.run(reader.inputs.encode(["a wonderful film"]), score="logit").output[0, 0]
    assert_allclose(found.scores[0, 2], part, atol=1e-5)


def test_a_unit_knows_spaces_and_the_next_character_is_told(speller) -> None:
    found = following_units(speller, lambda tokens: [t == " " for t in tokens], rotations=99)
    assert found.scores[found.order[0]] > 0.95 or found.scores[found.order[0]] < 0.05
    assert found.p_values[found.order[0]] <= 0.02
    unit = speller.unit(int(found.order[0]))
    best = [answers[0] for answers in unit.predicted]
    assert len(best) == speller.steps
    names = speller.output_spec.names
    chosen = speller.prediction[0].argmax(-1)
    assert [name for name, _ in best] == [names[k] for k in chosen]


def test_layers_are_listed_where_there_are_several() -> None:
    with pytest.raises(UsageError, match="annotations, summary, decoder"):
        xk.hidden_states(xk.zoo.load("seq2seq_dates", framework="torch"), ["12 march 1999"])


def test_every_result_reads_back_and_is_drawn(reader, speller, tmp_path) -> None:
    dates_model = xk.zoo.load("seq2seq_dates", framework="torch")
    results = {
        "states": xk.hidden_states(reader, REVIEW),
        "flow": gradient_flow(reader, REVIEW),
        "prefixes": prefixes(reader, REVIEW),
        "unit": speller.unit(3),
        "scores": following_units(speller, lambda tokens: [t == " " for t in tokens], rotations=9),
        "attention": xk.attention(dates_model, ["12 march 1999", "3/4/2020"]),
    }
    for name, result in results.items():
        assert same(result, xk.load(xk.save(result, tmp_path / name)))
        assert set(result._repr_mimebundle_()[0]) == {"text/plain", "image/png"}
        assert xk.plot(result).data
        assert all(panel.alt for panel in panels(result).panels)


def test_figures_leave_padding_out_and_say_tokens(reader, speller) -> None:
    states = panels(xk.hidden_states(reader, REVIEW))
    assert [len(row) for row in states.rows] == [2] * 6
    first = states.rows[0][0]
    assert isinstance(first, StepsPanel)
    assert first.values.shape == (32, 13)
    assert first.columns[:3] == ("a", "wonderful", "film")
    assert np.isfinite(first.values).all()
    curves = panels(gradient_flow(reader, REVIEW)).rows[0][0]
    assert isinstance(curves, CurvePanel)
    assert curves.logarithmic
    text = panels(speller.unit(3)).rows[0][0]
    assert isinstance(text, TextPanel)
    assert "".join(piece for piece, _ in text.pieces) == LINE
    attention = panels(xk.attention(xk.zoo.load("seq2seq_dates", framework="torch"), ["12 march 1999"]))
    assert attention.notes[0].startswith("It says where the network looked")
    assert attention.rows[0][0].columns == tuple("12 march 1999")
    assert attention.rows[0][0].rows == tuple("1999-03-12")


def test_rows_of_what_is_expected_next_are_of_like_lengths(speller) -> None:
    assert len(LINE) == 52  # two more than stand in one row
    _, *rows = panels(speller.unit(3)).rows
    assert [len(row[0].columns) for row in rows] == [26, 26]
    assert "".join(c for row in rows for c in row[0].columns) == LINE
