"""`record` and `verify`: an explained prediction goes into a database, which shows whether it stayed as it was."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from xaikit import zoo
from xaikit.arrays import length
from xaikit.attribution import explain
from xaikit.audit._anchors import anchored
from xaikit.audit._canonical import canonical
from xaikit.audit._chain import Verification
from xaikit.audit._evidence import checks_left_out, first_of, second_opinion, turned
from xaikit.audit._keys import Key, key_of
from xaikit.audit._record import AuditRecord, Besides, columns_of, protected, record_of
from xaikit.audit._terms import Terms, decision_of
from xaikit.errors import InputError, MissingPackage, NotSupported, ParameterError, UsageError
from xaikit.model import Model
from xaikit.progress import Progress
from xaikit.results import Attribution, Attributions

if TYPE_CHECKING:
    from xaikit.audit._store import Database

KeyFile = Key | str | os.PathLike[str] | None


def record(
    model: Model,
    x: Any,
    method: str,
    target: Any = None,
    *,
    db: str,
    source: str | None = None,
    keep_input: bool = True,
    key: KeyFile = None,
    encrypt: bool = False,
    evidence: str = "free",
    second: str | None = None,
    counterfactual: Mapping[str, Any] | bool | None = None,
    card: Mapping[str, Any] | str | None = None,
    author: str | None = None,
    recipient: str | None = None,
    involvement: str | None = None,
    taken: str | None = None,
    threshold: float | None = None,
    retention: str | None = None,
    until: str | None = None,
    seed: int = 0,
    score: str | None = None,
    progress: Progress | bool | None = None,
    **parameters: Any,
) -> AuditRecord:
    """Explain the prediction for one sample, write it at the end of the chain in `db`, and give the record.

    `db` is a URL, sqlite:///audit.db (the file is made if it is not there) or postgresql://user@host/name. `source`
    says how the model was loaded (a name of the zoo, the path of a file), so that a replay can load it again. The rest
    is as in `xk.explain`.

    The input: with a `key` (a file of `xaikit audit new-key`; None: the variable XAIKIT_AUDIT_KEY, if it is set) the
    record has a keyed hash of it, HMAC-SHA-256, which tells nobody without the key whether a guessed input is the one;
    without a key a plain SHA-256, which does. `keep_input=False` keeps only that hash: a replay then needs the input
    again. `encrypt` keeps the input, the recipient and the counterfactual encrypted, under a data key of their own,
    which `erase` can delete. `values` on record have the axes of the explanation, (sample, ...) with one sample.

    The evidence: model, card, input hash, scores, decision, parameters, seed, versions and free checks cost nothing and
    are always there. `evidence="full"` adds faithfulness, stability over three seeds and randomisation, a `second`
    method (its name, or the first that serves) with its agreement, and, for tables, a counterfactual, verified by
    running it. Either of the last two can be asked for alone: `second="occlusion"`; `counterfactual=True`, or the
    options of xk.counterfactuals (`{"wanted": "good", "immutable": ["age"]}`); False leaves it out. What is not there
    is named in `without`, with the reason.

    The terms: `author`, `recipient`, `involvement` ("none", "reviewed", "decided": the part of a person), `taken` (what
    was decided in the end), `threshold` (of the last of two classes, by default the most probable one is decided for),
    `retention` ("short", "standard", "long", or a name with a day, `until`). `card` is the model's card, as text or as
    JSON types.

    Writers may work at the same time; a crash or a lost connection, which is tried again, leaves a whole record or
    none. Raises StorageError for a database that cannot be written, InputError for several samples, NotSupported for a
    function without a version, UsageError for `encrypt` without a key, ParameterError, and what `xk.explain` raises;
    then nothing is written.
    """
    store, secret = database(db), key_of(key)
    if encrypt and (secret is None or not keep_input):
        why = "needs a key: make one with `xaikit audit new-key`" if secret is None else "keeps the input"
        raise UsageError(f"encrypt {why}" + ("" if secret is None else ", and keep_input=False does not"))
    terms = Terms(author, recipient, involvement, taken, threshold, retention, until)
    store.check_writable()
    model.fingerprint()
    asked: dict[str, Any] = {"seed": seed, "score": score, "progress": progress, "evidence": evidence}
    result = explain(model, x, method, target, **asked, **parameters)
    _require_one(model, result)
    besides = _besides(model, x, result, terms, _card_text(card, source, model), evidence, second, counterfactual)
    written = store.append(*protected(*columns_of(result, source, keep_input, besides), secret, encrypt))
    return record_of(written.columns, written.arrays, next(iter(written.keys), None), secret)


def _require_one(model: Model, result: Attribution | Attributions) -> None:
    first = first_of(result)
    if length(first.prediction) != 1:
        raise InputError(f"a record holds one prediction, but {len(first)} samples were given: record them one by one")
    if first.origin.fingerprint is None:
        raise NotSupported(f"{model.name} has no fingerprint, so no record can say which model it was")


def _besides(
    model: Model,
    x: Any,
    result: Attribution | Attributions,
    terms: Terms,
    card: str | None,
    evidence: str,
    second: str | None,
    counterfactual: Mapping[str, Any] | bool | None,
) -> Besides:
    """Gather what goes on record beside the explanation."""
    decision_of(model.outputs, first_of(result).prediction, terms.threshold)  # raises before the costly part
    found: dict[str, Any] = {}
    if second is not None or evidence == "full":
        found["second"] = second_opinion(model, x, result, second)
    if counterfactual is True or isinstance(counterfactual, Mapping) or (counterfactual is None and evidence == "full"):
        options = counterfactual if isinstance(counterfactual, Mapping) else {}
        found["counterfactual"] = turned(model, x, result, terms.threshold, options, asked=bool(counterfactual))
    without = {} if evidence == "free" else checks_left_out(result)
    return Besides(terms, card, evidence, without, **found)


def _card_text(card: Mapping[str, Any] | str | None, source: str | None, model: Model) -> str | None:
    """Give the text of a card; where none is given, that of the zoo, if it describes these weights."""
    if isinstance(card, str):
        return card
    found = _zoo_card(source, model) if card is None else card
    try:
        return None if found is None else canonical(found)
    except ValueError as error:
        raise ParameterError(f"the card cannot be put on record: {error}") from None


def _zoo_card(source: str | None, model: Model) -> Mapping[str, Any] | None:
    if source is None or model.weights_id is None or source not in zoo.names():
        return None
    card = zoo.card(source)
    return card.to_dict() if card.trained is not None and card.trained.weights_id == model.weights_id else None


def verify(
    db: str,
    head: str | None = None,
    *,
    anchors: str | os.PathLike[str] | None = None,
    public_key: str | os.PathLike[str] | None = None,
) -> Verification:
    """Find the first entry that was changed, removed, inserted or moved since it was written, if there is one.

    It needs neither a key nor the model. A chain alone cannot show that entries at its end were cut off or that all
    of it was written anew: note the head's hash elsewhere and give it as `head`, or keep a file of `anchors` (see
    `anchor`), of which every line is held against the chain, and against a `public_key` its signature. Raises
    StorageError for what is no database of audit records, or no file of anchors.
    """
    return database(db).verify(head, anchored(anchors, public_key))


def read(db: str, number: int, key: KeyFile = None) -> AuditRecord:
    """Read a record by its number, decrypted where the key is given (None: that of XAIKIT_AUDIT_KEY, if it is set).

    Raises UnknownName, and StorageError for a record that was changed, or another key than the one of the record.
    """
    store = database(db)
    entry = store.entry(number)
    if "kind" in entry.columns:
        raise UsageError(f"entry {number} is an event: {entry.columns['kind']}; records: {store.numbers()}")
    return record_of(entry.columns, entry.arrays, next(iter(entry.keys), None), key_of(key))


def numbers(db: str) -> list[int]:
    """List the numbers of the records in a database. Raises StorageError where there is none."""
    return database(db).numbers()


def database(url: str) -> "Database":
    """Name a database by its URL. Raises MissingPackage, UsageError."""
    try:
        from xaikit.audit._store import Database
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "sqlalchemy":
            raise
        raise MissingPackage("sqlalchemy", "audit", "an audit database") from None
    return Database(url)
