"""Networks from files: what is read back equal, what is damaged, and what could run code."""

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from safetensors.torch import save_file
from torch import nn

import xaikit as xk
import xaikit_torch
from tests.torch import nets
from xaikit.errors import ModelError, UnsafeFile

CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def small() -> nn.Module:
    net = nets.seeded(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten()))
    return nn.Sequential(*net, nets.seeded(lambda: nn.Linear(4 * 36, 2)), nn.Softmax(-1)).eval()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program exported for batches of four."""
    path = tmp_path_factory.mktemp("programs") / "small.pt2"
    torch.export.save(torch.export.export(small(), (torch.zeros(4, 3, 8, 8),)), path)
    return path


# --- programs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_a_program_of_fixed_batch_takes_batches_of_any_size(archive: Path, count: int) -> None:
    net, x = xaikit_torch.load_network(archive), nets.draw(count, 3, 8, 8)
    with torch.no_grad():
        assert_allclose(net(torch.tensor(x)).numpy(), small()(torch.tensor(x)).numpy(), **CLOSE)


@pytest.mark.parametrize("count", [1, 3, 9])
def test_a_wrapped_program_runs_captures_patches_and_pulls(archive: Path, count: int) -> None:
    model = xaikit_torch.wrap(xaikit_torch.load_network(archive), inputs=xk.Image(8, 8, 3), outputs=xk.Classes(2))
    plain = xaikit_torch.wrap(small(), inputs=xk.Image(8, 8, 3), outputs=xk.Classes(2))
    x, seed, value = nets.draw(count, 8, 8, 3), nets.draw(count, 2), nets.draw(count, 6, 6, 4)
    assert model.layout == "channels-first"
    assert list(model.layers) == ["conv2d", "batch_norm", "relu", "flatten", "linear", "softmax"]
    for score in ("output", "logit"):
        run = model.run(x, at=["relu", "conv2d"], patch={"batch_norm": value}, score=score)
        expected = plain.run(x, at=["2", "0"], patch={"1": value}, score=score)
        assert_allclose(run.output, expected.output, **CLOSE)
        assert_allclose(run.activations["relu"], expected.activations["2"], **CLOSE)
        assert_allclose(run.activations["conv2d"], expected.activations["0"], **CLOSE)
        pull, other = model.pull(x, seed, score=score), plain.pull(x, seed, score=score)
        assert_allclose(pull.gradient, other.gradient, **CLOSE)
        assert_allclose(pull.value, other.value, **CLOSE)
    inner, other = model.pull(x, seed, wrt="relu"), plain.pull(x, seed, wrt="2")
    assert_allclose(inner.gradient, other.gradient, **CLOSE)
    assert inner.source.shape == (count, 6, 6, 4)


@pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec:FutureWarning")
def test_a_program_knows_its_inputs_its_weights_and_its_geometry(archive: Path) -> None:
    model = xaikit_torch.wrap(xaikit_torch.load_network(archive))
    plain = xaikit_torch.wrap(small(), inputs=xk.Array((3, 8, 8)))
    assert model.inputs == xk.Array((3, 8, 8))
    assert model.layers["conv2d"].geometry == plain.layers["0"].geometry
    assert [layer.parameters for layer in model.layers.values()] == [
        layer.parameters for layer in plain.layers.values()
    ]
    assert_allclose(model.weights("conv2d")["weight"], plain.weights("0")["weight"])
    changed = model.with_weights({"conv2d.weight": np.zeros((4, 3, 3, 3))})
    x = nets.draw(2, 3, 8, 8)
    expected = plain.with_weights({"0.weight": np.zeros((4, 3, 3, 3))}).run(x).output
    assert_allclose(changed.run(x).output, expected, **CLOSE)


def test_a_program_of_any_batch_and_several_outputs(tmp_path: Path) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 2)

        def forward(self, x: Any) -> Any:
            return {"y": self.fc(x).reshape(x.shape[0], -1), "z": (x * torch.tensor(2.0)).sum(1)}

    net = nets.seeded(Net)
    batch = {"x": {0: torch.export.Dim("batch")}}
    path = tmp_path / "any.pt2"
    torch.export.save(torch.export.export(net, (torch.zeros(4, 3),), dynamic_shapes=batch), path)
    model = xaikit_torch.wrap(xaikit_torch.load_network(path))
    for count in (1, 5):
        x = nets.draw(count, 3)
        output = model.run(x).output
        assert_allclose(output["y"], net.fc(torch.tensor(x)).detach().numpy(), **CLOSE)
        assert_allclose(output["z"][:, 0], 2 * x.sum(1), **CLOSE)


def test_an_exported_program_can_be_wrapped_without_a_file() -> None:
    exported = torch.export.export(nn.Linear(3, 2), (torch.zeros(2, 3),))
    assert xaikit_torch.wrap(exported).run(nets.draw(5, 3)).output.shape == (5, 2)


def test_a_program_over_words_is_traced_on_its_own_kind_of_input(tmp_path: Path) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.fc = nn.Embedding(9, 4), nn.Linear(4, 1)

        def forward(self, ids: Any) -> Any:
            return self.fc(self.embed(ids).mean(1)).sigmoid()

    path = tmp_path / "words.pt2"
    torch.export.save(torch.export.export(nets.seeded(Net), (torch.zeros(2, 5, dtype=torch.long),)), path)
    model = xaikit_torch.wrap(xaikit_torch.load_network(path))
    assert [layer.kind for layer in model.layers.values()][:1] == ["embedding"]
    assert model.run(np.ones((3, 5), int)).output.shape == (3, 1)


# --- what could run code ---------------------------------------------------------------------------------------------


class Evil:
    """A pickle of this touches a file when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def rewritten(archive: Path, to: Path, change: Callable[[str, bytes], bytes | None], **more: bytes) -> Path:
    """Copy an archive with some of its parts changed, left out (None), or added."""
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(to, "w", zipfile.ZIP_STORED) as new:
        root = old.namelist()[0].partition("/")[0]
        for name in old.namelist():
            content = change(name.removeprefix(f"{root}/"), old.read(name))
            if content is not None:
                new.writestr(name, content)
        for name, content in more.items():
            new.writestr(f"{root}/{name}", content)
    return to


def in_program(change: Callable[[Any], None]) -> Callable[[str, bytes], bytes]:
    def changed(name: str, content: bytes) -> bytes:
        if name != "models/model.json":
            return content
        document = json.loads(content)
        change(document)
        return json.dumps(document).encode()

    return changed


def in_weights(change: Callable[[Any], None], evil: bytes) -> Callable[[str, bytes], bytes]:
    def changed(name: str, content: bytes) -> bytes:
        if name == "data/weights/weight_0":
            return evil
        if name != "data/weights/model_weights_config.json":
            return content
        document = json.loads(content)
        change(document["config"])
        return json.dumps(document).encode()

    return changed


def pickled_under_another_name(config: Any) -> None:
    config["metadata"] = {**config.pop("0.weight"), "use_pickle": True}


def nodes(document: Any) -> Any:
    return document["graph_module"]["graph"]["nodes"]


def attacks(marker: Path, tmp_path: Path) -> dict[str, tuple[Any, dict[str, bytes]]]:
    torch.save(Evil(marker), tmp_path / "evil.pt")
    evil = (tmp_path / "evil.pt").read_bytes()
    code = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    enum = json.dumps({"__enum__": True, "fqn": "antigravity:x", "name": "y"})
    spec = json.dumps([1, {"type": "builtins.dict", "context": enum, "children_spec": []}])
    size = {"as_expr": {"expr_str": code, "hint": None}}

    def same(name: str, content: bytes) -> bytes:
        return content

    def replaced(part: str) -> Any:
        return lambda name, content: evil if name == part else content

    def set_in(place: Callable[[Any], Any], key: str, value: Any) -> Any:
        return in_program(lambda d: place(d).__setitem__(key, value))

    return {
        "pickled weight": (in_weights(lambda c: c["0.weight"].update(use_pickle=True), evil), {}),
        "pickled weight called metadata": (in_weights(pickled_under_another_name, evil), {}),
        "pickled inputs": (replaced("data/sample_inputs/model.pt"), {}),
        "pickled constant": (same, {"data/constants/opaque_obj_0": pickle.dumps(Evil(marker))}),
        "older weights": (same, {"data/weights/model.pt": evil}),
        "compiled library": (same, {"data/aotinductor/model/x.so": b""}),
        "operator": (set_in(lambda d: nodes(d)[2], "target", "torch.os.system"), {}),
        "file operator": (set_in(lambda d: nodes(d)[2], "target", "torch.ops.aten.from_file.default"), {}),
        "name": (set_in(lambda d: nodes(d)[2], "name", f"x = {code}\n    y"), {}),
        "container": (
            set_in(lambda d: d["graph_module"]["module_call_graph"][0]["signature"], "in_spec", spec),
            {},
        ),
        "size": (
            set_in(lambda d: d["graph_module"]["graph"]["tensor_values"]["relu"]["sizes"], 0, size),
            {},
        ),
    }


ATTACKS = [
    *("pickled weight", "pickled weight called metadata", "pickled inputs", "pickled constant", "older weights"),
    *("compiled library", "operator", "file operator", "name", "container", "size"),
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_program_that_could_run_code_is_refused(archive: Path, tmp_path: Path, attack: str) -> None:
    marker = tmp_path / "code has run"
    change, more = attacks(marker, tmp_path)[attack]
    path = rewritten(archive, tmp_path / "attack.pt2", change, **more)
    with pytest.raises(UnsafeFile, match="could run code"):
        xaikit_torch.load_network(path)
    assert not marker.exists()


def test_the_list_of_attacks_is_whole(tmp_path: Path) -> None:
    assert set(ATTACKS) == set(attacks(tmp_path / "m", tmp_path))


def test_an_unchanged_copy_is_not_refused(archive: Path, tmp_path: Path) -> None:
    path = rewritten(archive, tmp_path / "copy.pt2", lambda name, content: content)
    assert xaikit_torch.load_network(path)(torch.zeros(1, 3, 8, 8)).shape == (1, 2)


def test_the_text_of_guards_is_never_executed(archive: Path, tmp_path: Path) -> None:
    marker = tmp_path / "code has run"
    code = f"__import__('pathlib').Path({str(marker)!r}).touch() or True"
    path = rewritten(archive, tmp_path / "guards.pt2", in_program(lambda d: d.__setitem__("guards_code", [code])))
    xaikit_torch.load_network(path)(torch.zeros(1, 3, 8, 8))
    assert not marker.exists()


@pytest.mark.parametrize("suffix", [".pt", ".pth"])
def test_a_pickled_network_is_refused(tmp_path: Path, suffix: str) -> None:
    marker = tmp_path / "code has run"
    path = tmp_path / f"whole{suffix}"
    torch.save({"net": Evil(marker)}, path)
    with pytest.raises(UnsafeFile, match=r"save net\.state_dict\(\) instead"):
        xaikit_torch.load_network(path, factory=small)
    torch.save(nn.Linear(3, 2), path)
    with pytest.raises(UnsafeFile):
        xaikit_torch.load_network(path, factory=small)
    assert not marker.exists()


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_torchscript_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scripted.pt"
    torch.jit.save(torch.jit.script(nn.Linear(3, 2)), path)
    with pytest.raises(UnsafeFile, match="TorchScript"):
        xaikit_torch.load_network(path, factory=small)


# --- weights and damage ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "w.pth", "nested.pt"])
def test_weights_go_into_the_network_of_a_factory(tmp_path: Path, name: str) -> None:
    net, path = small(), tmp_path / name
    state = net.state_dict()
    if name.endswith("safetensors"):
        save_file(state, path)
    else:
        torch.save({"state_dict": state, "epoch": 3} if name == "nested.pt" else state, path)
    empty = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2), nn.Softmax(-1)
    )
    loaded = xaikit_torch.load_network(path, factory=lambda: empty)
    x = torch.tensor(nets.draw(2, 3, 8, 8))
    assert_allclose(loaded(x).detach().numpy(), net(x).detach().numpy())
    assert not loaded.training


def test_weights_alone_ask_for_a_factory(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save(small().state_dict(), path)
    with pytest.raises(ModelError, match="name a factory"):
        xaikit_torch.load_network(path)


def test_weights_that_do_not_fit_say_where(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save(small().state_dict(), path)
    with pytest.raises(ModelError, match=r"do not fit the network of its factory: Missing key.*weight") as caught:
        xaikit_torch.load_network(path, factory=lambda: nn.Linear(3, 2))
    assert "\n" not in str(caught.value)


def test_a_factory_of_something_else_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save(small().state_dict(), path)
    with pytest.raises(ModelError, match="gives a dict"):
        xaikit_torch.load_network(path, factory=dict)  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", [".pt2", ".pt", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"not a network at all", b"PK\x03\x04 cut off"])
def test_a_damaged_file_is_one_line(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="damaged") as caught:
        xaikit_torch.load_network(path, factory=small)
    assert "\n" not in str(caught.value)
    assert type(caught.value) is ModelError


def test_a_program_with_a_part_cut_off_is_damaged(archive: Path, tmp_path: Path) -> None:
    path = rewritten(archive, tmp_path / "part.pt2", lambda n, c: None if n == "data/weights/weight_0" else c)
    with pytest.raises(ModelError, match="cannot be read as an exported program") as caught:
        xaikit_torch.load_network(path)
    assert "\n" not in str(caught.value)


def test_no_file_and_another_kind_of_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no model file"):
        xaikit_torch.load_network(tmp_path / "none.pt2")
    (tmp_path / "net.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match=r"no torch model file: give \.pt2"):
        xaikit_torch.load_network(tmp_path / "net.onnx")
