"""Networks from files, without ever running code that a file holds.

A .pt2 archive is a program, and `torch.export.load` (read in torch 2.13) trusts it: it falls back to plain unpickling
for weights, constants and example inputs, evaluates the text of symbolic sizes, executes the text of guards, imports
modules that a container's description names, looks up any attribute of torch as an operator, writes the names of nodes
into Python source, and loads compiled libraries. So an archive is read here first, and refused unless all of it is
what an ordinary network needs: plain numbers as weights, operators of known libraries, plain names.
"""

import ast
import io
import json
import pickle
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from xaikit.errors import ModelError, UnsafeFile, not_there
from xaikit_torch._exported import Exported
from xaikit_torch._graph import words
from xaikit_torch._private import archive_members, exported_program

Factory = Callable[[], nn.Module]

MEMBERS = re.compile(
    r"models/model\.json|data/weights/(weight_\d+|model_weights_config\.json)|data/sample_inputs/model\.pt"
    r"|data/constants/(tensor_\d+|model_constants_config\.json)"
    r"|archive_format|archive_version|byteorder|\.data/[\w.]+|extra/.*"
)
OPERATORS = re.compile(
    r"torch\.ops\.(aten|prims|torchvision|quantized_decomposed)\.(?!from_file\b)\w+\.\w+"
    r"|torch\.ops\.higher_order\.(wrap_with_set_grad_enabled|wrap_with_autocast|cond)"
    r"|torch\.sym_(int|float|max|min|not|ite|sum)"
    r"|_operator\.(add|sub|mul|truediv|floordiv|mod|pow|neg|eq|ne|lt|le|gt|ge|and_|or_|getitem)"
    r"|math\.(ceil|floor|trunc|sqrt)"
)
PLAIN = re.compile(r"[\w.:+<> -]*")
TEXT = re.compile(r"[\w.,:+<>*() -]*")
SYMBOL = re.compile(r"[a-z]+\d+")
FUNCTIONS = words(
    "Symbol Integer Float Rational Add Mul Pow Max Min Eq Ne Lt Le Gt Ge Equality Unequality StrictLessThan LessThan "
    "StrictGreaterThan GreaterThan Not And Or Mod PythonMod FloorDiv CleanDiv CeilDiv IntTrueDiv FloatTrueDiv "
    "PowByNatural FloatPow ModularIndexing Where Identity TruncToInt CeilToInt FloorToInt RoundToInt ToFloat"
)
ARITHMETIC = (
    *(ast.Expression, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.operator, ast.unaryop, ast.boolop),
    *(ast.cmpop, ast.Load, ast.keyword, ast.Call, ast.Name, ast.Constant),
)
NOTES = words("stack_trace nn_module_stack source_fn_stack torch_fn custom from_node seq_nr")
CONTAINERS = (None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict")


def load_network(path: Path | str, *, factory: Factory | None = None) -> nn.Module:
    """Load a network from a .pt2 file, or weights (.safetensors, .pt, .pth) into the network that `factory` builds.

    A .pt2 network takes batches of any size. Raises UnsafeFile for a file that could run code when it is opened,
    ModelError for one that is damaged, of another kind, or whose weights do not fit.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(not_there(path, "model file"))
    if path.suffix == ".pt2":
        return _program(path)
    if path.suffix not in (".safetensors", ".pt", ".pth"):
        raise ModelError(f"{path} is no torch model file: give .pt2, or .safetensors, .pt or .pth with a factory")
    weights = _safetensors(path) if path.suffix == ".safetensors" else _state_dict(path)
    if factory is None:
        raise ModelError(
            f"{path} holds weights without a network: name a factory that builds it, or save the network as .pt2"
        )
    return _filled(factory, weights, path)


# --- weights for a factory -------------------------------------------------------------------------------------------


def _safetensors(path: Path) -> Mapping[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, ValueError, OSError) as error:
        raise ModelError(f"{path} is damaged or no safetensors file: {_line(error)}") from None


def _state_dict(path: Path) -> Mapping[str, torch.Tensor]:
    try:
        if zipfile.is_zipfile(path):
            _refuse_script(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except UnsafeFile:
        raise
    except pickle.UnpicklingError as error:
        if "Unsupported operand" not in str(error):
            raise UnsafeFile(
                f"{path} holds Python objects, which could run code when it is opened; save net.state_dict() instead, "
                "or the network itself by torch.export.save as .pt2"
            ) from None
        raise ModelError(f"{path} is damaged or no torch file: {_line(error)}") from None
    except Exception as error:  # zipfile and torch's reader of pickles raise many kinds for a damaged file
        raise ModelError(f"{path} is damaged or no torch file: {_line(error)}") from None
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    if not isinstance(found, Mapping) or not all(isinstance(t, torch.Tensor) for t in found.values()):
        raise ModelError(f"{path} holds no state_dict, but a {type(found).__name__} of other things")
    return found


def _refuse_script(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        if any(n.rpartition("/")[2] == "constants.pkl" or "/code/" in n for n in archive.namelist()):
            raise UnsafeFile(
                f"{path} is a TorchScript archive, which holds code; save the network by torch.export.save as .pt2"
            )


def _filled(factory: Factory, weights: Mapping[str, torch.Tensor], path: Path) -> nn.Module:
    net = factory()
    if not isinstance(net, nn.Module):
        raise ModelError(f"the factory for {path} gives a {type(net).__name__}, no torch.nn.Module")
    _refuse_other_numbers(net, weights, path)
    try:
        net.load_state_dict(weights)
    except RuntimeError as error:
        detail = " ".join(line.strip() for line in str(error).splitlines()[1:3])
        raise ModelError(f"the weights of {path} do not fit the network of its factory: {detail}") from None
    return net.eval()


def _refuse_other_numbers(net: nn.Module, weights: Mapping[str, torch.Tensor], path: Path) -> None:
    """Raise ModelError for whole, logical or complex numbers in the place of real ones: torch would convert them."""
    for name, own in net.state_dict().items():
        if name in weights and weights[name].is_floating_point() != own.is_floating_point():
            raise ModelError(f"the weights of {path} do not fit: {name} holds {weights[name].dtype}, not {own.dtype}")


# --- programs --------------------------------------------------------------------------------------------------------


def _program(path: Path) -> nn.Module:
    content = path.read_bytes()
    try:
        members = archive_members(content)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ModelError(
            f"{path} is damaged or no .pt2 archive of torch 2.8 or later: save it again by torch.export.save "
            f"({_line(error)})"
        ) from None
    try:
        _check_archive(path, members)
        return Exported(exported_program(content))
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"{path} cannot be read as an exported program: {_line(error)}") from error


def _check_archive(path: Path, members: Mapping[str, Callable[[str], bytes]]) -> None:
    """Raise UnsafeFile unless every part of the archive is of a kind that cannot run code."""
    for name, read in members.items():
        if not MEMBERS.fullmatch(name):
            raise _unsafe(path, f"its part {name!r} may hold code or pickled objects")
        if name.endswith(".json"):
            _check_json(path, json.loads(read(name)))
        elif name.endswith(".pt"):
            _check_pickle(path, name, read(name))


def _check_pickle(path: Path, name: str, content: bytes) -> None:
    try:
        torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception:
        # whatever the reason: torch.export would then open it as a plain pickle
        raise _unsafe(path, f"its part {name!r} holds Python objects") from None


def _check_json(path: Path, document: Any) -> None:
    for key, value in _entries(document, ""):
        if key == "use_pickle" and value:
            raise _unsafe(path, "its weights are pickled")
        if isinstance(value, str) and not _harmless(key, value):
            raise _unsafe(path, f"its entry {key} = {value[:60]!r} is not what an ordinary network needs")


def _entries(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Walk over all names and values of a JSON document, but for the notes on where a node comes from."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield "name", name
            if name == "metadata" and _are_notes(part):
                continue
            yield from _entries(part, name)
    elif isinstance(value, list):
        for part in value:
            yield from _entries(part, key)
    else:
        yield key, value


def _are_notes(value: Any) -> bool:
    """Say whether this is the text that torch keeps for messages, and not a weight that is called "metadata"."""
    return isinstance(value, Mapping) and NOTES.issuperset(value) and all(isinstance(v, str) for v in value.values())


def _harmless(key: str, value: str) -> bool:
    if key in ("target", "as_operator"):
        return OPERATORS.fullmatch(value) is not None
    if key == "expr_str":
        return _is_arithmetic(value)
    if key in ("in_spec", "out_spec"):
        return not value or _plain_containers(json.loads(value)[1])
    if key == "guards_code":
        return True  # never executed: the module is made without guards
    return (TEXT if key == "as_string" else PLAIN).fullmatch(value) is not None


def _is_arithmetic(text: str) -> bool:
    """Say whether the text of a symbolic size, which is evaluated, is arithmetic on symbols and no more."""
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError):
        return False
    called = {id(n.func) for n in nodes if isinstance(n, ast.Call)}
    names = [n for n in nodes if isinstance(n, ast.Name)]
    words = [n.value for n in nodes if isinstance(n, ast.Constant) and not isinstance(n.value, bool | int | float)]
    return (
        all(isinstance(n, ARITHMETIC) for n in nodes)
        and all(n.id in FUNCTIONS if id(n) in called else SYMBOL.fullmatch(n.id) for n in names)
        and all(isinstance(n.func, ast.Name) for n in nodes if isinstance(n, ast.Call))
        and all(isinstance(w, str) and SYMBOL.fullmatch(w) for w in words)
    )


def _plain_containers(spec: Mapping[str, Any]) -> bool:
    plain = spec["type"] in CONTAINERS and "__" not in str(spec["context"])
    return plain and all(_plain_containers(child) for child in spec["children_spec"])


def _unsafe(path: Path, reason: str) -> UnsafeFile:
    return UnsafeFile(f"{path} could run code when it is opened, and was not: {reason}")


def _line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
