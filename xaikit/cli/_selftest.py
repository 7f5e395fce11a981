"""`xaikit selftest`: the golden cases on this installation, as a table."""

import json
import platform
from collections import Counter
from pathlib import Path
from typing import Any

import click

from xaikit.cli._main import emit
from xaikit.errors import MissingPackage
from xaikit.selftest import Outcome, run

MISMATCH = 4
COLOURS = {"pass": "green", "fail": "bold red", "skipped": "yellow"}


@click.command("selftest")
@click.option("--framework", help="torch or keras; every one that is installed by default.")
@click.option("--device", help="cpu, cuda or cuda:1; where the framework itself puts a network by default.")
@click.option(
    "--json",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write what is in the table to a file, with the versions of what is installed.",
)
@click.option("--only", multiple=True, metavar="NAME", help="Only this case or group of cases; may be given again.")
def selftest_command(framework: str | None, device: str | None, file: Path | None, only: tuple[str, ...]) -> None:
    """Check that this installation calculates what it should.

    Runs small cases whose right answers are known, on every framework that is installed: closed forms, such as the
    Shapley values of a linear network, and trained networks of the zoo, whose outputs, gradients, maps, gates and
    anomaly scores were calculated once in float64. Prints, for each, the greatest difference relative to the largest
    right value, and the tolerance: 1e-5 for outputs and gradients, 1e-4 for values of parts, 0 for whole numbers. With
    both frameworks, they are compared with one another too. Nothing is downloaded, and no data set is needed.

    Leaves with 4 if a case fails, with 0 if all pass, with 5 if there is no framework to try.

    \b
    xaikit selftest                                    what is installed, about ten seconds
    xaikit selftest --framework torch --device cuda    on a GPU
    xaikit selftest --only linear --only mnist_cnn/lime
    xaikit selftest --json selftest.json               for a report of a fault
    """
    from xaikit.cli._bar import bar

    with bar("golden cases") as progress:
        found = run([framework] if framework else [], device=device, only=only, progress=progress)
    for outcome in found:
        if outcome.verdict == "skipped":
            click.echo(f"skipped: {outcome.said}", err=True)
    tried = [o for o in found if o.verdict != "skipped"]
    if not tried:
        raise MissingPackage(framework or "PyTorch or Keras", framework or "torch", "the self-test")
    if file is not None:
        _write(file, found, device)
    emit(None, False, lambda: _table(tried))
    click.echo(_summary(tried), err=True)
    click.get_current_context().exit(MISMATCH if any(o.verdict == "fail" for o in tried) else 0)


def _table(found: list[Outcome]) -> Any:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for header, right in (("framework", 0), ("case", 0), ("what is compared", 0), ("difference", 1)):
        table.add_column(header, justify="right" if right else "left", overflow="fold")
    for header in ("tolerance", "seconds"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for o in found:
        said = escape(f"{o.compared}; {o.said}" if o.said else o.compared)
        verdict = f"[{COLOURS[o.verdict]}]{o.verdict}[/]"
        seconds = f"{o.seconds:.2f}" if o.seconds else ""
        table.add_row(o.framework, o.case, said, _number(o.difference), f"{o.tolerance:g}", seconds, verdict)
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else "0" if value == 0 else f"{value:.1e}"


def _summary(found: list[Outcome]) -> str:
    counts, seconds = Counter(o.verdict for o in found), sum(o.seconds for o in found)
    failed = [f"{o.case} ({o.framework})" for o in found if o.verdict == "fail"]
    said = f"{counts['pass']} of {len(found)} comparisons pass, in {seconds:.0f} s"
    return f"{said}; failed: {', '.join(failed)}" if failed else said


def _write(file: Path, found: list[Outcome], device: str | None) -> None:
    from xaikit.storage import write_atomically

    content = {
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": _versions(),
        "device": device,
        "outcomes": [o.to_dict() for o in found],
    }
    write_atomically(file, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("xaikit", "numpy", "scipy", "torch", "keras", "tensorflow", "tensorflow-cpu"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
