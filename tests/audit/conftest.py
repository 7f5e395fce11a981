"""A real model of the zoo, a picture for it, and databases with entries, of both kinds, that each test may spoil."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.audit.server import Server, running
from xaikit import audit, zoo
from xaikit.arrays import Array
from xaikit.audit._keys import Key
from xaikit.audit._places import RULES

KEY = Key(bytes(range(32)))
TABLES = ("audit_records", "audit_arrays", "audit_events", "audit_keys")


@pytest.fixture(scope="session")
def model() -> Any:
    pytest.importorskip("torch")
    return zoo.load("xo_cnn", framework="torch")


def drawn(number: int) -> Array:
    """An X drawn with noise of its own: (9, 9), in the units of xo_cnn."""
    noise = 0.2 * np.random.default_rng(number).random((9, 9))
    return np.maximum(noise, np.eye(9) + np.eye(9)[::-1] > 0).astype(np.float32)


@pytest.fixture(scope="session")
def picture() -> Callable[[int], Array]:
    return drawn


@pytest.fixture(scope="session")
def key() -> Key:
    return KEY


def fill(model: Any, url: str, entries: int = 7) -> None:
    """Three records, of two methods, the last one with parameters that are arrays; then up to four entries more.

    4 and 5 are encrypted records, 6 a review of record 1, 7 the erasure of record 5.
    """
    halves = np.repeat(np.arange(9), 9).reshape(9, 9) // 5
    audit.record(model, drawn(1), "saliency", db=url, source="xo_cnn", author="Ada", recipient="no. 7")
    audit.record(model, drawn(2), "lime", 1, db=url, seed=7, samples=50)
    audit.record(model, drawn(3), "kernel-shap", "O", db=url, segments=halves, baseline=np.zeros((9, 9, 1)))
    if entries == 3:
        return
    for number in (4, 5):
        audit.record(model, drawn(number), "saliency", db=url, key=KEY, encrypt=True, author="Ada", recipient="no. 8")
    audit.review(url, 1, reviewer="Bob", verdict="approved", comment="the cross is what counts")
    audit.erase(url, 5, author="Ada", reason="asked for")


@pytest.fixture(scope="session")
def three(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audit") / "three.db"
    fill(model, f"sqlite:///{path}", 3)
    return path


@pytest.fixture(scope="session")
def seven(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audit") / "seven.db"
    fill(model, f"sqlite:///{path}")
    return path


@pytest.fixture
def db(three: Path, tmp_path: Path) -> Path:
    """A copy of the three records in a file."""
    return Path(shutil.copy(three, tmp_path / "audit.db"))


@dataclass(frozen=True)
class Store:
    """A database of either kind, behind the back of xaikit."""

    kind: str
    url: str
    connect: Callable[[], Any] = field(repr=False)

    def verify(self, **how: Any) -> audit.Verification:
        return audit.verify(self.url, **how)

    def run(self, *statements: str, guarded: bool = False) -> None:
        """Change what is stored, without the triggers unless `guarded`; every statement must hit a row."""
        with closing(self.connect()) as raw:
            if not guarded:
                for statement in self._unguarding:
                    raw.execute(statement)
            for statement in statements:
                assert raw.execute(statement).rowcount != 0, statement
            raw.commit()

    def spoil(self, *statements: str) -> audit.Verification:
        self.run(*statements)
        return self.verify()

    @property
    def _unguarding(self) -> list[str]:
        if self.kind == "postgresql":
            return [f"ALTER TABLE {t} DISABLE TRIGGER ALL" for t in TABLES]
        return ["PRAGMA ignore_check_constraints = ON", *(f"DROP TRIGGER IF EXISTS {name}" for name in RULES)]

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(self.connect()) as raw:
            return list(map(tuple, raw.execute(statement).fetchall()))

    def content(self) -> Any:
        return [self.rows(f"SELECT * FROM {t} ORDER BY 1, 2") for t in TABLES]

    def bytes(self, *given: int) -> str:
        """The literal of a few bytes."""
        digits = bytes(given).hex()
        return f"'\\x{digits}'::bytea" if self.kind == "postgresql" else f"x'{digits}'"


def of_file(path: Path) -> Store:
    def connect() -> Any:
        raw = sqlite3.connect(path)
        raw.execute("PRAGMA synchronous = OFF")
        return raw

    return Store("sqlite", f"sqlite:///{path}", connect)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A PostgreSQL of its own, without a network."""
    with running() as found:
        if isinstance(found, str):
            pytest.skip(found)
        yield found


NUMBERS = count(1)
KINDS = ["sqlite", "postgresql"]


def empty_store(kind: str, request: pytest.FixtureRequest, folder: Path) -> Store:
    if kind == "sqlite":
        return of_file(folder / f"audit{next(NUMBERS)}.db")
    server = request.getfixturevalue("server")
    name = server.create(f"audit{next(NUMBERS)}")
    return Store(kind, server.url(name), lambda: server.connect(name))


@pytest.fixture(params=KINDS)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A database without tables; the file is not there yet."""
    return empty_store(request.param, request, tmp_path)


@pytest.fixture(scope="session", params=KINDS)
def filled(request: pytest.FixtureRequest, model: Any, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Seven entries, from which `store` is copied."""
    found = empty_store(request.param, request, tmp_path_factory.mktemp("filled"))
    fill(model, found.url)
    return found


@pytest.fixture
def store(filled: Store, request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Seven entries that may be spoilt."""
    if filled.kind == "sqlite":
        return of_file(Path(shutil.copy(filled.url.removeprefix("sqlite:///"), tmp_path / "audit.db")))
    server = request.getfixturevalue("server")
    while not COPIES or not restored(server.connect(COPIES[-1])):
        COPIES.append(server.create(f"audit{next(NUMBERS)}", like=filled.url))
        with closing(server.connect(COPIES[-1])) as raw:
            raw.execute("CREATE SCHEMA kept")
            for table in TABLES:
                raw.execute(f"CREATE TABLE kept.{table} AS SELECT * FROM {table}")
            raw.commit()
    name = COPIES[-1]
    return Store(filled.kind, server.url(name), lambda: server.connect(name))


COPIES: list[str] = []
"""Databases on the server with the seven entries, the last of which is used again, since a new one takes long."""


def restored(raw: Any) -> bool:
    """Put back what the tables held; False where the tables themselves are others."""
    asked = (
        "SELECT column_name FROM information_schema.columns WHERE table_schema = '{}' AND table_name = '{}' ORDER BY 1"
    )
    with closing(raw):
        for table in TABLES:
            own, kept = (set(raw.execute(asked.format(schema, table))) for schema in ("public", "kept"))
            if own != kept:
                return False
            raw.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
            raw.execute(f"TRUNCATE {table}")
            raw.execute(f"INSERT INTO {table} SELECT * FROM kept.{table}")
            raw.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")
        raw.commit()
    return True


@pytest.fixture(scope="session")
def credit() -> Any:
    pytest.importorskip("torch")
    return zoo.load("credit_mlp", framework="torch")


@pytest.fixture(scope="session")
def refused(credit: Any) -> dict[str, Any]:
    """The typical row that is refused most narrowly."""
    rows = list(credit.inputs.background)
    good = credit.run(credit.inputs.encode(rows)).output[:, 0]
    return dict(rows[int(np.argmax(np.where(good < 0.5, good, 0)))])


@pytest.fixture(scope="session")
def refusals(credit: Any, refused: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1: refused, with a counterfactual; 2: the same, encrypted; 3: accepted; 4: overruled; 5: by another method.

    6 is a review of record 1, 7 an encrypted record, and 8 its erasure.
    """
    path = tmp_path_factory.mktemp("credit") / "audit.db"
    url, key = f"sqlite:///{path}", KEY
    told: dict[str, Any] = {"db": url, "source": "credit_mlp", "author": "Ada", "threshold": 0.5}
    ways = {"counterfactual": {"immutable": ["age", "sex"]}}
    audit.record(credit, refused, "kernel-shap", "good", **told, **ways, involvement="reviewed", recipient="no. 7")
    audit.record(credit, refused, "kernel-shap", "good", **told, **ways, key=key, encrypt=True, recipient="no. 8")
    rows = list(credit.inputs.background)
    good = credit.run(credit.inputs.encode(rows)).output[:, 0]
    audit.record(credit, rows[int(good.argmax())], "kernel-shap", "good", **told, **ways, involvement="none")
    accepted = {**told, "taken": "bad", "involvement": "decided"}
    audit.record(credit, rows[int(good.argmax())], "kernel-shap", "good", **accepted)
    audit.record(credit, refused, "saliency", "good", **told)
    audit.review(url, 1, reviewer="Bob", verdict="approved", comment="income was checked")
    audit.record(credit, refused, "kernel-shap", "good", **told, **ways, key=key, encrypt=True)
    audit.erase(url, 7, author="Ada", reason="asked for")
    return path


@pytest.fixture
def letters_db(refusals: Path, tmp_path: Path) -> str:
    """The URL of a copy of `refusals`."""
    return f"sqlite:///{shutil.copy(refusals, tmp_path / 'credit.db')}"
