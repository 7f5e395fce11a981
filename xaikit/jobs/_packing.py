"""A unit as bytes, which another process or machine reads again: JSON and plain arrays, never a pickle."""

import io
import json
import math
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import StorageError
from xaikit.inputs import specs_from_dict, specs_to_dict, target_from_json, target_to_json
from xaikit.jobs.unit import SPECS, TARGETS, Unit, no_part_of_a_unit, read_as_input

TEXT = "unit"
FORMAT = 1


def packed(unit: Unit, *, content: bool = False) -> bytes:
    """Give a unit as bytes. With `content` a file travels whole, for readers that cannot see it; else its path does.

    Raises ParameterError for what is no plain data, InputError for a file that cannot be read.
    """
    arrays: list[Array] = []
    fields = {name: _down(getattr(unit, name), arrays, content) for name in Unit.__dataclass_fields__}
    text = json.dumps({"format": FORMAT, **fields}, allow_nan=False).encode()
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as file:
        file.writestr(TEXT, text)
        for number, array in enumerate(arrays):
            with file.open(str(number), "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return data.getvalue()


def unpacked(data: bytes, folder: Path | None = None) -> Unit:
    """Read a unit again. Raises StorageError for damaged bytes.

    With a `folder` it comes from another machine: files that travelled are put there, and paths are refused.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            fields = json.loads(file.read(TEXT))
            if fields.pop("format") != FORMAT:
                raise StorageError("a unit was kept by another version of xaikit: ask for it again")
            return Unit(**{name: _up(value, lambda at: _array(file, at), folder) for name, value in fields.items()})
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, OSError) as error:
        raise StorageError(f"a unit that was kept cannot be read: {error}") from None


def _array(file: zipfile.ZipFile, at: int) -> Array:
    with file.open(str(at)) as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def _down(value: Any, arrays: list[Array], content: bool) -> Any:
    """Turn a value into JSON types; arrays are put beside it."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$": "float", "is": str(value)}
    if isinstance(value, np.ndarray) and value.dtype != object:
        arrays.append(value)
        return {"$": "array", "at": len(arrays) - 1}
    if isinstance(value, Path):
        return _file_down(value, arrays) if content else {"$": "path", "is": str(value.absolute())}
    if isinstance(value, TARGETS):
        return {"$": "target", "is": _down(target_to_json(value), arrays, content)}
    if isinstance(value, SPECS):
        return {"$": "spec", "is": _down(specs_to_dict(value), arrays, content)}
    if isinstance(value, Mapping):
        return {"$": "mapping", "is": [[str(k), _down(v, arrays, content)] for k, v in value.items()]}
    if isinstance(value, list | tuple | np.ndarray):
        items = [_down(v, arrays, content) for v in value]
        return {"$": "tuple", "is": items} if isinstance(value, tuple) else items
    raise no_part_of_a_unit(value)


def _file_down(path: Path, arrays: list[Array]) -> Any:
    with read_as_input(path):
        arrays.append(np.frombuffer(path.read_bytes(), np.uint8))
    return {"$": "file", "name": path.name, "at": len(arrays) - 1}


def _up(value: Any, array: Callable[[int], Array], folder: Path | None) -> Any:
    """Undo `_down`. Raises KeyError, TypeError and ValueError for what it did not give."""
    if isinstance(value, list):
        return [_up(v, array, folder) for v in value]
    if not isinstance(value, dict):
        return value
    kind, given = value["$"], value.get("is", ())
    if kind == "array":
        return array(value["at"])
    if kind == "file":
        return _file_up(value["name"], array(value["at"]), folder)
    if kind == "path" and folder is not None:
        raise ValueError("it names a file of another machine")
    if kind == "mapping":
        return {k: _up(v, array, folder) for k, v in given}
    if kind == "tuple":
        return tuple(_up(v, array, folder) for v in given)
    return REBUILD[kind](_up(given, array, folder))


def _file_up(name: str, content: Array, folder: Path | None) -> Path:
    """Write a file that travelled, in a folder of its own, so that two of one name do not meet."""
    if folder is None:
        raise ValueError("it holds a file, and there is no folder for it")
    path = Path(mkdtemp(dir=folder)) / Path(name).name
    path.write_bytes(content.tobytes())
    return path


REBUILD: Mapping[str, Callable[[Any], Any]] = {
    "float": float,
    "path": Path,
    "target": target_from_json,
    "spec": specs_from_dict,
}
