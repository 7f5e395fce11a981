"""The report of a study: pages, JSON and PDF in one folder, made in one pass over the inputs and put there whole."""

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xaikit.errors import MissingPackage, ParameterError, UnknownName, UsageError
from xaikit.report._page import rendered
from xaikit.report._room import Room, check_free
from xaikit.report._study import Case, Reading
from xaikit.report._study_json import Inputs, head
from xaikit.report._study_pages import (
    DATA,
    FRONT,
    PER_LIST,
    PRINT,
    STYLE,
    Budget,
    View,
    front,
    front_page,
    input_page,
    list_of,
    list_page,
    page_of,
)
from xaikit.report._tally import Tally
from xaikit.study import Study, open_study

FORMATS = ("html", "pdf", "json")
LEAST_MB, EACH_MB = 2.0, 0.1
"""How large the pages may be by default: so much, or so much for each input."""
PDF_INPUTS = 100
"""How many inputs the PDF has pages for, by default."""

Told = Callable[[float, int, str], None]


@dataclass(frozen=True)
class StudyReport:
    """A report of a study: its `folder`, the file to open first, `files` by format, and what it says in short."""

    folder: Path
    files: dict[str, Path]
    size: int
    inputs: int
    explanations: int
    failed: int
    state: str
    notes: tuple[str, ...]

    @property
    def page(self) -> Path:
        """The file to open first."""
        return next(iter(self.files.values()))

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON types."""
        return {
            **{name: str(path) for name, path in self.files.items()},
            "bytes": self.size,
            "inputs": self.inputs,
            "explanations": self.explanations,
            "failed": self.failed,
            "state": self.state,
            "notes": list(self.notes),
        }


def write_study_report(
    study: Study | str | os.PathLike[str],
    folder: str | os.PathLike[str] | None = None,
    *,
    formats: Sequence[str] = ("html", "json"),
    max_mb: float | None = None,
    pdf_inputs: int = PDF_INPUTS,
    command: str = "",
    progress: Told | None = None,
) -> StudyReport:
    """Write the report of a study into a folder (default: `report` in the study's), whole or not at all.

    "html" is index.html, which leads to a page for each input, "pdf" report.pdf with the first `pdf_inputs` inputs,
    "json" report.json after study.schema.json. Inputs are read one by one. Pages of more than `max_mb` together
    (default: 2, or 0.1 for each input) have coarser pictures, then none. The study may still be running: the report
    says so. Only an earlier report in the folder is replaced.

    Raises StorageError for a folder that is no study or cannot be written, UnknownName for another format,
    ParameterError, UsageError where files are that no report left, and MissingPackage for "pdf" without fpdf2.
    """
    study = study if isinstance(study, Study) else open_study(study)
    formats = tuple(dict.fromkeys(formats))
    for name in formats:
        if name not in FORMATS:
            raise UnknownName("format", name, FORMATS)
    if not formats:
        raise ParameterError(f"a report has at least one format: {', '.join(FORMATS)}")
    if max_mb is not None and not max_mb > 0:
        raise ParameterError(f"max_mb is a positive number of megabytes, not {max_mb!r}")
    if folder is None and not isinstance(study.folder, Path):
        raise UsageError(f"say in which folder the report of {study.folder} goes")
    target = Path(folder if folder is not None else study.folder / "report")
    if "pdf" in formats:
        _can_print()
    check_free(target)
    with Reading(study) as reading, Room(target) as room:
        with closing(_Making(reading, room, formats, max_mb, pdf_inputs, command, progress)) as making:
            making.go()
        room.settle()
    where = target.absolute()
    names = {"html": FRONT, "pdf": PRINT, "json": DATA}
    files = {name: where / names[name] for name in FORMATS if name in formats}
    t = making.tally
    failed = sum(t.failed.values()) if reading.state == "complete" else reading.states["failed"]
    return StudyReport(where, files, room.size, t.inputs, t.made, failed, reading.state, tuple(making.notes))


def _can_print() -> None:
    try:
        import fpdf  # noqa: F401
    except ImportError:
        raise MissingPackage("fpdf2", "report", "a PDF") from None


class _Making:
    """One pass over the inputs of a study, with all formats at once."""

    def __init__(
        self,
        reading: Reading,
        room: Room,
        formats: Sequence[str],
        max_mb: float | None,
        pdf_inputs: int,
        command: str,
        progress: Told | None,
    ) -> None:
        self.reading, self.room, self.formats, self.command, self.progress = reading, room, formats, command, progress
        self.max_mb = max(LEAST_MB, EACH_MB * reading.many) if max_mb is None else max_mb
        self.created = datetime.now(UTC).isoformat(timespec="seconds")
        self.tally = Tally(list(reading.names))
        self.budget = Budget(self.max_mb * 1e6, reading.many)
        self.inputs = Inputs(room.aside / ".inputs") if "json" in formats else None
        self.pdf_inputs = pdf_inputs
        self.rows: list[dict[str, Any]] = []
        self.gone: set[int] = set()
        self.printed: list[Any] = []
        self.notes: list[str] = []

    def go(self) -> None:
        """Make everything."""
        if "html" in self.formats:
            self.budget.left -= self.room.write(STYLE, rendered("study.css", {}))
        for case in self.reading.cases():
            self.tell(case.number - 1, case.title)
            self.take(case)
        self.tell(self.reading.many, "writing")
        self.end()

    def close(self) -> None:
        """Let go of files."""
        if self.inputs is not None:
            self.inputs.close()

    def tell(self, done: int, words: str) -> None:
        if self.progress is not None:
            self.progress(done, self.reading.many, words)

    def take(self, case: Case) -> None:
        """Take one input."""
        self.tally.add(case)
        prints = "pdf" in self.formats and case.number <= self.pdf_inputs
        page: str | None = None
        if "html" in self.formats or prints:
            view = View.of(case, self.reading.names)
            if prints:
                from xaikit.report._pdf import printed

                self.printed.append(printed(view))
            if "html" in self.formats:
                page = self.paged(view)
        if self.inputs is not None:
            self.inputs.add(case, self.reading, page)

    def paged(self, view: View) -> str | None:
        """Write the page of an input, and the list that it ends."""
        number, many = view.case.number, self.reading.many

        def made(_: Any, note: str) -> bytes:
            return input_page(view, self.reading, note)

        content = self.budget.fitted(made, view.album)
        page = page_of(number) if content is not None else None
        if content is None:
            self.gone.add(number)
        else:
            self.room.write(page_of(number), content)
        self.rows.append({**view.row, "page": page})
        if many > PER_LIST and (number % PER_LIST == 0 or number == many):
            place = list_of(number, many)
            self.budget.left -= self.room.write(place, list_page(self.rows, place, self.reading))
            self.rows = []
        return page

    def end(self) -> None:
        """Write what is about all inputs."""
        reading, tally = self.reading, self.tally
        if note := self.budget.note(self.max_mb):
            self.notes.append(note)
        files = {"PDF": PRINT} if "pdf" in self.formats else {}
        files |= {"JSON": DATA} if "json" in self.formats else {}
        if "pdf" in self.formats:
            from xaikit.report._pdf import write_pdf

            self.room.write(PRINT, write_pdf(front(reading, tally, self.created, self.command), self.printed))
        if "html" in self.formats:
            page = front_page(
                reading,
                tally,
                self.rows,
                created=self.created,
                command=self.command,
                notes=self.notes,
                files=files,
                left_out=frozenset(self.gone),
            )
            self.room.write(FRONT, page)
        if self.inputs is not None:
            told = head(
                reading,
                tally,
                created=self.created,
                command=self.command,
                notes=self.notes,
                pages=FRONT if "html" in self.formats else None,
            )
            whole = self.room.aside / ".report"
            self.inputs.written(whole, told)
            self.inputs.path.unlink()
            self.room.size += whole.stat().st_size
            self.room.take(DATA, whole)
