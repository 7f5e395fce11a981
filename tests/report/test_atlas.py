"""An atlas of units: every card once, also after an interruption; pages that need no network and no script."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.contract.nets import image_pair
from xaikit.errors import Cancelled, InputError, NotSupported, ParameterError, UnknownName, UsageError
from xaikit.report import _atlas, write_atlas
from xaikit.results import UnitCard

pytestmark = pytest.mark.slow


def pictures(count: int = 5) -> Any:
    return np.random.default_rng(8).integers(0, 256, (count, 12, 12, 3)).astype(np.uint8)


def make(folder: Path, **changes: Any) -> _atlas.Atlas:
    asked: dict[str, Any] = {"layers": ["r1", "r2"], "channels": [0, 2, 3], "k": 2, "steps": 2, **changes}
    model = asked.pop("model", None) or image_pair("torch")[0]
    return write_atlas(model, folder, asked.pop("samples", pictures()), **asked)


def written(folder: Path) -> dict[str, int]:
    """When every card was written."""
    cards = (p for p in folder.glob("*/*.json") if p.stem.isdecimal())
    return {p.relative_to(folder).as_posix(): p.stat().st_mtime_ns for p in cards}


def test_every_unit_has_a_card_a_page_and_a_place_on_the_index(tmp_path: Path) -> None:
    told: list[tuple[float, int, str]] = []
    found = make(tmp_path, progress=lambda done, total, said: told.append((done, total, said)))
    assert (found.page, found.made, found.kept, found.failed) == (tmp_path / "index.html", 6, 0, ())
    index = found.page.read_text()
    for layer in ("r1", "r2"):
        for channel in (0, 2, 3):
            assert f'href="{layer}/{channel}.html"' in index
            assert f'src="{layer}/{channel}.webp"' in index
            page = (tmp_path / layer / f"{channel}.html").read_text()
            assert f"Channel {channel} of {layer}" in page
            assert "<script" not in page
            card = xk.load(tmp_path / layer / str(channel))
            assert isinstance(card, UnitCard)
            alone = xk.unit_card(image_pair("torch")[0], layer, channel, pictures(), k=2, steps=2)
            assert_array_equal(card.patches.places, alone.patches.places)  # type: ignore[union-attr]
            assert_allclose(card.statistics["mean"], alone.statistics["mean"])
            assert_array_equal(card.counts, alone.counts)
    assert "http" not in index.replace("http-equiv", "")
    page = (tmp_path / "r1" / "2.html").read_text()
    assert 'href="0.html">Previous' in page
    assert 'href="3.html">Next' in page
    done = [d for d, _, _ in told]
    assert done == sorted(done)
    assert (done[-1], told[-1][1]) == (6, 6)
    described = json.loads((tmp_path / "atlas.json").read_text())
    assert described["identity"]["model"]["fingerprint"] == image_pair("torch")[0].fingerprint()


def test_samples_are_read_once_for_each_layer_and_channels_maximised_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[str] = []
    survey = _atlas.survey
    monkeypatch.setattr(_atlas, "survey", lambda *a: (passes.append(a[2]), survey(*a))[1])
    batches: list[int] = []
    cards_of = _atlas.cards_of
    monkeypatch.setattr(_atlas, "cards_of", lambda *a: (batches.append(len(a[4])), cards_of(*a))[1])
    make(tmp_path, channels=None)
    assert (passes, batches) == (["r1", "r2"], [6, 8])


def test_a_second_run_makes_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path)
    before = written(tmp_path)
    monkeypatch.setattr(_atlas, "survey", lambda *a: pytest.fail("the samples were read again"))
    again = make(tmp_path)
    assert (again.made, again.kept) == (0, 6)
    assert written(tmp_path) == before
    (tmp_path / "r2" / "3.json").unlink()
    (tmp_path / "r1" / "0.html").unlink()
    (tmp_path / "r1" / "2.npz").write_bytes(b"half")
    (tmp_path / "r1" / "2.html").unlink()
    repaired = make(tmp_path)
    assert (repaired.made, repaired.kept) == (2, 4)
    assert (tmp_path / "r1" / "0.html").exists()
    assert {n: t for n, t in written(tmp_path).items() if n not in ("r2/3.json", "r1/2.json")} == {
        n: t for n, t in before.items() if n not in ("r2/3.json", "r1/2.json")
    }
    more = make(tmp_path, channels=[0, 1])
    assert (more.made, more.kept) == (2, 2)
    assert 'href="r1/1.html"' in more.page.read_text()
    assert 'href="r1/3.html"' in more.page.read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"k": 3}, r"parameters k 2, not 3"),
        ({"steps": 3}, r"parameters steps 2, not 3"),
        ({"samples": pictures(4)}, r"samples count 5, not 4"),
        ({"samples": pictures()[::-1]}, r"samples sha256"),
    ],
)
def test_another_atlas_is_refused_in_the_same_folder(tmp_path: Path, change: Any, said: str) -> None:
    make(tmp_path, layers=["r1"], optimum=False)
    before = written(tmp_path)
    with pytest.raises(UsageError, match=said):
        make(tmp_path, layers=["r1"], optimum=False, **change)
    assert written(tmp_path) == before


def test_another_model_is_refused_in_the_same_folder(tmp_path: Path) -> None:
    make(tmp_path, layers=["r1"], optimum=False)
    model, _ = image_pair("torch")
    other = model.with_weights({"c1/bias": model.weights("c1")["bias"] + 1})
    with pytest.raises(UsageError, match="model fingerprint"):
        make(tmp_path, layers=["r1"], optimum=False, model=other)


def test_folders_that_hold_something_else_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(UsageError, match="is no atlas"):
        make(tmp_path, optimum=False)
    assert (tmp_path / "index.html").read_text() == "mine"
    with pytest.raises(UsageError, match="is a file"):
        make(tmp_path / "index.html", optimum=False)
    other = tmp_path / "other"
    other.mkdir()
    (other / "atlas.json").write_text("[]")
    with pytest.raises(UsageError, match="no description of an atlas"):
        make(other, optimum=False)


def test_units_that_fail_are_listed_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cards_of = _atlas.cards_of

    def failing(*asked: Any) -> Any:
        if 2 in asked[4]:
            raise MemoryError
        return cards_of(*asked)

    monkeypatch.setattr(_atlas, "cards_of", failing)
    found = make(tmp_path, layers=["r2"], channels=None, optimum=False)
    assert [(f.layer, f.channel, f.error) for f in found.failed] == [("r2", 2, "not enough memory")]
    assert (found.made, found.kept) == (7, 0)
    assert "not enough memory" in found.page.read_text()
    monkeypatch.undo()
    again = make(tmp_path, layers=["r2"], channels=None, optimum=False)
    assert (again.made, again.kept, again.failed) == (1, 7, ())
    assert "could not be made" not in again.page.read_text()


def test_who_cancels_keeps_what_was_made(tmp_path: Path) -> None:
    def stop(done: float, total: int, said: str) -> None:
        if done > 3:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        make(tmp_path, progress=stop)
    assert len(written(tmp_path)) == 3
    assert make(tmp_path).kept == 3


def test_what_cannot_be_asked(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'r1'"):
        make(tmp_path / "a", layers=["rr1"])
    with pytest.raises(ParameterError, match="channels 0 to 5, not 6"):
        make(tmp_path / "a", layers=["r1"], channels=[0, 6])
    with pytest.raises(UsageError, match="not a stream"):
        make(tmp_path / "a", samples=iter(pictures()))
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="holds no file"):
        make(tmp_path / "a", samples=tmp_path / "none")
    with pytest.raises(NotSupported, match="shows no layer"):
        make(
            tmp_path / "a",
            model=xk.wrap(lambda x: x, inputs=xk.Array((4,)), version="1"),
            layers=None,
            samples=np.ones((2, 4)),
        )
    assert not (tmp_path / "a").exists()


def test_layers_by_default_are_those_with_filters_behind_their_relus() -> None:
    model, _ = image_pair("torch")
    assert _atlas.default_layers(model) == ["r1", "r2", "head"]
    assert _atlas.default_layers(image_pair("keras")[0]) == ["c1", "c2", "head"]


def test_a_series_has_pages_without_pictures(tmp_path: Path) -> None:
    from tests.torch import nets

    model = xk.wrap(nets.seeded(nets.Inplace), inputs=xk.Series(9, 2))
    found = write_atlas(model, tmp_path, nets.draw(4, 9, 2), ["conv"], k=2, steps=2)
    assert found.failed == ()
    assert "<img" not in found.page.read_text()
    assert "<svg" in (tmp_path / "conv" / "0.html").read_text()


SCRIPT = """
import sys, time
from tests.report import test_atlas as t
from xaikit.report import _atlas
put = _atlas._Shelf.put
def slow(self, card):
    put(self, card)
    time.sleep(0.3)
_atlas._Shelf.put = slow
t.make(__import__("pathlib").Path(sys.argv[1]), channels=None)
"""


def test_a_killed_run_loses_nothing_and_the_next_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    folder = tmp_path / "atlas"
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder)], cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
    )
    try:
        end = time.monotonic() + 120
        while len(written(folder)) < 3 and time.monotonic() < end and process.poll() is None:
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    there = written(folder)
    assert 3 <= len(there) < 14
    for name in there:
        assert isinstance(xk.load(folder / name), UnitCard)
    assert not (folder / "index.html").exists()
    found = make(folder, channels=None)
    assert (found.made + found.kept, found.failed) == (14, ())
    assert found.kept >= len(there)
    now = written(folder)
    assert {n: now[n] for n in there} == there
    whole = tmp_path / "whole"
    make(whole, channels=None)
    for name in now:
        a, b = xk.load(folder / name), xk.load(whole / name)
        assert_array_equal(a.patches.places, b.patches.places)
        assert_array_equal(a.counts, b.counts)
        assert_allclose(a.optimum.image, b.optimum.image, atol=1e-3)


def test_it_opens_in_a_browser_without_scripts_and_without_a_word_on_the_console(chromium: Any, tmp_path: Path) -> None:
    found = make(tmp_path / "made")
    place = Path(shutil.move(tmp_path / "made", tmp_path / "moved"))  # an atlas can be carried elsewhere
    for scheme in ("light", "dark"):
        context = chromium.new_context(
            color_scheme=scheme, viewport={"width": 390, "height": 800}, java_script_enabled=True
        )
        page = context.new_page()
        said: list[str] = []
        page.on("console", lambda m, said=said: said.append(m.text))
        page.on("pageerror", lambda e, said=said: said.append(str(e)))
        page.on("request", lambda r, said=said: said.append(r.url) if r.url.startswith("http") else None)
        for address in ("index.html", "r2/2.html"):
            page.goto((place / address).as_uri())
            page.evaluate("[...document.images].forEach(i => i.loading = 'eager')")
            page.wait_for_function("[...document.images].every(i => i.complete)")
            assert page.evaluate("[...document.images].every(i => i.naturalWidth > 0)")
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.click("text=Previous")
        assert page.url == (place / "r2" / "0.html").as_uri()
        page.click("text=All units")
        assert page.url == (place / "index.html").as_uri()
        assert said == []
        context.close()
    assert found.made == 6
