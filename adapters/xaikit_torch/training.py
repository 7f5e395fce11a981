"""Training of a zoo network in PyTorch."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from xaikit.zoo.building import Architecture
from xaikit.zoo.recipes import Augmentation, Loss, Progress, Recipe, affine_maps
from xaikit.zoo.training import Batch, Checkpoint, Epoch, Judged, Samples, Training
from xaikit_torch.building import FIRST, layouts

Array = npt.NDArray[Any]


def fit(
    net: nn.Module,
    architecture: Architecture,
    recipe: Recipe,
    data: Samples,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
) -> tuple[Epoch, ...]:
    """Train net in place, leave it with the weights of the lowest validation loss, and give the curve.

    On a GPU when there is one. The global random state is the same after the call as before it.
    """
    device = torch.device(training_device())
    home = next(net.parameters()).device
    with _local_randomness(seed, device):
        try:
            return _Training(net.to(device), architecture, recipe, data, seed).run(progress, checkpoint)
        finally:
            for parameter, trained in zip(net.parameters(), _trained(net, architecture), strict=True):
                parameter.requires_grad_(trained)
            net.to(home).eval()


def training_device() -> str:
    """Where `fit` trains: "cuda", or "cpu" where there is no GPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


class _Training(Training):
    def __init__(self, net: nn.Module, architecture: Architecture, recipe: Recipe, data: Samples, seed: int) -> None:
        super().__init__(architecture, recipe, data, seed)
        self.net: Any = net
        self.device = next(net.parameters()).device
        self.average: Any = copy.deepcopy(net) if recipe.average else net
        self.best: dict[str, torch.Tensor] = {}
        self.frozen: frozenset[str] = frozenset()
        self.optimizer = _optimizer(net, recipe)
        # Eight bits of a number are enough to tell classes apart, not to give a number.
        self.bfloat16 = bool(self.classified) and _bfloat16_is_fast(self.device)

    def step(self, batch: Batch, rate: float, beta: float) -> float:
        self._train_mode()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        x = self._inputs(batch.x)
        if self.recipe.augmentation:
            x = augment(x, self.recipe.augmentation, self.rng)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bfloat16):
            values = self.net._values((x,))
        loss = self._loss(values, batch, beta, self.recipe.label_smoothing) + self._penalty()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self._update_average()
        return float(loss.detach())

    def _train_mode(self) -> None:
        self.net.train()
        for name in self.frozen:
            self.net.get_submodule(name).eval()

    def _loss(self, values: Mapping[str, torch.Tensor], batch: Batch, beta: float, smoothing: float) -> torch.Tensor:
        weight = None if batch.weight is None else torch.from_numpy(batch.weight).to(self.device)
        total = torch.zeros((), device=self.device)
        for output, loss in self.losses.items():
            y = self._targets(batch.targets[output], loss)
            one = _loss(self._last_axis(values, self.compared[output].name), y, loss, smoothing, weight)
            total = total + self.recipe.loss_weights.get(output, 1.0) * one
        for mean, log_variance in self.sampled:
            total = total + beta * _divergence(values[mean].float(), values[log_variance].float())
        return total

    def _penalty(self) -> torch.Tensor:
        kernels = {name: self.net.get_submodule(name).weight for name in self.recipe.l2}
        penalties = [self.recipe.l2[name] * kernel.square().sum() for name, kernel in kernels.items()]
        return torch.stack(penalties).sum() if penalties else torch.zeros((), device=self.device)

    def _last_axis(self, values: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
        """A value in float32 with its channels last, as the targets have them."""
        value = values[name].float()
        return value.movedim(1, -1) if value.ndim > 2 and layouts(self.architecture)[name] == FIRST else value

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
    def judge(self, batch: Batch, beta: float) -> Judged:
        self.average.eval()
        values = self.average._values((self._inputs(batch.x),))
        right = answers = 0
        for output in self.classified:
            y = self._targets(batch.targets[output], self.losses[output])
            right += _count_right(self._last_axis(values, self.compared[output].name), y, self.losses[output])
            answers += y.numel()
        return Judged(float(self._loss(values, batch, beta, 0.0)), right, answers)

    def keep(self) -> None:
        self.best = {name: value.detach().clone() for name, value in self.average.state_dict().items()}

    def restore(self) -> None:
        self.net.load_state_dict(self.best)

    def freeze(self, frozen: frozenset[str]) -> None:
        self.frozen = frozen
        for (name, parameter), trained in zip(
            self.net.named_parameters(), _trained(self.net, self.architecture), strict=True
        ):
            parameter.requires_grad_(trained and _node(name) not in frozen)
        self.optimizer = _optimizer(self.net, self.recipe)

    def state(self) -> dict[str, Array]:
        parts = {"net": self.net.state_dict(), "average": self.average.state_dict(), "best": self.best}
        taken = {f"{part}:{k}": v for part, values in parts.items() for k, v in values.items()}
        for number, moments in self.optimizer.state_dict()["state"].items():
            taken.update({f"optimizer:{number}:{k}": torch.as_tensor(v) for k, v in moments.items() if v is not None})
        taken["random"] = torch.get_rng_state()
        if self.device.type == "cuda":
            taken["random:cuda"] = torch.cuda.get_rng_state()
        return {name: value.detach().cpu().numpy() for name, value in taken.items()}

    def set_state(self, state: Mapping[str, Array]) -> None:
        tensors = {name: torch.from_numpy(np.array(value)) for name, value in state.items()}

        def part(start: str) -> dict[str, torch.Tensor]:
            return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}

        self.net.load_state_dict(part("net:"))
        self.average.load_state_dict(part("average:"))
        self.best = {name: value.to(self.device) for name, value in part("best:").items()}
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in part("optimizer:").items():
            number, _, kind = name.partition(":")
            moments.setdefault(int(number), {})[kind] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        torch.set_rng_state(tensors["random"])
        if "random:cuda" in tensors and self.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["random:cuda"])

    def _inputs(self, x: Array) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(x)).to(self.device)
        if self.net.layout == FIRST:  # for images a view, in the memory format that is fastest
            tensor = tensor.movedim(-1, 1)
        return tensor

    def _targets(self, y: Array, loss: Loss) -> torch.Tensor:
        kind = torch.long if loss == "crossentropy" else torch.float32
        return torch.from_numpy(np.ascontiguousarray(y)).to(self.device, kind)


def _trained(net: nn.Module, architecture: Architecture) -> list[bool]:
    """For every parameter whether it belongs to a node that training changes."""
    changed = {n.name for n in architecture.nodes if any(w.trainable for w in n.weights.values())}
    return [_node(name) in changed for name, _ in net.named_parameters()]


def _node(parameter: str) -> str:
    return parameter.partition(".")[0].removesuffix("_full")


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


def _loss(
    scores: torch.Tensor, y: torch.Tensor, loss: Loss, smoothing: float, weight: torch.Tensor | None
) -> torch.Tensor:
    if loss == "crossentropy":
        return F.cross_entropy(scores.flatten(0, -2), y.flatten(), label_smoothing=smoothing)
    y = y.reshape(scores.shape)
    if loss == "mse":
        each = F.mse_loss(scores, y, reduction="none")
    else:
        target = y * (1.0 - smoothing) + smoothing / 2.0
        each = F.binary_cross_entropy_with_logits(scores, target, reduction="none")
    if loss == "summed-binary-crossentropy":
        return each.sum() / len(each)
    return each.mean() if weight is None else (each * weight).sum() / weight.sum()


def _divergence(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """KL(N(m, σ²) ‖ N(0, 1)) = −½ Σ(1 + log σ² − m² − σ²), the mean over samples."""
    return -0.5 * (1.0 + log_variance - mean.square() - log_variance.exp()).sum() / len(mean)


def _count_right(scores: torch.Tensor, y: torch.Tensor, loss: Loss) -> int:
    said = scores.argmax(-1) if loss == "crossentropy" else (scores.reshape(y.shape) > 0).float()
    return int((said == y).sum())


@contextmanager
def _local_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Dropout draws from the global generator: seed it inside, give its state back."""
    devices = [torch.cuda.current_device()] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield
