"""The gates and states of recurrent layers at every step."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors, leaves, length
from xaikit.attribution import origin_of, prepare, require_wrapped
from xaikit.model import Model
from xaikit.results import HiddenStates, Status
from xaikit.sequence._layers import chosen, directions, kind_of, on_input, placed, present_of, tokens_of

DEVIATION_WARN, DEVIATION_FAIL = 1e-4, 1e-2
"""Between the output of the pass through the gates and the network's own, relative to the largest output.

The first is far over the rounding of float32, and below what half precision leaves.
"""


def hidden_states(model: Model, x: Any, layer: str | None = None) -> HiddenStates:
    """Give the gates and states of a recurrent layer at every step, as HiddenStates: by name (sample, time, unit).

    `x` is what a person has, or a list or batch of these; `layer` is the name of an LSTM, GRU or plain recurrent layer,
    None the only one. The gates of both frameworks have one order and one set of names; both directions of a layer lie
    on the steps of the input; padded steps are NaN. The status warns of a network that reads the last step of the
    backward direction, where it has seen nothing but that step.

    Raises UsageError that lists the recurrent layers where there are several and none is named, UnknownName,
    InputError, and NotSupported where there is none. Sources: Hochreiter and Schmidhuber (1997) with the forget gate of
    Gers, Schmidhuber and Cummins (2000); Cho et al. (2014).
    """
    require_wrapped(model, "hidden_states")
    start = time.perf_counter()
    encoded, display = prepare(model, x)
    prediction = model.run(encoded).output  # also makes a network known that declares no input
    layer, gates = chosen(model, layer)
    suspects = _suspects(model, layer)
    ran = model.run(encoded, at=[*gates.values(), *suspects])
    values = [ran.activations[name] for name in gates.values()]
    count, steps = values[0].shape[:2]
    aligned = on_input(model, layer, steps)
    present = present_of(model, encoded, count, steps, aligned)
    found = dict(zip(gates, placed(values, present), strict=True))
    deviation = _deviation(prediction, ran.output)
    tokens = tokens_of(model, encoded, display) if aligned else None
    return HiddenStates(
        values={name: np.where(present[..., None], v, np.nan).astype(np.float32) for name, v in found.items()},
        layer=layer,
        kind=kind_of(gates),
        tokens=tokens if tokens is None or len(tokens[0]) == steps else None,
        present=present,
        x=encoded,
        display=display,
        prediction=prediction,
        deviation=deviation,
        input_spec=model.inputs,
        output_spec=model.outputs,
        status=_status(deviation, _misread(found, {n: ran.activations[n] for n in suspects})),
        origin=origin_of(
            model,
            encoded,
            "hidden-states",
            parameters={"layer": layer},
            seconds=time.perf_counter() - start,
            calls=2 * length(encoded),
        ),
    )


def _deviation(own: Tensors, split: Tensors) -> float:
    """Give the largest difference between two runs' outputs, over the largest output."""
    there = dict(leaves(split))
    apart = max(float(np.abs(a - there[n]).max()) for n, a in leaves(own))
    largest = max(float(np.abs(a).max()) for _, a in leaves(own))
    return apart / largest if largest > 0 else apart


def _suspects(model: Model, layer: str) -> list[str]:
    """List the layers without steps that may hold the last step of a layer with two directions."""
    known = model.layers
    units = known[layer].shape[-1] if known[layer].shape else None
    return [
        name
        for name, la in known.items()
        if layer in la.parents and la.shape == (units,) and la.kind not in ("lstm", "gru", "rnn", "bidirectional")
    ]


def _misread(found: Mapping[str, Array], held: Mapping[str, Array]) -> str | None:
    """Name the layer that holds the last step of both directions' states, where the backward one has just begun."""
    for forward, backward in directions(list(found)):
        last = np.concatenate([found[forward][:, -1], found[backward][:, -1]], -1)
        if found[forward].shape[1] < 2:
            continue
        for name, values in held.items():
            if values.shape == last.shape and np.allclose(values, last, atol=1e-6) and last.any():
                return name
    return None


def _status(deviation: float, misread: str | None) -> Status:
    if not deviation <= DEVIATION_FAIL:
        return Status("fail", (f"the pass through the gates gives another output than the network ({deviation:.2g})",))
    reasons = []
    if deviation > DEVIATION_WARN:
        reasons.append(f"the pass through the gates differs from the network by {deviation:.2g} of its largest output")
    if misread is not None:
        reasons.append(
            f"{misread!r} reads the last step of both directions: there the backward one has seen that step alone; its "
            "whole reading of the sequence is at the first step"
        )
    return Status("warn", tuple(reasons)) if reasons else Status("ok")
