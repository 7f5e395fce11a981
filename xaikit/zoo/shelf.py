"""Where weights and cards lie: first the user's cache, then the package xaikit_weights; every file is checked."""

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import ParameterError, StorageError
from xaikit.storage import write_atomically
from xaikit.zoo.building import check_weights, weights_id
from xaikit.zoo.cards import Card
from xaikit.zoo.networks import Network

PACKAGE = "xaikit_weights"


def cache_folder() -> Path:
    """Give the folder for networks that were trained here: XAIKIT_CACHE, or the platform's folder for caches."""
    named = os.environ.get("XAIKIT_CACHE")
    if named:
        return Path(named).expanduser() / "zoo"
    if sys.platform == "win32":
        home = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        home = Path.home() / "Library" / "Caches"
    else:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "xaikit" / "zoo"


@dataclass(frozen=True, eq=False)
class Shelf:
    """A folder with NAME.json and the weights file that it names."""

    folder: Traversable

    def card(self, name: str) -> Card | None:
        """Give the card of a trained network, or None where it is not here. Raises StorageError when it is damaged."""
        path = self.folder / f"{name}.json"
        if not path.is_file():
            return None
        try:
            card = Card.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, OSError, AttributeError) as error:
            raise StorageError(f"{path} is damaged: {error}") from None
        if card.trained is None or card.name != name:
            raise StorageError(f"{path} is not the card of a trained {name}")
        return card

    def weights(self, entry: Network, card: Card) -> dict[str, Array]:
        """Give the weights that a card describes. Raises StorageError when the file is not the one of the card."""
        assert card.trained is not None
        path = self.folder / card.trained.file
        try:
            content = path.read_bytes()
        except OSError as error:
            raise StorageError(f"{path} cannot be read: {error}") from None
        found = hashlib.sha256(content).hexdigest()
        if found != card.trained.sha256:
            raise StorageError(
                f"{path} has SHA-256 {found[:12]}…, its card says {card.trained.sha256[:12]}…: delete both files"
            )
        weights = _parsed(content, path)
        try:
            check_weights(entry.architecture, weights)
        except ParameterError as error:
            raise StorageError(f"{path}: {error}") from None
        if weights_id(weights, entry.name) != card.trained.weights_id:
            raise StorageError(f"{path} holds other weights than its card says: delete both files")
        return weights


def shelves() -> Iterator[Shelf]:
    """Give the places to look in, in order."""
    yield Shelf(cache_folder())
    if find_spec(PACKAGE) is not None:
        yield Shelf(files(PACKAGE))


def packed(weights: Mapping[str, Array], architecture_name: str) -> bytes:
    """Give weights as the bytes of a safetensors file."""
    from safetensors.numpy import save

    ordered = {name: np.ascontiguousarray(weights[name]) for name in sorted(weights)}
    return save(ordered, metadata={"architecture": architecture_name})


def put(folder: Path, card: Card, content: bytes) -> None:
    """Write weights, then the card that names them; a reader sees the old pair or the new one, never a mixture."""
    assert card.trained is not None
    try:
        write_atomically(folder / card.trained.file, content)
        write_atomically(
            folder / f"{card.name}.json", json.dumps(card.to_dict(), indent=1, ensure_ascii=False).encode()
        )
        for old in folder.glob(f"{card.name}-*.safetensors"):
            if old.name != card.trained.file:
                old.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error}; name another folder in XAIKIT_CACHE") from None


def _parsed(content: bytes, path: Traversable) -> dict[str, Array]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return dict(load(content))
    except (SafetensorError, ValueError, KeyError) as error:
        raise StorageError(f"{path} is no readable safetensors file: {error}") from None
