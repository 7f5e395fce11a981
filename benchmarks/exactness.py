"""How far KernelSHAP is from the exact Shapley values, beside shap at equal model calls."""

from collections.abc import Iterator

import numpy as np
from cases import Scale, case
from networks import digits, mnist_cnn
from page import Figure, Row
from shapley_error import SHARES, best_of_shap, errors


@case("exactness")
def exactness(scale: Scale) -> Iterator[Row]:
    images, seeds = digits(2 if scale.quick else 20), 1 if scale.quick else 3
    off, counts = errors(mnist_cnn(), images, seeds, 12 if scale.quick else 14)
    median = {key: float(np.median(e)) for key, e in off.items()}
    for share in SHARES:
        own, theirs = median[share, "kernel-shap"], best_of_shap(median, share)
        yield Row(
            f"error of KernelSHAP with {share} calls for a part",
            "mnist_cnn, torch",
            figures=[Figure("of shap's error", 0.7, own / theirs)],
            remark=f"median RMSE {own:.5f}, shap's {theirs:.5f} with the better of two settings; {len(counts)} "
            f"pictures of {min(counts)} to {max(counts)} parts, {seeds} seeds; wanted: 0.5",
        )
