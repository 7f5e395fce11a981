"""`xaikit audit letter|export|check`: what goes out of the house, to the person concerned and to who checks."""

from pathlib import Path
from typing import Any

import click

from xaikit.cli._audit import MISMATCH, audit, in_database, say, with_key
from xaikit.cli._main import as_json
from xaikit.errors import StorageError, UsageError


@audit.command("letter")
@in_database
@click.argument("number", type=int, metavar="ID")
@click.option("--language", default="en", show_default=True, help="en or pl.")
@click.option("--format", "formats", default="text", show_default=True, metavar="NAME,...", help="text, html, pdf.")
@click.option("-o", "--output", type=Path, metavar="DIR", help="Where files go; without it the text is printed.")
@click.option("--words", type=Path, metavar="FILE", help="Reason codes and plain words, a TOML file.")
@click.option("--favourable", metavar="DECISION", help="Which decision is in favour of the person.")
@click.option("--organisation", help="Who decides: the head of the letter.")
@click.option("--contact", help="Whom to turn to; a letter has one.")
@click.option("--recipient", help="Whom the letter is for; by default the one on record.")
@click.option("--dated", metavar="YYYY-MM-DD", help="The day of the letter; today by default.")
@click.option("--channel", help="How it goes out (post, e-mail, ...): puts on record that it was sent.")
@click.option("--author", help="Who sends it.")
@with_key
@as_json
def letter_command(
    db: str,
    number: int,
    formats: str,
    output: Path | None,
    channel: str | None,
    author: str | None,
    key: Path | None,
    json_: bool,
    **asked: Any,
) -> None:
    """Write a letter to the person whom record ID is about.

    One page: what was decided and which part a person had in it; what would have led to another result, as the model
    was run; at most four reasons, each of which counted against the person relative to the baseline of the record;
    rights, and whom to turn to. What the record does not hold is not said: without a counterfactual, with a decision
    in favour of the person, or with one that a person took against the model, the letter is another one.

    --words names the columns, values and decisions in plain words, with reason codes and a version; models of the zoo
    may bring theirs, and without any the names are those of the model. With --channel it goes on record that the
    letter was sent, with its hashes; without, it is a draft.

    \b
    xaikit audit letter 3 --db sqlite:///audit.db --contact "credit desk, tel. 555 0100"
    xaikit audit letter 3 --db sqlite:///audit.db --language pl --format text,html,pdf -o letters \\
        --words words.toml --channel post --author Ada
    """
    from xaikit.audit import letter, note_letter

    chosen = [name.strip() for name in formats.split(",") if name.strip()]
    if output is None and chosen != ["text"] and not json_:
        raise UsageError("html and pdf go into a folder: name it with -o")
    made = letter(db, number, key=key, **asked)
    written = {name: made.as_(name) for name in chosen}
    files = {} if output is None else _written(output, number, made.language, written)
    event = None
    if channel is not None:
        told = {"channel": channel, "author": author, "recipient": asked["recipient"]}
        event = note_letter(db, made, formats=tuple(chosen), key=key, **told)
    noted = [] if event is None else [f"event {event.id}: sent by {channel}", f"head {event.hash}"]
    shown = {"letter": made.to_dict(), "files": files, "event": None if event is None else event.id}
    say(shown, json_, "\n".join([*(files.values() or [made.text.rstrip()]), *noted]))


def _written(folder: Path, number: int, language: str, written: dict[str, bytes]) -> dict[str, str]:
    from xaikit.audit._letter import ENDINGS
    from xaikit.storage import write_atomically

    found = {}
    for name, data in written.items():
        path = folder / f"letter-{number}-{language}.{ENDINGS[name]}"
        try:
            write_atomically(path, data)
        except OSError as error:
            raise StorageError(f"the letter cannot be written to {path}: {error.strerror}") from None
        found[name] = str(path)
    return found


@audit.command("export")
@in_database
@click.argument("numbers", type=int, nargs=-1, required=True, metavar="ID...")
@click.option("-o", "--output", type=Path, required=True, metavar="FILE.zip", help="The bundle.")
@click.option("--anchors", type=Path, metavar="FILE", help="Put in the heads that `anchor` noted.")
@click.option("--sign-key", type=Path, metavar="FILE", help="Sign it: an Ed25519 key of `new-key --signing`.")
@click.option(
    "--letter", "letters", type=Path, multiple=True, metavar="FILE", help="A letter about an encrypted record, as sent."
)
@click.option("--recipient", help="Who gets it: puts on record that it was handed out.")
@click.option("--author", help="Who hands it out.")
@as_json
def export_command(numbers: tuple[int, ...], db: str, output: Path, json_: bool, **how: Any) -> None:
    """Write records to a zip file that anybody checks with Python alone.

    It holds the records and the events about them as they stand in the database, their arrays as .npy files, letters
    as they were sent, figures, a technical annex, and the chain up to its head; of other records only hashes. Its own
    verifier needs nothing but the standard library: `python bundle.zip`, or `python verify.py` in the unpacked folder.
    What is encrypted stays so, and what was erased says so. The chain is verified first; if it does not hold, nothing
    is written.

    \b
    xaikit audit export 3 --db sqlite:///audit.db -o bundle.zip --sign-key signing.pem
    python bundle.zip --public-key signing.pem.pub
    """
    from xaikit.audit import export

    made = export(db, numbers, output, **how)
    shown = {"path": str(made.path), "seal": made.seal, "head": made.head, "records": list(made.records)}
    say(shown, json_, f"{made.path}\nhead of the chain  {made.head}\nseal of the bundle {made.seal}")


@audit.command("check")
@click.argument("bundle", type=Path)
@click.option("--public-key", metavar="FILE", help="Whose signature it must have; a .pub file, or 64 digits.")
@as_json
def check_command(bundle: Path, public_key: str | None, json_: bool) -> None:
    """Check a bundle, a zip file or its unpacked folder.

    Does what the bundle's own verifier does, with the one that is installed here. Exit code 4 if anything is not as it
    was written: the message says what.

    \b
    xaikit audit check bundle.zip --public-key signing.pem.pub
    """
    from xaikit.audit import check_bundle
    from xaikit.audit._verifier import told

    found = check_bundle(bundle, public_key)
    say(found, json_, told(found) if found["ok"] else f"not as it was written: {found['fault']}")
    click.get_current_context().exit(0 if found["ok"] else MISMATCH)
