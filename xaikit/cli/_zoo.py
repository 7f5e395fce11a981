"""`xaikit zoo train`, with a bar on stderr."""

from typing import Any

from xaikit import zoo
from xaikit.zoo.shelf import cache_folder


def train(name: str, framework: str | None, epochs: int | None, seed: int) -> str:
    """Train a model of the zoo and give the path of its card, beside which its weights lie."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(f"training {name}", total=None)

        def progress(done: int, total: int, text: str = "", *_: Any) -> None:
            shown.update(task, completed=done, total=total, description=text or f"training {name}")

        zoo.train(name, framework=framework, epochs=epochs, seed=seed, progress=progress)
    return str(cache_folder() / f"{name}.json")
