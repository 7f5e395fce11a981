"""Four convolutions for photos of cats and dogs."""

from xaikit.inputs import Classes, Image
from xaikit.zoo.building import Ops, Symbol
from xaikit.zoo.networks import network
from xaikit.zoo.recipes import Augmentation, Recipe


@network(
    title="Photos of cats and dogs, four convolutions",
    task="whether a photo shows a cat or a dog",
    inputs=Image(150, 150, 3),
    outputs=Classes(("cat", "dog"), form="sigmoid"),
    data="cats_vs_dogs",
    recipe=Recipe(
        loss="binary-crossentropy",
        optimizer="adam",
        learning_rate=5e-4,
        batch=20,
        epochs=100,
        steps_per_epoch=100,
        schedule="cosine",
        warmup_epochs=2,
        average=0.995,
        augmentation=Augmentation(rotation=40.0, shift=0.2, shear=0.2, zoom=0.2, horizontal_flip=True),
    ),
    limits=(
        "Trained on 1,800 photos only: about one answer in seven is wrong.",
        "A photo without a cat or a dog gets an answer too; one with both gets an arbitrary one.",
        "The photo is stretched to a square, so proportions are not what they were.",
    ),
)
def cats_vs_dogs(net: Ops) -> Symbol:
    """Photos of 150×150×3 → P(dog); 3,453,121 parameters (Chollet, "Deep Learning with Python", section 8.2)."""
    x = net.input(150, 150, 3)
    for filters in (32, 64, 128, 128):
        x = net.conv(x, filters, 3, activation="relu")
        x = net.max_pool(x, 2)
    x = net.flatten(x)
    x = net.dropout(x, 0.5)
    x = net.dense(x, 512, activation="relu")
    return net.dense(x, 1, activation="sigmoid")
