"""The pictures of a page, in as many bytes as the page may have."""

import re
from base64 import b64encode
from dataclasses import dataclass, field, replace
from html import escape

import numpy as np

from xaikit.arrays import Array
from xaikit.figures import Figure, ImagePanel, LinePanel, MapPanel, Panel, TextPanel, rgba
from xaikit.render import draw, picture_png, png
from xaikit.render._layout import plan
from xaikit.render._web import decoded, painted, reduced

LEVELS = ((360, 82), (280, 66), (220, 50), (160, 36))
"""Width in pixels and quality of pictures, finest first."""
SHARP = 64
"""Pictures with fewer places to a side keep their pixels."""
LONG = 3000
"""A series with more points is a picture, not a drawing."""
EDGE = 8.0
INKED = 0.7
"""The strength of colours behind words, which must stay readable on the strongest."""


@dataclass
class Album:
    """Pictures as they are drawn, and as the page has them: inline at a level of quality, or as files of a folder.

    A `bare` page has none, only their words.
    """

    drawn: list[tuple[Array, bool]] = field(default_factory=list)
    level: int = 0
    folder: str = ""
    bare: bool = False
    _known: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def add(self, panel: Panel) -> "Figured":
        """Take a panel in: pictures and maps as pixels, drawings as SVG, texts as coloured words."""
        if isinstance(panel, MapPanel | ImagePanel):
            shape = panel.shape if isinstance(panel, MapPanel) else panel.image.shape[:2]
            framed = panel.frame is not None or panel.frames
            image = decoded(picture_png(panel, LEVELS[0][0])) if framed else painted(panel, LEVELS[0][0])
            return self._pixels(image, panel, max(shape) < SHARP)
        bare = Figure("", ((replace(panel, title="", subtitle="", facts=(), badge=None),),))
        if isinstance(panel, TextPanel):
            return Figured(html=words(panel), alt=panel.alt)
        if isinstance(panel, LinePanel) and sum(len(line.x) for line in panel.lines) > LONG:
            return self._pixels(decoded(png(bare, width=900)), panel, False)
        return Figured(html=_trimmed(draw(bare, "svg", theme="page"), bare, panel.alt), alt=panel.alt)

    def _pixels(self, data: Array, panel: Panel, sharp: bool) -> "Figured":
        self.drawn.append((data, sharp))
        return Figured(self, len(self.drawn) - 1, alt=panel.alt)

    def encoded(self, number: int) -> bytes:
        """Give a picture as WebP at the present level."""
        if (number, self.level) not in self._known:
            data, sharp = self.drawn[number]
            width, quality = LEVELS[self.level]
            self._known[number, self.level] = reduced(data, width, 0 if sharp else quality)
        return self._known[number, self.level]

    def files(self) -> dict[str, bytes]:
        """Give the pictures that do not stand in the page, by path."""
        return {f"{self.folder}/{n:04d}.webp": self.encoded(n) for n in range(len(self.drawn))} if self.folder else {}


@dataclass(frozen=True)
class Figured:
    """One figure on the page: a picture of the album, or HTML of its own."""

    album: Album | None = None
    number: int = 0
    html: str = ""
    alt: str = ""

    @property
    def source(self) -> str:
        """The picture's address: its own data, or a file beside the page."""
        assert self.album is not None
        if self.album.folder:
            return f"{self.album.folder}/{self.number:04d}.webp"
        return "data:image/webp;base64," + b64encode(self.album.encoded(self.number)).decode("ascii")


def _trimmed(svg: str, figure: Figure, alt: str) -> str:
    """Cut a drawing to its panel, without the margins of a figure, and say what it shows."""
    body = plan(figure).cells[0].body
    width, height = body.width + 2 * EDGE, body.height + 2 * EDGE
    box = f'viewBox="{body.x - EDGE:g} {body.y - EDGE:g} {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    return re.sub(r'viewBox="[^"]*" width="\d+" height="\d+"', box, svg, count=1).replace(
        'aria-label=""', f'aria-label="{escape(alt)}"', 1
    )


def words(panel: TextPanel) -> str:
    """Give a text as HTML, each word on its contribution's colour."""
    return f'<p class="text">{"".join(_word(*piece, panel) for piece in panel.pieces)}</p>'


def _word(text: str, value: float | None, panel: TextPanel) -> str:
    if not value:
        return escape(text)
    red, green, blue, alpha = rgba(np.array(value), panel.scale, INKED)
    shade = f"rgba({255 * red:.0f},{255 * green:.0f},{255 * blue:.0f},{alpha:.2f})"
    return f'<span style="background:{shade}" title="{value:.3g}">{escape(text)}</span>'
