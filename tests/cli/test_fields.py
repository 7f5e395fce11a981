"""`xaikit receptive-field`: tables, boxes of units, CSV, JSON, measured fields, files."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

import xaikit as xk


def test_a_table_of_all_layers(run: Any) -> None:
    code, out, _ = run("receptive-field", "mnist_cnn")
    assert code == 0
    line = next(one for one in out.splitlines() if one.split()[:1] == ["conv3"])
    assert "18 × 18" in line
    assert "4 × 4" in line
    assert "From dense1 on" in out


def test_one_unit_in_json(run: Any) -> None:
    code, out, _ = run("receptive-field", "mnist_cnn", "--layer", "conv3", "--unit", "1,2", "--json")
    (row,) = json.loads(out)
    assert code == 0
    assert (row["size"], row["stride"], row["padding"]) == ([18, 18], [4, 4], [0, 0])
    assert (row["unit"], row["first"], row["last"], row["padded"]) == ([1, 2], [4, 8], [21, 25], 0.0)


def test_csv_has_every_layer(run: Any) -> None:
    code, out, _ = run("receptive-field", "mnist_cnn", "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert [r["layer"] for r in rows] == list(xk.receptive_field(xk.zoo.load("mnist_cnn")))
    assert next(r for r in rows if r["layer"] == "pool2")["size"] == "10 x 10"


def test_measured_fields_beside_those_in_theory(run: Any, digits: Path) -> None:
    code, out, _ = run("receptive-field", "mnist_cnn", "-l", "conv2", "--effective", digits, "--json")
    (row,) = json.loads(out)
    assert code == 0
    assert 1 <= row["effective square"] <= 8


def test_files(run: Any, digits: Path, tmp_path: Path) -> None:
    asked = ("-l", "conv2", "-e", digits, "--photo", digits / "0.png", "--verify", "-o", tmp_path / "out")
    code, out, _ = run("receptive-field", "mnist_cnn", *asked)
    assert code == 0
    assert [Path(p).name for p in out.split()] == ["receptive-field.json", "effective-field.json"]
    rf = xk.load(tmp_path / "out" / "receptive-field")
    assert rf["conv3"].size == (18, 18)
    assert {c.verdict for c in rf.checks} <= {"equal", "within"}
    names = {"receptive-field.png", "receptive-field.csv", "receptive-field.boxes.png", "effective-field.png"}
    assert names <= {p.name for p in (tmp_path / "out").iterdir()}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("--layer", "conv9"), "conv"),
        (("--layer", "conv3", "--unit", "9,9"), "units in 3"),
        (("--unit", "1,1"), "--unit needs --layer"),
        (("--size", "a,b"), "whole numbers"),
        (("--effective", "x.png"), "needs --layer"),
        (("--size", "40,40"), "wrap the network for the other size"),
    ],
)
def test_what_makes_no_sense(run: Any, asked: tuple[str, ...], said: str) -> None:
    code, _, err = run("receptive-field", "mnist_cnn", *asked)
    assert code == 2
    assert said in err
