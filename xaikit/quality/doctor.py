"""The doctor: which methods can explain a model and what happens to its layers, said before anything is run."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xaikit.attribution import methods
from xaikit.errors import ModelError, NotSupported
from xaikit.graph import Layer
from xaikit.inputs import Classes
from xaikit.model import Model

SHARED = "every method"


@dataclass(frozen=True)
class Verdict:
    """Whether a method can explain a model, and what will happen or why not.

    `remark` completes "here it ..."; `layers` are the layers that it names: those that are treated specially, or that
    stop the method.
    """

    method: str
    serves: bool
    remark: str
    layers: tuple[str, ...] = ()


def examine(model: Model) -> list[Verdict]:
    """Ask every method whether it can explain the model; runs the network on one blank sample at most."""
    layers = _layers(model)
    return [_ask(model, layers, name) for name in methods]


def circumstances(model: Model) -> list[Verdict]:
    """Say what holds for every method: what is switched off, kept and put back while the model is explained."""
    layers = _layers(model)
    return [Verdict(SHARED, True, said, _named(said, layers)) for said in _shared(model, layers)]


def _layers(model: Model) -> Mapping[str, Layer]:
    """The layers; {} for a model that does not know them before it has been run."""
    try:
        return model.layers
    except ModelError:
        return {}


def _ask(model: Model, layers: Mapping[str, Layer], name: str) -> Verdict:
    cls = methods[name]
    try:
        said = [cls.examine(model), *_usual(model, layers, cls)]
    except NotSupported as error:
        return Verdict(name, False, str(error), _named(str(error), layers))
    remark = "; ".join(filter(None, said))
    return Verdict(name, True, remark, _named(remark, layers))


def _usual(model: Model, layers: Mapping[str, Layer], cls: Any) -> Iterator[str]:
    """Say what a method does about the end of a network and about token ids."""
    for form, end in _ends(model, layers):
        if cls.score == "logit":
            yield f"explains the logit before the {form} of {end!r}"
        elif "pull" in model.can:
            yield f"takes probabilities from the logits before {end!r}, in float64"
    embeddings = [n for n, layer in layers.items() if layer.kind == "embedding" and _reads_input(model, layer)]
    if cls.tokens is not None and embeddings:
        which = "sums" if cls.tokens == "sum" else "takes the norm of"
        yield f"{which} what comes to the embedding {_list(embeddings)}, since token ids have no gradient"


def _ends(model: Model, layers: Mapping[str, Layer]) -> Iterator[tuple[str, str]]:
    """Yield the function that makes probabilities of each output, and the layer that it is in."""
    outputs = model.outputs if layers else None
    specs = list(outputs.values()) if isinstance(outputs, Mapping) else [outputs]
    for form in dict.fromkeys(s.form for s in specs if isinstance(s, Classes) and s.form in ("softmax", "sigmoid")):
        ends = [n for n, layer in layers.items() if layer.kind == form or layer.config.get("activation") == form]
        yield str(form), (ends or list(layers))[-1]


def _reads_input(model: Model, layer: Layer) -> bool:
    names = set(model.inputs) if isinstance(model.inputs, Mapping) else {"input"}
    return bool(names & set(layer.parents))


def _shared(model: Model, layers: Mapping[str, Layer]) -> Iterator[str]:
    if getattr(getattr(model, "net", None), "training", False):
        yield "the network is in training mode: it is explained in inference mode and left in training mode"
    dropout = [n for n, layer in layers.items() if layer.kind == "dropout"]
    if dropout:
        yield f"dropout is off: {_list(dropout)}"
    stateful = [n for n, layer in layers.items() if layer.config.get("stateful")]
    if stateful:
        yield f"states start from zero and are put back: {_list(stateful)}"
    precision = getattr(model, "precision", "float32")
    if precision in ("float16", "bfloat16"):
        yield f"the network computes in {precision}: gradients and differences carry two or three digits"
    if not layers and "pull" in model.can:
        yield "the layers are known once the model was run, or wrapped with inputs="


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(repr(n) for n in names[:4])
    return f"{shown} and {len(names) - 4} more" if len(names) > 4 else shown


def _named(text: str, layers: Mapping[str, Layer]) -> tuple[str, ...]:
    """List the layers that a text names in quotes."""
    return tuple(dict.fromkeys(n for n in re.findall(r"'([^']*)'", text) if n in layers))
