"""Files appear whole or not at all."""

import os
import typing
from pathlib import Path
from typing import Any

import pytest

from xaikit.storage import write_atomically


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
