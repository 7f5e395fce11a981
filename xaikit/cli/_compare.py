"""`xaikit compare`: several methods on every input, side by side, and how far they agree."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from xaikit.cli._main import SOME_FAILED, as_json, emit, model_options, open_model, several_methods

MEASURES = ("deletion", "insertion", "random", "advantage", "better_than_random")
"""Two areas, that of random maps, how many standard deviations beyond these, and the share of samples that are."""


@click.command()
@model_options
@several_methods
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("comparisons"),
    show_default=True,
    help="The folder for what is written.",
)
@click.option("--score", help="logit, probability or output; by each method by default.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of every random choice.")
@as_json
def compare(model: str, framework: str | None, allow_code: bool, json_: bool, **asked: Any) -> int:
    """Explain every INPUT by several methods, and measure them.

    INPUT is as for `xaikit explain`. Each gives NAME.comparison.npz and .json (all maps, the agreement of every pair of
    methods, deletion and insertion beside random maps) and NAME.comparison.png. A table of the measures, with the path
    of the .json above it, goes to stdout; --json gives them as JSON. A method that cannot explain an input is told on
    stderr, the others go on, and the exit code is 3.

    \b
    xaikit compare mnist_cnn digit.png -m lime,kernel-shap,integrated-gradients -o out
    xaikit compare cats_vs_dogs cat.jpg -m grad-cam,lime -p lime.samples=500 -t cat
    """
    written = compare_files(open_model(model, framework, allow_code), **asked)
    if json_:
        click.echo(json.dumps(written, indent=2, ensure_ascii=False))
    for told in written:
        if not json_:
            click.echo(told["json"])
            emit(told, False, lambda told=told: measures_table(told))  # type: ignore[misc]
        for method, why in told["failed"].items():
            click.echo(
                f"xaikit: {method} of {Path(told['json']).name.removesuffix('.comparison.json')}: {why}", err=True
            )
    return SOME_FAILED if any(told["failed"] for told in written) else 0


def compare_files(
    model: Any,
    inputs: tuple[str, ...],
    methods: str,
    target: str | None,
    parameters: tuple[str, ...],
    output: Path,
    score: str | None,
    seed: int,
) -> list[dict[str, Any]]:
    """Compare the methods on every input, write the results, and describe them."""
    from xaikit.cli._explain import keep
    from xaikit.cli._report import parsed
    from xaikit.data.files import read_samples
    from xaikit.quality import compare as compared
    from xaikit.report import distinct, stem

    names = [m.strip() for m in methods.split(",") if m.strip()]
    given = parsed(parameters, names)
    asked = [(name, given.get(name, {})) for name in names]
    samples = [(stem(name), read_samples(name, model.inputs)) for name in inputs]
    written = []
    for name, (_, sample) in zip(distinct([s for s, _ in samples]), samples, strict=True):
        found = compared(model, sample, asked, target, score=score, seed=seed)
        written.append({**keep(found, output / f"{name}.comparison"), **described(found)})
    return written


def described(found: Any) -> dict[str, Any]:
    """Give the measures of a comparison as JSON types, the mean over samples."""
    rows = []
    for name in found.methods:
        e, f = found[name], found.faithfulness.get(name)
        one = e if hasattr(e, "status") else next(iter(e.values()))
        rows.append(
            {
                "method": name,
                "status": str(one.status),
                "reasons": list(one.status.reasons),
                **(measured(f) if f is not None else dict.fromkeys(MEASURES)),
                "model_calls": one.origin.model_calls,
                "seconds": round(one.origin.seconds, 3),
            }
        )
    agreement = [[_number(float(v)) for v in row] for row in found.agreement]
    return {
        "target": list(one.target_labels),
        "score": found.origin.score,
        "methods": rows,
        "agreement": agreement,
        "failed": dict(found.failed),
    }


def measured(f: Any) -> dict[str, Any]:
    """Give the means of one method's measures, NaN as None."""
    means = (f.deletion.mean(), f.insertion.mean(), f.random_deletion.mean(), f.advantage.mean(), f.better.mean())
    return {name: _number(float(mean)) for name, mean in zip(MEASURES, means, strict=True)}


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return value if np.isfinite(value) else None


def measures_table(told: Mapping[str, Any]) -> Any:
    """Lay the measures out, a row per method, and under them the agreement of every method with every other."""
    from rich import box
    from rich.console import Group
    from rich.table import Table

    title = f"{', '.join(told['target'])}: the {told['score']} while parts are hidden or shown"
    measures = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False)
    agreement = Table(title="Rank agreement", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("", "Method", "Status", "Deletion", "Insertion", "Random", "Beyond random", "Calls"):
        words = column in ("Method", "Status")  # what may be broken over lines; a number may not
        measures.add_column(column, justify="left" if words else "right", no_wrap=not words, overflow="fold")
    for column in ("", "Method", *(f"{k + 1}" for k in range(len(told["methods"])))):
        agreement.add_column(column, justify="left" if column == "Method" else "right", no_wrap=column != "Method")
    for k, (row, agreed) in enumerate(zip(told["methods"], told["agreement"], strict=True)):
        numbers = ["–" if row[key] is None else f"{row[key]:.3g}" for key in MEASURES[:3]]
        numbers.append("–" if row["advantage"] is None else f"{row['advantage']:.1f} sd")
        measures.add_row(f"{k + 1}", row["method"], row["status"], *numbers, f"{row['model_calls']:,}")
        agreement.add_row(f"{k + 1}", row["method"], *("–" if v is None else f"{v:.2f}" for v in agreed))
    return Group(measures, agreement)
