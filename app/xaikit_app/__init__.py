"""The web app of xaikit: `create_app(Settings(...))` gives a Dash app, `serve` runs it, `show` puts it in a notebook.

Worker processes import this package for its tasks alone, so the rest is imported when it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xaikit_app.logins import add_user
    from xaikit_app.serving import serve, show
    from xaikit_app.settings import Settings
    from xaikit_app.shell import create_app

PLACES = {"Settings": "settings", "add_user": "logins", "create_app": "shell", "serve": "serving", "show": "serving"}


def __getattr__(name: str) -> Any:
    if name not in PLACES:
        raise AttributeError(f"module 'xaikit_app' has no attribute {name!r}")
    return getattr(import_module(f"xaikit_app.{PLACES[name]}"), name)


__all__ = ["Settings", "add_user", "create_app", "serve", "show"]
