"""The letter: one plain page for the person concerned, every sentence of which rests on a column of the record.

What would have changed the result comes first, then at most four reasons, then rights and whom to turn to. A change is
named only if the model was run with it, and with the very numbers that were run: not "at least", which nobody tested. A
reason is a column that counted against the person relative to the baseline on record, which is named.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.audit._events import Event, append_event
from xaikit.audit._keys import Key, key_of
from xaikit.audit._language import day, require_language, room, sentences
from xaikit.audit._record import AuditRecord
from xaikit.audit._recording import KeyFile, read
from xaikit.audit._terms import require_words
from xaikit.audit._words import Words, require_columns, words_of
from xaikit.errors import NotSupported, ParameterError, StorageError, UsageError, nearest
from xaikit.inputs import Classes, Table

ENDINGS = {"text": "txt", "html": "html", "pdf": "pdf"}
"""How files end in the formats of a letter."""
FORMATS = tuple(ENDINGS)
MOST_REASONS, MOST_WAYS = 4, 2
"""How many reasons and changes a letter names at most."""
LEAST = 0.05
"""The share of all that counted against the person from which on a column is a reason."""
GAP = 0.05
"""How far values may be from adding up to the difference to the baseline, as a share, to be reasons."""
CERTAIN = 0.7
"""The rank agreement with the second method, and over seeds, below which the order of reasons is not certain."""
DIGITS = 16
"""How many digits of the record's hash a letter tells."""
LONGEST = 25
"""Words of the longest sentence that reads well."""


@dataclass(frozen=True)
class Sentence:
    """A sentence, or an item of a list, and the columns of the record that it rests on."""

    text: str
    rests_on: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """A part of a letter: its title, sentences, a list, and what follows that."""

    name: str
    title: str
    before: tuple[Sentence, ...] = ()
    items: tuple[Sentence, ...] = ()
    after: tuple[Sentence, ...] = ()

    def __iter__(self) -> Iterator[Sentence]:
        return iter((*self.before, *self.items, *self.after))


@dataclass(frozen=True)
class Letter:
    """A letter about a record, as data; `text`, `html` and `pdf` are readers of it.

    `outcome` is "favourable" or "unfavourable". `words` names the table of reason codes, its version and SHA-256.
    """

    record: int
    record_hash: str
    language: str
    outcome: str
    title: str
    organisation: str
    addressee: str
    dated: str
    sections: tuple[Section, ...]
    reference: Sentence
    words: Mapping[str, str]

    @property
    def text(self) -> str:
        """The letter as plain text, in lines of at most 78 characters."""
        return str(room().get_template("letter.txt").render(letter=self, fill=_filled))

    @property
    def html(self) -> str:
        """The letter as a page that stands alone, for one sheet of paper."""
        return str(room().get_template("letter.html").render(letter=self))

    @property
    def pdf(self) -> bytes:
        """The letter as a PDF of one page. Raises MissingPackage, and ParameterError where it needs more."""
        from xaikit.audit._paper import pdf_of

        return pdf_of(self)

    def as_(self, format: str) -> bytes:
        """Give the letter in one of FORMATS, in bytes. Raises ParameterError for another one."""
        if format not in FORMATS:
            hint = nearest(str(format), FORMATS)
            raise ParameterError(f"a letter is written as {', '.join(FORMATS)}, not {format!r}{hint}")
        found: str | bytes = getattr(self, format)
        return found.encode() if isinstance(found, str) else found

    @property
    def longest_sentence(self) -> int:
        """The words of the longest sentence; items of lists, and the list of what was used, are no sentences."""
        told = [s.text for section in self.sections for s in (*section.before, *section.after)]
        each = (one for text in told for one in re.split(r"(?<=[.!?])\s+|:", text))
        return max((len(one.split()) for one in each if "," not in one), default=0)

    def to_dict(self) -> dict[str, Any]:
        """Give the letter as JSON types."""
        return {**asdict(self), "words": dict(self.words)}


def letter_from(told: Mapping[str, Any]) -> Letter:
    """Undo `to_dict`."""

    def several(each: Any) -> tuple[Sentence, ...]:
        return tuple(Sentence(s["text"], tuple(s["rests_on"])) for s in each)

    sections = tuple(
        Section(s["name"], s["title"], several(s["before"]), several(s["items"]), several(s["after"]))
        for s in told["sections"]
    )
    return Letter(**{**told, "sections": sections, "reference": several([told["reference"]])[0]})


def letter(
    db: str,
    number: int,
    *,
    language: str = "en",
    words: Words | Mapping[str, Any] | str | os.PathLike[str] | None = None,
    favourable: str | None = None,
    organisation: str | None = None,
    contact: str | None = None,
    recipient: str | None = None,
    dated: str | None = None,
    key: KeyFile = None,
) -> Letter:
    """Write a letter about a record to the person concerned; nothing is put on record, which `note_letter` does.

    `words` is a table of reason codes and plain words, a TOML file or a mapping (see `Words`); by default that of the
    network of the zoo, or the names of columns and classes as they are. `favourable` is the decision that is in favour
    of the person, `organisation` who decides, `contact` whom to turn to (all three may stand in the words), `recipient`
    whom the letter is for (by default that on record), `dated` a day, YYYY-MM-DD (by default today).

    Raises UnknownName for another language or record; ParameterError without a contact or where it is not known which
    decision is favourable; NotSupported for a record that holds no decision (schema 1, or a model without classes and
    threshold); StorageError for a record that was changed, that is encrypted, without the key, or that was erased.
    """
    require_language(language)
    record = read(db, number, key)
    _require_open(record)
    table = words_of(words, record)
    require_columns(table, record)
    return _Writer(record, table, language, favourable or table.favourable).letter(
        organisation or table.own(language, "organisation") or "",
        contact or table.own(language, "contact"),
        recipient or record.recipient or "",
        _day_of(dated),
    )


def _require_open(record: AuditRecord) -> None:
    if record.decision is None:
        why = "its schema, 1, holds none" if record.schema == 1 else "the model has no classes and no threshold"
        raise NotSupported(f"record {record.id} holds no decision that a letter could explain: {why}")
    if record.privacy == "encrypted":
        raise StorageError(f"the private part of record {record.id} is encrypted: give the key")
    if record.privacy == "erased":
        raise StorageError(f"the private part of record {record.id} was erased: no letter can be written")


def _day_of(dated: str | None) -> date:
    try:
        return datetime.now(UTC).date() if dated is None else date.fromisoformat(dated)
    except (TypeError, ValueError):
        raise ParameterError(f"dated is a day, YYYY-MM-DD, not {dated!r}") from None


@dataclass(frozen=True)
class _Writer:
    """Writes the sections of one letter."""

    record: AuditRecord
    words: Words
    language: str
    favourable: str | None

    def letter(self, organisation: str, contact: str | None, recipient: str, today: date) -> Letter:
        require_words("contact (whom to turn to)", contact)
        mine, record, say = self._is_mine(), self.record, sentences(self.language)
        sections = [self._decision(mine), *([] if mine else self._why()), self._rights(str(contact))]
        told = "" if mine else self.words.label
        made = day(date.fromisoformat(record.created[:10]), self.language)
        reference = say.reference(record.id, made, _grouped(record.hash[:DIGITS]), told)
        return Letter(
            record=record.id,
            record_hash=record.hash,
            language=self.language,
            outcome="favourable" if mine else "unfavourable",
            title=str(self.words.own(self.language, "title") or say.title()),
            organisation=organisation,
            addressee=f"{say.to()}: {recipient}" if recipient else "",
            dated=day(today, self.language),
            sections=tuple(sections),
            reference=Sentence(str(reference), ("id", "created", "hash")),
            words={"name": self.words.name, "version": self.words.version, "sha256": self.words.sha256},
        )

    def _decisions(self) -> tuple[str, ...]:
        spec, made = self.record.output_spec, str(self.record.decision)
        if isinstance(spec, Classes):
            return (*spec.names, "none")
        threshold = self.record.threshold or 0.0
        return (f"at least {threshold:g}", f"below {threshold:g}", made)

    def _is_mine(self) -> bool:
        """Whether what was decided in the end is in favour of the person."""
        known = self._decisions()
        if self.favourable is None:
            raise ParameterError(f"favourable says which decision is in favour of the person: {', '.join(known[:-1])}")
        if self.favourable not in known:
            hint = nearest(str(self.favourable), known)
            raise ParameterError(f"favourable is one of {', '.join(known[:-1])}, not {self.favourable!r}{hint}")
        return self._outcome() == self.favourable

    def _outcome(self) -> str:
        taken, known = self.record.taken, self._decisions()
        if taken is None:
            return str(self.record.decision)
        found = self.words.decisions.get(taken, taken)
        if found not in known:
            said = f"what was decided, {taken!r}, is none of {', '.join(known[:-1])}"
            raise ParameterError(f"{said}: the words map it to one of them, decisions = {{ {taken!r} = ... }}")
        return str(found)

    @property
    def _overruled(self) -> bool:
        return (self._outcome() == self.favourable) != (self.record.decision == self.favourable)

    def _decision(self, mine: bool) -> Section:
        record, say = self.record, sentences(self.language)
        name = "accepted" if mine else "refused"
        outcome = self.words.own(self.language, name) or getattr(say, name)(record.taken or record.decision)
        found = [_sentence(outcome, "decision", "taken", "threshold", "scores")]
        found.append(_sentence(say.role(record.involvement), "involvement"))
        if isinstance(record.input_spec, Table):
            names = [self.words.column(n, self.language) for n in record.input_spec.names]
            found.append(_sentence(say.used(names), "input_spec"))
        if mine:
            if self._overruled:
                found.append(_sentence(say.despite_model(), "decision", "taken"))
            found.append(_sentence(say.nothing_to_do()))
        return Section("decision", str(say.decision_title()), tuple(found))

    def _why(self) -> list[Section]:
        """What would have changed an unfavourable result, and why it was one; neither where a person overruled."""
        say = sentences(self.language)
        if self._overruled:
            title = str(say.reasons_title())
            return [Section("reasons", title, (_sentence(say.against_model(), "decision", "taken"),))]
        return [self._ways(), self._reasons()]

    def _ways(self) -> Section:
        say, title = sentences(self.language), str(sentences(self.language).ways_title())
        items = [self._way(i) for i in self._usable_ways()[:MOST_WAYS]]
        if not items:
            return Section("ways", title, (_sentence(say.no_way(), "counterfactual", "evidence"),))
        lead = _sentence(say.ways(len(items)), "counterfactual", "decision")
        after = (_sentence(say.tested(), "counterfactual.scores"), _sentence(say.no_promise(), "created"))
        return Section("ways", title, (lead,), tuple(items), after)

    def _usable_ways(self) -> list[int]:
        """Counterfactuals to the favourable decision, inside the data, that change only what can be changed."""
        found = self.record.counterfactual
        if found is None or found.wanted != self.favourable or not isinstance(self.record.output_spec, Classes):
            return []
        each = range(len(found.rows))
        return [
            i for i in each if not found.off_data[i] and all(self.words.changeable(n) for n, _, _ in found.changes[i])
        ]

    def _way(self, i: int) -> Sentence:
        found, say = self.record.counterfactual, sentences(self.language)
        assert found is not None
        then, now = (dict(zip(found.columns, row, strict=True)) for row in (found.row, found.rows[i]))
        told = []
        for name, _, _ in found.changes[i]:
            values = [self.words.value(name, row[name], self.language) for row in (now, then)]
            told.append(str(say.change(self.words.column(name, self.language), *values)))
        return _sentence(str(say.joint()).join(told), f"counterfactual.rows[{i}]", f"counterfactual.scores[{i}]")

    def _reasons(self) -> Section:
        say, title = sentences(self.language), str(sentences(self.language).reasons_title())
        found, rows = reasons_of(self.record, str(self.favourable)), baseline_rows(self.record)
        if not found or rows is None:
            return Section("reasons", title, (_sentence(say.no_reasons(), "explanation", "parameters", "status"),))
        lead = say.reasons(len(found), self.words.baseline(rows, self.language))
        before = (_sentence(lead, "explanation", "parameters.baseline", "input_spec.background"),)
        after = () if _is_certain(self.record) else (_sentence(say.uncertain(), "second", "quality"),)
        return Section("reasons", title, before, tuple(map(self._reason, found)), after)

    def _reason(self, column: int) -> Sentence:
        name, rows, say = self.record.input_spec.names[column], self.record.display, sentences(self.language)
        value = "" if rows is None else self.words.value(name, rows[0][name], self.language)
        told = say.reason(self.words.column(name, self.language), value, self.words.code(name))
        return _sentence(told, f"explanation.part_values[0, {column}]", f"display[0].{name}")

    def _rights(self, contact: str) -> Section:
        say = sentences(self.language)
        items = tuple(_sentence(line) for line in str(say.rights()).strip().splitlines())
        return Section("rights", str(say.rights_title()), (), items, (_sentence(say.contact(contact)),))


def _sentence(text: Any, *rests_on: str) -> Sentence:
    return Sentence(" ".join(str(text).split(" ")).strip(), rests_on)


def _grouped(digits: str) -> str:
    return " ".join(digits[i : i + 4] for i in range(0, len(digits), 4))


def reasons_of(record: AuditRecord, favourable: str) -> list[int]:
    """Give the columns that counted against the favourable decision, the strongest first, at most MOST_REASONS.

    None where the values do not add up to the difference to the baseline, where the explanation failed its checks,
    or where it is of neither the favourable decision nor the one that was made.
    """
    against = _against(record, favourable)
    if against is None or not against.any():
        return []
    least = LEAST * against.sum()
    return [int(i) for i in np.argsort(-against, kind="stable") if against[i] >= least and against[i] > 0][
        :MOST_REASONS
    ]


def _against(record: AuditRecord, favourable: str) -> Array | None:
    """How much each column counted against the person: (column,), 0 for those that did not."""
    sign = {favourable: -1.0, record.decision: 1.0}.get(record.target_label)
    gap = record.quality.get("completeness_gap_relative")
    if sign is None or gap is None or not abs(gap) <= GAP or record.status == "fail":
        return None
    values = by_columns(record)
    if values is None or not np.isfinite(values).all():
        return None
    return np.asarray(np.maximum(sign * values, 0))


def by_columns(record: AuditRecord) -> Array | None:
    """Give what each column of a table contributed: (column,), float64; None for other inputs."""
    spec = record.input_spec
    if not isinstance(spec, Table):
        return None
    values = np.asarray(record.values if record.part_values is None else record.part_values, np.float64)[0]
    if len(values) == len(spec.names):
        return values
    return np.array([values[spec.parts == c].sum() for c in range(len(spec.names))])


def baseline_rows(record: AuditRecord) -> int | None:
    """Count the rows of the baseline that values are relative to; None without one, and for what is no table."""
    if "baseline" not in record.origin.parameters or not isinstance(record.input_spec, Table):
        return None
    asked = record.origin.parameters["baseline"]
    if asked is None:
        return len(record.input_spec.background or ()) or None
    return len(asked) if isinstance(asked, list | tuple | np.ndarray) else None


def _is_certain(record: AuditRecord) -> bool:
    told = [record.quality.get("rank_agreement"), (record.second or {}).get("agreement")]
    return record.status == "ok" and all(t >= CERTAIN for t in told if t is not None)


def _filled(text: str, indent: str = "") -> str:
    from textwrap import fill

    return fill(text, 78, initial_indent=indent, subsequent_indent=" " * len(indent), break_on_hyphens=False)


def note_letter(
    db: str,
    letter: Letter,
    *,
    channel: str,
    author: str | None = None,
    recipient: str | None = None,
    formats: tuple[str, ...] = ("text",),
    key: KeyFile = None,
) -> Event:
    """Put on record that a letter was handed out: its SHA-256 in each format, language, words, recipient and channel.

    The letter itself is kept with it, so that it can be shown and handed to others as it was. Where the record is
    encrypted, neither the letter nor the recipient is kept, and the hashes are keyed ones, which needs the `key`: what
    can be erased there would stay here. Raises UnknownName, StorageError for a letter about another record.
    """
    require_words("channel", channel)
    columns = read(db, letter.record, key)
    if columns.hash != letter.record_hash:
        raise StorageError(f"the letter is about another record than record {letter.record} of this database")
    content = {"channel": channel, "language": letter.language, "words": dict(letter.words), "about": columns.hash}
    hashes = {name: hashlib.sha256(letter.as_(name)).hexdigest() for name in formats}
    if columns.privacy in ("clear", "hash"):
        open_ = {"recipient": recipient or columns.recipient, "letter": letter.to_dict(), "sha256": hashes}
        return append_event(db, "letter", letter.record, author=author, content={**content, **open_})
    keyed = {name: _required(key).hash(digest) for name, digest in hashes.items()}
    return append_event(db, "letter", letter.record, author=author, content={**content, "hmac_sha256": keyed})


def _required(key: KeyFile) -> Key:
    found = key_of(key)
    if found is None:
        raise UsageError("the record is encrypted: a letter about it is noted with the key")
    return found
