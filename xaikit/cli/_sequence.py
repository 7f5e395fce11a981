"""`xaikit states`, `gradient-flow`, `prefixes` and `attention`: what sequence models do step by step."""

import json
from pathlib import Path
from typing import Any

import click

from xaikit.cli._explain import keep
from xaikit.cli._insight import into, samples_of
from xaikit.cli._main import as_json, model_options, open_model
from xaikit.errors import UsageError
from xaikit.report import safe
from xaikit.sequence import attention, gradient_flow, hidden_states, prefixes

LAYER = click.option("-l", "--layer", help="A name from `xaikit layers`; the only one of its kind by default.")
TARGET = click.option("-t", "--target", help="A class by name or number; the predicted one by default.")


def _told(written: dict[str, Any], json_: bool, *lines: str) -> None:
    """Say where a result is on stdout, and what it found on stderr or in the JSON."""
    for line in lines:
        click.echo(line, err=True)
    click.echo(json.dumps(written, indent=2) if json_ else written["json"])


@click.command("states")
@model_options
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@LAYER
@click.option("-u", "--unit", type=int, help="Colour the first input by this one unit, with what is expected next.")
@click.option("-g", "--gate", help="Of --unit: i, f, g, o, c, h, z, r or n; the cell or the state by default.")
@into("sequence")
@as_json
def states_command(
    model: str,
    framework: str | None,
    allow_code: bool,
    inputs: tuple[str, ...],
    layer: str | None,
    unit: int | None,
    gate: str | None,
    output: Path,
    json_: bool,
) -> None:
    """Show the gates and states of a recurrent layer at every step of the INPUTs.

    INPUT is as in `xaikit explain`. Writes LAYER.states.npz and .json (of all inputs) and .png (of the first); with
    --unit LAYER.unit-K instead: the text, each token coloured by the unit.

    \b
    xaikit states bilstm_imdb "a wonderful film" -o out
    xaikit states char_lstm "the movie was so boring" --unit 92
    """
    if gate is not None and unit is None:
        raise UsageError("--gate names what --unit shows")
    opened = open_model(model, framework, allow_code)
    result: Any = hidden_states(opened, samples_of(inputs, opened.inputs), layer)
    found = {"layer": result.layer, "kind": result.kind, "gates": list(result.gates), "status": str(result.status)}
    name = f"{safe(result.layer)}.states"
    if unit is not None:
        name, shown = f"{safe(result.layer)}.unit-{unit}", result.unit(unit, gate=gate)
        _told({**keep(shown, output / name), **found}, json_, *result.status.reasons)
        return
    _told({**keep(result, output / name), **found, "reasons": list(result.status.reasons)}, json_, repr(result))


@click.command("gradient-flow")
@model_options
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@LAYER
@TARGET
@into("sequence")
@as_json
def flow_command(
    model: str,
    framework: str | None,
    allow_code: bool,
    inputs: tuple[str, ...],
    layer: str | None,
    target: str | None,
    output: Path,
    json_: bool,
) -> None:
    """Measure how large the gradient is at every step of a recurrent layer, and say whether it vanishes.

    INPUT is as in `xaikit explain`. Writes LAYER.gradient-flow.npz, .json and .png; the verdict goes to stderr.

    \b
    xaikit gradient-flow lstm_imdb "a wonderful film with a terrible ending"
    """
    opened = open_model(model, framework, allow_code)
    result = gradient_flow(opened, samples_of(inputs, opened.inputs), layer, target)
    said = {way: {"verdict": result.verdict(way), "words": result.words(way)} for way in result.states}
    written = keep(result, output / f"{safe(result.layer)}.gradient-flow")
    _told({**written, "directions": said}, json_, *(v["words"] for v in said.values()))


@click.command("prefixes")
@model_options
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@TARGET
@click.option("--every", type=click.IntRange(min=1), default=1, show_default=True, help="Steps between two prefixes.")
@into("sequence")
@as_json
def prefixes_command(
    model: str,
    framework: str | None,
    allow_code: bool,
    inputs: tuple[str, ...],
    target: str | None,
    every: int,
    output: Path,
    json_: bool,
) -> None:
    """Show what is predicted when only the beginning of each INPUT has been read.

    INPUT is as in `xaikit explain`. Writes MODEL.prefixes.npz, .json and .png.

    \b
    xaikit prefixes bilstm_imdb "a wonderful film with a terrible ending"
    """
    opened = open_model(model, framework, allow_code)
    result = prefixes(opened, samples_of(inputs, opened.inputs), target, every=every)
    settled = [result.settled(i) for i in range(len(result))]
    written = keep(result, output / f"{safe(opened.name)}.prefixes")
    _told({**written, "target": list(result.target), "settled": settled}, json_, f"{result.how}: {result!r}")


@click.command("attention")
@model_options
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@LAYER
@into("sequence")
@as_json
def attention_command(
    model: str,
    framework: str | None,
    allow_code: bool,
    inputs: tuple[str, ...],
    layer: str | None,
    output: Path,
    json_: bool,
) -> None:
    """Show where attention looked for every INPUT: the steps of the answer by those that were read.

    INPUT is as in `xaikit explain`. Writes LAYER.attention.npz, .json and .png. It says where the network looked, not
    why it answered.

    \b
    xaikit attention seq2seq_dates "12 march 1999"
    """
    opened = open_model(model, framework, allow_code)
    result = attention(opened, samples_of(inputs, opened.inputs), layer)
    written = keep(result, output / f"{safe(result.layer)}.attention")
    reasons = list(result.status.reasons)
    told = {"layer": result.layer, "heads": result.heads, "status": str(result.status), "reasons": reasons}
    _told({**written, **told}, json_, *reasons)
