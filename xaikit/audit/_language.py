"""Numbers, days and plurals as a language writes them, and the sentences of its letter."""

from collections.abc import Mapping
from datetime import date
from functools import cache
from typing import Any

from xaikit.errors import UnknownName

LANGUAGES = ("en", "pl")
SPACE = "\N{NO-BREAK SPACE}"
ENGLISH = "January February March April May June July August September October November December"
POLISH = "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia"
MONTHS = {"en": tuple(ENGLISH.split()), "pl": tuple(POLISH.split())}
PLACES = 4
"""Decimals that a letter has at most."""


def require_language(language: str) -> None:
    """Raise UnknownName for a language without a letter."""
    if language not in LANGUAGES:
        raise UnknownName("language of letters", language, LANGUAGES)


def written(value: float, language: str) -> str:
    """Write a number: 12,345.6 in English, 12 345,6 in Polish, where four digits stand together."""
    text = f"{value:,.{PLACES}f}".rstrip("0").rstrip(".") if value % 1 else f"{value:,.0f}"
    if language == "en":
        return text.replace("-", "\N{MINUS SIGN}")
    whole, point, rest = text.partition(".")
    grouped = whole.replace(",", "" if abs(value) < 10_000 else SPACE)
    return (grouped + point.replace(".", ",") + rest).replace("-", "\N{MINUS SIGN}")


def plural(value: float, language: str) -> str:
    """Give the plural category of a number by the Unicode CLDR: one, other; in Polish one, few, many, other."""
    if language == "en":
        return "one" if value == 1 else "other"
    if value % 1:
        return "other"
    count = abs(int(value))
    if count == 1:
        return "one"
    return "few" if count % 10 in (2, 3, 4) and count % 100 not in (12, 13, 14) else "many"


def counted(value: float, forms: Any, language: str) -> str:
    """Write a number into what is counted: a text with {n}, or such texts by plural category."""
    if isinstance(forms, Mapping):
        found = forms.get(plural(value, language), forms.get("other"))
        forms = next(iter(forms.values())) if found is None else found
    return str(forms).replace("{n}", written(value, language))


def day(value: date, language: str) -> str:
    """Write a day: 3 May 2026, 3 maja 2026 r."""
    text = f"{value.day}{SPACE}{MONTHS[language][value.month - 1]} {value.year}"
    return text if language == "en" else f"{text}{SPACE}r."


@cache
def room() -> Any:
    """The templates of letters and annexes."""
    from importlib.resources import files

    from jinja2 import DictLoader, Environment, StrictUndefined, select_autoescape

    found = {f.name: f.read_text("utf-8") for f in (files("xaikit.audit") / "templates").iterdir()}
    made = Environment(
        loader=DictLoader(found),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return made


@cache
def sentences(language: str) -> Any:
    """The sentences of a language, each a macro of its template."""
    require_language(language)
    return room().get_template(f"sentences.{language}.txt").module
