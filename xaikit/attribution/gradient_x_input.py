"""Gradient × input."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from xaikit.arrays import each
from xaikit.attribution._method import Map, Method, Task, methods


@methods("gradient-x-input")
@dataclass(frozen=True, kw_only=True)
class GradientXInput(Method):
    """The gradient times the encoded input: exact for a linear score, a first-order guess elsewhere.

    Values have the shape of the encoded input. They sum to the score only for networks that are homogeneous of degree
    one. Source: Shrikumar et al., "Not Just a Black Box" (2016), section 3.

    For token ids the input is their embeddings, and a token's value the sum over their channels (sample, token); pads
    have 0. Source: Denil, Demiraj and de Freitas, "Extraction of Salient Sentences from Labelled Documents" (2014).
    """

    needs: ClassVar = frozenset({"pull"})
    score: ClassVar = "logit"
    tokens: ClassVar = "sum"

    def __call__(self, task: Task) -> Map:
        pulled = task.pull(task.x)
        return Map(each(np.multiply, pulled.gradient, task.x))
