"""Files appear whole or not at all."""

import dataclasses
import json
import os
import typing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xaikit as xk
from tests.analytic import golden
from xaikit.errors import StorageError
from xaikit.results import Attribution, Attributions
from xaikit.storage import _archive, _text, save, to_bytes, write_atomically


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


def test_only_what_becomes_smaller_is_compressed_and_the_same_result_gives_the_same_bytes(tmp_path: Path) -> None:
    """Noise stays as it is, and a label map becomes a hundredth; no time of day is in the files."""
    noise = np.random.default_rng(0).normal(size=(64, 64, 3)).astype(np.float32)
    labels = np.repeat(np.arange(64), 64).reshape(1, 64, 64)
    both = {"noise": noise, "labels": labels}
    assert _archive(both) == _archive(both)
    assert noise.nbytes < len(_archive(both)) < noise.nbytes + labels.nbytes / 20
    (tmp_path / "a.npz").write_bytes(_archive(both))
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        np.testing.assert_array_equal(found["noise"], noise)
        np.testing.assert_array_equal(found["labels"], labels)


def test_a_result_is_written_as_json_with_a_line_for_each_field() -> None:
    packed = {"type": "Attribution", "label": "zażółć\n", "quality": {"gap": [0.5, None]}}
    text = _text(packed)
    assert json.loads(text)["result"] == packed
    assert [line.strip().partition(":")[0] for line in text.splitlines()[3:6]] == ['"type"', '"label"', '"quality"']
    assert "zażółć" in text


@pytest.mark.parametrize("several", [False, True])
def test_the_fields_of_a_real_result_are_a_line_each(several: bool) -> None:
    """Also of several results under one roof, whose fields lie two levels deeper."""
    one = xk.explain(golden(), np.ones((2, 3)), "saliency", 0)
    text = to_bytes(Attributions({"a": one, "b": one}) if several else one)[".json"].decode()
    assert json.loads(text)["result"]["$"] == ("Attributions" if several else "Attribution")
    starts = [line.strip().partition(":")[0] for line in text.splitlines()]
    for field in dataclasses.fields(Attribution):
        assert starts.count(f'"{field.name}"') == 1 + several, field.name
