"""The card of a network: what it is, what it was trained on and how, how well it does, and where it fails."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from xaikit.errors import StorageError
from xaikit.inputs import plain, specs_from_dict, specs_to_dict

if TYPE_CHECKING:
    from xaikit.zoo.networks import Network

SCHEMA = 1


@dataclass(frozen=True, eq=False)
class Trained:
    """How a network's weights came about, and how well they do on the test part.

    seed; epochs: how many ran; best_epoch: whose weights were kept (from 1); curve: one entry per epoch; metrics: see
    `zoo.judging`; sha256: of the weights file; weights_id: equal in both frameworks; trained_with: versions by package;
    device: "cpu" or "cuda".
    """

    seed: int
    epochs: int
    best_epoch: int
    samples: Mapping[str, int]
    metrics: Mapping[str, Any]
    curve: tuple[Mapping[str, Any], ...]
    file: str
    sha256: str
    weights_id: str
    date: str
    trained_with: Mapping[str, str]
    device: str = "cpu"


@dataclass(frozen=True, eq=False)
class Card:
    """What a reader must know of a network; `trained` is None where no weights are shipped or kept."""

    name: str
    title: str
    task: str
    inputs: Any
    outputs: Any
    data: Mapping[str, str]
    recipe: Mapping[str, Any]
    parameters: Mapping[str, int]
    limits: tuple[str, ...]
    trained: Trained | None = None

    def to_dict(self) -> dict[str, Any]:
        """The card as JSON types."""
        shown = {f.name: getattr(self, f.name) for f in fields(self)}
        shown |= {"inputs": specs_to_dict(self.inputs), "outputs": specs_to_dict(self.outputs)}
        return {"schema": SCHEMA, **shown, "trained": asdict(self.trained) if self.trained else None}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Card":
        """A card from JSON types. Raises StorageError for a schema or content that is not a card."""
        if stored.get("schema") != SCHEMA:
            raise StorageError(f"the card has schema {stored.get('schema')!r}, this version reads {SCHEMA}")
        known = {k: v for k, v in stored.items() if k != "schema"}
        try:
            trained = Trained(**known.pop("trained")) if known.get("trained") else known.pop("trained")
            specs = {k: specs_from_dict(known.pop(k)) for k in ("inputs", "outputs")}
            return cls(**{**known, "limits": tuple(known["limits"])}, **specs, trained=trained)
        except (TypeError, KeyError, AttributeError) as error:
            raise StorageError(f"the card is damaged: {error}") from None


def blank(entry: "Network") -> Card:
    """The card of a network that is not trained yet."""
    from xaikit import data

    described = data.load(entry.data)
    return Card(
        name=entry.name,
        title=entry.title,
        task=entry.task,
        inputs=entry.inputs,
        outputs=entry.outputs,
        data={k: getattr(described, k) for k in ("name", "origin", "licence", "split")},
        recipe=plain(asdict(entry.recipe)),
        parameters={"total": entry.architecture.total, "trainable": entry.architecture.trainable},
        limits=entry.limits,
    )
