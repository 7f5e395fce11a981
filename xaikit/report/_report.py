"""A report: one page and one JSON file about several inputs and methods, with every result beside them."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xaikit.errors import ParameterError, many
from xaikit.figures import badge_of, reading, seconds, spoken
from xaikit.render._layout import MARKS
from xaikit.report._album import LEVELS, Album
from xaikit.report._collect import PREDICT, Explanations
from xaikit.report._folder import written
from xaikit.report._names import distinct, safe
from xaikit.report._page import LOWEST, Measure, evidence_columns, rendered
from xaikit.report._sheet import Sample, Sheet, counts, described, sheet
from xaikit.report._view import card_of, checked, listed, matrix, said, settings, shown, verdicts
from xaikit.results import Attribution

PAGE, DATA, UNITS, IMAGES = "index.html", "report.json", "units", "images"
MOST_MB = 20.0


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
        "card": card_of(found.model, origin.model, found.inputs[0].prediction),
        "quality_names": [name for _, name, _ in columns],
        "quality": [_quality(m, s, columns) for m in found.methods],
        "agreement": matrix(s.agreement, [spoken(m) for m in found.methods]),
        "failed": [
            (f.input, "reading it" if f.method == PREDICT else spoken(f.method), f.error) for f in found.failures
        ],
        "samples": [_sample(sample, s, places, album) for sample in s.samples],
        "parameters": [(spoken(m["name"]), reading(m["name"]), settings(m["parameters"])) for m in data["methods"]],
        "identity": [(n, v) for n, v in (("Fingerprint", origin.fingerprint), ("Weights id", origin.weights_id)) if v],
        "command": data["command"],
        "marks": {**MARKS, "failed": "–"},
        "units": UNITS,
    }


def _title(s: Sheet) -> str:
    count = len(s.samples)
    what = s.samples[0].title if count == 1 else f"{count} samples"
    return f"{s.found.origin.model}: {what}, explained {many(len(s.found.methods), 'way')}"


def _lead(s: Sheet) -> str:
    """Say in two sentences what was done and what came of it."""
    found = s.found
    levels = Counter(badge_of(e.result).level for e in s.entries)
    by = listed([spoken(m) for m in found.methods])
    what = f"{many(levels.total(), 'explanation')} of {many(len(s.samples), 'sample')} by {by}."
    missing = f"{many(len(found.failures), 'unit')} could not be made." if found.failures else ""
    return " ".join(filter(None, (what, checked(levels), missing)))


def _row(sample: Sample, s: Sheet) -> dict[str, Any]:
    return {
        "number": sample.number,
        "title": sample.title,
        "answer": "; ".join(said(a) for a in sample.answers),
        "verdicts": verdicts(sample.entries, s.found.methods),
    }


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


def _sample(sample: Sample, s: Sheet, places: Mapping[tuple[str, str], str], album: Album) -> dict[str, Any]:
    own = sample.explained.name
    errors = {f.method: f.error for f in s.found.failures if f.input == own}
    names = {m: spoken(m) for m in s.found.methods}
    return shown(sample, names, errors, {m: place for (of, m), place in places.items() if of == own}, album)
