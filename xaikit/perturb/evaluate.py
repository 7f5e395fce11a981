"""Evaluation: what the model says of coalitions, in streamed batches, with memory, budget and progress."""

import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Protocol, cast

import numpy as np

from xaikit.arrays import Array, Tensors, chunks, concatenate, each, leaves, length, rows
from xaikit.errors import Cancelled, ParameterError
from xaikit.inputs import LinearScore, Score
from xaikit.masked import MaskedRows, Piece
from xaikit.model import Run
from xaikit.perturb.budget import growing, unbounded
from xaikit.perturb.copies import CHOSEN, answering, choice, note_kept
from xaikit.perturb.maskers import Fill, Masker
from xaikit.perturb.memory import MEMORY, packed, serial
from xaikit.perturb.pace import Pace
from xaikit.perturb.question import Question

BUFFER_BYTES = 2**25
"""What the masked rows of one batch may hold, for models that know nothing of their size."""
MASK_BYTES = 2**24
"""How many coalitions are looked at together: what fits in this much."""
GATHERED = 512
"""For every so many rows of a batch one more batch is asked for at once, where a coalition is several rows: the more
rows the rule for batches allows, the cheaper they are, and the more weighs what a question costs beside them."""
MOST_GATHERED = 8
"""So many batches at most are asked for at once."""
SPARE = 16
"""Less than this part of a batch may stay empty, for whole coalitions are less work than their pieces."""


class Coalitions(Protocol):
    """Rows of bools (coalition, part), True where a part is shown: an array, or rows made when they are asked for."""

    def __len__(self) -> int: ...
    def __getitem__(self, rows: slice, /) -> Array: ...


@dataclass(frozen=True, eq=False)
class Answers:
    """The explained scalar of each coalition (coalition,), NaN where the model was not asked.

    `enough` says that the rest was left out because the standard error was small enough.
    """

    values: Array
    known: Array
    enough: bool = False

    @property
    def complete(self) -> float:
        """The share of the coalitions that were evaluated of those that were needed."""
        return 1.0 if self.enough else float(self.known.mean())


class Evaluator:
    """Asks the model about coalitions of one sample; the budget of calls holds over all its evaluations.

    `due` is how many calls are expected: it decides whether an accelerated copy of the model answers. What a copy says
    is remembered apart from what the model says (`answers`, by kind, its own first). Where the caller left the choice
    open no coalition is asked about twice: a copy for more calls that has answered before answers here too, and what
    the model or another copy said is taken as it is. Numbers then depend on the order of the questions by no more than
    a copy differs from the model.
    """

    def __init__(self, task: Question, sample: int, masker: Masker, due: float = 0) -> None:
        self.task, self.sample, self.masker = task, sample, masker
        self.left = np.inf if task.max_calls is None else task.max_calls
        self.had: set[bytes] = set()
        # The object too: networks of the same weights may do different things with them.
        model = (serial(unbounded(task.model)), task.fingerprint or _said(task, sample))
        about = (masker.identity, model, _score_key(task.scores.kind, task.scores[sample]))
        kind = choice(task.model, task.accelerate, int(min(due, self.left)))
        if task.accelerate != "auto":
            self.answers: dict[str, Hashable] = {kind: (about, kind)}
        else:
            better = [k for k in CHOSEN[CHOSEN.index(kind) + 1 :] if MEMORY.knows((about, k))]
            kinds = dict.fromkeys([*better[-1:], kind, *CHOSEN])
            self.answers = {k: (about, k) for k in kinds}

    @property
    def kind(self) -> str:
        """The kind of copy that answers; "none" is the model."""
        return next(iter(self.answers))

    def recall(self, keys: Sequence[bytes]) -> Array:
        """Give what is remembered of coalitions, NaN where nothing is, and note the copies that said it."""
        found = np.full(len(keys), np.nan)
        for kind, context in self.answers.items():
            open_ = np.flatnonzero(np.isnan(found))
            if not len(open_) or not MEMORY.knows(context):
                continue
            some = MEMORY.recall(context, keys if len(open_) == len(keys) else [keys[j] for j in open_.tolist()])
            found[open_] = np.array(some, np.float64)  # None becomes NaN
            if not np.isnan(found[open_]).all():
                note_kept(self.task, kind)
        return found

    def remember(self, keys: Iterable[bytes], values: Array) -> None:
        """Keep what was said of coalitions."""
        MEMORY.store(self.answers[self.kind], dict(zip(keys, values.tolist(), strict=True)))

    def afford(self, keys: Sequence[bytes], needed: Array) -> Array:
        """Say which coalitions the budget allows, and take their calls off it: (coalition,) bool.

        What is remembered is counted too, or a repetition would get further; what this evaluator has had is not.
        """
        if self.left == np.inf:
            return np.ones(len(keys), bool)
        due = np.where([key in self.had for key in keys], 0, needed)
        within = np.cumsum(due) <= self.left
        self.left -= due[within].sum()
        self.had.update(key for key, allowed in zip(keys, within, strict=True) if allowed)
        return np.asarray(within)

    def evaluate(self, masks: Coalitions) -> Answers:
        """Give the explained scalar of each coalition; the mean over the baselines where there are several.

        A coalition seen before costs no call, nor does one that differs only in parts whose hiding changes nothing.
        Where the budget ends or progress raises Cancelled, the rest stays unknown.
        """
        return evaluate_all([self], [masks])[0]


def ask(
    task: Question,
    maskers: Sequence[Masker],
    masks: Sequence[Coalitions],
    need: int = 2,
    error: Callable[[int, Answers], float] | None = None,
    due: int | None = None,
) -> list[Answers]:
    """Evaluate the coalitions of every sample, in batches over all of them.

    The first `need` coalitions are what a solver cannot do without: if no sample has them, raises Cancelled when the
    caller stopped, else ParameterError for a budget that is too small. `error(sample, answers)` is the standard error,
    relative to the largest value, of what a solver makes of some of the answers: where the task has a `tolerance`,
    coalitions are evaluated in growing shares until it is reached, sample by sample. `due` is how many coalitions of a
    sample will be asked about in all, where these are but the first.
    """
    evaluators = [
        Evaluator(task, i, m, (due or len(asked)) * m.baselines)
        for i, (m, asked) in enumerate(zip(maskers, masks, strict=True))
    ]
    if error is None or task.tolerance is None:
        answers = evaluate_all(evaluators, masks)
    else:
        answers = _evaluate_until(evaluators, masks, need, error, task.tolerance)
    if any(a.known[:need].all() for a in answers):
        return answers
    most = max(e.masker.baselines for e in evaluators)
    if task.max_calls is not None and task.max_calls < need * most:
        raise ParameterError(
            f"max_calls={task.max_calls} is too few: at least {need * most} are needed for each sample"
        )
    task.check_time()
    raise Cancelled("stopped before there was anything to return")


def evaluate_all(evaluators: Sequence[Evaluator], masks: Sequence[Coalitions]) -> list[Answers]:
    """Evaluate the coalitions of several samples of one task, filling batches across samples."""
    requests = [_Request(e, m) for e, m in zip(evaluators, masks, strict=True)]
    stream = _Stream(evaluators, masks)
    with suppress(Cancelled):
        stream.evaluate(requests, [slice(0, len(m)) for m in masks])
    return [request.answers() for request in requests]


def _evaluate_until(
    evaluators: Sequence[Evaluator],
    masks: Sequence[Coalitions],
    need: int,
    error: Callable[[int, Answers], float],
    tolerance: float,
) -> list[Answers]:
    """Evaluate growing shares of each sample's coalitions until its error is small enough."""
    requests = [_Request(e, m) for e, m in zip(evaluators, masks, strict=True)]
    stream = _Stream(evaluators, masks)
    shares = [list(growing(len(m), need)) for m in masks]
    enough = [False] * len(requests)
    with suppress(Cancelled):
        while waiting := [i for i, left in enumerate(shares) if left and not enough[i]]:
            stream.evaluate([requests[i] for i in waiting], [shares[i].pop(0) for i in waiting])
            for i in waiting:
                enough[i] = bool(shares[i]) and error(i, requests[i].answers()) <= tolerance
        stream.finish()
    return [replace(request.answers(), enough=e) for request, e in zip(requests, enough, strict=True)]


class _Request:
    """The coalitions asked of one sample, and what is known of them."""

    def __init__(self, evaluator: Evaluator, masks: Coalitions) -> None:
        self.evaluator, self.masks, self.parts = evaluator, masks, evaluator.masker.parts.count
        self.sums = np.zeros(len(masks))
        self.rows = np.ones(len(masks), int)
        self.missing = np.full(len(masks), -1)  # rows still to come; -1: not asked for
        self.same = np.arange(len(masks))  # the first coalition with the same parts
        self.seen: dict[bytes, int] = {}
        self.keys: list[bytes] = []

    def open(self, s: slice) -> tuple[Array, Array]:
        """Look a slice of coalitions up; give those to run, within the budget, and their masks."""
        e = self.evaluator
        shown = np.asarray(self.masks[s], bool)
        if not e.masker.varying.all():
            shown = shown | ~e.masker.varying
        keys = packed(shown)
        self.keys += keys
        self.same[s] = list(map(self.seen.setdefault, keys, range(s.start, s.stop)))
        fresh = np.flatnonzero(self.same[s] == np.arange(s.start, s.stop))
        # Where everything is shown all baselines give the same row.
        needed = np.where(shown[fresh].all(1), 1, e.masker.baselines) if e.masker.baselines > 1 else np.ones(len(fresh))
        within = e.afford(_picked(keys, fresh), needed)
        fresh, needed = fresh[within], needed[within]
        remembered = e.recall(_picked(keys, fresh))
        known = ~np.isnan(remembered)
        self.sums[s.start + fresh[known]], self.missing[s.start + fresh[known]] = remembered[known], 0
        fresh, needed = fresh[~known], needed[~known]
        self.rows[s.start + fresh] = self.missing[s.start + fresh] = needed
        return s.start + fresh, shown if len(fresh) == len(shown) else shown[fresh]

    def receive(self, coalitions: Array, values: Array) -> int:
        """Take the values (coalition, row) of some rows of each coalition, remember those that this completes, and
        count these."""
        self.sums[coalitions] += values.sum(1)
        self.missing[coalitions] -= values.shape[1]
        done = coalitions[self.missing[coalitions] == 0]
        self.evaluator.remember(_picked(self.keys, done), self.sums[done] / self.rows[done])
        return len(done)

    def answers(self) -> Answers:
        values = np.where(self.missing == 0, self.sums / self.rows, np.nan)[self.same]
        return Answers(values, (self.missing == 0)[self.same])


class _Stream:
    """Fills one reused buffer of one batch or several with masked rows, and runs the model when it is full."""

    def __init__(self, evaluators: Sequence[Evaluator], masks: Sequence[Coalitions]) -> None:
        task = evaluators[0].task
        self.task, self.total, self.done = task, sum(len(m) for m in masks), 0
        self.due = sum(len(m) * e.masker.baselines for e, m in zip(evaluators, masks, strict=True))
        single = all(e.masker.baselines == 1 for e in evaluators)
        row = sum(a[0].nbytes for _, a in leaves(task.x))
        self.size = max(1, min(task.model.batch_size, BUFFER_BYTES // max(1, row)))
        room = min(MOST_GATHERED, BUFFER_BYTES // max(1, row * self.size))
        # Where a coalition is several rows, gathering moves the borders of batches, and with them the last digits: it
        # must not depend on the time. Of a function nothing is known, so that its rows may be dear.
        sure = 1 if single or "pull" not in task.model.can else min(room, self.size // GATHERED)
        self.gathered = max(1, sure), max(1, room if single else sure)
        self.pace = self._paced("none")
        count = self.size * self.gathered[1]
        # Another device makes the rows itself: what is shown is a thousandth of what would have to be sent there.
        model = unbounded(task.model)
        there = model.device != "cpu" and getattr(model, "makes_masked", False) and task.scores.linear
        self.pieces: list[Piece] | None = [] if there and all(e.masker.swaps for e in evaluators) else None
        kept = leaves(task.x) if self.pieces is None else ()
        self.buffer: dict[str, Array] = {n: np.empty((count, *a.shape[1:]), a.dtype) for n, a in kept}
        self.filled = 0
        self.owners: list[tuple[_Request, Array, int]] = []  # whose coalitions the rows are, and how many of each
        self.whole: dict[int, int] = {}  # rows that show everything, and the samples that these are
        self.heard: dict[int, Run] = {}
        self.kind = "none"
        self.asked: Question | None = task

    def _paced(self, kind: str) -> Pace:
        return Pace(unbounded(self.task.model), kind, self.size, self.due, self.gathered)

    def evaluate(self, requests: Sequence[_Request], slices: Sequence[slice]) -> None:
        """Evaluate a slice of each request's coalitions. Raises Cancelled, and TimeUp after the deadline."""
        for request, s in zip(requests, slices, strict=True):
            fill = request.evaluator.masker.filler()
            for part in chunks(s.stop - s.start, max(64, MASK_BYTES // max(1, request.parts))):
                self.add(request, fill, slice(s.start + part.start, s.start + part.stop))
        self.flush()

    def finish(self) -> None:
        """Report that nothing more will be asked."""
        self.task.progress(self.total, self.total)

    def add(self, request: _Request, fill: Fill, s: slice) -> None:
        """Mask and run one slice of a request's coalitions."""
        coalitions, shown = request.open(s)
        self.done += s.stop - s.start - len(coalitions)
        if len(coalitions):
            self._turn_to(request.evaluator.kind)
        whole = s.start == 0 and len(coalitions) > 0 and coalitions[0] == 0 and bool(shown[0].all())
        ends = np.cumsum(request.rows[coalitions])
        at = 0
        while at < (ends[-1] if len(ends) else 0):
            some, which = _piece(ends, at, at + self.pace.rows - self.filled)
            each, count = which.stop - which.start, (some.stop - some.start) * (which.stop - which.start)
            if self.pieces is None:
                fill(shown[some], which, {n: b[self.filled : self.filled + count] for n, b in self.buffer.items()})
            else:
                self.pieces.append(request.evaluator.masker.rows(shown[some], which))
            if at == 0 and whole:
                self.whole[self.filled] = request.evaluator.sample
            self.owners.append((request, coalitions[some], each))
            self.filled, at = self.filled + count, at + count
            room = self.pace.rows - self.filled
            if room < min(request.evaluator.masker.baselines, max(1, self.pace.rows // SPARE)):
                self.flush()  # also where a little room is left: a coalition that begins here would end in the next

    def flush(self) -> None:
        """Run what is in the buffer, hand the values out, and report progress."""
        if self.filled:
            self.task.check_time()
            x = self._batch()
            first, last = (self.owners[i][0].evaluator.sample for i in (0, -1))
            asked, start, worked = self._answering(x), time.perf_counter(), time.process_time()
            said = self._ask(asked, x)
            scores, output = self.task.scores, said.output
            if asked is not self.task and not all(np.isfinite(a).all() for _, a in leaves(output)):
                # such as a softmax over nothing, where every word is hidden: the model itself knows what that gives
                output = self.task.run(x).output
            self.pace.took(self.filled, time.perf_counter() - start, time.process_time() - worked)
            if self.whole and asked is self.task:
                self._hear(x, said)
            counts = [len(c) * each for _, c, each in self.owners]
            if first == last:
                values = scores[first].value(output, x)
            else:
                values = scores.value(output, x, np.repeat([r.evaluator.sample for r, _, _ in self.owners], counts))
            parts = np.split(values, np.cumsum(counts)[:-1])
            for (request, coalitions, each), part in zip(self.owners, parts, strict=True):
                self.done += request.receive(coalitions, part.reshape(-1, each))
            self.filled, self.owners, self.whole = 0, [], {}
            self.pieces = None if self.pieces is None else []
        self.task.progress(self.done, self.total)

    def _ask(self, asked: Question, x: Tensors) -> Run:
        """Run the rows; of the raw output, which a network may leave out, no more than what is to be heard is there."""
        heard = self.whole if asked is self.task and self.task.awaits else {}
        count = (max(heard) // self.size + 1) * self.size if heard else 0
        if not 0 < count < self.filled:
            return asked.run(x, raw=count > 0)
        first, others = asked.run(rows(x, slice(0, count))), asked.run(rows(x, slice(count, None)), raw=False)
        return Run(concatenate([first.output, others.output]), {}, first.raw)

    def _hear(self, x: Tensors, said: Run) -> None:
        """Tell the task what the model says of its samples, whose rows go through in the batches, once it says all."""
        for row, sample in self.whole.items() if self.task.awaits else ():
            here, own = slice(row, row + 1), dict(leaves(rows(self.task.x, slice(sample, sample + 1))))
            if all(np.array_equal(a, own[n]) for n, a in leaves(rows(x, here))):
                self.heard[sample] = said.only(here)
        count = length(self.task.x)
        if self.heard and len(self.heard) == count:
            whole = Run.join([self.heard.pop(i) for i in range(count)])
            self.task.remember(self.task.x, whole.output, whole.raw)

    def _turn_to(self, kind: str) -> None:
        """Have the rows that follow answered by another copy."""
        if kind != self.kind:
            self.flush()
            self.kind, self.asked = kind, None
            self.pace = self._paced(kind)

    def _answering(self, x: Tensors) -> Question:
        """Give the task that asks the copy, or the model where there is none; it is prepared on the first batch."""
        if self.asked is None:
            self.asked = answering(self.task, self.kind, x)
        return self.asked

    def _batch(self) -> Tensors:
        if self.pieces is not None:
            return cast(Array, MaskedRows(self.pieces))
        buffer: Tensors = self.buffer if isinstance(self.task.x, Mapping) else self.buffer[""]
        return rows(buffer, slice(0, self.filled))


def _picked(keys: list[bytes], index: Array) -> list[bytes]:
    """Give the keys at some places, in ascending order; mostly these follow each other."""
    if len(index) and index[-1] - index[0] == len(index) - 1:
        return keys[index[0] : index[-1] + 1]
    return [keys[j] for j in index.tolist()]


def _piece(ends: Array, at: int, stop: int) -> tuple[slice, slice]:
    """Give the coalitions of the rows from `at` on, before `stop`, that have the same baselines, and these.

    `ends` (coalition,) is the row after the last one of each. A coalition that has begun, or does not end before
    `stop`, comes alone.
    """
    i = int(np.searchsorted(ends, at, side="right"))
    start = int(ends[i - 1]) if i else 0
    if at > start or ends[i] > stop:
        return slice(i, i + 1), slice(at - start, min(int(ends[i]), stop) - start)
    within = ends[i : np.searchsorted(ends, stop, side="right")]
    each = int(ends[i]) - start
    other = np.flatnonzero(np.diff(within) != each)
    return slice(i, i + (int(other[0]) + 1 if len(other) else len(within))), slice(0, each)


def _said(task: Question, sample: int) -> Hashable:
    """Tell functions without a fingerprint apart: by the object, and by what it now says of the sample."""
    said = each(lambda a: np.ascontiguousarray(a[sample]), task.prediction)
    return (serial(unbounded(task.model)), tuple(a.tobytes() for _, a in leaves(said)))


def _score_key(kind: str, score: Score) -> Hashable:
    if not isinstance(score, LinearScore):
        return (kind, repr(score.target))
    digest = blake2b(digest_size=16)
    for name, weights in leaves(score.weights):
        digest.update(f"{name}\0{weights.shape}\0".encode() + np.ascontiguousarray(weights).tobytes())
    return (kind, digest.digest(), score.offset)
