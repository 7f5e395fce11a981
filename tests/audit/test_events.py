"""Keys, encryption and erasure; reviews by another person; heads noted and signed elsewhere."""

import json
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numpy.testing import assert_array_equal

from tests.audit.conftest import Store
from xaikit import audit
from xaikit.attribution import explain
from xaikit.audit import _keys
from xaikit.audit._keys import Key
from xaikit.errors import MissingPackage, ParameterError, StorageError, UnknownName, UsageError

pytestmark = pytest.mark.slow


def test_a_keyed_hash_is_not_the_hash(store: Store, model: Any, picture: Any, key: Key) -> None:
    plain, keyed = audit.read(store.url, 1), audit.read(store.url, 4)
    assert (plain.input_hash_kind, keyed.input_hash_kind) == ("sha256", "hmac-sha256")
    found = explain(model, picture(4), "saliency").origin.input_hash[0]
    assert keyed.origin.input_hash == (key.hash(found),)
    assert key.hash(found) not in (found, Key(bytes(32)).hash(found))
    told = json.dumps([[str(v) for v in row] for row in store.rows("SELECT * FROM audit_records WHERE id = 4")])
    assert found not in told


def test_an_encrypted_record_opens_with_its_key_alone(store: Store, model: Any, picture: Any, key: Key) -> None:
    shut, opened = audit.read(store.url, 4), audit.read(store.url, 4, key)
    assert (shut.privacy, shut.x, shut.display, shut.recipient) == ("encrypted", None, None, None)
    assert (opened.privacy, opened.recipient) == ("opened", "no. 8")
    assert_array_equal(opened.x, explain(model, picture(4), "saliency").x)
    assert_array_equal(opened.values, shut.values)
    assert "no. 8" not in str(store.content())
    with pytest.raises(StorageError, match=f"was encrypted with the key {key.id}, this is"):
        audit.read(store.url, 4, Key(bytes(32)))


def test_replays_of_keyed_and_encrypted_records(store: Store, model: Any, picture: Any, key: Key) -> None:
    opened, shut = audit.read(store.url, 4, key), audit.read(store.url, 4)
    assert audit.replay(opened, model, key=key).verdict == "equal"
    assert audit.replay(opened, model).verdict == "equal", "the input itself is the same"
    assert "give the key" in audit.replay(shut, model).reason
    assert audit.replay(shut, model, x=picture(4), key=key).verdict == "equal"
    assert audit.replay(shut, model, x=picture(5), key=key).verdict == "refused"
    assert "a keyed one: give the key" in audit.replay(shut, model, x=picture(4)).reason


def test_an_erased_record_is_gone_and_the_chain_is_whole(store: Store, key: Key) -> None:
    (wrapped,), *_ = store.rows("SELECT wrapped FROM audit_keys WHERE record = 4")
    head = store.verify().head
    made = audit.erase(store.url, 4, author="Ada", reason="asked for")
    assert (made.id, made.kind, made.record, made.author) == (8, "erasure", 4, "Ada")
    read = audit.read(store.url, 4, key)
    assert (read.privacy, read.x, read.recipient) == ("erased", None, None)
    assert store.rows("SELECT * FROM audit_keys") == []
    if store.kind == "sqlite":
        assert bytes(wrapped) not in Path(store.url.removeprefix("sqlite:///")).read_bytes()
    found = store.verify(head=head)
    assert (found.fault, found.noted, found.guarded) == (None, 7, True)
    with pytest.raises(UsageError, match="record 4 was erased before"):
        audit.erase(store.url, 4, author="Ada", reason="again")
    with pytest.raises(UsageError, match="record 1 was not encrypted"):
        audit.erase(store.url, 1, author="Ada", reason="asked for")


def test_a_review_is_by_another_person(store: Store) -> None:
    made = audit.review(store.url, 1, reviewer="Cleo", verdict="questioned", comment="why?")
    assert (made.kind, made.author, made.content["comment"]) == ("review", "Cleo", "why?")
    assert made.content["reviewed"] == audit.read(store.url, 1).hash
    assert [e.author for e in audit.events(store.url, 1)] == ["Bob", "Cleo"]
    assert [e.kind for e in audit.events(store.url)] == ["review", "erasure", "review"]
    for reviewer, verdict, number, error, said in (
        ("  ada", "approved", 1, ParameterError, "record 1 is by Ada: another person"),
        ("Bob", "aproved", 1, ParameterError, "did you mean 'approved'"),
        ("Bob", "approved", 2, ParameterError, "record 2 names no author, who must be"),
        ("", "approved", 1, ParameterError, "reviewer is a text"),
        ("Bob", "approved", 6, UsageError, "entry 6 is an event: review"),
        ("Bob", "approved", 77, UnknownName, "unknown audit record '77'"),
    ):
        with pytest.raises(error, match=said):
            audit.review(store.url, number, reviewer=reviewer, verdict=verdict)
    assert store.verify().entries == 8


def test_a_record_that_names_no_author_is_reviewed_where_one_is_said(store: Store) -> None:
    made = audit.review(store.url, 2, reviewer="Bob", verdict="approved", author="Cleo")
    assert made.content == {
        "verdict": "approved",
        "comment": "",
        "reviewed": made.content["reviewed"],
        "author": "Cleo",
    }
    assert "author" not in audit.review(store.url, 1, reviewer="Bob", verdict="approved", author="ada ").content
    for number, reviewer, author, said in (
        (2, "Bob", None, "name who made it, author"),
        (2, "bob", "Bob", "record 2 is by Bob: another person"),
        (1, "Bob", "Cleo", "record 1 is by Ada, not by Cleo"),
        (2, "Bob", " ", "author is a text that says something"),
    ):
        with pytest.raises(ParameterError, match=said):
            audit.review(store.url, number, reviewer=reviewer, verdict="approved", author=author)
    assert store.verify().entries == 9


def test_what_is_encrypted_opens_in_no_other_record(store: Store, key: Key) -> None:
    """A forger without the key puts what is encrypted, and its data key, into a record that says something else."""
    entry = audit.database(store.url).entry(4)
    drop = ("id", "created", "clock", "digests", "previous", "hash")
    columns = {n: v for n, v in entry.columns.items() if n not in drop}
    arrays = [{n: v for n, v in a.items() if n != "record"} for a in entry.arrays]
    data_key = {n: v for n, v in entry.keys[0].items() if n != "record"}
    open_ = [a for a in arrays if a["name"] != "sealed/private"]
    others = {**columns, "decision": "O"}, [{**a, "dtype": "<f2"} if a is open_[-1] else a for a in arrays]
    for place, told in enumerate(((columns, arrays), (others[0], arrays), (columns, others[1])), start=8):
        audit.database(store.url).append(*told, data_key)
        if place == 8:
            assert audit.read(store.url, place, key).recipient == "no. 8", "the same record once more"
            continue
        assert store.verify().ok
        with pytest.raises(StorageError, match="cannot be decrypted: the key is another one, or it was changed"):
            audit.read(store.url, place, key)


def test_any_event_can_be_added_but_an_erasure(store: Store) -> None:
    made = audit.append_event(store.url, "letter", 1, author="Ada", content={"language": "pl", "sha256": "0" * 64})
    assert audit.events(store.url, 1)[-1] == made
    for kind, record, content, error in (
        ("letter", 9, {}, UnknownName),
        ("erasure", 4, {}, UsageError),
        ("letter", 1, {"a": float("nan")}, ParameterError),
    ):
        with pytest.raises(error):
            audit.append_event(store.url, kind, record, content=content)
    assert store.verify().entries == 8


def test_an_event_is_no_record(store: Store) -> None:
    assert audit.numbers(store.url) == [1, 2, 3, 4, 5]
    with pytest.raises(UsageError, match="entry 6 is an event: review"):
        audit.read(store.url, 6)


def test_keys_are_made_once_and_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.key"
    made = audit.new_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert audit.key_of(path) == made
    assert made.secret.hex() not in repr(made)
    with pytest.raises(UsageError, match="a key is never overwritten"):
        audit.new_key(path)
    assert audit.key_of(None) is None
    monkeypatch.setenv("XAIKIT_AUDIT_KEY", made.secret.hex())
    assert audit.key_of(None) == made
    monkeypatch.setenv("XAIKIT_AUDIT_KEY", "abc")
    with pytest.raises(StorageError, match="XAIKIT_AUDIT_KEY holds no key: 64 hexadecimal digits"):
        audit.key_of(None)
    with pytest.raises(StorageError, match="there is no key file"):
        audit.key_of(tmp_path / "gone")


@pytest.mark.parametrize("there", ["pair", "pair.pub"])
def test_a_pair_is_made_whole_or_not_at_all(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("mine")
    with pytest.raises(UsageError, match=f"{there} is there already"):
        audit.new_signing_key(tmp_path / "pair")
    assert [p.name for p in tmp_path.iterdir()] == [there]
    made = audit.new_signing_key(tmp_path / "other")
    modes = [stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "other", made)]
    assert modes == [0o600, 0o644]


def test_what_is_encrypted_is_bound_to_its_place(key: Key) -> None:
    data, wrapped = key.encrypt(b"secret", "one")
    assert key.decrypt(data, wrapped, "one") == b"secret"
    again = key.encrypt(b"secret", "one")
    assert data not in again
    for spoilt in ((data[:-1] + b"\0", wrapped, "one"), (data, again[1], "one"), (data, wrapped, "two")):
        with pytest.raises(StorageError, match="cannot be decrypted"):
            key.decrypt(*spoilt)


@pytest.mark.parametrize(("how", "said"), [({}, "encrypt needs a key"), ({"keep_input": False}, "keep_input=False")])
def test_encrypting_needs_a_key_and_an_input(
    model: Any, picture: Any, key: Key, tmp_path: Path, how: dict[str, Any], said: str
) -> None:
    given = {"key": key} if how else {}
    with pytest.raises(UsageError, match=said):
        audit.record(model, picture(1), "saliency", db=f"sqlite:///{tmp_path / 'a.db'}", encrypt=True, **how, **given)
    assert list(tmp_path.iterdir()) == []


def test_signed_anchors(store: Store, tmp_path: Path) -> None:
    file, signing, other = (tmp_path / n for n in ("anchors.jsonl", "signing.pem", "other.pem"))
    public, foreign = audit.new_signing_key(signing), audit.new_signing_key(other)
    first = audit.anchor(store.url, file, sign_key=signing)
    audit.review(store.url, 1, reviewer="Cleo", verdict="approved")
    second = audit.anchor(store.url, file, sign_key=signing)
    assert (first.entries, second.entries) == (7, 8)
    assert store.verify(anchors=file, public_key=public).ok
    with pytest.raises(StorageError, match="line 1: not signed by the key"):
        store.verify(anchors=file, public_key=foreign)
    lines = file.read_text()
    file.write_text(lines.replace('"entries":8', '"entries":7'))
    with pytest.raises(StorageError, match="another head for entry 7"):
        store.verify(anchors=file)
    with pytest.raises(StorageError, match="line 2: not signed by"):
        store.verify(anchors=file, public_key=public)
    file.write_text(lines)
    store.run("DELETE FROM audit_events WHERE id = 8")
    assert store.verify().ok
    fault = store.verify(anchors=file, public_key=public).fault
    assert fault is not None
    assert (fault.record, fault.kind) == (8, "truncated")
    with pytest.raises(StorageError, match="entry 8 no longer has the noted head"):
        audit.anchor(store.url, file)
    assert file.read_text() == lines


@pytest.mark.parametrize("text", ["", "no json\n", "{}\n", '{"entries": "7", "head": "", "created": ""}\n', "[]\n"])
def test_what_is_no_anchor_is_refused(store: Store, tmp_path: Path, text: str) -> None:
    (tmp_path / "anchors").write_text(text)
    with pytest.raises(StorageError, match="anchor"):
        store.verify(anchors=tmp_path / "anchors")


def test_a_public_key_needs_anchors(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name their file too"):
        store.verify(public_key=tmp_path / "key.pub")
    with pytest.raises(StorageError, match="there is no file of anchors"):
        store.verify(anchors=tmp_path / "gone")


def test_verifying_needs_no_cryptography(store: Store) -> None:
    program = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from xaikit import audit; print(audit.verify(sys.argv[1]).ok, audit.read(sys.argv[1], 4).privacy)"
    )
    done = subprocess.run([sys.executable, "-c", program, store.url], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "encrypted"]


@pytest.mark.parametrize(
    ("asked", "purpose"),
    [
        (lambda: _keys.new_signing_key("own"), "a signature"),
        (lambda: _keys.signature("own", "text"), "a signature"),
        (lambda: _keys.is_signed("own.pub", "text", "00"), "a signature"),
        (lambda: _keys._decrypted(bytes(32), bytes(40), "record"), "an encrypted input"),
    ],
)
def test_without_cryptography_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch, asked: Callable[[], Any], purpose: str
) -> None:
    for name in [*(n for n in sys.modules if n.partition(".")[0] == "cryptography"), "cryptography"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingPackage, match=rf"{purpose} needs cryptography, .* pip install 'xaikit\[audit\]'"):
        asked()
