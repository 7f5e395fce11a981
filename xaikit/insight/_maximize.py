"""What a part of a network wants to see: inputs made by gradient ascent (feature maximisation)."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import numpy as np

from xaikit.arrays import Array, Tensors, concatenate, length, rows
from xaikit.attribution import origin_of, require, require_wrapped
from xaikit.errors import InputError, NotSupported, ParameterError, UnknownName, UsageError, with_article
from xaikit.inputs import Classes
from xaikit.insight._asking import require_whole
from xaikit.insight._maximizing import _quality as quality
from xaikit.insight._maximizing._ascent import Ascent, Climb, Schedule, asked
from xaikit.insight._maximizing._canvas import Canvas, canvas
from xaikit.insight._maximizing._goal import MOST_ROWS, Goal, Sign, goal_of
from xaikit.insight._maximizing._objectives import Objective
from xaikit.insight._maximizing._schedule import diversity_of, parameters_for, rarity, schedule_for, usual
from xaikit.insight._samples import Samples, left_out
from xaikit.model import Model
from xaikit.progress import Progress, bar
from xaikit.results import Maximization

KEPT = 512
"""How many of the samples given are kept, to read range, background, colours and spectrum from."""
CHUNK = 64
"""Samples that are read at a time."""
MOST_BYTES = 512 * 2**20
"""What a layer's values for all pictures of one pass may hold."""


def maximize(
    model: Model,
    layer: str | None = None,
    channel: int | Sequence[int] | slice | None = None,
    unit: Any = None,
    target: Any = None,
    steps: int | None = None,
    seed: int = 0,
    *,
    direction: Any = None,
    negative: Sign = False,
    copies: int = 1,
    like: Any = None,
    limits: Any = None,
    background: Any = None,
    input: str | None = None,
    held: Mapping[str, Any] | None = None,
    method: str | None = None,
    learning_rate: float | None = None,
    transformations: Mapping[str, Any] | bool | None = None,
    penalties: Mapping[str, float] | bool | None = None,
    diversity: float | None = None,
    crops: int = 8,
    plateau: float | None = 0.002,
    reproducibility: int = 0,
    judges: Sequence[Model] = (),
    progress: Progress | bool | None = None,
) -> Maximization:
    """Give the inputs that a part of a network reacts to most, made by gradient ascent, as Maximization.

    With a `layer`: the mean of a `channel` over all places, or its value at one place (`unit`: a tuple, a number along
    one axis, or "centre"). `channel` is a number, several, a slice, or None = all of the layer, and all go up in one
    batch; dense layers have units instead. `direction` (channel,) or (row, channel) takes their combination instead of
    a channel: dot·max(0.1, cosine)². Without a layer: the logit of the class `target` as in xk.explain, a list of
    targets, or None = all classes. `negative` seeks the least instead, or "both" in pairs. `copies` makes several
    pictures of each that are kept apart by `diversity` (a share of the objective). For a unit of a ReLU, and for the
    least, the ReLU's input is taken, which has a gradient where it is closed; `origin.notes["tapped"]` names it.

    `like` are real samples as xk.explain takes them (a batch, a list, a folder of pictures): they tell the range, the
    background and the scale of the penalties, and what the result is compared with. `limits` (low, high) and
    `background` in display units go before them. Where neither these nor the input spec tell the range, it is not
    guessed: ParameterError. Of a model with several inputs the one named by `input` is drawn, `held` gives one sample
    of each other.

    `method`: "pixels" starts at the mean of `like`, or (for a unit, and without samples) at the background; "fourier"
    moves a spectrum whose amplitudes fall as 1/frequency, with colours decorrelated for photos; "maco" moves its phases
    only, beside the mean magnitude of `like`, shown in `crops` boxes a step. None: for photos of 64 pixels or more
    "fourier" with 512 steps, for everything else "pixels" with 256 steps and `penalties` total_variation=1.8 and
    l1=0.45 to the background (most where samples seldom differ from it), shares of the best activation of `like`;
    without samples, of half of what the ascent has reached; l2 is 0. Adam has the `learning_rate` 0.05 (NAdam 1.0 for
    maco). `transformations` are drawn anew in every step: shift=0.07 of the sides (0.02 for a unit), rotation=5
    degrees, scale=0.05, flips=False, blur=0 places; False for none. A row ends early when its objective rises by less
    than the share `plateau` in 32 steps; None for never.

    All random numbers come from `seed`; a row is the same alone and among others, and Keras and torch give the same
    picture. `reproducibility` repeats it with so many more seeds, and `judges` are other models that are asked whether
    they recognise the classes; see Maximization for what is measured. An activation below that of the best sample is a
    failed run, and `status` says so.

    Real samples (xk.top_patches) tell people more than these pictures do (Borowski et al. 2020, arXiv 2010.12606), and
    pictures may take other ways through the network than real inputs (Geirhos et al. 2024, arXiv 2306.04719).
    Sources: Erhan et al., "Visualizing Higher-Layer Features of a Deep Network" (2009); Olah, Mordvintsev and Schubert,
    "Feature Visualization" (2017); Fel et al. (2023) for MaCo.

    Raises UnknownName for a layer, ParameterError, TargetError, InputError, and NotSupported for a model without
    gradients or an input that is no numbers on a scale.
    """
    require_wrapped(model, "maximize")
    start = time.perf_counter()
    if "pull" not in model.can:
        raise NotSupported(
            f"maximize follows gradients, and {model.name} is {with_article(model.framework)} model that can only run: "
            + ("use xk.top_patches for the samples that excite it most" if model.layers else "wrap the network itself")
        )
    _check(
        *(layer, channel, unit, target, direction, negative, copies, steps, seed, crops, reproducibility, plateau),
        *(learning_rate, diversity, judges),
    )
    drawn = _Drawn.of(model, input, held)
    samples = _Samples(model, like)
    on = canvas(model, drawn.spec, drawn.name, samples.kept(drawn), limits, background)
    blank = drawn.fed(on.inputs(np.broadcast_to(on.background, (1, *on.places, on.channels))))
    goal = goal_of(model, blank, layer, channel, unit, target, direction, negative)
    which = np.repeat(np.arange(len(goal.objective)), copies)
    if len(which) > MOST_ROWS:
        raise ParameterError(
            f"{len(which)} pictures are too many for one call (at most {MOST_ROWS}): choose some channels"
        )
    still = layer is not None and goal.place is not None
    schedule = schedule_for(on, method, steps, learning_rate, transformations, penalties, crops, still)
    schedule = replace(schedule, seed=seed, copies=copies, diversity=diversity_of(diversity, copies))
    if not schedule.diversity:  # copies that are kept apart go up together
        schedule = replace(schedule, plateau=plateau)
    method = method or usual(on)
    parameters = parameters_for(on, method, samples.kept(drawn), still)
    with bar(progress, f"maximize {layer or 'the output'}") as shown:
        seen = samples.values(goal.objective)
        climb = Climb(
            *(model, on, goal.objective, parameters, schedule, drawn.fed, drawn.own),
            scale=None if seen is None else _scales(seen),
            rarity=rarity(on, samples.kept(drawn)),
        )
        found, others = _climbed(climb, which, reproducibility, shown)
        measured = _measured(model, on, goal, which, schedule, found, others, seen, drawn, judges)
    settings = {"layer": layer, "channel": goal.listed, "unit": goal.place, "negative": negative, "method": method}
    seconds = time.perf_counter() - start
    return Maximization(
        image=on.display(found.u),
        axes=on.axes,
        names=tuple(goal.names[k] + (f", no. {i % copies + 1}" if copies > 1 else "") for i, k in enumerate(which)),
        numbers=tuple(goal.numbers[k] for k in which),
        signs=goal.objective.signs[which].astype(int),
        layer=layer,
        place=goal.place,
        targets=None if goal.targets is None else tuple(goal.targets[k] for k in which),
        trace=found.trace[:, : int(np.isfinite(found.trace).any(0).sum())],
        sensitivity=found.sensitivity,
        limits=np.sort([_displayed(on, value) for value in (0.0, 1.0)], axis=0).T,
        background=_displayed(on, on.background),
        quality=measured,
        verdicts=tuple(quality.judged(measured, i) for i in range(len(which))),
        judges=tuple(j.name for j in judges),
        input=drawn.name or None,
        input_spec=drawn.spec,
        origin=origin_of(
            model,
            None,
            "maximize",
            parameters={**settings, **_recorded(schedule, plateau)},
            seconds=seconds,
            calls=found.calls,
            score=goal.objective.score,
            seed=seed,
            notes={**on.known, **goal.notes, "samples": 0 if seen is None else len(seen), **samples.notes()},
        ),
    )


def _displayed(on: Canvas, value: Any) -> Array:
    """Give a value in 0..1, one or one per channel, in display units: (channel,)."""
    filled = np.broadcast_to(np.asarray(value, np.float32), (1, *on.places, on.channels))
    return on.laid_out(on.display(filled)).reshape(-1, on.channels)[0]


def _recorded(schedule: Schedule, plateau: float | None) -> dict[str, Any]:
    """Give the settings of the ascent as the origin of a result keeps them."""
    return {
        **{"steps": schedule.steps, "learning_rate": schedule.rate, "copies": schedule.copies, "plateau": plateau},
        "transformations": asdict(schedule.transformations),
        "penalties": asdict(schedule.penalties),
        "diversity": schedule.diversity,
        **({"crops": asdict(schedule.crops)} if schedule.crops else {}),
    }


# --- what is drawn, and what beside it ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Drawn:
    """The input that is drawn ("" = the only one), and the others' encoded values, one row each."""

    name: str
    spec: Any
    held: Mapping[str, Array]

    @classmethod
    def of(cls, model: Model, name: str | None, held: Mapping[str, Any] | None) -> "_Drawn":
        specs = model.inputs
        if not isinstance(specs, Mapping):
            if name is not None or held is not None:
                raise UsageError(f"{model.name} has one input: leave input= and held= out")
            return cls("", specs, {})
        if name is None:
            raise UsageError(
                f"{model.name} has the inputs {', '.join(specs)}: name the one that is drawn, "
                f"input={next(iter(specs))!r}, and give one sample of each other, held={{...}}"
            )
        if name not in specs:
            raise UnknownName(f"input of {model.name}", name, specs)
        others = [n for n in specs if n != name]
        missing = [n for n in others if n not in (held or {})]
        if missing:
            raise InputError(f"held= lacks a sample of the input {missing[0]!r}, which is not drawn")
        encoded = {n: np.asarray(specs[n].encode((held or {})[n]))[:1] for n in others}
        return cls(name, specs[name], encoded)

    def fed(self, x: Array) -> Tensors:
        """Give all that the network takes."""
        if not self.name:
            return x
        return {self.name: x, **{n: np.repeat(a, len(x), axis=0) for n, a in self.held.items()}}

    def own(self, x: Tensors) -> Array:
        """Give the part that is drawn."""
        return x[self.name] if isinstance(x, Mapping) else x


class _Samples:
    """The samples given, read in chunks: the first are kept, the rest only asked what they excite."""

    def __init__(self, model: Model, like: Any) -> None:
        self._model = model
        self._chunks: Iterator[Tensors] = iter(())
        self._first: list[Tensors] = []
        if like is None:
            return
        self._read = Samples(model, like)
        self._chunks = (chunk.x for chunk in self._read.chunks(CHUNK))
        for chunk in self._chunks:
            self._first.append(chunk)
            if sum(map(length, self._first)) >= KEPT:
                break
        if not self._first:
            raise self._read.none()
        model.run(rows(self._first[0], slice(0, 1)))  # a network that declares no input is known after its first call

    def notes(self) -> dict[str, str]:
        """Say which files of a folder could not be read, where there are any."""
        said = left_out(self._read.unread) if self._first else ""
        return {"unread": said} if said else {}

    def kept(self, drawn: _Drawn) -> Array | None:
        """Give the encoded samples that are kept, of the input that is drawn."""
        return drawn.own(concatenate(self._first)) if self._first else None

    def values(self, objective: Objective) -> Array | None:
        """Give what every sample has: (sample, objective); None without samples."""
        if not self._first:
            return None
        both = [self._first, self._chunks]
        return np.concatenate([objective.of_samples(asked(self._model, objective, x)) for part in both for x in part])


# --- how it is climbed ----------------------------------------------------------------------------------------------


def _climbed(climb: Climb, which: Array, more: int, shown: Progress) -> tuple[Ascent, list[Array]]:
    """Climb, in blocks of rows that have room in memory; and again with `more` other seeds."""
    copies, steps = climb.schedule.copies, climb.schedule.steps
    size = 4 * max(int(np.prod(climb.canvas.shape)), _width(climb.model, climb.objective))
    block = max(1, MOST_BYTES // (3 * size * copies)) * copies
    blocks = [which[i : i + block] for i in range(0, len(which), block)]
    total = len(blocks) * (1 + more) * steps
    runs: list[Ascent] = []
    for k in range(1 + more):
        seeded = replace(climb, schedule=replace(climb.schedule, seed=climb.schedule.seed + k))
        parts = []
        for b, part in enumerate(blocks):
            before = (k * len(blocks) + b) * steps
            parts.append(seeded(part, _after(before, total, shown)))
        runs.append(_joined(parts))
    shown(total, total)
    return runs[0], [r.u for r in runs] if more else []


def _after(before: int, total: int, shown: Progress) -> Progress:
    """Tell the steps of one climb as those of all."""
    return lambda done, _: shown(before + done, total)


def _width(model: Model, objective: Objective) -> int:
    shape = model.layers[objective.of].shape if objective.of else ()
    return int(np.prod([n or 1 for n in shape]))


def _joined(parts: list[Ascent]) -> Ascent:
    if len(parts) == 1:
        return parts[0]
    fields = ("u", "trace", "silent", "redirected", "sensitivity")
    joined: dict[str, Any] = {f: np.concatenate([getattr(p, f) for p in parts]) for f in fields}
    return Ascent(**joined, calls=sum(p.calls for p in parts))


def _scales(seen: Array) -> Array:
    """Give the best of real samples, or how far it is over the middle one where it is not positive: (objective,)."""
    best = seen.max(0)
    return np.where(best > 0, best, np.maximum(best - np.median(seen, axis=0), 1e-6))


# --- what is measured -----------------------------------------------------------------------------------------------


def _measured(
    model: Model,
    on: Canvas,
    goal: Goal,
    which: Array,
    schedule: Schedule,
    found: Ascent,
    others: list[Array],
    seen: Array | None,
    drawn: _Drawn,
    judges: Sequence[Model],
) -> dict[str, Array]:
    x = drawn.fed(on.inputs(found.u))
    plain = quality.numbers(model, goal.objective, x, which)
    measured: dict[str, Array] = {"activation": plain, "silent": found.silent.astype(np.float64)}
    measured["redirected"] = found.redirected.astype(np.float64)
    if seen is not None:
        measured.update(quality.beside(plain, seen[:, which]))
        if goal.targets is None and goal.listed is not None:
            measured["data_rate"] = (seen * goal.objective.signs > 0).mean(0)[which]
    if on.places and not schedule.transformations.still:
        measured["robustness"] = quality.robustness(
            model, on, goal.objective, which, found.u, plain, schedule.transformations, drawn.fed, schedule.seed
        )
    if goal.targets is not None and isinstance(model.outputs, Classes):
        measured.update(_classes(model, goal, which, x, on.display(found.u), judges))
    elif judges:
        raise UsageError("judges recognise classes: they go with target=, of a model whose output is xk.Classes")
    if others:
        measured["reproducibility"] = quality.reproduced(np.stack(others), on.background)
    return measured


def _classes(
    model: Model, goal: Goal, which: Array, x: Tensors, display: Array, judges: Sequence[Model]
) -> dict[str, Array]:
    """Ask the network itself and others for the classes; NaN where no class was made large."""
    asked = [i for i, k in enumerate(which) if goal.objective.signs[k] > 0 and goal.numbers[k] is not None]
    if not asked:
        return {}
    classes = [cast(int, goal.numbers[which[i]]) for i in asked]
    found = dict(zip(("top1", "probability"), quality.recognised(model, rows(x, asked), classes), strict=True))
    if judges:
        labels = [model.outputs.label(c) for c in classes]
        found.update(quality.transferred(judges, display[asked], labels))
    whole = {n: np.full((len(which), *a.shape[1:]), np.nan) for n, a in found.items()}
    for name, values in found.items():
        whole[name][asked] = values
    return whole


def _check(
    layer: Any,
    channel: Any,
    unit: Any,
    target: Any,
    direction: Any,
    negative: Any,
    copies: Any,
    steps: Any,
    seed: Any,
    crops: Any,
    reproducibility: Any,
    plateau: Any,
    learning_rate: Any,
    diversity: Any,
    judges: Any,
) -> None:
    """Raise ParameterError or UsageError for what makes no sense whatever the model is."""
    if layer is not None and target is not None:
        raise UsageError("give a layer, or a target without a layer: a class is made large at the output")
    if layer is None and (channel is not None or unit is not None or direction is not None):
        raise UsageError("channel=, unit= and direction= belong to a layer: name it")
    if channel is not None and direction is not None:
        raise UsageError("give a channel or a direction, not both")
    require(negative in (True, False, "both"), f"negative is True, False or 'both', not {negative!r}")
    require_whole(1, copies=copies, steps=1 if steps is None else steps, crops=crops)
    require_whole(0, seed=seed, reproducibility=reproducibility)
    for name, number in (("learning_rate", learning_rate), ("diversity", diversity)):
        real = isinstance(number, int | float | np.number) and not isinstance(number, bool)
        positive = real and np.isfinite(number) and (number > 0 or (number == 0 and name == "diversity"))
        require(number is None or positive, f"{name} is a positive number or None, not {number!r}")
    require(isinstance(judges, Sequence), f"judges is a list of wrapped models, not {type(judges).__name__}")
    for judge in judges:
        require_wrapped(judge, "judges")
    require(plateau is None or 0 <= plateau < 1, f"plateau is a share below 1 or None, not {plateau!r}")
