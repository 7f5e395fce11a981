"""A plan carried out: every unit once, what fails fails alone, and a folder belongs to one plan."""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import xaikit as xk
from xaikit import storage
from xaikit.errors import InputError, ParameterError, StorageError, UnknownName, UsageError
from xaikit.results import Attributions, Status
from xaikit.study import InputsPlan, MethodPlan, Plan, QualityPlan, open_study, run
from xaikit.study._files import Manifest, held, read_events, sweep
from xaikit.study._row import row_at, row_of

from .conftest import draw


def files(folder: Path) -> dict[str, str]:
    """Give the hash of every stored result."""
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob("units/??/*")}


def test_every_unit_is_there_once_and_says_what_the_api_says(plan, digits, tmp_path) -> None:
    asked = plan(MethodPlan("saliency", [3, 5]), MethodPlan("lime", None, {"samples": 50}))
    seen = []
    done = run(asked, tmp_path / "out", progress=seen.append)
    assert (done.counts.units, done.counts.done, done.counts.failed, done.counts.skipped) == (18, 18, 0, 0)
    assert [c.ended for c in seen] == list(range(1, 19))
    rows = list(done.study.rows())
    assert len({row["key"] for row in rows}) == 18 == len(list(tmp_path.glob("out/units/??/*.json")))
    assert [row["input"] for row in rows[::3]] == [f"digits/00{i}.png" for i in range(6)]
    assert [(row["method"], row["target"]) for row in rows[:3]] == [("saliency", 3), ("saliency", 5), ("lime", None)]
    model = xk.zoo.load("mnist_cnn", framework="torch")
    expected = xk.explain(model, str(digits / "000.png"), "lime", samples=50)
    result = done.study.result(rows[2])
    np.testing.assert_array_equal(result.values, expected.values)
    row = rows[2]
    assert (row["state"], row["label"], row["status"]) == ("done", expected.target_labels[0], str(expected.status))
    assert row["quality"]["surrogate_r2"] == pytest.approx(float(expected.quality["surrogate_r2"][0]), rel=1e-5)
    assert row["input_hash"] == expected.origin.input_hash[0]
    assert (row["parameters"], row["worker"]) == ({"samples": 50}, os.getpid())


def test_a_run_that_goes_on_skips_what_is_there(plan, digits, tmp_path) -> None:
    out = tmp_path / "out"
    first = run(plan("saliency"), out)
    before = files(out)
    removed = first.study.store.path(next(first.study.rows())["key"])
    removed.unlink()
    damaged = max(p for p in out.glob("units/??/*.npz") if p.stem != removed.stem)
    damaged.write_bytes(damaged.read_bytes()[:100])
    again = run(plan("saliency"), out, resume=True)
    assert (again.counts.done, again.counts.skipped) == (2, 4)
    assert files(out).keys() == before.keys()
    assert {row["state"] for row in again.study.rows()} == {"done", "skipped"}
    assert all(again.study.result(row) is not None for row in again.study.rows())


def test_inputs_that_cannot_be_read_fail_alone(plan, digits, tmp_path) -> None:
    (digits / "003.png").write_bytes(b"no picture")
    done = run(plan("saliency", inputs=["digits", "none.png"]), tmp_path / "out")
    assert (done.counts.done, done.counts.failed) == (5, 2)
    failed = {row["input"]: row for row in done.study.rows() if row["state"] == "failed"}
    assert set(failed) == {"digits/003.png", "none.png"}
    assert "not a picture" in failed["digits/003.png"]["error"]
    assert failed["none.png"]["key"] is None
    (digits / "003.png").unlink()
    draw(digits, 1, first=3)
    again = run(plan("saliency", inputs=["digits", "none.png"]), tmp_path / "out", resume=True)
    assert (again.counts.done, again.counts.failed, again.counts.skipped) == (1, 1, 5)


def test_a_method_that_fails_stops_no_other(plan, tmp_path) -> None:
    done = run(plan("saliency", MethodPlan("saliency", "no such class")), tmp_path / "out")
    assert (done.counts.done, done.counts.failed) == (6, 6)
    assert all("no such class" in r["error"] for r in done.study.rows() if r["state"] == "failed")


def test_rules_of_the_plan_and_of_the_run(plan, tmp_path) -> None:
    asked = plan("saliency", quality=QualityPlan(limits=("score<1e9:0.5",)))
    done = run(asked, tmp_path / "out", fail_on=["state=failed", "model_calls>0"])
    assert done.broken == ("score<1e+09:0.5: 6 of 6 units (100.0%)", "model_calls>0:0: 6 of 6 units (100.0%)")
    again = run(replace(asked, quality=QualityPlan()), tmp_path / "out", resume=True)
    assert again.broken == (), "limits judge a study and do not make it another"


def test_checks_of_the_plan_are_in_the_quality(plan, tmp_path) -> None:
    asked = plan("saliency", inputs="digits/000.png", quality=QualityPlan(faithfulness=True))
    (row,) = run(asked, tmp_path / "out").study.rows()
    assert "deletion" in row["quality"] or any("deletion" in name for name in row["quality"])
    assert "randomised_similarity" not in row["quality"]


def test_the_folder_of_another_plan_is_refused_with_the_difference(plan, tmp_path) -> None:
    out = tmp_path / "out"
    run(plan("saliency"), out)
    before = files(out)
    for resume in (False, True):
        with pytest.raises(UsageError, match=r"another plan: methods\[0\].name is 'grad-cam' and not 'saliency'; seed"):
            run(plan("grad-cam", seed=1), out, resume=resume)
    with pytest.raises(UsageError, match="holds results of this plan already: go on with --resume"):
        run(plan("saliency"), out)
    assert files(out) == before


def test_a_folder_at_work_is_refused_and_free_afterwards(plan, tmp_path) -> None:
    with held(tmp_path / "out"), pytest.raises(UsageError, match=rf"at work in .*process {os.getpid()} on"):
        run(plan("saliency"), tmp_path / "out")
    assert run(plan("saliency"), tmp_path / "out").counts.done == 6


def test_what_cannot_begin_leaves_no_study(plan, tmp_path) -> None:
    out = tmp_path / "out"
    with pytest.raises(UnknownName, match="mnist_cnn"):
        run(plan("saliency", model="mnist_cn"), out)
    with pytest.raises(InputError, match="no file is like"):
        run(plan("saliency", inputs="digits/*.jpg"), out)
    with pytest.raises(ParameterError, match="workers"):
        run(plan("saliency"), out, workers=0)
    with pytest.raises(UsageError, match="say where the results go"):
        run(plan("saliency"))
    with pytest.raises(StorageError, match="no folder of a study"):
        open_study(out)
    assert run(plan("saliency"), out).counts.done == 6


def test_an_interruption_keeps_what_is_done(plan, tmp_path) -> None:
    def stop(counts):
        if counts.ended == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(plan("saliency"), tmp_path / "out", progress=stop)
    assert len(list(tmp_path.glob("out/units/??/*.json"))) == 4
    again = run(plan("saliency"), tmp_path / "out", resume=True)
    assert (again.counts.done, again.counts.skipped) == (2, 4)


def test_equal_inputs_share_a_result(plan, digits, tmp_path) -> None:
    (digits / "copy.png").write_bytes((digits / "000.png").read_bytes())
    done = run(plan("saliency"), tmp_path / "out")
    assert (done.counts.done, done.counts.skipped) == (6, 1)
    rows = {row["input"]: row["key"] for row in done.study.rows()}
    assert rows["digits/copy.png"] == rows["digits/000.png"]


def test_rows_of_a_table(tmp_path) -> None:
    card = xk.zoo.card("credit_mlp")
    columns = card.inputs.columns
    usual = {n: c.values[0] if hasattr(c, "values") else 1 for n, c in columns.items()}
    lines = [",".join(columns), *(",".join(str(v) for v in usual.values()) for _ in range(2))]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\nbroken\n")
    asked = Plan("credit_mlp", InputsPlan(("a.csv",)), (MethodPlan("saliency"),), "torch", root=str(tmp_path))
    done = run(asked, tmp_path / "out")
    assert (done.counts.done, done.counts.skipped, done.counts.failed) == (1, 1, 1), list(done.study.rows())


def test_another_way_to_carry_units_out_fits_in(plan, tmp_path) -> None:
    """Outcomes may come in any order, and units are taken as they are wanted."""
    from xaikit.study._executors import Here

    class Backwards:
        def __init__(self, recipe, store):
            self.inner, self.closed = Here(recipe.load(), store), False

        def outcomes(self, units):
            return iter(list(self.inner.outcomes(iter(list(units)[::-1])))[::-1])

        def close(self):
            self.closed = True

    made = []
    done = run(plan("saliency"), tmp_path / "out", executor=lambda r, s: made.append(Backwards(r, s)) or made[0])
    assert (done.counts.done, made[0].closed) == (6, True)


def test_a_torn_last_line_is_mended(tmp_path) -> None:
    path = tmp_path / "manifest.jsonl"
    with Manifest(path) as manifest:
        manifest.append({"a": 1})
        manifest.append({"a": "ü" * 100_000})
    with path.open("ab") as file:
        file.write(b'{"a": 3, "b": "torn' + b"x" * 70_000)
    assert [len(str(e["a"])) for e in read_events(path)] == [1, 100_000]
    with Manifest(path) as manifest:
        manifest.append({"a": 4})
    assert [json.loads(line)["a"] for line in path.read_text().splitlines()][::2] == [1, 4]


def test_a_manifest_that_is_all_torn_begins_anew(tmp_path) -> None:
    (tmp_path / "m").write_bytes(b'{"a"')
    with Manifest(tmp_path / "m") as manifest:
        manifest.append({"a": 4})
    assert list(read_events(tmp_path / "m")) == [{"a": 4}]


def test_what_a_killed_writer_left_is_swept(tmp_path) -> None:
    place = tmp_path / "units/ab"
    place.mkdir(parents=True)
    for name in (".x.npz.12.part", "y.npz", "z.npz", "z.json"):
        (place / name).write_bytes(b"")
    sweep(tmp_path)
    assert sorted(p.name for p in place.iterdir()) == ["z.json", "z.npz"]


def test_a_glance_at_a_stored_result_says_what_the_whole_of_it_says(plan, tmp_path) -> None:
    """Of one input and of several, without the arrays that nobody asks for."""
    study = run(plan("saliency", inputs="digits/000.png"), tmp_path / "out").study
    row = next(study.rows())
    path, result = study.store.path(row["key"]), study.result(row)
    assert row_at(study.store, row["key"]) == row_of(result)
    storage.save(Attributions({"a": result, "b": replace(result, status=Status("fail", ("why",)))}), path)
    told = row_at(study.store, row["key"])
    assert (told["status"], told["reasons"], told["predicted"]) == ("fail", ["why"], row["predicted"])
    with np.load(path.with_suffix(".npz")) as stored:
        arrays = dict(stored)
    np.savez(path.with_suffix(".npz"), **{n: a for n, a in arrays.items() if a.size < 100})
    assert row_at(study.store, row["key"]) == told
    with pytest.raises(StorageError, match="does not fit"):
        storage.load(path)
    with pytest.raises(StorageError, match="does not fit"):
        storage.glance(path, ["no such field"])


def test_rows_of_units_without_a_result_have_the_same_fields(plan, digits, tmp_path) -> None:
    (digits / "000.png").write_bytes(b"no picture")
    failed, done = list(run(plan("saliency"), tmp_path / "out").study.rows())[:2]
    assert failed.keys() == done.keys()
    assert (failed["state"], failed["label"], failed["quality"]) == ("failed", None, None)
