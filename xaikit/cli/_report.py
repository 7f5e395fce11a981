"""`xaikit report`: several inputs, several methods, one page; and the report of a study."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from xaikit.cli._main import SOME_FAILED, asked_inputs, model_options
from xaikit.errors import UsageError, many, not_there


@click.command()
@model_options
@asked_inputs(required=False)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The folder for it: `report` by default, of a study the one in its folder.",
)
@click.option("--format", "formats", metavar="NAME,...", help="Of html, pdf, json, by commas; html,json by default.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of every random choice.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that explain.")
@click.option("--cache", type=click.Path(path_type=Path, file_okay=False), help="The folder of results that are kept.")
@click.option(
    "--max-mb",
    type=click.FloatRange(0.01),
    help="The largest page (20 by default), or all pages of a study (2, or 0.1 for each input): beyond it pictures "
    "become coarser, then go.",
)
@click.option(
    "--pdf-inputs",
    type=click.IntRange(0),
    default=100,
    show_default=True,
    help="How many inputs of a study its PDF shows.",
)
@click.option("--json", "json_", is_flag=True, help="Print JSON: the paths, and what was made.")
def report(**asked: Any) -> int:
    """Explain every INPUT by several methods, on one page; or report on a study.

    INPUT is a picture, a .npy array, a .csv of rows or of a series, a .txt, a sentence, or a folder of such files. The
    page DIR/index.html needs no network and no script; DIR/report.json says the same to programs, and DIR/units holds
    every result. Only an earlier report in DIR is replaced. The path of the page goes to stdout.

    \b
    xaikit report mnist_cnn digits/ --methods lime,grad-cam,integrated-gradients -o digits-report
    xaikit report credit_mlp applicants.csv -m exact-shapley,kernel-shap -p kernel-shap.samples=500 -t bad

    Results are kept: what was explained before, here or in the app, is read and not calculated again. An input that
    cannot be read and a method that cannot explain it are listed on the page, the rest goes on, and the exit code is 3.

    With the folder of a study, and no INPUT, the report is of that study: a front page, one page for every input, and
    if asked for a PDF. Nothing is calculated, inputs are read one by one, and a study may still be running.

    \b
    xaikit study run plan.toml -o out
    xaikit report out --format html,pdf,json
    """
    formats = _formats(asked["formats"])
    if _is_study(asked["model"], asked["inputs"]):
        return _of_study(formats, asked)
    if "pdf" in formats:
        raise UsageError("a PDF is made of a study: xaikit study run PLAN -o DIR, then xaikit report DIR --format pdf")
    return _of_inputs(asked)


def _formats(words: str | None) -> list[str]:
    """Read --format. Raises UsageError."""
    from xaikit.errors import nearest
    from xaikit.report import FORMATS

    found = [word.strip().lower() for word in (words or "html,json").split(",") if word.strip()]
    for word in found:
        if word not in FORMATS:
            raise UsageError(f"--format takes {', '.join(FORMATS)}, not {word!r}{nearest(word, FORMATS)}")
    if not found:
        raise UsageError(f"--format names no format: {', '.join(FORMATS)}")
    return found


def _is_study(model: str, inputs: Sequence[str]) -> bool:
    """Whether the first word is the folder of a study; a folder that is none, with nothing else, is a mistake."""
    from xaikit.report import is_study

    if inputs:
        return False
    if is_study(model):
        return True
    if "/" in model and not Path(model).exists():
        raise UsageError(not_there(model, "folder of a study"))
    if Path(model).is_dir():
        raise UsageError(
            f"{model} is no folder of a study: it has no plan.toml; xaikit study run PLAN -o DIR makes one"
        )
    return False


def _of_study(formats: Sequence[str], asked: dict[str, Any]) -> int:
    """Report on a study."""
    from xaikit.cli._bar import bar
    from xaikit.report import write_study_report

    own = {"methods": "-m", "target": "-t", "parameters": "-p", "framework": "--framework", "cache": "--cache"}
    for name, option in own.items():
        if asked[name]:
            raise UsageError(f"{option} is for inputs that are explained; the study {asked['model']} has its plan")
    words = ["xaikit", "report", asked["model"], "--format", ",".join(formats)]
    words += ["-o", str(asked["output"])] if asked["output"] else []
    words += ["--max-mb", f"{asked['max_mb']:g}"] if asked["max_mb"] else []
    with bar("reading the study") as progress:
        made = write_study_report(
            asked["model"],
            asked["output"],
            formats=formats,
            max_mb=asked["max_mb"],
            pdf_inputs=asked["pdf_inputs"],
            command=shlex.join(words),
            progress=progress,
        )
    click.echo(json.dumps(made.to_dict(), indent=2, ensure_ascii=False) if asked["json_"] else made.page)
    for note in made.notes:
        click.echo(f"xaikit: {note}", err=True)
    if made.state != "complete":
        click.echo(f"xaikit: the study is {made.state}", err=True)
    if made.failed:
        click.echo(f"xaikit: {many(made.failed, 'unit')} without a result", err=True)
    return SOME_FAILED if made.failed else 0


def _of_inputs(asked: dict[str, Any]) -> int:
    """Explain inputs, and report on them."""
    from xaikit.report import collect, free, named, write_report

    context = click.get_current_context()
    for parameter in context.command.params:  # a study needs neither, so click itself does not ask for them
        if parameter.name in ("inputs", "methods") and not asked[parameter.name]:
            raise click.MissingParameter(ctx=context, param=parameter)
    asked = {**asked, "output": asked["output"] or Path("report"), "max_mb": asked["max_mb"] or 20.0}
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
    from xaikit.cli._bar import bar
    from xaikit.jobs import Pool, Recipe
    from xaikit.jobs.store import default_folder
    from xaikit.jobs.table import FILE

    model = asked["model"]
    recipe = Recipe(model, asked["framework"], asked["allow_code"])
    table = (Path(asked["cache"]) if asked["cache"] else default_folder()) / FILE
    pool = Pool({model: recipe}, asked["workers"], folder=asked["cache"], table=table, resume=False)
    with pool, bar(f"loading {model}") as progress:
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
