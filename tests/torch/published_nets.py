"""The networks of the table in "Computing Receptive Fields of Convolutional Neural Networks", with few channels.

Layers without a window of their own (norms, activations) are left out.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

Size = int | tuple[int, int]


def conv(size: Size, stride: int = 1, padding: Any = None) -> nn.Conv2d:
    """Build a convolution that keeps the middle of its window in the middle of the image."""
    both = (size, size) if isinstance(size, int) else size
    return nn.Conv2d(1, 1, both, stride, tuple(k // 2 for k in both) if padding is None else padding)


def valid(size: int, stride: int = 1) -> nn.Conv2d:
    return conv(size, stride, 0)


def chain(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(*layers)


class Beside(nn.Module):
    """Branches side by side, joined as channels and mixed to one."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.mix = nn.Conv2d(len(branches), 1, 1)

    def forward(self, x: Any) -> Any:
        return self.mix(torch.cat([branch(x) for branch in self.branches], 1))


class Added(nn.Module):
    """A branch added to what it starts from."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.branch, self.shortcut = branch, shortcut

    def forward(self, x: Any) -> Any:
        return self.branch(x) + (x if self.shortcut is None else self.shortcut(x))


def pool(padding: int = 0) -> nn.MaxPool2d:
    return nn.MaxPool2d(3, 2, padding)


def around() -> nn.Sequential:
    return chain(nn.AvgPool2d(3, 1, 1), conv(1))


def vgg16() -> nn.Sequential:
    def block(count: int) -> list[nn.Module]:
        return [*(conv(3) for _ in range(count)), nn.MaxPool2d(2)]

    return chain(*(layer for count in (2, 2, 3, 3, 3) for layer in block(count)))


def alexnet_v2() -> nn.Sequential:
    return chain(valid(11, 4), pool(), conv(5), pool(), conv(3), conv(3), conv(3), pool())


def mobilenet_v1() -> nn.Sequential:
    strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
    return chain(conv(3, 2), *(chain(conv(3, s), conv(1)) for s in strides))


def resnet(counts: Sequence[int], basic: bool = False, early: bool = True) -> nn.Sequential:
    """Build a ResNet; each stage halves the image in its first block (`early`, torchvision) or in its last one."""
    blocks: list[nn.Module] = []
    for stage, count in enumerate(counts):
        for i in range(count):
            halves = (stage > 0 and i == 0) if early else (stage < 3 and i == count - 1)
            s = 2 if halves else 1
            branch = chain(conv(3, s), conv(3)) if basic else chain(conv(1), conv(3, s), conv(1))
            blocks.append(Added(branch, conv(1, s) if s > 1 else None))
    ends = [sum(counts[: i + 1]) for i in range(4)]
    stages = [chain(*blocks[a:b]) for a, b in zip([0, *ends], ends, strict=False)]
    return chain(conv(7, 2), pool(1), *stages)


def _stem() -> list[nn.Module]:
    return [valid(3, 2), valid(3), conv(3)]


def _sevens(count: int) -> list[nn.Module]:
    return [conv((1, 7) if i % 2 == 0 else (7, 1)) for i in range(count)]


def inception_v2() -> nn.Sequential:
    def mixed() -> nn.Module:
        return Beside(conv(1), chain(conv(1), conv(3)), chain(conv(1), conv(3), conv(3)), around())

    def halved() -> nn.Module:
        return Beside(chain(conv(1), conv(3, 2)), chain(conv(1), conv(3), conv(3, 2)), pool(1))

    start = [conv(7, 2), pool(1), conv(1), conv(3), pool(1)]
    return chain(*start, mixed(), mixed(), halved(), *(mixed() for _ in range(4)), halved(), mixed(), mixed())


def inception_v3() -> nn.Sequential:
    def a() -> nn.Module:
        return Beside(conv(1), chain(conv(1), conv(5)), chain(conv(1), conv(3), conv(3)), around())

    def b() -> nn.Module:
        return Beside(conv(1), chain(conv(1), *_sevens(2)), chain(conv(1), *_sevens(4)), around())

    def c() -> nn.Module:
        split = Beside(conv((1, 3)), conv((3, 1)))
        return Beside(conv(1), chain(conv(1), split), chain(conv(1), conv(3), split), around())

    to_b = Beside(valid(3, 2), chain(conv(1), conv(3), valid(3, 2)), pool())
    to_c = Beside(chain(conv(1), valid(3, 2)), chain(conv(1), *_sevens(2), valid(3, 2)), pool())
    start = [*_stem(), pool(), conv(1), valid(3), pool()]
    return chain(*start, *(a() for _ in range(3)), to_b, *(b() for _ in range(4)), to_c, c(), c())


def inception_v4() -> nn.Sequential:
    def a() -> nn.Module:
        return Beside(conv(1), chain(conv(1), conv(3)), chain(conv(1), conv(3), conv(3)), around())

    def b() -> nn.Module:
        return Beside(conv(1), chain(conv(1), *_sevens(2)), chain(conv(1), *_sevens(4)), around())

    def c() -> nn.Module:
        def split() -> nn.Module:
            return Beside(conv((1, 3)), conv((3, 1)))

        return Beside(conv(1), chain(conv(1), split()), chain(conv(1), conv((3, 1)), conv((1, 3)), split()), around())

    stem = [
        *_stem(),
        Beside(pool(), valid(3, 2)),
        Beside(chain(conv(1), valid(3)), chain(conv(1), *_sevens(2), valid(3))),
        Beside(valid(3, 2), pool()),
    ]
    to_b = Beside(valid(3, 2), chain(conv(1), conv(3), valid(3, 2)), pool())
    to_c = Beside(chain(conv(1), valid(3, 2)), chain(conv(1), *_sevens(2), valid(3, 2)), pool())
    return chain(*stem, *(a() for _ in range(4)), to_b, *(b() for _ in range(7)), to_c, *(c() for _ in range(3)))


def inception_resnet_v2() -> nn.Sequential:
    def block35() -> nn.Module:
        branches = Beside(conv(1), chain(conv(1), conv(3)), chain(conv(1), conv(3), conv(3)))
        return Added(branches)

    def block17() -> nn.Module:
        return Added(Beside(conv(1), chain(conv(1), *_sevens(2))))

    def block8() -> nn.Module:
        return Added(Beside(conv(1), chain(conv(1), conv((1, 3)), conv((3, 1)))))

    start = [*_stem(), pool(), conv(1), valid(3), pool()]
    mixed = Beside(conv(1), chain(conv(1), conv(5)), chain(conv(1), conv(3), conv(3)), around())
    to_17 = Beside(valid(3, 2), chain(conv(1), conv(3), valid(3, 2)), pool())
    to_8 = Beside(chain(conv(1), valid(3, 2)), chain(conv(1), conv(3), valid(3, 2)), pool())
    return chain(
        *start, mixed, *(block35() for _ in range(10)), to_17, *(block17() for _ in range(20)), to_8,
        *(block8() for _ in range(10)),
    )  # fmt: skip
