"""The command line: `xaikit explain`, `methods`, `layers`, `doctor`, `zoo`, `audit`, `app`, `demo`."""

from xaikit.cli import _app, _audit
from xaikit.cli._main import cli, main

cli.add_command(_app.app)
cli.add_command(_audit.audit)

__all__ = ["cli", "main"]
