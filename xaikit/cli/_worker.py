"""`xaikit worker`: a worker of a cluster on this machine; `xaikit jobs`: what runs and waits."""

import logging
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xaikit.cli._main import as_json, emit
from xaikit.cli._once import Commands
from xaikit.errors import UnknownName, UsageError

if TYPE_CHECKING:
    from xaikit.jobs.table import Row, Rows

SHOWN = 20
SHORTEST = 6
"""So many digits of an id tell a job."""
ENDS = 10.0
"""Seconds to wait for a job that is given up."""


@click.command("worker")
@click.option(
    "--broker",
    required=True,
    envvar="XAIKIT_BROKER",
    metavar="URL",
    help="The Redis of the cluster, as redis://:password@host:6379/0; also from XAIKIT_BROKER.",
)
@click.option(
    "--store",
    metavar="PLACE",
    help="Where results go: a folder that all machines see, or a URL as s3://bucket/results. Else the user's cache.",
)
@click.option("-m", "--model", "models", multiple=True, required=True, metavar="MODEL", help="Repeat for more.")
@click.option("--framework", help="torch or keras; both, as far as installed, by default.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Units at a time.")
@click.option("--threads", type=click.IntRange(1), help="Threads of each; the processors shared out by default.")
@click.option("--module", "modules", multiple=True, metavar="NAME", help="A Python module that registers more tasks.")
@click.option("--allow-code", is_flag=True, help="Import the factories that model.toml files name.")
def worker(
    broker: str,
    store: str | None,
    models: tuple[str, ...],
    framework: str | None,
    workers: int,
    threads: int | None,
    modules: tuple[str, ...],
    allow_code: bool,
) -> None:
    """Carry out what several servers ask for.

    Servers put units into a queue in Redis, and any number of workers on any number of machines take them, for the
    models that they are started with. MODEL is what the servers offer too: a name from `xaikit zoo list`, a model.toml,
    or a .keras, .h5 or .pt2 file. Results go into the store, which all share.

    \b
    redis-server --requirepass SECRET
    xaikit worker --broker redis://:SECRET@10.0.0.1 --store /mnt/results -m mnist_cnn -m my_model.keras
    xaikit app    --broker redis://:SECRET@10.0.0.1 --store /mnt/results -m mnist_cnn -m my_model.keras
    xaikit jobs list --broker redis://:SECRET@10.0.0.1

    Ctrl-C ends it after the units that run, a second one at once. What a worker leaves when it dies is begun once more
    by another one. The queue holds no code, and the broker should be reached by your own machines alone.
    """
    from xaikit.jobs.serving import Serving, served, tasks_of_apps

    logging.basicConfig(level=logging.WARNING, format="xaikit: %(message)s")
    recipes = served(models, framework, allow_code=allow_code)
    serving = Serving(
        broker, recipes, store, workers, threads=threads, modules=dict.fromkeys((*tasks_of_apps(), *modules))
    )
    click.echo(f"xaikit: serving {', '.join(recipes)}; Ctrl-C ends it", err=True)
    serving.run()


def place_options(command: Any) -> Any:
    """Add --folder and --broker."""
    command = click.option("--broker", envvar="XAIKIT_BROKER", metavar="URL", help="The Redis of a cluster.")(command)
    return click.option(
        "--folder",
        type=click.Path(path_type=Path, file_okay=False),
        help="The folder of results of an app; the user's cache by default.",
    )(command)


@click.group("jobs", cls=Commands)
def jobs_group() -> None:
    """See what runs, waits and has ended, and give it up.

    \b
    xaikit jobs list                                   the app's and the studies' of this machine
    xaikit jobs list --open --json                     what waits or runs, as JSON
    xaikit jobs show 3f2a91                            one job, by the beginning of its id
    xaikit jobs cancel 3f2a91
    xaikit jobs list --broker redis://10.0.0.1         of a cluster

    It shows what a job is about, never its input.
    """


@jobs_group.command("list")
@place_options
@click.option("--owner", help="Only those of one session.")
@click.option("--open", "open_", is_flag=True, help="Only what waits or runs.")
@click.option("--most", type=click.IntRange(1), default=SHOWN, show_default=True, help="So many, the newest.")
@as_json
def list_command(
    folder: Path | None, broker: str | None, owner: str | None, open_: bool, most: int, json_: bool
) -> None:
    """List jobs, the newest first."""
    rows = [row for row in _rows(folder, broker).rows(owner, 10_000 if open_ else most) if row.open or not open_]
    emit([_plain(row) for row in rows[:most]], json_, lambda: _table(rows[:most]))


@jobs_group.command("show")
@place_options
@click.argument("id")
@as_json
def show_command(folder: Path | None, broker: str | None, id: str, json_: bool) -> None:
    """Show all that is known of a job."""
    row = _found(_rows(folder, broker), id)
    emit(_plain(row), json_, lambda: _page(row))


@jobs_group.command("cancel")
@place_options
@click.argument("id")
def cancel_command(folder: Path | None, broker: str | None, id: str) -> None:
    """Give a job up; prints what became of it."""
    rows = _rows(folder, broker)
    row = _found(rows, id)
    if not row.open:
        raise UsageError(f"the job {row.id} has ended already: {row.status}")
    rows.abandon(row.id)
    until = time.monotonic() + ENDS
    while row.open and time.monotonic() < until:
        time.sleep(0.1)
        row = rows.row(row.id) or row
    click.echo(row.status)


def _rows(folder: Path | None, broker: str | None) -> "Rows":
    """Open the table of jobs of a folder, or of a cluster. Raises UsageError where there is none."""
    from xaikit.jobs.board import Board
    from xaikit.jobs.store import default_folder
    from xaikit.jobs.table import FILE, Table

    if broker is not None:
        if folder is not None:
            raise UsageError("--folder is for this machine and --broker for a cluster: give one of them")
        return Board(broker)
    place = (folder or default_folder()) / FILE
    if not place.is_file():
        raise UsageError(f"no job was ever noted in {place.parent}: --folder names another place, --broker a cluster")
    return Table(place)


def _found(rows: "Rows", id: str) -> "Row":
    """Find a job by the beginning of its id. Raises UnknownName."""
    row = rows.row(id)
    if row is not None:
        return row
    found = [row for row in rows.rows(most=10_000) if row.id.startswith(id)] if len(id) >= SHORTEST else []
    if len(found) != 1:
        raise UnknownName("job", id, [row.id for row in found])
    return found[0]


def _plain(row: "Row") -> dict[str, Any]:
    """Give a row as JSON types."""
    given = {name: value for name, value in vars(row).items() if name != "kinds"}
    return {"title": row.title, **given, "progress": None if row.progress is None else list(row.progress)}


def _stand(row: "Row") -> str:
    """Say where a job stands."""
    if row.status == "waiting":
        return f"waiting, number {row.place}"
    if row.status == "running" and row.progress is not None:
        return f"running, {row.progress[0]:,} of {row.progress[1]:,}"
    return row.status


def _when(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")


def _took(row: "Row") -> str:
    return "" if row.seconds is None else f"{row.seconds:.1f} s"


def _table(rows: list["Row"]) -> Any:
    from rich.table import Table as Shown

    table = Shown("id", "what", "stands", "asked for", "took", "owner", box=None)
    for row in rows:
        owner = "" if row.owner is None else row.owner[:12]
        table.add_row(row.id[:12], row.title, _stand(row), _when(row.submitted), _took(row), owner)
    return table


def _page(row: "Row") -> Any:
    from rich.table import Table as Shown

    table = Shown(show_header=False, box=None)
    lines = {
        "id": row.id,
        "what": row.title,
        "stands": _stand(row),
        "owner": row.owner or "",
        "asked for": _when(row.submitted),
        "begun": _when(row.started),
        "ended": _when(row.ended),
        "took": _took(row),
        "result": row.address or "",
        "error": row.error or "",
    }
    for name, text in lines.items():
        if text:
            table.add_row(name, text)
    return table
