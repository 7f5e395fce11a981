"""Saliency: the gradient itself."""

from dataclasses import dataclass
from typing import ClassVar

from xaikit.attribution._method import Map, Method, Task, methods


@methods("saliency")
@dataclass(frozen=True, kw_only=True)
class Saliency(Method):
    """How much the score rises per unit of each input value: the signed gradient d score / d x.

    Values have the shape of the encoded input. Source: Simonyan, Vedaldi and Zisserman, "Deep Inside Convolutional
    Networks" (2013), section 3, which draws the absolute value; here the sign is kept.

    For token ids the gradient is that at the embeddings, and a token's value is its L2 norm over their channels
    (sample, token): how fast the score can change with this token's vector. It has no sign, since no direction in the
    space of embeddings stands for "more of the token": for signed values take gradient-x-input. Pads have 0. Source: Li
    et al., "Visualizing and Understanding Neural Models in NLP" (2016), section 5.
    """

    needs: ClassVar = frozenset({"pull"})
    score: ClassVar = "logit"
    tokens: ClassVar = "norm"

    def __call__(self, task: Task) -> Map:
        return Map(task.pull(task.x).gradient)
