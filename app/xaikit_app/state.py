"""What the address of a view says: page, model, framework, sample, target, methods and their parameters."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from xaikit_app.sessions import prefix

MOST = 40
"""As many methods as an address may name."""
LONGEST = 32_768
"""As many characters of an address are read; browsers and servers stop before."""
SEEDS = 2**32


@dataclass(frozen=True)
class State:
    """One view, as its address says it. Ids and parameters only, never data; unknown keys are kept in `more`.

    `sample` is an id ("test-17", "own-…"), `target` as in `xaikit_app.targets`, `methods` the names in order,
    `parameters` those that differ from the defaults, by method; `frameworks` are compared side by side.
    """

    page: str = "explain"
    model: str | None = None
    framework: str | None = None
    sample: str | None = None
    target: str | None = None
    methods: tuple[str, ...] = ()
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seed: int = 0
    layer: str | None = None
    unit: str | None = None
    more: Mapping[str, str] = field(default_factory=dict)

    def at(self, **changes: Any) -> "State":
        """Give the same view with some entries changed."""
        return replace(self, **changes)

    def to(self, page: str, **changes: Any) -> "State":
        """Give another page with the same selection; what is only the present page's own stays behind."""
        more = {k: v for k, v in self.more.items() if k in CARRIED}
        return replace(self, page=page, more=more, **changes)

    @property
    def search(self) -> str:
        """The query of the address, with its question mark, or ""."""
        pairs = [(k, v) for k in PLAIN if (v := getattr(self, k)) is not None]
        pairs += [("methods", ",".join(self.methods))] if self.methods else []
        pairs += [("seed", str(self.seed))] if self.seed else []
        pairs += [
            (f"{method}.{name}", json.dumps(value))
            for method, given in sorted(self.parameters.items())
            for name, value in sorted(given.items())
        ]
        pairs += sorted(self.more.items())
        return "?" + urlencode(pairs, safe=",:") if pairs else ""

    @property
    def href(self) -> str:
        """The address of the view, relative to the app."""
        return f"/{quote(self.page, safe='')}{self.search}"

    @property
    def short(self) -> str:
        """The address of a model, layer or unit by names alone: /layers/MODEL/LAYER/UNIT."""
        names = [n for n in (self.page, self.model, self.layer, self.unit) if n is not None]
        return "/" + "/".join(quote(n, safe="") for n in names)


PLAIN = ("model", "framework", "sample", "target", "layer", "unit")
CARRIED = (*PLAIN, "methods", "parameters", "seed", "slice", "threshold")
"""What goes along from page to page."""


def read(path: str | None, search: str | None) -> State:
    """Read an address. What makes no sense is left out: a broken link still opens a page."""
    path = (path or "/").removeprefix(prefix())
    found = dict(parse_qsl((search or "")[:LONGEST].lstrip("?")))
    plain = {**_places(path), **{k: v for k in PLAIN if (v := found.pop(k, None))}}
    methods = tuple(dict.fromkeys(m for m in found.pop("methods", "").split(",") if m))[:MOST]
    seed = found.pop("seed", "0")
    parameters: dict[str, dict[str, Any]] = {}
    more = {}
    for key, text in found.items():
        method, dot, name = key.partition(".")
        if not dot:
            more[key] = text
        elif (value := _json(text)) is not NOTHING:
            parameters.setdefault(method, {})[name] = value
    return State(
        page=unquote(path.strip("/").partition("/")[0]),
        methods=methods,
        parameters=parameters,
        seed=int(seed) if seed.isdecimal() and len(seed) <= len(str(SEEDS)) and int(seed) < SEEDS else 0,
        more=more,
        **plain,
    )


def _places(path: str | None) -> dict[str, str]:
    """Read what an address names behind its page: /layers/MODEL/LAYER/UNIT, each as far as it is there."""
    names = (path or "/").strip("/").split("/")[1:]
    return {key: unquote(name) for key, name in zip(("model", "layer", "unit"), names, strict=False) if name}


NOTHING = object()


def _json(text: str) -> Any:
    """Read a value; what is no JSON is a plain text, and what is not finite is nothing."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return NOTHING
    return value
