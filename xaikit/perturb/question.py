"""What the engine needs to know of a task: the model, the samples, and the scores that are asked for."""

from typing import Any, Protocol

from xaikit.arrays import Tensors
from xaikit.inputs import Scores
from xaikit.model import Model, Run
from xaikit.progress import Progress


class Question(Protocol):
    """A batch of encoded samples with one score each; the attribution package's Task is one.

    `x` (sample, *shape), channels last, or a mapping of inputs; `spec` and `display` likewise; `prediction` is the raw
    output; `run` asks the model in the form of the scores, and counts. `max_calls` bounds the calls for each sample.
    """

    @property
    def model(self) -> Model: ...
    @property
    def x(self) -> Tensors: ...
    @property
    def spec(self) -> Any: ...
    @property
    def display(self) -> Any: ...
    @property
    def scores(self) -> Scores: ...
    @property
    def prediction(self) -> Tensors: ...
    @property
    def seed(self) -> int: ...
    @property
    def progress(self) -> Progress: ...
    @property
    def max_calls(self) -> int | None: ...
    def run(self, x: Tensors, **how: Any) -> Run: ...
