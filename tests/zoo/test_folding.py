"""Folding keeps every node and every weight, counts equal blocks, and never counts what differs."""

import pytest

from xaikit.zoo.building import Ops, describe
from xaikit.zoo.folding import fold, units
from xaikit.zoo.networks import networks


def small(function):
    return describe("small", function)


def folded(name):
    return [(len(block.units), block.times) for block in fold(networks[name].architecture)]


@pytest.mark.parametrize("name", networks)
def test_what_is_folded_adds_up_to_the_whole(name):
    architecture = networks[name].architecture
    blocks = fold(architecture)
    names = [n.name for b in blocks for copy in b.copies for u in copy for n in u.nodes]
    assert sorted(names) == sorted(n.name for n in architecture.nodes)
    assert sum(b.parameters for b in blocks) == architecture.total
    assert sum(b.trainable for b in blocks) == architecture.trainable
    for block in blocks:
        assert {sum(u.parameters for u in copy) for copy in block.copies} == {block.parameters // block.times}


def test_the_stages_of_resnet50():
    # He et al. 2016, table 1: 3, 4, 6 and 3 blocks, of which the first has a projected shortcut.
    residual = [pair for pair in folded("resnet50") if pair[0] > 1]
    assert residual == [(5, 1), (4, 2), (5, 1), (4, 3), (5, 1), (4, 5), (5, 1), (4, 2)]


def test_the_middle_flow_of_xception_comes_eight_times():
    assert max(times for _, times in folded("xception")) == 8


def test_the_equal_convolutions_of_vgg19():
    assert [pair for pair in folded("vgg19") if pair[1] > 1] == [(1, 3), (1, 3), (1, 4)]


def test_a_unit_holds_what_nothing_else_reads():
    def net(ops: Ops):
        x = ops.input(8, 8, 3)
        x = ops.zero_pad(x, (1, 1), (1, 1))
        x = ops.batch_norm(ops.conv(x, 4, 3, name="c"))
        x = ops.activation(x, "relu")
        return ops.dense(ops.flatten(x), 2, activation="softmax", name="d")

    start, conv, flat, dense = units(small(net))
    assert [u.name for u in (start, conv, flat, dense)] == ["input1", "c", "flatten1", "d"]
    assert (conv.title, conv.extras) == ("conv 3×3, 4", ("pad", "batch norm", "ReLU"))
    assert conv.parents == ("input1",)
    assert (dense.title, dense.extras, dense.shape) == ("dense 2", ("softmax",), (2,))


def test_what_two_nodes_read_is_not_joined():
    def net(ops: Ops):
        x = ops.conv(ops.input(8, 8, 3), 3, 3, padding="same", name="c")
        return ops.add(ops.activation(x, "relu", name="r"), x)

    assert [u.name for u in units(small(net))] == ["input1", "c", "r", "add1"]


def test_an_output_keeps_its_own_unit():
    def net(ops: Ops):
        mean = ops.dense(ops.input(4), 2, name="mean")
        return {"mean": mean, "rate": ops.activation(mean, "softplus", name="rate")}

    assert [u.name for u in units(small(net))] == ["input1", "mean", "rate"]


def test_a_pattern_of_two_pieces_and_not_one_of_other_sizes():
    def net(ops: Ops):
        x = ops.input(16)
        for _ in range(3):
            x = ops.dense(ops.dense(x, 4), 16)
        return ops.dense(x, 5)

    assert [(len(b.units), b.times) for b in fold(small(net))] == [(1, 1), (2, 3), (1, 1)]


def test_blocks_that_differ_in_one_parameter_are_not_one():
    def net(ops: Ops):
        x = ops.input(8, 8, 4)
        x = ops.conv(x, 4, 3, padding="same")
        return ops.conv(x, 4, 3, padding="same", dilation=2)

    assert [b.times for b in fold(small(net))] == [1, 1, 1]


def test_blocks_that_differ_in_wiring_are_not_one():
    def wired(*shortcuts):
        def net(ops: Ops):
            x = ops.input(4)
            for shortcut in shortcuts:
                inner = [x]
                for _ in range(3):
                    inner.append(ops.dense(inner[-1], 4))
                x = ops.add(inner[3], inner[shortcut], x)
            return x

        return [(len(b.units), b.times) for b in fold(small(net))]

    assert wired(1, 1) == [(1, 1), (4, 2)]
    assert wired(1, 2) == [(1, 1), (4, 1), (4, 1)]


def test_two_inputs_and_two_outputs():
    def net(ops: Ops):
        x = ops.add(ops.dense(ops.input(4), 3), ops.dense(ops.input(5), 3))
        return {"a": ops.dense(x, 1, name="a"), "b": ops.dense(x, 2, name="b")}

    blocks = fold(small(net))
    assert sum(b.parameters for b in blocks) == small(net).total
    assert [u.name for u in blocks[-1].units] == ["a", "b"]


def test_words():
    def net(ops: Ops):
        x = ops.lstm(ops.embedding(ops.input(20, integer=True), 10000, 32), 64)
        return ops.dense(x, 1, activation="sigmoid")

    assert [u.title for u in units(small(net))] == ["input", "embedding 10,000 → 32", "LSTM 64", "dense 1"]

    def strided(ops: Ops):
        x = ops.conv(ops.input(32, 32, 3), 1024, (1, 7), stride=2, padding="same")
        return ops.max_pool(x, 3, stride=(1, 2))

    assert [u.title for u in units(small(strided))][1:] == ["conv 1×7, 1,024 /2", "max pool 3×3 /1×2"]
