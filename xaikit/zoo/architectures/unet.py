"""U-Net: down to see what it is, up again to say where."""

from xaikit.inputs import Image, Masks
from xaikit.zoo.building import Ops, Symbol
from xaikit.zoo.networks import network
from xaikit.zoo.recipes import Recipe

WIDTH = 16


@network(
    title="Segmentation, U-Net of base width 16",
    task="which pixels of a picture belong to a shape",
    inputs=Image(128, 128, 3),
    outputs=Masks(("background", "shape")),
    data="shapes",
    recipe=Recipe(
        loss="crossentropy",
        optimizer="adam",
        learning_rate=2e-3,
        batch=8,
        epochs=8,
        schedule="cosine",
        warmup_epochs=0.5,
    ),
    limits=(
        "Trained on shapes drawn by code: circles, rectangles and triangles on a background, no photos.",
        "Thin lines are background, by the rule of its drawings; on a photo every pixel gets an answer too.",
    ),
)
def unet(net: Ops) -> Symbol:
    """Pictures of 128×128×3 → two probabilities per pixel; 1,945,538 parameters (Ronneberger et al. 2015).

    Convolutions are padded, so that the masks have the size of the picture, and batch norm follows each of them.
    """
    x = net.input(128, 128, 3)
    skipped = []
    for level in range(4):
        x = _twice(net, x, WIDTH * 2**level)
        skipped.append(x)
        x = net.max_pool(x, 2)
    x = _twice(net, x, WIDTH * 16)
    for level in reversed(range(4)):
        x = net.conv_transpose(x, WIDTH * 2**level, 2, stride=2)
        x = _twice(net, net.concat(skipped[level], x), WIDTH * 2**level)
    return net.conv(x, 2, 1, activation="softmax")


def _twice(net: Ops, x: Symbol, filters: int) -> Symbol:
    for _ in range(2):
        x = net.conv(x, filters, 3, padding="same", bias=False)
        x = net.activation(net.batch_norm(x, epsilon=1e-5, momentum=0.9), "relu")
    return x
