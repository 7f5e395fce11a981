"""A bar on stderr that shows how far something is."""

import contextlib
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def bar(first: str) -> Iterator[Callable[[float, int, str], None]]:
    """Show a bar, with `first` as its words until it is called: with what is done, of how much, and what comes now."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[many]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(first, total=None, many="")

        def progress(done: float, total: int, said: str) -> None:
            words = escape(f"{said:<32.32}")
            shown.update(task, completed=done, total=total, description=words, many=f"{int(done)}/{total}")

        yield progress
