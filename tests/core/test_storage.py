"""Files appear whole or not at all."""

import os
import typing
from pathlib import Path
from typing import Any

import pytest

from xaikit.errors import StorageError
from xaikit.storage import save, write_atomically


@pytest.mark.parametrize("thing", [3, None, {"a": 1}, "text"])
def test_only_results_are_saved(thing: Any, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="is no result"):
        save(thing, tmp_path / "thing")
    assert not os.listdir(tmp_path)


def test_an_error_while_writing_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "a.png"
    place.write_bytes(b"before")

    def full(*_: Any) -> typing.NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(place, b"after")
    assert os.listdir(tmp_path) == ["a.png"]
    assert place.read_bytes() == b"before"
