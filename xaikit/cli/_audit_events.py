"""`xaikit audit show|review|erase|anchor|new-key`: what a record holds, and what became of it after it was written."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xaikit.cli._audit import audit, in_database, record_summary, say, with_key
from xaikit.cli._main import as_json

if TYPE_CHECKING:
    from xaikit.audit import AuditRecord, Event

__all__ = ["audit"]


@audit.command("show")
@in_database
@click.argument("number", type=int, metavar="ID")
@with_key
@as_json
def show_command(db: str, number: int, key: Path | None, json_: bool) -> None:
    """Show what a record holds, and the events about it.

    The input, the recipient and the counterfactual of an encrypted record are shown where the key is given. A record
    that was changed is not shown: exit code 5.

    \b
    xaikit audit show 3 --db sqlite:///audit.db --key-file audit.key
    """
    from xaikit.audit import events, read

    made, after = read(db, number, key), events(db, number)
    shown = {**record_summary(made), **_more(made), "events": [asdict(e) for e in after]}
    say(shown, json_, "\n".join([*_lines(made), *map(_line, after)]))


@audit.command("review")
@in_database
@click.argument("number", type=int, metavar="ID")
@click.option("--reviewer", required=True, help="Who looked at the record: another person than its author.")
@click.option("--verdict", required=True, help="approved, rejected or questioned.")
@click.option("--comment", default="", help="What was found.")
@click.option("--author", help="Who made the record, where it names nobody; the review then tells so.")
@as_json
def review_command(db: str, number: int, json_: bool, reviewer: str, verdict: str, **said: Any) -> None:
    """Put on record that another person than its author looked at a record.

    The record stays as it is; the review is an event, a new entry of the same chain.

    \b
    xaikit audit review 3 --reviewer Bob --verdict approved --comment "income was checked" --db sqlite:///audit.db
    """
    from xaikit.audit import review

    made = review(db, number, reviewer=reviewer, verdict=verdict, **said)
    say(asdict(made), json_, f"event {made.id}: record {number} {verdict} by {reviewer}\nhead {made.hash}")


@audit.command("erase")
@in_database
@click.argument("number", type=int, metavar="ID")
@click.option("--author", required=True, help="Who erases it.")
@click.option("--reason", required=True, help="Why.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
def erase_command(db: str, number: int, author: str, reason: str, yes: bool, json_: bool) -> None:
    """Erase the private part of an encrypted record for good: its input, recipient and counterfactual.

    The record's own data key is deleted, without which nobody can read that part, in whatever copy of the database it
    lies; copies of the key go with your backups. The rest of the record, and the chain, stay whole, and the erasure is
    on record itself.

    \b
    xaikit audit erase 3 --author Ada --reason "asked for on 3 May" --db sqlite:///audit.db
    """
    from xaikit.audit import erase

    if not yes:
        click.confirm(f"Erase the private part of record {number}? This cannot be undone.", abort=True, err=True)
    made = erase(db, number, author=author, reason=reason)
    say(asdict(made), json_, f"event {made.id}: record {number} erased by {author}\nhead {made.hash}")


@audit.command("anchor")
@in_database
@click.argument("file", type=Path, required=False, metavar="[FILE]")
@click.option("--sign-key", type=Path, metavar="FILE", help="Sign the head: an Ed25519 key of `new-key --signing`.")
def anchor_command(db: str, file: Path | None, sign_key: Path | None) -> None:
    """Note the head of the chain in a new line of FILE, and print that line.

    Whoever can write to the database can also cut off its end; they cannot change a file that lies elsewhere. The chain
    and the heads noted before are checked first. `verify --anchors FILE` holds every line against the chain.

    \b
    xaikit audit anchor /mnt/elsewhere/anchors.jsonl --db sqlite:///audit.db --sign-key signing.pem
    xaikit audit verify --db sqlite:///audit.db --anchors /mnt/elsewhere/anchors.jsonl --public-key signing.pem.pub
    """
    from xaikit.audit import anchor

    click.echo(anchor(db, file, sign_key=sign_key).line)


@audit.command("new-key")
@click.argument("file", type=Path)
@click.option("--signing", is_flag=True, help="A pair that signs heads, FILE and FILE.pub, instead of a secret key.")
def new_key_command(file: Path, signing: bool) -> None:
    """Make a key in FILE, which is not there yet and only you may read.

    With it hashes of inputs cannot be guessed, and inputs can be encrypted. Keep a copy: what was encrypted is lost
    without it.

    \b
    xaikit audit new-key audit.key
    xaikit audit record credit_mlp row.csv -m lime --key-file audit.key --encrypt --db sqlite:///audit.db
    xaikit audit new-key signing.pem --signing
    """
    from xaikit.audit import new_key, new_signing_key

    if signing:
        click.echo(str(new_signing_key(file)))
    else:
        click.echo(f"key {new_key(file).id}")


def _more(made: "AuditRecord") -> dict[str, Any]:
    """What `show` has beyond what `record` prints."""
    found = made.counterfactual
    names = ("clock", "card_hash", "preprocessing", "threshold", "taken", "involvement", "evidence", "recipient")
    return {
        **{n: getattr(made, n) for n in (*names, "retention", "until", "system")},
        "framework": made.origin.framework,
        "seed": made.origin.seed,
        "parameters": {n: _short(v) for n, v in made.origin.parameters.items()},
        "display": None if made.display is None else _short(made.display),
        "second": made.second and {n: _short(v) for n, v in made.second.items()},
        "counterfactuals": None if found is None else [list(map(list, c)) for c in found.changes],
        "versions": dict(made.origin.versions),
    }


def _short(value: Any) -> Any:
    """Give a value as JSON types, an array by its type and shape."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_short(v) for v in value]
    if isinstance(value, dict):
        return {str(n): _short(v) for n, v in value.items()}
    return f"array {value.dtype} {value.shape}" if hasattr(value, "shape") else repr(value)


def _lines(made: "AuditRecord") -> list[str]:
    """A record in lines: name and value, without what it does not hold."""
    told = {**record_summary(made), **_more(made)}
    told["status"] = "; ".join([told["status"], *told.pop("reasons")])
    for name in ("quality", "versions", "parameters", "scores", "second", "without"):
        told[name] = ", ".join(f"{n} {_number(v)}" for n, v in (told[name] or {}).items())
    changes = told.pop("counterfactuals") or []
    ways = [", ".join(f"{n} {old} → {new}" for n, old, new in way) for way in changes]
    told["counterfactual"] = "; or ".join(ways)
    return [f"{n.replace('_', ' '):<17} {v}" for n, v in told.items() if v not in (None, "")]


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _line(event: "Event") -> str:
    said = ", ".join(f"{n} {v}" for n, v in event.content.items() if v and not n.endswith("hash") and n != "reviewed")
    return f"event {event.id:<11} {event.created}: {event.kind} by {event.author}: {said}"
