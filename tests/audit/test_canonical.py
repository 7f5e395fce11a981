"""Canonical JSON as RFC 8785 writes it, with the numbers of its appendix B."""

import hashlib
import json
import struct
from typing import Any

import numpy as np
import pytest

from xaikit.audit._canonical import array_hash, canonical, sha256


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef4f", "999999999999999900000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555553", "333333333.3333332"),
        ("41b3de4355555557", "333333333.33333343"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)
def test_numbers_are_those_of_the_standard(bits: str, text: str) -> None:
    assert canonical(struct.unpack(">d", bytes.fromhex(bits))[0]) == text


def test_every_float_reads_back() -> None:
    rng = np.random.default_rng(0)
    raw = np.frombuffer(rng.bytes(8 * 2000), np.float64)
    for value in raw[np.isfinite(raw)]:
        assert float(canonical(float(value))) == value


def test_objects_have_one_text() -> None:
    given: dict[str, Any] = {"€": 1, "\r": [None, True, 0.5], "\ufb33": {}, "1": "é\n\u0007", "😀": -7, "ö": 10.0}
    text = '{"\\r":[null,true,0.5],"1":"é\\n\\u0007","ö":10,"€":1,"😀":-7,"\ufb33":{}}'
    assert canonical(given) == canonical(dict(reversed(given.items()))) == text
    assert json.loads(text) == given
    assert sha256(given) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53 + 1, b"bytes", {1, 2}])
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="canonical JSON"):
        canonical([value])


def test_the_hash_of_an_array_is_of_type_shape_and_values() -> None:
    a = np.arange(6, dtype=np.float32)
    others = [a.astype(np.int32), a.astype(np.float64), a.reshape(2, 3), a[::-1], a + 1]
    assert len({array_hash(x) for x in (a, *others)}) == 6
    assert array_hash(a) == array_hash(np.repeat(a, 2)[::2]) == array_hash(a.astype(">f4"))
