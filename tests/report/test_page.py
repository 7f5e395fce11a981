"""The page: one file that stands alone, says what the results say, and is written whole or not at all."""

import base64
import itertools
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.figures import synthetic as s
from tests.render.test_render import luminance
from xaikit.errors import UsageError
from xaikit.report import write_page
from xaikit.results import Attribution

pytestmark = pytest.mark.slow

TAKES_A_REFERENCE = {"src", "href", "srcset", "data", "action", "poster", "background", "xlink:href", "formaction"}


class Read(HTMLParser):
    """What a page holds: its elements with attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.hidden = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.hidden += tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag == "style"

    def handle_data(self, data: str) -> None:
        if not self.hidden and data.strip():
            self.words.append(" ".join(data.split()))

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]


def results() -> dict[str, dict[str, Attribution]]:
    methods = {
        "lime": s.segmented(),
        "grad-cam": replace(s.coarse(), layer="conv4"),
        "integrated-gradients": s.image(quality={"completeness_gap_relative": [0.002]}, score="logit"),
    }
    return {
        framework: {
            name: replace(
                r, origin=replace(r.origin, framework=framework, versions={"xaikit": "0.1.0", framework: "3"})
            )
            for name, r in methods.items()
        }
        for framework in ("keras", "torch")
    }


def page(tmp_path: Path, shown: Any = None, **options: Any) -> tuple[str, Read]:
    place = write_page(
        tmp_path / "page.html", results() if shown is None else shown, **({"title": "Why a cat?"} | options)
    )
    html = place.read_text(encoding="utf-8")
    return html, Read(html)


def test_the_page_loads_nothing(tmp_path: Path) -> None:
    html, read = page(tmp_path)
    for tag, attrs in read.elements:
        assert tag not in {"script", "link", "iframe", "object", "embed", "base"}
        assert not [a for a in attrs if a.startswith("on")]
        for name in TAKES_A_REFERENCE & attrs.keys():
            assert (attrs[name] or "").startswith(("data:image/png;base64,", "#"))
    assert "url(" not in html
    assert "@import" not in html
    assert any("default-src 'none'" in (m.get("content") or "") for m in read.all("meta"))


def test_every_picture_is_a_png_and_is_told_in_words(tmp_path: Path) -> None:
    _, read = page(tmp_path)
    pictures = read.all("img")
    assert len(pictures) == 1 + 1 + 6
    for picture in pictures:
        data = base64.b64decode((picture["src"] or "").partition(",")[2], validate=True)
        assert data.startswith(b"\x89PNG")
        assert len(picture["alt"] or "") > 15
    assert len({p["alt"] for p in pictures}) == len(pictures)


def test_the_page_says_what_the_results_say(tmp_path: Path) -> None:
    _, read = page(
        tmp_path,
        agreement={"output": 3e-7, "lime": 2e-6, "grad-cam": 1e-3},
        timings={"Loading": 2.5},
        about={"Network": "small net"},
        command="xaikit demo --seed 7",
        summary="In short.",
        credit="A ramp",
    )
    said = [
        "Why a cat?",
        "In short.",
        "A ramp",
        "Keras and PyTorch both answer cat (0.97), and their outputs differ by 3.0×10⁻⁷ of the largest.",
        "LIME",
        "Grad-CAM",
        "Integrated gradients",
        "±0.4 change of probability",
        "▲ the surrogate explains R² = 0.40 of the model's changes",
        "✓ completeness gap ≤ 1 %",
        '○ this method has no free check; evidence="full" makes one',
        "0.2 %",
        "1,000",
        "250 ms",
        "✓ 2.0×10⁻⁶",
        "▲ 0.001",
        "layer conv4, samples 100",
        "xaikit demo --seed 7",
        "2.5 s",
        "speaks for cat →",
        "edges mean little.",
    ]
    assert [words for words in said if words not in read.text] == []


def test_the_answer_is_listed_for_every_framework(tmp_path: Path) -> None:
    shown = results()
    for name, result in shown["torch"].items():
        shown["torch"][name] = replace(result, prediction=np.array([[0.04, 0.95, 0.01]]))
    html, read = page(tmp_path, shown)
    assert "Keras answers cat (0.97); PyTorch answers cat (0.95)." in read.text
    assert re.findall(r'<i style="width: ([\d.]+)%"', html) == ["97.0", "2.0", "1.0", "95.0", "4.0", "1.0"]


def test_headings_are_in_order_and_tables_have_headers(tmp_path: Path) -> None:
    html, read = page(tmp_path)
    levels = [int(tag[1]) for tag, _ in read.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    assert all(cell.get("scope") for cell in read.all("th"))
    assert read.all("html")[0]["lang"] == "en"
    ids = [a["id"] for _, a in read.elements if "id" in a]
    assert len(set(ids)) == len(ids)
    assert {a["aria-labelledby"] for _, a in read.elements if "aria-labelledby" in a} <= set(ids)
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html


def test_names_from_outside_are_escaped(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>\"'&"
    shown = {"torch": {"lime": s.segmented(target_labels=(evil,))}}
    html, read = page(tmp_path, shown, title=evil, credit=evil, command=evil, about={evil: evil}, summary=evil)
    assert "<script" not in html
    assert read.text.count("alert(1)") >= 6


def test_the_page_stays_under_two_megabytes_with_the_noisiest_maps(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (1, 150, 150, 3), dtype=np.uint8)
    given = {"display": noise, "x": noise / 255, "input_spec": s.Image(150, 150)}
    one = s.attribution(rng.normal(size=(1, 150, 150, 3)), ("height", "width", "channel"), "saliency", **given)
    html, _ = page(tmp_path, {f: {f"method {k}": one for k in range(4)} for f in ("keras", "torch")}, photo=noise[0])
    assert len(html) < 2_000_000


def test_other_inputs_than_images_have_a_page_too(tmp_path: Path) -> None:
    for make in (s.row, s.series, s.text, s.features):
        _, read = page(tmp_path, {"torch": {"kernel-shap": make()}})
        assert len(read.all("img")) >= 1
        assert "PyTorch answers" in read.text


@pytest.mark.parametrize(
    ("shown", "message"),
    [
        ({}, "at least one framework"),
        ({"torch": {}}, "at least one framework"),
        ({"keras": {"lime": s.segmented()}, "torch": {"grad-cam": s.coarse()}}, "the same methods"),
        ({"torch": {"lime": s.image(samples=2)}}, r"one sample; torch lime has 2: choose one, e\[0\]"),
    ],
)
def test_what_does_not_fit_on_a_page_is_refused_and_leaves_no_file(tmp_path: Path, shown: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        write_page(tmp_path / "page.html", shown, title="t")
    assert os.listdir(tmp_path) == []


def test_an_error_leaves_the_page_that_was_there(tmp_path: Path) -> None:
    place = write_page(tmp_path / "page.html", results(), title="before")
    before = place.read_bytes()
    with pytest.raises(TypeError):
        write_page(place, results(), title="after", timings={"step": "soon"})  # type: ignore[dict-item]
    assert place.read_bytes() == before
    assert os.listdir(tmp_path) == ["page.html"]


def test_the_path_is_absolute_and_folders_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    place = write_page("new/page.html", {"torch": {"lime": s.segmented()}}, title="t")
    assert place == tmp_path / "new" / "page.html"
    assert place.exists()


def test_every_ink_of_the_page_is_readable(tmp_path: Path) -> None:
    html, _ = page(tmp_path)
    blocks = [
        dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in re.findall(r":root \{(.*?)\}", html, re.DOTALL)
    ]
    light, dark = blocks[:2]
    for colours in (light, dark):
        for ink in ("ink", "muted", "ok", "warn", "fail", "accent"):
            for paper in ("paper", "card"):
                low, high = sorted((luminance(colours[ink]), luminance(colours[paper])))
                assert (high + 0.05) / (low + 0.05) >= 4.5, (ink, paper)


def test_evidence_that_was_asked_for_has_columns_and_other_pages_have_none(tmp_path: Path) -> None:
    plain = Read(write_page(tmp_path / "plain.html", results(), title="t").read_text())
    assert "Beyond random maps" not in plain.text
    judged = {"advantage": [3.25], "rank_agreement": [0.81]}
    found = {"torch": {"integrated-gradients": s.image(quality=judged), "lime": s.segmented()}}
    page = Read(write_page(tmp_path / "full.html", found, title="t").read_text())
    assert "Beyond random maps" in page.text
    assert "3.2 sd" in page.text
    assert "0.81" in page.text
    assert "Left with random weights" not in page.text
