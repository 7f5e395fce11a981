"""A report: one page and one JSON file about several inputs and methods, with every result beside them."""

import os
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from xaikit import zoo
from xaikit.errors import ParameterError
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
    reading,
    seconds,
    spoken,
    training_lines,
    unit,
)
from xaikit.figures._cards import spec_words
from xaikit.inputs import Classes, specs_to_dict
from xaikit.render import legend_png
from xaikit.render._layout import MARKS
from xaikit.report._album import LEVELS, Album, Figured
from xaikit.report._answers import Answer, given, restored
from xaikit.report._collect import PREDICT, Explanations
from xaikit.report._folder import written
from xaikit.report._names import distinct, safe
from xaikit.report._page import LOWEST, Measure, evidence_columns, rendered
from xaikit.report._sheet import Entry, Sample, Sheet, counts, described, sheet
from xaikit.results import Attribution

PAGE, DATA, UNITS, IMAGES = "index.html", "report.json", "units", "images"
MOST_MB = 20.0
RELATIVE = ((0.0, "−range"), (0.25, "−½"), (0.5, "0"), (0.75, "½"), (1.0, "+range"))
COLUMNS = 4
FAINT = 5.0
"""How much weaker a map may be than another on the same scale."""


@dataclass(frozen=True)
class Written:
    """Where a report is, how large its page became, and what was done to keep it so."""

    page: Path
    data: Path
    size: int
    note: str


def write_report(
    found: Explanations, folder: str | os.PathLike[str], *, command: str = "", max_mb: float = MOST_MB
) -> Written:
    """Write index.html, report.json and units/ into a folder: all of them, or on an error none.

    The page stands alone, without network or script, and shows what report.json says; units/ holds every result. Where
    it would be larger than `max_mb` its pictures become coarser, and at last files in images/. Of what is in the folder
    only an earlier report is replaced. Raises ParameterError, UsageError for files that are not a report's, and
    StorageError where nothing can be written.
    """
    if not max_mb > 0:
        raise ParameterError(f"max_mb is a positive number of megabytes, not {max_mb!r}")
    found_sheet, target = sheet(found), Path(folder).absolute()
    names = dict(zip((e.name for e in found.inputs), distinct([safe(e.name) for e in found.inputs]), strict=True))
    results: dict[str, Any] = {}
    places: dict[tuple[str, str], str] = {}
    for each in found.inputs:
        for method, result in {PREDICT: each.prediction, **each.results}.items():
            place = f"{UNITS}/{names[each.name]}.{method}"
            results[place], places[each.name, method] = result, f"{place}.json"
    created = datetime.now(UTC).isoformat(timespec="seconds")
    data = {**described(found_sheet, places), "created": created, "command": command, "page": PAGE}
    page, album, note = _fitting(found_sheet, data, places, max_mb)
    written(target, results, {PAGE: page, **album.files()}, DATA, {**data, "note": note})
    return Written(target / PAGE, target / DATA, len(page), note)


def _fitting(
    s: Sheet, data: Mapping[str, Any], places: Mapping[tuple[str, str], str], max_mb: float
) -> tuple[bytes, Album, str]:
    """Give the page with the finest pictures that fit, and say what was done about them."""
    album = Album()
    context = _context(s, data, places, album)
    page = b""
    for level, (width, _) in enumerate(LEVELS):
        album.level = level
        note = f"Pictures are {width} pixels wide, so that this page has at most {max_mb:g} MB." if level else ""
        page = rendered("report.html", {**context, "note": note, "images": False})
        if len(page) <= max_mb * 1e6 or not album.drawn:
            return page, album, note
    album.level, album.folder = 0, IMAGES
    note = f"Pictures are in the folder {IMAGES}, so that this page has at most {max_mb:g} MB: keep the two together."
    page = rendered("report.html", {**context, "note": note, "images": True})
    if len(page) > max_mb * 1e6:
        note = f"The page has {len(page) / 1e6:.1f} MB without its pictures, which are in the folder {IMAGES}."
        page = rendered("report.html", {**context, "note": note, "images": True})
    return page, album, note


# ---------------------------------------------------------------- the front


def _context(s: Sheet, data: Mapping[str, Any], places: Mapping[tuple[str, str], str], album: Album) -> dict[str, Any]:
    found, origin = s.found, s.found.origin
    columns = evidence_columns(e.quality for e in s.entries)
    return {
        "title": _title(s),
        "lead": _lead(s),
        "facts": {
            "Model": f"{origin.model} in {spoken(origin.framework)}"
            + (f", from {found.model}" if found.model != origin.model else ""),
            "Target": "the predicted class, or the only output" if found.target is None else str(found.target),
            "Seed": str(found.seed),
            "Date": str(data["created"]).replace("T", " ").replace("+00:00", " UTC"),
            "Versions": ", ".join(f"{name} {version}" for name, version in origin.versions.items()),
        },
        "methods": [spoken(m) for m in found.methods],
        "rows": [_row(sample, s) for sample in s.samples],
        "card": _card(s),
        "quality_names": [name for _, name, _ in columns],
        "quality": [_quality(m, s, columns) for m in found.methods],
        "agreement": _agreement(s),
        "failed": [
            (f.input, "reading it" if f.method == PREDICT else spoken(f.method), f.error) for f in found.failures
        ],
        "samples": [_shown(sample, s, places, album) for sample in s.samples],
        "parameters": [(spoken(m["name"]), reading(m["name"]), _settings(m["parameters"])) for m in data["methods"]],
        "identity": [(n, v) for n, v in (("Fingerprint", origin.fingerprint), ("Weights id", origin.weights_id)) if v],
        "command": data["command"],
        "marks": {**MARKS, "failed": "–"},
        "units": UNITS,
    }


def _title(s: Sheet) -> str:
    count = len(s.samples)
    what = s.samples[0].title if count == 1 else f"{count} samples"
    return f"{s.found.origin.model}: {what}, explained {_times(len(s.found.methods), 'way')}"


def _times(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _lead(s: Sheet) -> str:
    """Say in two sentences what was done and what came of it."""
    found = s.found
    levels = [badge_of(e.result).level for e in s.entries]
    said = f"{_times(len(levels), 'explanation')} of {_times(len(s.samples), 'sample')} by {_listed(found.methods)}."
    told = {
        "ok": "passed their checks",
        "none": "have no free check",
        "warn": "call for caution",
        "fail": "failed a check",
    }
    parts = [f"{levels.count(level)} {words}" for level, words in told.items() if level in levels]
    said += f" {', '.join(parts)[:1].upper()}{', '.join(parts)[1:]}." if parts else ""
    return said + (f" {_times(len(found.failures), 'unit')} could not be made." if found.failures else "")


def _listed(names: Sequence[str]) -> str:
    words = [spoken(n) for n in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _row(sample: Sample, s: Sheet) -> dict[str, Any]:
    badges: dict[str, list[Badge]] = {m: [] for m in s.found.methods}
    for e in sample.entries:
        badges[e.method].append(badge_of(e.result))
    order = ("fail", "warn", "ok", "none")
    worst = {m: min(found, key=lambda b: order.index(b.level)) if found else None for m, found in badges.items()}
    return {
        "number": sample.number,
        "title": sample.title,
        "answer": "; ".join(_said(a) for a in sample.answers),
        "verdicts": [("failed", "no result") if b is None else (b.level, b.text) for b in worst.values()],
    }


def _said(answer: Answer) -> str:
    label = answer.label if len(answer.label) <= 60 else answer.label[:57] + "…"
    return " ".join(p for p in (f"{answer.output}:" if answer.output else "", label, answer.score) if p)


def _card(s: Sheet) -> dict[str, Any]:
    """The model card in short: the zoo's, or what the results know of the network."""
    name, prediction = s.found.origin.model, s.found.inputs[0].prediction
    if name in zoo.names() and s.found.model == name:
        card = zoo.card(name)
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


def _quality(method: str, s: Sheet, columns: Sequence[Measure]) -> dict[str, Any]:
    """A method's verdicts, its worst evidence and its cost over all samples."""
    entries = [e for e in s.entries if e.method == method]
    units = [r for each in s.found.inputs for m, r in each.results.items() if m == method]
    origins = [r.origin for unit_ in units for r in ([unit_] if isinstance(unit_, Attribution) else unit_.values())]
    worst = []
    for key, _, write in columns:
        values = [e.quality[key] for e in entries if key in e.quality]
        worst.append(write((min if key in LOWEST else max)(values)) if values else "–")
    return {
        "name": spoken(method),
        "counts": [(level, n) for level, n in counts(s, method).items() if n],
        "worst": worst,
        "calls": f"{sum(o.model_calls for o in origins):,}",
        "time": seconds(sum(o.seconds for o in origins)) if origins else "–",
    }


def _agreement(s: Sheet) -> list[tuple[str, list[tuple[str, int]]]] | None:
    """The matrix of rank agreements as text and strength of colour; None where no two maps can be compared."""
    apart = ~np.eye(len(s.found.methods), dtype=bool)
    if not np.isfinite(s.agreement[apart]).any():
        return None
    cells = [[_cell(v, i == j) for j, v in enumerate(row)] for i, row in enumerate(s.agreement.tolist())]
    return [(spoken(m), row) for m, row in zip(s.found.methods, cells, strict=True)]


def _cell(value: float, diagonal: bool) -> tuple[str, int]:
    if diagonal or not np.isfinite(value):
        return ("" if diagonal else "–"), 0
    return _signed(value), round(55 * abs(value))


def _settings(parameters: Mapping[str, Any]) -> str:
    return ", ".join(f"{k} {v}" for k, v in parameters.items() if v is not None) or "none"


# ---------------------------------------------------------------- one sample


def _shown(sample: Sample, s: Sheet, places: Mapping[tuple[str, str], str], album: Album) -> dict[str, Any]:
    explained, i = sample.explained, sample.index
    drawn, legend, scales = _maps(sample)
    maps = [_map(e, p, album, places[explained.name, e.method]) for e, p in zip(sample.entries, drawn, strict=True)]
    errors = {f.method: f.error for f in s.found.failures if f.input == explained.name}
    inputs = given(explained.prediction, i)
    return {
        "number": sample.number,
        "title": sample.title,
        "given": explained.given,
        "inputs": [(g, [_figure(p, album) for p in g.panels]) for g in inputs],
        "answers": sample.answers,
        "restored": [_figure(p, album) for p in restored(explained.prediction, i)],
        "summary": _summary(sample, s.found.methods),
        "legend": _legend(legend),
        "scales": scales,
        "maps": maps,
        "columns": min(max(len(maps), 1), COLUMNS),
        "side": all(m["figure"].album is None or m["wide"] for m in maps),
        "missing": [(spoken(m), errors.get(m, "")) for m in sample.missing],
    }


def _figure(panel: Panel, album: Album) -> dict[str, Any]:
    return {"figure": album.add(panel), "title": panel.title, "subtitle": panel.subtitle}


def _maps(sample: Sample) -> tuple[list[Panel], Legend | None, list[str]]:
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
            scales.append(f"{_listed([e.method for e in group.values()])}: {ranges[0]}")
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
        "name": spoken(e.method) + (f", input {e.of_input}" if e.of_input else ""),
        "figure": figure,
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
        said = probability(quality["score"]) if share else number(quality["score"], 4)
        yield origin.score.capitalize() if isinstance(r.output_spec, Classes) else "Score", said
    for key, name, write in evidence_columns([quality]):
        if key in quality:
            yield name, write(quality[key])
    if "deletion" in quality:
        areas = f"{number(quality['deletion'])} and {number(quality['insertion'])}"
        yield "Deletion and insertion", f"{areas}; random maps {number(quality['random_deletion'])}"
    yield "Model calls", f"{origin.model_calls:,}"
    yield "Time", seconds(origin.seconds) + (f" for {e.together} samples" if e.together > 1 else "")


def _summary(sample: Sample, methods: Sequence[str]) -> str:
    """Say what the network answers, and how far the methods agree about why."""
    said = f"The network says {'; '.join(_said(a) for a in sample.answers)}."
    leading: dict[str, list[str]] = {}
    for e in sample.entries:
        if e.strongest.parts and e.strongest.parts[0].value > 0:
            leading.setdefault(e.strongest.parts[0].full, []).append(e.method)
    for name, same in leading.items():
        said += f" {_listed(same)} name the same strongest part: {name}." if len(same) > 1 else ""
    pairs = [
        (float(table[i, j]), f"{spoken(methods[j])} and {spoken(methods[i])}")
        for table in sample.agreement
        for i in range(len(methods))
        for j in range(i)
        if np.isfinite(table[i, j])
    ]
    if not pairs:
        return said
    (low, low_pair), (high, high_pair) = min(pairs), max(pairs)
    if len(pairs) == 1:
        return f"{said} {high_pair} agree by {_signed(high)} in the ranks of their values."
    least = f"least are {low_pair} ({_signed(low)})"
    return f"{said} Most alike in the ranks of their values are {high_pair} ({_signed(high)}), {least}."


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
