"""An architecture as a reader wants it: operations with what belongs to them, and repeated blocks counted once.

Two steps. `units` joins each convolution, dense layer and so on with the batch norm, activation, dropout and padding
around it that nothing else reads. `fold` cuts the network wherever one array alone is handed on, and counts runs of
pieces that are equal in operations, parameters, shapes and wiring: a residual stage becomes one block with "× 3".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from xaikit.zoo.building import Architecture, Node, Shape

FOLLOWS = ("batch_norm", "layer_norm", "group_norm", "activation", "dropout", "local_response_norm")
"""Operations that are written with the one they follow."""
LEADS = ("zero_pad",)
"""Operations that are written with the one that follows."""
LONGEST = 16
"""How many pieces a repeated pattern has at most."""


@dataclass(frozen=True, eq=False)
class Unit:
    """One operation, `main`, with what belongs to it in call order; `parents` are the names of units."""

    name: str
    main: Node
    nodes: tuple[Node, ...]
    parents: tuple[str, ...]

    @property
    def shape(self) -> Shape:
        """The shape of what it gives."""
        return self.nodes[-1].shape

    @property
    def title(self) -> str:
        """The main operation in words: "conv 3×3, 64"."""
        return worded(self.main)

    @property
    def extras(self) -> tuple[str, ...]:
        """The operations beside the main one in words."""
        return tuple(worded(n) for n in self.nodes if n is not self.main)

    @property
    def steps(self) -> tuple[str, ...]:
        """All operations in words, in call order."""
        return tuple(worded(n) for n in self.nodes)

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(w.size for n in self.nodes for w in n.weights.values())

    @property
    def trainable(self) -> int:
        """Number of weights that training changes."""
        return sum(w.size for n in self.nodes for w in n.weights.values() if w.trainable)


@dataclass(frozen=True, eq=False)
class Block:
    """Units that follow each other `times` times with equal parameters and shapes.

    `copies` holds the units of every time, the first included.
    """

    copies: tuple[tuple[Unit, ...], ...]

    @property
    def units(self) -> tuple[Unit, ...]:
        """The units of the first time."""
        return self.copies[0]

    @property
    def times(self) -> int:
        """How often the block comes in a row."""
        return len(self.copies)

    @property
    def parameters(self) -> int:
        """Number of weights of all copies."""
        return self.times * sum(u.parameters for u in self.units)

    @property
    def trainable(self) -> int:
        """Number of weights of all copies that training changes."""
        return self.times * sum(u.trainable for u in self.units)


def fold(architecture: Architecture) -> tuple[Block, ...]:
    """Give the blocks of a network in call order, repeated ones once; what they hold adds up to the whole."""
    pieces = tuple(_pieces(units(architecture)))
    signs = [_sign(piece, pieces[k - 1][-1].name if k else "") for k, piece in enumerate(pieces)]
    found, at = [], 0
    while at < len(pieces):
        length, times = _run(signs, at)
        copies = tuple(_joined(pieces[at + k * length : at + (k + 1) * length]) for k in range(times))
        found.append(Block(copies))
        at += length * times
    return tuple(found)


def units(architecture: Architecture) -> tuple[Unit, ...]:
    """Give the units of a network in call order."""
    readers, outputs = architecture.readers, set(architecture.outputs.values())
    groups: list[list[Node]] = []
    home: dict[str, list[Node]] = {}
    for node in architecture.nodes:
        group = home.get(node.parents[0]) if len(node.parents) == 1 else None
        alone = group is not None and len(readers[group[-1].name]) == 1 and group[-1].name not in outputs
        if group is None or not alone or group[-1].name != node.parents[0] or not _belongs(node, group):
            group = []
            groups.append(group)
        group.append(node)
        home[node.name] = group
    named = {id(group): _main(group).name for group in groups}
    return tuple(
        Unit(named[id(g)], _main(g), tuple(g), tuple(dict.fromkeys(named[id(home[p])] for p in g[0].parents)))
        for g in groups
    )


def _belongs(node: Node, group: list[Node]) -> bool:
    if group[-1].op == "input":
        return False
    return node.op in FOLLOWS or (all(n.op in LEADS for n in group) and node.op not in LEADS)


def _main(group: list[Node]) -> Node:
    return next((n for n in group if n.op not in (*LEADS, *FOLLOWS)), group[0])


def _pieces(found: tuple[Unit, ...]) -> Iterator[tuple[Unit, ...]]:
    """Cut after every unit whose output alone is read by what comes later."""
    last = {u.name: k for k, u in enumerate(found)}
    for k, unit in enumerate(found):
        last |= dict.fromkeys(unit.parents, k)
    start = 0
    for k in range(len(found)):
        if all(last[u.name] <= k for u in found[max(start - 1, 0) : k]):
            yield found[start : k + 1]
            start = k + 1


def _sign(piece: tuple[Unit, ...], entry: str) -> object:
    """What must be equal for two pieces to count as one block: everything but names."""
    place: Mapping[str, int] = {entry: -1, **{u.name: k for k, u in enumerate(piece)}}
    return tuple(
        (
            tuple(place.get(p, -2) for p in u.parents),
            tuple((n.op, n.shape, _plain(n), tuple(w.shape for w in n.weights.values())) for n in u.nodes),
        )
        for u in piece
    )


def _plain(node: Node) -> tuple[tuple[str, str], ...]:
    return tuple((name, repr(value)) for name, value in node.parameters.items() if name != "fixed")


def _run(signs: list[object], at: int) -> tuple[int, int]:
    """Give the pattern from `at` on, (length, times), that covers most; the shorter one where two cover the same."""
    best = (1, 1)
    for length in range(1, min(LONGEST, (len(signs) - at) // 2) + 1):
        pattern, times = signs[at : at + length], 1
        while signs[at + times * length : at + (times + 1) * length] == pattern:
            times += 1
        if times > 1 and length * times > best[0] * best[1]:
            best = (length, times)
    return best


def _joined(pieces: tuple[tuple[Unit, ...], ...]) -> tuple[Unit, ...]:
    return tuple(unit for piece in pieces for unit in piece)


# ---------------------------------------------------------------- words

WORDS = {
    "input": "input",
    "conv_transpose": "transposed conv",
    "depthwise_conv": "depthwise conv",
    "separable_conv": "separable conv",
    "max_pool": "max pool",
    "avg_pool": "mean pool",
    "global_avg_pool": "global mean",
    "global_max_pool": "global maximum",
    "zero_pad": "pad",
    "concat": "concatenate",
    "local_response_norm": "response norm",
    "leaky_relu": "leaky ReLU",
    "relu": "ReLU",
    "elu": "ELU",
    "lstm": "LSTM",
    "gru": "GRU",
    "simple_rnn": "simple RNN",
}


def worded(node: Node) -> str:
    """Say what a node does: "conv 3×3, 64 /2" for 64 kernels of 3×3 with a stride of two, "LSTM 32, both ways"."""
    given = node.parameters
    if node.op == "activation":
        return _word(given["kind"])
    if node.op == "recurrent":
        return f"{_word(given['cell'])} {given['units']:,}" + (", both ways" if given.get("bidirectional") else "")
    said = _word(node.op)
    if "vocabulary" in given:
        return f"{said} {given['vocabulary']:,} → {given['size']:,}"
    if "kernel" in given:
        said += " " + "×".join(map(str, given["kernel"]))
    for name in ("filters", "units", "rate", "factor"):
        if name in given:
            value = given[name]
            size = "×".join(map(str, value)) if isinstance(value, tuple) else f"{value:,}"
            said += f", {size}" if name == "filters" else f" {size}"
    return said + _steps(given)


def _steps(given: Mapping[str, Any]) -> str:
    """The stride as /2 and the dilation, where they are not one."""
    said = ""
    for name, sign in (("stride", " /"), ("dilation", ", dilated ")):
        sizes = given.get(name) or (1,)
        if any(n != 1 for n in sizes):
            said += sign + (str(sizes[0]) if len(set(sizes)) == 1 else "×".join(map(str, sizes)))
    return said


def _word(name: str) -> str:
    return WORDS.get(name) or name.replace("_", " ")
