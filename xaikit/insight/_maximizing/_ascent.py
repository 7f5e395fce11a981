"""The ascent: step by step towards pictures with a larger objective."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors, each
from xaikit.errors import NotSupported
from xaikit.insight._maximizing._canvas import Canvas
from xaikit.insight._maximizing._objectives import Objective
from xaikit.insight._maximizing._parameters import Parameters
from xaikit.insight._maximizing._transforms import Resampling, Transformations, crop
from xaikit.model import Model, Pull
from xaikit.progress import Progress

REDIRECTED = 16
"""Steps in which a row without a gradient is given one through closed ReLUs."""
WINDOW = 32
"""Steps whose mean is compared with that of as many before, to see whether there is still a rise."""
SOFT = 0.01
"""Below this difference, in shares of the range, the penalties are quadratic, so that they have one slope at zero."""
FLOOR = 1e-3
"""What is added to the root of Adam's second moment, in shares of its largest: noise of float32 is not amplified."""
OPTIMISTIC = 2.0
"""How far an optimum is over the best of real samples, as a rule: the scale of penalties where there are no samples."""


@dataclass(frozen=True)
class Penalties:
    """What weighs against the objective, in shares of its scale: total variation, L1 and L2 to the background."""

    total_variation: float = 0.0
    l1: float = 0.0
    l2: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.total_variation or self.l1 or self.l2)

    def slope(self, u: Array, background: Array) -> Array:
        """Give the gradient of their sum: TV = Σ over axes of mean|difference|, mean|u - b|, mean (u - b)²."""
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
                found += _soft_sign(off) * np.float32(self.l1 / count)
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
    """Kingma and Ba (2015), ascending; with `nesterov` NAdam (Dozat 2016)."""

    rate: float
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
        largest = root.reshape(len(root), -1).max(1) * np.float32(FLOOR)
        root += np.maximum(largest, np.float32(1e-30)).reshape(-1, *(1,) * (root.ndim - 1))
        ahead = self.first / np.float32(1 - a**self.time)
        if self.nesterov:
            ahead = np.float32(a) * ahead + np.float32((1 - a) / (1 - a**self.time)) * gradient
        return np.divide(ahead, root, out=root) * np.float32(self.rate)

    def keep(self, rows: Array) -> None:
        """Go on with some rows only."""
        if self.first is not None:
            self.first, self.second = self.first[rows], self.second[rows]


Fed = Callable[[Array], Tensors]
"""From the network's values of the input that is drawn (row, *shape) to all that the network takes."""


def ascend(
    model: Model,
    canvas: Canvas,
    objective: Objective,
    which: Array,
    parameters: Parameters,
    schedule: Schedule,
    scale: Array | None,
    feed: Fed,
    own: Callable[[Tensors], Array],
    progress: Progress,
) -> Ascent:
    """Climb from a start drawn from the seed, for rows with the objectives `which` (row,).

    `scale` (row,) is what penalties are a share of, None = what the ascent itself has reached; `feed` and `own` lead
    from the drawn input to the network's and back. A row has the same picture alone and among others: all share the
    random changes, and a copy's start depends on its number only.
    """
    drawn, moved = np.random.default_rng([schedule.seed, 0]), np.random.default_rng([schedule.seed, 1])
    starts = [parameters.start(drawn) for _ in range(schedule.copies)]
    p = np.concatenate([starts[i % schedule.copies] for i in range(len(which))])
    alive = np.arange(len(which))
    found = Ascent(
        u=parameters.picture(p).astype(np.float32),
        trace=np.full((len(which), schedule.steps), np.nan),
        silent=np.ones(len(which), bool),
        redirected=np.zeros(len(which), bool),
        sensitivity=np.zeros((len(which), *canvas.places), np.float32),
    )
    optimiser = Adam(schedule.rate, nesterov=schedule.crops is not None)
    reached = np.zeros(len(which))
    for step in range(schedule.steps):
        u = parameters.picture(p)
        views, noise = _views(canvas, schedule, step, moved)
        values, slope = _pulled(model, canvas, objective, which[alive], u, views, noise, feed, own, step, found, alive)
        found.calls += len(u) * len(views)
        found.trace[alive, step] = values
        found.sensitivity[alive] += np.abs(slope).sum(-1)
        slope = _regularised(schedule, canvas, u, slope, scale, reached, alive, values)
        p = parameters.admitted(p + optimiser.step(parameters.pulled(slope, p, u)))
        progress(step + 1, schedule.steps)
        going = _rising(found.trace[alive], step, schedule.plateau)
        if not going.all():
            found.u[alive] = parameters.picture(p)
            p, alive = p[going], alive[going]
            optimiser.keep(going)
        if not len(alive):
            break
    if len(alive):
        found.u[alive] = parameters.picture(p)
    found.u[found.silent] = canvas.background
    return found


def _views(
    canvas: Canvas, schedule: Schedule, step: int, rng: np.random.Generator
) -> tuple[Sequence[Resampling | None], Array | None]:
    """Draw what the network is shown of every picture in a step; None = the picture as it is."""
    if schedule.crops is not None:
        views = schedule.crops.draw(canvas.places, step / max(schedule.steps - 1, 1), rng)
        shape = (len(views), 1, *canvas.places, canvas.channels)
        return views, schedule.crops.noise * rng.standard_normal(shape, np.float32)
    if schedule.transformations.still or not canvas.places:
        return [None], None
    return [schedule.transformations.draw(canvas.places, rng)], None


def changed(canvas: Canvas, u: Array, view: Resampling | None) -> Array:
    """Show pictures through one random change, on their background."""
    return u if view is None else view(u - canvas.background) + canvas.background


def _pulled(
    model: Model,
    canvas: Canvas,
    objective: Objective,
    which: Array,
    u: Array,
    views: Sequence[Resampling | None],
    noise: Array | None,
    feed: Fed,
    own: Callable[[Tensors], Array],
    step: int,
    found: Ascent,
    alive: Array,
) -> tuple[Array, Array]:
    """Give the objective and its gradient with respect to the pictures, the mean over what is shown of them."""
    shown = [changed(canvas, u, view) for view in views]
    if noise is not None:
        shown = [s + n for s, n in zip(shown, noise, strict=True)]
    x = feed(canvas.inputs(shown[0] if len(shown) == 1 else np.concatenate(shown)))
    rows = which if len(views) == 1 else np.tile(which, len(views))
    value: Any = None
    if not objective.linear:
        ran = model.run(x, at=[objective.of] if objective.of else [], score=objective.score)
        value = ran.activations[objective.of] if objective.of else ran.output
    seed = objective.seed(value, rows)
    pulled = model.pull(x, seed, of=objective.of, score=objective.score)
    gradient = own(pulled.gradient)
    dead = ~gradient.reshape(len(gradient), -1).any(1)
    found.silent[alive] &= dead.reshape(len(views), -1).all(0)
    if dead.any() and step < REDIRECTED:
        gradient = np.array(gradient)
        gradient[dead] = _through_closed(model, objective, x, rows, dead, own)
        found.redirected[alive] |= (dead & gradient.reshape(len(gradient), -1).any(1)).reshape(len(views), -1).any(0)
    slopes = canvas.pulled(gradient).reshape(len(views), len(u), *u.shape[1:])
    back = [s if view is None else view.adjoint(s) for s, view in zip(slopes, views, strict=True)]
    slope = back[0] if len(back) == 1 else np.mean(back, axis=0)
    values = objective.values(pulled.value, rows).reshape(len(views), -1).mean(0)
    return values, slope


def _through_closed(
    model: Model, objective: Objective, x: Tensors, rows: Array, dead: Array, own: Callable[[Tensors], Array]
) -> Array:
    """Give a gradient to rows that have none: as a deconvnet does, through ReLUs whether open or not."""
    part = each(lambda a: a[dead], x)
    signs = objective.signs[rows[dead]].reshape(-1, *(1,) * (own(part).ndim - 1))
    ran: Any = None
    if not objective.linear:
        run = model.run(part, at=[objective.of] if objective.of else [], score=objective.score)
        ran = run.activations[objective.of] if objective.of else run.output
    seed = each(np.abs, objective.seed(ran, rows[dead]))
    try:
        pulled: Pull = model.pull(part, seed, of=objective.of, rule="deconvnet", score=objective.score)
    except NotSupported:
        return np.zeros_like(own(part))
    return own(pulled.gradient) * signs


def _regularised(
    schedule: Schedule,
    canvas: Canvas,
    u: Array,
    slope: Array,
    scale: Array | None,
    reached: Array,
    alive: Array,
    values: Array,
) -> Array:
    """Take the penalties' gradient off, and add that of being unlike the copies."""
    if not schedule.penalties and not schedule.diversity:
        return slope
    reached[alive] = np.maximum(reached[alive], values)
    share = (reached / OPTIMISTIC if scale is None else scale)[alive].astype(np.float32)
    by_row = share.reshape(-1, *(1,) * (u.ndim - 1))
    if schedule.penalties:
        slope = slope - by_row * schedule.penalties.slope(u, canvas.background)
    if schedule.diversity and schedule.copies > 1:
        flat = (u - canvas.background).reshape(len(u), -1, u.shape[-1])
        slope = slope + by_row * np.float32(schedule.diversity) * apart(flat, schedule.copies).reshape(u.shape)
    return slope


def apart(flat: Array, copies: int) -> Array:
    """Give the gradient of minus the mean cosine of the copies' pictures (row, place, channel)."""
    whole = flat.reshape(len(flat), 1, -1).swapaxes(1, 2)
    groups = whole.reshape(-1, copies, whole.shape[1])
    length = np.maximum(np.linalg.norm(groups, axis=-1, keepdims=True), 1e-6)
    unit = groups / length
    others = unit.sum(1, keepdims=True) - unit
    slope = -(others - (unit * others).sum(-1, keepdims=True) * unit) / length / (copies - 1)
    return slope.reshape(flat.shape)


def _rising(trace: Array, step: int, plateau: float | None) -> Array:
    """Say which rows still rise: by more than a share `plateau` from one window of steps to the next."""
    if plateau is None or step + 1 < 3 * WINDOW or (step + 1) % WINDOW:
        return np.ones(len(trace), bool)
    late, early = (
        trace[:, step + 1 - WINDOW : step + 1].mean(1),
        trace[:, step + 1 - 2 * WINDOW : step + 1 - WINDOW].mean(1),
    )
    return np.asarray(late - early > plateau * np.abs(late))
