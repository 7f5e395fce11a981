"""From a network object or a file on disk to a Model: finds the adapter of the framework, and asks it."""

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from xaikit import untrusted
from xaikit.errors import (
    MissingPackage,
    ModelError,
    UnknownName,
    UnsafeFile,
    UsageError,
    nearest,
    not_there,
    with_article,
)
from xaikit.inputs import INPUTS, OUTPUTS, specs_from_dict
from xaikit.model import CallableModel, Model, Network

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "xaikit.adapters"
MODELS = "xaikit.models"
DESCRIPTION = "model.toml"
FILES = {".keras": "keras", ".h5": "keras", ".pt2": "torch"}
WEIGHTS = (".safetensors", ".pt", ".pth")
OWN = ("torch", "keras")
"""The frameworks that an extra of xaikit brings."""
PICKLES = (".pkl", ".pickle", ".joblib", ".dill", ".npy", ".bin", ".ckpt")


@cache
def adapters() -> "Mapping[str, EntryPoint]":
    """Give the installed adapters by the root module of their framework, without importing any."""
    from importlib.metadata import entry_points  # takes thirty milliseconds

    return {point.name: point for point in entry_points(group=GROUP)}


def frameworks() -> list[str]:
    """List the installed frameworks that networks of the zoo can be had in, torch first, without importing any.

    An adapter that builds them has a module `building`.
    """
    installed = [n for n, a in adapters().items() if importlib.util.find_spec(n) is not None and _builds(a.module)]
    return sorted(installed, key=lambda name: (name != "torch", name))


def _builds(package: str) -> bool:
    """Whether an adapter has the module that builds networks; asking for it by its full name would import the rest."""
    found = importlib.util.find_spec(package)
    folders = found.submodule_search_locations if found else None
    return folders is not None and PathFinder.find_spec("building", folders) is not None


@cache
def models() -> Mapping[str, Path]:
    """Give the models of installed packages: the `model.toml` of each by its name, without importing any.

    A package names them in the group of entry points `xaikit.models`: the key is the name, the value the package in
    whose folder the description lies. One without a description is left out.
    """
    from importlib.metadata import entry_points  # takes thirty milliseconds

    described = {}
    for point in entry_points(group=MODELS):
        found = importlib.util.find_spec(point.module)
        for folder in (found.submodule_search_locations or ()) if found else ():
            path = Path(folder) / DESCRIPTION
            if path.is_file():
                described[point.name] = path
    return described


def adapter(framework: str) -> ModuleType:
    """Import the adapter package of a framework. Raises UnknownName, or MissingPackage with the pip command."""
    known = adapters()
    if framework not in known:
        raise UnknownName("framework", framework, known)
    purpose, extra = f"{with_article(framework)} model", framework if framework in OWN else None
    if importlib.util.find_spec(framework) is None:
        raise MissingPackage(framework, extra, purpose)
    try:
        return importlib.import_module(known[framework].module)
    except ModuleNotFoundError as error:
        missing = (error.name or framework).partition(".")[0]
        raise MissingPackage(missing, extra, purpose) from error


def wrap(
    net: Any,
    inputs: Any = None,
    outputs: Any = None,
    name: str | None = None,
    layout: Any = None,
    version: str | None = None,
    *,
    weights_id: str | None = None,
) -> Model:
    """Wrap a trained network (torch.nn.Module, keras.Model) or a plain function, and give a Model.

    `inputs` and `outputs` are specs (xk.Image, xk.Classes, ...) or mappings from names to specs. With an input spec
    the public side is (sample, *space or time, channel), and `layout` says what the network takes: "channels-last",
    "channels-first", "time-first", or None to find it. Without a spec nothing is moved. `version` names a function's
    version, which then stands for its fingerprint. Raises ModelError for what is no network.
    """
    described = {
        "inputs": _spec(inputs, INPUTS),
        "outputs": _spec(outputs, OUTPUTS),
        "name": name,
        "layout": layout,
    }
    if layout not in (None, "channels-last", "channels-first", "time-first", "as-given"):
        raise UsageError(f"layout is 'channels-last', 'channels-first', 'time-first' or None, not {layout!r}")
    if isinstance(net, Network):
        raise UsageError(f"{net.name} is wrapped already")
    framework = framework_of(net)
    if framework is not None:
        wrapped: Model = adapter(framework).wrap(net, **described, version=version, weights_id=weights_id)
        return wrapped
    if not callable(net) or isinstance(net, type):
        raise ModelError(_no_network(net))
    return CallableModel(net, **described, version=version, weights_id=weights_id)


def _no_network(net: Any) -> str:
    """Say why this cannot be wrapped, and what can."""
    if isinstance(net, type):
        return f"{net.__name__} is a class, not a network: make one, net = {net.__name__}(...), and wrap that"
    if isinstance(net, str | Path):
        return f"the path {str(net)!r} is no network: xk.load_model opens and wraps a file"
    if isinstance(net, Mapping):
        return f"a {type(net).__name__} is no network: load these weights into one, and wrap that"
    return f"{type(net).__name__} is no network: give a torch.nn.Module, a keras.Model or a function"


def framework_of(net: Any) -> str | None:
    """Name the adapter for an object by the root modules of its classes, or None."""
    for cls in type(net).__mro__:
        root = cls.__module__.partition(".")[0]
        if root in adapters() and cls.__name__ != "function":
            return root
    return None


def _spec(spec: Any, known: Mapping[str, Any]) -> Any:
    """Check that a spec is one, or a mapping of specs."""
    if spec is None or isinstance(spec, tuple(known.values())):
        return spec
    if isinstance(spec, Mapping) and spec:
        return {str(n): _spec(s, known) for n, s in spec.items()}
    example = "xk.Image(224, 224)" if known is INPUTS else "xk.Classes(['cat', 'dog'])"
    kinds = ", ".join("xk." + k for k in known if k != "Raw")
    raise UsageError(f"a spec is one of {kinds}, such as {example}, not {spec!r}")


def load_model(
    path: str | Path,
    inputs: Any = None,
    outputs: Any = None,
    *,
    name: str | None = None,
    layout: Any = None,
    allow_code: bool = False,
) -> Model:
    """Load a model from a file, or one that an installed package has brought by its name, and wrap it.

    A `model.toml` describes one: `framework`, `weights` (a path beside it), `factory` ("module:function", which builds
    the bare network and is imported only with `allow_code=True`, or from an installed package, whose code was allowed
    when it was installed), `name`, `layout`, `version`, and tables [inputs] and [outputs] with `kind` and the fields
    of the spec (several: [inputs.NAME]). Without a description: .keras, .h5 and .pt2 files, which hold the network
    themselves, and what an installed adapter of another framework reads. Raises ModelError, and UnsafeFile for what
    could run code.
    """
    path = Path(models().get(str(path), path))
    if not path.exists():
        known = f", and no installed model of that name{nearest(str(path), models())}" if models() else ""
        raise ModelError(f"{not_there(path, 'model file')}{known}")
    if path.suffix == ".toml":
        return _described(path, allow_code)
    described = {"inputs": inputs, "outputs": outputs, "name": name or path.stem, "layout": layout}
    return wrap(_network(path, _framework(path), None), **described)


def _framework(path: Path) -> str:
    if path.suffix in FILES:
        return FILES[path.suffix]
    if path.suffix in PICKLES:
        raise UnsafeFile(
            f"{path} may be a pickle, which can run code when it is opened; save the model as .keras or .pt2"
        )
    if path.suffix in WEIGHTS:
        raise UnsafeFile(
            f"{path} holds weights without a network; describe it in a model.toml with a factory, or save it as .pt2"
        )
    for name in adapters():
        if name not in FILES.values() and path.suffix in _read_by(name):
            return name
    if path.is_dir():
        raise ModelError(f"{path} is a folder: name the model.toml, .keras, .h5 or .pt2 in it")
    raise ModelError(f"{path} is no model file: give a model.toml, .keras, .h5 or .pt2")


def _read_by(framework: str) -> tuple[str, ...]:
    """Give the suffixes of the files that the adapter of another package reads: what it says in `FILES`, if it can."""
    if importlib.util.find_spec(framework) is None:
        return ()
    return tuple(getattr(adapter(framework), "FILES", ()))


def _network(path: Path, framework: str, factory: Callable[[], Any] | None) -> Any:
    return adapter(framework).load_network(path, factory=factory)


def _described(path: Path, allow_code: bool) -> Model:
    try:
        text = untrusted.toml(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ModelError(f"{path} is not a readable TOML file: {untrusted.brief(error)}") from None
    known = ("framework", "weights", "factory", "name", "layout", "version", "inputs", "outputs")
    for key in text:
        if key not in known:
            raise UnknownName(f"entry of {path.name}", key, known)
    if "weights" not in text:
        raise ModelError(f"{path} has no entry weights: the path of the model's file, relative to it")
    weights = (path.parent / str(text["weights"])).resolve()
    if not weights.exists():
        raise ModelError(f"{path} names weights that are not there: {not_there(weights)}")
    allowed = allow_code or path in models().values()
    factory = _factory(path, text["factory"], allowed) if "factory" in text else None
    framework = str(text.get("framework") or _framework(weights))
    if factory is None:
        _framework(weights)
    specs = {side: specs_from_toml(text[side], path) for side in ("inputs", "outputs") if side in text}
    named = {k: str(text[k]) for k in ("layout", "version") if k in text}
    name = str(text.get("name", path.absolute().parent.name))
    return wrap(_network(weights, framework, factory), **specs, name=name, **named)


def specs_from_toml(table: Any, path: Path) -> Any:
    """Read one spec ({kind, fields}) or several ({name: {kind, fields}}) of a model.toml."""
    if not isinstance(table, Mapping):
        raise ModelError(f"{path}: [inputs] and [outputs] are tables with kind = 'Image', ...")
    try:
        if "kind" in table:
            return specs_from_dict(table)
        return {name: specs_from_dict(spec) for name, spec in table.items()}
    except (TypeError, AttributeError) as error:
        raise ModelError(f"{path}: {error}") from None


def _factory(path: Path, place: str, allow_code: bool) -> Callable[[], Any]:
    if not allow_code:
        raise UnsafeFile(
            f"{path} names a factory, {place}, which is code: allow it with allow_code=True or --allow-code"
        )
    module, _, function = str(place).partition(":")
    try:
        found = getattr(_import(module, path.parent), function)
    except (ImportError, AttributeError) as error:
        raise ModelError(
            f"{path}: the factory {place!r} cannot be imported ({error}); write it as 'module:function'"
        ) from None
    if not callable(found):
        raise ModelError(f"{path}: the factory {place!r} is not a function")
    return found


def _import(module: str, folder: Path) -> ModuleType:
    """Import a module by name, or from a file of that name beside the description."""
    file = folder / f"{module}.py"
    if not file.exists():
        return importlib.import_module(module)
    spec = importlib.util.spec_from_file_location(module, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be imported")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded
