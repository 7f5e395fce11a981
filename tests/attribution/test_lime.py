"""LIME against the lime package, and against answers on paper."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from xaikit.attribution import explain
from xaikit.errors import Cancelled, ParameterError
from xaikit.inputs import Array, Category, Classes, Image, Number, Series, Table, Text, softmax
from xaikit.perturb.bins import quartile_bins
from xaikit.perturb.memory import MEMORY
from xaikit.perturb.solvers import surrogate
from xaikit.wrapping import wrap

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _empty_memory():
    MEMORY.clear()


def classifier(spec, classes=4):
    """Probabilities that depend on a picture in no simple way."""
    weights = RNG.normal(size=(int(np.prod(spec.shape)), classes)) * 3 / np.prod(spec.shape) ** 0.5

    def call(x):
        return softmax(np.tanh(x.reshape(len(x), -1)[:, :, None] * weights).sum(1))

    return wrap(call, inputs=spec, outputs=Classes(classes, "softmax"))


def of_lime(image, labels, model, seed, samples, width):
    from lime.lime_image import LimeImageExplainer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = LimeImageExplainer(kernel_width=width, random_state=np.random.RandomState(seed)).explain_instance(
            image,
            lambda rows: model.run(model.inputs.encode(list(rows))).output,
            segmentation_fn=lambda _: labels,
            num_samples=samples,
            top_labels=4,
            random_seed=0,
        )
    top = found.top_labels[0]
    return np.array([w for _, w in sorted(found.local_exp[top])]), found.intercept[top], found.score, found.local_pred


@pytest.mark.parametrize("dtype", [np.float64, np.uint8])
@pytest.mark.parametrize(("seed", "width"), [(0, 0.25), (3, 0.6)])
def test_images_equal_the_lime_package_with_the_same_segments_and_seed(dtype, seed, width):
    spec = Image(12, 10, mean=(0.4, 0.5, 0.6), std=0.25, order="bgr")
    model = classifier(spec)
    image = RNG.integers(0, 256, spec.shape).astype(dtype)
    labels = np.arange(12)[:, None] // 3 * 3 + np.arange(10) // 4
    ours = explain(model, image, "lime", seed=seed, samples=300, segments=labels, kernel_width=width)
    theirs, intercept, r2, predicted = of_lime(image, labels, model, seed, 300, width)
    assert_allclose(ours.part_values[0], theirs, atol=1e-6)
    assert_allclose(ours.quality["intercept"], intercept, atol=1e-6)
    assert_allclose(ours.quality["local_prediction"], predicted, atol=1e-6)
    # The scores' last bit differs with the batch they were computed in, and the residuals are small.
    assert_allclose(ours.quality["surrogate_r2"], r2, atol=1e-4)
    assert np.abs(theirs).max() > 1e-3
    assert_array_equal(ours.values[0], ours.part_values[0][labels])
    assert_array_equal(ours.parts[0], labels)


def test_a_linear_score_gets_its_weights_but_for_the_ridge():
    """Ridge with alpha 1 shrinks by less than 1 in 20 against 1000 coalitions of these weights."""
    w, x = np.array([1.0, -2, 3]), np.array([[4.0, 5, 6], [1, 0, -1]])
    found = explain(wrap(lambda x: x @ w, inputs=Array(3)), x, "lime")
    assert_allclose(found.part_values, w * x, rtol=0.05, atol=0.05)
    assert (found.quality["surrogate_r2"] > 0.99).all()
    assert found.status == "ok"


def test_a_column_counts_from_the_mean_of_the_background():
    rows = [{"age": 30, "sex": "m"}, {"age": 50, "sex": "f"}]
    spec = Table({"age": Number(40, 10), "sex": Category("mfx")}, background=rows)
    found = explain(wrap(lambda x: x @ [1.0, 2, 3, 40], inputs=spec), {"age": 60, "sex": "x"}, "lime")
    assert found.axes == ("sample", "column")
    assert_allclose(found.values, [[2 - 0, 40 - 2.5]], rtol=0.1)


def test_tokens_and_windows():
    text = wrap(lambda x: (x == 5).sum(1) - 2.0 * (x == 3).sum(1), inputs=Text(5, {"good": 5, "bad": 3, "a": 2}))
    found = explain(text, ["good bad a", "a bad"], "lime")
    assert_allclose(found.values, [[0, 0, 1, -2, 0], [0, 0, 0, 0, -2]], atol=0.1)
    assert np.isnan(found.part_values[1, 2])
    series = wrap(lambda x: x[:, :10].sum((1, 2)), inputs=Series(20, 2))
    found = explain(series, np.tile([0.0, 1.0], 20).reshape(20, 2) * np.arange(20)[:, None], "lime", segments=4)
    assert found.values.shape == (1, 20)
    assert_allclose(found.part_values, [[(2 - 9.5) * 5, (7 - 9.5) * 5, 0, 0]], atol=2)


def test_a_second_run_asks_nothing_of_the_model_but_the_prediction():
    rows = []

    def call(x):
        rows.append(len(x))
        return x.reshape(len(x), -1).sum(1)

    model = wrap(call, inputs=Image(16, 16))
    x = RNG.integers(0, 256, (2, 16, 16, 3))
    first = explain(model, x, "lime", samples=100)
    rows.clear()
    again = explain(model, x, "lime", samples=100)
    assert again.origin.model_calls == len(x)
    assert sum(rows) == len(x)
    assert_array_equal(again.values, first.values)
    explain(model, x, "kernel-shap", samples=100, segments=first.parts, baseline="segment-mean")
    assert sum(rows) < len(x) + len(x) + len(x) * 100  # "all" at least is known of each


def test_the_seed_decides_and_the_callers_random_stream_is_left_alone():
    model = classifier(Image(16, 16))
    x = RNG.integers(0, 256, (16, 16, 3))
    np.random.seed(1)  # noqa: NPY002
    expected = np.random.RandomState(1).random(3)
    one, same, other = (explain(model, x, "lime", samples=60, seed=s).values for s in (1, 1, 2))
    assert_array_equal(np.random.random(3), expected)  # noqa: NPY002
    assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-4


def test_a_batch_equals_its_rows():
    model = classifier(Image(16, 16))
    x = RNG.integers(0, 256, (3, 16, 16, 3))
    batch = explain(model, x, "lime", samples=80, seed=4)
    for i, row in enumerate(x):
        MEMORY.clear()
        alone = explain(model, row, "lime", samples=80, seed=4)
        assert_allclose(batch[i].values, alone.values, rtol=1e-6, atol=1e-9)


def test_a_budget_gives_a_partial_result_that_says_so():
    model = classifier(Image(16, 16))
    x = RNG.integers(0, 256, (2, 16, 16, 3))
    found = explain(model, x, "lime", samples=200, max_calls=120)
    assert found.origin.model_calls == 2 * 120 + 2
    assert_allclose(found.quality["complete"], 120 / 200)
    assert any("stopped early" in reason for reason in found.status.reasons)
    assert np.isfinite(found.values).all()
    MEMORY.clear()
    with pytest.raises(ParameterError, match="at least 2"):
        explain(model, x, "lime", samples=200, max_calls=1, seed=9)


def test_cancelled_gives_the_samples_that_were_reached():
    calls = []

    def stop(done, total):
        calls.append((done, total))
        if len(calls) == 3:
            raise Cancelled("enough")

    model = wrap(lambda x: x.reshape(len(x), -1).sum(1), inputs=Image(300, 300))
    x = RNG.integers(0, 256, (2, 300, 300, 3))
    found = explain(model, x, "lime", samples=100, segments="grid", progress=stop)
    assert calls[-1] == (3 * model.batch_size, 200)
    assert_allclose(found.quality["complete"], [3 * model.batch_size / 100, 0])
    assert found[0].status == "warn"
    assert np.isnan(found[1].values).all()


@pytest.mark.parametrize("parts", [1, 2])
def test_an_image_of_few_parts(parts):
    model = wrap(lambda x: x.reshape(len(x), -1).mean(1), inputs=Image(4, 4))
    labels = np.arange(16).reshape(4, 4) // (16 // parts)
    found = explain(model, np.full((4, 4, 3), 200) + labels[..., None], "lime", segments=labels, baseline=0)
    assert found.part_values.shape == (1, parts)
    assert np.isfinite(found.values).all()


def test_a_constant_model_has_a_map_of_zeros_with_a_warning():
    model = wrap(lambda x: np.full(len(x), 0.5), inputs=Image(8, 8))
    found = explain(model, RNG.integers(0, 256, (8, 8, 3)), "lime")
    assert_allclose(found.values, 0, atol=1e-12)
    assert found.quality["surrogate_r2"] == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"samples": 1}, "samples"), ({"kernel_width": 0}, "kernel_width"), ({"sample": 3}, "samples")],
)
def test_wrong_parameters_are_refused(wrong, message):
    with pytest.raises(ParameterError, match=message):
        explain(classifier(Image(8, 8)), np.zeros((8, 8, 3)), "lime", **wrong)


# --- words and columns beside the lime package ------------------------------------------------------------------------


def test_words_equal_the_lime_package_that_removes_them():
    """A bag of words: removing a word and padding it are the same, and lime's draws are made known to our fit."""
    from lime.lime_text import LimeTextExplainer

    words = ("", "[unknown]", "good", "bad", "a", "very", "film")
    effect = np.array([0, 0, 1.0, -2.0, 0.1, 0.5, 0.3])

    def probabilities(ids):
        z = effect[ids].sum(1)
        return np.stack([1 / (1 + np.exp(z)), 1 / (1 + np.exp(-z))], axis=1)

    spec = Text(8, vocabulary=words, lower=True)
    sentence, asked = "a very good film not bad", []

    def predict(texts):
        asked.extend(texts)
        return probabilities(np.stack([spec.encode(t)[0] if t.strip() else np.zeros(8, int) for t in texts]))

    explainer = LimeTextExplainer(feature_selection="none", bow=True, random_state=0)
    theirs = explainer.explain_instance(sentence, predict, labels=[1], num_features=10, num_samples=200)
    index = theirs.domain_mapper.indexed_string
    order = [index.word(k) for k in range(index.num_words())]
    shown = np.array([[w in t.split() for w in order] for t in asked])
    fit = surrogate(shown, predict(list(asked))[:, 1], kernel_width=0.25)
    assert_allclose(fit.values, [w for _, w in sorted(theirs.local_exp[1])], atol=1e-6)
    assert_allclose([fit.intercept, fit.r2], [theirs.intercept[1], theirs.score], atol=1e-6)
    ours = explain(wrap(probabilities, inputs=spec, outputs=Classes(2, "softmax")), sentence, "lime", target=1)
    words_of = [w for w, *_ in spec.tokens(sentence)]
    # other coalitions (lime draws how many words go first): the same sign and size
    assert_allclose(ours.part_values[0], [fit.values[order.index(w)] for w in words_of], atol=0.05)


def mixed_table():
    rng = np.random.default_rng(3)
    rows = [
        {"age": float(a), "sex": str(s), "one": 7.0}
        for a, s in zip(rng.gamma(3, 10, 300), rng.choice(list("mf"), 300), strict=True)
    ]
    return Table({"age": Number(30, 10), "sex": Category("mf"), "one": Number()}, background=rows), rows


def test_bins_and_fit_equal_the_lime_packages_tabular_explainer():
    from lime.lime_tabular import LimeTabularExplainer

    data = np.random.default_rng(1).normal(size=(400, 5)) ** 3
    spec = Table({f"c{i}": Number() for i in range(5)}, background=data)
    asked = []

    def predict(rows):
        asked.append(rows)
        p = 1 / (1 + np.exp(-np.tanh(rows) @ [1.0, -2, 3, 0, 0.5]))
        return np.stack([1 - p, p], axis=1)

    explainer = LimeTabularExplainer(data, feature_selection="none", random_state=0)
    theirs = explainer.explain_instance(data[3], predict, num_features=5, num_samples=500)
    bins = quartile_bins(spec)
    shown = bins.places([spec.display(r) for r in asked[0]]) == bins.places([spec.display(data[3])])
    fit = surrogate(shown, predict(asked[0])[:, 1], kernel_width=0.75, distance="euclidean")
    assert_allclose(fit.values, [w for _, w in sorted(theirs.local_exp[1])], atol=1e-6)
    assert_allclose([fit.intercept, fit.r2], [theirs.intercept[1], theirs.score], atol=1e-6)
    model = wrap(predict, inputs=spec, outputs=Classes(2, "softmax"))
    ours = explain(model, data[3], "lime", target=1, discretized=True, samples=5000, kernel_width=0.75)
    assert ours.axes == ("sample", "column")
    assert_allclose(ours.part_values[0], fit.values, atol=0.05)  # 500 and 5000 rows of different draws


def test_rows_are_drawn_as_the_background_has_them():
    spec, rows = mixed_table()
    bins = quartile_bins(spec)
    shown, x = bins.draw(rows[0], 20000, np.random.default_rng(0))
    assert_array_equal(x[0], spec.to_network(rows[0]))
    assert shown[0].all()
    own = bins.places([rows[0]])[0]
    assert_allclose(shown[1:].mean(0), [bins.share[k, b] for k, b in enumerate(own)], atol=0.02)
    age, known = x[:, 0] * 10 + 30, np.array([r["age"] for r in rows])
    assert known.min() <= age.min() <= age.max() <= known.max()
    assert_allclose(np.percentile(age, [25, 50, 75]), np.percentile(known, [25, 50, 75]), rtol=0.03)
    assert_allclose(x[:, 1:3].sum(1), 1)
    assert_array_equal(x[:, 3], 7)  # a column without variance stays what it is
    assert_array_equal(bins.places(spec.decode(x[1:])) == own, shown[1:])


def test_the_discretized_form_is_for_tables_and_keeps_the_budget():
    spec, rows = mixed_table()
    model = wrap(lambda x: np.tanh(x[:, 0]) + x[:, 1], inputs=spec)
    found = explain(model, rows[:2], "lime", discretized=True, max_calls=50, samples=100)
    assert found.origin.model_calls == 2 * 50 + 2
    assert_allclose(found.quality["complete"], 0.5)
    assert_allclose(found.values[:, 2], 0, atol=1e-12)  # in its one bin in every row
    with pytest.raises(ParameterError, match="is for a Table"):
        explain(wrap(lambda x: x.sum(1), inputs=Array(3)), [1.0, 2, 3], "lime", discretized=True)
    with pytest.raises(ParameterError, match="bins need typical rows"):
        explain(wrap(lambda x: x.sum(1), inputs=Table({"a": Number()})), [1.0], "lime", discretized=True)


def watched(net):
    """Keep the number of rows of every pass through a torch network."""
    seen = []
    net.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    return seen


def softmax_net(width=6, classes=3):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(width, classes), torch.nn.Softmax(-1)).eval()
    return wrap(net, inputs=Array(width), outputs=Classes(range(classes)))


@pytest.mark.parametrize("count", [1, 3])
def test_the_prediction_comes_with_the_coalitions_once_the_model_is_known(count):
    model = softmax_net()
    x = np.random.default_rng(0).normal(size=(count, 6)).astype(np.float32)
    MEMORY.clear()
    first = explain(model, x, "lime", target=1, samples=20, accelerate="none")
    seen = watched(model.net)
    MEMORY.clear()
    again = explain(model, x, "lime", target=1, samples=20, accelerate="none")
    assert len(seen) == 1
    assert again.origin.model_calls == sum(seen) < first.origin.model_calls
    assert_allclose(again.values, first.values, rtol=1e-6)
    assert_allclose(again.prediction, model.run(x).output, rtol=1e-6)
    assert_allclose(again.quality["score"], model.run(x).output[:, 1], rtol=1e-6)


def test_a_predicted_class_and_its_logits_take_one_pass_beforehand():
    model = softmax_net()
    x = np.random.default_rng(0).normal(size=6).astype(np.float32)
    MEMORY.clear()
    first = explain(model, x, "lime", samples=20, accelerate="none")
    seen = watched(model.net)
    MEMORY.clear()
    again = explain(model, x, "lime", samples=20, accelerate="none")
    assert seen[0] == 1
    assert len(seen) == 2
    assert_allclose(again.values, first.values, rtol=1e-6)
    assert again.origin.model_calls == first.origin.model_calls


def test_a_sample_whose_logits_do_not_give_its_probabilities_is_explained_by_these():
    torch = pytest.importorskip("torch")

    class Turning(torch.nn.Module):
        """Softmax, and behind it for some inputs something else."""

        def __init__(self):
            super().__init__()
            self.linear, self.softmax = torch.nn.Linear(6, 3), torch.nn.Softmax(-1)
            self.turn = False

        def forward(self, x):
            z = self.linear(x)
            return self.softmax(3 * self.softmax(z)) if self.turn else self.softmax(z)

    torch.manual_seed(0)
    net = Turning().eval()
    model = wrap(net, inputs=Array(6), outputs=Classes(range(3)))
    x = np.random.default_rng(0).normal(size=6).astype(np.float32)
    explain(model, x, "lime", target=1, samples=20, accelerate="none")
    net.turn = True
    MEMORY.clear()
    found = explain(model, x, "lime", target=1, samples=20, accelerate="none")
    MEMORY.clear()
    plain = wrap(lambda x: model.run(x).output, inputs=Array(6), outputs=Classes(range(3), "softmax"))
    expected = explain(plain, x, "lime", target=1, samples=20)
    assert_allclose(found.values, expected.values, rtol=1e-4, atol=1e-7)
    assert_allclose(found.quality["score"], found.prediction[:, 1], rtol=1e-6)


def test_weights_are_read_once_for_an_explanation_and_anew_for_the_next(monkeypatch):
    model = softmax_net()
    x = np.random.default_rng(0).normal(size=6).astype(np.float32)
    asked, own = [], type(model).fingerprint
    monkeypatch.setattr(type(model), "fingerprint", lambda m: asked.append(1) or own(m))
    MEMORY.clear()
    first = explain(model, x, "lime", target=1, samples=20, accelerate="none")
    assert len(asked) == 1
    torch = pytest.importorskip("torch")
    with torch.no_grad():
        for weight in model.net.parameters():
            weight.mul_(2)
    second = explain(model, x, "lime", target=1, samples=20, accelerate="none")
    assert len(asked) == 2
    assert first.origin.fingerprint != second.origin.fingerprint == own(model)
    assert np.abs(first.values - second.values).max() > 1e-3
