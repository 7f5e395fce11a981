"""`xaikit anomaly latent`: what the code of an autoencoder means, and whether it does its work."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from xaikit.anomaly import Detector, latent
from xaikit.cli._explain import keep
from xaikit.cli._insight import into, numbers_in, samples_of, tell
from xaikit.cli._main import as_json, model_options, open_model
from xaikit.data.files import contents, is_folder
from xaikit.errors import InputError, ParameterError
from xaikit.results import DetectorRecord
from xaikit.storage import load


class Asked:
    """What was asked on the command line, read when a view needs it."""

    def __init__(self, model: Any, inputs: tuple[str, ...], framework: str | None, options: dict[str, Any]) -> None:
        self.model, self.inputs, self.framework, self.options = model, inputs, framework, options

    def __getitem__(self, name: str) -> Any:
        return self.options[name]

    def given(self, **names: str) -> dict[str, Any]:
        """Give the options that are set, by the names that functions have for them."""
        return {name: self[option] for name, option in names.items() if self[option] is not None}

    @property
    def samples(self) -> list[Any]:
        """All samples of the INPUTs, of which there must be one."""
        if not self.inputs:
            raise ParameterError("this view needs an INPUT: a file, a folder, or an array of samples")
        return samples_of(self.inputs, self.model.inputs)

    @property
    def code(self) -> Any:
        """The layers of the code that are named, or None."""
        mean, log_variance, drawn = self["mean"], self["log_variance"], self["drawn"]
        if (mean is None) != (log_variance is None) or (drawn and not mean):
            raise ParameterError("--mean and --log-variance go together, --drawn with both")
        return latent.Code(mean, log_variance, drawn or mean) if mean else self["layer"]

    @property
    def detector(self) -> Detector | None:
        """The detector that is named, on the model."""
        if self["detector"] is None:
            return None
        record = load(self["detector"])
        if not isinstance(record, DetectorRecord):
            raise InputError(
                f"{self['detector']} holds a {type(record).__name__}; give what `xaikit anomaly fit` wrote"
            )
        return Detector.of(self.model, record)

    @property
    def labels(self) -> list[str] | None:
        """The class of every sample: by the lines of a file, or by the subfolders of the only folder."""
        if self["labels"] is not None:
            try:
                return Path(self["labels"]).read_text(encoding="utf-8").split("\n")[: len(self.samples)]
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(f"{self['labels']} holds no labels, a line each: {error}") from None
        if len(self.inputs) == 1 and is_folder(self.inputs[0]):
            places = [Path(p) for p in contents(Path(self.inputs[0]), self.model.inputs)]
            names = [p.parent.name for p in places]
            return names if len(set(names)) > 1 else None
        return None


def _grid(asked: Asked) -> Any:
    numbers = {} if asked["numbers"] is None else {"numbers": numbers_in(asked["numbers"])}
    samples = asked.samples if asked.inputs else None
    options = {**numbers, **asked.given(size="size")}
    return latent.grid(asked.model, samples=samples, code=asked.code, detector=asked.detector, **options)


def _interpolate(asked: Asked) -> Any:
    samples = asked.samples
    if len(samples) != 2:
        raise ParameterError(f"interpolate goes from one sample to another, and INPUT holds {len(samples)}")
    options = asked.given(steps="size")
    return latent.interpolate(asked.model, *samples, code=asked.code, detector=asked.detector, **options)


def _to_normal(asked: Asked) -> Any:
    detector = asked.detector
    if detector is None:
        raise ParameterError("to-normal needs --detector, whose normal samples it goes to")
    return latent.to_normal(detector, asked.samples, code=asked.code, **asked.given(steps="size"))


def _traverse(asked: Asked) -> Any:
    samples = asked.samples
    options = asked.given(steps="size", by="by")
    others = samples if len(samples) > 1 else None
    return latent.traverse(asked.model, samples[0], others, code=asked.code, detector=asked.detector, **options)


def _means(asked: Asked) -> Any:
    labels = asked.labels
    if labels is None:
        raise ParameterError("means needs --labels, or one folder with a subfolder for each class")
    return latent.means(asked.model, asked.samples, labels, code=asked.code, detector=asked.detector)


def _arithmetic(asked: Asked) -> Any:
    samples = asked.samples
    if len(samples) != 3:
        raise ParameterError(f"arithmetic takes three samples A B C, and INPUT holds {len(samples)}")
    return latent.arithmetic(asked.model, *samples, code=asked.code, detector=asked.detector)


def _embed(dimensions: int) -> Callable[[Asked], Any]:
    def embed(asked: Asked) -> Any:
        samples, labels, detector, code = asked.samples, asked.labels, asked.detector, asked.code
        scores = None if detector is None else detector.score(samples).values
        layer = code.mean if isinstance(code, latent.Code) else code
        return latent.embed(asked.model, samples, dimensions=dimensions, labels=labels, scores=scores, layer=layer)

    return embed


def _health(asked: Asked) -> Any:
    code = asked.code
    return latent.health(asked.model, asked.samples, code=code if isinstance(code, latent.Code) else None)


def _restore(kind: str) -> Callable[[Asked], Any]:
    def restore(asked: Asked) -> Any:
        levels = None if asked["levels"] is None else _levels(asked["levels"])
        return latent.restore(asked.model, asked.samples, kind, levels, patch=asked["patch"], seed=asked["seed"])

    return restore


def _levels(text: str) -> list[float]:
    try:
        return [float(v) for v in text.split(",")]
    except ValueError:
        raise ParameterError(f"--levels takes numbers by commas, such as 0.1,0.2, not {text!r}") from None


def _words(asked: Asked) -> Any:
    if len(asked.inputs) == 1:
        return latent.nearest_words(asked.model, asked.inputs[0], layer=asked["layer"])
    if len(asked.inputs) == 3:
        return latent.analogy(asked.model, *asked.inputs, layer=asked["layer"])
    raise ParameterError(f"words takes one word, or three for an analogy, not {len(asked.inputs)}")


VIEWS: dict[str, Callable[[Asked], Any]] = {
    "grid": _grid,
    "interpolate": _interpolate,
    "to-normal": _to_normal,
    "traverse": _traverse,
    "means": _means,
    "arithmetic": _arithmetic,
    "embed": _embed(2),
    "embed-3d": _embed(3),
    "health": _health,
    "gallery": lambda asked: latent.gallery(asked.model, asked.samples, **asked.given(count="size")),
    "capacity": lambda asked: latent.capacity(asked.model, asked.samples, seed=asked["seed"]),
    "noise": _restore("noise"),
    "mask": _restore("mask"),
    "inpaint": lambda asked: latent.inpaint(
        asked.model, asked.samples, patch=asked["patch"], seed=asked["seed"], **asked.given(hidden="hidden")
    ),
    "words": _words,
}


@click.command("latent")
@model_options
@click.argument("inputs", nargs=-1, metavar="[INPUT]...")
@click.option("--view", type=click.Choice(list(VIEWS)), required=True, help="What to show; see above.")
@click.option("--detector", type=click.Path(), help="What `xaikit anomaly fit` wrote: adds scores.")
@click.option("--labels", metavar="FILE", help="The class of every sample, a line each; of one folder its subfolders.")
@click.option("--layer", help="The layer of the code, or of --view words; by default the narrowest.")
@click.option("--mean", help="With --log-variance: the layers of a variational code, where their names do not tell.")
@click.option("--log-variance", help="See --mean.")
@click.option("--drawn", help="The layer that draws from both, if there is one.")
@click.option("--numbers", metavar="I,J", help="Of a grid: which numbers of the code.")
@click.option("--size", type=click.IntRange(2), help="Cells on a side of a grid, steps of a way, samples of a gallery.")
@click.option("--by", type=click.Choice(["divergence", "change"]), help="How the rows of a traversal are sorted.")
@click.option("--patch", type=click.IntRange(1), default=4, show_default=True, help="The side of a hidden patch.")
@click.option("--hidden", type=float, help="Of inpaint: the share that is hidden at a time; one patch by default.")
@click.option("--levels", metavar="A,B,...", help="Of noise and mask: standard deviations, or hidden shares.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of every random choice.")
@into("latent")
@as_json
def latent_command(
    model: str,
    framework: str | None,
    allow_code: bool,
    inputs: tuple[str, ...],
    view: str,
    output: Path,
    json_: bool,
    **asked: Any,
) -> None:
    """Show what the code of an autoencoder means, and whether it does its work.

    \b
    grid         what two numbers of the code are decoded to, over the prior of a variational
                 autoencoder, or over the codes of INPUTs
    interpolate  the ways from the first INPUT's code to the second's: a line and an arc
    to-normal    the same from one INPUT to the nearest normal sample of --detector
    traverse     the first INPUT with one number changed at a time, sorted by KL or effect;
                 a code without a prior takes its range from all INPUTs
    means        the mean code of every class; needs --labels
    arithmetic   of three INPUTs A B C the code A - B + C
    embed        INPUTs along two principal components of their codes, coloured by --labels
                 or the scores of --detector; embed-3d along three, as a page that can be turned
    gallery      the INPUTs that come back best, as usual, and worst; --size of each
    health       which numbers are active, and which have collapsed to the prior
    capacity     whether the network copies: noise beside INPUTs
    noise, mask  what comes back of INPUTs with more and more noise, or hidden patches
    inpaint      what is given for each patch that is not shown, and its error
    words        the words nearest to INPUT in the embedding layer; of three words A B C what is to
                 C as B is to A

    \b
    xaikit anomaly latent dense_vae --view grid -o out
    xaikit anomaly latent conv_vae digits/ --view embed-3d -o out
    xaikit anomaly latent conv_vae digits.npy --view traverse --by change
    xaikit anomaly latent lstm_imdb good --view words
    xaikit anomaly latent lstm_imdb good better bad --view words

    Writes VIEW.npz, .json and .png (embed-3d also .html); the paths go to stdout.
    """
    opened = open_model(model, framework, allow_code)
    result = VIEWS[view](Asked(opened, inputs, framework, asked))
    for reason in getattr(getattr(result, "status", None), "reasons", ()):
        click.echo(f"xaikit: {result.status}: {reason}", err=True)
    written = keep(result, output / view)
    if view == "embed-3d":
        written["html"] = _page(result, output / f"{view}.html")
    tell([written], json_)


def _page(result: Any, path: Path) -> str:
    """Write a figure as a page of its own, with all that it needs to be turned without a network."""
    from xaikit.render import plot
    from xaikit.storage import write_atomically

    page = plot(result).to_html(include_plotlyjs=True, full_html=True)
    write_atomically(path, page.encode("utf-8"))
    return str(path.resolve())
