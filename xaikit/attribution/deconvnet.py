"""DeconvNet: the score sent back through a network whose ReLUs rectify the signal, not the gate."""

from dataclasses import dataclass
from typing import ClassVar

from xaikit.attribution._method import methods
from xaikit.attribution._rectified import Rectified


@methods("deconvnet")
@dataclass(frozen=True, kw_only=True)
class DeconvNet(Rectified):
    """The gradient d score / d x, except that a ReLU lets back what is positive, whether it was open or not.

    Values have the shape of the encoded input; max-pooling sends the signal to where the maximum was. Activations
    other than ReLU keep their own gradient, which `origin.notes["own_gradient"]` names; a network without any ReLU is
    refused. Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (2014), section 2.1, as
    a backward pass by Simonyan, Vedaldi and Zisserman (2013), section 4.
    """

    needs: ClassVar = frozenset({"pull", "rule:deconvnet"})
    rule: ClassVar = "deconvnet"
