"""Compare and what Explain is made of, without a browser: targets, costs, words, differences, and shared results."""

from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import xaikit as xk

pytest.importorskip("dash")

from tests.app.small_models import small_models
from xaikit.errors import InputError, ParameterError, TargetError, UsageError
from xaikit.figures import BarPanel, MapPanel, Scale, TextPanel, panels
from xaikit.inputs import At, Margin, Region
from xaikit_app import Settings, costs, differences, forms, probes, snippets, strongest
from xaikit_app import targets as target_list
from xaikit_app.pages import View, compare, explain
from xaikit_app.pages._choosing import bounds, level
from xaikit_app.pages._giving import joined, numbers_of
from xaikit_app.pages._matrix import Matrix
from xaikit_app.pages.explain import Asked
from xaikit_app.services import Services
from xaikit_app.state import State, read
from xaikit_app.work.describe import Description, describe
from xaikit_app.work.explain import Pace

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    return small_models()


@pytest.fixture
def services(models: dict[str, Any], tmp_path: Path) -> Iterator[Services]:
    made = Services(Settings(models=tuple(models.values()), cache=tmp_path))
    yield made
    made.close()


def view_of(services: Services, address: str) -> View:
    path, _, search = address.partition("?")
    state = read(path, search)
    chosen = services.choose(state)
    known = services.description(chosen)
    if not isinstance(known, Description):
        known = known.result(60)
    return View(state, chosen, known, services)


def given(services: Services, count: int = 2) -> list[str]:
    rng = np.random.default_rng(0)
    return [services.own.put(rng.standard_normal((16, 16, 1))) for _ in range(count)]


# ---------------------------------------------------------------- targets


@pytest.mark.parametrize(
    "aim",
    [
        target_list.Aim(),
        target_list.Aim("3"),
        target_list.Aim("3", against="5"),
        target_list.Aim("@2", entry="7"),
        target_list.Aim("all-1", box="1,2,3,4"),
        target_list.Aim("head.1"),
    ],
)
def test_a_target_is_put_together_and_taken_apart(aim: target_list.Aim) -> None:
    assert target_list.aim(aim.text) == aim


def test_half_a_target_is_refused() -> None:
    with pytest.raises(TargetError, match="choose both"):
        _ = target_list.Aim(None, against="1").text
    with pytest.raises(TargetError, match="four whole numbers"):
        _ = target_list.Aim("all-1", box="1,2").text


def test_targets_in_pieces_mean_what_they_say(models: dict[str, Any]) -> None:
    rows, masks = describe(models["rows"]), describe(models["masks"])
    assert target_list.target_of("0-1", rows) == Margin(0, 1)
    region = target_list.target_of("box-1,0,1,4,5", masks)
    assert isinstance(region, Region)
    assert (region.label, region.box) == (1, (0, 1, 4, 5))
    for wrong in ("0-9", "box-1,0,0,2,2", "@0.1"):
        with pytest.raises(TargetError):
            target_list.target_of(wrong, rows)
    with pytest.raises(TargetError, match="does not lie inside"):
        target_list.target_of("box-1,0,0,99,5", masks)


# ---------------------------------------------------------------- costs and budget


@pytest.mark.parametrize("kind", ["pictures", "rows", "waves"])
def test_costs_are_about_what_methods_take(models: dict[str, Any], kind: str) -> None:
    model = models[kind]
    description = describe(model)
    x = {"pictures": np.random.default_rng(0).random((16, 16, 1)), "rows": {"age": 33.0, "sex": "m"}}
    value = x.get(kind, np.random.default_rng(0).random((12, 2)))
    for method in ("lime", "occlusion", "kernel-shap", "permutation-shap", "exact-shapley", "partition-shap"):
        calls = xk.explain(model, value, method, progress=False, accelerate="none").origin.model_calls
        said = costs.calls(method, {}, description)
        if calls > costs.SLOW:
            assert 0.4 * calls <= said <= 2.5 * calls, (method, calls, said)


def test_costs_follow_the_parameters_and_the_pace(models: dict[str, Any]) -> None:
    description = describe(models["pictures"])
    assert costs.calls("lime", {"samples": 5000}, description) == 5002
    assert costs.words(5002, "lime", Pace(0.01, 0.03)) == "about 5,000 model calls, 50.0 s"
    assert costs.words(5002, "lime", Pace(1e-5, 1e-5)).endswith("under 1 s")
    assert costs.words(5002, "lime", None) == "about 5,000 model calls"


def test_a_budget_is_read_from_its_form() -> None:
    assert forms.budget({"max_calls": 200, "time_limit": 3, "accelerate": "auto"}) == {
        "max_calls": 200,
        "time_limit": 3.0,
    }
    assert forms.budget_for("saliency", {"accelerate": "none", "max_batch": 4}) == {"max_batch": 4}
    assert [c.id["name"] for c in forms.budget_form({}, "explain")] == list(forms.BUDGET)
    with pytest.raises(ParameterError, match="time_limit"):
        forms.budget({"time_limit": -1})
    with pytest.raises(ParameterError, match="accelerate"):
        forms.budget({"accelerate": "magic"})


# ---------------------------------------------------------------- words, numbers under the pointer, differences


def test_the_strongest_parts_are_named_with_their_values(models: dict[str, Any]) -> None:
    row = xk.explain(models["rows"], {"age": 60.0, "sex": "m"}, "exact-shapley", target=0, progress=False)
    bars = next(p for p in panels(row).panels if isinstance(p, BarPanel))
    said = strongest.summary(row, bars)
    assert said.startswith("Speaks for low: age = 60 (")
    x = np.zeros((16, 16, 1))
    x[:4, 12:] = 1.0
    picture = xk.explain(models["pictures"], x, "occlusion", target=0, baseline=0.0, progress=False)
    panel = next(p for p in panels(picture).panels if isinstance(p, MapPanel))
    assert strongest.summary(picture, panel).startswith("Speaks for low: the upper right (")


@pytest.mark.parametrize("side", [12, 120])
def test_the_numbers_of_a_map_travel_with_it(side: int) -> None:
    values = np.random.default_rng(0).standard_normal((side, side))
    sent = probes.packed(values)
    read_back = np.frombuffer(b64decode(sent["data-values"]), f"<{sent['data-kind']}").astype(float)
    assert_allclose(read_back * float(sent["data-unit"]), values.ravel(), atol=np.abs(values).max() / 32767)
    assert ("f4" if side == 12 else "i2") == sent["data-kind"]


def test_a_difference_is_of_raw_values_in_one_unit_and_of_shares_else() -> None:
    one, two = np.array([[1.0, 2.0]]), np.array([[0.5, 4.0]])
    first, second = (MapPanel(values=v, scale=Scale(1.0, "logit"), title=t) for v, t in ((one, "A"), (two, "B")))
    gap: Any = differences.difference(first, second)
    assert_allclose(gap.values, [[0.5, -2.0]])
    assert gap.title == "A minus B"
    other: Any = differences.difference(first, MapPanel(values=two, scale=Scale(1.0, "share"), title="B"))
    assert_allclose(other.values, [[0.5 - 0.125, 0.0]])
    assert other.scale.unit == differences.SHARES
    wide: Any = differences.difference(first, MapPanel(values=np.ones((2, 4)), scale=Scale(1.0, "logit"), title="C"))
    assert wide.values.shape == (2, 4)


def test_differences_of_bars_and_words() -> None:
    a = BarPanel(labels=("x", "y"), values=np.array([3.0, 1.0]), unit="logit", title="A")
    b = BarPanel(labels=("y", "x"), values=np.array([5.0, 2.0]), unit="logit", title="B")
    bars: Any = differences.difference(a, b)
    assert dict(zip(bars.labels, bars.values, strict=True)) == {"x": 1.0, "y": -4.0}
    text = TextPanel(pieces=(("good", 2.0), (" ", None), ("film", 1.0)), scale=Scale(2.0, "logit"), title="A")
    words: Any = differences.difference(text, text)
    assert words.pieces == (("good", 0.0), (" ", None), ("film", 0.0))
    with pytest.raises(UsageError, match="different kinds"):
        differences.difference(a, text)
    with pytest.raises(UsageError, match="different parts"):
        differences.difference(a, BarPanel(labels=("z", "x"), values=np.ones(2), unit="logit", title="C"))


# ---------------------------------------------------------------- inputs


def test_numbers_are_read_in_any_layout() -> None:
    assert_allclose(numbers_of("1, 2; 3\n4 5\t6", xk.Series(3, 2)), [[1, 2], [3, 4], [5, 6]])
    with pytest.raises(InputError, match=r"2 numbers were given; the network takes 6 \(3 × 2\)"):
        numbers_of("1 2", xk.Series(3, 2))
    with pytest.raises(InputError, match="not all numbers"):
        numbers_of("1 2 three 4 5 6", xk.Series(3, 2))


def test_several_inputs_have_one_id_together(services: Services) -> None:
    photo, row = services.own.put(np.ones((6, 6, 1))), services.own.put(np.arange(3.0))
    view = view_of(services, "explain?model=both")
    id = joined({"photo": photo, "row": row})
    found = services.sample(view.chosen, view.description, str(id))
    assert_allclose(found["row"], [0, 1, 2])
    assert joined({"photo": photo, "row": None}) is None
    line = snippets.sampling(view, str(id))
    assert line.startswith("x = {'photo': ")
    assert "np.load(" in line
    shown = str(explain.layout(view))
    assert "'input': 'photo'" in shown
    assert "'input': 'row'" in shown


# ---------------------------------------------------------------- the matrix


def test_cells_share_their_results_with_explain(services: Services) -> None:
    ids = given(services)
    address = f"compare?model=pictures&methods=occlusion,lime&lime.samples=60&inputs={','.join(ids)}&max_calls=500"
    view = view_of(services, address)
    assert Matrix(view).found == {}
    parameters = {"occlusion": {}, "lime": {"samples": 60}}
    asked = Asked((view.chosen,), view.description, ids[0], parameters, None, 0, False, {"max_calls": 500})
    jobs = [services.submit(unit) for _, _, unit in asked.units(services)]
    assert all(job.wait(60) for job in jobs)
    matrix = Matrix(view)
    assert set(matrix.found) == {f"{ids[0]} occlusion", f"{ids[0]} lime"}
    assert [cell.sample for cell in matrix.missing] == [ids[1]] * 2
    text = str(compare.layout(view))
    assert "Explain the 2 missing maps" in text
    assert text.count("data-testid='cell'") + text.count("'data-testid': 'cell'") == 2


def test_agreement_is_the_mean_over_the_inputs_that_have_both_maps(services: Services) -> None:
    ids = given(services, 3)
    view = view_of(services, f"compare?model=pictures&methods=occlusion,lime&lime.samples=40&inputs={','.join(ids)}")
    for cell in Matrix(view).cells[:4]:
        assert services.submit(cell.unit).wait(60)
    matrix = Matrix(view)
    table = matrix.agreement(matrix.inputs)
    assert table is not None
    each = [xk.quality.agreements([matrix.found[c.key] for c in matrix.row(id)])[0, 1] for id in ids[:2]]
    assert_allclose(table.values[0, 1], np.mean(each))
    assert "mean over 2 inputs" in table.subtitle


def test_curves_become_a_comparison(services: Services) -> None:
    ids = given(services, 1)
    view = view_of(services, f"compare?model=pictures&methods=occlusion,lime&lime.samples=40&inputs={ids[0]}")
    for cell in Matrix(view).cells:
        assert services.submit(cell.unit).wait(60)
        assert services.submit(cell.curves).wait(60)
    found = Matrix(view).comparison(ids[0])
    assert found is not None
    assert set(found.faithfulness) == {"occlusion", "lime"}
    text = str(compare.layout(view))
    assert "Deletion" in text
    assert "random maps" in text
    assert "against random ones" not in text


def test_one_scale_or_one_for_each_method(services: Services) -> None:
    ids = given(services, 2)
    address = f"compare?model=pictures&methods=occlusion,rise&rise.samples=50&inputs={','.join(ids)}"
    for cell in Matrix(view_of(services, address)).cells:
        assert services.submit(cell.unit).wait(60)
    shared = Matrix(view_of(services, address)).drawn
    own = Matrix(view_of(services, f"{address}&scale=own")).drawn
    assert len({p.scale.limit for p in shared.values()}) == 1  # type: ignore[attr-defined]
    assert len({p.scale.limit for p in own.values()}) == 2  # type: ignore[attr-defined]


def test_a_broken_link_to_a_matrix_says_so_and_leads_on(services: Services) -> None:
    gone = "own-" + "0" * 32
    text = str(compare.layout(view_of(services, f"compare?model=pictures&inputs={gone}")))
    assert "not kept here any more" in text
    assert "Begin anew" in text


def test_a_model_of_several_inputs_has_no_matrix(models: dict[str, Any]) -> None:
    assert "several inputs" in str(compare.lacks(describe(models["both"])))
    assert compare.lacks(describe(models["waves"])) is None


def test_the_address_of_a_view_keeps_the_budget(services: Services) -> None:
    view = view_of(services, "explain?model=rows&max_calls=100&accelerate=none&time_limit=soon")
    assert "explain-page expert" in str(explain.layout(view))
    assert bounds(view.state) == {"max_calls": 100, "accelerate": "none"}
    assert level(State()) == "guided"
    assert level(State(more={"view": "guided", "max_calls": "3"})) == "guided"


def test_a_target_in_code_is_one_of_xaikits_own() -> None:
    assert snippets.spoken_value(Margin(1, 2)) == "xk.Margin(a=1, b=2)"
    assert snippets.spoken_value(At(step=3, index=1)) == "xk.At(step=3, index=1)"
