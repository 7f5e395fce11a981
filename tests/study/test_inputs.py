"""The inputs of a plan: what a word means, in which order, and what is wrong with one of them."""

from pathlib import Path

import numpy as np
import pytest

import xaikit as xk
from xaikit.errors import InputError
from xaikit.study import InputsPlan
from xaikit.study._inputs import items

PICTURE = xk.Image(2, 2)
TEXT = xk.Text(5, ["good", "bad"])
TABLE = xk.Table({"age": xk.Number(), "sex": xk.Category(["m", "f"])})
SERIES = xk.Series(3, 1)


def listed(root: Path, spec, *paths: str, **more):
    return list(items(InputsPlan(paths, **more), root, spec))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b/2.png", "b/10.png", "a/x.png", "a/deep/y.PNG", "a/.hidden.png", "a/note.md", "top.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("*.png", ["top.png"]),
        ("b/*.png", ["b/10.png", "b/2.png"]),
        ("*/*.png", ["a/x.png", "b/10.png", "b/2.png"]),
        ("**/*.png", ["top.png", "a/x.png", "b/10.png", "b/2.png"]),
        ("a/**/*", ["a/note.md", "a/x.png", "a/deep/y.PNG"]),
        ("[ab]/?.png", ["a/x.png", "b/2.png"]),
        ("a", ["a/deep/y.PNG", "a/x.png"]),
        ("a/", ["a/deep/y.PNG", "a/x.png"]),
        ("b/2.png", ["b/2.png"]),
    ],
)
def test_what_a_word_means(tree: Path, word: str, names: list[str]) -> None:
    found = listed(tree, PICTURE, word)
    assert [item.name for item in found] == names
    assert all(item.value == tree / item.name and item.error is None for item in found)


def test_an_absolute_glob_is_taken_as_it_is(tree: Path) -> None:
    assert [item.name for item in listed(Path(), PICTURE, f"{tree}/b/*.png")] == [f"{tree}/b/10.png", f"{tree}/b/2.png"]


def test_a_limit_takes_the_first(tree: Path) -> None:
    assert [item.name for item in listed(tree, PICTURE, "b", "a", limit=3)] == ["b/10.png", "b/2.png", "a/deep/y.PNG"]


@pytest.mark.parametrize(("word", "said"), [("*.jpg", "no file is like"), ("empty", "holds no file .png")])
def test_a_word_that_means_nothing_is_an_error(tree: Path, word: str, said: str) -> None:
    (tree / "empty").mkdir()
    with pytest.raises(InputError, match=said):
        listed(tree, PICTURE, word)


def test_a_missing_file_among_others_is_an_item_with_its_error(tree: Path) -> None:
    first, second = listed(tree, PICTURE, "none.png", "top.png")
    assert first.error == f"there is no file {tree / 'none.png'}"
    assert second.error is None


def test_sentences_and_texts(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("good")
    found = listed(tmp_path, TEXT, "What is this?", "t.txt", "A good film.")
    assert [(i.name, i.value) for i in found] == [
        ("text-1", "What is this?"),
        ("t.txt", tmp_path / "t.txt"),
        ("text-3", "A good film."),
    ]


def test_rows_of_a_table_have_the_types_of_its_columns(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("who,age,sex\nann,31,f\n,40,m\nshort,3\n")
    found = listed(tmp_path, TABLE, "p.csv", id="who")
    assert [(i.name, i.value) for i in found[:2]] == [
        ("ann", {"age": "31", "sex": "f"}),
        ("p.csv:2", {"age": "40", "sex": "m"}),
    ]
    assert found[2].error == f"row 3 of {tmp_path / 'p.csv'} has 2 cells, and the first line 3"


def test_rows_of_texts_and_a_row_that_is_no_utf8_is_wrong_alone(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_bytes(b'text,stars\ngood,5\nb\xff\xfed,1\n"a, b",3\n')
    found = listed(tmp_path, TEXT, "r.csv")
    assert [i.value for i in found] == ["good", None, "a, b"]
    assert found[1].error == f"row 2 of {tmp_path / 'r.csv'} is not in UTF-8"


def test_a_column_must_be_said_where_it_is_not_clear(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("review,stars\ngood,5\n")
    with pytest.raises(InputError, match=r"has the columns review, stars: say in \[inputs\] which is meant"):
        listed(tmp_path, TEXT, "r.csv")
    with pytest.raises(InputError, match=r"no column 'reviw'; did you mean 'review'"):
        listed(tmp_path, TEXT, "r.csv", column="reviw")
    assert [i.value for i in listed(tmp_path, TEXT, "r.csv", column="review")] == ["good"]


def test_paths_in_a_csv_lie_beside_it(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/list.csv").write_text("path\nx.png\n")
    assert [i.value for i in listed(tmp_path, PICTURE, "sub/list.csv")] == [tmp_path / "sub/x.png"]


@pytest.mark.parametrize(("head", "first"), [("", 1), ("a,b,c\n", 1)])
def test_rows_of_numbers_are_samples_with_or_without_a_header(tmp_path: Path, head: str, first: int) -> None:
    (tmp_path / "s.csv").write_text(f"{head}1,2,3\n4,5,x\n7,8,9\n")
    found = listed(tmp_path, SERIES, "s.csv")
    assert [i.name for i in found] == ["s.csv:1", "s.csv:2", "s.csv:3"]
    np.testing.assert_array_equal(found[0].value, [[1], [2], [3]])
    assert "no number" in str(found[1].error)
    np.testing.assert_array_equal(found[2].value, [[7], [8], [9]])


def test_a_sample_of_several_inputs_names_them(tmp_path: Path) -> None:
    spec = {"picture": PICTURE, "words": TEXT}
    (item,) = listed(tmp_path, spec, "picture=a.png,words=so good")
    assert item.value == {"picture": tmp_path / "a.png", "words": "so good"}
    (tmp_path / "both.csv").write_text("picture,words\na.png,so good\n")
    (row,) = listed(tmp_path, spec, "both.csv")
    assert row.value == {"picture": tmp_path / "a.png", "words": "so good"}
