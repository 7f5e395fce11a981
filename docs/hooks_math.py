"""Formulas of the pages as MathML, made when the site is built, so that a page needs no script and no network.

`$$ ... $$` on lines of their own is a formula for itself, `$ ... $` one in the text; a dollar in code stays a dollar.
mkdocs calls the functions at the end, two of them before and after Markdown is read: in between a formula is a word
that Markdown leaves alone.
"""

import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

CODE = r"(?P<code>^(?P<fence>```+|~~~+)[^\n]*\n.*?^(?P=fence)[^\n]*$|(?P<tick>`+)(?!`).*?(?<!`)(?P=tick)(?!`))"
BLOCK = r"(?P<block>^\$\$\s*\n(?P<formula>.*?)\n\$\$[ \t]*$)"
INLINE = r"(?P<inline>(?<![\w$\\])\$(?=\S)(?P<term>[^$]*?[^\s\\$])\$(?![\w$]))"
FORMULA = re.compile("|".join((CODE, BLOCK, INLINE)), re.DOTALL | re.MULTILINE)
SPACE = "http://www.w3.org/1998/Math/MathML"
LIMITS = {"msub": "munder", "msubsup": "munderover"}
"""What stands beside an operator in the text stands below and above it in a formula for itself."""
WITH_LIMITS = ("∑", "∏", "⋃", "min", "max")
CLOSE = ("|", "∅")
"""Signs that are no operators, though latex2mathml takes them for such."""
STYLE = "assets/formulas.css"
WORD = re.compile(r"(?:<p>)?mathml-(block|inline)-([0-9a-f]+)-(?:</p>)?")


def formulas(markdown: str) -> list[str]:
    """Give the LaTeX of all formulas of a page, in order."""
    found: list[str] = []

    def note(latex: str, kind: str) -> str:
        found.append(latex)
        return ""

    _replaced(markdown, note)
    return found


def mathml(latex: str, kind: str = "inline") -> str:
    """Give a formula as MathML. Raises ValueError for what latex2mathml does not know."""
    from latex2mathml.converter import convert

    try:
        found = convert(" ".join(latex.split()), display=kind)
    except Exception as error:
        raise ValueError(f"this formula cannot be read ({type(error).__name__}): {latex}") from error
    unknown = re.search(r"\\[A-Za-z]+", found)
    if unknown:
        raise ValueError(f"{unknown[0]} is not known to latex2mathml: {latex}")
    return _set(found, kind)


def _set(found: str, kind: str) -> str:
    """Set a formula as printers do: limits below and above sums also inside brackets, no gap around bars."""
    ElementTree.register_namespace("", SPACE)
    root = ElementTree.fromstring(found)
    for element in root.iter():
        name = element.tag.removeprefix(f"{{{SPACE}}}")
        if kind == "block" and name in LIMITS and (element[0].text or "") in WITH_LIMITS:
            element.tag = f"{{{SPACE}}}{LIMITS[name]}"
        if name == "mo" and element.text in CLOSE:
            element.attrib.update(lspace="0", rspace="0")
    return ElementTree.tostring(root, encoding="unicode")


def _replaced(markdown: str, by: Callable[[str, str], str]) -> str:
    """Put something else in the place of every formula outside of code."""

    def one(match: re.Match[str]) -> str:
        if match["code"] is not None:
            return match[0]
        return by(match["formula"], "block") if match["block"] is not None else by(match["term"], "inline")

    return FORMULA.sub(one, markdown)


def on_config(config: Any) -> Any:
    """Add the style of formulas."""
    config.extra_css.append(STYLE)
    return config


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Make words of the formulas, which Markdown leaves as they are."""
    return _replaced(markdown, lambda latex, kind: f"mathml-{kind}-{latex.encode().hex()}-")


def on_page_content(html: str, **_: Any) -> str:
    """Make MathML of these words."""

    def one(match: re.Match[str]) -> str:
        kind, latex = match[1], bytes.fromhex(match[2]).decode()
        if kind == "block":
            return f'<div class="formula" tabindex="0">{mathml(latex, "block")}</div>'
        before, after = ("<p>" * match[0].startswith("<p>"), "</p>" * match[0].endswith("</p>"))
        return before + mathml(latex) + after

    return WORD.sub(one, html)
