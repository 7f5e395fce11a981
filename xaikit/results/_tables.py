"""What a data set of rows says of a model: importance, break-down, profiles, what-if, counterfactuals, fairness."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import UnknownName, UsageError
from xaikit.results._origin import Origin, Shown, Status


@dataclass(frozen=True, eq=False)
class Importance(Shown):
    """How much worse a model does when the values of a variable are shuffled among the rows.

    `losses` (variable, repeat) hold the loss of every repeat, `baseline` that of the rows as they are, and `reference`
    (repeat,) that of the rows with `y` shuffled: a model that knows nothing of them. `by_output` (output, variable,
    repeat), `baseline_by_output` (output,) hold the same for every class (over its own rows; for 1-auc against all
    others) or every output, `outputs` their names; empty where there is one alone. `members` names the columns of each
    variable, `rows` counts the rows.
    """

    variables: tuple[str, ...]
    members: Mapping[str, tuple[str, ...]]
    loss: str
    losses: Array
    baseline: float
    reference: Array
    outputs: tuple[str, ...]
    by_output: Array
    baseline_by_output: Array
    rows: int
    status: Status
    origin: Origin

    @property
    def differences(self) -> Array:
        """Loss of every repeat minus the baseline: (variable, repeat)."""
        return np.asarray(self.losses - self.baseline)

    @property
    def difference(self) -> Array:
        """Mean loss over the repeats minus the baseline: (variable,)."""
        return np.asarray(self.losses.mean(1) - self.baseline)

    @property
    def ratio(self) -> Array:
        """Mean loss over the repeats divided by the baseline: (variable,); infinite or NaN where that is zero."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.losses.mean(1) / np.float64(self.baseline))

    @property
    def deviation(self) -> Array:
        """Standard deviation over the repeats (divided by their number less one): (variable,); NaN for one repeat."""
        if self.losses.shape[1] < 2:
            return np.full(len(self.losses), np.nan)
        return np.asarray(self.losses.std(1, ddof=1))

    @property
    def order(self) -> Array:
        """The variables, most important first: (variable,) indices."""
        return np.argsort(-self.difference, kind="stable")

    def of(self, output: str) -> Array:
        """Give the mean difference of every variable for one class or output: (variable,). Raises UnknownName."""
        if output not in self.outputs:
            raise UnknownName("output", output, self.outputs)
        k = self.outputs.index(output)
        return np.asarray(self.by_output[k].mean(1) - self.baseline_by_output[k])

    def table(self) -> list[dict[str, Any]]:
        """List the variables as rows of plain values, most important first."""
        difference, ratio, deviation = self.difference, self.ratio, self.deviation
        return [
            {
                "variable": self.variables[i],
                "difference": float(difference[i]),
                "ratio": float(ratio[i]),
                "deviation": float(deviation[i]),
                "loss": float(self.losses[i].mean()),
            }
            for i in self.order
        ]

    def __len__(self) -> int:
        """Count the variables."""
        return len(self.variables)

    def __repr__(self) -> str:
        best = self.variables[int(self.order[0])]
        return f"<Importance of {len(self)} variables for {self.origin.model}: {best!r} first, {self.loss}>"


@dataclass(frozen=True, eq=False)
class BreakDown(Shown):
    """A prediction as the mean prediction plus what each variable's value adds when it is set, one after the other.

    `contributions` (sample, variable) sum with `intercept` (sample,) to `prediction` (sample,), for the output that
    `targets` names for each sample. `variables` names columns, behind them pairs "a:b" where interactions were asked
    for and found; a variable that a sample's pairs have taken has 0. `order` (sample, step) are the variables in the
    order in which they were set, -1 behind the last. `every` (sample, variable, output) holds the contributions for all
    `outputs` in that same order, `intercepts` and `predictions` (sample, output) what they start from and lead to;
    `singles` (sample, variable) is what each does when it is set alone. `values` (sample, variable) are those set, as
    text. `rows` counts the rows of the reference.
    """

    variables: tuple[str, ...]
    contributions: Array
    intercept: Array
    prediction: Array
    order: Array
    singles: Array
    values: tuple[tuple[str, ...], ...]
    targets: tuple[str, ...]
    outputs: tuple[str, ...]
    every: Array
    intercepts: Array
    predictions: Array
    score: str
    interactions: bool
    rows: int
    status: Status
    origin: Origin

    @property
    def gap(self) -> Array:
        """Prediction minus intercept and contributions: (sample,), zero but for rounding."""
        return np.asarray(self.prediction - self.intercept - self.contributions.sum(1))

    def path(self, sample: int = 0) -> list[tuple[str, str, float]]:
        """List (variable, value, contribution) of a sample in the order in which they were set."""
        return [
            (self.variables[i], self.values[sample][i], float(self.contributions[sample, i]))
            for i in self.order[sample]
            if i >= 0
        ]

    def of(self, output: str) -> Array:
        """Give the contributions to another output: (sample, variable). Raises UnknownName."""
        if output not in self.outputs:
            raise UnknownName("output", output, self.outputs)
        return np.asarray(self.every[..., self.outputs.index(output)])

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.contributions)

    def __repr__(self) -> str:
        return f"<BreakDown of {len(self)} predictions of {self.origin.model} over {len(self.variables)} variables>"


@dataclass(frozen=True, eq=False)
class Effect:
    """How the answer goes with one column, or with two.

    `grid` holds the values of each of the `columns`, of the `kinds` "number" or "category" (text). `values` (output,
    *grid) is the mean curve or surface. `curves` (row, output, *grid) are those of single rows, with what the model
    says of the row itself, `starts` (row, output), its own values `at` (row, column), as numbers, and its number
    `numbers` (row,) among the rows; none for ALE. `counts` (*bins) are the rows in each bin (ALE: between two edges),
    or at each category; `weights` (*grid) sum to one and say how much each place counts for oscillations. `grouped`
    (group, output, *grid) are mean curves of `groups` of rows.
    """

    columns: tuple[str, ...]
    kinds: tuple[str, ...]
    grid: tuple[Array, ...]
    values: Array
    curves: Array
    starts: Array
    at: Array
    numbers: Array
    counts: Array
    weights: Array
    groups: tuple[str, ...]
    grouped: Array
    remark: str

    @property
    def oscillations(self) -> Array:
        """Mean absolute difference of each row's curve from its own prediction: (row, output).

        Over the grid, each place with its weight. Source: Biecek and Burzykowski, "Explanatory Model Analysis"
        (2021), chapter 11.
        """
        start = self.starts.reshape(*self.starts.shape, *[1] * len(self.grid))
        away = np.abs(self.curves - start) * self.weights
        return np.asarray(away.sum(tuple(range(2, away.ndim))))

    @property
    def name(self) -> str:
        """The columns, joined by " × "."""
        return " × ".join(self.columns)


@dataclass(frozen=True, eq=False)
class Profile(Shown):
    """How a model's answer goes with single columns or pairs: an Effect for each.

    `kind` is "partial-dependence", "ceteris-paribus" or "ale"; `outputs` names the outputs of every curve, `score` is
    their form. `by` is the column by which rows were grouped, "" for none; `rows` counts the rows.
    """

    kind: str
    effects: tuple[Effect, ...]
    outputs: tuple[str, ...]
    score: str
    by: str
    rows: int
    status: Status
    origin: Origin

    def __getitem__(self, name: str) -> Effect:
        """Give the effect of a column, or of a pair "a × b". Raises UnknownName."""
        for effect in self.effects:
            if effect.name == name:
                return effect
        raise UnknownName("profile", name, [e.name for e in self.effects])

    def __iter__(self) -> Iterator[Effect]:
        """Give the effects."""
        return iter(self.effects)

    def __len__(self) -> int:
        """Count the effects."""
        return len(self.effects)

    @property
    def only(self) -> Effect:
        """The effect where there is one alone. Raises UsageError."""
        if len(self.effects) != 1:
            raise UsageError(f"there are {len(self)} profiles: choose one of {', '.join(e.name for e in self.effects)}")
        return self.effects[0]

    @property
    def grid(self) -> Array:
        """The grid of the only effect, of one column."""
        return self.only.grid[0]

    @property
    def values(self) -> Array:
        """The curve of the only effect: (output, *grid)."""
        return self.only.values

    @property
    def curves(self) -> Array:
        """The curves of single rows of the only effect: (row, output, *grid)."""
        return self.only.curves

    def __repr__(self) -> str:
        return f"<Profile ({self.kind}) of {self.origin.model}: {', '.join(e.name for e in self.effects)}>"


@dataclass(frozen=True, eq=False)
class WhatIf(Shown):
    """What a model says of a row when some of its values are others.

    `before` and `after` (output,) are the predictions for the row and for it with all `changes` (variable, from, to),
    `alone` (change, output) with each alone. `break_down` splits the difference of the two for `target`, in one sample:
    its intercept is the old prediction. `nearest` (k,) are the rows of the data nearest to the changed one, with
    `distances`, their values `neighbours` and predictions `neighbour_predictions` (k, output). `distance` (2,) is the
    mean distance of the row before and after to its nearest rows, `usual` (row,) that of rows of the data to theirs;
    `off_data` says whether the changed row is further away than 99 % of them.
    """

    columns: tuple[str, ...]
    row: tuple[Any, ...]
    changed: tuple[Any, ...]
    changes: tuple[tuple[str, str, str], ...]
    outputs: tuple[str, ...]
    target: str
    before: Array
    alone: Array
    after: Array
    break_down: BreakDown | None
    nearest: Array
    distances: Array
    neighbours: tuple[tuple[Any, ...], ...]
    neighbour_predictions: Array
    distance: Array
    usual: Array
    score: str
    status: Status
    origin: Origin

    @property
    def limit(self) -> float:
        """The distance beyond which a row is called off the data: the 0.99 quantile of `usual`."""
        return float(np.quantile(self.usual, 0.99)) if len(self.usual) else float("inf")

    @property
    def off_data(self) -> bool:
        """Whether the changed row is further from the data than 99 % of its own rows from each other."""
        return bool(self.distance[1] > self.limit)

    def of(self, output: str) -> tuple[float, float]:
        """Give the prediction of one output before and after. Raises UnknownName."""
        if output not in self.outputs:
            raise UnknownName("output", output, self.outputs)
        k = self.outputs.index(output)
        return float(self.before[k]), float(self.after[k])

    def __len__(self) -> int:
        """Count the changes."""
        return len(self.changes)

    def __repr__(self) -> str:
        before, after = self.of(self.target)
        return f"<WhatIf of {self.origin.model}: {len(self)} changes, {self.target} {before:.4g} to {after:.4g}>"


@dataclass(frozen=True, eq=False)
class Counterfactuals(Shown):
    """Rows near to one row for which the model says what was wanted, the nearest first.

    `rows` hold their values by `columns`, `row` those of the row itself; `changes` lists (variable, from, to) of each.
    `scores` (counterfactual,) is the model's number for `wanted`, verified by running it, `start` that of the row, and
    `bounds` what it has to lie between. `costs` (counterfactual,) sums the changes, numbers in standard deviations of
    the data and categories as one. `off_data` (counterfactual,) says whether one lies outside the data. `best` is the
    best number that was reached, whether or not that suffices.
    """

    columns: tuple[str, ...]
    row: tuple[Any, ...]
    rows: tuple[tuple[Any, ...], ...]
    changes: tuple[tuple[tuple[str, str, str], ...], ...]
    wanted: str
    start: float
    bounds: tuple[float, float]
    scores: Array
    costs: Array
    off_data: Array
    best: float
    score: str
    status: Status
    origin: Origin

    @property
    def found(self) -> bool:
        """Whether there is one at all."""
        return len(self.rows) > 0

    def __len__(self) -> int:
        """Count the counterfactuals."""
        return len(self.rows)

    def __repr__(self) -> str:
        return f"<Counterfactuals of {self.origin.model}: {len(self)} rows with {self.wanted} from {self.start:.4g}>"


@dataclass(frozen=True, eq=False)
class Fairness(Shown):
    """How a model does for groups of rows: a measure for each, with a 95 % interval.

    `values`, `low` and `high` (group, measure) are NaN where a group has no rows to tell; `measures` names them,
    `groups` the groups of the column `by`, `counts` (group,) their rows. `positive` is the class that is predicted,
    from the probability `cutoff` on; "" for numbers.
    """

    by: str
    groups: tuple[str, ...]
    counts: Array
    measures: tuple[str, ...]
    values: Array
    low: Array
    high: Array
    positive: str
    cutoff: float
    status: Status
    origin: Origin

    def of(self, measure: str) -> dict[str, tuple[float, float, float]]:
        """Give (value, low, high) of one measure by group. Raises UnknownName."""
        if measure not in self.measures:
            raise UnknownName("measure", measure, self.measures)
        k = self.measures.index(measure)
        return {
            g: (float(self.values[i, k]), float(self.low[i, k]), float(self.high[i, k]))
            for i, g in enumerate(self.groups)
        }

    def table(self) -> list[dict[str, Any]]:
        """List the groups as rows of plain values; None where there is none."""
        rows = []
        for i, group in enumerate(self.groups):
            measured = zip(self.measures, self.values[i], strict=True)
            plain = {m: float(v) if np.isfinite(v) else None for m, v in measured}
            rows.append({self.by: group, "rows": int(self.counts[i]), **plain})
        return rows

    def __len__(self) -> int:
        """Count the groups."""
        return len(self.groups)

    def __repr__(self) -> str:
        return f"<Fairness of {self.origin.model} by {self.by}: {len(self)} groups>"
