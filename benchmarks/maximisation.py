"""What feature maximisation costs over the bare passes, and how good its pictures are.

    XAIKIT_DATA=... OMP_NUM_THREADS=1 python benchmarks/maximisation.py [--resnet]

A step is one transformation, one pull and one step of the optimiser; beside it stands the bare forward and backward
pass of the same network on as many pictures, in turns and in processor time on one thread.
"""

import argparse
from typing import Any

import numpy as np
from timing import CLOCKS, keep_to, turns

STEPS = 64


def per_step(name: str, model: Any, like: Any, pictures: int, steps: int, limit: float, **asked: Any) -> None:
    import torch

    import xaikit as xk

    net = model.net.eval()
    x = torch.tensor(np.moveaxis(model.inputs.encode(like)[:1], -1, 1)).repeat(pictures, 1, 1, 1).contiguous()

    def bare() -> None:
        for _ in range(steps):
            leaf = x.clone().requires_grad_()
            torch.autograd.grad(net(leaf)[:, 0].sum(), leaf)

    def whole(count: int) -> None:
        xk.maximize(model, **asked, steps=count, like=like, plateau=None, progress=False)

    measured = turns(
        {"bare": bare, "one": lambda: whole(1), "all": lambda: whole(steps + 1)}, clock=CLOCKS["processor"], limit=limit
    )
    alone = (measured.median("all") - measured.median("one")) / measured.median("bare")
    print(
        f"{name}: {pictures} pictures, a step is {alone:.2f} times the bare forward and backward pass "
        f"({1e3 * measured.median('bare') / steps:.1f} ms); what comes before and after the steps takes "
        f"{measured.median('one'):.2f} s"
    )


def digits() -> None:
    import xaikit as xk
    from xaikit import data

    model = xk.zoo.load("mnist_cnn", framework="torch")
    like = data.load("mnist").read("test").x[:500]
    judges = [xk.zoo.load(n, framework="torch") for n in ("mlp_mnist", "mlp_mnist_dropout")]
    for seed in range(3):
        found = xk.maximize(model, like=like, judges=judges, seed=seed, progress=False)
        q = found.quality
        ratio, seen = q["activation_ratio"], zip(found.judges, q["transfer_top1"].mean(0), strict=True)
        print(
            f"ten digits, seed {seed}: own top-1 {q['top1'].mean():.2f}, activation ratio {ratio.min():.2f} to "
            f"{ratio.max():.2f}, recognised by {', '.join(f'{name} {top:.2f}' for name, top in seen)}, "
            f"{found.origin.seconds:.1f} s"
        )
    per_step("the ten classes of mnist_cnn", model, like[:2], 10, STEPS, 20)
    per_step("a layer of 64 channels of mnist_cnn", model, like[:2], 64, 16, 20, layer="conv3_relu")


def resnet() -> None:
    import torch

    import xaikit as xk

    torch.manual_seed(0)
    net = xk.zoo.build("resnet50", framework="torch")
    spec = xk.Image(224, 224, 3, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    model = xk.wrap(net.eval(), inputs=spec, name="resnet50")
    like = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3)).astype(np.uint8)
    per_step("one class of a ResNet-50 at 224", model, like, 1, 6, 60, target=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resnet", action="store_true", help="also a ResNet-50 at 224 pixels, untrained")
    asked = parser.parse_args()
    keep_to(1)
    digits()
    if asked.resnet:
        resnet()


if __name__ == "__main__":
    main()
