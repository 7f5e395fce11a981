"""Train the network on the digits that come with scikit-learn: about ten seconds on one core.

Writes the weights into the package and one test picture beside this file.
"""

from pathlib import Path

import numpy as np
import torch
from digits_torch.network import build
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.nn.functional import cross_entropy

HERE = Path(__file__).parent
EPOCHS, BATCH = 30, 64


def main() -> None:
    digits = load_digits()  # 1,797 pictures of 8 × 8 pixels, 0 to 16
    pixels = (digits.images * 255 / 16).round().astype(np.uint8)
    train, test, of_train, of_test = train_test_split(
        pixels, digits.target, test_size=0.25, random_state=0, stratify=digits.target
    )
    torch.manual_seed(0)
    net = build()
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    x, y = tensor(train), torch.tensor(of_train)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            cross_entropy(net(x[batch]), y[batch]).backward()
            optimizer.step()
    with torch.inference_mode():
        right = (net(tensor(test)).argmax(1).numpy() == of_test).mean()
    print(f"{right:.1%} of {len(test)} test digits are read right")
    save_file(net.state_dict(), HERE / "digits_torch" / "weights.safetensors")
    seven = test[np.flatnonzero(of_test == 7)[0]]
    Image.fromarray(seven).save(HERE / "seven.png")


def tensor(pictures: np.ndarray) -> torch.Tensor:
    """Give pictures (sample, 8, 8) of 0..255 as the network takes them: (sample, 1, 8, 8), 0..1."""
    return torch.tensor(pictures[:, None] / 255, dtype=torch.float32)


if __name__ == "__main__":
    main()
