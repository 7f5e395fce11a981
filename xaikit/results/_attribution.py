"""What explains one output of a model: attributions, and the prediction that they explain."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors
from xaikit.errors import NotSupported, UnknownName, many
from xaikit.inputs import Classes, top
from xaikit.results._judging import judge
from xaikit.results._origin import Origin, Shown, Status, alone


@dataclass(frozen=True, eq=False)
class Attribution(Shown):
    """What every part of an input contributed to one score, for each sample.

    `values` (sample, *space) with `axes` names is what is drawn; raw and signed. Methods over parts (superpixels,
    columns) also give `part_values` (sample, part), NaN where a sample has fewer parts, and `parts`
    (sample, *space), the integer label of each place: completeness refers to `part_values`. `x` is the encoded
    input (sample, ...), `display` what a person sees, `prediction` the network's raw output (sample, ...),
    `target` the explained entry of each sample (an index, or xk.Margin, xk.At, ...), `quality` numbers per sample.
    `offsets` (sample, token, 2) of a Text is where each token starts and ends in the string of `display`, -1 for pads.
    """

    values: Array
    axes: tuple[str, ...]
    parts: Array | None
    part_values: Array | None
    x: Array
    display: Any
    input_spec: Any
    output_spec: Any
    prediction: Any
    target: tuple[Any, ...]
    quality: Mapping[str, Array]
    status: Status
    origin: Origin
    target_labels: tuple[str, ...] = ()
    layer: str | None = None
    offsets: Array | None = None

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.values)

    def __getitem__(self, i: int) -> "Attribution":
        """Give sample `i` alone, still with a leading sample axis of one."""
        s = alone(i, len(self))
        return replace(
            self,
            values=self.values[s],
            parts=None if self.parts is None else self.parts[s],
            part_values=None if self.part_values is None else self.part_values[s],
            x=self.x[s],
            display=self.display[s],
            prediction=_cut(self.prediction, s),
            target=self.target[s],
            quality={k: v[s] for k, v in self.quality.items()},
            status=judge({k: v[s] for k, v in self.quality.items()}, self.values[s]),
            origin=replace(self.origin, input_hash=self.origin.input_hash[s]),
            target_labels=self.target_labels[s],
            offsets=None if self.offsets is None else self.offsets[s],
        )

    def __iter__(self) -> Iterator["Attribution"]:
        """Give the samples one by one."""
        return (self[i] for i in range(len(self)))

    def by(self, *axes: str, sizes: bool = False) -> "Attribution":
        """Give the attribution by some of its axes, such as by("time"), by("channel") or by("band"), in their order.

        Values are summed over the other axes, or their sizes with `sizes` (then nothing cancels, and nothing has a
        sign). Of values that are painted on parts each place has an equal share of its part, so that sums stay those of
        the parts. Raises UnknownName for an axis that it has not.
        """
        own = self.axes[1:]
        for axis in axes:
            if axis not in own:
                raise UnknownName("axis", axis, own)
        values = np.asarray(self.values, np.float64)
        if self.parts is not None and self.part_values is not None and self.parts.shape == values.shape:
            values = np.stack([v / _places(labels) for v, labels in zip(values, self.parts, strict=True)])
        others = tuple(i + 1 for i, axis in enumerate(own) if axis not in axes)
        found = (np.abs(values) if sizes else values).sum(others)
        notes = {**self.origin.notes, "summed over": [own[i - 1] for i in others], "sizes": sizes}
        return replace(
            self,
            values=found,
            axes=("sample", *(axis for axis in own if axis in axes)),
            parts=None,
            part_values=None,
            origin=replace(self.origin, notes=notes),
        )

    def __repr__(self) -> str:
        what = ", ".join(self.target_labels[:3]) + (", ..." if len(self.target_labels) > 3 else "")
        shape = dict(zip(self.axes, self.values.shape, strict=True))
        return f"<Attribution {self.origin.method} of {what} {shape}: {self.status}>"


class Attributions(Shown, Mapping[str, Attribution]):
    """One Attribution per input of a network with several inputs."""

    def __init__(self, each: Mapping[str, Attribution]) -> None:
        self._each = dict(each)

    def __getitem__(self, name: str) -> Attribution:
        if name not in self._each:
            raise UnknownName("input", name, self._each)
        return self._each[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._each)

    def __len__(self) -> int:
        return len(self._each)

    def __repr__(self) -> str:
        return f"<Attributions of {', '.join(self._each)}>"


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a network says of samples: its raw `output` (sample, ...), by name where there are several.

    `x` is the encoded input (sample, ...), `display` what a person sees. For an autoencoder `output` is the
    reconstruction of `x`.
    """

    output: Tensors
    x: Tensors
    display: Any
    input_spec: Any
    output_spec: Any
    origin: Origin

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.origin.input_hash)

    def top(self, k: int = 5) -> list[list[tuple[str, float]]]:
        """List the `k` most probable (name, probability) of each sample.

        Raises NotSupported where there are no classes.
        """
        if not isinstance(self.output_spec, Classes) or isinstance(self.output, Mapping):
            raise NotSupported(f"{self.origin.model} gives no single set of class scores: there is no best class")
        return top(self.output_spec, self.output, k)

    def __repr__(self) -> str:
        return f"<Prediction of {self.origin.model} for {many(len(self), 'sample')}>"


def by_column(result: Attribution, i: int) -> Array:
    """Give what each column of a table contributes to sample `i`: dummies of one column are added up."""
    if result.part_values is not None:
        return np.asarray(result.part_values[i], np.float64)
    values, spec = np.asarray(result.values[i], np.float64), result.input_spec
    if result.axes[1:] == ("column",):
        return values
    return np.array([values[spec.parts == c].sum() for c in range(len(spec.names))])


def _places(labels: Array) -> Array:
    """Give for every place how many places its part has; 1 where there is no part."""
    sizes = np.bincount(labels[labels >= 0], minlength=1)
    return np.where(labels >= 0, sizes[labels], 1)


def _cut(prediction: Any, s: slice) -> Any:
    return {k: v[s] for k, v in prediction.items()} if isinstance(prediction, Mapping) else prediction[s]
