"""An atlas: the cards of all units of some layers, made once and looked up by their address."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xaikit import storage
from xaikit.attribution import require_wrapped
from xaikit.attribution._rectified import RELUS
from xaikit.errors import Cancelled, NotSupported, ParameterError, StorageError, UsageError, XaikitError
from xaikit.graph import Layer
from xaikit.inputs import specs_to_dict
from xaikit.insight._samples import Samples
from xaikit.insight._survey import survey
from xaikit.insight._unit_card import Asked, cards_of, channels_in, described
from xaikit.jobs.unit import plain
from xaikit.model import Model
from xaikit.report._atlas_pages import Entry, Front, index_page, thumbnail, unit_page
from xaikit.report._names import distinct, safe
from xaikit.results import Survey, UnitCard
from xaikit.storage import write_atomically

Told = Callable[[float, int, str], None]
"""Called with how many units are done, of how many, and what is being done."""
PAGE, DATA, SURVEY = "index.html", "atlas.json", "survey"
KIND, SCHEMA = "xaikit atlas", 1
BATCH = 64
"""How many channels are maximised, and kept, at a time."""
WITH_KERNELS = ("conv", "conv_transposed", "dense")


@dataclass(frozen=True)
class Failed:
    """A unit, or with `channel` None a whole layer, that has no card, and why."""

    layer: str
    channel: int | None
    error: str


@dataclass(frozen=True)
class Atlas:
    """Where an atlas is, how many cards were `made` now, how many there were before, and which `failed`."""

    page: Path
    made: int
    kept: int
    failed: tuple[Failed, ...]


def write_atlas(
    model: Model,
    folder: str | os.PathLike[str],
    samples: Any,
    layers: Sequence[str] | None = None,
    channels: Sequence[int] | None = None,
    *,
    k: int = 9,
    per_sample: int = 1,
    projection: Any = "auto",
    optimum: bool = True,
    steps: int | None = None,
    seed: int = 0,
    title: str = "",
    command: str = "",
    progress: Told | None = None,
) -> Atlas:
    """Make the cards of all channels of some layers, and pages to look them up in, in a folder.

    `layers` None = every convolution and dense layer, behind its ReLU where it has one; `channels` None = all. The
    samples, a folder, list or batch, are read once for each layer; optima are made 64 channels at a time. Each card is
    kept as soon as it is made, so that after an interruption the same call goes on where it was, and a call for more
    layers or channels adds them. LAYER/CHANNEL.html is the page of a unit, LAYER/CHANNEL.json its card for xk.load, and
    index.html shows all; nothing of it needs a network or a script. A unit that cannot be made is in `failed`, and is
    tried again by the next call.

    Raises UsageError where the folder holds an atlas of another model, other samples or other parameters, or something
    else; UnknownName, ParameterError, InputError as xk.unit_card does, before anything is written.
    """
    require_wrapped(model, "atlas")
    asked = Asked(k, per_sample, projection, optimum, steps, seed)
    read = Samples(model, samples)
    names = list(dict.fromkeys(layers)) if layers is not None else default_layers(model)
    wanted, failed = _wanted(model, names, channels)
    target = Path(folder).absolute()
    identity = _identity(model, read, asked)
    shelf = _Shelf.opened(target, identity, wanted)
    told = _Told(progress, sum(map(len, wanted.values())))
    made = 0
    for layer, numbers in wanted.items():
        missing = [c for c in numbers if not shelf.has(layer, c)]
        told.done += len(numbers) - len(missing)
        told(0, f"{layer}: {len(numbers) - len(missing)} cards were there")
        if missing:
            errors = _filled(model, read, shelf, layer, missing, asked, told)
            failed += errors
            made += len(missing) - len(errors)
    kept = sum(map(len, wanted.values())) - made - sum(f.channel is not None for f in failed)
    front = Front(title or f"Units of {model.name}", model.name, model.framework, identity, command)
    shelf.write_index(front, failed)
    return Atlas(target / PAGE, made, kept, tuple(failed))


def default_layers(model: Model) -> list[str]:
    """List the layers with filters, each by the ReLU behind it where it has one. Raises NotSupported."""
    layers = model.layers
    found = []
    for name, layer in layers.items():
        if layer.kind in WITH_KERNELS:
            behind = [n for n, other in layers.items() if other.parents == (name,) and other.kind in RELUS]
            found.append(behind[0] if behind else name)
    if not found:
        raise NotSupported(f"{model.name} shows no layer with filters: name some layers")
    return list(dict.fromkeys(found))


def _wanted(
    model: Model, names: Sequence[str], channels: Sequence[int] | None
) -> tuple[dict[str, list[int]], list[Failed]]:
    """Give the channels of each layer; layers without channels that can be counted are failures."""
    found: dict[str, list[int]] = {}
    failed: list[Failed] = []
    for layer in [described(model, name) for name in names]:
        try:
            count = channels_in(model, layer)
        except ParameterError as error:
            failed.append(Failed(layer.name, None, str(error)))
            continue
        found[layer.name] = _within(layer, count, channels)
    return found, failed


def _within(layer: Layer, count: int, channels: Sequence[int] | None) -> list[int]:
    if channels is None:
        return list(range(count))
    wrong = [c for c in channels if not 0 <= c < count]
    if wrong:
        raise ParameterError(f"layer {layer.name!r} has the channels 0 to {count - 1}, not {wrong[0]}")
    return sorted(set(channels))


def _identity(model: Model, samples: Samples, asked: Asked) -> dict[str, Any]:
    """Say what decides the cards: the model, the samples, and what was asked of each."""
    found = {
        "model": {
            "name": model.name,
            "framework": model.framework,
            "fingerprint": model.fingerprint(),
            "inputs": plain(specs_to_dict(model.inputs)),
        },
        "samples": {"count": samples.total, "sha256": samples_digest(samples)},
        "parameters": asdict(asked),
    }
    return dict(json.loads(json.dumps(found)))


def samples_digest(samples: Samples) -> str:
    """SHA-256 over the names and contents of the samples. Raises UsageError for a stream."""
    if samples.items is None:
        raise UsageError("an atlas reads its samples again: give a folder, a list or a batch, not a stream")
    digest = hashlib.sha256()
    for n, item in enumerate(samples.items):
        name = samples.name(n)
        value = Path(item) if name and isinstance(item, str) else item
        digest.update(json.dumps([name, plain(value)], sort_keys=True).encode())
    return digest.hexdigest()


# ---------------------------------------------------------------- what is there


class _Shelf:
    """The folder of an atlas: a folder for each layer, with a card and a page for each unit."""

    def __init__(
        self, folder: Path, identity: Mapping[str, Any], places: Mapping[str, str], wanted: Mapping[str, Sequence[int]]
    ) -> None:
        self.folder, self.identity, self.places, self.wanted = folder, identity, dict(places), wanted

    def numbers(self, layer: str) -> list[int]:
        """List the units of a layer that have a page."""
        found = (self.folder / self.places[layer]).glob("*.html")
        return sorted(int(p.stem) for p in found if p.stem.isdecimal())

    @classmethod
    def opened(cls, folder: Path, identity: Mapping[str, Any], wanted: Mapping[str, Sequence[int]]) -> "_Shelf":
        """Start an atlas, or go on with one. Raises UsageError where it is another one's folder."""
        before = _stored(folder)
        if before is not None and before["identity"] != identity:
            differing = ", ".join(_differing(before["identity"], identity))
            raise UsageError(f"{folder} holds an atlas with {differing}: choose another folder")
        known: dict[str, str] = {} if before is None else before["layers"]
        new = [layer for layer in wanted if layer not in known]
        named = distinct([*known.values(), *(safe(layer) for layer in new)])[len(known) :]
        shelf = cls(folder, identity, {**known, **dict(zip(new, named, strict=True))}, wanted)
        shelf.note([] if before is None else before["failed"])
        return shelf

    def note(self, failed: Sequence[Mapping[str, Any]]) -> None:
        """Write down what this is an atlas of."""
        found = {"kind": KIND, "schema": SCHEMA, "identity": self.identity, "layers": self.places, "failed": failed}
        self.write(DATA, json.dumps(found, indent=1, ensure_ascii=False).encode())

    def write(self, place: str, data: bytes) -> None:
        """Write a file of the atlas, whole or not at all. Raises StorageError."""
        try:
            write_atomically(self.folder / place, data)
        except OSError as error:
            raise StorageError(f"the atlas cannot be written to {self.folder}: {error.strerror or error}") from None

    def card(self, layer: str, channel: int) -> UnitCard | None:
        """Give a card; None where there is none, or a damaged one."""
        return _loaded(self.folder / self.places[layer] / f"{channel}.json", UnitCard)

    def has(self, layer: str, channel: int) -> bool:
        """Whether there is a card with its page; of a card alone the page is made."""
        place = self.folder / self.places[layer] / str(channel)
        files = [place.with_name(f"{channel}{suffix}") for suffix in (".json", ".npz", ".html")]
        if all(f.is_file() for f in files):
            return True
        card = self.card(layer, channel) if files[0].is_file() else None
        if card is not None:
            self.show(card)
        return card is not None

    def put(self, card: UnitCard) -> None:
        """Keep a card and its page; the card's .json comes last but for the page, which can be made from it."""
        storage.save(card, self.folder / self.places[card.layer] / str(card.channel))
        self.show(card)

    def show(self, card: UnitCard) -> None:
        """Write the page of a unit, and its picture for the index."""
        place = f"{self.places[card.layer]}/{card.channel}"
        picture = thumbnail(card)
        if picture is not None:
            self.write(f"{place}.webp", picture)
        known = sorted({*self.numbers(card.layer), *self.wanted.get(card.layer, ())})
        self.write(f"{place}.html", unit_page(card, known))

    def survey(self, layer: str) -> Survey | None:
        """Give what the pass over the samples found, if there was one."""
        return _loaded(self.folder / self.places[layer] / f"{SURVEY}.json", Survey)

    def keep_survey(self, found: Survey) -> None:
        """Keep what the pass over the samples found."""
        storage.save(found, self.folder / self.places[found.layer] / SURVEY)

    def write_index(self, front: Front, failed: Sequence[Failed]) -> None:
        """Write the page of all units that are there, and which are not."""
        groups = {layer: list(self._entries(layer)) for layer in self.places}
        surveys = {layer: self.survey(layer) for layer in self.places}
        self.note([asdict(f) for f in failed])
        self.write(PAGE, index_page(front, groups, surveys, [(f.layer, f.channel, f.error) for f in failed]))

    def _entries(self, layer: str) -> Iterator[Entry]:
        found = self.survey(layer)
        for channel in self.numbers(layer):
            name = f"{self.places[layer]}/{channel}"
            picture = f"{name}.webp" if (self.folder / f"{name}.webp").is_file() else ""
            yield Entry(channel, f"{name}.html", picture, {} if found is None else found.of(channel))


def _stored(folder: Path) -> dict[str, Any] | None:
    """Read what an atlas says of itself; None for an empty or new folder. Raises UsageError for anything else."""
    if not (folder / DATA).exists():
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is a file; an atlas needs a folder")
        if (folder / PAGE).exists():
            raise UsageError(f"{folder / PAGE} is there already and is no atlas: choose another folder")
        return None
    try:
        found = json.loads((folder / DATA).read_text(encoding="utf-8"))
        if found["kind"] == KIND and found["schema"] == SCHEMA:
            return dict(found)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise UsageError(f"{folder / DATA} is no description of an atlas that this version reads: choose another folder")


def _differing(before: Any, now: Any, at: str = "") -> Iterator[str]:
    """Say in what two identities differ."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in dict.fromkeys([*before, *now]):
            yield from _differing(before.get(name), now.get(name), f"{at} {name}".strip())
    elif before != now:
        short = [f"{str(v)[:12]}…" if len(str(v)) > 40 else str(v) for v in (before, now)]
        yield f"{at} {short[0]}, not {short[1]}"


def _loaded(path: Path, kind: type) -> Any:
    if not path.is_file():
        return None
    try:
        found = storage.load(path)
    except StorageError:
        return None
    return found if isinstance(found, kind) else None


# ---------------------------------------------------------------- what is made


class _Told:
    """How far all units are."""

    def __init__(self, progress: Told | None, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def __call__(self, part: float, said: str) -> None:
        if self.progress is not None:
            self.progress(self.done + part, self.total, said)


def _filled(
    model: Model,
    samples: Samples,
    shelf: _Shelf,
    layer: str,
    channels: Sequence[int],
    asked: Asked,
    told: _Told,
) -> list[Failed]:
    """Make the cards of some channels of one layer, and give those that failed."""
    found = shelf.survey(layer)
    if found is None:

        def read(done: int, total: int) -> None:
            told(0, f"{layer}: sample {done} of {total}")

        try:
            found = survey(model, samples, layer, None, asked.k, asked.per_sample, read)
        except NotSupported as error:
            told.done += len(channels)
            return [Failed(layer, None, str(error))]
        shelf.keep_survey(found)
    failed: list[Failed] = []
    todo = [list(channels[i : i + BATCH]) for i in range(0, len(channels), BATCH)]
    while todo:
        batch = todo.pop(0)
        left = list(batch)

        def steps(done: int, total: int, of: list[int] = batch) -> None:
            told(len(of) * done / max(total, 1), f"{layer}: step {done} of {total}")

        try:
            for card in cards_of(model, samples, found, layer, batch, asked, steps):
                shelf.put(card)
                left.remove(card.channel)
        except Cancelled:
            raise
        except (XaikitError, MemoryError) as error:
            if len(left) > 1:  # one of them fails, or all are too many
                middle = (len(left) + 1) // 2
                todo[:0] = [left[:middle], left[middle:]]
                batch = [c for c in batch if c not in left]
            else:
                failed.append(Failed(layer, left[0], str(error) or "not enough memory"))
        told.done += len(batch)
        told(0, f"{layer}: {len(channels) - sum(map(len, todo))} of {len(channels)} cards")
    return failed
