"""Networks put on a device."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from xaikit.errors import UsageError


@contextmanager
def placing(device: str | None) -> Iterator[Callable[[nn.Module], nn.Module]]:
    """Give what moves a network to a device ("cpu", "cuda", "cuda:1", "mps"); None leaves it where it is.

    Raises UsageError for a device that is not there.
    """
    if device is None:
        yield lambda net: net
        return
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            f"PyTorch has no device {device!r} here ({_first(error)}); known: {', '.join(_known())}"
        ) from None
    yield lambda net: net.to(device)


def _known() -> list[str]:
    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return ["cpu", *gpus, *(["mps"] if torch.backends.mps.is_available() else [])]


def _first(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
