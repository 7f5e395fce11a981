"""`xaikit app`: the web app on this machine."""

import sys
import webbrowser
from pathlib import Path

import click

from xaikit.apps import app as web


@click.command(context_settings={"auto_envvar_prefix": "XAIKIT_APP"})
@click.option("-m", "--model", "models", multiple=True, metavar="MODEL", help="A model to offer; repeat for more.")
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), help="The folder of data sets.")
@click.option("--open", "opened", is_flag=True, help="Open the browser.")
@click.option("--port", type=click.IntRange(0, 65535), default=8050, show_default=True, help="0 takes a free one.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Explanations at a time.")
@click.option("--cache", type=click.Path(path_type=Path, file_okay=False), help="The folder of results and uploads.")
@click.option(
    "--max-upload-mb",
    type=click.FloatRange(0.01, 1000),
    default=10,
    show_default=True,
    help="The largest file, in MiB.",
)
@click.option("--study", multiple=True, type=click.Path(path_type=Path), metavar="DIR", help="Show this study; repeat.")
@click.option("--audit", metavar="URL", help="The database of records, as sqlite:///audit.db.")
@click.option("--allow-code", is_flag=True, help="Import the factories that model.toml files name.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--auth",
    type=click.Choice(["none", "basic", "proxy"]),
    default="none",
    show_default=True,
    help="Who may use it: anybody, people in --users, or whom a proxy names.",
)
@click.option("--users", type=click.Path(path_type=Path, dir_okay=False), help="The file of names and passwords.")
@click.option("--add-user", metavar="NAME", help="Ask for a password, add NAME to --users, and end.")
@click.option("--trusted-proxy", multiple=True, metavar="ADDRESS", help="Believe this proxy; a network, or unix.")
@click.option("--user-header", default="X-Remote-User", show_default=True, help="Where a proxy says who it is.")
@click.option("--allow-host", "hosts", multiple=True, metavar="NAME", help="Answer as this name alone; repeat.")
@click.option("--prefix", default="/", show_default=True, help="The path that a proxy serves the app under.")
@click.option(
    "--per-session", type=click.IntRange(1, 1000), default=16, show_default=True, help="Jobs of one person at a time."
)
@click.option(
    "--broker", metavar="URL", help="Have the workers of the cluster at this Redis explain: xaikit worker -h."
)
@click.option("--store", metavar="PLACE", help="Where a cluster puts results: a folder that all see, or a URL.")
def app(models: tuple[str, ...], add_user: str | None, opened: bool, **settings: object) -> None:
    """Explore models in the browser.

    Without --model it offers every trained network of the zoo, in each framework that is installed. MODEL is a name
    from `xaikit zoo list` or of an installed package, a model.toml, or a .keras, .h5 or .pt2 file. The address goes
    to stdout; Ctrl-C ends it.

    \b
    xaikit app                                         the zoo, at http://127.0.0.1:8050/
    xaikit app -m mnist_cnn -m my_model.keras          these two
    xaikit app --port 0 --workers 2                    a free port, two explanations at a time
    xaikit app -m model.toml --data ~/data --open      your own model, with data sets, in the browser at once

    It listens on this machine only and asks for no password. Before --host opens it to others, let people log in:
    --auth basic --users FILE asks for a name and a password (--add-user makes the file), --auth proxy takes the name
    that a proxy sends. Passwords go over the line as they are: put a proxy with https before it. Each option can be
    given as a variable too, as XAIKIT_APP_PORT. Results are kept, so that a repeat costs nothing.
    """
    if add_user is not None:
        _add(add_user, settings["users"])
        return
    web.serve(web.Settings(models=models, **settings), told=_tell_and_open if opened else _tell)


def _add(name: str, users: object) -> None:
    if users is None:
        raise click.UsageError("--add-user needs the file: --users FILE")
    asked = sys.stdin.isatty()
    password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True) if asked else _line()
    web.add_user(users, name, password)
    click.echo(f"xaikit: {name} is in {users}", err=True)


def _tell_and_open(address: str, warning: str | None) -> None:
    _tell(address, warning)
    if not webbrowser.open(address):
        click.echo("xaikit: there is no browser here to open", err=True)


def _line() -> str:
    """Read a password that a script sends."""
    return sys.stdin.readline().rstrip("\r\n")


def _tell(address: str, warning: str | None) -> None:
    click.echo(address)
    if warning:
        click.echo(f"xaikit: {warning}", err=True)
    click.echo("xaikit: serving; Ctrl-C ends it", err=True)
    sys.stdout.flush()
