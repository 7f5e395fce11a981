"""Each framework works without the other, and what needs no framework works without both.

A process of its own in which the packages of a framework cannot be found stands for an installation without it.
"""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import NEEDS

pytestmark = pytest.mark.slow
OTHER = {"torch": "keras", "keras": "torch"}
OF_ITS_OWN = {"torch": "net.pt2", "keras": "net.keras"}
"""A file of each framework's own form."""
PROGRAM = '''
import importlib.util, json, sys, warnings

class Without:
    """A finder of modules that has never heard of some packages."""

    def __init__(self, finder, names):
        self.finder, self.names = finder, names

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in self.names else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

absent, commands = json.loads(sys.argv[1])
sys.meta_path[:] = [Without(finder, absent) for finder in sys.meta_path]
assert not any(map(importlib.util.find_spec, absent))
from click.testing import CliRunner
from xaikit.cli import cli
said = []
for command in commands:
    done = CliRunner().invoke(cli, command)
    if done.exit_code and not isinstance(done.exception, SystemExit):
        from xaikit.errors import XaikitError
        if not isinstance(done.exception, XaikitError):
            raise done.exception
        said.append([done.exception.exit_code, str(done.exception)])
    else:
        said.append([done.exit_code, done.output])
assert not set(absent) & set(sys.modules)
print(json.dumps(said))
'''


def run(absent: tuple[str, ...], commands: list[list[str]], folder: Path) -> list[tuple[int, str]]:
    """Give the exit code and the words of each command, in one process that cannot find some packages."""
    given = json.dumps([absent, commands])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::ImportWarning", "-c", PROGRAM, given],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [(code, text) for code, text in json.loads(done.stdout.splitlines()[-1])]


@pytest.fixture
def drawing(tmp_path: Path) -> Path:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).uniform(0, 255, (9, 9, 1)).astype("float32"))
    for name in OF_ITS_OWN.values():
        (tmp_path / name).write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_one_framework_works_without_the_other(framework: str, drawing: Path) -> None:
    if not all(map(find_spec, NEEDS[framework])):
        pytest.skip(f"needs {framework}")
    other = OTHER[framework]
    asked = ["explain", "xo_cnn", "x.npy", "-m", "saliency", "-o", "out"]
    said = run(
        NEEDS[other],
        [
            ["doctor", "xo_cnn"],
            asked,
            ["selftest", "--only", "linear"],
            [*asked, "--framework", other],
            ["explain", OF_ITS_OWN[other], "x.npy", "-m", "saliency"],
        ],
        drawing,
    )
    assert [code for code, _ in said] == [0, 0, 0, 5, 5], said
    assert len(list((drawing / "out").rglob("*.npz"))) == 1
    for _, words in said[3:]:
        assert words.endswith(f"needs {other}, which is not installed: pip install 'xaikit[{other}]'")


def test_without_a_framework_it_says_which_to_install(drawing: Path) -> None:
    said = run(
        (*NEEDS["torch"], *NEEDS["keras"]),
        [
            ["methods"],
            ["zoo", "list"],
            ["zoo", "card", "xo_cnn"],
            ["explore", "x.npy", "conv2d", "--help"],
            ["explain", "xo_cnn", "x.npy", "-m", "saliency"],
            ["demo", "-o", "demo"],
            ["selftest"],
        ],
        drawing,
    )
    assert [code for code, _ in said] == [0, 0, 0, 0, 5, 5, 5], said
    for _, words in said[4:]:
        assert "not installed: pip install 'xaikit[torch" in words
