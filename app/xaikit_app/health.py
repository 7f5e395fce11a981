"""Whether the app lives, and whether it can do its work: two addresses for those who watch over servers."""

import os
import tempfile
from typing import Any

from flask import Flask, Response, jsonify

from xaikit.errors import XaikitError
from xaikit_app.services import Services


def register(server: Flask, services: Services) -> None:
    """Add `/health`, which answers as long as the process does, and `/ready`, which looks at what work needs.

    Neither names models, folders, people or versions. `/ready` answers 503 where something is not as it has to be.
    """

    @server.get("/health")
    def health() -> Response:
        return jsonify(status="alive")

    @server.get("/ready")
    def ready() -> Response:
        checks = {"store": _writable(services.settings.folder), **_work(services)}
        answer = jsonify(status="ready" if all(checks.values()) else "not ready", **checks)
        answer.status_code = 200 if all(checks.values()) else 503
        return answer


def _work(services: Services) -> dict[str, bool]:
    """Whether jobs can be asked about, where there is a broker at it, and whether the queue has room."""
    try:
        waiting = sum(job.status == "waiting" for job in services.jobs())
    except XaikitError:
        return {"jobs": False, "room": False}
    return {"jobs": True, "room": waiting < services.settings.queue}


def _writable(folder: Any) -> bool:
    """Whether the folder of results and uploads can be written."""
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


__all__ = ["register"]
