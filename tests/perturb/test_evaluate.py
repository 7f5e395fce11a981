"""Evaluation: what is asked of the model, what is remembered, and how it stops."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tests.perturb.questions import question
from xaikit.errors import Cancelled, ModelError, ParameterError
from xaikit.inputs import Array, Image, Raw
from xaikit.perturb.evaluate import Evaluator, ask
from xaikit.perturb.maskers import maskers
from xaikit.perturb.memory import MEMORY, Memory, packed
from xaikit.perturb.segments import cut

X = np.array([[1, 10, 100.0], [2, 20, 200.0]])
ALL = np.array([[1, 1, 1], [0, 0, 0], [1, 0, 0], [0, 1, 1], [1, 0, 0]], bool)


@pytest.fixture(autouse=True)
def _empty_memory():
    MEMORY.clear()


class Counting:
    """The sum of a row; counts rows, and keeps the sizes of the batches it was given."""

    def __init__(self, factor=1.0):
        self.factor, self.batches = factor, []

    def __call__(self, x):
        self.batches.append(len(x))
        return self.factor * x.reshape(len(x), -1).sum(1, keepdims=True)

    @property
    def rows(self):
        return sum(self.batches)


def prepared(f, x=X, spec=None, baseline=None, **how):
    task = question(x, spec or Array(3), f, **how)
    f.batches.clear()
    return task, maskers(task, cut(task), baseline)


def test_values_are_the_scores_of_the_masked_rows_sample_by_sample():
    task, hiding = prepared(Counting())
    one, two = ask(task, hiding, [ALL, ALL])
    assert_array_equal(one.values, [111, 0, 1, 110, 1])
    assert_array_equal(two.values, [222, 0, 2, 220, 2])
    assert one.complete == two.complete == 1


def test_a_coalition_costs_one_call_however_often_it_is_asked_for():
    f = Counting()
    task, hiding = prepared(f)
    evaluator = Evaluator(task, 0, hiding[0])
    evaluator.evaluate(ALL)
    assert f.rows == task.calls["model_calls"] == 4
    assert_array_equal(evaluator.evaluate(ALL[::-1]).values, [1, 110, 1, 0, 111])
    Evaluator(task, 0, hiding[0]).evaluate(ALL)
    assert f.rows == 4


def test_rows_of_all_samples_share_batches():
    f = Counting()
    task, hiding = prepared(f)
    ask(task, hiding, [ALL, ALL])
    assert f.batches == [8]


def test_every_sample_of_a_batch_has_its_own_score():
    task, hiding = prepared(Counting())
    one, two = task.scores.each
    task = replace(task, scores=replace(task.scores, each=(one, replace(two, weights=-two.weights, offset=1.0))))
    found = ask(task, hiding, [ALL, ALL])
    assert_array_equal(found[0].values, [111, 0, 1, 110, 1])
    assert_array_equal(found[1].values, [-221, 1, -1, -219, -1])


def test_batches_are_of_the_models_size_and_their_edges_leave_no_trace():
    f = Counting()
    x = np.random.default_rng(0).integers(0, 256, (2, 300, 300, 3))
    task, hiding = prepared(f, x, Image(300, 300), baseline=np.zeros((3, 300, 300, 3)))
    masks = np.random.default_rng(1).random((20, hiding[0].parts.count)) < 0.5
    one, _ = ask(task, hiding, [masks, masks[:5]])
    assert max(f.batches) == task.model.batch_size == 19
    assert len(set(f.batches[:-1])) == 1
    assert f.rows == 75
    shown = task.x[0].sum(-1)
    parts = hiding[0].parts.labels[""]
    assert_allclose(one.values, [shown[m[parts]].sum() for m in masks], rtol=1e-4)


def test_a_batch_with_little_room_left_is_run_before_the_next_coalition_of_several_baselines():
    f, rng = Counting(), np.random.default_rng(0)
    background = rng.normal(size=(100, 8)).astype(np.float32)
    task, hiding = prepared(f, np.arange(8.0)[None], Array(8), background)
    masks = rng.permutation(np.arange(256)[:, None] >> np.arange(8) & 1).astype(bool)
    (found,) = ask(task, hiding, [masks])
    assert task.model.batch_size == 4096
    assert set(f.batches[:-1]) <= {4000, 4001}  # the coalition that shows all has but one row
    assert_allclose(found.values, np.where(masks[:, None], np.arange(8), background).sum(2).mean(1), rtol=1e-4)


def test_batches_of_a_function_that_knows_no_shape_are_bounded_by_their_size():
    f = Counting()
    task, hiding = prepared(f, np.ones((1, 3, 600, 600)), Raw())
    ask(task, hiding, [np.random.default_rng(1).random((20, hiding[0].parts.count)) < 0.5])
    assert f.batches == [7, 7, 6]


def test_several_baselines_are_averaged_and_everything_shown_costs_one_row():
    f = Counting()
    task, hiding = prepared(f, baseline=np.array([[0, 0, 0], [3, 6, 9.0]]))
    one, _ = ask(task, hiding, [ALL, ALL[:2]])
    assert_array_equal(one.values, [111, 9, 1 + 7.5, 110 + 1.5, 1 + 7.5])
    assert f.rows == (1 + 2 + 2 + 2) + (1 + 2)
    assert_array_equal(Evaluator(task, 0, hiding[0]).evaluate(ALL).values, one.values)
    assert f.rows == 10


def test_parts_whose_hiding_changes_nothing_make_no_new_coalition():
    f = Counting()
    task, hiding = prepared(f, np.array([[1, 0, 5.0]]))
    masks = np.array([[1, 1, 1], [1, 0, 1], [0, 1, 1], [0, 0, 1]], bool)
    assert_array_equal(ask(task, hiding, [masks])[0].values, [6, 6, 5, 5])
    assert f.rows == 2


OTHERS = {
    "input": {"x": X + 1},
    "baseline": {"baseline": 2.0},
    "parts": {"segments": np.array([2, 0, 1])},
    "function": {"f": Counting(2.0)},
}


@pytest.mark.parametrize("change", OTHERS)
def test_what_is_remembered_is_of_the_same_question_only(change):
    f = Counting()
    task, hiding = prepared(f)
    ask(task, hiding[:1], [ALL])
    g = OTHERS[change].get("f", f)
    other, _ = prepared(g, OTHERS[change].get("x", X))
    parts = cut(other, OTHERS[change].get("segments"))
    Evaluator(other, 0, maskers(other, parts, OTHERS[change].get("baseline"))[0]).evaluate(ALL)
    assert g.rows == 4


@pytest.mark.parametrize("change", ["target", "form"])
def test_what_is_remembered_is_of_the_same_score_only(change):
    f = Counting()
    task, hiding = prepared(f)
    ask(task, hiding[:1], [ALL])
    against = replace(task.scores.each[0], weights=-task.scores.each[0].weights)
    changed = {"each": (against, against)} if change == "target" else {"kind": "probability"}
    values = Evaluator(replace(task, scores=replace(task.scores, **changed)), 0, hiding[0]).evaluate(ALL).values
    assert f.rows == 8
    assert values[0] == (-111 if change == "target" else 111)


def test_a_function_that_was_changed_is_asked_again():
    f = Counting()
    task, hiding = prepared(f)
    ask(task, hiding[:1], [ALL])
    f.factor = 3.0
    again = replace(task, predicted=task.model.run(task.x).output)
    assert_array_equal(Evaluator(again, 0, hiding[0]).evaluate(ALL).values, [333, 0, 3, 330, 3])


@pytest.mark.parametrize(("budget", "known"), [(3, 3), (1, 1), (0, 0), (100, 5)])
def test_the_budget_ends_an_evaluation(budget, known):
    f = Counting()
    task, hiding = prepared(f, max_calls=budget)
    found = Evaluator(task, 0, hiding[0]).evaluate(ALL)
    assert f.rows <= budget
    assert found.known.sum() == {3: 4}.get(budget, known)  # the fifth coalition is the third again
    assert np.isnan(found.values[~found.known]).all()


def test_the_budget_is_for_each_sample_and_over_all_evaluations():
    f = Counting()
    task, hiding = prepared(f, max_calls=2)
    assert [a.known.sum() for a in ask(task, hiding, [ALL, ALL])] == [2, 2]
    MEMORY.clear()
    evaluator = Evaluator(task, 0, hiding[0])
    evaluator.evaluate(ALL[:2])
    assert evaluator.evaluate(ALL[2:]).known.sum() == 0


def test_a_budget_too_small_for_anything_is_refused():
    task, hiding = prepared(Counting(), baseline=np.array([[0, 0, 0], [3, 6, 9.0]]), max_calls=2)
    with pytest.raises(ParameterError, match="at least 4"):
        ask(task, hiding, [ALL, ALL])


def stop_after(calls):
    seen = []

    def progress(done, total):
        seen.append((done, total))
        if len(seen) == calls:
            raise Cancelled("enough")

    return progress, seen


def test_the_total_is_known_in_advance_and_reached():
    progress, seen = stop_after(-1)
    x = np.stack([np.full((300, 300, 3), v) for v in (2, 3)])
    task, hiding = prepared(Counting(), x, Image(300, 300), baseline=255, progress=progress)
    masks = np.random.default_rng(1).random((40, hiding[0].parts.count)) < 0.5
    ask(task, hiding, [masks, masks])
    done = [d for d, _ in seen]
    assert {t for _, t in seen} == {80}
    assert done[-1] == 80
    assert done == sorted(done)
    assert len(seen) >= 4


def test_a_cancelled_evaluation_gives_what_it_has():
    progress, _ = stop_after(2)
    x = np.zeros((2, 300, 300, 3))
    task, hiding = prepared(Counting(), x, Image(300, 300), baseline=255, progress=progress)
    masks = np.random.default_rng(1).random((60, hiding[0].parts.count)) < 0.5
    one, two = ask(task, hiding, [masks, masks])
    assert 0 < one.complete < 1
    assert two.complete == 0
    assert_array_equal(np.isnan(one.values), ~one.known)


def test_cancelled_before_anything_is_known_raises():
    progress, _ = stop_after(1)
    x = np.zeros((1, 300, 300, 3))
    task, hiding = prepared(Counting(), x, Image(300, 300), baseline=np.full((60, 300, 300, 3), 9), progress=progress)
    with pytest.raises(Cancelled):
        ask(task, hiding, [np.zeros((3, hiding[0].parts.count), bool)])


def test_an_error_of_the_model_is_not_swallowed():
    def broken(x):
        if len(x) > 2:
            raise ValueError("out of order")
        return x.sum(1, keepdims=True)

    task = question(X, Array(3), broken)
    with pytest.raises(ModelError, match="out of order"):
        ask(task, maskers(task, cut(task)), [ALL, ALL])


def test_the_memory_drops_the_context_used_longest_ago():
    memory = Memory(limit=10 * (160 + 1))
    for name in "abc":
        memory.store(name, {bytes([k]): 1.0 for k in range(4)})
        memory.recall("a", [b"\0"])
    assert memory.recall("a", [b"\0"]) == [1.0]
    assert memory.recall("b", [b"\0"]) == [None]
    assert memory.size <= memory.limit


def test_one_context_larger_than_the_memory_keeps_its_newest_entries():
    memory = Memory(limit=10 * (160 + 1))
    memory.store("a", {bytes([k]): float(k) for k in range(30)})
    assert memory.recall("a", [bytes([0]), bytes([29])]) == [None, 29.0]
    assert memory.size <= memory.limit
    memory.clear()
    assert (memory.size, memory.recall("a", [bytes([29])])) == (0, [None])


def test_the_memory_serves_several_threads():
    memory = Memory(limit=50 * 200)
    failed = []

    def work(name):
        try:
            for k in range(300):
                memory.store((name, k % 7), {f"{k:03}".encode(): float(k)})
                if memory.recall((name, k % 7), [f"{k:03}".encode()]) not in ([float(k)], [None]):
                    failed.append(k)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failed == []
    assert memory.size <= memory.limit
    memory.clear()
    assert memory.size == 0


@pytest.mark.parametrize("parts", [1, 8, 9, 128, 129, 1000])
def test_keys_are_equal_for_equal_rows_only(parts):
    masks = np.random.default_rng(0).random((50, parts)) < 0.5
    keys = packed(np.concatenate([masks, masks]))
    assert keys[:50] == keys[50:]
    assert len(set(keys)) == len(np.unique(masks, axis=0))
    assert max(map(len, keys)) <= 16


def test_a_budget_reaches_as_far_when_the_answers_are_remembered():
    f = Counting()
    task, hiding = prepared(f, max_calls=3)
    first = Evaluator(task, 0, hiding[0]).evaluate(ALL)
    again = Evaluator(task, 0, hiding[0])
    assert_array_equal(again.evaluate(ALL).values, first.values)
    assert_array_equal(again.evaluate(ALL[:3]).known, True)  # had already, so it costs nothing
    assert f.rows == 3
