"""`replay`: the same question to the same model once more, and how far the answer is from the one on record."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from xaikit.arrays import Array, Tensors, agreement, leaves
from xaikit.attribution import explain
from xaikit.audit._evidence import first_of
from xaikit.audit._keys import Key, key_of
from xaikit.audit._record import KEYED, AuditRecord
from xaikit.errors import Cancelled, NotSupported, XaikitError
from xaikit.model import Model
from xaikit.progress import Progress
from xaikit.results import Attribution, Attributions, Origin

SAME, OTHER = 1e-6, 1e-4
"""Agreement within which a replay is equal: in the same environment, and in another framework, version or machine."""

WITHOUT_INPUT = {
    "hash": "only the hash of the input was kept: give it again",
    "encrypted": "the input is encrypted: give the key",
    "erased": "the input was erased: give it again",
}

Verdict = Literal["equal", "differs", "refused", "impossible"]


@dataclass(frozen=True)
class Replay:
    """How a replay went.

    `verdict` is "equal" or "differs" (any of `differences`, max|a - b| / max|a| by what was compared, is above the
    `tolerance`), "refused" (another model or input than the one on record) or "impossible" (`reason` says why).
    `changes` lists what is different about the environment: (then, now).
    """

    record: int
    verdict: Verdict
    reason: str
    framework: str
    tolerance: float | None = None
    differences: Mapping[str, float] = field(default_factory=dict)
    changes: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def replay(
    record: AuditRecord,
    model: Model,
    *,
    x: Any = None,
    key: Key | str | os.PathLike[str] | None = None,
    tolerance: float | None = None,
    progress: Progress | bool | None = None,
) -> Replay:
    """Ask the model on record the same question again, and compare prediction and explanation.

    In the framework of the record the model must have the same fingerprint, in the other one the same `weights_id`. `x`
    is the input once more, of the shape that it had, for records that keep only its hash; where that is a keyed one,
    the `key` is needed to compare it (None: that of XAIKIT_AUDIT_KEY, if it is set). `tolerance` is by default 1e-6 in
    the same environment, 1e-4 in another framework, version or machine. A model or input that is another one is no
    error, and named in the Replay with the largest differences. Raises StorageError for a key that cannot be read.
    """
    same = model.framework == record.origin.framework
    other = _other_model(record, model, same)
    if other is not None:
        return Replay(record.id, "refused", other, model.framework)
    given = record.display if x is None else x
    if given is None:
        return Replay(record.id, "impossible", WITHOUT_INPUT[record.privacy], model.framework)
    origin = record.origin
    try:
        again = explain(
            model,
            given,
            origin.method,
            record.target,
            seed=origin.seed,
            score=origin.score,
            progress=progress,
            **_bounds(origin),
            **origin.parameters,
        )
    except Cancelled:
        raise
    except XaikitError as error:
        return Replay(record.id, "impossible", str(error), model.framework)
    return _compared(record, again, model.framework, tolerance, key_of(key))


def _bounds(origin: Origin) -> dict[str, Any]:
    """Give the budget on record, without its time limit, and whether an accelerated copy of the model may answer."""
    budget = {name: value for name, value in origin.notes.get("budget", {}).items() if name != "time_limit"}
    return {**budget, "accelerate": "auto" if "accelerated" in origin.notes else "none"}


def _answered_by(origin: Origin) -> str:
    return ", ".join(sorted(origin.notes.get("accelerated", {}))) or "the model"


def _other_model(record: AuditRecord, model: Model, same: bool) -> str | None:
    """Say why this is not the model on record; None if it is."""
    origin = record.origin
    if same:
        found = _fingerprint(model)
        if found == origin.fingerprint:
            return None
        return f"another model: the record has the fingerprint {origin.fingerprint}, {model.name} has {found}"
    if origin.weights_id is None or model.weights_id is None:
        return (
            f"the record was made in {origin.framework}: without a weights_id, as models of the zoo have, it cannot be "
            f"told whether this {model.framework} model has the same weights"
        )
    if origin.weights_id == model.weights_id:
        return None
    return f"another model: the record has the weights {origin.weights_id}, {model.name} has {model.weights_id}"


def _fingerprint(model: Model) -> str:
    try:
        return model.fingerprint()
    except NotSupported:
        return "none"


def _compared(
    record: AuditRecord, again: Attribution | Attributions, framework: str, tolerance: float | None, key: Key | None
) -> Replay:
    first = first_of(again)
    then = record.origin.input_hash
    now = first.origin.input_hash if record.input_hash_kind != KEYED else _keyed(record, again, first, key)
    if now is None:
        return Replay(record.id, "impossible", "the hash of the input is a keyed one: give the key", framework)
    if now != then:
        said = f"another input: the record has the hash {then[0]}, this has {', '.join(now)}"
        return Replay(record.id, "refused", said, framework)
    changes = _changes(record, first)
    allowed = tolerance if tolerance is not None else OTHER if changes else SAME
    differences = _differences(record, again, first)
    worst = max(differences, key=lambda name: differences[name])
    verdict: Verdict = "equal" if differences[worst] <= allowed else "differs"
    said = "" if verdict == "equal" else f"the {worst} differs by {differences[worst]:.3g}, more than {allowed:g}"
    return Replay(record.id, verdict, said, framework, allowed, differences, changes)


def _keyed(
    record: AuditRecord, again: Attribution | Attributions, first: Attribution, key: Key | None
) -> tuple[str, ...] | None:
    """Give the keyed hashes of an input; without the key those on record, if it has the same input itself."""
    if key is not None:
        return tuple(map(key.hash, first.origin.input_hash))
    if record.x is None or _difference(record.x, _field(again, "x")) > 0:
        return None
    return record.origin.input_hash


def _changes(record: AuditRecord, now: Attribution) -> dict[str, tuple[str, str]]:
    """Compare the environments: framework, device, system, the versions installed, and which copy answered."""
    then = {**record.origin.versions, "device": record.origin.device, "system": record.system}
    then |= {"framework": record.origin.framework, "answered by": _answered_by(record.origin)}
    found = {**now.origin.versions, "device": now.origin.device, "system": platform.platform()}
    found |= {"framework": now.origin.framework, "answered by": _answered_by(now.origin)}
    names = sorted({*then, *found})
    pairs = {n: (then.get(n, "none"), found.get(n, "none")) for n in names}
    return {n: pair for n, pair in pairs.items() if pair[0] != pair[1]}


def _differences(record: AuditRecord, again: Attribution | Attributions, first: Attribution) -> dict[str, float]:
    """Give max|a - b| / max|a| of each thing compared; of the parts, the share of places that belong to another."""
    found = {"prediction": _difference(record.prediction, first.prediction)}
    for name in ("values", "part_values"):
        found[name.replace("_", " ")] = _difference(getattr(record, name), _field(again, name))
    then, now = dict(leaves(record.parts)), dict(leaves(_field(again, "parts")))
    found["parts"] = max(_share(then[n], now[n]) for n in then)
    return found


def _field(result: Attribution | Attributions, name: str) -> Any:
    if isinstance(result, Attributions):
        return {n: getattr(one, name) for n, one in result.items()}
    return getattr(result, name)


def _difference(then: Tensors, now: Tensors) -> float:
    """Give the worst agreement over all parts; infinite where the shapes differ or only one is finite."""
    before, after = dict(leaves(then)), dict(leaves(now))
    return max(_one_difference(before[n], after.get(n)) for n in before)


def _one_difference(then: Array | None, now: Array | None) -> float:
    if then is None and now is None:
        return 0.0
    if then is None or now is None or then.shape != now.shape:
        return float("inf")
    odd, still = ~np.isfinite(then), ~np.isfinite(now)
    if not np.array_equal(np.where(odd, then, 0), np.where(still, now, 0), equal_nan=True):
        return float("inf")
    return float(agreement(np.where(odd, 0, then), np.where(odd, 0, now)).max())


def _share(then: Array | None, now: Array | None) -> float:
    if then is None or now is None or then.shape != now.shape:
        return 0.0 if then is now else 1.0
    return float(np.mean(then != now))
