"""The doctor: which methods can explain a model, said before anything is run."""

from dataclasses import dataclass

from xaikit.attribution import methods
from xaikit.errors import NotSupported
from xaikit.model import Model


@dataclass(frozen=True)
class Verdict:
    """Whether a method can explain a model, and what will happen or why not."""

    method: str
    serves: bool
    remark: str


def examine(model: Model) -> list[Verdict]:
    """Ask every method whether it can explain the model; runs the network on one blank sample at most."""
    return [_ask(model, name) for name in methods]


def _ask(model: Model, name: str) -> Verdict:
    try:
        return Verdict(name, True, methods[name].examine(model))
    except NotSupported as error:
        return Verdict(name, False, str(error))
