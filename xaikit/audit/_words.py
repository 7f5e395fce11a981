"""The words of letters: what the columns, values and decisions of a model are called, by whom and in which version."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from xaikit.audit._canonical import sha256
from xaikit.audit._language import LANGUAGES, counted, sentences, written
from xaikit.audit._record import AuditRecord
from xaikit.errors import InputError, ParameterError, nearest, not_there
from xaikit.inputs import Table

TOP = ("name", "version", "favourable", "decisions", "columns", *LANGUAGES)
OF_LANGUAGE = ("title", "accepted", "refused", "baseline", "organisation", "contact")
OF_COLUMN = ("code", "changeable", "unit", "values", *LANGUAGES)


@dataclass(frozen=True)
class Words:
    """A table of reason codes and words, with its `name` and `version`.

    `favourable` is the decision that is in favour of the person. `decisions` maps what was decided in the end (`taken`)
    to what a model decides. `languages` has, by language, the title and the sentences of the letter, what the baseline
    is called (by plural category), the organisation and whom to turn to. `columns` has, by column: its reason `code`,
    its name by language, what its numbers count (`unit`, a text with {n}, or such texts by plural category) and what
    its values are called; `changeable` is False for what nobody can be told to change.
    """

    name: str
    version: str
    favourable: str | None = None
    decisions: Mapping[str, str] = field(default_factory=dict)
    languages: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    columns: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 over the canonical JSON of all of it."""
        return sha256({n: getattr(self, n) for n in ("name", "version", "favourable", "decisions")} | self._tables)

    @property
    def _tables(self) -> dict[str, Any]:
        return {"languages": self.languages, "columns": self.columns}

    @property
    def label(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}"

    def own(self, language: str, name: str) -> Any:
        """Give a text of a language, None where there is none."""
        return self.languages.get(language, {}).get(name)

    def column(self, name: str, language: str) -> str:
        """Call a column by its name in a language."""
        return str(self.columns.get(name, {}).get(language, name.replace("_", " ")))

    def code(self, name: str) -> str:
        """Give the reason code of a column, "" where it has none."""
        return str(self.columns.get(name, {}).get("code", ""))

    def changeable(self, name: str) -> bool:
        """Whether a person can be told to change it."""
        return bool(self.columns.get(name, {}).get("changeable", True))

    def value(self, name: str, value: Any, language: str) -> str:
        """Write the value of a column."""
        column = self.columns.get(name, {})
        said = column.get("values", {}).get(language, {}).get(str(value))
        if said is not None:
            return str(said)
        if isinstance(value, bool):
            return str(getattr(sentences(language), "yes" if value else "no")())
        if isinstance(value, int | float):
            unit = column.get("unit", {}).get(language)
            return written(value, language) if unit is None else counted(value, unit, language)
        return str(value).replace("_", " ")

    def baseline(self, count: int, language: str) -> str:
        """Name what reasons are relative to, of so many rows."""
        forms = self.own(language, "baseline")
        if forms is not None:
            return counted(count, forms, language)
        return str(sentences(language).baseline(written(count, language)))


def words_of(source: Any, record: AuditRecord) -> Words:
    """Give the words of a letter about a record: a file or mapping, those of the network of the zoo, or its own names.

    Raises InputError for a file that cannot be read, ParameterError for what no table of words has.
    """
    if isinstance(source, Words):
        return source
    if isinstance(source, Mapping):
        return _words(source, "the words of the letter")
    if source is not None:
        return _words(_read(Path(source)), str(source))
    shipped = _shipped(record)
    return shipped if shipped is not None else Words(record.origin.model, "as in the model")


def _shipped(record: AuditRecord) -> Words | None:
    """Words that come with xaikit, where the record has the card of a network of the zoo, and so its weights."""
    from importlib.resources import files

    if record.card_hash is None or record.source is None:
        return None
    there = {f.name: f for f in (files("xaikit.audit") / "words").iterdir()}
    found = there.get(f"{record.source}.toml")
    return None if found is None else _words(tomllib.loads(found.read_text("utf-8")), record.source)


def _read(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(not_there(path, "file of words")) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"the words in {path} cannot be read: {error}") from None


def _words(told: Mapping[str, Any], where: str) -> Words:
    _require_known(told, TOP, where)
    for name in ("name", "version"):
        if not isinstance(told.get(name), str) or not told[name].strip():
            raise ParameterError(f"{where}: words have a name and a version, so that a letter can say which they were")
    languages = {language: _table(told, language, where) for language in LANGUAGES if language in told}
    for language, own in languages.items():
        _require_known(own, OF_LANGUAGE, f"{where}: {language}")
    columns = _table(told, "columns", where)
    for column in columns:
        _require_known(_table(columns, column, where), OF_COLUMN, f"{where}: columns.{column}")
    decisions = _table(told, "decisions", where)
    return Words(told["name"], told["version"], told.get("favourable"), decisions, languages, columns)


def _table(told: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    found = told.get(name, {})
    if not isinstance(found, Mapping):
        raise ParameterError(f"{where}: {name} is a table, not {found!r}")
    return found


def _require_known(told: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for name in told:
        if name not in known:
            raise ParameterError(f"{where}: there is no {name!r}{nearest(str(name), known)}; known: {', '.join(known)}")


def require_columns(words: Words, record: AuditRecord) -> None:
    """Raise ParameterError for words of columns that the model does not have."""
    names = record.input_spec.names if isinstance(record.input_spec, Table) else ()
    for name in words.columns:
        if name not in names:
            said = f"the words {words.label} have a column {name!r}, which {record.origin.model} has not"
            raise ParameterError(said + nearest(name, names))
