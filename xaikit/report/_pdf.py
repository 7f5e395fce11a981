"""A study's report for print: the front and its first inputs, written without a browser."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Any

import numpy as np

from xaikit.figures import Figure, Panel, TextPanel, rgba
from xaikit.render import png
from xaikit.render._fonts import font_files
from xaikit.render._layout import MARKS
from xaikit.render._web import cropped, reduced
from xaikit.report._album import INKED
from xaikit.report._view import VERDICTS

FONT = "DejaVu"
INK, MUTED, LINE, ACCENT = (22, 32, 43), (85, 98, 111), (205, 211, 218), (47, 109, 181)
LEVELS = {"ok": (31, 122, 77), "warn": (143, 92, 0), "fail": (179, 38, 30), "failed": (179, 38, 30), "none": MUTED}
MARGIN, GAP = 16.0, 5.0
ACROSS = 3
"""How many maps stand beside each other."""
TALLEST = 62.0
PIXELS, QUALITY = 330, 80
ROWS = 5
"""How many of the strongest parts are listed of each map."""
LONGEST = 420
"""Letters of a text, or of an error, that are printed."""


@dataclass(frozen=True)
class Shot:
    """A picture for print: its bytes, size in pixels, and what it shows."""

    data: bytes
    width: int
    height: int
    alt: str


@dataclass(frozen=True)
class Words:
    """A text for print, each word on its colour (red, green, blue), or None."""

    pieces: tuple[tuple[str, tuple[int, int, int] | None], ...]


@dataclass(frozen=True)
class Map:
    """One explanation for print."""

    name: str
    shown: Shot | Words | None
    range: str
    level: str
    verdict: str
    sentence: str
    parts: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Printed:
    """One sample for print; `errors` are methods without a result, and why."""

    title: str
    heading: str
    evidence: str
    summary: str
    inputs: tuple[Shot, ...] = ()
    text: str = ""
    lines: tuple[tuple[str, str], ...] = ()
    answers: tuple[tuple[str, str, float | None], ...] = ()
    legend: tuple[Shot, str, str] | None = None
    maps: tuple[Map, ...] = ()
    errors: tuple[tuple[str, str], ...] = field(default=())


def printed(view: Any) -> list[Printed]:
    """Give the samples of an input as they are printed."""
    case, errors = view.case, tuple(view.case.errors.items())
    if not view.samples:
        return [Printed(case.title, "There is no result", "", "", errors=errors)]
    return [_sample(case.title, s, errors) for s in view.samples]


def _sample(title: str, s: Mapping[str, Any], errors: tuple[tuple[str, str], ...]) -> Printed:
    figures = [f for _, own in s["inputs"] for f in own] + s["restored"]
    legend = s["legend"]
    return Printed(
        title,
        s["heading"],
        s["evidence"],
        s["summary"],
        tuple(shot for f in figures if isinstance(shot := _shot(f["figure"], f["panel"]), Shot)),
        " ".join(g.text for g, _ in s["inputs"] if g.text),
        tuple(line for g, _ in s["inputs"] for line in g.lines),
        tuple((row.name, row.text, row.share) for a in s["answers"] for row in a.rows),
        (_of_uri(legend["bar"], legend["alt"]), legend["low"], legend["high"]) if legend else None,
        tuple(_map(m) for m in s["maps"]),
        errors,
    )


def _map(m: Mapping[str, Any]) -> Map:
    parts = tuple((f"{n}, {where}" if where else n, value, share) for n, where, value, share in m["parts"][:ROWS])
    badge = m["badge"]
    shown = _shot(m["figure"], m["panel"])
    return Map(m["name"], shown, m["range"], badge.level, badge.text, m["sentence"], parts)


def _shot(figure: Any, panel: Panel) -> Shot | Words:
    """Give a figure as pixels, or as the words it is."""
    if isinstance(panel, TextPanel):
        return Words(tuple(_piece(text, value, panel) for text, value in panel.pieces))
    if figure.album is not None:
        image, sharp = figure.album.drawn[figure.number]
        form = "PNG" if sharp else "JPEG"
        data = reduced(image, PIXELS, 0 if sharp else QUALITY, form)
        height, width = image.shape[:2]
        return Shot(data, width, height, panel.alt)
    bare = Figure("", ((replace(panel, title="", subtitle="", facts=(), badge=None),),))
    return Shot(*cropped(png(bare, width=1300)), panel.alt)


def _piece(text: str, value: float | None, panel: TextPanel) -> tuple[str, tuple[int, int, int] | None]:
    if not value:
        return text, None
    *colour, alpha = rgba(np.array(value), panel.scale, INKED)
    red, green, blue = (round(255 * float(alpha * c + 1 - alpha)) for c in colour)
    return text, (red, green, blue)


def _of_uri(uri: str, alt: str) -> Shot:
    from base64 import b64decode

    return _measured(b64decode(uri.partition(",")[2]), alt)


def _measured(data: bytes, alt: str) -> Shot:
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))  # of a PNG's header
    return Shot(data, width, height, alt)


# ---------------------------------------------------------------- the document


def write_pdf(front: Mapping[str, Any], inputs: Sequence[Sequence[Printed]]) -> bytes:
    """Give the document: the front, and a part for each of the inputs, with bookmarks to all."""
    with _quiet():
        page = _Paper(front)
        page.front(inputs)
        for number, samples in enumerate(inputs, 1):
            page.input(number, samples)
        return bytes(page.pdf.output())


@contextmanager
def _quiet() -> Any:
    """Keep what is said of subsets of fonts, and of letters that they lack, off the terminal."""
    names = ("fontTools", "fpdf")
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


class _Paper:
    """A document under way."""

    def __init__(self, front: Mapping[str, Any]) -> None:
        from fpdf import FPDF, FontFace

        title = str(front["title"])

        class Numbered(FPDF):
            """Pages with a line at the bottom that says which they are."""

            def footer(self) -> None:
                self.set_y(-11)
                self.set_font(FONT, "", 7)
                self.set_text_color(*MUTED)
                self.cell(self.epw / 2, 4, _cut(title, 90))
                self.cell(self.epw / 2, 4, f"{self.page_no()} / {{nb}}", align="R")

        self.said, self.pdf, self.face = front, Numbered("portrait", "mm", "A4"), FontFace
        self.pdf.set_margins(MARGIN, 14, MARGIN)
        self.pdf.set_auto_page_break(True, 16)
        for style, path in font_files().items():
            self.pdf.add_font(FONT, style, path)
        self.pdf.set_lang("en")
        self.pdf.set_title(title)
        self.pdf.set_creator("xaikit")
        self.pdf.set_subject(str(front["lead"]))
        self.pdf.set_display_mode("fullwidth")
        self.pdf.add_page()

    # words

    def write(self, words: str, size: float = 9, colour: Any = INK, bold: bool = False, after: float = 1.5) -> None:
        """Write a paragraph."""
        self.pdf.set_font(FONT, "B" * bold, size)
        self.pdf.set_text_color(*colour)
        self.pdf.multi_cell(0, size * 0.48, _clean(words), align="L", new_x="LMARGIN", new_y="NEXT")
        self.pdf.ln(after)

    def heading(self, words: str, level: int) -> None:
        """Write a heading, with a bookmark; it does not stand alone at the foot of a page."""
        size = (17, 13, 10.5)[level]
        self.room(size + 18)
        if level:
            self.pdf.ln(3)
        self.pdf.start_section(_clean(words), level=level)
        self.write(words, size, INK, bold=True, after=1.5)

    def room(self, height: float) -> None:
        """Begin a page where less than so much is left of this one."""
        if self.pdf.get_y() + height > self.pdf.page_break_trigger:
            self.pdf.add_page()

    def facts(self, facts: Mapping[str, str]) -> None:
        """Write names and values."""
        rows = [[name, value] for name, value in facts.items()]
        self.table(rows, widths=(22, 78), names=True)

    def table(
        self,
        rows: Sequence[Sequence[Any]],
        head: Sequence[str] = (),
        widths: Sequence[float] = (),
        names: bool = False,
        align: Sequence[str] = (),
        size: float = 8,
    ) -> None:
        """Write a table; a cell is words, or (words, colour)."""
        if not rows:
            return
        self.pdf.set_font(FONT, "", size)
        self.pdf.set_text_color(*INK)
        self.pdf.set_draw_color(*LINE)
        self.pdf.set_fill_color(255, 255, 255)
        plain = self.face(color=INK)
        strong = self.face(color=MUTED if names else INK, emphasis=None if names else "B")
        count = len(rows[0])
        with self.pdf.table(
            col_widths=tuple(widths) or tuple([100 / count] * count),
            text_align=tuple(align) or ("LEFT",) * count,
            borders_layout="HORIZONTAL_LINES",
            line_height=size * 0.5,
            padding=(0.7, 1.2, 0.7, 0),
            headings_style=self.face(color=MUTED, emphasis=None),
            first_row_as_headings=bool(head),
        ) as table:
            if head:
                table.row([_clean(h) for h in head])
            for cells in rows:
                row = table.row()
                for k, cell in enumerate(cells):
                    words, colour = cell if isinstance(cell, tuple) else (cell, None)
                    face = self.face(color=colour) if colour else strong if k == 0 else plain
                    row.cell(_clean(str(words)), style=face)
        self.pdf.ln(2.5)

    def image(self, shot: Shot, x: float, y: float, width: float) -> None:
        """Put a picture."""
        self.pdf.image(BytesIO(shot.data), x=x, y=y, w=width, alt_text=_clean(shot.alt) or "A figure.")

    # the front

    def front(self, inputs: Sequence[Sequence[Printed]]) -> None:
        """Write what the study is and what came of it."""
        f = self.said
        self.heading(f["title"], 0)
        self.write(f["lead"], 10, MUTED, after=2)
        if f["progress"]:
            self.write(f["progress"], 10, LEVELS["warn"], bold=True, after=2)
        self.facts(f["facts"])
        if len(inputs) < f["many"]:
            left = f["many"] - len(inputs)
            self.write(
                f"This document has the first {len(inputs):,} of {f['many']:,} inputs; the other {left:,} are in the "
                "pages and in report.json.",
                9,
                bold=True,
            )
        for note in f["notes"]:
            self.write(note, 8, MUTED)
        if f["card"]:
            self.heading("The model", 1)
            if f["card"]["title"]:
                self.write(f["card"]["title"] + ".", 9)
            tested = {name: f"{value} {on}".strip() for name, value, on in f["card"]["tested"]}
            self.facts({**f["card"]["facts"], **tested})
            for limit in f["card"]["limits"]:
                self.write(f"•  {limit}", 8.5)
        self.heading("The data", 1)
        self.facts(f["data"])
        rows = [[label, count, share] for label, count, share, _ in f["predicted"]]
        self.table(rows, ("Answer", "Samples", "Share"), (40, 15, 15), align=("LEFT", "RIGHT", "RIGHT"))
        self.quality()
        self.outliers()
        self.failures()
        self.heading("How to read the methods", 1)
        self.table(f["parameters"], ("Method", "How to read it", "Asked"), (24, 56, 20))
        for name, value in f["identity"]:
            self.write(f"{name} {value}", 7, MUTED, after=0.5)
        if f["command"]:
            self.write(f["command"], 8, MUTED)

    def quality(self) -> None:
        """Write verdicts, evidence, faithfulness and agreement."""
        f = self.said
        self.heading("How far to trust the explanations", 1)
        rows = []
        for row in f["quality"]:
            verdicts = ", ".join(f"{MARKS.get(level, '–')} {n:,} {VERDICTS[level]}" for level, n in row["counts"])
            cells = [f"{median}, worst {worst}" if worst else median for median, worst in row["cells"]]
            rows.append([row["name"], verdicts, *cells, row["time"]])
        count = len(f["quality_names"])
        self.table(
            rows,
            ("Method", "Verdicts", *(f"{name}, median" for name in f["quality_names"]), "Time for one"),
            (22, 26, *[40 / max(count, 1)] * count, 12),
            align=("LEFT", "LEFT", *["RIGHT"] * (count + 1)),
            size=7.5,
        )
        if f["faithful"]:
            self.heading("Faithfulness", 2)
            self.write(
                "Medians of the areas under the score while the most important parts are hidden (deletion, better "
                "small) or shown (insertion, better large), and the same of random maps.",
                8,
                MUTED,
            )
            head = ("Method", "Deletion", "Insertion", "Deletion, random", "Insertion, random", "Beyond random")
            self.table(
                [[name, *cells] for name, cells in f["faithful"]], head, (30, 14, 14, 14, 14, 14), align=_numbers(6)
            )
        if f["agreement"]:
            self.heading("Agreement between the methods", 2)
            self.write("Spearman's rank correlation of the maps, from −1 to 1, mean over all samples.", 8, MUTED)
            names = [name for name, _ in f["agreement"]]
            rows = [[name, *(text for text, _ in cells)] for name, cells in f["agreement"]]
            self.table(
                rows, ("", *names), (30, *[70 / len(names)] * len(names)), align=_numbers(len(names) + 1), size=7.5
            )

    def outliers(self) -> None:
        """Write which inputs stand out."""
        if self.said["outliers"]:
            self.heading("Outliers", 1)
        rows = [
            [title if not k else "", o.name, o.said, o.by]
            for title, _, found in self.said["outliers"]
            for k, o in enumerate(found)
        ]
        self.table(rows, ("By", "Input", "What was found", "Method"), (26, 34, 18, 22))

    def failures(self) -> None:
        """Write what could not be made."""
        if not self.said["failed"]:
            return
        self.heading("What could not be made", 1)
        rows = [
            [(_cut(error, LONGEST), LEVELS["fail"]), methods, _named(names, more), f"{units:,}"]
            for error, methods, names, more, units in self.said["failed"]
        ]
        self.table(rows, ("Error", "Method", "Inputs", "Units"), (48, 20, 24, 8), align=("LEFT",) * 3 + ("RIGHT",))

    # one input

    def input(self, number: int, samples: Sequence[Printed]) -> None:
        """Write an input, on a page of its own."""
        self.pdf.add_page()
        self.heading(samples[0].title, 0)
        for s in samples:
            self.sample(s)

    def sample(self, s: Printed) -> None:
        """Write one sample."""
        self.heading(s.heading, 1)
        if s.evidence:
            self.write(s.evidence, 10, INK, bold=True)
        if s.summary:
            self.write(s.summary, 9)
        self.given(s)
        if s.text and not any(isinstance(m.shown, Words) for m in s.maps):
            self.write(_cut(s.text, 2 * LONGEST), 9, MUTED)
        if s.lines:
            pairs = [f"{name} {value}" for name, value in s.lines]
            self.write("   ·   ".join(pairs), 9, after=3)
        if s.legend:
            self.legend(*s.legend)
        self.maps(s.maps)
        for name, error in s.errors:
            self.write(f"{MARKS['fail']} {name} has no result: {_cut(error, LONGEST)}", 8.5, LEVELS["fail"])

    def given(self, s: Printed) -> None:
        """Put what was given, with the answer beside it."""
        pdf = self.pdf
        wide = [shot for shot in s.inputs if shot.width > 1.6 * shot.height]
        square = [shot for shot in s.inputs if shot.width <= 1.6 * shot.height]
        top, x = pdf.get_y(), MARGIN
        tall = 0.0
        if square:
            self.room(44)
            top = pdf.get_y()
        for shot in square[:3]:
            width = min(40.0, 40.0 * shot.width / shot.height)
            self.image(shot, x, top, width)
            tall = max(tall, width * shot.height / shot.width)
            x += width + GAP
        for k, (name, text, share) in enumerate(s.answers[:5]):
            y = top + 1 + 7.4 * k
            left = min(x, MARGIN + 100)
            width = pdf.w - MARGIN - left
            pdf.set_xy(left, y)
            pdf.set_font(FONT, "B" if not k else "", 8.5)
            pdf.set_text_color(*INK)
            pdf.cell(width - 22, 4, _clean(_cut(name, 60)))
            pdf.cell(22, 4, _clean(text), align="R")
            if share is not None:
                pdf.set_fill_color(230, 234, 239)
                pdf.rect(left, y + 4.3, width, 1.3, "F")
                pdf.set_fill_color(*(ACCENT if not k else MUTED))
                pdf.rect(left, y + 4.3, max(width * min(share, 1.0), 0.2), 1.3, "F")
        pdf.set_y(max(top + tall, top + 7.4 * min(len(s.answers), 5)) + 3)
        pdf.set_x(MARGIN)
        for shot in wide:
            self.wide(shot, 0.72 * pdf.epw)

    def wide(self, shot: Shot, width: float | None = None) -> None:
        """Put a picture over the width of the page."""
        width = self.pdf.epw if width is None else width
        height = width * shot.height / shot.width
        if height > 90:
            width, height = width * 90 / height, 90.0
        self.room(height + 2)
        self.image(shot, MARGIN, self.pdf.get_y(), width)
        self.pdf.set_y(self.pdf.get_y() + height + 2)

    def legend(self, bar: Shot, low: str, high: str) -> None:
        """Put the colours' scale with words at its ends."""
        pdf = self.pdf
        self.room(30)
        y = pdf.get_y()
        pdf.set_font(FONT, "", 7.5)
        pdf.set_text_color(*MUTED)
        third = pdf.epw / 3
        pdf.set_xy(MARGIN, y)
        pdf.cell(third - 2, 3.5, _clean(f"← {low}"), align="R")
        pdf.image(BytesIO(bar.data), x=MARGIN + third, y=y + 0.4, w=third, h=2.8, alt_text=_clean(bar.alt))
        pdf.set_xy(MARGIN + 2 * third + 2, y)
        pdf.cell(third - 2, 3.5, _clean(f"{high} →"))
        pdf.set_xy(MARGIN, y + 6)

    def maps(self, maps: Sequence[Map]) -> None:
        """Put the maps: pictures beside each other, drawings and texts below each other; then what they say."""
        beside = [m for m in maps if isinstance(m.shown, Shot) and m.shown.width <= 1.6 * m.shown.height]
        for k in range(0, len(beside), ACROSS):
            self.beside(beside[k : k + ACROSS])
        for m in maps:
            if m in beside:
                continue
            wide = isinstance(m.shown, Shot) and 0.8 * self.pdf.epw * m.shown.height / m.shown.width
            self.room(25 + min(wide or 20.0, 90.0))
            self.heading(m.name, 2)
            if isinstance(m.shown, Words):
                self.words(m.shown)
            elif m.shown is not None:
                self.wide(m.shown, 0.8 * self.pdf.epw)
            self.told(m)
        if beside:
            for m in beside:
                self.room(40)
                self.heading(m.name, 2)
                self.told(m)

    def beside(self, maps: Sequence[Map]) -> None:
        """Put up to three maps beside each other."""
        pdf = self.pdf
        width = (pdf.epw - GAP * (ACROSS - 1)) / ACROSS
        sizes = []
        for m in maps:
            assert isinstance(m.shown, Shot)
            height = min(width * m.shown.height / m.shown.width, TALLEST)
            sizes.append((height * m.shown.width / m.shown.height, height))
        tallest = max(h for _, h in sizes)
        self.room(tallest + 14)
        y = pdf.get_y()
        for k, (m, (own, _)) in enumerate(zip(maps, sizes, strict=True)):
            assert isinstance(m.shown, Shot)
            x = MARGIN + k * (width + GAP)
            pdf.set_xy(x, y)
            pdf.set_font(FONT, "B", 8.5)
            pdf.set_text_color(*INK)
            pdf.cell(width, 4.5, _clean(_cut(m.name, 44)))
            self.image(m.shown, x, y + 5, own)
            pdf.set_xy(x, y + 5.6 + tallest)
            pdf.set_font(FONT, "", 7)
            pdf.set_text_color(*MUTED)
            pdf.cell(width, 3.5, _clean(_cut(m.range, 52)))
        pdf.set_xy(MARGIN, y + tallest + 12)

    def words(self, words: Words) -> None:
        """Write a text with its words on their colours, line by line."""
        pdf = self.pdf
        pdf.set_font(FONT, "", 9)
        pdf.set_text_color(*INK)
        high, right = 5.2, pdf.w - MARGIN
        for text, colour in words.pieces:
            for piece in _pieces(_clean(text)):
                width = pdf.get_string_width(piece)
                if pdf.get_x() + width > right and piece.strip():
                    pdf.ln(high)
                if pdf.get_x() <= MARGIN and not piece.strip():
                    continue
                if pdf.get_y() + high > pdf.page_break_trigger:
                    pdf.add_page()
                    pdf.set_font(FONT, "", 9)
                    pdf.set_text_color(*INK)
                filled = colour is not None and bool(piece.strip())
                if filled and colour is not None:
                    pdf.set_fill_color(*colour)
                pdf.set_font(FONT, "", 9)
                pdf.cell(width, high - 0.6, piece, fill=filled)
        pdf.ln(high + 1.5)
        pdf.set_x(MARGIN)

    def told(self, m: Map) -> None:
        """Write verdict, sentence and strongest parts of a map."""
        self.write(f"{MARKS.get(m.level, '')} {m.verdict}", 8, LEVELS[m.level], after=0.5)
        self.write(m.sentence, 8.5, after=1)
        rows = [[(name, INK), value, share] for name, value, share in m.parts]
        self.table(rows, ("Part", "Value", "Share"), (60, 20, 20), align=("LEFT", "RIGHT", "RIGHT"), size=7.5)


def _pieces(text: str) -> Iterable[str]:
    """Cut a text where a line may end, spaces apart."""
    word = ""
    for letter in text:
        if letter.isspace():
            if word:
                yield word
            yield " "
            word = ""
        else:
            word += letter
    if word:
        yield word


def _numbers(count: int) -> tuple[str, ...]:
    return ("LEFT", *["RIGHT"] * (count - 1))


def _named(names: Sequence[tuple[int, str]], more: int) -> str:
    told = ", ".join(name for _, name in names)
    return f"{told}, and {more:,} more" if more else told


def _cut(words: str, most: int) -> str:
    return words if len(words) <= most else f"{words[: most - 1]}…"


def _clean(words: str) -> str:
    """Leave out what no font can show: controls, and halves of letters."""
    kept = "".join(c if c.isprintable() or c == "\n" else " " for c in words)
    with suppress(UnicodeError):
        kept.encode("utf-8")
        return kept
    return kept.encode("utf-8", "replace").decode("utf-8")
