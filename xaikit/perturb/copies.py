"""Accelerated copies of a model, for work that only runs it: which one pays, made once, checked, and kept."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from xaikit.accelerated import TOLERANCE
from xaikit.arrays import Tensors, leaves, length, rows
from xaikit.errors import NotSupported, ParameterError, XaikitError
from xaikit.inputs import ScoreKind
from xaikit.model import Model, Network
from xaikit.perturb.budget import unbounded
from xaikit.perturb.question import Question

KINDS = ("auto", "none", "channels-last", "onnxruntime", "compile")
CHOSEN = ("none", "channels-last", "onnxruntime")
"""What "auto" chooses among, for more and more calls; "none" is the model itself."""
FEW, MANY = 32, 100
"""Calls for one sample from which on a copy in another layout, and one in ONNX Runtime, are worth preparing."""
CHECKED = 16
"""Rows of the first batch on which a copy is compared with the model."""


@dataclass(eq=False)
class Copy:
    """A copy of a model with the seconds that making it took, and the largest difference for each form of output."""

    kind: str
    model: Model
    seconds: float
    differences: dict[ScoreKind, float] = field(default_factory=dict)

    @property
    def note(self) -> dict[str, Any]:
        """What an origin records."""
        return {"seconds": round(self.seconds, 3), "difference": max(self.differences.values())}


class Copies:
    """The copies of every model, as long as the model lives and its weights stay; why one was refused is kept too."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._kept: WeakKeyDictionary[Model, tuple[str, dict[str, Copy | str]]] = WeakKeyDictionary()

    def of(self, model: Model, kind: str, x: Tensors, score: ScoreKind) -> Copy | str:
        """Give a copy that agrees with the model on the first rows of `x`, or the reason why there is none."""
        with self._lock:
            known = self._known(model)
            found = known.get(kind) or _made(model, kind)
            if isinstance(found, Copy) and score not in found.differences:
                found = _checked(found, model, rows(x, slice(0, CHECKED)), score)
            known[kind] = found
            return found

    def kept(self, model: Model, kind: str) -> Copy | str | None:
        """Give the copy of a kind that was made and compared, why there is none, or None where none was tried."""
        with self._lock:
            found = self._known(model).get(kind)
            return None if isinstance(found, Copy) and not found.differences else found

    def _known(self, model: Model) -> dict[str, Copy | str]:
        now = model.fingerprint()
        if model not in self._kept or self._kept[model][0] != now:
            self._kept[model] = (now, {})
        return self._kept[model][1]

    def clear(self) -> None:
        """Forget all copies."""
        with self._lock:
            self._kept.clear()


COPIES = Copies()
"""The copies that all methods share."""


def check_kind(kind: object) -> None:
    """Raise ParameterError for what is no kind of copy."""
    if kind not in KINDS:
        raise ParameterError(f"accelerate must be one of {', '.join(KINDS)}, not {kind!r}")


def choice(model: Model, asked: str, due: int) -> str:
    """Say which copy answers a sample for which `due` calls are to be made: a kind, or "none".

    By the calls that are asked for, whatever else is in the batch, so that a sample has the same numbers alone, in a
    batch, and again. "auto" prepares nothing where too few calls would pay for it, for
    a model on another device than the CPU, nor for an adapter that has no copies.
    """
    model = unbounded(model)
    if asked != "auto":
        return asked
    if due < FEW or model.device != "cpu" or not _has_copies(model):
        return "none"
    return "onnxruntime" if due >= MANY and find_spec("onnxruntime") else "channels-last"


def answering(task: Question, kind: str, x: Tensors) -> Question:
    """Give the task that asks the copy of a kind, prepared and checked on `x`; the task itself where there is none.

    Its notes say which copy answers, and why others were passed over. Raises NotSupported where the caller asked for
    the kind and it cannot be had.
    """
    if kind == "none":
        return task
    copy, refused = copy_for(task.model, kind, x, task.form, explicit=task.accelerate == kind)
    if refused:
        task.notes["not_accelerated"] = refused
    if copy is None:
        return task
    task.notes.setdefault("accelerated", {})[copy.kind] = copy.note
    return task.asking(copy.model)


def note_kept(task: Question, kind: str) -> None:
    """Note the copy that has given what is remembered of a question, so that a repetition says the same of itself."""
    if kind == "none" or kind in task.notes.get("accelerated", {}):
        return
    model = unbounded(task.model)
    tried = [COPIES.kept(model, k) for k in _order(kind, task.accelerate == kind)] if _has_copies(model) else []
    found = next((c for c in tried if isinstance(c, Copy)), None)
    if found is not None:
        task.notes.setdefault("accelerated", {})[found.kind] = found.note


def copy_for(model: Model, kind: str, x: Tensors, score: ScoreKind, explicit: bool) -> tuple[Copy | None, list[str]]:
    """Give the copy of a kind, or where "auto" chose it the next best one, and why others were passed over.

    Raises NotSupported where the caller asked for the kind and it cannot be had.
    """
    model = unbounded(model)
    refused: list[str] = []
    for k in _order(kind, explicit):
        found = COPIES.of(model, k, x, score)
        if isinstance(found, Copy):
            return found, refused
        refused.append(f"{k}: {found}")
    if explicit:
        raise NotSupported(f"no accelerated copy of {model.name} answers ({refused[0]}): leave accelerate out")
    return None, refused


def _order(kind: str, explicit: bool) -> Sequence[str]:
    return (kind,) if explicit or kind != "onnxruntime" else (kind, "channels-last")


def _has_copies(model: Model) -> bool:
    return not isinstance(model, Network) or type(model).fast is not Network.fast


def _made(model: Model, kind: str) -> Copy | str:
    start = time.perf_counter()
    try:
        made = model.fast(kind)
    except Exception as error:  # an exporter may fail in any way on a network it does not know; the reason is kept
        first = next(iter(str(error).splitlines()), "")
        return first if isinstance(error, XaikitError) else f"{type(error).__name__}: {first}"
    return Copy(kind, made, time.perf_counter() - start)


def _checked(copy: Copy, model: Model, x: Tensors, score: ScoreKind) -> Copy | str:
    """Compare a copy with the model on some rows; where it answers otherwise, say so."""
    start = time.perf_counter()
    try:
        said = dict(leaves(copy.model.run(x, score=score).output))
    except Exception as error:
        return f"it failed on {length(x)} rows: {error}"
    copy.seconds += time.perf_counter() - start
    worst = 0.0
    for name, right in leaves(model.run(x, score=score).output):
        if name not in said or said[name].shape != right.shape:
            return f"its output {name!r} has another shape"
        off = np.abs(np.asarray(said[name], np.float64) - right)
        if not np.all((off <= TOLERANCE * np.maximum(1, np.abs(right))) | (said[name] == right)):
            return f"its outputs differ from the model's by up to {np.nanmax(off, initial=0):.1e}"
        worst = max(worst, float(off.max(initial=0)))
    copy.differences[score] = worst
    return copy
