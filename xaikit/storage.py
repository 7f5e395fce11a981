"""Results on disk: one .npz with the arrays and one .json with everything else; nothing is pickled.

Every result type reads back equal. The JSON names the schema, the type, and for each array its place in the .npz.
"""

import dataclasses
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import numpy as np

from xaikit import inputs, untrusted
from xaikit.arrays import Array
from xaikit.errors import StorageError, not_there
from xaikit.results import RESULTS, Attributions, Status

SCHEMA = 1
TRIED, LITTLE, WORTH = 1 << 12, 512, 0.3
"""Bytes that are tried, those too few to gain anything, and what is to be left of the former."""
Opening = Callable[[str], BinaryIO]
"""Opens the part of a stored result that ends with a suffix: .json or .npz. Raises FileNotFoundError."""
SPECS: tuple[Any, ...] = (*inputs.INPUTS.values(), *inputs.OUTPUTS.values())
TARGETS: tuple[type[Any], ...] = (inputs.Margin, inputs.At, inputs.Region, inputs.ReconstructionError)


def save(result: Any, path: str | os.PathLike[str]) -> Path:
    """Write a result as PATH.npz and PATH.json (a suffix of `path` is dropped), and give the path of the .json.

    Both files appear whole or not at all. Raises StorageError for what is no result or cannot be written.
    """
    place = _without_suffix(Path(path))
    try:
        for suffix, data in to_bytes(result).items():
            write_atomically(place.with_name(place.name + suffix), data)
    except OSError as error:
        raise StorageError(f"the result cannot be written to {place}: {error.strerror or error}") from None
    return place.with_name(place.name + ".json")


def to_bytes(result: Any) -> dict[str, bytes]:
    """Give what is written of a result, by suffix: the arrays first. Raises StorageError for what is no result."""
    if type(result).__name__ not in RESULTS and not isinstance(result, Attributions):
        raise StorageError(f"{type(result).__name__} is no result; save what xk.explain, xk.curves and the like give")
    arrays: dict[str, Array] = {}
    text = _text(pack(result, arrays))
    return {".npz": _archive(arrays), ".json": text.encode()}


def _text(packed: Mapping[str, Any]) -> str:
    """Write a result as JSON with a line for each field: one can read it, and Python's quick encoder writes it."""
    depth = 4 if packed.get("$") == "Attributions" else 2  # where the fields are: those of each, or its own
    return f'{{\n "schema": {SCHEMA},\n "result": {_broken(packed, depth, " ")}\n}}'


def _broken(value: Any, depth: int, indent: str) -> str:
    """Write mappings down to a depth with a line for each entry, and what is deeper on one line."""
    if not depth or not isinstance(value, Mapping) or not value:
        return json.dumps(value, ensure_ascii=False)
    inner = indent + " "
    lines = (f"{inner}{json.dumps(n, ensure_ascii=False)}: {_broken(v, depth - 1, inner)}" for n, v in value.items())
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def _archive(arrays: Mapping[str, Array]) -> bytes:
    """Give the bytes of a .npz; only what becomes smaller is compressed, which the middle of an array is tried for.

    Label maps and pictures of digits shrink to a tenth, at once. A photo that became floats shrinks to a third and its
    map hardly at all, and compressing both takes longer than everything else: 10 ms for 224 × 224.
    """
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, array in arrays.items():
            one = BytesIO()
            np.lib.format.write_array(one, np.asanyarray(array), allow_pickle=False)
            data = one.getvalue()
            middle = data[len(data) // 2 :][:TRIED]
            smaller = len(data) > LITTLE and len(zlib.compress(middle, 1)) < WORTH * len(middle)
            how = zipfile.ZIP_DEFLATED if smaller else zipfile.ZIP_STORED
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), data, how, compresslevel=1)
    return packed.getvalue()


def load(path: str | os.PathLike[str]) -> Any:
    """Read a result that `save` wrote; `path` with or without suffix.

    Raises StorageError if a file is missing, damaged or of an unknown schema.
    """
    return load_from(*_file(path))


def load_from(opening: Opening, name: str) -> Any:
    """Read a result wherever its parts lie; `name` stands in errors, which are those of `load`."""
    with _opened(opening, name) as (packed, stored):
        found = unpack(packed, {name: stored[name] for name in stored})
        if type(found).__name__ not in RESULTS and not isinstance(found, Attributions):
            raise StorageError(f"{name}.json holds a {type(found).__name__}, no result that xk.save wrote")
        return found


def glance(path: str | os.PathLike[str], fields: Iterable[str]) -> list[dict[str, Any]]:
    """Read only these fields of a stored result: one mapping, or of Attributions one for each input.

    Arrays that are not asked for are not read. Raises StorageError as `load` does, and where a field is not there.
    """
    return glance_from(*_file(path), fields)


def glance_from(opening: Opening, name: str, fields: Iterable[str]) -> list[dict[str, Any]]:
    """Read some fields as `glance` does, wherever the parts of the result lie."""
    names = tuple(fields)
    with _opened(opening, name) as (packed, stored):
        results = list(packed["each"].values()) if packed["$"] == "Attributions" else [packed]
        return [{name: unpack(each["fields"][name], stored) for name in names} for each in results]


def _file(path: str | os.PathLike[str]) -> tuple[Opening, str]:
    place = _without_suffix(Path(path))
    return lambda suffix: place.with_name(place.name + suffix).open("rb"), str(place)


@contextmanager
def _opened(opening: Opening, name: str) -> Iterator[tuple[Any, Mapping[str, Array]]]:
    """Open a stored result: what its .json holds, and its arrays, which are read one by one as they are asked for."""
    try:
        with opening(".json") as text:
            described = untrusted.jsonic(text.read().decode())
        if not isinstance(described, Mapping) or described.get("schema") != SCHEMA:
            schema = described.get("schema") if isinstance(described, Mapping) else None
            raise StorageError(f"{name}.json has schema {schema!r}; this version of xaikit reads schema {SCHEMA}")
        with opening(".npz") as file:
            yield described["result"], untrusted.Archive(file)
    except FileNotFoundError as error:
        raise StorageError(not_there(error.filename or name, "stored result")) from None
    except (OSError, ValueError) as error:
        raise StorageError(f"the stored result {name} is damaged: {untrusted.brief(error)}") from None
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        said = untrusted.brief(error)
        raise StorageError(
            f"{name}.json does not fit its arrays or its schema: {type(error).__name__}: {said}"
        ) from None


def _without_suffix(path: Path) -> Path:
    return path.with_suffix("") if path.suffix in (".npz", ".json") else path


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path` through a new file beside it, so that no reader and no error leaves half a file.

    Missing folders are made; an existing file is replaced.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            file.write(data)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def pack(value: Any, arrays: dict[str, Array]) -> Any:
    """Turn a value into JSON types, moving its arrays into `arrays`."""
    if value is None or isinstance(value, bool | int | float) or type(value) is str:
        return value
    if isinstance(value, Status):
        return {"$": "Status", "level": str(value), "reasons": list(value.reasons)}
    if isinstance(value, np.ndarray):
        return _pack_array(value, arrays)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, SPECS):
        return {"$": "spec", "spec": value.to_dict()}
    if isinstance(value, TARGETS):
        return {"$": "target", "target": inputs.target_to_json(value)}
    if isinstance(value, Attributions):
        return {"$": "Attributions", "each": {n: pack(a, arrays) for n, a in value.items()}}
    if type(value).__name__ in RESULTS and dataclasses.is_dataclass(value):
        fields = {f.name: pack(getattr(value, f.name), arrays) for f in dataclasses.fields(value)}
        return {"$": type(value).__name__, "fields": fields}
    if isinstance(value, Mapping):
        return {"$": "mapping", "items": [[pack(k, arrays), pack(v, arrays)] for k, v in value.items()]}
    if isinstance(value, tuple | list):
        return {"$": type(value).__name__, "items": [pack(v, arrays) for v in value]}
    raise StorageError(f"a {type(value).__name__} cannot be stored; results hold arrays, numbers and text")


def _pack_array(value: Array, arrays: dict[str, Array]) -> Any:
    if value.dtype == object:
        return {
            "$": "objects",
            "shape": list(value.shape),
            "items": [pack(v, arrays) for v in value.ravel()],
        }
    name = f"a{len(arrays)}"
    arrays[name] = value
    return {"$": "array", "name": name}


def unpack(value: Any, arrays: Mapping[str, Array]) -> Any:
    """Undo `pack`. Raises KeyError, TypeError or StorageError for what `pack` did not give."""
    if not isinstance(value, Mapping):
        return value
    kind = value["$"]
    if kind in RESULTS:
        return RESULTS[kind](**{n: unpack(v, arrays) for n, v in value["fields"].items()})
    if kind == "array":
        return arrays[value["name"]]
    if kind in ("tuple", "list"):
        items = [unpack(v, arrays) for v in value["items"]]
        return tuple(items) if kind == "tuple" else items
    if kind == "mapping":
        return {unpack(k, arrays): unpack(v, arrays) for k, v in value["items"]}
    if kind == "objects":
        flat = np.empty(len(value["items"]), object)
        flat[:] = [unpack(v, arrays) for v in value["items"]]
        return flat.reshape(value["shape"])
    if kind == "Status":
        return Status(value["level"], tuple(value["reasons"]))
    if kind == "Attributions":
        return Attributions({n: unpack(a, arrays) for n, a in value["each"].items()})
    if kind == "spec":
        return inputs.specs_from_dict(value["spec"])
    if kind == "target":
        return inputs.target_from_json(value["target"])
    raise StorageError(f"a stored value of kind {kind!r} is not known")
