"""An audit record: what is kept of one explained prediction, and its form as columns and arrays of a database."""

import base64
import hashlib
import json
import platform
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from math import isfinite, prod
from typing import Any, Literal

import numpy as np

from xaikit import storage
from xaikit.arrays import Array, Tensors
from xaikit.audit._canonical import array_hash, canonical, text_hash
from xaikit.audit._chain import ARRAY, COLUMNS, GROUPS, SCHEMA, Columns, digest_of, key_digest
from xaikit.audit._keys import ALGORITHM, Key
from xaikit.audit._terms import Terms, decision_of, scores_of
from xaikit.errors import StorageError
from xaikit.inputs import specs_from_dict, specs_to_dict
from xaikit.results import Attribution, Attributions, Counterfactuals, Origin, Status

HEADER = 4096
"""More bytes than the header of a .npy array of any shape has."""
PLAIN, KEYED = "sha256", "hmac-sha256"
"""The kinds of hashes of an input: one that anybody can make, and one that needs the key."""
PRIVATE = ("x", "display", "recipient", "counterfactual")
"""The columns that tell of a person; where a record is encrypted, all of them are, with their arrays."""
ENCRYPTED = "sealed/private"

Privacy = Literal["clear", "hash", "encrypted", "opened", "erased"]
"""Whether the private part lies open, only the hash of the input was kept, it is encrypted, was decrypted, is gone."""


@dataclass(frozen=True, eq=False)
class AuditRecord:
    """One explained prediction on record: what was asked of which model, what it said, why, and with which evidence.

    `id` counts records and events together, from 1; `created` is the time in UTC, never before that of the entry
    before, and `clock` what the clock said where it had gone backwards. `source` says how the model was loaded (a name
    of the zoo or a path); `origin` has the method, its parameters after defaults, fingerprint, input hash (of the kind
    `input_hash_kind`), seed and versions; `card` is the model's card and `preprocessing` the SHA-256 of the input spec.
    `x` (1, ...) is the encoded input and `display` what a person sees, both None where `privacy` says so. `values`,
    `parts` and `part_values` are as in Attribution, by name where the model has several inputs.

    `scores` has the score of every class or value by name, `decision` what the model decides by the `threshold`,
    `taken` what was decided in the end, `involvement` the part that a person had in it. `second` is another method's
    answer (method, parameters, agreement, values), `counterfactual` the smallest changes that turn the decision;
    `without` says why a piece of evidence is not there. `author`, `recipient`, `retention` and `until` are as they were
    given. What schema 1 did not hold is None or empty. `hash` covers all of it and `previous`, the hash of the entry
    before.
    """

    id: int
    schema: int
    created: str
    source: str | None
    origin: Origin
    system: str
    input_spec: Any
    output_spec: Any
    x: Tensors | None
    display: Any
    target: Any
    target_label: str
    prediction: Tensors
    axes: Any
    values: Tensors
    parts: Any
    part_values: Any
    layer: str | None
    quality: Mapping[str, float]
    status: Status
    previous: str
    hash: str
    privacy: Privacy = "clear"
    clock: str | None = None
    card: str | None = None
    card_hash: str | None = None
    preprocessing: str | None = None
    input_hash_kind: str = PLAIN
    scores: Mapping[str, float] | None = None
    decision: str | None = None
    threshold: float | None = None
    taken: str | None = None
    involvement: str | None = None
    evidence: str = "free"
    without: Mapping[str, str] = field(default_factory=dict)
    second: Mapping[str, Any] | None = None
    counterfactual: Counterfactuals | None = None
    author: str | None = None
    recipient: str | None = None
    retention: str | None = None
    until: str | None = None

    def __repr__(self) -> str:
        what = f"{self.origin.method} of {self.target_label} for {self.origin.model}"
        return f"<AuditRecord {self.id}: {what}, {self.created}: {self.status}>"


@dataclass(frozen=True, eq=False)
class Besides:
    """What goes on record beside the explanation; a text in place of evidence says why there is none."""

    terms: Terms = field(default_factory=Terms)
    card: str | None = None
    evidence: str = "free"
    without: Mapping[str, str] = field(default_factory=dict)
    second: Mapping[str, Any] | str = "it was not asked for"
    counterfactual: Counterfactuals | str = "it was not asked for"


def columns_of(
    result: Attribution | Attributions, source: str | None, keep_input: bool, besides: Besides | None = None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Turn the explanation of one sample into the columns of a record and the rows of its arrays.

    What the chain adds (id, time, record number, hashes) is missing yet.
    """
    several = isinstance(result, Attributions)
    each = dict(result) if isinstance(result, Attributions) else {"": result}
    first = next(iter(each.values()))
    origin, arrays = first.origin, dict[str, Array]()

    def every(field: str) -> Any:
        found = {name: getattr(one, field) for name, one in each.items()}
        return found if several else found[""]

    def packed(column: str, value: Any) -> str:
        own: dict[str, Array] = {}
        given = {n: storage.pack(v, own) for n, v in value.items()} if column in OBJECTS else storage.pack(value, own)
        given = _without_odd_numbers(given, own)
        arrays.update({f"{column}/{name}": a for name, a in own.items()})
        return _canonical(given, column)

    quality = {n: float(v[0]) for n, v in first.quality.items()}
    explanation = {f: every(f) for f in ("axes", "values", "parts", "part_values")} | {"layer": first.layer}
    columns = {
        "schema": SCHEMA,
        "source": source,
        "model": origin.model,
        "framework": origin.framework,
        "fingerprint": origin.fingerprint,
        "weights_id": origin.weights_id,
        "input_spec": _canonical(_in_order(specs_to_dict(every("input_spec"))), "input_spec"),
        "output_spec": _canonical(specs_to_dict(first.output_spec), "output_spec"),
        "input_hash": origin.input_hash[0],
        "x": packed("x", every("x") if keep_input else None),
        "display": packed("display", every("display") if keep_input else None),
        "method": origin.method,
        "parameters": packed("parameters", origin.parameters),
        "score": origin.score,
        "target": packed("target", first.target[0]),
        "target_label": first.target_labels[0],
        "seed": int(origin.seed),
        "prediction": packed("prediction", first.prediction),
        "explanation": packed("explanation", explanation),
        "quality": canonical({n: v if isfinite(v) else str(v) for n, v in quality.items()}),
        "status": str(first.status),
        "reasons": canonical(list(first.status.reasons)),
        "notes": packed("notes", origin.notes),
        "device": origin.device,
        "versions": canonical(dict(origin.versions)),
        "system": platform.platform(),
        "seconds": canonical(origin.seconds),
        "model_calls": int(origin.model_calls),
    }
    columns |= _beside(first, str(columns["input_spec"]), besides or Besides(), packed)
    return columns, [_array_row(name, a) for name, a in arrays.items()]


OBJECTS = ("parameters", "explanation", "notes")
"""Columns that are JSON objects with the names of fields."""


def _beside(first: Attribution, spec: str, besides: Besides, packed: Callable[[str, Any], str]) -> dict[str, Any]:
    """Give the columns that schema 2 added, without those of keys and of the clock."""
    terms, today = besides.terms, datetime.now(UTC).date()
    found = scores_of(first.output_spec, first.prediction)
    without = dict(besides.without)
    without |= {n: v for n in ("second", "counterfactual") if isinstance(v := getattr(besides, n), str)}
    card = None if besides.card is None else besides.card.encode()
    return {
        "clock": None,
        "card": packed("card", None if card is None else np.frombuffer(card, np.uint8)),
        "card_hash": None if card is None else hashlib.sha256(card).hexdigest(),
        "preprocessing": text_hash(spec),
        "input_hash_kind": PLAIN,
        "sealed": None,
        "key_hash": None,
        "scores": packed("scores", None if found is None else {"names": found[0], "values": found[1]}),
        "decision": decision_of(first.output_spec, first.prediction, terms.threshold),
        "threshold": None if terms.threshold is None else canonical(float(terms.threshold)),
        "taken": terms.taken,
        "involvement": terms.involvement,
        "evidence": canonical({"level": besides.evidence, "without": without}),
        "second": packed("second", None if "second" in without else besides.second),
        "counterfactual": packed("counterfactual", None if "counterfactual" in without else besides.counterfactual),
        "author": terms.author,
        "recipient": terms.recipient,
        "retention": terms.retention,
        "until": terms.kept_until(today),
    }


def _without_odd_numbers(packed: Any, arrays: dict[str, Array]) -> Any:
    """Move numbers that JSON cannot hold, NaN and infinities, among the arrays."""
    if isinstance(packed, Mapping):
        return {n: _without_odd_numbers(v, arrays) for n, v in packed.items()}
    if isinstance(packed, list):
        return [_without_odd_numbers(v, arrays) for v in packed]
    if not isinstance(packed, float) or isfinite(packed):
        return packed
    name = f"a{len(arrays)}"
    arrays[name] = np.array(packed)
    return {"$": "array", "name": name}


def protected(
    columns: dict[str, Any], arrays: list[dict[str, Any]], key: Key | None, encrypt: bool
) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any] | None]:
    """Put the keyed hash of the input in place of the plain one, and encrypt the private part where asked.

    The third is the data key, wrapped, for the table of keys.
    """
    if key is None:
        return columns, arrays, None
    columns = {**columns, "input_hash": key.hash(columns["input_hash"]), "input_hash_kind": KEYED}
    if not encrypt:
        return columns, arrays, None
    private = [a for a in arrays if _column_of(a) in PRIVATE]
    told = {"columns": {n: columns[n] for n in PRIVATE}, "arrays": [_as_text(a) for a in private]}
    open_ = [a for a in arrays if _column_of(a) not in PRIVATE]
    data, wrapped = key.encrypt(zlib.compress(canonical(told).encode()), _bound(columns, open_))
    own = {"algorithm": ALGORITHM, "wrapped": wrapped}
    empty = {n: None if n == "recipient" else "null" for n in PRIVATE}
    sealed = canonical({"algorithm": ALGORITHM, "key": key.id, "columns": list(PRIVATE)})
    return {**columns, **empty, "sealed": sealed, "key_hash": key_digest(own)}, [*open_, _encrypted_row(data)], own


def _bound(columns: Columns, arrays: Iterable[Columns]) -> str:
    """Give the digest of all that a writer says openly: what is encrypted opens beside that, and in no other record."""
    names = [n for n in COLUMNS if n not in (*PRIVATE, "sealed", "key_hash", "id", "created", "clock")]
    return digest_of(names, columns, sorted(arrays, key=lambda a: str(a["name"])))


def _column_of(array: Columns) -> str:
    return str(array["name"]).partition("/")[0]


def _as_text(array: Columns) -> dict[str, Any]:
    return {**{n: array[n] for n in ARRAY[1:]}, "data": base64.b64encode(array["data"]).decode()}


def _encrypted_row(data: bytes) -> dict[str, Any]:
    sha256 = hashlib.sha256(data).hexdigest()
    return {"name": ENCRYPTED, "dtype": "bytes", "shape": canonical([len(data)]), "sha256": sha256, "data": data}


def opened(
    row: Columns, arrays: list[Columns], wrapped: Columns | None, key: Key | None
) -> tuple[Columns, list[Columns], Privacy]:
    """Undo `protected` as far as the key goes, and say how far that is. Raises StorageError for another key."""
    if row.get("sealed") is None:
        return row, arrays, "clear" if row["x"] != "null" else "hash"
    data = next((a["data"] for a in arrays if a["name"] == ENCRYPTED), None)
    arrays = [a for a in arrays if a["name"] != ENCRYPTED]
    if wrapped is None or key is None or data is None:
        return row, arrays, "erased" if wrapped is None else "encrypted"
    stated = json.loads(row["sealed"])
    if stated["key"] != key.id:
        raise StorageError(f"record {row['id']} was encrypted with the key {stated['key']}, this is {key.id}")
    told = json.loads(zlib.decompress(key.decrypt(data, wrapped["wrapped"], _bound(row, arrays))))
    private = [{**a, "record": row["id"], "data": base64.b64decode(a["data"])} for a in told["arrays"]]
    return {**row, **told["columns"]}, [*arrays, *private], "opened"


def _in_order(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Write the columns of a table as a list of (name, column): canonical JSON keeps the order of no object."""
    if spec.get("kind") == "several":
        return {**spec, "specs": {name: _in_order(own) for name, own in spec["specs"].items()}}
    columns = spec.get("columns")
    return {**spec, "columns": [list(c) for c in columns.items()]} if isinstance(columns, Mapping) else dict(spec)


def _by_name(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Undo `_in_order`; in records of schema 1 columns are sorted by their names."""
    if spec.get("kind") == "several":
        return {**spec, "specs": {name: _by_name(own) for name, own in spec["specs"].items()}}
    columns = spec.get("columns")
    return {**spec, "columns": dict(columns)} if isinstance(columns, list) else dict(spec)


def _canonical(value: Any, column: str) -> str:
    try:
        return canonical(value)
    except ValueError as error:
        raise StorageError(f"the {column} cannot be put on record: {error}") from None


def _array_row(name: str, a: Array) -> dict[str, Any]:
    file = BytesIO()
    np.save(file, np.ascontiguousarray(a), allow_pickle=False)
    return {
        "name": name,
        "dtype": a.dtype.str,
        "shape": canonical(list(a.shape)),
        "sha256": array_hash(a),
        "data": zlib.compress(file.getvalue()),
    }


def record_of(
    row: Columns, arrays: list[Columns], wrapped: Columns | None = None, key: Key | None = None
) -> AuditRecord:
    """Build a record from its columns and arrays, decrypted where the key is given.

    Raises StorageError for what no version of xaikit wrote, and for another key.
    """
    if row["schema"] not in GROUPS:
        known = " and ".join(map(str, GROUPS))
        said = f"record {row['id']} has schema {row['schema']!r}; this version of xaikit reads schema {known}"
        raise StorageError(said)
    try:
        row, arrays, privacy = opened(row, arrays, wrapped, key)
        return _record_of(row, {a["name"]: _array(a) for a in arrays}, privacy)
    except UNREADABLE as error:
        raise StorageError(f"record {row['id']} does not fit its schema: {error!r}") from None


UNREADABLE = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, EOFError, RecursionError, zlib.error)
"""What values raise that no version of xaikit wrote, however well their hashes fit."""
LARGEST = 2**31
"""Bytes of the largest array that is unpacked: a few bytes of zeros, packed, could claim to be any number of them."""


def _array(row: Columns) -> Array:
    """Read an array without unpickling, and never more bytes than its type and shape say."""
    most = np.dtype(row["dtype"]).itemsize * prod(json.loads(row["shape"])) + HEADER
    if most > LARGEST:
        raise ValueError(f"the array {row['name']} claims to have {most} bytes, and at most {LARGEST} are unpacked")
    return np.load(BytesIO(zlib.decompressobj().decompress(row["data"], most)), allow_pickle=False)


def _record_of(row: Columns, arrays: Mapping[str, Array], privacy: Privacy) -> AuditRecord:
    read = _reader(row, arrays)
    origin = Origin(
        **{n: row[n] for n in ("method", "score", "model", "framework", "fingerprint", "weights_id")},
        **{n: row[n] for n in ("seed", "device", "model_calls")},
        parameters=read("parameters"),
        input_hash=(row["input_hash"],),
        versions=json.loads(row["versions"]),
        seconds=json.loads(row["seconds"]),
        notes=read("notes"),
    )
    return AuditRecord(
        **{n: row[n] for n in ("id", "schema", "created", "source", "system", "target_label", "previous", "hash")},
        **{n: read(n) for n in ("x", "display", "target", "prediction")},
        **read("explanation"),
        origin=origin,
        input_spec=specs_from_dict(_by_name(json.loads(row["input_spec"]))),
        output_spec=specs_from_dict(json.loads(row["output_spec"])),
        quality={n: float(v) for n, v in json.loads(row["quality"]).items()},
        status=Status(row["status"], tuple(json.loads(row["reasons"]))),
        privacy=privacy,
        **({} if row["schema"] == 1 else _added(row, read)),
    )


def _added(row: Columns, read: Callable[[str], Any]) -> dict[str, Any]:
    """Read what schema 2 added."""
    card, scores, evidence = read("card"), read("scores"), json.loads(row["evidence"])
    return {
        **{n: row[n] for n in ("clock", "card_hash", "preprocessing", "input_hash_kind", "decision", "taken")},
        **{n: row[n] for n in ("involvement", "author", "recipient", "retention", "until")},
        "card": None if card is None else card.tobytes().decode(),
        "scores": None if scores is None else dict(zip(scores["names"], scores["values"].tolist(), strict=True)),
        "threshold": None if row["threshold"] is None else float(row["threshold"]),
        "evidence": evidence["level"],
        "without": evidence["without"],
        "second": read("second"),
        "counterfactual": read("counterfactual"),
    }


def _reader(row: Columns, arrays: Mapping[str, Array]) -> Callable[[str], Any]:
    def read(column: str) -> Any:
        own = {n.partition("/")[2]: a for n, a in arrays.items() if n.partition("/")[0] == column}
        value = json.loads(row[column])
        if column in OBJECTS:
            return {n: storage.unpack(v, own) for n, v in value.items()}
        return storage.unpack(value, own)

    return read
