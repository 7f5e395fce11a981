"""The pages of an atlas: one with all units, and one for each."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.figures import Panel, Tile, TilesPanel, number, over, panels, percent, picture, spoken
from xaikit.figures._patches import crop_of, is_cropped
from xaikit.figures._unit_cards import about, notes_of, optimum_picture
from xaikit.inputs import Image
from xaikit.render._layout import MARKS
from xaikit.render._web import pixels, sheet
from xaikit.report._album import Album
from xaikit.report._page import rendered
from xaikit.results import Survey, TopPatches, UnitCard

SIDE, ACROSS = 72, 2
"""The squares of a picture on the index, in pixels, and how many stand beside each other."""
PROJECTED = {"auto": "deconvnet projections where the network has ReLUs", "deconvnet": "deconvnet projections",
             "guided": "guided projections", "gradient": "gradients"}  # fmt: skip
WIDEST = 220
"""Pixels of a picture on a unit's page, at most."""


@dataclass(frozen=True)
class Entry:
    """A unit on the index: its number, page, picture ("" = none) and statistics, from the index on."""

    channel: int
    page: str
    picture: str
    statistics: Mapping[str, float]

    @property
    def said(self) -> str:
        """What is said below the picture."""
        if not self.statistics:
            return ""
        return "dead" if self.statistics["dead"] else f"max {number(self.statistics['max'])}"


@dataclass(frozen=True)
class Front:
    """What the index says first."""

    title: str
    model: str
    framework: str
    identity: Mapping[str, Any]
    command: str


@dataclass(frozen=True)
class Shown:
    """A small picture of a page: its source, the words below it, and a frame (top, left, height, width) in per cent."""

    source: str
    name: str
    note: str
    sharp: bool
    frame: tuple[str, str, str, str] | None


def thumbnail(card: UnitCard) -> bytes | None:
    """Give the optimum and the strongest patches as one small picture; None where there are no pictures."""
    images = []
    if card.optimum is not None and isinstance(card.optimum.input_spec, Image):
        images.append(optimum_picture(card, card.optimum))
    own = _pictured(card)
    if own is not None:
        images += [_patch(own, i) for i in range(min(len(own), ACROSS**2 - len(images)))]
    if not images:
        return None
    return pixels(sheet(images, ACROSS, SIDE), 2 * ACROSS * SIDE)


def _pictured(card: UnitCard) -> TopPatches | None:
    """Give the patches in the first input that is a picture."""
    if card.patches is None:
        return None
    return next((own for own in card.patches.by_input.values() if isinstance(own.input_spec, Image)), None)


def _patch(own: TopPatches, i: int) -> Array:
    return crop_of(own, i) if is_cropped(own) else picture(own.display[i], own.input_spec.scale)


def unit_page(card: UnitCard, known: Sequence[int]) -> bytes:
    """Give the page of one unit, with the way to those before and after it among the `known` ones."""
    figure = panels(card)
    album = Album()
    shown = [_panel(panel, album) for panel in figure.panels]
    before = max((c for c in known if c < card.channel), default=None)
    after = min((c for c in known if c > card.channel), default=None)
    around = [(w, f"{c}.html") for w, c in (("Previous", before), ("Next", after)) if c is not None]
    return rendered(
        "unit.html",
        {
            "title": figure.title,
            "model": card.origin.model,
            "framework": spoken(card.origin.framework),
            "layer": card.layer,
            "about": about(card),
            "panels": shown,
            "notes": notes_of(card),
            "status": str(card.status),
            "reasons": card.status.reasons,
            "marks": MARKS,
            "around": around,
            "text": card.text(),
            "stem": str(card.channel),
        },
    )


def _panel(panel: Panel, album: Album) -> dict[str, Any]:
    """Give a panel as a page shows it: small pictures as such, anything else as a drawing."""
    words = {"title": panel.title, "subtitle": panel.subtitle, "facts": panel.facts, "alt": panel.alt}
    if isinstance(panel, TilesPanel):
        return {**words, "across": panel.across, "tiles": [_tile(t, panel) for t in panel.tiles], "figure": None}
    return {**words, "across": 0, "tiles": [], "figure": album.add(panel)}


def _tile(tile: Tile, panel: TilesPanel) -> Shown:
    values = tile.values
    image = values if values.ndim == 3 else np.rint(255 * over(values, tile.scale or panel.scale)).astype(np.uint8)
    frame = None
    if tile.frame is not None and tile.frame[2] > tile.frame[0]:
        height, width = image.shape[:2]
        top, left, bottom, right = tile.frame
        shares = (top / height, left / width, (bottom - top) / height, (right - left) / width)
        frame = tuple(f"{100 * s:.2f}%" for s in shares)
    source = "data:image/webp;base64," + b64encode(pixels(image, WIDEST)).decode("ascii")
    return Shown(source, tile.name, tile.note, min(image.shape[:2]) < 64, frame)  # type: ignore[arg-type]


def index_page(
    front: Front,
    groups: Mapping[str, Sequence[Entry]],
    surveys: Mapping[str, Survey | None],
    failed: Sequence[tuple[str, int | None, str]],
) -> bytes:
    """Give the page of all units, layer by layer."""
    asked, samples = front.identity["parameters"], front.identity["samples"]
    many = sum(map(len, groups.values()))
    facts = {
        "Model": f"{front.model} in {spoken(front.framework)}",
        "Units": f"{many:,} in {len([g for g in groups.values() if g])} layers",
        "Samples": f"{samples['count']:,}",
        "Each unit": f"the {asked['k']} strongest places"
        + (f", {PROJECTED.get(asked['projection'], asked['projection'])}" if asked["projection"] else "")
        + (", optimum and opposite" if asked["optimum"] else ""),
        "Seed": str(asked["seed"]),
    }
    layers = [
        {
            "name": layer,
            "anchor": f"layer-{n}",
            "entries": entries,
            "said": _said(entries, surveys.get(layer)),
        }
        for n, (layer, entries) in enumerate(groups.items())
        if entries
    ]
    return rendered(
        "atlas.html",
        {
            "title": front.title,
            "facts": facts,
            "layers": layers,
            "failed": [(layer, "all" if c is None else str(c), why) for layer, c, why in failed],
            "identity": {"Fingerprint": front.identity["model"]["fingerprint"], "Samples": samples["sha256"]},
            "command": front.command,
            "optimum": asked["optimum"],
        },
    )


def _said(entries: Sequence[Entry], found: Survey | None) -> str:
    """Say in a line what a layer has."""
    said = f"{len(entries):,} unit{'s' * (len(entries) != 1)}"
    if found is None:
        return said
    if found.space:
        said += f" of {' × '.join(map(str, found.space))} places"
    dead = [e for e in entries if e.statistics and e.statistics["dead"]]
    said += (
        f", over {found.seen:,} samples zero in {percent(float(np.mean(found.statistics['sparsity'])))} of the places"
    )
    return said + (f"; {len(dead)} nowhere above zero" if dead else "")
