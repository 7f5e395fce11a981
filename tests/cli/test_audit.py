"""`xaikit audit`: what it prints, its exit codes, and mistakes that are one line."""

import json
import shutil
import sqlite3
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.cli.conftest import Run
from xaikit import audit
from xaikit.cli import cli


@pytest.fixture
def run(run: Run) -> Run:
    return partial(run, "audit")


@pytest.fixture(scope="module")
def cross(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("input") / "cross.npy"
    np.save(path, np.maximum(np.eye(9), np.eye(9)[::-1]).astype(np.float32))
    return path


@pytest.fixture(scope="module")
def recorded(cross: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two records of a model of the zoo, the second with the hash of its input only."""
    path = tmp_path_factory.mktemp("db") / "audit.db"
    asked = ["audit", "record", "xo_cnn", str(cross), "--db", f"sqlite:///{path}", "--framework", "torch"]
    runner = CliRunner()
    for own in (["-m", "lime", "-p", "samples=40", "--seed", "5"], ["-m", "saliency", "-t", "O", "--hash-only"]):
        done = runner.invoke(cli, [*asked, *own])
        assert done.exit_code == 0, done.output
    return path


@pytest.fixture
def db(recorded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(recorded, tmp_path / "audit.db"))


def spoil(db: Path, statement: str) -> None:
    raw = sqlite3.connect(db)
    for (trigger,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        raw.execute(f"DROP TRIGGER {trigger}")
    raw.execute(statement)
    raw.commit()
    raw.close()


def test_record_prints_number_and_head(run: Run, cross: Path, db: Path) -> None:
    url = f"sqlite:///{db}"
    code, out, _ = run("record", "xo_cnn", cross, "-m", "saliency", "--db", url, "--framework", "torch")
    assert code == 0
    first, second = out.splitlines()
    assert first.startswith("record 3 (")
    assert second == f"head {audit.verify(url).head}"


def test_record_keeps_what_was_asked(db: Path) -> None:
    first, second = (audit.read(f"sqlite:///{db}", n) for n in (1, 2))
    assert (first.source, first.origin.parameters["samples"], first.origin.seed) == ("xo_cnn", 40, 5)
    assert (first.origin.framework, first.target_label, second.target_label) == ("torch", "X", "O")
    assert first.x is not None
    assert second.x is None


def test_record_as_json(run: Run, cross: Path, db: Path) -> None:
    code, out, _ = run("record", "xo_cnn", cross, "-m", "saliency", "--db", f"sqlite:///{db}", "--json")
    told = json.loads(out)
    assert code == 0
    assert (told["record"], told["method"], told["target"], told["input_kept"]) == (3, "saliency", "X", True)
    assert told["previous"] == audit.read(f"sqlite:///{db}", 2).hash
    assert told["quality"].keys() >= {"score", "model_calls"}


def test_verify_says_that_the_chain_is_whole(run: Run, db: Path) -> None:
    head = audit.verify(f"sqlite:///{db}").head
    code, out, _ = run("verify", "--db", f"sqlite:///{db}", "--head", head)
    assert (code, out) == (0, f"2 records, unbroken\nhead {head}\nthe noted head is entry 2\n")
    told = json.loads(run("verify", "--db", f"sqlite:///{db}", "--json")[1])
    assert told == {"ok": True, "entries": 2, "records": 2, "head": head, "fault": None, "noted": None, "guarded": True}


def test_verify_names_the_record_that_was_changed(run: Run, db: Path) -> None:
    spoil(db, "UPDATE audit_records SET target_label = 'cat' WHERE id = 1")
    code, out, _ = run("verify", "--db", f"sqlite:///{db}")
    assert (code, out) == (4, "record 1 was changed: question\n")
    told = json.loads(run("verify", "--db", f"sqlite:///{db}", "--json")[1])
    assert (told["ok"], told["guarded"]) == (False, False)
    assert told["fault"] == {
        "record": 1,
        "kind": "changed",
        "groups": ["question"],
        "message": "record 1 was changed: question",
    }


def test_verify_needs_the_noted_head(run: Run, db: Path) -> None:
    head = audit.verify(f"sqlite:///{db}").head
    spoil(db, "DELETE FROM audit_records WHERE id = 2")
    spoil(db, "DELETE FROM audit_arrays WHERE record = 2")
    code, out, _ = run("verify", "--db", f"sqlite:///{db}")
    assert code == 0
    assert "triggers are missing" in out
    code, out, _ = run("verify", "--db", f"sqlite:///{db}", "--head", head)
    assert code == 4
    assert f"no record has the noted head {head}" in out


def test_replay_of_one_record(run: Run, db: Path) -> None:
    code, out, _ = run("replay", 1, "--db", f"sqlite:///{db}")
    assert code == 0
    assert out.startswith("record 1: equal in torch (prediction 0, ")
    assert "tolerance 1e-06" in out


def test_replay_in_the_other_framework(run: Run, db: Path) -> None:
    pytest.importorskip("tensorflow")
    code, out, _ = run("replay", 1, "--db", f"sqlite:///{db}", "--framework", "keras", "--json")
    told = json.loads(out)[0]
    assert (code, told["verdict"], told["framework"], told["tolerance"]) == (0, "equal", "keras", 1e-4)
    assert told["changes"]["framework"] == ["torch", "keras"]


def test_replay_of_all_says_which_cannot_be(run: Run, cross: Path, db: Path) -> None:
    code, out, _ = run("replay", "--db", f"sqlite:///{db}")
    assert code == 5
    assert [line.split(" (")[0] for line in out.splitlines()] == [
        "record 1: equal in torch",
        "record 2: impossible: only the hash of the input was kept: give it again",
    ]
    assert run("replay", 2, "--db", f"sqlite:///{db}", "--input", cross)[0] == 0


def test_replay_of_another_model_is_refused(run: Run, db: Path) -> None:
    import torch

    from xaikit import zoo

    net = zoo.build("xo_cnn", framework="torch", seed=1).eval()
    exported = torch.export.export(net, (torch.zeros(1, 1, 9, 9),))
    torch.export.save(exported, db.parent / "other.pt2")
    code, out, _ = run("replay", 1, "--db", f"sqlite:///{db}", "--model", db.parent / "other.pt2")
    assert code == 4
    assert audit.read(f"sqlite:///{db}", 1).origin.fingerprint in out
    assert out.startswith("record 1: refused: another model")


def test_a_model_from_a_file_is_found_again_from_another_folder(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(0)
    net = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(3, "tanh"), keras.layers.Dense(1)])
    net.save(tmp_path / "net.keras")
    (tmp_path / "model.toml").write_text(
        'weights = "net.keras"\n[inputs]\nkind = "Table"\n[inputs.columns.age]\nkind = "Number"\n'
        '[inputs.columns.rooms]\nkind = "Number"\n[outputs]\nkind = "Values"\nnames = ["price"]\n'
    )
    (tmp_path / "row.csv").write_text("age,rooms\n30,2\n")
    url = f"sqlite:///{tmp_path / 'new.db'}"
    monkeypatch.chdir(tmp_path)
    code, _, err = run("record", "model.toml", "row.csv", "-m", "gradient-x-input", "--db", url)
    assert code == 0, err
    assert audit.read(url, 1).display == [{"age": "30", "rooms": "2"}]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run("replay", 1, "--db", url)[0] == 0
    net.layers[0].set_weights([w + 1 for w in net.layers[0].get_weights()])
    net.save(tmp_path / "net.keras")
    code, out, _ = run("replay", 1, "--db", url)
    assert code == 4
    assert audit.read(url, 1).origin.fingerprint in out
    (tmp_path / "model.toml").unlink()
    code, out, _ = run("replay", 1, "--db", url)
    assert code == 5
    assert "impossible: there is no model file" in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["verify", "--db", "mysql://me:secret@host/x"], 2, "sqlite:///audit.db, or on a server"),
        (["verify", "--db", "{db}"], 2, "named by a URL, sqlite:///"),
        (["verify", "--db", "sqlite:///gone.db"], 5, "no audit database gone.db"),
        (["verify", "--db", "sqlite:///{cross}"], 5, "file is not a database"),
        (["verify"], 2, "--db"),
        (["replay", "7", "--db", "sqlite:///{db}"], 2, "unknown audit record '7'; known: '1', '2'"),
        (["replay", "one", "--db", "sqlite:///{db}"], 2, "not a valid integer"),
        (["replay", "1", "--db", "sqlite:///{db}", "--framework", "jax"], 2, "unknown framework 'jax'"),
        (["record", "xo_cnn", "gone.npy", "-m", "lime", "--db", "sqlite:///new.db"], 5, "no file gone.npy"),
        (["record", "xo_cn", "{cross}", "-m", "lime", "--db", "sqlite:///new.db"], 2, "did you mean 'xo_cnn'"),
        (["record", "xo_cnn", "{cross}", "-m", "lim", "--db", "sqlite:///new.db"], 2, "did you mean 'lime'"),
        (["record", "xo_cnn", "{cross}", "-m", "lime", "-t", "Z", "--db", "sqlite:///new.db"], 2, "'Z'"),
        (["record", "xo_cnn", "{cross}", "-m", "lime", "-p", "n=1", "--db", "sqlite:///new.db"], 2, "no parameter"),
        (["record", "xo_cnn", "{cross}", "-m", "lime", "--db", "sqlite:///no/new.db"], 5, "does not exist"),
    ],
)
def test_mistakes_are_one_line_with_their_exit_code(
    run: Run,
    db: Path,
    cross: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    found, out, err = run(*(a.format(db=db, cross=cross) for a in arguments))
    assert found == code
    assert message in out + err
    assert "secret" not in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == [db]


def test_help_teaches() -> None:
    for command in ([], ["record"], ["verify"], ["replay"]):
        said = CliRunner().invoke(cli, ["audit", *command, "--help"])
        assert said.exit_code == 0
        assert "xaikit audit" in said.output
        assert "--db sqlite:///audit.db" in said.output


@pytest.mark.slow
def test_verifying_in_a_process_of_its_own_needs_no_framework(db: Path) -> None:
    program = (
        "import sys\n"
        "for name in ('torch', 'tensorflow', 'keras', 'xaikit_torch', 'xaikit_keras'): sys.modules[name] = None\n"
        "from xaikit.cli import main\n"
        "main()"
    )
    for statement, code in ((None, 0), ("UPDATE audit_records SET seed = 6 WHERE id = 1", 4)):
        if statement:
            spoil(db, statement)
        arguments = [sys.executable, "-c", program, "audit", "verify", "--db", f"sqlite:///{db}"]
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (code, "")


def test_what_became_of_a_record(run: Run, db: Path, cross: Path, tmp_path: Path) -> None:
    url, key, pem = ("--db", f"sqlite:///{db}"), tmp_path / "audit.key", tmp_path / "signing.pem"
    assert run("new-key", key)[0] == 0
    assert run("new-key", pem, "--signing")[1] == f"{pem}.pub\n"
    secret = ["--key-file", key, "--encrypt", "--author", "Ada", "--recipient", "no. 7"]
    assert run("record", "xo_cnn", cross, "-m", "saliency", "--framework", "torch", *url, *secret)[0] == 0
    assert run("review", 3, "--reviewer", "Ada", "--verdict", "approved", *url)[0] == 2
    code, out, _ = run("review", 3, "--reviewer", "Bob", "--verdict", "approved", *url)
    assert (code, out.splitlines()[0]) == (0, "event 4: record 3 approved by Bob")
    anchors = tmp_path / "anchors.jsonl"
    assert json.loads(run("anchor", anchors, "--sign-key", pem, *url)[1])["entries"] == 4
    assert "no. 7" not in run("show", 3, *url)[1]
    assert "no. 7" in run("show", 3, "--key-file", key, *url)[1]
    assert run("erase", 3, "--author", "Ada", "--reason", "asked", "--yes", *url)[0] == 0
    told = json.loads(run("show", 3, "--key-file", key, "--json", *url)[1])
    assert (told["privacy"], told["recipient"], told["author"]) == ("erased", None, "Ada")
    assert [e["kind"] for e in told["events"]] == ["review", "erasure"]
    code, out, _ = run("verify", "--anchors", anchors, "--public-key", f"{pem}.pub", *url)
    assert (code, out.splitlines()[0]) == (0, "3 records and 2 events, unbroken")
