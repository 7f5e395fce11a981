"""Whether signals and gradients come through a network: dead and saturated units, histograms, gradient norms."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import UnknownName, many
from xaikit.results._numbers import Histogram
from xaikit.results._origin import Origin, Shown, Status


@dataclass(frozen=True, eq=False)
class LayerState:
    """What one layer did over a data set.

    `statistics` (channel,) by name are those of `Activations.statistics` without the twins. `function` names the
    activation function that the layer is or ends in; `dead` is the share of its channels or units that never exceed
    zero, for functions that give zero for all negative numbers, else NaN; `zeros` the share of values that are zero,
    `saturated` of those on the flat ends of the function, NaN where it has none. `activations`, `before` (what enters
    the function), `weights` and `gradients` are histograms, None where there are none. `gradient` is the norm of the
    loss' gradient at the layer's output: the root of the mean over samples of its squared length, NaN if not measured;
    `values` is how many values the layer gives for a sample.
    """

    layer: str
    kind: str
    function: str | None
    statistics: Mapping[str, Array]
    dead: float
    zeros: float
    saturated: float
    activations: Histogram
    before: Histogram | None
    weights: Histogram | None
    gradients: Histogram | None
    gradient: float
    values: float

    @property
    def gradient_per_value(self) -> float:
        """The gradient's root mean square over samples and values."""
        return float(self.gradient / np.sqrt(self.values)) if self.values else float("nan")

    def __len__(self) -> int:
        """Count the channels or units."""
        return len(self.statistics["mean"])


@dataclass(frozen=True, eq=False)
class LayerHealth(Shown):
    """What every layer did over a data set, in call order, and whether the gradient comes through.

    `layers` by name; `loss` says in words whose gradient was taken, "" if none was. `flow` is "steady", "vanishing",
    "exploding", "blocked" (none arrives), or "unknown"; `ratio` is the gradient's norm at the first layer with
    weights over that at the last, which `ends` names. `seen` counts the samples.
    """

    layers: Mapping[str, LayerState]
    loss: str
    flow: str
    ratio: float
    ends: tuple[str, ...]
    seen: int
    status: Status
    origin: Origin

    def __len__(self) -> int:
        """Count the layers."""
        return len(self.layers)

    def __getitem__(self, layer: str) -> LayerState:
        """Give one layer. Raises UnknownName."""
        if layer not in self.layers:
            raise UnknownName("measured layer", layer, self.layers)
        return self.layers[layer]

    def __iter__(self) -> Iterator[str]:
        """Give the names of the layers in call order."""
        return iter(self.layers)

    def table(self) -> list[dict[str, Any]]:
        """List the layers as rows of plain values: shares, means, and gradient norms; None where there is none."""
        return [
            {
                "layer": s.layer,
                "kind": s.kind,
                "function": s.function,
                "units": len(s),
                "mean": _mean(s.statistics["mean"]),
                "std": _spread(s),
                "zeros": _plain(s.zeros),
                "dead": _plain(s.dead),
                "saturated": _plain(s.saturated),
                "gradient": _plain(s.gradient),
                "gradient_per_value": _plain(s.gradient_per_value),
            }
            for s in self.layers.values()
        ]

    @property
    def text(self) -> str:
        """The result in words: the verdict on the gradient, a line per layer, and the reasons of the status."""
        rows = [("layer", "function", "units", "mean", "std", "zeros", "dead", "saturated", "gradient")]
        rows += [
            (
                row["layer"],
                row["function"] or "",
                str(row["units"]),
                *(_said(row[n], "{:.3g}") for n in ("mean", "std")),
                *(_said(row[n], "{:.0%}") for n in ("zeros", "dead", "saturated")),
                _said(row["gradient"], "{:.2g}"),
            )
            for row in self.table()
        ]
        widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        lines = ["  ".join(w.ljust(n) for w, n in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join(
            [
                f"{self.origin.model}: {many(self.seen, 'sample')}, {many(len(self), 'layer')}, status {self.status}",
                *(self.status.reasons or ("nothing is wrong with what was measured",)),
                *([self.verdict] if self.flow in ("steady", "unknown") else []),
                "",
                *lines,
            ]
        )

    @property
    def verdict(self) -> str:
        """The verdict on the gradient in one sentence."""
        if self.flow == "unknown":
            return "the gradient was not judged" + (": fewer than two layers have one" if self.loss else "")
        first, last = self.ends
        if self.flow == "blocked":
            return f"the gradient is blocked: it is {self[last].gradient:.2g} at {last!r}, and zero at {first!r}"
        return f"the gradient is {self.flow}: at {first!r} it is {self.ratio:.2g} times as long as at {last!r}"

    def __repr__(self) -> str:
        counts = f"{many(len(self), 'layer')}, {many(self.seen, 'sample')}"
        return f"<LayerHealth of {self.origin.model}: {counts}, gradient {self.flow}>"


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _mean(values: Array) -> float | None:
    return _plain(float(np.mean(values))) if len(values) else None


def _spread(state: LayerState) -> float | None:
    """Give the standard deviation of all of a layer's values, channels taken together."""
    mean, std = state.statistics["mean"], state.statistics["std"]
    return _plain(float(np.sqrt(np.mean(std**2) + np.var(mean)))) if len(mean) else None


def _said(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)
