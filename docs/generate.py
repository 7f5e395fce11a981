"""Write the pages of docs/ and the table of the README that are made from the code: python docs/generate.py."""

import inspect
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from xaikit import zoo
from xaikit.attribution import families, methods
from xaikit.cli._tables import dialect_rows, method_page, needs_of, parameter_rows
from xaikit.figures import spoken
from xaikit.insight import kernels, operations
from xaikit.insight.operators.activation import FUNCTIONS
from xaikit.quality import examine

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
MARKS = ("<!-- methods: python docs/generate.py -->", "<!-- end of methods -->")
KINDS = {"picture": "mnist_cnn", "text": "lstm_imdb", "series": "eeg_cnn", "table": "credit_mlp"}
"""A network for each kind of data, which the doctor examines in both frameworks."""
FRAMEWORKS = ("torch", "keras")
DIALECTS = """# Dialects

The same name is given to different calculations elsewhere. xaikit has one definition for each method, and takes another
library's defaults when it is asked to: `xk.explain(model, x, "saliency", dialect="captum")`, or on the command line
`xaikit explain MODEL INPUT --method saliency -p dialect=captum`. Parameters that are given go before the dialect's; the
dialect is recorded with the result, so that a replay speaks it too. `xaikit methods --dialects` prints this table.

| method | dialect | explains | parameters | then | remark |
|---|---|---|---|---|---|
"""


def dialects() -> str:
    """Give the page of dialects."""
    lines = (
        f"| {row['method']} | {row['dialect']} | {row['explains']} "
        f"| {', '.join(f'`{k}={v!r}`' for k, v in row['parameters'].items())} "
        f"| {', '.join(row['steps'])} | {row['remark']} |"
        for row in dialect_rows()
    )
    return DIALECTS + "\n".join(lines) + "\n"


METHODS = """# Methods

What each method gives, by the first line of its definition, where it is from, and what it can be asked.
`xaikit methods NAME` prints the whole definition, which is also the docstring of `xk.methods[name]`. Other libraries'
defaults are [dialects](dialects.md).

The doctor was asked about a convolutional network for pictures and one for series, a recurrent one for texts and a
dense one for tables, each in Keras and in PyTorch: ✓ is yes in both. `xaikit doctor MODEL` says it of yours.
"""


@cache
def served() -> dict[str, dict[str, dict[str, str | None]]]:
    """Ask the doctor, by method, kind of data and framework: None where it can be served, else why not."""
    found: dict[str, dict[str, dict[str, str | None]]] = {m: {k: {} for k in KINDS} for m in methods}
    for kind, name in KINDS.items():
        for framework in FRAMEWORKS:
            for v in examine(zoo.load(name, framework=framework)):
                found[v.method][kind][framework] = None if v.serves else v.remark
    return found


def table() -> str:
    """Give the table of methods by kind of data: a tick where both frameworks serve, else the one that does."""
    lines = ["| method | " + " | ".join(KINDS) + " | needs |", "|---|" + ":-:|" * len(KINDS) + "---|"]
    for family, names in families(methods).items():
        lines.append(f"| *{family}* |" + " |" * (len(KINDS) + 1))
        for name in names:
            cells = [_cell(served()[name][kind]) for kind in KINDS]
            lines.append(f"| [`{name}`](docs/methods.md#{name}) | {' | '.join(cells)} | {needs_of(name)} |")
    return "\n".join(lines)


def _cell(said: Mapping[str, str | None]) -> str:
    able = [f for f in FRAMEWORKS if said[f] is None]
    return "✓" if len(able) == len(FRAMEWORKS) else ", ".join(map(spoken, able)) or "–"


def all_methods() -> str:
    """Give the page of methods."""
    parts = [METHODS, table().replace("docs/methods.md#", "#"), ""]
    for family, names in families(methods).items():
        parts.append(f"\n## {family[0].upper()}{family[1:]}\n")
        parts += [_about(name) for name in names]
    return "\n".join(parts)


def _about(name: str) -> str:
    page = method_page(name)
    lines = [f"### {name}\n", page["description"].split("\n\n")[0].replace("\n", " "), ""]
    source = re.search(r"Source:\s.*?(?=\n\n|$)", page["description"], re.DOTALL)
    lines += [source[0].replace("\n", " "), ""] if source else []
    lines += [f"Explains the {page['score']} of a class by default.", ""]
    lines += [f"{_refused(name)}", ""] if _refused(name) else []
    return "\n".join([*lines, *_parameters(page["parameters"])])


def _parameters(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Give a table of parameters, in lines; nothing where there are none."""
    lines = [f"| `{p['name']}` | `{p['default']!r}` | {_piped(p['help'])} |" for p in rows]
    return ["| parameter | default | meaning |", "|---|---|---|", *lines, ""] if rows else []


def _refused(name: str) -> str:
    """Say in the doctor's words why a kind of data is not served."""
    why: dict[str, list[str]] = {}
    for kind, said in served()[name].items():
        for reason in dict.fromkeys(_short(r, KINDS[kind]) for r in said.values() if r):
            why.setdefault(reason, []).append(f"{kind}s")
    return " ".join(f"Not for the {' and '.join(kinds)} above: {reason}." for reason, kinds in why.items())


def _short(remark: str, model: str) -> str:
    return re.split(r"; use |: for an? ", remark.replace(model, "the network"))[0]


def readme() -> str:
    """Give the README with its table of methods as it should be."""
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(MARKS[0])
    return f"{before}{MARKS[0]}\n{table()}\n{MARKS[1]}{rest.split(MARKS[1])[1]}"


def _piped(text: str) -> str:
    """Write text so that it can stand in a cell of a table."""
    return text.replace("|", "\\|")


OPERATIONS = """# Operations

What a layer does to a picture, a series or any array, so that every number of the result can be followed back:
`xk.explore(x, NAME, **parameters)` gives the output and all its steps, `xk.plot(steps.at(row, column))` draws one.
`xaikit explore INPUT NAME` does the same on the command line. They agree with the layers of PyTorch and Keras.
"""


def all_operations() -> str:
    """Give the page of operations, activation functions and kernels."""
    parts = [OPERATIONS]
    for name, operation in operations.items():
        lines = (inspect.getdoc(operation) or "").split("\n\n")
        said = [" ".join(text.split("\n")) for text in lines]
        parts += ["\n\n".join([f"## {name}", *said]) + "\n", "\n".join(_parameters(parameter_rows(operation)))]
    parts += ["## Activation functions\n", "| name | formula |", "|---|---|"]
    parts += [f"| {name} | {_piped(f.formula)} |" for name, f in FUNCTIONS.items()]
    parts += ["\n## Kernels\n", "| name | size | does |", "|---|---|---|"]
    parts += [f"| {n} | {' × '.join(map(str, k.shape))} | {kernels.about(n)} |" for n, k in kernels.items()]
    return "\n".join(parts) + "\n"


PAGES = {"dialects.md": dialects, "methods.md": all_methods, "operations.md": all_operations}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), encoding="utf-8")
    README.write_text(readme(), encoding="utf-8")
