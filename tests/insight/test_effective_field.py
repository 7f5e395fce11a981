"""Effective receptive fields: closed forms of linear stacks, borders, shares that shrink with depth."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import xaikit as xk
from xaikit.errors import NotSupported, ParameterError

torch = pytest.importorskip("torch")
nn = torch.nn


def ones(net: Any) -> Any:
    with torch.no_grad():
        for name, p in net.named_parameters():
            p.fill_(0.0 if name.endswith("bias") else 1.0)
    return net.eval()


def stack(depth: int, rank: int = 2) -> Any:
    """Convolutions of ones, three wide."""
    conv = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[rank]
    return ones(nn.Sequential(*[conv(1, 1, 3, padding=1) for _ in range(depth)]))


def powers(depth: int) -> Any:
    """Coefficients of (1 + x + x²)^depth: how often each place is counted by so many windows of three."""
    found = np.ones(1)
    for _ in range(depth):
        found = np.convolve(found, np.ones(3))
    return found


def samples(count: int, *shape: int) -> Any:
    return np.random.default_rng(0).normal(size=(count, *shape)).astype(np.float32)


def test_a_linear_stack_has_the_product_of_its_coefficients() -> None:
    model = xk.wrap(stack(3), inputs=xk.Image(21, 17, 1, scale=1.0))
    found = xk.effective_field(model, samples(16, 21, 17, 1) + 5, "2", (10, 8))["2"]
    expected = np.zeros((21, 17))
    expected[7:14, 5:12] = np.outer(powers(3), powers(3)) ** 2
    assert_allclose(found.energy, expected, rtol=1e-5)
    assert (found.lo, found.hi, found.size) == ((7, 5), (13, 11), (7, 7))
    assert_allclose(found.mean, (10, 8), atol=1e-5)
    one = powers(3) ** 2
    assert_allclose(found.sigma, np.sqrt(2 * (one @ np.arange(-3, 4) ** 2) / one.sum()), rtol=1e-5)
    assert found.stray == 0.0
    assert not found.truncated


def test_the_square_holds_95_percent() -> None:
    model = xk.wrap(stack(6, 1), inputs=xk.Series(41, 1))
    found = xk.effective_field(model, samples(16, 41, 1), "5")["5"]
    energy = powers(6) ** 2
    shares = [energy[6 - r : 7 + r].sum() / energy.sum() for r in range(7)]
    assert found.radius == next(r for r, s in enumerate(shares) if s >= 0.95)
    assert found.side == 2 * found.radius + 1
    assert_allclose(found.diameter, (powers(6) > 0.0455 * powers(6).max()).sum())
    assert found.radius_interval == (found.radius, found.radius)  # a linear network is the same for all samples


def test_channels_do_not_cancel() -> None:
    """Two channels with opposite kernels: their sum has no gradient at all, the mean of squares that of both."""
    net = nn.Sequential(nn.Conv1d(1, 2, 3, padding=1, bias=False))
    with torch.no_grad():
        net[0].weight[:] = torch.tensor([[[1.0, 2.0, 3.0]], [[-1.0, -2.0, -3.0]]])
    x = samples(64, 9, 1)
    found = xk.effective_field(xk.wrap(net.eval(), inputs=xk.Series(9, 1)), x, "0")["0"]
    # of 64 samples the signs differ in about half: (1 ± 1)² is 0 or 4, its mean 2 with a standard error of 0.25
    assert_allclose(found.energy[3:6] / np.array([1, 4, 9]), 2, atol=1)
    again = xk.effective_field(xk.wrap(net.eval(), inputs=xk.Series(9, 1)), x, "0")["0"]
    np.testing.assert_array_equal(found.energy, again.energy)


def test_the_share_of_the_field_falls_with_depth() -> None:
    model = xk.wrap(stack(16), inputs=xk.Image(65, 65, 1, scale=1.0))
    found = xk.effective_field(model, samples(2, 65, 65, 1) + 5, ["1", "3", "7", "15"])
    shares = [found[n].share for n in found]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < 0.6 * shares[0]
    sides = [found[n].side for n in found]
    assert sides == sorted(sides)
    assert "16 or more" in found.status.reasons[0]


def test_a_field_that_the_border_cuts() -> None:
    model = xk.wrap(stack(12), inputs=xk.Image(9, 9, 1, scale=1.0))
    result = xk.effective_field(model, samples(16, 9, 9, 1) + 5, ["11", "0"])
    cut, free = result["11"], result["0"]
    assert cut.truncated
    assert (cut.reach_lo, cut.lo) == ((-8, -8), (0, 0))
    assert cut.outside > 0.01
    assert not free.truncated
    assert free.outside < 0.01
    assert np.isfinite([cut.diameter, cut.radius, *cut.sigma]).all()
    assert any("truncated" in r for r in result.status.reasons)


def test_a_volume_and_a_layer_without_places() -> None:
    model = xk.wrap(
        nn.Sequential(stack(2, 3), nn.Flatten(), nn.Linear(125, 3)).eval(),
        inputs=xk.Array((1, 5, 5, 5)),
    )
    found = xk.effective_field(model, samples(16, 1, 5, 5, 5), ["0.1", "2"])
    each = powers(2) ** 2
    assert_allclose(found["0.1"].energy, np.einsum("i,j,k->ijk", each, each, each), rtol=1e-5)
    assert found["2"].energy.shape == (5, 5, 5)
    assert found["2"].unit == ()


def test_a_random_wide_layer_is_flat() -> None:
    """The mean over many channels of squared random weights is the same for every tap."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(1, 4096, 5, padding=2, bias=False))
    model = xk.wrap(net.eval(), inputs=xk.Image(11, 11, 1, scale=1.0))
    energy = xk.effective_field(model, samples(16, 11, 11, 1) + 5, "0")["0"].energy
    inside = energy[3:8, 3:8]
    # a mean of 16 squares of sums of 4096 terms: relative standard deviation √(2/16) = 0.35
    assert inside.min() / inside.mean() > 0.1
    assert inside.max() / inside.mean() < 3
    assert energy.sum() == pytest.approx(inside.sum())


def test_what_cannot_be_measured() -> None:
    net = nn.Sequential(nn.Conv1d(1, 1, 3), nn.ReLU())
    with torch.no_grad():
        net[0].bias.fill_(-100.0)
    model = xk.wrap(net.eval(), inputs=xk.Series(9, 1))
    with pytest.raises(NotSupported, match="dead"):
        xk.effective_field(model, samples(4, 9, 1), "1")
    with pytest.raises(ParameterError, match="units in 7"):
        xk.effective_field(model, samples(4, 9, 1), "0", 7)
    with pytest.raises(NotSupported, match="gradients"):
        xk.effective_field(xk.wrap(lambda x: x, inputs=xk.Series(9, 1)), samples(4, 9, 1), "0")


def test_storage(tmp_path: Any) -> None:
    model = xk.wrap(stack(2, 1), inputs=xk.Series(9, 1))
    found = xk.effective_field(model, samples(16, 9, 1), ["0", "1"])
    again = xk.load(xk.save(found, tmp_path / "e"))
    assert again.table() == found.table()
    np.testing.assert_array_equal(again["1"].energy, found["1"].energy)
    assert again.origin == found.origin
