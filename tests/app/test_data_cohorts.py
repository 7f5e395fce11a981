"""Slices: their text, what they leave of a data set, and samples that somebody gave."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("dash")
pytest.importorskip("torch")

import xaikit as xk
from xaikit.errors import InputError, ParameterError, UnknownName
from xaikit_app.cohorts import Cohort, Term, bar, labelled, samples, terms, text_of, with_terms
from xaikit_app.pages import View
from xaikit_app.services import Services
from xaikit_app.settings import Settings
from xaikit_app.state import State, read


def spend(rows: Any) -> Any:
    """Say how much each row spends: more with age, and twice as much in town."""
    return (rows[:, :1] * (1 + rows[:, 1:2])).astype(np.float32)


ROWS = [{"age": float(20 + i), "place": ("land", "town")[i % 2]} for i in range(40)]


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    columns = {"age": xk.Number(), "place": xk.Category(("land", "town"), "index")}
    own = xk.wrap(spend, inputs=xk.Table(columns, background=ROWS), outputs=xk.Values(["spent"]), name="spending")
    settings = Settings(models=("xo_cnn", own), cache=tmp_path_factory.mktemp("cache"), personal=True)
    found = Services(settings)
    yield found
    found.close()


def view_of(services: Services, model: str, slice: str = "") -> View:
    state = State("data", model=model, more={"slice": slice} if slice else {})
    chosen = services.choose(state)
    known = services.description(chosen)
    if hasattr(known, "result"):
        known = known.result(180)
    return View(state, chosen, known, services)


TEXTS = ["label:X", "label:a|b c;p<0.6", "wrong;age>=30", "words:not%3B bad|dull", "random:50@7", "set:own-0a"]


@pytest.mark.parametrize("text", TEXTS)
def test_a_slice_reads_back(text: str) -> None:
    assert text_of(terms(text)) == text
    assert read("/data", State(more={"slice": text}).search).more["slice"] == text


def test_words_of_a_slice_are_a_persons() -> None:
    said = [t.words for t in terms("label:a|b;p<0.6;wrong;random:5@2")]
    assert said == ["label a or b", "probability < 0.6", "answered wrong", "5 at random, seed 2"]


@pytest.mark.parametrize("text", ["<3", "p<much", "age>inf", "sometimes"])
def test_nonsense_in_a_slice_is_said(text: str) -> None:
    with pytest.raises((ParameterError, UnknownName)):
        terms(text)


def test_columns_and_numbers_choose_rows(services: Services) -> None:
    found = samples(view_of(services, "spending", "place:town;age>=50"), 100)
    assert [s.value["age"] for s in found] == [51, 53, 55, 57, 59]
    assert found[0].id == "row-31"


def test_a_random_part_is_the_same_for_its_seed_and_another_for_another(services: Services) -> None:
    ids = [[s.id for s in samples(view_of(services, "spending", f"random:9@{seed}"))] for seed in (1, 1, 2)]
    assert ids[0] == ids[1] != ids[2]
    assert len(ids[0]) == 9


def test_at_most_so_many_are_spread_over_the_slice(services: Services) -> None:
    found = samples(view_of(services, "spending", "age<60"), 3)
    assert [s.value["age"] for s in found] == [20, 39, 59]


def test_labels_of_the_test_data(services: Services) -> None:
    view = view_of(services, "xo_cnn", "label:O")
    cohort = Cohort(view)
    assert {s.label for s in samples(view, 20)} == {"O"}
    assert len(cohort.found) == int((cohort.stock.labels == 1).sum()) > 100
    x, y, total = labelled(view, 5, 3)
    assert (len(x), set(y or ()), total) == (5, {1}, len(cohort.found))


def test_what_the_network_says_is_asked_for_first(services: Services) -> None:
    view = view_of(services, "xo_cnn", "wrong")
    with pytest.raises(InputError, match="not there yet"):
        samples(view)
    job = services.submit(Cohort(view).unit)
    answers = job.result(180)
    cohort = Cohort(view)
    assert len(answers) == cohort.stock.count
    assert set(cohort.found) == set(np.flatnonzero(answers.predicted != cohort.stock.labels))
    unsure = Cohort(view_of(services, "xo_cnn", "answer:X;p<0.9"))
    assert all(answers.predicted[i] == 0 and answers.sure[i] < 0.9 for i in unsure.found)
    assert {"answer", "p", "right", "label"} <= set(unsure.known)


def test_an_unknown_class_column_or_word_is_said(services: Services) -> None:
    for model, text in (("xo_cnn", "label:Z"), ("spending", "heigth>3"), ("spending", "heigth:3")):
        with pytest.raises(UnknownName):
            samples(view_of(services, model, text))


def test_given_samples_are_a_set_of_their_own(services: Services) -> None:
    kept = services.own.put({"samples": ROWS[:6], "labels": [1, 0, 1, 0, 1, 0], "names": ["little", "much"]})
    view = view_of(services, "spending", f"set:{kept};label:much")
    found = samples(view)
    assert [s.id for s in found] == [f"{kept}.{i}" for i in (0, 2, 4)]
    assert services.sample(view.chosen, view.description, found[1].id) == ROWS[2]
    with pytest.raises(InputError, match="no number 6"):
        services.sample(view.chosen, view.description, f"{kept}.6")


def test_a_view_takes_another_slice(services: Services) -> None:
    view = view_of(services, "spending", "age>30")
    assert "slice" not in with_terms(view, ())
    assert read("/data", with_terms(view, [Term("age", "<", "30")]).partition("?")[2]).more == {"slice": "age<30"}


def test_the_bar_of_a_slice_can_be_made_and_says_what_is_wrong(services: Services) -> None:
    assert bar(view_of(services, "spending")) is None
    assert "10 of 40 samples" in str(bar(view_of(services, "spending", "age>=50")))
    assert "did you mean" in str(bar(view_of(services, "spending", "agee>=50")))
