"""What recurrent layers and attention do along a sequence: gates, gradients, predictions so far, where it looked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import ParameterError, UnknownName, many
from xaikit.results._origin import Origin, Shown, Status

VANISHING, EXPLODING = 1e-3, 1e3
"""The ratio of a gradient's size at the first step to that at the last, below and above which it is called so."""
WAYS = ("forward", "backward")


@dataclass(frozen=True, eq=False)
class HiddenStates(Shown):
    """The gates and states of one recurrent layer at every step, with the names of the literature in both frameworks.

    `values` by name (sample, time, unit), NaN at padded steps. Of an LSTM "i" input, "f" forget, "g" candidate and "o"
    output gate, "c" cell and "h" state; of a GRU "z" update and "r" reset gate, "n" candidate, "h"; of a plain
    recurrent layer "h". Layers with two directions have "forward/i", "backward/i", ..., both at the step of the input
    that is read; layers stacked in one module "l0/i", "l1/i", ... `kind` is "lstm", "gru" or "rnn".

    `tokens` are those of each sample's steps ("" for a pad), None where steps are no tokens; `present` (sample, time)
    says which steps are no padding. `prediction` is the network's output. `deviation` is the largest difference between
    it and the output of the pass that went through the gates, over the largest output.
    """

    values: Mapping[str, Array]
    layer: str
    kind: str
    tokens: tuple[tuple[str, ...], ...] | None
    present: Array
    x: Any
    display: Any
    prediction: Any
    deviation: float
    input_spec: Any
    output_spec: Any
    status: Status
    origin: Origin

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.present)

    def __getitem__(self, gate: str) -> Array:
        """Give a gate or state by name: (sample, time, unit).

        "h" of a layer with two directions has the forward units first and then the backward ones, as the layer's own
        output has. Raises UnknownName.
        """
        if gate in self.values:
            return self.values[gate]
        both = [f"{way}/{gate}" for way in WAYS]
        if all(name in self.values for name in both):
            return np.concatenate([self.values[name] for name in both], axis=-1)
        raise UnknownName(f"gate of {self.layer}", gate, self.values)

    @property
    def gates(self) -> tuple[str, ...]:
        """The names of `values`."""
        return tuple(self.values)

    @property
    def steps(self) -> int:
        """How many steps there are, with padded ones."""
        return int(self.present.shape[1])

    @property
    def cell(self) -> str:
        """The name of what carries the memory from step to step: "c" of an LSTM, "h" otherwise."""
        return next((g for g in self.values if g.rpartition("/")[2] == "c"), list(self.values)[-1])

    def names(self, sample: int) -> tuple[str, ...]:
        """Give what each step of a sample is called: its token, or its number."""
        if self.tokens is None:
            return tuple(map(str, range(self.steps)))
        return self.tokens[sample]

    def unit(self, unit: int, sample: int = 0, gate: str | None = None, top: int = 3) -> "UnitText":
        """Give one unit along one sample, as colours for its steps, with the `top` predictions at each of them.

        `gate=None` takes the cell of an LSTM as tanh(c), or the state h; any other gate as it is. Predictions are those
        of networks that give classes at every step. Raises UnknownName, ParameterError. Source: Karpathy, Johnson and
        Fei-Fei, "Visualizing and Understanding Recurrent Networks" (2015), section 4.2.
        """
        name = self.cell if gate is None else gate
        values = self[name]
        if not 0 <= unit < values.shape[-1]:
            raise ParameterError(f"{name} of {self.layer} has the units 0 to {values.shape[-1] - 1}, not {unit!r}")
        if not -len(self) <= sample < len(self):
            raise ParameterError(f"there is no sample {sample}: they are 0 to {len(self) - 1}")
        row = values[sample, :, unit].astype(np.float64)
        squashed = name.rpartition("/")[2] == "c"
        return UnitText(
            values=np.tanh(row) if squashed else row,
            label=f"tanh({name})" if squashed else name,
            unit=unit,
            layer=self.layer,
            tokens=self.names(sample),
            present=self.present[sample],
            predicted=self._predicted(sample, top),
            origin=self.origin,
        )

    def _predicted(self, sample: int, top: int) -> tuple[tuple[tuple[str, float], ...], ...]:
        spec, output = self.output_spec, self.prediction
        if getattr(spec, "kind", "") != "Classes" or isinstance(output, Mapping):
            return ()
        if output.ndim != 3 or output.shape[1] != self.steps:
            return ()
        shares = spec.probabilities(output[sample])
        order = np.argsort(-shares, axis=-1, kind="stable")[:, :top]
        return tuple(
            tuple((spec.label(int(k)), float(p[k])) for k in row) for row, p in zip(order, shares, strict=True)
        )

    def __repr__(self) -> str:
        shape = next(iter(self.values.values())).shape
        return f"<HiddenStates of {self.layer} ({self.kind}): {', '.join(self.values)} {shape}: {self.status}>"


@dataclass(frozen=True, eq=False)
class UnitText(Shown):
    """One unit of a recurrent layer along one sequence: `values` (time,) with the `tokens` that were read.

    `present` (time,) is False at pads. `label` says what the numbers are. `predicted` has for each step the most
    probable answers with their probabilities, none where the network does not answer at every step.
    """

    values: Array
    label: str
    unit: int
    layer: str
    tokens: tuple[str, ...]
    present: Array
    predicted: tuple[tuple[tuple[str, float], ...], ...]
    origin: Origin

    def __repr__(self) -> str:
        return f"<UnitText of {self.label}[{self.unit}] in {self.layer}: {int(self.present.sum())} steps>"


@dataclass(frozen=True, eq=False)
class UnitScores(Shown):
    """How well each unit of a recurrent layer follows an annotation of the steps.

    `scores` (unit,) are areas under the ROC curve for a yes/no annotation ("auroc", 0.5 = not at all, below it the
    unit is low where the annotation holds), or Pearson's correlations ("correlation"). `p_values` (unit,) are shares of
    rotations of the annotation under which the best of all units does as well: they hold for the best of many.
    `annotation` (sample, time) is what they follow, NaN at pads.
    """

    scores: Array
    p_values: Array
    measure: str
    gate: str
    layer: str
    annotation: Array
    steps: int
    rotations: int
    origin: Origin

    @property
    def strength(self) -> Array:
        """How far each unit's score is from that of no connection, whatever the sign: (unit,)."""
        return np.asarray(np.abs(self.scores - (0.5 if self.measure == "auroc" else 0.0)))

    @property
    def order(self) -> Array:
        """The units' numbers, those that follow it best first."""
        return np.argsort(-np.nan_to_num(self.strength, nan=-1.0), kind="stable")

    def table(self, most: int | None = None) -> list[dict[str, Any]]:
        """Give the units with their scores and p-values, the best first."""
        return [
            {"unit": int(k), "score": float(self.scores[k]), "p": float(self.p_values[k])} for k in self.order[:most]
        ]

    def __repr__(self) -> str:
        k = int(self.order[0])
        best = f"unit {k} {self.measure} {self.scores[k]:.3g}, p {self.p_values[k]:.2g}"
        return f"<UnitScores of {self.gate} in {self.layer} over {self.steps} steps: {best}>"


@dataclass(frozen=True, eq=False)
class GradientFlow(Shown):
    """How large the gradient of a score is at every step of a recurrent layer, and whether it vanishes on its way.

    `states` by direction ("" the only one, "forward", "backward", "l0", ...) hold ‖∂L/∂h_t‖ (sample, time), `inputs`
    ‖∂L/∂x_t‖ (sample, time) at the network's input, or at its embedding; NaN at padded steps. L is the score that
    `target` (one label for each sample) names; `present` (sample, time) is False at pads.
    """

    states: Mapping[str, Array]
    inputs: Array | None
    layer: str
    tokens: tuple[tuple[str, ...], ...] | None
    present: Array
    target: tuple[str, ...]
    origin: Origin

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.present)

    def curve(self, way: str | None = None) -> Array:
        """Give the mean size over the batch by how many steps a state is away from the last one read: (lag,).

        Lag 0 is the last step that is no padding and that the score hangs on: of an answer at an early step, that step
        (for the backward direction the first such). `way=None` is the first direction; only lags that at least half of
        the samples have are given.
        """
        way = self._way(way)
        return self._by_lag(self.states[way], way.rpartition("/")[2] == "backward")

    @property
    def input_curve(self) -> Array:
        """The mean length of the gradient at the input by how many steps it is before the last: (lag,).

        Raises ParameterError where the input does not have the steps of the layer.
        """
        if self.inputs is None:
            raise ParameterError(f"the input of {self.origin.model} does not have the steps of {self.layer}")
        return self._by_lag(self.inputs, False)

    def _by_lag(self, sizes: Array, backward: bool) -> Array:
        lags = [row[there] for row, there in zip(sizes, self.present, strict=True)]
        lags = [_from_first_felt(row if backward else row[::-1]) for row in lags]
        longest = int(np.median([len(row) for row in lags]))
        return np.array([np.mean([row[k] for row in lags if len(row) > k]) for k in range(max(longest, 1))])

    def slope(self, way: str | None = None) -> float:
        """Give the slope of log ‖∂L/∂h_t‖ per step forwards, by least squares; log|a| of a linear network."""
        curve = self.curve(way)
        there = np.isfinite(curve) & (curve > 0)
        if there.sum() < 2:
            return float("nan")
        return float(-np.polyfit(np.flatnonzero(there), np.log(curve[there]), 1)[0])

    def ratio(self, way: str | None = None) -> float:
        """Give the gradient's size at the first step over that at the last."""
        curve = self.curve(way)
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(curve[-1] / curve[0])

    def verdict(self, way: str | None = None) -> str:
        """Say in a word what happens: "vanishing", "exploding" or "healthy"; "none" where no gradient arrives at all.

        Vanishing is a ratio under 1e-3, exploding one over 1e3 or a gradient that is not finite.
        """
        curve = self.curve(way)
        if not np.isfinite(curve).all():
            return "exploding"
        if not curve.any():
            return "none"
        ratio = self.ratio(way)
        return "vanishing" if ratio < VANISHING else "exploding" if ratio > EXPLODING else "healthy"

    @property
    def status(self) -> Status:
        """The verdict on all directions, with the reasons in words."""
        said = {way: self.verdict(way) for way in self.states}
        bad = [self.words(way) for way, verdict in said.items() if verdict != "healthy"]
        return Status("warn", tuple(bad)) if bad else Status("ok")

    def words(self, way: str | None = None) -> str:
        """Tell a direction's verdict in a sentence."""
        way = self._way(way)
        of = f"{way}: " if way else ""
        verdict, steps = self.verdict(way), len(self.curve(way))
        if verdict == "none":
            return f"{of}no gradient reaches the layer"
        growth = float(np.exp(self.slope(way)))
        return (
            f"{of}{verdict}: over {steps} steps the gradient at the first is {self.ratio(way):.2g} times that at the "
            f"last, a factor of {growth:.3g} per step towards it"
        )

    def _way(self, way: str | None) -> str:
        if way is None:
            return next(iter(self.states))
        if way not in self.states:
            raise UnknownName(f"direction of {self.layer}", way, self.states)
        return way

    def __repr__(self) -> str:
        said = "; ".join(map(self.words, self.states))
        return f"<GradientFlow of {self.layer} over {many(len(self), 'sample')}: {said}>"


def _from_first_felt(sizes: Array) -> Array:
    """Leave out the steps at the start that the score does not hang on; none where it hangs on no step."""
    felt = np.flatnonzero(sizes)
    return sizes[felt[0] :] if len(felt) else sizes


@dataclass(frozen=True, eq=False)
class Prefixes(Shown):
    """What a network predicts when it has read only the beginning of a sequence.

    `scores` (sample, prefix) are those of `target`, `lengths` (sample, prefix) how many steps have been read; both end
    in NaN and 0 where a sample is shorter than others. `how` says in words how the rest was taken away.
    """

    scores: Array
    lengths: Array
    tokens: tuple[tuple[str, ...], ...] | None
    target: tuple[str, ...]
    how: str
    x: Any
    display: Any
    input_spec: Any
    output_spec: Any
    origin: Origin

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.scores)

    def settled(self, sample: int = 0, within: float = 0.1) -> int:
        """Give after how many steps a sample's score stays `within` of its last one, in parts of the score's range."""
        scores = self.scores[sample][np.isfinite(self.scores[sample])]
        lengths = self.lengths[sample][: len(scores)]
        away = np.abs(scores - scores[-1]) > within * max(float(np.ptp(scores)), 1e-12)
        return int(lengths[np.flatnonzero(away)[-1] + 1]) if away.any() else int(lengths[0])

    def __repr__(self) -> str:
        return f"<Prefixes of {self.origin.model}: {many(len(self), 'sample')}, up to {int(self.lengths.max())} steps>"


@dataclass(frozen=True, eq=False)
class AttentionMap(Shown):
    """Where attention looked, which is not why it answered: `weights` (sample, *head, target, source).

    Every row is a distribution over the source steps; those that are masked (padding, steps to come) are NaN and the
    others sum to one. There is a head axis where the layer has heads. `source` and `target` name the steps of each
    sample, "" for a pad.
    """

    weights: Array
    axes: tuple[str, ...]
    layer: str
    source: tuple[tuple[str, ...], ...]
    target: tuple[tuple[str, ...], ...]
    x: Any
    display: Any
    input_spec: Any
    output_spec: Any
    status: Status
    origin: Origin

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.weights)

    @property
    def heads(self) -> int:
        """How many heads there are; 1 for a layer without."""
        return int(self.weights.shape[1]) if "head" in self.axes else 1

    @property
    def entropy(self) -> Array:
        """How spread each row is, in bits: (sample, *head, target); 0 looks at one step, log2 of n at n alike."""
        with np.errstate(divide="ignore", invalid="ignore"):
            parts = np.where(self.weights > 0, -self.weights * np.log2(self.weights), 0.0)
        found = np.asarray(parts.sum(-1), np.float64)
        return np.where(np.isnan(self.weights).all(-1), np.nan, found)

    def head(self, head: int | None = None) -> Array:
        """Give one head's weights, or their mean over the heads: (sample, target, source). Raises ParameterError."""
        if "head" not in self.axes:
            if head not in (None, 0):
                raise ParameterError(f"attention {self.layer!r} has no heads")
            return self.weights
        if head is None:
            return np.asarray(self.weights.mean(1))
        if not 0 <= head < self.heads:
            raise ParameterError(f"attention {self.layer!r} has the heads 0 to {self.heads - 1}, not {head!r}")
        return np.asarray(self.weights[:, head])

    def peak(self, sample: int = 0, head: int | None = None) -> Array:
        """Give the source step that each target step looked at most: (target,), -1 for a masked row."""
        rows = self.head(head)[sample]
        return np.where(np.isnan(rows).all(-1), -1, np.nan_to_num(rows, nan=-1.0).argmax(-1))

    def __repr__(self) -> str:
        return f"<AttentionMap of {self.layer} {self.weights.shape}: {self.status}>"
