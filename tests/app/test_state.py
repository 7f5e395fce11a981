"""Addresses: what is written is read again, and nonsense is left out."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xaikit_app.state import CARRIED, MOST, PLAIN, State, read

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


@pytest.mark.parametrize("seed", ["-1", "x", "1e3", str(2**32), "²", "9" * 5000])
def test_a_seed_that_is_none_is_zero(seed: str) -> None:
    assert read("/explain", f"?seed={seed}").seed == 0


def test_broken_parameters_are_left_out() -> None:
    found = read("/explain", "?lime.samples=NaN&lime.width=[1e999]&lime.segments=slic&=3&methods=,lime,,lime,")
    assert found.parameters == {"lime": {"segments": "slic"}}
    assert found.methods == ("lime",)


def test_an_address_that_nests_without_end_is_a_text() -> None:
    deep = "[" * 20_000
    assert read("/explain", f"?lime.samples={deep}").parameters == {"lime": {"samples": deep}}


def test_an_address_names_a_bounded_number_of_methods() -> None:
    assert len(read("/explain", "?methods=" + ",".join(f"m{i}" for i in range(100))).methods) == MOST


def test_the_empty_address_is_no_page() -> None:
    assert read("/", None) == State(page="")
    assert read(None, None) == State(page="")


# ---------------------------------------------------------------- whatever people choose

TEXT = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
NAME = st.text("abcdefghijklmnopqrstuvwxyz-_", min_size=1, max_size=12)
OWN = NAME.filter(lambda name: name not in (*PLAIN, "methods", "seed"))
VALUE = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
)
STATES = st.builds(
    State,
    page=NAME,
    model=st.none() | TEXT,
    framework=st.none() | NAME,
    sample=st.none() | TEXT,
    target=st.none() | TEXT,
    methods=st.lists(NAME, max_size=5, unique=True).map(tuple),
    parameters=st.dictionaries(NAME, st.dictionaries(NAME, VALUE, min_size=1, max_size=3), max_size=3),
    seed=st.integers(0, 2**32 - 1),
    layer=st.none() | TEXT,
    unit=st.none() | TEXT,
    more=st.dictionaries(OWN, TEXT, max_size=3),
)


@given(STATES)
def test_every_address_reads_back(state: State) -> None:
    path, _, search = state.href.partition("?")
    assert read(path, search) == state


@given(STATES, NAME)
def test_going_to_a_page_and_back_keeps_the_selection(state: State, page: str) -> None:
    there = state.to(page)
    assert all(getattr(there, name) == getattr(state, name) for name in CARRIED if hasattr(state, name))
    assert set(there.more) <= set(CARRIED)
    assert there.to(state.page).to(page) == there


@given(TEXT, TEXT)
@example("?", "")
@example("//%2F/", "?a.b=1&a.b=2&.=&methods=,&seed=-1")
def test_no_address_is_too_odd_to_be_read(path: str, search: str) -> None:
    state = read(path, search)
    again, _, query = state.href.partition("?")
    assert read(again, query) == state


def test_a_slice_and_a_threshold_go_along_and_a_pages_own_choices_stay() -> None:
    there = FULL.at(more={"slice": "wrong", "threshold": "0.5", "order": "strongest"}).to("layers", unit=None)
    assert there.more == {"slice": "wrong", "threshold": "0.5"}
    assert (there.page, there.layer, there.unit, there.methods) == ("layers", FULL.layer, None, FULL.methods)
