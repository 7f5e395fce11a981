"""The scalars of TensorBoard's event files, read without TensorFlow.

An event file is a sequence of records, each an `Event` message: length (8 bytes), masked CRC-32C of the length (4),
data, masked CRC-32C of the data (4), little-endian (tensorflow/core/lib/io/record_writer.h). Of the messages only the
fields for scalars are read, by their numbers in event.proto, summary.proto and tensor.proto.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from xaikit.errors import InputError

EVENT_STEP, EVENT_SUMMARY = 2, 5
SUMMARY_VALUE = 1
VALUE_TAG, VALUE_SIMPLE, VALUE_TENSOR = 1, 2, 8
TENSOR_TYPE, TENSOR_SHAPE, TENSOR_CONTENT = 1, 2, 4
SHAPE_DIM, DIM_SIZE = 2, 1
TENSOR_NUMBERS = {1: ("<f4", 5, "f4"), 2: ("<f8", 6, "f8"), 3: ("<i4", 7, "varint"), 9: ("<i8", 10, "varint")}
"""By data type (float, double, int32, int64): how tensor_content is packed, and the field with its numbers."""
VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5
LARGEST_SCALAR = 1 << 16
"""Records beyond this many bytes hold graphs, pictures and histograms; their checksum is not worth the time."""

Field = tuple[int, int, int | bytes]


class Scalar(NamedTuple):
    """One number that was logged."""

    tag: str
    step: int
    value: float


def scalars(path: Path) -> Iterator[Scalar]:
    """Give the scalars of an event file in the order of writing, old `simple_value` and new tensor summaries alike.

    A last record that is cut short, as in a running or broken-off training, ends the file. Raises InputError for a
    file that is no event file or is damaged before its end.
    """
    for place, record in _records(path):
        try:
            yield from _of_event(record)
        except (IndexError, struct.error, ValueError) as error:
            raise InputError(f"{path} is damaged: the event at byte {place:,} cannot be read ({error})") from None


def _records(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    at = 0
    while at + 12 <= len(content):
        (length,), (said,) = struct.unpack_from("<Q", content, at), struct.unpack_from("<I", content, at + 8)
        if masked_crc(content[at : at + 8]) != said:
            what = "is no TensorBoard event file" if at == 0 else f"is damaged at byte {at:,}"
            raise InputError(f"{path} {what}: a record's length does not fit its checksum")
        data = content[at + 12 : at + 12 + length]
        if at + 16 + length > len(content):
            return
        (said,) = struct.unpack_from("<I", content, at + 12 + length)
        if length <= LARGEST_SCALAR and masked_crc(data) != said:
            raise InputError(f"{path} is damaged: the record at byte {at:,} does not fit its checksum")
        yield at, data
        at += 16 + length
    if at == 0 and content:
        raise InputError(f"{path} is no TensorBoard event file: it has {len(content)} bytes, too few for one record")


def _of_event(event: bytes) -> Iterator[Scalar]:
    fields = list(_fields(event))
    step = next((_signed(v) for n, _, v in fields if n == EVENT_STEP and isinstance(v, int)), 0)
    for _, _, summary in (f for f in fields if f[0] == EVENT_SUMMARY):
        for number, _, value in _fields(_bytes(summary)):
            if number == SUMMARY_VALUE:
                tag, found = _of_value(_bytes(value))
                if found is not None:
                    yield Scalar(tag, step, found)


def _of_value(value: bytes) -> tuple[str, float | None]:
    tag, found = "", None
    for number, wire, content in _fields(value):
        if number == VALUE_TAG:
            tag = _bytes(content).decode("utf-8")
        elif number == VALUE_SIMPLE and wire == FOUR_BYTES:
            found = float(struct.unpack("<f", _bytes(content))[0])
        elif number == VALUE_TENSOR:
            found = _of_tensor(_bytes(content))
    return tag, found


def _of_tensor(tensor: bytes) -> float | None:
    """The number in a tensor without axes; None for text, histograms and pictures."""
    fields: dict[int, tuple[int, int | bytes]] = {n: (w, v) for n, w, v in _fields(tensor)}
    kind = fields.get(TENSOR_TYPE, (VARINT, 0))[1]
    if kind not in TENSOR_NUMBERS or _entries(_bytes(fields.get(TENSOR_SHAPE, (BYTES, b""))[1])) != 1:
        return None
    packed, field, single = TENSOR_NUMBERS[int(kind)]
    if content := _bytes(fields.get(TENSOR_CONTENT, (BYTES, b""))[1]):
        return float(np.frombuffer(content, packed)[0])
    _, value = fields.get(field, (BYTES, b""))
    if isinstance(value, int):
        return float(_signed(value))
    if not value:
        return 0.0  # proto3 leaves zeros out
    return float(_signed(_varint(value, 0)[0])) if single == "varint" else float(np.frombuffer(value, packed)[0])


def _entries(shape: bytes) -> int:
    sizes = [
        next((v for m, _, v in _fields(_bytes(dim)) if m == DIM_SIZE and isinstance(v, int)), 0)
        for n, _, dim in _fields(shape)
        if n == SHAPE_DIM
    ]
    return int(np.prod(sizes)) if sizes else 1


# ---------------------------------------------------------------- protocol buffers on the wire


def _fields(message: bytes) -> Iterator[Field]:
    """Give (number, wire type, value) of every field: an int for a varint, else the bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, at = _varint(message, at)
            yield number, wire, value
            continue
        if wire == BYTES:
            size, at = _varint(message, at)
        elif wire in (EIGHT_BYTES, FOUR_BYTES):
            size = 8 if wire == EIGHT_BYTES else 4
        else:
            raise ValueError(f"wire type {wire}")
        if at + size > len(message):
            raise ValueError("a field reaches beyond its message")
        yield number, wire, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number stands where a message is expected")
    return value


# ---------------------------------------------------------------- checksums


def _table() -> tuple[int, ...]:
    """Castagnoli's polynomial, bits reversed, for every byte."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


CASTAGNOLI = _table()


def masked_crc(data: bytes) -> int:
    """CRC-32C of data, rotated and shifted as record files store it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CASTAGNOLI[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
