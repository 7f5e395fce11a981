"""The heavy parts of the page Layers: what units would like to see, how far they look, how the layers do."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import dash_mantine_components as dmc
from dash import html

from xaikit.errors import XaikitError
from xaikit.figures import CurvePanel, TilesPanel, panels
from xaikit.graph import Layer
from xaikit.jobs import Unit
from xaikit.results import LayerHealth, Maximization
from xaikit_app import cohorts, thumbs, tiles, ui
from xaikit_app.exhibits import exhibit, exhibits
from xaikit_app.pages import View
from xaikit_app.parts import Part
from xaikit_app.samples import Sample
from xaikit_app.snippets import snippet
from xaikit_app.tiles import Tile

GALLERY = 12
"""As many units are drawn at once."""
LIKE = 24
"""As many real samples tell what inputs look like."""
MEASURED = 32


def samples_of(view: View, most: int) -> Sequence[Sample]:
    """Give the samples that the page speaks of; none where there are none."""
    try:
        return cohorts.samples(view, most)
    except XaikitError:
        return ()


def units_of(layer: Layer) -> int | None:
    """Count the units of a layer; None where that varies, or they are heads."""
    return layer.shape[-1] if layer.shape and "head" not in layer.axes else None


def of_layer(view: View, layer: Layer, first: int, to_unit: Any) -> list[Part]:
    """Give the heavy parts of a layer: optima of its units, its effective field, and the health of all layers."""
    found = [_gallery(view, layer, first, to_unit)] if _climbs(view, layer) else []
    values = [s.value for s in samples_of(view, MEASURED)]
    if values and "pull" in view.description.can and layer.shape and len(layer.shape) > 1:
        ask = Unit(view.chosen.key, values, parameters={"layer": layer.name}, task="app-effective")
        found.append(
            Part(
                "effective",
                ask,
                exhibits,
                "Following the gradient back to the input",
                asks="Measure how far it looks",
                cost=f"{len(values)} samples forwards and backwards: seconds for a small network.",
                taken=True,
                code=snippet(view, f'xk.plot(xk.effective_field(model, samples, "{layer.name}"))'),
            )
        )
    if values:
        ask = Unit(view.chosen.key, values, task="app-health")
        found.append(
            Part(
                "health",
                ask,
                lambda found: _health(found, layer),
                "Measuring every layer",
                asks="Measure all layers",
                cost=f"{len(values)} samples forwards and backwards, once for the whole network.",
                taken=True,
                code=snippet(view, "xk.plot(xk.layer_health(model, samples))"),
            )
        )
    return found


def of_unit(view: View, layer: Layer, unit: int) -> list[Part]:
    """Give the heavy parts of a unit: what it would like to see, and its card over the samples."""
    found = []
    if _climbs(view, layer):
        ask = _optimum(view, layer, [unit], both=True)
        found.append(
            Part(
                "optimum",
                ask,
                exhibits,
                "Climbing the gradient",
                asks="Make the input it reacts to most",
                cost="Also makes the one it reacts to least: some hundred steps forwards and backwards, "
                "under a minute for a small network.",
                taken=True,
                code=snippet(view, f'xk.plot(xk.maximize(model, "{layer.name}", {unit}, negative="both"))'),
            )
        )
    values = [s.value for s in samples_of(view, cohorts.MOST)]
    if values:
        asked = {"layer": layer.name, "unit": unit}
        ask = Unit(view.chosen.key, values, parameters=asked, task="app-unit-card")
        found.append(
            Part(
                "card",
                ask,
                exhibits,
                "Running the network on the samples",
                asks="Make the card of this unit",
                cost=f"its statistics, histogram and best places over {len(values)} samples",
                taken=True,
                code=snippet(view, f'xk.plot(xk.unit_card(model, "{layer.name}", {unit}, samples, optimum=False))'),
            )
        )
    return found


def _climbs(view: View, layer: Layer) -> bool:
    """Whether gradients lead from a layer to an input that is numbers on a scale."""
    known = view.description.kind == "Image" or _like(view) is not None  # of others samples tell the range
    return "pull" in view.description.can and view.description.kind in ("Image", "Series", "Array") and known


def _optimum(view: View, layer: Layer, units: Sequence[int], both: bool) -> Unit:
    asked = {"layer": layer.name, "units": list(units), "both": both}
    return Unit(view.chosen.key, _like(view), parameters=asked, task="app-maximize")


def _like(view: View) -> list[Any] | None:
    """Give samples that tell what an input is like; None where there are none."""
    value, _ = thumbs.value_of(view)
    return [s.value for s in samples_of(view, LIKE)] or ([value] if value is not None else None)


def _gallery(view: View, layer: Layer, first: int, to_unit: Any) -> Part:
    count = units_of(layer) or GALLERY
    units = list(range(min(first, count - 1), min(first + GALLERY, count)))
    named = f"units {units[0]} to {units[-1]}" if len(units) > 1 else f"unit {units[0]}"
    return Part(
        "gallery-optima",
        _optimum(view, layer, units, both=False),
        lambda found: _optima(found, to_unit),
        "Climbing the gradient",
        asks=f"Make the pictures of {named}" if view.description.kind == "Image" else f"Make the inputs of {named}",
        cost=f"Some hundred steps forwards and backwards with {len(units)} inputs: under a minute for a small "
        "network, minutes for a large one; then they are stored.",
        taken=True,
        code=snippet(view, f'xk.plot(xk.maximize(model, "{layer.name}", range({units[0]}, {units[-1] + 1})))'),
    )


def _optima(found: Maximization, to_unit: Any) -> Any:
    """Give made inputs as tiles that lead to their units; other than pictures as the library draws them, with links."""
    figure = panels(found)
    drawn: list[Any] = []
    for panel in figure.panels:
        if isinstance(panel, TilesPanel):
            shown = [
                Tile(tiles.framed_url(t.values), f"Unit {k}: {t.note}", f"{k}", t.note, to_unit(k))
                for t, k in zip(panel.tiles, found.numbers, strict=False)
            ]
            body = tiles.grid(shown, "Inputs that units react to most", "pairs")
            drawn.append(exhibit(panel, body, caption=False))
        elif isinstance(panel, CurvePanel):
            drawn.append(html.Details([html.Summary("How the climb went"), exhibit(panel)], className="numbers"))
        else:
            drawn.append(exhibit(panel))
    links = [dmc.Anchor(f"unit {k}", href=to_unit(k), size="sm") for k in found.numbers]
    tiled = any(isinstance(panel, TilesPanel) for panel in figure.panels)
    ways = [] if tiled else [dmc.Group([dmc.Text("Their pages:", size="sm"), *links], gap="xs")]
    notes = [dmc.Text(note, size="xs", c="dimmed") for note in figure.notes]
    return dmc.Stack([*drawn, *ways, *notes], gap="sm")


def _health(found: LayerHealth, layer: Layer) -> Any:
    """Give what is said of all layers, and the histograms of one: those of the others are on their pages."""
    figure = panels(found)
    every = list(figure.panels)
    kept = [panel for panel in every if _of_all(panel.title, found) or _named(panel.title) == layer.name]
    words = f"The histograms of other layers than {layer.name} are left out here."
    drawn = exhibits(replace(figure, rows=(tuple(kept),), below=()))
    return dmc.Stack([drawn, *([dmc.Text(words, size="xs", c="dimmed")] if len(kept) < len(every) else [])])


def _named(title: str) -> str:
    """Give the layer that a histogram's title names behind its number: "3 conv1: values"."""
    return title.rpartition(": ")[0].partition(" ")[2]


def _of_all(title: str, found: LayerHealth) -> bool:
    return _named(title) not in found


def none_of(view: View, layer: Layer) -> Any:
    """Say why a layer's units have no made inputs."""
    if "pull" not in view.description.can:
        why = f"it follows gradients, and {view.chosen.name} can only run"
    elif view.description.kind in ("Series", "Array"):
        why = "no sample is here that would tell the range of its numbers. Give one on the page Explain"
    else:
        kind = view.description.kind
        of = "several inputs at once have" if kind == "several" else f"an input of the kind {kind.lower()} has"
        why = f"{of} no scale that could be climbed"
    return ui.not_supported(f"No inputs can be made for {layer.name}: {why}.")


__all__ = ["none_of", "of_layer", "of_unit", "samples_of", "units_of"]
