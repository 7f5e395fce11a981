"""The app behind gunicorn, and the files in deploy/: what they name is there."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from configparser import RawConfigParser
from dataclasses import fields
from pathlib import Path
from string import Template
from typing import Any

import pytest

pytest.importorskip("gunicorn", reason="served by gunicorn, which the extra server brings")
pytest.importorskip("yaml")

import yaml
from click.testing import CliRunner
from gunicorn.config import Config

from tests.app.conftest import PATIENCE_MS
from xaikit.cli._worker import worker
from xaikit.errors import ParameterError, UnknownName, UsageError
from xaikit_app.security import policy
from xaikit_app.settings import Settings, from_environment
from xaikit_app.wsgi import hold

DEPLOY = Path(__file__).parents[2] / "deploy"
VALUES = {
    "SITE": "explain.example.org",
    "MODELS": "mnist_cnn xo_cnn",
    "WORKER_MODELS": "-m mnist_cnn -m xo_cnn",
    "REDIS_PASSWORD": "r" * 32,
    "POSTGRES_PASSWORD": "p" * 32,
}


# ---------------------------------------------------------------- settings from variables


def test_settings_are_read_from_variables(tmp_path: Path) -> None:
    found = from_environment(
        {
            "XAIKIT_APP_MODELS": "mnist_cnn 'a model.keras'",
            "XAIKIT_APP_CACHE": str(tmp_path),
            "XAIKIT_APP_WORKERS": "3",
            "XAIKIT_APP_MAX_UPLOAD_MB": "2.5",
            "XAIKIT_APP_ALLOW_CODE": "yes",
            "XAIKIT_APP_PREFIX": "/xaikit/",
            "XAIKIT_APP_TRUSTED_PROXY": "10.0.0.0/8 unix",
            "HOME": "/root",
        },
        host="0.0.0.0",
    )
    assert found == Settings(
        models=("mnist_cnn", "a model.keras"),
        cache=tmp_path,
        workers=3,
        max_upload_mb=2.5,
        allow_code=True,
        prefix="/xaikit/",
        trusted_proxy=("10.0.0.0/8", "unix"),
        host="0.0.0.0",
    )
    assert from_environment({"XAIKIT_APP_HOST": "127.0.0.1"}, host="0.0.0.0").host == "127.0.0.1"


@pytest.mark.parametrize(
    ("name", "text", "error", "told"),
    [
        ("XAIKIT_APP_MODEL", "x", UnknownName, "did you mean 'XAIKIT_APP_MODELS'"),
        ("XAIKIT_APP_WORKERS", "two", ParameterError, "XAIKIT_APP_WORKERS is a number, not 'two'"),
        ("XAIKIT_APP_ALLOW_CODE", "maybe", ParameterError, "one of yes, no"),
        ("XAIKIT_APP_WORKERS", "100", ParameterError, "workers must be from 1 to 64"),
    ],
)
def test_variables_that_make_no_sense_are_told(name: str, text: str, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        from_environment({name: text})


def test_without_a_broker_one_process_serves_from_a_folder(tmp_path: Path) -> None:
    held = hold(tmp_path, 0)
    with pytest.raises(UsageError, match=r"one process serves, with threads \(gunicorn --workers 1"):
        hold(tmp_path, 0.2)
    held.close()
    hold(tmp_path, 0).close()


# ---------------------------------------------------------------- the files


def gunicorn_command(command: list[str]) -> None:
    """See that gunicorn takes a command, and that what it serves is there."""
    assert Path(command[0]).name == "gunicorn"
    given = Config().parser().parse_args(command[1:])
    assert given.args == ["xaikit_app.wsgi:make()"]
    assert given.bind
    settings = Config()
    for name, value in vars(given).items():
        if value is not None and name in settings.settings:
            settings.set(name, value)


def app_settings(variables: dict[str, str], tmp_path: Path) -> Settings:
    """Read the settings of a deployment, with folders of this machine."""
    (tmp_path / "users.txt").write_text("ada:hash\n")
    here = {"XAIKIT_APP_USERS": str(tmp_path / "users.txt"), "XAIKIT_APP_CACHE": str(tmp_path)}
    return from_environment({**variables, **{k: v for k, v in here.items() if k in variables}})


@pytest.fixture
def compose() -> Any:
    text = (DEPLOY / "compose.yaml").read_text()
    assert set(re.findall(r"\$\{(\w+)\}", text)) == set(VALUES)
    return yaml.safe_load(Template(text).substitute(VALUES))


def test_the_example_of_variables_has_them_all() -> None:
    lines = (DEPLOY / "example.env").read_text().splitlines()
    assert {line.partition("=")[0] for line in lines if line and not line.startswith("#")} == set(VALUES)


def test_the_services_name_one_another_and_their_volumes(compose: Any) -> None:
    services = compose["services"]
    assert set(services) == {"proxy", "app", "worker", "redis", "postgres"}
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            assert how["condition"] == "service_healthy"
            assert "healthcheck" in services[other], name
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert (DEPLOY / source).is_file() if source.startswith("./") else source in compose["volumes"]
        assert set(service["networks"]) <= set(compose["networks"])
    assert compose["networks"]["back"]["internal"]
    assert [name for name, service in services.items() if "ports" in service] == ["proxy"]
    assert (DEPLOY.parent / services["app"]["build"]["dockerfile"]).is_file()


def test_the_commands_of_the_containers_are_there(compose: Any) -> None:
    services = compose["services"]
    gunicorn_command(shlex.split(services["app"]["command"]))
    command = shlex.split(services["worker"]["command"])
    assert command[:2] == ["xaikit", "worker"]
    given = worker.make_context(
        "worker", [*command[2:], "--broker", services["worker"]["environment"]["XAIKIT_BROKER"]]
    )
    assert given.params["models"] == ("mnist_cnn", "xo_cnn")
    assert given.params["store"] == services["app"]["environment"]["XAIKIT_APP_STORE"]
    assert CliRunner().invoke(worker, ["--help"]).exit_code == 0


def test_the_settings_of_the_containers_are_settings(compose: Any, tmp_path: Path) -> None:
    found = app_settings(compose["services"]["app"]["environment"], tmp_path)
    assert (found.models, found.auth) == (("mnist_cnn", "xo_cnn"), "basic")
    assert found.broker == compose["services"]["worker"]["environment"]["XAIKIT_BROKER"]
    assert found.hosts == ("explain.example.org", "127.0.0.1")


def test_the_dockerfile_copies_what_is_there_and_installs_extras_that_there_are() -> None:
    import tomllib

    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    copied = [source for line in text.splitlines() if line.startswith("COPY") for source in line.split()[1:-1]]
    assert copied
    assert all((DEPLOY.parent / source).exists() for source in copied)
    extras = re.search(r'"\.\[([\w,-]+)\]"', text)
    assert extras is not None
    known = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras[1].split(",")) <= set(known)
    command = re.search(r"^CMD (.*)$", text, re.MULTILINE)
    assert command is not None
    gunicorn_command(json.loads(command[1]))


def test_the_unit_of_systemd_starts_what_is_there(tmp_path: Path) -> None:
    class Unit(dict[str, Any]):
        """Keeps all lines of a name that comes more than once."""

        def __setitem__(self, key: str, value: Any) -> None:
            super().__setitem__(key, self[key] + value if key in self and isinstance(value, list) else value)

    unit = RawConfigParser(strict=False, dict_type=Unit, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DEPLOY / "xaikit-app.service")
    service = unit["Service"]
    gunicorn_command(shlex.split(service["ExecStart"]))
    pairs = (shlex.split(line)[0].partition("=") for line in service["Environment"].splitlines())
    variables = {name: value for name, _, value in pairs}
    found = app_settings({k: v for k, v in variables.items() if k.startswith("XAIKIT_APP_")}, tmp_path)
    assert (found.prefix, found.trusted_proxy) == ("/xaikit/", ("unix",))
    assert "unix:/run/xaikit/app.sock" in service["ExecStart"]
    assert "unix:/run/xaikit/app.sock" in (DEPLOY / "nginx.conf").read_text()
    assert f"location {found.prefix} {{" in (DEPLOY / "nginx.conf").read_text()


# ---------------------------------------------------------------- what the docs say


def test_the_docs_name_settings_that_there_are() -> None:
    text = (DEPLOY.parent / "docs" / "deployment.md").read_text()
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `XAIKIT_APP_")]
    named = [
        name.removeprefix("XAIKIT_APP").lstrip("_").lower() for row in rows for name in re.findall(r"`(\w+)`", row)
    ]
    assert len(named) > 20
    assert set(named) <= {f.name for f in fields(Settings)}


def test_the_docs_have_the_policy_that_pages_have() -> None:
    text = (DEPLOY.parent / "docs" / "deployment.md").read_text()
    found = re.search(r"```\n(default-src.*?)\n```", text, re.DOTALL)
    assert found is not None
    assert " ".join(found[1].split()) == policy("…", framed=False)


# ---------------------------------------------------------------- the real server


class Server:
    """gunicorn with the app, as a process of its own."""

    def __init__(self, folder: Path) -> None:
        given = {"XAIKIT_APP_MODELS": "xo_cnn", "XAIKIT_APP_CACHE": str(folder), "XAIKIT_APP_HOSTS": "127.0.0.1"}
        command = [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0", "--workers", "1", "--threads", "8"]
        command += ["--timeout", "180", "--graceful-timeout", "60", "--no-control-socket", "xaikit_app.wsgi:make()"]
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env={"OMP_NUM_THREADS": "1", **os.environ, **given}
        )
        self.said: list[str] = []
        self.listens = threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        assert self.listens.wait(PATIENCE_MS / 1000), self.said
        self.url = next(m[1] for line in self.said if (m := re.search(r"Listening at: (http://[\d.:]+)", line)))

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if "Listening at" in line:
                self.listens.set()

    def family(self) -> list[int]:
        """The process ids of all that it has started, and of what those have."""
        found, asked = [], [self.process.pid]
        while asked:
            tasks = Path(f"/proc/{asked.pop()}/task").glob("*/children")
            children = [int(pid) for task in tasks for pid in task.read_text().split()]
            found += children
            asked += children
        return found

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE_MS / 1000)
        self.reader.join(10)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    if server.process.poll() is None:
        server.end()


@pytest.mark.slow
def test_gunicorn_serves_pages_and_explanations_and_ends_cleanly(server: Server, chromium: Any) -> None:
    with urllib.request.urlopen(f"{server.url}/ready", timeout=PATIENCE_MS / 1000) as answer:
        assert json.load(answer)["status"] == "ready"
    context = chromium.new_context()
    context.set_default_timeout(PATIENCE_MS)
    page, complaints = context.new_page(), []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.goto(f"{server.url}/explain?model=xo_cnn&framework=torch&sample=test-0&methods=occlusion")
    page.click("#explain-run")
    page.wait_for_selector("[data-testid=attribution] img")
    assert complaints == []
    context.close()
    started = server.family()
    assert len(started) > 1
    assert server.end() == 0
    assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []
    assert "asks nobody for a password" in "".join(server.said)
    assert "Traceback" not in "".join(server.said)
