"""Soft masks: inputs faded into a baseline, streamed through the model in batches.

A mask holds numbers from 0 (the baseline) to 1 (the input) for every place. It is no coalition of parts, so nothing is
remembered; budget, progress and cancelling are those of the engine.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors, chunks, leaves
from xaikit.errors import Cancelled, ParameterError
from xaikit.perturb.baseline import baselines, by_input
from xaikit.perturb.budget import growing
from xaikit.perturb.copies import answering, choice
from xaikit.perturb.evaluate import BUFFER_BYTES
from xaikit.perturb.question import Question

Masks = Mapping[str, Array]
"""By the name of an input ("" for an only one): (mask, *places), which fades the leading axes of that input."""


class Fading:
    """Asks the model about soft masks of the samples of a task.

    `names` are the inputs that are faded; the others stay. `baseline` is what `xaikit.perturb.baseline.baselines`
    takes; where it is several rows, the masks take turns with them.
    """

    def __init__(self, task: Question, names: Sequence[str], baseline: Any = None) -> None:
        self.task, self.x = task, dict(leaves(task.x))
        spec: Any = task.spec if isinstance(task.x, Mapping) else {"": task.spec}
        asked = by_input(baseline, self.x) if isinstance(task.x, Mapping) else dict.fromkeys(names, baseline)
        self.hidden = {n: np.asarray(baselines(asked[n], spec[n], self.x[n], task.seed)) for n in names}
        self._answering: Question | None = None
        row = sum(a[0].nbytes for a in self.x.values())
        self.size = max(1, min(task.model.batch_size, BUFFER_BYTES // max(1, row)))
        self._buffer = {n: np.empty((self.size, *self.x[n].shape[1:]), self.x[n].dtype) for n in names}

    def ask(
        self,
        count: int,
        masks: Callable[[int, slice], Masks],
        take: Callable[[int, slice, Masks, Array], None],
        need: int = 1,
        error: Callable[[int], float] | None = None,
    ) -> Array:
        """Ask about masks 0..count-1 of every sample, and give the share of those needed that were asked: (sample,).

        `masks(sample, s)` makes a slice of the masks; `take(sample, s, masks, scores)` is given them with the scores
        (mask,). The budget of calls holds for each sample. Where the task has a tolerance, no more masks of a sample
        are asked about once `error(sample)`, its relative standard error, is as small. Raises ParameterError if the
        budget allows fewer than `need`, and Cancelled if the caller stopped before any sample had that many.
        """
        samples = len(next(iter(self.x.values())))
        allowed = count if self.task.max_calls is None else min(count, self.task.max_calls)
        if allowed < min(need, count):
            raise ParameterError(f"max_calls={self.task.max_calls} is too few: at least {need} are needed")
        asked, enough = np.zeros(samples, int), np.zeros(samples, bool)
        kind = choice(self.task.model, self.task.accelerate, allowed)
        shares = [s.stop for s in growing(allowed, need)]
        try:
            for s in chunks(allowed, self.size):
                for i in np.flatnonzero(~enough).tolist():
                    self.task.check_time()
                    made = masks(i, s)
                    take(i, s, made, self._scores(i, s, made, kind))
                    asked[i] = s.stop
                    self.task.progress(int(asked.sum()), allowed * samples)
                    if error is not None and self.task.tolerance is not None and s.stop >= shares[0]:
                        enough[i] = error(i) <= self.task.tolerance
                shares = [n for n in shares if n > s.stop]
        except Cancelled:
            if asked.max() < min(need, count):
                raise
        return np.where(enough, 1.0, asked / count)

    def _scores(self, i: int, s: slice, masks: Masks, kind: str) -> Array:
        faded = {n: self._faded(n, i, s, m) for n, m in masks.items()}
        batch: Tensors = {
            n: faded[n] if n in faded else np.repeat(a[i : i + 1], s.stop - s.start, axis=0) for n, a in self.x.items()
        }
        x = batch if isinstance(self.task.x, Mapping) else batch[""]
        self._answering = self._answering or answering(self.task, kind, x)
        return self.task.scores[i].value(self._answering.run(x).output, x)

    def _faded(self, name: str, i: int, s: slice, masks: Array) -> Array:
        """Give hidden + mask · (x - hidden) for every mask: (mask, *shape)."""
        x, hidden, out = self.x[name][i], self.hidden[name][i], self._buffer[name][: s.stop - s.start]
        hidden = hidden if len(hidden) == 1 else hidden[np.arange(s.start, s.stop) % len(hidden)]
        wide = masks.reshape(*masks.shape, *(1,) * (x.ndim - masks.ndim + 1))
        np.multiply(wide, x - hidden, out=out, casting="same_kind")
        out += hidden
        return out
