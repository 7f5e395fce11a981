"""What stands between a browser and the app: who may ask from where, what pages may load, and how errors look."""

import json
import logging
import re
import secrets
from collections.abc import Callable
from html import escape
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from dash import Dash, dcc, html
from dash.exceptions import DependencyException, InvalidResourceError
from flask import Flask, Response, g, redirect, request
from werkzeug.exceptions import Forbidden, HTTPException, NotFound, RequestEntityTooLarge, UnsupportedMediaType

from xaikit_app import logins, sessions
from xaikit_app.settings import MIB, Settings

log = logging.getLogger(__name__)
TOKEN = "X-Xaikit-Token"
"""The header by which a page proves that a request is its own; assets/security.js adds it."""
READS = ("GET", "HEAD", "OPTIONS")
OFF = ("_reload-hash", "_mcp")
"""Routes that Dash has for development and agents."""
LOOPBACK = ("http://127.0.0.1:*", "http://localhost:*", "https://127.0.0.1:*", "https://localhost:*", "vscode-webview:")
"""Where notebooks are, which show the app of one person in a frame."""
FEATURES = ("camera", "display-capture", "geolocation", "microphone", "midi", "payment", "serial", "usb")


def protect(app: Dash, settings: Settings) -> None:
    """Give an app its sessions, checks of what asks, headers and errors. Once, before its pages add their routes."""
    server: Flask = app.server
    sessions.start(server, settings)
    # An upload arrives as base64 inside JSON.
    server.config["MAX_CONTENT_LENGTH"] = int(settings.max_upload_bytes * 1.4) + MIB
    server.config["MAX_FORM_MEMORY_SIZE"] = MIB // 2
    server.before_request(_guard(settings, logins.start(server, settings, page)))
    server.after_request(_headers(settings))
    if settings.prefix != "/":
        server.wsgi_app = _Below(server.wsgi_app, settings.prefix)  # type: ignore[assignment,method-assign]
        server.after_request(_prefixed)
    for kind in (HTTPException, *ABSENT, Exception):
        server.register_error_handler(kind, _refused)
    plain = app.interpolate_index
    app.interpolate_index = lambda **parts: _page_of(plain(**{**parts, "metas": parts["metas"] + _metas(settings)}))


def _metas(settings: Settings) -> str:
    """Give what a page knows of its session; a page is where a session begins, and is prolonged."""
    sessions.renew()
    known = {"token": sessions.token(), "prefix": settings.prefix, "limit": settings.max_upload_bytes}
    return "".join(f'<meta name="xaikit-{name}" content="{escape(str(value))}">' for name, value in known.items())


def _page_of(markup: str) -> str:
    """Mark the scripts of the page that stands around all others; nothing that anybody gave is in it."""
    g.xaikit_nonce = secrets.token_urlsafe(16)
    return markup.replace("<script", f'<script nonce="{g.xaikit_nonce}"')


# ---------------------------------------------------------------- who may ask


class Refused(HTTPException):
    """A request that someone can do something about, in words."""

    def __init__(self, code: int, title: str, text: str) -> None:
        super().__init__(text)
        self.code, self.title, self.text = code, title, text


OPEN = ("health", "ready", "login")
"""Routes that ask nobody who they are."""
FORMS = ("login", "logout")
"""Routes that take a form of a page without scripts, with its own proof."""


def _guard(settings: Settings, enters: Callable[[], bool]) -> Callable[[], Response | None]:
    hosts = allowed_hosts(settings)

    def guard() -> Response | None:
        path = request.path.lstrip("/")
        if path.startswith(OFF):
            raise NotFound
        if hosts and _host(request.host) not in hosts:
            raise Refused(
                400, f"The app does not answer as {request.host}", "Whoever runs it can add --allow-host NAME."
            )
        if request.method not in READS:
            _check_writing(path in FORMS)
        if not enters() and path not in OPEN:
            return _ask_who(settings)
        return None

    return guard


def _ask_who(settings: Settings) -> Response:
    if settings.auth == "basic" and not _by_script():
        return redirect(logins.login_address(settings.prefix))  # type: ignore[return-value]
    raise Refused(401, "You are not logged in", "This app is for people who are known here. Reload the page to log in.")


def _check_writing(form: bool) -> None:
    """See that a request that changes something comes from a page of this app and of its session."""
    limit = request.max_content_length
    if limit is not None and (request.content_length or 0) > limit:
        raise RequestEntityTooLarge
    if not same_origin():
        raise Forbidden("this came from a page of another site")
    if form:
        return
    if not request.is_json:
        raise UnsupportedMediaType
    if not sessions.known() or not sessions.proven(request.headers.get(TOKEN)):
        raise Refused(
            401, "The session of this page has ended", "Reload it to go on; its address keeps what you chose."
        )


def same_origin() -> bool:
    """Whether the page that a request comes from, where the browser says which it is, is one of this app."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        return False
    named = request.headers.get("Origin") or request.headers.get("Referer")
    # The scheme is not compared: a proxy that ends https may not say so.
    return named is None or urlsplit(named).netloc == request.host


def allowed_hosts(settings: Settings) -> tuple[str, ...]:
    """Give the names that the app answers as; empty: any.

    On this machine alone these are the machine's own, so that no site can have its name point here and then read.
    """
    if settings.hosts:
        return tuple(settings.hosts)
    return ("127.0.0.1", "localhost", "::1") if is_loopback(settings.host) and not settings.trusted_proxy else ()


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from its own machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _host(given: str) -> str:
    return urlsplit(f"//{given}").hostname or ""


# ---------------------------------------------------------------- what a page may do


def _headers(settings: Settings) -> Callable[[Response], Response]:
    fixed = {
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Permissions-Policy": ", ".join(f"{feature}=()" for feature in FEATURES),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }

    def headers(response: Response) -> Response:
        for name, value in fixed.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Content-Security-Policy", policy(g.get("xaikit_nonce"), settings.personal))
        if response.mimetype in ("text/html", "application/json") and "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "no-store"
        return response

    return headers


def policy(nonce: str | None, framed: bool) -> str:
    """Give the content security policy: everything from here, no script but files and those that the server marked.

    Styles may stand inline: the libraries of components and figures write theirs into the page, without a mark.
    """
    marked = () if nonce is None else (f"'nonce-{nonce}'",)
    parts = {
        "default-src": ("'none'",),
        "script-src": ("'self'", *marked),
        "style-src": ("'self'", "'unsafe-inline'"),
        "img-src": ("'self'", "data:", "blob:"),
        "font-src": ("'self'", "data:"),
        "connect-src": ("'self'",),
        "frame-src": ("'self'", "blob:"),
        "worker-src": ("'self'",),
        "manifest-src": ("'self'",),
        "form-action": ("'self'",),
        "base-uri": ("'none'",),
        "object-src": ("'none'",),
        "frame-ancestors": ("'self'", *(LOOPBACK if framed else ())),
    }
    return "; ".join(f"{name} {' '.join(allowed)}" for name, allowed in parts.items())


# ---------------------------------------------------------------- below a path of a proxy


class _Below:
    """Serves the routes of an app below a path, whether or not the proxy before it takes that path away."""

    def __init__(self, plain: Any, prefix: str) -> None:
        self.plain, self.path = plain, prefix.rstrip("/")

    def __call__(self, environ: dict[str, Any], start: Any) -> Any:
        asked = environ.get("PATH_INFO", "")
        if asked == self.path:
            return redirect(f"{self.path}/")(environ, start)
        if asked.startswith(f"{self.path}/"):
            environ["PATH_INFO"] = asked[len(self.path) :]
        return self.plain(environ, start)


ADDRESS = re.compile(rb'"(?:href|src|action)":\s*"(?=(/|\\u002f)(?!/|\\u002f))', re.IGNORECASE)
"""Where an address from the root begins in JSON, in which Dash writes its slashes as \\u002f."""


def _prefixed(response: Response) -> Response:
    """Put the path before the addresses in a page's parts; the pages themselves write them from the app's root."""
    if request.path in ("/_dash-layout", "/_dash-update-component") and response.mimetype == "application/json":
        response.set_data(_with_prefix(response.get_data(), sessions.prefix().encode()))
    return response


def _with_prefix(data: bytes, prefix: bytes) -> bytes:
    def put(found: re.Match[bytes]) -> bytes:
        slash = found[1]
        there = data.startswith(prefix.replace(b"/", slash), found.end())
        return found[0] if there else found[0] + prefix[:-1]

    return ADDRESS.sub(put, data)


# ---------------------------------------------------------------- who is here


def who() -> list[Any]:
    """Give the name that someone is logged in with, and the way out; nothing where the app asks for none."""
    name = logins.user()
    if name is None:
        return []
    shown = html.Span(name, className="who", title=f"logged in as {name}")
    if not logins.can_leave():
        return [shown]
    proof = dcc.Input(type="hidden", name="token", value=sessions.token())
    leave = html.Form(
        [proof, html.Button("Log out", type="submit")], action="/logout", method="POST", className="leave"
    )
    return [shown, leave]


# ---------------------------------------------------------------- errors

ABSENT = (InvalidResourceError, DependencyException)
"""What Dash raises for files of components that are not there, with a list of all that are."""
WORDS = {
    400: ("That request makes no sense", "The server could not read it."),
    401: ("You are not logged in", "Reload the page to go on."),
    403: ("That is not allowed from here", "The request did not come from a page of this app."),
    404: ("There is nothing at this address", "It may have been moved or removed."),
    405: ("That cannot be done at this address", "The address is there, but not for this kind of request."),
    413: ("That is too large", "It is over the limit of this server."),
    415: ("That is of the wrong kind", "This address takes JSON."),
    429: ("Too many tries", "Wait a little and try again."),
    500: ("Something went wrong on the server", "Its log has the details."),
    503: ("The server is busy", "Try again in a moment."),
}


def _refused(error: Exception) -> Response:
    """Give an error as a short page, or as JSON to scripts; what went wrong inside stays in the log."""
    if isinstance(error, HTTPException) and error.response is not None:
        return error.response  # type: ignore[return-value]  # a redirection
    code = 404 if isinstance(error, ABSENT) else getattr(error, "code", None) or 500
    if not isinstance(error, (HTTPException, *ABSENT)):
        log.exception("an unforeseen error at %s", request.path, exc_info=error)
    title, text = WORDS.get(code, WORDS[500] if code >= 500 else WORDS[400])
    if isinstance(error, Refused):
        title, text = error.title, error.text
    answer = _as_json(code, title, text) if _by_script() else page(title, text, code)
    for name, value in getattr(error, "get_headers", lambda: ())():
        if name in ("Allow", "Retry-After"):
            answer.headers[name] = value
    return answer


def _by_script() -> bool:
    return request.is_json or "text/html" not in request.headers.get("Accept", "")


def _as_json(code: int, title: str, text: str) -> Response:
    return Response(json.dumps({"error": {"title": title, "text": text}}), code, mimetype="application/json")


PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{title}</title>
<style>body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 34rem; margin: 12vh auto; padding: 0 1rem }}
label {{ display: block; margin: 1rem 0 }} input {{ display: block; font: inherit; width: 100%; padding: .4rem .6rem;
box-sizing: border-box }} button {{ font: inherit; padding: .4rem 1rem }} .wrong {{ font-weight: 600 }}</style></head>
<body><main><h1>{title}</h1>{body}</main></body></html>"""


def page(title: str, text: str, code: int = 200, more: str = "") -> Response:
    """Give a small page of the server's own, without scripts; `more` is markup, the others are words."""
    home = more or f'<p><a href="{escape(sessions.prefix())}">Go to the app</a></p>'
    body = f"<p>{escape(text)}</p>{home}"
    return Response(PAGE.format(title=escape(title), body=body), code, mimetype="text/html")


__all__ = ["Refused", "allowed_hosts", "is_loopback", "page", "policy", "protect", "same_origin"]
