"""The command line: results on stdout, the rest on stderr, exit codes, and errors that say what to do."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image as Pillow

import xaikit as xk
from xaikit.attribution import FAMILIES
from xaikit.cli._explain import parse_parameters
from xaikit.errors import ParameterError


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small picture classifier on disk, described by a model.toml."""
    import keras

    folder = tmp_path_factory.mktemp("net")
    layers = keras.layers
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [layers.Input((8, 8, 3)), layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(2, "softmax")]
    )
    net.save(folder / "net.keras")
    (folder / "model.toml").write_text(
        'name = "small"\nweights = "net.keras"\n[inputs]\nkind = "Image"\nheight = 8\nwidth = 8\n'
        '[outputs]\nkind = "Classes"\nnames = ["cat", "dog"]\n'
    )
    return folder / "model.toml"


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 10, 3)).astype(np.uint8)
    Pillow.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_explain_writes_result_and_picture_and_prints_the_path(run, model, photo, tmp_path):
    code, out, _ = run("explain", model, photo, "-m", "saliency", "-t", "dog", "-o", tmp_path / "out")
    assert code == 0
    path = Path(out.strip())
    assert path == tmp_path / "out" / "photo.saliency.json"
    result = xk.load(path)
    assert result.target_labels == ("dog",)
    assert_allclose(result.values, xk.explain(xk.load_model(model), photo, "saliency", target=1).values, rtol=1e-5)
    with Pillow.open(path.with_suffix(".png")) as picture:
        assert picture.width > 100


def test_json_describes_what_was_written(run, model, photo, tmp_path):
    code, out, _ = run("explain", model, photo, photo, "-m", "saliency", "-o", tmp_path, "--json")
    told = json.loads(out)
    assert code == 0
    assert [Path(t["json"]).name for t in told] == ["photo.saliency.json", "photo-2.saliency.json"]
    assert all(Path(t["png"]).exists() and t["status"] in ("ok", "warn", "fail") for t in told)


def test_the_budget_reaches_the_method(run, model, photo, tmp_path):
    asked = ("--max-calls", 40, "--max-batch", 8, "--time-limit", 600, "--tolerance", 0.5, "--accelerate", "none")
    code, out, _ = run("explain", model, photo, "-m", "lime", "-p", "segments=9", "-o", tmp_path, *asked)
    assert code == 0
    origin = xk.load(Path(out.strip())).origin
    assert origin.model_calls == 41  # besides the budget: the prediction
    assert origin.notes["budget"] == {"max_calls": 40, "max_batch": 8, "time_limit": 600.0, "tolerance": 0.5}
    code, _, err = run("explain", model, photo, "-m", "lime", "-o", tmp_path, "--accelerate", "gpu")
    assert code == 2
    assert "channels-last" in err


def test_parameters_reach_the_method(run, model, photo, tmp_path):
    code, out, _ = run(
        "explain", model, photo, "-m", "integrated-gradients", "-p", "steps=7", "-p", "baseline=blur", "-o", tmp_path
    )
    assert code == 0
    assert dict(xk.load(out.strip()).origin.parameters) == {"steps": 7, "baseline": "blur"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["mehods"], 2, "methods"),
        (["explain", "{model}", "{photo}", "-m", "salienc"], 2, "did you mean 'saliency'"),
        (["explain", "{model}", "{photo}", "-m", "saliency", "-t", "dgo"], 2, "did you mean 'dog'"),
        (["explain", "{model}", "{photo}", "-m", "saliency", "-p", "steps=3"], 2, "has no parameter 'steps'"),
        (["explain", "{model}", "{photo}", "-m", "smooth-grad", "-p", "samples"], 2, "written NAME=VALUE"),
        (["explain", "{model}", "{photo}", "-m", "grad-cam", "-p", "layer=conv2"], 2, "did you mean 'conv2d"),
        (["explain", "{model}", "gone.png", "-m", "saliency"], 5, "no file gone.png"),
        (["explain", "{model}", "{model}", "-m", "saliency"], 5, "not a picture"),
        (["explain", "gone.keras", "{photo}", "-m", "saliency"], 5, "no model file gone.keras"),
        (["explain", "{photo}", "{photo}", "-m", "saliency"], 5, "no model file"),
        (["explain", "mnist_cn", "{photo}", "-m", "saliency"], 2, "did you mean 'mnist_cnn'"),
        (["explain", "{model}", "{photo}"], 2, "'--method'. A name from `xaikit methods`."),
        (["explain"], 2, "Missing argument 'MODEL'. A name from `xaikit zoo list`, a model.toml, or"),
        (["explain", "{model}", "words.txt", "-m", "saliency"], 5, "words.txt holds text, and the model takes Image"),
        (["explain", "{model}", "gone/x.png", "-m", "saliency"], 5, "gone is not there"),
        (["zoo", "card", "nist_cnn"], 2, "did you mean 'mnist_cnn'"),
        (["layers", "{model}", "--framework"], 2, "requires an argument"),
    ],
)
def test_mistakes_are_one_line_with_their_exit_code(run, model, photo, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.txt").write_text("a cat")
    before = set(tmp_path.rglob("*"))
    found, out, err = run(*(a.format(model=model, photo=photo) for a in arguments))
    assert (found, out) == (code, "")
    assert message in err
    assert "Traceback" not in err
    assert set(tmp_path.rglob("*")) == before


def test_debug_shows_the_traceback(run, model):
    code, _, err = run("--debug", "explain", model, "gone.png", "-m", "saliency")
    assert code == 5
    assert "Traceback" in err


def test_a_crash_is_exit_code_one(run, monkeypatch):
    from xaikit.cli import _tables

    monkeypatch.setattr(_tables, "method_rows", lambda: 1 / 0)
    code, out, err = run("methods")
    assert (code, out) == (1, "")
    assert "ZeroDivisionError" in err
    assert "--debug" in err


def test_an_interrupt_is_exit_code_130(run, monkeypatch):
    from xaikit.cli import _tables

    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(_tables, "method_rows", interrupt)
    assert run("methods")[0] == 130


def test_methods_lists_and_describes(run):
    code, out, _ = run("methods", "--json")
    assert code == 0
    assert [m["name"] for m in json.loads(out)] == list(xk.methods)
    page = json.loads(run("methods", "lime", "--json")[1])
    assert "Source:" in page["description"]
    assert [p["name"] for p in page["parameters"]] == list(xk.methods["lime"].parameters())
    for name in xk.methods:
        assert name in run("methods")[1]
        assert run("methods", name)[0] == 0


def test_methods_are_listed_by_family_with_what_they_need(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    lines = run("methods")[1].splitlines()
    assert max(map(len, lines)) <= 100
    rows = [line.split()[:2] for line in lines if line.strip()]
    needs = {row[0]: row[1] for row in rows if row[0] in xk.methods}
    assert list(needs) == [m for members in FAMILIES.values() for m in members]
    assert {m: needs[m] for m in ("lime", "lrp", "score-cam", "attention-rollout")} == {
        "lime": "answers",
        "lrp": "gradients",
        "score-cam": "layers",
        "attention-rollout": "attention",
    }


def test_a_method_names_its_dialects(run):
    assert "dialect=captum, dialect=tf-keras-vis" in run("methods", "saliency")[1]
    assert "dialect=" not in run("methods", "rise")[1]


def test_layers_are_listed_in_call_order(run, model):
    told = json.loads(run("layers", model, "--json")[1])
    assert [layer["kind"] for layer in told] == ["conv", "flatten", "dense"]
    assert [layer["shape"] for layer in told] == [[6, 6, 4], [144], [2]]
    assert [layer["parameters"] for layer in told] == [112, 0, 290]
    assert "6 × 6 × 4" in run("layers", model)[1]


def test_the_doctor_says_who_can_serve(run, model, tmp_path):
    told = json.loads(run("doctor", model, "--json")[1])
    assert (told["framework"], told["parameters"], told["outputs"]["form"]) == ("keras", 402, "softmax")
    found = {m["name"]: m for m in told["methods"]}
    assert list(found) == list(xk.methods)
    assert found["deep-lift"]["serves"]
    assert found["saliency"]["layers"] == [json.loads(run("layers", model, "--json")[1])[-1]["name"]]
    assert "explains the logit before the softmax" in found["saliency"]["remark"]
    shown = run("doctor", model)[1]
    assert all(name in shown for name in found)
    assert "These methods can explain it:" in shown


def test_the_doctor_refuses_for_a_reason(run, tmp_path):
    import keras

    net = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2)])
    net.save(tmp_path / "dense.keras")
    told = {m["name"]: m for m in json.loads(run("doctor", tmp_path / "dense.keras", "--json")[1])["methods"]}
    assert not told["grad-cam"]["serves"]
    assert "no layer with channels over space" in told["grad-cam"]["remark"]
    assert told["saliency"]["serves"]


def test_the_zoo_is_listed(run):
    assert {m["name"] for m in json.loads(run("zoo", "list", "--json")[1])} >= {"xo_cnn", "mnist_cnn", "cats_vs_dogs"}
    assert json.loads(run("zoo", "card", "mnist_cnn", "--json")[1])["parameters"]["total"] == 93322
    assert "93,322" in run("zoo", "card", "mnist_cnn")[1]


def test_a_card_in_the_terminal_says_results_recipe_file_and_limits(run):
    card = xk.zoo.card("mnist_cnn")
    code, out, _ = run("zoo", "card", "mnist_cnn")
    assert code == 0
    low, high = card.trained.metrics["interval_95"]
    for expected in (
        f"{card.trained.metrics['accuracy']:.4g} (95 % interval {low:.4g} to {high:.4g})",
        "CC BY-SA 3.0",
        "RMSprop, learning rate 0.001",
        f"{card.trained.metrics['confusion'][4][4]:,}",
        card.trained.sha256,
        card.trained.date,
        f"seed {card.trained.seed}",
        card.limits[1],
    ):
        assert expected in out
    assert "not yet: xaikit zoo train unet" in run("zoo", "card", "unet")[1] or xk.zoo.card("unet").trained


def test_a_card_as_a_page(run, tmp_path, monkeypatch):
    pytest.importorskip("keras")
    code, out, _ = run("zoo", "card", "xo_cnn", "--html", tmp_path / "xo.html", "--framework", "keras")
    assert (code, out.strip()) == (0, str(tmp_path / "xo.html"))
    page = (tmp_path / "xo.html").read_text()
    assert page.count("data:image/png") == 12
    monkeypatch.delenv("XAIKIT_DATA", raising=False)
    assert run("zoo", "card", "cats_vs_dogs", "--html", tmp_path / "cats.html")[0] == 0
    assert "No samples are shown: there is no cats_vs_dogs.zip" in (tmp_path / "cats.html").read_text()
    assert run("zoo", "card", "xo_cn", "--html", tmp_path / "no.html")[0] == 2
    assert not (tmp_path / "no.html").exists()


def test_help_teaches(run):
    code, out, _ = run("--help")
    assert code == 0
    for command in ("explain", "methods", "layers", "doctor", "zoo", "demo"):
        assert command in out
        assert len(run(command, "--help")[1].splitlines()) > 5


def test_a_series_and_a_table_come_from_csv(run, tmp_path):
    import keras

    net = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    net.save(tmp_path / "net.keras")
    (tmp_path / "model.toml").write_text(
        'weights = "net.keras"\n[inputs]\nkind = "Table"\n[inputs.columns.age]\nkind = "Number"\n'
        '[inputs.columns.rooms]\nkind = "Number"\n[outputs]\nkind = "Values"\nnames = ["price"]\n'
    )
    (tmp_path / "rows.csv").write_text("age,rooms\n30,2\n40,3\n")
    arguments = ("explain", tmp_path / "model.toml", tmp_path / "rows.csv", "-m", "gradient-x-input", "-o", tmp_path)
    code, out, err = run(*arguments)
    assert code == 0, err
    assert xk.load(out.strip()).values.shape == (2, 2)


def test_parameters_are_literals_or_text():
    assert parse_parameters("integrated-gradients", ["steps=3", "baseline=blur"]) == {"steps": 3, "baseline": "blur"}
    with pytest.raises(ParameterError):
        parse_parameters("integrated-gradients", ["steps=0"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("explain", "mnist_cnn", "7.png", "-m", "lime", "-m", "grad-cam"), "xaikit compare"),
        (("explain", "mnist_cnn", "7.png", "-m", "lime", "-t", "1", "--target", "2"), "one target"),
        (("compare", "mnist_cnn", "7.png", "-m", "lime", "--methods=grad-cam"), "by commas"),
        (("study", "init", "-m", "lime", "-m", "grad-cam"), "by commas"),
    ],
)
def test_methods_given_one_by_one_are_refused(run, arguments, said):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert "is given 2 times" in err


def test_the_last_of_other_options_is_taken(run, tmp_path):
    code, _, err = run("explain", "mnist_cnn", str(tmp_path / "no.png"), "-m", "lime", "-o", "a", "-o", "b")
    assert code == 5, "it is the picture that is missing"
    assert "no.png" in err
