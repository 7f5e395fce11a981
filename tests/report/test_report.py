"""The report: the page says what the results say, stands alone, stays small, and replaces nothing but itself."""

import base64
import json
import os
import re
import shutil
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import xaikit as xk
from tests.report.conftest import REVIEW, Make, applicant, beat, digit
from tests.report.schema import fits
from tests.report.test_page import TAKES_A_REFERENCE, Read
from xaikit import zoo
from xaikit.errors import InputError, ModelError, ParameterError, StorageError, UnknownName, UsageError
from xaikit.jobs import Local, Pool, Recipe
from xaikit.report import Explanations, collect, free, named, write_report
from xaikit.report._sheet import sheet
from xaikit.report._view import maps_of
from xaikit.results import Attribution

pytestmark = pytest.mark.slow

pytest.importorskip("torch")
SCHEMA = json.loads((Path(xk.__file__).parent / "report" / "report.schema.json").read_text())
PICTURE = "data:image/webp;base64,"


def made(found: Explanations, place: Path, **options: Any) -> tuple[dict[str, Any], str, Read]:
    """Write a report and read it again."""
    written = write_report(found, place, **options)
    html = written.page.read_text(encoding="utf-8")
    return json.loads(written.data.read_text(encoding="utf-8")), html, Read(html)


# ---------------------------------------------------------------- what it says


def test_numbers_are_those_of_xk_explain(digits: Explanations, place: Path) -> None:
    data, _, read = made(digits, place)
    fits(data, SCHEMA)
    model = zoo.load("mnist_cnn", framework="torch")
    parameters: tuple[dict[str, Any], ...] = ({"samples": 100}, {})
    for sample, x in zip(data["samples"], (digit(), digit(3)), strict=True):
        for said, its in zip(sample["results"], parameters, strict=True):
            e = xk.explain(model, x, said["method"], **its)
            assert said["target_label"] == e.target_labels[0]
            assert said["status"] == str(e.status)
            for name, value in said["quality"].items():
                if name == "model_calls":  # fewer the second time: coalitions are remembered
                    continue
                assert_allclose(value, e.quality[name][0], rtol=1e-6, err_msg=name)  # the same code on the same input
            stored = xk.load(place / said["unit"])
            assert_allclose(stored.values, e.values, rtol=1e-5, atol=1e-7)
            best = said["strongest"][0]["value"]
            if e.part_values is not None:
                assert_allclose(best, e.part_values[0][np.nanargmax(np.abs(e.part_values[0]))], rtol=1e-5)
        top = sample["answers"][0]["rows"]
        assert [r["name"] for r in top[:1]] == [e.target_labels[0]]
        assert_allclose([r["value"] for r in top], sorted(e.prediction[0], reverse=True)[:5], rtol=1e-5)
    for said in [r for sample in data["samples"] for r in sample["results"]]:
        assert said["sentence"] in read.text


def test_a_unit_that_fails_is_listed_and_stops_nothing(digits: Explanations, place: Path) -> None:
    data, _, read = made(digits, place)
    assert {(f["input"], f["method"]) for f in data["failed"]} == {
        ("letter", "predict"),
        ("seven", "grad-cam"),
        ("other", "grad-cam"),
    }
    assert [s["missing"] for s in data["samples"]] == [["grad-cam"], ["grad-cam"]]
    for failure in data["failed"]:
        assert failure["error"] in read.text
    assert "3 units could not be made" in read.text
    assert {m["name"]: m["units"]["failed"] for m in data["methods"]} == {
        "lime": 0,
        "grad-cam": 2,
        "integrated-gradients": 0,
    }


def test_the_page_stands_alone(digits: Explanations, place: Path) -> None:
    _, html, read = made(digits, place, command="xaikit report <mnist> & more")
    data = json.loads((place / "report.json").read_text())
    ids = {a["id"] for _, a in read.elements if "id" in a}
    for tag, attrs in read.elements:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base"}
        assert not [a for a in attrs if a.startswith("on")]
        for name in TAKES_A_REFERENCE & attrs.keys():
            to = attrs[name] or ""
            if to.startswith("#"):
                assert to[1:] in ids, to
            else:
                assert to.startswith(("data:image/webp;base64,", "data:image/png;base64,")) or (place / to).is_file(), (
                    to
                )
    assert "url(" not in html
    assert "@import" not in html
    assert "<mnist>" not in html
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html
    assert set(data["files"]) == {p.relative_to(place).as_posix() for p in place.rglob("*.*")} - {"report.json"}


def test_headings_go_down_one_by_one_and_pictures_have_words(digits: Explanations, place: Path) -> None:
    _, _, read = made(digits, place)
    levels = [int(tag[1]) for tag, _ in read.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    pictures = read.all("img")
    assert len(pictures) == 2 * (1 + 2 + 1)  # for each sample: itself, two maps, the legend
    assert all(len(p["alt"] or "") > 15 for p in pictures)
    ids = [a["id"] for _, a in read.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert all(a["aria-labelledby"] in ids for _, a in read.elements if "aria-labelledby" in a)


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_rows_of_a_table_are_samples_with_bars(explained: Make, place: Path, framework: str) -> None:
    rows = [applicant(), applicant(age=22, duration=60)]
    methods = ["exact-shapley", "integrated-gradients", "grad-cam"]
    found = explained("credit_mlp", {"rows": rows}, methods, framework)
    data, _, read = made(found, place)
    assert [s["title"] for s in data["samples"]] == ["rows, sample 1", "rows, sample 2"]
    exact = data["samples"][1]["results"][0]
    e = xk.explain(zoo.load("credit_mlp", framework=framework), rows, "exact-shapley")
    order = np.argsort(-np.abs(e.part_values[1]))
    names = list(e.input_spec.names)
    assert [p["part"].split(" = ")[0] for p in exact["strongest"]] == [names[k] for k in order]
    assert_allclose([p["value"] for p in exact["strongest"]], e.part_values[1][order], rtol=1e-4)
    assert exact["samples_together"] == 2
    assert "for 2 samples" in read.text
    assert len(read.all("svg")) == 4
    assert data["agreement"]["compared"][0] == [2, 2, 0]
    assert data["agreement"]["values"][2] == [None, None, None]
    assert all(svg["aria-label"] for svg in read.all("svg"))


def test_words_of_a_text_are_coloured(explained: Make, place: Path) -> None:
    found = explained("lstm_imdb", {"review": REVIEW}, ["occlusion", "lime"], parameters={"lime": {"samples": 100}})
    data, html, read = made(found, place)
    e = xk.explain(zoo.load("lstm_imdb", framework="torch"), REVIEW, "occlusion")
    values = {m[1]: float(m[0]) for m in re.findall(r'title="(-?[\d.e-]+)">(\w+)</span>', html.split("</article>")[0])}
    words = [(t[0], v) for t, v in zip(e.input_spec.placed(REVIEW), e.values[0], strict=True) if t is not None]
    assert_allclose(
        [values[w] for w in ("wonderful", "boring")], [dict(words)[w] for w in ("wonderful", "boring")], rtol=0.01
    )
    strongest = max(words, key=lambda pair: abs(pair[1]))
    assert data["samples"][0]["results"][0]["strongest"][0]["part"].startswith(f"“{strongest[0]}")
    assert REVIEW in read.text


def test_what_an_autoencoder_gives_back_is_shown(explained: Make, place: Path) -> None:
    found = explained("series_autoencoder", {"beat": beat()}, ["occlusion"])
    data, _, read = made(found, place)
    said = data["samples"][0]["answers"][0]
    model = zoo.load("series_autoencoder", framework="torch")
    x = model.inputs.encode([beat()])
    assert_allclose(said["rows"][0]["value"], np.square(x - model.run(x).output).mean(), rtol=1e-5)
    assert (read.all("svg")[1]["aria-label"] or "").startswith("the signal and what the network gives back")
    assert len(read.all("svg")) == 4  # the input, both, the error, the explanation


def test_maps_in_one_unit_have_one_scale(explained: Make, place: Path) -> None:
    found = explained("credit_mlp", {"row": [applicant()]}, ["exact-shapley", "kernel-shap"])
    panels, _, _ = maps_of(sheet(found).samples[0])
    assert panels[0].limit == panels[1].limit  # type: ignore[attr-defined]
    weak = found.inputs[0].results["kernel-shap"]
    assert isinstance(weak, Attribution)
    assert weak.part_values is not None
    weaker = replace(weak, values=weak.values / 9, part_values=weak.part_values / 9)
    inputs = (replace(found.inputs[0], results={**found.inputs[0].results, "kernel-shap": weaker}),)
    panels, _, _ = maps_of(sheet(replace(found, inputs=inputs)).samples[0])
    assert panels[0].limit > 5 * panels[1].limit  # type: ignore[attr-defined]


# ---------------------------------------------------------------- size


def test_a_small_page_is_coarser_and_at_last_has_its_pictures_in_files(digits: Explanations, place: Path) -> None:
    whole, html, _ = made(digits, place)
    assert len(html) < 2e5  # two megabytes are for twenty samples
    assert whole["note"] == ""
    half, smaller, read = made(digits, place, max_mb=0.001)
    assert "images" in half["note"]
    assert half["note"] in read.text
    assert PICTURE not in smaller
    files = {p for p in half["files"] if p.startswith("images/")}
    assert files == {i["src"] for i in read.all("img") if not (i["src"] or "").startswith("data:image/png")}
    assert all((place / f).read_bytes()[8:12] == b"WEBP" for f in files)
    assert not (made(digits, place)[0]["files"].keys() & files)
    assert not (place / "images").exists()


def test_pictures_become_coarser_before_they_leave_the_page(explained: Make, place: Path) -> None:
    rng = np.random.default_rng(0)
    photos = {f"photo{k}": rng.integers(0, 256, (150, 150, 3)).astype(np.uint8) for k in range(2)}
    found = explained("cats_vs_dogs", photos, ["saliency"])
    _, fine, _ = made(found, place)
    data, coarse, read = made(found, place, max_mb=0.8 * len(fine) / 1e6)
    assert len(coarse) <= 0.8 * len(fine)
    assert "pixels wide" in data["note"]
    widths = {len(base64.b64decode((i["src"] or "").partition(",")[2])) for i in read.all("img")}
    assert max(widths) < max(len(base64.b64decode(s)) for s in re.findall(rf"{PICTURE}([^\"]+)", fine))


# ---------------------------------------------------------------- the folder


def test_a_report_replaces_only_itself(digits: Explanations, place: Path) -> None:
    first, _, _ = made(digits, place)
    (place / "notes.txt").write_text("mine")
    (place / "units" / "mine.json").write_text("mine")
    changed = next(p for p in first["files"] if p.endswith("other.lime.json"))
    (place / changed).write_text("changed by hand")
    fewer = replace(digits, inputs=digits.inputs[:1])
    second, _, _ = made(fewer, place)
    left = {p.relative_to(place).as_posix() for p in place.rglob("*.*")}
    assert left == {*second["files"], "report.json", "notes.txt", "units/mine.json", changed}
    assert (place / changed).read_text() == "changed by hand"


def test_files_of_others_are_not_replaced(digits: Explanations, place: Path) -> None:
    place.mkdir()
    (place / "index.html").write_text("my page")
    with pytest.raises(UsageError, match="was not written by xaikit report"):
        free(place, "index.html", "report.json")
    with pytest.raises(UsageError, match="was not written by xaikit report"):
        write_report(digits, place)
    assert [p.name for p in place.iterdir()] == ["index.html"]
    (place / "index.html").unlink()
    write_report(digits, place)
    free(place, "index.html", "report.json")
    (place / "index.html").write_text("edited")
    with pytest.raises(UsageError, match="was changed since"):
        write_report(digits, place)
    assert (place / "index.html").read_text() == "edited"


def test_a_manifest_cannot_point_out_of_the_folder(digits: Explanations, place: Path) -> None:
    data, _, _ = made(digits, place)
    outside = place.parent / "precious.txt"
    outside.write_text("x")
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"  # SHA-256 of "x"
    for name in ("../precious.txt", str(outside), "units/../../precious.txt"):
        data["files"][name] = digest
    (place / "report.json").write_text(json.dumps(data))
    write_report(digits, place)
    assert outside.read_text() == "x"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_said_before_the_work(place: Path) -> None:
    place.mkdir(mode=0o555)
    with pytest.raises(StorageError, match="permission denied"):
        free(place / "deeper")


def test_where_nothing_can_be_made_is_said(digits: Explanations) -> None:
    with pytest.raises(StorageError, match="cannot be written to /proc/"):
        write_report(digits, "/proc/xaikit/report")


def test_a_file_is_no_folder(place: Path, digits: Explanations) -> None:
    place.write_text("")
    with pytest.raises(UsageError, match="is a file"):
        free(place)
    with pytest.raises(StorageError, match="cannot be written"):
        write_report(digits, place)


def test_an_error_leaves_nothing(digits: Explanations, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("xaikit.report._folder.os.replace", full)
    with pytest.raises(StorageError, match="No space left"):
        write_report(digits, place)
    assert list(place.iterdir()) == []


# ---------------------------------------------------------------- what is asked


def test_what_makes_no_sense_is_said_before_anything_runs(explained: Make, place: Path, digits: Explanations) -> None:
    with pytest.raises(UnknownName, match="did you mean 'grad-cam'"):
        explained("mnist_cnn", {"seven": digit()}, ["gradcam"])
    with pytest.raises(ParameterError, match="'lime', which is not among"):
        explained("mnist_cnn", {"seven": digit()}, ["saliency"], parameters={"lime": {}})
    with pytest.raises(UsageError, match="at least one input"):
        explained("mnist_cnn", {}, ["saliency"])
    with pytest.raises(ParameterError, match="positive"):
        write_report(digits, place, max_mb=0)


def test_where_no_input_can_be_read_the_first_error_is_given(explained: Make) -> None:
    with pytest.raises(InputError, match=r"^a: there is no file .*nothing\.png"):
        explained("mnist_cnn", {"a": Path("nothing.png"), "b": np.zeros((3, 3, 3, 3))}, ["saliency"])


def test_a_model_that_cannot_be_loaded_ends_it(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text('name = "x"\nweights = "none.keras"\n')
    with (
        Pool({"m": Recipe(str(tmp_path / "broken.toml"))}, folder=tmp_path / "store") as pool,
        pytest.raises(ModelError),
    ):
        collect(pool, "m", {"a": digit(), "b": digit(1)}, ["saliency"])


def test_inputs_are_named_by_their_files(tmp_path: Path) -> None:
    for name in ("a.png", "b.JPG", "notes.md", "deep.csv"):
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    found = named([str(tmp_path), str(tmp_path / "a.png"), "I liked it. Very much so", "missing.png"])
    assert found == {
        "a": tmp_path / "a.png",
        "b": tmp_path / "b.JPG",
        "deep": tmp_path / "deep.csv",
        "a-2": tmp_path / "a.png",
        "I-liked-it_-Very-much": "I liked it. Very much so",
        "missing": Path("missing.png"),
    }
    assert named([f"left={tmp_path / 'a.png'},right={tmp_path / 'b.JPG'}"]) == {
        "a-b": {"left": tmp_path / "a.png", "right": tmp_path / "b.JPG"}
    }
    with pytest.raises(InputError, match="holds no file to explain"):
        named([str(tmp_path / "empty")])


def test_a_second_report_is_read_from_the_store(place: Path, tmp_path: Path) -> None:
    """Equal but for the date, and without a worker that has to start."""

    def make() -> tuple[float, dict[str, Any]]:
        start = time.perf_counter()
        with Pool({"m": Recipe("mnist_cnn", "torch")}, folder=tmp_path / "store") as pool:
            found = collect(pool, "m", {"seven": digit()}, ["saliency", "integrated-gradients"])
            assert pool.processes == [] or not place.exists()
        return time.perf_counter() - start, made(found, place)[0]

    slow, first = make()
    quick, second = make()
    assert quick < slow / 3
    same = {k: v for k, v in first.items() if k not in ("created", "files")}
    assert {k: v for k, v in second.items() if k not in ("created", "files")} == same
    units = {p: d for p, d in first["files"].items() if p.startswith("units/")}
    assert {p: d for p, d in second["files"].items() if p.startswith("units/")} == units


def test_progress_counts_every_unit(tmp_path: Path) -> None:
    told: list[tuple[float, int, str]] = []
    line = Local({"m": zoo.load("xo_cnn", framework="torch")}, folder=tmp_path, queue=1)
    x = np.zeros(zoo.card("xo_cnn").inputs.shape, np.uint8)
    with line:
        collect(line, "m", {"a": x, "b": x + 200}, ["saliency", "occlusion"], progress=lambda *t: told.append(t))
    assert told[-1][:2] == (6, 6)
    assert [t[0] for t in told] == sorted(t[0] for t in told)


# ---------------------------------------------------------------- in a browser


def test_it_opens_in_a_browser_without_a_word_on_the_console(chromium: Any, digits: Explanations, place: Path) -> None:
    write_report(digits, place)
    write_report(digits, apart := place.with_name("apart"), max_mb=0.001)
    for folder in (place, apart):
        for scheme in ("light", "dark"):
            context = chromium.new_context(color_scheme=scheme, viewport={"width": 390, "height": 800})
            page = context.new_page()
            said: list[str] = []
            page.on("console", lambda m, said=said: said.append(m.text))
            page.on("pageerror", lambda e, said=said: said.append(str(e)))
            page.on("request", lambda r, said=said: said.append(r.url) if r.url.startswith("http") else None)
            page.goto((folder / "index.html").as_uri())
            assert said == []
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
            context.close()
    shutil.rmtree(apart)
