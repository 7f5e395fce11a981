"""Uploads: checked by their content, and refused in words."""

import base64
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

import xaikit as xk
from xaikit.errors import InputError
from xaikit_app.settings import Settings
from xaikit_app.uploads import read_upload

SETTINGS = Settings(max_upload_mb=0.1, max_pixels=10_000)
DIGIT = xk.Image(28, 28, 1)
SERIES = xk.Series(4, 2)
TABLE = xk.Table({"age": xk.Number(), "sex": xk.Category(["f", "m"])})


def sent(data: bytes) -> str:
    return "data:application/octet-stream;base64," + base64.b64encode(data).decode()


def picture(kind: str, size: tuple[int, int] = (40, 30)) -> bytes:
    held = BytesIO()
    Pillow.fromarray(np.full((size[1], size[0], 3), 200, np.uint8)).save(held, kind)
    return held.getvalue()


def array(values: Any) -> bytes:
    held = BytesIO()
    np.save(held, values)
    return held.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_pictures_are_known_by_their_content(kind: str) -> None:
    found = read_upload(sent(picture(kind)), "picture.dat", DIGIT, SETTINGS)
    assert found.shape == (28, 28, 1)
    assert abs(int(found.mean()) - 200) <= 1


@pytest.mark.parametrize(
    ("data", "name", "told"),
    [
        (b"words, words", "a.png", "a.png is not a picture: its content is text"),
        (b"PK\x03\x04" + b"\0" * 30, "a.png", "its content is an archive"),
        (b"\xff\xfe\xfd\x00" * 8, "a.png", "of no known kind"),
        (picture("PNG")[:60], "a.png", "a.png cannot be read as a picture"),
        (b"", "a.png", "a.png is empty"),
        (b"\0" * 200_000, "a.png", "a.png has 0.2 MiB; an upload has at most 0.1 MiB"),
        (picture("PNG", (200, 200)), "a.png", "40,000 pixels; at most 10,000 are read"),
    ],
)
def test_what_is_no_picture_is_refused(data: bytes, name: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_upload(sent(data), name, DIGIT, SETTINGS)


def test_a_broken_transfer_is_told() -> None:
    with pytest.raises(InputError, match="did not arrive whole"):
        read_upload("data:image/png;base64,§§§", "a.png", DIGIT, SETTINGS)


def test_arrays_and_tables_from_files() -> None:
    values = np.arange(8.0).reshape(4, 2)
    np.testing.assert_array_equal(read_upload(sent(array(values)), "a.npy", SERIES, SETTINGS), values)
    text = "\n".join(",".join(str(v) for v in row) for row in values)
    np.testing.assert_array_equal(read_upload(sent(text.encode()), "a.csv", SERIES, SETTINGS), values)
    row = read_upload(sent(b"sex,age\nm,31\nf,40\n"), "rows.csv", TABLE, SETTINGS)
    assert (row["sex"], float(row["age"])) == ("m", 31.0)


def test_errors_name_the_file_that_was_given() -> None:
    with pytest.raises(InputError, match=r"^mine\.csv holds something that is no number"):
        read_upload(sent(b"1,2\n3,x\n"), "mine.csv", SERIES, SETTINGS)
    with pytest.raises(InputError, match=r"mine\.npy is not a \.npy array"):
        read_upload(sent(b"\x80\x04\x95pickle"), "mine.npy", SERIES, SETTINGS)
    with pytest.raises(InputError, match=r"mine\.exe is no input for this model: give \.csv,\.npy"):
        read_upload(sent(b"MZ"), "mine.exe", SERIES, SETTINGS)


def test_a_pickle_is_not_opened(tmp_path: Any) -> None:
    held = BytesIO()
    np.save(held, np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(InputError, match="without unpickling"):
        read_upload(sent(held.getvalue()), "mine.npy", SERIES, SETTINGS)
