"""Text: from a string to token ids, with the place of every token in the string."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import InputError, UnknownName
from xaikit.inputs._spec import InputSpec, frozen, numeric, plain

PATTERNS: dict[str, re.Pattern[str]] = {
    "words": re.compile(r"\w+(?:'\w+)?"),
    "characters": re.compile(r".", re.DOTALL),
}


@dataclass(frozen=True)
class Text(InputSpec):
    """Sentences of `length` tokens, given to the network as integer ids (sample, token).

    `vocabulary` maps a token to its id, or lists the tokens in the order of their ids; `tokenizer` is "words" (the
    default) or "characters", lower-cased when `lower`, or a function from a string to [(token, start, end), ...].
    Short sentences are filled with `pad` on `pad_side`, long ones are cut on `truncate_side`; a token outside the
    vocabulary becomes `unknown`. Without a vocabulary only arrays of ids are taken.
    """

    kind: ClassVar[str] = "Text"

    length: int
    vocabulary: Mapping[str, int] | tuple[str, ...] | None = field(default=None, repr=False)
    tokenizer: Callable[[str], list[tuple[str, int, int]]] | Literal["words", "characters"] | None = None
    pad: int = 0
    unknown: int = 1
    pad_side: Literal["left", "right"] = "left"
    truncate_side: Literal["left", "right"] = "left"
    lower: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "vocabulary", frozen(self.vocabulary))
        if isinstance(self.tokenizer, str) and self.tokenizer not in PATTERNS:
            raise UnknownName("tokenizer", self.tokenizer, PATTERNS)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length,)

    @property
    def axes(self) -> tuple[str, ...]:
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
        if callable(self.tokenizer):
            return list(self.tokenizer(text))
        found = [(m.group(), m.start(), m.end()) for m in self._pattern.finditer(text)]
        return [(t.lower(), a, b) for t, a, b in found] if self.lower else found

    @property
    def _pattern(self) -> re.Pattern[str]:
        return PATTERNS[self.tokenizer if isinstance(self.tokenizer, str) else "words"]

    def _is_empty(self, text: str) -> bool:
        return not (self.tokens(text) if callable(self.tokenizer) else self._pattern.search(text))

    def placed(self, text: str) -> list[tuple[str, int, int] | None]:
        """Give, for each of the `length` positions, the token of the string that stands there, or None for a pad."""
        tokens: list[tuple[str, int, int] | None] = list(self.tokens(text))
        if len(tokens) > self.length:
            tokens = tokens[-self.length :] if self.truncate_side == "left" else tokens[: self.length]
        fill: list[tuple[str, int, int] | None] = [None] * (self.length - len(tokens))
        return fill + tokens if self.pad_side == "left" else tokens + fill

    def display(self, sample: Any) -> Any:
        if isinstance(sample, str):
            if self._is_empty(sample):
                raise InputError("the text is empty: it holds no word to explain")
            return sample
        array = numeric(sample, "the text")
        if array.shape != self.shape:
            raise InputError(f"the token ids have shape {array.shape}, expected {self.shape}; strings are fitted")
        return array

    def to_network(self, display: Any) -> Array:
        if not isinstance(display, str):
            return np.asarray(display).astype(np.int64)
        ids = self.ids
        return np.array(
            [self.pad if t is None else ids.get(t[0], self.unknown) for t in self.placed(display)], np.int64
        )

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
        tokenizer = None if callable(self.tokenizer) else self.tokenizer
        kept = {f: getattr(self, f) for f in fields}
        return {"kind": self.kind, "vocabulary": plain(vocabulary), "tokenizer": tokenizer, **kept}
