"""Attributions and comparisons as panels."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import UsageError, many
from xaikit.figures._colours import PERCENTILE, limit_of, paled, picture
from xaikit.figures._data import (
    BarPanel,
    Figure,
    ImagePanel,
    Legend,
    Line,
    LinePanel,
    MapPanel,
    Panel,
    Scale,
    ScorePanel,
    SurfacePanel,
    TextPanel,
)
from xaikit.figures._words import (
    answer_of,
    badge_of,
    facts_of,
    label_of,
    moment,
    names_with_scores,
    number,
    percent,
    probability,
    score_of,
    sizes_of,
    spoken,
    story,
    story_of_bars,
    time_axis,
    unit,
)
from xaikit.inputs import Classes, Image, Masks, Series, Table, Text
from xaikit.results import Attribution, Attributions, by_column

SAMPLES = 8
BARS = 20
CHANNELS = 12
PER_ROW, WIDE_PER_ROW = 6, 3
"""So many panels stand in one row: of pictures, and of bars, texts and series, which need room for words or time."""
FINEST = 300
"""The borders of more parts than this would cover the picture, and are not drawn."""


@singledispatch
def panels(result: Any, *, shared: bool = False) -> Figure:
    """Give a result as a Figure: panels of raw numbers, pictures and words that any renderer can draw.

    `result` is an Attribution, the Attributions of several inputs, a Comparison, a mapping of names (methods,
    say) to Attributions or Filters, or a mapping of frameworks to such mappings: then each framework is a row. At
    most eight samples are shown. Training Curves give one panel per metric, AnomalyScores a row per sample.

    Colours are centred at zero. By default maps of one method and sample have one range, so that frameworks
    compare, and each method its own: methods attribute to parts of very different size, and on one range the
    finer would be blank. The range (99th percentile of |values|, the maximum for parts) is printed with every
    map. `shared=True` gives one range to all maps in the same unit. Raises UsageError for anything else.
    """
    kind = type(result).__name__
    raise UsageError(f"there is no figure for {kind}: give a result, such as what xk.explain or xk.filters gives")


@panels.register
def _attribution(result: Attribution, *, shared: bool = False) -> Figure:
    return _figure({"": {"": result}}, shared)


@panels.register
def _several_inputs(result: Attributions, *, shared: bool = False) -> Figure:
    return _figure({"": {f"input {name}": e for name, e in result.items()}}, shared)


GROUPS: dict[type[Any], Callable[[Mapping[Any, Any]], Figure]] = {}
"""What draws a mapping that holds results of one other type, by that type."""


@panels.register
def _mapping(result: Mapping, *, shared: bool = False) -> Figure:  # type: ignore[type-arg]
    kinds = {type(r) for r in result.values()}
    if len(kinds) == 1 and (kind := kinds.pop()) in GROUPS:
        return GROUPS[kind](result)
    groups = result if all(isinstance(r, Mapping) for r in result.values()) else {"": result}
    wrong = [r for group in groups.values() for r in group.values() if not isinstance(r, Attribution)]
    if wrong or not result:
        found = type(wrong[0]).__name__ if wrong else "nothing"
        raise UsageError(f"a mapping is drawn when it holds Attributions, or mappings of them; this one holds {found}")
    named = {spoken(str(g)): {spoken(str(m)): r for m, r in group.items()} for g, group in groups.items()}
    return _figure(named, shared)


@dataclass(frozen=True)
class _Shown:
    """One sample of one result, on its way to a panel."""

    result: Attribution
    sample: int
    group: str
    name: str
    scale: Scale

    @property
    def values(self) -> Array:
        return np.asarray(self.result.values[self.sample], np.float64)

    @property
    def axes(self) -> tuple[str, ...]:
        return self.result.axes[1:]

    @property
    def method(self) -> str:
        return spoken(self.result.origin.method)


def _figure(groups: Mapping[str, Mapping[str, Attribution]], shared: bool) -> Figure:
    """Lay out every group (a framework, or the only one) as rows per sample: what was given, then each
    result."""
    results = [r for group in groups.values() for r in group.values()]
    count = min({len(r) for r in results})
    if any(len(r) != count for r in results):
        raise UsageError(
            f"results of {sorted({len(r) for r in results})} samples cannot be drawn side by side: "
            "explain the same samples by each method"
        )
    ranges = _ranges(results, shared)
    rows: list[tuple[Panel | None, ...]] = []
    drawn: list[Panel] = []
    for i in range(min(count, SAMPLES)):
        for group, members in groups.items():
            shown = [_Shown(r, i, group, name, ranges[_key(r, i, shared)]) for name, r in members.items()]
            cells = [_explained(s) for s in shown]
            scores = _scores(shown[0]) if len(results) == 1 else None
            given = _given(shown[0], scores is not None)
            if len(groups) > 1 and given is None:  # a picture would name the group
                cells = [replace(c, subtitle=f"{group} · {c.subtitle}") for c in cells]
            drawn += cells
            rows += _wrapped(given, cells, scores)
    return Figure(
        title=_title(results, count),
        subtitle=_subtitle(results, groups),
        rows=tuple(rows),
        legend=_legend(results, drawn),
        notes=_notes(drawn, count),
    )


def _wrapped(given: Panel | None, cells: list[Panel], scores: Panel | None) -> Iterator[tuple[Panel | None, ...]]:
    """Cut one sample's panels into even rows of at most PER_ROW; later rows leave the place under `given`
    empty."""
    head = [] if given is None else [given]
    wide = any(isinstance(p, BarPanel | LinePanel | TextPanel) for p in cells)
    rows = -(-len(cells) // ((WIDE_PER_ROW if wide else PER_ROW) - len(head)))
    room = -(-len(cells) // rows)
    tail = [] if scores is None else [scores]
    for start in range(0, len(cells), room):
        lead: list[Panel | None] = [*head] if start == 0 else [None for _ in head]
        yield (*lead, *cells[start : start + room], *(tail if start + room >= len(cells) else []))


# ---------------------------------------------------------------- ranges of colours


def _key(result: Attribution, sample: int, shared: bool) -> tuple[Any, ...]:
    return (unit(result),) if shared else (result.origin.method, unit(result), sample)


def _ranges(results: Sequence[Attribution], shared: bool) -> dict[tuple[Any, ...], Scale]:
    """Find the range of colours of every map: one for all that have the same key."""
    members: dict[tuple[Any, ...], list[tuple[Array, bool, str]]] = {}
    for r in results:
        for i in range(min(len(r), SAMPLES)):
            fine = r.parts is None and r.values[i].size > 1000
            members.setdefault(_key(r, i, shared), []).append((_summed(r, i), fine, unit(r)))
    return {
        key: Scale(max(limit_of([values], robust=fine) for values, fine, _ in found), found[0][2])
        for key, found in members.items()
    }


def _summed(result: Attribution, i: int) -> Array:
    """The numbers that get colours: summed over channels where these are drawn as one place."""
    values = np.asarray(result.values[i], np.float64)
    axes = result.axes[1:]
    if isinstance(result.input_spec, Series) or "channel" not in axes or axes == ("channel",):
        return values
    return np.asarray(values.sum(axes.index("channel")))


# ---------------------------------------------------------------- one panel


def _explained(s: _Shown) -> Panel:
    panel = _painter(s)(s)
    title = s.name or f"{s.method} for {label_of(s.result, s.sample)}"
    signless = ("sizes only: no sign",) if sizes_of(s.result) else ()
    facts = (*signless, *panel.facts, *facts_of(s.result, s.sample))
    return replace(panel, title=title, facts=facts, badge=badge_of(s.result))


def _painter(s: _Shown) -> Callable[[_Shown], Panel]:
    spec, axes = s.result.input_spec, s.axes
    if isinstance(spec, Table):
        return _columns
    if isinstance(spec, Text):
        one_a_token = s.values.shape == spec.shape
        return _tokens if one_a_token else _bars if s.values.ndim == 1 else _plane
    if isinstance(spec, Image) or {"height", "width"} <= set(axes):
        return _map
    if axes in (("time", "channel"), ("time",)):
        return _series
    if axes[:1] == ("band",):
        return _bands
    return _bars if s.values.ndim == 1 else _plane


def _map(s: _Shown) -> Panel:
    values = _summed(s.result, s.sample)
    if values.ndim != 2:
        return _plane(s)
    background = _photo(s)
    pale = None if background is None else paled(background)
    parts = None if s.result.parts is None else np.asarray(s.result.parts[s.sample])
    drawable = parts is not None and parts.ndim == 2 and len(np.unique(parts)) <= FINEST
    outlines = parts if drawable else None
    coarse = pale is not None and values.shape != pale.shape[:2]
    grid = (f"drawn from a grid of {values.shape[0]} × {values.shape[1]}",) if coarse else ()
    return MapPanel(
        values=values,
        scale=s.scale,
        background=pale,
        outlines=outlines,
        subtitle=_range(values, s.scale),
        facts=(*grid, *_beyond(values, s.scale)),
        alt=story(values, _what(s)),
    )


def _plane(s: _Shown) -> Panel:
    """A map of any array: the two longest axes are drawn, the others summed, and the panel says so."""
    values = s.values
    longest = sorted(np.argsort([-n for n in values.shape], kind="stable")[:2])
    others = tuple(a for a in range(values.ndim) if a not in longest)
    names = [s.axes[a] if a < len(s.axes) else f"axis {a}" for a in range(values.ndim)]
    plane = np.atleast_2d(values.sum(others))
    summed = tuple(a for a in others if values.shape[a] > 1)
    limit = limit_of([plane], robust=plane.size > 1000) if summed else s.scale.limit
    scale = replace(s.scale, limit=limit)
    said = (f"summed over {', '.join(names[a] for a in summed)}",) if summed else ()
    if len(longest) == 2 and names[longest[0]] == "time":  # which runs across
        return SurfacePanel(
            values=plane.T,
            rows=tuple(str(k) for k in range(plane.shape[1])),
            columns=tuple(str(k) for k in range(plane.shape[0])),
            scale=scale,
            row_label=names[longest[1]],
            column_label="step",
            subtitle=_range(plane, scale),
            facts=(*said, *_beyond(plane, scale)),
            alt=story(plane.T, _what(s)),
        )
    return MapPanel(
        values=plane,
        scale=scale,
        subtitle=_range(plane, scale),
        facts=(*said, *_beyond(plane, scale)),
        alt=story(plane, _what(s)),
    )


def _series(s: _Shown) -> Panel:
    values = s.values if s.values.ndim == 2 else s.values[:, None]
    signal = np.asarray(s.result.display[s.sample], np.float64).reshape(len(values), -1)
    values = np.broadcast_to(values, signal.shape)
    x, label = time_axis(len(values), getattr(s.result.input_spec, "rate", None))
    strongest = np.sort(np.argsort(-np.abs(values).sum(0), kind="stable")[:CHANNELS])
    names = [f"channel {c}" for c in range(signal.shape[1])] if signal.shape[1] > 1 else ["signal"]
    left = signal.shape[1] - len(strongest)
    said = (f"{left} channels with smaller contributions are not drawn",) if left else ()
    return LinePanel(
        lines=tuple(Line(names[c], x, signal[:, c], values[:, c]) for c in strongest),
        scale=s.scale,
        x_label=label,
        subtitle=_range(values, s.scale),
        facts=(*said, *_beyond(values, s.scale)),
        alt=_story_of_series(x, label, values, _what(s)),
    )


def _bands(s: _Shown) -> Panel:
    """Frequency bands in their order as bars, or as a table of colours beside channels."""
    known = s.result.origin.notes.get("bands", {})
    names = list(known) or [f"band {k}" for k in range(len(s.values))]
    labels = [f"{n}, {number(known[n][0])} to {number(known[n][1])} Hz" if n in known else n for n in names]
    kept = tuple(a for a, n in zip(s.axes, s.values.shape, strict=True) if n > 1 or a == "band")
    values = s.values.reshape(len(names), -1)
    if len(kept) == 1:
        return BarPanel(
            labels=tuple(labels),
            values=values[:, 0],
            unit=s.scale.unit,
            limit=s.scale.limit if np.isfinite(values).all() else None,
            subtitle=s.scale.unit,
            alt=story_of_bars(labels, values[:, 0], _what(s)),
        )
    columns = tuple(str(k) for k in range(values.shape[1]))
    band, column = np.unravel_index(int(np.nan_to_num(np.abs(values)).argmax()), values.shape)
    strongest = f"{names[band]}, {kept[-1]} {column} ({number(float(values[band, column]))})"
    return SurfacePanel(
        values=values,
        rows=tuple(labels),
        columns=columns,
        scale=s.scale,
        row_label="band",
        column_label=" × ".join(kept[1:]),
        subtitle=_range(values, s.scale),
        facts=_beyond(values, s.scale),
        alt=f"{_what(s)}: strongest in {strongest}.",
    )


def _story_of_series(x: Array, label: str, values: Array, what: str) -> str:
    step, channel = np.unravel_index(int(np.nan_to_num(np.abs(values)).argmax()), values.shape)
    value = number(float(values[step, channel]))
    return f"{what}: strongest at {moment(float(x[step]), label)}, channel {channel} ({value})."


def _tokens(s: _Shown) -> Panel:
    spec, shown = s.result.input_spec, s.result.display[s.sample]
    placed = spec.placed(shown) if isinstance(shown, str) else [None] * len(s.values)
    pieces = _pieces(shown, placed, s.values) if isinstance(shown, str) else _words(s)
    words = [(text, v) for text, v in pieces if v is not None]
    values = np.array([v for _, v in words])
    alt = story_of_bars([w for w, _ in words], values, _what(s)) if words else f"{_what(s)}: no word."
    return TextPanel(
        pieces=pieces, scale=s.scale, subtitle=_range(values, s.scale), facts=_beyond(values, s.scale), alt=alt
    )


def _pieces(text: str, placed: Sequence[Any], values: Array) -> tuple[tuple[str, float | None], ...]:
    """Cut the whole text into attributed tokens and what stands between them."""
    found: list[tuple[str, float | None]] = []
    end = 0
    for token, value in zip(placed, values, strict=True):
        if token is not None:
            _, start, stop = token
            found += [(text[end:start], None), (text[start:stop], float(value))]
            end = stop
    found.append((text[end:], None))
    return tuple((piece, value) for piece, value in found if piece)


def _words(s: _Shown) -> tuple[tuple[str, float | None], ...]:
    words = [str(w) for w in s.result.input_spec.decode(np.asarray(s.result.display[s.sample])[None])[0]]
    pairs = [((w, float(v)), (" ", None)) for w, v in zip(words, s.values, strict=True) if w]
    return tuple(piece for pair in pairs for piece in pair)


def _columns(s: _Shown) -> Panel:
    spec, row = s.result.input_spec, s.result.display[s.sample]
    labels = [f"{name} = {_value(row[name])}" for name in spec.names]
    return _sorted_bars(s, labels, by_column(s.result, s.sample))


def _bars(s: _Shown) -> Panel:
    x = np.asarray(s.result.x[s.sample])
    axis = s.axes[0] if s.axes else "feature"
    named = axis != "feature" and not axis.startswith("axis ")
    labels = [f"{axis} {k}" if named else f"[{k}]" for k in range(len(s.values))]
    if x.shape == s.values.shape:
        labels = [f"{label} = {_value(v)}" for label, v in zip(labels, x, strict=True)]
    return _sorted_bars(s, labels, s.values)


def _sorted_bars(s: _Shown, labels: Sequence[str], values: Array) -> Panel:
    """Largest first; what does not fit is added up in one last bar."""
    order = np.argsort(-np.nan_to_num(np.abs(values), nan=np.inf), kind="stable")
    named, rest = order[:BARS], order[BARS:]
    shown = [labels[k] for k in named] + ([f"{len(rest)} others together"] if len(rest) else [])
    numbers = np.concatenate([values[named], [values[rest].sum()] if len(rest) else []])
    return BarPanel(
        labels=tuple(shown),
        values=numbers,
        unit=s.scale.unit,
        limit=max(s.scale.limit, float(np.abs(numbers).max())) if np.isfinite(numbers).all() else None,
        subtitle=s.scale.unit,
        alt=story_of_bars(labels, values, _what(s)),
    )


def _value(value: Any) -> str:
    """Write what an input held: a whole number with all its figures, as the data has it."""
    if not isinstance(value, int | float | np.number):
        return str(value)
    given = float(value)
    return number(given, max(3, len(f"{abs(given):.0f}")) if given.is_integer() else 3)


# ---------------------------------------------------------------- what was given, and the answer


def _given(s: _Shown, beside_scores: bool) -> Panel | None:
    """The photo as the network was given it; other inputs are shown with their contributions."""
    photo = _photo(s)
    if photo is None:
        return None
    title = " · ".join(p for p in (s.group, answer_of(s.result, s.sample)) if p)
    names = [] if beside_scores else names_with_scores(s.result, s.sample)
    size = f"{photo.shape[1]} × {photo.shape[0]} pixels, as the network is given it"
    return ImagePanel(
        image=photo,
        title=title,
        subtitle=", ".join(f"{name} {probability(p)}" for name, p in names) or "the input",
        facts=(size,),
        alt=f"The picture, answered with {title}.",
    )


def _photo(s: _Shown) -> Array | None:
    spec = s.result.input_spec
    return picture(s.result.display[s.sample], spec.scale) if isinstance(spec, Image) else None


def _scores(s: _Shown) -> Panel | None:
    found = names_with_scores(s.result, s.sample)
    if not found:
        return None
    names, scores = zip(*found, strict=True)
    chosen = label_of(s.result, s.sample)
    alt = "The network's answer: " + ", ".join(f"{n} {probability(p)}" for n, p in found) + "."
    many = len(s.result.output_spec.names) if hasattr(s.result.output_spec, "names") else len(names)
    title = "The network's answer" if many <= len(names) else f"Top {len(names)} of {many:,} classes"
    return ScorePanel(names=names, scores=scores, chosen=chosen, title=title, subtitle="probability", alt=alt)


# ---------------------------------------------------------------- words about the whole figure


def _what(s: _Shown) -> str:
    named = f"{s.group}, " if s.group else ""
    return f"{named}{s.method} for {label_of(s.result, s.sample)}"


def _range(values: Array, scale: Scale) -> str:
    if not np.any(values):
        return "zero everywhere"
    return f"±{number(scale.limit)} {scale.unit}"


def _beyond(values: Array, scale: Scale) -> tuple[str, ...]:
    finite = values[np.isfinite(values)]
    share = float(np.mean(np.abs(finite) > scale.limit * (1 + 1e-9))) if finite.size else 0.0
    said = [f"{percent(share)} beyond, up to {number(float(np.abs(finite).max()))}"] if share else []
    return (
        *said,
        *([f"{many(values.size - finite.size, 'value')} not finite (yellow)"] if finite.size < values.size else []),
    )


def _title(results: Sequence[Attribution], count: int) -> str:
    methods = list(dict.fromkeys(spoken(r.origin.method) for r in results))
    labels = list(dict.fromkeys(label_of(r, i) for r in results for i in range(min(count, SAMPLES))))
    if count == 1 and len(labels) == 1:
        scores = list(dict.fromkeys(score_of(r, 0) for r in results))
        said = f"{labels[0]} {scores[0]}".strip() if len(scores) == 1 else f"{labels[0]} {' and '.join(scores)}"
    else:
        said = f"{count} samples" if count > 1 else ", ".join(labels[:4])
    return f"{said} · {', '.join(methods) if len(methods) <= 3 else f'{len(methods)} methods'}"


def _subtitle(results: Sequence[Attribution], groups: Mapping[str, Any]) -> str:
    origin = results[0].origin
    frameworks = [g for g in groups if g] or [spoken(origin.framework)]
    scores = " or ".join(dict.fromkeys(r.origin.score for r in results))
    seeds = ", ".join(str(n) for n in dict.fromkeys(r.origin.seed for r in results))
    return f"{origin.model} · {' and '.join(frameworks)} · explained: the {scores} · seed {seeds}"


def _legend(results: Sequence[Attribution], drawn: Sequence[Panel]) -> Legend | None:
    """One key to the colours of all panels: with numbers where all have one range, else relative to each
    range."""
    scales = [p.scale for p in drawn if isinstance(p, MapPanel | LinePanel | TextPanel)]
    if not scales:
        return None
    if len({s.limit for s in scales}) == 1:
        top = scales[0].limit
        ticks = tuple((k / 4, number((k / 2 - 1) * top)) for k in range(5))
    else:
        ticks = ((0.0, "−range"), (0.25, "−½"), (0.5, "0"), (0.75, "½"), (1.0, "+range"))
    labels = {label_of(r, i) for r in results for i in range(min(len(r), SAMPLES))}
    name = labels.pop() if len(labels) == 1 else "what is named above"
    pale = [p.background for p in drawn if isinstance(p, MapPanel) and p.background is not None]
    shade = float(np.mean([b.mean() / 255 for b in pale])) if pale else 1.0
    signless = {sizes_of(r) for r in results}
    if len(signless) == 1 and (more := signless.pop()):
        return Legend("diverging", ticks, "", more, shade)
    low, high = ("speaks against", "speaks for") if _of_classes(results) else ("lowers", "raises")
    return Legend("diverging", ticks, f"{low} {name}", f"{high} {name}", shade)


def _of_classes(results: Sequence[Attribution]) -> bool:
    return any(isinstance(r.output_spec, Classes | Masks) for r in results)


def _notes(drawn: Sequence[Panel], count: int) -> tuple[str, ...]:
    maps = [p for p in drawn if isinstance(p, MapPanel | LinePanel | TextPanel)]
    notes = []
    if len({p.scale.limit for p in maps}) > 1:
        notes.append("Each map's colours end at the range printed with it.")
    if any("beyond" in fact for p in maps for fact in p.facts):
        notes.append(f"A range covers {PERCENTILE:.0f} % of a map's values; what lies beyond takes the last colour.")
    if any(isinstance(p, MapPanel) and p.outlines is not None for p in maps):
        notes.append("Lines are the borders of the parts that were hidden and shown.")
    if count > SAMPLES:
        notes.append(f"{SAMPLES} of {count} samples are shown.")
    return tuple(notes)
