"""Whose request it is: a session in a signed cookie, which uploads, drawings and jobs belong to."""

import hashlib
import hmac
import os
import secrets
from datetime import timedelta
from pathlib import Path

from flask import Flask, current_app, has_request_context, request, session
from flask.sessions import SecureCookieSessionInterface, SessionMixin

from xaikit.errors import UsageError
from xaikit_app.settings import Settings

LOCAL = "local"
"""The session of what is done outside of requests, and of every page of an app that is one person's."""
PERSONAL = "XAIKIT_PERSONAL"


def current() -> str:
    """Give the id of the session that the present request belongs to, a new one where it brings none.

    Only in the thread that answers the request: what goes on in the background is told the id.
    """
    if not has_request_context() or current_app.config.get(PERSONAL, True):
        return LOCAL
    if "id" not in session:
        session["id"] = secrets.token_hex(16)
        session.permanent = True
    return str(session["id"])


def asking() -> str | None:
    """Give the session that the present request belongs to, or None outside of requests."""
    return current() if has_request_context() else None


def known() -> bool:
    """Whether the present request brings a session that this app has given out."""
    return bool(current_app.config.get(PERSONAL, True)) or "id" in session


def prefix() -> str:
    """Give the path that the app of the present request is served under, "/" for the root."""
    return str(current_app.config["SESSION_COOKIE_PATH"] or "/") if has_request_context() else "/"


def token() -> str:
    """Give what a page of the present session proves with that its requests are its own."""
    return _signed(str(current_app.secret_key), f"page {current()}")


def proof(of: str) -> str:
    """Give what proves that a link to something was given to the present session; outside of requests nothing."""
    return _signed(str(current_app.secret_key), f"link {current()} {of}")[:32] if has_request_context() else ""


def shows(of: str, given: str | None) -> bool:
    """Whether a request brought the proof that a link to something was given to its session."""
    return given is not None and hmac.compare_digest(given.encode(), proof(of).encode())


def proven(given: str | None) -> bool:
    """Whether a request brought the token of its session."""
    return given is not None and hmac.compare_digest(given.encode(), token().encode())


def start(server: Flask, settings: Settings) -> None:
    """Have a server keep sessions: cookies that scripts cannot read, of this app alone, sent over https where it is."""
    key = settings.secret or kept_secret(settings.folder / "secret-key")
    server.secret_key = key
    # Cookies know no ports: without a name of their own two apps on one machine would overwrite each other's.
    name = _signed(key, f"{settings.port} {settings.prefix}")[:12]
    server.config.update(
        {PERSONAL: settings.personal},
        SESSION_COOKIE_NAME=f"xaikit-{name}",
        SESSION_COOKIE_PATH=settings.prefix,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=timedelta(days=settings.keep_days),
    )
    server.session_interface = _Cookies()


def renew() -> None:
    """Let the present session last from now on as long as a new one."""
    if current() != LOCAL:
        session.modified = True


class _Cookies(SecureCookieSessionInterface):
    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure

    def should_set_cookie(self, app: Flask, session: SessionMixin) -> bool:
        return bool(session.modified)


def kept_secret(path: Path) -> str:
    """Give the secret that a file keeps, made at first use and readable by its owner alone. Raises UsageError."""
    try:
        if not path.is_file():
            _write_once(path, secrets.token_hex(32))
        found = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise UsageError(f"the secret of the sessions cannot be kept in {path}: {error}") from None
    if len(found) < 32:
        raise UsageError(f"{path} holds no secret of at least 32 characters: remove it, and a new one is made")
    return found


def _write_once(path: Path, text: str) -> None:
    """Write a file that nobody else reads, unless another process was first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
        os.link(part, path)  # unlike a renaming it fails where the file is there by now
    except FileExistsError:
        return
    finally:
        part.unlink(missing_ok=True)


def _signed(key: str, text: str) -> str:
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


__all__ = [
    "LOCAL",
    "asking",
    "current",
    "kept_secret",
    "known",
    "prefix",
    "proof",
    "proven",
    "renew",
    "shows",
    "start",
    "token",
]
