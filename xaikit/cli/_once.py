"""Groups of commands that say so where a method is given twice and one is taken."""

from collections import Counter

import click

HINTS = {
    "method": "`xaikit compare` takes several: -m lime,grad-cam",
    "methods": "several are given by commas: -m lime,grad-cam",
    "target": "one target is explained at a time",
}
"""Options of one value that are repeated by those who mean several. Of others the last is taken, as everywhere, so that
an alias may set what the command line then changes."""


class Commands(click.Group):
    """A group that refuses methods and targets given one by one, of which click takes the last without a word."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, and look at its options."""
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and not isinstance(command, click.Group):
            _require_once(command, click.Context(command, ctx, info_name=name), rest)
        return name, command, rest


def _require_once(command: click.Command, ctx: click.Context, args: list[str]) -> None:
    try:
        *_, order = command.make_parser(ctx).parse_args(list(args))
    except click.UsageError:  # which is said when the command itself reads them
        return
    for option, times in Counter(p for p in order if isinstance(p, click.Option) and p.name in HINTS).items():
        if times > 1 and not option.multiple:
            raise click.UsageError(f"{' / '.join(option.opts)} is given {times} times; {HINTS[str(option.name)]}", ctx)
