"""Attention: heads, masks, rows that sum to one, and what is refused."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

import xaikit as xk
from xaikit.errors import NotSupported, ParameterError, UnknownName, UsageError

WORDS = ("[pad]", "[unknown]", *"abcdef")
LENGTH = 6


class Attending(nn.Module):
    """Multi-head attention of a text to itself, perhaps with its padding or the steps to come masked."""

    def __init__(self, masked: bool = True, causal: bool = False, layers: int = 1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.masked, self.causal = masked, causal
        self.embedding = nn.Embedding(len(WORDS), 8)
        self.mha = nn.ModuleList(nn.MultiheadAttention(8, 2, batch_first=True) for _ in range(layers))
        self.head = nn.Linear(8, 1)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embedding(ids)
        pads = ids == 0 if self.masked else None
        later = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1) if self.causal else None
        for mha in self.mha:
            x = mha(x, x, x, key_padding_mask=pads, attn_mask=later)[0]
        return self.head(x[:, 0])


def wrapped(**how) -> object:
    spec = xk.Text(LENGTH, vocabulary=WORDS, tokenizer="characters", pad_side="right")
    return xk.wrap(Attending(**how).eval(), inputs=spec, outputs=xk.Values(["y"]))


def test_heads_are_kept_and_padding_is_gone() -> None:
    found = xk.attention(wrapped(), ["abca", "fedcba"])
    assert found.axes == ("sample", "head", "target", "source")
    assert found.weights.shape == (2, 2, LENGTH, LENGTH)
    assert np.isnan(found.weights[0, :, :, 4:]).all()
    assert np.isnan(found.weights[0, :, 4:]).all()
    assert_allclose(np.nansum(found.weights, -1)[0, :, :4], 1, atol=1e-12)
    assert_allclose(found.weights[1].sum(-1), 1, atol=1e-12)
    assert found.source[0] == found.target[0] == ("a", "b", "c", "a", "", "")
    assert_array_equal(found.peak(0)[4:], [-1, -1])
    assert str(found.status) == "ok"
    assert_allclose(found.head()[1], found.weights[1].mean(0))
    with pytest.raises(ParameterError, match="heads 0 to 1"):
        found.head(2)


def test_attention_on_padding_is_kept_and_warned_of() -> None:
    found = xk.attention(wrapped(masked=False), ["abca"])
    assert np.isfinite(found.weights[0, :, :4]).all()
    assert "on padding" in found.status.reasons[0]


def test_steps_to_come_are_masked() -> None:
    found = xk.attention(wrapped(causal=True), ["fedcba"])
    above = np.triu(np.ones((LENGTH, LENGTH), bool), 1)
    assert np.isnan(found.weights[..., above]).all()
    assert np.isfinite(found.weights[..., ~above]).all()
    assert_allclose(np.nansum(found.weights, -1), 1, atol=1e-12)


def test_the_entropy_is_zero_at_one_step_and_log2_of_the_steps_at_most() -> None:
    found = xk.attention(wrapped(causal=True), ["fedcba"])
    assert_allclose(found.entropy[0, :, 0], 0, atol=1e-12)
    assert (found.entropy[0] <= np.log2(np.arange(1, LENGTH + 1)) + 1e-9).all()


def test_what_is_no_attention_is_refused() -> None:
    two = wrapped(layers=2)
    with pytest.raises(UsageError, match=r"name one: mha\.0/weights, mha\.1/weights"):
        xk.attention(two, ["abc"])
    assert xk.attention(two, ["abc"], "mha.1").layer == "mha.1/weights"
    with pytest.raises(UnknownName, match=r"mha\.0/weights"):
        xk.attention(two, ["abc"], "mha.7")
    with pytest.raises(NotSupported, match="no weights of attention"):
        xk.attention(two, ["abc"], "embedding")
    plain = xk.wrap(nn.Sequential(nn.Flatten(), nn.Linear(6, 1)), inputs=xk.Series(3, 2), layout="channels-last")
    with pytest.raises(NotSupported, match="no layer of attention"):
        xk.attention(plain, np.zeros((1, 3, 2)))


class Summing(nn.Module):
    """Attention that sums a text up: one weight for each token."""

    def __init__(self, column: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.column = column
        self.embedding, self.worth, self.head = nn.Embedding(len(WORDS), 8), nn.Linear(8, 1), nn.Linear(8, 1)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embedding(ids)
        worth = self.worth(x).masked_fill((ids == 0)[..., None], -1e9)
        shares = worth.softmax(1) if self.column else worth[..., 0].softmax(-1)[..., None]
        return self.head((shares * x).sum(1))


@pytest.mark.parametrize("column", [False, True])
def test_attention_that_sums_up_has_one_target_step(column: bool) -> None:
    spec = xk.Text(LENGTH, vocabulary=WORDS, tokenizer="characters", pad_side="right")
    model = xk.wrap(Summing(column).eval(), inputs=spec, outputs=xk.Values(["y"]))
    with pytest.raises(NotSupported, match="if 'softmax' gives its weights, name it"):
        xk.attention(model, ["abca"])
    found = xk.attention(model, ["abca", "fedcba"], "softmax")
    assert found.axes == ("sample", "target", "source")
    given = model.run(model.inputs.encode(["abca", "fedcba"]), at=["softmax"]).activations["softmax"].reshape(2, LENGTH)
    assert_allclose(found.weights[1, 0], given[1], atol=1e-6)
    assert_allclose(found.weights[0, 0, :4], given[0, :4], atol=1e-6)
    assert np.isnan(found.weights[0, 0, 4:]).all()
    assert found.source[0] == ("a", "b", "c", "a", "", "")


class Given(nn.Module):
    """Passes its input on, as a layer with a name."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class Odd(nn.Module):
    """Rows that a person calls attention: what the network is given."""

    def __init__(self) -> None:
        super().__init__()
        self.given, self.head = Given(), nn.Linear(3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.given(x * 1.0).sum(1))


@pytest.mark.parametrize(
    ("row", "attends"), [([0.5, 0.25, 0.25], True), ([0.25, 0.25, 0.25], False), ([2.0, -0.5, -0.5], False)]
)
def test_shares_are_positive_and_sum_to_one(row: list[float], attends: bool) -> None:
    model = xk.wrap(Odd(), inputs=xk.Array((2, 3)), outputs=xk.Values(["y"]))
    x = np.array([[row, row]], np.float32)
    if attends:
        assert_allclose(xk.attention(model, x, "given").weights, x)
        return
    with pytest.raises(NotSupported, match="no weights of attention that sum to one"):
        xk.attention(model, x, "given")


def test_the_share_of_padding_is_that_of_steps_that_are_read() -> None:
    model = wrapped(masked=False)
    ids = model.inputs.encode(["ab"])
    given = model.run(ids, at=["mha.0/weights"]).activations["mha.0/weights"]
    found = xk.attention(model, ["ab"])
    read, all_rows = (given[0].mean(0)[:n, 2:].sum(-1).mean() for n in (2, LENGTH))
    assert f"{read:.0%}" != f"{all_rows:.0%}"
    assert found.status.reasons[0].startswith(f"{read:.0%} of the attention")


def test_rows_are_brought_to_one_beyond_single_precision() -> None:
    found = xk.attention(wrapped(), ["abca", "fedcba"])
    assert_allclose(np.nansum(found.weights[1], -1), 1, rtol=0, atol=1e-14)
