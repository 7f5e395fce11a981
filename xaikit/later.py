"""Names that a package hands out with their first use, so that importing it does not wait for them."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def given_later(package: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """Give a package its `__getattr__` (PEP 562): `places` says in which module each name is. It is kept once found."""

    def find(name: str) -> Any:
        if name not in places:
            # with both, Python itself ends the traceback of a misspelt name in "Did you mean: ..."
            module = sys.modules[package]
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=module)
        found = getattr(import_module(places[name]), name)
        setattr(sys.modules[package], name, found)
        return found

    return find
