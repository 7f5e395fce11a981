"""What makes a part of a network react most: pictures made by gradient ascent, with how far to trust them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import UnknownName
from xaikit.results._origin import Origin, Shown, Status


@dataclass(frozen=True, eq=False)
class Maximization(Shown):
    """Inputs that make something in a network large (or small), one row for each.

    `image` (row, *input) in display units, `axes` naming those of the input; `names` (row,) what is made large, with
    `signs` -1 where the least is sought, and `numbers` the channels of `layer` or the classes (None where there is no
    such number). `place` is the unit's place in the layer, None = the mean over all places. `trace` (row, step) is the
    objective (times its sign) of what the network was shown, NaN after a row's end. `sensitivity` (row, *places) is how
    strongly the ascent pulled at every place: the transparency of MaCo. `limits` (channel, 2) are the ends of the range
    in display units, `background` (channel,) what the ascent started from.

    `quality` (row,) by name: "activation" of the picture as it is, "best" that of the best of the samples given (where
    there were any) and the "activation_ratio" of the two, NaN where the best is not positive, with the "percentile"
    among the samples; "robustness", the mean over held-out random changes in place over the activation; "silent", 1
    where the gradient was zero at every step, and "redirected", 1 where it was at first and went through closed ReLUs;
    "data_rate", the share of samples in which the channel is above zero. For classes "top1" and
    "probability" of the network itself, and with judges "transfer_top1" and "transfer_probability" (row, judge). On
    request "reproducibility": the mean cosine of the pictures of several seeds. `verdicts` (row,) judge each.

    Photographs of what excites a unit help people to predict it better than such pictures do, 92 ± 2 % against
    82 ± 4 % (Borowski et al. 2020, "Exemplary Natural Images Explain CNN Activations Better than State-of-the-Art
    Feature Visualization"): look at xk.top_patches beside them.
    """

    image: Array
    axes: tuple[str, ...]
    names: tuple[str, ...]
    numbers: tuple[int | None, ...]
    signs: Array
    layer: str | None
    place: tuple[int, ...] | None
    targets: tuple[Any, ...] | None
    trace: Array
    sensitivity: Array
    limits: Array
    background: Array
    quality: Mapping[str, Array]
    verdicts: tuple[Status, ...]
    judges: tuple[str, ...]
    input: str | None
    input_spec: Any
    origin: Origin

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.image)

    def __getitem__(self, index: Any) -> "Maximization":
        """Give some rows: a number, a slice, a list of numbers or of truths. Raises IndexError."""
        rows = np.atleast_1d(np.arange(len(self))[index])
        return replace(
            self,
            image=self.image[rows],
            names=tuple(self.names[i] for i in rows),
            numbers=tuple(self.numbers[i] for i in rows),
            signs=self.signs[rows],
            targets=None if self.targets is None else tuple(self.targets[i] for i in rows),
            trace=self.trace[rows],
            sensitivity=self.sensitivity[rows],
            quality={n: a[rows] for n, a in self.quality.items()},
            verdicts=tuple(self.verdicts[i] for i in rows),
        )

    def of(self, number: int, sign: int = 1) -> "Maximization":
        """Give the rows of one channel or class. Raises UnknownName."""
        rows = [i for i, n in enumerate(self.numbers) if n == number and self.signs[i] == sign]
        if not rows:
            raise UnknownName("channel", number, dict.fromkeys(n for n in self.numbers if n is not None))
        return self[rows]

    @property
    def status(self) -> Status:
        """The worst of the verdicts, with the reasons of all and whose they are; what all share is said once."""
        level = max(self.verdicts, key=("ok", "warn", "fail").index)
        every = [set(v.reasons) for v in self.verdicts]
        shared = [r for r in self.verdicts[0].reasons if all(r in e for e in every)]
        own = [
            f"{name}: {reason}"
            for name, verdict in zip(self.names, self.verdicts, strict=True)
            for reason in verdict.reasons
            if reason not in shared
        ]
        return Status(str(level), (*own, *shared))

    def __repr__(self) -> str:
        what = ", ".join(self.names[:4]) + ", ..." * (len(self) > 4)
        return f"<Maximization of {what} in {self.origin.model}: {tuple(self.image.shape[1:])}, {self.status!s}>"
