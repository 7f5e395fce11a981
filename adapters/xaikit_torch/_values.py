"""Arrays to tensors and back, and the tensors inside what modules and networks return."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from xaikit.arrays import Array
from xaikit.masked import MaskedRows


def to_tensor(a: Array, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Copy an array to the device; numbers with a fraction become `dtype`, integers and booleans stay."""
    if isinstance(a, MaskedRows):
        return _masked(a, device, dtype)
    a = np.asarray(a)
    if a.dtype.kind == "u" and a.dtype.itemsize > 1:
        a = a.astype(np.int64)
    # one copy, and none that the network could write into; in torch's own memory, whose rows begin where vectors do: a
    # dense network takes a fifth longer to read what numpy has allocated
    t = torch.empty(a.shape, dtype=torch.from_numpy(np.empty(0, a.dtype)).dtype)
    t.numpy()[...] = a
    t = t.to(device)
    return t.to(dtype) if t.is_floating_point() else t


def _masked(rows: MaskedRows, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Make masked inputs on the device, to which no more is sent for a row than which parts it shows."""
    made, key = [], f"{device} {dtype}"
    for hiding, shown, which in rows.pieces:
        if key not in hiding.kept:
            flat = (hiding.x.ravel(), hiding.hidden.reshape(len(hiding.hidden), -1), hiding.places)
            hiding.kept[key] = [to_tensor(a, device, dtype) for a in flat]
        x, hidden, places = hiding.kept[key]
        seen = torch.from_numpy(shown).to(device)[:, places]
        made.append(torch.where(seen, x, hidden if len(hidden) == 1 else hidden[torch.from_numpy(which).to(device)]))
    whole = made[0] if len(made) == 1 else torch.cat(made)
    return whole.reshape(-1, *rows.pieces[0].hiding.x.shape).permute(rows.order).contiguous()


def to_array(t: torch.Tensor) -> Array:
    """Copy a tensor to an array; numbers of half precision become float32."""
    t = t.detach()
    if t.dtype in (torch.float16, torch.bfloat16):
        t = t.float()
    return np.array(t.cpu().numpy())


def tensors(value: Any) -> Iterator[torch.Tensor]:
    """Walk over the tensors in nested tuples, lists, mappings and dataclasses."""
    for _, t in _named(value, ""):
        yield t


def named_outputs(value: Any) -> dict[str, torch.Tensor]:
    """Name what a network returns: keys of mappings, names of fields, places in tuples; "" where there is only one.

    Numbers without a sample axis (a loss) and parts that are no tensors (None, a cache) are left out.
    """
    if isinstance(value, torch.Tensor):
        return {"": value}
    found = {name: t for name, t in _named(value, "") if t.ndim > 0}
    if not found:
        found = dict(_named(value, ""))
    return {"": next(iter(found.values()))} if len(found) == 1 else found


def _named(value: Any, prefix: str) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(value, torch.Tensor):
        yield prefix, value
    elif isinstance(value, PackedSequence):
        yield prefix, value.data
    else:
        for key, part in _parts(value):
            yield from _named(part, f"{prefix}/{key}" if prefix else key)


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        yield from zip(value._fields, value, strict=True)
    elif isinstance(value, tuple | list):  # before mappings: asking for a protocol is slow
        yield from ((str(i), v) for i, v in enumerate(value))
    elif isinstance(value, Mapping):
        yield from ((str(k), v) for k, v in value.items())
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))


def activation(value: Any, length: int | None = None) -> torch.Tensor | None:
    """Give the tensor that stands for a layer: the sequence of a recurrent layer, the first of several otherwise.

    A packed sequence is padded to (sample, time, channel), to at least `length` steps.
    """
    if isinstance(value, PackedSequence):
        steps = max(len(value.batch_sizes), length or 0)
        return pad_packed_sequence(value, batch_first=True, total_length=steps)[0]
    if isinstance(value, torch.Tensor):
        return value
    return next((t for _, part in _parts(value) if (t := activation(part, length)) is not None), None)


def replaced(value: Any, new: torch.Tensor) -> Any:
    """Give the same structure with another activation in it."""
    if isinstance(value, PackedSequence):
        return _packed_like(value, new)
    if isinstance(value, torch.Tensor):
        return new
    key = next(key for key, part in _parts(value) if activation(part) is not None)
    parts = {k: replaced(v, new) if k == key else v for k, v in _parts(value)}
    return _rebuilt(value, parts)


def _rebuilt(value: Any, parts: dict[str, Any]) -> Any:
    if isinstance(value, Mapping):
        return type(value)(zip(value, parts.values(), strict=True))  # type: ignore[call-arg]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(**parts)
    if isinstance(value, tuple | list):
        return type(value)(parts.values())
    return dataclasses.replace(value, **parts)


def _packed_like(packed: PackedSequence, padded: torch.Tensor) -> PackedSequence:
    """Pack a padded batch in the order of another pack, so that states computed beside it still fit."""
    _, lengths = pad_packed_sequence(packed, batch_first=True)
    if packed.sorted_indices is not None:
        padded, lengths = padded[packed.sorted_indices], lengths[packed.sorted_indices.cpu()]
    data = pack_padded_sequence(padded, lengths, batch_first=True).data
    return PackedSequence(data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
