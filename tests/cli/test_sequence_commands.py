"""`xaikit states`, `gradient-flow`, `prefixes` and `attention`: results out, what they found told."""

import json
from pathlib import Path
from typing import Any

import xaikit as xk

TORCH = ("--framework", "torch")


def test_states_and_one_unit(run: Any, tmp_path: Path) -> None:
    code, out, _ = run("states", "char_lstm", "so boring", *TORCH, "-o", tmp_path)
    assert (code, xk.load(out.strip()).gates) == (0, ("i", "f", "g", "o", "c", "h"))
    code, out, _ = run(
        "states", "char_lstm", "so boring", *TORCH, "--unit", "5", "--gate", "h", "--json", "-o", tmp_path
    )
    told = json.loads(out)
    assert code == 0
    assert (told["kind"], Path(told["json"]).name) == ("lstm", "lstm1.unit-5.json")
    assert xk.load(told["json"]).label == "h"
    assert Path(told["png"]).exists()


def test_flow_prefixes_and_attention(run: Any, tmp_path: Path) -> None:
    code, out, said = run("gradient-flow", "gru_imdb", "a fine film", *TORCH, "-o", tmp_path)
    assert code == 0
    assert "over 3 steps" in said
    assert xk.load(out.strip()).states[""].shape == (1, 200)
    code, out, _ = run("prefixes", "gru_imdb", "a fine film", "-t", "positive", *TORCH, "--json", "-o", tmp_path)
    assert (code, json.loads(out)["target"]) == (0, ["positive"])
    code, out, _ = run("attention", "seq2seq_dates", "12 march 1999", *TORCH, "--json", "-o", tmp_path)
    told = json.loads(out)
    assert (code, told["heads"], told["status"]) == (0, 1, "ok")
    assert xk.load(told["json"]).weights.shape == (1, 10, 30)


def test_mistakes_are_told_in_one_line(run: Any, tmp_path: Path) -> None:
    code, _, said = run("states", "seq2seq_dates", "12 march 1999", *TORCH, "-o", tmp_path)
    assert (code, said.count("\n")) == (2, 1)
    assert "name one: annotations, summary, decoder" in said
    assert run("states", "char_lstm", "so", "--gate", "h", *TORCH, "-o", tmp_path)[0] == 2
    assert run("attention", "gru_imdb", "so", *TORCH, "-o", tmp_path)[0] == 2


def test_an_empty_text_is_no_folder(run: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "note.txt").write_text("a fine film")
    code, _, said = run("gradient-flow", "gru_imdb", "", *TORCH)
    assert (code, said.count("\n")) == (5, 1)
    assert "the text is empty" in said
