"""`xaikit audit`: put an explained prediction on record, check the records, and ask the same question again."""

import getpass
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xaikit.cli._main import as_json, model_options, open_model
from xaikit.cli._once import Commands
from xaikit.errors import InputError, LoadError, UnknownName, UsageError

if TYPE_CHECKING:
    from xaikit.audit import AuditRecord, Replay

MISMATCH, FAILED = 4, LoadError.exit_code


@click.group(cls=Commands)
def audit() -> None:
    """Put explained predictions on record, and prove them later.

    \b
    xaikit audit record mnist_cnn digit.png -m lime --db sqlite:///audit.db
    xaikit audit verify --db sqlite:///audit.db        was any record changed?
    xaikit audit replay --db sqlite:///audit.db        does the model still say so?
    xaikit audit show 1 --db sqlite:///audit.db        what it holds, and what became of it
    xaikit audit review 1 --reviewer Bob --verdict approved --db sqlite:///audit.db
    xaikit audit anchor anchors.jsonl --db sqlite:///audit.db
    xaikit audit letter 1 --db sqlite:///audit.db --contact "tel. 555 0100"    to the person concerned
    xaikit audit export 1 --db sqlite:///audit.db -o bundle.zip    for who checks it without xaikit

    A record holds the model's fingerprint, card and how it was loaded, the input and its hash, the target, method,
    parameters, seed, versions, all scores and the decision, the explanation and its quality. Its hash covers all of
    that and the hash of the entry before it, so nothing can be changed, removed, inserted or moved unseen. Records are
    never overwritten: a review and an erasure are entries of their own.

    The database is a file, sqlite:///FILE, or on a server, postgresql://USER@HOST/NAME (the extra `postgresql`).
    """


def in_database(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --db."""
    named = "The database, sqlite:///FILE (`record` makes it if it is not there) or postgresql://USER@HOST/NAME."
    return click.option("--db", required=True, metavar="URL", help=named)(command)


def with_key(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --key-file."""
    named = "The key, a file of `new-key`; by default that in XAIKIT_AUDIT_KEY, if it is set."
    return click.option("--key-file", "key", type=Path, metavar="FILE", help=named)(command)


@audit.command("record")
@model_options
@click.argument("input_", metavar="INPUT")
@click.option("-m", "--method", required=True, help="A name from `xaikit methods`.")
@in_database
@click.option("-t", "--target", help="Class name or index; the predicted class by default.")
@click.option("-p", "--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="One parameter.")
@click.option("--score", help="logit, probability or output; by the method by default.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of every random choice.")
@click.option("--hash-only", is_flag=True, help="Keep only the hash of the input; a replay needs the input again.")
@with_key
@click.option("--encrypt", is_flag=True, help="Keep input, recipient and counterfactual encrypted; needs a key.")
@click.option("--evidence", default="free", show_default=True, help="free, or full: all checks, even costly ones.")
@click.option("--second", metavar="METHOD", help="Another method, to agree or not; with full evidence one is taken.")
@click.option(
    "--counterfactual/--no-counterfactual", default=None, help="What would turn the decision; part of full evidence."
)
@click.option(
    "--wanted", metavar="CLASS", help="What the counterfactual leads to; by default the other of two classes."
)
@click.option("--immutable", metavar="NAME,...", help="Columns that the counterfactual must leave as they are.")
@click.option("--card", type=Path, metavar="FILE", help="The model's card, a text; that of the zoo by default.")
@click.option("--author", help="Who makes the record; by default who is logged in.")
@click.option("--recipient", help="Whom the prediction is about, or who is told.")
@click.option("--involvement", help="The part of a person in the decision: none, reviewed or decided.")
@click.option("--taken", metavar="DECISION", help="What was decided in the end, where that is not what the model says.")
@click.option("--threshold", type=float, help="From which score on the decision is for the last of two classes.")
@click.option("--retention", metavar="CLASS", help="short, standard, long, or a name of your own with --until.")
@click.option("--until", metavar="YYYY-MM-DD", help="Until when the record is to be kept.")
@as_json
def record_command(model: str, framework: str | None, allow_code: bool, json_: bool, **asked: Any) -> None:
    """Explain the prediction for INPUT and put it on record.

    INPUT is one sample, as in `xaikit explain`. Prints the number of the record, and its hash: the new head of the
    chain, worth noting elsewhere.

    \b
    xaikit audit record mnist_cnn digit.png -m lime -t 7 -p samples=500 --db sqlite:///audit.db
    xaikit audit record model.toml row.csv -m kernel-shap --db sqlite:///audit.db --hash-only
    xaikit audit record credit_mlp row.csv -m kernel-shap --db sqlite:///audit.db --evidence full \\
        --immutable age,sex --threshold 0.5 --recipient "no. 7" --key-file audit.key --encrypt
    """
    made = _record(open_model(model, framework, allow_code), _source(model), **asked)
    say(record_summary(made), json_, f"record {made.id} ({_verdict(made)})\nhead {made.hash}")


@audit.command("verify")
@in_database
@click.option("--head", metavar="HASH", help="The hash of a record that was noted earlier; it must still be there.")
@click.option("--anchors", type=Path, metavar="FILE", help="Heads that `anchor` noted; all must still be there.")
@click.option("--public-key", type=Path, metavar="FILE", help="Check the signatures of the anchors, too.")
@as_json
def verify_command(db: str, head: str | None, anchors: Path | None, public_key: Path | None, json_: bool) -> None:
    """Find the first entry that is not as it was written.

    Needs no key, no model and no framework. Exit code 4 if a record was changed, removed, inserted or moved; the
    message says which, and in which columns. Only a noted head shows that records were cut off at the end, or that
    all of them were written anew: give it with --head, or a file of them with --anchors.

    \b
    xaikit audit verify --db sqlite:///audit.db --head 5d41...
    """
    from xaikit.audit import verify

    found = verify(db, head, anchors=anchors, public_key=public_key)
    noted = "" if found.noted is None else f"\nthe noted head is entry {found.noted}"
    bare = "" if found.guarded else "\nthe database itself no longer refuses changes: triggers are missing"
    events = f" and {n} event{'s' * (n > 1)}" if (n := found.entries - found.records) else ""
    whole = f"{found.records} records{events}, unbroken\nhead {found.head}{noted}{bare}"
    say({"ok": found.ok, **asdict(found)}, json_, found.fault.message if found.fault else whole)
    click.get_current_context().exit(0 if found.ok else MISMATCH)


@audit.command("replay")
@in_database
@click.argument("number", type=int, required=False, metavar="[ID]")
@click.option("--framework", help="torch or keras; the one on record by default.")
@click.option("--model", help="The model, where the record does not say how to load it or it lies elsewhere now.")
@click.option("--input", "input_", help="The input, where the record keeps only its hash.")
@with_key
@click.option("--tolerance", type=click.FloatRange(min=0), help="Instead of 1e-6, or 1e-4 in another environment.")
@click.option("--allow-code", is_flag=True, help="Import the factory that a model.toml names.")
@as_json
def replay_command(db: str, number: int | None, json_: bool, **how: Any) -> None:
    """Ask the model on record again, and compare.

    Loads the model, checks its fingerprint, explains the same input with the same parameters and seed, and compares
    prediction and explanation by max|a - b| / max|a|. Without ID all records are replayed. Exit code 4 if one differs
    or the model is another one, 5 if one cannot be replayed.

    \b
    xaikit audit replay 3 --db sqlite:///audit.db
    xaikit audit replay 3 --db sqlite:///audit.db --framework keras
    """
    from xaikit.audit import numbers

    replays = _replays(db, numbers(db) if number is None else [number], **how)
    say([_plain(r) for r in replays], json_, "\n".join(map(_outcome, replays)))
    verdicts = {r.verdict for r in replays}
    click.get_current_context().exit(
        MISMATCH if verdicts & {"differs", "refused"} else FAILED if "impossible" in verdicts else 0
    )


def _record(
    model: Any,
    source: str,
    input_: str,
    db: str,
    hash_only: bool,
    wanted: str | None,
    immutable: str | None,
    card: Path | None,
    **asked: Any,
) -> "AuditRecord":
    from xaikit.audit import record
    from xaikit.cli._explain import parse_parameters
    from xaikit.data.files import read_samples

    options = {"wanted": wanted, "immutable": immutable and [n.strip() for n in immutable.split(",")]}
    options = {name: value for name, value in options.items() if value}
    if options and asked["counterfactual"] is not False:
        asked["counterfactual"] = options
    asked["author"] = asked["author"] or _login()
    asked["card"] = None if card is None else _text(card)
    chosen = parse_parameters(asked["method"], asked.pop("parameters"))
    sample = read_samples(input_, model.inputs)
    return record(model, sample, db=db, source=source, keep_input=not hash_only, **asked, **chosen)


def _login() -> str | None:
    """Name who is logged in, if the system knows."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the card {path} cannot be read: {getattr(error, 'strerror', error)}") from None


def _source(model: str) -> str:
    """Say how MODEL is found again from another folder: a name of the zoo as it is, a file by its whole path."""
    return str(Path(model).resolve()) if Path(model).exists() else model


def _replays(
    db: str,
    numbers: Sequence[int],
    framework: str | None,
    model: str | None,
    input_: str | None,
    key: Path | None,
    tolerance: float | None,
    allow_code: bool,
) -> "list[Replay]":
    from xaikit.audit import Replay, read, replay
    from xaikit.data.files import read_samples
    from xaikit.wrapping import adapter

    if framework is not None:
        adapter(framework)
    opened: dict[tuple[str, str], Any] = {}
    replays = []
    for record in (read(db, n, key) for n in numbers):
        source, wanted = model or record.source, framework or record.origin.framework
        try:
            loaded = opened.get((str(source), wanted)) or _opened(source, wanted, allow_code)
            opened[str(source), wanted] = loaded
            x = None if input_ is None else read_samples(input_, loaded.inputs)
            replays.append(replay(record, loaded, x=x, key=key, tolerance=tolerance))
        except (LoadError, UnknownName) as error:
            replays.append(Replay(record.id, "impossible", str(error), wanted))
    return replays


def _opened(source: str | None, framework: str, allow_code: bool) -> Any:
    if source is None:
        raise LoadError("the record does not say how the model was loaded: name it with --model")
    loaded = open_model(source, framework, allow_code)
    if loaded.framework != framework:
        raise UsageError(f"{source} is a {loaded.framework} model: --framework is for models of the zoo")
    return loaded


def say(data: Any, json_: bool, words: str) -> None:
    click.echo(json.dumps(data, indent=2, ensure_ascii=False) if json_ else words)


def _plain(replay: "Replay") -> dict[str, Any]:
    return {**asdict(replay), "differences": _finite(replay.differences)}


def _finite(numbers: Mapping[str, float]) -> dict[str, float | None]:
    """Give null for what JSON has no number for."""
    return {name: value if isfinite(value) else None for name, value in numbers.items()}


def record_summary(made: "AuditRecord") -> dict[str, Any]:
    origin = made.origin
    return {
        "record": made.id,
        "created": made.created,
        "model": origin.model,
        "source": made.source,
        "fingerprint": origin.fingerprint,
        "input_hash": origin.input_hash[0],
        "input_hash_kind": made.input_hash_kind,
        "input_kept": made.privacy in ("clear", "opened", "encrypted"),
        "privacy": made.privacy,
        "method": origin.method,
        "target": made.target_label,
        "scores": None if made.scores is None else _finite(made.scores),
        "decision": made.decision,
        "author": made.author,
        "without": dict(made.without),
        "quality": _finite(made.quality),
        "status": str(made.status),
        "reasons": list(made.status.reasons),
        "hash": made.hash,
        "previous": made.previous,
    }


def _verdict(made: "AuditRecord") -> str:
    return "; ".join([str(made.status), *made.status.reasons])


def _outcome(replay: "Replay") -> str:
    """Say in a line how a replay went."""
    said = f"record {replay.record}: {replay.verdict}"
    if replay.reason:
        return f"{said}: {replay.reason}"
    figures = ", ".join(f"{name} {value:.2g}" for name, value in replay.differences.items())
    changed = ", ".join(f"{name} {then} → {now}" for name, (then, now) in replay.changes.items())
    return f"{said} in {replay.framework} ({figures}; tolerance {replay.tolerance:g})" + (
        f"; changed since: {changed}" if changed else ""
    )
