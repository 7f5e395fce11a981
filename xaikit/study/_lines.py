"""Where in the text of a TOML file each key and each element stands.

tomllib gives values without their lines; this walks over a text that tomllib has accepted and notes only places.
"""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator

Place = tuple[str | int, ...]

STRING = re.compile(
    r'"""(?:\\.|(?!""").)*"""(?:"{0,2})'  # up to two quotes may stand before the three that end it
    r"|'''(?:(?!''').)*'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
SCALAR = re.compile(r"[^,\]}#\n]+")
BARE = re.compile(r"[A-Za-z0-9_-]+")
BLANK = re.compile(r"[ \t]*")
BETWEEN = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")


def lines(text: str) -> dict[Place, int]:
    """Give the line, from 1, of every key, table, and element of an array of a valid TOML text, by its path.

    Elements have their number in the path: ("methods", 0, "name").
    """
    places: dict[Place, int] = {}
    for place, line in _Walk(text).found():
        for end in range(1, len(place) + 1):  # a.b says that there is an a
            places.setdefault(place[:end], line)
    return places


class _Walk:
    """A place in the text that moves on."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.ends = [m.start() for m in re.finditer("\n", text)]
        self.lengths: dict[Place, int] = {}

    def found(self) -> Iterator[tuple[Place, int]]:
        table: Place = ()
        self.skip(BETWEEN)
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                line = self.line()
                table = self.header()
                yield table, line
            else:
                yield from self.pair(table)
            self.skip(BETWEEN)

    def line(self) -> int:
        return bisect_right(self.ends, self.at - 1) + 1

    def skip(self, what: re.Pattern[str]) -> str:
        """Step over what stands here, and give it."""
        match = what.match(self.text, self.at)
        if match is None:
            return ""
        self.at = match.end()
        return match.group()

    def key(self) -> list[str]:
        """Read a key, which may have several parts with dots between."""
        parts = []
        while True:
            self.skip(BLANK)
            quoted = self.text[self.at] in "\"'"
            part = self.skip(STRING if quoted else BARE)
            parts.append(str(tomllib.loads(f"key = {part}")["key"]) if quoted else part)
            self.skip(BLANK)
            if self.text[self.at] != ".":
                return parts
            self.at += 1

    def header(self) -> Place:
        """Read [a.b] or [[a.b]], and give the table's path."""
        several = self.text.startswith("[[", self.at)
        self.at += 1 + several
        *before, last = self.key()
        self.at += 1 + several
        path: Place = ()
        for part in before:
            path = self.latest((*path, part))
        path = (*path, last)
        if several:
            self.lengths[path] = self.lengths.get(path, 0) + 1
        return self.latest(path)

    def latest(self, path: Place) -> Place:
        """Give the last table of an array of tables, and any other path as it is."""
        return (*path, self.lengths[path] - 1) if path in self.lengths else path

    def pair(self, table: Place) -> Iterator[tuple[Place, int]]:
        """Read key = value."""
        line = self.line()
        path = table
        for part in self.key():
            path = (*path, part)
            yield path, line
        self.at += 1
        yield from self.value(path)

    def value(self, path: Place) -> Iterator[tuple[Place, int]]:
        self.skip(BLANK)
        first = self.text[self.at]
        if first in "\"'":
            self.skip(STRING)
        elif first in "[{":
            yield from self.elements(path, "]" if first == "[" else "}")
        else:
            self.skip(SCALAR)

    def elements(self, path: Place, end: str) -> Iterator[tuple[Place, int]]:
        """Read what stands between brackets or braces."""
        self.at += 1
        number = 0
        while True:
            self.skip(BETWEEN)
            if self.text[self.at] == end:
                self.at += 1
                return
            if end == "]":
                yield (*path, number), self.line()
                yield from self.value((*path, number))
            else:
                yield from self.pair(path)
            number += 1
            self.skip(BETWEEN)
            if self.text[self.at] == ",":
                self.at += 1
