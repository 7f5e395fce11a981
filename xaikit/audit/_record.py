"""An audit record: what is kept of one explained prediction, and its form as columns and arrays of a database."""

import json
import platform
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from math import isfinite, prod
from typing import Any

import numpy as np

from xaikit import storage
from xaikit.arrays import Array, Tensors
from xaikit.audit._canonical import array_hash, canonical
from xaikit.audit._chain import Columns
from xaikit.errors import StorageError
from xaikit.inputs import specs_from_dict, specs_to_dict
from xaikit.results import Attribution, Attributions, Origin, Status

SCHEMA = 1
HEADER = 4096
"""More bytes than the header of a .npy array of any shape has."""


@dataclass(frozen=True, eq=False)
class AuditRecord:
    """One explained prediction on record: what was asked of which model, what it said, why, and with which evidence.

    `id` counts from 1; `created` is the time in UTC; `source` says how the model was loaded (a name of the zoo or a
    path); `origin` has the method, its parameters after defaults, fingerprint, seed and versions. `x` (1, ...) is the
    encoded input and `display` what a person sees, both None where only the hash was kept. `values`, `parts` and
    `part_values` are as in Attribution, by name where the model has several inputs. `hash` covers all of it and
    `previous`, the hash of the record before.
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

    def __repr__(self) -> str:
        what = f"{self.origin.method} of {self.target_label} for {self.origin.model}"
        return f"<AuditRecord {self.id}: {what}, {self.created}: {self.status}>"


def columns_of(
    result: Attribution | Attributions, source: str | None, keep_input: bool
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
        "input_spec": _canonical(specs_to_dict(every("input_spec")), "input_spec"),
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
    return columns, [_array_row(name, a) for name, a in arrays.items()]


OBJECTS = ("parameters", "explanation", "notes")
"""Columns that are JSON objects with the names of fields."""


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


def record_of(row: Columns, arrays: Iterable[Columns]) -> AuditRecord:
    """Build a record from its columns and arrays. Raises StorageError for what no version of xaikit wrote."""
    if row["schema"] != SCHEMA:
        raise StorageError(
            f"record {row['id']} has schema {row['schema']!r}; this version of xaikit reads schema {SCHEMA}"
        )
    try:
        return _record_of(row, {a["name"]: _array(a) for a in arrays})
    except (KeyError, TypeError, ValueError, AttributeError, EOFError, zlib.error) as error:
        raise StorageError(f"record {row['id']} does not fit its schema: {error!r}") from None


def _array(row: Columns) -> Array:
    """Read an array without unpickling, and never more bytes than its type and shape say."""
    most = np.dtype(row["dtype"]).itemsize * prod(json.loads(row["shape"])) + HEADER
    return np.load(BytesIO(zlib.decompressobj().decompress(row["data"], most)), allow_pickle=False)


def _record_of(row: Columns, arrays: Mapping[str, Array]) -> AuditRecord:
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
        input_spec=specs_from_dict(json.loads(row["input_spec"])),
        output_spec=specs_from_dict(json.loads(row["output_spec"])),
        quality={n: float(v) for n, v in json.loads(row["quality"]).items()},
        status=Status(row["status"], tuple(json.loads(row["reasons"]))),
    )


def _reader(row: Columns, arrays: Mapping[str, Array]) -> Callable[[str], Any]:
    def read(column: str) -> Any:
        own = {n.partition("/")[2]: a for n, a in arrays.items() if n.partition("/")[0] == column}
        value = json.loads(row[column])
        if column in OBJECTS:
            return {n: storage.unpack(v, own) for n, v in value.items()}
        return storage.unpack(value, own)

    return read
