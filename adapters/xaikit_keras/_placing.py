"""Networks built and run on a device."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from xaikit.errors import UsageError


@contextmanager
def placing(device: str | None) -> Iterator[Callable[[Any], Any]]:
    """Let networks be built and run on a device ("cpu", "cuda", "cuda:1") while the block lasts.

    None leaves the choice to TensorFlow. What is given is, as PyTorch's, a function from a network to the network on
    the device, which has nothing left to do here. Raises UsageError for a device that is not there.
    """
    if device is None:
        yield lambda net: net
        return
    kind, _, number = device.partition(":")
    kind = "GPU" if kind in ("cuda", "gpu") else kind.upper()
    there = [d.name.removeprefix("/device:") for d in tf.config.list_logical_devices()]
    if f"{kind}:{number or 0}" not in there:
        known = ", ".join(name.lower().replace("gpu", "cuda") for name in there)
        raise UsageError(f"TensorFlow has no device {device!r} here; known: {known}")
    with tf.device(f"/{kind}:{number or 0}"):
        yield lambda net: net
