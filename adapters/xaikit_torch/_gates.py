"""Recurrent layers walked step by step, so that their gates and states can be read, replaced, and lead gradients.

torch's functions keep the gates to themselves; the same cells from the same arguments give the same output to
rounding. Gates are called i, f, g, o, c, h (LSTM), z, r, n, h (GRU) and h (RNN), behind "l1/" where layers are stacked
and "forward/" or "backward/" where a layer has two directions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.functional import linear
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from xaikit_torch.layers import ResetBeforeGRU

Tap = Callable[[str, int, int, torch.Tensor], torch.Tensor]
"""From a gate's name, the step, the number of steps and its value (sample, unit) to the value that goes on."""
Step = Callable[[str, torch.Tensor], torch.Tensor]
States = tuple[torch.Tensor, ...]

GATES: Mapping[str, tuple[str, ...]] = {
    "lstm": ("i", "f", "g", "o", "c", "h"),
    "gru": ("z", "r", "n", "h"),
    "rnn_tanh": ("h",),
    "rnn_relu": ("h",),
}
FORWARD = (nn.LSTM.forward, nn.GRU.forward, nn.RNN.forward)
"""What a recurrent layer must run for its gates to be known."""


def gates_of(module: nn.Module) -> Iterator[tuple[str, int]]:
    """List the gates of a recurrent module with how many units each has; none for another's subclass."""
    if not isinstance(module, nn.RNNBase):
        return
    if type(module).forward not in FORWARD and not isinstance(module, ResetBeforeGRU):
        return
    for place in places(module.num_layers, module.bidirectional):
        for gate in GATES[module.mode.lower()]:
            projected = gate == "h" and module.proj_size
            yield place + gate, int(module.proj_size if projected else module.hidden_size)


def places(layers: int, both: bool) -> list[str]:
    """Give what stands before the gates' names, in the order in which torch keeps the weights."""
    ways = ("forward/", "backward/") if both else ("",)
    return [(f"l{k}/" if layers > 1 else "") + way for k in range(layers) for way in ways]


def unrolled(name: str, args: tuple[Any, ...], given: Any) -> Callable[[Tap], Any] | None:
    """Give the recurrence that a function's call is, step by step: from a tap to the result; None if it is none.

    `given` is what the module was called with: a pack has its rows sorted, and knows how they were.
    """
    return partial(_recurrence, name, args, given) if name in GATES else None


def in_order(pack: PackedSequence, front: torch.Tensor) -> PackedSequence:
    """Note with a pack which step of its sequence each of its steps is, `front` (sample, step)."""
    pack.__dict__["front"] = front
    return pack


def order_of(given: Any) -> torch.Tensor | None:
    """Give what was noted with a pack; None where its steps are the first ones of the sequences, as they are."""
    return given.__dict__.get("front") if isinstance(given, PackedSequence) else None


def _recurrence(name: str, args: tuple[Any, ...], given: Any, tap: Tap) -> tuple[torch.Tensor, ...]:
    packed = isinstance(args[1], torch.Tensor) and not args[1].is_floating_point()
    if packed:
        data, sizes, starts, weights, biased, layers, _, _, both = args[:9]
        x, lengths = pad_packed_sequence(PackedSequence(data, sizes), batch_first=True)
        there = torch.arange(x.shape[1])[None] < lengths[:, None]
        there = there.to(x.device)
        tap = _as_given(tap, given)
    else:
        x, starts, weights, biased, layers, _, _, both, batch_first = args[:9]
        x = x if batch_first else x.transpose(0, 1)
        there = None
    first = starts if isinstance(starts, tuple | list) else (starts,)
    ways = 2 if both else 1
    per = len(weights) // (layers * ways)
    found: list[torch.Tensor] = []
    last: list[States] = []
    for n, place in enumerate(places(layers, both)):
        own = weights[n * per : (n + 1) * per]
        cell = _cell(name, own, biased)
        walk = _walk(cell, x, tuple(s[n] for s in first), own, biased, there, both and n % 2 == 1, place, tap)
        found.append(walk[0])
        last.append(walk[1])
        if len(found) == ways:
            x, found = torch.cat(found, -1), []
    ends = [torch.stack(s) for s in zip(*last, strict=True)]
    if packed:
        return (pack_padded_sequence(x, lengths, batch_first=True).data, *ends)
    return (x if batch_first else x.transpose(0, 1), *ends)


def _as_given(tap: Tap, given: Any) -> Tap:
    """Show the rows of a pack in the order in which they were before they were sorted by length."""
    if not isinstance(given, PackedSequence) or given.sorted_indices is None or given.unsorted_indices is None:
        return tap
    back, forth = given.unsorted_indices, given.sorted_indices

    def reordered(gate: str, step: int, steps: int, value: torch.Tensor) -> torch.Tensor:
        return tap(gate, step, steps, value[back])[forth]

    return reordered


def _walk(
    cell: Callable[..., States],
    x: torch.Tensor,
    states: States,
    weights: Sequence[torch.Tensor],
    biased: bool,
    there: torch.Tensor | None,
    backwards: bool,
    place: str,
    tap: Tap,
) -> tuple[torch.Tensor, States]:
    """Give every state h in the order of time, zero where a sequence has ended, and the states reached last."""
    driven = linear(x, weights[0], weights[2] if biased else None)
    steps = x.shape[1]
    shown: dict[int, torch.Tensor] = {}
    for t in reversed(range(steps)) if backwards else range(steps):
        here = None if there is None else there[:, t, None]

        def step(gate: str, value: torch.Tensor, t: int = t, here: torch.Tensor | None = here) -> torch.Tensor:
            return tap(place + gate, t, steps, value if here is None else value.masked_fill(~here, 0.0))

        new = cell(driven[:, t], states, step)
        states = new if here is None else tuple(torch.where(here, n, s) for n, s in zip(new, states, strict=True))
        shown[t] = states[0] if here is None else states[0].masked_fill(~here, 0.0)
    return torch.stack([shown[t] for t in range(steps)], 1), states


def _cell(name: str, weights: Sequence[torch.Tensor], biased: bool) -> Callable[..., States]:
    rest, bias = weights[1], weights[3] if biased else None
    if name == "lstm":
        projection = weights[-1] if len(weights) % 2 else None
        return partial(_lstm, rest, bias, projection)
    if name == "gru":
        return partial(_gru, rest, bias)
    return partial(_rnn, torch.tanh if name == "rnn_tanh" else torch.relu, rest, bias)


def _lstm(rest: Any, bias: Any, projection: Any, driven: torch.Tensor, states: States, tap: Step) -> States:
    h, c = states
    before = (driven + linear(h, rest, bias)).chunk(4, -1)
    i, f, o = (tap(gate, torch.sigmoid(before[k])) for gate, k in (("i", 0), ("f", 1), ("o", 3)))
    g = tap("g", torch.tanh(before[2]))
    c = tap("c", f * c + i * g)
    h = o * torch.tanh(c)
    return tap("h", h if projection is None else linear(h, projection)), c


def _gru(rest: Any, bias: Any, driven: torch.Tensor, states: States, tap: Step) -> States:
    (h,) = states
    (xr, xz, xn), (hr, hz, hn) = driven.chunk(3, -1), linear(h, rest, bias).chunk(3, -1)
    z, r = tap("z", torch.sigmoid(xz + hz)), tap("r", torch.sigmoid(xr + hr))
    n = tap("n", torch.tanh(xn + r * hn))
    return (tap("h", (1 - z) * n + z * h),)


def _rnn(function: Any, rest: Any, bias: Any, driven: torch.Tensor, states: States, tap: Step) -> States:
    return (tap("h", function(driven + linear(states[0], rest, bias))),)
