"""Write the pages of docs/ and the table of the README that are made from the code: python docs/generate.py."""

import inspect
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import xaikit.results._judging as judging
from xaikit import zoo
from xaikit.attribution import families, methods
from xaikit.cli._tables import dialect_rows, method_page, needs_of, parameter_rows
from xaikit.errors import XaikitError
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

The [gallery](methods/gallery.md) shows all of them on one photo.
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
    return "\n".join([*parts, *_others()])


def _others() -> list[str]:
    """List the pages about what is no attribution, by their titles, with their first sentence."""
    lines = [
        "",
        "## Other ways to look",
        "",
        "Pages of the same form, for what is no map of a single score:",
        "",
    ]
    for path in sorted((HERE / "methods").glob("*.md")):
        if path.stem not in methods and path.stem != "gallery":
            title, rest = path.read_text(encoding="utf-8").removeprefix("# ").split("\n", 1)
            first = re.split(r"(?<=[.?])\s", rest.split("## Definition\n\n")[1], maxsplit=1)[0].replace("\n", " ")
            lines.append(f"- [{title}](methods/{path.name}): {first[0].lower()}{first[1:]}")
    return [*lines, ""]


def _about(name: str) -> str:
    page = method_page(name)
    lines = [f"### {name}\n", page["description"].split("\n\n")[0].replace("\n", " "), ""]
    source = re.search(r"Source:\s.*?(?=\n\n|$)", page["description"], re.DOTALL)
    lines += [source[0].replace("\n", " "), ""] if source else []
    lines += [f"Explains the {page['score']} of a class by default.", ""]
    lines += [f"{_refused(name)}", ""] if _refused(name) else []
    lines += [f"[Formula, an example with a known answer, evidence, advice](methods/{name}.md)", ""]
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


FILLED = ("<!-- what follows is made by: python docs/generate.py -->", "<!-- end of what is made -->")
EVIDENCE = {
    "completeness_gap": ("how much the values miss their sum by, in units of the score", ""),
    "completeness_gap_relative": (
        "the same over the difference of the scores that they should sum to",
        f"warns above {judging.GAP_WARN}, fails above {judging.GAP_FAIL}",
    ),
    "step_gap": ("how much a step's values miss what the score rises by on its way: the largest of a sample", ""),
    "step_gap_relative": ("the same over the largest such rise", ""),
    "surrogate_r2": (
        "the weighted R² of the linear model: the share of the scores' variance that it explains",
        f"warns below {judging.R2_WARN}, fails below {judging.R2_FAIL}",
    ),
    "intercept": ("the linear model's score with all parts hidden", ""),
    "local_prediction": ("the linear model's score for the sample itself; compare it with the model's own", ""),
    "standard_error": (
        "the mean standard error of the values over the largest of them; 0 where nothing was drawn",
        "ends the drawing once it is at most `tolerance`",
    ),
    "complete": ("the share of the model calls that were planned and made", "warns below 1"),
    "cut": ("the share of the map, in absolute value, that speaks against the score and was cut", ""),
    "relevance_absorbed": (
        "what biases and ε took of the score, as a share of it",
        f"warns above {judging.ABSORBED_WARN}",
    ),
    "resolved": ("the share of the credit that reached single parts", ""),
    "maps": ("how many maps of the method below were made", ""),
}
"""What a number in `quality` says, and what the status makes of it."""
ALWAYS = (
    'Every explanation has `quality["score"]`, the score f(x) that is explained, and `quality["model_calls"]`. A value '
    'or score that is not finite fails, a map of zeros warns. With `evidence="full"` the status also heeds deletion '
    "and insertion beside random maps, {seeds}and what is left of the map when the network's weights are random."
)


def method_files() -> dict[Path, str]:
    """Give the page of each method as it should be: what is written by hand, then what is made here."""
    found = {}
    for name in methods:
        path = HERE / "methods" / f"{name}.md"
        text = path.read_text(encoding="utf-8") if path.exists() else _begun(name)
        found[path] = f"{text.split(FILLED[0])[0].rstrip()}\n\n{FILLED[0]}\n\n{_filled(name)}\n\n{FILLED[1]}\n"
    return found


def _begun(name: str) -> str:
    """Give the beginning of a new method's page: its definition in words, and the headings of what is still to say."""
    said = method_page(name)["description"].split("\n\n")[0]
    headings = "".join(f"## {title}\n\n" for title in ("An example with a known answer", "When to use it", "When not"))
    return f"# {name}\n\n## Definition\n\n{said}\n\n{headings}"


def _filled(name: str) -> str:
    page = method_page(name)
    source = re.search(r"Source:\s(.*?)(?=\n\n|$)", page["description"], re.DOTALL)
    parts = {
        "Parameters": _fields(name) or ["It has none of its own.", ""],
        "Dialects": _spoken(name),
        "Needs and serves": _serves(name),
        "Evidence": _evidence(name),
        "Source": [(source[1] if source else "").replace("\n", " "), "", *_definition(name)],
    }
    return "\n".join(line for title, lines in parts.items() for line in (f"## {title}", "", *lines)).rstrip()


def _fields(name: str) -> list[str]:
    """Give a method's parameters with what each takes."""
    rows = [
        f"| `{p['name']}` | `{p['default']!r}` | {_piped(p['help'])} | {_piped(_limits(methods[name], p['name']))} |"
        for p in parameter_rows(methods[name])
    ]
    return ["| parameter | default | meaning | limits |", "|---|---|---|---|", *rows, ""] if rows else []


PROBES = (-1, 0, 1, 2, 1.0, -1.0, 1e300, True, "no such word", object())
"""What is tried as the value of a parameter to learn what is refused."""


def _limits(method: Any, field: str) -> str:
    """Say what a parameter takes: its words, or what the method itself says when it refuses a value."""
    known = method.parameters()[field]
    if known.choices:
        return " or ".join(f"`{c!r}`" for c in known.choices)
    said: list[str] = []
    for value in PROBES:
        try:
            method.make({field: value})
        except XaikitError as error:
            said.append(_refusal(str(error), field))
    rules = dict.fromkeys(words for words in said if words)
    kind = "" if known.type == "Any" else known.type.replace("typing.", "").replace("<class 'str'>", "str")
    return ", ".join([kind, *rules] if kind else rules) or "–"


def _refusal(message: str, field: str) -> str:
    """Take the rule out of an error: "samples must be at least 2, not 0" has "at least 2"."""
    rule = re.match(rf"{field} (?:must be |must lie in |must |is |lies )(.*), not ", message)
    return rule[1].replace("not be negative", "not negative") if rule else ""


def _spoken(name: str) -> list[str]:
    """Give the dialects of a method, in lines."""
    rows = [
        f"| `{r['dialect']}` | {r['explains']} "
        f"| {', '.join(f'`{k}={v!r}`' for k, v in r['parameters'].items()) or '–'} "
        f"| {', '.join(r['steps']) or '–'} | {r['remark'] or '–'} |"
        for r in dialect_rows(name)
    ]
    if not rows:
        return ["It has none: no other library's defaults are kept under this name.", ""]
    head = ["| `dialect=` | explains | parameters | then | remark |", "|---|---|---|---|---|"]
    return [*head, *rows, "", "[What dialects are](../dialects.md).", ""]


def _serves(name: str) -> list[str]:
    """Say what a method asks of a model, and which kinds of data it serves in which framework."""
    cells = [_cell(served()[name][kind]) for kind in KINDS]
    lines = [
        f"Needs {needs_of(name)} of the model; explains the {methods[name].score} of a class by default.",
        "",
        "| " + " | ".join(KINDS) + " |",
        "|" + ":-:|" * len(KINDS),
        f"| {' | '.join(cells)} |",
        "",
    ]
    lines += [_refused(name), ""] if _refused(name) else []
    return [*lines, "[How this was asked](../methods.md). `xaikit doctor MODEL` says it of your own network.", ""]


def _evidence(name: str) -> list[str]:
    """Give the numbers that come with an explanation for nothing, and what is judged by them."""
    said = method_page(name)["description"]
    own = [key for key in EVIDENCE if re.search(rf"\b{key}\b(?=[\"`\]])", said)]
    rows = [f'| `quality["{key}"]` | {EVIDENCE[key][0]} | {EVIDENCE[key][1] or "–"} |' for key in own]
    table = ["| number | says | the status |", "|---|---|---|", *rows] if rows else ["It has no free check of its own."]
    seeds = "rank agreement over three seeds, " if methods[name].stochastic else ""
    return [*table, "", ALWAYS.format(seeds=seeds), ""]


def _definition(name: str) -> list[str]:
    """Give the whole docstring, which is the definition."""
    said = inspect.getdoc(methods[name]) or ""
    return [
        "The docstring, which is the whole definition:",
        "",
        *(f"> {line}".rstrip() for line in said.split("\n")),
        "",
    ]


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
    for path, text in method_files().items():
        path.write_text(text, encoding="utf-8")
    README.write_text(readme(), encoding="utf-8")
