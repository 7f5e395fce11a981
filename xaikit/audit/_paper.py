"""A letter on one sheet of A4, written by fpdf2: no browser, and the same bytes each time."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from xaikit.errors import MissingPackage, ParameterError
from xaikit.render._fonts import font_files

if TYPE_CHECKING:
    from xaikit.audit._letter import Letter, Section

SIZES = (10.5, 10.0, 9.5, 9.0, 8.5, 8.0)
"""Sizes of the print, in points; the first with which the letter fits on one page is taken."""
MARGIN = 22
LEADING = 0.50
"""Millimetres of a line for every point."""


def pdf_of(letter: "Letter") -> bytes:
    """Write a letter on one page. Raises MissingPackage, and ParameterError where the smallest print needs more."""
    try:
        import fpdf  # noqa: F401
    except ModuleNotFoundError:
        raise MissingPackage("fpdf2", "report", "a letter as PDF") from None
    for size in SIZES:
        made = _written(letter, size)
        try:
            if made.page_no() == 1:
                return bytes(made.output())
        finally:
            for font in made.fonts.values():
                font.ttfont.close()  # fpdf2 leaves the files of its fonts open
    raise ParameterError("the letter does not fit on one page: shorten its words")


def _written(letter: "Letter", size: float) -> Any:
    from fpdf import FPDF

    pdf = FPDF(format="A4")
    pdf.set_creation_date(datetime(2000, 1, 1, tzinfo=UTC))
    pdf.set_lang(letter.language)
    pdf.set_title(letter.title)
    pdf.set_margins(MARGIN, MARGIN)
    pdf.set_auto_page_break(True, MARGIN)
    for style, path in font_files().items():
        pdf.add_font("letter", style, path)
    pdf.add_page()
    _paragraph(pdf, letter.dated, size, align="R")
    for line in filter(None, (letter.organisation, letter.addressee)):
        _paragraph(pdf, line, size)
    pdf.ln(size * LEADING * 1.4)
    _paragraph(pdf, letter.title, size * 1.45, "B")
    for section in letter.sections:
        _section(pdf, section, size)
    pdf.ln(size * LEADING)
    pdf.set_draw_color(150)
    pdf.line(MARGIN, pdf.get_y(), pdf.w - MARGIN, pdf.get_y())
    pdf.ln(1.5)
    _paragraph(pdf, letter.reference.text, size * 0.85)
    return pdf


def _section(pdf: Any, section: "Section", size: float) -> None:
    pdf.ln(size * LEADING * 0.75)
    _paragraph(pdf, section.title, size * 1.08, "B")
    if section.before:
        _paragraph(pdf, " ".join(s.text for s in section.before), size)
    for number, item in enumerate(section.items, start=1):
        mark = f"{number}." if section.name == "reasons" else "\N{BULLET}"
        pdf.set_font("letter", "", size)
        pdf.cell(6, size * LEADING, mark, align="R")
        pdf.set_x(MARGIN + 8)
        _paragraph(pdf, item.text, size)
    if section.after:
        _paragraph(pdf, " ".join(s.text for s in section.after), size)


def _paragraph(pdf: Any, text: str, size: float, style: str = "", align: str = "L") -> None:
    pdf.set_font("letter", style, size)
    pdf.multi_cell(0, size * LEADING, text, align=align, new_x="LMARGIN", new_y="NEXT")
