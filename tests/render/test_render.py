"""Renderers: the same calls for all, raw numbers in plotly, PNG without a screen."""

import base64
import inspect
import io
import itertools
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image as Pillow

from tests.figures import synthetic as s
from xaikit.errors import MissingPackage, ParameterError, UnknownName
from xaikit.figures import Figure, ImagePanel, MapPanel, borders, panels
from xaikit.render import RENDERERS, draw, legend_png, picture_png, plot, png
from xaikit.render._draw import Renderer, _ticks
from xaikit.render._layout import plan
from xaikit.render._theme import THEMES, Theme

pytestmark = pytest.mark.slow

PROTOCOL = {name: f for name, f in vars(Renderer).items() if inspect.isfunction(f) and not name.startswith("_")}
BOTH = {
    "keras": {"lime": s.segmented(), "grad-cam": s.coarse()},
    "torch": {"lime": s.segmented(), "grad-cam": s.coarse()},
}


def decoded(data: bytes) -> Any:
    with Pillow.open(io.BytesIO(data)) as image:
        image.load()
        return image


def drawn(kind: str, what: str) -> list[dict[str, Any]]:
    return [item for item in draw(panels(s.KINDS[kind]()), "none")["items"] if item["kind"] == what]


def traces(result: Any, kind: str) -> list[Any]:
    return [t for t in plot(result).data if t.type == kind]


# ---------------------------------------------------------------- one interface


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("function", PROTOCOL)
def test_renderers_have_the_signatures_of_the_protocol(renderer: str, function: str) -> None:
    promised = inspect.signature(PROTOCOL[function])
    found = inspect.signature(getattr(import_module(f"xaikit.render.{RENDERERS[renderer]}"), function))
    expected = [(p.name, p.kind, p.default) for p in list(promised.parameters.values())[1:]]
    assert [(p.name, p.kind, p.default) for p in found.parameters.values()] == expected


def test_the_protocol_is_not_empty() -> None:
    assert len(PROTOCOL) == 12


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("kind", s.KINDS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_renderer_draws_every_kind(renderer: str, kind: str, theme: str) -> None:
    assert draw(panels(s.KINDS[kind]()), renderer, theme=theme) is not None


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"renderer": "bokeh"}, UnknownName, "unknown renderer 'bokeh'"),
        ({"theme": "drak"}, UnknownName, "did you mean 'dark'"),
        ({"width": 10}, ParameterError, "from 100 to 20000, not 10"),
    ],
)
def test_mistakes_are_named(wrong: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        draw(panels(s.image()), **wrong)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [m for m in sys.modules if m.partition(".")[0] == "plotly" or m == "xaikit.render._plotly"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "plotly", None)
    with pytest.raises(MissingPackage, match="pip install"):
        plot(s.image())


# ---------------------------------------------------------------- what is drawn


def test_a_map_is_drawn_with_its_raw_numbers_over_the_pale_photo() -> None:
    (heat,) = drawn("image", "heat")
    assert_allclose(heat["values"], s.image().values[0].sum(-1))
    (_, photo, pale, _) = [None, *drawn("image", "picture")]
    assert photo["image"].std(-1).max() > 0
    assert pale["image"].std(-1).max() == 0
    assert pale["box"] == heat["box"]


def test_outlines_are_the_borders_of_the_parts() -> None:
    (heat,) = drawn("segmented", "heat")
    parts = s.segmented().parts
    assert parts is not None
    assert_array_equal(heat["outlines"], borders(parts[0]))


def test_words_and_numbers_are_written() -> None:
    words = {item["words"] for item in drawn("segmented", "text")}
    assert {"cat 0.97 · LIME", "LIME for cat", "±0.4 change of probability", "cat", "dog", "0.97"} <= words
    assert any(w.startswith("▲ the surrogate") for w in words)


def test_bars_start_at_zero_and_show_their_sign() -> None:
    (bars, *_) = drawn("features", "bars")
    assert bars["limits"] == (-4, 4)
    assert bars["colours"][0] != bars["colours"][1]
    assert {"−4", "+3"} <= {item["words"] for item in drawn("features", "text")}


@pytest.mark.parametrize("kind", s.KINDS)
def test_nothing_leaves_the_figure(kind: str) -> None:
    canvas = draw(panels(s.KINDS[kind]()), "none")
    for item in canvas["items"]:
        for box in [item["box"]] if "box" in item else item.get("boxes", []):
            assert box.x >= 0
            assert box.y >= 0
            assert box.x + box.width <= canvas["width"] + 1e-6
            assert box.y + box.height <= canvas["height"] + 1e-6
        if item["kind"] == "text":
            length = 0.64 * item["size"] * len(item["words"])
            start = item["x"] - {"left": 0, "center": length / 2, "right": length}[item["anchor"]]
            assert start >= -0.1 * length
            assert item["y"] + item["size"] <= canvas["height"]


def test_text_is_never_tiny() -> None:
    for kind in s.KINDS:
        assert min(item["size"] for item in drawn(kind, "text")) >= 12


def test_panels_of_a_row_do_not_overlap() -> None:
    cells = plan(panels(BOTH)).cells
    for row in {round(c.body.y) for c in cells}:
        boxes = sorted((c.body for c in cells if round(c.body.y) == row), key=lambda b: b.x)
        assert all(a.x + a.width <= b.x for a, b in itertools.pairwise(boxes))
        assert len({round(b.height, 6) for b in boxes}) == 1


def test_a_long_word_and_a_long_text_stay_in_their_box() -> None:
    words = " ".join(["incomprehensibilities"] * 60)
    spec = s.Text(60, vocabulary=("", "?", "incomprehensibilities"))
    result = s.text(display=[words], input_spec=spec, values=np.ones((1, 60)))
    (marks,) = [i for i in draw(panels(result), "none")["items"] if i["kind"] == "marks"]
    right = max(b.x + b.width for b, w in zip(marks["boxes"], marks["words"], strict=True) if w.strip())
    assert right < draw(panels(result), "none")["width"]
    assert len({b.y for b in marks["boxes"]}) > 10


def test_ticks_are_round_numbers_inside_the_axis() -> None:
    assert_allclose(_ticks(-0.5, 139.5), [0, 50, 100])
    assert_allclose(_ticks(0.0, 1.1), [0, 0.2, 0.4, 0.6, 0.8, 1.0])


# ---------------------------------------------------------------- plotly


def test_plotly_heatmaps_hold_the_raw_numbers_around_zero() -> None:
    result = s.image()
    (heat,) = traces(result, "heatmap")
    assert_allclose(heat.z, result.values[0].sum(-1))
    assert heat.zmin == -heat.zmax
    assert heat.colorscale[len(heat.colorscale) // 2][1].endswith(",0.000)")


def test_plotly_bars_lines_and_words_hold_the_raw_numbers() -> None:
    assert_allclose(traces(s.features(), "bar")[0].x, (-4, 3, -2, 1))
    line = traces(s.series(), "scatter")[1]
    assert_allclose(line.y, s.series().display[0][:, 1])
    assert_allclose(line.customdata, s.series().values[0, :, 1])
    held = np.array(traces(s.text(), "scatter")[-1].customdata, float)
    assert_allclose(held[np.isfinite(held)], (-0.7, 0.01, 0.5, 0.1))


def test_plotly_marks_what_is_not_finite() -> None:
    values = np.ones((1, 4, 6))
    values[0, 2, 3] = np.nan
    _, yellow = traces(s.attribution(values, ("a", "b"), "saliency"), "heatmap")
    assert np.argwhere(np.isfinite(np.array(yellow.z, float))).tolist() == [[2, 3]]


def test_plotly_has_the_width_asked_and_escapes_names() -> None:
    figure = plot(s.image(target_labels=("<b>cat</b>",)), width=700)
    assert figure.layout.width == 700
    assert any("&lt;b&gt;cat&lt;/b&gt;" in a.text for a in figure.layout.annotations)
    assert not any("<b>cat</b>" in a.text for a in figure.layout.annotations)


def test_plotly_loads_nothing_from_elsewhere() -> None:
    assert all(i.source.startswith("data:image/png;base64,") for i in plot(s.image()).layout.images)


# ---------------------------------------------------------------- PNG


@pytest.mark.parametrize("width", [100, 333, 901, 1600])
def test_a_png_has_the_width_asked(width: int) -> None:
    image = decoded(png(s.image(), width=width))
    assert (image.format, image.width) == ("PNG", width)


def test_a_png_is_twice_the_figure_by_default() -> None:
    assert decoded(png(s.coarse())).width == round(2 * plan(panels(s.coarse())).width)


def test_the_same_result_gives_the_same_png() -> None:
    assert png(s.segmented(), width=400) == png(s.segmented(), width=400)


def test_a_png_names_what_it_shows() -> None:
    assert decoded(png(s.segmented(), width=300)).info["Title"] == "cat 0.97 · LIME"


def test_a_png_is_written_to_a_path(tmp_path: Path) -> None:
    place = tmp_path / "new" / "map.png"
    data = png(s.image(), place, width=300)
    assert place.read_bytes() == data
    assert os.listdir(place.parent) == ["map.png"]


def test_a_png_needs_no_screen_no_browser_and_no_pyplot() -> None:
    child = (
        "import sys; from tests.figures.synthetic import image; from xaikit.render import png\n"
        "data = png(image(), width=300); assert data.startswith(b'\\x89PNG')\n"
        "print([m for m in ('matplotlib.pyplot', 'plotly', 'kaleido', 'tkinter') if m in sys.modules])"
    )
    bare = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND")}
    bare["PYTHONPATH"] = str(Path(__file__).parents[2])
    ran = subprocess.run([sys.executable, "-c", child], env=bare, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_matplotlib_settings_are_left_alone() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    png(s.image(), width=300)
    assert dict(matplotlib.rcParams) == before


def test_a_map_alone_is_the_map_edge_to_edge() -> None:
    (panel,) = [p for p in panels(s.image()).panels if isinstance(p, MapPanel)]
    pixels = np.asarray(decoded(picture_png(panel, 240)).convert("RGB"), int)
    assert pixels.shape == (240, 240, 3)
    upper, lower = pixels[60, 230], pixels[180, 230]
    assert upper[2] > upper[0] + 50
    assert lower[0] > lower[2] + 50


@pytest.mark.parametrize("kind", ["plane", "series"])
def test_colours_lie_over_their_paper(kind: str) -> None:
    # Ones everywhere, so that the coloured part of the picture is as large as the map.
    ones = s.KINDS[kind](values=np.ones_like(s.KINDS[kind]().values))
    pixels = np.asarray(decoded(png(ones, width=600)).convert("RGB"), int)
    assert np.mean(pixels[..., 0] > pixels[..., 2] + 60) > 0.1


def test_zero_shows_the_pale_photo() -> None:
    result = s.image(values=np.zeros((1, s.SIDE, s.SIDE, 3)))
    (panel,) = [p for p in panels(result).panels if isinstance(p, MapPanel)]
    pixels = np.asarray(decoded(picture_png(panel, 240)).convert("RGB"), int)
    assert panel.background is not None
    assert_allclose(pixels[5::10, 5::10], panel.background, atol=1)


def test_a_palette_makes_a_smaller_file() -> None:
    (panel,) = [p for p in panels(s.image()).panels if isinstance(p, MapPanel)]
    small = picture_png(panel, 240, colours=64)
    assert decoded(small).mode == "P"
    assert len(small) < len(picture_png(panel, 240))


def test_the_legend_bar_runs_from_blue_to_red() -> None:
    legend = panels(s.image()).legend
    assert legend is not None
    pixels = np.asarray(decoded(legend_png(legend, 101, 4)).convert("RGB"), int)
    assert pixels.shape == (4, 101, 3)
    assert pixels[0, 0, 2] > pixels[0, 0, 0]
    assert pixels[0, -1, 0] > pixels[0, -1, 2]
    assert_allclose(pixels[0, 50], 255 * legend.shade, atol=1)


# ---------------------------------------------------------------- themes


def luminance(colour: str) -> float:
    share = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_every_ink_is_readable_on_its_paper(theme: Theme) -> None:
    # 4.5 is what WCAG 2.2, criterion 1.4.3, asks of text.
    for ink in (theme.ink, theme.muted, *theme.verdicts):
        dark, light = sorted((luminance(ink), luminance(theme.paper)))
        assert (light + 0.05) / (dark + 0.05) >= 4.5


@pytest.mark.parametrize(("side", "squares"), [(8, True), (64, False)])
def test_a_small_picture_is_shown_in_squares(side: int, squares: bool) -> None:
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    source = draw(Figure("", ((ImagePanel(image=image),),)), "plotly").layout.images[0]["source"]
    shown = np.asarray(decoded(base64.b64decode(source.split(",")[1])))
    times = len(shown) // side
    assert (times > 10) == squares
    assert_array_equal(shown, image.repeat(times, 0).repeat(times, 1))
