"""The web app, found through an entry point: the core knows its name and no more."""

from importlib import import_module
from types import ModuleType
from typing import Any

from xaikit.errors import MissingPackage

GROUP = "xaikit.apps"
NAMES = ("Settings", "add_user", "create_app", "serve", "show")


class App:
    """The web app: `show(model)` in a notebook, `serve(Settings(...))`, `create_app(Settings(...))` for any server.

    It is imported when it is first asked for. Raises MissingPackage where it is not installed.
    """

    def __getattr__(self, name: str) -> Any:
        if name not in NAMES:
            raise AttributeError(f"the app has no {name!r}; it has {', '.join(NAMES)}")
        return getattr(package(), name)

    def __dir__(self) -> list[str]:
        return list(NAMES)

    def __repr__(self) -> str:
        return "<the web app of xaikit: app.show(model)>"


def package() -> ModuleType:
    """Import the package of the app. Raises MissingPackage with the pip command."""
    from importlib.metadata import entry_points  # takes thirty milliseconds

    for point in entry_points(group=GROUP):
        try:
            import_module("dash_mantine_components")
            return import_module(point.module)
        except ModuleNotFoundError as error:
            raise MissingPackage((error.name or point.name).partition(".")[0], "app", "the web app") from error
    raise MissingPackage("the package xaikit_app", "app", "the web app")


app = App()
"""The web app: `xk.app.show(model)` in a notebook, `xk.app.serve(xk.app.Settings(...))` in a script."""
