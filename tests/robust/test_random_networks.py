"""Random networks through every method that serves them; `random_networks.py` draws them for as long as one likes."""

import os

import pytest

from tests.robust.random_networks import draw, tried

pytestmark = pytest.mark.slow

MANY = int(os.environ.get("XAIKIT_RANDOM_NETWORKS", "12"))
FOUND = {
    100002: ("grad-cam", "guided-grad-cam"),  # the last step of a recurrent layer; a convolution over embeddings
    400002: ("grad-cam", "layer-cam"),  # gates of a text with padding on its left
    200025: ("guided-backprop", "deconvnet"),  # a recurrent layer with tanh
}
"""Networks in which something was wrong once, with the methods."""
CHEAP = ("saliency", "integrated-gradients", "grad-cam", "guided-backprop", "kernel-shap", "lime", "deep-lift")


@pytest.mark.parametrize("number", range(MANY))
def test_every_method_that_serves_a_random_network(number: int) -> None:
    pytest.importorskip("torch")
    assert tried(number, ("torch",)) == []


@pytest.mark.parametrize("number", range(100, 100 + MANY // 4))
def test_both_frameworks_on_a_random_network(number: int) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("keras")
    assert tried(number, ("torch", "keras"), CHEAP) == []


@pytest.mark.parametrize("number", FOUND)
def test_what_was_wrong_once(number: int) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("keras")
    assert tried(number, ("torch", "keras"), FOUND[number]) == []


def test_a_number_draws_the_same_network_again() -> None:
    a, b = draw(5), draw(5)
    assert [(n.op, n.name, n.shape) for n in a.architecture.nodes] == [
        (n.op, n.name, n.shape) for n in b.architecture.nodes
    ]
    assert len({tuple(n.op for n in draw(i).architecture.nodes) for i in range(20)}) > 15
