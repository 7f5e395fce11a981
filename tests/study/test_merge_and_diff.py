"""Folders of one study made one, and two studies compared."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import xaikit as xk
from xaikit.errors import StorageError, UsageError
from xaikit.study import InputsPlan, MethodPlan, Plan, diff, merge, open_study, run

from .conftest import draw

pytestmark = pytest.mark.slow


@pytest.fixture
def parts(plan, digits, tmp_path) -> tuple[Path, Path]:
    """The same study of three pictures, and of the other three and one that cannot be read."""
    (digits / "009.png").write_bytes(b"no picture")
    for name, inputs in (("a", "digits/00[0-2].png"), ("b", "digits/00[3-9].png")):
        run(plan("saliency", inputs=inputs), tmp_path / name)
    return tmp_path / "a", tmp_path / "b"


def test_a_merge_holds_what_all_had(parts, tmp_path, plan) -> None:
    merged = merge(parts, tmp_path / "whole")
    assert (merged.units, merged.failed) == (6, 1)
    rows = list(merged.study.rows())
    assert [r["input"] for r in rows] == [f"digits/00{i}.png" for i in (*range(6), 9)]
    told = {e["input"]: set(e) for part in parts for e in open_study(part).events()}
    assert {e["input"]: set(e) for e in merged.study.events()} == told
    first = open_study(parts[0])
    np.testing.assert_array_equal(merged.study.result(rows[0]).values, first.result(next(first.rows())).values)
    both = ["digits/00[0-2].png", "digits/00[3-9].png"]
    again = run(plan("saliency", inputs=both), tmp_path / "whole", resume=True)
    assert (again.counts.skipped, again.counts.failed, again.counts.done) == (6, 1, 0)


def test_what_failed_in_one_part_is_taken_from_the_other(parts, digits, plan, tmp_path) -> None:
    draw(digits, 1, first=9)
    run(plan("saliency", inputs="digits/009.png"), tmp_path / "c")
    merged = merge([*parts, tmp_path / "c"], tmp_path / "whole")
    assert (merged.units, merged.failed) == (7, 0)


def test_folders_elsewhere_keep_their_inputs(parts, plan, tmp_path) -> None:
    draw(tmp_path / "far/digits", 2, first=20)
    run(plan("saliency", inputs="digits/02*.png", root=str(tmp_path / "far")), tmp_path / "c")
    merged = merge([parts[0], tmp_path / "c"], tmp_path / "whole")
    paths = merged.study.plan.inputs.paths
    assert paths == (f"{tmp_path}/digits/00[0-2].png", f"{tmp_path}/far/digits/02*.png")
    again = run(merged.study.plan, tmp_path / "whole", resume=True)
    assert (again.counts.skipped, again.counts.done) == (5, 0)


def test_two_results_for_one_unit_are_a_conflict_and_nothing_is_written(parts, plan, tmp_path) -> None:
    draw(tmp_path / "far/digits", 1, first=0)
    (tmp_path / "far/digits/000.png").write_bytes((tmp_path / "digits/005.png").read_bytes())
    run(plan("saliency", root=str(tmp_path / "far")), tmp_path / "c")
    with pytest.raises(UsageError, match=r"different results for saliency of digits/000\.png"):
        merge([parts[0], tmp_path / "c"], tmp_path / "whole")
    assert not (tmp_path / "whole").exists()


def test_what_cannot_be_merged_is_told(parts, plan, tmp_path) -> None:
    a, b = parts
    run(plan("saliency", seed=1), tmp_path / "c")
    with pytest.raises(UsageError, match="different plans: seed is 0 and not 1"):
        merge([a, tmp_path / "c"], tmp_path / "whole")
    with pytest.raises(UsageError, match="at least one"):
        merge([], tmp_path / "whole")
    with pytest.raises(UsageError, match="one of the folders"):
        merge([a, b], a)
    with pytest.raises(StorageError, match="no folder of a study"):
        merge([a, tmp_path], tmp_path / "whole")
    with pytest.raises(UsageError, match="belongs to another plan"):
        merge([a, b], tmp_path / "c")
    key = next(open_study(b).rows())["key"]
    open_study(b).store.path(key).with_suffix(".npz").write_bytes(b"PK")
    with pytest.raises(StorageError, match="damaged"):
        merge([a, b], tmp_path / "whole")
    assert not (tmp_path / "whole").exists()


def test_one_folder_is_copied(parts, tmp_path) -> None:
    merged = merge([parts[0]], tmp_path / "copy")
    assert (merged.units, merged.failed) == (3, 0)
    assert [r["key"] for r in merged.study.rows()] == [r["key"] for r in open_study(parts[0]).rows()]


def test_how_rows_are_read_and_how_many_must_agree(tmp_path) -> None:
    """A column that is another makes other inputs of the same name; a limit would take from all files together."""
    (tmp_path / "a.csv").write_text("path,other,name\n0.png,1.png,a\n1.png,0.png,b\n")
    (tmp_path / "b.csv").write_text("path,other,name\n1.png,0.png,c\n")
    draw(tmp_path, 2)
    for i in range(2):
        (tmp_path / f"00{i}.png").rename(tmp_path / f"{i}.png")

    def part(name: str, path: str, **inputs) -> Path:
        asked = InputsPlan((path,), **{"column": "path", "id": "name", **inputs})
        run(Plan("mnist_cnn", asked, (MethodPlan("saliency"),), "torch", root=str(tmp_path)), tmp_path / name)
        return tmp_path / name

    whole, first = part("whole", "a.csv"), part("first", "a.csv", limit=1)
    other, last = part("other", "b.csv"), part("last", "b.csv", column="other")
    numbered = part("numbered", "b.csv", id=None)
    for wrong, said in ((last, "inputs.column is 'path' and not 'other'"), (numbered, "inputs.id is 'name' and not")):
        with pytest.raises(UsageError, match=f"different plans: {said}"):
            merge([whole, wrong], tmp_path / "out")
    with pytest.raises(UsageError, match="where one has a limit"):
        merge([first, other], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert merge([whole, other], tmp_path / "both").study.plan.inputs == InputsPlan(("a.csv", "b.csv"), "path", "name")
    part("second", "a.csv", limit=2)
    limited = merge([first, tmp_path / "second"], tmp_path / "limited").study.plan
    assert limited.inputs.limit == 2
    again = run(limited, tmp_path / "limited", resume=True)
    assert (again.counts.units, again.counts.skipped) == (2, 2)


@pytest.fixture
def versions(plan, tmp_path) -> tuple[Path, Path]:
    """A study of two versions of a model: the second has its classes 0 and 1 in the other order."""
    asked = (MethodPlan("saliency", 3), MethodPlan("gradient-x-input"))
    run(plan(*asked), tmp_path / "a")
    second = shutil.copytree(tmp_path / "a", tmp_path / "b")
    return tmp_path / "a", second


def test_a_study_does_not_differ_from_itself(versions) -> None:
    found = diff(*versions)
    assert (len(found.units), found.only_first, found.only_second, found.failed) == (12, 0, 0, 0)
    for method in found.methods():
        assert (method.units, method.changed, method.other_status) == (6, 0, 0)
        assert (method.median_agreement, method.least_agreement) == pytest.approx((1, 1))
        assert method.largest_difference == 0
    assert found.changes() == []


def test_what_a_new_version_changes_is_told_unit_by_unit(versions) -> None:
    """One map is turned about, and one picture is another class to the second version."""
    a, b = versions
    study = open_study(b)
    rows = list(study.rows())
    changed = study.result(rows[0])
    study.store.put(rows[0]["key"], replace(changed, values=-changed.values, prediction=changed.prediction[:, ::-1]))
    lines = [{**r, "predicted": "another"} if r["input"] == rows[2]["input"] else r for r in rows]
    lines[2] = {**lines[2], "label": "another"}
    study.manifest.write_text("".join(json.dumps(line) + "\n" for line in lines[:-1]))
    found = diff(a, b)
    assert (len(found.units), found.only_first) == (11, 1)
    one = found.units[0]
    assert (one.rank_agreement, one.difference) == pytest.approx((-1, 2), rel=1e-6)
    assert [c.input for c in found.changes()] == ["digits/001.png"]
    saliency, product = found.methods()
    assert (saliency.units, product.units, saliency.changed, product.changed) == (6, 5, 1, 1)
    assert saliency.least_agreement == pytest.approx(-1)
    of_other_target = next(u for u in found.units if u.input == "digits/001.png" and u.method == "saliency")
    assert np.isnan(of_other_target.rank_agreement), "maps of different classes are not compared"
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert data["methods"][0]["largest_difference"] == pytest.approx(2, rel=1e-6)


def test_inputs_that_are_not_the_same_are_not_compared(versions, plan, digits, tmp_path) -> None:
    (digits / "000.png").write_bytes((digits / "001.png").read_bytes())
    (digits / "002.png").write_bytes(b"no picture")
    run(plan(MethodPlan("saliency", 3), "saliency"), tmp_path / "c")
    found = diff(versions[0], tmp_path / "c")
    assert (len(found.units), found.other_input, found.failed) == (4, 1, 1)
    assert (found.only_first, found.only_second) == (6, 6)


def test_two_frameworks_give_one_answer(plan, tmp_path) -> None:
    """The same weights in Keras and in PyTorch: a difference of frameworks is none of maps."""
    pytest.importorskip("keras")
    for framework in ("torch", "keras"):
        run(plan("saliency", "occlusion", framework=framework), tmp_path / framework)
    found = diff(tmp_path / "torch", tmp_path / "keras")
    assert [m.units for m in found.methods()] == [6, 6]
    assert max(m.largest_difference for m in found.methods()) < 1e-4
    assert found.changes() == []


def test_xk_study_is_public() -> None:
    assert xk.study.diff is diff
