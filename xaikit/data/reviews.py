"""Film reviews: as texts, as bags of words, and as windows of characters."""

import gzip
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files

import numpy as np

from xaikit.arrays import Array
from xaikit.data._folder import find
from xaikit.data._part import Part, Split
from xaikit.errors import DataError
from xaikit.inputs import Text

PAD, UNKNOWN = "[pad]", "[unknown]"
CHARACTERS = (PAD, UNKNOWN, *" abcdefghijklmnopqrstuvwxyz0123456789.,'\"!?-:;()")
BREAK = re.compile(r"\s*<br\s*/?>\s*", re.IGNORECASE)
WINDOW = 100
WINDOWS = {"train": 60_000, "test": 5_000}


@cache
def imdb(split: Split = "train") -> Part:
    """Give film reviews, x (sample,) strings in an object array and y (sample,): 0 for a bad one, 1 for a good one.

    From imdb.jsonl.gz in the folder XAIKIT_DATA names: one JSON object a line with split, label and text. The line
    breaks of HTML become those of a text. Maas et al. (2011), "Learning Word Vectors for Sentiment Analysis".
    """
    path = find(
        "imdb.jsonl.gz",
        "its lines hold split, label (0 or 1) and text of the reviews in aclImdb, "
        "https://ai.stanford.edu/~amaas/data/sentiment/",
    )
    texts, labels = [], []
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                review = json.loads(line)
                if review["split"] == split:
                    texts.append(BREAK.sub("\n", review["text"]).strip())
                    labels.append(review["label"])
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a readable imdb.jsonl.gz with split, label and text: {error}") from None
    return Part(np.array(texts, object), np.array(labels, np.int64))


@cache
def imdb_words() -> tuple[str, ...]:
    """Give the vocabulary of `imdb` in the order of the ids: a pad, the unknown word, then 9,998 words by frequency.

    It ships with the package, so that a model's Text needs no reviews.
    """
    return tuple(files("xaikit.data").joinpath("imdb_words.txt").read_text(encoding="utf-8").split())


def most_frequent(texts: Iterable[str], size: int = 10_000) -> tuple[str, ...]:
    """Give a vocabulary of `size` ids: a pad, the unknown word, then the words as xk.Text cuts and lower-cases them.

    The most frequent word comes first; words that are equally frequent come in the order of the alphabet.
    """
    spec, counts = Text(1), Counter[str]()
    for text in texts:
        counts.update(word for word, _, _ in spec.tokens(text))
    by_rank = sorted(counts, key=lambda word: (-counts[word], word))
    return (PAD, UNKNOWN, *by_rank[: size - 2])


def multi_hot(texts: Iterable[str], vocabulary: Sequence[str] | None = None) -> Array:
    """Give which words occur in each text: (sample, word) uint8, 1 where the word of that id is in the text.

    vocabulary: as `most_frequent` gives it, by default that of `imdb_words`. Its columns 0 and 1 stay empty: no text
    holds a pad, and words outside the vocabulary are left out.
    """
    words = imdb_words() if vocabulary is None else vocabulary
    spec, ids, given = Text(1), {word: i for i, word in enumerate(words)}, list(texts)
    found = np.zeros((len(given), len(words)), np.uint8)
    for row, text in zip(found, given, strict=True):
        row[[ids[word] for word, _, _ in spec.tokens(text) if word in ids]] = 1
    return found


@cache
def imdb_multi_hot(split: Split = "train") -> Part:
    """Give the reviews of `imdb` as bags of words, x (sample, 10000) uint8 as `multi_hot` gives it, and the same y."""
    texts, labels = imdb(split)
    return Part(multi_hot(texts), labels)


@cache
def characters(split: Split = "train") -> Part:
    """Give windows of reviews, x (sample,) strings of 100 characters, y (sample, 100): the id of each next character.

    The ids index CHARACTERS. The reviews are brought into that alphabet by `plain_letters`; the windows follow each
    other without overlap, in an order drawn with seed 0, 60,000 from the training reviews and 5,000 from the others.
    """
    cut = [
        text[start : start + WINDOW + 1]
        for text in map(plain_letters, imdb(split).x)
        for start in range(0, len(text) - WINDOW, WINDOW)
    ]
    chosen = np.random.default_rng(0).permutation(len(cut))[: WINDOWS[split]]
    windows = [cut[i] for i in chosen]
    spec = Text(WINDOW, vocabulary=CHARACTERS, tokenizer="characters")
    return Part(np.array([w[:-1] for w in windows], object), spec.encode([w[1:] for w in windows]))


def plain_letters(text: str) -> str:
    """Give a text in the alphabet of CHARACTERS: lower-cased, without accents, a space for anything else."""
    bare = re.sub(r"[\u0300-\u036f]", "", unicodedata.normalize("NFKD", text.lower()))
    return re.sub(r"[^a-z0-9.,'\"!?\-:;()]+", " ", bare).strip()
