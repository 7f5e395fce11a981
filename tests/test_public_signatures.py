"""One word means one thing in all public functions and commands: order, names, defaults, and the letters of options."""

import inspect
from collections import defaultdict
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import click

import xaikit as xk
from xaikit.cli._main import cli

ORDER = ("model", "detector", "X", "x", "samples", "normal", "method", "methods", "row", "y", "layer", "target")
"""What comes first in a call: the model, what it is asked about, how, where in it, and for which output."""

ELSEWHERE = {
    "audit.replay",  # a record is replayed, on a model
    "unit_card",  # the samples can be left out
}

DEFAULTS = {"seed": 0, "score": None, "progress": None, "max_calls": None, "time_limit": None, "target": None}

BY_NAME = {"score", "progress", "max_calls", "max_batch", "time_limit", "tolerance", "accelerate", "evidence"}
"""What a call does not need, and nobody could read in it without the name."""

LETTERS = {
    "m": {"method", "methods", "model"},  # app and worker, which explain nothing themselves, take models
    "c": {"channel", "channels"},
    "s": {"size", "set"},
}
"""Letters of options that stand for more than one word."""


def _functions() -> dict[str, Any]:
    found = {}
    for name in xk.__all__:
        value = getattr(xk, name)
        inner = [(f"{name}.{n}", getattr(value, n)) for n in value.__all__] if isinstance(value, ModuleType) else []
        found |= {n: f for n, f in [*inner, (name, value)] if inspect.isfunction(f)}
    return found


FUNCTIONS = {name: inspect.signature(function).parameters for name, function in _functions().items()}


def test_the_model_comes_first_then_the_data_the_method_and_the_target() -> None:
    placed = {
        name: [p for p in taken if p in ORDER and taken[p].kind is not inspect.Parameter.KEYWORD_ONLY]
        for name, taken in FUNCTIONS.items()
    }
    odd = {name for name, own in placed.items() if own != sorted(own, key=ORDER.index)}
    late = {name for name, taken in FUNCTIONS.items() if "model" in taken and next(iter(taken)) != "model"}
    assert odd | late == ELSEWHERE


def test_a_parameter_has_one_default() -> None:
    for name, taken in FUNCTIONS.items():
        for parameter, default in DEFAULTS.items():
            if parameter in taken:
                assert taken[parameter].default == default, f"{parameter} of {name}"


def test_settings_are_given_by_name() -> None:
    by_place = [
        f"{name}({p})"
        for name, taken in FUNCTIONS.items()
        for p in BY_NAME & set(taken)
        if taken[p].kind is not inspect.Parameter.KEYWORD_ONLY
    ]
    assert by_place == []


def _commands(command: click.Command, path: str = "xaikit") -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None
        yield from _commands(inner, f"{path} {name}")


COMMANDS = dict(_commands(cli))


def test_a_letter_stands_for_one_word() -> None:
    words = defaultdict(set)
    for command in COMMANDS.values():
        for option in command.params:
            longs = {o.lstrip("-") for o in option.opts if o.startswith("--")}
            for letter in (o[1] for o in option.opts if len(o) == 2 and longs):
                words[letter] |= longs
    assert {letter: known for letter, known in words.items() if len(known) > 1} == LETTERS


def test_every_command_and_option_has_help() -> None:
    mute = [path for path, command in COMMANDS.items() if not command.help]
    for path, command in COMMANDS.items():
        options = [p for p in command.params if isinstance(p, click.Option)]
        mute += [f"{path} {o.opts[-1]}" for o in options if not o.help]
    assert mute == []
