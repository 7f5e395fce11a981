"""What an app is started with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xaikit import wrapping, zoo
from xaikit.errors import ParameterError, UnknownName
from xaikit.jobs import Recipe
from xaikit.wrapping import FILES

MIB = 2**20


@dataclass(frozen=True)
class Settings:
    """How an app is served, and with what.

    `models` are names of the zoo, paths of model files, or wrapped models; empty: every trained network of the zoo.
    `data` is a folder of data sets (None: the one that XAIKIT_DATA names), `cache` the folder of results and of what
    people upload (None: the user's). At most `queue` jobs wait for `workers` processes; an upload has at most
    `max_upload_mb` MiB and a picture `max_pixels`. Raises ParameterError for a value outside its range.
    """

    models: tuple[Any, ...] = ()
    data: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8050
    cache: Path | None = None
    workers: int = 1
    queue: int = 64
    max_upload_mb: float = 10.0
    max_pixels: int = 40_000_000
    allow_code: bool = False
    title: str = "xaikit"

    def __post_init__(self) -> None:
        object.__setattr__(self, "models", tuple(self.models))
        for name, low, high in (("port", 0, 65535), ("workers", 1, 64), ("queue", 1, 10_000)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ParameterError(f"{name} must be from {low} to {high}, not {value}")
        if not self.max_upload_mb > 0:
            raise ParameterError(f"max_upload_mb must be positive, not {self.max_upload_mb}")
        if self.data is not None and not Path(self.data).is_dir():
            raise ParameterError(f"data names no folder: {self.data}")

    @property
    def max_upload_bytes(self) -> int:
        """The limit of an upload in bytes."""
        return int(self.max_upload_mb * MIB)


@dataclass(frozen=True)
class Choice:
    """One model that the app offers: its name, the recipes to load it by framework, or the model itself."""

    name: str
    title: str
    recipes: dict[str, Recipe]
    model: Any = None

    @property
    def frameworks(self) -> tuple[str, ...]:
        """The frameworks that it can be had in."""
        return (self.model.framework,) if self.model is not None else tuple(self.recipes)


def choices(settings: Settings) -> dict[str, Choice]:
    """Give the models on offer by name. Raises UnknownName for a name that is neither file nor network of the zoo."""
    asked = settings.models or tuple(name for name in zoo.names() if zoo.card(name).trained is not None)
    found = [_choice(item, settings.allow_code) for item in asked]
    if not found:
        raise UnknownName("model", "", zoo.names())
    return {choice.name: choice for choice in found}


def _choice(item: Any, allow_code: bool) -> Choice:
    if not isinstance(item, str | Path):
        return Choice(item.name, item.name, {}, item)
    recipe = Recipe(str(item), allow_code=allow_code)
    if recipe.is_file:
        recipe.source()  # says at once when there is no such file
        path = Path(item)
        framework = FILES.get(path.suffix, "")
        name = path.parent.name if path.name == "model.toml" and path.parent.name else path.stem
        return Choice(name, f"{path.name}", {framework: recipe})
    title = zoo.card(recipe.name).title
    return Choice(recipe.name, title, {f: Recipe(recipe.name, f) for f in wrapping.frameworks()})
