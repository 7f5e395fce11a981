"""The adapter keeps the contract, and what it gives is what NumPy calculates from the same weights."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import xaikit as xk
from xaikit.errors import ModelError, NotSupported
from xaikit.testing import CHECKS, adapter_contract

rng = np.random.default_rng(0)
KERNEL, HEAD = rng.normal(size=(4, 1, 3, 3)).astype("f"), rng.normal(size=(4, 3)).astype("f")
PICTURES = rng.integers(0, 256, (3, 6, 6, 1)).astype(np.uint8)


def written(batch: int | str = "sample", end: str = "Softmax") -> onnx.ModelProto:
    """Write a convolution, ReLU, the mean over all places, a dense layer and its end as an ONNX graph."""
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["a"], "conv"),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("GlobalAveragePool", ["b"], ["c"], "mean"),
        helper.make_node("Flatten", ["c"], ["d"], "flat"),
        helper.make_node("MatMul", ["d", "head"], ["z"], "head"),
        helper.make_node(end, ["z"], ["y"], "end"),
    ]
    sizes = {"x": (batch, 1, 6, 6), "y": (batch, 3)}
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in sizes.items())
    weights = [numpy_helper.from_array(KERNEL, "kernel"), numpy_helper.from_array(HEAD, "head")]
    graph = helper.make_graph(nodes, "small", [x], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def wrapped(end: str = "Softmax") -> xk.model.Model:
    return xk.wrap(written(end=end), inputs=xk.Image(6, 6, 1), outputs=xk.Classes(["a", "b", "c"]))


@pytest.mark.parametrize("end", ["Softmax", "Sigmoid", "Identity"])
def test_the_contract_is_kept_but_for_gradients(end: str) -> None:
    model = wrapped(end)
    assert adapter_contract(model, model.inputs.encode(PICTURES)) == set(CHECKS) - {"pull"}


def test_values_are_those_of_numpy() -> None:
    model = wrapped()
    x = model.inputs.encode(PICTURES)
    run = model.run(x, at=["conv"], score="logit")
    windows = np.lib.stride_tricks.sliding_window_view(x[..., 0], (3, 3), (1, 2))
    conv = np.einsum("nhwij,kij->nkhw", windows, KERNEL[:, 0])
    np.testing.assert_allclose(run.activations["conv"], conv, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run.output, np.maximum(conv, 0).mean((2, 3)) @ HEAD, rtol=1e-4, atol=1e-5)
    assert [(layer.kind, layer.axes[1:]) for layer in model.layers.values()][:2] == [
        ("conv", ("channel", "height", "width")),
        ("relu", ("channel", "height", "width")),
    ]


def test_gradients_are_refused_and_the_error_names_what_can_be_used() -> None:
    with pytest.raises(NotSupported, match=r"has no gradients; use .*occlusion"):
        xk.explain(wrapped(), PICTURES, "saliency")
    assert xk.explain(wrapped(), PICTURES, "score-cam").layer == "relu"


def test_a_fixed_batch_is_told_to_be_exported_again() -> None:
    with pytest.raises(ModelError, match="dynamic first axis"):
        xk.wrap(written(batch=1))
