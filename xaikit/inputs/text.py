"""Text: from a string to token ids, with the place of every token in the string."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import InputError, ParameterError, UnknownName
from xaikit.inputs._spec import InputSpec, frozen, numeric, plain

PATTERNS: dict[str, re.Pattern[str]] = {
    "words": re.compile(r"\w+(?:'\w+)?"),
    "characters": re.compile(r".", re.DOTALL),
}


class Token(NamedTuple):
    """A token of a string: what it is called, its id, its place in the string, and the number of its word.

    `word` is None for what a tokenizer adds to the string ([CLS], ...), which stands nowhere in it.
    """

    token: str
    id: int | None
    start: int
    end: int
    word: int | None


@dataclass(frozen=True)
class Text(InputSpec):
    """Sentences of `length` tokens, given to the network as integer ids (sample, token).

    `vocabulary` maps a token to its id, or lists the tokens in the order of their ids; `tokenizer` is "words" (the
    default) or "characters", lower-cased when `lower`, or a function from a string to [(token, start, end), ...].
    A tokenizer with ids of its own needs no vocabulary: a function to {"input_ids", "offset_mapping"} and, if it likes,
    "word_ids"; one that takes `return_offsets_mapping=True` and gives the same (HuggingFace's fast tokenizers); or an
    object whose `encode` gives `ids` and `offsets` (the tokenizers package). Its subwords are parts of their word: what
    is hidden or summed up is the word. Tokens that stand nowhere in the string belong to no word and are always kept.

    Short sentences are filled with `pad` on `pad_side`, long ones are cut on `truncate_side`; a token outside the
    vocabulary becomes `unknown`. Without a vocabulary or such a tokenizer only arrays of ids are taken.
    """

    kind: ClassVar[str] = "Text"

    length: int
    vocabulary: Mapping[str, int] | tuple[str, ...] | None = field(default=None, repr=False)
    tokenizer: Callable[..., Any] | Literal["words", "characters"] | Any = None
    pad: int = 0
    unknown: int = 1
    pad_side: Literal["left", "right"] = "left"
    truncate_side: Literal["left", "right"] = "left"
    lower: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "vocabulary", frozen(self.vocabulary))
        if isinstance(self.tokenizer, str) and self.tokenizer not in PATTERNS:
            raise UnknownName("tokenizer", self.tokenizer, PATTERNS)
        if self.tokenizer is not None and not (self._named or callable(self.tokenizer) or self._encodes):
            raise ParameterError(
                f"a tokenizer is one of {', '.join(PATTERNS)}, a function, or has encode; not {self.tokenizer!r}"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one encoded sample: (token,)."""
        return (self.length,)

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the axes of `shape`: ("token",)."""
        return ("token",)

    @cached_property
    def ids(self) -> Mapping[str, int]:
        """The vocabulary as a mapping from token to id."""
        if self.vocabulary is None:
            raise InputError("this model's Text has no vocabulary: give arrays of token ids, or wrap it with one")
        if isinstance(self.vocabulary, Mapping):
            return self.vocabulary
        return {token: i for i, token in enumerate(self.vocabulary)}

    def samples(self, x: Any) -> list[Any]:
        if isinstance(x, str):
            return [x]
        if isinstance(x, list) and not (x and np.isscalar(x[0]) and not isinstance(x[0], str)):
            return x
        if isinstance(x, np.ndarray) and x.ndim == 1 and x.dtype.kind in "OU":
            return list(x)
        array = numeric(x, "the text")
        if array.ndim not in (1, 2):
            raise InputError(f"the text has shape {array.shape}; one sample is a string or ids ({self.length},)")
        return [array] if array.ndim == 1 else list(array)

    def tokens(self, text: str) -> list[tuple[str, int, int]]:
        """Cut a string into (token, start, end) with offsets into the raw string, before any truncation."""
        if self._named:
            found = [(m.group(), m.start(), m.end()) for m in self._pattern.finditer(text)]
            return [(t.lower(), a, b) for t, a, b in found] if self.lower else found
        return [(t.token, t.start, t.end) for t in self._cut(text) if t.word is not None]

    def placed(self, text: str) -> list[tuple[str, int, int] | None]:
        """Give, for each of the `length` positions, the token of the string that stands there, or None for a pad."""
        fitted = self._fitted(text)
        return [None if t is None or t.word is None else (t.token, t.start, t.end) for t in fitted]

    def offsets(self, text: str) -> Array:
        """Give where the token of each position starts and ends in the string: (token, 2), -1 for a pad."""
        return np.array([(-1, -1) if t is None else t[1:] for t in self.placed(text)], np.int64).reshape(-1, 2)

    def words(self, text: str) -> Array:
        """Give the word to which each position belongs, counted from 0: (token,), -1 for a pad or an added token."""
        found = np.array([-1 if t is None or t.word is None else t.word for t in self._fitted(text)], np.int32)
        known = np.unique(found[found >= 0])
        return np.where(found >= 0, np.searchsorted(known, found), -1).astype(np.int32)

    @property
    def subwords(self) -> bool:
        """Whether several tokens may make one word."""
        return not self._named

    def remarks(self, display: Sequence[Any]) -> dict[str, Any]:
        """Say what of the texts the network does not see: tokens cut off, tokens outside the vocabulary."""
        counts = [len(self._cut(text)) if isinstance(text, str) else 0 for text in display]
        ids = [self.to_network(d) if isinstance(d, str) and self.vocabulary is not None else None for d in display]
        unknown = [0 if i is None else int((i == self.unknown).sum()) for i in ids]
        found: dict[str, Any] = {}
        if max(counts, default=0) > self.length:
            found["truncated"] = {"side": self.truncate_side, "tokens": [max(0, n - self.length) for n in counts]}
        if any(unknown):
            found["unknown_tokens"] = unknown
        return found

    def read(self, display: Sequence[Any]) -> Array:
        """Give the share of each text's tokens that the network sees and its vocabulary knows; 1 for ids: (sample,)."""
        found = np.ones(len(display))
        for i, text in enumerate(display):
            if isinstance(text, str):
                seen = [t for t in self._fitted(text) if t is not None and t.word is not None]
                unknown = sum(self._id(t) == self.unknown for t in seen) if self.vocabulary is not None else 0
                found[i] = (len(seen) - unknown) / max(len(self.tokens(text)), 1)
        return found

    @property
    def _named(self) -> bool:
        return self.tokenizer is None or isinstance(self.tokenizer, str)

    @property
    def _encodes(self) -> bool:
        return hasattr(self.tokenizer, "encode") and not callable(self.tokenizer)

    @property
    def _pattern(self) -> re.Pattern[str]:
        return PATTERNS[self.tokenizer if isinstance(self.tokenizer, str) else "words"]

    def _cut(self, text: str) -> list[Token]:
        """Cut a string into tokens with ids."""
        if self._named:
            return self._looked_up(self.tokens(text))
        found = self._tokenized(text)
        if isinstance(found, Mapping) or hasattr(found, "offsets"):
            return list(_with_ids(found, text))
        return self._looked_up(found)

    def _tokenized(self, text: str) -> Any:
        tokenizer: Any = self.tokenizer
        if self._encodes:
            return tokenizer.encode(text)
        if _takes(tokenizer, "return_offsets_mapping"):
            return tokenizer(text, return_offsets_mapping=True)
        return tokenizer(text)

    def _looked_up(self, tokens: Sequence[tuple[str, int, int]]) -> list[Token]:
        ids = None if self.vocabulary is None else self.ids
        found = [None if ids is None else ids.get(t, self.unknown) for t, _, _ in tokens]
        return [Token(t, i, a, b, k) for k, ((t, a, b), i) in enumerate(zip(tokens, found, strict=True))]

    def _id(self, token: Token) -> int:
        return self.ids.get(token.token, self.unknown) if token.id is None else token.id

    def _fitted(self, text: str) -> list[Token | None]:
        """Cut and fill the tokens of a string to `length`; of what is too long, added tokens are kept."""
        tokens = self._cut(text)
        extra = len(tokens) - self.length
        if extra > 0:
            order = [k for k, t in enumerate(tokens) if t.word is not None]
            gone = set(order[:extra] if self.truncate_side == "left" else order[-extra:])
            tokens = [t for k, t in enumerate(tokens) if k not in gone][: self.length]
        fill: list[Token | None] = [None] * (self.length - len(tokens))
        return [*fill, *tokens] if self.pad_side == "left" else [*tokens, *fill]

    def _is_empty(self, text: str) -> bool:
        return not (self._pattern.search(text) if self._named else self.tokens(text))

    def display(self, sample: Any) -> Any:
        if isinstance(sample, str):
            if self._is_empty(sample):
                raise InputError("the text is empty: it holds no word to explain")
            return sample
        array = numeric(sample, "the text")
        if array.shape != self.shape:
            raise InputError(f"the token ids have shape {array.shape}, expected {self.shape}; strings are fitted")
        if (array < 0).any() or (array != np.floor(array)).any():
            raise InputError(f"token ids are whole numbers from 0, not {array[(array < 0) | (array % 1 != 0)][0]}")
        return array

    def to_network(self, display: Any) -> Array:
        if not isinstance(display, str):
            return np.asarray(display).astype(np.int64)
        if not self._named:
            fitted = self._fitted(display)
            return np.array([self.pad if t is None else self._id(t) for t in fitted], np.int64)
        ids, found = self.ids, [t for t, _, _ in self.tokens(display)]
        kept = found[max(0, len(found) - self.length) :] if self.truncate_side == "left" else found[: self.length]
        fill = [self.pad] * (self.length - len(kept))
        known = [ids.get(t, self.unknown) for t in kept]
        return np.array([*fill, *known] if self.pad_side == "left" else [*known, *fill], np.int64)

    def present(self, encoded: Array) -> Array | None:
        """Say where a batch of ids (sample, token) holds no pad: (sample, token) bool."""
        return np.asarray(encoded) != self.pad

    def _gather(self, shown: list[Any]) -> Any:
        return shown

    def show(self, x: Any) -> Any:
        return [self.display(s) for s in self._some(x)]

    def decode(self, encoded: Array) -> Array:
        """Give the words of a batch of ids (sample, token), "" for a pad; ids themselves without a vocabulary."""
        if self.vocabulary is None:
            return np.asarray(encoded)
        words = {i: w for w, i in self.ids.items()} | {self.pad: "", self.unknown: "[unknown]"}
        return np.array([[words.get(int(i), "[unknown]") for i in row] for row in encoded], dtype=object)

    def to_dict(self) -> dict[str, Any]:
        """Give the spec as JSON types; a tokenizer by name is kept, a function is not."""
        vocabulary = dict(self.vocabulary) if isinstance(self.vocabulary, Mapping) else self.vocabulary
        fields = ("length", "pad", "unknown", "pad_side", "truncate_side", "lower")
        tokenizer = self.tokenizer if isinstance(self.tokenizer, str) else None
        kept = {f: getattr(self, f) for f in fields}
        return {"kind": self.kind, "vocabulary": plain(vocabulary), "tokenizer": tokenizer, **kept}


def _takes(function: Any, name: str) -> bool:
    """Whether a function has a parameter of this name; HuggingFace's tokenizers also say so by their methods."""
    if hasattr(function, "convert_ids_to_tokens"):
        return True
    try:
        return name in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False


def _with_ids(found: Any, text: str) -> Iterator[Token]:
    """Read what a tokenizer with ids of its own gives."""
    given = found if isinstance(found, Mapping) else {"input_ids": found.ids, "offset_mapping": found.offsets}
    missing = [key for key in ("input_ids", "offset_mapping") if key not in given]
    if missing:
        raise InputError(f"the tokenizer gives {', '.join(map(str, given))}: {' and '.join(missing)} are needed")
    ids, spans = list(given["input_ids"]), [(int(a), int(b)) for a, b in given["offset_mapping"]]
    if len(ids) != len(spans):
        raise InputError(f"the tokenizer gives {len(ids)} ids and {len(spans)} offsets")
    told = found["word_ids"] if "word_ids" in given else getattr(found, "word_ids", None)
    told = told() if callable(told) else told
    words = _adjacent(spans, text) if told is None else list(told)
    if len(words) != len(ids):
        raise InputError(f"the tokenizer gives {len(ids)} ids and {len(words)} word_ids")
    for i, (a, b), word in zip(ids, spans, words, strict=True):
        yield Token(text[a:b], int(i), a, b, None if b <= a or word is None else int(word))


def _adjacent(spans: Sequence[tuple[int, int]], text: str) -> list[int]:
    """Number words where nobody has: tokens that follow each other inside a run of letters belong together."""
    words: list[int] = []
    end = -1
    for a, b in spans:
        inside = a == end and 0 < a < len(text) and text[a - 1].isalnum() and text[a].isalnum()
        words.append((words[-1] if words else -1) + (0 if inside else 1))
        end = b
    return words
