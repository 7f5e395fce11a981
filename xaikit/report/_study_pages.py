"""The pages of a study's report: the front, lists of inputs, and one page for each input."""

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import numpy as np

from xaikit.errors import many
from xaikit.figures import number, percent, picture, probability, reading, seconds, spoken
from xaikit.inputs import Image
from xaikit.render._layout import MARKS
from xaikit.render._web import pixels
from xaikit.report._album import LEVELS, Album
from xaikit.report._page import rendered
from xaikit.report._sheet import Sample
from xaikit.report._study import SHOWN, Case, Column, Reading, mean_agreement
from xaikit.report._tally import Tally, shares
from xaikit.report._view import (
    VERDICTS,
    agreed,
    card_of,
    checked,
    listed,
    matrix,
    said,
    settings,
    shown,
    signed,
    verdicts,
)

FRONT, STYLE, DATA, PRINT = "index.html", "style.css", "report.json", "report.pdf"
PER_LIST = 100
"""How many inputs stand on one list; as many have theirs on the front."""
THUMB = 44
STATES = {
    "in progress": "In progress",
    "unfinished": "Unfinished",
    "complete": "Complete",
}


def page_of(case: Case | int) -> str:
    """Give the place of an input's page."""
    return f"inputs/{case if isinstance(case, int) else case.number:05d}.html"


def list_of(number: int, many: int) -> str:
    """Give the place of the list that has an input, which is the front where they are few."""
    return FRONT if many <= PER_LIST else f"lists/{(number - 1) // PER_LIST + 1:04d}.html"


@dataclass
class Budget:
    """Bytes for the pages of inputs, shared out: what one input leaves goes to those that follow."""

    left: float
    inputs: int
    coarser: int = 0
    bare: int = 0
    gone: int = 0

    def fitted(self, page: Callable[[Album, str], bytes], album: Album) -> bytes | None:
        """Give a page with the finest pictures that fit, at last without any, or None where even that is too much."""
        share = self.left / max(self.inputs, 1)
        self.inputs -= 1
        for level in range(len(LEVELS) if album.drawn else 1):
            album.level = level
            made = page(album, "Pictures are coarser than they could be, so that the report stays small." * (level > 0))
            if len(made) <= share:
                self.coarser += level > 0
                return self._spent(made)
        album.bare = True
        made = page(album, "Pictures are left out, so that the report stays small." if album.drawn else "")
        if len(made) > min(2 * share, self.left):
            self.gone += 1
            return None
        self.bare += bool(album.drawn)
        return self._spent(made)

    def _spent(self, page: bytes) -> bytes:
        self.left -= len(page)
        return page

    def note(self, max_mb: float) -> str:
        """Say what was done to keep to the size."""
        told = [
            f"pictures of {many(self.coarser, 'input')} are coarser" if self.coarser else "",
            f"pictures of {many(self.bare, 'input')} are left out" if self.bare else "",
            f"pages of {many(self.gone, 'input')} are left out" if self.gone else "",
        ]
        what = ", ".join(filter(None, told))
        return f"{what[:1].upper()}{what[1:]}, so that the pages have at most {max_mb:g} MB (--max-mb)." if what else ""


# ---------------------------------------------------------------- one input


@dataclass(eq=False)
class View:
    """One input as its page, a row of a list and the PDF show it."""

    case: Case
    album: Album
    samples: list[dict[str, Any]]
    row: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, case: Case, names: Mapping[str, str]) -> "View":
        """Draw everything that is shown of an input."""
        album = Album()
        places = dict.fromkeys(names, "")
        samples = []
        for sample in case.samples:
            own = shown(sample, names, case.errors, places, album)
            own |= {
                "heading": _heading(sample),
                "evidence": evidence(sample),
                "summary": agreed(sample, list(names.values())),
            }
            samples.append(own)
        return cls(case, album, samples, _row(case, tuple(names)))


def _heading(sample: Sample) -> str:
    answer = "; ".join(said(a) for a in sample.answers)
    several = len(sample.explained) > 1
    return f"Sample {sample.index + 1}: {answer}" if several else f"Answer: {answer}"


def evidence(sample: Sample) -> str:
    """Say what the strongest evidence is, and which methods say so."""
    by: dict[str, list[str]] = {}
    for entry in sample.entries:
        first = next((part for part in entry.strongest.parts if part.value > 0), None)
        if first is not None:
            by.setdefault(first.full, []).append(entry.name)
    told = [f"{part} ({listed(names)})" for part, names in sorted(by.items(), key=lambda each: -len(each[1]))]
    return f"Strongest evidence: {'; '.join(told)}." if told else ""


def _row(case: Case, names: tuple[str, ...]) -> dict[str, Any]:
    entries = [e for s in case.samples for e in s.entries]
    first = case.samples[0] if case.samples else None
    agreed = [a for a in map(mean_agreement, case.samples) if np.isfinite(a)]
    answer = "; ".join(said(a) for a in first.answers) if first else "no result"
    return {
        "number": case.number,
        "title": case.title,
        "gist": case.gist,
        "thumb": _thumb(first),
        "answer": answer + (f", and {case.of - 1:,} more samples" if case.of > 1 else ""),
        "agreement": signed(float(np.mean(agreed))) if agreed else "–",
        "verdicts": [(level, VERDICTS[level], text) for level, text in verdicts(entries, names)],
    }


def _thumb(sample: Sample | None) -> str:
    """Give a picture's small self, or nothing."""
    prediction = sample.explained.prediction if sample else None
    if prediction is None or not isinstance(prediction.input_spec, Image):
        return ""
    image = picture(np.asarray(prediction.display[0]), prediction.input_spec.scale)
    return "data:image/webp;base64," + b64encode(pixels(image, 2 * THUMB, 55)).decode("ascii")


def input_page(view: View, reading_: Reading, note: str) -> bytes:
    """Give the page of one input."""
    case, many = view.case, reading_.many
    around = [
        (words, page_of(case.number + step).partition("/")[2])
        for words, step in (("Previous", -1), ("Next", 1))
        if 1 <= case.number + step <= many
    ]
    return rendered(
        "study_input.html",
        {
            "title": case.title,
            "model": reading_.study.plan.model,
            "given": case.name,
            "index": f"../{FRONT}",
            "list": f"../{list_of(case.number, many)}#input-{case.number}",
            "many": many,
            "number": case.number,
            "around": around,
            "samples": view.samples,
            "more": case.of - len(case.samples),
            "most": SHOWN,
            "errors": list(case.errors.items()),
            "note": note,
            "marks": MARKS,
            "style": f"../{STYLE}",
        },
    )


# ---------------------------------------------------------------- lists and the front


def list_page(rows: Sequence[Mapping[str, Any]], place: str, reading_: Reading) -> bytes:
    """Give one list of inputs, with the way to the others."""
    lists = [list_of(n, reading_.many) for n in range(1, reading_.many + 1, PER_LIST)]
    return rendered(
        "study_list.html",
        {
            "title": f"Inputs {rows[0]['number']:,} to {rows[-1]['number']:,} of {reading_.many:,}",
            "model": reading_.study.plan.model,
            "rows": rows,
            "methods": list(reading_.names),
            "index": f"../{FRONT}",
            "up": "../",
            "lists": [(n, each.partition("/")[2], each == place) for n, each in enumerate(lists, 1)],
            "marks": {**MARKS, "failed": "–"},
            "style": f"../{STYLE}",
        },
    )


def front_page(
    reading_: Reading,
    tally: Tally,
    rows: Sequence[Mapping[str, Any]],
    *,
    created: str,
    command: str,
    notes: Sequence[str],
    files: Mapping[str, str],
    left_out: frozenset[int],
) -> bytes:
    """Give the page that says what the study is and what came of it."""
    context = front(reading_, tally, created, command)
    lists = [(n, list_of(n, reading_.many)) for n in range(1, reading_.many + 1, PER_LIST)]
    return rendered(
        "study.html",
        {
            **context,
            "notes": [*context["notes"], *notes],
            "rows": rows,
            "lists": [(f"{n:,}–{min(n + PER_LIST - 1, reading_.many):,}", place) for n, place in lists if not rows],
            "methods": list(reading_.names),
            "marks": {**MARKS, "failed": "–"},
            "words": VERDICTS,
            "files": files,
            "left_out": left_out,
            "up": "",
            "style": STYLE,
            "page_of": page_of,
        },
    )


def front(reading_: Reading, tally: Tally, created: str, command: str) -> dict[str, Any]:
    """Give what the front says, for the page and the PDF."""
    plan, first = reading_.study.plan, reading_.first
    origin = first.origin if first else None
    model = origin.model if origin else PurePath(plan.model).name
    return {
        "title": f"{model}: {many(reading_.many, 'input')}, explained {many(len(tally.names), 'way')}",
        "lead": _lead(reading_, tally),
        "state": reading_.state,
        "progress": _progress(reading_),
        "facts": _facts(reading_, tally, created),
        "card": card_of(plan.model, model, first) if first else None,
        "data": _data(reading_, tally),
        "predicted": [
            (label, f"{n:,}", percent(share), f"{100 * share:.1f}") for label, n, share in shares(tally.labels)
        ],
        "labels": len(tally.labels),
        "quality_names": [name for _, name, _ in tally.evidence()],
        "quality": [_quality(name, tally) for name in tally.names],
        "faithful": tally.faithfulness(),
        "agreement": matrix(tally.agreement, tally.names),
        "outliers": [(each.title, each.why, each.found()) for _, each in tally.outliers()],
        "failed": [failure.told() for failure in tally.failures.values()],
        "failed_more": tally.unlisted,
        "parameters": [(c.name, reading(c.method), asked(c)) for c in reading_.columns.values()],
        "identity": _identity(origin),
        "command": command,
        "notes": [],
        "many": reading_.many,
    }


def _lead(reading_: Reading, tally: Tally) -> str:
    what = f"{many(tally.made, 'explanation')} of {many(tally.samples, 'sample')} by {listed(tally.names)}."
    failed = sum(tally.failed.values()) if reading_.state == "complete" else reading_.states["failed"]
    missing = f"{many(failed, 'unit')} could not be made." if failed else ""
    return " ".join(filter(None, (what, checked(tally.levels), missing)))


def _progress(reading_: Reading) -> str:
    """Say how far a study is that has not ended."""
    if reading_.state == "complete":
        return ""
    ended, planned = reading_.states.total(), reading_.planned
    of = f" of {planned:,}" if planned else ""
    at = f" at {moment(reading_.updated)}" if reading_.updated else ""
    if reading_.state == "in progress":
        return f"In progress: {ended:,}{of} units had ended{at}, and a run is at work. Make the report again later."
    return f"Unfinished: {ended:,}{of} units ended, the last{at}. xaikit study run --resume goes on."


def moment(text: str) -> str:
    """Write a time as people read it."""
    return f"{text[:19].replace('T', ' ')} UTC"


def _facts(reading_: Reading, tally: Tally, created: str) -> dict[str, str]:
    plan, origin = reading_.study.plan, reading_.first.origin if reading_.first else None
    checks = [n for n in ("faithfulness", "stability", "randomisation") if getattr(plan.quality, n)]
    done, failed = (reading_.states[k] for k in ("done", "failed"))
    planned = f" of {reading_.planned:,} planned" if reading_.planned else ""
    spent = sum(m.seconds for m in tally.methods.values())
    return {
        "Model": (f"{origin.model} in {spoken(origin.framework)}" if origin else "not known")
        + (f", from {plan.model}" if origin is None or plan.model != origin.model else ""),
        "Units": f"{done + failed:,}{planned}: {done:,} done, {failed:,} failed",
        "State": STATES[reading_.state],
        "Explaining took": f"{seconds(spent)} in {sum(m.calls for m in tally.methods.values()):,} model calls",
        "Checks": listed(checks).capitalize() if checks else "those that cost nothing",
        "Seed": str(plan.seed),
        "Report": moment(created),
        "Versions": ", ".join(f"{n} {v}" for n, v in origin.versions.items()) if origin else "not known",
    }


def _data(reading_: Reading, tally: Tally) -> dict[str, str]:
    plan = reading_.study.plan.inputs
    where = ", ".join(plan.paths[:5]) + (f", and {len(plan.paths) - 5} more" if len(plan.paths) > 5 else "")
    more = [f"{n} {getattr(plan, n)}" for n in ("column", "id", "limit") if getattr(plan, n) is not None]
    found = {"From": where + (f" ({', '.join(more)})" if more else "")}
    found["Inputs"] = f"{reading_.many:,}" + (f", {tally.empty:,} without any result" if tally.empty else "")
    if tally.samples != tally.inputs - tally.empty:
        found["Samples"] = f"{tally.samples:,}"
    if tally.scores.count:
        write = probability if tally.score_kind == "probability" else number
        s = tally.scores
        what = "Confidence" if tally.score_kind == "probability" else tally.score_kind.capitalize()
        found[what] = f"median {write(s.median)}, from {write(s.low)} to {write(s.high)}"
    return found


def _quality(name: str, tally: Tally) -> dict[str, Any]:
    own = tally.methods[name]
    cells = []
    for key, _, write in tally.evidence():
        worst, spread = own.worst(key), own.quality.get(key)
        cells.append(("–", "") if worst is None or spread is None else (write(spread.median), write(worst)))
    levels = {**{k: own.levels[k] for k in ("ok", "warn", "fail", "none")}, "failed": tally.failed[name]}
    return {
        "name": name,
        "counts": [(level, n) for level, n in levels.items() if n],
        "cells": cells,
        "calls": f"{own.calls:,}",
        "time": seconds(own.seconds / max(own.levels.total(), 1)) if own.levels else "–",
    }


def asked(column: Column) -> str:
    """Say what a method was asked for."""
    told = settings(column.parameters) if column.parameters else "defaults"
    if column.target is None:
        return told
    target = column.target if not isinstance(column.target, Mapping) else settings(column.target)
    return f"target {target}, {told}"


def _identity(origin: Any) -> list[tuple[str, str]]:
    if origin is None:
        return []
    return [(n, v) for n, v in (("Fingerprint", origin.fingerprint), ("Weights id", origin.weights_id)) if v]
