"""The page of a model stands alone, says what its card says, and shows samples or why there are none."""

from dataclasses import replace

import numpy as np
import pytest

from tests.report.test_page import TAKES_A_REFERENCE, Read
from xaikit import zoo
from xaikit.inputs import Array as ArraySpec
from xaikit.inputs import Classes, Image, Masks, Reconstruction, Series, Text, Values
from xaikit.report import write_model_page
from xaikit.zoo.networks import networks
from xaikit.zoo.samples import Answered

DIGITS = tuple("0123456789")


def page(tmp_path, card, answered=None, unanswered="", network="mnist_cnn"):
    path = write_model_page(tmp_path / "page.html", card, networks[network].architecture, answered, unanswered)
    return path.read_text(encoding="utf-8")


def asked(x, truth, output, encoded=None, given=None):
    x = tuple(x)
    encoded = np.asarray(x if encoded is None else encoded, object if encoded is None else None)
    return Answered(x, encoded, encoded if given is None else given, truth, output, tuple(range(len(x))), 100, "torch")


def test_it_loads_and_runs_nothing(tmp_path):
    read = Read(page(tmp_path, zoo.card("mnist_cnn")))
    references = [v for _, attrs in read.elements for k, v in attrs.items() if k in TAKES_A_REFERENCE]
    assert all(v.startswith("data:") for v in references)
    assert not read.all("script")
    assert any("default-src 'none'" in (m.get("content") or "") for m in read.all("meta"))


def test_it_says_what_the_card_says(tmp_path):
    card = zoo.card("mnist_cnn")
    text = Read(page(tmp_path, card)).text
    trained = card.trained
    for expected in (
        card.title,
        card.limits[0],
        trained.sha256,
        trained.date,
        f"{card.parameters['total']:,}",
        f"{trained.metrics['accuracy']:.4g}",
        f"{100 * (1 - trained.metrics['accuracy']):.2f} %",
        f"{trained.metrics['confusion'][3][3]:,}",
        "RMSprop, learning rate 0.001",
        f"best epoch {trained.best_epoch}",
        "CC BY-SA 3.0",
        "conv 3×3, 32 · ReLU",
    ):
        assert expected in text


def test_layers_are_folded_with_their_totals(tmp_path):
    text = Read(page(tmp_path, zoo.card("resnet50"), network="resnet50")).text
    assert "× 5" in text
    assert "25,610,152 25,557,032" in text
    assert "5 × 263,168" in text  # 1024·256 + 4·256, and the moving statistics, of a 1×1 convolution with batch norm
    assert "not trained" in text


def test_it_says_why_there_are_no_samples(tmp_path):
    text = Read(page(tmp_path, zoo.card("mnist_cnn"), unanswered="mnist.npz <is> not there")).text
    assert "No samples are shown: mnist.npz <is> not there." in text


def test_pictures_with_right_and_wrong_answers(tmp_path):
    output = np.eye(10, dtype=np.float32)[[3, 5]]
    answered = asked(np.zeros((2, 28, 28, 1), np.uint8), np.array([3, 6]), output)
    html = page(tmp_path, zoo.card("mnist_cnn"), answered)
    read = Read(html)
    assert len([i for i in read.all("img") if i["src"].startswith("data:image/png")]) == 2
    assert "✓ says 3 1.00 is 3" in read.text
    assert "✗ says 5 1.00 is 6" in read.text


def changed(inputs, outputs, metrics):
    card = zoo.card("mnist_cnn")
    return replace(card, inputs=inputs, outputs=outputs, trained=replace(card.trained, metrics=metrics))


def test_texts_are_shown_and_escaped(tmp_path):
    card = changed(Text(5, ("bad", "good")), Classes(("neg", "pos"), form="sigmoid"), {"accuracy": 0.9, "samples": 10})
    answered = asked(["<b>good</b> film"], np.array([1]), np.array([[0.8]]))
    html = page(tmp_path, card, answered)
    assert "&lt;b&gt;good&lt;/b&gt; film" in html
    assert "says pos 0.80 is pos" in Read(html).text


def test_reconstructed_series_are_drawn_with_their_error_and_its_quantiles(tmp_path):
    quantiles = {"0": 0.01, "50": 0.1, "100": 4.0}
    metrics = {"mse": 0.2, "interval_95": [0.1, 0.3], "samples": 50, "quantiles": quantiles, "auc": 0.98}
    metrics["abnormal"] = {"samples": 9, "mse": 3.0, "quantiles": {"0": 1.0, "100": 5.0}}
    card = changed(Series(20, 1), Reconstruction("mse"), metrics)
    x = np.sin(np.arange(20.0))[None, :, None]
    html = page(tmp_path, card, asked(x, np.array([0]), x + 0.5, encoded=x))
    text = Read(html).text
    assert "mean squared error 0.25" in text
    assert "abnormal samples" in text
    assert "0.2 95 % interval 0.1 to 0.3" in text
    assert html.count("stroke-dasharray:5 3") == 1


def test_masks_and_reconstructed_pictures_stand_beside_the_input(tmp_path):
    metrics = {"pixel_accuracy": 0.9, "interval_95": [0.8, 1.0], "iou": {"ground": 0.7}, "mean_iou": 0.7, "samples": 3}
    card = changed(Image(4, 4, 3), Masks(("ground", "circle")), metrics)
    output = np.zeros((1, 4, 4, 2))
    output[..., 1] = 1
    x = np.zeros((1, 4, 4, 3), np.uint8)
    read = Read(page(tmp_path, card, asked(x, np.ones((1, 4, 4), int), output)))
    assert [i["alt"].split(" of ")[0] for i in read.all("img")] == [
        "the input",
        "what is there",
        "what the network says",
    ]
    assert "pixels right 100 %" in read.text
    assert "ground 0.700" in read.text
    card = changed(Image(4, 4, 3), Reconstruction("mse"), {"mse": 0.1, "samples": 3})
    read = Read(page(tmp_path, card, asked(x, np.array([0]), np.ones((1, 4, 4, 3)), encoded=x / 255)))
    assert [i["alt"].split(" of ")[0] for i in read.all("img")] == ["the input", "given back"]
    assert "mean squared error 1" in read.text
    read = Read(page(tmp_path, card, asked(x, np.array([0]), np.ones((1, 4, 4, 3)), x / 255, x / 255 + 0.5)))
    assert [i["alt"].split(" of ")[0] for i in read.all("img")] == ["the input", "as given", "given back"]


def test_several_outputs_have_their_own_results_and_answers(tmp_path):
    metrics = {
        "digit": {
            "accuracy": 0.5,
            "interval_95": [0.4, 0.6],
            "samples": 10,
            "classes": list(DIGITS),
            "top5_accuracy": 0.9,
        },
        "width": {"mae": 0.25, "rmse": 0.5, "samples": 10},
    }
    outputs = {"digit": Classes(DIGITS, form="softmax"), "width": Values(("width",))}
    answered = asked(
        np.zeros((1, 28, 28, 1), np.uint8),
        {"digit": np.array([3]), "width": np.array([2.5])},
        {"digit": np.eye(10)[[3]], "width": np.array([[2.25]])},
    )
    text = Read(page(tmp_path, changed(Image(28, 28, 1), outputs, metrics), answered)).text
    assert "Top-5 error 10.00 %" in text
    assert "digit says 3 1.00 digit is 3 width says 2.25 width is 2.5" in text


def test_sequences_and_bare_arrays(tmp_path):
    spec = Classes(("a", "b"), form="softmax")
    card = changed(ArraySpec((300,)), spec, {"exact_match": 0.5, "interval_95": [0.4, 0.6], "samples": 2})
    x = np.zeros((1, 300))
    x[0, :7] = 1
    answered = asked(x, np.array([[0, 1, 1]]), np.eye(2)[[[0, 1, 0]]])
    text = Read(page(tmp_path, card, answered)).text
    assert "300 numbers, 7 of them not zero" in text
    assert "✗ says aba is abb" in text


def test_nothing_is_left_behind_when_it_fails(tmp_path):
    answered = asked(np.zeros((1, 28, 28, 1), np.uint8), np.array([99]), np.eye(10)[[3]])
    with pytest.raises(IndexError):
        page(tmp_path, zoo.card("mnist_cnn"), answered)
    assert list(tmp_path.iterdir()) == []
