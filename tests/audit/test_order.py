"""The columns of a table stay in the order in which the network takes them, whatever order JSON would give them."""

from pathlib import Path

import numpy as np
import pytest

import xaikit as xk
from xaikit import audit


def test_the_columns_on_record_are_in_the_order_of_the_network(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    spec = xk.Table({"z": xk.Number(), "a": xk.Number(), "m": xk.Number()}, background=[{"z": 0, "a": 0, "m": 0}])
    net = torch.nn.Linear(3, 1, bias=False)
    with torch.no_grad():
        net.weight[:] = torch.tensor([[1.0, 10.0, 100.0]])
    model = xk.wrap(net, inputs=spec, outputs=xk.Values(("y",)))
    url = f"sqlite:///{tmp_path / 'audit.db'}"
    made = audit.record(model, {"z": 1, "a": 1, "m": 1}, "kernel-shap", db=url)
    read = audit.read(url, made.id)
    assert read.input_spec.names == made.input_spec.names == ("z", "a", "m")
    assert read.input_spec == spec
    np.testing.assert_allclose(read.part_values[0], [1, 10, 100], rtol=1e-5)
    assert audit.replay(read, model).verdict == "equal"
