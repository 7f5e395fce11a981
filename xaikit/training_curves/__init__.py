"""Training curves from wherever a training left them: Keras, a CSV file, TensorBoard, or a card of the zoo."""

from xaikit.training_curves._reading import curves

__all__ = ["curves"]
