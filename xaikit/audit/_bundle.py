"""`export`: records that a third party checks with the standard library of Python alone, in one zip file.

The bundle holds the records and the events about them as they stand in the database, their arrays as .npy files, the
part of the chain from the first of them to its head (of all other entries only digests and hashes), letters, figures, a
technical annex, and the verifier (`_verifier.py`, as verify.py).
"""

import io
import json
import os
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xaikit.audit import _verifier as verifier
from xaikit.audit._anchors import anchored
from xaikit.audit._annex import annex, figures
from xaikit.audit._canonical import canonical, now
from xaikit.audit._chain import ARRAY, Columns, is_event
from xaikit.audit._events import Event, append_event, events
from xaikit.audit._keys import signature
from xaikit.audit._letter import ENDINGS, FORMATS, letter_from
from xaikit.audit._record import AuditRecord, record_of
from xaikit.audit._recording import database, verify
from xaikit.errors import InputError, ParameterError, StorageError, UnknownName, UsageError, not_there
from xaikit.storage import write_atomically

MAIN = """import sys

sys.dont_write_bytecode = True
import verify

sys.exit(verify.main(sys.argv[1:]))
"""
README = """Records of explained predictions, with all that is needed to check them.

    python -I verify.py       in this folder, or
    python -I {name}   on the zip file as it is

Python 3.9 or later is enough; nothing is installed, and nothing is loaded from a network. `python verify.py --help`
says what is checked, and what a check like this cannot tell.

records/N/annex.html    what record N says, as a page
records/N/record.json   the record itself, and arrays/ its numbers, which numpy.load reads
records/N/figures       the explanation as a picture
events/N                what happened to a record afterwards: reviews, letters, erasures
letters                 letters to the person concerned, as they were sent
chain.jsonl             the chain of hashes, from the first record here to its head
"""


@dataclass(frozen=True)
class Bundle:
    """A bundle that was written: where, its seal (the SHA-256 of its manifest), the head of its chain, its records."""

    path: Path
    seal: str
    head: str
    records: tuple[int, ...]
    files: tuple[str, ...]


def export(
    db: str,
    numbers: int | Sequence[int],
    path: str | os.PathLike[str],
    *,
    anchors: str | os.PathLike[str] | None = None,
    sign_key: str | os.PathLike[str] | None = None,
    letters: Iterable[str | os.PathLike[str]] = (),
    recipient: str | None = None,
    author: str | None = None,
) -> Bundle:
    """Write records to a zip file that `python bundle.zip` checks by itself, and give what was written.

    Letters that were noted about the records go with them as they were sent; `letters` names files of others, of which
    only the hash is on record, since their records are encrypted. What is encrypted stays so: a bundle never holds a
    key. `anchors` is a file of noted heads, `sign_key` an Ed25519 key that signs the bundle. With a `recipient` it goes
    on record that the bundle was handed out, and its seal.

    Raises UnknownName for a record that is not there, UsageError for no record or an event, StorageError for a chain
    that does not hold, for what cannot be written, InputError for a letter that is not on record.
    """
    asked = [numbers] if isinstance(numbers, int) else list(numbers)
    known, target = database(db).numbers(), Path(path)
    for number in asked:
        if number not in known:
            raise UnknownName("audit record", number, known)
    if not asked:
        raise UsageError("a bundle holds at least one record: name its number")
    if target.suffix != ".zip":
        raise ParameterError(f"a bundle is a zip file, {target.with_suffix('.zip').name}, not {target.name}")
    anchored(anchors, None)
    found = verify(db, anchors=anchors)
    if found.fault is not None:
        raise StorageError(f"the chain does not hold, so nothing is exported: {found.fault.message}")
    files = _files(db, sorted(set(asked)), found.head, list(map(Path, letters)), target.name)
    if anchors is not None:
        files[verifier.ANCHORS] = Path(anchors).read_bytes()
    files |= _sealed(files, sign_key)
    raw = verifier.zip_bytes(dict(sorted(files.items())))
    write_atomically(target, raw)
    said = verifier.check(str(target))
    if not said["ok"]:
        raise StorageError(f"the bundle {target} does not hold: {said['fault']}")
    made = Bundle(target, said["seal"], said["head"], tuple(said["records"]), tuple(files))
    if recipient is not None:
        content = {"records": list(made.records), "recipient": recipient, "seal": made.seal}
        append_event(db, "export", made.records[0], author=author, content=content)
    return made


def check_bundle(path: str | os.PathLike[str], public_key: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """Check a bundle, a zip file or its unpacked folder, as its own verifier does; take this one where you trust it.

    Gives `ok`, the first `fault` in words, `seal`, `head`, `records` and `notes`. Raises InputError for what is not
    there, and for a file that holds no public key.
    """
    if not Path(path).exists():
        raise InputError(not_there(path, "bundle"))
    try:
        public = None if public_key is None else verifier.public_key_of(str(public_key))
    except (OSError, ValueError) as error:
        raise InputError(f"the public key {public_key} cannot be read: {error}") from None
    return verifier.check(str(path), public)


Files = dict[str, bytes]


def _files(db: str, numbers: list[int], head: str, letters: list[Path], name: str) -> Files:
    """Give all files of a bundle but those that seal it: one walk over the entries, up to the verified head."""
    files: Files = {"README.txt": README.format(name=name).encode(), "__main__.py": MAIN.encode()}
    files["verify.py"] = Path(verifier.__file__).read_bytes()
    lines, first, before, sent = [], 0, "", dict[str, int]()
    told_of = events(db)
    erased = {e.record for e in told_of if e.kind == "erasure"}
    for entry in database(db).entries():
        row, number = entry.columns, int(entry.columns["id"])
        if number < numbers[0]:
            continue
        first, before = (first or number), (before or row["previous"])
        mine = row["record"] in numbers if is_event(row) else number in numbers
        lines.append(_line(row, mine))
        if mine and is_event(row):
            files |= _stored(f"events/{number}", "event", row, [])
            sent |= _letters(files, row, letters)
        elif mine:
            files |= _stored(f"records/{number}", "record", row, entry.arrays)
            about = [e for e in told_of if e.record == number]
            files |= _shown(record_of(row, entry.arrays, next(iter(entry.keys), None)), about, number in erased)
        if row["hash"] == head:
            break
    if letters:
        raise InputError(f"{letters[0]} is no letter about these records: its hash is not on record")
    files[verifier.CHAIN] = "".join(line + "\n" for line in lines).encode()
    told = {"records": numbers, "first": first, "before": before, "head": head, "letters": sent}
    files[verifier.MANIFEST] = json.dumps(told).encode()
    return files


def _line(row: Columns, mine: bool) -> str:
    kind = "left out" if not mine else "event" if is_event(row) else "record"
    return _json({"entry": row["id"], "kind": kind, **{n: row[n] for n in ("digests", "previous", "hash")}})


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _stored(folder: str, kind: str, row: Columns, arrays: list[Columns]) -> Files:
    """One entry as it stands in the database: its columns as JSON, its arrays as .npy files."""
    files: Files = {}
    told = []
    for place, array in enumerate(sorted(arrays, key=lambda a: str(a["name"]))):
        raw = array["dtype"] == "bytes"
        spoken = re.sub(r"[^A-Za-z0-9]+", "-", str(array["name"])).strip("-")
        file = f"arrays/{place:02}-{spoken}.{'bin' if raw else 'npy'}"
        files[f"{folder}/{file}"] = bytes(array["data"]) if raw else _npy(array)
        own = {n: array[n] for n in ARRAY[1:] if n != "data"}
        told.append({**own, "stored_sha256": verifier.sha256(array["data"]), "file": file})
    names = (n for group in _groups(row).values() for n in group)
    files[f"{folder}/{kind}.json"] = (_json({"columns": {n: row[n] for n in names}, "arrays": told}) + "\n").encode()
    return files


def _groups(row: Columns) -> Mapping[str, tuple[str, ...]]:
    return verifier.EVENT if is_event(row) else verifier.GROUPS[row["schema"]]


def _npy(array: Columns) -> bytes:
    """Unpack an array, little-endian, as its hash has it."""
    found = np.load(io.BytesIO(zlib.decompress(array["data"])), allow_pickle=False)
    file = io.BytesIO()
    np.save(file, found.astype(found.dtype.newbyteorder("<"), copy=False), allow_pickle=False)
    return file.getvalue()


def _shown(record: AuditRecord, events: list[Event], erased: bool) -> Files:
    """What a person looks at: figures and the annex."""
    folder = f"records/{record.id}"
    drawn = figures(record)
    page = annex(record, events, drawn, erased).encode()
    return {**{f"{folder}/figures/{n}.png": d for n, d in drawn.items()}, f"{folder}/annex.html": page}


def _letters(files: Files, row: Columns, given: list[Path]) -> dict[str, int]:
    """Add the letters that an event put on record, in the formats of which the hash is still the same."""
    if row["kind"] != "letter":
        return {}
    content, number = json.loads(row["content"]), int(row["id"])
    found: dict[str, int] = {}
    if "letter" in content:
        own = letter_from(content["letter"])
        for name, digest in content["sha256"].items():
            data = own.as_(name) if name in FORMATS else b""
            if verifier.sha256(data) == digest:
                found[f"letters/{number}.{ENDINGS[name]}"] = number
                files[f"letters/{number}.{ENDINGS[name]}"] = data
    for path in list(given):
        data = _bytes(path)
        stated = content.get("sha256", {}).values()
        if verifier.sha256(data) in stated or "hmac_sha256" in content:
            found[name := f"letters/{number}{path.suffix}"] = number
            files[name] = data
            given.remove(path)
    return found


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"the letter {path} cannot be read: {error.strerror}") from None


def _sealed(files: Files, sign_key: str | os.PathLike[str] | None) -> Files:
    """Give the manifest, its hash, and its signature."""
    told = json.loads(files.pop(verifier.MANIFEST))
    created = now()
    hashes = {name: verifier.sha256(data) for name, data in files.items()}
    manifest = {"kind": verifier.KIND, "schema": verifier.SCHEMA, "created": created, "files": hashes, **told}
    text = canonical(manifest) + "\n"
    sealed = {verifier.MANIFEST: text.encode(), verifier.SEAL: f"{verifier.sha256(text.encode())}\n".encode()}
    if sign_key is not None:
        sealed[verifier.SIGNATURE] = (canonical(signature(sign_key, text)) + "\n").encode()
    return sealed
