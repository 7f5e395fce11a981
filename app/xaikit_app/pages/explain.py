"""Explain: why this prediction."""

from typing import Any

from dash import Dash

from xaikit_app import ui
from xaikit_app.pages import View
from xaikit_app.services import Services
from xaikit_app.tasks import Description

PATH, TITLE, ICON, ORDER = "explain", "Explain", "bulb", 20


def lacks(description: Description) -> str | None:
    """Say why a model cannot be explained here, or None."""
    return "the app explains networks with one input" if description.kind == "several" else None


def layout(view: View) -> Any:
    """Give the page."""
    return ui.page("Explain", f"Why does {view.chosen.name} answer what it answers?")


def register(app: Dash, services: Services) -> None:
    """Add the callbacks."""
