"""Uploads: checked by their content, and refused in words."""

import base64
import struct
import tracemalloc
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

import xaikit as xk
from xaikit.errors import InputError
from xaikit_app.settings import Settings
from xaikit_app.uploads import check_text, read_upload, shown_name, typed

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


# ---------------------------------------------------------------- the content decides, and names are only shown


def test_the_content_decides_where_the_name_says_otherwise() -> None:
    values = np.arange(8.0).reshape(4, 2)
    np.testing.assert_array_equal(read_upload(sent(array(values)), "a.csv", SERIES, SETTINGS), values)
    assert read_upload(sent(picture("PNG")), "a.txt", DIGIT, SETTINGS).shape == (28, 28, 1)
    digit = np.full((28, 28, 1), 7, np.uint8)
    np.testing.assert_array_equal(read_upload(sent(array(digit)), "a.png", DIGIT, SETTINGS), digit)


@pytest.mark.parametrize(
    ("data", "name", "spec", "told"),
    [
        (picture("PNG"), "rows.csv", TABLE, r"no input for this model: its content is a picture: give \.csv$"),
        (picture("JPEG"), "text.txt", xk.Text(8), "its content is a picture: give .txt"),
        (b"%PDF-1.7", "text.txt", xk.Text(8), "its content is a PDF"),
        (b"PK\x05\x06" + b"\0" * 18, "rows.csv", TABLE, "its content is an archive"),
        (b"a,b\n1,\x002\n", "rows.csv", TABLE, "of no known kind"),
        (b"1,2\n", "a.npy", SERIES, "is not a .npy array"),
        (b"\x89HDF\r\n", "model.png", DIGIT, "its content is a network"),
        (b"\x80\x04\x95K\x05\x8c", "model.pkl", DIGIT, "of no known kind"),
    ],
)
def test_what_is_of_another_kind_is_told(data: bytes, name: str, spec: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_upload(sent(data), name, spec, SETTINGS)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("größe 数字 🙂.png", "größe 数字 🙂.png"),
        ("<img src=x onerror=alert(1)>.png", "<img src=x onerror=alert(1)>.png"),
        ("a\u202egnp.exe\n\x1b[31m", "agnp.exe[31m"),
        ("x" * 300 + ".png", "x" * 40 + " … " + "x" * 36 + ".png"),
        ("", "the file"),
        (None, "the file"),
    ],
)
def test_names_are_shown_short_and_in_one_line(name: str | None, shown: str) -> None:
    assert shown_name(name) == shown
    with pytest.raises(InputError) as told:
        read_upload(sent(b"words"), name, DIGIT, SETTINGS)
    assert shown in str(told.value)


# ---------------------------------------------------------------- limits


@pytest.mark.parametrize(
    ("text", "limit", "told"),
    [
        ("a,b\n" + "1,2\n" * 20, {"max_rows": 10}, "more than 10 rows"),
        (",".join(map(str, range(50))) + "\n", {"max_columns": 10}, "has 50 columns; at most 10 are read"),
        ("a,b\n1," + "x" * 200 + "\n", {"max_cell": 100}, "more than 100 characters in row 2"),
        ('a,b\n"1,2\n', {"max_cell": 3, "max_rows": 1}, "more than 3 characters in row 2"),
        ("a\n" + "9" * 140_000, {"max_upload_mb": 1}, "not a readable CSV file: field larger than field limit"),
    ],
)
def test_tables_have_limits(text: str, limit: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_upload(sent(text.encode()), "rows.csv", TABLE, Settings(**limit))


def test_texts_have_a_limit_typed_or_not() -> None:
    limit, spec = Settings(max_text=100), xk.Text(8)
    with pytest.raises(InputError, match=r"a\.txt has 101 characters; a text has at most 100"):
        read_upload(sent(b"a" * 101), "a.txt", spec, limit)
    with pytest.raises(InputError, match="the text has 101 characters; at most 100 are read"):
        typed("a" * 101, spec, limit)
    with pytest.raises(InputError, match="not a text in UTF-8"):
        check_text(b"\xff\xfe", "a.txt", limit)
    with pytest.raises(InputError, match="the text is empty"):
        typed(None, spec, limit)


def header(shape: str, dtype: str = "<f8") -> bytes:
    """A .npy file that only claims to hold something."""
    said = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    said += b" " * (-(len(said) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(said).to_bytes(2, "little") + said


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (header("(1000000, 1000000)"), "header says 8,000,000,000,000 bytes, it has 0"),
        (header("(2,)") + b"\0" * 15, "header says 16 bytes, it has 15"),
        (header("(2,)") + b"\0" * 17, "header says 16 bytes, it has 17"),
        (header("(-1, -8)") + b"\0" * 64, "is damaged: its header says"),
        (header("(2,)", "|O") + b"\0" * 16, "without unpickling: it has object"),
        (header("(2,)", "|V8") + b"\0" * 16, "array of numbers"),
        (header("(2,)", "<U4") + b"\0" * 32, "array of numbers"),
        (b"\x93NUMPY\x09\x00" + b"\0" * 64, "version 9.0"),
        (b"\x93NUMPY", "not a .npy array"),
        (b"\x93NUMPY\x02\x00" + (2**31).to_bytes(4, "little"), "not a .npy array"),
        (b"\x93NUMPY\x01\x00\x10\x00__import__('os')", "not a .npy array"),
        (header("(20,)") + b"\0" * 160, "20 numbers; at most 10 are read"),
    ],
)
def test_headers_are_not_believed(data: bytes, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_upload(sent(data), "a.npy", SERIES, Settings(max_values=10))


# ---------------------------------------------------------------- bombs


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def png(width: int, height: int, *more: bytes) -> bytes:
    """A grey PNG that holds no pixels, whatever its header says."""
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + b"".join(more) + pixels + chunk(b"IEND", b"")


def deflated(size: int) -> bytes:
    return zlib.compress(b"\0" * size, 9)


BOMB = 100 * 2**20
BOMBS = {
    "a PNG of 30000 x 30000": (lambda: png(30_000, 30_000), "far more pixels than may be read|900,000,000 pixels"),
    "a PNG of 9000 x 9000": (lambda: png(9_000, 9_000), "81,000,000 pixels; at most"),
    "a text in a PNG": (lambda: png(20, 20, chunk(b"zTXt", b"a\0\0" + deflated(BOMB))), "cannot be read|may be"),
    "a profile in a PNG": (lambda: png(20, 20, chunk(b"iCCP", b"a\0\0" + deflated(BOMB))), "cannot be read|may be"),
    "a GIF of 60000 x 60000": (
        lambda: b"GIF89a" + (60_000).to_bytes(2, "little") * 2 + b"\0\0\0,",
        "pixels|cannot be read",
    ),
    "a TIFF of 40000 x 40000": (lambda: tiff(40_000, 40_000), "pixels|cannot be read"),
    "an archive of arrays": (lambda: archive(), "its content is an archive"),
}


def tiff(width: int, height: int) -> bytes:
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 8), (262, 3, 1), (273, 4, 8), (277, 3, 1)]
    tags += [(278, 4, height), (279, 4, 100)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    strip = deflated(1000)[:100].ljust(100, b"\0")
    return b"II*\0" + struct.pack("<I", 108) + strip + struct.pack("<H", len(tags)) + entries + b"\0" * 4


def archive() -> bytes:
    held = BytesIO()
    np.savez_compressed(held, x=np.zeros(BOMB // 8))
    return held.getvalue()


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_do_not_go_off(name: str) -> None:
    make, told = BOMBS[name]
    data = make()
    assert len(data) < 500_000
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=told):
            read_upload(sent(data), "a.png", DIGIT, Settings())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * 2**20


def test_of_many_frames_the_first_is_read() -> None:
    frames = [Pillow.fromarray(np.full((8, 8), i % 256, np.uint8)) for i in range(300)]
    held = BytesIO()
    frames[0].save(held, "GIF", save_all=True, append_images=frames[1:])
    assert read_upload(sent(held.getvalue()), "a.gif", DIGIT, Settings()).max() == 0


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_a_picture_cut_anywhere_or_with_a_wrong_byte_is_read_or_refused_in_words(kind: str) -> None:
    whole = picture(kind)
    rng = np.random.default_rng(0)
    told: list[str] = []
    for _ in range(60):
        data = bytearray(whole)
        data[int(rng.integers(len(whole)))] ^= int(rng.integers(1, 256))
        for given in (bytes(data), whole[: int(rng.integers(1, len(whole)))]):
            try:
                found = read_upload(sent(given), "a.png", DIGIT, Settings())
            except InputError as error:
                told.append(str(error))
            else:
                assert found.shape == (28, 28, 1)
    assert all("a.png" in text for text in told)
    assert len(told) > 10
