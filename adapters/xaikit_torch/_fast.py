"""Accelerated copies of torch networks: another layout with what follows a convolution in it, ONNX Runtime, compiled.

Every copy is made of a deep copy of the network, which is left as it was found, and is compared with it once.
"""

import copy
import inspect
import io
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.overrides import TorchFunctionMode

from xaikit.accelerated import Accelerated, package, reason, session
from xaikit.arrays import Tensors, leaves, rows
from xaikit.errors import ModelError, NotSupported, UnknownName
from xaikit.inputs import ScoreKind
from xaikit_torch._calls import Call
from xaikit_torch._exported import Exported
from xaikit_torch._model import TorchModel, _public
from xaikit_torch._packed import pack, unpack
from xaikit_torch._private import quiet_exporter
from xaikit_torch._state import borrowed
from xaikit_torch._values import named_outputs, to_array
from xaikit_torch._watch import Watch

FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}
"""The layout with channels last, by the number of axes."""
FORMATTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Conv3d, nn.ConvTranspose3d)
CONVOLUTIONS = (nn.Conv1d, nn.ConvTranspose1d, *FORMATTED)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
EXAMPLES = 2
"""Samples in the pass that is exported: with one, sizes of one would be taken for fixed ones."""
NUMBERS = frozenset(("__bool__", "__int__", "__float__", "__index__", "item", "tolist", "numpy", "is_nonzero", "equal"))

_MAKING = threading.Lock()
"""Tracing sets switches of the whole process, so one copy is made at a time."""


def fast(model: TorchModel, kind: str) -> Accelerated:
    """Give an accelerated copy of a kind; raises NotSupported with the reason where there is none."""
    makers: dict[str, Callable[[TorchModel], Accelerated]] = {
        "auto": in_channels_last,
        "channels-last": in_channels_last,
        "onnxruntime": in_onnxruntime,
        "compile": compiled,
    }
    if kind not in makers:
        raise UnknownName("kind of accelerated copy", kind, makers)
    _require(model)
    with _MAKING:
        return makers[kind](model)


def _require(model: TorchModel) -> None:
    """Raise NotSupported for a network that cannot be copied faithfully; find out what is not known of it yet."""
    if isinstance(model.net, Exported | torch.jit.ScriptModule):
        raise NotSupported(f"{model.name} is a compiled program, which is run as it is: wrap the network it came from")
    if model._dtype in (torch.float16, torch.bfloat16):
        kind = str(model._dtype).removeprefix("torch.")
        raise NotSupported(f"{model.name} computes in {kind}, where a copy rounds otherwise: convert it with .float()")
    try:
        model.outputs, model.layers  # noqa: B018  (both may run the network once)
    except ModelError as error:
        raise NotSupported(f"a copy of {model.name} cannot be prepared: {error}") from error


def _copied(model: TorchModel) -> nn.Module:
    try:
        net = copy.deepcopy(model._called)
    except Exception as error:
        raise NotSupported(f"{model.name} cannot be copied: {reason(error)}") from error
    for module in net.modules():
        module.training = False
    return net.requires_grad_(False)


def _by_network(model: TorchModel, kind: str, twin: TorchModel) -> Accelerated:
    """Give a copy that runs as the model does, on the twin's network."""

    def compute(x: Tensors, score: ScoreKind) -> Tensors:
        return twin._forward(x, (), {}, score, raw=False).output

    return Accelerated(model, kind, compute, twin).checked(model)


# --- channels last, batch norms folded --------------------------------------------------------------------------------


def in_channels_last(model: TorchModel) -> Accelerated:
    """Give a copy whose convolutions work with channels last, with the batch norms and ReLUs behind them in them."""
    net, inputs = _copied(model), len(_input_names(model))
    folded = fold(net, inputs)
    convolutions = [m for m in net.modules() if isinstance(m, FORMATTED)]
    elsewhere = convolutions if _reads_rows(convolutions) else []
    _reformat(elsewhere)
    packed = pack(net, _readers(net, inputs))
    if not elsewhere and not folded and not packed:
        raise NotSupported(
            f"{model.name} has no convolution in another layout than channels last, none of two dimensions on the CPU, "
            "and no batch norm right behind a convolution: nothing to gain; use accelerate='onnxruntime' or 'none'"
        )
    try:
        return _by_network(model, "channels-last", _reordered(model, net) if convolutions else model.twin(net))
    except NotSupported as error:  # most often view() of a picture, which this layout does not allow
        if not folded or not convolutions:
            raise NotSupported(f"{error}; where it calls view(), reshape() would do") from error
    unpack(net)
    _reformat(elsewhere, torch.contiguous_format)
    return _by_network(model, "channels-last", model.twin(net))


def _reads_rows(convolutions: Sequence[nn.Module]) -> bool:
    """Say whether some convolution works with channels first; sizes of one can leave that open in each of them."""
    weights = [p for m in convolutions for p in m.parameters() if p.ndim in FORMATS]
    last = [p.is_contiguous(memory_format=FORMATS[p.ndim]) for p in weights]
    return not all(last) or (bool(last) and all(p.is_contiguous() for p in weights))


def _reformat(convolutions: Sequence[nn.Module], into: torch.memory_format | None = None) -> None:
    for parameter in (p for m in convolutions for p in m.parameters() if p.ndim in FORMATS):
        parameter.data = parameter.data.contiguous(memory_format=into or FORMATS[parameter.ndim])


def _reordered(model: TorchModel, net: nn.Module) -> TorchModel:
    """Give a twin that hands its network pictures with channels last in memory: one copy where they come so."""
    twin = model.twin(net)
    tensors, device, dtype = twin._tensors, twin._device, twin._dtype

    def given(x: Tensors, layout: Any = None) -> dict[str, torch.Tensor]:
        several = dict(leaves(x))
        pictures = {n: a for n, a in several.items() if np.ndim(a) in FORMATS and a.dtype.kind == "f"}
        found = {n: _picture(np.array(a, order="K"), device, dtype) for n, a in pictures.items()}
        rest = {n: a for n, a in several.items() if n not in pictures}
        return {**(tensors(rest, layout) if rest else {}), **found}

    twin._tensors = given  # type: ignore[method-assign]
    return twin


def _picture(a: Any, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    return torch.from_numpy(a).to(device, dtype).contiguous(memory_format=FORMATS[a.ndim])


def fold(net: nn.Module, inputs: int = 1) -> int:
    """Fold batch norms at rest into the convolutions that nothing else reads, in place; give how many.

    (w · s, (b − mean) · s + shift) with s = scale / √(variance + ε), for each filter. Pairs are read from the graph of
    the network, which takes so many inputs, or where its control flow cannot be traced, of the parts of it that can
    (`torch.fx`).
    """
    if not any(type(m) in NORMS for m in net.modules()):
        return 0
    places = Counter(id(m) for _, m in net.named_modules(remove_duplicate=False))
    pairs = [(c, n) for c, n in _pairs(net, "", inputs) if _foldable(net, c, n, places)]
    for convolution, norm in pairs:
        conv: Any = net.get_submodule(convolution)
        bn: Any = net.get_submodule(norm)
        fused = fuse_conv_bn_eval(conv, bn, "Transpose" in type(conv).__name__)
        _put(net, convolution, fused.requires_grad_(False))
        _put(net, norm, nn.Identity())
    return len(pairs)


def _pairs(net: nn.Module, path: str, inputs: int = 0) -> Iterator[tuple[str, str]]:
    """Walk over (convolution, batch norm) by path, where the norm alone reads the convolution, called once."""
    graph = _graph(net, inputs)
    if graph is None:
        for name, child in net.named_children():
            yield from _pairs(child, f"{path}{name}.")
        return
    modules = dict(net.named_modules())
    calls = Counter(id(modules[n.target]) for n in graph.nodes if n.op == "call_module")
    read = {str(n.target).rpartition(".")[0] for n in graph.nodes if n.op == "get_attr"}
    for node in graph.nodes:
        source = node.args[0] if node.op == "call_module" and len(node.args) == 1 else None
        if not isinstance(source, fx.Node) or source.op != "call_module" or len(source.users) != 1:
            continue
        both = (str(source.target), str(node.target))
        if all(calls[id(modules[p])] == 1 and p not in read for p in both):
            yield f"{path}{both[0]}", f"{path}{both[1]}"


def _graph(net: nn.Module, inputs: int) -> fx.Graph | None:
    """Give the calls of a network in order; None where they depend on numbers, or on arguments that may be left out."""
    if next(net.children(), None) is None:
        return fx.Graph()
    try:
        optional = any(p.default is not p.empty for p in inspect.signature(net.forward).parameters.values())
        return None if optional else _Tracer(inputs).trace(net)
    except Exception:  # what a network does with what stands for a tensor may raise anything
        return None


class _Tracer(fx.Tracer):
    """Traces a network that takes its inputs as *args too, when their number is known."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.inputs = inputs

    def iter(self, obj: Any) -> Iterator[Any]:
        """Give what stands for each of the inputs."""
        if self.inputs and obj.node.op == "placeholder" and str(obj.node.target).startswith("*"):
            return iter([obj[i] for i in range(self.inputs)])
        return super().iter(obj)


def _readers(net: nn.Module, inputs: int) -> dict[str, str]:
    """Name the module that alone reads what another gives, where both stand and are called once, without hooks."""
    places = Counter(id(m) for _, m in net.named_modules(remove_duplicate=False))
    return {a: b for a, b in _pairs(net, "", inputs) if all(_alone(net.get_submodule(p), places) for p in (a, b))}


def _alone(module: nn.Module, places: Mapping[int, int]) -> bool:
    return places[id(module)] == 1 and not (module._forward_hooks or module._forward_pre_hooks)


def _foldable(net: nn.Module, convolution: str, norm: str, places: Mapping[int, int]) -> bool:
    conv, bn = net.get_submodule(convolution), net.get_submodule(norm)
    return (
        type(conv) in CONVOLUTIONS
        and type(bn) in NORMS
        and bn.running_mean is not None
        and all(_alone(m, places) for m in (conv, bn))
    )


def _put(net: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(net.get_submodule(parent), name, module)


# --- torch.compile ----------------------------------------------------------------------------------------------------


def compiled(model: TorchModel) -> Accelerated:
    """Give a copy compiled for any number of rows. A logit behind a final softmax is computed without compilation."""
    net = _copied(model)
    fold(net, len(_input_names(model)))
    twin = model.twin(net)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the compiler uses parts of torch that torch deprecates
        call = torch.compile(net, dynamic=True)

    def run(tensors: Mapping[str, torch.Tensor], watch: Watch) -> Any:
        if watch.names:
            return type(twin)._call(twin, tensors, watch)
        args, kwargs = twin._arguments(tensors)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice on matrix precision and on how torch itself is written
            return call(*args, **kwargs)

    twin._call = run  # type: ignore[method-assign]
    return _by_network(model, "compile", twin)


# --- ONNX Runtime -----------------------------------------------------------------------------------------------------


def in_onnxruntime(model: TorchModel) -> Accelerated:
    """Give a copy that ONNX Runtime runs on the CPU, with the logits as outputs beside a final softmax or sigmoid."""
    for name in ("onnxruntime", "onnx"):  # the exporter writes with onnx
        package(name)
    if model.device != "cpu":
        raise NotSupported(f"{model.name} is on {model.device}, and ONNX Runtime is used on the CPU alone")
    several = Several(model.twin(_copied(model).float()))
    ready = session(model, _written(model, several), torch.get_num_threads())
    wanted, named = [i.name for i in ready.get_inputs()], several.named
    twin = model.twin(nn.Identity())

    def compute(x: Tensors, score: ScoreKind) -> Tensors:
        given = {f"in/{n}": to_array(t) for n, t in twin._tensors(x).items()}
        values = map(torch.from_numpy, ready.run(named, {n: given[n] for n in wanted}))
        found: dict[str, dict[str, torch.Tensor]] = {"out": {}, "logit": {}}
        for (form, _, name), t in zip((n.partition("/") for n in named), values, strict=True):
            found[form][name] = t
        outputs = {**found["out"], **(found["logit"] if score == "logit" else {})}
        return _public(twin._emitted(outputs, twin._count(x), score))

    return Accelerated(model, "onnxruntime", compute, twin).checked(model)


class Several(nn.Module):
    """A network that gives its outputs one after the other, and what enters the softmax or sigmoid that ends them.

    `named` says what they are, after a run: "out/" and "logit/" before the output's name; `reshaped` whether the output
    takes another shape behind its softmax, so that the logits need a pass of their own.
    """

    def __init__(self, twin: TorchModel) -> None:
        super().__init__()
        self.net, self.twin = twin._called, twin
        self.named: list[str] = []
        self.reshaped = self.traced = False

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Run the network on its inputs in their order."""
        given = dict(zip(_input_names(self.twin), tensors, strict=True))
        ends = {n: o.end for n, o in self.twin._traced.outputs.items() if o.end is not None}
        watch = Entering(skip=set(ends.values()))
        outputs = named_outputs(self.twin._call(given, watch))
        logits = {n: watch.kept[end] for n, end in ends.items()}
        if not self.traced:  # a trace makes tensors of sizes
            self.reshaped = any(t.shape != outputs[n].shape for n, t in logits.items())
        if self.reshaped:
            whole = named_outputs(self.twin._call(given, Watch(skip=set(ends.values()))))
            logits = {n: whole[n] for n in ends}
        self.named = [*(f"out/{n}" for n in outputs), *(f"logit/{n}" for n in logits)]
        return (*outputs.values(), *logits.values())


class Entering(Watch):
    """Remembers what enters the layers in `skip`, which give what they always give."""

    def _left_out(self, net: nn.Module, records: Any) -> None:
        """Leave nothing out."""

    def _visit(self, call: Call) -> Any:
        entering = super()._visit(call)
        if entering is not call.out:
            self.kept[self._by_call[call.name][0]] = entering
        return call.out


def _input_names(model: TorchModel) -> list[str]:
    return list(model.inputs) if isinstance(model.inputs, Mapping) else [""]


def _written(model: TorchModel, several: Several) -> bytes:
    """Write a network as ONNX, for any number of samples."""
    blank = model._inwards(rows(model._blank(), np.zeros(EXAMPLES, int)))
    tensors, file = several.twin._tensors(blank), io.BytesIO()
    target: Any = file  # the exporter takes a file, though its types know a path alone
    with (
        torch.inference_mode(False),
        torch.no_grad(),
        borrowed(several, torch.device("cpu")),
        warnings.catch_warnings(),
        quiet_exporter(),
    ):
        warnings.simplefilter("ignore")  # advice to use another exporter, and on sizes, which the check covers
        with Deciding():
            several(*tensors.values())
        several.traced = True
        axes = {f"in/{n}": {model._sample_axis(n): "rows"} for n in tensors}
        places = {f"out/{n}": o.own.index("sample") for n, o in model._traced.outputs.items() if "sample" in o.own}
        axes |= {n: {places.get(n.replace("logit/", "out/"), 0): "rows"} for n in several.named}
        try:
            torch.onnx.export(
                several,
                tuple(tensors.values()),
                target,
                input_names=[f"in/{n}" for n in tensors],
                output_names=several.named,
                dynamic_axes=axes,
                dynamo=False,
            )
        except Exception as error:  # an operation that ONNX does not have, and much else
            raise NotSupported(f"{model.name} cannot be written as ONNX: {reason(error)}") from error
    return file.getvalue()


class Deciding(TorchFunctionMode):
    """Refuses what makes a number of a tensor's values: a trace would fix for good what is decided by it."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in NUMBERS:
            raise NotSupported(f"it decides by the values that it is given ({name.strip('_')} of a tensor)")
        return func(*args, **(kwargs or {}))
