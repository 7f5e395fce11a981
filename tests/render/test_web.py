"""Pictures for pages: the same as the renderer draws, in fewer bytes and less time."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image as Pillow

from tests.figures import synthetic as s
from xaikit.figures import ImagePanel, MapPanel, panels
from xaikit.render import picture_png
from xaikit.render._web import cropped, decoded, painted, reduced


@pytest.mark.parametrize("make", [s.image, s.segmented, s.coarse])
@pytest.mark.parametrize("width", [360, 15])
def test_a_painted_map_is_the_drawn_one(make, width):
    for panel in panels(make()).panels:
        if isinstance(panel, MapPanel | ImagePanel):
            drawn, found = decoded(picture_png(panel, width)).astype(float), painted(panel, width).astype(float)
            assert found.shape == drawn.shape
            # the edges of places fall between pixels, and lines are smoothed: at them alone the two differ
            assert np.median(np.abs(found - drawn)) <= 3
            if width == 360:
                assert np.mean(np.abs(found - drawn)) < 8


def test_a_picture_becomes_smaller_in_every_form():
    image = np.random.default_rng(0).integers(0, 256, (40, 80, 3)).astype(np.uint8)
    for form, quality in (("WEBP", 80), ("WEBP", 0), ("JPEG", 80), ("PNG", 0)):
        found = Pillow.open(BytesIO(reduced(image, 20, quality, form)))
        assert (found.size, found.format) == ((20, 10), form)
    whole = np.asarray(Pillow.open(BytesIO(reduced(image, 80, 0))).convert("RGB"))
    np.testing.assert_array_equal(whole, image)


def test_empty_paper_is_cut_off():
    paper = np.full((100, 200, 3), 255, np.uint8)
    paper[40:60, 50:90] = (200, 30, 30)
    held = BytesIO()
    Pillow.fromarray(paper).save(held, "PNG")
    data, width, height = cropped(held.getvalue(), edge=5)
    assert (width, height) == (50, 30)
    assert Pillow.open(BytesIO(data)).convert("RGB").getpixel((10, 10)) == (200, 30, 30)
    blank = BytesIO()
    Pillow.fromarray(np.full((10, 10, 3), 255, np.uint8)).save(blank, "PNG")
    assert cropped(blank.getvalue())[1:] == (10, 10)
