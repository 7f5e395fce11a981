"""A bundle is checked by the standard library alone, and shows every change of every byte."""

import ast
import io
import json
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xaikit import audit
from xaikit.audit import _chain, _verifier
from xaikit.errors import InputError, ParameterError, StorageError, UnknownName, UsageError

pytestmark = pytest.mark.slow

Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def signing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "signing.pem"
    audit.new_signing_key(path)
    return path


@pytest.fixture(scope="module")
def made(refusals: Path, signing: Path, key: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records 1, 2 (encrypted) and 7 (erased), a review, two letters as sent, an anchor; signed."""
    pytest.importorskip("fpdf")
    folder = tmp_path_factory.mktemp("bundle")
    url = f"sqlite:///{shutil.copy(refusals, folder / 'credit.db')}"
    audit.anchor(url, folder / "anchors.jsonl", sign_key=signing)
    one = audit.letter(url, 1, contact="tel. 555", language="pl")
    audit.note_letter(url, one, channel="post", author="Ada", formats=("text", "html", "pdf"))
    two = audit.letter(url, 2, contact="tel. 555", key=key)
    audit.note_letter(url, two, channel="post", key=key)
    (folder / "sent.txt").write_text(two.text)
    how: dict[str, Any] = {"anchors": folder / "anchors.jsonl", "sign_key": signing}
    bundle = audit.export(url, [7, 1, 2], folder / "bundle.zip", letters=[folder / "sent.txt"], **how)
    assert bundle.records == (1, 2, 7)
    return bundle.path


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    with zipfile.ZipFile(made) as file:
        file.extractall(tmp_path / "bundle")
    return tmp_path / "bundle"


def alone(*arguments: object, cwd: Path) -> Done:
    """Run Python without any installed package, and without this one's environment."""
    return subprocess.run(
        [sys.executable, "-I", "-S", *map(str, arguments)], capture_output=True, text=True, cwd=cwd, env={}, check=False
    )


def test_the_verifier_imports_the_standard_library_alone() -> None:
    tree = ast.parse(Path(_verifier.__file__).read_text())
    names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    names |= {str(n.module) for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert names <= sys.stdlib_module_names
    assert not {"pickle", "marshal", "shelve", "subprocess"} & names


def test_the_verifier_has_the_groups_of_the_chain() -> None:
    assert _verifier.GROUPS == _chain.GROUPS
    assert _verifier.EVENT == _chain.EVENT


@pytest.mark.parametrize("how", ["zip", "verify.py in the folder", "verify.py on the zip"])
def test_a_bundle_checks_itself(made: Path, folder: Path, tmp_path: Path, signing: Path, how: str) -> None:
    clean = tmp_path / "clean"
    clean.mkdir()
    key = ("--public-key", f"{signing}.pub")
    done = {
        "zip": lambda: alone(made, *key, cwd=clean),
        "verify.py in the folder": lambda: alone("verify.py", *key, cwd=folder),
        "verify.py on the zip": lambda: alone(folder / "verify.py", made, *key, cwd=clean),
    }[how]()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("whole: records 1, 2, 7\n")
    assert audit.check_bundle(made)["seal"] in done.stdout
    assert list(clean.iterdir()) == []
    assert audit.check_bundle(folder)["ok"]


def test_it_says_what_is_encrypted_erased_sent_signed_and_left_out(made: Path, signing: Path) -> None:
    found = audit.check_bundle(made, f"{signing}.pub")
    said = "\n".join(found["notes"])
    assert "record 2: its private part is encrypted" in said
    assert "record 7: its private part was erased" in said
    assert "by event 8" in said
    assert "letters/9.txt: as sent, by event 9" in said
    assert "letters/10.txt: the hash on record is a keyed one" in said
    assert "its head is that of entry 8, signed by" in said
    assert "hashes alone: 3" in said


def test_the_arrays_are_those_on_record(made: Path, letters_db: str) -> None:
    record = audit.read(letters_db, 1)
    with zipfile.ZipFile(made) as file:
        told = json.loads(file.read("records/1/record.json"))
        name = next(a["file"] for a in told["arrays"] if a["name"].startswith("x/"))
        found = np.load(io.BytesIO(file.read(f"records/1/{name}")), allow_pickle=False)
    np.testing.assert_array_equal(found, record.x)
    assert told["columns"]["decision"] == "bad"


def test_nothing_private_of_an_encrypted_record_is_in_it(made: Path) -> None:
    with zipfile.ZipFile(made) as file:
        own = {n: file.read(n) for n in file.namelist() if n.startswith(("records/2/", "records/7/"))}
    assert own
    assert not any(
        b"no. 8" in data or b"furniture" in data.partition(b"Card of the model")[0]
        for n, data in own.items()
        if n.endswith((".html",))
    )
    assert b"is encrypted and not shown" in own["records/2/annex.html"]
    assert b"was erased" in own["records/7/annex.html"]
    assert not any("figures/counterfactual" in n or "-x-" in n for n in own)


def test_letters_of_other_records_are_not_in_it(letters_db: str, tmp_path: Path) -> None:
    letter = audit.letter(letters_db, 3, contact="tel. 555")
    audit.note_letter(letters_db, letter, channel="post")
    with zipfile.ZipFile(audit.export(letters_db, 1, tmp_path / "b.zip").path) as file:
        names = file.namelist()
    assert not any(n.startswith(("letters/", "records/3", "events/9")) for n in names)
    assert "events/6/event.json" in names


def changed(data: bytes, rng: np.random.Generator) -> bytes:
    place, by = int(rng.integers(len(data))), int(rng.integers(1, 256))
    return data[:place] + bytes([data[place] ^ by]) + data[place + 1 :]


def test_every_changed_byte_of_the_zip_is_found(made: Path, tmp_path: Path) -> None:
    """500 single bytes anywhere in the file: content, names, headers, the table at its end."""
    raw, rng, copy = made.read_bytes(), np.random.default_rng(0), tmp_path / "bundle.zip"
    ends = [raw[: len(raw) - 1], raw + b"\0", b"\0" + raw]
    tail = raw.rindex(b"PK\x01\x02") - 2000
    of_table = [raw[:tail] + changed(raw[tail:], rng) for _ in range(100)]
    for spoilt in (*ends, *of_table, *(changed(raw, rng) for _ in range(400))):
        copy.write_bytes(spoilt)
        assert not audit.check_bundle(copy)["ok"]


def test_every_changed_byte_of_every_file_is_found(folder: Path) -> None:
    """Some bytes in each file of the folder, the manifest, its hash, the signature and the verifier among them."""
    rng = np.random.default_rng(1)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        raw = path.read_bytes()
        for _ in range(10):
            path.write_bytes(changed(raw, rng))
            found = audit.check_bundle(folder)
            assert not found["ok"], path
        path.write_bytes(raw)
    assert audit.check_bundle(folder)["ok"]


def test_a_changed_verifier_does_not_call_itself_whole(folder: Path) -> None:
    raw, rng = (folder / "verify.py").read_bytes(), np.random.default_rng(2)
    for _ in range(15):
        (folder / "verify.py").write_bytes(changed(raw, rng))
        assert alone("verify.py", cwd=folder).returncode != 0


def test_missing_and_added_files_and_links_are_found(folder: Path) -> None:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    for path in files:
        raw = path.read_bytes()
        path.unlink()
        found = audit.check_bundle(folder)
        assert not found["ok"] or path.name == "manifest.sig", path
        path.write_bytes(raw)
    (folder / "records/1/note.txt").write_text("")
    assert audit.check_bundle(folder)["fault"] == "records/1/note.txt was added"
    (folder / "records/1/note.txt").unlink()
    (folder / "link").symlink_to(folder / "verify.py")
    assert audit.check_bundle(folder)["fault"] == "link is no plain file"


def reseal(folder: Path, change: Callable[[dict[str, Any]], None] = lambda manifest: None) -> dict[str, Any]:
    """Write the manifest anew, as somebody would who knows how, and check."""
    (folder / "manifest.sig").unlink(missing_ok=True)
    manifest = json.loads((folder / "manifest.json").read_text())
    own = (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("manifest."))
    manifest["files"] = {p.relative_to(folder).as_posix(): _verifier.sha256(p.read_bytes()) for p in own}
    change(manifest)
    (folder / "manifest.json").write_text(text := _verifier.canonical(manifest) + "\n")
    (folder / "manifest.sha256").write_text(_verifier.sha256(text.encode()) + "\n")
    return audit.check_bundle(folder)


def edit(path: Path, change: Callable[[Any], None]) -> None:
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told))


def test_a_record_that_is_rewritten_with_a_new_manifest_is_found(folder: Path) -> None:
    assert reseal(folder)["ok"]
    path = folder / "records/1/record.json"
    raw = path.read_text()
    for column, value in (("decision", "good"), ("seed", 1), ("recipient", None), ("created", "2020-01-01")):
        edit(path, lambda told, c=column, v=value: told["columns"].update({c: v}))  # type: ignore[misc]
        assert reseal(folder)["fault"].startswith("record 1 was changed: ")
        path.write_text(raw)
    edit(path, lambda told: told["arrays"].pop())
    assert not reseal(folder)["ok"]
    path.write_text(raw)
    edit(path, lambda told: told["arrays"][0].update(stored_sha256="0" * 64))
    assert reseal(folder)["fault"].startswith("record 1 was changed: ")
    path.write_text(raw)
    assert reseal(folder)["ok"]


def test_an_array_event_letter_or_chain_that_is_rewritten_is_found(folder: Path) -> None:
    array = next(folder.glob("records/1/arrays/*-x-*.npy"))
    raw = array.read_bytes()
    array.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    assert reseal(folder)["fault"].startswith("record 1: the array x/")
    array.write_bytes(raw)
    letter = folder / "letters/9.txt"
    text = letter.read_text()
    letter.write_text(text.replace("odrzucony", "przyjęty"))
    assert "is not the letter that event 9 put on record" in reseal(folder)["fault"]
    letter.write_text(text)
    event = folder / "events/6/event.json"
    told = event.read_text()
    event.write_text(told.replace("approved", "rejected"))
    assert reseal(folder)["fault"].startswith("event 6 was changed: event")
    event.write_text(told)
    chain = (folder / "chain.jsonl").read_text().splitlines(keepends=True)
    for spoilt in (
        chain[:2] + chain[3:],
        chain[:-1],
        [chain[1], chain[0], *chain[2:]],
        [*chain[:3], chain[2], *chain[3:]],
    ):
        (folder / "chain.jsonl").write_text("".join(spoilt))
        assert not reseal(folder)["ok"]
    (folder / "chain.jsonl").write_text("".join(chain))
    assert not reseal(folder, lambda manifest: manifest.update(records=[1, 2]))["ok"]
    assert not reseal(folder, lambda manifest: manifest.update(records=[1, 2, 7], before="0" * 63 + "1"))["ok"]
    assert reseal(folder, lambda manifest: manifest.update(records=[1, 2, 7], before="0" * 64))["ok"]


def test_a_name_that_stands_twice_is_found(folder: Path) -> None:
    path = folder / "records/1/record.json"
    path.write_text(path.read_text().replace('{"arrays"', '{"arrays":[],"arrays"', 1))
    assert reseal(folder)["fault"] == "record 1: a name stands twice"


def test_an_anchor_that_is_rewritten_is_found(folder: Path) -> None:
    path = folder / "anchors.jsonl"
    raw = path.read_text()
    edit(path, lambda anchor: anchor.update(head="0" * 64))
    assert "another one than that of entry 8" in reseal(folder)["fault"]
    path.write_text(raw)
    edit(path, lambda anchor: anchor.update(created="2020-01-01T00:00:00Z"))
    assert "an anchor is not signed by" in reseal(folder)["fault"]


def test_a_signature_is_that_of_the_key_that_is_expected(
    made: Path, folder: Path, signing: Path, tmp_path: Path
) -> None:
    other = audit.new_signing_key(tmp_path / "other.pem")
    assert "signed by another key" in audit.check_bundle(made, other)["fault"]
    assert alone(made, "--public-key", other, cwd=tmp_path).returncode == 4
    assert alone(made, "--public-key", tmp_path / "none.pub", cwd=tmp_path).returncode == 2
    (folder / "manifest.sig").unlink()
    assert audit.check_bundle(folder)["ok"]
    assert audit.check_bundle(folder, f"{signing}.pub")["fault"] == "the bundle is not signed"
    with pytest.raises(InputError, match="cannot be read"):
        audit.check_bundle(made, tmp_path / "none.pub")


def test_ed25519_agrees_with_cryptography() -> None:
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    rng = np.random.default_rng(0)
    for size in (0, 1, 32, 1000):
        private = ed25519.Ed25519PrivateKey.from_private_bytes(rng.bytes(32))
        public, message = private.public_key().public_bytes_raw(), rng.bytes(size)
        signed = private.sign(message)
        assert _verifier.is_signed(public, message, signed)
        assert not _verifier.is_signed(public, message + b"x", signed)
        for _ in range(5):
            assert not _verifier.is_signed(public, message, changed(signed, rng))
            assert not _verifier.is_signed(changed(public, rng), message, signed)
        high = int.from_bytes(signed[32:], "little") + _verifier.ORDER
        assert not _verifier.is_signed(public, message, signed[:32] + high.to_bytes(32, "little"))
        assert not _verifier.is_signed(public, message, signed[:63])


def test_ed25519_of_the_standard() -> None:
    """RFC 8032, section 7.1, test 2."""
    public = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    signed = (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert _verifier.is_signed(public, b"\x72", bytes.fromhex(signed))
    assert not _verifier.is_signed(public, b"\x73", bytes.fromhex(signed))


@pytest.mark.parametrize("name", ["../out.txt", "/out.txt", "a/../../out.txt", "C:\\out.txt", "a//b", "./a", ""])
def test_unsafe_names_are_refused(made: Path, tmp_path: Path, name: str) -> None:
    assert not _verifier.is_safe(name)
    if name:
        copy = tmp_path / "bundle.zip"
        with zipfile.ZipFile(made) as file:
            files = {n: file.read(n) for n in file.namelist()}
        copy.write_bytes(_verifier.zip_bytes({**files, name: b""}))
        assert "unsafe names" in audit.check_bundle(copy)["fault"]


def test_a_zip_that_was_packed_again_is_told_apart(folder: Path, tmp_path: Path) -> None:
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", folder)
    assert "unpack it, and check the folder" in audit.check_bundle(packed)["fault"]


def test_what_cannot_be_exported(letters_db: str, tmp_path: Path) -> None:
    out = tmp_path / "bundle.zip"
    with pytest.raises(UnknownName, match="99"):
        audit.export(letters_db, [1, 99], out)
    with pytest.raises(UnknownName, match="6"):
        audit.export(letters_db, 6, out)
    with pytest.raises(UsageError, match="at least one"):
        audit.export(letters_db, [], out)
    with pytest.raises(ParameterError, match=r"bundle\.zip"):
        audit.export(letters_db, 1, tmp_path / "bundle.tar")
    (tmp_path / "letter.txt").write_text("Dear Sir")
    with pytest.raises(InputError, match="is no letter about these records"):
        audit.export(letters_db, 1, out, letters=[tmp_path / "letter.txt"])
    with pytest.raises(InputError, match="there is no bundle"):
        audit.check_bundle(out)
    assert not out.exists()


def test_a_chain_that_does_not_hold_is_not_exported(letters_db: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(letters_db.removeprefix("sqlite:///"))) as raw:
        raw.execute("DROP TRIGGER audit_records_no_update")
        raw.execute("UPDATE audit_records SET decision = 'bad' WHERE id = 3")
        raw.commit()
    with pytest.raises(StorageError, match="does not hold, so nothing is exported: record 3 was changed"):
        audit.export(letters_db, 1, tmp_path / "bundle.zip")


def test_handing_it_out_is_put_on_record(letters_db: str, tmp_path: Path) -> None:
    made = audit.export(letters_db, 3, tmp_path / "bundle.zip", recipient="the court", author="Ada")
    event = audit.events(letters_db, 3)[-1]
    assert (event.kind, event.content) == ("export", {"records": [3], "recipient": "the court", "seal": made.seal})


def test_records_of_schema_1_are_exported(tmp_path: Path) -> None:
    copy = shutil.copy(Path(__file__).parent / "schema_1.db", tmp_path / "old.db")
    made = audit.export(f"sqlite:///{copy}", 1, tmp_path / "bundle.zip")
    assert alone(made.path, cwd=tmp_path).returncode == 0
