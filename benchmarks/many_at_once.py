"""Sixty-four digits explained in one call, against one by one."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from cases import Scale, case, explained
from networks import digits, mnist_cnn
from on_digits import CLASS
from page import Figure, Row

from xaikit.arrays import agreement

FASTER = {"saliency": 5, "grad-cam": 5, "integrated-gradients": 1.3}
"""How many times faster one call is to be."""


def together_and_apart(scale: Scale, framework: str) -> Iterator[Row]:
    model, x = mnist_cnn(framework), digits(scale.of(64, 8))
    for method, least in FASTER.items():
        together = partial(explained, model, x, method, target=CLASS)

        def apart(method: str = method) -> list[Any]:
            return [explained(model, one, method, target=CLASS) for one in x]

        found = scale.turns({"together": together, "apart": apart})
        off = agreement(together().values, np.concatenate([e.values for e in apart()])).max()
        faster = Figure("one by one takes", least, found.ratio("apart", "together").median, "×", at_least=True)
        each = found.median("together") * 1e3 / len(x)
        yield Row(
            f"{method}, {len(x)} pictures in one call",
            f"mnist_cnn, {framework}",
            figures=[faster],
            remark=f"{each:.2f} ms a picture; maps differ by {off:.0e} of their largest value",
        )


@case("many")
def many(scale: Scale) -> Iterator[Row]:
    yield from together_and_apart(scale, "torch")
