"""Notebooks become pages of the site: with the outputs of one that ran, and with a plain word where none has."""

import json
from base64 import b64encode
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import v4

pytest.importorskip("mkdocs", reason="the pages are those of a site by mkdocs")

ROOT = Path(__file__).parents[2]
HOOK = ROOT / "docs" / "hooks_tutorials.py"
PIXEL = b"\x89PNG of a map"
LAST = "Next: [a photo](a_photo.ipynb), [studies](../docs/study.md), [elsewhere](https://example.org)."


def hook() -> Any:
    spec = spec_from_file_location("hooks_tutorials", HOOK)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def notebook() -> Any:
    cells = [
        v4.new_markdown_cell("# A title\n\nWhat it is about."),
        v4.new_code_cell("1 + 1"),
        v4.new_markdown_cell(LAST),
    ]
    return v4.new_notebook(cells=cells)


def executed() -> Any:
    ran = notebook()
    png = {"image/png": b64encode(PIXEL).decode(), "text/plain": "<Attribution by [lime]: ok>"}
    ran.cells[1].outputs = [
        v4.new_output("stream", name="stdout", text="\x1b[31mfirst\x1b[0m "),
        v4.new_output("stream", name="stderr", text="a framework has a word about itself\n"),
        v4.new_output("stream", name="stdout", text="and second\n"),
        v4.new_output("display_data", png, metadata={"image/png": {"width": 545}}),
        v4.new_output("display_data", {"text/html": "<dl>\n\n<dt>a *card*</dt></dl>", "text/plain": "card"}),
        v4.new_output("display_data", {"text/html": "<script>alert(1)</script>", "text/plain": "a figure"}),
    ]
    return ran


def as_stored(book: Any) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(nbformat.writes(book))
    return read


def test_a_notebook_that_ran_is_shown_with_its_outputs() -> None:
    made = hook().tutorial("mine", as_stored(notebook()), as_stored(executed()))
    assert made.markdown.startswith("# A title\n\n[Download this notebook](mine.ipynb)")
    assert "Without outputs" not in made.markdown
    assert "``` { .python }\n1 + 1\n```" in made.markdown
    assert "``` { .text .said }\nfirst and second\n```" in made.markdown
    drawn = '![Attribution by lime: ok](pictures/mine-01-1.png){ width="545" loading=lazy }'
    assert f"[{drawn}](pictures/mine-01-1.png)" in made.markdown
    assert made.pictures == {"mine-01-1.png": PIXEL}
    assert made.html == {"mine-01-2": "<dl>\n\n<dt>a *card*</dt></dl>"}
    assert "script" not in made.markdown
    assert "``` { .text .said }\na figure\n```" in made.markdown


def test_words_may_be_mended_after_a_run() -> None:
    old = executed()
    old.cells[0].source = "# An old title\n\nOther words."
    made = hook().tutorial("mine", as_stored(notebook()), as_stored(old))
    assert made.markdown.startswith("# A title")
    assert "first and second" in made.markdown


def test_links_lead_from_the_page_to_where_they_lead_in_the_repository() -> None:
    made = hook().tutorial("mine", as_stored(notebook()), None)
    assert "(../../examples/a_photo.ipynb), [studies](../study.md), [elsewhere](https://example.org)" in made.markdown


@pytest.mark.parametrize("kind", ["never", "long ago"])
def test_one_that_did_not_run_as_it_stands_says_so_at_its_top(kind: str) -> None:
    old = executed()
    old.cells[1].source = "1 + 2"
    made = hook().tutorial("mine", as_stored(notebook()), None if kind == "never" else as_stored(old))
    assert made.markdown.index("has not been run for this site") < made.markdown.index("What it is about.")
    assert (made.pictures, made.html) == ({}, {})
    assert "first" not in made.markdown
    assert "1 + 1" in made.markdown


def test_the_landing_page_names_every_notebook_once_and_the_nav_has_its_order() -> None:
    module = hook()
    order = module.reading_order()
    assert sorted(order) == sorted(path.stem for path in (ROOT / "examples").glob("*.ipynb"))
    nav = module._placed([{"Tutorials": ["tutorials/*"]}, "other.md"], ["tutorials/index.md", "tutorials/a.md"])
    assert nav == [{"Tutorials": ["tutorials/index.md", "tutorials/a.md"]}, "other.md"]


@pytest.mark.slow
def test_the_site_has_pages_with_pictures_html_and_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pymdownx", reason="the pages are written for its fences")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    stored = nbformat.read(ROOT / "examples" / "a_photo.ipynb", as_version=4)
    stored.cells[1].outputs = executed().cells[1].outputs
    kept = tmp_path / "kept"
    kept.mkdir()
    nbformat.write(stored, kept / "a_photo.ipynb")
    monkeypatch.setenv("XAIKIT_NOTEBOOKS", str(kept))
    (tmp_path / "mkdocs.yml").write_text("site_name: some tutorials\ndocs_dir: docs\n")
    landing = tmp_path / "docs" / "tutorials" / "index.md"
    landing.parent.mkdir(parents=True)
    landing.write_text((ROOT / "docs" / "tutorials" / "index.md").read_text(encoding="utf-8"), encoding="utf-8")
    config = load_config(
        str(tmp_path / "mkdocs.yml"),
        site_dir=str(tmp_path / "site"),
        use_directory_urls=False,
        hooks=[str(HOOK), str(ROOT / "docs" / "hooks.py")],
        nav=["tutorials/*"],
        plugins=[],
        markdown_extensions=["admonition", "attr_list", "tables", "pymdownx.superfences"],
    )
    build(config)
    pages = tmp_path / "site" / "tutorials"
    shown = (pages / "a_photo.html").read_text(encoding="utf-8")
    assert '<div class="output"><dl>\n\n<dt>a *card*</dt></dl></div>' in shown
    assert 'src="pictures/a_photo-01-1.png" width="545"' in shown
    assert (pages / "pictures" / "a_photo-01-1.png").read_bytes() == PIXEL
    assert 'href="digit_anomalies.html"' in shown
    assert "Without outputs" not in shown
    assert "Without outputs" in (pages / "evidence.html").read_text(encoding="utf-8")
    assert json.loads((pages / "evidence.ipynb").read_text(encoding="utf-8"))["cells"]
    assert 'href="a_photo.html"' in (pages / "index.html").read_text(encoding="utf-8")
