"""A small network for handwritten digits, trained with PyTorch; xaikit knows it by the name `digits_torch`."""
