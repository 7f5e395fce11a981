"""The whole record of a credit decision: card, scores, second method, counterfactual, what is said to be missing."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.audit.conftest import Store
from xaikit import audit
from xaikit.audit._evidence import MARGIN
from xaikit.errors import NotSupported, ParameterError, UnknownName

OPTIONS = {"immutable": ["age", "sex"], "count": 2}


@pytest.fixture(scope="module")
def refused(credit: Any) -> dict[str, Any]:
    """An applicant for whom the model says bad."""
    rows = list(credit.inputs.background)
    worst = int(credit.run(credit.inputs.encode(rows)).output[:, 0].argmin())
    return dict(rows[worst])


def test_the_full_record_of_a_credit_decision(credit: Any, refused: Any, empty: Store) -> None:
    asked: dict[str, Any] = {"evidence": "full", "counterfactual": OPTIONS, "threshold": 0.6, "samples": 64}
    people = {"author": "Ada", "recipient": "no. 7", "involvement": "reviewed", "taken": "refused"}
    made = audit.record(
        credit, refused, "kernel-shap", db=empty.url, source="credit_mlp", retention="long", **people, **asked
    )
    read = audit.read(empty.url, 1)
    for one in (made, read):
        assert (one.decision, one.threshold, one.evidence) == ("bad", 0.6, "full")
        assert {n: getattr(one, n) for n in people} == people
        assert one.scores is not None
        assert one.scores["bad"] + one.scores["good"] == pytest.approx(1, abs=1e-12)
        assert {"advantage", "rank_agreement", "randomised_similarity"} <= set(one.quality)
        assert dict(one.without) == {}
        assert one.second is not None
        assert (one.second["method"], one.second["values"].shape) == ("integrated-gradients", one.values.shape)
        assert -1 <= one.second["agreement"] <= 1
        assert one.until is not None
        assert one.until > one.created[:10]
    card = json.loads(read.card or "")
    assert card["name"] == "credit_mlp"
    assert read.card_hash == hashlib.sha256((read.card or "").encode()).hexdigest()
    assert read.preprocessing == made.preprocessing != read.card_hash
    assert empty.verify().ok


def test_the_counterfactual_holds_as_it_is_written(credit: Any, refused: Any, empty: Store) -> None:
    made = audit.record(credit, refused, "saliency", db=empty.url, threshold=0.6, counterfactual=OPTIONS, author="Ada")
    found = audit.read(empty.url, made.id).counterfactual
    assert found is not None
    assert (found.wanted, len(found)) == ("good", 2)
    for row in found.rows:
        changed = dict(zip(found.columns, row, strict=True))
        assert (changed["age"], changed["sex"]) == (refused["age"], refused["sex"])
        score = float(credit.run(credit.inputs.encode([changed])).output[0, 0])
        assert score >= 0.6
    assert found.bounds[0] == pytest.approx(0.6 + MARGIN)
    assert set(made.without) == {"second"}


def test_a_threshold_turns_the_wish_around(credit: Any, refused: Any, empty: Store) -> None:
    """Whom the threshold lets pass is told what would make the model refuse."""
    low = float(credit.run(credit.inputs.encode([refused])).output[0, 0]) / 2
    made = audit.record(credit, refused, "saliency", db=empty.url, threshold=low, counterfactual={"most": 4})
    assert made.decision == "good"
    assert made.counterfactual is None or made.counterfactual.wanted == "bad"
    assert made.counterfactual is not None or made.without["counterfactual"]


def test_what_is_not_there_is_named(model: Any, picture: Any, empty: Store) -> None:
    free = audit.record(model, picture(1), "saliency", db=empty.url)
    assert dict(free.without) == dict.fromkeys(("second", "counterfactual"), "it was not asked for")
    full = audit.record(model, picture(1), "saliency", db=empty.url, evidence="full", second="occlusion")
    assert dict(full.without) == {
        "stability": "the method draws no samples",
        "counterfactual": "counterfactuals are for tables, and xo_cnn takes Image: leave them out",
    }
    assert full.second is not None
    assert full.second["method"] == "occlusion"
    assert audit.read(empty.url, 2).without == full.without


def test_a_card_of_one_s_own(model: Any, picture: Any, empty: Store) -> None:
    made = audit.record(model, picture(1), "saliency", db=empty.url, card="żółw\n")
    assert (made.card, made.card_hash) == ("żółw\n", hashlib.sha256("żółw\n".encode()).hexdigest())
    assert audit.record(model, picture(1), "saliency", db=empty.url, card={"b": 1, "a": 2}).card == '{"a":2,"b":1}'
    none = audit.record(model, picture(1), "saliency", db=empty.url)
    assert (none.card, none.card_hash) == (None, None)
    other = audit.record(model, picture(1), "saliency", db=empty.url, source="mnist_cnn")
    assert other.card is None, "the card of another network"


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"second": "lim"}, UnknownName, "did you mean 'lime'"),
        ({"counterfactual": {"immutable": ["agee"]}}, UnknownName, "did you mean 'age'"),
        ({"evidence": "some"}, ParameterError, "evidence is 'free', 'full'"),
        ({"card": {"a": float("nan")}}, ParameterError, "the card cannot be put on record"),
        ({"until": "soon"}, ParameterError, "until is a day"),
    ],
)
def test_mistakes_leave_nothing(
    credit: Any, refused: Any, tmp_path: Path, asked: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        audit.record(credit, refused, "saliency", db=f"sqlite:///{tmp_path / 'new.db'}", **asked)
    assert list(tmp_path.iterdir()) == []


def test_a_threshold_needs_a_decision(tmp_path: Path) -> None:
    import xaikit as xk

    two = xk.wrap(lambda x: x[:, :2], inputs=xk.Array(3), outputs=xk.Values(["a", "b"]), version="1")
    with pytest.raises(NotSupported, match="a threshold needs"):
        audit.record(two, np.ones(3), "occlusion", 0, db=f"sqlite:///{tmp_path / 'new.db'}", threshold=1)


def test_numbers_that_json_cannot_hold_are_kept(model: Any, picture: Any, empty: Store) -> None:
    from xaikit.attribution import explain
    from xaikit.audit._record import Besides, columns_of

    odd = {"agreement": float("nan"), "least": [-float("inf"), 1.0]}
    columns = columns_of(explain(model, picture(1), "saliency"), None, True, Besides(second=odd))
    audit.database(empty.url).append(*columns)
    read = audit.read(empty.url, 1).second
    assert read is not None
    assert np.isnan(read["agreement"])
    assert read["least"] == [-np.inf, 1.0]
    assert empty.verify().ok
