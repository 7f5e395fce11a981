"""Guided backpropagation: the gradient with every negative signal cut at every ReLU."""

from dataclasses import dataclass
from typing import ClassVar

from xaikit.attribution._method import methods
from xaikit.attribution._rectified import Rectified


@methods("guided-backprop")
@dataclass(frozen=True, kw_only=True)
class GuidedBackprop(Rectified):
    """The gradient d score / d x, except that a ReLU lets back only what is positive, and only where it was open.

    Values have the shape of the encoded input. Activations other than ReLU keep their own gradient, which
    `origin.notes["own_gradient"]` names; a network without any ReLU is refused. It shows what the network reacts to
    and depends little on the class (Adebayo et al. 2018, "Sanity Checks for Saliency Maps"). Source: Springenberg et
    al., "Striving for Simplicity: The All Convolutional Net" (2014), section 3.4.
    """

    needs: ClassVar = frozenset({"pull", "rule:guided"})
    rule: ClassVar = "guided"
