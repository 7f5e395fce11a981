"""The technical annex of a record: one page for who checks it, with every number, and figures that stand alone."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from xaikit.audit._events import Event
from xaikit.audit._language import room
from xaikit.audit._letter import Letter, by_columns, letter_from
from xaikit.audit._record import AuditRecord
from xaikit.errors import XaikitError
from xaikit.inputs import Table
from xaikit.results import Attribution, Attributions

Rows = list[tuple[str, str]]
WIDTH = 1100
"""Pixels of a figure's width."""
MOST = 400
"""Letters of a value that are shown; all of it is in record.json."""


def explained(record: AuditRecord) -> Attribution | Attributions | None:
    """Give the explanation on record as a result; None where its input is not there."""
    if record.x is None:
        return None
    several = isinstance(record.x, Mapping)

    def one(name: str | None) -> Attribution:
        def of(field: str) -> Any:
            found = getattr(record, field)
            return found if name is None else found[name]

        return Attribution(
            **{f: of(f) for f in ("values", "parts", "part_values", "x", "display", "input_spec")},
            axes=tuple(of("axes")),
            output_spec=record.output_spec,
            prediction=record.prediction,
            target=(record.target,),
            target_labels=(record.target_label,),
            quality={n: np.array([v]) for n, v in record.quality.items()},
            status=record.status,
            origin=record.origin,
            layer=record.layer,
        )

    return Attributions({n: one(n) for n in record.x}) if several else one(None)


def figures(record: AuditRecord) -> dict[str, bytes]:
    """Draw what a record holds as PNG files: the explanation, and the counterfactuals where there are any."""
    from xaikit.render import png

    drawn: dict[str, bytes] = {}
    for name, result in (("explanation", explained(record)), ("counterfactual", record.counterfactual)):
        if result is None:
            continue
        try:
            drawn[name] = png(result, width=WIDTH)
        except XaikitError:
            continue
    return drawn


def annex(record: AuditRecord, events: list[Event], drawn: Mapping[str, bytes], erased: bool = False) -> str:
    """Write the page. `drawn` are figures by name, as PNG; they are put into the page itself."""
    pictures = [(name, _alt(record, name), b64encode(data).decode()) for name, data in drawn.items()]
    privacy = "erased" if erased else record.privacy
    return str(
        room()
        .get_template("annex.html")
        .render(
            record=replace(record, privacy=privacy),
            groups=_groups(record),
            columns=_columns(record),
            ways=_ways(record),
            pictures=pictures,
            events=[_told(e) for e in events],
            letters=[(e, _letter(e)) for e in events if "letter" in e.content],
        )
    )


def _letter(event: Event) -> Letter:
    return letter_from(event.content["letter"])


def _alt(record: AuditRecord, name: str) -> str:
    if name == "explanation":
        return f"What {record.origin.method} says of {record.target_label}; the numbers are in the table of columns."
    return "Changes after which the model decides otherwise; the numbers are in the table of changes."


def _groups(record: AuditRecord) -> list[tuple[str, Rows]]:
    """Everything but arrays, in groups, without what is not there."""
    origin = record.origin
    told: list[tuple[str, dict[str, Any]]] = [
        (
            "Decision",
            {
                **{n: getattr(record, n) for n in ("decision", "taken", "threshold", "scores", "involvement")},
                **{n: getattr(record, n) for n in ("author", "recipient", "retention", "until")},
            },
        ),
        (
            "Model",
            {
                **{n: getattr(origin, n) for n in ("model", "framework", "fingerprint", "weights_id")},
                **{n: getattr(record, n) for n in ("source", "card_hash", "preprocessing")},
            },
        ),
        (
            "Question",
            {
                **{"method": origin.method, "parameters": origin.parameters, "target": record.target_label},
                **{"score": origin.score, "seed": origin.seed, "layer": record.layer},
                **{"input hash": origin.input_hash[0], "kind of the hash": record.input_hash_kind},
            },
        ),
        (
            "Evidence",
            {
                **{"status": "; ".join([str(record.status), *record.status.reasons]), "level": record.evidence},
                **{n.replace("_", " "): v for n, v in record.quality.items()},
                "second method": record.second and {n: v for n, v in record.second.items() if n != "values"},
                "not there": record.without,
            },
        ),
        (
            "Environment",
            {
                **{"device": origin.device, "system": record.system, "versions": origin.versions},
                **{"seconds": origin.seconds, "model calls": origin.model_calls},
            },
        ),
        (
            "Place in the chain",
            {
                **{"entry": record.id, "schema": record.schema, "created": record.created, "clock": record.clock},
                **{"hash": record.hash, "previous": record.previous},
            },
        ),
    ]
    return [(title, [(n, _said(v)) for n, v in own.items() if v is not None and v != {}]) for title, own in told]


def _said(value: Any) -> str:
    """A value in words, long ones cut."""
    if isinstance(value, Mapping):
        text = ", ".join(f"{n} {_said(v)}" for n, v in value.items())
    elif isinstance(value, np.ndarray):
        text = f"array {value.dtype} {value.shape}"
    elif isinstance(value, float):
        text = f"{value:.6g}"
    elif isinstance(value, list | tuple):
        text = ", ".join(map(_said, value))
    else:
        text = str(value)
    return text if len(text) <= MOST else f"{text[: MOST - 1]}…"


def _columns(record: AuditRecord) -> list[tuple[str, str, str, str]]:
    """For tables: column, its value, what it contributed, and what the second method says."""
    values = by_columns(record)
    if values is None or not isinstance(record.input_spec, Table):
        return []
    names, row = record.input_spec.names, {} if record.display is None else record.display[0]
    other = [""] * len(names)
    if record.second is not None:
        of_second = by_columns(replace(record, values=record.second["values"], part_values=None))
        other = [] if of_second is None else [f"{v:+.4g}" for v in of_second]
    each = zip(names, values, other, strict=True)
    return [(name, _said(row.get(name, "")), f"{value:+.4g}", second) for name, value, second in each]


def _ways(record: AuditRecord) -> list[tuple[str, str]]:
    found = record.counterfactual
    if found is None:
        return []
    said = ["; ".join(f"{n}: {old} → {new}" for n, old, new in way) for way in found.changes]
    return [(text, f"{score:.4f}") for text, score in zip(said, found.scores, strict=True)]


def _told(event: Event) -> tuple[int, str, str, str, str]:
    left = {n: v for n, v in event.content.items() if n != "letter"}
    return event.id, f"{event.created[:19]}Z", event.kind, event.author or "", _said(left)
