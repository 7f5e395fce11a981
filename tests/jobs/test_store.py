"""The store: what is put in comes out, whatever happens to the files or other processes do."""

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import xaikit as xk
from tests.analytic import golden
from xaikit.errors import ParameterError, StorageError
from xaikit.jobs import Store

pytestmark = pytest.mark.slow

KEYS = [f"{i:x}" * 64 for i in range(16)]


@pytest.fixture(scope="module")
def result() -> Any:
    return xk.explain(golden(), np.array([[1.0, 2.0, 3.0]]), "occlusion", 0)


def test_what_is_put_in_comes_out(tmp_path: Path, result: Any) -> None:
    store = Store(tmp_path)
    assert store.get(KEYS[10]) is None
    assert KEYS[10] not in store
    store.put(KEYS[10], result)
    assert KEYS[10] in store
    assert_array_equal(store.get(KEYS[10]).values, result.values)
    assert [p.relative_to(tmp_path).as_posix() for p in sorted(tmp_path.rglob("*.*"))] == [
        f"units/aa/{KEYS[10]}.json",
        f"units/aa/{KEYS[10]}.npz",
    ]
    assert list(store.keys()) == [KEYS[10]]


def damage_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damage_flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize("suffix", [".npz", ".json"])
@pytest.mark.parametrize("damage", [damage_cut, Path.unlink, lambda p: p.write_bytes(b""), damage_flip])
def test_a_damaged_entry_is_dropped_with_a_warning(
    tmp_path: Path, result: Any, suffix: str, damage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path)
    store.put(KEYS[1], result)
    damage(store.path(KEYS[1]).with_suffix(suffix))
    with caplog.at_level(logging.WARNING):
        assert store.get(KEYS[1]) is None
    if (suffix, damage) != (".json", Path.unlink):
        assert "will be made again" in caplog.text
        assert not list(tmp_path.rglob("*.*"))
    store.put(KEYS[1], result)
    assert_array_equal(store.get(KEYS[1]).values, result.values)


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 64 + "\n"])
def test_an_address_is_no_path(tmp_path: Path, key: str) -> None:
    with pytest.raises(ParameterError, match="64 hexadecimal digits"):
        Store(tmp_path).get(key)


def test_only_results_are_stored(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="is no result"):
        Store(tmp_path).put(KEYS[0], {"a": 1})


def test_what_was_unread_for_longest_gives_way(tmp_path: Path, result: Any) -> None:
    Store(tmp_path).put(KEYS[0], result)
    one = sum(p.stat().st_size for p in tmp_path.rglob("*.*"))
    store = Store(tmp_path, limit=int(4.5 * one))
    for i in range(1, 4):
        store.put(KEYS[i], result)
    for age, key in enumerate([KEYS[2], KEYS[1], KEYS[0], KEYS[3]]):
        os.utime(store.path(key), (age, age))
    store.get(KEYS[2])
    store.put(KEYS[4], result)
    # five entries over a limit of 4.5 leave at most 4.05; 2 was read, so 1 is the oldest
    assert set(store.keys()) == {KEYS[0], KEYS[2], KEYS[3], KEYS[4]}
    assert not store.path(KEYS[1]).with_suffix(".npz").exists()


def test_an_entry_over_the_limit_is_still_kept_until_the_next(tmp_path: Path, result: Any) -> None:
    store = Store(tmp_path, limit=1)
    for key in KEYS[:3]:
        store.put(key, result)
        assert list(store.keys()) == [key]
    with pytest.raises(ParameterError, match="positive"):
        Store(tmp_path, limit=0)


def test_identities_of_models_are_remembered(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.identity_of(KEYS[5]) is None
    store.note_identity(KEYS[5], KEYS[6])
    assert Store(tmp_path).identity_of(KEYS[5]) == KEYS[6]
    (tmp_path / "models" / KEYS[5]).write_text("half")
    assert store.identity_of(KEYS[5]) is None


WRITER = """
import sys
import numpy as np, xaikit as xk
from xaikit.jobs import Store
store, stored = Store(sys.argv[1]), xk.load(sys.argv[2])
for i in range(60):
    store.put("e" * 64, stored)
    assert store.get("e" * 64) is not None
"""


def test_processes_that_write_one_entry_do_no_harm(tmp_path: Path, result: Any) -> None:
    xk.save(result, tmp_path / "result")
    arguments = [sys.executable, "-c", WRITER, str(tmp_path / "store"), str(tmp_path / "result")]
    writers = [subprocess.Popen(arguments, stderr=subprocess.PIPE) for _ in range(2)]
    for writer in writers:
        _, errors = writer.communicate(timeout=100)
        assert (writer.returncode, errors) == (0, b"")
    assert_array_equal(Store(tmp_path / "store").get(KEYS[14]).values, result.values)
    assert len(list((tmp_path / "store").rglob("*.*"))) == 2, "no file is left half-written"
