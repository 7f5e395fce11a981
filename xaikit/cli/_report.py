"""`xaikit report`: several inputs, several methods, one page."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from xaikit.cli._main import SOME_FAILED, model_options, several_methods


@click.command()
@model_options
@several_methods
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("report"), show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that explain.")
@click.option("--cache", type=click.Path(path_type=Path, file_okay=False), help="The folder of results that are kept.")
@click.option(
    "--max-mb",
    type=click.FloatRange(0.01),
    default=20,
    show_default=True,
    help="The largest page: beyond it pictures become coarser, then files beside it.",
)
@click.option("--json", "json_", is_flag=True, help="Print JSON: the paths, and what was made.")
def report(**asked: Any) -> int:
    """Explain every INPUT by several methods, on one page.

    INPUT is a picture, a .npy array, a .csv of rows or of a series, a .txt, a sentence, or a folder of such files. The
    page DIR/index.html needs no network and no script; DIR/report.json says the same to programs, and DIR/units holds
    every result. Only an earlier report in DIR is replaced. The path of the page goes to stdout.

    \b
    xaikit report mnist_cnn digits/ --methods lime,grad-cam,integrated-gradients -o digits-report
    xaikit report credit_mlp applicants.csv -m exact-shapley,kernel-shap -p kernel-shap.samples=500 -t bad

    Results are kept: what was explained before, here or in the app, is read and not calculated again. An input that
    cannot be read and a method that cannot explain it are listed on the page, the rest goes on, and the exit code is 3.
    """
    from xaikit.report import collect, free, named, write_report

    methods = [m.strip() for m in asked["methods"].split(",") if m.strip()]
    parameters = parsed(asked["parameters"], methods)
    free(asked["output"], "index.html", "report.json")
    given = named(asked["inputs"])
    found = _collected(collect, given, methods, parameters, asked)
    made = write_report(found, asked["output"], command=_command(asked), max_mb=asked["max_mb"])
    click.echo(json.dumps(_summary(found, made), indent=2, ensure_ascii=False) if asked["json_"] else made.page)
    for failure in found.failures:
        click.echo(f"xaikit: {failure.method} of {failure.input}: {failure.error}", err=True)
    return SOME_FAILED if found.failures else 0


def parsed(items: Sequence[str], methods: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Turn METHOD.NAME=VALUE into parameters by method. Raises ParameterError and UnknownName."""
    from xaikit.attribution import methods as known
    from xaikit.cli._explain import parse_parameters
    from xaikit.errors import ParameterError

    found: dict[str, list[str]] = {name: [] for name in methods}
    for name in methods:
        known[name]
    for item in items:
        method, dot, rest = item.partition(".")
        if not dot or "=" in method:
            raise ParameterError(f"a parameter is written METHOD.NAME=VALUE, as in lime.samples=500, not {item!r}")
        if method not in found:
            raise ParameterError(f"{item!r} is for a method that was not asked for: {', '.join(methods)}")
        found[method].append(rest)
    return {name: parse_parameters(name, given) for name, given in found.items() if given}


def _collected(collect: Any, given: Any, methods: Sequence[str], parameters: Any, asked: Any) -> Any:
    """Have everything explained in worker processes, with a bar on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from xaikit.jobs import Pool, Recipe

    model = asked["model"]
    recipe = Recipe(model, asked["framework"], asked["allow_code"])
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[many]}"), TimeElapsedColumn())
    with (
        Pool({model: recipe}, asked["workers"], folder=asked["cache"]) as pool,
        Progress(*columns, console=Console(stderr=True)) as shown,
    ):
        task = shown.add_task(f"loading {model}", total=None, many="")

        def progress(done: float, total: int, said: str) -> None:
            shown.update(task, completed=done, total=total, description=f"{said:<32.32}", many=f"{int(done)}/{total}")

        return collect(
            pool,
            model,
            given,
            methods,
            target=asked["target"],
            seed=asked["seed"],
            parameters=parameters,
            progress=progress,
        )


def _command(asked: Any) -> str:
    """Give the command that makes the report again."""
    words = ["xaikit", "report", asked["model"], *asked["inputs"], "--methods", asked["methods"]]
    options = {"--target": asked["target"], "--framework": asked["framework"], "--seed": asked["seed"]}
    words += [word for name, value in options.items() if value is not None for word in (name, str(value))]
    words += [word for item in asked["parameters"] for word in ("-p", item)]
    words += ["--allow-code"] if asked["allow_code"] else []
    return shlex.join([*words, "-o", str(asked["output"])])


def _summary(found: Any, made: Any) -> dict[str, Any]:
    return {
        "page": str(made.page),
        "json": str(made.data),
        "bytes": made.size,
        "inputs": len(found.inputs),
        "explanations": found.made,
        "failed": [{"input": f.input, "method": f.method, "error": f.error} for f in found.failures],
        "note": made.note,
    }
