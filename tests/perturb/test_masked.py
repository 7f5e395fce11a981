"""Masked inputs that the network's device makes: the same numbers, and nothing large on the way there."""

import importlib
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import xaikit as xk
from tests.contract.nets import ADAPTERS
from xaikit.masked import Hiding, MaskedRows, Piece
from xaikit.perturb.memory import MEMORY

RNG = np.random.default_rng(4)


def rows_of(*counts: int) -> tuple[MaskedRows, np.ndarray]:
    """Give masked rows in so many pieces of so many rows, and the same made by hand."""
    pieces, expected = [], []
    for count in counts:
        x, hidden = RNG.normal(size=(4, 3, 2)).astype("f"), RNG.normal(size=(5, 4, 3, 2)).astype("f")
        places = RNG.integers(0, 4, x.size)  # 3 is no part
        shown = np.c_[RNG.random((count, 3)) < 0.5, np.ones(count, bool)]
        which = RNG.integers(0, 5, count)
        pieces.append(Piece(Hiding(x, hidden, places), shown, which))
        for s, b in zip(shown, which, strict=True):
            expected.append(np.where(s[places].reshape(x.shape), x, hidden[b]))
    return MaskedRows(pieces), np.stack(expected)


def test_they_are_the_array_that_they_stand_for() -> None:
    rows, expected = rows_of(3, 1, 4)
    assert (rows.shape, rows.ndim, rows.dtype, len(rows)) == ((8, 4, 3, 2), 4, np.float32, 8)
    assert_array_equal(rows, expected)
    for part in (slice(0, 2), slice(2, 7), slice(3, 4), slice(5, None), slice(-2, None), slice(4, 4)):
        assert_array_equal(rows[part], expected[part])
    assert_array_equal(rows[2], expected[2])
    assert_array_equal(rows[[1, 6]], expected[[1, 6]])
    moved = np.moveaxis(rows, -1, 1)
    assert isinstance(moved, MaskedRows)
    assert_array_equal(moved, np.moveaxis(expected, -1, 1))
    assert_array_equal(moved[2:6], np.moveaxis(expected, -1, 1)[2:6])
    assert_array_equal(np.moveaxis(moved, 1, -1), expected)
    assert np.asarray(rows, np.float64).dtype == np.float64
    halves = rows.astype(np.float16)[1:]
    assert halves.dtype == np.asarray(halves).dtype == np.float16


def test_torch_makes_them_bit_by_bit() -> None:
    torch = pytest.importorskip("torch")
    from xaikit_torch._values import to_tensor

    rows, expected = rows_of(3, 1, 4)
    for given, made in ((rows, expected), (np.moveaxis(rows[1:7], -1, 1), np.moveaxis(expected[1:7], -1, 1))):
        t = to_tensor(given, torch.device("cpu"), torch.float32)
        assert_array_equal(t.numpy(), made)
        assert t.is_contiguous()
    assert to_tensor(rows, torch.device("cpu"), torch.float16).dtype == torch.float16
    ids = Piece(Hiding(np.arange(4), np.zeros((1, 4), int), np.arange(4)), np.eye(4, 5, dtype=bool), np.zeros(4, int))
    assert_array_equal(to_tensor(MaskedRows([ids]), torch.device("cpu"), torch.float32), np.diag(np.arange(4)))


def picture(framework: str) -> tuple[Any, Any]:
    from tests.contract.nets import image_pair

    return image_pair(framework)


def table(framework: str) -> tuple[Any, Any]:
    columns = dict.fromkeys("abcdefgh", xk.Number())
    background = [dict.fromkeys(columns, float(v)) for v in RNG.normal(size=12)]
    if framework == "torch":
        import torch
        from torch import nn

        torch.manual_seed(0)
        net: Any = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3), nn.Softmax(-1))
    else:
        import keras

        layers = keras.layers
        net = keras.Sequential([layers.Input((8,)), layers.Dense(16, "relu"), layers.Dense(3, "softmax")])
    model = xk.wrap(net, inputs=xk.Table(columns, background=background), outputs=xk.Classes(("a", "b", "c")))
    return model, [dict(zip(columns, row, strict=True)) for row in RNG.normal(size=(3, 8)).tolist()]


def text(framework: str) -> tuple[Any, Any]:
    if framework == "torch":
        import torch
        from torch import nn

        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.embed, self.head = nn.Embedding(9, 6), nn.Linear(6, 2)

            def forward(self, ids: Any) -> Any:
                return self.head(self.embed(ids).mean(1))

        torch.manual_seed(0)
        net: Any = Net()
    else:
        import keras

        layers = keras.layers
        ids = layers.Input((8,), dtype="int32")
        net = keras.Model(ids, layers.Dense(2)(layers.GlobalAveragePooling1D()(layers.Embedding(9, 6)(ids))))
    words = {f"w{i}": i + 2 for i in range(7)}
    spec = xk.Text(8, vocabulary=words, pad=0, unknown=1)
    return xk.wrap(net, inputs=spec, outputs=xk.Classes(("no", "yes"))), ["w0 w3 w5 w1", "w2 w2"]


@pytest.mark.parametrize("kind", [picture, table, text])
@pytest.mark.parametrize("method", ["lime", "kernel-shap", "occlusion", "permutation-shap", "partition-shap"])
@pytest.mark.parametrize("framework", ADAPTERS)
def test_explanations_are_those_of_rows_made_here(
    framework: str, kind: Any, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, x = kind(framework)
    how: dict[str, Any] = {"target": 0, "accelerate": "none", "seed": 3}
    if kind is picture and method != "occlusion":
        how["segments"] = "grid"
    expected = [explained(model, x, method, how) for _ in range(2)][-1]  # Keras makes a graph of what comes again
    made: list[int] = []
    here: list[int] = []

    def noted(function: Any, kept: list[int]) -> Any:
        return lambda rows, *a, **k: (kept.append(len(rows)), function(rows, *a, **k))[1]

    module, name = ("_values", "_masked") if framework == "torch" else ("_masked", "masked")
    place = importlib.import_module(f"xaikit_{framework}.{module}")
    monkeypatch.setattr(place, name, noted(getattr(place, name), made))
    monkeypatch.setattr(MaskedRows, "__array__", noted(MaskedRows.__array__, here))
    monkeypatch.setattr(type(model), "device", "cuda:0")  # while it calculates where it did
    found = explained(model, x, method, how)
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-5, atol=1e-7)
    assert sum(made) > 5, "the framework made the rows"
    assert sum(here) <= 2 * len(expected.values), "here no more than the samples themselves"


def explained(model: Any, x: Any, method: str, how: dict[str, Any]) -> Any:
    MEMORY.clear()
    return xk.explain(model, x, method, **how)


@pytest.mark.parametrize("baseline", ["inpaint", "drop"])
def test_what_is_no_exchange_is_made_here(baseline: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    model, x = (picture if baseline == "inpaint" else text)("torch")
    how: dict[str, Any] = {"target": 0, "accelerate": "none", "baseline": baseline}
    expected = explained(model, x[:1], "lime", how)
    monkeypatch.setattr(type(model), "device", "cuda:0")
    monkeypatch.setattr(MaskedRows, "__init__", lambda *a: pytest.fail("nothing is left to the device"))
    np.testing.assert_array_equal(explained(model, x[:1], "lime", how).values, expected.values)
