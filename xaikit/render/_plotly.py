"""The renderer for notebooks and the app: a plotly Figure whose traces hold the raw numbers."""

from base64 import b64encode
from collections.abc import Callable
from html import escape
from io import BytesIO
from math import ceil
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio

from xaikit.arrays import Array
from xaikit.figures import NOT_FINITE, Line, Scale, Trace, rgba, stops
from xaikit.render._layout import BAND, INKED, WORD, Box
from xaikit.render._pictures import smooth
from xaikit.render._space import DOT, EYE, View, symbol_of
from xaikit.render._theme import Theme

FONT = "Inter, Segoe UI, Helvetica Neue, Arial, DejaVu Sans, sans-serif"
MONO = "DejaVu Sans Mono, Menlo, Consolas, monospace"


LARGER, DISTANCE = 1.3, 2.0
"""The edge of a cube of points, so that it fills its box, and how far the eye is from its middle."""
LARGE = 2**20
"""The numbers of a picture from which the smallest file is not worth the seconds that it takes."""


class Canvas:
    """A plotly figure in the making; every box gets axes of its own."""

    def __init__(self, width: float, height: float, scale: float, theme: Theme, title: str) -> None:
        self.width, self.height, self.scale = width, height, scale
        self.traces: list[Any] = []
        self.annotations: list[Any] = []
        self.shapes: list[Any] = []
        self.images: list[Any] = []
        self.axes: dict[str, Any] = {}
        self.scenes: dict[str, Any] = {}
        self.theme, self.title = theme, title

    def x(self, x: float) -> float:
        """A design pixel as a share of the paper's width."""
        return x / self.width

    def y(self, y: float) -> float:
        """A design pixel from the top as a share of the paper's height from the bottom."""
        return 1 - y / self.height

    def place(self, box: Box, x: tuple[float, float], y: tuple[float, float]) -> dict[str, str]:
        """Make axes that cover `box`, from x[0] to x[1] and from y[0] at the bottom to y[1]."""
        n = len(self.axes) // 2 + 1
        hidden = {"visible": False, "fixedrange": False, "showgrid": False, "zeroline": False}
        name = "" if n == 1 else str(n)
        across = [self.x(box.x), self.x(box.x + box.width)]
        down = [self.y(box.y + box.height), self.y(box.y)]
        self.axes[f"xaxis{name}"] = {**hidden, "domain": across, "range": list(x), "anchor": f"y{name}"}
        self.axes[f"yaxis{name}"] = {**hidden, "domain": down, "range": list(y), "anchor": f"x{name}"}
        return {"xaxis": f"x{name}", "yaxis": f"y{name}"}


def start(width: float, height: float, *, scale: float, theme: Theme, title: str) -> Canvas:
    return Canvas(width, height, scale, theme, title)


def text(
    canvas: Canvas,
    x: float,
    y: float,
    words: str,
    *,
    size: float,
    colour: str,
    bold: bool,
    anchor: Literal["left", "center", "right"],
) -> None:
    shown = f"<b>{escape(words)}</b>" if bold else escape(words)
    canvas.annotations.append(
        {
            "text": shown,
            "x": canvas.x(x),
            "y": canvas.y(y - 0.12 * size),
            "xref": "paper",
            "yref": "paper",
            "xanchor": anchor,
            "yanchor": "top",
            "showarrow": False,
            "borderpad": 0,
            "font": {"size": size * canvas.scale, "color": colour},
        }
    )


def rectangle(canvas: Canvas, box: Box, *, colour: str) -> None:
    canvas.shapes.append({**_corners(canvas, box), "fillcolor": colour, "layer": "below"})


def picture(canvas: Canvas, box: Box, image: Array) -> None:
    if not smooth(image):  # a browser would blur the few pixels of a small picture
        image = image.repeat(times := ceil(2 * box.width / image.shape[1]), 0).repeat(times, 1)
    canvas.images.append(
        {
            "source": _source(image),
            "x": canvas.x(box.x),
            "y": canvas.y(box.y),
            "sizex": canvas.x(box.width),
            "sizey": box.height / canvas.height,
            "xref": "paper",
            "yref": "paper",
            "sizing": "stretch",
            "layer": "below",
        }
    )


def hints(canvas: Canvas, box: Box, words: list[list[str]]) -> None:
    rows, columns = len(words), len(words[0])
    clear = "rgba(0,0,0,0)"
    canvas.traces.append(
        go.Heatmap(
            z=np.zeros((rows, columns), np.uint8),
            customdata=[[escape(said) for said in row] for row in words],
            colorscale=[[0, clear], [1, clear]],
            showscale=False,
            hovertemplate="%{customdata}<extra></extra>",
            **canvas.place(box, (-0.5, columns - 0.5), (rows - 0.5, -0.5)),
        )
    )


def heat(canvas: Canvas, box: Box, values: Array, *, scale: Scale, opacity: float, outlines: Array | None) -> None:
    rows, columns = values.shape
    axes = canvas.place(box, (-0.5, columns - 0.5), (rows - 0.5, -0.5))
    canvas.traces.append(
        go.Heatmap(
            z=values,
            zmin=scale.low,
            zmax=scale.limit,
            colorscale=[[at, _css(colour)] for at, colour in stops(scale, opacity)],
            showscale=False,
            hovertemplate=f"row %{{y}}, column %{{x}}<br>%{{z:.4g}} {escape(scale.unit)}<extra></extra>",
            **axes,
        )
    )
    wrong = ~np.isfinite(values)
    if wrong.any():
        yellow = _css((*NOT_FINITE, 1.0))
        canvas.traces.append(
            go.Heatmap(
                z=np.where(wrong, 1.0, np.nan),
                colorscale=[[0, yellow], [1, yellow]],
                showscale=False,
                hovertemplate="row %{y}, column %{x}<br>not finite<extra></extra>",
                **axes,
            )
        )
    if outlines is not None:
        ends = np.concatenate([outlines - 0.5, np.full((len(outlines), 1, 2), np.nan)], axis=1).reshape(-1, 2)
        canvas.traces.append(
            go.Scatter(
                x=ends[:, 0],
                y=ends[:, 1],
                mode="lines",
                line={"color": "rgba(26,33,43,0.6)", "width": 0.9 * canvas.scale},
                hoverinfo="skip",
                showlegend=False,
                **axes,
            )
        )


def bars(
    canvas: Canvas,
    box: Box,
    values: Array,
    *,
    limits: tuple[float, float],
    colours: list[str],
    labels: list[str],
) -> None:
    count = len(values)
    axes = canvas.place(box, limits, (count - 0.5, -0.5))
    canvas.traces.append(
        go.Bar(
            x=values,
            y=np.arange(count),
            orientation="h",
            width=1.0 if count == 1 else 0.66,
            marker={"color": colours, "line": {"width": 0}},
            customdata=labels,
            hovertemplate="%{customdata}: %{x:.4g}<extra></extra>",
            showlegend=False,
            **axes,
        )
    )


def polyline(canvas: Canvas, box: Box, line: Line, *, limits: tuple[float, float, float, float], colour: str) -> None:
    axes = canvas.place(box, limits[:2], limits[2:])
    canvas.traces.append(
        go.Scatter(
            x=line.x,
            y=line.y,
            customdata=line.contributions,
            mode="lines",
            name=line.name,
            line={"color": colour, "width": 1.5 * canvas.scale},
            hovertemplate="%{x:.4g}: %{y:.4g}<br>contribution %{customdata:.4g}<extra>%{fullData.name}</extra>",
            showlegend=False,
            **axes,
        )
    )


def curve(
    canvas: Canvas, box: Box, trace: Trace, *, limits: tuple[float, float, float, float], colour: str, log: bool
) -> None:
    axes = canvas.place(box, limits[:2], limits[2:])
    if log:
        canvas.axes[f"yaxis{axes['yaxis'][1:]}"]["type"] = "log"
    if trace.edge is not None:
        around, heights = trace.edge
        canvas.traces.append(
            go.Scatter(
                x=around,
                y=heights,
                mode="none",
                fill="toself",
                fillcolor=colour,
                opacity=BAND,
                hoverinfo="skip",
                showlegend=False,
                **axes,
            )
        )
    canvas.traces.append(
        go.Scatter(
            x=trace.x,
            y=np.where(np.isfinite(trace.y), trace.y, np.nan),
            mode="markers" if len(trace.x) == 1 or trace.dots else "lines",
            name=trace.name,
            line={"color": colour, "width": 2 * canvas.scale, "dash": "dash" if trace.dashed else "solid"},
            marker={"color": colour, "size": (4.5 if trace.dots else 7) * canvas.scale},
            hovertemplate=None if trace.silent else "%{x:.6g}: %{y:.4g}<extra>%{fullData.name}</extra>",
            hoverinfo="skip" if trace.silent else None,
            showlegend=False,
            **axes,
        )
    )


def space(canvas: Canvas, box: Box, view: View) -> None:
    """A scene of its own, which the mouse turns; it begins at the side from which printed pictures show it."""
    name = "scene" if not canvas.scenes else f"scene{len(canvas.scenes) + 1}"
    axes = {
        f"{letter}axis": {
            "title": {"text": escape(label), "font": {"size": 12 * canvas.scale, "color": view.ink}},
            "range": [float(middle) - view.half, float(middle) + view.half],
            "tickvals": [t for t, _ in ticks],
            "ticktext": [said for _, said in ticks],
            "tickfont": {"size": 11 * canvas.scale, "color": view.muted},
            "gridcolor": view.faint,
            "zeroline": False,
            "showbackground": False,
            "showspikes": False,
        }
        for letter, label, middle, ticks in zip("xyz", view.labels, view.centre, view.ticks, strict=True)
    }
    length = DISTANCE / np.linalg.norm(EYE)
    canvas.scenes[name] = {
        **axes,
        "aspectmode": "manual",
        "aspectratio": dict.fromkeys("xyz", LARGER),
        "domain": {
            "x": [canvas.x(box.x), canvas.x(box.x + box.width)],
            "y": [canvas.y(box.y + box.height), canvas.y(box.y)],
        },
        "camera": {
            "eye": {letter: length * v for letter, v in zip("xyz", EYE, strict=True)},
            "projection": {"type": "orthographic"},
        },
        "dragmode": "turntable",
    }
    a, b, c = (escape(label) for label in view.labels)
    for cloud, colour in zip(view.clouds, view.colours, strict=True):
        canvas.traces.append(
            go.Scatter3d(
                x=cloud.points[:, 0],
                y=cloud.points[:, 1],
                z=cloud.points[:, 2],
                mode="markers",
                name=escape(cloud.name),
                marker={"color": colour, "size": 0.8 * DOT * canvas.scale, "symbol": symbol_of(cloud), "opacity": 0.8},
                hovertemplate=f"{a}: %{{x:.4g}}<br>{b}: %{{y:.4g}}<br>{c}: %{{z:.4g}}<extra>%{{fullData.name}}</extra>",
                showlegend=False,
                scene=name,
            )
        )


def marks(
    canvas: Canvas,
    boxes: list[Box],
    words: list[str],
    values: list[float | None],
    *,
    scale: Scale,
    colour: str,
) -> None:
    for box, value in zip(boxes, values, strict=True):
        if value is not None:
            fill = _css(tuple(rgba(np.array(value), scale, INKED)))
            canvas.shapes.append({**_corners(canvas, box), "fillcolor": fill, "layer": "below"})
    axes = canvas.place(Box(0, 0, canvas.width, canvas.height), (0, canvas.width), (canvas.height, 0))
    canvas.traces.append(
        go.Scatter(
            x=[b.x for b in boxes],
            y=[b.y + b.height / 2 for b in boxes],
            text=[escape(w).replace(" ", "\u00a0") for w in words],
            customdata=[np.nan if v is None else v for v in values],
            mode="text",
            textposition="middle right",
            textfont={"family": MONO, "size": WORD * canvas.scale, "color": colour},
            hovertemplate="%{text}: %{customdata:.4g}<extra></extra>",
            showlegend=False,
            **axes,
        )
    )


class Interactive(go.Figure):  # type: ignore[misc]
    """A plotly figure that a notebook keeps as a picture as well, for pages that draw no plotly figures."""

    _again: Callable[[], go.Figure] | None = None
    _picture: Callable[[], bytes] | None = None

    def pictured(self, again: Callable[[], go.Figure], picture: Callable[[], bytes]) -> "Interactive":
        """Give the figure with its PNG by `picture`; `again` draws it anew, and tells one that was changed since."""
        self._again, self._picture = again, picture
        return self

    def _repr_mimebundle_(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        bundle = dict(super()._repr_mimebundle_(*args, **kwargs))
        if self._picture and self._again and self._again().to_json() == self.to_json():
            bundle["image/png"] = b64encode(self._picture()).decode("ascii")
        return bundle

    def _ipython_display_(self) -> None:
        from IPython.display import display

        bundle = self._repr_mimebundle_() if pio.renderers.render_on_display else {}
        if "image/png" in bundle and len(bundle) > 1:
            display(bundle, metadata={"image/png": {"width": self.layout.width}}, raw=True)  # type: ignore[no-untyped-call]
        else:  # plotly shows it elsewhere, such as in a tab of a browser, or is told to show nothing
            super()._ipython_display_()


def finish(canvas: Canvas) -> Interactive:
    layout = {
        "width": round(canvas.width * canvas.scale),
        "height": round(canvas.height * canvas.scale),
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0, "pad": 0},
        "paper_bgcolor": canvas.theme.paper,
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "color": canvas.theme.ink},
        "annotations": canvas.annotations,
        "shapes": canvas.shapes,
        "images": canvas.images,
        "meta": {"title": canvas.title},
        "bargap": 0,
        **canvas.axes,
        **canvas.scenes,
    }
    return Interactive(canvas.traces, layout)


def _corners(canvas: Canvas, box: Box) -> dict[str, Any]:
    x = {"x0": canvas.x(box.x), "x1": canvas.x(box.x + box.width)}
    y = {"y0": canvas.y(box.y), "y1": canvas.y(box.y + box.height)}
    return {"type": "rect", "xref": "paper", "yref": "paper", "line": {"width": 0}, **x, **y}


def _css(colour: tuple[float, ...]) -> str:
    red, green, blue, alpha = colour
    return f"rgba({255 * red:.0f},{255 * green:.0f},{255 * blue:.0f},{alpha:.3f})"


def _source(image: Array) -> str:
    from PIL import Image

    held = BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(held, "PNG", optimize=image.size < LARGE)
    return "data:image/png;base64," + b64encode(held.getvalue()).decode("ascii")
