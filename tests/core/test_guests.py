"""What other installed packages bring: methods, models and files of other frameworks, found by their entry points."""

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from xaikit import wrapping
from xaikit.errors import ModelError, UnknownName, UnsafeFile
from xaikit.jobs import Recipe
from xaikit.jobs.unit import code_version
from xaikit.registry import Registry

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put a package with entry points where Python finds it; all is forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    caches = (wrapping.adapters, wrapping.models, code_version)
    before = set(sys.modules)

    def put(name: str, points: str, files: Mapping[str, str] = {}) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for file, text in {"__init__.py": "", **files}.items():
            (folder / file).write_text(dedent(text))
        about = tmp_path / f"{name}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(dedent(points))
        for cached in caches:
            cached.cache_clear()
        return folder

    yield put
    for cached in caches:
        cached.cache_clear()
    for module in set(sys.modules) - before:
        if module.partition(".")[0].startswith("guest"):
            del sys.modules[module]


def test_a_registry_reads_what_others_register(install: Install) -> None:
    install("guest_own", "")
    install("guest_thing", "[xaikit.things]\nextra = guest_thing.more\n", {"more.py": ""})
    registry: Registry[type] = Registry("thing", "guest_own", group="xaikit.things")
    assert registry.guests() == ["guest_thing.more"]
    assert "guest_thing.more" not in sys.modules
    assert list(registry) == []
    assert "guest_thing.more" in sys.modules


def test_a_package_that_cannot_be_imported_is_left_out_with_a_warning(install: Install) -> None:
    install("guest_own", "")
    install("guest_broken", "[xaikit.things]\nbad = guest_broken\n", {"__init__.py": "raise OSError('no licence')"})
    registry: Registry[type] = Registry("thing", "guest_own", group="xaikit.things")
    registry("here")(int)
    with pytest.warns(UserWarning, match="the things of guest_broken are left out: no licence"):
        assert list(registry) == ["here"]
    assert list(registry) == ["here"]  # and it is said once


def test_methods_of_others_are_part_of_the_code_that_decides_a_result(install: Install) -> None:
    before = code_version()
    folder = install("guest_method", "[xaikit.methods]\nmine = guest_method\n")
    first = code_version()
    (folder / "__init__.py").write_text("STEPS = 2\n")
    code_version.cache_clear()
    assert len({before, first, code_version()}) == 3


LINEAR = """
import torch

def build():
    return torch.nn.Linear(2, 1)
"""
DESCRIBED = """
framework = "torch"
weights = "w.safetensors"
factory = "network:build"
"""


def test_a_model_of_an_installed_package_is_known_by_its_name(install: Install) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    folder = install(
        "guest_net", "[xaikit.models]\nguest-net = guest_net\n", {"network.py": LINEAR, "model.toml": DESCRIBED}
    )
    save_file({"weight": torch.tensor([[2.0, -3.0]]), "bias": torch.zeros(1)}, folder / "w.safetensors")
    assert wrapping.models() == {"guest-net": folder / "model.toml"}
    assert "guest_net" not in sys.modules
    model = wrapping.load_model("guest-net")  # its code was allowed when it was installed
    assert model.run(torch.ones(1, 2).numpy()).output.tolist() == [[-1.0]]
    recipe = Recipe("guest-net").settled()
    assert (recipe.path, recipe.framework) == (folder / "model.toml", None)
    assert recipe.load().fingerprint() == model.fingerprint()
    source = recipe.source()
    save_file({"weight": torch.tensor([[2.0, -4.0]]), "bias": torch.zeros(1)}, folder / "w.safetensors")
    assert recipe.source() != source


def test_a_file_elsewhere_is_not_trusted_for_an_installed_one(install: Install, tmp_path: Path) -> None:
    install("guest_net", "[xaikit.models]\nguest-net = guest_net\n", {"network.py": LINEAR, "model.toml": DESCRIBED})
    (tmp_path / "model.toml").write_text(DESCRIBED)
    (tmp_path / "w.safetensors").write_bytes(b"")
    with pytest.raises(UnsafeFile, match="allow_code"):
        wrapping.load_model(tmp_path / "model.toml")


def test_a_network_of_the_zoo_keeps_its_name(install: Install) -> None:
    install("guest_net", "[xaikit.models]\nxo_cnn = guest_net\n", {"model.toml": DESCRIBED})
    assert Recipe("xo_cnn").path is None


def test_names_that_nobody_brought_are_told_the_nearest(install: Install) -> None:
    install("guest_net", "[xaikit.models]\nguest-net = guest_net\nno-description = guest_none\n", {"model.toml": ""})
    install("guest_none", "")
    assert list(wrapping.models()) == ["guest-net"]
    with pytest.raises(ModelError, match="no installed model of that name; did you mean 'guest-net'"):
        wrapping.load_model("guest-nit")
    for ask in (Recipe("guest-nit").load, Recipe("guest-nit").source):
        with pytest.raises(UnknownName, match="unknown model 'guest-nit'; did you mean 'guest-net'"):
            ask()


def test_an_adapter_says_which_files_it_reads_and_builds_no_zoo(install: Install, tmp_path: Path) -> None:
    adapter = """
    FILES = (".guest",)

    def load_network(path, factory=None):
        return float(path.read_text())

    def wrap(net, **described):
        return net
    """
    install("guest_framework", "")
    install("guest_adapter", "[xaikit.adapters]\nguest_framework = guest_adapter\n", {"__init__.py": adapter})
    (tmp_path / "net.guest").write_text("2.5")
    (tmp_path / "model.toml").write_text('weights = "net.guest"\n')
    assert "guest_framework" not in wrapping.frameworks()
    network = wrapping._network(tmp_path / "net.guest", wrapping._framework(tmp_path / "net.guest"), None)
    assert network == 2.5
    with pytest.raises(ModelError, match="is no model file"):
        wrapping._framework(tmp_path / "net.other")
