"""Arrays of a network that was wrapped without a spec."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from xaikit.arrays import Array as Values
from xaikit.errors import InputError
from xaikit.inputs._spec import InputSpec, finite, numeric


@dataclass(frozen=True)
class Raw(InputSpec):
    """Whatever array the network takes, with its own axes: the first is the sample, nothing is moved or checked.

    A one-dimensional array is one sample of features. It stands in where a network is wrapped without `inputs`
    and does not know its own input shape.
    """

    kind: ClassVar[str] = "Raw"

    @property
    def shape(self) -> tuple[int, ...]:
        raise InputError(
            "this model was wrapped without inputs=, so the shape of a sample is not known: "
            "name it, as in inputs=xk.Image(224, 224) or inputs=xk.Array((20,))"
        )

    @property
    def axes(self) -> tuple[str, ...]:
        return ()

    def samples(self, x: Any) -> list[Any]:
        if isinstance(x, list):
            return x
        array = numeric(x, "the array")
        if array.ndim == 0:
            raise InputError("the array is a single number; give a batch (sample, ...)")
        return [array] if array.ndim == 1 else list(array)

    def display(self, sample: Any) -> Values:
        return finite(numeric(sample, "the array"), "the array")

    def _encoded(self, shown: list[Any]) -> Values:
        shapes = list(dict.fromkeys(np.shape(sample) for sample in shown))
        if len(shapes) > 1:
            raise InputError(
                f"the samples have different shapes, {shapes[0]} and {shapes[1]}: give samples of one shape, or wrap "
                "the model with inputs=, as xk.Image(height, width), which fits them"
            )
        return super()._encoded(shown)

    def to_network(self, display: Any) -> Values:
        array = np.asarray(display)
        return array if array.dtype.kind in "iu" else array.astype(np.float32)

    def decode(self, encoded: Values) -> Values:
        return np.asarray(encoded)
