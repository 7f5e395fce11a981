"""Layers of the neutral builder that torch has not: attention of one head, a GRU after Cho, sampling, repetition."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional


class Attention(nn.Module):
    """For every query the mean of the values, weighted by the softmax of its scores with the keys.

    query (N, target, d), value (N, source, dv) and key (N, source, d; the value unless given) give (N, target, dv).
    The submodule `weights` gives the weights (N, target, source). `scale` is what the layer learns, if anything.
    Masks are true where a step counts: steps left out of `value_mask` weigh nothing, those of `query_mask` give zero.
    """

    scale: torch.Tensor | None

    def __init__(self, scale: tuple[int, ...] | None = None) -> None:
        super().__init__()
        self.register_parameter("scale", None if scale is None else nn.Parameter(torch.ones(scale)))
        self.weights = nn.Softmax(dim=-1)

    def forward(
        self,
        query: torch.Tensor,
        value: torch.Tensor,
        key: torch.Tensor | None = None,
        value_mask: torch.Tensor | None = None,
        query_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        scores = self.score(query, value if key is None else key)
        if value_mask is not None:  # not -inf: where every step is masked, the weights are equal, as in Keras
            low = min(1e9, torch.finfo(scores.dtype).max)
            scores = torch.where(value_mask[:, None], scores, scores - low)
        context = self.weights(scores) @ value
        return context if query_mask is None else context.masked_fill(query_mask.logical_not()[..., None], 0.0)

    @abstractmethod
    def score(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        """How well each query fits each key, (N, target, source)."""

    def extra_repr(self) -> str:
        return "" if self.scale is None else f"scale={tuple(self.scale.shape)}"


class AdditiveAttention(Attention):
    """Attention with the score Σ scale · tanh(q + k) (Bahdanau et al. 2015)."""

    def score(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        together = torch.tanh(query[:, :, None] + key[:, None])
        return (together if self.scale is None else together * self.scale).sum(-1)


class DotAttention(Attention):
    """Attention with the score scale · q·k (Luong et al. 2015)."""

    def score(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        products = query @ key.transpose(1, 2)
        return products if self.scale is None else products * self.scale


class ResetBeforeGRU(nn.GRU):
    """A GRU of one layer whose reset gate acts on the state before the recurrent product (Cho et al. 2014).

    It has the weights and gives the outputs of nn.GRU(batch_first=True), but for a second bias. A step that `mask`
    (N, T) leaves out keeps the state. `tap`, if given, is called with the name, step, number of steps and value of
    every gate, and gives the value that goes on.
    """

    tap: Callable[[str, int, int, torch.Tensor], torch.Tensor] | None = None

    def __init__(self, input_size: int, hidden_size: int, *, bidirectional: bool = False) -> None:
        super().__init__(input_size, hidden_size, batch_first=True, bidirectional=bidirectional)

    def forward(self, x: torch.Tensor, hx: Any = None, mask: torch.Tensor | None = None) -> Any:  # type: ignore[override]
        ends = ("", "_reverse") if self.bidirectional else ("",)
        starts = [x.new_zeros(len(x), self.hidden_size)] * len(ends) if hx is None else list(hx)
        walks = [self._walk(x, h, mask, end) for end, h in zip(ends, starts, strict=True)]
        return torch.cat([states for states, _ in walks], -1), torch.stack([last for _, last in walks])

    def _walk(
        self, x: torch.Tensor, h: torch.Tensor, mask: torch.Tensor | None, end: str
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Every state in the order of time, and the last one reached."""
        units, steps = self.hidden_size, range(x.shape[1])
        place = "" if not self.bidirectional else "backward/" if end else "forward/"

        def tap(gate: str, t: int, value: torch.Tensor) -> torch.Tensor:
            return value if self.tap is None else self.tap(place + gate, t, len(steps), value)

        kernel, rest, bias = (getattr(self, f"{name}_l0{end}") for name in ("weight_ih", "weight_hh", "bias_ih"))
        driven = functional.linear(x, kernel, bias)
        states: dict[int, torch.Tensor] = {}
        for t in reversed(steps) if end else steps:
            r, z = torch.sigmoid(driven[:, t, : 2 * units] + h @ rest[: 2 * units].T).chunk(2, -1)
            z, r = tap("z", t, z), tap("r", t, r)
            n = tap("n", t, torch.tanh(driven[:, t, 2 * units :] + (r * h) @ rest[2 * units :].T))
            new = z * h + (1 - z) * n
            h = tap("h", t, new if mask is None else torch.where(mask[:, t, None], new, h))
            states[t] = h
        return torch.stack([states[t] for t in steps], 1), h


class Sampling(nn.Module):
    """mean + exp(log_variance / 2) · ε with ε ~ N(0, 1) in training, otherwise the mean (Kingma and Welling 2014)."""

    def forward(self, mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
        return mean + torch.exp(log_variance / 2) * torch.randn_like(mean) if self.training else mean


class Repeat(nn.Module):
    """A vector at every step: (N, features) -> (N, times, features)."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, None].expand(-1, self.times, -1)

    def extra_repr(self) -> str:
        return f"times={self.times}"
