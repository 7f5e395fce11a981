"""The errors that xaikit raises on purpose.

XaikitError
├── UsageError            what was asked makes no sense                     exit code 2
│   ├── UnknownName       a name that no registry, spec or model knows
│   ├── ParameterError    a parameter of a method outside its range
│   ├── TargetError       a target that the model's outputs do not have
│   └── NotSupported      a method that this model cannot serve
├── LoadError             something could not be brought in                 exit code 5
│   ├── InputError        a sample: missing, corrupt, wrong shape, NaN
│   ├── ModelError        a network that cannot be wrapped or run
│   ├── UnsafeFile        a file that could run code when it is loaded
│   ├── DataError         a data set that is not there
│   ├── StorageError      a stored result or weights file that is damaged
│   └── MissingPackage    an optional package that is not installed
├── JobError              a job that could not be carried out               exit code 1
│   ├── QueueFull         as many jobs are waiting as may
│   └── WorkerLost        the process that carried the job out has died
└── Cancelled             the caller asked to stop                          exit code 130
    └── TimeUp            the time limit ended the work before there was anything to return
"""

import os
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import ClassVar

LONG, MOST = 80, 1200
"""Characters of a name that is not known, in a message, and of a message: a stranger's file may hold any text."""


def with_article(noun: str) -> str:
    """Give a noun with "a" or "an" before it: "an onnx model"."""
    return f"{'an' if noun[:1] in 'aeiouAEIO' else 'a'} {noun}"


class XaikitError(Exception):
    """Root of every error that xaikit raises on purpose; its text is one line that says what to do."""

    exit_code: ClassVar[int] = 1

    def __str__(self) -> str:
        """Give the text in one line, also where it quotes an array, another library, or a stranger's file."""
        line = " ".join(line.strip() for line in super().__str__().splitlines())
        line = line if len(line) <= MOST else line[: MOST - 1] + "…"
        return line if line.isprintable() else "".join(c if c.isprintable() or c == "\xa0" else "?" for c in line)


class UsageError(XaikitError):
    """What was asked makes no sense, whatever the model and the data."""

    exit_code = 2


class UnknownName(UsageError, LookupError):
    """A name that is not known, with the nearest ones that are."""

    def __init__(self, kind: str, name: object, known: Iterable[object]) -> None:
        self.kind, self.name, self.known = kind, str(name), tuple(str(k) for k in known)
        shown = self.name if len(self.name) <= LONG else f"{self.name[: LONG - 1]}…"
        super().__init__(f"unknown {kind} {shown!r}{nearest(self.name, self.known)}")


class ParameterError(UsageError, ValueError):
    """A parameter outside its range, or one that the method does not have."""


class TargetError(UsageError, ValueError):
    """A target that the model's outputs do not have."""


class NotSupported(UsageError):
    """A method that this model cannot serve; the text names those that can."""


class LoadError(XaikitError):
    """Something from outside could not be brought in."""

    exit_code = 5


class InputError(LoadError, ValueError):
    """A sample that is missing, corrupt, of the wrong shape or not finite."""


class ModelError(LoadError):
    """A network or model file that cannot be wrapped, read or run."""


class UnsafeFile(ModelError):
    """A file that could run code when it is loaded, and was therefore not opened."""


class DataError(LoadError):
    """A data set that is not there; the text says where to put it and how to get it."""


class StorageError(LoadError):
    """A stored result or weights file that is damaged or of an unknown schema."""


class MissingPackage(LoadError, ImportError):
    """An optional package that is not installed; the text holds the pip command.

    `extra` is the extra of xaikit that brings it, None where none does.
    """

    def __init__(self, package: str, extra: str | None, purpose: str) -> None:
        command = f"'xaikit[{extra}]'" if extra else package
        super().__init__(f"{purpose} needs {package}, which is not installed: pip install {command}")


class JobError(XaikitError):
    """A job that could not be carried out: its worker was killed, could not start, or met an unforeseen error."""


class QueueFull(JobError):
    """A job that was not taken, since as many are waiting as may."""


class WorkerLost(JobError):
    """A job whose worker process died while it was at it."""


class Cancelled(XaikitError):
    """The caller asked to stop, and there was nothing partial to return."""

    exit_code = 130


class TimeUp(Cancelled):
    """The time limit was over before there was anything to return."""

    exit_code = 2


def nearest(name: str, known: Iterable[str], shown: int = 12) -> str:
    """Give the tail of a message about an unknown name: "; did you mean ...?" or the list of what is known."""
    known = list(dict.fromkeys(known))
    if close := _close(name, known):
        return _did_you_mean(close)
    listed = ", ".join(repr(k) for k in known[:shown]) or "none"
    return f"; known: {listed}" + (f" and {len(known) - shown} more" if len(known) > shown else "")


def not_there(path: str | os.PathLike[str], what: str = "file") -> str:
    """Give the message about a path that is not there: with the nearest name beside it, or where it was looked for."""
    said, path = f"there is no {what} {os.fspath(path)}", Path(path)
    folder = path.parent
    if not folder.is_dir():
        return f"{said}: the folder {folder.absolute()} is not there"
    try:
        close = get_close_matches(path.name, os.listdir(folder), n=3, cutoff=0.75)
    except OSError:
        close = []
    if close:
        return said + _did_you_mean(close)
    return f"{said}: check its name" if path.is_absolute() else f"{said} in {folder.absolute()}"


def many(count: int, what: str) -> str:
    """Count something in words: "1 sample", "1,200 samples"."""
    return f"{count:,} {what}{'s' * (count != 1)}"


def _close(name: str, known: list[str]) -> list[str]:
    """What a person may have meant: the same but for capitals and hyphens, else what is alike or has it inside."""
    same = [k for k in known if _bare(k) == _bare(name)]
    alike = get_close_matches(name, known, n=3, cutoff=0.6) or get_close_matches(name.lower(), known, n=3, cutoff=0.6)
    inside = [k for k in known if len(name) > 2 and name.lower() in k.lower()]
    inside.sort(key=lambda k: name.lower() not in k.lower().split("-"))
    return same or list(dict.fromkeys([*alike, *inside]))[:3]


def _bare(name: str) -> str:
    """A name without capitals, hyphens and the like: grad_cam++, GradCAMPlusPlus and grad-cam-plus-plus are one."""
    return "".join(c for c in name.lower().replace("+", "plus") if c.isalnum())


def _did_you_mean(close: list[str]) -> str:
    return "; did you mean " + " or ".join(repr(k) for k in close) + "?"
