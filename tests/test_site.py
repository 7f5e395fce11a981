"""The site of docs/ is built without a warning, asks no other server for anything, and has every public name."""

import os
import re
import runpy
import subprocess
import sys
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import xaikit as xk

ROOT = Path(__file__).parents[1]
PATIENCE_MS = 120_000
"""A browser is slow where other work is going on; nothing here is a measurement."""
REFERENCE = ROOT / "docs" / "reference"
PACKAGES = ("anomaly", "anomaly.latent", "audit", "sequence", "study", "zoo", "data", "jobs", "report")
"""Packages whose names are public beside those of xaikit itself."""
LOADS = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "embed": "src",
    "object": "data",
    "use": "href",
    "image": "href",
    "link": "href",
}
"""Which attribute of an element makes a browser ask for something; that of `a` only offers it."""


SHOWN = (
    "architecture.html",
    "comparison.html",
    "howto/choose_a_method.html",
    "methods/integrated-gradients.html",
    "reference/explain.html",
    "tutorials/a_photo.html",
    "index.html",
)
"""Pages that are opened in a browser as narrow as a phone's."""


def listed() -> list[str]:
    return [
        name for page in REFERENCE.glob("*.md") for name in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)
    ]


def names_of(package: str) -> list[str]:
    return list(import_module(f"xaikit.{package}").__all__)


def known_otherwise(package: str, name: str) -> bool:
    """Whether a name of a package is a package of its own, or what xk.NAME gives too."""
    value = getattr(import_module(f"xaikit.{package}"), name)
    return f"{package}.{name}" in PACKAGES or (name in xk.__all__ and getattr(xk, name) is value)


def test_every_public_name_is_on_a_page_of_the_reference() -> None:
    on_pages = {name.removeprefix("xaikit.") for name in listed()}
    names = [name for name in xk.__all__ if name not in PACKAGES and name != "XaikitError"]
    inside = [f"{p}.{n}" for p in PACKAGES for n in names_of(p) if not known_otherwise(p, n)]
    results = [f"results.{n}" for n in names_of("results") if isinstance(getattr(xk.results, n), type)]
    assert [n for n in (*names, *inside, *results, "errors.XaikitError") if n not in on_pages] == []


def test_no_name_stands_twice() -> None:
    assert sorted(listed()) == sorted(set(listed()))


def test_the_page_of_errors_draws_the_tree_of_the_module() -> None:
    (tree,) = re.findall(r"```text\n(.*?)\n```", (REFERENCE / "errors.md").read_text(), re.DOTALL)
    assert tree in (xk.errors.__doc__ or "")
    kinds = [name for name, value in vars(xk.errors).items() if isinstance(value, type) and name[0].isupper()]
    kinds = [name for name in kinds if issubclass(getattr(xk.errors, name), xk.XaikitError)]
    assert [name for name in kinds if f"errors.{name}" not in {n.removeprefix("xaikit.") for n in listed()}] == []


class Asked(HTMLParser):
    """What a browser would ask for when it shows a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag == "link" and given.get("rel") in ("canonical", "next", "prev"):
            return
        self.found += [str(given[name]) for name in (LOADS.get(tag), "srcset", "poster") if name and given.get(name)]
        self.found += re.findall(r"url\(([^)]*)\)", given.get("style") or "")


def elsewhere(address: str) -> bool:
    return address.strip("'\" ").startswith(("http:", "https:", "//"))


def test_what_a_browser_asks_for_is_seen_and_links_are_not() -> None:
    page = """<link rel="stylesheet" href="https://a/b.css"><link rel="canonical" href="https://a/"><a href="https://c">
    <img src="//d/e.png" srcset="f.png 2x"><p style="background: url(https://g/h.png)">"""
    found = Asked(page).found
    assert [a for a in found if elsewhere(a)] == ["https://a/b.css", "//d/e.png", "https://g/h.png"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=dict(os.environ, NO_MKDOCS_2_WARNING="1"),
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stderr.strip() == ""
    return folder


@pytest.mark.slow
def test_no_page_asks_another_server_for_anything(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 30
    asked = {str(page.relative_to(site)): Asked(page.read_text(encoding="utf-8")).found for page in pages}
    assert {page: out for page, found in asked.items() if (out := [a for a in found if elsewhere(a)])} == {}
    assert all(any(a.endswith(".js") for a in found) for found in asked.values())  # the parser does see what is asked
    # What the theme's scripts would ask for is a diagram library and the stars of a repository: no page has either.
    assert [
        p.name for p in pages if re.search(r'class="mermaid"|data-md-component="source"', p.read_text("utf-8"))
    ] == []
    own = [script for script in (site / "assets" / "javascripts").glob("*.js") if not script.name.startswith("bundle")]
    assert [script.name for script in own if "http" in script.read_text(encoding="utf-8")] == []
    for style in site.rglob("*.css"):
        found = re.findall(r"url\(([^)]*)\)|@import\s+([^;]*);", style.read_text(encoding="utf-8"))
        assert [a for pair in found for a in pair if elsewhere(a)] == [], style


@pytest.mark.slow
def test_every_page_finds_what_it_links_to(site: Path) -> None:
    missing = []
    for page in site.rglob("*.html"):
        if page.name == "404.html":  # its links start from the root of a server
            continue
        for to in re.findall(r'(?:href|src)="([^"#:?]+)(?:[#?][^"]*)?"', page.read_text(encoding="utf-8")):
            if not (page.parent / to).exists():
                missing.append(f"{page.relative_to(site)}: {to}")
    assert missing == []


@pytest.mark.slow
def test_the_site_searches_and_draws_without_a_server(chromium: Any, site: Path) -> None:
    """Opened as files on a phone pages need no scrolling sideways, ask nobody for anything, and can be searched."""
    page = chromium.new_page(viewport={"width": 360, "height": 780})
    page.set_default_timeout(PATIENCE_MS)
    outside: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else outside.append(r.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    for name in SHOWN:
        page.goto((site / name).as_uri())
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
    page.set_viewport_size({"width": 1280, "height": 900})
    page.get_by_placeholder("Search").first.click()
    page.get_by_placeholder("Search").first.press_sequentially("integrated gradients")
    page.locator(".md-search-result__link", has_text="integrated-gradients").first.wait_for()
    page.close()
    assert (outside, wrong) == ([], [])


def test_the_drawings_are_up_to_date() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "drawings.py"))["DRAWINGS"]
    for name, drawing in made.items():
        drawn = (ROOT / "docs" / "drawings" / name).read_text(encoding="utf-8")
        assert drawn == drawing(), "run: python docs/drawings.py"
        assert "\n\n" not in drawn  # an empty line would end it, where Markdown reads it


def test_the_drawing_of_the_layers_has_every_module_in_its_row() -> None:
    drawing = (ROOT / "docs" / "drawings" / "layers.svg").read_text(encoding="utf-8")
    placed = {name: float(y) for y, name in re.findall(r'<text [^>]*y="([\d.]+)"[^>]*>([a-z_]+)</text>', drawing)}
    modules = {path.stem for path in (ROOT / "xaikit").iterdir() if not path.name.startswith(("_", ".", "py"))}
    assert modules <= set(placed)
    assert placed["cli"] < placed["quality"] < placed["zoo"] < placed["model"] < placed["errors"]
    assert placed["insight"] == placed["anomaly"]
