"""What layers do, as operations on arrays that can be followed place by place: one file for each family."""

from xaikit.insight.operators._explore import explore
from xaikit.insight.operators._kernels import kernels
from xaikit.insight.operators._operation import Operation, operations

__all__ = ["Operation", "explore", "kernels", "operations"]
