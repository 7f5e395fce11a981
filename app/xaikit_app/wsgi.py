"""The app for a WSGI server, with settings from variables of the environment.

XAIKIT_APP_MODELS="mnist_cnn xo_cnn" gunicorn --workers 1 --threads 8 "xaikit_app.wsgi:make()"
"""

import atexit
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from flask import Flask

from xaikit.errors import UsageError
from xaikit_app.settings import from_environment
from xaikit_app.shell import create_app

log = logging.getLogger(__name__)
OPEN = (
    "WARNING: the app asks nobody for a password (XAIKIT_APP_AUTH): whoever reaches this server can use its models "
    "and computing time"
)
ANYWHERE = "0.0.0.0"
PATIENCE = 15.0
"""Seconds in which the process before may end, where a server replaces its processes one by one."""


def make(environment: Mapping[str, str] | None = None) -> Flask:
    """Give the app as a WSGI application, its settings from XAIKIT_APP_MODELS, XAIKIT_APP_AUTH and so on.

    The address to listen on is the server's matter. Without a broker the work is done by processes of the one process
    that serves: only that one knows its jobs. Raises UsageError where another one serves from the same folder, and
    what Settings and create_app raise.
    """
    settings = from_environment(os.environ if environment is None else environment, host=ANYWHERE)
    held = None if settings.broker else hold(settings.folder, PATIENCE)
    app = create_app(settings)
    app.server.extensions["xaikit_held"] = held
    atexit.register(app.services.close)
    if settings.auth == "none":
        log.warning(OPEN)
    return app.server


def hold(folder: Path, patience: float) -> IO[str]:
    """Take a folder for this process alone, until it ends. Raises UsageError where another process has it."""
    import fcntl  # not on Windows, where no such server is either

    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / "serving.lock").open("w")
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            if time.monotonic() > until:
                file.close()
                raise UsageError(
                    f"another process serves the app from {folder}: without a broker one process serves, with threads "
                    "(gunicorn --workers 1 --threads 8); for several give XAIKIT_APP_BROKER and start xaikit worker"
                ) from None
            time.sleep(0.1)


__all__ = ["hold", "make"]
