"""`xaikit app`: the web app on this machine."""

import sys
from pathlib import Path

import click

from xaikit.apps import app as web


@click.command()
@click.option("-m", "--model", "models", multiple=True, metavar="MODEL", help="A model to offer; repeat for more.")
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), help="The folder of data sets.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8050, show_default=True, help="0 takes a free one.")
@click.option("--cache", type=click.Path(path_type=Path, file_okay=False), help="The folder of results and uploads.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that explain.")
@click.option("--max-upload-mb", type=click.FloatRange(0.01, 1000), default=10, show_default=True)
@click.option("--allow-code", is_flag=True, help="Import the factories that model.toml files name.")
def app(models: tuple[str, ...], **settings: object) -> None:
    """Explore models in the browser.

    Without --model it offers every trained network of the zoo, in each framework that is installed. MODEL is a name
    from `xaikit zoo list`, a model.toml, or a .keras, .h5 or .pt2 file. The address goes to stdout; Ctrl-C ends it.

    \b
    xaikit app                                         the zoo, at http://127.0.0.1:8050/
    xaikit app -m mnist_cnn -m my_model.keras          these two
    xaikit app --port 0 --workers 2                    a free port, two explanations at a time

    It listens on this machine only and asks for no password. Results are kept, so that a repeat costs nothing.
    """
    web.serve(web.Settings(models=models, **settings), told=_tell)


def _tell(address: str, warning: str | None) -> None:
    click.echo(address)
    if warning:
        click.echo(f"xaikit: {warning}", err=True)
    click.echo("xaikit: serving; Ctrl-C ends it", err=True)
    sys.stdout.flush()
