"""The layers of a network as one panel: the folded graph with what each layer gives, holds and sees."""

from xaikit.figures._attribution import panels
from xaikit.figures._data import Figure, GraphPanel
from xaikit.results import LayerGraph

MOST = 400
"""Layers beyond which a drawing says less than a table."""


@panels.register
def _graph(result: LayerGraph, *, shared: bool = False) -> Figure:
    held = f"{result.parameters:,} parameters"
    if result.trainable != result.parameters:
        held += f", {result.trainable:,} of them trainable"
    said = f"{len(result)} layers, {held}"
    return Figure(
        title=f"The layers of {result.origin.model}",
        subtitle=f"{said}; repeated blocks are drawn once, with how often they come",
        rows=((GraphPanel(graph=result, alt=f"The graph of {result.origin.model}: {said}."),),),
        notes=_notes(result),
    )


def _notes(result: LayerGraph) -> tuple[str, ...]:
    notes = []
    out = [layer.name for layer in result.layers if not layer.aligned]
    if out:
        notes.append(f"Out of line: the branches of {_listed(out)} are shifted against each other.")
    unknown = [layer.name for layer in result.layers if layer.bound]
    if unknown:
        notes.append(f"Upper bounds: what {_listed(unknown)} do with places is not known.")
    return tuple(notes)


def _listed(names: list[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
