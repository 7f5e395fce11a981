"""Gradients for token ids: a task whose numbers are the embeddings of the ids."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors, each, leaves, length, rows
from xaikit.attribution._method import Map, Method, Task, filled_up, methods
from xaikit.errors import NotSupported
from xaikit.inputs import ScoreKind
from xaikit.model import Model, Pull, Run
from xaikit.perturb.baseline import aligned, baselines, by_input, over

Place = tuple[str, str | None]
"""An input, and the layer that embeds it; None for an input that is followed itself."""


def carry_out(method: Method, task: Task) -> Map:
    """Let a method explain a task; one that follows the gradient to the input gets embeddings in the place of ids.

    Its values at an embedding (sample, token, channel) become one number per token as `method.tokens` says.
    """
    inner = task if method.tokens is None else differentiable(task)
    found = filled_up(method(inner), len(task))
    if isinstance(inner, Embedded) and method.tokens is not None:
        found = inner.by_token(found, method.tokens)
    return _without_pads(found, task)


def _without_pads(found: Map, task: Task) -> Map:
    """Give padding the value 0, wherever a map has its places: it is no part of the sample."""

    specs, inputs = task.spec if isinstance(task.spec, Mapping) else {"": task.spec}, dict(leaves(task.x))
    padded = {n: specs[n].present(x) for n, x in inputs.items() if n in specs}
    if all(present is None for present in padded.values()):
        return found

    def shown(name: str, values: Array) -> Array:
        present = padded.get(name)
        if present is None or values.shape[: present.ndim] != present.shape:
            return values
        return np.where(over(present, values), values, np.zeros((), values.dtype))

    if isinstance(found.values, Mapping):
        return replace(found, values={n: shown(n, a) for n, a in found.values.items()})
    return replace(found, values=shown("", found.values))


def differentiable(task: Task) -> Task:
    """Give the task in numbers that have gradients: itself, or one whose `x` holds embeddings in the place of ids.

    Raises NotSupported for ids that no embedding layer reads.
    """
    layers = {name: embeddings_of(task.model, name, x) for name, x in leaves(task.x)}
    for name, x in leaves(task.x):
        if not layers[name] and np.issubdtype(x.dtype, np.integer):
            able = ", ".join(n for n, m in methods.items() if "pull" not in m.needs)
            which = f"the input {name!r} of {task.model.name} is" if name else f"the input of {task.model.name} is"
            raise NotSupported(f"{which} integers without an embedding layer, which have no gradient; use {able}")
    if not any(layers.values()):
        return task
    given = {f.name: getattr(task, f.name) for f in fields(task)}
    found = Embedded(**given, words=task, layers=layers)
    return replace(found, x=found.embedded(task.x))


def embeddings_of(model: Model, name: str, x: Array) -> tuple[str, ...]:
    """Name the layers that turn the ids of an input (sample, *token) into vectors (sample, *token, channel)."""
    if x.dtype.kind not in "iu" and x.ndim != 2:
        return ()
    found = [layer for layer in model.layers.values() if (name or "input") in layer.parents]
    return tuple(
        layer.name
        for layer in found
        if layer.kind == "embedding" and len(layer.shape) == x.ndim and layer.shape[:-1] == x.shape[1:]
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class Embedded(Task):
    """A task in the space of embeddings. `x` holds them, and everything given in its form is put in their place.

    The ids stay what they are while embeddings change, so that masks are those of the sample. Padding is no
    part of a text: there every baseline equals the sample. `x` is one array (sample, token, channel), or,
    for several inputs or several layers that embed the same ids, a mapping.
    """

    words: Task
    layers: Mapping[str, tuple[str, ...]]

    @cached_property
    def places(self) -> dict[str, Place]:
        """By the names in `x`: where a value goes."""
        found: dict[str, Place] = {}
        for name, layers in self.layers.items():
            if not layers:
                found[name] = (name, None)
            for layer in layers:
                found[name if len(layers) == 1 else f"{name}/{layer}".strip("/")] = (name, layer)
        return found

    @property
    def prediction(self) -> Tensors:
        """The raw output for the samples, which is that for their ids."""
        return self.words.prediction

    def embedded(self, x: Tensors) -> Tensors:
        """Turn encoded inputs (sample, token) into the form of `x`."""
        given = dict(leaves(x))
        return self._formed({key: self._vectors(given[n], n, k) if k else given[n] for key, (n, k) in self._of()})

    def run(self, x: Tensors, index: Array | None = None, **how: Any) -> Run:
        """Run the model on embeddings in the place of those of the samples `index` (row,)."""
        return self.words.run(self._real(x, index), patch=self._patch(x), **how)

    def remember(self, x: Tensors, output: Tensors, raw: Tensors | None = None) -> None:
        """Keep what the model says of the samples themselves, whose ids these embeddings are of."""
        if x is self.x:
            self.words.remember(self.words.x, output, raw)

    def _known(self, form: ScoreKind) -> Tensors | None:
        return self.words._known(form)

    def value(self, x: Tensors, index: Array | None = None) -> Array:
        """Give the explained scalar of every row: (row,)."""
        return self.scores.value(self.run(x, index).output, self._real(x, index), index)

    def risen(self, starts: Tensors, count: int) -> Array:
        """Give f(x) - f(b), the mean over the baselines b, for the first `count` samples; each has its own mask."""
        baselines, there = next(a.shape[1] for _, a in leaves(starts)), slice(0, count)
        index = np.repeat(np.arange(count), baselines)
        at_b = self.value(each(lambda a: a[there].reshape(-1, *a.shape[2:]), starts), index)
        at_x = self.value(self.x if count == len(self) else rows(self.x, there))
        return np.asarray(at_x - at_b.reshape(count, baselines).mean(1))

    def pull(
        self, x: Tensors, index: Array | None = None, *, wrt: str | None = None, beside: Any = False, **how: Any
    ) -> Pull:
        """Pull the explained scalar back to the embeddings, or to the layer `wrt`, row by row; baselines that are
        asked for `beside` are left for later, since every sample has its own mask."""
        others = self._others(x, beside) if wrt is None and beside is True else None
        if others is not None:
            return self._pulled_beside(x, index, True, others)
        real, patch = self._real(x, index), self._patch(x)
        output = real if self.scores.linear else self.run(x, index).output  # a linear score takes but its length
        how = {**how, "patch": patch, "score": self.scores.kind}
        seed = self.scores.seed(output, real, index)
        self._count(x)
        if wrt is not None:
            return self.model.pull(real, seed, wrt=wrt, **how)
        pulls = {layer: self.model.pull(real, seed, wrt=layer, **how) for layer in {k for _, k in self.places.values()}}
        found = {key: _of_input(pulls[layer].gradient, name) for key, (name, layer) in self._of()}
        said = next(iter(pulls.values()))
        if index is None:
            self.remember(x, said.value, said.output)
        return Pull(said.value, x, self._formed(found), said.output)

    def baselines(self, value: Any) -> Tensors:
        """Give the baselines of every sample in the form of `x`: (sample, baseline, token, channel).

        `value` as `xaikit.perturb.baseline.baselines` takes it, where a number is an id and texts are a background;
        "zero" is the embedding of zeros. None is the pad.
        """
        several = isinstance(self.words.x, Mapping)
        asked = by_input(value, self.layers) if several else dict.fromkeys(self.layers, value)
        found = {key: self._starts(asked[name], name, layer) for key, (name, layer) in self._of()}
        return self._formed(aligned(found))

    def by_token(self, found: Map, how: str) -> Map:
        """Bring a map in the form of `x` to one value per token: the sum or the L2 norm over the channels."""
        values = dict(leaves(found.values))
        joined: dict[str, Array] = {}
        for key, (name, layer) in self._of():
            if key in values and values[key].shape == dict(leaves(self.x))[key].shape and layer:
                part = np.asarray(values[key], np.float64)
                part = part.sum(-1) if how == "sum" else np.square(part).sum(-1)
                joined[name] = joined.get(name, np.zeros(())) + part
            elif key in values:
                joined[name] = values[key]
        for name, layers in self.layers.items():
            if layers and name in joined and joined[name].dtype == np.float64:
                joined[name] = (joined[name] if how == "sum" else np.sqrt(joined[name])).astype(np.float32)
        notes = {"embedding": [k for layers in self.layers.values() for k in layers], **found.notes}
        return replace(found, values=joined if isinstance(self.words.x, Mapping) else joined[""], notes=notes)

    # --- between ids and embeddings -----------------------------------------------------------------------------------

    def _of(self) -> list[tuple[str, Place]]:
        return list(self.places.items())

    def _formed(self, found: dict[str, Array]) -> Tensors:
        return found[""] if list(found) == [""] else found

    def _real(self, x: Tensors, index: Array | None) -> Tensors:
        """The encoded inputs of the samples, with the values given for inputs that are followed themselves."""
        real = rows(self.words.x, np.arange(length(x)) if index is None else index)
        given = dict(leaves(x))
        own = {name: given[name] for key, (name, layer) in self._of() if layer is None}
        return {**real, **own} if isinstance(real, Mapping) else real

    def _patch(self, x: Tensors) -> dict[str, Array]:
        given = dict(leaves(x))
        return {layer: given[key] for key, (_, layer) in self._of() if layer is not None}

    def _spec(self, name: str) -> Any:
        return self.words.spec[name] if isinstance(self.words.spec, Mapping) else self.words.spec

    def _starts(self, value: Any, name: str, layer: str | None) -> Array:
        x, spec = dict(leaves(self.words.x))[name], self._spec(name)
        if layer is None:
            return np.asarray(baselines(value, spec, x, self.seed))
        if not (isinstance(value, str) and value == "zero"):
            return self._vectors(np.asarray(baselines(value, spec, x, self.seed)), name, layer)
        own, present = self._vectors(x, name, layer), spec.present(x)
        starts = np.zeros_like(own) if present is None else np.where(present[..., None], np.float32(0), own)
        return np.asarray(starts)[:, None]

    def _vectors(self, ids: Array, name: str, layer: str) -> Array:
        """Look ids up in an embedding: (*ids, channel). The model is asked in sentences that hold each id once."""
        known, place = np.unique(ids, return_inverse=True)
        first = rows(self.words.x, slice(0, 1))
        sentence = np.asarray(dict(leaves(first))[name])
        present = self._spec(name).present(sentence)
        word = sentence.ravel()[0 if present is None else int(np.argmax(present))]
        room = max(1, sentence.size - 1)  # beside a word, since some networks cannot take a sentence of pads
        count = -(-len(known) // room)
        asked = np.full((count, sentence.size), word, sentence.dtype)
        asked[:, -room:].flat[: len(known)] = known
        batch = asked.reshape(count, *sentence.shape[1:])
        x = each(lambda a: np.repeat(a, count, axis=0), first)
        x = {**x, name: batch} if isinstance(x, Mapping) else batch
        found = self.words.run(x, at=[layer]).activations[layer].reshape(count, sentence.size, -1)[:, -room:]
        table = found.reshape(count * room, -1)[: len(known)]
        return np.asarray(table[place.reshape(ids.shape)])


def _of_input(gradient: Tensors, name: str) -> Array:
    """The gradient of one input, or the only one."""
    return gradient[name] if isinstance(gradient, Mapping) else gradient
