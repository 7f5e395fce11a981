"""Detectors of networks that give more than their input again, give it in one row, or draw what they give."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.anomaly.test_latent import X, keras_vae, torch_vae
from xaikit.anomaly._restoring import Restoring
from xaikit.anomaly.latent import inpaint, restore, to_normal
from xaikit.errors import ModelError, NotSupported, UnknownName

torch = pytest.importorskip("torch")
GIVES = {"tuple": 0, "dict": "reconstruction", "dataclass": "reconstruction", "array": None}


def by_hand(net: Any) -> tuple[Any, Any, Any]:
    """Give what the mean code is decoded to, the mean, and the logarithm of the variance."""
    with torch.no_grad():
        h = torch.tanh(net.encoder(torch.tensor(X)))
        mean = net.fc_mu(h)
        return net.decoder(mean).numpy(), mean.numpy(), net.fc_logvar(h).numpy()


def fitted(gives: str, **how: Any) -> tuple[Any, Any, Any]:
    net = torch_vae(gives)
    model = xk.wrap(net, inputs=xk.Array((12,)), outputs=xk.Reconstruction() if gives == "array" else None)
    return net, model, xk.anomaly.fit(model, X, output=GIVES[gives], **how)


@pytest.mark.parametrize("gives", GIVES)
def test_a_network_that_draws_is_scored_at_the_mean_of_its_code(gives: str) -> None:
    net, _, detector = fitted(gives)
    back, _, _ = by_hand(net)
    torch.manual_seed(1)
    found = detector.score(X)
    assert_allclose(found.reconstruction, back, atol=1e-6)
    assert_allclose(found.values, np.square(back - X).mean(1), rtol=1e-5)
    torch.manual_seed(2)
    assert_array_equal(detector.score(X).values, found.values)
    assert not any("draws" in reason for reason in detector.status.reasons)


@pytest.mark.parametrize("gives", ["tuple", "array"])
def test_the_divergence_is_that_of_the_networks_own_variance(gives: str) -> None:
    net, _, detector = fitted(gives, score="elbo", samples=3)
    back, mean, log_variance = by_hand(net)
    divergence = (np.square(mean) + np.exp(log_variance) - 1 - log_variance) / 2
    assert_allclose(detector.score(X).code, divergence, rtol=1e-5, atol=1e-6)
    variance = detector.error._variance
    assert_allclose(variance, np.square(back - X).mean(), rtol=1e-5)
    noise = np.random.default_rng(0).standard_normal((3, 3))
    with torch.no_grad():
        drawn = [net.decoder(torch.tensor(np.float32(mean + np.exp(log_variance / 2) * e))).numpy() for e in noise]
    lost = np.mean([(np.square(d - X) / variance + np.log(2 * np.pi * variance)) / 2 for d in drawn], axis=0)
    assert_allclose(detector.score(X).values, lost.sum(1) + divergence.sum(1), rtol=1e-4)


@pytest.mark.parametrize("gives", ["tuple", "array"])
def test_its_error_is_attributed_to_the_input(gives: str) -> None:
    net, _, detector = fitted(gives)
    odd = 3 * X[0]
    told = detector.explain(odd, baseline="zero", steps=200)
    back = by_hand(net)[0]
    at_zero = detector.values(np.zeros((1, 12), np.float32))[0]
    assert_allclose(told.attribution.values.sum(), detector.score(odd).values[0] - at_zero, rtol=1e-3)
    slope = xk.explain(detector.model, X[0], "saliency", xk.ReconstructionError("mse"))
    given = torch.tensor(X[:1], requires_grad=True)
    again = net.decoder(net.fc_mu(torch.tanh(net.encoder(given))))
    ((again - given) ** 2).mean().backward()
    assert_allclose(np.abs(slope.values), np.abs(given.grad.numpy()), atol=1e-6)
    assert_allclose(again.detach().numpy(), back[:1], atol=1e-6)


def test_a_detector_is_kept_with_the_name_of_its_output(tmp_path: Path) -> None:
    _, model, detector = fitted("tuple")
    record = xk.load(xk.save(detector.record(), tmp_path / "detector"))
    assert record.output == "0"
    assert_array_equal(xk.anomaly.Detector.of(model, record).values(X), detector.values(X))
    again = xk.wrap(torch_vae("tuple"), inputs=xk.Array((12,)), outputs={"0": xk.Reconstruction("mae")})
    by_spec = xk.anomaly.fit(again, X)
    assert by_spec.error.name == "mae"
    with torch.no_grad():
        again.net.decoder.bias += 1
    with pytest.raises(ModelError, match="other weights"):
        xk.anomaly.Detector.of(again, record)


def test_views_and_baselines_take_the_same_detector() -> None:
    _, model, detector = fitted("tuple")
    names = detector.evaluate(X[:10], 3 * X[10:]).names
    assert names == ("Net", "distance to mean", "untrained network", "random")
    assert to_normal(detector, 2 * X[0]).scores.shape == (2, 9)
    assert restore(detector.model, X[:2], "noise", [0.1]).restored.shape == (1, 2, 12)
    assert isinstance(detector.model, Restoring)
    assert list(detector.model.layers) == list(model.layers)


def test_which_output_is_asked_for() -> None:
    model = xk.wrap(torch_vae("tuple"), inputs=xk.Array((12,)))
    with pytest.raises(NotSupported, match=r"several outputs \(0, 1, 2\): say which is its input again, by output='0'"):
        xk.anomaly.fit(model, X)
    with pytest.raises(UnknownName, match="back"):
        xk.anomaly.fit(model, X, output="back")
    with pytest.raises(NotSupported, match="does not give its input again"):
        xk.anomaly.fit(model, X, output=1)
    heads = xk.wrap(lambda x: {"a": x[:, :2], "b": x[:, :3]}, inputs=xk.Array((12,)), name="heads")
    with pytest.raises(NotSupported, match="heads gives a, b, none of which is its input again"):
        xk.anomaly.fit(heads, X)
    two = {"0": xk.Reconstruction(), "1": xk.Reconstruction()}
    with pytest.raises(NotSupported, match="say which is its input again"):
        xk.anomaly.fit(xk.wrap(torch_vae("tuple"), inputs=xk.Array((12,)), outputs=two), X)
    one = xk.wrap(torch_vae("array"), inputs=xk.Array((12,)), outputs=xk.Reconstruction())
    with pytest.raises(NotSupported, match="has one output: leave output= out"):
        xk.anomaly.fit(one, X, output=0)


def test_what_draws_without_a_code_is_told() -> None:
    class Noisy(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x + torch.randn_like(x)

    detector = xk.anomaly.fit(xk.wrap(Noisy(), inputs=xk.Array((12,)), outputs=xk.Reconstruction()), X)
    assert "answers one sample differently each time" in detector.status.reasons[0]
    assert "answers one sample differently each time" in detector.using("mean-sd", k=2.0).status.reasons[0]


class InOneRow(torch.nn.Module):
    """A colour picture through 5 numbers, given back as one row, as people write it."""

    def __init__(self, convolves: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = torch.nn.Conv2d(3, 3, 1) if convolves else torch.nn.Identity()
        self.code, self.back = torch.nn.Linear(48, 5), torch.nn.Linear(5, 48)

    def forward(self, x: Any) -> Any:
        return self.back(self.code(self.first(x).flatten(1)))


def test_a_row_is_a_picture_in_the_networks_own_order() -> None:
    net = InOneRow(convolves=True)
    model = xk.wrap(net, inputs=xk.Image(4, 4, 3, scale=1.0), outputs=xk.Reconstruction())
    x = np.random.default_rng(0).uniform(size=(6, 4, 4, 3)).astype(np.float32)
    detector = xk.anomaly.fit(model, list(x))
    found = detector.score(list(x))
    with torch.no_grad():
        rows = net(torch.tensor(x.transpose(0, 3, 1, 2))).reshape(6, 3, 4, 4)
    assert_allclose(found.reconstruction, rows.numpy().transpose(0, 2, 3, 1), atol=1e-6)
    told = detector.explain(x[0], baseline="zero", steps=64).attribution
    at_zero = detector.values(np.zeros((1, 4, 4, 3), np.float32))[0]
    assert_allclose(told.values.sum(), found.values[0] - at_zero, rtol=1e-3)
    assert_allclose(inpaint(model, list(x[:1])).copied, found.reconstruction[:1], atol=1e-6)


@pytest.mark.slow
def test_a_keras_network_with_its_code_among_its_outputs() -> None:
    net = keras_vae("several")
    import keras

    model = xk.wrap(net, inputs=xk.Array((12,)))
    detector = xk.anomaly.fit(model, X, output=next(iter(model.outputs)))
    mean = keras.Model(net.inputs[0], net.get_layer("z_mean").output)(X).numpy()
    kernel, bias = net.get_layer("decoder").get_weights()
    assert_allclose(detector.score(X).values, np.square(mean @ kernel + bias - X).mean(1), rtol=1e-4)
    told = detector.explain(3 * X[0], baseline="zero", steps=200)
    at_zero = detector.values(np.zeros((1, 12), np.float32))[0]
    assert_allclose(told.attribution.values.sum(), detector.score(3 * X[0]).values[0] - at_zero, rtol=1e-3)
