"""Check a bundle of audit records with the standard library of Python 3.9 or later, and nothing else.

    python -I verify.py                   in the unpacked folder
    python -I bundle.zip                  without unpacking
    python -I verify.py bundle.zip --public-key signing.pem.pub

With -I no file beside this one is taken for a part of Python.

Exit code 0: every file is as it was written, and every record and event is the one that its chain of hashes names.
4: something was changed, is missing or was added. 2: there is nothing to check.

What is checked: the SHA-256 of every file by manifest.json, and of that by manifest.sha256; the bytes of the zip file
itself; each record and event by the SHA-256 of its groups of columns, over canonical JSON (RFC 8785), and of its
arrays, by type, shape and bytes; the chain, in which each entry names the hash of the entry before it, also of entries
that are left out here; letters, by the hash that was put on record when they were sent; anchors and signatures
(Ed25519, RFC 8032).

What this cannot tell: whoever writes a whole new bundle also writes new hashes. So compare the head of the chain, or
the seal of the bundle, with what was noted elsewhere, or ask for a signature and check it with --public-key. And take
verify.py itself from somebody you trust.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import os
import re
import stat
import struct
import sys
import zipfile
import zlib
from io import BytesIO
from typing import Any

MANIFEST, SEAL, SIGNATURE = "manifest.json", "manifest.sha256", "manifest.sig"
CHAIN, ANCHORS = "chain.jsonl", "anchors.jsonl"
APART = (MANIFEST, SEAL, SIGNATURE)
KIND, SCHEMA = "xaikit-audit-bundle", 1

# Which columns stand in which group, by the schema of a record: spelt out, since nothing else may be needed here.
Files = dict[str, bytes]
Groups = dict[str, tuple[str, ...]]
Point = tuple[int, int, int, int]

FIRST: Groups = {
    "record": ("id", "schema", "created"),
    "model": ("source", "model", "framework", "fingerprint", "weights_id", "input_spec", "output_spec"),
    "input": ("input_hash", "x", "display"),
    "question": ("method", "parameters", "score", "target", "target_label", "seed"),
    "prediction": ("prediction",),
    "result": ("explanation", "quality", "status", "reasons", "notes"),
    "environment": ("device", "versions", "system", "seconds", "model_calls"),
}
ADDED: Groups = {
    "record": ("clock",),
    "model": ("card", "card_hash", "preprocessing"),
    "input": ("input_hash_kind", "sealed", "key_hash"),
    "prediction": ("scores", "decision", "threshold", "taken", "involvement"),
    "evidence": ("evidence", "second", "counterfactual"),
    "people": ("author", "recipient", "retention", "until"),
}
GROUPS: dict[int, Groups] = {
    1: FIRST,
    2: {group: FIRST.get(group, ()) + ADDED.get(group, ()) for group in {**FIRST, **ADDED}},
}
EVENT: Groups = {"record": ("id", "schema", "created", "clock"), "event": ("kind", "record", "author", "content")}


class Fault(Exception):
    """Something is not as it was written."""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def canonical(value: Any) -> str:
    """Canonical JSON of objects with ASCII names that hold text and whole numbers."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def text_hash(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass"))


def parsed(data: bytes, where: str) -> Any:
    """Read JSON in which no name stands twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise Fault(f"{where}: a name stands twice")
        return dict(pairs)

    try:
        return json.loads(data.decode("ascii"), object_pairs_hook=once)
    except ValueError:
        raise Fault(f"{where} is no JSON") from None


# --- files -----------------------------------------------------------------------------------------------------------


def is_safe(name: str) -> bool:
    """Whether a name stays inside the folder that it is unpacked to, on any system."""
    parts = name.split("/")
    return bool(re.fullmatch(r"[A-Za-z0-9_./-]+", name)) and not any(p in ("", ".", "..") for p in parts)


def zip_bytes(files: Files) -> bytes:
    """Write files, uncompressed and without times, so that the same files always give the same bytes."""
    body, table = BytesIO(), BytesIO()
    for name, data in files.items():
        raw, where = name.encode("ascii"), body.tell()
        fields = (20, 0, 0, 0, 33, zlib.crc32(data), len(data), len(data), len(raw), 0)
        body.write(b"PK\x03\x04" + struct.pack("<5H3I2H", *fields) + raw + data)
        mode = (stat.S_IFREG | 0o644) << 16
        table.write(b"PK\x01\x02" + struct.pack("<6H3I5H2I", 0x314, *fields, 0, 0, 0, mode, where) + raw)
    start, size = body.tell(), table.tell()
    if start + size >= 2**32 or len(files) >= 2**16:
        raise Fault("a bundle has less than 4 GB and 65,536 files")
    end = struct.pack("<4H2IH", 0, 0, len(files), len(files), size, start, 0)
    return body.getvalue() + table.getvalue() + b"PK\x05\x06" + end


def of_zip(path: str) -> Files:
    """Give the files of a zip file, of which every byte is as `zip_bytes` writes it."""
    with open(path, "rb") as file:
        raw = file.read()
    try:
        with zipfile.ZipFile(BytesIO(raw)) as file:
            entries = file.infolist()
            names = [e.filename for e in entries]
            if any(e.compress_type != zipfile.ZIP_STORED or e.flag_bits for e in entries):
                raise Fault("the zip file was written anew: unpack it, and check the folder")
            if not all(map(is_safe, names)) or len(set(names)) != len(names):
                raise Fault("the zip file has unsafe names, or one of them twice")
            files = {e.filename: file.read(e) for e in entries}
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, struct.error, OSError) as error:
        raise Fault(f"the zip file is damaged: {error}") from None
    if zip_bytes(files) != raw:
        raise Fault("the zip file is not as it was written; unpack it, and check the folder, to see where")
    return files


def of_folder(path: str) -> Files:
    """Give the files of a folder by their paths; no link is followed."""
    files: Files = {}
    for folder, below, names in os.walk(path):
        for name in [*below, *names]:
            whole = os.path.join(folder, name)
            told = os.path.relpath(whole, path).replace(os.sep, "/")
            if os.path.islink(whole) or not (os.path.isdir(whole) or os.path.isfile(whole)):
                raise Fault(f"{told} is no plain file")
            if name in names:
                with open(whole, "rb") as file:
                    files[told] = file.read()
    return files


def manifest_of(files: Files) -> Any:
    """Read the manifest, and hold every file against it."""
    for name in (MANIFEST, SEAL):
        if name not in files:
            raise Fault(f"{name} is missing")
    if files[SEAL] != (sha256(files[MANIFEST]) + "\n").encode():
        raise Fault(f"{MANIFEST} or {SEAL} was changed: they do not fit")
    manifest = parsed(files[MANIFEST], MANIFEST)
    if manifest.get("kind") != KIND or manifest.get("schema") != SCHEMA:
        raise Fault(f"this is no bundle that this verifier knows: {manifest.get('kind')} {manifest.get('schema')}")
    stated = manifest["files"]
    for name in sorted({*stated, *files} - set(APART)):
        if name not in files:
            raise Fault(f"{name} is missing")
        if name not in stated:
            raise Fault(f"{name} was added")
        if sha256(files[name]) != stated[name]:
            raise Fault(f"{name} was changed")
    return manifest


# --- records, events, chain ------------------------------------------------------------------------------------------


def cell(value: Any) -> Any:
    """A value of a database as JSON types, each type apart: text, number, nothing."""
    if value is None or isinstance(value, str):
        return value
    return {"number": repr(value)}


def digests_of(columns: Any, arrays: list[Any], groups: Groups) -> dict[str, str]:
    """The SHA-256 of each group of columns, and of its arrays in the order of their names."""
    own: dict[str, list[Any]] = {group: [] for group in groups}
    for array in sorted(arrays, key=lambda a: a["name"]):
        column = array["name"].partition("/")[0]
        group = next((g for g, names in groups.items() if column in names), "result")
        told = [cell(array[n]) for n in ("name", "dtype", "shape", "sha256")]
        own[group].append([*told, {"bytes": array["stored_sha256"]}])
    return {
        group: text_hash(canonical({"columns": {n: cell(columns[n]) for n in names}, "arrays": own[group]}))
        for group, names in groups.items()
    }


def array_hash(data: bytes, where: str) -> str:
    """The SHA-256 over the type, shape and bytes of an array in the .npy format, version 1 to 3."""
    if data[:6] != b"\x93NUMPY" or data[6] not in (1, 2, 3):
        raise Fault(f"{where} is no .npy file")
    size = 2 if data[6] == 1 else 4
    start = 8 + size + int.from_bytes(data[8 : 8 + size], "little")
    header = ast.literal_eval(data[8 + size : start].decode("utf-8").strip())
    if header["fortran_order"]:
        raise Fault(f"{where} is not in C order")
    return sha256(f"{header['descr']}\0{header['shape']}\0".encode() + data[start:])


def entry_fault(files: Files, folder: str, line: Any) -> str | None:
    """Say what is wrong with one record or event; None if it is the one that the chain names."""
    what = f"{line['kind']} {line['entry']}"
    told = parsed(files[f"{folder}/{line['kind']}.json"], what)
    columns, arrays = told["columns"], told["arrays"]
    if columns["id"] != line["entry"]:
        return f"{what}: it is entry {columns['id']}"
    for array in arrays:
        data = files[f"{folder}/{array['file']}"]
        hashed = sha256(data) if array["dtype"] == "bytes" else array_hash(data, f"{folder}/{array['file']}")
        if hashed != array["sha256"]:
            return f"{what}: the array {array['name']} was changed"
    groups = EVENT if line["kind"] == "event" else GROUPS[columns["schema"]]
    found, stated = digests_of(columns, arrays, groups), json.loads(line["digests"])
    wrong = [group for group in sorted({*found, *stated}) if found.get(group) != stated.get(group)]
    return f"{what} was changed: {', '.join(wrong)}" if wrong else None


def chain_of(files: Files, manifest: Any) -> list[Any]:
    """Read the part of the chain, and check that each entry follows the one before it."""
    lines = [parsed(line, CHAIN) for line in files[CHAIN].splitlines()]
    previous, number = manifest["before"], manifest["first"]
    for line in lines:
        if line["entry"] != number or line["previous"] != previous:
            raise Fault(f"entry {line['entry']} does not follow entry {number - 1}")
        if line["hash"] != text_hash(canonical({"digests": line["digests"], "previous": line["previous"]})):
            raise Fault(f"the hash of entry {number} is another one")
        previous, number = line["hash"], number + 1
    if previous != manifest["head"]:
        raise Fault("the chain does not end with the head that the bundle names")
    return lines


def letters_of(files: Files, manifest: Any) -> list[str]:
    """Hold letters against the hashes that were put on record; say which cannot be."""
    notes = []
    for name, number in sorted(manifest["letters"].items()):
        event = parsed(files[f"events/{number}/event.json"], f"event {number}")["columns"]
        hashes = json.loads(event["content"]).get("sha256")
        if hashes is None:
            notes.append(f"{name}: the hash on record is a keyed one, so only who has the key can check it")
        elif sha256(files[name]) not in hashes.values():
            raise Fault(f"{name} is not the letter that event {number} put on record")
        else:
            notes.append(f"{name}: as sent, by event {number}")
    return notes


def anchors_of(files: Files, lines: list[Any], public: str | None) -> list[str]:
    """Hold noted heads, and their signatures, against the chain."""
    known = {line["entry"]: line["hash"] for line in lines}
    notes = []
    for text in files.get(ANCHORS, b"").splitlines():
        anchor = parsed(text, ANCHORS)
        number = anchor["entries"]
        if number in known and known[number] != anchor["head"]:
            raise Fault(f"the head noted on {anchor['created']} is another one than that of entry {number}")
        signed = "" if "signature" not in anchor else f", signed by {anchor['public_key']}"
        said = canonical({n: anchor[n] for n in ("entries", "head", "created")})
        if signed or public:
            require_signed(public or anchor["public_key"], said, anchor.get("signature"), "an anchor")
        where = "its head is that of" if number in known else "the bundle does not reach"
        notes.append(f"noted on {anchor['created']}: {where} entry {number}{signed}")
    return notes


# --- Ed25519 (RFC 8032, section 5.1) ---------------------------------------------------------------------------------

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def add(a: Point, b: Point) -> Point:
    """Add two points in extended coordinates."""
    A, B = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    C, E = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = B - A, E - C, E + C, B + A
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(number: int, point: Point) -> Point:
    """Multiply a point by a number."""
    found = (0, 1, 1, 0)
    while number:
        if number & 1:
            found = add(found, point)
        point, number = add(point, point), number >> 1
    return found


def point_of(data: bytes) -> Point | None:
    """Decode a point; None where there is none, or where it is not written in the one way."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if len(data) != 32 or y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def is_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether an Ed25519 signature (64 bytes) is that of a message by a public key (32 bytes)."""
    if len(signature) != 64 or len(public) != 32:
        return False
    key, r, s = point_of(public), point_of(signature[:32]), int.from_bytes(signature[32:], "little")
    base = point_of((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
    if key is None or r is None or base is None or s >= ORDER:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % ORDER
    left, right = times(s, base), add(r, times(h, key))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


def require_signed(public: Any, text: str, signature: Any, what: str) -> None:
    """Raise Fault for what is not signed by a key; keys and signatures are hexadecimal digits in lower case."""
    digits = re.compile("(?:[0-9a-f]{2})+")
    if not all(isinstance(t, str) and digits.fullmatch(t) for t in (public, signature)):
        raise Fault(f"{what} is not signed")
    if not is_signed(bytes.fromhex(public), text.encode(), bytes.fromhex(signature)):
        raise Fault(f"{what} is not signed by {public}, or was changed since")


def public_key_of(given: str) -> str:
    """Read a public key: hexadecimal digits, or a file of it in PEM."""
    if re.fullmatch("[0-9a-f]{64}", given):
        return given
    with open(given, encoding="ascii") as file:
        text = "".join(line.strip() for line in file if not line.startswith("-----"))
    data = base64.b64decode(text, validate=True)
    if len(data) != 44 or data[:12].hex() != "302a300506032b6570032100":
        raise ValueError(f"{given} holds no Ed25519 public key in PEM")
    return data[12:].hex()


# --- all of it -------------------------------------------------------------------------------------------------------


def seal_notes(files: Files, public: str | None) -> list[str]:
    """Check the signature of the manifest, where there is one or one is asked for."""
    if SIGNATURE not in files:
        if public:
            raise Fault("the bundle is not signed")
        return []
    signed = parsed(files[SIGNATURE], SIGNATURE)
    if files[SIGNATURE] != (canonical(signed) + "\n").encode() or set(signed) != {"public_key", "signature"}:
        raise Fault(f"{SIGNATURE} is not as it was written")
    if public and signed["public_key"] != public:
        raise Fault(f"the bundle is signed by another key, {signed['public_key']}")
    require_signed(signed["public_key"], files[MANIFEST].decode(), signed["signature"], "the bundle")
    return [f"signed by {signed['public_key']}" + ("" if public else ": is it the key that you expect?")]


def checked(files: Files, public: str | None = None) -> dict[str, Any]:
    """Check all files, and give what is known then: seal, head, records and notes. Raises Fault."""
    manifest = manifest_of(files)
    notes = seal_notes(files, public)
    lines = chain_of(files, manifest)
    there = [line for line in lines if line["kind"] != "left out"]
    for line in there:
        fault = entry_fault(files, f"{line['kind']}s/{line['entry']}", line)
        if fault:
            raise Fault(fault)
    told = {line["entry"] for line in there if line["kind"] == "record"}
    if told != set(manifest["records"]):
        raise Fault(f"the bundle names the records {manifest['records']}, and has {sorted(told)}")
    notes += [*privacy_notes(files, there), *letters_of(files, manifest), *anchors_of(files, lines, public)]
    left = len(lines) - len(there)
    if left:
        notes.append(f"entries about other records that are left out, of which there are the hashes alone: {left}")
    return {"seal": sha256(files[MANIFEST]), "head": manifest["head"], "records": sorted(told), "notes": notes}


def privacy_notes(files: Files, there: list[Any]) -> list[str]:
    """Say which inputs are not here to be seen."""
    of_kind = {kind: [line["entry"] for line in there if line["kind"] == kind] for kind in ("record", "event")}
    events = [parsed(files[f"events/{n}/event.json"], f"event {n}")["columns"] for n in of_kind["event"]]
    erased = {e["record"]: e for e in events if e["kind"] == "erasure"}
    notes = []
    for number in of_kind["record"]:
        columns = parsed(files[f"records/{number}/record.json"], f"record {number}")["columns"]
        if number in erased:
            event = erased[number]
            said = f"record {number}: its private part was erased on {event['created']}, by event {event['id']}"
            notes.append(f"{said}: nobody can read it again")
        elif columns.get("sealed") is not None:
            notes.append(f"record {number}: its private part is encrypted, and as it was written")
        elif columns["x"] == "null":
            notes.append(f"record {number}: only the hash of its input was kept")
    return notes


def check(path: str, public_key: str | None = None) -> dict[str, Any]:
    """Check a bundle, a folder or a zip file; gives {"ok", "fault", "seal", "head", "records", "notes"}."""
    empty: dict[str, Any] = {"seal": None, "head": None, "records": [], "notes": []}
    try:
        public = None if public_key is None else public_key_of(str(public_key))
        files = of_zip(path) if os.path.isfile(path) else of_folder(path)
        return {"ok": True, "fault": None, **checked(files, public)}
    except Fault as fault:
        return {"ok": False, "fault": str(fault), **empty}
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, SyntaxError, RecursionError) as error:
        return {"ok": False, "fault": f"the bundle does not fit its schema: {error!r}", **empty}


def told(found: dict[str, Any]) -> str:
    """Say of a bundle that is whole what it holds."""
    lines = [f"whole: records {', '.join(map(str, found['records']))}", *found["notes"]]
    return "\n".join([*lines, f"head of the chain  {found['head']}", f"seal of the bundle {found['seal']}"])


def main(arguments: list[str]) -> int:
    """Check the bundle that is named, or the one that this file lies in; gives the exit code."""
    public, paths = None, list(arguments)
    if "--public-key" in paths[:-1]:
        place = paths.index("--public-key")
        public, paths = paths[place + 1], paths[:place] + paths[place + 2 :]
    path = paths[0] if paths else os.path.dirname(os.path.abspath(__file__))
    if len(paths) > 1 or path.startswith("-") or not os.path.exists(path):
        sys.stderr.write((__doc__ or "") if path in ("-h", "--help") else f"there is no bundle {path}\n")
        return 0 if path in ("-h", "--help") else 2
    try:
        if public is not None:
            public = public_key_of(public)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"the public key: {error}\n")
        return 2
    found = check(path, public)
    if not found["ok"]:
        sys.stdout.write(f"NOT AS IT WAS WRITTEN: {found['fault']}\n")
        return 4
    sys.stdout.write(told(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.exit(main(sys.argv[1:]))
