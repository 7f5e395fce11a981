"""The frame of the app: header, navigation, addresses and errors; pages fill it."""

import logging
import threading
from importlib import import_module
from typing import Any
from uuid import uuid4

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update, set_props

from xaikit.errors import UnknownName, XaikitError
from xaikit_app import cohorts, gzipped, health, keys, onward, polls, security, taking, tray, ui
from xaikit_app.pages import Page, View, group_of, pages
from xaikit_app.services import Chosen, Services
from xaikit_app.settings import Settings
from xaikit_app.state import State as Address
from xaikit_app.state import read
from xaikit_app.work.describe import Description

log = logging.getLogger(__name__)
NAVBAR = {"width": 210, "breakpoint": "sm", "collapsed": {"mobile": True}}
MARK = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24'%3E"
    "%3Cpath fill='%234c6ef5' d='M3 3h5l4 6 4-6h5l-6.5 9L21 21h-5l-4-6-4 6H3l6.5-9z'/%3E%3C/svg%3E"
)
INDEX = """<!DOCTYPE html>
<html lang="en">
<head>
{%metas%}
<meta name="color-scheme" content="light dark">
<title>{%title%}</title>
<link rel="icon" href="MARK">
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
</html>""".replace("MARK", MARK)
THEME = {
    "primaryColor": "indigo",
    "primaryShade": {"light": 7, "dark": 8},  # white on it is readable
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
        add_log_handler=False,
        on_error=_tell,
        requests_pathname_prefix=settings.prefix,
        routes_pathname_prefix="/",
    )
    app.services = services
    security.protect(app, settings)
    gzipped.register(app.server)
    health.register(app.server, services)
    found = pages()
    app.layout = lambda: _frame(services, found)
    _register(app, services, found)
    keys.register(app)
    tray.register(app, services)
    threading.Thread(target=_warm, daemon=True, name="xaikit-app-warm").start()
    taking.register(app, services)
    for page in found.values():
        page.register(app, services)
    return app


def _warm() -> None:
    """Import what draws, so that the first map does not wait for it."""
    import_module("xaikit.render._matplotlib")
    import_module("matplotlib.backends.backend_agg")


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


def _frame(services: Services, found: dict[str, Page]) -> Any:
    names = [{"value": c.name, "label": c.name} for c in services.choices.values()]
    return dmc.MantineProvider(
        [
            dcc.Location(id="url", refresh="callback-nav"),
            dcc.Store(id="view-changes"),
            dcc.Store(id="view-key"),
            dcc.Store(id="view-shown"),
            dcc.Store(id="view-arrived"),
            polls.clock("view-poll"),
            dmc.NotificationContainer(id="notices", position="top-right"),
            html.A("Skip to the page", href="#main", className="skip-link"),
            dmc.AppShell(
                [
                    dmc.AppShellHeader(_header(names), px="md"),
                    dmc.AppShellNavbar(
                        [
                            html.Nav(id="nav", **{"aria-label": "Pages"}),
                            html.Div(keys.openers(), className="nav-foot"),
                        ],
                        p="sm",
                    ),
                    dmc.AppShellMain(html.Div(ui.waiting("Starting …"), id="main", tabIndex="-1")),
                ],
                header={"height": 60},
                navbar=NAVBAR,
                padding="lg",
                id="shell",
            ),
            *tray.frame(),
            *keys.dialogs(page.TITLE for page in found.values()),
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
                    *security.who(),
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
    """Give the links to the pages below the headings of their groups."""
    groups: dict[str, list[Any]] = {}
    letters = keys.letters(page.TITLE for page in found.values())
    for page in found.values():
        reason = page.lacks(description) if description is not None else None
        link = _nav_link(state, page, reason, letters.get(page.TITLE, ""))
        groups.setdefault(group_of(page), []).append(html.Li(link))
    shown: list[Any] = []
    for group, links in groups.items():
        shown += [html.H2(group, className="nav-group")] if group else []
        shown.append(html.Ul(links, className="nav-links", **({"aria-label": group} if group else {})))
    return shown


def _nav_link(state: Address, page: Page, reason: str | None, letter: str) -> Any:
    """Give the link to a page. One that the model lacks leads to the reason, which is also its hint."""
    here = state.page == page.PATH
    label = [page.TITLE, html.Span(f", not for this model: {reason}", className="unseen")] if reason else page.TITLE
    link = dmc.NavLink(
        label=label,
        leftSection=ui.icon(page.ICON),
        href=state.to(page.PATH).href,
        active=here,
        id={"type": "nav", "page": page.PATH},
        className="nav-link lacking" if reason else "nav-link",
        **{"data-letter": letter, "data-title": page.TITLE, **({"aria-current": "page"} if here else {})},
    )
    return ui.explained(link, f"Not for this model: {reason}.") if reason else link


def _register(app: Dash, services: Services, found: dict[str, Page]) -> None:
    polls.register(app, "view-poll")

    @app.callback(
        Output("main", "children"),
        Output("nav", "children"),
        Output("model", "value"),
        Output("framework", "data"),
        Output("framework", "value"),
        Output("view-poll", "disabled"),
        Output("view-key", "data"),
        Output("view-shown", "data"),
        Output("view-arrived", "data"),
        Input("url", "pathname"),
        Input("url", "search"),
        Input("view-poll", "n_intervals"),
        State("view-key", "data"),
    )
    def route(path: str | None, search: str | None, polled: int | None, key: str | None) -> Any:
        state = read(path, search)
        if not state.page:
            state = state.at(page=next(iter(found)))
        if ctx.triggered_id == "view-poll" and key != state.href:
            return (*(no_update,) * 5, True, *(no_update,) * 3)
        try:
            chosen = services.choose(state)
        except UnknownName as error:
            return _lost(error, state, found, services)
        known = services.description(chosen)
        frameworks = [{"value": f, "label": SPOKEN.get(f, f)} for f in chosen.choice.frameworks if f]
        if isinstance(known, Description):
            waits = False
            body, nav = _body(View(state, chosen, known, services), found), _nav(state, found, known)
        else:
            waits = not known.done  # before what is shown: it may end in between
            body, nav = _not_yet(chosen.name, known, state), _nav(state, found, None)
        return (
            body,
            nav,
            chosen.name,
            frameworks,
            chosen.framework,
            not waits,
            state.href,
            [chosen.name, chosen.framework],
            _arrived(state, chosen, known, found, services),
        )

    app.clientside_callback(
        "function () { window.dash_clientside.xaikitFrame.remember(); }",
        Input("url", "pathname"),
        Input("url", "search"),
    )
    app.clientside_callback(
        "function (arrived) { window.dash_clientside.xaikitFrame.arrive(arrived); }",
        Input("view-arrived", "data"),
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
        return ui.page(page.TITLE, "", ui.not_supported(f"{view.chosen.name} has no such page: {lacking}."))
    try:
        return [cohorts.bar(view), page.layout(view), onward.onward(view, found)]
    except XaikitError as error:
        return ui.page(page.TITLE, "", ui.problem(error), _way_on(view.state.at(sample=None), found))
    except Exception as error:  # one page that fails must not take the others with it
        log.exception("the page %s could not be made", view.state.page)
        text = f"an unforeseen {type(error).__name__} in this page; the app's log has the details"
        return ui.page(page.TITLE, "", ui.problem(text), _way_on(view.state.at(sample=None), found))


def _arrived(state: Address, chosen: Chosen, known: Any, found: dict[str, Page], services: Services) -> dict[str, Any]:
    """Give what the browser must know of a page: its title, and what can be gone to from it."""
    layers = [layer["name"] for layer in known.layers] if isinstance(known, Description) else []
    title = found[state.page].TITLE if state.page in found else "No such page"
    return {
        "page": state.page,
        "model": chosen.name,
        "title": f"{title} · {chosen.name} · {services.settings.title}",
        "places": {"models": list(services.choices), "layers": layers},
    }


def _not_yet(name: str, job: Any, state: Address) -> Any:
    if job.status in ("failed", "cancelled"):
        error = ui.problem(job.error or "it was given up", "This model could not be loaded")
        return ui.page(name, "", error, html.A("Try again", href=state.href, className="again"))
    queue = f": {ui.standing(job)}" if job.status == "waiting" else ""
    return ui.waiting(f"Loading {name} …{queue}")


def _way_on(state: Address, found: dict[str, Page]) -> Any:
    page = state.page if state.page in found else next(iter(found))
    return dmc.Anchor("Go on from here", href=state.to(page).href)


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
    title = f"Not found · {services.settings.title}"
    arrived = {"page": "", "model": "", "title": title, "places": {"models": list(services.choices), "layers": []}}
    return body, _nav(Address(), found, None), None, [], None, True, state.href, [None, None], arrived
