"""`xaikit audit letter|export|check`: what they print and write, exit codes, and mistakes that are one line."""

import json
import shutil
import sqlite3
import zipfile
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.cli.conftest import Run
from xaikit import audit, zoo
from xaikit.cli import cli

CONTACT = ("--contact", "tel. 555 0100")


@pytest.fixture
def run(run: Run) -> Run:
    return partial(run, "audit")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two records of one applicant, the second encrypted with the key beside it; the first names no author."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("credit")
    rows = list(zoo.load("credit_mlp", framework="torch").inputs.background)
    (folder / "row.csv").write_text(",".join(rows[0]) + "\n" + ",".join(str(v) for v in rows[0].values()) + "\n")
    audit.new_key(folder / "audit.key")
    audit.new_key(folder / "other.key")
    asked = ["audit", "record", "credit_mlp", str(folder / "row.csv"), "-m", "kernel-shap", "-t", "good"]
    asked += ["--db", f"sqlite:///{folder / 'audit.db'}", "--framework", "torch", "--threshold", "0.999"]
    for own in ([], ["--key-file", str(folder / "audit.key"), "--encrypt", "--recipient", "no. 8"]):
        done = CliRunner().invoke(cli, [*asked, *own])
        assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def folder(recorded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(recorded, tmp_path / "credit"))


@pytest.fixture
def db(folder: Path) -> str:
    return f"sqlite:///{folder / 'audit.db'}"


def test_the_text_is_printed(run: Run, db: str) -> None:
    code, out, err = run("letter", 1, "--db", db, *CONTACT, "--organisation", "Example Bank")
    assert (code, err) == (0, "")
    assert out.startswith("Example Bank\n")
    assert "Your application for a loan was refused." in out
    assert "no tested example" in out
    assert len(audit.events(db)) == 0


def test_files_in_each_format_and_a_note_that_it_was_sent(run: Run, db: str, tmp_path: Path) -> None:
    pytest.importorskip("fpdf")
    out = tmp_path / "letters"
    sent = ("--channel", "post", "--author", "Ada", "--format", "text,html,pdf", "-o", out)
    code, said, _ = run("letter", 1, "--db", db, "--language", "pl", *CONTACT, *sent)
    assert code == 0
    assert {p.name for p in out.iterdir()} == {f"letter-1-pl.{e}" for e in ("txt", "html", "pdf")}
    assert "event 3: sent by post" in said
    assert f"head {audit.verify(db).head}" in said
    (event,) = audit.events(db, 1)
    assert set(event.content["sha256"]) == {"text", "html", "pdf"}
    assert "wniosek o kredyt został odrzucony" in (out / "letter-1-pl.txt").read_text("utf-8")


def test_the_letter_as_json(run: Run, db: str) -> None:
    told = json.loads(run("letter", 1, "--db", db, *CONTACT, "--json")[1])
    assert (told["letter"]["outcome"], told["files"], told["event"]) == ("unfavourable", {}, None)
    assert told["letter"]["sections"][1]["before"][0]["rests_on"] == ["counterfactual", "evidence"]


def test_words_of_the_deployer(run: Run, db: str, tmp_path: Path) -> None:
    words = tmp_path / "words.toml"
    words.write_text('name = "loans"\nversion = "7"\nfavourable = "good"\n[en]\nrefused = "No loan."\ncontact = "me"\n')
    out = run("letter", 1, "--db", db, "--words", words)[1]
    assert "No loan." in out
    assert "Please turn to: me" in out
    assert " ".join(out.split()).endswith("reasons loans 7")


def test_an_encrypted_record_needs_its_key(run: Run, db: str, folder: Path) -> None:
    code, _, err = run("letter", 2, "--db", db, *CONTACT)
    assert (code, err) == (5, "xaikit: the private part of record 2 is encrypted: give the key\n")
    code, _, err = run("letter", 2, "--db", db, *CONTACT, "--key-file", folder / "other.key")
    assert code == 5
    assert "was encrypted with the key" in err
    code, out, _ = run("letter", 2, "--db", db, *CONTACT, "--key-file", folder / "audit.key")
    assert code == 0
    assert "To: no. 8" in out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((1, *CONTACT, "--language", "de"), 2, "'de'"),
        ((9, *CONTACT), 2, "9"),
        ((1,), 2, "contact"),
        ((1, *CONTACT, "--format", "docx", "-o", "."), 2, "text, html, pdf"),
        ((1, *CONTACT, "--format", "pdf"), 2, "-o"),
        ((1, *CONTACT, "--favourable", "yes"), 2, "bad, good"),
        ((1, *CONTACT, "--words", "none.toml"), 5, "none.toml"),
    ],
)
def test_mistakes_are_one_line(run: Run, db: str, arguments: tuple[object, ...], code: int, said: str) -> None:
    found, out, err = run("letter", *arguments, "--db", db)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert said in err


@pytest.mark.parametrize("command", [("letter", 1, *CONTACT), ("export", 1, "-o", "bundle.zip")])
def test_a_database_that_is_gone(run: Run, tmp_path: Path, command: tuple[object, ...]) -> None:
    code, _, err = run(*command, "--db", f"sqlite:///{tmp_path / 'gone.db'}")
    assert (code, err) == (5, f"xaikit: there is no audit database {tmp_path / 'gone.db'}: check its name\n")
    assert not (tmp_path / "gone.db").exists()


def test_a_record_that_was_changed_has_no_letter_and_no_bundle(run: Run, db: str, folder: Path) -> None:
    with closing(sqlite3.connect(folder / "audit.db")) as raw:
        raw.execute("DROP TRIGGER audit_records_no_update")
        raw.execute("UPDATE audit_records SET decision = 'good' WHERE id = 1")
        raw.commit()
    for command in (("letter", 1, *CONTACT), ("export", 2, "-o", folder / "bundle.zip")):
        code, _, err = run(*command, "--db", db)
        assert code == 5
        assert "record 1 was changed: prediction" in err
    assert not (folder / "bundle.zip").exists()


def test_export_and_check(run: Run, db: str, tmp_path: Path, folder: Path) -> None:
    run("new-key", folder / "sign.pem", "--signing")
    bundle, key = tmp_path / "bundle.zip", folder / "sign.pem.pub"
    code, out, _ = run("export", 1, 2, "--db", db, "-o", bundle, "--sign-key", folder / "sign.pem")
    head = audit.verify(db).head
    assert (code, out.splitlines()[:2]) == (0, [str(bundle), f"head of the chain  {head}"])
    code, out, _ = run("check", bundle, "--public-key", key)
    assert code == 0
    assert out.startswith("whole: records 1, 2\nsigned by ")
    assert json.loads(run("check", bundle, "--json")[1])["head"] == head
    raw = bundle.read_bytes()
    bundle.write_bytes(raw[:5000] + bytes([raw[5000] ^ 1]) + raw[5001:])
    code, out, _ = run("check", bundle)
    assert code == 4
    assert out.startswith("not as it was written: ")


def test_check_mistakes(run: Run, db: str, tmp_path: Path) -> None:
    assert run("check", tmp_path / "none.zip")[0] == 5
    run("export", 1, "--db", db, "-o", tmp_path / "bundle.zip")
    code, _, err = run("check", tmp_path / "bundle.zip", "--public-key", tmp_path / "none.pub")
    assert (code, err.count("\n")) == (5, 1)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as file:
        file.writestr("a.txt", "a")
    code, out, _ = run("check", tmp_path / "other.zip")
    assert (code, out.startswith("not as it was written: ")) == (4, True)
    code, _, err = run("export", 1, "--db", db, "-o", tmp_path / "bundle.tar")
    assert (code, "bundle.zip" in err) == (2, True)


@pytest.mark.parametrize("command", ["letter", "export", "check"])
def test_help_teaches(run: Run, command: str) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0
    assert f"xaikit audit {command} " in out
