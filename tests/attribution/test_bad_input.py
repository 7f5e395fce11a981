"""Bad input and bad networks: a defined result whose status says so, or a clear error; never a silent map of zeros."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import xaikit as xk
from xaikit.attribution import methods
from xaikit.errors import ParameterError, XaikitError
from xaikit.perturb.memory import MEMORY

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch")
nn = torch.nn

IMAGE = xk.Image(8, 8, 3)
X = np.random.default_rng(0).integers(0, 256, IMAGE.shape).astype(np.uint8)
FEW = {
    "lime": {"samples": 60, "segments": "grid"},
    "kernel-shap": {"samples": 40, "segments": 6},
    "permutation-shap": {"samples": 40, "segments": 6},
    "partition-shap": {"samples": 40},
    "exact-shapley": {"segments": 4},
    "occlusion": {"window": 4},
    "smooth-grad": {"samples": 4},
    "gradient-shap": {"samples": 10},
    "rise": {"samples": 30},
}


@pytest.fixture(autouse=True)
def _empty_memory():
    """The networks have the same weights and differ in their code, which no fingerprint sees."""
    MEMORY.clear()


class Net(nn.Module):
    def __init__(self, head):
        super().__init__()
        self.conv, self.dense, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2), head

    def forward(self, x):
        h = torch.relu(self.conv(x)).mean((2, 3))
        return self.head(self.dense(h), h)


class Dead(Net):
    """No rectified unit is ever open."""

    def __init__(self):
        super().__init__(lambda y, h: y)
        nn.init.constant_(self.conv.bias, -100.0)


BROKEN = {
    "constant": lambda: Net(lambda y, h: 0 * y + torch.tensor([0.2, 0.8])),
    "dead": Dead,
    "saturated": lambda: Net(lambda y, h: torch.softmax(1e5 * y, -1)),
    "NaN gradient": lambda: Net(lambda y, h: y + torch.sqrt(0 * h[:, :1])),
    "NaN": lambda: Net(lambda y, h: y * torch.nan),
}


def broken(name):
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        net = BROKEN[name]()
    return xk.wrap(net, inputs=IMAGE, outputs=xk.Classes(["a", "b"]) if name == "saturated" else xk.Values(["a", "b"]))


def asked(model, x, method, **how):
    few = FEW.get(method, {}) if model.inputs is IMAGE else {}
    return xk.explain(model, x, method, progress=False, **{**few, **how})


def answered(*given, **how):
    """Give the result, or None where the method refuses, in one line."""
    try:
        return asked(*given, **how)
    except XaikitError as error:
        said = str(error)
    assert len(said.splitlines()) == 1
    return None


def zero(e):
    return not np.any(np.nan_to_num(e.values, nan=1.0))


@pytest.mark.parametrize("method", list(methods))
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_network_gives_a_status_or_an_error(name, method):
    e = answered(broken(name), X, method, target="a")
    if e is None:
        return
    if zero(e):
        assert e.status != "ok"
        assert any("does not react" in r or "zero everywhere" in r for r in e.status.reasons)
    if not np.isfinite(e.values).all():
        assert e.status == "fail"
    if name == "constant":
        assert zero(e)
    if name == "NaN" or (name == "NaN gradient" and "pull" in methods[method].needs):
        assert e.status == "fail"


def healthy():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return xk.wrap(Net(lambda y, h: y), inputs=IMAGE, outputs=xk.Values(["a", "b"]))


@pytest.mark.parametrize("method", ["lime", "kernel-shap", "permutation-shap", "exact-shapley"])
def test_parts_that_are_all_alike(method):
    """An even picture is its own mean: hiding changes nothing."""
    e = asked(
        healthy(), np.full(IMAGE.shape, 90, np.uint8), method, target="a", segments=np.arange(64).reshape(8, 8) // 16
    )
    assert zero(e)
    assert e.status == "warn"


@pytest.mark.parametrize("method", ["lime", "kernel-shap", "permutation-shap", "exact-shapley"])
def test_a_single_part(method):
    e = asked(healthy(), X, method, target="a", segments=np.zeros((8, 8), int), baseline=0)
    assert e.part_values.shape == (1, 1)
    assert np.isfinite(e.values).all()
    assert e.values.any()


@pytest.mark.parametrize("method", [m for m in methods if m not in ("attention-rollout", "rise") and "cam" not in m])
def test_a_column_without_variance_counts_for_nothing(method):
    rows = [{"age": a, "one": 7.0} for a in (20.0, 30.0, 45.0, 60.0, 35.0, 50.0)]
    spec = xk.Table({"age": xk.Number(40, 10), "one": xk.Number()}, background=rows)
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    model = xk.wrap(net, inputs=spec, outputs=xk.Values(["y"]))
    e = answered(model, {"age": 55.0, "one": 7.0}, method)
    if e is None:
        return
    assert np.isfinite(e.values).all()
    assert e.values[0, 0] != 0
    if method in ("kernel-shap", "permutation-shap", "exact-shapley", "integrated-gradients", "occlusion"):
        assert e.values[0, 1] == 0


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("lime", {"kernel_width": np.zeros((8, 8))}),
        ("lime", {"alpha": np.inf}),
        ("occlusion", {"window": np.zeros((8, 8))}),
        ("partition-shap", {"hierarchy": np.full((8, 4), np.nan)}),
    ],
)
def test_parameters_that_are_none_are_refused_in_one_line(method, parameters):
    with pytest.raises(ParameterError) as raised:
        asked(healthy(), X, method, target="a", **parameters)
    assert len(str(raised.value).splitlines()) == 1


SENTENCES = xk.Text(4, vocabulary=("", "?", "good", "bad"))


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(4, 3), nn.Linear(3, 1)

    def forward(self, ids):
        return self.head(self.embed(ids).sum(1))


@pytest.mark.parametrize("method", list(methods))
@pytest.mark.parametrize(
    ("text", "noted"), [("so it is", "unknown_tokens"), ("good bad good bad good good", "truncated"), ("", None)]
)
def test_odd_texts_are_noted_or_refused(text, noted, method):
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = xk.wrap(Words(), inputs=SENTENCES, outputs=xk.Values(["y"]))
    if noted is None:
        with pytest.raises(XaikitError):
            xk.explain(model, text, method, progress=False)
        return
    e = answered(model, text, method)
    if e is None:
        return
    assert noted in e.origin.notes
    if noted == "unknown_tokens":
        assert e.status != "ok"
        assert "vocabulary" in " ".join(e.status.reasons)
    assert e.values.shape == (1, 4)
    assert np.isfinite(e.values).all()
    assert e.display == [text]


@pytest.mark.parametrize("method", ["saliency", "integrated-gradients", "lime", "kernel-shap", "occlusion"])
def test_the_same_of_keras(method):
    keras = pytest.importorskip("keras")
    layers = keras.layers
    constant = keras.Sequential(
        [layers.Input(IMAGE.shape), layers.Flatten(), layers.Dense(2, kernel_initializer="zeros")]
    )
    model = xk.wrap(constant, inputs=IMAGE, outputs=xk.Values(["a", "b"]))
    e = asked(model, X, method, target="a")
    assert_array_equal(e.values, 0)
    assert e.status == "warn"
    root = keras.Sequential(
        [
            layers.Input(IMAGE.shape),
            layers.Flatten(),
            layers.Dense(2),
            layers.Lambda(lambda y: y + keras.ops.sqrt(0 * y)),
        ]
    )
    e = asked(xk.wrap(root, inputs=IMAGE, outputs=xk.Values(["a", "b"])), X, method, target="a")
    assert (e.status == "fail") == ("pull" in methods[method].needs)
