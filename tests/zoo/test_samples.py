"""Samples and answers are the test part's and the network's own."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from xaikit import data, zoo
from xaikit.errors import DataError
from xaikit.zoo.samples import answered


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_answers_are_those_of_the_network(framework):
    found = answered("xo_cnn", count=5, framework=framework, seed=3)
    test = data.load("xo").read("test")
    index = list(found.index)
    assert (found.of, found.framework, len(set(index))) == (len(test.x), framework, 5)
    assert_array_equal(np.stack(found.x), test.x[index])
    assert_array_equal(found.truth, test.y[index])
    model = zoo.load("xo_cnn", framework)
    assert_allclose(found.output, model.run(test.x[index]).output, rtol=1e-6)
    assert answered("xo_cnn", count=5, framework=framework, seed=4).index != found.index


def test_never_more_samples_than_there_are():
    assert answered("xo_cnn", count=5000).index == tuple(range(1000))


def test_an_untrained_network_is_not_asked():
    with pytest.raises(DataError, match="resnet50 is not trained"):
        answered("resnet50")
