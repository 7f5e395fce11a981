"""The pages of the app: every module here that does not start with "_" is one.

A page module has

    PATH = "layers"                      the first part of its address
    TITLE, ICON, ORDER                   its name in the navigation, an icon of `ui.icon`, its place (lowest first)
    lacks(description) -> str | None     why a model has no such page, or None
    layout(view) -> component            the page for one view; quick, since heavy work is submitted as a job
    register(app, services) -> None      its callbacks, called once for each app

Ids begin with the page's PATH ("layers-list"). What a page wants kept in the address it writes as a dict
{entry of State: text or None} into the store `view-changes`, and reads it back from `view.state`.
"""

from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Protocol

from dash import Dash

from xaikit_app.services import Chosen, Services
from xaikit_app.state import State
from xaikit_app.tasks import Description


@dataclass(frozen=True, eq=False)
class View:
    """What a page is made from: the address, the model it names, what is known of that, and the services."""

    state: State
    chosen: Chosen
    description: Description
    services: Services


class Page(Protocol):
    """A page module."""

    PATH: str
    TITLE: str
    ICON: str
    ORDER: int

    def lacks(self, description: Description) -> str | None: ...
    def layout(self, view: View) -> Any: ...
    def register(self, app: Dash, services: Services) -> None: ...


def pages() -> dict[str, Page]:
    """Give the pages by path, in the order of the navigation."""
    names = [module.name for module in iter_modules(__path__) if not module.name.startswith("_")]
    found: list[Any] = [import_module(f"{__name__}.{name}") for name in names]
    return {page.PATH: page for page in sorted(found, key=lambda page: page.ORDER)}
