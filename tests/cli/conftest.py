"""The command line, run in this process."""

from collections.abc import Callable
from typing import Any

import pytest

from xaikit.cli import main

Run = Callable[..., tuple[Any, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Give a function from arguments to exit code, stdout and stderr."""

    def call(*arguments: Any) -> tuple[Any, str, str]:
        with pytest.raises(SystemExit) as left:
            main([str(a) for a in arguments])
        said = capsys.readouterr()
        return left.value.code, said.out, said.err

    return call
