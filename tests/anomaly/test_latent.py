"""Views of codes: what is decoded is what the network decodes, and numbers are those of their formulas."""

from functools import cache
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.decomposition import PCA

import xaikit as xk
from tests.anomaly.nets import Variational, digits, flat
from tests.anomaly.test_detection import kept
from xaikit.anomaly import latent
from xaikit.anomaly.latent import arc, line
from xaikit.errors import InputError, NotSupported, ParameterError, UnknownName

pytestmark = pytest.mark.slow


@cache
def zeros() -> tuple[Any, Any, Any]:
    training, held_out, _ = digits(0)
    net = Variational(training, 4)
    return net, net.wrapped(), held_out


def pictures(size: int = 3) -> tuple[Any, Any]:
    training, held_out, _ = digits(0)
    model = Variational(training, size).wrapped(xk.Image(8, 8, 1, scale=1 / 16))
    return model, list(16 * held_out.reshape(-1, 8, 8))


def test_a_grid_runs_over_the_quantiles_of_the_prior(tmp_path: Path) -> None:
    net, model, _ = zeros()
    found = latent.grid(model, 5, numbers=(2, 0))
    quantiles = [NormalDist().inv_cdf(p) for p in (0.05, 0.275, 0.5, 0.725, 0.95)]
    assert_allclose(found.codes[0, :, 2], quantiles, atol=1e-12)
    assert_allclose(found.codes[:, 3, 0], quantiles[::-1], atol=1e-12)
    assert_array_equal(found.codes[..., [1, 3]], 0)
    assert_allclose(found.decoded, found.codes @ net.components + net.mean, atol=1e-5)
    drawn, samples = pictures()
    detector = xk.anomaly.fit(drawn, samples)
    of_pictures = latent.grid(drawn, 3, samples=samples, detector=detector)
    assert of_pictures.scores.shape == (3, 3)
    assert_allclose(of_pictures.scores, 0, atol=1e-9)  # a linear autoencoder gives back what it decodes
    kept(of_pictures, tmp_path)


def test_lines_are_straight_and_arcs_keep_their_distance() -> None:
    t = np.linspace(0, 1, 7)
    a, b = np.array([1.0, 0, 0]), np.array([0, 0, 1.0])
    assert_allclose(np.linalg.norm(arc(a, b, t), axis=1), 1)
    assert_allclose(arc(a, b, t)[:, 0], np.cos(t * np.pi / 2), atol=1e-12)
    assert_allclose(arc(a, b, t)[[0, -1]], [a, b], atol=1e-12)
    assert_allclose(line(a, b, t)[3], [0.5, 0, 0.5])
    assert_allclose(arc(a, 2 * a, t), line(a, 2 * a, t))
    assert_allclose(arc(0 * a, b, t), line(0 * a, b, t))


def test_an_interpolation_goes_from_one_reconstruction_to_the_other(tmp_path: Path) -> None:
    model, samples = pictures()
    detector = xk.anomaly.fit(model, samples)
    found = latent.interpolate(model, samples[0], samples[1], 5, detector=detector)
    back = detector.score(samples[:2]).reconstruction
    for row in found.decoded:
        assert_allclose(row[[0, -1]], back, atol=1e-5)
    assert_allclose(found.decoded[0, 2], back.mean(0), atol=1e-5)
    assert found.scores.shape == (2, 5)
    kept(found, tmp_path)
    with pytest.raises(InputError, match="another one"):
        latent.interpolate(model, samples[:2], samples[1])


def test_a_traversal_changes_one_number_and_sorts_by_divergence(tmp_path: Path) -> None:
    net, model, held_out = zeros()
    found = latent.traverse(model, held_out[0], held_out, steps=3, reach=2.0)
    z = (np.float32(held_out) - net.mean) @ net.components.T
    assert_array_equal(found.effects, sorted(found.effects, reverse=True))
    assert_allclose(found.effects, np.sort(np.square(z).mean(0) / 2)[::-1], rtol=1e-5)  # log variance 0
    first = int(found.row_names[0][1:])
    others = np.arange(4) != first
    assert_allclose(found.codes[0][:, others], np.tile(z[0][others], (3, 1)), atol=1e-5)
    assert_array_equal(found.codes[0][:, first], [-2, 0, 2])
    kept(found, tmp_path)


def test_a_plain_autoencoder_is_traversed_over_the_codes_of_samples(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(6, 2), torch.nn.Linear(2, 6))
    model = xk.wrap(net, inputs=xk.Array((6,)), outputs=xk.Reconstruction(), name="plain")
    x = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    with pytest.raises(ParameterError, match="no prior"):
        latent.traverse(model, x[0])
    found = latent.traverse(model, x[0], x, steps=5)
    assert found.effect == "change"
    with torch.no_grad():
        codes = net[0](torch.tensor(x)).numpy()
        shown = net[1](torch.tensor(np.float32(found.codes[0]))).numpy()
    assert_allclose(found.decoded[0], shown, atol=1e-6)
    k = int(found.row_names[0][1:])
    assert_allclose(found.codes[0][:, k], np.quantile(codes[:, k], np.linspace(0.01, 0.99, 5)), rtol=1e-5)
    kept(found, tmp_path)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_an_embedding_is_that_of_principal_components(dimensions: int, tmp_path: Path) -> None:
    net, model, held_out = zeros()
    labels = np.arange(len(held_out)) % 8
    found = latent.embed(model, held_out, dimensions=dimensions, labels=labels)
    codes = (np.float32(held_out) - net.mean) @ net.components.T
    expected = PCA(dimensions).fit(codes)
    assert_allclose(found.explained, expected.explained_variance_ratio_, rtol=1e-5)
    assert_allclose(np.abs(found.coordinates), np.abs(expected.transform(codes)), atol=1e-5)
    assert (found.components[np.arange(dimensions), np.abs(found.components).argmax(1)] > 0).all()
    kept(found, tmp_path)
    kept(latent.embed(model, held_out, dimensions=dimensions, scores=held_out.sum(1)), tmp_path)


def test_a_collapsed_code_is_flagged(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4)) * [3, 2, 0.05, 0.01]
    model = Variational(x, 4).wrapped()
    found = latent.health(model, x)
    assert_array_equal(found.active, [True, True, False, False])
    assert_array_equal(found.collapsed, [False, False, True, True])
    assert_allclose(found.spreads, np.linalg.svd(x - x.mean(0))[1] ** 2 / 300, rtol=1e-4)
    assert found.status == "warn"
    assert "2 of 4 numbers of the code have collapsed to the prior: z2, z3" in found.status.reasons[0]
    kept(found, tmp_path)
    assert latent.health(model, 1e-4 * x + x.mean(0)).status == "fail"


def words() -> Any:
    torch = pytest.importorskip("torch")
    names = ["[pad]", "[unknown]", "king", "man", "woman", "queen", "apple"]
    table = np.array([[0, 0], [9, 9], [1, 0.1], [1, 0], [0, 1], [0.1, 1.2], [-1, -1]], np.float32)
    embedding = torch.nn.Embedding(7, 2)
    embedding.weight.data = torch.tensor(table)
    net = torch.nn.Sequential(embedding, torch.nn.Flatten(), torch.nn.Linear(6, 1))
    return xk.wrap(net, inputs=xk.Text(3, names), outputs=xk.Values(["y"]), name="words"), names, table


def test_the_nearest_words_are_those_of_the_largest_cosine(tmp_path: Path) -> None:
    model, names, table = words()
    found = latent.nearest_words(model, "king", count=3)
    unit = table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)
    expected = sorted((-float(unit[2] @ unit[i]), names[i]) for i in (3, 4, 5, 6))[:3]
    assert found.neighbours == tuple(n for _, n in expected)
    assert_allclose(found.similarities, [-c for c, _ in expected], atol=1e-6)
    kept(found, tmp_path)
    # king - man + woman
    assert latent.analogy(model, "man", "king", "woman").neighbours[0] == "queen"
    with pytest.raises(UnknownName, match="king"):
        latent.nearest_words(model, "kings")
    with pytest.raises(NotSupported, match="no vocabulary"):
        latent.nearest_words(zeros()[1], "king")


def test_noise_and_hidden_patches_are_judged_against_the_clean_sample(tmp_path: Path) -> None:
    model, samples = pictures()
    found = latent.restore(model, samples[:4], "noise", [0.0, 0.3])
    assert_array_equal(found.given[0], found.clean)
    assert_allclose(found.before[0], 0)
    assert (found.errors[1] < found.before[1]).all()  # three numbers hold no noise
    assert_allclose(found.psnr()[0], -10 * np.log10(found.errors[0].mean()))
    kept(found, tmp_path)
    hidden = latent.restore(model, samples[:4], "mask", [0.25], patch=2)
    places = hidden.given[0] != hidden.clean
    assert_allclose(places.mean(), 0.25 * (hidden.clean != 0).mean(), atol=0.1)
    assert_allclose(hidden.before[0, 0] * 16, np.square(hidden.clean[0][places[0]]).sum(), rtol=1e-5)
    kept(hidden, tmp_path)


def test_mistakes_are_said() -> None:
    _, model, held_out = zeros()
    with pytest.raises(NotSupported, match="no variational"):
        latent.grid(flat(digits(0)[0]))
    with pytest.raises(ParameterError, match="two different"):
        latent.grid(model, numbers=(1, 1))
    with pytest.raises(ParameterError, match="2 or 3"):
        latent.embed(model, held_out, dimensions=4)
    with pytest.raises(InputError, match="3 labels for 89 samples"):
        latent.embed(model, held_out, labels=[1, 2, 3])
    with pytest.raises(UnknownName, match="mean"):
        latent.embed(model, held_out, layer="means")
    with pytest.raises(UnknownName, match="blur"):
        latent.restore(model, held_out, "blur")
    with pytest.raises(NotSupported, match="patches are of pictures"):
        latent.restore(model, held_out, "mask")
