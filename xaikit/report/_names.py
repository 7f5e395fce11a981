"""What inputs are called, and which of them a person means by a word on the command line."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from xaikit.errors import InputError, ParameterError

SUFFIXES = (".npy", ".csv", ".txt", ".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
"""What is taken from a folder."""
LONGEST = 60


def named(words: Sequence[str]) -> dict[str, Any]:
    """Give inputs by name: a file becomes its Path, a folder the files in it, anything else stays the sentence it is.

    NAME=FILE joined by commas is one sample of a network with several inputs. Names are file stems, or the first words
    of a sentence, and differ without regard to case. Raises InputError for a folder that holds no file of a known kind.
    """
    found = [item for word in words for item in _meant(word)]
    return dict(zip(distinct([stem(word) for word, _ in found]), (value for _, value in found), strict=True))


def _meant(word: str) -> list[tuple[str, Any]]:
    several = dict(part.partition("=")[::2] for part in word.split(",") if "=" in part)
    if len(several) > 1 and all(Path(file).is_file() for file in several.values()):
        return [("-".join(Path(file).stem for file in several.values()), {n: Path(f) for n, f in several.items()})]
    if not _is_path(word):
        return [(word, word)]
    path = Path(word)
    if not path.is_dir():
        return [(word, path)]
    files = sorted(f for f in path.iterdir() if f.suffix.lower() in SUFFIXES and f.is_file())
    if not files:
        raise InputError(f"the folder {path} holds no file to explain: {', '.join(SUFFIXES)}")
    return [(str(file), file) for file in files]


def _is_path(word: str) -> bool:
    """A sentence may hold full stops, and a file may be missing: what decides then is the look of a suffix."""
    try:
        if Path(word).exists():
            return True
    except OSError:  # longer than a name may be
        return False
    return " " not in Path(word).suffix and re.fullmatch(r"\.\w{1,6}", Path(word).suffix) is not None


def stem(word: str) -> str:
    """Give a file's stem, or a sentence's first words, as a name."""
    return safe(Path(word).stem if _is_path(word) else "-".join(word.split()[:5]))


def safe(name: str) -> str:
    """Give a name in letters that any file system takes."""
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in name)[:LONGEST].strip("_") or "input"


def distinct(names: Iterable[str]) -> list[str]:
    """Number what occurs again, in any case of letters, so that no file is written over another."""
    given: list[str] = []
    taken: set[str] = set()
    for name in names:
        number, choice = 1, name
        while choice.casefold() in taken:
            number += 1
            choice = f"{name}-{number}"
        taken.add(choice.casefold())
        given.append(choice)
    return given


def of_methods(parameters: Mapping[str, Mapping[str, Any]], methods: Sequence[str]) -> None:
    """Check that parameters are for methods that were asked for. Raises ParameterError."""
    for name in parameters:
        if name not in methods:
            raise ParameterError(f"parameters are given for {name!r}, which is not among {', '.join(methods)}")
