"""Looking at a set never starts a download."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from xaikit import data
from xaikit.data import pictures
from xaikit.errors import DataError


@pytest.mark.skipif(find_spec("keras") is None, reason="without Keras there is nothing to fetch with")
def test_nothing_is_fetched_while_local_only_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def fetch(module: str) -> None:
        asked.append(module)
        raise OSError("no network")

    monkeypatch.setenv("XAIKIT_DATA", str(tmp_path))
    monkeypatch.setattr(pictures, "import_module", fetch)
    data.cifar10.cache_clear()
    with data.local_only(), pytest.raises(DataError, match="cifar10 is not in the folder that XAIKIT_DATA names"):
        data.cifar10("test")
    assert asked == []
    with pytest.raises(DataError, match="no network"):
        data.cifar10("test")
    assert asked == ["keras.datasets.cifar10"]
