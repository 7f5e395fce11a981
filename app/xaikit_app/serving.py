"""Serving an app: from the command line, or from a notebook's process."""

import logging
import os
import socket
import threading
from collections.abc import Callable
from typing import Any

from xaikit.errors import UsageError
from xaikit_app.security import is_loopback
from xaikit_app.settings import Settings
from xaikit_app.shell import create_app


def serve(settings: Settings, told: Callable[[str, str | None], None] | None = None) -> None:
    """Serve an app until it is interrupted. `told(address, warning)` is called once it listens.

    Raises UsageError where the port is taken.
    """
    app = create_app(settings)
    server = _listening(app, settings)
    try:
        if told is not None:
            told(
                f"http://{_spoken(settings.host)}:{server.server_port}{settings.prefix}",
                exposed(settings.host, settings.auth),
            )
        server.serve_forever()
    finally:
        server.server_close()
        app.services.close()


class Shown:
    """An app that runs in a thread of this process, and shows itself in a notebook as a frame with a link."""

    def __init__(self, app: Any, server: Any, height: int) -> None:
        self.app, self.server, self.height = app, server, height
        prefix = app.services.settings.prefix
        self.url = f"http://127.0.0.1:{server.server_port}{prefix}"
        self.frame = prefix if prefix != "/" else self.url  # below a path it is the notebook's own server that answers
        self._thread = threading.Thread(target=server.serve_forever, daemon=True, name="xaikit-app")
        self._thread.start()

    def close(self) -> None:
        """Stop serving and end the app's work."""
        self.server.shutdown()
        self.server.server_close()
        self._thread.join(5)
        self.app.services.close()

    def __repr__(self) -> str:
        return f"<xaikit app at {self.url}>"

    def _repr_html_(self) -> str:
        frame = (
            f'<iframe src="{self.frame}" width="100%" height="{self.height}" style="border:0" title="xaikit"></iframe>'
        )
        return f'{frame}<p><a href="{self.frame}" target="_blank" rel="noopener">Open in a tab of its own</a></p>'


def show(*models: Any, height: int = 800, port: int = 0, **settings: Any) -> Shown:
    """Serve an app for wrapped models, zoo names or model files from this process, and give what shows it.

    Port 0 takes a free one. `settings` are those of `Settings`; all pages belong to one person (`personal`), since a
    frame of a notebook may keep no cookies. In a JupyterHub the notebook's server passes the app on, if it has
    jupyter-server-proxy; below another proxy `prefix` says at which path. `close()` on the result ends it.
    """
    hub = os.environ.get(HUB)
    if hub and "prefix" not in settings:
        port = port or _free()
        settings |= {"prefix": f"{hub}proxy/{port}/", "trusted_proxy": ("127.0.0.1", "::1")}
    given = Settings(models=models, port=port, **{"personal": True, **settings})
    app = create_app(given)
    return Shown(app, _listening(app, given), height)


HUB = "JUPYTERHUB_SERVICE_PREFIX"
"""Where a JupyterHub says at which path a notebook's server is."""


def _free() -> int:
    """Give a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _listening(app: Any, settings: Settings) -> Any:
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Handler(WSGIRequestHandler):
        def version_string(self) -> str:
            return "xaikit"  # what runs here, and in which version, is nobody's business

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    try:
        return make_server(settings.host, settings.port, app.server, threaded=True, request_handler=Handler)
    except (OSError, SystemExit):
        app.services.close()
        where = f"{settings.host}:{settings.port}"
        raise UsageError(f"the app cannot listen on {where}; choose another port, 0 for any free one") from None


def exposed(host: str, auth: str = "none") -> str | None:
    """Say what follows from listening on an address that others can reach; None for this machine's own."""
    if is_loopback(host):
        return None
    if auth == "none":
        return (
            f"WARNING: {host} can be reached from other machines, and the app asks nobody for a password: whoever "
            "reaches it can use its models and computing time; let people log in (--auth), or listen on 127.0.0.1"
        )
    return f"{host} can be reached from other machines, and passwords cross the line as they are: put https before it"


def _spoken(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host


__all__ = ["Shown", "exposed", "serve", "show"]
