"""What an app is started with."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from xaikit import wrapping, zoo
from xaikit.errors import ParameterError, UnknownName
from xaikit.jobs import Recipe
from xaikit.jobs.store import default_folder
from xaikit.wrapping import FILES

MIB = 2**20
AUTH = ("none", "basic", "proxy")
PREFIX = re.compile(r"/([A-Za-z0-9_.~-]+/)*")


@dataclass(frozen=True)
class Settings:
    """How an app is served, and with what.

    `models` are names of the zoo or of installed packages, paths of model files, or wrapped models; empty: every
    trained network of the zoo.
    `data` is a folder of data sets (None: the one that XAIKIT_DATA names), `cache` the folder of results and of what
    people upload (None: the user's). At most `queue` jobs wait for `workers` processes, at most `per_session` wait and
    run for one session; an upload has at most `max_upload_mb` MiB, a picture `max_pixels`, an array
    `max_values`, a table `max_rows` and `max_columns` with entries of at most `max_cell` characters, and a text
    `max_text` characters.

    `broker` is the Redis of a cluster, as redis://host:6379/0: its workers (`xaikit worker`) then do what is asked
    instead of processes of this machine, and put results into `store`, a folder that all see or a URL as s3://bucket.

    `secret` signs the cookies of sessions (empty: a random one that is kept in the folder); a session, and what it
    gave, lasts `keep_days` after its last page; what it gave takes at most `max_session_mb` MiB, that of all sessions
    `max_kept_mb`. A `personal` app has one session for all its pages and needs no cookie, as in a notebook. `prefix` is
    the path that the app is served under.

    `auth` is "none", "basic" (names and passwords of the file `users`) or "proxy" (the name that a proxy sends in the
    header `user_header`). What a proxy says is believed where its address is in `trusted_proxy`: addresses, networks,
    or "unix" for a socket file. `hosts` are the names that the app answers as (empty: this machine's own where it
    listens on no other, else any).

    `study` names folders of studies that the page Reports shows, `audit` is the URL of the database of the page Audit,
    as sqlite:///audit.db (None: each session has a file of its own).
    Raises ParameterError for a value outside its range.
    """

    models: tuple[Any, ...] = ()
    data: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8050
    cache: Path | None = None
    workers: int = 1
    queue: int = 64
    per_session: int = 16
    broker: str | None = field(default=None, repr=False)
    store: str | None = None
    max_upload_mb: float = 10.0
    max_pixels: int = 40_000_000
    max_values: int = 50_000_000
    max_rows: int = 100_000
    max_columns: int = 4_000
    max_cell: int = 10_000
    max_text: int = 100_000
    max_session_mb: float = 100.0
    max_kept_mb: float = 2000.0
    allow_code: bool = False
    title: str = "xaikit"
    secret: str = field(default="", repr=False)
    keep_days: float = 7.0
    personal: bool = False
    prefix: str = "/"
    auth: str = "none"
    users: Path | None = None
    trusted_proxy: tuple[str, ...] = ()
    user_header: str = "X-Remote-User"
    hosts: tuple[str, ...] = ()
    study: tuple[Path, ...] = ()
    audit: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("models", "trusted_proxy", "hosts"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "study", tuple(map(Path, self.study)))
        for name, low, high in (("port", 0, 65535), ("workers", 1, 64), ("queue", 1, 10_000), ("per_session", 1, 1000)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ParameterError(f"{name} must be from {low} to {high}, not {value}")
        for name in (n for n in vars(self) if n.startswith("max_")):
            if not getattr(self, name) > 0:
                raise ParameterError(f"{name} must be positive, not {getattr(self, name)}")
        if not 0 < self.keep_days <= 366:
            raise ParameterError(f"keep_days must be above 0 and at most 366, not {self.keep_days}")
        if self.secret and len(self.secret) < 32:
            raise ParameterError("a secret has at least 32 characters: take 64 random ones")
        if self.audit is not None and "://" not in self.audit:
            raise ParameterError("audit is the URL of a database: sqlite:///audit.db for the file audit.db")
        if not PREFIX.fullmatch(self.prefix):
            raise ParameterError(f"prefix is a path as in /xaikit/, with a slash at both ends, not {self.prefix!r}")
        for folder in self.study:
            if not (folder / "plan.toml").is_file():
                raise ParameterError(f"study names no folder of a study: {folder} has no plan.toml")
        self._check_login()
        if self.data is not None and not Path(self.data).is_dir():
            raise ParameterError(f"data names no folder: {self.data}")

    def _check_login(self) -> None:
        if self.auth not in AUTH:
            raise ParameterError(f"auth is one of {', '.join(AUTH)}, not {self.auth!r}")
        if self.auth != "none" and self.personal:
            raise ParameterError("a personal app has nobody to log in: leave out auth or personal")
        if self.auth == "basic" and (self.users is None or not Path(self.users).is_file()):
            raise ParameterError("auth basic needs a file of users: xaikit app --users FILE --add-user NAME makes one")
        if self.auth == "proxy" and not self.trusted_proxy:
            raise ParameterError("auth proxy needs the address of the proxy, or anybody could send a name")
        for given in self.trusted_proxy:
            try:
                ip_network(given, strict=False) if given != "unix" else None
            except ValueError:
                raise ParameterError(f"trusted_proxy has addresses, networks or unix, not {given!r}") from None

    @property
    def folder(self) -> Path:
        """The folder of results, of what people gave, and of the app's own keys."""
        return Path(self.cache) if self.cache else default_folder()

    @property
    def max_upload_bytes(self) -> int:
        """The limit of an upload in bytes."""
        return int(self.max_upload_mb * MIB)

    @property
    def max_session_bytes(self) -> int:
        """The limit of what a session keeps, in bytes."""
        return int(self.max_session_mb * MIB)

    @property
    def max_kept_bytes(self) -> int:
        """The limit of what all sessions keep, in bytes."""
        return int(self.max_kept_mb * MIB)


VARIABLE = "XAIKIT_APP_"


def from_environment(given: Mapping[str, str], **otherwise: Any) -> Settings:
    """Read settings from variables, XAIKIT_APP_MODELS for `models` and so on; lists are separated by spaces.

    `otherwise` are settings that no variable names. Raises UnknownName for a variable of no setting, ParameterError.
    """
    known = {f"{VARIABLE}{f.name.upper()}": f for f in fields(Settings)}
    found = dict(otherwise)
    for variable, text in given.items():
        if variable.startswith(VARIABLE):
            if variable not in known:
                raise UnknownName("variable", variable, known)
            found[known[variable].name] = _from_text(variable, str(known[variable].type), text)
    return Settings(**found)


def _from_text(variable: str, kind: Any, text: str) -> Any:
    """Turn the text of a variable into what a setting of that type takes."""
    if "tuple" in kind:
        return tuple(shlex.split(text))
    if "bool" in kind:
        if text.lower() not in TRUTHS:
            raise ParameterError(f"{variable} is one of {', '.join(TRUTHS)}, not {text!r}")
        return TRUTHS[text.lower()]
    try:
        return (
            int(text) if "int" in kind else float(text) if "float" in kind else Path(text) if "Path" in kind else text
        )
    except ValueError:
        raise ParameterError(f"{variable} is a number, not {text!r}") from None


TRUTHS = {"yes": True, "no": False, "true": True, "false": False, "1": True, "0": False}


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
    """Give the models on offer by name. Raises UnknownName for a name of no file, network of the zoo or package."""
    asked = settings.models or tuple(name for name in zoo.names() if zoo.card(name).trained is not None)
    found = [_choice(item, settings.allow_code) for item in asked]
    if not found:
        raise UnknownName("model", "", zoo.names())
    return {choice.name: choice for choice in found}


def _choice(item: Any, allow_code: bool) -> Choice:
    if not isinstance(item, str | Path):
        return Choice(item.name, item.name, {}, item)
    recipe = Recipe(str(item), allow_code=allow_code)
    path = recipe.path
    if path is not None:
        recipe.source()  # says at once when there is no such file
        framework = FILES.get(path.suffix, "")
        if not recipe.is_file:
            return Choice(recipe.name, recipe.name, {framework: recipe})
        name = path.parent.name if path.name == "model.toml" and path.parent.name else path.stem
        return Choice(name, name, {framework: recipe})
    title = zoo.card(recipe.name).title
    return Choice(recipe.name, title, {f: Recipe(recipe.name, f) for f in wrapping.frameworks()})
