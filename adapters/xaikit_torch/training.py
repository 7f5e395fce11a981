"""Training of a zoo network in PyTorch."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from xaikit.zoo.building import Architecture
from xaikit.zoo.recipes import Augmentation, Epoch, Progress, Recipe, Samples, Training, affine_maps

Array = npt.NDArray[Any]


def fit(
    net: nn.Module,
    architecture: Architecture,
    recipe: Recipe,
    data: Samples,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[Epoch, ...]:
    """Train net in place, leave it with the weights of the lowest validation loss, and give the curve.

    On a GPU when there is one. The global random state is the same after the call as before it.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    home = next(net.parameters()).device
    with _local_randomness(seed, device):
        try:
            return _Training(net.to(device), recipe, data, seed).run(progress)
        finally:
            net.to(home).eval()


class _Training(Training):
    def __init__(self, net: nn.Module, recipe: Recipe, data: Samples, seed: int) -> None:
        super().__init__(recipe, data, seed)
        self.net: Any = net
        self.device = next(net.parameters()).device
        self.average: Any = copy.deepcopy(net) if recipe.average else net
        self.best: dict[str, torch.Tensor] = {}
        self.optimizer = _optimizer(net, recipe)
        self.bfloat16 = _bfloat16_is_fast(self.device)

    def step(self, chosen: Array, rate: float) -> float:
        self.net.train()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        x = self._inputs(self.data.x[chosen])
        if self.recipe.augmentation:
            x = augment(x, self.recipe.augmentation, self.rng)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bfloat16):
            scores = self.net.scores(x)
        loss = _loss(scores.float(), self._targets(self.data.y[chosen]), self.recipe, self.recipe.label_smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self._update_average()
        return float(loss.detach())

    @torch.no_grad()
    def _update_average(self) -> None:
        if self.average is self.net:
            return
        for mean, now in zip(self.average.state_dict().values(), self.net.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(now, 1.0 - self.recipe.average)
            else:
                mean.copy_(now)

    @torch.no_grad()
    def judge(self, part: slice) -> tuple[float, int]:
        self.average.eval()
        scores = self.average.scores(self._inputs(self.data.x_validation[part]))
        y = self._targets(self.data.y_validation[part])
        return float(_loss(scores, y, self.recipe, 0.0)), _count_right(scores, y, self.recipe)

    def keep(self) -> None:
        self.best = {name: value.detach().clone() for name, value in self.average.state_dict().items()}

    def restore(self) -> None:
        self.net.load_state_dict(self.best)

    def _inputs(self, x: Array) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(x)).to(self.device)
        if tensor.is_floating_point() or self.data.scale != 1.0:
            tensor = tensor.float() * self.data.scale
        if self.net.layout == "channels-first":  # for images a view, in the memory format that is fastest
            tensor = tensor.movedim(-1, 1)
        return tensor

    def _targets(self, y: Array) -> torch.Tensor:
        kind = torch.long if self.recipe.loss == "crossentropy" else torch.float32
        return torch.from_numpy(np.ascontiguousarray(y)).to(self.device, kind)


def _bfloat16_is_fast(device: torch.device) -> bool:
    """Forward passes in bfloat16 (weights stay float32) take 0.4 of the time, if the processor knows the type."""
    capabilities: Any = getattr(torch.cpu, "get_capabilities", dict)  # not in the oldest versions
    return device.type == "cuda" or bool(capabilities().get("avx512_bf16"))


def augment(x: torch.Tensor, augmentation: Augmentation, rng: np.random.Generator) -> torch.Tensor:
    """Randomly moved copies of a batch of images (N, C, H, W); what falls outside repeats the border."""
    n, _, height, width = x.shape
    half = np.array([width / 2.0, height / 2.0])
    theta = affine_maps(augmentation, rng, n, height, width)
    theta[:, :, :2] *= half  # grid_sample measures in halves of the image
    theta /= half[:, None]
    grid = F.affine_grid(torch.from_numpy(theta).float().to(x.device), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _optimizer(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    weights = [p for p in net.parameters() if p.requires_grad]
    rate, decay = recipe.learning_rate, recipe.weight_decay
    if recipe.optimizer == "adam":
        return torch.optim.AdamW(weights, lr=rate, weight_decay=decay, eps=1e-7)
    if recipe.optimizer == "rmsprop":
        return torch.optim.RMSprop(weights, lr=rate, alpha=0.9, eps=1e-7, weight_decay=decay)
    return torch.optim.SGD(weights, lr=rate, momentum=0.9, weight_decay=decay)


def _loss(scores: torch.Tensor, y: torch.Tensor, recipe: Recipe, smoothing: float) -> torch.Tensor:
    if recipe.loss == "binary-crossentropy":
        target = y * (1.0 - smoothing) + smoothing / 2.0
        return F.binary_cross_entropy_with_logits(scores.flatten(), target)
    if recipe.loss == "crossentropy":
        return F.cross_entropy(scores, y, label_smoothing=smoothing)
    return F.mse_loss(scores, y)


def _count_right(scores: torch.Tensor, y: torch.Tensor, recipe: Recipe) -> int:
    if recipe.loss == "mse":
        return 0
    said = scores.argmax(-1) if recipe.loss == "crossentropy" else (scores.flatten() > 0).float()
    return int((said == y).sum())


@contextmanager
def _local_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Dropout draws from the global generator: seed it inside, give its state back."""
    devices = [torch.cuda.current_device()] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield
