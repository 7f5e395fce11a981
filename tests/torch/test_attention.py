"""Attention layers in torch: their weights are layers, read, replaced and pulled back to, and change no number."""

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.testing import assert_allclose
from torch import nn

import xaikit as xk
from tests.torch.nets import draw, seeded

OPTIONS = list(itertools.product((True, False), (True, False), (None, 6), (True, False), (True, False)))


class Attending(nn.Module):
    """One attention of a sequence to itself, with padded steps and a mask of what lies ahead."""

    def __init__(self, batch_first: bool, needed: bool, kdim: int | None, biased: bool, zero: bool) -> None:
        super().__init__()
        self.mha = nn.MultiheadAttention(
            8, 2, batch_first=batch_first, kdim=kdim, vdim=kdim, bias=biased, add_bias_kv=biased, add_zero_attn=zero
        )
        self.needed, self.width = needed, kdim or 8

    def forward(self, x: Any) -> Any:
        given = [x, x[..., : self.width], x[..., : self.width]]
        if not self.mha.batch_first:
            given = [t.transpose(0, 1) for t in given]
        ahead = torch.ones(5, 5, dtype=torch.bool).triu(1)
        hidden = torch.zeros(len(x), 5, dtype=torch.bool)
        hidden[:, -1] = True
        out, self.seen = self.mha(
            *given,
            key_padding_mask=hidden,
            attn_mask=ahead,
            need_weights=self.needed,
            average_attn_weights=False,
        )
        return out if self.mha.batch_first else out.transpose(0, 1)


@pytest.mark.parametrize("options", OPTIONS)
def test_weights_of_attention_are_the_networks_own(options: Any) -> None:
    batch_first, needed, kdim, biased, zero = options
    net = seeded(lambda: Attending(batch_first, needed, kdim, biased, zero))
    model = xk.wrap(net, inputs=xk.Series(5, 8))
    x = draw(3, 5, 8)
    plain = model.run(x).output
    looked = model.run(x, at=["mha/weights"])
    weights = looked.activations["mha/weights"]
    assert_allclose(looked.output, plain, atol=1e-6)
    assert weights.shape == (3, 2, 5, 5 + biased + zero)
    assert model.layers["mha/weights"].axes == ("sample", "head", "target", "source")
    assert model.layers["mha/weights"].kind == "attention_weights"
    assert_allclose(weights.sum(-1), 1, atol=1e-6)
    assert (weights[..., 4] == 0).all()  # padding
    if needed:
        with torch.no_grad():
            net.eval()(torch.tensor(x))
        assert_allclose(weights, net.seen, atol=1e-6)


class Encoder(nn.Module):
    """torch's own encoder, whose fast path in evaluation mode calls no layer, and which then drops padded steps."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.embed, self.encoder, self.head = nn.Embedding(9, 8), nn.TransformerEncoder(layer, 2), nn.Linear(8, 3)

    def forward(self, ids: Any) -> Any:
        tokens = self.encoder(self.embed(ids), src_key_padding_mask=ids.eq(0))
        there = ids.ne(0)[..., None].float()
        return self.head((tokens * there).sum(1) / there.sum(1))


IDS = np.array([[3, 4, 5, 0, 0], [6, 7, 8, 3, 4]])


def test_the_fast_path_of_an_encoder_hides_no_layer() -> None:
    net = seeded(Encoder).eval()
    model = xk.wrap(net, inputs=xk.Text(5, [*"_?abcdefg"]))
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nested tensors are a prototype
        fast = net(torch.tensor(IDS))
    names = [n for n, layer in model.layers.items() if layer.kind == "attention_weights"]
    assert names == [f"encoder.layers.{i}.self_attn/weights" for i in (0, 1)]
    run = model.run(IDS, at=[*names, "encoder.layers.1.linear1"])
    assert_allclose(run.output, fast, atol=1e-6)
    assert_allclose(run.output, model.run(IDS).output, atol=1e-6)
    assert run.activations["encoder.layers.1.linear1"].shape == (2, 5, 16)
    assert (run.activations[names[0]][0, :, :, 3:] == 0).all()
    assert torch.backends.mha.get_fastpath_enabled()


def test_the_gradient_at_attention_weights_is_total() -> None:
    model = xk.wrap(seeded(Encoder).double(), inputs=xk.Text(5, [*"_?abcdefg"]))
    seed = np.eye(3)[[1, 2]]
    step = 1e-3 * draw(2, 2, 5, 5).astype(np.float64)
    for name in (f"encoder.layers.{i}.self_attn/weights" for i in (0, 1)):
        pulled = model.pull(IDS, seed, wrt=name)
        ends = [model.run(IDS, patch={name: pulled.source + s * step}).output for s in (1, -1)]
        moved = ((ends[0].astype(np.float64) - ends[1]) / 2 * seed).sum(1)
        assert_allclose(moved, (pulled.gradient * step).sum((1, 2, 3)), atol=1e-6)
        assert np.abs(moved).max() > 1e-5


class Functional(nn.Module):
    """Attention called as a function, twice, with a mask or the order of time."""

    def __init__(self, causal: bool, masked: bool) -> None:
        super().__init__()
        self.three, self.causal, self.masked = nn.Linear(8, 24), causal, masked

    def forward(self, x: Any) -> Any:
        q, k, v = self.three(x).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        mask = (x[:, :, 0] < 0.5)[:, None, None] if self.masked else None
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=self.causal)
        return F.scaled_dot_product_attention(y, k, v, scale=0.3).transpose(1, 2).flatten(2)


@pytest.mark.parametrize(("causal", "masked"), [(False, False), (True, False), (False, True)])
def test_attention_called_as_a_function_shows_its_weights(causal: bool, masked: bool) -> None:
    model = xk.wrap(seeded(lambda: Functional(causal, masked)), inputs=xk.Series(5, 8))
    x = draw(3, 5, 8)
    x[0, :, 0] = 1.0  # nothing may be attended to in this sample, where there is a mask
    names = [n for n in model.layers if n.endswith("/weights")]
    assert names == ["scaled_dot_product_attention/weights", "scaled_dot_product_attention:1/weights"]
    run = model.run(x, at=names)
    assert_allclose(run.output, model.run(x).output, atol=1e-6)
    first = run.activations[names[0]]
    assert (np.triu(first[0, 0], 1) == 0).all() == (causal or masked)
    gradient = model.pull(x, np.ones_like(run.output), wrt=names[0]).gradient
    assert np.isfinite(gradient).all()


class Shared(nn.Module):
    """One attention called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.mha = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Any) -> Any:
        x = self.mha(x, x, x)[0]
        return self.mha(x, x, x, need_weights=False)[0]


def test_every_call_of_an_attention_has_its_own_weights() -> None:
    model = xk.wrap(seeded(Shared), inputs=xk.Series(4, 8))
    names = ["mha/weights", "mha:1/weights"]
    assert [n for n in model.layers if n.endswith("weights")] == names
    x = draw(2, 4, 8)
    found = model.run(x, at=names).activations
    even = np.full((1, 2, 4, 4), 0.25, np.float32)
    patched = model.run(x, at=names[1:], patch={"mha/weights": even}).activations["mha:1/weights"]
    assert np.abs(found["mha/weights"] - found["mha:1/weights"]).max() > 1e-3
    assert_allclose(patched, 0.25, atol=1e-6)  # all tokens are then alike


def test_attention_of_an_exported_program_shows_its_weights() -> None:
    net = seeded(lambda: Functional(True, False)).eval()
    program = torch.export.export(net, (torch.tensor(draw(2, 5, 8)),))
    model, own = xk.wrap(program), xk.wrap(net, inputs=xk.Series(5, 8))
    x = draw(2, 5, 8)
    names = [[n for n, layer in m.layers.items() if layer.kind == "attention_weights"] for m in (model, own)]
    assert len(names[0]) == 2
    for a, b in zip(*names, strict=True):
        assert_allclose(model.run(x, at=[a]).activations[a], own.run(x, at=[b]).activations[b], atol=1e-6)
