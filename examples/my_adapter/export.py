"""Write the network of the package `digits_torch` as digits.onnx, for any number of samples at a time."""

import warnings
from pathlib import Path

import torch

import xaikit as xk


def main() -> None:
    net = xk.load_model("digits_torch").net.eval()
    free = {"picture": {0: "sample"}, "logits": {0: "sample"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the newer exporter needs one package more
        torch.onnx.export(
            net,
            (torch.zeros(1, 1, 8, 8),),
            Path(__file__).parent / "digits.onnx",
            dynamo=False,
            input_names=["picture"],
            output_names=["logits"],
            dynamic_axes=free,
        )


if __name__ == "__main__":
    main()
