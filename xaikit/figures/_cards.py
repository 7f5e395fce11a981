"""A model card in words: what it says of data, training and test, line by line, for terminal, page and notebook."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xaikit.figures._data import CurvePanel, Trace
from xaikit.figures._words import brief, number, seconds, spoken

Facts = dict[str, str]

SHARES = {
    "accuracy": "Accuracy",
    "exact_match": "Exact match",
    "pixel_accuracy": "Pixel accuracy",
    "step_accuracy": "Accuracy per step",
    "mean_iou": "Mean intersection over union",
    "top5_accuracy": "Top-5 accuracy",
}
NUMBERS = {
    "mae": "Mean absolute error",
    "mse": "Mean squared error",
    "rmse": "Root mean squared error",
    "naive_mae": "Mean absolute error of the naive forecast",
    "bits_per_step": "Bits per step",
    "auc": "Area under the ROC curve",
}
HELD_APART = ("interval_95", "samples", "classes", "confusion", "quantiles", "iou", "abnormal")
"""What is no single number of its own."""
LOSSES = {
    "crossentropy": "cross-entropy",
    "binary-crossentropy": "binary cross-entropy",
    "summed-binary-crossentropy": "binary cross-entropy summed over a sample",
    "mse": "mean squared error",
}
DEVICES = {"cpu": " on a processor", "cuda": " on a GPU"}
OPTIMIZERS = {"adam": "Adam", "rmsprop": "RMSprop", "sgd": "SGD"}


@dataclass(frozen=True)
class Measures:
    """Test results of one output: (name, value) pairs, and what is drawn, where the card has it.

    confusion: counts, a row per true class; quantiles: error by per cent of the samples, for each kind of sample;
    each: a share per class.
    """

    output: str
    rows: tuple[tuple[str, str], ...]
    samples: int | None
    classes: tuple[str, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    quantiles: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    each: Mapping[str, float] = field(default_factory=dict)


def measures(metrics: Mapping[str, Any]) -> tuple[Measures, ...]:
    """Read the metrics of a card, whichever kind they are, one group per output."""
    if metrics and all(isinstance(value, Mapping) for value in metrics.values()):
        return tuple(_group(name, value) for name, value in metrics.items())
    return (_group("", metrics),) if metrics else ()


def _group(output: str, metrics: Mapping[str, Any]) -> Measures:
    rows = [_row(name, value) for name, value in metrics.items() if name not in HELD_APART and value is not None]
    if rows and "interval_95" in metrics:
        name, value = rows[0]
        rows[0] = (name, f"{value} ({_interval(metrics, name)})")
    classes = tuple(map(str, metrics.get("classes", ())))
    rows += list(_errors(metrics, len(classes)))
    abnormal = metrics.get("abnormal") or {}
    quantiles = {"normal" if abnormal else "test": metrics.get("quantiles"), "abnormal": abnormal.get("quantiles")}
    rows += [(f"{_name(k)}, abnormal samples", number(v)) for k, v in abnormal.items() if k in NUMBERS]
    return Measures(
        output,
        tuple(rows),
        metrics.get("samples"),
        classes,
        tuple(tuple(row) for row in metrics.get("confusion", ())),
        {name: curve for name, curve in quantiles.items() if curve},
        dict(metrics.get("iou") or {}),
    )


def error_curve(found: Measures) -> CurvePanel | None:
    """Draw what share of the samples stays below which error; None where a card does not say it."""
    if not found.quantiles:
        return None
    traces = tuple(
        Trace(
            f"{name} samples", np.array([float(q) for q in curve]), np.array(list(curve.values()), np.float64), k, k > 0
        )
        for k, (name, curve) in enumerate(found.quantiles.items())
    )
    # The very smallest error says little and would stretch the axis.
    values = np.concatenate([t.y[1:] for t in traces])
    wide = bool(values.min() > 0 and min(t.y[0] for t in traces) > 0 and values.max() / values.min() > 100)
    kinds = " and ".join(found.quantiles)
    return CurvePanel(
        title="Error",
        subtitle="logarithmic" if wide else "",
        traces=traces,
        x_label="per cent of the samples with at most this error",
        logarithmic=wide,
        alt=f"The error of {kinds} samples, from {number(float(values.min()))} to {number(float(values.max()))}.",
    )


def _row(name: str, value: Any) -> tuple[str, str]:
    if name in SHARES:
        return _name(name), _share(value)
    return _name(name), number(value) if isinstance(value, int | float) else str(value)


def _share(value: float) -> str:
    """Write a share with four figures; one that is not whole is not written as 1."""
    return ">0.9999" if 0.99995 <= value < 1 else f"{value:.4g}"


def _name(name: str) -> str:
    return SHARES.get(name) or NUMBERS.get(name) or spoken(name.replace("_", "-"))


def _interval(metrics: Mapping[str, Any], name: str) -> str:
    low, high = metrics["interval_95"]
    write = _share if name in SHARES.values() else number
    return f"95 % interval {write(low)} to {write(high)}"


def _errors(metrics: Mapping[str, Any], classes: int) -> list[tuple[str, str]]:
    """Top-1 and top-5 error, as networks with more than five classes are compared by."""
    if classes <= 5 or "accuracy" not in metrics:
        return []
    found = [("Top-1 error", f"{100 * (1 - metrics['accuracy']):.2f} %")]
    if "top5_accuracy" in metrics:
        found.append(("Top-5 error", f"{100 * (1 - metrics['top5_accuracy']):.2f} %"))
    return found


def recipe_lines(recipe: Mapping[str, Any]) -> tuple[str, ...]:
    """Tell a training recipe in sentences; only what was used is told."""
    told = [_goal(recipe), _descent(recipe), _length(recipe)]
    told += [said for said in (_regularised(recipe), _changed(recipe), _started(recipe)) if said]
    return tuple(told)


def _goal(recipe: Mapping[str, Any]) -> str:
    loss = recipe.get("loss")
    weights = recipe.get("loss_weights") or {}
    if isinstance(loss, Mapping):
        parts = (f"{LOSSES.get(k, k)} of {name}" + (f" × {weights[name]:g}" if name in weights else "")
                 for name, k in loss.items())  # fmt: skip
        said = " + ".join(parts)
    else:
        said = LOSSES.get(str(loss), str(loss))
    if recipe.get("label_smoothing"):
        said += f" with label smoothing {recipe['label_smoothing']:g}"
    if divergence := recipe.get("divergence"):
        cycles = f", rising in {divergence['cycles']} cycles" if divergence.get("cycles") else ""
        said += f" + {divergence.get('beta', 1):g} × KL divergence{cycles}"
    return f"Loss: {said}" + (", against the input itself." if recipe.get("target") == "input" else ".")


def _descent(recipe: Mapping[str, Any]) -> str:
    optimizer = str(recipe.get("optimizer"))
    said = f"{OPTIMIZERS.get(optimizer, optimizer)}, learning rate {brief(recipe['learning_rate'])}"
    schedule = recipe.get("schedule")
    if schedule == "cosine":
        said += ", falling along a cosine to 1 %"
    elif schedule == "plateau":
        said += f", times 0.1 after {recipe['plateau_patience']} epochs without a better validation loss"
    if recipe.get("warmup_epochs"):
        said += f", after a linear rise over {_many(recipe['warmup_epochs'], 'epoch')}"
    return said + "."


def _length(recipe: Mapping[str, Any]) -> str:
    said = f"Up to {_many(recipe['epochs'], 'epoch')} of "
    said += f"{recipe['steps_per_epoch']:,} batches" if recipe.get("steps_per_epoch") else "one pass over the data"
    said += f", {recipe['batch']:,} samples per batch; {100 * recipe['validation']:g} % of the training samples kept"
    said += " apart for validation"
    stopping = recipe.get("early_stopping") or {}
    if stopping.get("generalisation_loss") is not None:
        said += f"; stopped early at a generalisation loss over {stopping['generalisation_loss']:g}"
    if stopping.get("successive_rises"):
        said += f"; stopped early after {stopping['successive_rises']} rises of the validation loss in a row"
    return said + "."


def _regularised(recipe: Mapping[str, Any]) -> str:
    found = []
    if recipe.get("weight_decay"):
        found.append(f"weight decay {brief(recipe['weight_decay'])}")
    if recipe.get("l2"):
        found.append("L2 penalty " + ", ".join(f"{brief(v)} on {k}" for k, v in recipe["l2"].items()))
    if recipe.get("average"):
        found.append(f"moving average of the weights with decay {recipe['average']:g}")
    return _sentence(found)


def _changed(recipe: Mapping[str, Any]) -> str:
    """What is done to the samples."""
    found = []
    if a := recipe.get("augmentation"):
        parts = {"rotation": "rotation ±{:g}°", "shear": "shear ±{:g}"}
        shares = {"shift": "shift", "zoom": "zoom"}
        said = [form.format(a[k]) for k, form in parts.items() if a.get(k)]
        said += [f"{word} ±{100 * a[k]:g} %" for k, word in shares.items() if a.get(k)]
        said += ["mirrored half of the time"] if a.get("horizontal_flip") else []
        found.append("augmentation: " + ", ".join(said))
    if c := recipe.get("corruption"):
        said = [f"Gaussian noise of {c['noise']:g}"] if c.get("noise") else []
        if c.get("patch"):
            said.append(f"{100 * c['hidden']:g} % of the patches of {c['patch']}×{c['patch']} pixels hidden")
        found.append("corrupted input: " + ", ".join(said))
    return _sentence(found)


def _started(recipe: Mapping[str, Any]) -> str:
    tuned = recipe.get("fine_tuning")
    if not tuned:
        return ""
    unfrozen = tuned["unfrozen"]
    named = ", ".join(unfrozen) if len(unfrozen) <= 4 else f"{unfrozen[0]} to {unfrozen[-1]} ({len(unfrozen)} layers)"
    return (
        f"Starts from the weights of {tuned['backbone']}, frozen for {_many(tuned['frozen_epochs'], 'epoch')}; then "
        f"{named} trained too with learning rate {brief(tuned['learning_rate'])}."
    )


def _sentence(parts: Sequence[str]) -> str:
    said = "; ".join(parts)
    return said[:1].upper() + said[1:] + "." if said else ""


def _many(count: float, what: str) -> str:
    return f"{count:g} {what}{'s' * (count != 1)}"


# ---------------------------------------------------------------- facts


def about_lines(card: Mapping[str, Any]) -> Facts:
    """Say what goes in and comes out, how large the network is, and what it was trained on."""
    facts = {"Input": spec_words(card["inputs"]), "Output": spec_words(card["outputs"])}
    total, trainable = card["parameters"]["total"], card["parameters"]["trainable"]
    kept = total - trainable
    facts["Parameters"] = f"{total:,}" + (f", {trainable:,} of them trainable" if kept else ", all of them trainable")
    for name, value in (card.get("data") or {}).items():
        facts[{"name": "Data", "origin": "From", "licence": "Licence", "split": "Split"}.get(name, spoken(name))] = (
            value
        )
    return facts


def training_lines(trained: Mapping[str, Any]) -> Facts:
    """Say when, how long and with what a network's weights were trained."""
    spent = sum(float(e.get("seconds") or 0) for e in trained["curve"])
    samples = ", ".join(f"{count:,} for {part}" for part, count in trained["samples"].items())
    facts = {
        "Trained": f"{trained['date']}, seed {trained['seed']}",
        "Epochs": f"{trained['epochs']}, the weights of epoch {trained['best_epoch']} kept",
        "Samples": samples,
    }
    if spent:
        facts["Time"] = seconds(spent) + DEVICES.get(str(trained.get("device")), "")
    facts["With"] = ", ".join(f"{name} {version}" for name, version in trained["trained_with"].items())
    return facts


def file_lines(trained: Mapping[str, Any]) -> Facts:
    """Name the weights file and what it is recognised by."""
    return {"Weights": trained["file"], "SHA-256": trained["sha256"], "Weights id": trained["weights_id"]}


def spec_words(spec: Mapping[str, Any]) -> str:
    """Say in a line what goes into or comes out of a network."""
    if spec["kind"] == "several":
        return "; ".join(f"{name}: {spec_words(each)}" for name, each in spec["specs"].items())
    writer = SPECS.get(str(spec["kind"]))
    return writer(spec) if writer else str(spec["kind"]).lower()


def _image(s: Mapping[str, Any]) -> str:
    pixels = f"picture of {s['height']}×{s['width']} pixels, {_many(s['channels'], 'channel')}"
    scaled = {1: "value", 1 / 255: "value / 255"}.get(s["scale"], f"value × {number(s['scale'])}")
    if s["mean"] != 0:
        scaled = f"{scaled} − {_numbers(s['mean'])}"
    if s["std"] != 1:
        scaled = f"({scaled}) / {_numbers(s['std'])}"
    scaled = "values as they are" if scaled == "value" else scaled
    return f"{pixels}; {scaled}" + ("; blue, green, red" if s.get("order") == "bgr" else "")


def _numbers(value: Any) -> str:
    return f"({', '.join(number(v) for v in value)})" if isinstance(value, list | tuple) else number(value)


def _text(s: Mapping[str, Any]) -> str:
    vocabulary = s.get("vocabulary")
    words = f", {len(vocabulary):,} words known" if vocabulary else ""
    return f"text, {s['length']:,} tokens{words}"


def _classes(s: Mapping[str, Any]) -> str:
    names = [str(n) for n in s["names"]]
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10:,} more" if len(names) > 10 else "")
    form = f" ({s['form']})" if s.get("form") else ""
    return f"{len(names):,} {'classes per pixel' if s['kind'] == 'Masks' else 'classes'}{form}: {shown}"


def _table(s: Mapping[str, Any]) -> str:
    columns = s.get("columns") or {}
    return f"table row of {len(columns)} columns: {', '.join(list(columns)[:8])}{', ...' if len(columns) > 8 else ''}"


SPECS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "Image": _image,
    "Text": _text,
    "Series": lambda s: f"series of {s['steps']:,} steps, {_many(s['channels'], 'channel')}",
    "Array": lambda s: "array of " + "×".join(map(str, s["shape"])),
    "Table": _table,
    "Classes": _classes,
    "Masks": _classes,
    "Values": lambda s: "number: " + ", ".join(map(str, s["names"])),
    "Reconstruction": lambda s: f"the input again, error {s['error']}",
}
