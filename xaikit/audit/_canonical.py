"""One text for one value: canonical JSON, times, and arrays by type, shape and bytes; hashes can be compared so."""

import hashlib
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np

from xaikit.arrays import Array

Precision = Literal["seconds", "microseconds"]
LARGEST = 2**53
"""Whole numbers beyond it have no exact double, which is all that JSON promises."""


def canonical(value: Any) -> str:
    """Give a value of JSON types as the one text that RFC 8785 allows: keys sorted, no spaces, shortest numbers.

    Raises ValueError for numbers that JSON cannot hold: NaN, infinities, whole numbers beyond 2^53.
    """
    if value is None or isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, Mapping):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{canonical(k)}:{canonical(value[k])}" for k in keys) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(canonical, value)) + "]"
    raise ValueError(f"canonical JSON holds numbers, text, lists and objects, no {type(value).__name__}")


def now(precision: Precision = "seconds") -> str:
    """Give the time now in UTC, as ISO 8601 with a Z."""
    return datetime.now(UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def canonical_words(value: Any) -> str:
    """Give `canonical` of a value whose keys are ASCII and that holds no numbers: a fifth of the time, in C."""
    return WORDS.encode(value)


WORDS = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, check_circular=False)


def _number(value: float) -> str:
    """Write a number as ECMAScript does: no point where there is no fraction, exponents only outside 1e-7..1e21."""
    if isinstance(value, int):
        if abs(value) > LARGEST:
            raise ValueError(f"canonical JSON cannot hold {value} exactly")
        return str(value)
    if not math.isfinite(value):
        raise ValueError(f"canonical JSON cannot hold {value}")
    if value == 0:
        return "0"
    sign, digits, exponent = _shortest(value)
    places = len(digits)
    if places <= exponent <= 21:
        text = digits + "0" * (exponent - places)
    elif 0 < exponent <= 21:
        text = digits[:exponent] + "." + digits[exponent:]
    elif -6 < exponent <= 0:
        text = "0." + "0" * -exponent + digits
    else:
        text = digits[0] + ("." + digits[1:] if places > 1 else "") + f"e{exponent - 1:+d}"
    return sign + text


def _shortest(value: float) -> tuple[str, str, int]:
    """Split a float into sign, its shortest digits and an exponent: value = sign 0.digits · 10^exponent."""
    mantissa, _, power = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    leading = len(whole) if whole.strip("0") else -(len(fraction) - len(fraction.lstrip("0")))
    digits = digits.rstrip("0")
    return "-" if value < 0 else "", digits, leading + int(power or 0)


def sha256(value: Any) -> str:
    """Give the SHA-256 of a value's canonical JSON, in hexadecimal digits."""
    return text_hash(canonical(value))


def text_hash(text: str) -> str:
    """Give the SHA-256 of a text in UTF-8, in hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def array_hash(a: Array) -> str:
    """SHA-256 over an array's type, shape and little-endian bytes, in C order."""
    a = np.ascontiguousarray(a).astype(a.dtype.newbyteorder("<"), copy=False)
    digest = hashlib.sha256(f"{a.dtype.str}\0{a.shape}\0".encode())
    digest.update(a.tobytes())
    return digest.hexdigest()
