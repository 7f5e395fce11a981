"""What the address of a view says: page, model, framework, sample, target, methods and their parameters."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

MOST = 40
"""As many methods as an address may name."""


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
        return f"/{self.page}{self.search}"


PLAIN = ("model", "framework", "sample", "target", "layer", "unit")


def read(path: str | None, search: str | None) -> State:
    """Read an address. What makes no sense is left out: a broken link still opens a page."""
    found = dict(parse_qsl((search or "").lstrip("?")))
    plain = {k: v for k in PLAIN if (v := found.pop(k, None))}
    methods = tuple(dict.fromkeys(m for m in found.pop("methods", "").split(",") if m))[:MOST]
    seed = found.pop("seed", "0")
    parameters: dict[str, dict[str, Any]] = {}
    more = {}
    for key, text in found.items():
        method, dot, name = key.partition(".")
        if not dot:
            more[key] = text
        elif (value := _json(text)) is not ValueError:
            parameters.setdefault(method, {})[name] = value
    return State(
        page=(path or "/").strip("/").partition("/")[0],
        methods=methods,
        parameters=parameters,
        seed=int(seed) if seed.isdecimal() and int(seed) < 2**32 else 0,
        more=more,
        **plain,
    )


def _json(text: str) -> Any:
    """Read a value; what is no JSON is a plain text, and what is not finite is nothing."""
    try:
        return json.loads(text, parse_constant=lambda _: ValueError)
    except ValueError:
        return text
