"""What workers do for the page Sequences: answers so far, gates, attention, units that follow, forecasts."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import InputError, NotSupported
from xaikit.inputs import Series, Values
from xaikit.jobs import Unit
from xaikit.model import Model
from xaikit.progress import Progress
from xaikit.results import RESULTS, AttentionMap, GradientFlow, HiddenStates, Prefixes, UnitScores
from xaikit.sequence import attention, following_units, gradient_flow, hidden_states, prefixes
from xaikit_app.work._asking import Known, add, asked

KNOWN: Known = {
    "app-prefixes": {"every": 1, "target": None},
    "app-states": {"layer": None},
    "app-attention": {"layer": None},
    "app-flow": {"layer": None, "target": None},
    "app-follow": {"layer": None, "gate": None, "follow": "answer", "target": None},
    "app-forecast": {"steps": 24},
}
FOLLOW = ("answer", "change", "position")
"""What units may follow besides marked tokens: the answer so far, how it changed, and how much has been read."""


@dataclass(frozen=True, eq=False)
class Forecast:
    """A forecaster that is fed its own forecasts: `given` (time, channel), `ahead` (step, channel) in their units.

    The first `once` steps of `ahead` are from the series alone; each later one is from forecasts before it too.
    """

    given: Array
    ahead: Array
    once: int
    rate: float | None


RESULTS[Forecast.__name__] = Forecast


def answers_so_far(model: Model, unit: Unit, progress: Progress) -> Prefixes:
    """Give the score of the target after every beginning of a sample."""
    said = asked(unit, KNOWN)
    found = prefixes(model, unit.input, said["target"], every=said["every"])
    progress(1, 1)
    return found


def states_of(model: Model, unit: Unit, progress: Progress) -> HiddenStates:
    """Give the gates and states of a recurrent layer along a sample."""
    found = hidden_states(model, unit.input, asked(unit, KNOWN)["layer"])
    progress(1, 1)
    return found


def attention_of(model: Model, unit: Unit, progress: Progress) -> AttentionMap:
    """Give where a layer of attention looked."""
    found = attention(model, unit.input, asked(unit, KNOWN)["layer"])
    progress(1, 1)
    return found


def flow_of(model: Model, unit: Unit, progress: Progress) -> GradientFlow:
    """Give how large the gradient is at every step of a recurrent layer."""
    said = asked(unit, KNOWN)
    found = gradient_flow(model, unit.input, said["layer"], said["target"])
    progress(1, 1)
    return found


def followers(model: Model, unit: Unit, progress: Progress) -> UnitScores:
    """Give which units of a layer follow the answer so far, how much was read, or the tokens marked after "=".

    Raises NotSupported where the layer's steps are not those of the input, InputError for marks that are nowhere.
    """
    said = asked(unit, KNOWN)
    states = hidden_states(model, unit.input, said["layer"])
    progress(1, 2)
    marks = _marks(model, unit.input, states, said["follow"], said["target"])
    found = following_units(states, marks[None], said["gate"], seed=unit.seed)
    progress(2, 2)
    return found


def _marks(model: Model, x: Any, states: HiddenStates, follow: str, target: Any) -> Array:
    """Give a number for every step: (time,), 0 at padded ones, which do not count."""
    present = states.present[0]
    made = np.zeros(states.steps)
    if follow == "position":
        made[present] = np.arange(present.sum())
    elif follow in FOLLOW:
        known = prefixes(model, x, target)
        scores = known.scores[0][np.isfinite(known.scores[0])]
        if len(scores) != present.sum():
            raise NotSupported(
                f"{states.layer} has {int(present.sum())} steps and the input {len(scores)}: "
                "its units stand at no step of what was read"
            )
        made[present] = scores if follow == "answer" else np.diff(scores, prepend=scores[0])
    else:
        wanted = follow.removeprefix("=").lower()
        asked_for = set(wanted) if all(len(t) <= 1 for t in states.names(0)) else set(wanted.split())
        made = np.array([float(t.lower() in asked_for) for t in states.names(0)])
        if not made[present].any():
            raise InputError(f"{wanted!r} is nowhere in this text: mark tokens that are in it")
    return made


def forecast(model: Model, unit: Unit, progress: Progress) -> Forecast:
    """Forecast `steps` steps, each time putting what was forecast behind the series. Raises NotSupported."""
    spec = model.inputs
    if not isinstance(spec, Series) or not isinstance(model.outputs, Values):
        raise NotSupported(f"{model.name} forecasts no series")
    steps = int(asked(unit, KNOWN)["steps"])
    given = np.asarray(spec.display(unit.input), np.float64).reshape(spec.shape)
    whole, once = given, 0
    while len(whole) < len(given) + steps:
        window = whole[-spec.steps :]
        answer = np.asarray(model.run(spec.encode([window])).output, np.float64)[0].ravel()
        if answer.size % spec.channels:
            raise NotSupported(f"{model.name} gives {answer.size} numbers for {spec.channels} channels, no whole steps")
        whole = np.concatenate([whole, answer.reshape(-1, spec.channels)])
        once = once or answer.size // spec.channels
        progress(min(len(whole) - len(given), steps), steps)
    return Forecast(given, whole[len(given) : len(given) + steps], once, spec.rate)


add(
    KNOWN,
    {
        "app-prefixes": answers_so_far,
        "app-states": states_of,
        "app-attention": attention_of,
        "app-flow": flow_of,
        "app-follow": followers,
        "app-forecast": forecast,
    },
    1,
)
