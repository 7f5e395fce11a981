"""A plan as text: it reads back equal, and what is wrong with it is told with its line."""

import string
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xaikit as xk
from xaikit.errors import InputError, StorageError, UsageError
from xaikit.study import InputsPlan, MethodPlan, OutputsPlan, Plan, QualityPlan, load_plan, read_plan
from xaikit.study._lines import lines
from xaikit.study._plan import difference

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)
TARGETS = st.one_of(
    st.integers(0, 9), WORDS, st.builds(xk.Margin, WORDS, WORDS), st.builds(xk.At, step=st.integers(0, 5))
)
METHODS = st.one_of(
    st.builds(
        MethodPlan,
        st.just("lime"),
        st.one_of(st.none(), TARGETS, st.lists(TARGETS, min_size=1, max_size=3)),
        st.fixed_dictionaries(
            {},
            optional={
                "samples": st.integers(10, 5000),
                "kernel_width": st.floats(0.01, 2),
                "score": st.sampled_from(["logit", "probability"]),
            },
        ),
    ),
    st.builds(MethodPlan, st.just("saliency"), st.one_of(st.none(), TARGETS)),
)
PLANS = st.builds(
    Plan,
    WORDS,
    st.builds(
        InputsPlan,
        st.lists(WORDS, min_size=1, max_size=4).map(tuple),
        st.one_of(st.none(), WORDS),
        st.one_of(st.none(), WORDS),
        st.one_of(st.none(), st.integers(1, 10**6)),
    ),
    st.lists(METHODS, min_size=1, max_size=4).map(
        lambda found: tuple(m for i, m in enumerate(found) if m not in found[:i])
    ),
    st.sampled_from([None, "torch", "keras"]),
    st.integers(0, 2**32 - 1),
    st.builds(
        QualityPlan,
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.lists(st.sampled_from(["status=fail:0.1", "surrogate_r2<0.5"]), max_size=2).map(tuple),
    ),
    st.builds(OutputsPlan, st.one_of(st.none(), WORDS)),
    st.one_of(st.none(), WORDS),
)


@settings(max_examples=150, deadline=None)
@given(PLANS)
def test_a_plan_reads_back_equal(plan: Plan) -> None:
    assert read_plan(plan.toml()) == plan


def test_a_plan_is_written_as_people_write_it() -> None:
    plan = Plan("mnist_cnn", InputsPlan(("a/*.png",)), (MethodPlan("lime", 3, {"samples": 50}),), seed=1)
    expected = 'model = "mnist_cnn"\ninputs = "a/*.png"\nseed = 1\n\n[[methods]]\nname = "lime"\ntarget = 3\n\n'
    assert plan.toml() == expected + "[methods.parameters]\nsamples = 50\n"


def test_what_toml_cannot_say_is_told() -> None:
    plan = Plan("m", InputsPlan(("a",)), (MethodPlan("lime", None, {"samples": object()}),))
    with pytest.raises(StorageError, match="cannot be written as TOML"):
        plan.toml()


VALUES = st.recursive(
    st.one_of(st.integers(-9, 9), st.booleans(), st.text(string.printable, max_size=12)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(string.printable, min_size=1, max_size=5), inner, max_size=3),
    ),
    max_leaves=12,
)


def paths_of(value, at=()):
    """Give every path in a value, as lines() has it."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in pairs:
        yield (*at, name)
        yield from paths_of(each, (*at, name))


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.text(string.printable, min_size=1, max_size=5), VALUES, max_size=4), st.booleans())
def test_every_key_of_any_document_has_a_line_in_order(data, multiline) -> None:
    import tomli_w

    text = tomli_w.dumps(data, multiline_strings=multiline)
    found = lines(text)
    parsed = tomllib.loads(text)
    assert set(paths_of(parsed)) <= set(found)
    assert all(1 <= line <= text.count("\n") + 1 for line in found.values())
    for path, line in found.items():
        if isinstance(path[-1], str):
            assert tomli_w.dumps({path[-1]: 0}).removesuffix(" = 0\n") in text.split("\n")[line - 1]


HARD = '''# model = "no"
model = """
[[methods]]
name = 1 """""
"inputs" = [ # [x]
  'a]',
  "b\\"]",

  "c",
]
[[methods]]
name = "saliency"
target = [1,
  {kind = "Margin", a = 1, b = 2}]
[[methods]]
name = "lime"
  [methods.parameters]
  samples = 10
[quality]
limits = ["status=fail",
          "status=ok:1"]
'''


def test_lines_where_text_is_hard_to_read() -> None:
    found = lines(HARD)
    expected = {("model",): 2, ("inputs",): 5, ("inputs", 0): 6, ("inputs", 2): 9, ("methods", 0): 11}
    expected |= {("methods", 0, "target"): 13, ("methods", 0, "target", 1): 14, ("methods", 0, "target", 1, "b"): 14}
    expected |= {("methods", 1, "parameters", "samples"): 18, ("quality", "limits", 1): 21}
    assert {path: found[path] for path in expected} == expected
    assert read_plan(HARD).methods[0].target == [1, xk.Margin(1, 2)]


GOOD = {"model": '"mnist_cnn"', "inputs": '"a.png"', "methods": '[{name = "saliency"}]'}
WRONG = [
    ({"modle": '"x"'}, 4, "modle: unknown field 'modle'; did you mean 'model'?"),
    ({"model": "3"}, 1, "model is text, not 3"),
    ({"inputs": "[]"}, 2, "inputs is empty"),
    ({"inputs": '["a",\n3]'}, 3, "inputs[1] is text, not 3"),
    ({"inputs": '{paths = "a", colunm = "b"}'}, 2, "inputs.colunm: unknown field 'colunm'; did you mean 'column'?"),
    ({"inputs": '{paths = "a", limit = 0}'}, 2, "inputs.limit is a whole number from 1"),
    ({"inputs": '{column = "a"}'}, 2, "inputs.paths is missing"),
    ({"methods": "[]"}, 3, "methods are written as tables"),
    ({"methods": '[{name = "saliency"},\n{name = "lmie"}]'}, 4, "unknown method 'lmie'; did you mean 'lime'"),
    ({"methods": '[{name = "lime"},\n{target = 3}]'}, 4, "methods[1].name is missing"),
    ({"methods": '[{name = "lime"},\n{name = "lime"}]'}, 4, "methods[1] asks for the same as methods[0]"),
    (
        {"methods": '[{name = "lime", parameters = {smaples = 3}}]'},
        3,
        "lime has no parameter 'smaples'; did you mean 'samples'?",
    ),
    ({"methods": '[{name = "lime", parameters = {samples = -3}}]'}, 3, "samples"),
    ({"methods": '[{name = "lime", target = 1.5}]'}, 3, "methods[0].target is a class name"),
    ({"methods": '[{name = "lime", target = {kind = "Margin"}}]'}, 3, "methods[0].target"),
    ({"seed": "-1"}, 4, "seed is a whole number"),
    ({"seed": "true"}, 4, "seed is a whole number"),
    ({"framework": '"trch"'}, 4, "framework is torch or keras, not 'trch'; did you mean 'torch'?"),
    ({"quality": '{faithfulness = "yes"}'}, 4, "quality.faithfulness is true or false"),
    ({"quality": '{limits = ["status=fial"]}'}, 4, "quality.limits[0]"),
    ({"outputs": '"out"'}, 4, "outputs is a table"),
]


@pytest.mark.parametrize(("changes", "line", "said"), WRONG)
def test_what_is_wrong_is_told_with_its_line(changes, line, said, tmp_path: Path) -> None:
    text = "\n".join(f"{name} = {value}" for name, value in {**GOOD, **changes}.items())
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        load_plan(path)
    place, found = str(error.value).split(": ", 1)
    assert (place, said in found) == (f"{path}:{line}", True), str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_field_is_told_at_the_top(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^plan:1: inputs is missing"):
        read_plan('model = "a"\n[[methods]]\nname = "lime"\n')


def test_what_is_no_toml_has_its_line() -> None:
    with pytest.raises(UsageError, match=r"^plan:2: this is no TOML"):
        read_plan('model = "a"\nmodel\n')
    with pytest.raises(UsageError, match=r"^plan:2: this is no TOML"):
        read_plan('model = "a"\ninputs = [')


def test_a_plan_that_is_not_there_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no plan"):
        load_plan(tmp_path / "none.toml")


def test_paths_start_from_the_plans_folder(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text("\n".join(f"{n} = {v}" for n, v in GOOD.items()))
    assert load_plan(tmp_path / "plan.toml").folder == tmp_path


def test_a_difference_names_the_field_and_both_values() -> None:
    one = read_plan('model = "a"\ninputs = "x"\nmethods = [{name = "lime"}]\nroot = "/a"')
    two = read_plan('model = "a"\ninputs = "x"\nseed = 3\nmethods = [{name = "lime", target = 2}]\nroot = "/b"')
    assert difference(one, one) == []
    assert difference(one, two) == ["seed is 0 and not 3", "methods[0].target is not given and not 2"]
