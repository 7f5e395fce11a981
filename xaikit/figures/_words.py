"""What figures say: numbers, units, verdicts and reading instructions in words."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.figures._data import Badge
from xaikit.inputs import At, Classes, top
from xaikit.results import Attribution, ScalpMap

NAMES = {
    "lime": "LIME",
    "kernel-shap": "Kernel SHAP",
    "partition-shap": "Partition SHAP",
    "permutation-shap": "Permutation SHAP",
    "exact-shapley": "Exact Shapley values",
    "gradient-shap": "Gradient SHAP",
    "deep-shap": "Deep SHAP",
    "gradient-x-input": "Gradient × input",
    "smooth-grad": "SmoothGrad",
    "grad-cam": "Grad-CAM",
    "grad-cam-plus-plus": "Grad-CAM++",
    "layer-cam": "Layer-CAM",
    "score-cam": "Score-CAM",
    "rise": "RISE",
    "deconvnet": "DeconvNet",
    "guided-grad-cam": "Guided Grad-CAM",
    "deep-lift": "DeepLIFT",
    "lrp": "LRP",
    "torch": "PyTorch",
}
"""Names that differ from their identifiers in more than the first letter and hyphens."""

GRADIENTS = ("saliency", "smooth-grad", "guided-backprop", "deconvnet")
ACTIVATIONS = ("grad-cam", "grad-cam-plus-plus", "layer-cam", "score-cam")


def spoken(name: str) -> str:
    """Give the name of a method or framework as people write it: "Grad-CAM" for "grad-cam"."""
    if name in NAMES:
        return NAMES[name]
    if name.endswith("-cam"):  # a class activation map that another package has brought
        return f"{spoken(name.removesuffix('-cam'))}-CAM"
    return (name[:1].upper() + name[1:]).replace("-", " ")


def unit(result: Attribution | ScalpMap) -> str:
    """Say what one number of the result is."""
    if result.origin.method == "attention-rollout":
        return "share of attention"
    score = {"output": "output"}.get(result.origin.score, result.origin.score)
    if result.origin.method == "temporal-saliency-rescaling":
        return "change of the map"
    if result.origin.method in GRADIENTS:
        return f"{score} per unit of input"
    if result.origin.method == "guided-grad-cam":
        return "gradient × weighted activation"
    if result.origin.method in ACTIVATIONS or getattr(result, "layer", None) is not None:
        return "weighted activation"
    return f"change of {score}"


def sizes_of(result: Attribution) -> str:
    """Say what larger numbers mean where they have no sign, as of a gradient's length; "" where they have one."""
    if result.origin.method == "attention-rollout":
        return "attended to more"
    if result.origin.method == "temporal-saliency-rescaling":
        return "the map depends on it more"
    if result.origin.notes.get("sizes"):
        return "larger contributions, of whatever sign"
    if result.origin.method in GRADIENTS and result.values.size > 1 and not np.any(result.values < 0):
        return "more sensitive to a change"
    return ""


def number(value: float, digits: int = 3) -> str:
    """Write a number with `digits` significant figures and a true minus sign: 0.0213, −1,250, 1.2×10⁻⁵."""
    if not np.isfinite(value):
        return "not a number" if np.isnan(value) else "∞" if value > 0 else "−∞"
    mantissa, exponent = f"{value + 0.0:.{digits - 1}e}".split("e")  # of -0.0 only the zero
    power = int(exponent)
    if value and not -3 <= power < 6:
        return f"{mantissa}×10{str(power).translate(RAISED)}".translate(MINUS)
    text = f"{float(f'{mantissa}e{exponent}'):,.{max(0, digits - 1 - power)}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text).translate(MINUS)


def brief(value: float) -> str:
    """Write a round number with no more figures than it has: 0.0005, 5×10⁻⁴, 0.25."""
    digits = next((d for d in range(1, 4) if float(f"{value:.{d - 1}e}") == value), 4)
    return number(value, digits)


MINUS = str.maketrans("-", "−")
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def probability(p: float) -> str:
    """Write a probability with two decimals, more where it would read as certain or impossible, three at
    the most."""
    if 0.005 <= p < 0.995 or p in (0.0, 1.0):
        return f"{p:.2f}"
    if 0.0005 <= p < 0.9995:
        return f"{p:.3f}"
    return ">0.999" if p > 0.5 else "<0.001"


def label_of(result: Attribution, i: int) -> str:
    """Name what sample `i` is explained for."""
    if result.target_labels:
        return result.target_labels[i]
    spec, target = result.output_spec, result.target[i]
    return spec.label(target) if hasattr(spec, "label") and isinstance(target, int) else str(target)


def score_of(result: Attribution, i: int) -> str:
    """Give the explained entry of the network's answer for sample `i` as text: "0.97", or "" where it has
    no number."""
    spec, answer, target = _entry(result, i)
    if isinstance(spec, Classes) and answer.ndim == 1:
        shares = spec.probabilities(answer[None])[0]
        names = [spec.label(k) for k in range(len(shares))] if len(spec.names) == len(shares) else []
        label = label_of(result, i)
        index = names.index(label) if label in names else target
        return probability(float(shares[index])) if isinstance(index, int) else ""
    if isinstance(target, int) and answer.ndim <= 1:
        return number(float(np.atleast_1d(answer)[target]))
    return ""


def answer_of(result: Attribution, i: int) -> str:
    """Give the explained label with its score: "cat 0.97"."""
    return f"{label_of(result, i)} {score_of(result, i)}".strip()


def names_with_scores(result: Attribution, i: int, k: int = 5) -> list[tuple[str, float]]:
    """List the `k` most probable classes of sample `i`, best first; empty where the output has no classes."""
    spec, answer, _ = _entry(result, i)
    return top(spec, answer[None], k)[0] if isinstance(spec, Classes) and answer.ndim == 1 else []


def _entry(result: Attribution, i: int) -> tuple[Any, Array, Any]:
    """Walk to the output, sample and place that the target names: (spec, answer there, index)."""
    spec, answer, target = result.output_spec, result.prediction, result.target[i]
    at = target if isinstance(target, At) else At(index=target)
    if isinstance(answer, Mapping):
        name = at.output if at.output is not None else next(iter(answer))
        spec, answer = spec[name] if isinstance(spec, Mapping) else spec, answer[name]
    place = (at.step,) if at.step is not None else at.position or ()
    return spec, np.asarray(answer[i])[tuple(place)], at.index


def facts_of(result: Attribution, i: int) -> tuple[str, ...]:
    """List the evidence and the cost of sample `i`'s explanation."""
    numbers = {name: float(values[i]) for name, values in result.quality.items() if np.ndim(values) == 1}
    q = {name: value for name, value in numbers.items() if not np.isnan(value)}
    found = []
    if "completeness_gap_relative" in q:
        found.append(f"completeness gap {percent(q['completeness_gap_relative'])}")
    if "surrogate_r2" in q:
        found.append(f"surrogate R² {number(q['surrogate_r2'])}")
    if "deletion" in q:
        areas = f"deletion {number(q['deletion'])}, insertion {number(q['insertion'])}"
        found.append(f"{areas}, random {number(q['random_deletion'])}")
    if "rank_agreement" in q:
        found.append(f"rank agreement over seeds {number(q['rank_agreement'], 2)}")
    if "randomised_similarity" in q:
        found.append(f"rank correlation with random weights {number(q['randomised_similarity'], 2)}")
    if "standard_error" in q:
        found.append(f"standard error {percent(q['standard_error'])} of the largest")
    return (*found, cost_of(result))


def cost_of(result: Attribution) -> str:
    """Say how many calls of the model and how much time the result took, all samples together."""
    calls, many = result.origin.model_calls, len(result)
    spent = f"{calls:,} model call{'s' * (calls != 1)} · {seconds(result.origin.seconds)}"
    return spent if many == 1 else f"{spent} for {many} samples"


def seconds(value: float) -> str:
    """Write a duration: milliseconds below a second, minutes above a hundred."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 100 else f"{value / 60:.1f} min"


TIMES = ((86_400.0, "days"), (3600.0, "h"), (60.0, "min"))
"""Units of time above the second, each with its seconds."""


def time_axis(steps: int, rate: float | None) -> tuple[Array, str]:
    """Give the places of steps along an axis, and its label: times where a rate (per second) is known.

    They are in the largest of s, min, h and days of which the whole has at least five.
    """
    if not rate:
        return np.arange(steps), "step"
    size, unit = next(((size, unit) for size, unit in TIMES if steps / rate >= 5 * size), (1.0, "s"))
    return np.arange(steps) / (rate * size), f"time ({unit})"


def moment(place: float, label: str) -> str:
    """Write a place on such an axis: "step 12", "3.5 h"."""
    return f"{label} {number(place)}" if label == "step" else f"{number(place)} {label[len('time (') : -1]}"


def spell(value: float) -> str:
    """Write a stretch of a series, given in seconds, in the largest unit of which it has at least one: 1.5 h."""
    size, unit = next(((size, unit) for size, unit in TIMES if value >= size), (1.0, "s"))
    return f"{number(value / size)} {'day' if unit == 'days' and value == size else unit}"


def percent(share: float) -> str:
    """Write a share as per cent: 0.3 %, 12 %, <0.01 %."""
    if 0 < share < 1e-4:
        return "<0.01 %"
    return f"{number(100 * share, 3 if share >= 1 else 2)} %"


CHECKED = {
    "completeness_gap_relative": "completeness gap ≤ 1 %",
    "surrogate_r2": "surrogate R² ≥ 0.5",
    "advantage": "better than random maps",
    "rank_agreement": "rank agreement over seeds ≥ 0.7",
}


def badge_of(result: Attribution) -> Badge:
    """Turn the status into a badge that says what was found, or what was checked and held."""
    if result.status != "ok":
        return Badge(str(result.status), "; ".join(result.status.reasons))
    held = [text for name, text in CHECKED.items() if name in result.quality]
    return (
        Badge("ok", ", ".join(held))
        if held
        else Badge("none", 'this method has no free check; evidence="full" makes one')
    )


def story(values: Array, what: str) -> str:
    """Tell a map (row, column) in words: how much of it is for and against, and where its extremes lie."""
    sizes = np.nan_to_num(np.abs(np.asarray(values, np.float64)))
    if not sizes.any():
        return f"{what}: zero everywhere."
    told = [f"{what}: {np.nansum(np.clip(values, 0, None)) / sizes.sum():.0%} of the total is positive"]
    for word, part in (("positive", values), ("negative", -values)):
        part = np.nan_to_num(part)
        if part.max() > 0:
            told.append(f"most {word} in the {_region(_coarse(np.clip(part, 0, None)))}")
    return ", ".join(told) + "."


def _coarse(values: Array) -> Array:
    """Sum a map over a grid of three by three regions."""
    total = np.zeros((3, 3))
    rows, columns = ((np.arange(n) * 3) // n for n in values.shape)
    np.add.at(total, (rows[:, None], columns[None]), values)
    return total


def _region(grid: Array) -> str:
    row, column = np.unravel_index(int(grid.argmax()), grid.shape)
    vertical, horizontal = ("upper", "middle", "lower")[row], ("left", "centre", "right")[column]
    return "centre" if (vertical, horizontal) == ("middle", "centre") else f"{vertical} {horizontal}"


def story_of_bars(labels: Sequence[str], values: Array, what: str) -> str:
    """Tell signed numbers in words: the three largest with their sign."""
    order = np.argsort(-np.abs(values), kind="stable")[:3]
    return f"{what}: largest are " + ", ".join(f"{labels[k]} ({number(float(values[k]))})" for k in order) + "."
