"""The command line: `xaikit explain`, `methods`, `layers`, `doctor`, `zoo`, `demo`."""

from xaikit.cli._main import cli, main

__all__ = ["cli", "main"]
