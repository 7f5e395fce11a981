"""Hierarchies: which parts belong together, from all of them down to the single ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import isnan
from typing import Any, NamedTuple

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import ParameterError


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """A binary tree over parts, its nodes numbered from 0, the root, so that a child comes after its parent.

    `order` (part,) lists the parts such that those of a node stand side by side: node k holds
    order[bounds[k, 0]:bounds[k, 1]]. `children` (node, 2) are -1 where a node is a single part.
    """

    order: Array
    bounds: Array
    children: Array

    def parts(self, node: int) -> Array:
        """Give the parts of a node."""
        start, stop = self.bounds[node]
        return np.asarray(self.order[start:stop])


def by_place(places: Array) -> Hierarchy:
    """Halve parts at `places` (part, axis) again and again: in the middle of their extent along its longer axis.

    A grid falls into blocks as the shap package cuts its masks of images; parts all in one place are halved by number.
    """
    order, bounds = np.arange(len(places)), [np.array([[0, len(places)]])]
    children: list[Array] = []
    count = 1
    while len(bounds[-1]):
        level = bounds[-1]
        many = np.flatnonzero(level[:, 1] - level[:, 0] > 1)
        below = np.full(level.shape, -1)
        below[many] = count + np.arange(2 * len(many)).reshape(-1, 2)
        children.append(below)
        count += 2 * len(many)
        bounds.append(_halve(places, order, level[many]))
    return Hierarchy(order, np.concatenate(bounds), np.concatenate(children))


def _halve(places: Array, order: Array, nodes: Array) -> Array:
    """Put the parts of each node (start, stop) in order, left before right, and give the bounds of both children."""
    if not len(nodes):
        return np.zeros((0, 2), int)
    sizes = nodes[:, 1] - nodes[:, 0]
    first = np.cumsum(sizes) - sizes
    owner = np.repeat(np.arange(len(nodes)), sizes)
    within = np.arange(len(owner)) - first[owner]
    at = nodes[owner, 0] + within
    here = places[order[at]]
    low, high = np.minimum.reduceat(here, first), np.maximum.reduceat(here, first)
    axis = (high - low).argmax(1)
    which = np.arange(len(nodes))
    middle = (low[which, axis] + high[which, axis]) / 2
    right = here[np.arange(len(here)), axis[owner]] >= middle[owner]
    one_place = np.add.reduceat(right, first, dtype=int) == sizes
    right = np.where(one_place[owner], within >= (sizes // 2)[owner], right)
    order[at] = order[at][np.argsort(2 * owner + right, kind="stable")]
    cut = nodes[:, 1] - np.add.reduceat(right, first, dtype=int)
    return np.stack([nodes[:, 0], cut, cut, nodes[:, 1]], axis=1).reshape(-1, 2)


def by_linkage(linkage: Any, parts: int) -> Hierarchy:
    """Read a tree over `parts` parts as scipy.cluster.hierarchy writes it: row k joins two clusters into parts + k.

    Raises ParameterError for what is no such tree.
    """
    try:
        told = np.asarray(linkage, np.float64)[:, :2]
        if not np.isfinite(told).all():
            raise ValueError(linkage)
        joins = told.astype(int)
    except (TypeError, ValueError, IndexError):
        raise ParameterError(f"a hierarchy is a linkage matrix of {parts - 1} rows, not {linkage!r}") from None
    if len(joins) != parts - 1:
        raise ParameterError(f"the hierarchy joins {len(joins) + 1} parts, but there are {parts}")
    later = joins >= parts + np.arange(parts - 1)[:, None]
    if later.any() or not np.array_equal(np.sort(joins.ravel()), np.arange(2 * parts - 2)):
        raise ParameterError("the hierarchy is no tree: each part, and each cluster but the last, is joined once")
    sizes = np.ones(2 * parts - 1, int)
    for k, (a, b) in enumerate(joins):
        sizes[parts + k] = sizes[a] + sizes[b]
    clusters, starts, children = [2 * parts - 2], [0], []
    order = np.empty(parts, int)
    for cluster, start in zip(clusters, starts, strict=False):  # both grow while they are read
        if cluster < parts:
            order[start] = cluster
            children.append((-1, -1))
            continue
        a, b = joins[cluster - parts].tolist()
        children.append((len(clusters), len(clusters) + 1))
        clusters += [a, b]
        starts += [start, start + int(sizes[a])]
    bounds = np.stack([starts, starts + sizes[clusters]], axis=1)
    return Hierarchy(order, bounds, np.array(children))


def by_correlation(rows: Array, labels: Array) -> Hierarchy:
    """Cluster the parts of a table by the correlation of their features over `rows` (row, feature).

    `labels` (feature,) is the part of each feature. Two parts are as far apart as 1 - |r| of their two features that
    correlate most; clusters are joined by complete linkage. A feature that does not vary correlates with none.
    """
    parts = int(labels.max()) + 1
    if parts == 1:
        return by_place(np.zeros((1, 1)))
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    centred = rows.astype(np.float64) - rows.mean(0, dtype=np.float64)
    length = np.sqrt((centred**2).sum(0))
    unit = np.divide(centred, length, out=np.zeros_like(centred), where=length > 1e-9 * np.abs(rows).max(0, initial=1))
    near = np.zeros((parts, parts))
    named = np.flatnonzero(labels >= 0)
    np.maximum.at(near, np.ix_(labels[named], labels[named]), np.abs(unit.T @ unit)[np.ix_(named, named)])
    apart = np.clip(1 - near, 0, None).round(12)  # rounded, so that ties are ties on every machine
    np.fill_diagonal(apart, 0)
    return by_linkage(linkage(squareform(apart, checks=False), "complete"), parts)


def together(trees: Sequence[Hierarchy]) -> Hierarchy:
    """Join the trees of several inputs, whose parts are numbered on, the first one against the others."""
    if len(trees) == 1:
        return trees[0]
    first, others = trees[0], together(trees[1:])
    parts, nodes = len(first.order), len(first.bounds)
    root = np.array([[1, 1 + nodes]])
    bounds = [np.array([[0, parts + len(others.order)]]), first.bounds, others.bounds + parts]
    children = [root, _numbered_on(first.children, 1), _numbered_on(others.children, 1 + nodes)]
    return Hierarchy(
        np.concatenate([first.order, others.order + parts]), np.concatenate(bounds), np.concatenate(children)
    )


def _numbered_on(children: Array, by: int) -> Array:
    return np.where(children < 0, -1, children + by)


def centres(labels: Array) -> Array:
    """Give the mean place of every part of a label map, in steps along its axes: (part, axis)."""
    flat = labels.ravel()
    kept = flat >= 0
    sizes = np.maximum(np.bincount(flat[kept]), 1)
    places = np.indices(labels.shape).reshape(labels.ndim, -1)
    return np.stack([np.bincount(flat[kept], weights=axis[kept]) / sizes for axis in places], axis=1)


class Owen:
    """The Owen values of one game, found node by node from the root of a hierarchy.

    An open question is a node in a context (the other parts that are shown): what it adds there, `with_` - `without`,
    is to be split between its children. `ask` gives coalitions that answer the questions with most at stake, `learn`
    takes what the model said of them. Parts that do not vary add nothing, and are passed over.
    """

    def __init__(self, tree: Hierarchy, varying: Array, ends: Array) -> None:
        """`ends` are the scores with all parts shown and with none."""
        self.tree, self.varying = tree, varying
        number = np.concatenate([[0], np.cumsum(varying[tree.order])])
        self._sizes: list[int] = (number[tree.bounds[:, 1]] - number[tree.bounds[:, 0]]).tolist()
        self._children: list[list[int]] = tree.children.tolist()
        self.credit = np.zeros(len(tree.bounds))
        self.reached = 0.0
        self._open: list[tuple[float, int, _Question]] = []
        self._asked: list[_Question] = []
        self._masks = np.zeros((0, 2, len(varying)), bool)
        self._count = 0
        self._add(0, np.zeros(len(varying), bool), float(ends[1]), float(ends[0]), 1.0)

    def ask(self, most: int) -> Array:
        """Give up to `most` coalitions, two for each question: its context with the left, and with the right child."""
        # Few enough at a time that what is at stake decides, and soon enough for a full batch.
        share = 4 if len(self._open) < 16 else 2
        count = min(most // 2, -(-len(self._open) // share))
        self._asked = [heappop(self._open)[2] for _ in range(count)]
        self._masks = np.array([q.context for q in self._asked], bool).reshape(count, 1, len(self.varying)).repeat(2, 1)
        for q, both in zip(self._asked, self._masks, strict=True):
            for child, mask in zip(self._children[q.node], both, strict=True):
                mask[self.tree.parts(child)] = True
        return self._masks.reshape(2 * count, len(self.varying))

    def learn(self, scores: Array, known: Array) -> None:
        """Take the scores of the coalitions asked for; a question whose two answers are not known stays open."""
        answers = zip(scores.reshape(-1, 2).tolist(), known.reshape(-1, 2).tolist(), strict=True)
        for q, (with_left, with_right), ((left, right), answered) in zip(
            self._asked, self._masks, answers, strict=True
        ):
            if not all(answered):
                self._add(*q)
                continue
            (a, b), half = self._children[q.node], q.weight / 2
            self._add(a, q.context, q.without, left, half)
            self._add(b, q.context, q.without, right, half)
            self._add(a, with_right, right, q.with_, half)
            self._add(b, with_left, left, q.with_, half)
        self._asked = []

    def values(self) -> Array:
        """Give the value of every part (part,); what is still open is shared evenly among a node's parts."""
        credit = self.credit.copy()
        for _, _, q in self._open:
            credit[q.node] += q.stake
        values = np.zeros(len(self.varying))
        for node in np.flatnonzero(credit).tolist():
            parts = self.tree.parts(node)
            parts = parts[self.varying[parts]]
            values[parts] += credit[node] / len(parts)
        return values

    @property
    def questions(self) -> int:
        """How many questions are open."""
        return len(self._open)

    @property
    def resolved(self) -> float:
        """The share of the credit, in absolute value, that reached single parts."""
        waiting = sum(abs(q.stake) for _, _, q in self._open)
        return self.reached / (self.reached + waiting) if waiting else 1.0

    def _add(self, node: int, context: Array, without: float, with_: float, weight: float) -> None:
        """Open a question at the first node below that has several parts to split; a single part takes its credit."""
        size, stake = self._sizes[node], (with_ - without) * weight
        while size > 1 and size in (sizes := [self._sizes[child] for child in self._children[node]]):
            node = self._children[node][sizes.index(size)]
        if size > 1:
            self._count += 1
            at_stake = 0.0 if isnan(stake) else abs(stake)
            heappush(self._open, (-at_stake, self._count, _Question(node, context, without, with_, weight)))
        elif size == 1:
            self.credit[node] += stake
            self.reached += abs(stake)


class _Question(NamedTuple):
    """What `node` adds to the parts of `context` (part,) bool, and its weight in the values."""

    node: int
    context: Array
    without: float
    with_: float
    weight: float

    @property
    def stake(self) -> float:
        return (self.with_ - self.without) * self.weight
