"""The pages of the app: every module here that does not start with "_" is one.

A page module has

    PATH = "layers"                      the first part of its address
    TITLE, ICON, ORDER                   its name in the navigation, an icon of `ui.icon`, its place (lowest first)
    GROUP                                the heading it stands below there, one of GROUPS; the last where it has none
    lacks(description) -> str | None     why a model has no such page, or None
    layout(view) -> component            the page for one view; quick, since heavy work is submitted as a job
    register(app, services) -> None      its callbacks, called once for each app

Ids begin with the page's PATH ("layers-list"). What a page wants kept in the address it writes as a dict
{entry of State: text or None} into the store `view-changes`, and reads it back from `view.state`. A link to another
page is `view.state.to("layers")`: it carries what both have (`state.CARRIED`), and leaves what is one page's own.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Protocol, TypeVar

from dash import Dash

from xaikit.errors import UnknownName
from xaikit_app.services import Chosen, Services
from xaikit_app.state import State
from xaikit_app.work.describe import Description

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class View:
    """What a page is made from: the address, the model it names, what is known of that, and the services."""

    state: State
    chosen: Chosen
    description: Description
    services: Services
    kept: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

    def once(self, key: Any, make: Callable[[], T]) -> T:
        """Give what is made, the same for a key as long as the view lives."""
        if key not in self.kept:
            self.kept[key] = make()
        found: T = self.kept[key]
        return found


class Page(Protocol):
    """A page module."""

    PATH: str
    GROUP: str
    TITLE: str
    ICON: str
    ORDER: int

    def lacks(self, description: Description) -> str | None: ...
    def layout(self, view: View) -> Any: ...
    def register(self, app: Dash, services: Services) -> None: ...


GROUPS = ("", "Explain", "Look inside", "Data", "Work")
"""The headings of the navigation in their order; what stands below the empty one comes first, without a heading."""


def group_of(page: Page) -> str:
    """Give the heading of the navigation that a page stands below."""
    group = getattr(page, "GROUP", GROUPS[-1])
    if group not in GROUPS:
        raise UnknownName("group", group, GROUPS[1:])
    return group


def pages() -> dict[str, Page]:
    """Give the pages by path, in the order of the navigation."""
    names = [module.name for module in iter_modules(__path__) if not module.name.startswith("_")]
    found: list[Any] = [import_module(f"{__name__}.{name}") for name in names]
    found.sort(key=lambda page: (GROUPS.index(group_of(page)), page.ORDER))
    return {page.PATH: page for page in found}
