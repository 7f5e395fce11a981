"""Views of codes: what is decoded is what the network decodes, and numbers are those of their formulas."""

from dataclasses import make_dataclass, replace
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
from tests.cases import some
from xaikit.anomaly import latent
from xaikit.anomaly._codes import encode
from xaikit.anomaly.latent import arc, line
from xaikit.errors import InputError, ModelError, NotSupported, ParameterError, UnknownName
from xaikit.figures import SpacePanel, TilesPanel, panels, percent
from xaikit.render import draw

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
    c = np.array([1.0, 0, np.sqrt(3)]) / 2  # 60 degrees from a
    assert_allclose(arc(a, c, t)[:, 2], np.sin(t * np.pi / 3), atol=1e-12)
    assert_allclose(arc(a, c, t)[[0, -1]], [a, c], atol=1e-12)
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


@pytest.mark.parametrize("dimensions", some([2, 3], [2]))
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
    # queen - apple + woman: vectors of length one are added, though queen's and apple's are longer
    far = latent.analogy(model, "apple", "queen", "woman", count=2)
    goal = unit[5] - unit[6] + unit[4]
    assert_allclose(far.similarities, np.sort(unit[[2, 3]] @ goal / np.linalg.norm(goal))[::-1], atol=1e-6)
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
    with pytest.raises(ParameterError, match="one or two different"):
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


# ---------------------------------------------------------------- the way to a normal code, classes, order, variances


def test_the_way_to_a_normal_code_ends_at_the_nearest_one(tmp_path: Path) -> None:
    model, samples = pictures()
    detector = xk.anomaly.fit(model, samples[:40])
    odd = samples[50].copy()
    odd[:2, :2] = 16
    found = latent.to_normal(detector, odd, 5)
    codes = encode(model, detector.normal)
    own = encode(model, model.inputs.encode([odd]))[0]
    nearest = int(np.linalg.norm(codes - own, axis=1).argmin())
    assert found.origin.notes["nearest"] == nearest
    assert_allclose(found.codes[:, 0], np.tile(own, (2, 1)), atol=1e-9)
    assert_allclose(found.codes[:, -1], np.tile(codes[nearest], (2, 1)), atol=1e-9)
    assert_allclose(found.origin.notes["own_score"], detector.score(odd).values[0])
    assert_allclose(found.scores, detector.values(found.decoded.reshape(10, 8, 8, 1)).reshape(2, 5))
    assert found.threshold == detector.threshold
    kept(found, tmp_path)
    with pytest.raises(InputError, match="one sample, not 2"):
        latent.to_normal(detector, samples[:2])


def test_the_mean_code_of_a_class_is_decoded(tmp_path: Path) -> None:
    net, model, held_out = zeros()
    labels = ["10", "9"] * 44 + ["9"]
    found = latent.means(model, held_out, labels)
    own = np.array(labels)
    assert found.column_names == ("10", "9")
    for k, name in enumerate(found.column_names):
        assert_allclose(found.codes[0, k], encode(model, np.float32(held_out))[own == name].mean(0), atol=1e-6)
    assert_allclose(found.decoded, found.codes @ net.components + net.mean, atol=1e-5)
    kept(found, tmp_path)
    with pytest.raises(InputError, match="2 labels for 89"):
        latent.means(model, held_out, ["a", "b"])


def test_a_traversal_may_be_sorted_by_what_changes(tmp_path: Path) -> None:
    training, held_out, _ = digits(0)
    net = Variational(training, 3)
    net.components = net.components * np.array([[1.0], [3.0], [2.0]])  # the second number moves the output most
    found = latent.traverse(net.wrapped(), held_out[0], by="change", reach=1.0, steps=5)
    assert found.row_names == ("z1", "z2", "z0")
    assert_allclose(found.effects, [4 * 9 / 64, 4 * 4 / 64, 4 * 1 / 64], rtol=1e-5)  # ends 2 apart, unit directions
    # of -1, -0.5, 0, 0.5, 1 the variance is 0.5
    assert_allclose(found.variances, 0.5 * np.square(net.components[[1, 2, 0]]), rtol=1e-4, atol=1e-7)
    assert found.column_names == ("-1", "-0.5", "0", "0.5", "1")
    kept(found, tmp_path)
    with pytest.raises(UnknownName, match="size"):
        latent.traverse(net.wrapped(), held_out[0], by="size")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="2 on"):
        latent.traverse(net.wrapped(), held_out[0], steps=1)


def test_a_traversed_picture_ends_with_where_it_changed() -> None:
    model, samples = pictures()
    found = latent.traverse(model, samples[0], steps=3)
    (panel,) = panels(found).panels
    assert isinstance(panel, TilesPanel)
    assert panel.across == 4
    assert panel.columns == ("−3", "0", "3", "variance")
    assert panel.rows[0].startswith(f"{found.row_names[0]}: KL ")
    assert_allclose(panel.tiles[3].values, found.variances[0][..., 0])
    assert_allclose(panel.tiles[3].scale.limit, found.variances.max())
    grid = latent.grid(model, 3)
    (shown,) = panels(grid).panels
    assert shown.columns == ("−1.64", "0.00", "1.64")
    assert shown.rows == ("1.64", "0.00", "−1.64")
    assert shown.subtitle == "across: z0 · up: z1"


def test_what_tells_two_samples_apart_is_given_to_a_third(tmp_path: Path) -> None:
    model, samples = pictures()
    codes = encode(model, model.inputs.encode(samples))
    found = latent.arithmetic(model, samples[0], samples[1], samples[2])
    assert_allclose(found.codes[0], [*codes[:3], codes[0] - codes[1] + codes[2]], atol=1e-9)
    assert found.column_names == ("a", "b", "c", "a - b + c")
    of_lists = latent.arithmetic(model, samples[:4], samples[4:7], samples[7])
    assert_allclose(of_lists.codes[0, 3], codes[:4].mean(0) - codes[4:7].mean(0) + codes[7], atol=1e-9)
    (shown,) = panels(found).panels
    assert shown.columns[3] == "a − b + c"
    kept(found, tmp_path)


@pytest.mark.parametrize(("number", "middle"), [(9, [3, 4, 5]), (8, [2, 3, 4]), (3, [0, 1, 2])])
def test_the_best_the_median_and_the_worst_come_back(number: int, middle: list[int], tmp_path: Path) -> None:
    """Of a network that gives zeros the error of a sample is the mean of its squares."""
    net = lambda x: np.zeros_like(x)  # noqa: E731
    model = xk.wrap(net, inputs=xk.Image(8, 8, 1, scale=1 / 16), outputs=xk.Reconstruction(), name="nothing")
    sizes = np.random.default_rng(0).permutation(number) + 1
    found = latent.gallery(model, [np.full((8, 8), size) for size in sizes], 3)
    ranked = np.argsort(sizes)
    assert_array_equal(found.positions, [ranked[:3], ranked[middle], ranked[-3:]])
    assert_allclose(found.errors, np.square(sizes[found.positions] / 16))
    assert_allclose(found.x[..., 0, 0, 0], sizes[found.positions] / 16)
    assert_array_equal(found.reconstruction, 0)
    assert_allclose(found.median, np.median(np.square(sizes / 16)))
    kept(found, tmp_path)
    (panel,) = panels(found).panels
    assert panel.rows == ("best: given", "came back", "median: given", "came back", "worst: given", "came back")
    assert_allclose(panel.tiles[12].values, 255 * sizes[ranked[-3]] / 16, atol=1)  # of the network's zeros 0
    assert_array_equal(panel.tiles[15].values, 0)
    with pytest.raises(InputError, match="10 samples of each kind needs as many, and 3 are given"):
        latent.gallery(model, [np.zeros((8, 8))] * 3, 10)


def test_a_gallery_of_a_series_and_of_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    series = latent.gallery(copying(xk.Series(10, 2)), rng.normal(size=(5, 10, 2)), 2)
    kept(series, tmp_path)
    assert [p.title for p in panels(series).panels][:2] == ["Best: 0", "Best: 0"]
    assert series.errors.max() == 0
    kept(latent.gallery(zeros()[1], zeros()[2]), tmp_path)


def test_ellipses_are_one_standard_deviation_of_the_code(tmp_path: Path) -> None:
    training, held_out, _ = digits(0)
    net = Variational(training, 4, log_variance=float(np.log(0.25)))
    found = latent.embed(net.wrapped(), held_out)
    assert_allclose(found.covariances, np.tile(0.25 * np.eye(2), (len(held_out), 1, 1)), atol=1e-9)
    assert_allclose(np.linalg.norm(found.ellipse(3) - found.coordinates[3], axis=1), 0.5, rtol=1e-9)
    kept(found, tmp_path)
    (plane,) = panels(found).panels
    spread = plane.traces[0]
    assert np.isnan(spread.y).sum() == 60  # of 89 samples, each ellipse on its own
    assert spread.silent
    assert "60 of the samples" in plane.subtitle
    # a skew spread: every point of its line is at Mahalanobis distance 1
    skew = np.array([[2.0, 0.6], [0.6, 1.0]])
    turned = replace(found, covariances=np.tile(skew, (len(held_out), 1, 1)))
    line = turned.ellipse(0, points=721) - found.coordinates[0]
    assert_allclose(np.einsum("na,ab,nb->n", line, np.linalg.inv(skew), line), 1, rtol=1e-9)
    assert_allclose(np.linalg.norm(line, axis=1).max(), np.sqrt(np.linalg.eigvalsh(skew)[1]), rtol=1e-4)
    plain = latent.embed(copying_code(), X)
    assert plain.covariances is None
    with pytest.raises(NotSupported, match="not variational"):
        plain.ellipse(0)


def test_the_spread_follows_the_components() -> None:
    """Variances that differ by number are turned into the plane: P diag(s²) P'."""
    model = xk.wrap(torch_vae("array"), inputs=xk.Array((12,)), outputs=xk.Reconstruction())
    found = latent.embed(model, X, dimensions=3)
    variances = np.exp(encode(model, X, "fc_logvar"))
    assert_allclose(found.covariances[4], found.components @ np.diag(variances[4]) @ found.components.T, rtol=1e-5)
    assert_allclose(found.covariances[4].trace(), variances[4].sum(), rtol=1e-5)  # three of three components


def copying_code() -> Any:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(12, 3), torch.nn.Linear(3, 12))
    return xk.wrap(net, inputs=xk.Array((12,)), outputs=xk.Reconstruction())


def test_hidden_places_are_grey_wherever_they_are() -> None:
    model, samples = pictures()
    hidden = latent.restore(model, samples[:2], "mask", [0.25], patch=2)
    assert hidden.hidden.shape == (1, 8, 8, 1)
    assert hidden.hidden.sum() == 16
    assert_array_equal(hidden.given[0][:, hidden.hidden[0]], 0)
    tiles = next(iter(panels(hidden).panels))
    given = np.asarray(tiles.tiles[2].values, float)
    grey = given[hidden.hidden[0, ..., 0]]
    assert np.ptp(grey) == 0
    assert 0.4 < grey.flat[0] / (255 if given.max() > 1 else 1) < 0.5
    assert "grey" in tiles.subtitle
    assert latent.restore(model, samples[:2], "noise", [0.1]).hidden is None


@pytest.mark.parametrize("view", ["restore", "inpaint", "capacity", "gallery"])
def test_what_comes_back_of_a_network_that_draws_is_not_drawn(view: str) -> None:
    torch = pytest.importorskip("torch")
    asked: dict[str, Any] = {
        "restore": lambda m: latent.restore(m, X.reshape(20, 12, 1), "noise", [0.1]).errors,
        "inpaint": lambda m: latent.inpaint(m, X.reshape(20, 12, 1)).errors,
        "capacity": lambda m: latent.capacity(m, X.reshape(20, 12, 1)).errors,
        "gallery": lambda m: latent.gallery(m, X.reshape(20, 12, 1)).errors,
    }
    net = torch_vae("array")
    flat_one = net.forward
    net.forward = lambda x: flat_one(x.flatten(1)).reshape(x.shape)
    model = xk.wrap(net, inputs=xk.Series(12, 1), outputs=xk.Reconstruction(), layout="channels-last")
    torch.manual_seed(1)
    first = asked[view](model)
    torch.manual_seed(2)
    assert_allclose(asked[view](model), first, rtol=1e-6)


# ---------------------------------------------------------------- three dimensions


def test_three_components_are_a_space_that_plotly_turns() -> None:
    _, model, held_out = zeros()
    labels = [f"{k}" for k in np.arange(len(held_out)) % 11]
    found = latent.embed(model, held_out, dimensions=3, labels=labels)
    figure = panels(found)
    space, *planes = figure.panels
    assert isinstance(space, SpacePanel)
    assert [c.name for c in space.clouds] == [str(k) for k in range(11)]  # 10 after 9, not after 1
    own = np.array(labels)
    assert_array_equal(space.clouds[10].points, found.coordinates[own == "10"])
    assert space.labels[1] == f"component 2 ({percent(float(found.explained[1]))})"
    assert len(planes) == 6
    drawn = draw(figure, "plotly")
    scatters = [t for t in drawn.data if t.type == "scatter3d"]
    assert len(scatters) == 11
    assert_array_equal(np.array([scatters[3].x, scatters[3].y, scatters[3].z]).T, space.clouds[3].points)
    assert scatters[0].marker.symbol != scatters[6].marker.symbol  # the seventh has the colour of the first
    assert scatters[0].marker.color == scatters[6].marker.color
    scene = drawn.layout.scene
    assert scene.xaxis.title.text == space.labels[0]
    spans = [axis.range[1] - axis.range[0] for axis in (scene.xaxis, scene.yaxis, scene.zaxis)]
    assert_allclose(spans, spans[0])  # one scale
    assert scene.dragmode == "turntable"


def test_scores_colour_by_fifths_and_what_has_none_is_grey() -> None:
    _, model, held_out = zeros()
    scores = np.arange(len(held_out), dtype=float)
    scores[:9] = np.nan
    space = next(panels(latent.embed(model, held_out, dimensions=3, scores=scores)).panels)
    assert [len(c.points) for c in space.clouds] == [16, 16, 16, 16, 16, 9]
    assert len({c.colour for c in space.clouds}) == 6
    assert space.clouds[-1].colour == -1
    assert space.clouds[-1].name == "no finite score"
    assert space.clouds[0].name == "score to 24.8"


# ---------------------------------------------------------------- filling in, copying


def copying(spec: Any = None) -> Any:
    return xk.wrap(
        lambda x: x, inputs=spec or xk.Image(8, 8, 1, scale=1 / 16), outputs=xk.Reconstruction(), name="copy"
    )


def test_a_patch_is_filled_in_without_being_seen(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(1, 16, (2, 8, 8))
    found = latent.inpaint(copying(), list(x), patch=3, value=0.25)
    assert_allclose(found.filled, 0.25)  # a copy of what was put there
    assert_allclose(found.copied, found.x)
    assert_allclose(found.errors, np.square(x / 16 - 0.25), rtol=1e-5)
    assert_allclose(found.copied_errors, 0)
    assert_allclose(found.values, np.square(x / 16 - 0.25).mean((1, 2)), rtol=1e-5)
    assert found.origin.model_calls == 2 * (9 + 1)  # 3 × 3 patches, and the whole
    kept(found, tmp_path)
    half = latent.inpaint(copying(), list(x), patch=4, hidden=0.5, value=0.5)
    assert_allclose(half.filled, 0.5)
    series = latent.inpaint(copying(xk.Series(10, 2)), rng.normal(size=(1, 10, 2)), patch=4)
    assert series.errors.shape == (1, 10)
    assert_allclose(series.errors, np.square(series.x).mean(-1), rtol=1e-5)
    kept(series, tmp_path)
    for wrong in ({"hidden": 1.0}, {"patch": 0}):
        with pytest.raises(ParameterError, match=r"hidden is a share|patch is a number"):
            latent.inpaint(copying(), list(x), **wrong)
    with pytest.raises(NotSupported, match="patches are of pictures"):
        latent.inpaint(copying(xk.Array((4,))), x[0, 0, :4])


def test_a_neighbourhood_fills_in_what_a_copy_hides() -> None:
    """A network that gives the mean of the neighbours: an odd pixel has a large error where it was hidden."""

    def neighbours(x: Any) -> Any:
        return sum(np.roll(x, s, a) for a in (1, 2) for s in (1, -1)) / 4

    model = xk.wrap(neighbours, inputs=xk.Image(8, 8, 1, scale=1.0), outputs=xk.Reconstruction(), name="mean")
    x = np.full((8, 8), 0.2)
    x[3, 4] = 1.0
    found = latent.inpaint(model, x, patch=1)
    assert np.unravel_index(found.errors[0].argmax(), (8, 8)) == (3, 4)
    assert_allclose(found.errors[0, 3, 4], 0.8**2, rtol=1e-5)


def test_a_network_that_copies_is_an_alarm(tmp_path: Path) -> None:
    x = np.random.default_rng(0).uniform(0, 16, (20, 8, 8))
    found = latent.capacity(copying(), list(x))
    assert found.status == "fail"
    assert "noise comes back as well" in found.status.reasons[0]
    assert found.width is None
    kept(found, tmp_path)
    _, model, held_out = zeros()
    narrow = latent.capacity(model, held_out, draws=30)
    assert narrow.status == "ok"
    assert (narrow.width, narrow.inputs, len(narrow.noise_errors)) == (4, 64, 30)
    assert_allclose(narrow.errors, xk.anomaly.fit(model, held_out).score(held_out).values, rtol=1e-5)
    assert_allclose(narrow.ratio, narrow.noise_errors.mean() / narrow.errors.mean())
    assert narrow.ratio > 2
    kept(narrow, tmp_path)
    with pytest.raises(InputError, match="all numbers of the samples are 0"):
        latent.capacity(copying(), np.zeros((2, 8, 8)))


def test_a_code_as_wide_as_the_input_is_a_warning() -> None:
    training, held_out, _ = digits(0)
    wide = Variational(training, 8)
    wide.components = np.eye(64)[:, :]
    wide.mean = training.mean(0)
    noisy = wide.wrapped()
    noisy.net.components = np.eye(64) * 0.9  # gives back nearly all, noise a little worse
    found = latent.capacity(noisy, held_out)
    assert found.width == 64
    assert found.status == "warn"
    assert "the narrowest layer has 64 numbers for 64 of the input" in found.status.reasons[0]


def test_decibels_are_against_the_range_of_the_samples() -> None:
    x = np.random.default_rng(0).integers(0, 4, (3, 8, 8))
    x[0, 0, :2] = 0, 4
    found = latent.restore(copying(), list(x), "noise", [0.0, 0.05])
    assert np.isinf(found.psnr()[0])
    assert_allclose(found.psnr()[1], 10 * np.log10(0.25**2 / found.before[1].mean()))
    assert_allclose(found.psnr_before(1.0)[1], -10 * np.log10(found.before[1].mean()))
    error, ratio = [p for p in panels(found).panels if p.title.startswith(("Mean", "Peak"))]
    assert_allclose(ratio.traces[0].y, found.psnr())
    assert_allclose(error.traces[1].y, found.before.mean(1))


# ---------------------------------------------------------------- networks as people write them


def torch_vae(gives: str, size: int = 3, names: tuple[str, str] = ("fc_mu", "fc_logvar")) -> Any:
    """A subclassed variational autoencoder that draws in its forward, and gives its code with the output."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    made = make_dataclass("Given", ["reconstruction", "mean", "log_variance"])

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.decoder = torch.nn.Linear(12, 8), torch.nn.Linear(size, 12)
            for name in names:
                setattr(self, name, torch.nn.Linear(8, size))

        def forward(self, x: Any) -> Any:
            h = torch.tanh(self.encoder(x))
            mean, log_variance = (getattr(self, name)(h) for name in names)
            back = self.decoder(mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean))
            if gives == "tuple":
                return back, mean, log_variance
            if gives == "dict":
                return {"reconstruction": back, "mean": mean, "log_variance": log_variance}
            return made(back, mean, log_variance) if gives == "dataclass" else back

    return Net()


def keras_vae(gives: str) -> Any:
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(0)

    class Sampling(keras.layers.Layer):  # type: ignore[misc, name-defined]
        def __init__(self, **described: Any) -> None:
            super().__init__(**described)
            self.stream = keras.random.SeedGenerator(1)

        def call(self, both: Any) -> Any:
            mean, log_variance = both
            drawn = keras.random.normal(keras.ops.shape(mean), seed=self.stream)
            return mean + keras.ops.exp(0.5 * log_variance) * drawn

    x = keras.Input((12,))
    h = keras.layers.Dense(8, "tanh")(x)
    mean, log_variance = keras.layers.Dense(3, name="z_mean")(h), keras.layers.Dense(3, name="z_log_var")(h)
    back = keras.layers.Dense(12, name="decoder")(Sampling(name="sampling")([mean, log_variance]))
    return keras.Model(x, [back, mean, log_variance] if gives == "several" else back)


X = np.random.default_rng(0).normal(size=(20, 12)).astype(np.float32)


@pytest.mark.parametrize("gives", ["array", "tuple", "dict", "dataclass"])
def test_a_torch_network_that_draws_and_gives_several_outputs(gives: str) -> None:
    torch = pytest.importorskip("torch")
    net = torch_vae(gives)
    model = xk.wrap(net, inputs=xk.Array((12,)))
    found = latent.grid(model, 3)
    with torch.no_grad():
        expected = net.decoder(torch.tensor(np.float32(found.codes))).numpy()
    assert_allclose(found.decoded, expected, atol=1e-6)  # nothing is drawn where a code is given
    assert_array_equal(found.decoded, latent.grid(model, 3).decoded)
    assert latent.interpolate(model, X[0], X[1]).decoded.shape == (2, 9, 12)
    assert latent.health(model, X).divergences.shape == (3,)
    assert latent.capacity(model, X).width == 3
    assert latent.restore(model, X[:2], "noise", [0.1]).restored.shape == (1, 2, 12)


@pytest.mark.parametrize("gives", ["array", "several"])
def test_a_keras_network_with_a_sampling_layer(gives: str) -> None:
    net = keras_vae(gives)
    model = xk.wrap(net, inputs=xk.Array((12,)))
    found = latent.traverse(model, X[0], X, steps=3)
    kernel, bias = net.get_layer("decoder").get_weights()
    assert_allclose(found.decoded, found.codes @ kernel + bias, atol=1e-6)
    assert latent.embed(model, X, dimensions=3).layer == "z_mean"
    assert latent.health(model, X).divergences.shape == (3,)


def test_layers_of_a_code_are_named_where_their_names_do_not_tell() -> None:
    model = xk.wrap(torch_vae("array", names=("fc21", "fc22")), inputs=xk.Array((12,)), outputs=xk.Reconstruction())
    with pytest.raises(NotSupported, match="no variational"):
        latent.grid(model)
    code = latent.Code("fc21", "fc22", "fc21")
    assert latent.grid(model, 3, code=code).codes.shape == (3, 3, 3)
    assert latent.traverse(model, X[0], X, code=code).effect == "divergence"
    assert latent.health(model, X, code=code).divergences.shape == (3,)
    with pytest.raises(UnknownName, match="fc23"):
        latent.interpolate(model, X[0], X[1], code=latent.Code("fc21", "fc23", "fc21"))
    with pytest.raises(ParameterError, match="has no prior"):
        latent.grid(model, code="encoder")


@pytest.mark.parametrize("size", some([1, 64], [1]))
def test_codes_of_one_number_and_of_many(size: int, tmp_path: Path) -> None:
    model = xk.wrap(torch_vae("array", size), inputs=xk.Array((12,)), outputs=xk.Reconstruction())
    found = latent.grid(model, 4)
    assert found.codes.shape == ((1, 4, 1) if size == 1 else (4, 4, 64))
    kept(found, tmp_path)
    traversed = latent.traverse(model, X[0], X)
    assert traversed.codes.shape == (size, 9, size)
    kept(traversed, tmp_path)
    if size == 64:
        assert panels(traversed).notes == ("The last 56 of 64 rows are not drawn.",)
    embedded = latent.embed(model, X, dimensions=3)
    assert_allclose(embedded.explained.sum(), 1.0 if size == 1 else embedded.explained.sum())
    kept(embedded, tmp_path)


def test_a_code_that_is_a_map_of_features(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    encoder, decoder = torch.nn.Conv2d(1, 2, 3, 4, 1), torch.nn.ConvTranspose2d(2, 1, 4, 4)
    model = xk.wrap(
        torch.nn.Sequential(encoder, decoder), inputs=xk.Image(16, 16, 1, scale=1.0), outputs=xk.Reconstruction()
    )
    x = np.random.default_rng(0).uniform(size=(6, 16, 16, 1))
    found = latent.interpolate(model, x[0], x[1], 3)
    assert found.codes.shape == (2, 3, 32)
    with torch.no_grad():
        back = decoder(encoder(torch.tensor(np.float32(x[:2].transpose(0, 3, 1, 2))))).numpy().transpose(0, 2, 3, 1)
    assert_allclose(found.decoded[0, [0, 2]], back, atol=1e-6)
    assert latent.grid(model, 3, samples=list(x)).codes.shape == (3, 3, 32)
    kept(found, tmp_path)


def test_constant_samples_are_drawn_at_one_place(tmp_path: Path) -> None:
    _, model, held_out = zeros()
    same_ones = np.tile(held_out[0], (4, 1))
    found = latent.embed(model, same_ones, dimensions=3, scores=np.zeros(4))
    assert_allclose(found.coordinates, 0, atol=1e-9)
    assert_allclose(found.explained.sum(), 0, atol=1)
    kept(found, tmp_path)
    with pytest.raises(InputError, match="at least two samples"):
        latent.embed(model, held_out[:1])


def test_one_spec_for_several_outputs_is_refused_in_words() -> None:
    model = xk.wrap(torch_vae("tuple"), inputs=xk.Array((12,)), outputs=xk.Reconstruction())
    with pytest.raises(ModelError, match="several outputs"):
        latent.grid(model)


def test_what_does_not_give_its_input_again_is_refused() -> None:
    model = xk.wrap(lambda x: x[:, :3], inputs=xk.Array((12,)), name="shorter")
    with pytest.raises(NotSupported, match="does not give its input again"):
        latent.restore(model, X[:2])


@pytest.mark.parametrize("name", ["dense_vae", "conv_vae"])
def test_both_frameworks_decode_alike(name: str) -> None:
    found = []
    for framework in ("torch", "keras"):
        pytest.importorskip(framework)
        model = xk.zoo.load(name, framework=framework)
        x = np.random.default_rng(0).integers(0, 255, (6, 28, 28)).astype(np.uint8)
        grid, told = latent.grid(model, 3), latent.health(model, x)
        embedded = latent.embed(model, x, dimensions=2)
        found.append(
            (grid.decoded, told.divergences, embedded.coordinates, latent.inpaint(model, x[:1], patch=14).errors)
        )
    for a, b in zip(*found, strict=True):
        assert_allclose(a, b, rtol=1e-4, atol=1e-5)
