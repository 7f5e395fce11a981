"""Reviews: read from their file, as bags of words, and as windows of characters."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from xaikit import data
from xaikit.data import reviews
from xaikit.errors import DataError
from xaikit.inputs import Text

LOADERS = (data.imdb, data.imdb_multi_hot, data.characters)


def forget() -> None:
    for loader in LOADERS:
        loader.cache_clear()


@pytest.fixture
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with three reviews."""
    lines = [
        {"split": "train", "label": 1, "text": " Great fun.<br /><br />See it! "},
        {"split": "test", "label": 0, "text": "Dull, a cliché & " + "so " * 80},
        {"split": "train", "label": 0, "text": "No fun<BR>at all"},
    ]
    with gzip.open(tmp_path / "imdb.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    monkeypatch.setenv("XAIKIT_DATA", str(tmp_path))
    forget()
    yield tmp_path
    forget()


@pytest.fixture(scope="module")
def real(data_folder: Path) -> Iterator[Path]:
    """The folder with all reviews."""
    forget()
    yield data_folder
    forget()


@pytest.mark.usefixtures("few")
def test_reviews_are_texts_with_line_breaks() -> None:
    x, y = data.load("imdb").read("train")
    assert x.tolist() == ["Great fun.\n\nSee it!", "No fun\nat all"]
    assert x.dtype == object
    assert_array_equal(y, [1, 0])
    assert_array_equal(data.load("imdb_multi_hot").read("test").y, [0])


def test_missing_reviews(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAIKIT_DATA", str(tmp_path))
    forget()
    with pytest.raises(DataError, match=r"no imdb\.jsonl\.gz: put it into.*aclImdb.*stanford"):
        data.load("characters").read("train")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"no archive", id="no archive"),
        pytest.param(gzip.compress(b"{"), id="no json"),
        pytest.param(gzip.compress(b'{"split": "train"}'), id="no text"),
    ],
)
def test_damaged_reviews(few: Path, content: bytes) -> None:
    (few / "imdb.jsonl.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"not a readable imdb\.jsonl\.gz"):
        data.imdb("train")


def test_frequent_words_come_first_and_ties_by_the_alphabet() -> None:
    words = data.most_frequent(["b a, B don't", "C a z"], size=6)
    assert words == ("[pad]", "[unknown]", "a", "b", "c", "don't")


def test_the_shipped_vocabulary() -> None:
    words = data.imdb_words()
    assert len(words) == len(set(words)) == 10_000
    assert words[:4] == ("[pad]", "[unknown]", "the", "and")
    assert words is data.imdb_words()
    spec = Text(4, vocabulary=words)
    assert_array_equal(spec.encode("The and xyzzy"), [[0, 2, 3, 1]])
    assert all(spec.tokens(word) == [(word, 0, len(word))] for word in words[2:])


def test_bags_of_words() -> None:
    found = data.multi_hot(["b b c", "d"], ("[pad]", "[unknown]", "a", "b", "c"))
    assert found.dtype == np.uint8
    assert_array_equal(found, [[0, 0, 0, 1, 1], [0, 0, 0, 0, 0]])
    assert_array_equal(np.flatnonzero(data.multi_hot(["The film AND the book"])[0][:4]), [2, 3])


@pytest.mark.usefixtures("few")
def test_windows_are_followed_by_their_next_characters() -> None:
    assert data.plain_letters("Dull,  a Cliché & So") == "dull, a cliche so"
    x, y = data.characters("test")
    text = data.plain_letters(str(data.imdb("test").x[0]))
    assert len(x) == 2
    for window, following in zip(x, y, strict=True):
        start = text.index(window) if window.startswith("dull") else 100
        assert window == text[start : start + 100]
        assert "".join(data.CHARACTERS[i] for i in following) == text[start + 1 : start + 101]


def test_the_alphabet() -> None:
    assert len(set(data.CHARACTERS)) == len(data.CHARACTERS) == 50
    assert data.CHARACTERS[:3] == ("[pad]", "[unknown]", " ")
    assert data.plain_letters("".join(data.CHARACTERS[3:])) == "".join(data.CHARACTERS[3:])


@pytest.mark.slow
@pytest.mark.usefixtures("real")
@pytest.mark.parametrize("split", ["train", "test"])
def test_all_reviews_are_there_and_balanced(split: reviews.Split) -> None:
    x, y = data.imdb(split)
    assert len(x) == 25_000
    assert_array_equal(np.bincount(y), [12_500, 12_500])
    assert not any("<br" in text for text in x)


@pytest.mark.slow
@pytest.mark.usefixtures("real")
def test_the_training_reviews_give_the_shipped_vocabulary() -> None:
    assert data.most_frequent(data.imdb("train").x) == data.imdb_words()


@pytest.mark.slow
@pytest.mark.usefixtures("real")
def test_windows_of_all_reviews() -> None:
    x, y = data.characters("train")
    assert y.shape == (60_000, 100)
    assert {len(window) for window in x} == {100}
    assert y.min() == 2
    assert y.max() == len(data.CHARACTERS) - 1
    ids = Text(100, vocabulary=data.CHARACTERS, tokenizer="characters").encode(x[:100])
    assert_array_equal(ids[:, 1:], y[:100, :-1])
    assert len(data.characters("test").x) == 5_000
