"""Text: tokenizers by name, vocabularies that keep their order, and strings in arrays."""

import json
import time

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from xaikit.errors import InputError, ParameterError, UnknownName
from xaikit.inputs import Text, specs_from_dict, specs_to_dict


def again(spec: Text) -> Text:
    return specs_from_dict(json.loads(json.dumps(specs_to_dict(spec))))


def test_words_are_the_default() -> None:
    text = "It isn't  GOOD."
    assert Text(3).tokens(text) == [("it", 0, 2), ("isn't", 3, 8), ("good", 10, 14)]
    assert Text(3, tokenizer="words").tokens(text) == Text(3).tokens(text)
    assert Text(3, lower=False).tokens(text)[-1] == ("GOOD", 10, 14)


def test_characters_keep_their_places() -> None:
    spec = Text(5, vocabulary=("", "?", "a", "b", " ", "\n"), tokenizer="characters")
    assert spec.tokens("Ab\n") == [("a", 0, 1), ("b", 1, 2), ("\n", 2, 3)]
    assert_array_equal(spec.encode("A bc"), [[0, 2, 4, 3, 1]])
    assert_array_equal(spec.encode("aaaaaab"), [[2, 2, 2, 2, 3]])


def test_a_tokenizer_by_name_survives_json_and_a_function_does_not() -> None:
    spec = Text(4, vocabulary=("", "?", "a"), tokenizer="characters", lower=False)
    assert again(spec) == spec
    assert again(spec).tokenizer == "characters"
    assert again(Text(4, vocabulary=("a",), tokenizer=lambda text: [(text, 0, len(text))])).tokenizer is None


def test_a_function_cuts_and_decides_what_is_empty() -> None:
    spec = Text(2, vocabulary=("", "?", "a"), tokenizer=lambda text: [(text, 0, 1)] if text != "-" else [])
    assert_array_equal(spec.encode("a"), [[0, 2]])
    with pytest.raises(InputError, match="empty"):
        spec.encode("-")


@pytest.mark.parametrize("tokenizer", [None, "words", "characters"])
def test_empty_texts_are_refused(tokenizer: str | None) -> None:
    with pytest.raises(InputError, match="empty"):
        Text(2, vocabulary=("", "?"), tokenizer=tokenizer).encode(["a", ""])


def test_a_tokenizer_nobody_knows() -> None:
    with pytest.raises(UnknownName, match="did you mean 'words'"):
        Text(4, tokenizer="word")


@pytest.mark.parametrize("vocabulary", [("", "?", "the", "a"), ["", "?", "the", "a"], np.array(["", "?", "the", "a"])])
def test_a_listed_vocabulary_is_a_tuple_before_and_after_json(vocabulary: object) -> None:
    spec = Text(4, vocabulary=vocabulary)
    assert spec.vocabulary == ("", "?", "the", "a")
    assert again(spec) == spec
    assert isinstance(again(spec).vocabulary, tuple)
    assert spec.ids["the"] == 2
    assert hash(spec) == hash(again(spec))


def test_ids_are_made_once() -> None:
    spec = Text(4, vocabulary=("", "?", "the"))
    assert spec.ids is spec.ids


@pytest.mark.parametrize("dtype", [object, str])
def test_arrays_of_strings_are_samples(dtype: type) -> None:
    spec = Text(2, vocabulary=("", "?", "good", "bad"))
    assert_array_equal(spec.encode(np.array(["good", "so bad"], dtype)), [[0, 2], [1, 3]])


def test_many_texts_with_a_large_vocabulary_take_no_longer_than_their_words() -> None:
    spec = Text(8, vocabulary=tuple(f"w{i}" for i in range(50_000)))
    texts = ["w1 w2 w3"] * 2_000
    start = time.perf_counter()
    encoded = spec.encode(texts)
    assert time.perf_counter() - start < 2.0  # 0.02 s; building the mapping anew for each text takes 5 s
    assert_array_equal(encoded[-1], [0, 0, 0, 0, 0, 1, 2, 3])


# --- tokenizers with ids of their own ---------------------------------------------------------------------------------

PIECES = {"un": 5, "believ": 6, "able": 7, "film": 8, ".": 9}


def pieces(text: str) -> dict[str, list]:
    """Greedy subwords between [CLS] (1) and [SEP] (2), as fast tokenizers give them."""
    found, at = [], 0
    while at < len(text):
        piece = next((p for p in PIECES if text.startswith(p, at)), None)
        if piece:
            found.append((PIECES[piece], (at, at + len(piece))))
        at += len(piece or " ")
    ids, spans = [1, *(i for i, _ in found), 2], [(0, 0), *(s for _, s in found), (0, 0)]
    return {"input_ids": ids, "offset_mapping": spans}


class Fast:
    """What of a HuggingFace tokenizer is asked for."""

    def convert_ids_to_tokens(self, ids: list[int]) -> list[int]:
        return ids

    def __call__(self, text: str, **how: bool) -> dict[str, list]:
        assert how == {"return_offsets_mapping": True}
        return {**pieces(text), "word_ids": [None, *([0] * 3 + [1] if "un" in text else []), None]}


class Encoder:
    """What of a tokenizer of the tokenizers package is asked for."""

    class Encoding:
        def __init__(self, text: str) -> None:
            found = pieces(text)
            self.ids, self.offsets = found["input_ids"], found["offset_mapping"]

    def encode(self, text: str) -> Encoding:
        return self.Encoding(text)


def takes_it(text: str, return_offsets_mapping: bool = False) -> dict[str, list]:
    assert return_offsets_mapping
    return pieces(text)


@pytest.mark.parametrize("tokenizer", [pieces, Fast(), Encoder(), takes_it])
def test_tokenizers_with_ids_need_no_vocabulary_and_know_their_words(tokenizer: object) -> None:
    spec = Text(8, tokenizer=tokenizer, pad_side="right")
    text = "unbelievable film"
    assert_array_equal(spec.encode(text), [[1, 5, 6, 7, 8, 2, 0, 0]])
    assert_array_equal(spec.words(text), [-1, 0, 0, 0, 1, -1, -1, -1])
    assert spec.tokens(text) == [("un", 0, 2), ("believ", 2, 8), ("able", 8, 12), ("film", 13, 17)]
    assert_array_equal(spec.offsets(text)[[0, 1, 4, 7]], [[-1, -1], [0, 2], [13, 17], [-1, -1]])
    assert [None if t is None else t[0] for t in spec.placed(text)][:2] == [None, "un"]
    with pytest.raises(InputError, match="empty"):
        spec.encode("   ")


def test_punctuation_is_a_word_of_its_own() -> None:
    assert_array_equal(Text(5, tokenizer=pieces, pad_side="right").words("film."), [-1, 0, 1, -1, -1])


@pytest.mark.parametrize(("side", "ids"), [("left", [1, 7, 8, 2]), ("right", [1, 5, 6, 2])])
def test_what_a_tokenizer_adds_is_kept_when_a_text_is_cut(side: str, ids: list[int]) -> None:
    spec = Text(4, tokenizer=pieces, truncate_side=side)
    assert_array_equal(spec.encode("unbelievable film"), [ids])
    assert spec.remarks(["unbelievable film", "film"]) == {"truncated": {"side": side, "tokens": [2, 0]}}


def test_what_a_tokenizer_must_give_is_said() -> None:
    with pytest.raises(InputError, match="offset_mapping are needed"):
        Text(4, tokenizer=lambda text: {"input_ids": [1]}).encode("film")
    with pytest.raises(InputError, match="2 ids and 1 offsets"):
        Text(4, tokenizer=lambda text: {"input_ids": [1, 2], "offset_mapping": [(0, 1)]}).encode("film")
    with pytest.raises(InputError, match="1 ids and 2 word_ids"):
        Text(4, tokenizer=lambda text: {"input_ids": [1], "offset_mapping": [(0, 1)], "word_ids": [0, 1]}).encode("a")
    with pytest.raises(ParameterError, match="a tokenizer is one of words, characters, a function"):
        Text(4, tokenizer=3)
    with pytest.raises(InputError, match="no vocabulary"):
        Text(4, tokenizer=lambda text: [(text, 0, len(text))]).encode("film")


def test_unknown_tokens_and_cut_ones_are_counted() -> None:
    spec = Text(2, vocabulary=("", "?", "a", "film"))
    assert spec.remarks(["a film"]) == {}
    assert spec.remarks(["so good a film", "a", np.array([0, 1])]) == {
        "truncated": {"side": "left", "tokens": [2, 0, 0]}
    }
    assert spec.remarks(["good film"]) == {"unknown_tokens": [1]}


@pytest.mark.parametrize("ids", [[1.5, 2.0], [-1, 2]])
def test_ids_are_whole_numbers_from_zero(ids: list[float]) -> None:
    with pytest.raises(InputError, match="token ids are whole numbers from 0"):
        Text(2, vocabulary=("", "?")).encode(np.array(ids))


def test_the_share_of_a_text_that_is_read() -> None:
    spec = Text(2, vocabulary=("", "?", "a", "film"))
    texts = ["a film", "so good a film", "a good", "bad", np.array([1, 1])]
    assert spec.read(texts).tolist() == [1, 0.5, 0.5, 0, 1]
    assert Text(4, tokenizer=Fast()).read(["unbelievable film"]).tolist() == [0.5]
