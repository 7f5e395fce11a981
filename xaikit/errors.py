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

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar


class XaikitError(Exception):
    """Root of every error that xaikit raises on purpose; its text is one line that says what to do."""

    exit_code: ClassVar[int] = 1

    def __str__(self) -> str:
        """Give the text in one line, also where it quotes an array or another library."""
        return " ".join(line.strip() for line in super().__str__().splitlines())


class UsageError(XaikitError):
    """What was asked makes no sense, whatever the model and the data."""

    exit_code = 2


class UnknownName(UsageError, LookupError):
    """A name that is not known, with the nearest ones that are."""

    def __init__(self, kind: str, name: object, known: Iterable[object]) -> None:
        self.kind, self.name, self.known = kind, str(name), tuple(str(k) for k in known)
        super().__init__(f"unknown {kind} {self.name!r}{nearest(self.name, self.known)}")


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
    """An optional package that is not installed; the text holds the pip command."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}, which is not installed: pip install 'xaikit[{extra}]'")


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
    close = get_close_matches(name, known, n=3, cutoff=0.6) or [
        k for k in known if k.lower() == name.lower() or (len(name) > 2 and name.lower() in k.lower())
    ]
    if close:
        return "; did you mean " + " or ".join(repr(k) for k in close[:3]) + "?"
    listed = ", ".join(repr(k) for k in known[:shown]) or "none"
    return f"; known: {listed}" + (f" and {len(known) - shown} more" if len(known) > shown else "")
