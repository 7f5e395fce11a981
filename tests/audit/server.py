"""A real PostgreSQL for tests: its own folder, its own socket, no network, gone afterwards."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PORT = 5432
"""Of the socket in a folder of its own: no port is opened."""


@dataclass
class Server:
    """A running server, its folder, and the process behind it."""

    folder: Path
    programs: Path
    who: dict[str, Any]
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    def url(self, name: str) -> str:
        return f"postgresql://audit@/{name}?host={self.folder}&port={PORT}"

    def connect(self, name: str = "postgres", **how: Any) -> Any:
        import psycopg

        return psycopg.connect(f"host={self.folder} port={PORT} user=audit dbname={name}", **how)

    def create(self, name: str, like: str | None = None) -> str:
        template = "" if like is None else f" TEMPLATE {like.partition('@/')[2].partition('?')[0]}"
        with closing(self.connect(autocommit=True)) as raw:
            raw.execute(f"CREATE DATABASE {name}{template}")
        return name

    def start(self) -> None:
        settings = {"listen_addresses": "", "fsync": "off", "port": PORT, "unix_socket_directories": self.folder}
        settings |= {"max_connections": 60, "autovacuum": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        log = (self.folder / "log").open("ab")
        command = [self.programs / "postgres", "-D", self.folder / "data", *options]
        self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, **self.who)
        log.close()
        self._wait()

    def _wait(self) -> None:
        import psycopg

        deadline = time.monotonic() + 60
        while True:
            try:
                return self.connect().close()
            except psycopg.OperationalError:
                assert self.process is not None
                assert self.process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def stop(self) -> None:
        """Stop the server at once, without writing down what is in memory; it recovers at the next start."""
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(60)
            self.process = None


@contextmanager
def running() -> Iterator[Server | str]:
    """Give a server, or the reason why there is none. A server refuses root, which becomes the user postgres."""
    programs = _programs()
    if programs is None:
        yield "no PostgreSQL is installed"
        return
    try:
        import psycopg  # noqa: F401
    except ImportError:
        yield "psycopg is not installed"
        return
    who = _who()
    if who is None:
        yield "PostgreSQL refuses root, and there is no user postgres to become"
        return
    folder = Path(tempfile.mkdtemp(prefix="xaikit-pg-"))
    try:
        if who:
            os.chown(folder, who["user"], who["group"])
        init = [
            programs / "initdb",
            "-D",
            folder / "data",
            "-U",
            "audit",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "-N",
        ]
        subprocess.run(init, check=True, stdout=subprocess.DEVNULL, cwd=folder, **who)
        server = Server(folder, programs, who)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path | None:
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    packaged = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3].partition(".")[0])
    )
    return packaged[-1].parent if packaged else None


def _who() -> dict[str, Any] | None:
    if os.getuid() != 0:
        return {}
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        return None
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
