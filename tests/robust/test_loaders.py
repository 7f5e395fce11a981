"""Pictures, arrays, tables, texts, descriptions, plans and results from strangers: an answer, or one line."""

import io
import json
import random
import struct
import tomllib
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from PIL import Image as Pillow

import xaikit as xk
from tests.analytic import golden
from tests.robust.hostile import ROUNDS, answers, copies, refused
from xaikit import untrusted
from xaikit.data.files import read_samples
from xaikit.inputs import picture_array
from xaikit.study._plan import load_plan
from xaikit.wrapping import specs_from_toml

pytestmark = pytest.mark.slow

PIXELS = np.random.RandomState(0).randint(0, 256, (12, 10, 3)).astype(np.uint8)
COLOUR, GREY = xk.Image(8, 8), xk.Image(8, 8, 1)
TABLE = xk.Table({"age": xk.Number(40, 10), "sex": xk.Category(["m", "f"])})
SERIES = xk.Series(4, 2)

# ---------------------------------------------------------------- pictures


@pytest.mark.parametrize(
    ("name", "mode", "how"),
    [
        ("a.png", "RGB", {}),
        ("palette.png", "P", {}),
        ("deep.png", "I;16", {}),
        ("a.jpg", "RGB", {}),
        ("ink.jpg", "CMYK", {}),
        ("a.gif", "P", {"save_all": True, "append_images": [Pillow.new("P", (10, 12))]}),
        ("a.tif", "RGB", {}),
        ("a.webp", "RGB", {}),
        ("a.bmp", "RGB", {}),
        ("a.dds", "RGB", {}),
    ],
)
def test_damaged_pictures(tmp_path: Path, name: str, mode: str, how: dict[str, Any]) -> None:
    picture = Pillow.fromarray(PIXELS)
    deep = Pillow.fromarray(PIXELS[:, :, 0].astype(np.uint16) * 257)
    (deep if mode == "I;16" else picture.convert(mode)).save(tmp_path / name, **how)
    spec = GREY if mode == "I;16" else COLOUR
    assert answers(spec.encode, str(tmp_path / name)).shape == (1, *spec.shape)
    for copy in copies(tmp_path / name):
        found = answers(spec.encode, str(copy))
        assert isinstance(found, Exception) or found.shape == (1, *spec.shape)


@pytest.mark.parametrize("ending", ["png", "tif", "ppm"])
def test_sixteen_bits_keep_their_range(tmp_path: Path, ending: str) -> None:
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    Pillow.fromarray(ramp).save(tmp_path / f"ramp.{ending}")
    shown = GREY.display(str(tmp_path / f"ramp.{ending}"))[:, :, 0]
    assert_array_equal(shown, np.round(ramp / 257))
    found = picture_array(tmp_path / f"ramp.{ending}")
    assert found is not None
    assert found.max() == 255


@pytest.mark.parametrize("values", [np.linspace(0, 1, 64), np.linspace(0, 70000, 64), np.linspace(-1, 9, 64)])
def test_numbers_that_are_no_pixels_are_refused(tmp_path: Path, values: Any) -> None:
    Pillow.fromarray(values.astype(np.float32).reshape(8, 8)).save(tmp_path / "a.tif")
    assert "bring it to 0..255" in refused(GREY.encode, str(tmp_path / "a.tif"))


def test_a_turned_an_inked_and_a_moving_picture(tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6
    half = np.zeros((8, 16, 3), np.uint8)
    half[:, :8] = 255
    Pillow.fromarray(half).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    shown = xk.Image(16, 8).display(str(tmp_path / "turned.jpg"))
    assert shown[:7].min() > 200 > 50 > shown[9:].max()
    Pillow.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "red.jpg")
    assert np.abs(COLOUR.display(str(tmp_path / "red.jpg"))[0, 0].astype(int) - (255, 0, 0)).max() < 8
    first, second = (Pillow.new("RGB", (8, 8), c) for c in ("blue", "green"))
    first.save(tmp_path / "moving.gif", save_all=True, append_images=[second])
    assert_array_equal(COLOUR.display(str(tmp_path / "moving.gif"))[0, 0], (0, 0, 255))


def test_bombs_and_programs_are_not_opened(tmp_path: Path) -> None:
    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes((12000 // 8 + 1) * 12000), 9)
    header = struct.pack(">IIBBBBB", 12000, 12000, 1, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", rows) + part(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(bomb)
    assert "pixels; scale it down" in refused(COLOUR.encode, str(tmp_path / "bomb.png"))
    (tmp_path / "program.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
    )
    assert "a program that draws" in refused(COLOUR.encode, str(tmp_path / "program.png"))


# ---------------------------------------------------------------- arrays


def npy(header: str, data: bytes = bytes(80), version: bytes = b"\x01\x00") -> bytes:
    text = header.encode() + b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + data


HEADERS = {
    "more than the memory": ("'<f8'", "False", "(1000000000000,)", "promises"),
    "more than the file": ("'<f8'", "False", "(11,)", "promises"),
    "less than nothing": ("'<f8'", "False", "(-1,)", "promises"),
    "Python objects": ("'|O'", "False", "(10,)", "Python objects"),
    "an unknown type": ("'<q9'", "False", "(10,)", "descr"),
    "fields": ("[('a', '<f8')]", "False", "(10,)", "numbers"),
    "dates": ("'<M8[s]'", "False", "(10,)", "numbers"),
    "no shape": ("'<f8'", "False", "10", "shape"),
    "code": ("'<f8'", "False", "(__import__('os').getpid(),)", "header"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_lie(tmp_path: Path, name: str) -> None:
    descr, order, shape, said = HEADERS[name]
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"
    (tmp_path / "a.npy").write_bytes(npy(text))
    spec = xk.Array((10,))
    assert said in refused(lambda: spec.encode(read_samples(str(tmp_path / "a.npy"), spec)))


def test_arrays_that_are_read(tmp_path: Path) -> None:
    spec = xk.Array((3, 4))
    values = np.arange(12.0).reshape(3, 4)
    for array in (
        values,
        np.asfortranarray(values),
        values.astype(np.int16),
        values > 3,
        values[::-1, ::-1][::-1, ::-1],
    ):
        np.save(tmp_path / "a.npy", array)
        assert_array_equal(read_samples(str(tmp_path / "a.npy"), spec), array)
    for copy in copies(tmp_path / "a.npy"):
        answers(lambda path: spec.encode(read_samples(str(path), spec)), copy)
    (tmp_path / "a.npy").write_bytes(b"\x80\x04K\x01.")
    assert "magic string" in refused(read_samples, str(tmp_path / "a.npy"), spec)
    np.savez(tmp_path / "a", values)
    (tmp_path / "a.npz").rename(tmp_path / "b.npy")
    assert "magic string" in refused(read_samples, str(tmp_path / "b.npy"), spec)


def test_an_archive_that_would_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    held = io.BytesIO()
    np.savez_compressed(held, a0=np.zeros(2**18))
    assert not untrusted.Archive(held)["a0"].any()
    monkeypatch.setattr(untrusted, "MUCH", 2**20)
    with pytest.raises(ValueError, match="would grow from"):
        untrusted.Archive(held)


# ---------------------------------------------------------------- tables, series, texts


@settings(max_examples=3 * ROUNDS, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(st.text(max_size=8), max_size=4), max_size=5), st.sampled_from(["\n", "\r\n", "\r"]))
def test_any_csv(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], end: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text(end.join(",".join(row) for row in [["age", "sex"], *rows]), encoding="utf-8", errors="replace")
    for spec in (TABLE, SERIES):
        answers(lambda: spec.encode(read_samples(str(path), spec)))  # noqa: B023


@settings(max_examples=3 * ROUNDS, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=60), st.sampled_from([".csv", ".txt", ".npy", ".png", ".toml"]))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes, ending: str) -> None:
    path = tmp_path_factory.getbasetemp() / f"any{ending}"
    path.write_bytes(content)
    text = xk.Text(4, vocabulary=["", "?", "a"])
    for spec in (TABLE, SERIES, text, COLOUR, xk.Array((3,))):
        answers(lambda: spec.encode(read_samples(str(path), spec)))  # noqa: B023
    answers(xk.load_model, path)
    answers(load_plan, path)
    answers(xk.load, path)
    answers(xk.curves, path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("age,sex\n40\n", "row 2 of"),
        ("age,sex\n40,m,x\n", "has 3 cells, and the first has 2"),
        ("age,sex\n40,\x00\n", "category"),
        ("age,sex\n" + "9" * 200_000 + ",m\n", "field larger than"),
        ("age,sex\nnan,m\n", "age"),
        ("age,sex\n1e999,m\n", "age"),
        ("", "is empty"),
    ],
)
def test_rows_that_are_none(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "rows.csv").write_text(text)
    assert said in refused(lambda: TABLE.encode(read_samples(str(tmp_path / "rows.csv"), TABLE)))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    for ending, spec in (
        (".csv", TABLE),
        (".npy", xk.Array((3,))),
        (".txt", xk.Text(3, vocabulary=["", "?"])),
        ("", COLOUR),
    ):
        (tmp_path / f"a{ending}").mkdir()
        assert refused(lambda: spec.encode(read_samples(str(tmp_path / f"a{ending}"), spec)))  # noqa: B023


# ---------------------------------------------------------------- descriptions, plans, results

ODD: list[Any] = [
    *(True, 0, -1, 3, 2**62, 1.5, float("nan"), float("inf"), "", "a", "Image", "\x1b[31m", "x" * 3000),
    *([], [1], ["a", "b"], [[1, 2], [3]], {}, {"kind": "Image"}, {"$": "array", "name": "a0"}),
    *({"$": "list", "items": [{"$": "array", "name": "zz"}]}, {"$": "Origin", "fields": {}}, {"$": "xx"}),
    *({"$": "mapping", "items": [[[1], 2]]}, {"$": "objects", "shape": [10**6, 10**6], "items": []}),
    *({"$": "Status", "level": "great", "reasons": []}, {"$": "spec", "spec": {"kind": "Image", "height": "a"}}),
    *({"$": "target", "target": {"x": 1}}, {"$": "Attributions", "each": {"a": 3}}),
]
DESCRIPTION = """
framework = "torch"
weights = "w.pt2"
layout = "channels-last"
[inputs.a]
kind = "Image"
height = 8
width = 8
mean = [0.1, 0.2, 0.3]
[inputs.b]
kind = "Table"
[inputs.b.columns.age]
kind = "Number"
mean = 1
[inputs.b.columns.sex]
kind = "Category"
values = ["m", "f"]
[inputs.c]
kind = "Text"
length = 4
vocabulary = ["", "?", "x"]
[outputs]
kind = "Classes"
names = ["a", "b"]
form = "softmax"
"""
PLAN = """
model = "xo_cnn"
inputs = "x/*.npy"
seed = 3
[[methods]]
name = "lime"
target = ["X", "O"]
[[methods]]
name = "occlusion"
parameters = { window = 2 }
[quality]
faithfulness = true
"""


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All places in nested mappings and lists but the whole."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [p for key, part in inside for p in [(*at, key), *places(part, (*at, key))]]


def changed(document: Any, rng: random.Random) -> Any:
    """A copy of a document in which some entries are others, away, or new."""
    found = json.loads(json.dumps(document))
    for _ in range(rng.randint(1, 3)):
        *way, last = rng.choice(places(found) or [("x",)])
        parent = found
        for key in way:
            parent = parent[key]
        if rng.random() < 0.2:
            parent.pop(last, None) if isinstance(parent, dict) else parent.pop(last)
        else:
            key = rng.choice(["kind", "$", "x"]) if isinstance(parent, dict) and rng.random() < 0.2 else last
            parent[key] = json.loads(json.dumps(rng.choice(ODD)))
    return found


def test_descriptions_with_other_entries(tmp_path: Path) -> None:
    rng, path = random.Random(0), tmp_path / "model.toml"
    for _ in range(3 * ROUNDS):
        path.write_text(tomli_w.dumps(changed(tomllib.loads(DESCRIPTION), rng)))
        refused(xk.load_model, path)
        document = tomllib.loads(path.read_text())
        answers(lambda: [specs_from_toml(document[k], path) for k in ("inputs", "outputs") if k in document])  # noqa: B023


def test_plans_with_other_entries(tmp_path: Path) -> None:
    rng, path = random.Random(0), tmp_path / "plan.toml"
    path.write_text(PLAN)
    assert not isinstance(answers(load_plan, path), Exception)
    for _ in range(5 * ROUNDS):
        path.write_text(tomli_w.dumps(changed(tomllib.loads(PLAN), rng)))
        answers(load_plan, path)


def test_results_with_other_entries(tmp_path: Path) -> None:
    path = xk.save(xk.explain(golden(), np.array([20.0, 50, 30]), "kernel-shap", target=0), tmp_path / "result")
    whole, rng = json.loads(path.read_text()), random.Random(0)
    assert type(answers(xk.load, path)).__name__ == "Attribution"
    for _ in range(5 * ROUNDS):
        path.write_text(json.dumps(changed(whole, rng)))
        answers(xk.load, path)
    path.write_text(json.dumps({**whole, "result": {"$": "list", "items": [1]}}))
    assert "holds a list, no result" in refused(xk.load, path)


def test_results_with_damaged_files(tmp_path: Path) -> None:
    path = xk.save(xk.explain(golden(), np.array([20.0, 50, 30]), "kernel-shap", target=0), tmp_path / "result")
    for file in (path, path.with_suffix(".npz")):
        for copy in copies(file, rounds=5 * ROUNDS):
            answers(xk.load, copy)
    assert type(xk.load(path)).__name__ == "Attribution"


@pytest.mark.parametrize("text", ["a=" + "[" * 20_000, "a=" + "{a=" * 20_000, "a=" + "9" * 10_000, "a='\0'"])
def test_toml_that_is_too_much(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.toml").write_text(text)
    assert "TOML" in refused(xk.load_model, tmp_path / "model.toml")
    assert "TOML" in refused(load_plan, tmp_path / "model.toml")


@pytest.mark.parametrize("inside", ["[" * 100_000, '{"schema": 1, "result": ' + '{"$": "list", "items": [' * 20_000])
def test_json_that_is_too_deep(tmp_path: Path, inside: str) -> None:
    path = xk.save(xk.explain(golden(), np.array([20.0, 50, 30]), "saliency", target=0), tmp_path / "result")
    path.write_text(inside)
    assert "damaged" in refused(xk.load, path)


def test_what_a_message_quotes_cannot_move_the_cursor(tmp_path: Path) -> None:
    (tmp_path / "model.toml").write_text('"\\u001b[31mred" = 1')
    said = refused(xk.load_model, tmp_path / "model.toml")
    assert "\x1b" not in said
    assert said.isprintable()
