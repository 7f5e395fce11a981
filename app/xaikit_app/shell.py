"""The frame of the app: header, navigation, addresses and errors; pages fill it."""

import logging
import threading
from importlib import import_module
from typing import Any
from uuid import uuid4

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update, set_props

from xaikit.errors import UnknownName, XaikitError
from xaikit_app import ui
from xaikit_app.pages import Page, View, pages
from xaikit_app.services import Services
from xaikit_app.settings import MIB, Settings
from xaikit_app.state import State as Address
from xaikit_app.state import read
from xaikit_app.tasks import Description

log = logging.getLogger(__name__)
POLL_MS = 300
NAVBAR = {"width": 210, "breakpoint": "sm", "collapsed": {"mobile": True}}
INDEX = """<!DOCTYPE html>
<html lang="en">
<head>
{%metas%}
<meta name="color-scheme" content="light dark">
<title>{%title%}</title>
{%favicon%}
<script>
(function () {
  var kept = null;
  try { kept = localStorage.getItem("mantine-color-scheme-value"); } catch (error) { kept = null; }
  var dark = kept === "dark" || (kept !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.setAttribute("data-mantine-color-scheme", dark ? "dark" : "light");
})();
</script>
{%css%}
</head>
<body>
{%app_entry%}
<footer>{%config%}{%scripts%}{%renderer%}</footer>
</body>
</html>"""
THEME = {
    "primaryColor": "indigo",
    "fontFamily": "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, 'Liberation Sans', sans-serif",
    "fontFamilyMonospace": "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace",
    "defaultRadius": "md",
    "focusRing": "auto",
    "respectReducedMotion": True,
}


def create_app(settings: Settings | None = None) -> Dash:
    """Give an app that is ready to be served: `app.run(...)`, or `app.server` for any WSGI server.

    Nothing is loaded before a page asks for it. `app.services` holds the work behind it; `app.services.close()` ends
    its processes, which also end with this one. Raises UnknownName or ModelError for models that are not there.
    """
    settings = settings or Settings()
    services = Services(settings)
    app = Dash(
        __name__,
        title=settings.title,
        update_title=None,
        assets_folder="assets",
        index_string=INDEX,
        suppress_callback_exceptions=True,  # pages bring their own components, which the first layout does not have
        serve_locally=True,
        health_endpoint="health",
        add_log_handler=False,
        on_error=_tell,
    )
    app.services = services
    # An upload arrives as base64 inside JSON.
    app.server.config["MAX_CONTENT_LENGTH"] = int(settings.max_upload_bytes * 1.4) + MIB
    app.server.after_request(_harden)
    found = pages()
    app.layout = lambda: _frame(services)
    _register(app, services, found)
    threading.Thread(target=_warm, daemon=True, name="xaikit-app-warm").start()
    for page in found.values():
        page.register(app, services)
    return app


def _warm() -> None:
    """Import what draws, so that the first map does not wait for it."""
    import_module("xaikit.render._matplotlib")
    import_module("matplotlib.backends.backend_agg")


def _harden(response: Any) -> Any:
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _tell(error: Exception) -> Any:
    """Show an error that a callback raised as a notice, and go on."""
    if isinstance(error, XaikitError):
        text = " ".join(str(error).split())
    else:
        log.exception("an unforeseen error in a callback", exc_info=error)
        text = f"an unforeseen {type(error).__name__} in the app; its log has the details"
    # An id of its own, or a second notice would not appear while the first is shown.
    notice = {
        "action": "show",
        "id": f"problem-{uuid4().hex}",
        "title": "That did not work",
        "message": text,
        "color": "red",
    }
    set_props("notices", {"sendNotifications": [{**notice, "autoClose": 12000}]})


# ---------------------------------------------------------------- what stands around every page


def _frame(services: Services) -> Any:
    names = [{"value": c.name, "label": c.name} for c in services.choices.values()]
    return dmc.MantineProvider(
        [
            dcc.Location(id="url", refresh="callback-nav"),
            dcc.Store(id="view-changes"),
            dcc.Store(id="view-key"),
            dcc.Store(id="view-shown"),
            dcc.Interval(id="view-poll", interval=POLL_MS, disabled=True),
            dmc.NotificationContainer(id="notices", position="top-right"),
            html.A("Skip to the page", href="#main", className="skip-link"),
            dmc.AppShell(
                [
                    dmc.AppShellHeader(_header(names), px="md"),
                    dmc.AppShellNavbar(html.Nav(id="nav", **{"aria-label": "Pages"}), p="sm"),
                    dmc.AppShellMain(html.Div(ui.waiting("Starting …"), id="main", tabIndex="-1")),
                ],
                header={"height": 60},
                navbar=NAVBAR,
                padding="lg",
                id="shell",
            ),
        ],
        id="theme",
        theme=THEME,
        defaultColorScheme="auto",
    )


def _header(names: list[dict[str, str]]) -> Any:
    return dmc.Group(
        [
            dmc.Burger(id="burger", opened=False, hiddenFrom="sm", size="sm", **{"aria-label": "Pages"}),
            html.A([ui.icon("logo"), html.Span("xaikit")], href="/", className="brand", title="explain trained models"),
            dmc.Group(
                [
                    dmc.Select(
                        id="model",
                        data=names,
                        searchable=True,
                        allowDeselect=False,
                        w={"base": 130, "sm": 220},
                        size="sm",
                        nothingFoundMessage="no such model",
                        **{"aria-label": "Model"},
                    ),
                    dmc.SegmentedControl(id="framework", data=[], size="sm", **{"aria-label": "Framework"}),
                ],
                gap="sm",
                wrap="nowrap",
                className="pickers",
            ),
            dmc.Group(
                [
                    dmc.Button(
                        "Copy link",
                        id="copy-link",
                        variant="default",
                        size="xs",
                        leftSection=ui.icon("link"),
                        className="copy-link",
                    ),
                    dmc.ColorSchemeToggle(
                        lightIcon=ui.icon("sun"),
                        darkIcon=ui.icon("moon"),
                        variant="default",
                        size="lg",
                        id="scheme",
                        **{"aria-label": "Light or dark"},
                    ),
                ],
                gap="sm",
                wrap="nowrap",
            ),
        ],
        justify="space-between",
        h="100%",
        wrap="nowrap",
        gap="md",
    )


def _nav(state: Address, found: dict[str, Page], description: Description | None) -> list[Any]:
    return [
        dmc.NavLink(
            label=page.TITLE,
            leftSection=ui.icon(page.ICON),
            href=_kept(state, path),
            active=path == state.page,
            disabled=bool(description and page.lacks(description)),
            id={"type": "nav", "page": path},
            **({"aria-current": "page"} if path == state.page else {}),
        )
        for path, page in found.items()
    ]


def _kept(state: Address, path: str) -> str:
    """Give the address of another page with the same model and input."""
    return Address(path, state.model, state.framework, state.sample, state.target).href


def _register(app: Dash, services: Services, found: dict[str, Page]) -> None:
    @app.callback(
        Output("main", "children"),
        Output("nav", "children"),
        Output("model", "value"),
        Output("framework", "data"),
        Output("framework", "value"),
        Output("view-poll", "disabled"),
        Output("view-key", "data"),
        Output("view-shown", "data"),
        Input("url", "pathname"),
        Input("url", "search"),
        Input("view-poll", "n_intervals"),
        State("view-key", "data"),
        running=[(Output("view-poll", "disabled"), True, False)],  # of answers under way only the last would count
    )
    def route(path: str | None, search: str | None, polled: int | None, key: str | None) -> Any:
        state = read(path, search)
        if not state.page:
            state = state.at(page=next(iter(found)))
        if ctx.triggered_id == "view-poll" and key != state.href:
            return (*(no_update,) * 5, True, no_update, no_update)
        try:
            chosen = services.choose(state)
        except UnknownName as error:
            return _lost(error, state, found, services)
        known = services.description(chosen)
        frameworks = [{"value": f, "label": SPOKEN.get(f, f)} for f in chosen.choice.frameworks if f]
        if isinstance(known, Description):
            body, nav, waits = _body(View(state, chosen, known, services), found), _nav(state, found, known), False
        else:
            body, nav, waits = _not_yet(chosen.name, known), _nav(state, found, None), not known.done
        return (
            body,
            nav,
            chosen.name,
            frameworks,
            chosen.framework,
            not waits,
            state.href,
            [chosen.name, chosen.framework],
        )

    app.clientside_callback(
        "function (...given) { return window.dash_clientside.xaikit.choose(...given); }",
        Output("url", "href"),
        Input("model", "value"),
        Input("framework", "value"),
        State("view-shown", "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        "function (...given) { return window.dash_clientside.xaikit.keep(...given); }",
        Output({"type": "nav", "page": ALL}, "href"),
        Input("view-changes", "data"),
        State({"type": "nav", "page": ALL}, "href"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        "function (...given) { return window.dash_clientside.xaikit.unfold(...given); }",
        Output("shell", "navbar"),
        Output("burger", "opened"),
        Input("burger", "opened"),
        Input("url", "pathname"),
        State("shell", "navbar"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        "function (...given) { return window.dash_clientside.xaikit.copyLink(...given); }",
        Output("copy-link", "children"),
        Input("copy-link", "n_clicks"),
        prevent_initial_call=True,
    )


SPOKEN = {"torch": "PyTorch", "keras": "Keras"}


def _body(view: View, found: dict[str, Page]) -> Any:
    """Give the page of a view, or a readable reason why there is none."""
    if view.state.page not in found:
        error = UnknownName("page", view.state.page, found)
        return ui.page("There is no such page", "", ui.problem(error, "Unknown page"), _way_on(view.state, found))
    page = found[view.state.page]
    lacking = page.lacks(view.description)
    if lacking:
        return ui.page(page.TITLE, "", ui.hint(f"{view.chosen.name} has no such page: {lacking}."))
    try:
        return page.layout(view)
    except XaikitError as error:
        return ui.page(page.TITLE, "", ui.problem(error), _way_on(view.state.at(sample=None), found))
    except Exception as error:  # one page that fails must not take the others with it
        log.exception("the page %s could not be made", view.state.page)
        text = f"an unforeseen {type(error).__name__} in this page; the app's log has the details"
        return ui.page(page.TITLE, "", ui.problem(text), _way_on(view.state.at(sample=None), found))


def _not_yet(name: str, job: Any) -> Any:
    if job.status in ("failed", "cancelled"):
        return ui.page(name, "", ui.problem(job.error or "it was given up", "This model could not be loaded"))
    return ui.waiting(f"Loading {name} …")


def _way_on(state: Address, found: dict[str, Page]) -> Any:
    page = state.page if state.page in found else next(iter(found))
    return dmc.Anchor("Go on from here", href=_kept(state, page))


def _lost(error: XaikitError, state: Address, found: dict[str, Page], services: Services) -> Any:
    links = [
        html.Li(dmc.Anchor(name, href=Address(next(iter(found)), name).href)) for name in list(services.choices)[:20]
    ]
    body = ui.page(
        "This link does not lead anywhere",
        "The model or framework that it names is not on offer here.",
        ui.problem(error, "Not found"),
        ui.card(html.Ul(links), title="Models on offer"),
    )
    return body, _nav(Address(), found, None), None, [], None, True, state.href, [None, None]
