"""The comparison with other libraries: how it is timed, and the page that is made of it."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xaikit.arrays import upsample

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


def paged(of: dict[str, Any], rows: list[Any], conditions: dict[str, str] | None = None) -> str:
    return str(of["page"].page("# Title", [of["page"].Measured({"one": rows}, conditions or {})]))


def test_every_line_of_the_table_has_a_cell_for_every_field(of: dict[str, Any], rows: list[Any]) -> None:
    lines = table(paged(of, rows, {"threads": "2"}))
    assert cells(lines[0]) == list(of["page"].FIELDS)
    assert [len(cells(line)) for line in lines] == [len(of["page"].FIELDS)] * 4
    assert all(all(cells(line)) for line in lines), "what does not apply is a dash"


def test_a_figure_that_is_missed_is_shown_as_missed(of: dict[str, Any], rows: list[Any]) -> None:
    text = paged(of, rows)
    assert "yes, 1.05; **no**, 4.2×" in text
    assert "over bare calls ≤ 1.1; faster than lime ≥ 5×" in text
    assert "1 of 2 figures are reached" in text


def test_conditions_are_on_the_page(of: dict[str, Any], rows: list[Any]) -> None:
    assert "* threads: 2\n" in paged(of, rows, {"threads": "2"})
    runs = of["page"].load(of["peers"].KEPT)
    assert set(runs[0].conditions) == set(of["peers"].conditions("wall"))
    everywhere = " ".join(run.conditions["libraries"] for run in runs)
    assert all(f"{name} " in everywhere for name in ("torch", "keras", *of["peers"].PEERS))


def test_rows_are_kept_and_read_again(of: dict[str, Any], rows: list[Any], tmp_path: Path) -> None:
    page = of["page"]
    page.save(tmp_path / "kept.json", [page.Measured({"one": rows}, {"threads": "2"})])
    again = page.load(tmp_path / "kept.json")
    assert page.page("", again) == page.page("", [page.Measured({"one": rows}, {"threads": "2"})])


def test_the_page_is_what_was_measured(of: dict[str, Any]) -> None:
    runs = of["page"].load(of["peers"].KEPT)
    cases = [name for run in runs for name in run.cases]
    assert sorted(cases) == sorted(of["cases"].CASES), "run: python benchmarks/peers.py --write"
    assert of["peers"].PAGE.read_text(encoding="utf-8") == of["page"].page(of["peers"].TITLE, runs)


def test_every_measured_row_says_what_was_done_and_found(of: dict[str, Any]) -> None:
    rows = [row for run in of["page"].load(of["peers"].KEPT) for row in run.rows]
    for row in rows:
        assert row.work
        assert row.network
        assert row.ours is not None or row.figures, row.work
        assert (row.ours is None) == (row.bare is None), row.work
        assert row.ours is not None or not row.peers, row.work
        assert set(row.peers) <= set(row.faster), row.work
        assert set(row.errors) <= {"xaikit", *row.peers}, row.work


def test_what_is_lost_comes_of_the_numbers(of: dict[str, Any]) -> None:
    page, ratio = of["page"], of["timing"].Ratio
    even = {"bare": 1.0, "ours": ratio(1, 1, 1), "peers": {"shap": ratio(1, 1, 1)}}

    def lost(**numbers: Any) -> list[str]:
        return list(page.Row("a work", "net", **even, **numbers).losses())

    assert lost(faster={"shap": 1.2}, memory={"xaikit": 5.0, "shap": 9.0}, errors={"xaikit": 1e-3, "shap": 2e-3}) == []
    assert lost(faster={"shap": 0.5}) == ["shap takes 0.5× xaikit's time"]
    assert lost(faster={"shap": 0.97}) == [], "too near to say which is faster"
    assert lost(memory={"xaikit": 9.0, "shap": 5.0}) == ["shap takes 5 MiB, xaikit 9"]
    assert lost(memory={"xaikit": 1.0, "shap": 0.5}) == [], "pages of the system"
    assert lost(errors={"xaikit": 2e-3, "shap": 1e-3}) == ["shap is off by 1e-03, xaikit by 2e-03"]
    assert lost(errors={"xaikit": 2e-7, "shap": 1e-7}) == [], "both are float32's rounding"
    assert lost(figures=[page.Figure("over bare calls", 1, 2.0)]) == ["over bare calls ≤ 1 is missed with 2"]
    text = page.page("", [page.Measured({"one": [page.Row("a work", "net", **even, faster={"shap": 0.5})]}, {})])
    assert "In 1 of 1 rows" in text
    assert "Of 1 comparisons of time xaikit is faster in 0, the peer in 1;" in text
    assert "* a work (net): shap takes 0.5× xaikit's time.\n" in text


def test_rows_of_another_run_stay_beside_new_ones_until_they_are_measured_again(of: dict[str, Any]) -> None:
    page = of["page"]
    old = page.Measured({"a": [page.Row("old a", "net")], "b": [page.Row("old b", "net")]}, {"date": "1"})
    new = page.Measured({"b": [page.Row("new b", "net")]}, {"date": "2", page.ABSENT: "none"})
    first, second = page.added([old], new, ["a", "b"])
    assert [row.work for row in first.rows] == ["new b"]
    assert [row.work for row in second.rows] == ["old a"], "conditions of two runs make no table"
    more = page.Measured({"a": [page.Row("new a", "net")]}, {"date": "2", page.ABSENT: "lime (not installed)"})
    (joined,) = page.added([first, second], more, ["a", "b"])
    assert [row.work for row in joined.rows] == ["new a", "new b"]
    assert joined.conditions == more.conditions
    assert page.added([joined], new, ["b"])[0].cases.keys() == {"b"}, "a case that is no more goes"


def test_the_exact_values_of_the_formula_are_those_of_all_coalitions(of: dict[str, Any]) -> None:
    import itertools
    from math import factorial

    pytest.importorskip("torch")
    known = importlib.import_module("known_answers")
    model, start = known.formula(), known.BACKGROUND[:2]
    right, n = known.exact(known.POINT, start), 4  # the other columns are alone in what they add
    found = np.zeros(n)
    for k in range(n):
        others = [i for i in range(n) if i != k]
        for size in range(n):
            for some in itertools.combinations(others, size):
                without = start.copy()
                without[:, list(some)] = known.POINT[list(some)]
                joined = without.copy()
                joined[:, k] = known.POINT[k]
                gain = (model.run(joined).output - model.run(without).output).mean()
                found[k] += factorial(size) * factorial(n - size - 1) / factorial(n) * gain
    np.testing.assert_allclose(found, right[:n], atol=1e-5)
    whole = model.run(known.POINT[None]).output.mean() - model.run(start).output.mean()
    assert right.sum() == pytest.approx(whole, abs=1e-5)
    assert known.off(right * 1.5, right) == pytest.approx(0.5)


def test_maps_are_compared_at_the_size_of_the_larger(of: dict[str, Any]) -> None:
    more = importlib.import_module("more_peers")
    small = np.array([[0.0, 1.0], [2.0, 3.0]])
    assert more.alike(small[None, ..., None], 5 * small) == pytest.approx(1)
    assert more.alike(upsample(small[None], (8, 8)), small) == pytest.approx(1)
    assert more.alike(small, -small) == pytest.approx(-1)


def test_a_library_that_does_not_import_is_named_with_the_reason(of: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "made_for_another_version.py").write_text("raise RuntimeError('wants numpy 1')")
    cases = of["cases"]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        patch.setitem(of["peers"].PEERS, "pytest", "made_for_another_version")
        patch.setitem(of["peers"].PEERS, "no-such-thing-at-all", "no_such_thing")
        assert cases.there("made_for_another_version") is None
        said = of["peers"].absent()
        cases.MISSING.clear()
    assert "pytest (does not import: wants numpy 1)" in said
    assert "no-such-thing-at-all (not installed)" in said
    assert cases.there("json") is not None


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
    assert not found.memory


def test_memory_is_looked_at_in_a_round_of_its_own(of: dict[str, Any]) -> None:
    called = []
    sides = {"small": lambda: called.append(0), "large": lambda: called.append(np.ones(5 * 2**20).sum())}
    found = of["timing"].turns(sides, limit=0, least=2, memory=True)
    assert len(called) == 2 * (1 + 1 + 2)
    if found.memory:  # the system says it, on Linux
        assert found.memory["large"] == pytest.approx(40, abs=8)
        assert found.memory["small"] < 8
