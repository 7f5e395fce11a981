"""Units as bytes."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import xaikit as xk
from xaikit.errors import InputError, ParameterError, StorageError
from xaikit.jobs import Unit
from xaikit.jobs._packing import packed, unpacked
from xaikit.jobs.unit import unit_digest

GRID = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize(
    "value",
    [
        None, 3, "ein Text", [1, "b", None], (1, (2, 3)), {"a": {"b": [1.5]}}, float("inf"), -1e-300, True,
        {"age": 30, "$": "array"}, GRID, GRID.T, np.array(["x", "yz"]), np.zeros(0), [GRID, {"x": GRID + 1}],
        xk.Margin(0, 1), xk.At((1, 2), 3) , xk.Region("cat", box=(0, 0, 2, 2)), xk.ReconstructionError("mae"),
        xk.Image(8, 8), xk.Series(5, 2),
    ],
    ids=str,
)  # fmt: skip
def test_a_unit_reads_back_equal(value: Any) -> None:
    unit = Unit("m", value, "lime", {"given": value}, target=value, seed=5, task="predict")
    again = unpacked(packed(unit))
    for name in ("model", "method", "seed", "task"):
        assert getattr(again, name) == getattr(unit, name)
    for found in (again.input, again.parameters["given"], again.target):
        same(found, value)


def same(found: Any, value: Any) -> None:
    assert type(found) is type(value)
    if isinstance(value, np.ndarray):
        assert found.dtype == value.dtype
        assert_array_equal(found, value)
    elif isinstance(value, dict):
        assert list(found) == list(value)
        for name in value:
            same(found[name], value[name])
    elif isinstance(value, list):
        for a, b in zip(found, value, strict=True):
            same(a, b)
    else:
        assert repr(found) == repr(value)


def test_a_unit_keeps_its_address(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"content")
    unit = Unit("m", [tmp_path / "a.bin", GRID], "lime", {"samples": 70}, target=xk.Margin(0, 1))
    there = tmp_path / "there"
    there.mkdir()
    assert unit_digest(unpacked(packed(unit))) == unit_digest(unit)
    again = unpacked(packed(unit, content=True), there)
    assert again.input[0].read_bytes() == b"content"
    assert again.input[0].is_relative_to(there)
    assert unit_digest(again) == unit_digest(unit)


def test_what_is_no_plain_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="not object"):
        packed(Unit("m", object()))
    with pytest.raises(InputError, match="there is no file"):
        packed(Unit("m", tmp_path / "none.png"), content=True)


def test_damaged_and_hostile_bytes_are_refused(tmp_path: Path) -> None:
    whole = packed(Unit("m", GRID))
    with pytest.raises(StorageError, match="cannot be read"):
        unpacked(whole[:-30])
    with pytest.raises(StorageError, match="cannot be read"):
        unpacked(pickle.dumps({"format": 1}))
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr("unit", '{"format": 1, "model": "m", "input": {"$": "array", "at": 0}}')
        with file.open("0", "w") as member:
            np.lib.format.write_array(member, np.array([print], object), allow_pickle=True)
    with pytest.raises(StorageError, match="Object arrays cannot be loaded"):
        unpacked(data.getvalue())


def test_a_file_cannot_leave_its_folder(tmp_path: Path) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        file.writestr("unit", '{"format": 1, "model": "m", "input": {"$": "file", "name": "../../x", "at": 0}}')
        with file.open("0", "w") as member:
            np.lib.format.write_array(member, np.zeros(3, np.uint8))
    assert unpacked(data.getvalue(), tmp_path).input.is_relative_to(tmp_path)
    assert unpacked(data.getvalue(), tmp_path).input.name == "x"
    with pytest.raises(StorageError, match="no folder"):
        unpacked(data.getvalue())


def test_a_path_of_another_machine_is_not_opened_here(tmp_path: Path) -> None:
    data = packed(Unit("m", Path("/etc/passwd")))
    assert unpacked(data).input == Path("/etc/passwd")
    with pytest.raises(StorageError, match="names a file of another machine"):
        unpacked(data, tmp_path)
