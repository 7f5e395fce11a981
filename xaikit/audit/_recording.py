"""`record` and `verify`: an explained prediction goes into a database, which shows whether it stayed as it was."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from xaikit.arrays import length
from xaikit.attribution import explain
from xaikit.audit._chain import Verification
from xaikit.audit._record import AuditRecord, columns_of
from xaikit.errors import InputError, MissingPackage, NotSupported
from xaikit.model import Model
from xaikit.progress import Progress

if TYPE_CHECKING:
    from xaikit.audit._store import Database


def record(
    model: Model,
    x: Any,
    method: str,
    target: Any = None,
    *,
    db: str,
    source: str | None = None,
    keep_input: bool = True,
    seed: int = 0,
    score: str | None = None,
    progress: Progress | bool | None = None,
    **parameters: Any,
) -> AuditRecord:
    """Explain the prediction for one sample, write it at the end of the chain in `db`, and give the record.

    `db` is a URL, sqlite:///audit.db; the file is made if it is not there. `source` says how the model was loaded (a
    name of the zoo, the path of a file), so that a replay can load it again. With `keep_input=False` only the SHA-256
    of the encoded input is kept, not the input: a replay then needs the input again. (A hash hides no input that can
    be guessed.) The rest is as in `xk.explain`.

    Writers may work at the same time; a crash leaves a whole record or none. Raises StorageError for a database that
    cannot be written, InputError for several samples, NotSupported for a function without a version, and what
    `xk.explain` raises; then nothing is written.
    """
    store = database(db)
    store.check_writable()
    model.fingerprint()
    result = explain(model, x, method, target, seed=seed, score=score, progress=progress, **parameters)
    first = next(iter(result.values())) if isinstance(result, Mapping) else result
    if length(first.prediction) != 1:
        raise InputError(f"a record holds one prediction, but {len(first)} samples were given: record them one by one")
    if first.origin.fingerprint is None:
        raise NotSupported(f"{model.name} has no fingerprint, so no record can say which model it was")
    return store.append(*columns_of(result, source, keep_input))


def verify(db: str, head: str | None = None) -> Verification:
    """Find the first record that was changed, removed, inserted or moved since it was written, if there is one.

    It needs neither a key nor the model. A chain alone cannot show that records at its end were cut off or that all
    of it was written anew: note the head's hash elsewhere and give it as `head`. Raises StorageError for what is no
    database of audit records.
    """
    return database(db).verify(head)


def read(db: str, number: int) -> AuditRecord:
    """Read a record by its number. Raises UnknownName, and StorageError for a record that was changed."""
    return database(db).read(number)


def numbers(db: str) -> list[int]:
    """List the numbers of the records in a database."""
    return database(db).numbers()


def database(url: str) -> "Database":
    """Name a database by its URL. Raises MissingPackage, UsageError."""
    try:
        from xaikit.audit._store import Database
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "sqlalchemy":
            raise
        raise MissingPackage("sqlalchemy", "audit", "an audit database") from None
    return Database(url)
