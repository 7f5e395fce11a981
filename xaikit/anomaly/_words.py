"""What the vectors of an embedding layer say of words: which are near, and which stand to one another alike."""

import time
from collections.abc import Mapping

import numpy as np

from xaikit.attribution._explain import origin_of, require_wrapped
from xaikit.errors import NotSupported, ParameterError, UnknownName
from xaikit.inputs import Text
from xaikit.model import Model
from xaikit.results import WordNeighbours


def nearest_words(model: Model, word: str, *, count: int = 10, layer: str | None = None) -> WordNeighbours:
    """The words whose vectors in the embedding layer have the largest cosine with that of `word`.

    Raises UnknownName for a word that is not in the vocabulary, NotSupported for a network without one.
    """
    return _words(model, {word: 1.0}, word, count, layer)


def analogy(model: Model, a: str, b: str, c: str, *, count: int = 10, layer: str | None = None) -> WordNeighbours:
    """The words nearest to b - a + c: what is to `c` as `b` is to `a` (Mikolov et al. 2013); these three are left out.

    Vectors have length one before they are added. Raises as `nearest_words`.
    """
    return _words(model, {b: 1.0, a: -1.0, c: 1.0}, f"{b} - {a} + {c}", count, layer)


def _words(model: Model, weights: Mapping[str, float], asked: str, count: int, layer: str | None) -> WordNeighbours:
    start = time.perf_counter()
    require_wrapped(model, "anomaly.latent.nearest_words")
    spec = model.inputs
    if not isinstance(spec, Text) or spec.vocabulary is None:
        raise NotSupported(f"{model.name} has no vocabulary: wrap it with inputs=xk.Text(length, vocabulary=...)")
    found = [n for n, v in model.layers.items() if v.kind == "embedding"] if layer is None else [layer]
    if not found:
        raise NotSupported(
            f"{model.name} has no embedding layer, which holds the vectors of words: give a model that has one"
        )
    table = next((np.asarray(w, np.float64) for w in model.weights(found[0]).values() if w.ndim == 2), None)
    if table is None:
        raise NotSupported(f"the layer {found[0]} holds no vectors of words")
    if count < 1:
        raise ParameterError(f"count is from 1 on, not {count}")
    names = {i: w for w, i in spec.ids.items() if i < len(table)}
    asked_ids = {w: spec.ids.get(w.lower() if spec.lower else w) for w in weights}
    for word, i in asked_ids.items():
        if i is None or i not in names:
            raise UnknownName("word", word, tuple(names.values()))
    unit = table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)
    goal = sum(w * unit[asked_ids[word]] for word, w in weights.items())
    cosines = unit @ goal / max(float(np.linalg.norm(goal)), 1e-12)
    left_out = {*asked_ids.values(), spec.pad, spec.unknown}
    order = [int(i) for i in np.argsort(-cosines, kind="stable") if int(i) in names and int(i) not in left_out][:count]
    seconds = time.perf_counter() - start
    told = origin_of(model, None, "nearest-words", parameters={"layer": found[0]}, seconds=seconds, calls=0)
    return WordNeighbours(asked, tuple(names[i] for i in order), cosines[order], found[0], told)
