"""Who someone is: a name and password of a file, or the name that a trusted proxy sends."""

import hashlib
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from html import escape
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flask import Flask, Response, current_app, g, has_request_context, redirect, request, session
from werkzeug.exceptions import Forbidden, TooManyRequests
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.security import check_password_hash, generate_password_hash

from xaikit.errors import InputError, UsageError
from xaikit.storage import write_atomically
from xaikit_app import sessions
from xaikit_app.settings import Settings

NAME = re.compile(r"[A-Za-z0-9._@+-]{1,64}")
SHORTEST = 8
LONGEST = 1024
"""Of a password, in characters; a longer one would only cost time."""
PROXIED = "xaikit.proxied"
WINDOW = 900.0
"""Seconds for which wrong tries count."""


class Users:
    """A file of users, one `NAME:HASH` a line; it is read again when it has changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: tuple[int, dict[str, str]] = (-1, {})
        self._nobody = generate_password_hash("nobody has this password")

    @property
    def hashes(self) -> dict[str, str]:
        """The hashes by name. Raises UsageError where the file cannot be read."""
        try:
            changed = self.path.stat().st_mtime_ns
            if changed != self._read[0]:
                lines = self.path.read_text(encoding="utf-8").splitlines()
                pairs = (line.partition(":") for line in lines if line.strip() and not line.startswith("#"))
                self._read = changed, {name.strip(): hash.strip() for name, _, hash in pairs}
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"the users cannot be read from {self.path}: {error}") from None
        return self._read[1]

    def right(self, name: str, password: str) -> bool:
        """Whether a password is the one of a name; a name that is not there takes as long."""
        known = self.hashes.get(name)
        fits = check_password_hash(known or self._nobody, password[:LONGEST])
        return fits and known is not None

    def mark(self, name: str) -> str | None:
        """Give what a session remembers of a user, which another password makes void; None where there is none."""
        known = self.hashes.get(name)
        return None if known is None else hashlib.sha256(known.encode()).hexdigest()[:16]

    def add(self, name: str, password: str) -> None:
        """Add a user or give one another password. Raises InputError."""
        if not NAME.fullmatch(name):
            raise InputError(f"a name has letters, digits and . _ @ + - only, at most 64: not {name!r}")
        if not SHORTEST <= len(password) <= LONGEST:
            raise InputError(f"a password has {SHORTEST} to {LONGEST} characters, not {len(password)}")
        users = self.hashes if self.path.exists() else {}
        lines = {**users, name: generate_password_hash(password)}
        write_atomically(self.path, "".join(f"{n}:{h}\n" for n, h in lines.items()).encode())
        self.path.chmod(0o600)


def add_user(users: Path, name: str, password: str) -> None:
    """Add someone to a file of users, which is made where it is missing. Raises InputError for a bad name or word."""
    Users(users).add(name, password)


class Tries:
    """Wrong tries of the last quarter of an hour, in a file that all processes of an app share."""

    LIMITS = (5, 20, 50)
    """As many tries as are free: for a name from one address, for an address, for a name from anywhere."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def wait(self, name: str, address: str) -> float:
        """Give the seconds until another try is heard: 1, 2, 4 … after the free ones, a quarter of an hour at most."""
        now = time.time()
        with self._open() as base:
            asked = "SELECT count(*), max(at) FROM tries WHERE at > ? AND"
            found = [
                base.execute(f"{asked} {which}", (now - WINDOW, *given)).fetchone()
                for which, given in (
                    ("name = ? AND address = ?", (name, address)),
                    ("address = ?", (address,)),
                    ("name = ?", (name,)),
                )
            ]
        waits = [
            last + min(WINDOW, 2.0 ** (count - limit)) - now
            for (count, last), limit in zip(found, self.LIMITS, strict=True)
            if count >= limit
        ]
        return max(0.0, *waits) if waits else 0.0

    def note(self, name: str, address: str) -> None:
        """Count a wrong try."""
        now = time.time()
        with self._open() as base:
            base.execute("DELETE FROM tries WHERE at <= ?", (now - WINDOW,))
            base.execute("INSERT INTO tries VALUES (?, ?, ?)", (name, address, now))

    def forget(self, name: str, address: str) -> None:
        """Count from nothing again for a name from an address."""
        with self._open() as base:
            base.execute("DELETE FROM tries WHERE name = ? AND address = ?", (name, address))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.path, timeout=10)) as base, base:
            base.execute("CREATE TABLE IF NOT EXISTS tries (name TEXT, address TEXT, at REAL)")
            yield base


# ---------------------------------------------------------------- in a request


def user() -> str | None:
    """Give the name that the present request is made under; None where the app asks for none."""
    return g.get("xaikit_user") if has_request_context() else None


def can_leave() -> bool:
    """Whether logging out is the app's to offer: not where a proxy logs people in."""
    return has_request_context() and "xaikit_users" in current_app.extensions


def start(server: Flask, settings: Settings, page: Callable[..., Response]) -> Callable[[], bool]:
    """Give a server its logins; what is returned says whether the present request may go on.

    `page(title, text, code, markup)` gives a page of the server's own.
    """
    if settings.trusted_proxy:
        server.wsgi_app = _Behind(server.wsgi_app, settings.trusted_proxy)  # type: ignore[assignment,method-assign]
    if settings.auth == "none":
        return lambda: True
    if settings.auth == "proxy":
        return lambda: _enter(_proxied(settings))
    assert settings.users is not None
    users, tries = Users(settings.users), Tries(settings.folder / "tries.db")
    server.extensions["xaikit_users"] = users
    _routes(server, settings.prefix, users, tries, page)
    return lambda: _enter(_remembered(users) or _sent(users, tries))


def _enter(name: str | None) -> bool:
    """Let a name in; with another name than before another session begins."""
    if name is None:
        return False
    if session.get("user") != name:
        session.clear()
        sessions.current()
        session["user"] = name
    g.xaikit_user = name
    return True


def _proxied(settings: Settings) -> str | None:
    if not request.environ.get(PROXIED):
        return None
    return request.headers.get(settings.user_header, "").strip()[:200] or None


def _remembered(users: Users) -> str | None:
    """Give the name that a session was logged in with, as long as its password is the same."""
    name = session.get("user")
    return name if name is not None and session.get("mark") == users.mark(name) else None


def _sent(users: Users, tries: Tries) -> str | None:
    """Give the name of a script that sends name and password with the request."""
    given = request.authorization
    if given is None or given.type != "basic" or not given.username:
        return None
    if not _checked(users, tries, given.username, given.password or ""):
        return None
    session["mark"] = users.mark(given.username)
    return str(given.username)


def _checked(users: Users, tries: Tries, name: str, password: str) -> bool:
    """Check a password. Raises TooManyRequests while the name or address has to wait."""
    address = request.remote_addr or "local"
    left = tries.wait(name, address)
    if left > 0:
        raise TooManyRequests(retry_after=int(left) + 1)
    if users.right(name, password):
        tries.forget(name, address)
        return True
    tries.note(name[:64], address)
    return False


def _routes(server: Flask, prefix: str, users: Users, tries: Tries, page: Callable[..., Response]) -> None:
    def login() -> Any:
        goal = local_path(request.values.get("next"), prefix)
        if request.method == "GET":
            return _form(page, prefix, goal)
        if not sessions.proven(request.form.get("token")):
            return _form(page, prefix, goal, "This form was too old. Try again.")
        name = request.form.get("name", "")
        if not _checked(users, tries, name, request.form.get("password", "")):
            return _form(page, prefix, goal, "The name or the password is not right.", 401)
        session.clear()  # another id than before, which someone may have planted
        sessions.current()
        session["user"], session["mark"] = name, users.mark(name)
        return redirect(goal)

    def logout() -> Any:
        if not sessions.proven(request.form.get("token")):
            raise Forbidden
        session.clear()
        return redirect(f"{prefix}login")

    server.add_url_rule("/login", "login", login, methods=["GET", "POST"])
    server.add_url_rule("/logout", "logout", logout, methods=["POST"])


def _form(page: Callable[..., Response], prefix: str, goal: str, wrong: str = "", code: int = 200) -> Response:
    told = f'<p class="wrong" role="alert">{escape(wrong)}</p>' if wrong else ""
    markup = f"""{told}<form method="post" action="{escape(prefix)}login">
<input type="hidden" name="token" value="{escape(sessions.token())}">
<input type="hidden" name="next" value="{escape(goal)}">
<label>Name <input name="name" autocomplete="username" required autofocus maxlength="64"></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<button>Log in</button></form>"""
    return page("Log in", "This app is for people who are known here.", code, markup)


def local_path(given: str | None, prefix: str) -> str:
    """Give an address of this app to go on to, whatever a link asks for."""
    given = given or ""
    fits = given.startswith(prefix) and not given.startswith("//") and "\\" not in given and given.isprintable()
    return given if fits else prefix


def login_address(prefix: str) -> str:
    """Give the address of the login that comes back to the present page."""
    here = prefix + request.full_path.rstrip("?").lstrip("/")
    return f"{prefix}login?next={quote(here)}"


class _Behind:
    """Believes what a proxy says of a request (address, host, https, user) where the proxy is one of those trusted."""

    def __init__(self, plain: Any, trusted: tuple[str, ...]) -> None:
        self.plain, self.fixed = plain, ProxyFix(plain, x_for=1, x_proto=1, x_host=1)
        self.unix = "unix" in trusted
        self.networks = [ip_network(t, strict=False) for t in trusted if t != "unix"]

    def __call__(self, environ: dict[str, Any], start: Any) -> Any:
        trusted = self._trusts(environ.get("REMOTE_ADDR", ""))
        environ[PROXIED] = trusted
        return (self.fixed if trusted else self.plain)(environ, start)

    def _trusts(self, address: str) -> bool:
        try:
            return any(ip_address(address) in network for network in self.networks)
        except ValueError:
            return self.unix  # the other end of a socket that is a file has no address


__all__ = ["Tries", "Users", "add_user", "can_leave", "local_path", "login_address", "start", "user"]
