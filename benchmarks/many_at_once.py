"""Sixty-four digits explained in one call, against one by one."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import bare
import numpy as np
from cases import Scale, case, explained
from networks import digits, mnist_cnn
from on_digits import CLASS
from page import Figure, Row

from xaikit.arrays import agreement

FASTER = {"saliency": 5, "grad-cam": 5, "integrated-gradients": 1.3}
"""How many times faster one call is to be."""
ALONE, LARGE = {"saliency": 1, "integrated-gradients": 50}, (64, 128, 256, 512)
"""The rows that one picture has by method, and those that many pictures can fill."""
OVERHEAD = 1.10
"""What integrated gradients of one picture may take over its bare calls."""


def room(scale: Scale, model: Any, x: Any, framework: str, method: str) -> str:
    """Say how much many pictures can gain by their gradients: what a row takes in one picture's batch, over the best.

    What is faster beyond that is what one picture alone takes around its gradients, which is to be little.
    """
    alone = ALONE[method]
    make = bare.gradient if framework == "torch" else bare.keras_gradient
    call, encoded = make(model.net, CLASS), np.tile(model.inputs.encode(x), (-(-max(LARGE) // len(x)), 1, 1, 1))
    points = bare.pictures(encoded) if framework == "torch" else encoded

    def row_by_row(size: int) -> None:  # as many rows for all sizes, but for the last batch
        for _ in range(max(LARGE) // size):
            call(points[:size])

    took = scale.turns({str(n): partial(row_by_row, n) for n in (alone, *LARGE)}).seconds
    each = {n: min(took[str(n)]) / (max(LARGE) // n * n) for n in (alone, *LARGE)}
    gain = each[alone] / min(each[n] for n in LARGE)
    most = f": with {OVERHEAD} over them one by one, {OVERHEAD * gain:.2f}× is the most" if alone > 1 else ""
    return f"bare gradients gain {gain:.2f}×{most}"


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
        most = f"; {room(scale, model, x, framework, method)}" if method in ALONE else ""
        yield Row(
            f"{method}, {len(x)} pictures in one call",
            f"mnist_cnn, {framework}",
            figures=[faster],
            remark=f"{each:.2f} ms a picture; maps differ by {off:.0e} of their largest value{most}",
        )


@case("many")
def many(scale: Scale) -> Iterator[Row]:
    yield from together_and_apart(scale, "torch")
