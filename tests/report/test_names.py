"""Inputs are called by their files or first words, layers by themselves; no name is given twice."""

from pathlib import Path

from xaikit.report import distinct, named, safe, stem


def test_names_of_files_and_sentences() -> None:
    assert stem("a/b/cat.jpg") == "cat"
    assert stem("what a good film it was") == "what-a-good-film-it"
    assert stem("It was good.") == "It-was-good"
    assert stem("a" * 5000) == "a" * 60


def test_a_layer_keeps_its_whole_name() -> None:
    assert safe("backbone/block5.conv2") == "backbone_block5_conv2"
    assert safe("..") == "input"


def test_names_differ_in_any_case_of_letters() -> None:
    assert distinct(["a", "b", "A", "a", "a-2"]) == ["a", "b", "A-2", "a-3", "a-2-2"]


def test_words_are_files_or_sentences(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.png").touch()
    assert list(named([str(tmp_path / "one"), str(tmp_path / "two" / "x.png"), "so good"])) == ["x", "x-2", "so-good"]
