"""A network of small photos, taken on to cats and dogs."""

from xaikit.inputs import Classes, Image
from xaikit.zoo.architectures.resnet20_cifar10 import PIXELS, resnet20
from xaikit.zoo.building import Ops, Symbol
from xaikit.zoo.networks import network
from xaikit.zoo.recipes import Augmentation, FineTuning, Recipe

LAST_STAGE = tuple(f"{kind}{number}" for number in range(15, 22) for kind in ("conv", "batch_norm"))


@network(
    title="Photos of cats and dogs, transfer from CIFAR-10",
    task="whether a photo shows a cat or a dog",
    inputs=Image(96, 96, 3, **PIXELS),
    outputs=Classes(("cat", "dog"), form="sigmoid"),
    data="cats_vs_dogs_96",
    recipe=Recipe(
        loss="binary-crossentropy",
        optimizer="adam",
        learning_rate=3e-3,
        batch=32,
        epochs=14,
        schedule="cosine",
        augmentation=Augmentation(rotation=15.0, shift=0.1, zoom=0.15, horizontal_flip=True),
        fine_tuning=FineTuning(backbone="resnet20_cifar10", frozen_epochs=5, unfrozen=LAST_STAGE, learning_rate=3e-4),
    ),
    limits=(
        "The backbone saw cats and dogs of 32×32 pixels among its ten kinds; here a photo has 96×96.",
        "Trained on 1,800 photos only; a photo without a cat or a dog gets an answer too.",
        "The photo is stretched to a square, so proportions are not what they were.",
    ),
)
def cats_vs_dogs_transfer(net: Ops) -> Symbol:
    """Photos of 96×96×3 → P(dog); 273,457 parameters, all but 65 of them those of resnet20_cifar10.

    The head is trained alone first, then with the last stage (Yosinski et al. 2014).
    """
    x = resnet20(net, net.input(96, 96, 3))
    return net.dense(net.dropout(x, 0.3), 1, activation="sigmoid", name="head")
