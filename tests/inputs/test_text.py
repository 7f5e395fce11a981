"""Text: tokenizers by name, vocabularies that keep their order, and strings in arrays."""

import json
import time

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from xaikit.errors import InputError, UnknownName
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
