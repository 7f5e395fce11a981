"""The model calls alone, as one writes them in the framework itself: what every overhead is measured over."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from timing import Work, turns

from xaikit.arrays import Array, chunks

Call = Callable[[Any], Any]


def best(call: Call, x: Any, sizes: Sequence[int]) -> tuple[Work, int]:
    """Give the function that calls all rows of `x` in the batch size that is fastest a row, and that size.

    The size is chosen by processor time, which other work on the machine changes least.
    """

    def calls(size: int, rows: Any) -> None:
        for s in chunks(len(rows), size):
            call(rows[s])

    sizes = [size for size in sizes if size <= len(x)] or [len(x)]
    probe = x[: max(sizes)]
    tried = turns({str(size): partial(calls, size, probe) for size in sizes}, least=5, limit=0, clock=time.process_time)
    took = {size: min(tried.seconds[str(size)]) for size in sizes}
    size = min(took, key=lambda size: took[size])
    return partial(calls, size, x), size


def pictures(x: Array) -> Any:
    """Give encoded pictures (sample, row, column, channel) as a torch user holds them: channels first, by a copy.

    Without one torch would see channels last where there is one channel, and convolve faster.
    """
    import torch

    return torch.from_numpy(np.array(np.moveaxis(x, -1, 1), order="C"))


def forward(net: Any) -> Call:
    """A forward pass in torch."""
    import torch

    def run(x: Any) -> Any:
        with torch.inference_mode():
            return net(x).numpy()

    return run


def gradient(net: Any, column: int, layer: str | None = None) -> Call:
    """A forward pass in torch and the gradient of a column of the output, by the input or by what a layer gives."""
    import torch

    modules = dict(net.named_modules())
    for weight in net.parameters():
        weight.requires_grad_(False)

    def pull(x: Any) -> Any:
        kept = [x.detach().clone().requires_grad_()] if layer is None else []
        hook = layer and modules[layer].register_forward_hook(lambda m, a, out: kept.append(out.requires_grad_()))
        output = net(kept[0] if layer is None else x)
        if hook:
            hook.remove()
        return torch.autograd.grad(output[:, column].sum(), kept)[0].numpy()

    return pull


def keras_forward(net: Any) -> Call:
    """A forward pass in TensorFlow, compiled once."""
    import tensorflow as tf

    @tf.function(reduce_retracing=True)
    def run(x: Any) -> Any:
        return net(x, training=False)

    return lambda x: run(tf.constant(x)).numpy()


def keras_gradient(net: Any, column: int, layer: str | None = None) -> Call:
    """A forward pass in TensorFlow and the gradient of a column of the output, compiled once."""
    import keras
    import tensorflow as tf

    parts = keras.Model(net.inputs, [net.get_layer(layer).output, *net.outputs]) if layer else None

    @tf.function(reduce_retracing=True)
    def pull(x: Any) -> Any:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            source, output = (x, net(x, training=False)) if parts is None else parts(x, training=False)
            score = output[:, column]
        return tape.gradient(score, source)

    return lambda x: pull(tf.constant(x)).numpy()
