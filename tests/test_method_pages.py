"""The pages of docs/methods/: every method has one, its formulas can be read, and its example prints what is known."""

import contextlib
import importlib.util
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import xaikit as xk

pytestmark = pytest.mark.slow
DOCS = Path(__file__).parents[1] / "docs"
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted((DOCS / "methods").glob("*.md"))}
BLOCK = re.compile(r"^```python\n(.*?)^```\n+(?:^```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)
PICTURE = re.compile(r"!\[(.+?)\]\((\S+)\)")
NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?")
JUDGED_ELSEWHERE = {"score", "model_calls"}
"""Numbers that every explanation has."""


def hook() -> Any:
    spec = importlib.util.spec_from_file_location("hooks_math", DOCS / "hooks_math.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HOOK = hook()


def ran(code: str) -> tuple[str, dict[str, Any]]:
    """Give what an example prints and the names it leaves."""
    names: dict[str, Any] = {"__name__": "example"}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "example", "exec"), names)
    return printed.getvalue(), names


def numbers(text: str) -> list[float]:
    return [float(found) for found in NUMBER.findall(text)]


def test_every_method_has_a_page_with_all_its_sections() -> None:
    assert set(xk.methods) <= set(PAGES)
    for name in xk.methods:
        headings = re.findall(r"^## (.*)$", PAGES[name], re.MULTILINE)
        assert headings == [
            *("Definition", "An example with a known answer", "When to use it", "When not"),
            *("Parameters", "Dialects", "Needs and serves", "Evidence", "Source"),
        ], name


@pytest.mark.parametrize("name", [name for name, text in PAGES.items() if "```python" in text])
def test_an_example_prints_the_known_answer(name: str) -> None:
    pytest.importorskip("torch")
    for code, answer in BLOCK.findall(PAGES[name]):
        printed, left = ran(code)
        assert answer, f"the example of {name} has no answer beside it"
        assert_allclose(numbers(printed), numbers(answer), atol=2e-5, err_msg=printed)
        if name in xk.methods and left["e"].origin.method == name:
            listed = re.findall(r"^\| `quality\[\"(\w+)\"\]`", PAGES[name], re.MULTILINE)
            assert set(listed) == set(left["e"].quality) - JUDGED_ELSEWHERE, name


def test_formulas_become_mathml() -> None:
    pytest.importorskip("latex2mathml")
    for name, text in PAGES.items():
        found = HOOK.formulas(text)
        assert found or name not in xk.methods, name
        for latex in found:
            assert HOOK.mathml(latex).startswith("<math")


def test_a_formula_that_cannot_be_read_is_an_error() -> None:
    pytest.importorskip("latex2mathml")
    for latex in (r"\nosuchcommand x", r"\frac{1}{"):
        with pytest.raises(ValueError, match=r"cannot be read|not known"):
            HOOK.mathml(latex)


def test_a_dollar_in_code_stays_a_dollar() -> None:
    text = "`$x$` costs $5 and `a $b` is $y$\n\n```bash\necho $HOME $x$\n```\n\n$$\nz^2\n$$\n"
    assert HOOK.formulas(text) == ["y", "z^2"]
    words = HOOK.on_page_markdown(text)
    assert "echo $HOME $x$" in words
    pytest.importorskip("latex2mathml")
    assert HOOK.on_page_content(f"<p>{words}</p>").count("<math") == 2


def test_pictures_are_there_and_small() -> None:
    sizes = {}
    for name, text in PAGES.items():
        shown = PICTURE.findall(text)
        assert shown or name not in xk.methods, name
        for words, place in shown:
            assert words.strip(), name
            file = (DOCS / "methods" / place).resolve()
            sizes[file] = file.stat().st_size
    assert max(sizes.values()) < 40_000
    assert sum(sizes.values()) < 1_000_000
    assert set(sizes) == set((DOCS / "pictures" / "methods").rglob("*.webp"))


def test_links_lead_to_pages() -> None:
    for name, text in PAGES.items():
        for place in re.findall(r"(?<!!)\[[^\]]*\]\((?!https?:)([^)#]+)", text):
            assert (DOCS / "methods" / place).exists(), f"{name}: {place}"


def test_what_a_page_says_of_the_verdict_is_what_the_verdict_does() -> None:
    said = re.compile(
        r"^\| `quality\[\"(\w+)\"\]` \| .* \| warns (above|below) ([\d.]+)(?:, fails \2 ([\d.]+))?", re.MULTILINE
    )
    found = {row for name in xk.methods for row in said.findall(PAGES[name])}
    assert len({key for key, *_ in found}) == 4
    from xaikit.results import judge

    for key, side, *limits in found:
        for limit, level in zip(filter(None, limits), ("warn", "fail"), strict=False):
            beyond = float(limit) + (1e-3 if side == "above" else -1e-3)
            within = float(limit) - (1e-3 if side == "above" else -1e-3)
            verdicts = [judge({key: np.array([value])}, np.ones((1, 2))) for value in (beyond, within)]
            assert verdicts[0] == level
            assert verdicts[1] != level
