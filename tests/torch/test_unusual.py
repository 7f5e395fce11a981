"""Networks that are built in unusual ways: packed, fused, scripted, exported, compiled, parametrised, parallel."""

import threading
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn
from torch.nn.utils import parametrizations, parametrize

import xaikit as xk
import xaikit_torch
from tests.torch import nets
from xaikit.errors import ModelError, UnknownName

JIT = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
"""TorchScript is on its way out, and importing the compiler still uses it."""
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


def words(*lengths: int, size: int = 7) -> Any:
    """Draw token ids, padded with zeros behind."""
    ids = np.random.default_rng(0).integers(1, 12, (len(lengths), size))
    return np.where(np.arange(size) < np.array(lengths)[:, None], ids, 0)


# --- packed sequences ------------------------------------------------------------------------------------------------


@pytest.fixture
def padded() -> Any:
    return xaikit_torch.wrap(nets.seeded(nets.Padded), inputs=xk.Text(7))


def test_a_packed_sequence_is_captured_padded(padded: Any) -> None:
    ids = words(3, 7, 1)
    run = padded.run(ids, at=["lstm"])
    assert padded.layers["lstm"].axes == ("sample", "time", "channel")
    assert run.activations["lstm"].shape == (3, 7, 5)
    out, _ = padded.net.lstm(padded.net.embed(torch.tensor(ids[:1, :3])))
    assert_allclose(run.activations["lstm"][0, :3], out[0].detach().numpy(), **CLOSE)
    assert not run.activations["lstm"][0, 3:].any()
    assert_allclose(run.output["1"][:1, 0], out[:, -1].detach().numpy(), **CLOSE)


def test_short_chunks_have_the_length_of_the_long_ones(padded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = words(7, 2, 3, 1)
    whole = padded.run(ids, at=["lstm"])
    monkeypatch.setattr(type(padded), "batch_size", 1)
    alone = padded.run(ids, at=["lstm"])
    assert_allclose(alone.activations["lstm"], whole.activations["lstm"], **CLOSE)
    assert_allclose(alone.output["0"], whole.output["0"], **CLOSE)


def test_a_packed_sequence_can_be_replaced_and_pulled_to(padded: Any) -> None:
    ids = words(3, 7, 1)
    value = padded.run(ids, at=["lstm"]).activations["lstm"]
    doubled = padded.run(ids, patch={"lstm": 2 * value}).output["0"]
    bias = padded.net.head.bias.detach().numpy()
    assert_allclose(doubled - bias, 2 * (padded.run(ids).output["0"] - bias), **CLOSE)
    seed = {"0": nets.draw(3, 3)}
    gradient = padded.pull(ids, seed, wrt="lstm").gradient
    expected = (seed["0"] @ padded.net.head.weight.detach().numpy())[:, None] * (ids != 0)[..., None]
    assert_allclose(gradient, expected, **CLOSE)


# --- fused attention -------------------------------------------------------------------------------------------------


def test_the_fused_path_does_not_pass_by_the_layers_inside() -> None:
    model = xaikit_torch.wrap(nets.seeded(nets.Attentive).eval(), inputs=xk.Text(7))
    inner = ["encoder.self_attn", "encoder.linear1", "encoder/relu", "encoder.norm2", "encoder/add:1"]
    assert set(inner) <= set(model.layers)
    ids = words(7, 4)
    run = model.run(ids, at=inner)
    assert_array_equal(run.output, model.run(ids).output)
    with torch.no_grad():
        assert_allclose(run.output, model.net(torch.tensor(ids)).numpy(), rtol=1e-5, atol=1e-6)
    assert_array_equal(run.activations["encoder/relu"], np.maximum(run.activations["encoder.linear1"], 0))
    assert torch.backends.mha.get_fastpath_enabled()


def test_an_encoder_of_layers_is_not_turned_into_nested_tensors() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(12, 8)
            layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.3)
            self.encoder = nn.TransformerEncoder(layer, 2)

        def forward(self, ids: Any) -> Any:
            return self.encoder(self.embed(ids), src_key_padding_mask=ids == 0).mean(1)

    model = xaikit_torch.wrap(nets.seeded(Net), inputs=xk.Text(7))
    run = model.run(words(7, 4), at=["encoder.layers.0.self_attn", "encoder.layers.1"])
    assert all(a.shape == (2, 7, 8) for a in run.activations.values())
    assert model.pull(words(7, 4), nets.ones_like, wrt="embed").gradient.any()


# --- other ways to build ---------------------------------------------------------------------------------------------


def test_a_dense_autoencoder_gives_its_code() -> None:
    model = xaikit_torch.wrap(nets.seeded(nets.Autoencoder), inputs=xk.Array(8), outputs=xk.Reconstruction())
    x = nets.draw(3, 8)
    run = model.run(x, at=["encoder"])
    assert_allclose(run.activations["encoder"], model.net.encoder(torch.tensor(x)).detach().numpy(), **CLOSE)
    assert_allclose(model.run(x, patch={"encoder": run.activations["encoder"]}).output, run.output, **CLOSE)
    assert model.outputs == xk.Reconstruction()


@JIT
def test_a_scripted_network_runs_and_is_pulled_at_its_input() -> None:
    net = nets.seeded(lambda: nn.Sequential(nn.Linear(3, 2), nn.Softmax(-1)))
    scripted = torch.jit.script(net)
    model = xaikit_torch.wrap(scripted, inputs=xk.Array(3), outputs=xk.Classes(2))
    plain = xaikit_torch.wrap(net, inputs=xk.Array(3))
    x = nets.draw(4, 3)
    assert_allclose(model.run(x).output, plain.run(x).output, **CLOSE)
    seed = nets.draw(4, 2)
    assert_allclose(model.pull(x, seed).gradient, plain.pull(x, seed).gradient, **CLOSE)
    assert model.outputs.form == "softmax"
    assert model.can == {"run", "pull"}
    assert model.fingerprint() == plain.fingerprint()


@JIT
def test_a_scripted_part_is_one_layer() -> None:
    net = nn.Sequential(nn.Linear(3, 2), torch.jit.script(nn.Sequential(nn.Linear(2, 2), nn.ReLU())))
    model = xaikit_torch.wrap(net, inputs=xk.Array(3))
    assert list(model.layers) == ["0", "1"]
    assert model.layers["1"].kind == "scripted"
    assert (model.run(nets.draw(4, 3), at=["1"]).activations["1"] >= 0).all()
    assert not torch.nn.modules.module._has_any_global_hook()


@JIT
def test_a_compiled_network_is_the_network_itself() -> None:
    net = nets.seeded(nets.Residual)
    model = xaikit_torch.wrap(torch.compile(net), inputs=xk.Image(16, 16, 3))
    assert model.net is net
    assert model.name == "Residual"


@JIT
def test_a_compiled_part_is_run_without_the_compiler() -> None:
    net = nets.seeded(lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)))
    plain = xaikit_torch.wrap(net, inputs=xk.Array(3)).run(nets.draw(2, 3))

    def never(graph: Any, inputs: Any) -> Any:
        raise AssertionError("the compiler has run")

    whole = nn.Sequential(torch.compile(net, backend=never), nn.Identity())
    whole[1].compile(backend=never)
    model = xaikit_torch.wrap(whole, inputs=xk.Array(3))
    run = model.run(nets.draw(2, 3), at=["0._orig_mod.1"])
    assert_allclose(run.output, plain.output, **CLOSE)
    assert run.activations["0._orig_mod.1"].shape == (2, 4)


def test_a_parallel_network_is_the_network_itself() -> None:
    net = nn.Sequential(nn.Linear(3, 2))
    assert xaikit_torch.wrap(nn.DataParallel(net), inputs=xk.Array(3)).net is net


def test_a_parametrised_layer_is_one_layer_with_the_weight_it_uses() -> None:
    net = nn.Sequential(parametrizations.weight_norm(nn.Linear(3, 4)), parametrizations.spectral_norm(nn.Linear(4, 2)))
    model = xaikit_torch.wrap(nets.seeded(lambda: net), inputs=xk.Array(3))
    assert list(model.layers) == ["0", "1"]
    assert model.layers["0"].kind == "dense"
    assert set(model.weights("0")) == {"weight", "bias"}
    assert_array_equal(model.weights("0")["weight"], net[0].weight.detach().numpy())
    x = nets.draw(2, 3)
    first = model.run(x, at=["0"]).activations["0"]
    assert_allclose(first, x @ model.weights("0")["weight"].T + model.weights("0")["bias"], **CLOSE)
    before = model.fingerprint()
    with torch.no_grad():
        net[0].parametrizations.weight.original0.mul_(2)
    assert model.fingerprint() != before


def test_a_parametrised_weight_can_be_replaced() -> None:
    net = nn.Sequential(parametrizations.weight_norm(nn.Linear(3, 4)))
    kernel = nets.draw(4, 3)
    copied = xaikit_torch.wrap(net, inputs=xk.Array(3)).with_weights({"0.weight": kernel})
    assert_allclose(copied.weights("0")["weight"], kernel, **CLOSE)
    assert parametrize.is_parametrized(copied.net[0])


def test_a_lazy_network_is_refused_until_it_has_shapes() -> None:
    net = nn.Sequential(nn.LazyLinear(2))
    with pytest.raises(ModelError, match=r"0\.weight has no shape yet: run the network once"):
        xaikit_torch.wrap(net)
    net(torch.zeros(1, 3))
    assert xaikit_torch.wrap(net, inputs=xk.Array(3)).layers["0"].parameters == 8


def test_a_network_without_numbers_is_refused() -> None:
    with pytest.raises(ModelError, match="meta device"):
        xaikit_torch.wrap(nn.Linear(3, 2, device="meta"))


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(ModelError, match="a dict is no torch"):
        xaikit_torch.wrap({})


def test_layers_called_only_for_some_inputs_are_missed_by_name() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.low, self.high = nn.Linear(2, 1), nn.Linear(2, 1)

        def forward(self, x: Any) -> Any:
            return self.high(x) if x.sum() > 1 else self.low(x)

    model = xaikit_torch.wrap(Branching(), inputs=xk.Array(2), name="branching")
    assert list(model.layers) == ["low"]
    with pytest.raises(ModelError, match="branching has not called its layer 'low' for this input"):
        model.run(np.ones((1, 2)), at=["low"])
    with pytest.raises(UnknownName):
        model.run(np.ones((1, 2)), at=["high"])


def test_a_function_of_the_users_own_does_not_break_the_run() -> None:
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return 2 * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return 2 * g

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 2)

        def forward(self, x: Any) -> Any:
            return Double.apply(self.fc(x)).relu()

    model = xaikit_torch.wrap(nets.seeded(Net), inputs=xk.Array(3))
    x = nets.draw(3, 3)
    run = model.run(x, at=["fc"])
    assert_array_equal(run.output, np.maximum(2 * run.activations["fc"], 0))
    assert_allclose(model.pull(x, nets.ones_like, wrt="fc").gradient, 2.0 * (run.output > 0))


def test_calls_on_another_thread_are_not_seen() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.other = nn.Linear(3, 3), torch.zeros(1, 3)

        def forward(self, x: Any) -> Any:
            thread = threading.Thread(target=self.fc, args=(self.other,))
            thread.start()
            thread.join()
            return self.fc(x)

    model = xaikit_torch.wrap(nets.seeded(Net), inputs=xk.Array(3))
    assert "fc:1" not in model.layers
    run = model.run(nets.draw(2, 3), at=["fc"])
    assert_array_equal(run.activations["fc"], run.output)


def test_a_recomputed_block_gives_the_same_gradient() -> None:
    class Net(nn.Module):
        def __init__(self, recompute: bool) -> None:
            super().__init__()
            self.fc, self.block = nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))
            self.recompute = recompute

        def forward(self, x: Any) -> Any:
            from torch.utils.checkpoint import checkpoint

            y = self.fc(x)
            return checkpoint(self.block, y, use_reentrant=False) if self.recompute else self.block(y)

    plain, other = (xaikit_torch.wrap(nets.seeded(lambda r=r: Net(r)), inputs=xk.Array(3)) for r in (False, True))
    x = nets.draw(3, 3)
    for wrt in (None, "fc"):
        one, two = (m.pull(x, nets.ones_like, wrt=wrt).gradient for m in (plain, other))
        assert_allclose(two, one, **CLOSE)
