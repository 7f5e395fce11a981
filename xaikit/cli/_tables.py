"""What the commands print: data first, then tables of it."""

import inspect
import re
from collections.abc import Mapping
from itertools import groupby
from typing import Any

import numpy as np

from xaikit import zoo
from xaikit.attribution import DIALECTS, FAMILIES, families, methods
from xaikit.figures import about_lines, file_lines, measures, recipe_lines, training_lines
from xaikit.graph import GATE
from xaikit.inputs import specs_to_dict
from xaikit.model import Model
from xaikit.quality import circumstances, examine
from xaikit.wrapping import models as installed_models

SHOWN = 20
"""How many entries of a list, such as the names of classes, are printed; JSON has all."""


def method_rows() -> list[dict[str, Any]]:
    """Give name, family, needs, score and first line of every method."""
    kin = {name: family for family, members in families(methods).items() for name in members}
    return [
        {"name": n, "family": kin[n], "needs": sorted(m.needs), "score": m.score, "gives": first_line(m)}
        for n, m in methods.items()
    ]


def needs_of(name: str) -> str:
    """Say what a method needs of a model: its answers alone, or also gradients, layers or attention."""
    needs = methods[name].needs
    if name in FAMILIES["attention"]:
        return "attention"
    return "gradients" if "pull" in needs else "answers" if needs == {"run"} else "layers"


def method_page(name: str) -> dict[str, Any]:
    """Give one method with its parameters and its full description."""
    cls = methods[name]
    return {
        "name": name,
        "description": inspect.getdoc(cls),
        "score": cls.score,
        "parameters": parameter_rows(cls),
    }


def parameter_rows(cls: Any) -> list[dict[str, Any]]:
    """Give the parameters of a method or operation."""
    return [{"name": p.name, "type": p.type, "default": p.default, "help": p.help} for p in cls.parameters().values()]


def dialect_rows(name: str | None = None) -> list[dict[str, Any]]:
    """Give the dialects of a method, or all: parameters, the form that is explained, last steps and remark."""
    asked = DIALECTS if name is None else {name: DIALECTS.get(name, {})} if methods[name] else {}
    return [
        {
            "method": method,
            "dialect": library,
            "explains": dialect.score or methods[method].score,
            "parameters": dict(dialect.parameters),
            "steps": [step.__name__.replace("_", " ") for step in dialect.steps],
            "remark": dialect.remark,
        }
        for method, known in asked.items()
        for library, dialect in known.items()
    ]


def layer_rows(model: Model) -> list[dict[str, Any]]:
    """Give the layers in call order."""
    return [
        {
            "name": layer.name,
            "kind": layer.kind,
            "axes": list(layer.axes[1:]),
            "shape": list(layer.shape),
            "parents": list(layer.parents),
            "parameters": layer.parameters,
            "trainable": layer.trainable,
        }
        for layer in model.layers.values()
    ]


def doctor_page(model: Model) -> dict[str, Any]:
    """Give what a model takes and gives, and which methods can explain it."""
    return {
        "name": model.name,
        "framework": model.framework,
        "device": model.device,
        "layout": getattr(model, "layout", "as-given"),
        "inputs": _short(specs_to_dict(model.inputs)),
        "outputs": _short(specs_to_dict(model.outputs)),
        "layers": sum(layer.kind != GATE for layer in model.layers.values()),
        "parameters": sum(layer.parameters for layer in _once(model)),
        "circumstances": [{"remark": v.remark, "layers": list(v.layers)} for v in circumstances(model)],
        "methods": [
            {"name": v.method, "serves": v.serves, "remark": v.remark, "layers": list(v.layers)} for v in examine(model)
        ],
    }


def zoo_rows() -> list[dict[str, Any]]:
    """Give the models of the zoo with what their cards say, and the names that installed packages have brought."""
    brought = [{"name": n, "task": f"of the installed package {p.parent.name}"} for n, p in installed_models().items()]
    return [
        *(_zoo_row(zoo.card(name)) for name in zoo.names()),
        *({**row, "parameters": None, "test accuracy": None} for row in brought),
    ]


def _zoo_row(card: zoo.Card) -> dict[str, Any]:
    metrics = card.trained.metrics if card.trained else {}
    total = card.parameters["total"]
    return {"name": card.name, "task": card.title, "parameters": total, "test accuracy": metrics.get("accuracy")}


def methods_table(rows: list[dict[str, Any]]) -> Any:
    """Draw the list of methods."""
    from rich.console import Group

    parts: list[Any] = []
    gives = {r["name"]: r["gives"] for r in rows}
    for family, names in families(gives).items():
        lines = [[name, needs_of(name), gives[name]] for name in names]
        parts.append(_table((family, "needs", ""), lines, widths=(21, 9)))
    about = (
        "Answers are what any function gives. `xaikit methods NAME` describes a method, `xaikit doctor MODEL` says "
        "which ones can explain a model."
    )
    return Group(*parts, about)


def dialects_table(rows: list[dict[str, Any]]) -> Any:
    """Draw the list of dialects."""
    lines = [
        [r["method"], r["dialect"], ", ".join(f"{k}={v!r}" for k, v in r["parameters"].items()), ", ".join(r["steps"])]
        for r in rows
    ]
    return _table(("method", "dialect", "parameters", "then"), lines)


def method_text(page: dict[str, Any]) -> Any:
    """Draw one method."""
    from rich.console import Group

    parts = [f"[bold]{page['name']}[/bold] (explains the {page['score']} by default)", *_described(page)]
    spoken = [f"dialect={row['dialect']}" for row in dialect_rows(page["name"])]
    parts += ["", f"Other libraries' defaults: {', '.join(spoken)}"] if spoken else []
    return Group(*parts)


def _described(page: dict[str, Any]) -> list[Any]:
    """Draw a description and the parameters."""
    lines = [[p["name"], p["type"], repr(p["default"]), _escaped(p["help"])] for p in page["parameters"]]
    prose = re.sub(r"(?<!\n)\n(?![\n ])", " ", page["description"])
    table = ["", _table(("parameter", "type", "default", "meaning"), lines)] if lines else []
    return ["", _escaped(prose), *table]


def operation_text(page: dict[str, Any]) -> Any:
    """Draw one operation."""
    from rich.console import Group

    return Group(f"[bold]{page['name']}[/bold]", *_described(page))


def operations_table(rows: list[dict[str, Any]]) -> Any:
    """Draw the list of operations."""
    return _table(("operation", "gives"), [[r["name"], _escaped(r["gives"])] for r in rows])


def kernels_table(rows: list[dict[str, Any]]) -> Any:
    """Draw the list of kernels: their size and what they do."""
    lines = [[r["name"], " × ".join(str(n) for n in np.shape(r["weights"])), r["does"]] for r in rows]
    return _table(("kernel", "size", "does"), lines)


def statistics_table(rows: list[dict[str, Any]]) -> Any:
    """Draw the statistics of filters, a row for each; another filter stands with how alike it is."""
    pairs = {"most alike": ("nearest", "similarity"), "goes with": ("correlated", "correlation")}
    there = {said: pair for said, pair in pairs.items() if rows and pair[0] in rows[0]}
    plain = [n for n in (rows[0] if rows else ()) if not any(n in pair for pair in there.values())]
    lines = [
        [_figure(row[n]) for n in plain] + [f"{row[other]} ({row[much]:.2f})" for other, much in there.values()]
        for row in rows
    ]
    names = (*(n.replace("_", " ") for n in plain), *there)
    return _table(names, lines, right=tuple(range(len(names))))


def _figure(value: Any) -> str:
    return "yes" * value if isinstance(value, bool) else f"{value:.3g}"


def layers_table(rows: list[dict[str, Any]]) -> Any:
    """Draw the list of layers; the gates of one direction of a recurrent layer share a line."""
    lines = []
    for _, like in groupby(rows, key=_line_of):
        first, *others = like
        name = " ".join([first["name"], *(r["name"].rpartition("/")[2] for r in others)])
        shape, parents = " × ".join(str(n) for n in first["shape"]), ", ".join(first["parents"])
        lines.append([name, first["kind"], shape, parents, f"{first['parameters']:,}"])
    return _table(("layer", "kind", "output", "from", "parameters"), lines, right=(4,))


def _line_of(row: dict[str, Any]) -> tuple[Any, ...]:
    """Give what gates share a line by; a layer has a line of its own."""
    return (row["name"].rpartition("/")[0], *row["shape"]) if row["kind"] == GATE else (row["name"],)


def doctor_text(page: dict[str, Any]) -> Any:
    """Draw the examination of a model: the methods that serve first, and what is said of several of them once."""
    from rich.console import Group

    facts = [[k, _escaped(_words(page[k]))] for k in page if k not in ("methods", "name", "circumstances")]
    parts: list[Any] = [f"[bold]{_escaped(page['name'])}[/bold]", _table(("", ""), facts)]
    if page["circumstances"]:
        parts += ["For every method:", *(f"  {_escaped(c['remark'])}" for c in page["circumstances"]), ""]
    groups: dict[tuple[bool, str], list[str]] = {}
    for m in page["methods"]:
        groups.setdefault((m["serves"], _said(m)), []).append(m["name"])
    for serves, title in ((True, "These methods can explain it:"), (False, "These cannot:")):
        lines = [["\n".join(names), _escaped(remark)] for (able, remark), names in groups.items() if able is serves]
        parts += [title, _table(("method", "here it ..." if serves else "why"), lines)] if lines else []
    return Group(*parts)


def _said(method: Mapping[str, Any]) -> str:
    """Give a remark without the method's name and the list of others, which stand in the table."""
    remark = str(method["remark"])
    if method["serves"]:
        return remark
    return remark.removeprefix(f"{method['name']} ").partition("; use ")[0]


def zoo_table(rows: list[dict[str, Any]]) -> Any:
    """Draw the list of models."""
    lines = [
        [
            r["name"],
            r["task"],
            f"{r['parameters']:,}" if r["parameters"] else "",
            f"{r['test accuracy']:.4f}" if r["test accuracy"] else "",
        ]
        for r in rows
    ]
    return _table(("model", "task", "parameters", "test accuracy"), lines, right=(2, 3))


def card_text(card: Mapping[str, Any]) -> Any:
    """Draw a card: what it is, how well it does, how it was trained, where it fails; its curve is in JSON and HTML."""
    from rich.console import Group
    from rich.text import Text

    trained = card["trained"]
    way = f"not yet: xaikit zoo train {card['name']}" if card["recipe"] else "no: there is no recipe or data set for it"
    parts: list[Any] = [Text.assemble((card["name"], "bold"), f"  {card['title']}"), f"task: {_escaped(card['task'])}"]
    parts += _section("network and data", about_lines(card))
    for found in measures(trained["metrics"]) if trained else ():
        on = f" on {found.samples:,} samples" if found.samples else ""
        parts += _section(f"test results{f' of {found.output}' * bool(found.output)}{on}", dict(found.rows))
        parts += ["", _confusion(found.classes, found.confusion)] if found.confusion else []
    if card["recipe"]:
        parts += _section("recipe", {"": "\n".join(recipe_lines(card["recipe"]))})
    facts = {**training_lines(trained), **file_lines(trained)} if trained else {"Trained": way}
    parts += _section("training", facts)
    if card["limits"]:
        parts += _section("limits", {"": "\n".join(card["limits"])})
    return Group(*parts)


def _section(title: str, facts: Mapping[str, str]) -> list[Any]:
    from rich.padding import Padding
    from rich.table import Table

    pairs = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        pairs.add_row(name if name.isupper() or "-" in name else name.lower(), _escaped(value))
    if set(facts) == {""}:
        pairs = Table.grid()
        pairs.add_row(_escaped(facts[""]))
    return ["", f"[bold]{_escaped(title)}[/bold]", Padding(pairs, (0, 0, 0, 2))]


def _confusion(classes: tuple[str, ...], counts: tuple[tuple[int, ...], ...]) -> Any:
    """Rows are what is there, columns what the network says."""
    lines = [[name, *(f"{n:,}" for n in row)] for name, row in zip(classes, counts, strict=True)]
    right = tuple(range(1, len(classes) + 1))
    return _table(("is / said", *classes), lines, right=right)


def _table(
    headers: tuple[str, ...], lines: list[list[str]], right: tuple[int, ...] = (), widths: tuple[int, ...] = ()
) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_header=any(headers), pad_edge=False)
    for i, header in enumerate(headers):
        least = widths[i] if i < len(widths) else None
        table.add_column(header, justify="right" if i in right else "left", overflow="fold", min_width=least)
    for line in lines:
        table.add_row(*line)
    return table


def _once(model: Model) -> list[Any]:
    """Give every layer at its first call: a shared layer owns its parameters once."""
    return [layer for name, layer in model.layers.items() if not re.search(r":\d+$", name)]


def first_line(cls: type[Any]) -> str:
    """Give the first sentence of a docstring, in one line."""
    return (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " ")


def _short(spec: Any) -> Any:
    """Leave out of a spec what is too long to read."""
    if isinstance(spec, Mapping):
        return {k: _short(v) for k, v in spec.items() if k not in ("vocabulary", "background")}
    return spec


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_words(v)}" if v is not None else f"{k} –" for k, v in value.items())
    if isinstance(value, list | tuple):
        lines = any(isinstance(v, list | tuple) or (isinstance(v, str) and " " in v) for v in value)
        shown = [_words(v) for v in value[:SHOWN]] + ([f"and {len(value) - SHOWN} more"] if len(value) > SHOWN else [])
        return ("\n" if lines else ", ").join(shown)
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) and value > 9999 else str(value)


def _escaped(text: Any) -> str:
    from rich.markup import escape

    return escape(str(text))
