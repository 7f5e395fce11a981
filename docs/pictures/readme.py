"""Draw the picture of the README: python docs/pictures/readme.py.

One photo, three methods, and beside each map the evidence: what the network says while the parts that the map calls
most important are hidden, next to what it says when random maps choose the parts. About a minute on one core.
"""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from PIL import Image

import xaikit as xk
from xaikit.figures import MapPanel, panels, spoken
from xaikit.render import picture_png

FILE = Path(__file__).with_name("readme.webp")
METHODS = ("lime", ("integrated-gradients", {"steps": 200}), "grad-cam")
WIDTH, HEIGHT = 1840, 1010
"""Pixels: twice of what a page of GitHub shows, for screens that have them."""
INK, FAINT, LINE, GOOD, RED, BLUE = "#1b2333", "#5b6675", "#d5dae1", "#167a3e", "#b62a3f", "#2f6fb2"
MARKS = {"ok": "✓", "warn": "!", "fail": "✗"}
TOP, SIDE, COLUMN, STEP = 170, 400, 400, 440
"""Where the pictures begin, how high and wide they are, and how far apart their columns."""


def compared() -> xk.results.Comparison:
    """Explain the photo by every method, and hide what each calls important: Chelsea the cat, of scikit-image."""
    return xk.compare(xk.zoo.load("cats_vs_dogs"), skimage.data.chelsea(), METHODS, progress=False)


def drawn(c: Any) -> Figure:
    """Give the figure: a card with its own light ground, so that it reads on dark pages too."""
    figure = Figure((WIDTH / 100, HEIGHT / 100), dpi=100, facecolor="none")
    page = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(HEIGHT, 0))
    page.axis("off")
    round_ = "round,pad=20,rounding_size=28"
    page.add_patch(FancyBboxPatch((22, 22), WIDTH - 44, HEIGHT - 44, round_, fc="white", ec=LINE, lw=2, zorder=-1))
    _photo(page, c)
    for column, name in enumerate(c, 1):
        _method(figure, page, c, name, 60 + column * STEP)
    return figure


def _photo(page: Any, c: Any) -> None:
    first = c[next(iter(c))]
    (cat, dog) = first.output_spec.probabilities(first.prediction)[0]
    _write(page, 60, 84, f"The network says: cat, {cat:.2f}. Why?", 40, weight="bold")
    _write(page, 60, 146, "The photo", 26, weight="bold")
    _picture(page, 60, first.display[0])
    x, y = 60, TOP + SIDE
    _write(page, x, y + 44, f"cat {cat:.2f}, dog {dog:.2f}", 23)
    _write(page, x, y + 90, "red", 23, color=RED, weight="bold")
    _write(page, x + 50, y + 90, "speaks for cat,", 23)
    _write(page, x + 226, y + 90, "blue", 23, color=BLUE, weight="bold")
    _write(page, x + 288, y + 90, "against it", 23)
    _write(page, x, y + 168, "Does the map hold?", 25, weight="bold")
    _write(
        page, x, y + 196, "Hide what it calls most\nimportant first, and watch\nwhat is left of the cat.", 23, va="top"
    )
    _write(page, x, y + 352, "Grey: the same for random maps.", 23, color=FAINT)


def _method(figure: Figure, page: Any, c: Any, name: str, x: int) -> None:
    result, judged = c[name], c.faithfulness[name]
    _write(page, x, 146, spoken(name), 26, weight="bold")
    panel = next(p for p in panels(result).panels if isinstance(p, MapPanel))
    with Image.open(BytesIO(picture_png(panel, COLUMN))) as shown:
        _picture(page, x, np.asarray(shown))
    _write(page, x, TOP + SIDE + 44, f"{MARKS[result.status]} {_evidence(result)}", 23, color=GOOD)
    _write(page, x, TOP + SIDE + 84, f"{result.origin.model_calls:,} questions to the network", 23, color=FAINT)
    _curve(figure, judged, x)


def _picture(page: Any, x: int, pixels: Any) -> None:
    page.imshow(pixels, extent=(x, x + COLUMN, TOP + SIDE, TOP), interpolation="bilinear", aspect="auto")
    page.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0))


def _evidence(result: Any) -> str:
    """Say in words what the status rests on."""
    quality = result.quality
    if "surrogate_r2" in quality:
        return f"surrogate fits, R² {quality['surrogate_r2'][0]:.2f}"
    if "completeness_gap_relative" in quality:
        return f"adds up, to {100 * quality['completeness_gap_relative'][0]:.1f} %"
    return "better than random maps"


def _curve(figure: Figure, judged: Any, x: int) -> None:
    """Draw the probability of a cat while parts are hidden, over the range of random maps."""
    left, top, height = x + 52, TOP + SIDE + 122, 240
    box = (left / WIDTH, 1 - (top + height) / HEIGHT, (COLUMN - 56) / WIDTH, height / HEIGHT)
    axes = figure.add_axes(box, ylim=(0, 1.02), xlim=(0, 1), facecolor="none")
    shares, chance = judged.shares[0], judged.random_deletion_curves[0]
    axes.fill_between(shares, chance.min(0), chance.max(0), color="#8a93a0", alpha=0.22, lw=0)
    axes.plot(shares, chance.mean(0), color="#6d7683", lw=2, dashes=(4, 3))
    axes.plot(shares, judged.deletion_curves[0], color=INK, lw=4, solid_capstyle="round")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(LINE)
    axes.set_xticks([0, 0.5, 1], ["0 %", "half of the parts hidden", "all"])
    axes.set_yticks([0, 0.5, 1], ["0", "½", "1"])
    axes.tick_params(labelsize=_points(21), labelcolor=FAINT, color=LINE, length=5)
    for label, side in zip(axes.get_xticklabels(), ("left", "center", "right"), strict=True):
        label.set_horizontalalignment(side)


def _write(page: Any, x: float, y: float, words: str, size: float, *, color: str = INK, **how: Any) -> None:
    page.text(x, y, words, fontsize=_points(size), color=color, linespacing=1.35, **how)


def _points(pixels: float) -> float:
    return pixels * 72 / 100


def save(figure: Figure, path: Path) -> None:
    """Write the figure as WebP, with clear corners outside the card."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    Image.fromarray(np.asarray(canvas.buffer_rgba()).copy()).save(path, quality=84, method=6)


if __name__ == "__main__":
    save(drawn(compared()), FILE)
