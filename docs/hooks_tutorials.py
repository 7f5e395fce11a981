"""A page of the site for every notebook in examples/, with what its cells gave when it was run.

mkdocs.yml names this file under `hooks` and `tutorials/*` in its nav: that becomes the landing page, and the notebooks
in the order in which docs/tutorials/index.md links them. The pages need the Markdown extensions admonition, attr_list
and pymdownx.superfences; links are as in the repository, and hooks.py turns them.

Notebooks lie in git without outputs. tests/examples/test_notebooks.py runs them and keeps them in build/notebooks, or
in the folder that XAIKIT_NOTEBOOKS names. What one of these gave is shown if its code is still the stored one; any
other page says at its top that it has not been run. Pictures become files of the site; HTML stands as it is, but what
brings a script does not. A notebook is JSON and is read as such, so that no package is needed.
"""

import json
import os
import posixpath
import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
KEPT = Path(os.environ.get("XAIKIT_NOTEBOOKS") or ROOT / "build" / "notebooks")
PLACE, LANDING, STYLE = "tutorials", "tutorials/index.md", "assets/tutorials.css"
NOT_RUN = """!!! note "Without outputs"

    This notebook has not been run for this site, so what its cells print and draw is missing here. `make test` runs all
    notebooks, and `make docs` then shows them with their outputs.
"""
LINK = re.compile(r"(\]\()([^)\s#]+)")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
HELD = re.compile(r'<div data-output="([\w-]+)"></div>')
PICTURES = {"image/png": "png", "image/jpeg": "jpg", "image/svg+xml": "svg"}


@dataclass
class Tutorial:
    """A notebook as a page: its Markdown, its pictures by file name, and the HTML that stands where a key is."""

    name: str
    markdown: str = ""
    pictures: dict[str, bytes] = field(default_factory=dict)
    html: dict[str, str] = field(default_factory=dict)


def tutorial(name: str, stored: dict[str, Any], ran: dict[str, Any] | None) -> Tutorial:
    """Give the page of a notebook, with outputs if the one that ran has the same code; else it says that they lack."""
    made = Tutorial(name)
    fresh = ran is not None and _code(ran, "source") == _code(stored, "source")
    outputs = iter(_code(ran, "outputs") if fresh else [])
    parts = [part for k, cell in enumerate(stored["cells"]) for part in _parts(made, k, cell, outputs)]
    title, _, rest = parts[0].partition("\n")
    own = f"[Download this notebook]({name}.ipynb){{ download={name}.ipynb }} and run it yourself."
    made.markdown = "\n\n".join([title, own, *([] if fresh else [NOT_RUN]), rest.strip("\n"), *parts[1:]]) + "\n"
    return made


def _code(notebook: dict[str, Any], part: str) -> list[Any]:
    """Give the source or the outputs of each cell of code; a source may be stored as a text or as its lines."""
    found = (cell[part] for cell in notebook["cells"] if cell["cell_type"] == "code")
    return [_text(lines) for lines in found] if part == "source" else list(found)


def _text(lines: str | list[str]) -> str:
    return "".join(lines)


def _parts(made: Tutorial, number: int, cell: dict[str, Any], outputs: Iterator[Any]) -> Iterator[str]:
    """Give the Markdown of a cell, then that of each of its outputs."""
    if cell["cell_type"] == "markdown":
        yield LINK.sub(_from_here, _text(cell["source"]))
    elif cell["cell_type"] == "code":
        yield _fenced(_text(cell["source"]), ".python")
        for k, output in enumerate(_joined(next(outputs, []))):
            yield _shown(made, f"{made.name}-{number:02d}-{k}", output)


def _from_here(found: re.Match[str]) -> str:
    """Turn a link that starts from examples/ into one from the folder of the page, docs/tutorials/."""
    if not (EXAMPLES / found[2]).exists():
        return found[0]
    return found[1] + posixpath.relpath(posixpath.join("examples", found[2]), f"docs/{PLACE}")


def _fenced(text: str, kind: str) -> str:
    fence = "~~~" if "```" in text else "```"
    return f"{fence} {{ {kind} }}\n{text}\n{fence}"


def _joined(outputs: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Give outputs with what was printed in several pieces as one, without what libraries log about themselves."""
    told = (o for o in outputs if o.get("name") != "stderr")
    for kind, several in groupby(told, lambda o: o.get("name", o["output_type"])):
        if kind == "stdout":
            yield {"output_type": "stream", "text": "".join(_text(o["text"]) for o in several)}
        else:
            yield from several


def _shown(made: Tutorial, key: str, output: dict[str, Any]) -> str:
    """Give the Markdown of an output: as a picture, as HTML, or else as text."""
    data = output.get("data", {})
    said = COLOURS.sub("", _text(output.get("text") or data.get("text/plain") or output.get("traceback") or ""))
    for kind, ending in PICTURES.items():
        if kind in data:
            whole = _text(data[kind])
            made.pictures[f"{key}.{ending}"] = whole.encode() if ending == "svg" else b64decode(whole)
            width = output["metadata"].get(kind, {}).get("width")
            about = [f'width="{width}"'] if width else []
            picture = f"![{_alt(said)}](pictures/{key}.{ending}){{ {' '.join([*about, 'loading=lazy'])} }}"
            return f"[{picture}](pictures/{key}.{ending})"  # for who wants to see it larger
    html = _text(data.get("text/html", ""))
    if html and "<script" not in html.lower():
        made.html[key] = html
        return f'<div data-output="{key}"></div>'
    return _fenced(said.strip("\n"), ".text .said")


def _alt(said: str) -> str:
    return escape(re.sub(r"[\[\]]", "", said.strip("<>")).replace("\n", " "))


# ---------------------------------------------------------------- what mkdocs calls


KNOWN: dict[str, str] = {}
"""The HTML of outputs by their keys, until the page that holds them is written."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the style of outputs."""
    config.extra_css = [*config.extra_css, *([] if STYLE in config.extra_css else [STYLE])]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page, the pictures and the notebook itself for every notebook, and put them into the nav."""
    for path in sorted(EXAMPLES.glob("*.ipynb")):
        kept = KEPT / path.name
        made = tutorial(path.stem, _read(path), _read(kept) if kept.is_file() else None)
        KNOWN.update(made.html)
        files.append(File.generated(config, f"{PLACE}/{made.name}.md", content=made.markdown))
        files.append(File.generated(config, f"{PLACE}/{path.name}", abs_src_path=str(path)))
        for name, content in made.pictures.items():
            files.append(File.generated(config, f"{PLACE}/pictures/{name}", content=content))
    if config.nav is not None:
        config.nav = _placed(config.nav, [LANDING, *(f"{PLACE}/{name}.md" for name in reading_order())])
    return files


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the HTML of outputs where it belongs: Markdown would have changed it."""
    return HELD.sub(lambda found: f'<div class="output">{KNOWN[found[1]]}</div>', html)


def reading_order() -> list[str]:
    """Give the names of the notebooks as the landing page links them."""
    text = (ROOT / "docs" / LANDING).read_text(encoding="utf-8")
    return list(dict.fromkeys(re.findall(r"examples/(\w+)\.ipynb", text)))


def _placed(nav: Any, pages: list[str]) -> Any:
    """Give a nav with the pages in the place of tutorials/*."""
    if isinstance(nav, dict):
        return {title: _placed(below, pages) for title, below in nav.items()}
    if isinstance(nav, list):
        return [page for item in nav for page in (pages if item == f"{PLACE}/*" else [_placed(item, pages)])]
    return nav


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))
