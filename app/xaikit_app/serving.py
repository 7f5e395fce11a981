"""Serving an app: from the command line, or from a notebook's process."""

import logging
import threading
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from xaikit.errors import UsageError
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
            told(f"http://{_spoken(settings.host)}:{server.server_port}/", exposed(settings.host))
        server.serve_forever()
    finally:
        server.server_close()
        app.services.close()


class Shown:
    """An app that runs in a thread of this process, and shows itself in a notebook as a frame with a link."""

    def __init__(self, app: Any, server: Any, height: int) -> None:
        self.app, self.server, self.height = app, server, height
        self.url = f"http://127.0.0.1:{server.server_port}/"
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
            f'<iframe src="{self.url}" width="100%" height="{self.height}" style="border:0" title="xaikit"></iframe>'
        )
        return f'{frame}<p><a href="{self.url}" target="_blank" rel="noopener">Open in a tab of its own</a></p>'


def show(*models: Any, height: int = 800, port: int = 0, **settings: Any) -> Shown:
    """Serve an app for wrapped models, zoo names or model files from this process, and give what shows it.

    Port 0 takes a free one. `settings` are those of `Settings`. `close()` on the result ends it.
    """
    given = Settings(models=models, port=port, **settings)
    app = create_app(given)
    return Shown(app, _listening(app, given), height)


def _listening(app: Any, settings: Settings) -> Any:
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    try:
        return make_server(settings.host, settings.port, app.server, threaded=True)
    except (OSError, SystemExit):
        app.services.close()
        where = f"{settings.host}:{settings.port}"
        raise UsageError(f"the app cannot listen on {where}; choose another port, 0 for any free one") from None


def exposed(host: str) -> str | None:
    """Say what follows from listening on an address that others can reach; None for this machine's own."""
    try:
        own = ip_address(host).is_loopback
    except ValueError:
        own = host == "localhost"
    return None if own else f"{host} can be reached from other machines, and the app asks nobody for a password"


def _spoken(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host


__all__ = ["Shown", "exposed", "serve", "show"]
