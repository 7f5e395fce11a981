"""Which samples a view speaks of: the gallery of its model, or the slice that its address names.

A slice is a text of terms joined by ";", as `label:cat;answer:dog;p<0.6;random:50@7`. A term is the name of what is
known of a sample, an operator and a value: `name:a|b` is one of several, `name<3`, `<=`, `>`, `>=` compare numbers,
`right`, `wrong` and `flagged` stand alone, `words:awful` looks for a word, `random:50@7` takes fifty by seed 7, and
`set:own-…` means samples that somebody gave instead of the test data. What a name or value has of ";:<>|%" is written
as in addresses (%3B).
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
from dash import dcc, html

from xaikit.arrays import Array
from xaikit.errors import InputError, NotSupported, ParameterError, UnknownName
from xaikit.inputs import Category
from xaikit.jobs import Unit
from xaikit_app import thumbs
from xaikit_app.samples import Sample, Stock, given_stock, home
from xaikit_app.work.data import Answers

MOST = 200
KEY = "slice"
TERM = re.compile(r"([^<>:]+)(?:(<=|>=|<|>|:)(.*))?", re.DOTALL)
SAFE = " ,.()/-_?!'\"*+&=$@^~"
ALONE = {"right": "answered right", "wrong": "answered wrong", "flagged": "unusual by its error"}
ASKED = ("answer", "p", "error", "right", "wrong", "flagged")
"""What only the network's answers tell."""
SPOKEN = {
    "label": "label",
    "answer": "answer",
    "p": "probability",
    "error": "error",
    "length": "words in the text",
    "words": "contains",
    "mean": "mean",
    "deviation": "standard deviation",
    "lowest": "lowest value",
    "highest": "highest value",
}
STATISTICS: Mapping[str, Callable[[Array], Array]] = {
    "mean": lambda x: x.mean(1),
    "deviation": lambda x: x.std(1),
    "lowest": lambda x: x.min(1),
    "highest": lambda x: x.max(1),
}
COMPARE: Mapping[str, Callable[[Array, float], Array]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
NO_ANSWERS = "this slice asks for the network's answers, which are not there yet: ask for them on the page Data"


# ---------------------------------------------------------------- a slice as text


@dataclass(frozen=True)
class Term:
    """One condition: what it is about, an operator ("" where the name says all), and a value as text."""

    name: str
    operator: str = ""
    value: str = ""

    @property
    def text(self) -> str:
        """The term as it stands in an address."""
        value = self.value if self.operator != ":" else "|".join(quote(v, SAFE) for v in self.values)
        return f"{quote(self.name, SAFE)}{self.operator}{value}"

    @property
    def values(self) -> tuple[str, ...]:
        """The values of which one has to be met."""
        return tuple(self.value.split("\0"))

    @property
    def words(self) -> str:
        """The term as a person says it."""
        if not self.operator:
            return ALONE.get(self.name, self.name)
        if self.name == "random":
            count, _, seed = self.value.partition("@")
            return f"{count} at random, seed {seed or 0}"
        if self.name == "set":
            return "samples that were given"
        name = SPOKEN.get(self.name, self.name)
        if self.operator != ":":
            return f"{name} {self.operator} {self.value}"
        return f"{name} {' or '.join(self.values)}"


def terms(text: str | None) -> tuple[Term, ...]:
    """Read a slice. Raises ParameterError for what is no term."""
    return tuple(_term(part) for part in (text or "").split(";") if part)


def _term(part: str) -> Term:
    found = TERM.fullmatch(part)
    if found is None:
        raise ParameterError(f"a slice has terms as label:cat, p<0.6 or wrong, not {part[:40]!r}")
    name, operator, value = unquote(found[1]), found[2] or "", found[3] or ""
    if not operator and name not in ALONE:
        raise UnknownName("term of a slice", name, ALONE)
    if operator in COMPARE:
        _number(value, name)
    return Term(name, operator, "\0".join(unquote(v) for v in value.split("|")) if operator == ":" else value)


def text_of(found: Iterable[Term]) -> str:
    """Write a slice."""
    return ";".join(term.text for term in found)


def _number(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ParameterError(f"{SPOKEN.get(name, name)} is compared with a number, not {text!r}") from None
    if not np.isfinite(value):
        raise ParameterError(f"{SPOKEN.get(name, name)} is compared with a number, not {text!r}")
    return value


# ---------------------------------------------------------------- what is known of samples


class Cohort:
    """The samples of a view with what is known of them, and those that its slice leaves."""

    def __init__(self, view: Any) -> None:
        self.view, self.terms = view, terms(view.state.more.get(KEY))
        self.spec = view.description.inputs

    @cached_property
    def given(self) -> str | None:
        """The id of the samples that somebody gave, or None for those that the model has."""
        return next((t.value for t in self.terms if t.name == "set"), None)

    @cached_property
    def stock(self) -> Stock:
        """All samples. Raises InputError for samples that are not kept any more, NotSupported for several inputs."""
        if self.given is not None:
            return given_stock(self.view.services.own, self.given)
        gallery = thumbs.shelf(self.view)
        if gallery is None:
            raise NotSupported(
                f"{self.view.chosen.name} takes several inputs at once; there is no table of such samples"
            )
        return gallery.stock

    @cached_property
    def unit(self) -> Unit:
        """The unit that asks the network about all samples."""
        folder = self.view.services.settings.data
        if self.stock.tested:
            given: dict[str, Any] = {"network": self.view.chosen.name, "home": str(folder) if folder else None}
        else:
            given = {"samples": [self.stock.take(i).value for i in range(self.stock.count)]}
        return Unit(self.view.chosen.key, given, task="app-answers")

    @cached_property
    def answers(self) -> Answers | None:
        """What the network said of all samples, or None where it was not asked."""
        found: Answers | None = self.view.services.stored(self.unit)
        return found if found is not None and len(found) == self.stock.count else None

    @cached_property
    def found(self) -> Array:
        """The numbers of the samples in the slice, in order. Raises InputError, ParameterError, UnknownName."""
        kept = np.ones(self.stock.count, bool)
        for term in self.terms:
            if term.name not in ("random", "set"):
                kept &= self._meets(term)
        left = np.flatnonzero(kept)
        for term in self.terms:
            if term.name == "random":
                left = _some(left, term.value)
        return left

    @cached_property
    def known(self) -> dict[str, str]:
        """What samples can be chosen by, each with its kind: "choice", "number", "words" or "alone"."""
        spec, stock = self.spec, self.stock
        found = {"label": "choice"} if stock.labels is not None and stock.classes else {}
        said = self.answers
        if said is not None and said.kind == "classes":
            found |= {"answer": "choice", "p": "number"}
        if said is not None and self.right is not None:
            found |= {"right": "alone", "wrong": "alone"}
        if said is not None and self.errors is not None:
            found |= {"error": "number"}
            found |= {"flagged": "alone"} if np.isfinite(said.limit) else {}
        if spec.kind == "Table":
            found |= {n: "choice" if isinstance(c, Category) else "number" for n, c in spec.columns.items()}
        elif spec.kind == "Text":
            found |= {"length": "number", "words": "words"}
        elif stock.x is not None:
            found |= dict.fromkeys(STATISTICS, "number")
        return found

    def choices(self, name: str) -> tuple[str, ...]:
        """Give the values that a name of the kind "choice" can have."""
        if name == "label":
            return self.stock.classes
        if name == "answer":
            return self.answers.names if self.answers is not None else ()
        column = self.spec.columns[name]
        return tuple(str(v) for v in column.values)

    def numbers(self, name: str) -> Array:
        """Give one number for each sample: (sample,)."""
        if name in ASKED:
            return self._said(name)
        if name == "length":
            return np.array([len(str(text).split()) for text in self.stock.x])
        if name in STATISTICS and self.stock.x is not None and self.spec.kind != "Table":
            return STATISTICS[name](np.asarray(self.stock.x).reshape(self.stock.count, -1))
        return np.array([float(v) for v in self.column(name)])

    def column(self, name: str) -> Sequence[Any]:
        """Give one column of a table. Raises UnknownName."""
        if self.spec.kind != "Table" or name not in self.spec.columns:
            raise UnknownName("column", name, [*self.known])
        return columns_of(self.stock, self.spec)[name]

    @cached_property
    def right(self) -> Array | None:
        """Whether each answer is the label: (sample,) bool, None where that is not known."""
        labels, said = self.stock.labels, self.answers
        if said is None or labels is None or said.kind != "classes" or len(self.stock.classes) != len(said.names):
            return None
        return np.asarray(said.predicted == labels)

    @cached_property
    def errors(self) -> Array | None:
        """How far each answer is off: the reconstruction error, or that of values; None where it is not known."""
        said = self.answers
        if said is None or said.kind not in ("error", "values"):
            return None
        if said.kind == "error":
            return said.scores[:, 0]
        y = self.stock.y[said.output] if isinstance(self.stock.y, Mapping) else self.stock.y
        truth = np.asarray(y, np.float64).reshape(self.stock.count, -1) if y is not None else np.empty((0, 0))
        if truth.shape != said.scores.shape:
            return None
        return np.asarray(np.abs(said.scores - truth).mean(1))

    def _meets(self, term: Term) -> Array:
        if term.operator in COMPARE:
            return COMPARE[term.operator](self.numbers(term.name), _number(term.value, term.name))
        if not term.operator:
            return self._said(term.name).astype(bool)
        if term.name == "words":
            words = [re.compile(rf"(?<!\w){re.escape(w)}(?!\w)", re.IGNORECASE) for w in term.values]
            return np.array([any(w.search(str(text)) for w in words) for text in self.stock.x])
        if term.name == "label":
            return np.isin(self._labels(), [self._class(v, self.stock.classes) for v in term.values])
        if term.name == "answer":
            names = self._asked().names
            return np.isin(self._asked().predicted, [self._class(v, names) for v in term.values])
        return np.isin([str(v) for v in self.column(term.name)], term.values)

    def _labels(self) -> Array:
        if self.stock.labels is None:
            raise InputError("these samples have no labels: a slice cannot ask for one")
        return self.stock.labels

    def _class(self, name: str, classes: Sequence[str]) -> int:
        if name not in classes:
            raise UnknownName("class", name, classes)
        return list(classes).index(name)

    def _asked(self) -> Answers:
        if self.answers is None:
            raise InputError(NO_ANSWERS)
        return self.answers

    def _said(self, name: str) -> Array:
        said = self._asked()
        if name == "p":
            return said.sure
        found = self.right if name in ("right", "wrong") else self.errors
        if found is None:
            raise InputError(
                f"nothing is known of {self.view.chosen.name} by which samples are {SPOKEN.get(name, name)}"
            )
        return ~found if name == "wrong" else found > said.limit if name == "flagged" else found


def _some(left: Array, value: str) -> Array:
    count, _, seed = value.partition("@")
    if not count.isdecimal() or not (seed or "0").isdecimal():
        raise ParameterError(f"a random part of a slice is a count and a seed as in random:50@7, not {value!r}")
    chosen = np.random.default_rng(int(seed or 0)).permutation(len(left))[: int(count)]
    return np.asarray(left[np.sort(chosen)])


def columns_of(stock: Stock, spec: Any) -> dict[str, Sequence[Any]]:
    """Give the columns of a table's samples by name."""
    if isinstance(stock.x, np.ndarray) and stock.x.ndim == 2:
        return dict(zip(spec.columns, stock.x.T, strict=True))
    rows = [spec.display(stock.take(i).value) for i in range(stock.count)]
    return {name: [row[name] for row in rows] for name in spec.columns}


# ---------------------------------------------------------------- what pages ask for


def samples(view: Any, most: int = MOST) -> Sequence[Sample]:
    """Give the samples of the view's slice, at most so many, spread over all of them; else those of the gallery.

    Raises InputError, ParameterError or UnknownName for a slice that cannot be had.
    """
    if not view.state.more.get(KEY):
        gallery = thumbs.shelf(view)
        return () if gallery is None else gallery.shown[:most]
    cohort = Cohort(view)
    found = cohort.found
    chosen = found[np.linspace(0, len(found) - 1, min(most, len(found))).astype(int)] if len(found) else found
    with home(view.services.galleries.home):
        return tuple(cohort.stock.take(int(i)) for i in chosen)


def labelled(view: Any, most: int, seed: int = 0) -> tuple[list[Any], list[Any] | None, int]:
    """Give samples of the view's slice, drawn by a seed, with what is true of each, and how many there are in all.

    The truth is the index of a class, or the values; None where it is not known.
    """
    cohort = Cohort(view)
    chosen = _some(cohort.found, f"{most}@{seed}")
    with home(view.services.galleries.home):
        x = [cohort.stock.take(int(i)).value for i in chosen]
    y = cohort.stock.labels if cohort.stock.labels is not None else cohort.stock.y
    y = next(iter(y.values())) if isinstance(y, Mapping) else y
    return x, None if y is None else np.asarray(y)[chosen].tolist(), len(cohort.found)


def without(view: Any, gone: Term) -> str:
    """Give the address of a view without one term of its slice."""
    return with_terms(view, [t for t in terms(view.state.more.get(KEY)) if t != gone])


def with_terms(view: Any, found: Iterable[Term]) -> str:
    """Give the address of a view with another slice."""
    rest = {k: v for k, v in view.state.more.items() if k != KEY}
    text = text_of(found)
    href: str = view.state.at(more={**rest, KEY: text} if text else rest).href
    return href


def chips(view: Any) -> list[Any]:
    """Give the terms of a view's slice, each a link that takes it away."""
    return [
        dcc.Link(
            [
                html.Span("Remove the filter: ", className="unseen"),
                html.Span(term.words),
                html.Span("×", className="chip-x", **{"aria-hidden": "true"}),
            ],
            href=without(view, term),
            className="chip",
            title=f"Remove: {term.words}",
        )
        for term in terms(view.state.more.get(KEY))
    ]


def bar(view: Any) -> Any:
    """Give what every page says of the slice that it speaks of, or None where there is none."""
    if not view.state.more.get(KEY):
        return None
    try:
        cohort = Cohort(view)
        said = f"{len(cohort.found):,} of {cohort.stock.count:,} samples"
        found = chips(view)
    except (InputError, ParameterError, UnknownName, NotSupported) as error:
        said, found = str(error), []
    return html.Div(
        [
            html.Span("Slice", className="slice-name"),
            *found,
            html.Span(said, className="slice-count"),
            dcc.Link("Change", href=view.state.to("data").href, className="slice-link"),
            dcc.Link("All samples", href=with_terms(view, ()), className="slice-link"),
        ],
        className="slice-bar",
        role="group",
        **{"aria-label": "Slice of the samples", "data-testid": "slice"},
    )


__all__ = [
    "Cohort", "Term", "bar", "chips", "columns_of", "labelled", "samples", "terms", "text_of",
    "with_terms", "without",
]  # fmt: skip
