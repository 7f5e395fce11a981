"""The database of an app by a name without its password, which is all that jobs, logs and pages see of it.

A worker learns the password from its environment, and a model of this process is asked beside the settings.
"""

import os

from xaikit.audit import without_password
from xaikit.errors import UsageError

VARIABLE = "XAIKIT_APP_AUDIT"
_kept: dict[str, str] = {}


def keep(url: str) -> None:
    """Remember the URL of a database for the work that is done in this process."""
    _kept[without_password(url)] = url


def whole(name: str) -> str:
    """Give the URL of a database by the URL without its password. Raises UsageError where that is not known here."""
    given = os.environ.get(VARIABLE, "")
    found = {without_password(given): given, **_kept}.get(name, name)
    if found == name and "***" in name:
        raise UsageError(f"this worker was not told the password of {name}: start it with {VARIABLE}, as the app")
    return found


__all__ = ["VARIABLE", "keep", "whole"]
