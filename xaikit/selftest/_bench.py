"""Where golden cases are calculated: one framework on one device, with networks of its own making."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

from xaikit import wrapping
from xaikit.arrays import Array
from xaikit.errors import DataError, NotSupported
from xaikit.model import Model
from xaikit.zoo.building import Ops, Symbol, describe
from xaikit.zoo.networks import networks
from xaikit.zoo.shelf import PACKAGE, Shelf


@dataclass(frozen=True, eq=False)
class Bench:
    """Builds and wraps networks in one framework, on one device."""

    framework: str
    build: Callable[..., Any]
    place: Callable[[Any], Any]
    shipped: dict[str, Model] = field(default_factory=dict)

    def load(self, name: str) -> Model:
        """Give a network of the zoo with the weights that came with the package, never those trained here.

        Raises DataError where the package of weights is not installed, StorageError where a file is damaged.
        """
        if name not in self.shipped:
            entry = networks[name]
            if find_spec(PACKAGE) is None:
                raise DataError(f"the trained weights, {PACKAGE}, are not installed: reinstall xaikit")
            shelf = Shelf(files(PACKAGE))
            card = shelf.card(name)
            if card is None:
                raise DataError(f"the package {PACKAGE} has no weights of {name}: reinstall xaikit")
            weights = shelf.weights(entry, card)
            self.shipped[name] = self._wrapped(entry.architecture, weights, entry.inputs, entry.outputs)
        return self.shipped[name]

    def made(
        self, function: Callable[[Ops], Symbol], weights: Mapping[str, Array], inputs: Any, outputs: Any = None
    ) -> Model:
        """Give a network that `function` describes, with weights by their full names, as "dense1/kernel"."""
        return self._wrapped(describe("by hand", function), weights, inputs, outputs)

    def _wrapped(self, architecture: Any, weights: Mapping[str, Array], inputs: Any, outputs: Any) -> Model:
        net = self.build(architecture, weights=weights)
        layout = getattr(net, "layout", "channels-last")
        return wrapping.wrap(self.place(net), inputs=inputs, outputs=outputs, name=architecture.name, layout=layout)


@contextmanager
def bench(framework: str, device: str | None) -> Iterator[Bench]:
    """Give a bench on a device ("cpu", "cuda", "cuda:1"), by default where the framework puts networks itself.

    Raises MissingPackage, NotSupported for an adapter that builds no networks, UsageError for a device that is not
    there.
    """
    adapter = wrapping.adapter(framework)
    if not hasattr(adapter, "build") or not hasattr(adapter, "placing"):
        raise NotSupported(f"the adapter for {framework} builds no networks, which the golden cases are made of")
    with adapter.placing(device) as place:
        yield Bench(framework, adapter.build, place)
