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
    """

    needs: ClassVar = frozenset({"pull"})
    score: ClassVar = "logit"

    def __call__(self, task: Task) -> Map:
        return Map(task.pull(task.x).gradient)
