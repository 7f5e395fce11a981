"""One sample as a page shows it: what was given, what the network says, and every map with its numbers."""

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xaikit import zoo
from xaikit.arrays import Array
from xaikit.figures import (
    Badge,
    Legend,
    Panel,
    about_lines,
    badge_of,
    label_of,
    measures,
    number,
    panels,
    probability,
    seconds,
    training_lines,
    unit,
)
from xaikit.figures._cards import spec_words
from xaikit.inputs import Classes, specs_to_dict
from xaikit.render import legend_png
from xaikit.report._album import Album, Figured
from xaikit.report._answers import Answer, given, restored, segmented
from xaikit.report._page import evidence_columns
from xaikit.report._sheet import Entry, Sample
from xaikit.results import Prediction

RELATIVE = ((0.0, "−range"), (0.25, "−½"), (0.5, "0"), (0.75, "½"), (1.0, "+range"))
COLUMNS = 4
FAINT = 5.0
"""How much weaker a map may be than another on the same scale."""
GRAVITY = ("fail", "warn", "ok", "none")
VERDICTS = {"ok": "passed", "warn": "caution", "fail": "failed", "none": "no check", "failed": "no result"}
"""What is said of a verdict, and of a method without a result."""


def shown(
    sample: Sample, names: Mapping[str, str], errors: Mapping[str, str], places: Mapping[str, str], album: Album
) -> dict[str, Any]:
    """Give what a page says of a sample; its pictures go into the album.

    `names` are the methods as people write them, `errors` why some have no result, `places` where the numbers of the
    others are.
    """
    explained, i = sample.explained, sample.index
    drawn, legend, scales = maps_of(sample)
    maps = [_map(e, p, album, places[e.method]) for e, p in zip(sample.entries, drawn, strict=True)]
    inputs = given(explained.prediction, i)
    return {
        "number": sample.number,
        "title": sample.title,
        "given": explained.given,
        "inputs": [(g, [_figure(p, album) for p in g.panels]) for g in inputs],
        "answers": sample.answers,
        "restored": [
            _figure(p, album) for p in (*restored(explained.prediction, i), *segmented(explained.prediction, i))
        ],
        "summary": summary(sample, list(names.values())),
        "legend": _legend(legend),
        "scales": scales,
        "maps": maps,
        "columns": min(max(len(maps), 1), COLUMNS),
        "side": all(m["figure"].album is None or m["wide"] for m in maps),
        "missing": [(names[m], errors.get(m, "")) for m in sample.missing],
    }


def _figure(panel: Panel, album: Album) -> dict[str, Any]:
    return {"figure": album.add(panel), "panel": panel, "title": panel.title, "subtitle": panel.subtitle}


def maps_of(sample: Sample) -> tuple[list[Panel], Legend | None, list[str]]:
    """Draw all maps of a sample; those in the same unit have one scale.

    A map whose strongest value is under a fifth of another's has a scale of its own: a pixel's share and a superpixel's
    differ by orders of magnitude, and on one scale the finer map would be blank.
    """
    found: dict[int, Panel] = {}
    legends, scales = [], []
    for group in _of_one_scale(sample.entries):
        figure = panels({k: e.result for k, e in group.items()}, shared=True)
        drawn = [p for p in figure.panels if p.badge is not None]
        found |= {int(k): p for k, p in zip(group, drawn, strict=True)}
        if figure.legend is not None:
            legends.append(figure.legend)
        ranges = [p.subtitle for p in drawn if p.subtitle.startswith("±")]
        if ranges:
            scales.append(f"{listed([e.name for e in group.values()])}: {ranges[0]}")
    legend = None if not legends else legends[0] if len(legends) == 1 else replace(legends[0], ticks=RELATIVE)
    return [found[k] for k in range(len(sample.entries))], legend, scales


def _of_one_scale(entries: Sequence[Entry]) -> Iterator[dict[str, Entry]]:
    """Give the entries that share a scale, by their place among all."""
    sizes = [float(np.nan_to_num(np.abs(e.result.values), posinf=0.0).max(initial=0.0)) for e in entries]
    groups: list[tuple[str, float, dict[str, Entry]]] = []
    for k in np.argsort([-size for size in sizes], kind="stable"):
        kind = unit(entries[k].result)
        fits = (g for of, largest, g in groups if of == kind and sizes[k] >= largest / FAINT)
        group = next(fits, None)
        if group is None:
            groups.append((kind, sizes[k], {str(k): entries[k]}))
        else:
            group[str(k)] = entries[k]
    return (
        {k: g[k] for k in sorted(g, key=int)} for _, _, g in sorted(groups, key=lambda each: min(map(int, each[2])))
    )


def _legend(legend: Legend | None) -> dict[str, Any] | None:
    if legend is None:
        return None
    alt = f"Colour scale from blue ({legend.low}) over grey (zero) to red ({legend.high})."
    bar = "data:image/png;base64," + b64encode(legend_png(legend)).decode("ascii")
    ticks = [(f"{100 * at:g}%", words) for at, words in legend.ticks]
    return {"bar": bar, "alt": alt, "ticks": ticks, "low": legend.low, "high": legend.high}


def _map(e: Entry, panel: Panel, album: Album, place: str) -> dict[str, Any]:
    figure = album.add(panel)
    return {
        "name": e.name + (f", input {e.of_input}" if e.of_input else ""),
        "figure": figure,
        "panel": panel,
        "wide": _is_wide(figure, panel),
        "range": panel.subtitle,
        "facts": list(_facts(e)),
        "notes": [f for f in panel.facts if f.startswith(("drawn", "summed")) or "beyond" in f or "not finite" in f],
        "badge": badge_of(e.result),
        "sentence": e.sentence,
        "kind": e.strongest.kind,
        "of": e.strongest.of,
        "parts": [
            (p.name, p.place, ("+" if p.value > 0 else "") + number(p.value), f"{100 * p.share:.1f} %")
            for p in e.strongest.parts
        ],
        "place": place,
    }


def _is_wide(figure: Figured, panel: Panel) -> bool:
    return figure.album is None or not hasattr(panel, "shape")


def _facts(e: Entry) -> Iterator[tuple[str, str]]:
    r, quality, origin = e.result, e.quality, e.result.origin
    yield "Target", label_of(r, 0) + (f", at {r.layer}" if r.layer else "")
    if "score" in quality:
        share = origin.score == "probability"
        written = probability(quality["score"]) if share else number(quality["score"], 4)
        yield origin.score.capitalize() if isinstance(r.output_spec, Classes) else "Score", written
    for key, name, write in evidence_columns([quality]):
        if key in quality:
            yield name, write(quality[key])
    if "deletion" in quality:
        areas = f"{number(quality['deletion'])} and {number(quality['insertion'])}"
        yield "Deletion and insertion", f"{areas}; random maps {number(quality['random_deletion'])}"
    yield "Model calls", f"{origin.model_calls:,}"
    yield "Time", seconds(origin.seconds) + (f" for {e.together} samples" if e.together > 1 else "")


def summary(sample: Sample, names: Sequence[str]) -> str:
    """Say what the network answers, and how far the methods, by their names, agree about why."""
    says = f"The network says {'; '.join(said(a) for a in sample.answers)}."
    return f"{says} {agreed(sample, names)}".rstrip()


def agreed(sample: Sample, names: Sequence[str]) -> str:
    """Say how far the methods, by their names, agree about why; "" where none can be compared."""
    told = ""
    leading: dict[str, list[str]] = {}
    for e in sample.entries:
        if e.strongest.parts and e.strongest.parts[0].value > 0:
            leading.setdefault(e.strongest.parts[0].full, []).append(e.name)
    for name, same in leading.items():
        told += f" {listed(same)} name the same strongest part: {name}." if len(same) > 1 else ""
    pairs = [
        (float(table[i, j]), f"{names[j]} and {names[i]}")
        for table in sample.agreement
        for i in range(len(names))
        for j in range(i)
        if np.isfinite(table[i, j])
    ]
    if not pairs:
        return told.strip()
    (low, low_pair), (high, high_pair) = min(pairs), max(pairs)
    if len(pairs) == 1:
        return f"{told} {high_pair} agree by {signed(high)} in the ranks of their values.".strip()
    least = f"least are {low_pair} ({signed(low)})"
    return f"{told} Most alike in the ranks of their values are {high_pair} ({signed(high)}), {least}.".strip()


def signed(value: float) -> str:
    """Write an agreement."""
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


def listed(names: Sequence[str]) -> str:
    """Write names with commas and an "and"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def said(answer: Answer) -> str:
    """Say an answer in short."""
    label = answer.label if len(answer.label) <= 60 else answer.label[:57] + "…"
    return " ".join(p for p in (f"{answer.output}:" if answer.output else "", label, answer.score) if p)


def verdicts(entries: Iterable[Entry], methods: Sequence[str]) -> list[tuple[str, str]]:
    """Give the worst verdict of each method on a sample as level and words; "failed" where it has no result."""
    badges: dict[str, list[Badge]] = {m: [] for m in methods}
    for e in entries:
        badges[e.method].append(badge_of(e.result))
    worst = [min(found, key=lambda b: GRAVITY.index(b.level)) if found else None for found in badges.values()]
    return [("failed", "no result") if b is None else (b.level, b.text) for b in worst]


def checked(counts: Mapping[str, int]) -> str:
    """Say in a sentence how many explanations passed their checks; "" where there are none."""
    words = {
        "ok": "passed all checks",
        "none": "without a check",
        "warn": "with caution",
        "fail": "failed a check",
    }
    parts = ", ".join(f"{counts[level]:,} {what}" for level, what in words.items() if counts.get(level))
    return f"{parts[:1].upper()}{parts[1:]}." if parts else ""


def card_of(asked: str, model: str, prediction: Prediction) -> dict[str, Any]:
    """Give the model card in short: the zoo's, or what the results know of the network."""
    if model in zoo.names() and asked == model:
        card = zoo.card(model)
        stored = card.to_dict()
        trained = stored["trained"]
        tested = measures(trained["metrics"]) if trained else ()
        facts = about_lines(stored) | ({"Trained": training_lines(trained)["Trained"]} if trained else {})
        rows = [
            (f"{m.output} {label}".strip(), value, f"on {m.samples:,} test samples" if m.samples else "")
            for m in tested
            for label, value in m.rows[:3]
        ]
        return {"title": card.title, "facts": facts, "tested": rows, "limits": card.limits}
    facts = {
        "Input": spec_words(_several(specs_to_dict(prediction.input_spec))),
        "Output": spec_words(_several(specs_to_dict(prediction.output_spec))),
    }
    return {"title": "", "facts": facts, "tested": [], "limits": ()}


def _several(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    return spec if "kind" in spec else {"kind": "several", "specs": spec}


def matrix(agreement: Array, names: Sequence[str]) -> list[tuple[str, list[tuple[str, int]]]] | None:
    """Give rank agreements as text and strength of colour; None where no two maps can be compared."""
    apart = ~np.eye(len(names), dtype=bool)
    if not np.isfinite(agreement[apart]).any():
        return None
    cells = [[_cell(v, i == j) for j, v in enumerate(row)] for i, row in enumerate(agreement.tolist())]
    return list(zip(names, cells, strict=True))


def _cell(value: float, diagonal: bool) -> tuple[str, int]:
    if diagonal or not np.isfinite(value):
        return ("" if diagonal else "–"), 0
    return signed(value), round(55 * abs(value))


def settings(parameters: Mapping[str, Any]) -> str:
    """Write parameters in a line."""
    return ", ".join(f"{k} {v}" for k, v in parameters.items() if v is not None) or "none"
