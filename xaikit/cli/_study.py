"""`xaikit study`: thousands of explanations by a plan."""

import contextlib
import json
import math
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xaikit.cli._main import SOME_FAILED, as_json, emit
from xaikit.cli._once import Commands
from xaikit.errors import Cancelled, LoadError, UsageError

if TYPE_CHECKING:
    from xaikit.study import Counts, StudyDiff, StudyResult, Validation

GATE = 4
EVERY = 10.0
"""Seconds between the lines about progress that go into a file."""
SHOWN = 20


@click.group(cls=Commands)
def study() -> None:
    """Explain thousands of inputs by a plan; stop and go on at any time.

    \b
    xaikit study init --model mnist_cnn --inputs 'digits/*.png' --methods lime,grad-cam -o plan.toml
    xaikit study validate plan.toml               is everything there, and how long will it take?
    xaikit study run plan.toml -o out --workers 2
    xaikit study run plan.toml -o out --resume    go on, after whatever has happened
    xaikit jobs list --open                       what the workers are at
    xaikit study run plan.toml -o s3://bucket/out --scheduler tcp://10.0.0.1:8786
    xaikit study merge part-1 part-2 -o whole     folders of the same plan on other inputs
    xaikit study diff out out-of-the-new-model    what a new version of the model changes

    A folder holds plan.toml, manifest.jsonl with a line for every unit, and units/ with every result. Exit codes: 3
    some units failed, 4 a rule of --fail-on or of the plan is broken, 130 interrupted.
    """


def plan_argument(command: Any) -> Any:
    """Add PLAN and --allow-code."""
    command = click.option("--allow-code", is_flag=True, help="Import the factory that a model.toml names.")(command)
    return click.argument("plan", type=click.Path(path_type=Path, dir_okay=False))(command)


@study.command("init")
@click.option("--model", required=True, help="A name from `xaikit zoo list`, or the path of a model file.")
@click.option("--framework", help="torch or keras; for models of the zoo.")
@click.option(
    "--inputs", required=True, multiple=True, metavar="WHAT", help="A glob, a folder, a CSV file, a file or a sentence."
)
@click.option("-m", "--methods", required=True, metavar="NAME,...", help="Names from `xaikit methods`, by commas.")
@click.option("-p", "--parameter", "parameters", multiple=True, metavar="METHOD.NAME=VALUE", help="One parameter.")
@click.option("-t", "--target", help="Class name or index; the predicted class by default.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of every random choice.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("plan.toml"),
    show_default=True,
    help="The plan.",
)
@click.option("--force", is_flag=True, help="Replace a plan that is there.")
def init_command(output: Path, force: bool, **asked: Any) -> None:
    """Write a plan to start from; its path goes to stdout.

    \b
    xaikit study init --model credit_mlp --inputs applicants.csv --methods exact-shapley -t bad -o plan.toml
    """
    if output.exists() and not force:
        raise UsageError(f"{output} is there already: --force replaces it, -o names another")
    click.echo(_first_plan(output, **asked))


def _first_plan(
    output: Path,
    model: str,
    framework: str | None,
    inputs: tuple[str, ...],
    methods: str,
    parameters: tuple[str, ...],
    target: str | None,
    seed: int,
) -> Path:
    from xaikit.cli._report import parsed
    from xaikit.storage import write_atomically
    from xaikit.study import InputsPlan, MethodPlan, Plan, read_plan

    names = list(dict.fromkeys(m.strip() for m in methods.split(",") if m.strip()))
    if not names:
        raise UsageError("--methods names no method: `xaikit methods` lists them")
    own = parsed(parameters, names)
    about: Any = int(target) if target is not None and target.isdigit() else target
    paths = tuple(_from(output.parent, word) for word in inputs)
    asked = tuple(MethodPlan(name, about, own.get(name, {})) for name in names)
    text = HEAD + Plan(_from(output.parent, model), InputsPlan(paths), asked, framework, seed).toml() + TAIL
    read_plan(text, str(output))
    write_atomically(output, text.encode())
    return output


HEAD = """# A study: every input is explained by every method. Paths are relative to this file.
# xaikit study validate THIS; xaikit study run THIS -o DIR. `xaikit methods NAME` lists a method's parameters.

"""
TAIL = """
# [quality]
# faithfulness = true   # deletion and insertion beside random maps
# stability = true      # rank agreement over three seeds
# limits = ["status=fail:0.1"]   # at most a tenth of the units may have status fail, else exit code 4
"""


def _from(folder: Path, word: str) -> str:
    """Write a path that is relative to the present folder relative to the plan's."""
    import os

    is_path = any(c in word for c in "*?[") or Path(word).exists()
    if not is_path or Path(word).is_absolute() or folder.resolve() == Path().resolve():
        return word
    return Path(os.path.relpath(word, folder)).as_posix()


@study.command("validate")
@plan_argument
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="For the estimated time.")
@as_json
def validate_command(plan: Path, allow_code: bool, workers: int, json_: bool) -> int:
    """Find out what PLAN would do, without doing it.

    The model is loaded, the methods are asked whether they can explain it, the first hundred inputs are read and the
    others looked for, and one unit of each method is timed. Exit codes: 2 the plan is wrong, 3 some inputs cannot be
    read, 5 the model or all inputs cannot.
    """
    from xaikit.study import validate

    found = validate(plan, allow_code=allow_code)
    emit(found.to_dict(workers), json_, lambda: _validation_text(found, workers))
    for problem in found.problems:
        click.echo(f"xaikit: {problem}", err=True)
    if found.problems:
        return LoadError.exit_code if found.broken >= found.checked else UsageError.exit_code
    return SOME_FAILED if found.broken else 0


def _validation_text(found: "Validation", workers: int) -> str:
    lines = [
        f"model      {found.model} ({found.framework})",
        f"inputs     {found.inputs}, of which {found.checked} were read",
        f"units      {found.units}",
        *(f"each       {seconds * 1e3:.1f} ms by {name}" for name, seconds in found.seconds_per_unit.items()),
    ]
    estimate = found.estimated_seconds(workers)
    if not math.isnan(estimate):
        lines.append(f"time       about {lasting(estimate)} with {workers} worker{'s' * (workers > 1)}")
    if found.broken:
        lines += [f"unreadable {found.broken}:", *(f"  {each}" for each in found.unreadable)]
    from rich.markup import escape

    return escape("\n".join(lines))


@study.command("run")
@plan_argument
@click.option("-o", "--output", metavar="DIR", help="The folder for the results, or a URL such as s3://bucket/study.")
@click.option("--resume", is_flag=True, help="Go on in a folder that has this plan; what failed is tried again.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that explain.")
@click.option("--threads", type=click.IntRange(1), help="Threads of each; the processors shared out by default.")
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="A Dask scheduler whose workers explain, as tcp://HOST:PORT; or local: one for --workers on this machine.",
)
@click.option(
    "--fail-on",
    multiple=True,
    metavar="RULE",
    help="FIELD=VALUE:SHARE, as status=fail:0.1 or surrogate_r2<0.5:0.2: exit code 4 if it holds of more of the units.",
)
@as_json
def run_command(
    plan: Path,
    allow_code: bool,
    output: str | None,
    resume: bool,
    workers: int,
    threads: int | None,
    scheduler: str | None,
    fail_on: tuple[str, ...],
    json_: bool,
) -> int:
    """Carry PLAN out into a folder or to a URL, which goes to stdout.

    One unit is one input explained by one method for one target. Its result is written whole or not at all, so that
    nothing is lost when the run is stopped, and --resume goes on. An input that cannot be read, or a method that fails,
    stops nothing else: manifest.jsonl says why, and the exit code is 3.

    \b
    xaikit study run plan.toml -o out --workers 2 --fail-on status=fail:0.1
    xaikit study run plan.toml -o s3://bucket/out --scheduler tcp://10.0.0.1:8786
    """
    from xaikit.jobs.store import default_folder
    from xaikit.jobs.table import FILE
    from xaikit.study import run

    _check_one_way(workers, threads, scheduler)
    try:
        with _shown() as progress:
            done = run(
                plan,
                output,
                resume=resume,
                workers=workers,
                threads=threads,
                scheduler=scheduler,
                fail_on=fail_on,
                allow_code=allow_code,
                progress=progress,
                table=default_folder() / FILE if workers > 1 and scheduler is None else None,
            )
    except KeyboardInterrupt:
        again = shlex.join(["xaikit", "study", "run", str(plan), *(["-o", output] if output else []), "--resume"])
        raise Cancelled(f"interrupted; what is done is kept: {again}") from None
    return _told(done, json_)


def _check_one_way(workers: int, threads: int | None, scheduler: str | None) -> None:
    if scheduler not in (None, "local") and (workers > 1 or threads is not None):
        raise UsageError(f"the workers of {scheduler} are those that it has: leave --workers and --threads out")


def _told(done: "StudyResult", json_: bool) -> int:
    """Say what a run did, and give its exit code: a broken rule goes before units that failed."""
    click.echo(json.dumps(done.to_dict(), indent=2) if json_ else str(done.study.folder))
    c = done.counts
    click.echo(f"xaikit: {c.done} done, {c.failed} failed, {c.skipped} were there; {lasting(done.seconds)}", err=True)
    for rule in done.broken:
        click.echo(f"xaikit: broken: {rule}", err=True)
    if done.broken:
        return GATE
    return SOME_FAILED if c.failed else 0


@contextlib.contextmanager
def _shown() -> Iterator[Any]:
    """Give what shows progress on stderr: a bar with the time left on a terminal, else a line now and then."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("loading the model", total=None)

        def progress(counts: "Counts") -> None:
            words = f"{counts.failed} failed" if counts.failed else "explaining"
            bar.update(task, completed=counts.ended, total=counts.units, description=words)

        yield progress


class _Lines:
    """Tells of progress in plain lines."""

    def __init__(self) -> None:
        self.first: float | None = None
        self.last = time.monotonic()
        self.made = 0

    def __call__(self, counts: "Counts") -> None:
        now = time.monotonic()
        if self.first is None:
            self.first = now
            return
        self.made += 1
        if now - self.last < EVERY:
            return
        self.last = now
        left = (now - self.first) / self.made * (counts.units - counts.ended)
        told = f"{counts.ended} of {counts.units} units, {counts.failed} failed, about {lasting(left)} left"
        click.echo(f"xaikit: {told}", err=True)


def lasting(seconds: float) -> str:
    """Give a time as people say it."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 86400 else f"{seconds / 86400:.1f} days"


@study.command("merge")
@click.argument("folders", nargs=-1, required=True, metavar="DIR...")
@click.option("-o", "--output", required=True, metavar="DIR", help="The folder for all of them.")
@as_json
def merge_command(folders: tuple[str, ...], output: str, json_: bool) -> int:
    """Put the units of several folders into one, whose path goes to stdout; a single one is copied.

    Folders may be URLs. The plans may differ only in the paths of their inputs. Two different results for the same
    unit are a conflict, and then nothing is written.

    \b
    xaikit study merge part-1 part-2 -o whole
    xaikit study merge s3://bucket/out -o out     bring it home, for a report
    """
    from xaikit.study import merge

    merged = merge(folders, output)
    click.echo(json.dumps(merged.to_dict(), indent=2) if json_ else output)
    return SOME_FAILED if merged.failed else 0


@study.command("diff")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@as_json
def diff_command(first: str, second: str, json_: bool) -> None:
    """Compare two studies of the same inputs, such as those of two versions of a model.

    For each method: the rank agreement of the maps, the largest difference of values, and how many predictions are
    other classes. --json has every unit.
    """
    from xaikit.study import diff

    found = diff(first, second)
    emit(found.to_dict(), json_, lambda: _diff_table(found))


def _diff_table(found: "StudyDiff") -> Any:
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        "method", "units", "agreement, median", "least", "largest difference", "other class", "other status", box=None
    )
    for m in found.methods():
        numbers = (m.median_agreement, m.least_agreement, m.largest_difference)
        table.add_row(m.method, str(m.units), *(f"{n:.3g}" for n in numbers), str(m.changed), str(m.other_status))
    changes = found.changes()
    said = [f"{c.input}: {c.predicted[0]} → {c.predicted[1]}" for c in changes[:SHOWN]]
    if len(changes) > SHOWN:
        said.append(f"and {len(changes) - SHOWN} more inputs with another class")
    for count, words in (
        (found.only_first, f"units are only in {found.first}"),
        (found.only_second, f"units are only in {found.second}"),
        (found.failed, "units have no result in one of them"),
        (found.other_input, "units have another input under the same name, and were not compared"),
    ):
        if count:
            said.append(f"{count} {words}")
    return Group(table, *(escape(line) for line in said))
