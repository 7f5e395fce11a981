"""`xaikit zoo train`, with a bar on stderr, and the page of `xaikit zoo card`."""

from pathlib import Path
from typing import Any

from xaikit import zoo
from xaikit.errors import DataError, MissingPackage
from xaikit.report import write_model_page
from xaikit.zoo.networks import networks
from xaikit.zoo.samples import answered
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


def page(name: str, path: Path, framework: str | None) -> Path:
    """Write the page of a model and give its absolute path; it says why where samples cannot be shown."""
    card, architecture = zoo.card(name), networks[name].architecture
    try:
        return write_model_page(path, card, architecture, answered(name, framework=framework))
    except (DataError, MissingPackage) as error:
        return write_model_page(path, card, architecture, unanswered=str(error))
