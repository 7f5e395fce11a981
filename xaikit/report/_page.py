"""One page about one sample: what several frameworks answered, and what several methods say about why."""

import os
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import UsageError
from xaikit.figures import (
    Badge,
    Figure,
    ImagePanel,
    Legend,
    MapPanel,
    Panel,
    answer_of,
    badge_of,
    label_of,
    names_with_scores,
    number,
    panels,
    percent,
    picture,
    probability,
    reading,
    score_of,
    seconds,
    spoken,
    unit,
)
from xaikit.inputs import Image
from xaikit.render import legend_png, picture_png, png
from xaikit.results import Attribution
from xaikit.storage import write_atomically

Results = Mapping[str, Mapping[str, Attribution]]

MAP_WIDTH, PHOTO_WIDTH = 400, 480
MOST_BYTES = 1_900_000
"""Above this size of the page its maps are drawn with a palette of 256 colours."""
AGREEMENT_OF_PARTS, AGREEMENT_OF_GRADIENTS = 1e-4, 1e-5
"""Up to which two frameworks are said to give one answer: values of parts, and outputs and gradients."""
Measure = tuple[str, str, Callable[[float], str]]
QUALITY: tuple[Measure, ...] = (
    ("completeness_gap_relative", "Completeness gap", percent),
    ("surrogate_r2", "Surrogate R²", number),
    ("standard_error", "Standard error", percent),
)
EVIDENCE: tuple[Measure, ...] = (
    ("advantage", "Beyond random maps", lambda value: f"{number(value, 2)} sd"),
    ("rank_agreement", "Agreement over seeds", lambda value: number(value, 2)),
    ("randomised_similarity", "Left with random weights", lambda value: number(value, 2)),
)
"""What is measured only on request; it has a column where any result has it."""
LOWEST = ("surrogate_r2", "advantage", "rank_agreement")
"""Measures of which the lowest is the worst."""


def evidence_columns(qualities: Iterable[Iterable[str]]) -> tuple[Measure, ...]:
    """Choose the columns for results that have these numbers."""
    there = {name for names in qualities for name in names}
    return (*QUALITY, *(m for m in EVIDENCE if m[0] in there))


def write_page(
    path: str | os.PathLike[str],
    results: Results,
    *,
    title: str,
    summary: str = "",
    photo: Array | None = None,
    credit: str = "",
    agreement: Mapping[str, float] | None = None,
    timings: Mapping[str, float] | None = None,
    about: Mapping[str, str] | None = None,
    command: str = "",
) -> Path:
    """Write one self-contained HTML page about one sample, and give its absolute path.

    `results` maps frameworks to methods to Attributions of one sample each, the same methods for all. `photo`
    (height, width, 3) uint8 is the picture as a person has it (default: as the network is given it), `credit` its
    source. `agreement` maps a method, or "output", to max|a - b| / max|a| between the frameworks; `timings` maps a
    step to seconds; `about` says in pairs what the model is; `command` makes the page again. Nothing is calculated
    here: numbers are those of the results.

    Raises UsageError if the results do not fit on one page; on any error no file is left behind.
    """
    _check(results)
    words = {
        "title": title,
        "summary": summary,
        "credit": credit,
        "about": dict(about or {}),
        "command": command,
        "timings": {step: seconds(value) for step, value in (timings or {}).items()},
    }
    page = rendered("page.html", _context(results, agreement or {}, photo, colours=None) | words)
    if len(page) > MOST_BYTES:
        page = rendered("page.html", _context(results, agreement or {}, photo, colours=256) | words)
    target = Path(path).absolute()
    write_atomically(target, page)
    return target


def _context(
    results: Results, agreement: Mapping[str, float], photo: Array | None, colours: int | None
) -> dict[str, Any]:
    """What the page shows of the results."""
    figure = panels(results)
    columns = evidence_columns(r.quality for group in results.values() for r in group.values())
    drawn = [_drawn(panel, colours) for panel in figure.panels if panel.badge is not None]
    return {
        "answers": _answers(results),
        "verdict": _verdict(results, agreement),
        "photo": _photo(results, photo),
        "methods": _methods(results, figure, drawn, agreement, columns),
        "frameworks": [spoken(f) for f in results],
        "quality": [name for _, name, _ in columns],
        "versions": _versions(results),
        "legend": _legend(figure.legend),
        "notes": figure.notes,
        "marks": {"ok": "✓", "warn": "▲", "fail": "✗", "none": "○"},
    }


def _check(results: Results) -> None:
    methods = [tuple(group) for group in results.values()]
    if not methods or not methods[0]:
        raise UsageError("a page needs at least one framework with at least one result")
    if len(set(methods)) > 1:
        raise UsageError(
            f"every framework needs the same methods in the same order, not {' and '.join(map(str, methods))}"
        )
    for framework, group in results.items():
        for method, result in group.items():
            if len(result) != 1:
                raise UsageError(f"a page shows one sample; {framework} {method} has {len(result)}: choose one, e[0]")


def rendered(template: str, context: Mapping[str, Any]) -> bytes:
    """Fill one of the package's templates."""
    text: str = _templates().get_template(template).render(context)
    return text.encode("utf-8")


@cache
def _templates() -> Any:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    folder = files("xaikit.report") / "templates"
    loader = FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8"))
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


# ---------------------------------------------------------------- pictures


@dataclass(frozen=True)
class Picture:
    """A picture in the page: its bytes as a data URI, and what it shows in words."""

    source: str
    alt: str


def _inline(data: bytes, alt: str) -> Picture:
    return Picture("data:image/png;base64," + b64encode(data).decode("ascii"), alt)


def _drawn(panel: Panel, colours: int | None) -> Picture:
    if isinstance(panel, MapPanel | ImagePanel):
        return _inline(picture_png(panel, MAP_WIDTH, colours), panel.alt)
    bare = replace(panel, title="", subtitle="", facts=(), badge=None)
    return _inline(png(Figure("", ((bare,),))), panel.alt)


def _photo(results: Results, photo: Array | None) -> Picture | None:
    first = next(iter(next(iter(results.values())).values()))
    if photo is None:
        if not isinstance(first.input_spec, Image):
            return None
        photo = picture(first.display[0], first.input_spec.scale)
    image = picture(photo)
    width = min(PHOTO_WIDTH, max(image.shape[1], MAP_WIDTH))
    return _inline(picture_png(ImagePanel(image=image, title="the input"), width), f"The input: {answer_of(first, 0)}.")


def _legend(legend: Legend | None) -> dict[str, Any] | None:
    if legend is None:
        return None
    alt = f"Colour scale from blue ({legend.low}) over grey (zero) to red ({legend.high})."
    ticks = [(f"{100 * at:g}%", words) for at, words in legend.ticks]
    return {"bar": _inline(legend_png(legend), alt), "ticks": ticks, "low": legend.low, "high": legend.high}


# ---------------------------------------------------------------- words and numbers


def _answers(results: Results) -> list[dict[str, Any]]:
    """For each framework: the answer, and the classes with their probabilities as text and as width of a bar."""
    found = []
    for framework, group in results.items():
        first = next(iter(group.values()))
        label = label_of(first, 0)
        names = [
            {"name": name, "score": probability(p), "width": f"{100 * p:.1f}", "chosen": name == label}
            for name, p in names_with_scores(first, 0)
        ]
        found.append({"framework": spoken(framework), "label": label, "score": score_of(first, 0), "names": names})
    return found


def _verdict(results: Results, agreement: Mapping[str, float]) -> str:
    """Say in one sentence whether the frameworks give one answer."""
    answers = [f"{a['label']} ({a['score']})" if a["score"] else a["label"] for a in _answers(results)]
    names = [spoken(f) for f in results]
    if len(names) == 1:
        return f"{names[0]} answers {answers[0]}."
    same = len(set(answers)) == 1
    said = (
        f"{' and '.join(names)} both answer {answers[0]}"
        if same and len(names) == 2
        else "; ".join(f"{n} answers {a}" for n, a in zip(names, answers, strict=True))
    )
    if "output" in agreement:
        said += f", and their outputs differ by {number(agreement['output'], 2)} of the largest"
    return said + "."


@dataclass(frozen=True)
class Cell:
    """One method in one framework."""

    framework: str
    picture: Picture
    range: str
    badge: Badge
    quality: tuple[str, ...]
    calls: str
    time: str


@dataclass(frozen=True)
class Method:
    """One method in all frameworks."""

    name: str
    reading: str
    unit: str
    explained: str
    cells: tuple[Cell, ...]
    agreement: str
    agrees: bool | None
    parameters: str
    seed: str

    @property
    def one_verdict(self) -> bool:
        """Whether all frameworks have the same verdict for the same reasons."""
        return len({cell.badge for cell in self.cells}) == 1


def _methods(
    results: Results,
    figure: Figure,
    drawn: list[Picture],
    agreement: Mapping[str, float],
    columns: Sequence[Measure],
) -> list[Method]:
    shown = iter(zip([p for p in figure.panels if p.badge is not None], drawn, strict=True))
    cells = {(f, m): _cell(f, r, *next(shown), columns) for f, group in results.items() for m, r in group.items()}
    methods = next(iter(results.values()))
    return [_method(m, {f: group[m] for f, group in results.items()}, cells, agreement) for m in methods]


def _method(
    name: str,
    each: Mapping[str, Attribution],
    cells: Mapping[tuple[str, str], Cell],
    agreement: Mapping[str, float],
) -> Method:
    first = next(iter(each.values()))
    limit = AGREEMENT_OF_GRADIENTS if first.part_values is None else AGREEMENT_OF_PARTS
    differ = agreement.get(name)
    parameters = dict.fromkeys(_parameters(r) for r in each.values())
    return Method(
        name=spoken(name),
        reading=reading(first.origin.method),
        unit=unit(first),
        explained=first.origin.score,
        cells=tuple(cells[f, name] for f in each),
        agreement="" if differ is None else number(differ, 2),
        agrees=None if differ is None else bool(differ <= limit),
        parameters=" | ".join(parameters),
        seed=", ".join(str(s) for s in dict.fromkeys(r.origin.seed for r in each.values())),
    )


def _cell(framework: str, result: Attribution, panel: Panel, shown: Picture, columns: Sequence[Measure]) -> Cell:
    quality = tuple(write(float(result.quality[key][0])) if key in result.quality else "–" for key, _, write in columns)
    return Cell(
        framework=spoken(framework),
        picture=shown,
        range=panel.subtitle,
        badge=badge_of(result),
        quality=quality,
        calls=f"{result.origin.model_calls:,}",
        time=seconds(result.origin.seconds),
    )


def _parameters(result: Attribution) -> str:
    layer = (f"layer {result.layer}",) if result.layer else ()
    written = (f"{k} {_plain(v)}" for k, v in result.origin.parameters.items() if v is not None and k != "layer")
    return ", ".join((*layer, *written)) or "defaults"


def _plain(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"array {' × '.join(map(str, value.shape))}"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return str(value)
    if isinstance(value, float | np.floating):
        return number(float(value))
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _versions(results: Results) -> list[tuple[str, str]]:
    """All versions in use, each name once, in alphabetical order after xaikit's own."""
    found = {n: v for group in results.values() for r in group.values() for n, v in r.origin.versions.items()}
    return sorted(found.items(), key=lambda pair: (pair[0] != "xaikit", pair[0].lower()))
