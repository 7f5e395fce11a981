"""The letter says what the record holds, and nothing else; in two languages, on one page."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xaikit import audit
from xaikit.audit._language import LANGUAGES, counted, day, plural, sentences, written
from xaikit.audit._letter import LONGEST, _Writer, letter_from, reasons_of
from xaikit.audit._words import Words, words_of
from xaikit.errors import InputError, NotSupported, ParameterError, StorageError, UnknownName, UsageError

pytestmark = pytest.mark.slow

CONTACT = "credit desk, tel. 555 0100"


@pytest.fixture
def write(letters_db: str) -> Callable[..., audit.Letter]:
    def call(number: int = 1, **how: Any) -> audit.Letter:
        return audit.letter(letters_db, number, **{"contact": CONTACT, "dated": "2026-05-03", **how})

    return call


@pytest.fixture
def writer(letters_db: str) -> Callable[..., audit.Letter]:
    """Write about record 1 as it would be with other columns."""

    def call(words: dict[str, Any] | None = None, **changed: Any) -> audit.Letter:
        record = replace(audit.read(letters_db, 1), **changed)
        table = words_of(words, record)
        return _Writer(record, table, "en", table.favourable or "good").letter("", CONTACT, "", date(2026, 5, 3))

    return call


def section(letter: audit.Letter, name: str) -> Any:
    return next((s for s in letter.sections if s.name == name), None)


@pytest.mark.parametrize(
    ("value", "en", "pl"),
    [
        (4804, "4,804", "4804"),
        (12345.5, "12,345.5", "12\N{NO-BREAK SPACE}345,5"),
        (1234567, "1,234,567", "1\N{NO-BREAK SPACE}234\N{NO-BREAK SPACE}567"),
        (-3, "\N{MINUS SIGN}3", "\N{MINUS SIGN}3"),
        (0.25, "0.25", "0,25"),
        (7.0, "7", "7"),
    ],
)
def test_numbers_are_written_as_the_language_does(value: float, en: str, pl: str) -> None:
    assert (written(value, "en"), written(value, "pl")) == (en, pl)


def test_polish_plurals() -> None:
    few, many = {2, 3, 4, 22, 23, 24, 102, 104}, {0, 5, 11, 12, 13, 14, 20, 21, 25, 112, 114}
    assert plural(1, "pl") == "one"
    assert {plural(n, "pl") for n in few} == {"few"}
    assert {plural(n, "pl") for n in many} == {"many"}
    assert plural(1.5, "pl") == "other"
    assert [plural(n, "en") for n in (1, 2, 0)] == ["one", "other", "other"]


def test_what_is_counted_and_days() -> None:
    months = {"one": "{n} miesiąc", "few": "{n} miesiące", "many": "{n} miesięcy", "other": "{n} miesiąca"}
    assert [counted(n, months, "pl") for n in (1, 24, 18, 1.5)] == [
        "1 miesiąc",
        "24 miesiące",
        "18 miesięcy",
        "1,5 miesiąca",
    ]
    assert day(date(2026, 5, 3), "en").replace("\N{NO-BREAK SPACE}", " ") == "3 May 2026"
    assert day(date(2026, 5, 3), "pl").replace("\N{NO-BREAK SPACE}", " ") == "3 maja 2026 r."


def test_the_languages_have_the_same_sentences() -> None:
    each = [{n for n in dir(sentences(language)) if not n.startswith("_")} for language in LANGUAGES]
    assert each[0] == each[1]
    assert {"refused", "ways", "reasons", "rights"} <= each[0]


def test_what_would_have_changed_comes_before_the_reasons(write: Callable[..., audit.Letter]) -> None:
    names = [s.name for s in write().sections]
    assert names == ["decision", "ways", "reasons", "rights"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_change_is_one_that_the_model_was_run_with(
    write: Callable[..., audit.Letter], letters_db: str, credit: Any, language: str
) -> None:
    record = audit.read(letters_db, 1)
    found = record.counterfactual
    assert found is not None
    items = section(write(language=language), "ways").items
    assert 1 <= len(items) <= 2
    words = words_of(None, record)
    for item in items:
        i = int(re.search(r"rows\[(\d+)\]", item.rests_on[0]).group(1))  # type: ignore[union-attr]
        row = dict(zip(found.columns, found.rows[i], strict=True))
        for name, _, _ in found.changes[i]:
            assert words.changeable(name)
            assert words.value(name, row[name], language) in item.text
            assert words.column(name, language) in item.text
        again = credit.run(credit.inputs.encode([row])).output[0, 0]
        np.testing.assert_allclose(again, found.scores[i], atol=1e-6)
        assert again >= 0.5


def test_reasons_are_those_that_counted_against_the_person(write: Callable[..., audit.Letter], letters_db: str) -> None:
    record = audit.read(letters_db, 1)
    values = dict(zip(record.input_spec.names, record.part_values[0], strict=True))
    words = words_of(None, record)
    expected = [n for n in sorted(values, key=lambda n: values[n]) if values[n] < 0][:4]
    told = section(write(), "reasons")
    found = [item.text for item in told.items]
    assert 1 <= len(found) <= 4
    for text, name in zip(found, expected, strict=False):
        assert (
            text
            == f"{words.column(name, 'en')}: {words.value(name, record.display[0][name], 'en')} ({words.code(name)})"
        )
    assert "40 typical applications" in told.before[0].text


def test_of_the_refused_class_positive_values_count_against(letters_db: str) -> None:
    record = audit.read(letters_db, 1)
    mirrored = replace(record, target_label="bad", part_values=-np.asarray(record.part_values))
    assert reasons_of(mirrored, "good") == reasons_of(record, "good") != []


def test_what_hardly_counts_is_no_reason(letters_db: str) -> None:
    record = audit.read(letters_db, 1)
    values = np.array([[0.5, 0, -0.04, -1, 0, 0, 0, -0.2, 0.0]])
    assert reasons_of(replace(record, part_values=values), "good") == [3, 7]
    assert reasons_of(replace(record, part_values=-np.ones((1, 9))), "good") == [0, 1, 2, 3]
    assert reasons_of(replace(record, part_values=np.ones((1, 9))), "good") == []


@pytest.mark.parametrize(
    "changed",
    [
        {"quality": {}},
        {"quality": {"completeness_gap_relative": 0.2}},
        {"quality": {"completeness_gap_relative": float("nan")}},
        {"target_label": "another"},
        {"part_values": np.full((1, 9), np.nan)},
    ],
)
def test_no_reasons_where_the_numbers_do_not_bear_them(writer: Callable[..., audit.Letter], changed: Any) -> None:
    told = section(writer(**changed), "reasons")
    assert told.items == ()
    assert "cannot name single reasons" in told.before[0].text


def test_a_failed_explanation_gives_no_reasons(letters_db: str) -> None:
    from xaikit.results import Status

    record = audit.read(letters_db, 1)
    assert reasons_of(replace(record, status=Status("warn")), "good") != []
    assert reasons_of(replace(record, status=Status("fail")), "good") == []


def test_a_method_without_a_baseline_gives_no_reasons(write: Callable[..., audit.Letter]) -> None:
    assert section(write(5), "reasons").items == ()


def test_of_a_picture_no_reasons_are_told(model: Any, picture: Callable[[int], Any], tmp_path: Path) -> None:
    """It has no columns that could be named, although the method has a baseline."""
    db = f"sqlite:///{tmp_path / 'audit.db'}"
    audit.record(model, picture(1), "integrated-gradients", db=db, source="xo_cnn")
    text = audit.letter(db, 1, favourable="O", contact="tel. 555 0100").text
    assert sentences("en").no_reasons().strip().split(".")[0] in " ".join(text.split())


def test_the_order_is_called_uncertain_where_methods_disagree(writer: Callable[..., audit.Letter]) -> None:
    sure, unsure = (section(writer(second={"agreement": a}), "reasons").after for a in (0.9, 0.3))
    assert sure == ()
    assert "order is not certain" in unsure[0].text


def test_without_a_counterfactual_it_says_so(write: Callable[..., audit.Letter]) -> None:
    told = section(write(5), "ways")
    assert told.items == ()
    assert "no tested example" in told.before[0].text


def test_changes_that_nobody_can_make_or_that_lie_off_the_data_are_left_out(
    writer: Callable[..., audit.Letter], letters_db: str
) -> None:
    found = audit.read(letters_db, 1).counterfactual
    assert found is not None
    names = {n for way in found.changes for n, _, _ in way}
    words = {"name": "w", "version": "1", "favourable": "good", "columns": {n: {"changeable": False} for n in names}}
    assert section(writer(words), "ways").items == ()
    off = replace(found, off_data=np.ones(len(found), bool))
    assert section(writer(counterfactual=off), "ways").items == ()
    assert section(writer(counterfactual=replace(found, wanted="bad")), "ways").items == ()


def test_a_favourable_decision_has_another_letter(write: Callable[..., audit.Letter]) -> None:
    letter = write(3)
    assert (letter.outcome, [s.name for s in letter.sections]) == ("favourable", ["decision", "rights"])
    assert "was accepted" in letter.text
    assert "No person took part" in letter.text


def test_a_person_who_decides_against_the_model_is_not_explained_by_it(write: Callable[..., audit.Letter]) -> None:
    letter = write(4)
    assert [s.name for s in letter.sections] == ["decision", "reasons", "rights"]
    assert "Our staff decided otherwise" in letter.text
    assert section(letter, "reasons").items == ()


def test_a_person_who_decides_for_the_applicant(writer: Callable[..., audit.Letter]) -> None:
    letter = writer(taken="good", involvement="decided")
    assert letter.outcome == "favourable"
    assert "Our staff decided for you" in letter.text


def test_what_was_decided_is_mapped_or_refused(writer: Callable[..., audit.Letter]) -> None:
    words = {"name": "w", "version": "1", "favourable": "good", "decisions": {"limit raised": "good"}}
    assert writer(words, taken="limit raised").outcome == "favourable"
    with pytest.raises(ParameterError, match="'limit lowered', is none of bad, good"):
        writer(words, taken="limit lowered")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("number", [1, 3, 4, 5])
def test_it_reads_well_on_one_page(write: Callable[..., audit.Letter], number: int, language: str) -> None:
    letter = write(number, language=language)
    assert letter.longest_sentence <= LONGEST
    assert len(letter.text.splitlines()) <= 60
    assert max(map(len, letter.text.splitlines())) <= 78
    assert not re.search(r"SHAP|counterfactual|threshold|probabilit|score|baseline|fingerprint|hash", letter.text, re.I)


def test_long_sentences_are_counted(write: Callable[..., audit.Letter]) -> None:
    words = {"name": "w", "version": "1", "favourable": "good", "en": {"refused": "a " * 40}}
    assert write(words=words).longest_sentence == 40


def test_every_sentence_of_a_decision_rests_on_the_record(write: Callable[..., audit.Letter], letters_db: str) -> None:
    record = audit.read(letters_db, 1)
    letter = write()
    told = [s for name in ("decision", "ways", "reasons") for s in section(letter, name)]
    assert all(s.rests_on for s in told)
    columns = {re.split(r"[.\[]", path)[0] for s in told for path in s.rests_on}
    of_database = {"explanation", "parameters"}
    assert all(hasattr(record, name) for name in columns - of_database)


def test_html_and_pdf_say_the_same(write: Callable[..., audit.Letter]) -> None:
    pytest.importorskip("fpdf")
    letter = write(language="pl", organisation="Bank <Ż>")
    for one in (s.text for own in letter.sections for s in own):
        assert one.split("&")[0] in letter.html
    assert "Bank &lt;Ż&gt;" in letter.html
    assert "http:" not in letter.html
    assert "https:" not in letter.html
    assert letter.pdf == letter.pdf
    assert letter.pdf.startswith(b"%PDF")
    assert letter.pdf.count(b"/Type /Page\n") == 1


def test_a_letter_that_is_too_long_for_a_page_is_refused(write: Callable[..., audit.Letter]) -> None:
    pytest.importorskip("fpdf")
    with pytest.raises(ParameterError, match="does not fit on one page"):
        _ = write(contact="a very long street name, " * 400).pdf


def test_the_reference_names_the_record_its_day_and_its_hash(
    write: Callable[..., audit.Letter], letters_db: str
) -> None:
    record, told = audit.read(letters_db, 1), write().reference.text
    assert f"record 1 of {day(date.fromisoformat(record.created[:10]), 'en')}" in told
    assert record.hash[:16] in told.replace(" ", "")
    assert told.endswith("reasons credit_mlp 1")
    assert "reasons" not in write(3).reference.text


def test_it_reads_back(write: Callable[..., audit.Letter]) -> None:
    letter = write(language="pl")
    assert letter_from(json.loads(json.dumps(letter.to_dict()))) == letter


def test_sending_it_is_put_on_record(write: Callable[..., audit.Letter], letters_db: str) -> None:
    letter = write()
    event = audit.note_letter(letters_db, letter, channel="post", author="Ada", formats=("text", "html"))
    told = audit.events(letters_db, 1)[-1]
    assert (told.kind, told.author, told.content["channel"], told.content["recipient"]) == (
        "letter",
        "Ada",
        "post",
        "no. 7",
    )
    assert told.content["sha256"]["text"] == hashlib.sha256(letter.text.encode()).hexdigest()
    assert told.content["words"] == {"name": "credit_mlp", "version": "1", "sha256": letter.words["sha256"]}
    assert letter_from(told.content["letter"]) == letter
    assert event.hash == audit.verify(letters_db).head
    with pytest.raises(StorageError, match="another record"):
        audit.note_letter(letters_db, replace(letter, record=3), channel="post")


def test_nothing_of_an_encrypted_record_is_left_in_the_clear(letters_db: str, key: Any) -> None:
    letter = audit.letter(letters_db, 2, contact=CONTACT, key=key)
    assert letter.addressee == "To: no. 8"
    event = audit.note_letter(letters_db, letter, channel="post", recipient="no. 8", key=key)
    assert not {"letter", "recipient", "sha256"} & set(event.content)
    plain = hashlib.sha256(letter.text.encode()).hexdigest()
    assert event.content["hmac_sha256"] == {"text": key.hash(plain)}
    assert "no. 8" not in json.dumps(event.content)
    with pytest.raises(StorageError, match="encrypted: give the key"):
        audit.letter(letters_db, 2, contact=CONTACT)


def test_what_cannot_be_written(write: Callable[..., audit.Letter], letters_db: str, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"language of letters.*en"):
        write(language="de")
    with pytest.raises(UnknownName, match="99"):
        write(99)
    with pytest.raises(ParameterError, match="contact"):
        write(contact=None)
    with pytest.raises(ParameterError, match=r"favourable is one of bad, good, not 'god'.*good"):
        write(favourable="god")
    with pytest.raises(ParameterError, match="YYYY-MM-DD"):
        write(dated="3 May")
    with pytest.raises(StorageError, match="erased"):
        write(7)
    with pytest.raises(UsageError, match="is an event"):
        write(6)
    with pytest.raises(InputError, match="no file of words"):
        write(words=tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("name = ")
    with pytest.raises(InputError, match="cannot be read"):
        write(words=tmp_path / "bad.toml")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"name": "w"}, "name and a version"),
        ({"name": "w", "version": "1", "colums": {}}, "did you mean 'columns'"),
        ({"name": "w", "version": "1", "columns": {"ages": {}}}, "a column 'ages', which credit_mlp has not.*'age'"),
        ({"name": "w", "version": "1", "columns": {"age": {"cod": "1"}}}, "'code'"),
        ({"name": "w", "version": "1", "columns": 3}, "columns is a table"),
        ({"name": "w", "version": "1"}, "favourable says which decision"),
    ],
)
def test_words_that_do_not_fit(write: Callable[..., audit.Letter], words: Any, said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        write(words=words)


def test_without_words_the_names_are_those_of_the_model(write: Callable[..., audit.Letter], letters_db: str) -> None:
    record = replace(audit.read(letters_db, 1), card_hash=None)
    words = words_of(None, record)
    assert (words.name, words.version) == ("credit_mlp", "as in the model")
    assert words.column("checking_account", "pl") == "checking account"
    assert words.value("age", 30, "en") == "30"
    assert words.value("x", True, "pl") == "tak"


def test_the_words_are_told_apart_by_their_hash() -> None:
    one = Words("w", "1", columns={"a": {"code": "1"}})
    assert one.sha256 != replace(one, columns={"a": {"code": "2"}}).sha256
    assert len(one.sha256) == 64


def test_a_record_of_schema_1_holds_no_decision(tmp_path: Path) -> None:
    old = Path(__file__).parent / "schema_1.db"
    with pytest.raises(NotSupported, match="its schema, 1, holds none"):
        audit.letter(f"sqlite:///{old}", 1, contact=CONTACT)
