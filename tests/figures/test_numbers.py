"""The numbers of panels as tables."""

import numpy as np
import pytest

from xaikit.figures import (
    BarPanel,
    CurvePanel,
    GridsPanel,
    ImagePanel,
    LinePanel,
    MapPanel,
    MatrixPanel,
    Panel,
    Scale,
    ScorePanel,
    SpacePanel,
    StepsPanel,
    SurfacePanel,
    TablePanel,
    TextPanel,
    Tile,
    TilesPanel,
    Trace,
    numbers_of,
)
from xaikit.figures._data import Cloud, Grid, Line

SCALE = Scale(1.0)
SQUARE = np.array([[1.0, 2.0], [3.0, 4.0]])
STEPS = np.arange(3.0)


@pytest.mark.parametrize(
    ("panel", "headers", "first", "total"),
    [
        (MapPanel(values=SQUARE, scale=SCALE), ("row", "column", "value"), (0, 0, 1.0), 4),
        (BarPanel(labels=("a", "b"), values=np.array([1.0, -2.0]), unit="logit"), ("name", "logit"), ("a", 1.0), 2),
        (
            BarPanel(labels=("a",), values=np.array([1.0]), intervals=np.array([[0.5, 1.5]])),
            ("name", "value", "from", "to"),
            ("a", 1.0, 0.5, 1.5),
            1,
        ),
        (
            SurfacePanel(values=SQUARE, rows=("x", "y"), columns=("1", "2"), scale=SCALE, row_label="age"),
            ("age", "1", "2"),
            ("x", 1.0, 2.0),
            2,
        ),
        (
            StepsPanel(values=SQUARE, columns=("the", "film"), scale=SCALE, rows=("i", "f"), x_label="token"),
            ("token", "i", "f"),
            ("the", 1.0, 3.0),
            2,
        ),
        (TablePanel(headers=("h",), rows=(("w",),)), ("h",), ("w",), 1),
        (
            LinePanel(lines=(Line("c", STEPS, STEPS + 1, STEPS + 2),), scale=SCALE),
            ("channel", "step", "value", "contribution"),
            ("c", 0.0, 1.0, 2.0),
            3,
        ),
        (
            CurvePanel(traces=(Trace("a", STEPS, STEPS), Trace("b", STEPS, 2 * STEPS)), x_label="epoch"),
            ("epoch", "a", "b"),
            (0.0, 0.0, 0.0),
            3,
        ),
        (
            CurvePanel(traces=(Trace("a", STEPS, STEPS), Trace("b", STEPS[:2], STEPS[:2]))),
            ("line", "x", "value"),
            ("a", 0.0, 0.0),
            5,
        ),
        (
            SpacePanel(clouds=(Cloud("g", np.ones((2, 3))),), labels=("x", "y", "z")),
            ("group", "x", "y", "z"),
            ("g", 1.0, 1.0, 1.0),
            2,
        ),
        (TextPanel(pieces=(("good", 0.5), (" ", None)), scale=SCALE), ("word", "contribution"), ("good", 0.5), 1),
        (ScorePanel(names=("cat",), scores=(0.9,)), ("name", "share"), ("cat", 0.9), 1),
        (MatrixPanel(names=("a", "b"), values=SQUARE, scale=SCALE), ("", "a", "b"), ("a", 1.0, 2.0), 2),
        (
            TilesPanel(tiles=(Tile(SQUARE, "unit 0", "n"),), across=1, scale=SCALE),
            ("name", "note", "smallest", "largest"),
            ("unit 0", "n", 1.0, 4.0),
            1,
        ),
        (
            GridsPanel(grids=(Grid(SQUARE, SCALE, "in"),), signs=()),
            ("grid", "row", "column", "value"),
            ("in", 0, 0, 1.0),
            4,
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Panel) else "",
)
def test_a_panel_as_a_table(panel: Panel, headers: tuple[str, ...], first: tuple[object, ...], total: int) -> None:
    found = numbers_of(panel)
    assert found is not None
    assert found.headers == headers
    assert found.rows[0] == first
    assert found.total == total
    assert found.whole


def test_a_long_table_is_cut_and_says_so() -> None:
    found = numbers_of(MapPanel(values=np.zeros((20, 20)), scale=SCALE), most=7)
    assert found is not None
    assert len(found.rows) == 7
    assert found.total == 400
    assert not found.whole


def test_a_picture_has_no_numbers() -> None:
    assert numbers_of(ImagePanel(image=np.zeros((2, 2, 3), np.uint8))) is None
