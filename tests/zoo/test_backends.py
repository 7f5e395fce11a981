"""Every operation gives the same numbers, counts and weights in both frameworks."""

import copy
import pickle
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from xaikit.zoo.building import ACTIVATIONS, ATTENTIONS, RECURRENT, Architecture, Ops, Symbol, describe, initial_weights
from xaikit.zoo.networks import networks

pytestmark = pytest.mark.slow

Body = Callable[[Ops, Symbol], Symbol]
SPACE = (11, 10, 9)


def spatial_cases() -> dict[str, tuple[tuple[int, ...], Body]]:
    cases: dict[str, tuple[tuple[int, ...], Body]] = {}
    for rank in (1, 2, 3):
        shape = (*SPACE[:rank], 3)
        small = (*(n - 5 for n in SPACE[:rank]), 3)
        for pad in ("valid", "same"):
            for stride, dilation, kernel in ((1, 1, 3), (2, 1, 2), (2, 1, 3), (3, 1, 4), (1, 2, 3), (1, 1, 4)):
                cases[f"conv{rank}-{pad}-s{stride}-d{dilation}-k{kernel}"] = (
                    shape,
                    lambda n, x, p=pad, s=stride, d=dilation, k=kernel: n.conv(
                        x, 4, k, stride=s, dilation=d, padding=p, activation="relu"
                    ),
                )
            for stride, kernel in ((1, 3), (2, 3), (2, 2), (3, 2), (2, 5)):
                cases[f"deconv{rank}-{pad}-s{stride}-k{kernel}"] = (
                    small,
                    lambda n, x, p=pad, s=stride, k=kernel: n.conv_transpose(x, 4, k, stride=s, padding=p),
                )
            for op in ("max_pool", "avg_pool"):
                for stride, size in ((1, 3), (2, 2), (2, 3), (3, 2), (2, 5)):
                    cases[f"{op}{rank}-{pad}-s{stride}-k{size}"] = (
                        shape,
                        lambda n, x, o=op, p=pad, s=stride, k=size: getattr(n, o)(x, k, stride=s, padding=p),
                    )
            for stride in (1, 2) if rank < 3 else ():
                cases[f"depthwise{rank}-{pad}-s{stride}"] = (
                    shape,
                    lambda n, x, p=pad, s=stride: n.depthwise_conv(x, 3, stride=s, padding=p, multiplier=2),
                )
                cases[f"separable{rank}-{pad}-s{stride}"] = (
                    shape,
                    lambda n, x, p=pad, s=stride: n.separable_conv(x, 5, 3, stride=s, padding=p),
                )
        for op in ("global_avg_pool", "global_max_pool", "batch_norm"):
            cases[f"{op}{rank}"] = (shape, lambda n, x, o=op: getattr(n, o)(x))
        cases[f"upsample{rank}"] = (shape, lambda n, x: n.upsample(x, 2))
        cases[f"zero_pad{rank}"] = (shape, lambda n, x, r=rank: n.zero_pad(x, *((1, 2), (0, 1), (2, 0))[:r]))
        cases[f"group_norm{rank}"] = (shape, lambda n, x: n.group_norm(n.conv(x, 6, 3), 3))
        cases[f"local_response_norm{rank}"] = (
            shape,
            lambda n, x: n.local_response_norm(n.conv(x, 6, 3), size=3, alpha=0.5, beta=0.6, k=1.5),
        )
        cases[f"layer_norm{rank}"] = (shape, lambda n, x: n.layer_norm(n.conv(x, 4, 3)))
    return cases


def other_cases() -> dict[str, tuple[tuple[int, ...], Body]]:
    image = (5, 6, 3)
    cases: dict[str, tuple[tuple[int, ...], Body]] = {
        **{f"{kind}-map": (image, lambda n, x, k=kind: n.conv(x, 4, 3, activation=k)) for kind in ACTIVATIONS},
        **{f"{kind}-vector": ((7,), lambda n, x, k=kind: n.dense(x, 4, activation=k)) for kind in ACTIVATIONS},
        "batch_norm-no-scale": (image, lambda n, x: n.batch_norm(n.conv(x, 4, 3), scale=False)),
        "batch_norm-vector": ((7,), lambda n, x: n.batch_norm(n.dense(x, 4))),
        "layer_norm-vector": ((7,), lambda n, x: n.layer_norm(x)),
        "group_norm-vector": ((6,), lambda n, x: n.group_norm(x, 2)),
        "group_norm-first": ((7, 3), lambda n, x: n.lstm(n.group_norm(x, 3), 4)),
        "upsample-bilinear": (image, lambda n, x: n.upsample(x, (2, 3), kind="bilinear")),
        "repeat": ((4,), lambda n, x: n.gru(n.repeat(n.dense(x, 3), 5), 4, sequences=True)),
        "sampling": (image, lambda n, x: n.sampling(n.conv(x, 2, 3), n.conv(x, 2, 3))),
        "sampling-vector": ((7,), lambda n, x: n.dense(n.sampling(n.dense(x, 3), n.dense(x, 3)), 2)),
        "gru-reset-before-stacked": (
            (7, 3),
            lambda n, x: n.gru(n.gru(x, 4, sequences=True, reset_after=False), 3, reset_after=False),
        ),
        "dense-on-map": (image, lambda n, x: n.dense(n.conv(x, 4, 3), 7)),
        "no-bias": (image, lambda n, x: n.dense(n.flatten(n.conv(x, 4, 3, bias=False)), 2, bias=False)),
        "flatten-relu-dropout-dense": (
            image,
            lambda n, x: n.dense(n.dropout(n.activation(n.flatten(n.conv(x, 4, 3)), "relu"), 0.5), 3),
        ),
        "flatten-given": (image, lambda n, x: n.flatten(n.conv(x, 4, 3))),
        "flatten-softmax": (image, lambda n, x: n.dense(n.activation(n.flatten(n.conv(x, 4, 3)), "softmax"), 3)),
        "flatten-norm": (image, lambda n, x: n.dense(n.batch_norm(n.flatten(n.conv(x, 4, 3))), 3)),
        "flatten-input": ((5, 6), lambda n, x: n.dense(n.flatten(x), 3)),
        "reshape": ((4, 6, 2), lambda n, x: n.reshape(n.conv(x, 3, 1), 8, 9)),
        "concat": (image, lambda n, x: n.dense(n.flatten(n.concat(n.conv(x, 4, 3, padding="same"), x)), 2)),
        "concat-layouts": (
            (6, 3),
            lambda n, x: n.concat(n.conv(x, 3, 3, padding="same"), n.lstm(x, 4, sequences=True)),
        ),
        "add": (image, lambda n, x: n.add(n.conv(x, 3, 3, padding="same"), x, n.conv(x, 3, 1))),
        "conv-lstm": ((9, 3), lambda n, x: n.lstm(n.max_pool(n.conv(x, 4, 3), 2), 5)),
        "autoencoder": (
            (8, 8, 3),
            lambda n, x: n.conv(
                n.upsample(
                    n.reshape(n.dense(n.flatten(n.layer_norm(n.conv(x, 4, 3, padding="same"))), 48), 4, 4, 3), 2
                ),
                *(3, 1),
                activation="sigmoid",
            ),
        ),
    }
    for kind in ATTENTIONS:
        for scale in (True, False):
            cases[f"attention-{kind}-{scale}"] = (
                (7, 3),
                lambda n, x, k=kind, s=scale: n.attention(
                    n.lstm(x, 4, sequences=True), n.dense(x, 5), n.dense(x, 4), kind=k, scale=s
                ),
            )
        cases[f"attention-{kind}-itself"] = ((7, 3), lambda n, x, k=kind: n.attention(x, x, kind=k))
        cases[f"attention-{kind}-conv"] = (
            (7, 3),
            lambda n, x, k=kind: n.conv(n.attention(n.conv(x, 3, 3), x, kind=k), 2, 2),
        )
    for cell in RECURRENT:
        cases[cell] = ((7, 3), lambda n, x, c=cell: getattr(n, c)(x, 4))
        cases[f"bi-{cell}"] = ((7, 3), lambda n, x, c=cell: n.bidirectional(x, c, 4, sequences=True))
    return cases


def token_cases() -> dict[str, Body]:
    cases: dict[str, Body] = {}
    for cell in RECURRENT:
        for sequences in (False, True):
            for mask in (False, True):
                name = f"{cell}-{'sequences' if sequences else 'last'}-{'masked' if mask else 'plain'}"
                cases[name] = lambda n, x, c=cell, s=sequences, m=mask: getattr(n, c)(
                    n.embedding(x, 9, 6, mask_zero=m), 4, sequences=s
                )
                cases[f"bi-{name}"] = lambda n, x, c=cell, s=sequences, m=mask: n.bidirectional(
                    n.embedding(x, 9, 6, mask_zero=m), c, 4, sequences=s
                )
        cases[f"stacked-{cell}"] = lambda n, x, c=cell: getattr(n, c)(
            n.dense(n.bidirectional(n.embedding(x, 9, 6, mask_zero=True), c, 4, sequences=True), 3), 4
        )
        cases[f"stacked-bi-{cell}"] = lambda n, x, c=cell: n.bidirectional(
            n.dropout(n.bidirectional(n.embedding(x, 9, 6, mask_zero=True), c, 4, sequences=True), 0.5),
            *(c, 3),
            sequences=True,
        )
        cases[f"stacked-thrice-{cell}"] = lambda n, x, c=cell: getattr(n, c)(
            n.layer_norm(getattr(n, c)(stacked(n, x, c), 4, sequences=True)), 5, sequences=True
        )
    for mask in (False, True):
        for sequences in (False, True):
            name = f"gru-reset-before-{'sequences' if sequences else 'last'}-{'masked' if mask else 'plain'}"
            cases[name] = lambda n, x, s=sequences, m=mask: n.gru(
                n.embedding(x, 9, 6, mask_zero=m), 4, sequences=s, reset_after=False
            )
            cases[f"bi-{name}"] = lambda n, x, s=sequences, m=mask: n.bidirectional(
                n.embedding(x, 9, 6, mask_zero=m), "gru", 4, sequences=s, reset_after=False
            )
    for kind in ATTENTIONS:
        cases[f"attention-{kind}-masked"] = lambda n, x, k=kind: attending(n, x, k)
        cases[f"attention-{kind}-masked-value"] = lambda n, x, k=kind: n.attention(
            n.repeat(n.lstm(n.embedding(x, 9, 6), 4), 3), stacked(n, x, "gru"), kind=k
        )
        cases[f"attention-{kind}-masked-query-given"] = lambda n, x, k=kind: n.attention(
            stacked(n, x, "gru"), n.embedding(x, 9, 4), kind=k
        )
        cases[f"attention-{kind}-masked-query"] = lambda n, x, k=kind: n.lstm(
            n.attention(stacked(n, x, "gru"), n.embedding(x, 9, 5), n.embedding(x, 9, 4), kind=k), 3
        )
    return cases


def stacked(n: Ops, x: Symbol, cell: str) -> Symbol:
    return getattr(n, cell)(n.embedding(x, 9, 6, mask_zero=True), 4, sequences=True)


def attending(n: Ops, x: Symbol, kind: str) -> Symbol:
    """Query, value and key masked; what comes out is masked too, and its activation and norm are read by a layer."""
    states = stacked(n, x, "lstm")
    attended = n.attention(n.activation(states, "tanh"), states, n.dense(states, 4), kind=kind)
    return n.gru(n.layer_norm(attended), 3, sequences=True)


SPATIAL, OTHER, TOKENS = spatial_cases(), other_cases(), token_cases()


def random_weights(architecture: Architecture, seed: int = 1) -> dict[str, Any]:
    """Weights in which no bias, scale or statistic is zero or one."""
    rng = np.random.default_rng(seed)
    start = initial_weights(architecture, seed)
    return {name: (w + rng.uniform(0.1, 0.5, w.shape)).astype(np.float32) for name, w in start.items()}


def run_torch(net: Any, architecture: Architecture, x: Any) -> Any:
    import torch

    from xaikit_torch.building import layouts

    given = np.moveaxis(x, -1, 1) if net.layout == "channels-first" else x
    with torch.no_grad():
        y = net(torch.from_numpy(np.ascontiguousarray(given))).numpy()
    return np.moveaxis(y, 1, -1) if layouts(architecture)[architecture.last.name] == "channels-first" else y


def agree(both: tuple[Any, Any], architecture: Architecture, x: Any) -> None:
    torch_side, keras_side = both
    weights = random_weights(architecture)
    torch_net, keras_net = (side.build(architecture) for side in both)
    torch_side.set_weights(torch_net, architecture, weights)
    keras_side.set_weights(keras_net, architecture, weights)
    expected = np.asarray(keras_net(x))
    assert expected.shape == (len(x), *architecture.last.shape)
    # float32 sums in another order: six digits of the largest output.
    assert_allclose(run_torch(torch_net, architecture, x), expected, rtol=0, atol=1e-5 * max(1, abs(expected).max()))
    assert counts_torch(torch_net) == counts_keras(keras_net) == (architecture.total, architecture.trainable)
    for side, net in ((torch_side, torch_net), (keras_side, keras_net)):
        taken = side.get_weights(net, architecture)
        assert list(taken) == list(architecture.weights)
        for name, value in taken.items():
            assert_array_equal(value, weights[name])


def counts_torch(net: Any) -> tuple[int, int]:
    statistics = sum(b.numel() for name, b in net.named_buffers() if "running_" in name)
    total = sum(p.numel() for p in net.parameters()) + statistics
    return total, sum(p.numel() for p in net.parameters() if p.requires_grad)


def counts_keras(net: Any) -> tuple[int, int]:
    return net.count_params(), sum(int(np.prod(w.shape)) for w in net.trainable_weights)


@pytest.mark.parametrize("case", [*SPATIAL, *OTHER])
def test_an_operation_is_the_same_in_both_frameworks(both: tuple[Any, Any], case: str) -> None:
    shape, body = {**SPATIAL, **OTHER}[case]
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    agree(both, describe(case, lambda net: body(net, net.input(*shape))), x)


@pytest.mark.parametrize("case", TOKENS)
def test_tokens_and_masks_are_the_same_in_both_frameworks(both: tuple[Any, Any], case: str) -> None:
    x = np.array([[0, 0, 3, 5, 1, 2, 8], [4, 0, 0, 2, 0, 7, 0], [1, 2, 3, 4, 5, 6, 7], [0] * 7, [6, 6, 0, 0, 0, 0, 0]])
    agree(both, describe(case, lambda net: TOKENS[case](net, net.input(7, integer=True))), x)


# Networks of more weights take seconds and half a gigabyte to build.
HUGE = [name for name in networks if networks[name].architecture.total > 5e7]


def _marks(name: str) -> Any:
    return pytest.mark.long if name in HUGE and name != "alexnet" else pytest.mark.slow if name in HUGE else ()


@pytest.mark.parametrize("name", [pytest.param(n, marks=_marks(n)) for n in networks])
def test_networks_have_the_described_counts_and_names(backend: Any, framework: str, name: str) -> None:
    architecture = networks[name].architecture
    net = backend.build(architecture)
    counts = counts_torch if framework == "torch" else counts_keras
    assert counts(net) == (architecture.total, architecture.trainable)
    described = [node.name for node in architecture.nodes]
    if framework == "keras":  # which lists branches by depth
        assert sorted(layer.name for layer in net.layers) == sorted(described)
    else:  # where some operations take several modules
        assert [child for child, _ in net.named_children() if child in described] == described[1:]


def test_both_start_from_the_same_weights(both: tuple[Any, Any]) -> None:
    architecture = networks["mnist_cnn"].architecture
    torch_side, keras_side = both
    ours = torch_side.get_weights(torch_side.build(architecture, seed=5), architecture)
    theirs = keras_side.get_weights(keras_side.build(architecture, seed=5), architecture)
    for name, value in ours.items():
        assert_array_equal(value, theirs[name])


def test_several_inputs_and_outputs_keep_their_names(both: tuple[Any, Any]) -> None:
    def two(net: Ops) -> dict[str, Symbol]:
        picture, number = net.input(6, 6, 1, name="picture"), net.input(3, name="number")
        trunk = net.flatten(net.conv(picture, 2, 3))
        joined = net.concat(trunk, number)
        return {"digit": net.dense(joined, 4, activation="softmax"), "size": net.dense(joined, 1)}

    architecture = describe("two", two)
    torch_net, keras_net = (side.build(architecture) for side in both)
    rng = np.random.default_rng(0)
    picture, number = (rng.normal(size=s).astype(np.float32) for s in ((2, 6, 6, 1), (2, 3)))
    import torch

    ours = torch_net(torch.from_numpy(np.moveaxis(picture, -1, 1).copy()), torch.from_numpy(number))
    theirs = keras_net({"picture": picture, "number": number})
    assert set(ours) == set(theirs) == {"digit", "size"}
    for name in ours:
        assert_allclose(ours[name].detach().numpy(), np.asarray(theirs[name]), atol=1e-5)


def test_building_leaves_the_global_random_state_alone(backend: Any) -> None:
    architecture = describe(
        "all", lambda n: n.dropout(n.bidirectional(n.lstm(n.input(5, 3), 4, sequences=True), "simple_rnn", 4), 0.5)
    )
    before = global_random_states()
    backend.build(architecture)
    assert global_random_states() == before


def global_random_states() -> tuple[object, ...]:
    import torch

    return random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes()  # noqa: NPY002


def test_a_torch_network_survives_copying_and_pickling(both: tuple[Any, Any]) -> None:
    import torch

    architecture = describe("copied", lambda n: n.dense(n.lstm(n.input(5, 3), 4), 2))
    net = both[0].build(architecture)
    x = torch.ones(2, 5, 3)
    expected = net(x).detach().numpy()
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        with torch.no_grad():
            assert_array_equal(twin(x).numpy(), expected)
            twin.lstm1.bias_ih_l0 += 1.0
        assert np.abs(twin(x).detach().numpy() - expected).max() > 1e-3
    assert_array_equal(net(x).detach().numpy(), expected)


# ---------------------------------------------------------------------- operations against their formulas

Array = np.ndarray[Any, Any]


def computed(backend: Any, architecture: Architecture, x: Array, weights: dict[str, Any]) -> Array:
    """What a network with these weights gives, channels last."""
    net = backend.build(architecture)
    backend.set_weights(net, architecture, weights)
    return np.asarray(net(x)) if hasattr(net, "summary") else run_torch(net, architecture, x)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def softmax(x: Array) -> Array:
    raised = np.exp(x - x.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


TOKENS_2 = np.array([[3, 1, 0, 2, 0], [4, 2, 2, 0, 1]])


@pytest.mark.parametrize("kind", ATTENTIONS)
@pytest.mark.parametrize("scale", [True, False])
def test_attention_is_its_formula_and_masked_steps_weigh_nothing(backend: Any, kind: str, scale: bool) -> None:
    def body(n: Ops) -> Symbol:
        x = n.input(5, integer=True)
        query = n.embedding(x, 5, 3, name="query")
        return n.attention(query, n.embedding(x, 5, 3, mask_zero=True, name="value"), kind=kind, scale=scale)

    a = describe("a", body)
    w = random_weights(a)
    q, v = w["query/embeddings"][TOKENS_2], w["value/embeddings"][TOKENS_2]
    s = w["attention1/scale"] if scale else 1.0
    pairs = q[:, :, None] + v[:, None]
    scores = (s * np.tanh(pairs)).sum(-1) if kind == "additive" else s * np.einsum("bqd,bvd->bqv", q, v)
    expected = softmax(np.where(TOKENS_2[:, None] != 0, scores, -np.inf)) @ v
    # float32 keeps six digits of numbers below one.
    assert_allclose(computed(backend, a, TOKENS_2, w), expected, atol=1e-6)


@pytest.mark.parametrize("kind", ATTENTIONS)
def test_a_hook_on_weights_reads_the_weights_of_attention(both: tuple[Any, Any], kind: str) -> None:
    import torch

    a = describe("a", lambda n: attending(n, n.input(5, integer=True), kind))
    net = both[0].build(a)
    read: list[Any] = []
    with net.attention1.weights.register_forward_hook(lambda module, given, out: read.append(out.detach().numpy())):
        net(torch.from_numpy(TOKENS_2))
    assert read[0].shape == (2, 5, 5)
    assert_allclose(read[0].sum(-1), 1.0, atol=1e-6)  # float32
    assert_array_equal(read[0][np.broadcast_to(TOKENS_2[:, None] == 0, (2, 5, 5))], 0.0)


def cho(x: Array, w: dict[str, Any], keep: Array) -> Array:
    """The states of a GRU after Cho et al. (2014), equations 5 to 8, in Keras' order z r h of the gates."""
    kernel, rest, bias = (w[f"gru1/{name}"] for name in ("kernel", "recurrent_kernel", "bias"))
    units = rest.shape[0]
    h, states = np.zeros((len(x), units)), []
    for t in range(x.shape[1]):
        driven = x[:, t] @ kernel + bias
        z = sigmoid(driven[:, :units] + h @ rest[:, :units])
        r = sigmoid(driven[:, units : 2 * units] + h @ rest[:, units : 2 * units])
        n = np.tanh(driven[:, 2 * units :] + (r * h) @ rest[:, 2 * units :])
        h = np.where(keep[:, t, None], z * h + (1 - z) * n, h)
        states.append(h)
    return np.stack(states, 1)


@pytest.mark.parametrize("mask", [True, False])
def test_a_gru_that_resets_before_the_product_is_cho_s(backend: Any, mask: bool) -> None:
    def body(n: Ops) -> Symbol:
        x = n.embedding(n.input(5, integer=True), 5, 3, mask_zero=mask)
        return n.gru(x, 4, sequences=True, reset_after=False)

    a = describe("cho", body)
    w = random_weights(a)
    expected = cho(w["embedding1/embeddings"][TOKENS_2], w, (TOKENS_2 != 0) | (not mask))
    # float32 through five steps of gates.
    assert_allclose(computed(backend, a, TOKENS_2, w), expected, atol=2e-6)


def test_local_response_normalisation_is_the_formula_of_alexnet(backend: Any) -> None:
    a = describe("lrn", lambda n: n.local_response_norm(n.input(3, 2, 9), alpha=0.5))
    x = np.random.default_rng(0).normal(size=(2, 3, 2, 9)).astype(np.float32)
    expected = np.empty_like(x)
    for i in range(9):
        neighbours = x[..., max(0, i - 2) : min(8, i + 2) + 1]
        expected[..., i] = x[..., i] / (2.0 + 0.5 * (neighbours**2).sum(-1)) ** 0.75
    assert_allclose(computed(backend, a, x, {}), expected, atol=1e-6)  # float32


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_normalisation_is_its_formula_between_layer_and_instance(backend: Any, groups: int) -> None:
    a = describe("gn", lambda n: n.group_norm(n.input(4, 5, 6), groups))
    w = random_weights(a)
    x = np.random.default_rng(0).normal(2.0, 3.0, (3, 4, 5, 6)).astype(np.float32)
    cut = x.reshape(3, 4, 5, groups, 6 // groups)
    axes = {1: (1, 2, 3, 4), 2: (1, 2, 4), 6: (1, 2)}[groups]  # one: space and channels; six: space alone
    normal = (cut - cut.mean(axes, keepdims=True)) / np.sqrt(cut.var(axes, keepdims=True) + 1e-3)
    expected = normal.reshape(x.shape) * w["group_norm1/gamma"] + w["group_norm1/beta"]
    assert_allclose(computed(backend, a, x, w), expected, atol=1e-5)  # float32 sums of 120 numbers up to ten


def test_upsampling_of_two_by_two(backend: Any) -> None:
    x = np.array([[1, 2], [3, 4]], np.float32).reshape(1, 2, 2, 1)
    nearest = computed(backend, describe("n", lambda n: n.upsample(n.input(2, 2, 1), 2)), x, {})
    assert_array_equal(nearest[0, ..., 0], [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]])
    bilinear = computed(backend, describe("b", lambda n: n.upsample(n.input(2, 2, 1), 2, kind="bilinear")), x, {})
    # Half-pixel centres: the new positions lie at -1/4 (held at the edge), 1/4, 3/4 and 5/4 of the old ones.
    line = np.array([0, 0.25, 0.75, 1])
    assert_allclose(bilinear[0, ..., 0], 1 + line[None] + 2 * line[:, None], atol=1e-6)


def test_sampling_draws_in_training_and_gives_the_mean_otherwise(both: tuple[Any, Any]) -> None:
    import torch

    def body(n: Ops) -> Symbol:
        x = n.input(2)
        return n.sampling(n.dense(x, 1, name="mean"), n.dense(x, 1, name="log_variance"))

    a = describe("s", body)
    eye = np.eye(2, dtype=np.float32)
    w = {"mean/kernel": eye[:, :1], "log_variance/kernel": eye[:, 1:], "mean/bias": eye[0, 1:]}
    w["log_variance/bias"] = w["mean/bias"]
    x = np.tile(np.array([[3.0, np.log(4.0)]], np.float32), (10_000, 1))
    torch_net, keras_net = (side.build(a) for side in both)
    for side, net in zip(both, (torch_net, keras_net), strict=True):
        side.set_weights(net, a, w)
    assert_array_equal(run_torch(torch_net, a, x), x[:, :1])
    assert_array_equal(np.asarray(keras_net(x)), x[:, :1])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        drawn = {"torch": run_torch(torch_net.train(), a, x), "keras": np.asarray(keras_net(x, training=True))}
    for values in drawn.values():  # ten thousand draws of N(3, 2): the mean is off by 0.02, the deviation by 0.014
        assert abs(values.mean() - 3.0) < 0.08
        assert abs(values.std() - 2.0) < 0.06
    assert np.abs(drawn["keras"] - np.asarray(keras_net(x, training=True))).max() > 0.1


def test_wrapped_networks_give_the_new_layers_by_name_and_alike(both: tuple[Any, Any]) -> None:
    import xaikit as xk

    a = describe("wrapped", decoder)
    w = random_weights(a)
    x = np.random.default_rng(0).normal(size=(2, 6, 4)).astype(np.float32)
    read: dict[str, list[Any]] = {}
    for side in both:
        net = side.build(a)
        side.set_weights(net, a, w)
        model = xk.wrap(net, xk.Array((6, 4)))
        weights = "attention1/weights" if "attention1/weights" in model.layers else "attention1.weights"
        for name in ("gru1", "repeat1", weights, "attention1", "attention2", "sampling1"):
            value = model.run(x, [name]).activations[name]
            read.setdefault(name.replace("/", "."), []).append(value)
        read.setdefault("gradient", []).append(model.pull(x, np.ones_like).gradient)
    for name, (ours, theirs) in read.items():
        # float32 sums in another order, backwards through a few layers: five digits of the largest.
        assert_allclose(ours, theirs, atol=1e-5 * max(1, np.abs(theirs).max()), err_msg=name)


# ---------------------------------------------------------------------- copies, files, gradients


def decoder(n: Ops) -> Symbol:
    x = n.gru(n.input(6, 4), 4, sequences=True, reset_after=False)
    steps = n.repeat(n.bidirectional(x, "gru", 2, reset_after=False), 3)
    y = n.attention(n.attention(steps, x), x, kind="dot")
    z = n.flatten(n.group_norm(y, 2))
    return n.sampling(n.dense(z, 2), n.dense(z, 2))


def painter(n: Ops) -> Symbol:
    return n.upsample(n.local_response_norm(n.conv(n.input(5, 5, 3), 4, 3), size=3, alpha=0.5), 2, kind="bilinear")


@pytest.mark.parametrize(("body", "shape"), [(decoder, (6, 4)), (painter, (5, 5, 3))])
def test_gradients_of_the_input_agree(both: tuple[Any, Any], body: Any, shape: tuple[int, ...]) -> None:
    import tensorflow as tf
    import torch

    a = describe("g", body)
    w = random_weights(a)
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    torch_net, keras_net = (side.build(a) for side in both)
    for side, net in zip(both, (torch_net, keras_net), strict=True):
        side.set_weights(net, a, w)
    first = torch_net.layout == "channels-first"
    given = torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1) if first else x)).requires_grad_()
    (torch_net(given) ** 2).sum().backward()
    ours = np.moveaxis(given.grad.numpy(), 1, -1) if first else given.grad.numpy()
    with tf.GradientTape() as tape:
        variable = tf.Variable(x)
        total = tf.reduce_sum(keras_net(variable) ** 2)
    theirs = np.asarray(tape.gradient(total, variable))
    assert np.abs(theirs).max() > 1e-3
    # float32 backwards through a few layers: five digits of the largest.
    assert_allclose(ours, theirs, atol=1e-5 * max(1, np.abs(theirs).max()))


@pytest.mark.parametrize(("body", "shape"), [(decoder, (6, 4)), (painter, (5, 5, 3))])
def test_a_keras_network_survives_a_file(both: tuple[Any, Any], tmp_path: Path, body: Any, shape: Any) -> None:
    from xaikit_keras import load_network

    a = describe("saved", body)
    net = both[1].build(a)
    both[1].set_weights(net, a, random_weights(a))
    net.save(tmp_path / "net.keras")
    x = np.ones((2, *shape), np.float32)
    assert_array_equal(np.asarray(load_network(tmp_path / "net.keras")(x)), np.asarray(net(x)))


def test_files_with_the_zoo_s_layers_load_in_a_fresh_process(both: tuple[Any, Any], tmp_path: Path) -> None:
    net = both[1].build(describe("saved", decoder))
    net.save(tmp_path / "net.keras")
    code = "import sys, xaikit_keras; print(xaikit_keras.load_network(sys.argv[1]).count_params())"
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "net.keras")], capture_output=True, text=True, check=True
    )
    assert int(run.stdout) == net.count_params()


@pytest.mark.parametrize(("body", "shape"), [(decoder, (6, 4)), (painter, (3, 5, 5))])
def test_a_torch_network_is_copied_pickled_and_exported(both: tuple[Any, Any], body: Any, shape: Any) -> None:
    import torch

    net = both[0].build(describe("copied", body))
    x = torch.ones(2, *shape)
    twins = (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), torch.export.export(net, (x,)).module())
    with torch.no_grad():
        for twin in twins:
            assert_allclose(twin(x).numpy(), net(x).numpy(), atol=1e-6)  # float32, exported sums in another order
