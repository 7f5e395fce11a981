"""The doctor: which layers a method treats specially or stops at, said before it runs."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import xaikit as xk
from tests.contract.nets import ADAPTERS, image_pair, state_of
from xaikit.attribution import methods
from xaikit.errors import NotSupported
from xaikit.quality import circumstances, examine


def verdicts(model: Any) -> dict[str, Any]:
    return {v.method: v for v in examine(model)}


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.cell = nn.Embedding(20, 3), nn.LSTM(3, 4, batch_first=True)
        self.drop, self.head = nn.Dropout(), nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        return self.head(self.drop(self.cell(self.words(x))[0][:, -1]))


@pytest.fixture
def words() -> Any:
    spec = xk.Text(6, {"good": 2, "bad": 3})
    return xk.wrap(Words(), inputs=spec, outputs=xk.Classes(["no", "yes"]))


@pytest.mark.parametrize("framework", ADAPTERS)
def test_it_names_the_end_and_the_layer_that_is_looked_at(framework: str) -> None:
    model, _ = image_pair(framework)
    found = verdicts(model)
    end = "softmax" if framework == "torch" else "head"
    assert found["saliency"].remark == f"explains the logit before the softmax of {end!r}"
    assert found["saliency"].layers == (end,)
    assert "float64" in found["lime"].remark
    assert found["grad-cam"].layers[0] in model.layers
    assert found["grad-cam"].layers[0] in found["grad-cam"].remark


def test_it_says_where_token_ids_go_and_which_layer_stops_a_method(words: Any) -> None:
    found = verdicts(words)
    assert found["integrated-gradients"].serves
    assert found["integrated-gradients"].layers == ("words",)
    assert "token ids have no gradient" in found["integrated-gradients"].remark
    for method in ("deep-lift", "deep-shap", "lrp"):
        assert not found[method].serves
        assert found[method].layers == ("cell",)
        assert "recurrent cell" in found[method].remark


@pytest.mark.parametrize("framework", ADAPTERS)
def test_it_says_what_the_methods_do(framework: str) -> None:
    model, x = image_pair(framework)
    for verdict in examine(model):
        if verdict.serves:
            few: dict[str, Any] = {"segments": 4} if "segments" in methods[verdict.method].parameters() else {}
            few |= {"samples": 30} if "samples" in methods[verdict.method].parameters() else {}
            assert np.isfinite(xk.explain(model, x[0], verdict.method, target=1, **few).values).all()
        else:
            with pytest.raises(NotSupported):
                xk.explain(model, x[0], verdict.method, target=1)


def test_maxima_are_named() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 2))
    found = verdicts(xk.wrap(net, inputs=xk.Image(8, 8, 1), outputs=xk.Values(["a", "b"])))
    assert found["deep-lift"].layers == ("2",)
    assert found["deep-lift"].remark.startswith("gives the rise of a maximum to its place now")
    assert found["saliency"].layers == ()


def test_circumstances_are_said_once(words: Any) -> None:
    words.net.to(torch.bfloat16).train()
    said = {v.remark.partition(":")[0]: v.layers for v in circumstances(words)}
    assert said["dropout is off"] == ("drop",)
    assert "the network is in training mode" in said
    assert "the network computes in bfloat16" in said
    words.net.float().eval()
    assert [v.layers for v in circumstances(words)] == [("drop",)]


def test_stateful_layers_are_named() -> None:
    import keras

    layers = keras.layers
    net = keras.Sequential(
        [layers.Input((5, 3), batch_size=2), layers.GRU(4, stateful=True, name="kept"), layers.Dense(1)]
    )
    assert [v.layers for v in circumstances(xk.wrap(net))] == [("kept",)]


@pytest.mark.parametrize("framework", ADAPTERS)
def test_asking_changes_nothing(framework: str) -> None:
    model, _ = image_pair(framework)
    before = state_of(model)
    examine(model)
    circumstances(model)
    assert state_of(model) == before


def test_a_function_and_a_network_without_a_spec_are_answered() -> None:
    function = verdicts(xk.wrap(lambda x: x.sum(1), inputs=xk.Array((3,)), outputs=xk.Values(["sum"])))
    assert function["lime"].serves
    assert not function["saliency"].serves
    bare = xk.wrap(nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2)).eval())
    assert verdicts(bare)["deep-lift"].serves  # not known yet
    assert "known once" in circumstances(bare)[0].remark
    with pytest.raises(NotSupported, match="'1'"):
        xk.explain(bare, np.zeros((1, 3), np.float32), "deep-lift", target=0)
    assert not verdicts(bare)["deep-lift"].serves
