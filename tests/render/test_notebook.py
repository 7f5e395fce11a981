"""Results show themselves in a notebook, and importing the hook costs nothing."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.figures import synthetic
from xaikit import curves, plot, zoo

pytestmark = pytest.mark.slow

CHILD = """
import json, sys
from xaikit.render.notebook import register
register()
register()
early = sorted({name.partition(".")[0] for name in sys.modules} & {"matplotlib", "plotly", "PIL", "IPython"})
import numpy as np
from tests.figures import synthetic as s
from xaikit.results import Attributions, Comparison
results = {"attribution": s.image(), "several": Attributions({"photo": s.image()}),
           "comparison": Comparison({"lime": s.segmented()}, ("lime",), np.ones((1, 1)))}
shown = {name: result._repr_mimebundle_() for name, result in results.items()}
text, _ = s.image()._repr_mimebundle_(include=["text/plain"])
rest, _ = s.image()._repr_mimebundle_(exclude=["text/plain"])
late = sorted({name.partition(".")[0] for name in sys.modules} & {"plotly", "IPython"})
print(json.dumps([early, late, shown, list(text), list(rest), repr(s.image())]))
"""


def test_results_show_themselves_in_a_fresh_process() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", CHILD],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    early, late, shown, text, rest, said = json.loads(ran.stdout)
    assert early == []
    assert late == []
    assert (text, rest) == (["text/plain"], ["image/png"])
    assert shown["attribution"][0]["text/plain"] == said
    for data, about in shown.values():
        pixels = base64.b64decode(data["image/png"])
        assert pixels.startswith(b"\x89PNG")
        width = int.from_bytes(pixels[16:20], "big")
        assert abs(width - 2 * about["image/png"]["width"]) <= 1


def test_a_card_shows_itself_as_html() -> None:
    card = zoo.card("mnist_cnn")
    assert card.trained is not None
    said = card._repr_html_()  # type: ignore[attr-defined]
    for expected in (card.title, card.trained.sha256, "RMSprop, learning rate 0.001", "95 % interval", card.limits[1]):
        assert expected in said
    assert "Not trained" in zoo.card("resnet50")._repr_html_()  # type: ignore[attr-defined]


def test_curves_show_themselves_as_a_picture() -> None:
    data, _ = curves({"loss": [2.0, 1.0]})._repr_mimebundle_()  # type: ignore[attr-defined]
    assert set(data) == {"text/plain", "image/png"}


def test_a_plotted_figure_brings_a_picture_for_pages_without_plotly() -> None:
    figure = plot(synthetic.image(), width=600)
    pixels = base64.b64decode(figure._repr_mimebundle_()["image/png"])
    assert pixels.startswith(b"\x89PNG")
    assert int.from_bytes(pixels[16:20], "big") == 1200


def test_a_figure_that_was_changed_is_not_shown_as_it_was() -> None:
    figure = plot(synthetic.image())
    figure.update_layout(title="mine")
    assert "image/png" not in figure._repr_mimebundle_()
