"""Where a study lies: a folder of this machine, or a URL that fsspec writes to."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from xaikit.errors import StorageError, UsageError
from xaikit.jobs import Store, store_at
from xaikit.jobs.remote import Remote, Unreachable, placed
from xaikit.storage import write_atomically
from xaikit.study._files import MANIFEST, Manifest, held, is_running, read_events, sweep

LEASE, PARTS = "lease.json", "manifest"
BEAT = 5.0
"""Seconds between two signs of life of a run at a URL."""
MISSED = 4
"""So many signs may fail to come before a run counts as dead."""
SETTLES = 0.5
"""Seconds in which two runs that begin at once see each other."""
FULL = 1000
"""Lines of one part of a manifest."""
LINGER = 5.0
"""Seconds that a line may wait for others."""


class Appends(Protocol):
    """Takes the lines of a manifest."""

    def append(self, event: Mapping[str, Any]) -> None:
        """Take one line. Raises StorageError."""


class Place(Protocol):
    """Where a study lies, by the `name` that people gave it."""

    @property
    def name(self) -> Path | str:
        """The path or URL."""

    @property
    def listed(self) -> bool:
        """Whether asking for a result costs so much that all are listed beforehand."""

    def store(self) -> Store:
        """Give the results."""

    def has(self, name: str) -> bool:
        """Whether there is such a file."""

    def begun(self) -> bool:
        """Whether there is a manifest."""

    def read(self, name: str) -> str:
        """Give the text of a file. Raises StorageError."""

    def write(self, name: str, text: str) -> None:
        """Write a file, whole or not at all. Raises StorageError."""

    def held(self) -> AbstractContextManager[None]:
        """Hold the place for one run. Raises UsageError where another is at work."""

    def at_work(self) -> bool:
        """Whether a run holds the place."""

    def manifest(self) -> AbstractContextManager[Appends]:
        """Take lines."""

    def events(self) -> Iterator[dict[str, Any]]:
        """Give the lines in their order. Raises StorageError."""

    def sweep(self) -> None:
        """Remove what a writer that was killed left unfinished."""


def place_of(place: str | os.PathLike[str]) -> Place:
    """Give the place that a path or a URL names. Raises UsageError for a URL of an unknown kind."""
    found = placed(place)
    return Disk(found) if isinstance(found, Path) else AtUrl(found)


class Disk:
    """A folder of this machine."""

    listed = False

    def __init__(self, folder: Path) -> None:
        self.name = folder

    def store(self) -> Store:
        """Give the results."""
        return Store(self.name)

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return (self.name / name).is_file()

    def begun(self) -> bool:
        """Whether there is a manifest."""
        return self.has(MANIFEST)

    def read(self, name: str) -> str:
        """Give the text of a file. Raises StorageError."""
        try:
            return (self.name / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StorageError(f"{self.name / name} cannot be read: {error}") from None

    def write(self, name: str, text: str) -> None:
        """Write a file, whole or not at all. Raises StorageError."""
        try:
            write_atomically(self.name / name, text.encode())
        except OSError as error:
            raise StorageError(f"{self.name / name} cannot be written: {error.strerror or error}") from None

    def held(self) -> AbstractContextManager[None]:
        """Hold the folder; the system lets go of it when the process ends."""
        return held(self.name)

    def at_work(self) -> bool:
        """Whether a run holds the folder."""
        return is_running(self.name)

    def manifest(self) -> AbstractContextManager[Appends]:
        """Append to the one file."""
        return Manifest(self.name / MANIFEST)

    def events(self) -> Iterator[dict[str, Any]]:
        """Give the lines in their order."""
        return read_events(self.name / MANIFEST)

    def sweep(self) -> None:
        """Remove parts of files, and arrays without their .json."""
        sweep(self.name)


class AtUrl:
    """A URL. Nothing there is ever appended to or renamed: a manifest has parts, and a lease stands for the lock.

    What a killed writer left unfinished stays until its unit is done again, under the same name.
    """

    listed = True

    def __init__(self, url: str) -> None:
        self.name, self.remote = url, Remote(url)

    def store(self) -> Store:
        """Give the results."""
        return store_at(self.name)

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return self.remote.exists(name)

    def begun(self) -> bool:
        """Whether there is a part of a manifest."""
        return bool(self.parts())

    def read(self, name: str) -> str:
        """Give the text of a file. Raises StorageError."""
        try:
            return self.remote.read(name).decode()
        except (FileNotFoundError, UnicodeDecodeError) as error:
            raise StorageError(f"{self.name}/{name} cannot be read: {error}") from None

    def write(self, name: str, text: str) -> None:
        """Write a file. Raises StorageError."""
        self.remote.write(name, text.encode())

    def held(self) -> AbstractContextManager[None]:
        """Hold the place by a lease that is renewed as long as the run lives."""
        return leased(self.remote)

    def at_work(self) -> bool:
        """Whether there is a lease, which a run that was killed leaves behind."""
        return self.remote.exists(LEASE)

    def manifest(self) -> AbstractContextManager[Appends]:
        """Write parts of a manifest, numbered after those of earlier runs."""
        last = max((int(name.partition("-")[0]) for name in self.parts()), default=0)
        return Parts(self.remote, f"{last + 1:06}-{uuid4().hex[:8]}")

    def events(self) -> Iterator[dict[str, Any]]:
        """Give the lines in their order: run by run, part by part."""
        for name in self.parts():
            for line in self.read(f"{PARTS}/{name}").splitlines():
                yield json.loads(line)

    def sweep(self) -> None:
        """Leave things as they are: listing everything costs more than it frees."""

    def parts(self) -> list[str]:
        """Give the names of the parts of the manifest, in their order."""
        return [name for name in self.remote.names(PARTS) if name.endswith(".jsonl")]


class Parts:
    """A manifest in parts of at most FULL lines; the last one is written anew with every few lines that it gains."""

    def __init__(self, remote: Remote, run: str) -> None:
        self.remote, self.run = remote, run
        self.number = 1
        self.lines: list[bytes] = []
        self.waiting = 0
        self.written = -LINGER

    def __enter__(self) -> "Parts":
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if self.waiting and (kind is None or not issubclass(kind, Unreachable)):
            self.write()

    def append(self, event: Mapping[str, Any]) -> None:
        """Take one line, and write it with those before it soon. Raises StorageError."""
        line = json.dumps(event, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        self.lines.append(line.encode() + b"\n")
        self.waiting += 1
        if len(self.lines) >= FULL or time.monotonic() - self.written >= LINGER:
            self.write()

    def write(self) -> None:
        """Write what there is of this part."""
        self.remote.write(f"{PARTS}/{self.run}-{self.number:06}.jsonl", b"".join(self.lines))
        self.written, self.waiting = time.monotonic(), 0
        if len(self.lines) >= FULL:
            self.lines, self.number = [], self.number + 1


@contextmanager
def leased(remote: Remote) -> Iterator[None]:
    """Hold a URL for one run by an object that the run renews; one that is not renewed for long counts as left behind.

    No clocks are compared: a lease that is found is watched. Two runs that take a dead one's place in the same moment
    see each other or not, as the store lets them; results and parts of the manifest have names of their own, so that
    both can end. Raises UsageError, with who holds it, where another run is at work, also once it has taken over.
    """
    lease = _Lease(remote)
    lease.take()
    beating = threading.Thread(target=lease.beat, daemon=True, name="xaikit-lease")
    beating.start()
    try:
        yield
    finally:
        lease.ended.set()
        beating.join(BEAT)
        lease.leave()
    if lease.other is not None:
        raise UsageError(f"another run ({lease.other}) has taken {remote.url} over, since this one was silent for long")


class _Lease:
    """Who is at work at a URL, as an object there."""

    def __init__(self, remote: Remote) -> None:
        self.remote, self.id, self.count = remote, uuid4().hex, 0
        self.owner = f"process {os.getpid()} on {socket.gethostname()}"
        self.ended = threading.Event()
        self.other: str | None = None

    def take(self) -> None:
        """Take the lease, once whoever holds it has given no sign of life for long. Raises UsageError."""
        if not self.remote.make(LEASE, self._text()):
            self._watch()
            self.remote.write(LEASE, self._text())
        time.sleep(SETTLES)
        found = self._found()
        if found.get("id") != self.id:
            raise UsageError(f"another run is at work in {self.remote.url} ({found.get('owner')}): wait for it")

    def _watch(self) -> None:
        before = self._found()
        end = time.monotonic() + BEAT * MISSED
        while before and time.monotonic() < end:
            time.sleep(BEAT / 10)
            now = self._found()
            if now != before and now:
                raise UsageError(
                    f"another run is at work in {self.remote.url} ({now.get('owner')}): wait for it, or stop it"
                )
            before = now

    def beat(self) -> None:
        """Give signs of life until the run ends, or another has taken over."""
        while not self.ended.wait(BEAT):
            try:
                found = self._found()
                if found and found.get("id") != self.id:
                    self.other = str(found.get("owner"))
                    return
                self.count += 1
                self.remote.write(LEASE, self._text())
            except StorageError:  # the run itself meets what keeps this from being written
                continue

    def leave(self) -> None:
        """Let go of the place, unless it is another's."""
        try:
            if self._found().get("id") == self.id:
                self.remote.remove(LEASE)
        except StorageError:  # whoever comes next sees that nothing beats
            return

    def _found(self) -> dict[str, Any]:
        try:
            found = json.loads(self.remote.read(LEASE))
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _text(self) -> bytes:
        return json.dumps({"id": self.id, "owner": self.owner, "beat": self.count}).encode()
