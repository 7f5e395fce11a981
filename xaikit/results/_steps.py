"""What an operation does to an array, place by place."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import ParameterError
from xaikit.results._origin import Shown


@dataclass(frozen=True, eq=False)
class Step:
    """How one number of the output comes about.

    `place` (with the channel last) is where it stands, `number` counts the places row by row. `box` (axis, 2) has the
    first and last place of the input that is read on each axis of space, beyond the border where padding is. `window`
    holds what is read, `there` (of the shape of the window without its channel) which of it are real places,
    `weights` what it is multiplied by, `products` both multiplied; each None where the operation has none. `facts` are
    other numbers that it took, such as a mean. `value` is what comes out.
    """

    number: int
    place: tuple[int, ...]
    box: Array
    window: Array
    there: Array
    weights: Array | None
    products: Array | None
    facts: Mapping[str, float]
    value: float


@dataclass(frozen=True, eq=False)
class Steps(Shown):
    """An operation on an array, with all that is needed to follow it to every number of its `output`.

    `x` (*axes), the channel last, becomes `output` by `operation` with all its `parameters`. `steps[i]` and
    `steps.step(row, column, channel)` tell how one number comes about, `steps.at(row, column)` is the same result with
    another place `shown`; iterating goes through all places.

    `rule` says what is done with a window: "sum" or "mean" of its products, "correlation" with the weights, "average",
    "max", "min", "norm" of its values, "copy" of one value; "normalise" and "softmax" read all values of one `group`,
    "function" reads a single value. `kernel` (filter, *size, in) and `bias` (filter,) are what windows are multiplied
    by, in `groups` of input channels. By axis of space, `taps` (place, tap) are the places of the input that a place
    of the output reads, -1 where there is only `fill`; `spans` (place, 2) the first and last of them, beyond the
    border where padding is; `shares` (place, tap) how much each counts. `parts` are other arrays by name: "derivative"
    of a function and its "curve" (x, y and slope; point), "switches" of a maximum (the flat place that was taken),
    "source", "group", "mean", "std".
    `display` is the picture that was given (height, width, 3) uint8, or None.
    """

    operation: str
    parameters: Mapping[str, Any]
    x: Array
    output: Array
    axes: tuple[str, ...]
    rule: str
    shown: tuple[int, ...]
    kernel: Array | None = None
    bias: Array | None = None
    groups: int = 1
    taps: tuple[Array, ...] = ()
    spans: tuple[Array, ...] = ()
    shares: tuple[Array, ...] = ()
    fill: float = 0.0
    parts: Mapping[str, Array] | None = None
    display: Array | None = None

    def __len__(self) -> int:
        """Count the numbers of the output."""
        return int(self.output.size)

    def __getitem__(self, i: int) -> Step:
        """Give the step to the number `i` of the output, counted row by row, the channel last. Raises IndexError."""
        if not -len(self) <= i < len(self):
            raise IndexError(f"{self.operation} has {len(self)} steps: {i} is not among them")
        return self.step(*(int(k) for k in np.unravel_index(i % len(self), self.output.shape)))

    def __iter__(self) -> Iterator[Step]:
        """Go through the steps, row by row, the channel last."""
        return (self[i] for i in range(len(self)))

    def at(self, *place: int) -> "Steps":
        """Give the same result with another place shown; the channel is the first one if left out.

        Raises ParameterError for a place that the output has not.
        """
        return replace(self, shown=self._place(place))

    def step(self, *place: int) -> Step:
        """Tell how the number at a place of the output comes about; the channel is the first one if left out.

        Raises ParameterError for a place that the output has not.
        """
        place = self._place(place)
        if self.taps:
            return self._of_window(place)
        return self._of_group(place) if "group" in self._parts else self._of_value(place)

    def _place(self, place: tuple[int, ...]) -> tuple[int, ...]:
        shape = self.output.shape
        whole = (*place, 0) if len(place) == len(shape) - 1 else place
        if len(whole) != len(shape) or not all(-n <= p < n for p, n in zip(whole, shape, strict=False)):
            raise ParameterError(
                f"{self.operation} gives {shape} ({', '.join(self.axes)}): it has no place {', '.join(map(str, place))}"
            )
        return tuple(int(p) % n for p, n in zip(whole, shape, strict=True))

    @property
    def _parts(self) -> Mapping[str, Array]:
        return self.parts or {}

    def _made(self, place: tuple[int, ...], **known: Any) -> Step:
        number = int(np.ravel_multi_index(place, self.output.shape))
        return Step(number=number, place=place, **known)

    def _of_window(self, place: tuple[int, ...]) -> Step:
        """Read a window and reduce it by the rule."""
        reads = [t[p] for t, p in zip(self.taps, place, strict=False)]
        there = np.logical_and.reduce(np.meshgrid(*(r >= 0 for r in reads), indexing="ij"))
        window = np.where(there[..., None], self.x[np.ix_(*(r.clip(0) for r in reads))], self.fill)
        window = window[..., self.channels(place[-1])]
        weights = self._weights(place, there)
        bias = 0.0 if self.bias is None else float(self.bias[place[-1]])
        facts = {"bias": bias} if bias else {}
        products = None if weights is None else weights * window
        return self._made(
            place,
            box=np.array([s[p] for s, p in zip(self.spans, place, strict=False)]),
            window=window,
            there=there,
            weights=weights,
            products=products,
            facts=facts,
            value=_reduced(self.rule, window, there, weights, products, self.parameters) + bias,
        )

    def channels(self, channel: int) -> Array:
        """Give the numbers of the input channels that a channel of the output reads: (in,)."""
        if self.kernel is None:
            return np.array([channel])
        width = self.kernel.shape[-1]
        return channel * self.groups // len(self.kernel) * width + np.arange(width)

    def _weights(self, place: tuple[int, ...], there: Array) -> Array | None:
        if self.kernel is not None:
            return self.kernel[place[-1]]
        if self.shares:
            each = [s[p] for s, p in zip(self.shares, place, strict=False)]
            return np.prod(np.meshgrid(*each, indexing="ij"), axis=0)[..., None]
        if self.rule == "average":
            counted = np.ones_like(there) if self.parameters.get("count_padding") else there
            return np.asarray((counted / max(counted.sum(), 1))[..., None])
        return None

    def _of_group(self, place: tuple[int, ...]) -> Step:
        """Read the values that are normalised together."""
        group = self._parts["group"]
        mine = group == group[place]
        number = int(group[place])
        facts = {n: float(self._parts[n][number]) for n in ("mean", "std", "total") if n in self._parts}
        facts |= {n: float(self._parts[n][place[-1]]) for n in ("scale", "shift") if n in self._parts}
        found = np.argwhere(mine)
        return self._made(
            place,
            box=np.stack([found.min(0), found.max(0)], 1),
            window=self.x[mine],
            there=np.ones(int(mine.sum()), bool),
            weights=None,
            products=None,
            facts={"x": float(self.x[place]), **facts},
            value=_normalised(self.rule, float(self.x[place]), facts),
        )

    def _of_value(self, place: tuple[int, ...]) -> Step:
        """Read one value, at the same place or where "source" says; nothing where that is -1."""
        flat = self._parts["source"][place] if "source" in self._parts else np.ravel_multi_index(place, self.x.shape)
        there, at = np.array([flat >= 0]), np.unravel_index(max(int(flat), 0), self.x.shape)
        facts = {"derivative": float(self._parts["derivative"][place])} if "derivative" in self._parts else {}
        where = np.array(at)[:, None] + [[0, 0]] if flat >= 0 else np.array([[0, -1]] * self.x.ndim)
        return self._made(
            place,
            box=where,
            window=np.array([self.x[at] if flat >= 0 else self.fill]),
            there=there,
            weights=None,
            products=None,
            facts=facts,
            value=float(self.output[place]),
        )

    def __repr__(self) -> str:
        shapes = " → ".join(" × ".join(map(str, a.shape)) for a in (self.x, self.output))
        return f"<Steps of {self.operation}: {shapes}>"


def _reduced(
    rule: str, window: Array, there: Array, weights: Array | None, products: Array | None, parameters: Mapping[str, Any]
) -> float:
    """Make one number of a window: its products summed, or its values compared."""
    if products is not None and rule in ("sum", "average", "mean"):
        return float(products.sum() / (products.size if rule == "mean" else 1))
    if rule == "correlation" and weights is not None:
        return _correlation(window, weights)
    real = window[there]
    if not real.size:
        return float(window.flat[0])
    if rule == "norm":
        p = float(parameters["p"])
        return float((np.abs(real) ** p).sum() ** (1 / p))
    return float(real.min() if rule == "min" else real.max())


def _correlation(window: Array, weights: Array) -> float:
    a, b = window - window.mean(), weights - weights.mean()
    scale = np.linalg.norm(a) * np.linalg.norm(b)
    flat = np.abs(a).max() <= FLAT * np.abs(window).max()
    return 0.0 if flat or scale == 0 else float((a * b).sum() / scale)


FLAT = 1e-12
"""A window whose values differ by less than this share of the largest is flat: it correlates with nothing."""


def _normalised(rule: str, x: float, facts: Mapping[str, float]) -> float:
    if rule == "softmax":
        return float(np.exp(x - facts["mean"]) / facts["total"])
    return (x - facts["mean"]) / facts["std"] * facts.get("scale", 1.0) + facts.get("shift", 0.0)
