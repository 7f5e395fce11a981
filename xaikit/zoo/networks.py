"""The documented networks: architecture, what goes in and comes out, data and recipe, by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from xaikit.registry import Registry
from xaikit.zoo.building import Architecture, Ops, Symbol, describe
from xaikit.zoo.recipes import Recipe

Description = Callable[[Ops], Symbol | Mapping[str, Symbol]]


@dataclass(frozen=True, eq=False)
class Network:
    """A documented network.

    function: describes the architecture. data: name of the set in `xaikit.data` that it is trained on.
    limits: what a reader of its explanations should know.
    """

    name: str
    function: Description
    title: str
    task: str
    inputs: Any
    outputs: Any
    data: str
    recipe: Recipe
    limits: tuple[str, ...] = ()

    @cached_property
    def architecture(self) -> Architecture:
        """The described architecture."""
        return describe(self.name, self.function)


networks: Registry[Network] = Registry("zoo network", "xaikit.zoo.architectures")


def network(**described: Any) -> Callable[[Description], Description]:
    """Register an architecture's function under its own name, with the fields of `Network`."""

    def register(function: Description) -> Description:
        name = function.__name__
        networks(name)(Network(name=name, function=function, **described))
        return function

    return register
