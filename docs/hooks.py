"""What the site does beyond Markdown: pages beside docs/, links out of it, folders in the nav, names of the API."""

import posixpath
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
OUTSIDE = {
    "at_a_glance.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "packages/index.md": "examples/README.md",
    **{
        f"packages/{p.parent.name}.md": f"examples/{p.parent.name}/README.md" for p in ROOT.glob("examples/*/README.md")
    },
}
"""Pages of the site that lie beside docs/, as people look for them there."""
LINK = re.compile(r"""(?P<before>\]\(|\b(?:src|href)=")(?P<to>[^)\s"#]+)(?P<anchor>#[^)\s"]*)?(?P<after>[)"])""")
FENCE = re.compile(r"^(```|~~~).*?^\1\s*$|`[^`\n]+`", re.DOTALL | re.MULTILINE)
OBJECT = re.compile(r"^::: xaikit(_app)?\.(\S+)$", re.MULTILINE)


@event_priority(-50)
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie beside docs/, and put those of folders into the nav, once all hooks have added theirs."""
    for name, source in OUTSIDE.items():
        files.append(File.generated(config, name, content=(ROOT / source).read_text(encoding="utf-8")))
    pages = {f.src_uri: f for f in files.documentation_pages()}
    config.nav = _expanded(config.nav, pages, _named(config.nav))
    return files


def _expanded(nav: Any, pages: Mapping[str, File], named: set[str]) -> list[Any]:
    """Give a nav with the pages of a folder in the place of folder/*, and without sections that have none."""
    found: list[Any] = []
    for item in nav:
        if isinstance(item, dict):
            ((title, below),) = item.items()
            below = _expanded(below, pages, named) if isinstance(below, list) else below
            found += [{title: below}] if below else []
        elif posixpath.basename(item) == "*":
            folder = posixpath.dirname(item)
            left = sorted(p for p in pages if posixpath.dirname(p) == folder and p not in named)
            landing = pages.get(f"{folder}.md")
            sections = {} if landing is None else _sections(landing.content_string, left)
            found += [{title: below} for title, below in sections.items()]
            found += [p for p in left if p not in set().union(*sections.values())]
        else:
            found.append(item)
    return found


def _sections(landing: str, pages: Sequence[str]) -> dict[str, list[str]]:
    """Give pages by the headings under which a landing page first links them."""
    found: dict[str, list[str]] = {}
    for part in re.split(r"^## ", landing, flags=re.MULTILINE)[1:]:
        title, known = part.split("\n")[0], set().union(*found.values())
        below = [to for to in dict.fromkeys(re.findall(r"\]\(([^)#]+)", part)) if to in pages and to not in known]
        found |= {title: below} if below else {}
    return found


def _named(nav: Any) -> set[str]:
    if isinstance(nav, str):
        return {nav}
    below = nav.values() if isinstance(nav, dict) else nav
    return set().union(*map(_named, below))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links as they hold in the repository into links of the site; head objects of the API as one writes them."""
    here = posixpath.dirname(OUTSIDE.get(page.file.src_uri, f"docs/{page.file.src_uri}"))

    def turned(found: re.Match[str]) -> str:
        to = _within(found["to"], here, page.file.src_uri, config, files)
        return f"{found['before']}{to}{found['anchor'] or ''}{found['after']}"

    parts, last = [], 0
    for code in FENCE.finditer(markdown):
        parts += [LINK.sub(turned, markdown[last : code.start()]), code[0]]
        last = code.end()
    text = "".join([*parts, LINK.sub(turned, markdown[last:])])
    return OBJECT.sub(_headed, text)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Give the dialog of the search a name, for those who hear the page; the theme leaves it without."""
    return output.replace(
        'data-md-component="search" role="dialog"', 'data-md-component="search" role="dialog" aria-label="Search"'
    )


def _headed(found: re.Match[str]) -> str:
    """Head an object of the API as one writes it; below a heading of its page it is one level deeper."""
    name = f"xk.{'app.' if found[1] else ''}{found[2]}"
    level = 3 if re.search(r"^## ", found.string[: found.start()], re.MULTILINE) else 2
    options = {"heading": name, "toc_label": name, "heading_level": level}
    return "\n".join([found[0], "    options:", *(f"      {k}: {v}" for k, v in options.items())])


def _within(to: str, here: str, page: str, config: MkDocsConfig, files: Files) -> str:
    """Give a link from a folder of the repository as one from a page of the site, with the file added if need be."""
    if ":" in to or to.startswith("/"):
        return to
    path = posixpath.normpath(posixpath.join(here, to))
    path = f"{path}/README.md" if (ROOT / path / "README.md").is_file() else path
    place = next((p for p in _places(path) if files.get_file_from_path(p)), None)
    if place is None and (ROOT / path).is_file() and not path.startswith("docs/"):
        place = f"files/{path}"
        files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))
    return to if place is None else posixpath.relpath(place, posixpath.dirname(page) or ".")


def _places(path: str) -> list[str]:
    """Give where on the site a file of the repository may be."""
    name = posixpath.basename(path)
    if path in OUTSIDE.values():
        return [name for name, source in OUTSIDE.items() if source == path]
    if path.startswith("docs/"):
        return [path.removeprefix("docs/")]
    if path.startswith("examples/") and name.endswith(".ipynb"):
        return [f"tutorials/{name.removesuffix('.ipynb')}.md", f"files/{path}"]
    return [path, f"files/{path}"]
