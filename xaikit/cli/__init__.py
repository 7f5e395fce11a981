"""The command line: `xaikit explain`, `methods`, `layers`, `doctor`, `zoo`, `audit`, `demo`."""

from xaikit.cli import _audit
from xaikit.cli._main import cli, main

cli.add_command(_audit.audit)

__all__ = ["cli", "main"]
