"""The comparison with other libraries: how it is timed, and the page that is made of it."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MODULES = ("timing", "page", "cases", "peers")


@pytest.fixture(scope="module")
def of() -> Iterator[dict[str, Any]]:
    """Give the modules of the folder, which are found as a script of the folder finds them."""
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        found = {name: importlib.import_module(name) for name in MODULES}
        for name in found["peers"].MODULES:  # they bring the cases
            importlib.import_module(name)
        yield found
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(ROOT / "benchmarks")):
            del sys.modules[name]


@pytest.fixture
def rows(of: dict[str, Any]) -> list[Any]:
    page, ratio = of["page"], of["timing"].Ratio
    kept = page.Figure("over bare calls", 1.1, 1.05)
    missed = page.Figure("faster than lime", 5, 4.2, "×", at_least=True)
    return [
        page.Row("LIME", "net | torch", 0.123456, ratio(1.05, 1.0, 1.1), {"lime": ratio(2.1, 2, 2.2)}, {"lime": 2.0}),
        page.Row("a tree", "none", figures=[kept, missed], remark="made of blocks"),
    ]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.replace("\\|", "¦").strip("|").split("|")]


def table(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("|")]


def test_every_line_of_the_table_has_a_cell_for_every_field(of: dict[str, Any], rows: list[Any]) -> None:
    lines = table(of["page"].page("# Title", rows, {"threads": "2"}))
    assert cells(lines[0]) == list(of["page"].FIELDS)
    assert [len(cells(line)) for line in lines] == [len(of["page"].FIELDS)] * 4
    assert all(all(cells(line)) for line in lines), "what does not apply is a dash"


def test_a_figure_that_is_missed_is_shown_as_missed(of: dict[str, Any], rows: list[Any]) -> None:
    text = of["page"].page("# Title", rows, {})
    assert "yes, 1.05; **no**, 4.2×" in text
    assert "over bare calls ≤ 1.1; faster than lime ≥ 5×" in text
    assert "1 of 2 figures are reached" in text


def test_conditions_are_on_the_page(of: dict[str, Any], rows: list[Any]) -> None:
    assert "* threads: 2\n" in of["page"].page("# Title", rows, {"threads": "2"})
    kept = of["page"].load(of["peers"].KEPT)[1]
    assert set(kept) == set(of["peers"].conditions("wall"))
    assert all(name in kept["libraries"] for name in ("torch", "keras", "lime", "shap", "captum", "tf-keras-vis"))


def test_rows_are_kept_and_read_again(of: dict[str, Any], rows: list[Any], tmp_path: Path) -> None:
    page = of["page"]
    page.save(tmp_path / "kept.json", {"one": rows}, {"threads": "2"})
    again, conditions = page.load(tmp_path / "kept.json")
    assert page.page("", again["one"], conditions) == page.page("", rows, {"threads": "2"})


def test_the_page_is_what_was_measured(of: dict[str, Any]) -> None:
    rows, conditions = of["page"].load(of["peers"].KEPT)
    assert list(rows) == list(of["cases"].CASES), "run: python benchmarks/peers.py --write"
    made = of["page"].page(of["peers"].TITLE, [row for case in rows.values() for row in case], conditions)
    assert of["peers"].PAGE.read_text(encoding="utf-8") == made


def test_every_measured_row_says_what_was_done_and_found(of: dict[str, Any]) -> None:
    rows = [row for case in of["page"].load(of["peers"].KEPT)[0].values() for row in case]
    for row in rows:
        assert row.work
        assert row.network
        assert row.ours is not None or row.figures, row.work
        assert (row.ours is None) == (row.bare is None), row.work
        assert row.ours is not None or not row.peers, row.work
        assert set(row.peers) <= set(row.faster), row.work


def test_sides_take_turns_and_the_first_round_does_not_count(of: dict[str, Any]) -> None:
    now, order = [0.0], []

    def side(name: str, lengths: list[float]) -> Any:
        def work() -> None:
            order.append(name)
            now[0] += lengths[order.count(name) - 1]

        return work

    sides = {"bare": side("bare", [9, 1, 2, 4]), "whole": side("whole", [9, 2, 2, 2])}
    found = of["timing"].turns(sides, limit=0, least=3, clock=lambda: now[0])
    assert order == ["bare", "whole"] * 4
    assert found.seconds == {"bare": [1, 2, 4], "whole": [2, 2, 2]}
    assert found.ratio("whole", "bare") == pytest.approx((1, 0.75, 1.5)), "of the rounds, not of the medians"
