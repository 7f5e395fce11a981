"""Token ids: gradients at their embeddings, against answers on paper and between the frameworks."""

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.cases import some
from xaikit.arrays import agreement
from xaikit.errors import InputError, NotSupported, ParameterError

torch = pytest.importorskip("torch")

WORDS = ("", "[unknown]", "good", "bad", "a", "very", "film")
SPEC = xk.Text(6, vocabulary=WORDS, pad_side="right")
TABLE = np.random.default_rng(0).normal(size=(7, 4)).astype("f")
W = np.random.default_rng(1).normal(size=(4,)).astype("f")
TOKENS = ("saliency", "gradient-x-input", "smooth-grad", "integrated-gradients", "gradient-shap")


def embedding(table=TABLE):
    return torch.nn.Embedding.from_pretrained(torch.tensor(table), freeze=False)


class Bag(torch.nn.Module):
    """The sum over all tokens, pads included, of w · E[token]: linear in the embeddings."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = embedding(), torch.nn.Linear(4, 1, bias=False)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor(W)[None])

    def forward(self, ids):
        return self.head(self.embed(ids)).sum(1)


def bag():
    return xk.wrap(Bag(), inputs=SPEC, outputs=xk.Values(["score"]))


def test_a_linear_score_of_embeddings_has_its_closed_forms():
    """Pads count in this network, but are no part of the text."""
    e = xk.explain(bag(), "good film", "gradient-x-input")
    assert e.axes == ("sample", "token")
    assert_array_equal(e.x, [[2, 6, 0, 0, 0, 0]])
    assert_allclose(e.values, [[*(TABLE[[2, 6]] @ W), 0, 0, 0, 0]], rtol=1e-5)
    size = np.linalg.norm(W)
    for method in ("saliency", "smooth-grad"):
        assert_allclose(xk.explain(bag(), "good film", method).values, [[size, size, 0, 0, 0, 0]], rtol=1e-5)


@pytest.mark.parametrize(
    ("baseline", "start"),
    [(None, TABLE[[0, 0]]), (3, TABLE[[3, 3]]), ("zero", np.zeros((2, 4))), ("a bad bad", TABLE[[4, 3]])],
)
def test_integrated_gradients_count_from_the_baselines_embeddings(baseline, start):
    e = xk.explain(bag(), "good film", "integrated-gradients", baseline=baseline, steps=3)
    assert_allclose(e.values, [[*((TABLE[[2, 6]] - start) @ W), 0, 0, 0, 0]], rtol=1e-5)
    assert_allclose(e.quality["completeness_gap_relative"], 0, atol=1e-5)
    assert e.origin.notes["embedding"] == ["embed"]


def test_expected_gradients_count_from_a_background_of_texts():
    e = xk.explain(bag(), "good film", "gradient-shap", background=["bad film", "a a a a"], samples=2000)
    start = (TABLE[[3, 6]] + TABLE[[4, 4]]) / 2
    expected = (TABLE[[2, 6]] - start) @ W
    assert_allclose(e.values[0, :2], expected, atol=4 * np.abs(TABLE @ W).max() / np.sqrt(2000))  # four standard errors
    assert_array_equal(e.values[0, 2:], 0)


def test_a_background_of_texts_is_averaged():
    both, *each = (
        xk.explain(bag(), "good film", "integrated-gradients", baseline=b, steps=2).values
        for b in (["bad film", "a a a a"], "bad film", "a a a a")
    )
    assert_allclose(both, np.mean(each, axis=0), rtol=1e-5, atol=1e-6)


def test_named_baselines_of_pictures_are_refused_for_words():
    for name in ("blur", "mean", "noise"):
        with pytest.raises(ParameterError, match=f"baseline '{name}' makes no sense"):
            xk.explain(bag(), "good", "integrated-gradients", baseline=name)


def test_the_calls_are_counted():
    seen = []
    net = Bag()
    net.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    model = xk.wrap(net, inputs=SPEC, outputs=xk.Values(["score"]))
    model.run(model.inputs.encode("a"))
    seen.clear()
    e = xk.explain(model, ["good film", "bad"], "integrated-gradients", steps=5)
    assert sum(seen) == e.origin.model_calls


@pytest.mark.parametrize("method", TOKENS)
def test_a_batch_equals_its_rows(method):
    model = xk.wrap(packed(), inputs=SPEC, outputs=xk.Values(["a", "b"]))
    texts = ["good film", "a very very bad film", "bad"]
    batch = xk.explain(model, texts, method, target=0, seed=2)
    for i, text in enumerate(texts):
        alone = xk.explain(model, text, method, target=0, seed=2)
        assert agreement(batch.values[i : i + 1], alone.values).max() <= 1e-5


class Packed(torch.nn.Module):
    """An LSTM in both directions over packed sequences, last state; 0 is the pad."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = embedding(), torch.nn.Linear(6, 2)
        self.lstm = torch.nn.LSTM(4, 3, batch_first=True, bidirectional=True)

    def forward(self, ids):
        pack = torch.nn.utils.rnn.pack_padded_sequence(
            self.embed(ids), (ids != 0).sum(1).cpu(), batch_first=True, enforce_sorted=False
        )
        _, (h, _) = self.lstm(pack)
        return self.head(torch.cat([h[0], h[1]], 1))


def packed():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return Packed()


@pytest.mark.parametrize("method", TOKENS)
def test_a_longer_frame_changes_nothing(method):
    """pack_padded_sequence refuses sentences of pads alone, and the path starts at pads: the ids stay in place."""
    short, long = (
        xk.explain(
            xk.wrap(packed(), inputs=xk.Text(n, vocabulary=WORDS, pad_side="right"), outputs=xk.Values(["a", "b"])),
            "a very bad film",
            method,
            target=1,
            **({"noise": 0.0} if method == "smooth-grad" else {}),
        ).values
        for n in (4, 9)
    )
    assert_allclose(long[:, :4], short, rtol=1e-4, atol=1e-6)
    assert_array_equal(long[:, 4:], 0)


def test_the_way_is_complete_through_a_recurrent_network():
    model = xk.wrap(packed(), inputs=SPEC, outputs=xk.Values(["a", "b"]))
    e = xk.explain(model, ["good film", "a very very bad film"], "integrated-gradients", target=0)
    assert e.status == "ok"
    assert (e.quality["completeness_gap_relative"] < 1e-4).all()


class Both(torch.nn.Module):
    """Two embeddings of the same ids."""

    def __init__(self):
        super().__init__()
        self.one, self.two = embedding(), embedding(TABLE[::-1].copy())

    def forward(self, ids):
        return (self.one(ids) * torch.tensor(W)).sum((1, 2)) + (self.two(ids) ** 2).sum((1, 2))


def test_several_embeddings_of_the_same_ids_add_up():
    model = xk.wrap(Both(), inputs=SPEC, outputs=xk.Values(["score"]))
    e = xk.explain(model, "good film", "integrated-gradients", baseline="zero", steps=4)
    second = TABLE[::-1]
    expected = TABLE[[2, 6]] @ W + (second[[2, 6]] ** 2).sum(1)
    assert_allclose(e.values, [[*expected, 0, 0, 0, 0]], rtol=1e-5)
    size = xk.explain(model, "good film", "saliency").values
    assert_allclose(size[0, :2], np.sqrt((W**2).sum() + (4 * second[[2, 6]] ** 2).sum(1)), rtol=1e-5)


class Mixed(torch.nn.Module):
    """A text and a row of a table."""

    def __init__(self):
        super().__init__()
        self.embed, self.row = embedding(), torch.nn.Linear(4, 4, bias=False)

    def forward(self, words, row):
        return (self.embed(words).sum(1) * self.row(row)).sum(1, keepdim=True)


def test_a_text_and_a_table_in_one_network():
    columns = xk.Table(
        {"age": xk.Number(mean=30, std=10), "job": xk.Category(["clerk", "cook", "none"])},
        background=[{"age": 30.0, "job": "none"}, {"age": 20.0, "job": "cook"}],
    )
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = xk.wrap(Mixed(), inputs={"words": SPEC, "row": columns}, outputs=xk.Values(["score"]))
    x = {"words": ["good film", "bad"], "row": [{"age": 50.0, "job": "clerk"}, {"age": 20.0, "job": "cook"}]}
    e = xk.explain(model, x, "integrated-gradients", steps=4)
    assert e["words"].values.shape == (2, 6)
    assert e["row"].values.shape == (2, 2)
    assert (e["row"].quality["completeness_gap_relative"] < 1e-4).all()
    gradient = xk.explain(model, x, "gradient-x-input")
    output = model.run(model_x(model, x)).output[:, 0]
    pads = np.array([4, 5]) * (TABLE[0] @ row_of(model, x).T)
    assert_allclose(gradient["words"].values.sum(1) + pads, output, rtol=1e-4)
    assert_allclose(gradient["row"].values.sum(1), output, rtol=1e-4)


def model_x(model, x):
    return {n: spec.encode(x[n]) for n, spec in model.inputs.items()}


def row_of(model, x):
    return model_x(model, x)["row"] @ model.weights("row")["weight"].T


class Twins(torch.nn.Module):
    """Two texts through one embedding."""

    def __init__(self):
        super().__init__()
        self.embed = embedding()

    def forward(self, a, b):
        return (self.embed(a).sum(1) * self.embed(b).sum(1)).sum(1, keepdim=True)


def test_two_texts_through_one_embedding():
    model = xk.wrap(Twins(), inputs={"a": SPEC, "b": SPEC}, outputs=xk.Values(["score"]))
    e = xk.explain(model, {"a": "good film bad", "b": "very"}, "gradient-x-input")
    a, b = TABLE[[2, 6, 3, 0, 0, 0]], TABLE[[5, 0, 0, 0, 0, 0]]
    assert_allclose(e["a"].values[0, :3], a[:3] @ b.sum(0), rtol=1e-5)
    assert_allclose(e["b"].values[0, 0], b[0] @ a.sum(0), rtol=1e-5)


class OneHot(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = torch.nn.Linear(7, 1)

    def forward(self, ids):
        return self.dense(torch.nn.functional.one_hot(ids, 7).float().sum(1))


class Pooled(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.bag = torch.nn.EmbeddingBag(7, 1)

    def forward(self, ids):
        return self.bag(ids)


@pytest.mark.parametrize("net", [OneHot, Pooled])
@pytest.mark.parametrize("method", TOKENS)
def test_ids_without_an_embedding_of_each_are_refused_with_what_can_serve(net, method):
    model = xk.wrap(net(), inputs=SPEC, outputs=xk.Values(["score"]))
    with pytest.raises(NotSupported, match=r"integers without an embedding layer.*use .*lime"):
        xk.explain(model, "good film", method)


def test_ids_without_a_spec_have_no_pads():
    e = xk.explain(xk.wrap(Bag(), inputs=xk.Array((3,), dtype="int64")), [2, 0, 6], "gradient-x-input")
    assert_allclose(e.values, [TABLE[[2, 0, 6]] @ W], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", some(["lstm_imdb", "gru_imdb", "bilstm_imdb"], ["lstm_imdb"]))
def test_trained_networks_agree_between_the_frameworks(name):
    texts = ["A wonderful, moving and brilliant film.", "A dull, boring mess with awful acting; I hated it."]
    pair = [xk.zoo.load(name, framework=f) for f in ("torch", "keras")]
    for method in TOKENS:
        a, b = (xk.explain(m, texts, method, seed=1) for m in pair)
        assert agreement(a.values, b.values).max() <= 1e-4
        assert_array_equal(a.values[a.x == 0], 0)
        assert (np.abs(a.values[a.x != 0]) > 0).all()
        assert a.status == b.status == "ok"


# --- raw strings ------------------------------------------------------------------------------------------------------


def pieces(text):
    """Subwords of two letters inside words, between two added tokens (id 1)."""
    spans = [(i, min(i + 2, m.end())) for m in re.finditer(r"\w+", text) for i in range(m.start(), m.end(), 2)]
    ids = [1, *(2 + ord(text[a]) % 5 for a, _ in spans), 1]
    return {"input_ids": ids, "offset_mapping": [(0, 0), *spans, (0, 0)]}


@pytest.mark.parametrize("method", ["integrated-gradients", "gradient-x-input", "lime", "kernel-shap", "occlusion"])
def test_subwords_sum_to_their_word(method):
    model = xk.wrap(Bag(), inputs=xk.Text(12, tokenizer=pieces, pad_side="right"), outputs=xk.Values(["score"]))
    text = "splendid film, no"
    e = xk.explain(model, [text, "a"], method)
    assert e.display[0] == text
    assert_array_equal(e.parts[0], [-1, 0, 0, 0, 0, 1, 1, 2, -1, -1, -1, -1])
    for sample in e:
        words = sample.parts[0].max() + 1
        sums = [sample.values[0][sample.parts[0] == k].sum() for k in range(words)]
        assert_allclose(sample.part_values[0][:words], sums, rtol=1e-5)
        assert np.isnan(sample.part_values[0][words:]).all()
    if method in ("lime", "kernel-shap"):  # what the tokenizer added is not hidden
        assert_array_equal(e.values[e.parts < 0], 0)
    where = [text[a:b] for a, b in e.offsets[0] if a >= 0]
    assert where == ["sp", "le", "nd", "id", "fi", "lm", "no"]


def test_a_hidden_word_is_hidden_whole():
    seen = []
    net = Bag()
    net.register_forward_pre_hook(lambda module, args: seen.append(args[0].numpy()))
    model = xk.wrap(net, inputs=xk.Text(6, tokenizer=pieces, pad_side="right"), outputs=xk.Values(["score"]))
    xk.explain(model, "good a", "exact-shapley", accelerate="none")
    rows = {tuple(r[:5]) for r in np.concatenate(seen)}
    g, o, a = (2 + ord(c) % 5 for c in "goa")
    assert rows <= {(1, g, o, a, 1), (1, 0, 0, a, 1), (1, g, o, 0, 1), (1, 0, 0, 0, 1), (1, 1, 1, 1, 1)}


def test_offsets_point_into_the_raw_string_and_are_stored(tmp_path):
    text = "So GOOD -- a film!"
    e = xk.explain(bag(), [text, "bad"], "saliency")
    assert [text[a:b] for a, b in e.offsets[0] if a >= 0] == ["So", "GOOD", "a", "film"]
    assert_array_equal(e[1].offsets, [[[0, 3], *[[-1, -1]] * 5]])
    back = xk.load(xk.save(e, tmp_path / "text"))
    assert_array_equal(back.offsets, e.offsets)
    assert back.display == [text, "bad"]
    assert xk.explain(bag(), np.array([2, 3, 0, 0, 0, 0]), "saliency").offsets is None


def test_what_the_network_does_not_see_is_noted():
    e = xk.explain(bag(), ["a very very very very very good film", "so bad"], "saliency")
    assert e.origin.notes["truncated"] == {"side": "left", "tokens": [2, 0]}
    assert e.origin.notes["unknown_tokens"] == [0, 1]
    assert (e.offsets[0, 0] >= 7).all()


@pytest.mark.parametrize("text", ["", " \n", "...", ["good", ""]])
@pytest.mark.parametrize("method", ["saliency", "lime", "integrated-gradients"])
def test_an_empty_text_is_refused(text, method):
    with pytest.raises(InputError, match="the text is empty"):
        xk.explain(bag(), text, method)
