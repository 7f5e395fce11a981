"""What `train` stores and `load` reads: checked, never half written, and found in the right order."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from xaikit import zoo
from xaikit.data import exact_x
from xaikit.errors import Cancelled, DataError, ParameterError, StorageError, UnknownName
from xaikit.zoo import shelf, training
from xaikit.zoo.cards import Card
from xaikit.zoo.judging import wilson

pytestmark = pytest.mark.slow


@pytest.fixture
def stored(cache: Path, framework: str) -> Path:
    zoo.train("xo_cnn", framework, epochs=3, seed=1)
    return cache


def test_what_was_trained_here_is_loaded(stored: Path, framework: str) -> None:
    card = zoo.card("xo_cnn")
    assert card.trained is not None
    assert (card.trained.seed, card.trained.epochs, len(card.trained.curve)) == (1, 3, 3)
    assert card.recipe is not None
    assert card.recipe["epochs"] == 3
    assert set(card.trained.trained_with) == {
        "numpy",
        *(("torch",) if framework == "torch" else ("keras", "tensorflow")),
    }
    model = zoo.load("xo_cnn", framework)
    assert model.weights_id == card.trained.weights_id
    assert (model.name, model.framework) == ("xo_cnn", framework)
    assert model.run(model.inputs.encode(exact_x())).output.shape == (1, 2)
    assert sorted(p.name for p in stored.iterdir()) == sorted([card.trained.file, "xo_cnn.json"])


def test_training_again_replaces_the_old_file(stored: Path, framework: str) -> None:
    before = zoo.card("xo_cnn").trained
    zoo.train("xo_cnn", framework, epochs=1, seed=2)
    after = zoo.card("xo_cnn").trained
    assert before is not None
    assert after is not None
    assert before.sha256 != after.sha256
    assert sorted(p.name for p in stored.iterdir()) == sorted([after.file, "xo_cnn.json"])


def test_a_failed_write_leaves_the_old_pair(stored: Path, framework: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {p.name: p.read_bytes() for p in stored.iterdir()}
    kept = zoo.card("xo_cnn")
    assert kept.trained is not None
    replace = os.replace

    def fail_on_the_card(source: Any, target: Any) -> None:
        if str(target).endswith(".json"):
            raise OSError("no space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail_on_the_card)
    with pytest.raises(StorageError, match="no space left"):
        zoo.train("xo_cnn", framework, epochs=1, seed=2)
    assert {name: (stored / name).read_bytes() for name in before} == before
    model = zoo.load("xo_cnn", framework)
    assert model.weights_id == kept.trained.weights_id


def test_an_interrupted_training_goes_on(cache: Path, framework: str) -> None:
    def stop(done: int, total: int, text: str) -> None:
        if done == 2:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        zoo.train("xo_cnn", framework, epochs=3, seed=1, progress=stop)
    assert [p.suffix for p in cache.iterdir()] == [".unfinished"]
    told: list[str] = []
    zoo.train("xo_cnn", framework, epochs=3, seed=1, progress=lambda done, total, text: told.append(text))
    assert told[1] == "going on after epoch 2"
    assert len(told) == 3
    assert sorted(p.suffix for p in cache.iterdir()) == [".json", ".safetensors"]


def test_a_full_disk_does_not_end_a_training_before_its_end(
    cache: Path, framework: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)

    def full(*_: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(training, "write_atomically", full)
    zoo.train("xo_cnn", framework, epochs=1)
    assert "cannot be kept" in caplog.text
    assert zoo.card("xo_cnn").trained is not None


def test_a_changed_weights_file_is_refused(stored: Path, framework: str) -> None:
    path = next(stored.glob("*.safetensors"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"has SHA-256 .*its card says .*delete both files"):
        zoo.load("xo_cnn", framework)


def test_a_truncated_file_with_a_matching_card_is_refused(stored: Path, framework: str) -> None:
    import hashlib

    path = next(stored.glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:100])
    edit(stored, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(StorageError, match="no readable safetensors file"):
        zoo.load("xo_cnn", framework)


def test_a_missing_weights_file_is_named(stored: Path, framework: str) -> None:
    path = next(stored.glob("*.safetensors"))
    path.unlink()
    with pytest.raises(StorageError, match=path.name):
        zoo.load("xo_cnn", framework)


def test_another_fingerprint_on_the_card_is_refused(stored: Path, framework: str) -> None:
    edit(stored, weights_id="0" * 64)
    with pytest.raises(StorageError, match="holds other weights than its card says"):
        zoo.load("xo_cnn", framework)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": 99}', '{"schema": 1, "name": "xo_cnn"}'])
def test_a_damaged_card_is_refused(cache: Path, content: str) -> None:
    cache.mkdir()
    (cache / "xo_cnn.json").write_text(content)
    with pytest.raises(StorageError, match=r"card|damaged"):
        zoo.card("xo_cnn")


def edit(folder: Path, **changes: str) -> None:
    path = folder / "xo_cnn.json"
    card = json.loads(path.read_text())
    card["trained"] |= changes
    path.write_text(json.dumps(card))


def test_a_card_reads_back_equal(stored: Path) -> None:
    written = zoo.card("xo_cnn").to_dict()
    assert Card.from_dict(json.loads(json.dumps(written))).to_dict() == written


def test_unknown_names_come_with_the_nearest() -> None:
    for ask in (zoo.load, zoo.card, zoo.build, zoo.train):
        with pytest.raises(UnknownName, match="did you mean 'mnist_cnn'"):
            ask("minst_cnn")  # type: ignore[operator]
    with pytest.raises(UnknownName, match="did you mean 'torch'"):
        zoo.build("mnist_cnn", "troch")


def test_epochs_below_one_are_refused() -> None:
    with pytest.raises(ParameterError, match="epochs must be at least 1, not 0"):
        zoo.train("xo_cnn", epochs=0)


def test_training_without_data_says_what_to_provide(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XAIKIT_DATA", str(tmp_path))
    from xaikit.data import cats_vs_dogs

    cats_vs_dogs.cache_clear()
    with pytest.raises(DataError, match=r"no cats_vs_dogs\.zip.*kaggle"):
        zoo.train("cats_vs_dogs")


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("ask", [zoo.load, zoo.train])
def test_without_the_photos_of_imagenet_it_says_what_to_provide(
    ask: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XAIKIT_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"imagenet/train has 0 folders, expected one for each of ImageNet's 1000 cl"):
        ask("vgg16_c")


@pytest.mark.parametrize("name", zoo.names())
def test_every_network_has_a_card_that_reads_back(name: str) -> None:
    card = zoo.card(name)
    assert card.limits
    assert Card.from_dict(json.loads(json.dumps(card.to_dict()))).to_dict() == card.to_dict()


def test_build_gives_the_bare_network(framework: str, backend: Any) -> None:
    net = zoo.build("xo_cnn", framework, seed=4)
    assert type(net).__mro__[-2].__module__.partition(".")[0] != "xaikit"
    weights = backend.get_weights(net, zoo._public.networks["xo_cnn"].architecture)
    from xaikit.zoo.building import initial_weights

    expected = initial_weights(zoo._public.networks["xo_cnn"].architecture, 4)
    assert_array_equal(weights["dense1/kernel"], expected["dense1/kernel"])


def test_the_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XAIKIT_CACHE", str(tmp_path))
    assert shelf.cache_folder() == tmp_path / "zoo"
    monkeypatch.delenv("XAIKIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert shelf.cache_folder() == tmp_path / "xaikit" / "zoo"


def test_wilson_interval() -> None:
    # Agresti and Coull (1998): no success in ten trials has the upper limit z² / (n + z²).
    z2 = 1.959964**2
    assert_allclose(wilson(0, 10), (0.0, z2 / (10 + z2)), atol=1e-12)
    assert_allclose(wilson(5, 10), (0.2366, 0.7634), atol=1e-4)


def test_the_zoo_imports_no_framework() -> None:
    program = (
        "import sys, xaikit.zoo as z; z.names(); z.card('xo_cnn');"
        "print([m for m in ('torch', 'keras', 'tensorflow', 'plotly') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_weights_are_the_same_file_from_either_framework(both: tuple[Any, Any]) -> None:
    architecture = zoo._public.networks["mnist_cnn"].architecture
    packs = []
    for side in both:
        net = side.build(architecture, seed=3)
        packs.append(shelf.packed(side.get_weights(net, architecture), "mnist_cnn"))
    assert packs[0] == packs[1]
    assert np.frombuffer(packs[0][:8], "<u8")[0] < len(packs[0])
