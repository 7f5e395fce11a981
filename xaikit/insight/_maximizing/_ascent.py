"""The ascent: step by step towards pictures with a larger objective."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors, each
from xaikit.errors import NotSupported, ParameterError
from xaikit.insight._maximizing._canvas import Canvas
from xaikit.insight._maximizing._objectives import Objective, OfLayer, unlike
from xaikit.insight._maximizing._parameters import Parameters
from xaikit.insight._maximizing._transforms import Resampling, Transformations, crop
from xaikit.model import Model
from xaikit.progress import Progress

REDIRECTED = 16
"""Steps in which a row without a gradient is given one through closed ReLUs."""
WINDOW = 32
"""Steps whose mean is compared with that of as many before, to see whether there is still a rise."""
SOFT = 0.01
"""Below this difference, in shares of the range, the penalties are quadratic, so that they have one slope at zero."""
OPTIMISTIC = 2.0
"""How far an optimum is over the best of real samples, as a rule: the scale of penalties where there are no samples."""


@dataclass(frozen=True)
class Penalties:
    """What weighs against the objective, in shares of its scale: total variation, L1 and L2 to the background."""

    total_variation: float = 0.0
    l1: float = 0.0
    l2: float = 0.0

    def __post_init__(self) -> None:
        for name in ("total_variation", "l1", "l2"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < np.inf:
                raise ParameterError(f"{name} is a number from 0 on, not {value!r}")

    def __bool__(self) -> bool:
        return bool(self.total_variation or self.l1 or self.l2)

    def slope(self, u: Array, background: Array, rarity: Array | None = None) -> Array:
        """Give the gradient of their sum: TV = Σ over axes of mean|difference|, mean w|u - b|, mean (u - b)².

        `rarity` w is larger where real samples seldom differ from the background, with a mean of one over these.
        """
        found = np.zeros_like(u)
        for axis in range(1, u.ndim - 1) if self.total_variation else ():
            if u.shape[axis] < 2:
                continue
            lower = (slice(None),) * axis + (slice(None, -1),)
            upper = (slice(None),) * axis + (slice(1, None),)
            difference = u[upper] - u[lower]
            pull = _soft_sign(difference) * np.float32(self.total_variation / difference[0].size)
            found[upper] += pull
            found[lower] -= pull
        if self.l1 or self.l2:
            off, count = u - background, u[0].size
            if self.l1:
                weight = np.float32(self.l1 / count)
                found += _soft_sign(off) * (weight if rarity is None else weight * rarity)
            if self.l2:
                found += off * np.float32(2 * self.l2 / count)
        return found


def _soft_sign(d: Array) -> Array:
    return d / np.sqrt(d * d + np.float32(SOFT**2))


@dataclass(frozen=True)
class Crops:
    """MaCo's augmentation: `count` boxes a step, `large` to `small` shares of the sides, with noise."""

    count: int = 8
    large: float = 0.5
    small: float = 0.25
    spread: float = 0.15
    noise: float = 0.08

    def draw(self, places: tuple[int, ...], done: float, rng: np.random.Generator) -> list[Resampling]:
        """Draw the boxes of a step; they shrink from large to small while `done` goes from 0 to 1."""
        share = self.large + (self.small - self.large) * done
        centres = 0.5 + self.spread * rng.standard_normal((self.count, len(places)))
        return [crop(places, share, centre) for centre in centres]


@dataclass(frozen=True)
class Schedule:
    """How the ascent goes: its steps, rate and optimiser, what is changed at random, and when it may end."""

    steps: int
    rate: float
    floor: float
    transformations: Transformations
    penalties: Penalties
    crops: Crops | None = None
    plateau: float | None = None
    diversity: float = 0.0
    copies: int = 1
    seed: int = 0


@dataclass(eq=False)
class Ascent:
    """Where the ascent has come: pictures `u`, the objective by step (row, step), NaN after a row's end.

    `silent` rows never had a gradient of their own, and are left as the background; `redirected` ones had their first
    through closed ReLUs. `sensitivity` (row, *places) sums the absolute gradient over steps and channels.
    """

    u: Array
    trace: Array
    silent: Array
    redirected: Array
    sensitivity: Array
    calls: int = 0


@dataclass(eq=False)
class Adam:
    """Kingma and Ba (2015), ascending; with `nesterov` NAdam (Dozat 2016).

    `floor` is what is added to the root of the second moment, in shares of its largest: what has next to no gradient
    hardly moves, so that the noise of float32 is not amplified and frameworks stay together.
    """

    rate: float
    floor: float = 1e-3
    nesterov: bool = False
    first: Any = None
    second: Any = None
    time: int = 0
    betas: tuple[float, float] = field(default=(0.9, 0.999))

    def step(self, gradient: Array) -> Array:
        """Give the step for a gradient (row, ...)."""
        a, b = self.betas
        if self.first is None:
            self.first, self.second = np.zeros_like(gradient), np.zeros_like(gradient)
        self.time += 1
        self.first *= np.float32(a)
        self.first += np.float32(1 - a) * gradient
        self.second *= np.float32(b)
        self.second += np.float32(1 - b) * (gradient * gradient)
        root = np.sqrt(self.second)
        root *= np.float32(1 / np.sqrt(1 - b**self.time))
        largest = root.reshape(len(root), -1).max(1) * np.float32(self.floor)
        root += np.maximum(largest, np.float32(1e-30)).reshape(-1, *(1,) * (root.ndim - 1))
        ahead = self.first / np.float32(1 - a**self.time)
        if self.nesterov:
            ahead = np.float32(a) * ahead + np.float32((1 - a) / (1 - a**self.time)) * gradient
        return np.divide(ahead, root, out=root) * np.float32(self.rate)

    def keep(self, rows: Array) -> None:
        """Go on with some rows only."""
        if self.first is not None:
            self.first, self.second = self.first[rows], self.second[rows]


View = tuple[Resampling | None, Array | None]
"""What the network is shown of pictures: a change in place, and noise that is added; None for neither."""
Fed = Callable[[Array], Tensors]
"""From the network's values of the input that is drawn (row, *shape) to all that the network takes."""


@dataclass(frozen=True, eq=False)
class Climb:
    """Pictures on a canvas made to raise an objective of a model.

    `feed` and `own` lead from the drawn input to all that the network takes and back. `scale` (objective,) is what the
    penalties are shares of, None = half of what the ascent itself has reached; `rarity` is as in Penalties.
    """

    model: Model
    canvas: Canvas
    objective: Objective
    parameters: Parameters
    schedule: Schedule
    feed: Fed
    own: Callable[[Tensors], Array]
    scale: Array | None = None
    rarity: Array | None = None

    def __call__(self, which: Array, progress: Progress) -> Ascent:
        """Climb from a start drawn from the seed, for rows with the objectives `which` (row,).

        A row has the same picture alone and among others: all share the random changes, and the start depends only on
        which of the copies it is.
        """
        schedule, parameters = self.schedule, self.parameters
        drawn, moved = np.random.default_rng([schedule.seed, 0]), np.random.default_rng([schedule.seed, 1])
        starts = [parameters.start(drawn) for _ in range(schedule.copies)]
        p = np.concatenate([starts[i % schedule.copies] for i in range(len(which))])
        found = self._blank(len(which), p)
        alive, reached = np.arange(len(which)), np.zeros(len(which))
        optimiser = Adam(schedule.rate, schedule.floor, nesterov=schedule.crops is not None)
        for step in range(schedule.steps):
            u = parameters.picture(p)
            share = (reached / OPTIMISTIC if self.scale is None else self.scale[which])[alive].astype(np.float32)
            values, slope = self._slope(which[alive], u, self._views(step, moved), share, step, found, alive)
            if schedule.penalties:
                slope = slope - _per_row(share, u) * schedule.penalties.slope(u, self.canvas.background, self.rarity)
            p = parameters.admitted(p + optimiser.step(parameters.pulled(slope, p, u)))
            reached[alive] = np.maximum(reached[alive], values)
            found.trace[alive, step] = values
            progress(step + 1, schedule.steps)
            going = self._rising(found.trace[alive], step)
            if not going.all():
                found.u[alive] = parameters.picture(p)
                p, alive = p[going], alive[going]
                optimiser.keep(going)
            if not len(alive):
                break
        if len(alive):
            found.u[alive] = parameters.picture(p)
        found.u[found.silent] = self.canvas.background
        return found

    def _blank(self, count: int, p: Array) -> Ascent:
        return Ascent(
            u=self.parameters.picture(p).astype(np.float32),
            trace=np.full((count, self.schedule.steps), np.nan),
            silent=np.ones(count, bool),
            redirected=np.zeros(count, bool),
            sensitivity=np.zeros((count, *self.canvas.places), np.float32),
        )

    def _views(self, step: int, rng: np.random.Generator) -> list[View]:
        """Draw what the network is shown of every picture in a step."""
        schedule, canvas = self.schedule, self.canvas
        if schedule.crops is not None:
            shape = (1, *canvas.places, canvas.channels)
            boxes = schedule.crops.draw(canvas.places, step / max(schedule.steps - 1, 1), rng)
            return [(box, schedule.crops.noise * rng.standard_normal(shape, np.float32)) for box in boxes]
        if schedule.transformations.still or not canvas.places:
            return [(None, None)]
        return [(schedule.transformations.draw(canvas.places, rng), None)]

    def _shown(self, u: Array, views: Sequence[View]) -> Tensors:
        parts = [changed(self.canvas, u, change) for change, _ in views]
        parts = [part if noise is None else part + noise for part, (_, noise) in zip(parts, views, strict=True)]
        return self.feed(self.canvas.inputs(parts[0] if len(parts) == 1 else np.concatenate(parts)))

    def _slope(
        self, which: Array, u: Array, views: Sequence[View], share: Array, step: int, found: Ascent, alive: Array
    ) -> tuple[Array, Array]:
        """Give the objective and its gradient with respect to the pictures, the mean over what is shown of them."""
        x, count, objective = self._shown(u, views), len(views), self.objective
        rows = which if count == 1 else np.tile(which, count)
        pulled = self.model.pull(x, self._seed(x, rows, np.tile(share, count)), of=objective.of, score=objective.score)
        gradient = self.own(pulled.gradient)
        dead = ~_any(gradient)
        found.calls += len(rows)
        found.silent[alive] &= dead.reshape(count, -1).all(0)
        if step < REDIRECTED and dead.any():
            gradient = np.array(gradient)
            gradient[dead] = self._through_closed(each(lambda a: a[dead], x), rows[dead])
            found.redirected[alive] |= (dead & _any(gradient)).reshape(count, -1).any(0)
        slopes = self.canvas.pulled(gradient).reshape(count, len(u), *u.shape[1:])
        back = [s if change is None else change.adjoint(s) for s, (change, _) in zip(slopes, views, strict=True)]
        slope = back[0] if count == 1 else np.mean(back, axis=0)
        found.sensitivity[alive] += np.abs(slope).sum(-1)
        return objective.values(pulled.value, rows).reshape(count, -1).mean(0), slope

    def _seed(self, x: Tensors, rows: Array, share: Array) -> Tensors:
        """Give what is pulled back: the objective's derivative, and with copies that of being unlike each other."""
        objective, diverse = self.objective, self.schedule.copies > 1 and self.schedule.diversity > 0
        value: Any = None if objective.linear and not diverse else asked(self.model, objective, x)
        seed = objective.seed(value, rows)
        if not diverse or not isinstance(objective, OfLayer):
            return seed
        _, apart = unlike(objective.flat(value), self.schedule.copies)
        weight = share.reshape(-1, 1, 1) * np.float32(self.schedule.diversity)
        return np.asarray(seed + objective.back(weight * apart, value))

    def _through_closed(self, x: Tensors, rows: Array) -> Array:
        """Give a gradient to rows that have none: that before the layer's own ReLU, or else as a deconvnet does."""
        objective = self.objective.opened
        if objective is not None:
            gradient = self.own(self.model.pull(x, objective.seed(None, rows), of=objective.of).gradient)
            if gradient.any():
                return gradient
        objective = self.objective
        value = None if objective.linear else asked(self.model, objective, x)
        seed = each(np.abs, objective.seed(value, rows))
        try:
            pulled = self.model.pull(x, seed, of=objective.of, rule="deconvnet", score=objective.score)
        except NotSupported:
            return np.zeros_like(self.own(x))
        gradient = self.own(pulled.gradient)
        return gradient * _per_row(objective.signs[rows], gradient)

    def _rising(self, trace: Array, step: int) -> Array:
        """Say which rows still rise: by more than the share `plateau` from one window of steps to the next."""
        plateau, done = self.schedule.plateau, step + 1
        if plateau is None or done < 3 * WINDOW or done % WINDOW:
            return np.ones(len(trace), bool)
        late, early = trace[:, done - WINDOW : done].mean(1), trace[:, done - 2 * WINDOW : done - WINDOW].mean(1)
        return np.asarray(late - early > plateau * np.abs(late))


def changed(canvas: Canvas, u: Array, view: Resampling | None) -> Array:
    """Show pictures through one random change, on their background."""
    return u if view is None else view(u - canvas.background) + canvas.background


def asked(model: Model, objective: Objective, x: Tensors) -> Any:
    """Give the value that an objective is a function of."""
    run = model.run(x, at=[objective.of] if objective.of else [], score=objective.score)
    return run.activations[objective.of] if objective.of else run.output


def _any(rows: Array) -> Array:
    return np.asarray(rows.reshape(len(rows), -1).any(1))


def _per_row(numbers: Array, like: Array) -> Array:
    return numbers.reshape(-1, *(1,) * (like.ndim - 1)).astype(np.float32)
