"""Accelerated copies in torch: they give what the network gives, or say why they cannot."""

import copy
import gc
import shutil
import sys
import weakref
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.testing import assert_allclose
from torch import nn

import xaikit as xk
from tests.torch.nets import Attentive, Residual, Two, draw, seeded
from xaikit.accelerated import Accelerated
from xaikit.errors import NotSupported, UnknownName
from xaikit_torch._fast import fold

pytestmark = pytest.mark.slow
needs_onnx = pytest.mark.skipif(
    find_spec("onnx") is None or find_spec("onnxruntime") is None, reason="the extra fast is not installed"
)
KINDS = ("auto", pytest.param("onnxruntime", marks=needs_onnx))

CLOSE = {"atol": 1e-4, "rtol": 1e-4}
"""What every copy is held to."""


def normed(net: nn.Module) -> nn.Module:
    """Give batch norms statistics and scales that a wrong folding would show."""
    for i, m in enumerate(m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)):
        rng = np.random.default_rng(i)
        for tensor, low in ((m.weight, 0.5), (m.bias, -1.0), (m.running_mean, -1.0), (m.running_var, 0.2)):
            tensor.data = torch.from_numpy(rng.uniform(low, low + 2, tensor.shape).astype(np.float32))
    return net.eval()


def assert_same(copied: Any, model: Any, x: Any, scores: tuple[str, ...] = ("output", "probability", "logit")) -> None:
    for score in scores:
        right, given = model.run(x, score=score).output, copied.run(x, score=score).output
        for (name, r), (_, g) in zip(xk.arrays.leaves(right), xk.arrays.leaves(given), strict=True):
            assert g.dtype == r.dtype == np.float32
            assert g.shape == r.shape, (score, name)
            assert_allclose(g, r, **CLOSE, err_msg=f"{score} {name}")


def identities(net: nn.Module) -> int:
    return sum(isinstance(m, nn.Identity) for m in net.modules())


class Shared(nn.Module):
    """One convolution called twice, each time before the same norm, and a second norm that two paths enter."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.a, self.b, self.bn = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)

    def forward(self, x: Any) -> Any:
        if self.kind == "convolution twice":
            return self.bn(self.a(x)).flatten(1) + self.a(2 * x).flatten(1)
        if self.kind == "norm twice":
            return (self.bn(self.a(x)) + self.bn(self.b(x))).flatten(1)
        if self.kind == "read by another":
            y = self.a(x)
            return (self.bn(y) + y).flatten(1)
        return (self.bn(self.a(x)) * self.a.weight.sum()).flatten(1)


class Branching(nn.Module):
    """Goes one way or the other by the numbers that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())

    def forward(self, x: Any) -> Any:
        y = self.body(x)
        return y.mean((2, 3)) if x.mean() > 0 else -y.amax((2, 3))


class Viewing(nn.Module):
    """Flattens by view(), which needs the channels first in memory."""

    def __init__(self, norm: bool) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4) if norm else nn.ReLU()

    def forward(self, x: Any) -> Any:
        return self.bn(self.conv(x)).view(x.size(0), -1)


class Functional(nn.Module):
    """Convolutions of one, two and three dimensions, turned round too, with functional calls between."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1]
        back = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[dims - 1]
        norm = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[dims - 1]
        self.conv, self.bn1 = conv(4, 6, 3, groups=2, bias=False), norm(6)
        self.back, self.bn2 = back(6, 4, 2, stride=2), norm(4)

    def forward(self, x: Any) -> Any:
        y = F.relu(self.bn1(self.conv(x)))
        return F.softmax(F.relu(self.bn2(self.back(y))).flatten(2).mean(2), dim=1)


ZOO = {
    "mnist_cnn": ("right", "right"),
    "cats_vs_dogs": ("right", "right"),
    "resnet20_cifar10": ("right", "right"),
    "conv_autoencoder": ("right", "right"),
    "lstm_imdb": ("refused", "refused"),
    "credit_mlp": ("refused", "right"),
    "eeg_cnn": ("right", "right"),
    "series_autoencoder": ("refused", "right"),
    "mnist_two_heads": ("right", "right"),
    "gru_forecast": ("refused", "right"),
    "unet": ("right", "right"),
}
"""What "auto" and ONNX Runtime give: without convolutions of two dimensions or batch norms there is nothing to gain."""


@needs_onnx
@pytest.mark.parametrize("name", ZOO)
def test_copies_of_the_zoo_are_right_or_refused(name: str, capfd: Any) -> None:
    model = xk.zoo.load(name, framework="torch")
    x = xk.arrays.rows(model._blank(), np.zeros(5, int))
    if not isinstance(model.inputs, xk.Text):
        x = xk.arrays.each(lambda a: draw(*a.shape), x)
    for kind, expected in zip(("auto", "onnxruntime"), ZOO[name], strict=True):
        if expected == "refused":
            with pytest.raises(NotSupported, match=r"nothing to gain|written as ONNX"):
                model.fast(kind)
        else:
            assert_same(model.fast(kind), model, x)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_norms_are_folded_in_any_dimension(kind: str, dims: int) -> None:
    net = normed(seeded(lambda: Functional(dims)))
    model = xk.wrap(net, inputs=xk.Array((4, 6, 7, 5)[: dims + 1]), outputs=xk.Classes(range(4)))
    copied = model.fast(kind)
    assert_same(copied, model, draw(7, *(4, 6, 7, 5)[: dims + 1]))
    if kind == "auto":
        assert identities(copied._twin.net) == 2
    assert identities(net) == 0


@needs_onnx
@pytest.mark.parametrize("kind", ["convolution twice", "norm twice", "read by another", "weights read"])
def test_what_more_than_a_norm_reads_is_not_folded(kind: str) -> None:
    net = normed(seeded(lambda: Shared(kind)))
    assert fold(copy.deepcopy(net)) == 0
    model = xk.wrap(net, inputs=xk.Array((3, 6, 6)))
    for made in ("channels-last", "onnxruntime"):
        assert_same(model.fast(made), model, draw(4, 3, 6, 6), ("output",))


@needs_onnx
def test_control_flow_is_kept_in_channels_last_and_refused_in_onnx() -> None:
    net = normed(seeded(Branching))
    model = xk.wrap(net, inputs=xk.Array((3, 8, 8)))
    copied = model.fast("channels-last")
    assert identities(copied._twin.net) == 1
    for shift in (2.0, -2.0):
        assert_same(copied, model, draw(4, 3, 8, 8) + np.float32(shift), ("output",))
    with pytest.raises(NotSupported, match=r"decides by the values .*bool"):
        model.fast("onnxruntime")


def test_view_is_met_by_folding_alone_or_refused_with_what_to_do() -> None:
    model = xk.wrap(normed(seeded(lambda: Viewing(True))), inputs=xk.Array((3, 8, 8)))
    assert_same(model.fast(), model, draw(4, 3, 8, 8), ("output",))
    model = xk.wrap(seeded(lambda: Viewing(False)), inputs=xk.Array((3, 8, 8)))
    with pytest.raises(NotSupported, match="reshape"):
        model.fast()


@pytest.mark.parametrize("kind", KINDS)
def test_several_inputs_and_outputs_keep_their_names(kind: str) -> None:
    net = seeded(Two)
    inputs = {"picture": xk.Array((1, 6, 6)), "row": xk.Array((3,))}
    model = xk.wrap(net, inputs=inputs, outputs={"score": xk.Classes(["a", "b"]), "value": xk.Values(["v"])})
    copied = model.fast(kind)
    x = {"row": draw(5, 3), "picture": draw(5, 1, 6, 6, seed=2)}
    assert_same(copied, model, x)
    assert list(copied.run(x).output) == list(model.run(x).output) == ["score", "value"]


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.lstm = nn.Conv1d(3, 4, 3, padding=1), nn.LSTM(4, 5, batch_first=True, bidirectional=True)

    def forward(self, x: Any) -> Any:
        y, (h, _) = self.lstm(self.conv(x.transpose(1, 2)).transpose(1, 2))
        return y, h.transpose(0, 1)


@needs_onnx
def test_recurrent_layers_and_tuples_in_onnx() -> None:
    model = xk.wrap(seeded(Pair), inputs=xk.Series(7, 3), layout="channels-last")
    assert_same(model.fast("onnxruntime"), model, draw(6, 7, 3), ("output",))


@needs_onnx
def test_attention_and_ids_in_onnx() -> None:
    model = xk.wrap(seeded(Attentive).eval(), inputs=xk.Text(6, vocabulary=None, unknown=1))
    ids = np.random.default_rng(0).integers(1, 12, (5, 6))
    ids[0, 3:] = 0
    assert_same(model.fast("onnxruntime"), model, ids, ("output",))


@needs_onnx
def test_pictures_keep_their_public_layout_and_the_network_its_state() -> None:
    net = normed(seeded(Residual)).train()
    model = xk.wrap(net, inputs=xk.Image(12, 12), outputs=xk.Classes(list("abcde")))
    x, before = draw(5, 12, 12, 3), copy.deepcopy(net.state_dict())
    kept, random = dict(net.named_parameters()), torch.get_rng_state()
    copies = [model.fast(kind) for kind in ("auto", "onnxruntime")]
    for copied in copies:
        assert_same(copied, model, x)
        assert copied.layout == model.layout == "channels-first"
        assert copied.inputs is model.inputs
        assert copied.outputs == model.outputs
        assert copied.batch_size == model.batch_size
        assert copied.fingerprint() == model.fingerprint()
        assert (copied.name, copied.framework, copied.device) == (model.name, model.framework, model.device)
    assert all(p is kept[n] and p.is_contiguous() and p.requires_grad for n, p in net.named_parameters())
    assert all(torch.equal(v, before[n]) for n, v in net.state_dict().items())
    assert all(m.training and not m._forward_hooks for m in net.modules())
    assert torch.equal(torch.get_rng_state(), random)
    right = model.run(x).output
    with torch.no_grad():
        net.head.weight.mul_(3)
    for copied in copies:  # the weights are those of the time when it was made
        assert_allclose(copied.run(x).output, right, **CLOSE)
        assert copied.fingerprint() != model.fingerprint()


@pytest.mark.parametrize("kind", KINDS)
def test_logits_have_their_probability(kind: str) -> None:
    net = seeded(lambda: nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(72, 3)))
    model = xk.wrap(net, inputs=xk.Image(8, 8), outputs=xk.Classes(list("abc"), "logits"))
    assert_same(model.fast(kind), model, draw(5, 8, 8, 3))


class Reshaped(nn.Module):
    """A sigmoid, and another shape behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 6)

    def forward(self, x: Any) -> Any:
        return torch.sigmoid(self.head(x)).reshape(-1, 3, 2)


@needs_onnx
def test_the_logit_of_a_reshaped_sigmoid() -> None:
    model = xk.wrap(seeded(Reshaped), inputs=xk.Array((4,)))
    assert_same(model.fast("onnxruntime"), model, draw(5, 4))


def test_a_copy_only_runs() -> None:
    model = xk.wrap(normed(seeded(Residual)), inputs=xk.Image(12, 12))
    copied, x = model.fast(), draw(2, 12, 12, 3)
    assert copied.can == {"run"}
    assert list(copied.layers) == list(model.layers)
    with pytest.raises(NotSupported, match="ask the model"):
        copied.run(x, ["stem"])
    with pytest.raises(NotSupported, match="ask the model"):
        copied.pull(x, model.run(x).output)
    with pytest.raises(NotSupported):
        copied.fast()
    with pytest.raises(xk.errors.InputError):
        copied.run(draw(2, 12, 11, 3))


def test_refusals_say_why() -> None:
    picture = xk.Array((3, 8, 8))
    conv = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten())
    exported = torch.export.export(conv.eval(), (torch.zeros(2, 3, 8, 8),))
    with pytest.raises(NotSupported, match=r"bfloat16.*float\(\)"):
        xk.wrap(copy.deepcopy(conv).bfloat16(), inputs=picture).fast()
    with pytest.raises(NotSupported, match="run it once"):
        xk.wrap(conv).fast()
    with pytest.raises(UnknownName, match="onnxruntime"):
        xk.wrap(conv, inputs=picture).fast("onnxruntme")
    with pytest.raises(NotSupported, match="nothing to gain"):
        xk.wrap(nn.Linear(3, 2), inputs=xk.Array((3,))).fast()
    with pytest.raises(NotSupported, match="wrap the network"):
        xk.wrap(exported, inputs=picture).fast()


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named(package: str, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(NotSupported, match=rf"{package}.*pip install 'xaikit\[fast\]'"):
        xk.wrap(nn.Linear(3, 2), inputs=xk.Array((3,))).fast("onnxruntime")


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_does_not_keep_the_model(kind: str) -> None:
    model = xk.wrap(normed(seeded(Residual)), inputs=xk.Image(12, 12))
    copied, gone = model.fast(kind), weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
    assert copied.run(draw(2, 12, 12, 3)).output.shape == (2, 5)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_copy() -> None:
    net = seeded(lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3), nn.Softmax(1)))
    model = xk.wrap(net, inputs=xk.Array((4,)), outputs=xk.Classes(list("abc")))
    assert_same(model.fast("compile"), model, draw(5, 4))


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        ("nothing", None),
        ("hardly", None),
        ("one", "differs from it by 1.0e-03"),
        ("several", "differs from it by 1.0e-03"),
        ("output", "differs from it by 1.0e-03"),
        ("logit", "differs from it by 1.0e-03"),
        ("nan", "differs from it by nan"),
        ("shape", r"gives \(1, 1\), not \(1, 2\)"),
        ("raises", "cannot run: no such kernel"),
    ],
)
def test_a_copy_that_is_wrong_anywhere_is_refused(wrong: str, found: str | None) -> None:
    net = seeded(lambda: nn.Sequential(nn.Linear(3, 2), nn.Softmax(-1))).eval()
    model = xk.wrap(net, inputs=xk.Array((3,)), outputs=xk.Classes(["a", "b"]))
    twin = model.twin(net)

    def compute(x: Any, score: Any) -> Any:
        if wrong == "raises":
            raise RuntimeError("no such kernel")
        output = np.asarray(twin._forward(x, (), {}, score).output)
        kind = {
            "one": len(x) == 1,
            "several": len(x) > 1 and score == "output",
            "output": score == "output",
            "logit": score == "logit",
        }
        off = 1e-5 if wrong == "hardly" else np.nan if wrong == "nan" else 1e-3 * kind.get(wrong, False)
        return output[:, :1] if wrong == "shape" else output + off

    made = Accelerated(model, "channels-last", compute, twin)
    if found is None:
        assert made.checked(model) is made
        return
    with pytest.raises(NotSupported, match=found):
        made.checked(model)
