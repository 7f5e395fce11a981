"""DeepLIFT and layer-wise relevance propagation: a backward pass in which functions hand back what their rule says.

Every function that the network calls is seen, also those inside torch's own modules, so that it makes no difference
whether a ReLU is a module, is used twice, is a function or works in place. What has no rule stops the backward pass.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, reduce
from itertools import product
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from xaikit.errors import NotSupported
from xaikit_torch._calls import CONSTANT, TRANSPARENT, Calls
from xaikit_torch._graph import function_name, function_op, words
from xaikit_torch._values import tensors

ACTIVATIONS = words(
    "relu relu6 prelu leaky_relu elu selu celu gelu silu swish mish hardtanh hardswish hardsigmoid softplus softsign "
    "tanh sigmoid log_sigmoid logsigmoid softshrink hardshrink tanhshrink threshold rrelu clamp clip"
)
ELEMENTWISE = ACTIVATIONS | words("abs exp exp2 expm1 log log1p log2 log10 sqrt rsqrt square pow sin cos tan atan erf")
MOVES = TRANSPARENT | words(
    "reshape permute flatten concat stack hstack vstack index pad dropout identity expand expand_as repeat tile roll "
    "flip chunk split unbind squeeze unsqueeze pixel_shuffle pixel_unshuffle channel_shuffle unfold narrow view_as "
    "broadcast_to broadcast_tensors repeat_interleave atleast_1d atleast_2d atleast_3d meshgrid channel_shuffle"
)
LINEAR = words(
    "conv conv_transposed dense batch_norm avg_pool global_avg_pool add subtract rsub neg mean sum upsample cumsum "
    "multiply divide matmul embedding addcmul fold diff"
)
FACTORS = words("multiply divide matmul")
POOLS = words("max_pool global_max_pool")


@dataclass
class Rules:
    """How the functions of one network are treated while one sample is explained.

    `treat(kind, call)` gives a result with the rule's gradient, or None where the function's own is right.
    `place` says where the network is at the moment; `stopped` collects what stopped the backward pass, if it is to go
    on nevertheless.
    """

    place: Callable[[str], str] = lambda name: name
    stopped: dict[str, str] | None = None
    treated: dict[str, str] = field(default_factory=dict)

    def treat(self, kind: str, call: "Applied") -> Any:
        raise NotImplementedError

    def stop(self, kind: str, call: "Applied", why: str = "has no rule") -> Any:
        """Call a function whose backward pass will not be taken."""
        name, stopped = self.place(kind), self.stopped

        def stops(*_: Any) -> None:
            if stopped is None:
                raise NotSupported(f"layer {name!r} ({kind}) {why}")
            stopped[name] = f"{kind} {why}"

        return _each_tensor(call.own(), lambda t: _Stop.apply(t, stops) if t.requires_grad else t)


@dataclass
class Applied:
    """One call of a function by the network."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    parameters: Mapping[str, Any]

    @property
    def source(self) -> torch.Tensor:
        return self.args[0] if self.args else next(t for t in self.kwargs.values() if isinstance(t, torch.Tensor))

    @cached_property
    def varying(self) -> list[torch.Tensor]:
        """The tensors that depend on the input; the parameters of the network are frozen."""
        return [t for t in _given(self.args, self.kwargs) if t.requires_grad]

    @property
    def in_place(self) -> bool:
        name = getattr(self.function, "__name__", "")
        overwrites = name.endswith("_") and not name.endswith("__")
        flagged = function_name(self.function) in ELEMENTWISE and any(a is True for a in self.args[1:])
        return overwrites or flagged or name in IN_PLACE or self.kwargs.get("inplace") is True

    def own(self) -> Any:
        return self.function(*self.args, **self.kwargs)

    def on(self, swap: Mapping[int, torch.Tensor]) -> Any:
        """Call the function on other tensors in the place of some, by identity."""
        args, kwargs = _swapped(self.args, swap), _swapped(dict(self.kwargs), swap)
        return self.function(*args, **kwargs)

    def plain(self) -> torch.Tensor:
        """Give the value alone, without touching the argument."""
        x = self.source.detach()
        with torch.no_grad():
            return self.on({id(self.source): x.clone() if self.in_place else x})

    def derivative(self) -> torch.Tensor:
        """Give the derivative of a function of single numbers."""
        x = self.source.detach().clone().requires_grad_()
        with torch.enable_grad():
            y = self.on({id(self.source): x.clone() if self.in_place else x})
            return torch.autograd.grad(y.sum(), x)[0]

    def returns(self, value: torch.Tensor) -> torch.Tensor:
        """Hand a value to the network the way the function does: in the argument itself if it works in place."""
        return self.source.copy_(value) if self.in_place else value


IN_PLACE = words("__iadd__ __isub__ __imul__ __itruediv__ __setitem__")


class Watching(TorchFunctionMode):
    """Sends the functions that a network calls to rules."""

    def __init__(self, rules: Rules) -> None:
        super().__init__()
        self.rules = rules

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in ("__get__", "__set__") or function_name(func) in CONSTANT:
            return func(*args, **kwargs)
        if not any(t.is_floating_point() for t in _given(args, kwargs)):
            return func(*args, **kwargs)
        op = function_op(func, args, kwargs)
        found = self.rules.treat(op.kind, Applied(func, args, kwargs, op.parameters))
        return func(*args, **kwargs) if found is None else found


# --- DeepLIFT --------------------------------------------------------------------------------------------------------


@dataclass
class Noted(Rules):
    """The pass of the baseline: notes what goes into and comes out of every function that will be rescaled.

    `copies`: of the values; a network that overwrites some needs it. `overwrites` tells whether it has done so.
    """

    copies: bool = False
    overwrites: bool = False
    notes: deque[tuple[str, tuple[torch.Tensor, ...], torch.Tensor]] = field(default_factory=deque)

    def treat(self, kind: str, call: Applied) -> Any:
        self.overwrites = self.overwrites or call.in_place
        if kind in ELEMENTWISE or kind in POOLS or (kind == "max" and _axes(call)):
            return self._noted(kind, [call.source], call)
        factors = _factors(call) if kind in FACTORS else []
        return self._noted(kind, factors, call) if len(factors) == 2 else None

    def _noted(self, kind: str, sources: list[torch.Tensor], call: Applied) -> Any:
        before = tuple(t.clone() if self.copies else t for t in sources)
        result = call.own()
        after = next(tensors(result))
        self.notes.append((kind, before, after.clone() if self.copies else after))
        return result


@dataclass
class Rescale(Rules):
    """The pass of the sample: functions hand back Δout / Δin where they were given another derivative.

    Rescale rule: Shrikumar, Greenside and Kundaje, "Learning Important Features Through Propagating Activation
    Differences" (2017), section 3.5.1. Where |Δin| < eps it is the derivative. Of a maximum, the rise goes to the place
    that is largest now, the fall to the one that was largest in the baseline. Of a product of two varying values each
    gets its own change times the other's mean, as in Lundberg and Lee (2017). `alone`: the baseline's pass had one row,
    which stands for those of all samples.
    """

    notes: deque[tuple[str, tuple[torch.Tensor, ...], torch.Tensor]] = field(default_factory=deque)
    eps: float = 1e-10
    alone: bool = False

    def treat(self, kind: str, call: Applied) -> Any:
        if kind in ELEMENTWISE:
            return self._elementwise(kind, call)
        if kind in FACTORS and len(factors := _factors(call)) == 2:
            return self._product(kind, call, factors)
        if kind in POOLS:
            return self._pooled(kind, call)
        if kind == "max" and _axes(call):
            return self._largest(kind, call)
        if not call.varying or kind in MOVES or _is_linear(kind, call):
            return None
        return self.stop(kind, call)

    def _noted(self, kind: str, now: tuple[torch.Tensor, ...]) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        noted, before, after = self.notes.popleft() if self.notes else ("", (), torch.empty(0))
        if noted != kind or len(before) != len(now) or not all(map(self._fit, before, now)):
            raise NotSupported(
                f"{self.place(kind)!r}: the network takes another way for the baseline than for the sample"
            )
        return before, after

    def _fit(self, before: torch.Tensor, now: torch.Tensor) -> bool:
        """Whether a tensor of the baseline's pass stands for the sample's; one row of it may stand for all."""
        return before.shape == now.shape or (self.alone and before.shape == (1, *now.shape[1:]))

    def _elementwise(self, kind: str, call: Applied) -> Any:
        (before,), after = self._noted(kind, (call.source,))
        if not call.source.requires_grad:
            return None
        if len(call.varying) > 1:
            return self.stop(kind, call, "has an argument that varies too")
        self.treated[self.place(kind)] = kind
        y = call.plain()
        if kind == "relu" and self.eps < 1e-6:
            ratio = _ratio_of_relu(call.source.detach(), _laid_out(before, call.source), _laid_out(after, y))
            return call.returns(_Scaled.apply(call.source, [y], ratio))
        change = call.source.detach() - _laid_out(before, call.source)
        multiplier = (y - _laid_out(after, y)).div_(change)
        small = change.abs_() < self._eps(_laid_out(before, call.source))
        if bool(small.any()):
            multiplier = torch.where(small, call.derivative(), multiplier)
        return call.returns(_Scaled.apply(call.source, [y], multiplier))

    def _eps(self, before: torch.Tensor) -> Any:
        """Below what a change counts as none; a pass of another number of rows may round otherwise."""
        return (ROUNDING * before.abs()).clamp_(min=self.eps) if self.alone else self.eps

    def _product(self, kind: str, call: Applied, factors: list[torch.Tensor]) -> Any:
        before, _ = self._noted(kind, tuple(factors))
        if not call.varying:
            return None
        if kind == "divide":
            return self.stop(kind, call, "by a varying value has no rule") if factors[1].requires_grad else None
        if not all(t.requires_grad for t in factors):
            return None
        self.treated[self.place(kind)] = kind
        means = [(t.detach() + b) / 2 for t, b in zip(factors, before, strict=True)]
        with torch.no_grad():
            y = call.function(*(t.detach().clone() for t in factors))
        multiply = torch.matmul if kind == "matmul" else torch.mul
        parts = multiply(factors[0], means[1]) + multiply(means[0], factors[1])
        return call.returns(_Scaled.apply(parts, [y], y.new_ones(())))

    def _pooled(self, kind: str, call: Applied) -> Any:
        (before,), after = self._noted(kind, (call.source,))
        if not call.source.requires_grad:
            return None
        self.treated[self.place(kind)] = kind
        if (size := _apart(call)) is not None:
            return self._pooled_apart(call.source, before, size)
        x, y = call.source.detach(), call.plain()
        pool, dims = _pool(call)
        flat, axis = _in_a_row(x, dims)
        places = [flat(pool(_untied(v, top, dims))) for v, top in ((x, y), (before, after))]
        picked = self._shared([flat(y), flat(after)], [flat(x), flat(before)], places, axis)
        return _Picked.apply(call.source, [y], picked, (flat, axis))

    def _pooled_apart(self, source: torch.Tensor, before: torch.Tensor, size: tuple[int, ...]) -> Any:
        """Treat a pooling of windows that do not overlap, place by place of a window: torch's own takes ten times as
        long where the channels come first."""
        now, then = _cells(source.detach(), size), _cells(before, size)
        (y, largest), (below, largest_then) = _largest_cell(now, size), _largest_cell(then, size)
        rise = y - below
        gained = y - sum(chosen * b for chosen, b in zip(largest, then, strict=True))
        lost = sum(chosen * a for chosen, a in zip(largest_then, now, strict=True)) - below
        up = (rise.clamp(min=0) / gained).clamp_(0, 1).masked_fill_(gained.abs_() < self.eps, 1)
        down = (rise.clamp_(max=0) / lost).clamp_(0, 1).masked_fill_(lost.abs_() < self.eps, 0)
        shares = [(up * a).add_(down * b) for a, b in zip(largest, largest_then, strict=True)]
        return _Shared.apply(source, [y], shares, size)

    def _largest(self, kind: str, call: Applied) -> Any:
        """Treat a maximum over whole axes, as a row of the values along them."""
        (before,), _ = self._noted(kind, (call.source,))
        if not call.source.requires_grad:
            return None
        self.treated[self.place(kind)] = kind
        axes = _axes(call)
        rows = [t.movedim(axes, tuple(range(-len(axes), 0))).flatten(-len(axes)) for t in (call.source, before)]
        with torch.no_grad():
            result = call.own()
            tops = [t.amax(-1, keepdim=True) for t in rows]
            # of equal values the first
            near = [(t >= top - TIE * top.abs()).to(t.dtype) for t, top in zip(rows, tops, strict=True)]
            places = [t.argmax(-1, keepdim=True) for t in near]
            picked = self._shared(tops, rows, places)
        y = _Picked.apply(rows[0], [tops[0]], picked, _in_a_row(rows[0], 1)).reshape(next(tensors(result)).shape)
        return y if isinstance(result, torch.Tensor) else type(result)((y, *result[1:]))

    def _shared(
        self, tops: list[torch.Tensor], values: list[torch.Tensor], places: list[torch.Tensor], axis: int = -1
    ) -> Any:
        """Give for the places of the maxima, now and in the baseline, their shares: of the rise, and of the fall.

        `tops` are the maxima, `values` those that they are of along an axis, now and in the baseline.
        """
        rise, now, before = tops[0] - tops[1], *(t.detach() for t in values)
        moved = tops[0] - _at(before.expand_as(now), places[0], axis), _at(now, places[1], axis) - tops[1]
        found = []
        for place, gone, part, own in zip(
            places, moved, (rise.clamp(min=0), rise.clamp_(max=0)), (1.0, 0.0), strict=True
        ):
            ratio = part.div_(gone).clamp_(0, 1)
            found.append((place.expand_as(rise), torch.where(gone.abs_() < self.eps, own, ratio)))
        return found


def _ratio_of_relu(x: torch.Tensor, b: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Give (x⁺ - b⁺) / (x - b), and where x = b the derivative, which is the limit of it: `after` is b⁺.

    It is h⁺ / (h⁺ + l⁻), h the larger of both and l the smaller: 0/0 only where both are 0, and without cancellation.
    """
    high = torch.maximum(x, after)
    low = torch.minimum(x, b.clamp(max=-torch.finfo(b.dtype).tiny))
    return high.div_(torch.sub(high, low, out=low))


def _at(values: torch.Tensor, places: torch.Tensor, axis: int) -> torch.Tensor:
    """Give the values at some places along an axis; one row of places may stand for those of all samples."""
    if len(places) == len(values) or values.ndim != 3 or not values.is_contiguous():
        return values.gather(axis, places.expand(len(values), *places.shape[1:]))
    # the same places of all samples are taken several times as fast in one go
    number = torch.arange(values[0].numel(), device=places.device).view_as(values[0]).gather(axis, places[0])
    return values.flatten(1).index_select(1, number.flatten()).view(len(values), *number.shape)


def _laid_out(one: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Give a row in the layout in memory of many: where they differ arithmetic takes several times as long."""
    return one if one.shape == like.shape else torch.empty_like(like[:1]).copy_(one)


def _axes(call: Applied) -> tuple[int, ...]:
    """Give the axes that a maximum is taken over; () for one of all values or of two tensors."""
    axes = call.kwargs.get("dim", call.args[1] if len(call.args) > 1 else ())
    axes = (axes,) if isinstance(axes, int) else axes
    return tuple(axes) if isinstance(axes, tuple | list) else ()


def _in_a_row(x: torch.Tensor, dims: int) -> tuple[Callable[[torch.Tensor], torch.Tensor], int]:
    """Give the function that lays the last axes of a tensor out as one, and where that is: as `x` lies in memory.

    Where the channels are the last in memory they stay so; in another order arithmetic takes several times as long.
    """
    if x.ndim != dims + 2 or x.is_contiguous():
        return lambda t: t.flatten(-dims), -1
    return lambda t: t.movedim(1, -1).flatten(1, -2), -2


def _pool(call: Applied) -> tuple[Callable[[torch.Tensor], torch.Tensor], int]:
    """Give the function that tells where each maximum of a pooling is found, and over how many axes it goes."""
    name = function_name(call.function)
    dims = next(n for n in (1, 2, 3) if f"{n}d" in name)
    adaptive = name.startswith("adaptive")
    known = ("output_size",) if adaptive else ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
    given = {**dict(zip(known, call.args[1:], strict=False)), **{k: v for k, v in call.kwargs.items() if k in known}}
    function = getattr(functional, f"{'adaptive_' * adaptive}max_pool{dims}d")
    return lambda x: function(x, **given, return_indices=True)[1], dims


def _apart(call: Applied) -> tuple[int, ...] | None:
    """Give the size of windows that lie side by side in the input of a pooling; None for any others."""
    name = function_name(call.function)
    if name.startswith("adaptive") or "indices" in name:
        return None
    dims = next(n for n in (1, 2, 3) if f"{n}d" in name)
    known = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
    given = {**dict(zip(known, call.args[1:], strict=False)), **call.kwargs}
    size, stride = (_for_each_axis(given.get(n), dims) for n in ("kernel_size", "stride"))
    plain = _for_each_axis(given.get("padding", 0), dims) == (0,) * dims
    plain &= _for_each_axis(given.get("dilation", 1), dims) == (1,) * dims
    plain &= not given.get("ceil_mode") and not given.get("return_indices")
    return size if plain and stride in ((), size) else None


def _for_each_axis(value: Any, dims: int) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value,) * dims
    found = tuple(value) if value else ()
    return found * dims if len(found) == 1 else found


def _cells(x: torch.Tensor, size: tuple[int, ...]) -> list[torch.Tensor]:
    """Give what stands at each place of the windows, the last axis first: (sample, channel, *windows) each."""
    ends = [n // k * k for n, k in zip(x.shape[-len(size) :], size, strict=True)]
    places = product(*map(range, size))
    along: list[Any] = [(..., *(slice(i, n, k) for i, n, k in zip(at, ends, size, strict=True))) for at in places]
    return [x[at] for at in along]


def _largest_cell(cells: list[torch.Tensor], size: tuple[int, ...]) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Give the maxima of windows, and for each place, by 1 and 0, whether it holds them; of equal values the first.

    Later places are lowered as by `_untied`.
    """
    top = reduce(torch.maximum, cells)
    step = TIE * top.abs().amax(tuple(range(1, top.ndim)), keepdim=True)
    orders = (reduce(lambda order, i: 4 * order + i, at) for at in product(*map(range, size)))
    lowered = [cell - step * order if order else cell for cell, order in zip(cells, orders, strict=True)]
    best = reduce(torch.maximum, lowered)
    found, left = [], torch.ones_like(top, dtype=torch.bool)
    for cell in lowered:
        own = (cell == best).logical_and_(left)
        left.logical_xor_(own)
        found.append(own.to(top.dtype))
    return top, found


def _untied(x: torch.Tensor, top: torch.Tensor, dims: int) -> torch.Tensor:
    """Lower places by their order, by less than differences count, so that rounding does not choose among equals.

    `top` are the maxima.
    """
    step = TIE * top.abs().amax(tuple(range(1, x.ndim)), keepdim=True)
    order = x.new_zeros(())
    for axis in range(dims):
        places = torch.arange(x.shape[axis - dims], dtype=x.dtype, device=x.device)
        order = order.unsqueeze(-1) * 4 + places if axis else places
    return x - step * order


ROUNDING = 1e-6
"""Changes below this share of the value are rounding where the two passes had not the same number of rows."""
TIE = 2e-6
"""Values closer than some times this share of the largest count as equal: a maximum is then found at the first."""


# --- layer-wise relevance propagation --------------------------------------------------------------------------------


@dataclass
class Relevance(Rules):
    """Functions hand back relevance: each input gets the share that it had in the output.

    A linear function z = Σ a·w + b passes R on as a · w · R / (z + ε sign z) (epsilon rule: Bach et al. (2015), section
    "Taylor-type decomposition", equation 58). `rule` "gamma" reads weights w + γ w⁺ there, "alpha1-beta0" w⁺
    (Montavon et al. (2019), section 10.2). Activations, moves and a maximum pass on what they get.
    """

    rule: str = "epsilon"
    epsilon: float = 1e-9
    gamma: float = 0.25

    def treat(self, kind: str, call: Applied) -> Any:
        if not call.varying or kind in MOVES:
            return None
        if kind in ACTIVATIONS and len(call.varying) == 1:
            self.treated[self.place(kind)] = kind
            y = call.plain()
            return call.returns(_Scaled.apply(call.source, [y], y.new_ones(())))
        if kind in POOLS or (kind == "max" and _axes(call)):
            return None
        if _is_linear(kind, call) and (kind not in FACTORS or len(call.varying) == 1):
            return self._linear(kind, call)
        return self.stop(kind, call)

    def _linear(self, kind: str, call: Applied) -> Any:
        own = list({id(t): t for t in call.varying}.values())
        held = {id(t): t.detach().clone().requires_grad_() for t in own}
        with torch.enable_grad():
            y = self._weighted(kind, call, {i: t.clone() if call.in_place else t for i, t in held.items()})
        value = call.on({i: t.detach().clone() for i, t in held.items()}) if self._changes(kind) else y
        found = _Shares.apply(value.detach(), y, self.epsilon, list(held.values()), *own)
        return call.returns(found)

    def _changes(self, kind: str) -> bool:
        return self.rule != "epsilon" and kind in WEIGHTED

    def _weighted(self, kind: str, call: Applied, held: Mapping[int, torch.Tensor]) -> torch.Tensor:
        """Call a function on copies of its arguments, with the weights of the rule."""
        if not self._changes(kind):
            return call.on(held)
        weight = call.kwargs["weight"] if "weight" in call.kwargs else call.args[1]
        positive = weight.detach().clamp(min=0)
        changed = positive if self.rule == "alpha1-beta0" else weight.detach() + self.gamma * positive
        return call.on({**held, id(weight): changed})


WEIGHTED = words("conv conv_transposed dense")


class _Scaled(torch.autograd.Function):
    """A value whose gradient is the multiplier."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, y: list[torch.Tensor], multiplier: torch.Tensor) -> torch.Tensor:
        ctx.multiplier = multiplier
        return y[0]  # in a list, or it would count as a view, which the network could not overwrite

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        own, ctx.multiplier = ctx.multiplier, None
        return own.mul_(grad) if own.shape == grad.shape else grad * own, None, None


class _Picked(torch.autograd.Function):
    """Maxima whose gradient goes to places among the flattened ones, each with its share."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, y: list[torch.Tensor], picked: Any, laid: Any) -> torch.Tensor:
        ctx.picked, ctx.laid, ctx.like = picked, laid, x.detach()
        return y[0]

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        (flat, axis), found = ctx.laid, torch.zeros_like(ctx.like)
        given, row = flat(grad), flat(found)
        for places, share in ctx.picked:
            row.scatter_add_(axis, places, given * share)
        return found, None, None, None


class _Shared(torch.autograd.Function):
    """Maxima of windows that do not overlap, whose gradient goes to their places by shares."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, y: list[torch.Tensor], shares: Any, size: Any) -> torch.Tensor:
        ctx.shares, ctx.size, ctx.like = shares, size, x.detach()
        return y[0]

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        found = torch.zeros_like(ctx.like)
        for cell, share in zip(_cells(found, ctx.size), ctx.shares, strict=True):
            torch.mul(grad, share, out=cell)
        return found, None, None, None


class _Shares(torch.autograd.Function):
    """A value of which each argument gets back its share: argument · d y / d argument · R / (y + ε sign y)."""

    @staticmethod
    def forward(ctx: Any, value: torch.Tensor, y: torch.Tensor, epsilon: float, held: Any, *own: Any) -> torch.Tensor:
        ctx.y, ctx.epsilon, ctx.held = y, epsilon, held
        return value.clone()

    @staticmethod
    def backward(ctx: Any, relevance: torch.Tensor) -> Any:
        y = ctx.y.detach()
        share = relevance / (y + torch.where(y < 0, -ctx.epsilon, ctx.epsilon))
        found = torch.autograd.grad(ctx.y, ctx.held, share)
        return None, None, None, None, *(a.detach() * g for a, g in zip(ctx.held, found, strict=True))


class _Stop(torch.autograd.Function):
    """A value whose gradient is not to be had."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, stops: Callable[[], None]) -> torch.Tensor:
        ctx.stops = stops
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        ctx.stops()
        return grad, None


# --- what both need --------------------------------------------------------------------------------------------------


@contextmanager
def frozen(net: nn.Module) -> Iterator[None]:
    """Let no parameter ask for a gradient for a while: what then does, depends on the input."""
    asking = [p for p in net.parameters() if p.requires_grad]
    try:
        for p in asking:
            p.requires_grad_(False)
        yield
    finally:
        for p in asking:
            p.requires_grad_(True)


@contextmanager
def placed(net: nn.Module, rules: Rules) -> Iterator[None]:
    """Let the rules name the layer that the network is in: a module by its path, a function by its place."""
    calls = Calls(net, lambda call: call.out)

    def place(kind: str) -> str:
        path = calls.inside[-1] if calls.inside else ""
        if calls.leaf is not None:
            return path
        return f"{path.replace('.', '/')}/{kind}" if path else kind

    rules.place = place
    with calls:
        yield


def _is_linear(kind: str, call: Applied) -> bool:
    """Whether a function is linear in what varies among its arguments."""
    if kind == "batch_norm":
        return not call.parameters.get("training", False) and len(call.varying) == 1
    if kind == "divide":
        return not any(t is call.args[-1] for t in call.varying)
    if kind in ("conv", "conv_transposed", "dense", "embedding"):
        return len(call.varying) == 1
    return kind in LINEAR


def _given(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[torch.Tensor]:
    """Yield the tensors that a function is given; most arguments are tensors or numbers, and need no search."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, torch.Tensor):
            yield value
        elif value is not None and not isinstance(value, int | float | str):
            yield from tensors(value)


def _factors(call: Applied) -> list[torch.Tensor]:
    """The two tensors that are multiplied; one of them where the other is a number."""
    return [t for t in call.args[:2] if isinstance(t, torch.Tensor) and t.is_floating_point()]


def _swapped(value: Any, swap: Mapping[int, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        return swap.get(id(value), value)
    if isinstance(value, tuple | list):
        return type(value)(_swapped(v, swap) for v in value)
    return {k: _swapped(v, swap) for k, v in value.items()} if isinstance(value, dict) else value


def _each_tensor(value: Any, function: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        return function(value) if value.is_floating_point() else value
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_each_tensor(v, function) for v in value))
    if isinstance(value, tuple | list):
        return type(value)(_each_tensor(v, function) for v in value)
    return value


def passed(
    rules: Rules,
    run: Callable[[], dict[str, torch.Tensor]],
    given: Mapping[str, torch.Tensor],
    cotangent: Callable[[dict[str, torch.Tensor]], Mapping[str, torch.Tensor]],
) -> dict[str, torch.Tensor]:
    """Run a network by rules and give what comes back to the inputs: multipliers of DeepLIFT, relevance of LRP.

    `cotangent` says from the outputs what goes in at the end.
    """
    with torch.enable_grad(), Watching(rules):
        value = run()
    seeds = cotangent(value)
    ends = [n for n in seeds if value[n].requires_grad]
    asking = [t for t in given.values() if t.requires_grad]
    found = torch.autograd.grad([value[n] for n in ends], asking, [seeds[n] for n in ends], allow_unused=True)
    left = iter(found)
    return {n: torch.zeros_like(t) if not t.requires_grad or (g := next(left)) is None else g for n, t in given.items()}


def rules_of(
    name: str,
    baseline: Callable[[], Any] | None,
    parameters: Mapping[str, Any],
    stopped: dict[str, str] | None,
    alone: bool = False,
) -> Rules:
    """Give the rules of a method; for DeepLIFT the network is first run on the baseline, or on one row (`alone`)."""
    if name == "lrp":
        return Relevance(stopped=stopped, **parameters)
    if baseline is None:
        raise NotSupported("deep-lift compares with a baseline: give baseline=")
    noted = _on_baseline(baseline, copies=False)
    if noted.overwrites:
        noted = _on_baseline(baseline, copies=True)
    return Rescale(stopped=stopped, notes=noted.notes, alone=alone, **parameters)


def one_row(tensors: Mapping[str, torch.Tensor], axis: Callable[[str], int]) -> dict[str, torch.Tensor] | None:
    """Give the first row of tensors in which all rows are equal; None where they differ or there is but one."""
    first = {n: t.narrow(axis(n), 0, 1) for n, t in tensors.items()}
    several = any(t.shape[axis(n)] > 1 for n, t in tensors.items())
    return first if several and all(bool((t == first[n]).all()) for n, t in tensors.items()) else None


def _on_baseline(baseline: Callable[[], Any], copies: bool) -> Noted:
    noted = Noted(copies=copies)
    with torch.no_grad(), Watching(noted):
        baseline()
    return noted
