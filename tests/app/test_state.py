"""Addresses: what is written is read again, and nonsense is left out."""

import pytest

from xaikit_app.state import MOST, State, read

FULL = State(
    page="explain",
    model="mnist_cnn",
    framework="keras",
    sample="test-17",
    target="output.3",
    methods=("lime", "grad-cam"),
    parameters={"lime": {"samples": 500, "segments": "slic", "kernel_width": 0.5}, "grad-cam": {"relu": False}},
    seed=7,
    layer="conv & pool=1",
    unit="3",
    more={"compare": "both"},
)


@pytest.mark.parametrize("state", [FULL, State(), State(page="layers", layer="a/b:1?x#y"), State(seed=2**32 - 1)])
def test_an_address_reads_back(state: State) -> None:
    path, _, search = state.href.partition("?")
    assert read(path, f"?{search}" if search else "") == state


def test_at_changes_a_view_and_leaves_the_rest() -> None:
    changed = FULL.at(sample=None)
    assert (changed.sample, changed.at(sample="test-17")) == (None, FULL)


@pytest.mark.parametrize("seed", ["-1", "x", "1e3", str(2**32), "²"])
def test_a_seed_that_is_none_is_zero(seed: str) -> None:
    assert read("/explain", f"?seed={seed}").seed == 0


def test_broken_parameters_are_left_out() -> None:
    found = read("/explain", "?lime.samples=NaN&lime.segments=slic&=3&methods=,lime,,lime,")
    assert found.parameters == {"lime": {"segments": "slic"}}
    assert found.methods == ("lime",)


def test_an_address_names_a_bounded_number_of_methods() -> None:
    assert len(read("/explain", "?methods=" + ",".join(f"m{i}" for i in range(100))).methods) == MOST


def test_the_empty_address_is_no_page() -> None:
    assert read("/", None) == State(page="")
    assert read(None, None) == State(page="")
