"""One pass over a data set: its numbers are those of all values at once, whatever the chunks."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.contract.nets import image_pair
from xaikit.errors import ParameterError
from xaikit.insight import _survey
from xaikit.insight._samples import Samples
from xaikit.insight._survey import BINS, survey
from xaikit.progress import silent


def pictures(count: int) -> Any:
    x = np.random.default_rng(8).integers(0, 256, (count, 12, 12, 3))
    return (x * np.linspace(0.1, 1, count)[:, None, None, None]).astype(np.uint8)  # later samples reach further


@pytest.mark.parametrize("size", [3, 7, 100])
def test_statistics_and_histograms_do_not_depend_on_the_chunks(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = image_pair("keras")
    x = pictures(20)
    monkeypatch.setattr(_survey, "CHUNK", size)
    found = survey(model, Samples(model, x), "c2", None, 4, 1, silent)
    values = xk.activations(model, x, "c2")["c2"].reshape(-1, 8)
    expected = {
        "mean": values.mean(0),
        "std": values.std(0),
        "min": values.min(0),
        "max": values.max(0),
        "sparsity": (values == 0).mean(0),
        "positive": (values > 0).mean(0),
        "dead": (values <= 0).all(0),
    }
    for name, numbers in expected.items():
        assert_allclose(found.statistics[name], numbers, rtol=1e-5, atol=1e-7, err_msg=name)
    for channel in range(8):
        counts, edges = found.histogram(channel)
        there = values[:, channel][values[:, channel] != 0]
        assert_array_equal(counts, np.histogram(there, edges)[0])
        assert counts.sum() == len(there)
        assert len(counts) <= BINS
        assert len(counts) > BINS // 4
        width = edges[1] - edges[0]
        assert np.log2(width) == np.round(np.log2(width))
    assert found.of(3)["max"] == values[:, 3].max()


def test_chunks_follow_the_size_of_the_layer() -> None:
    model, _ = image_pair("torch")
    assert _survey.chunk_of(model, "c1") == _survey.CHUNK
    assert _survey.CHUNK_BYTES // (4 * 224 * 224 * 64) == 1  # the first layer of VGG16 goes picture by picture


def test_channels_that_give_zero_alone_have_no_histogram() -> None:
    import torch

    net = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.ReLU())
    net[0].bias.data[1] = -1e3
    model = xk.wrap(net, inputs=xk.Image(12, 12, 3))
    found = survey(model, Samples(model, pictures(3)), "1", [1], 2, 1, silent)
    counts, edges = found.histogram(1)
    assert (len(counts), len(edges)) == (0, 1)
    with pytest.raises(ParameterError, match="channel 0 of '1' was not looked at: 1 were"):
        found.row(0)


def test_equal_values_and_those_far_from_zero_have_one_bin_or_few() -> None:
    bins = _survey._Histogram(2)
    bins.add(np.array([[1000.0, 5.0], [1000.001, 5.0]], "f"))
    bins.add(np.array([[1000.002, 5.0], [0.0, 0.0]], "f"))
    assert bins.counts.sum(1).tolist() == [3, 3]
    assert (bins.counts[1] > 0).sum() == 1
    assert bins.result()["width"][1] == 2.0 ** (3 - _survey.SHARPEST)


def test_a_stream_holds_only_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = image_pair("torch")
    monkeypatch.setattr(_survey, "CHUNK", 5)
    read = Samples(model, (x for x in pictures(20)))
    most: list[int] = []
    found = survey(model, read, "c1", [0], 3, 1, lambda done, total: most.append(len(read._held)))
    assert max(most) <= 3
    assert sorted(read._held) == sorted(found.samples[0].tolist())
    assert_array_equal(read.again(found.samples[0].tolist()).display, pictures(20)[found.samples[0]])


def test_some_channels_of_a_survey() -> None:
    model, _ = image_pair("torch")
    found = survey(model, Samples(model, pictures(4)), "c2", None, 2, 1, silent)
    some = found.some([5, 1])
    assert (list(some.channels), len(some)) == ([5, 1], 2)
    assert_array_equal(some.values, found.values[[5, 1]])
    assert some.of(1) == found.of(1)
