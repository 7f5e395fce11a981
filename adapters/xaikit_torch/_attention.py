"""Attention written out, so that its weights can be read, replaced, and be the source of a gradient.

torch's functions keep the weights to themselves (fused kernels never form them); the same formula from the same
arguments gives the same output to rounding.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.nn import functional

Tap = Callable[[torch.Tensor], torch.Tensor]
"""What is done with the weights (sample, *head, target, source): gives those that go on."""

MULTI_HEAD = (
    *("query", "key", "value", "embed_dim_to_check", "num_heads", "in_proj_weight", "in_proj_bias", "bias_k", "bias_v"),
    *("add_zero_attn", "dropout_p", "out_proj_weight", "out_proj_bias", "training", "key_padding_mask", "need_weights"),
    *("attn_mask", "use_separate_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight", "static_k"),
    *("static_v", "average_attn_weights", "is_causal"),
)
SCALED_DOT = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal", "scale", "enable_gqa")


def opened(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Callable[[Tap], Any] | None:
    """Give the attention that a function's call is, written out: from a tap to the result; None if it is none.

    `name` is the function's plain name.
    """
    if name == "multi_head_attention_forward":
        known = dict(zip(MULTI_HEAD, args, strict=False)) | dict(kwargs)
        fixed = known.get("static_k") is not None or known.get("static_v") is not None
        return None if fixed or known["query"].ndim != 3 else lambda tap: _multi_head(known, tap)
    if name == "scaled_dot_product_attention":
        known = dict(zip(SCALED_DOT, args, strict=False)) | dict(kwargs)
        nested = known.get("enable_gqa") or any(known[n].is_nested for n in SCALED_DOT[:3])
        return None if nested or known["query"].ndim not in (3, 4) else lambda tap: _scaled_dot(known, tap)
    return None


def _scaled_dot(known: Mapping[str, Any], tap: Tap) -> torch.Tensor:
    query, key, value = (known[n] for n in SCALED_DOT[:3])
    mask = known.get("attn_mask")
    if known.get("is_causal"):
        mask = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
    added = None if mask is None else _added(~mask if mask.dtype == torch.bool else mask, query)
    scale = known.get("scale")
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    return tap(_weights(query * scale, key, added, fused=True)) @ value


def _multi_head(known: Mapping[str, Any], tap: Tap) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Vaswani et al. (2017), section 3.2.2; query, key and value are (time, sample, channel) as torch hands them on."""
    heads = known["num_heads"]
    query, key, value = _projected(known)
    mask, padding = known.get("attn_mask"), known.get("key_padding_mask")
    if known.get("bias_k") is not None:
        samples = key.shape[1]
        key = torch.cat([key, known["bias_k"].expand(-1, samples, -1)])
        value = torch.cat([value, known["bias_v"].expand(-1, samples, -1)])
    if known.get("add_zero_attn"):
        key, value = (torch.cat([t, torch.zeros_like(t[:1])]) for t in (key, value))
    q, k, v = (t.unflatten(-1, (heads, -1)).permute(1, 2, 0, 3) for t in (query, key, value))
    added = _masks(mask, padding, q, k)
    fused = not known.get("need_weights", True)
    weights = tap(_weights(q * q.shape[-1] ** -0.5, k, added, fused))
    joined = (weights @ v).permute(2, 0, 1, 3).flatten(2)
    out = functional.linear(joined, known["out_proj_weight"], known["out_proj_bias"])
    if fused:
        return out, None
    return out, weights.mean(1) if known.get("average_attn_weights", True) else weights


def _projected(known: Mapping[str, Any]) -> tuple[torch.Tensor, ...]:
    if known.get("use_separate_proj_weight"):
        matrices = tuple(known[n] for n in ("q_proj_weight", "k_proj_weight", "v_proj_weight"))
    else:
        matrices = known["in_proj_weight"].chunk(3)
    bias = known["in_proj_bias"]
    biases = (None,) * 3 if bias is None else bias.chunk(3)
    given = (known["query"], known["key"], known["value"])
    return tuple(functional.linear(x, w, b) for x, w, b in zip(given, matrices, biases, strict=True))


def _masks(
    mask: torch.Tensor | None, padding: torch.Tensor | None, q: torch.Tensor, k: torch.Tensor
) -> torch.Tensor | None:
    """Join the masks to what is added to the scores (sample, head, target, source); added keys are never masked."""
    samples, heads, _, _ = q.shape
    parts = []
    if mask is not None:
        shaped = mask.view(samples, heads, *mask.shape[1:]) if mask.ndim == 3 else mask
        parts.append(_added(shaped, q))
    if padding is not None:
        parts.append(_added(padding, q)[:, None, None])
    more = [functional.pad(p, (0, k.shape[2] - p.shape[-1])) for p in parts]
    return sum(more[1:], more[0]) if more else None


def _added(mask: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Turn a mask that is true at what is hidden into what is added to the scores."""
    if mask.dtype != torch.bool:
        return mask.to(like.dtype)
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill(mask, float("-inf"))


def _weights(query: torch.Tensor, key: torch.Tensor, added: torch.Tensor | None, fused: bool) -> torch.Tensor:
    """Softmax of the scores. Where all is hidden, fused kernels give zeros, the function that gives weights NaN."""
    scores = query @ key.transpose(-2, -1)
    if added is None:
        return torch.softmax(scores, dim=-1)
    scores = scores + added
    if not fused:
        return torch.softmax(scores, dim=-1)
    nothing = torch.isneginf(scores).all(-1, keepdim=True)
    return torch.softmax(scores.masked_fill(nothing, 0.0), dim=-1).masked_fill(nothing, 0.0)
