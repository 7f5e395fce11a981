"""Linear algebra on one thread while explanations are solved."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import scipy.linalg  # noqa: F401  (so that its own library is there)
from threadpoolctl import threadpool_limits

import xaikit as xk
from tests.contract.nets import ADAPTERS, image_pair
from xaikit.blas import _libraries, one_thread


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    if not _libraries(with_scipy=True):
        pytest.skip("NumPy and SciPy bring no linear algebra of their own here")
    with threadpool_limits(2, user_api="blas"):
        yield


def threads() -> set[int]:
    return {library.get_num_threads() for library in _libraries(with_scipy=True)}


def test_the_threads_come_back_once_all_have_left() -> None:
    assert threads() == {2}
    with one_thread():
        assert threads() == {1}
        with one_thread():
            assert threads() == {1}
        assert threads() == {1}
    assert threads() == {2}


def test_they_come_back_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), one_thread():
        raise ZeroDivisionError
    assert threads() == {2}


def test_contexts_of_several_python_threads_may_overlap() -> None:
    inside, leave = threading.Event(), threading.Event()

    def stay() -> None:
        with one_thread():
            inside.set()
            leave.wait(10)

    other = threading.Thread(target=stay)
    with one_thread():
        other.start()
        assert inside.wait(10)
    assert threads() == {1}, "the other is still there"
    leave.set()
    other.join(10)
    assert threads() == {2}


@pytest.mark.parametrize("framework", ADAPTERS)
@pytest.mark.parametrize(("method", "kept"), [("lime", 1), ("kernel-shap", 1), ("occlusion", 1), ("saliency", 2)])
def test_methods_that_only_run_a_network_keep_to_one(
    method: str, kept: int, framework: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, x = image_pair(framework)
    seen: set[int] = set()
    run, pull = type(model).run, type(model).pull
    monkeypatch.setattr(type(model), "run", lambda self, *a, **k: (seen.update(threads()), run(self, *a, **k))[1])
    monkeypatch.setattr(type(model), "pull", lambda self, *a, **k: (seen.update(threads()), pull(self, *a, **k))[1])
    xk.explain(model, x[0], method, target="a", accelerate="none")
    assert seen == {kept}
    assert threads() == {2}


def test_a_function_of_numpy_keeps_its_threads() -> None:
    seen: set[int] = set()

    def scores(x: np.ndarray) -> np.ndarray:
        seen.update(threads())
        return np.asarray(x[:, :1] * x[:, 1:2])

    columns = dict.fromkeys("abcdef", xk.Number())
    model = xk.wrap(
        scores, inputs=xk.Table(columns, background=[dict.fromkeys(columns, 0.0)]), outputs=xk.Values(("y",))
    )
    xk.explain(model, dict.fromkeys(columns, 1.0), "kernel-shap")
    assert seen == {2}
