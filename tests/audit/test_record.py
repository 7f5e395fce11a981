"""What a record holds, how writers share a database, and what is refused before anything is written."""

import json
import sqlite3
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import xaikit as xk
from xaikit import audit
from xaikit.attribution import explain
from xaikit.errors import InputError, MissingPackage, NotSupported, StorageError, UnknownName, UsageError


def test_a_record_holds_the_whole_explanation(db: Path, model: Any, picture: Any) -> None:
    read = audit.read(f"sqlite:///{db}", 2)
    expected = explain(model, picture(2), "lime", 1, seed=7, samples=50)
    for name in ("values", "parts", "part_values", "x", "display", "prediction"):
        assert_array_equal(getattr(read, name), getattr(expected, name), err_msg=name)
        assert getattr(read, name).dtype == getattr(expected, name).dtype
    assert (read.axes, read.layer, read.status) == (expected.axes, expected.layer, expected.status)
    assert (read.target, read.target_label) == (expected.target[0], "O")
    free = {"model_calls"}  # less, where the coalitions are still in memory
    assert set(read.quality) == set(expected.quality)
    assert all(read.quality[n] == expected.quality[n][0] for n in set(expected.quality) - free)
    assert (read.input_spec, read.output_spec) == (model.inputs, model.outputs)
    for name in ("method", "parameters", "score", "fingerprint", "weights_id", "input_hash", "seed", "versions"):
        assert getattr(read.origin, name) == getattr(expected.origin, name), name
    asked = {"samples": 50, "segments": None, "kernel_width": 0.25, "baseline": "mean"}
    assert read.origin.parameters == {**asked, "discretized": False, "penalty": "ridge", "alpha": 1}
    assert {"python", "numpy", "torch", "xaikit"} <= set(read.origin.versions)


def test_the_record_that_is_given_is_the_one_that_is_stored(model: Any, picture: Any, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    before = datetime.now(UTC)
    made = audit.record(model, picture(0), "saliency", db=url, source="xo_cnn")
    read = audit.read(url, 1)
    assert (made.hash, made.source, made.id) == (read.hash, "xo_cnn", 1)
    assert_array_equal(made.values, read.values)
    assert before <= datetime.fromisoformat(made.created) <= datetime.now(UTC)
    assert audit.verify(url).head == made.hash


def test_arrays_among_the_parameters_come_back(db: Path) -> None:
    found = audit.read(f"sqlite:///{db}", 3).origin.parameters
    assert_array_equal(found["segments"], np.repeat(np.arange(9), 9).reshape(9, 9) // 5)
    assert_array_equal(found["baseline"], np.zeros((9, 9, 1)))


def test_only_the_hash_is_kept_where_asked(model: Any, picture: Any, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    made = audit.record(model, picture(0), "saliency", db=url, keep_input=False)
    assert (made.x, made.display) == (None, None)
    assert made.origin.input_hash == explain(model, picture(0), "saliency").origin.input_hash
    raw = sqlite3.connect(tmp_path / "new.db")
    names = {n for (n,) in raw.execute("SELECT name FROM audit_arrays")}
    raw.close()
    assert {n.partition("/")[0] for n in names} == {"prediction", "explanation", "scores"}


def test_numbers_of_json_columns_are_readable_by_sql(db: Path) -> None:
    raw = sqlite3.connect(db)
    parameters, quality, seed = raw.execute(
        "SELECT parameters, quality, seed FROM audit_records WHERE id = 2"
    ).fetchone()
    raw.close()
    assert json.loads(parameters)["samples"] == 50
    assert 0 <= json.loads(quality)["surrogate_r2"] <= 1
    assert seed == 7


def test_a_model_with_several_inputs_is_recorded_and_replayed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    several = xk.wrap(
        lambda x: (x["a"] * x["b"][:, :1]).sum(1, keepdims=True),
        inputs={"a": xk.Array(3), "b": xk.Array(2)},
        outputs=xk.Values(["sum"]),
        version="1",
    )
    made = audit.record(several, {"a": np.arange(3.0), "b": np.ones(2)}, "occlusion", db=url)
    read = audit.read(url, made.id)
    assert_array_equal(read.values["a"], [[0, 1, 2]])
    assert_array_equal(read.x["b"], [[1, 1]])
    assert audit.replay(read, several).verdict == "equal"


def test_quality_that_is_no_number_is_kept(model: Any, picture: Any, tmp_path: Path) -> None:
    from dataclasses import replace

    from xaikit.audit._record import columns_of
    from xaikit.audit._recording import database

    result = explain(model, picture(0), "saliency")
    odd = {"gap": np.array([np.nan]), "error": np.array([-np.inf])}
    store_url = f"sqlite:///{tmp_path / 'new.db'}"
    store = database(store_url)
    written = store.append(*columns_of(replace(result, quality=odd), None, True))
    read = audit.read(store_url, written.columns["id"]).quality
    assert np.isnan(read["gap"])
    assert read["error"] == -np.inf


@pytest.mark.parametrize(
    ("url", "error", "said"),
    [
        ("mysql://me:secret@host/audit", UsageError, r"postgresql://user@host/name, not 'mysql://me:\*\*\*@host"),
        ("audit.db", UsageError, "named by a URL, sqlite:///audit.db, not 'audit.db'"),
        ("postgresql//me:secret@host/x", UsageError, r"not 'postgresql//me:\*\*\*@host/x'"),
        ("sqlite://", UsageError, "names no file that lasts"),
        ("postgresql://u:secret@host:port/db", UsageError, r"not 'postgresql://u:\*\*\*@host:port/db'"),
        ("mysql://u:a/b?c@h/db?password=secret", UsageError, r"not 'mysql://u:\*\*\*@h/db\?password=\*\*\*'"),
        ("postgresql://u:one@two@h/db", UsageError, r"as %40, also in 'postgresql://u:\*\*\*@h/db'"),
        ("sqlite:///:memory:", UsageError, "names no file that lasts"),
        ("sqlite:///{folder}/gone/audit.db", StorageError, "folder .*/gone does not exist"),
        ("sqlite:///{folder}", StorageError, "unable to open database file"),
        ("sqlite:///{folder}/text.db", StorageError, "file is not a database"),
    ],
)
def test_what_is_no_database_is_refused_before_any_work(
    model: Any, tmp_path: Path, url: str, error: type[Exception], said: str
) -> None:
    (tmp_path / "text.db").write_text("no database, but longer than the header of one would be: " * 20)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(error, match=said):
        audit.record(model, "a sample that is not even looked at", "saliency", db=url.format(folder=tmp_path))
    if "gone" not in url:
        with pytest.raises(error, match=said):
            audit.verify(url.format(folder=tmp_path))
    assert set(tmp_path.rglob("*")) == before


def test_a_database_of_something_else_holds_no_records(tmp_path: Path) -> None:
    raw = sqlite3.connect(tmp_path / "other.db")
    raw.execute("CREATE TABLE fruit (name TEXT)")
    raw.close()
    for path, said in (("other.db", "holds no audit records"), ("gone.db", "there is no audit database")):
        with pytest.raises(StorageError, match=said):
            audit.verify(f"sqlite:///{tmp_path / path}")


def test_verifying_and_reading_leave_the_file_as_it_is(db: Path) -> None:
    before = db.read_bytes()
    audit.verify(f"sqlite:///{db}")
    audit.read(f"sqlite:///{db}", 1)
    assert db.read_bytes() == before
    assert [p.name for p in db.parent.iterdir()] == ["audit.db"]


@pytest.mark.parametrize("name", ["with space.db", "żółw#1.db"])
def test_any_file_name_will_do(db: Path, name: str) -> None:
    db.rename(db.parent / name)
    assert audit.verify(f"sqlite:///{db.parent / name}").records == 3
    assert [p.name for p in db.parent.iterdir()] == [name]


def test_an_unknown_record_names_those_that_are_there(db: Path) -> None:
    with pytest.raises(UnknownName, match="known: '1', '2', '3'"):
        audit.read(f"sqlite:///{db}", 4)


def test_a_record_is_one_prediction(model: Any, picture: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 samples"):
        audit.record(model, [picture(1), picture(2)], "saliency", db=f"sqlite:///{tmp_path / 'new.db'}")
    assert list(tmp_path.iterdir()) == []


def test_a_function_without_a_version_cannot_be_recorded(tmp_path: Path) -> None:
    nameless = xk.wrap(lambda x: x.sum(1, keepdims=True), inputs=xk.Array(3), outputs=xk.Values(["sum"]))
    with pytest.raises(NotSupported, match="version="):
        audit.record(nameless, np.zeros(3), "occlusion", db=f"sqlite:///{tmp_path / 'new.db'}")
    assert list(tmp_path.iterdir()) == []


def test_without_sqlalchemy_the_error_names_the_extra() -> None:
    program = """
    import sys
    sys.modules["sqlalchemy"] = None
    from xaikit import audit
    from xaikit.errors import MissingPackage
    try:
        audit.verify("sqlite:///audit.db")
    except MissingPackage as error:
        print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    assert "pip install 'xaikit[audit]'" in done.stdout
    assert issubclass(MissingPackage, ImportError)
