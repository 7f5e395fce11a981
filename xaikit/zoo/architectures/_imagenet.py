"""What networks for the thousand classes of ImageNet take and give, and where their weights are published."""

from dataclasses import dataclass
from typing import Any

from xaikit.inputs import Classes, Image
from xaikit.zoo.recipes import Augmentation, Recipe

CLASSES = Classes(tuple(range(1000)), form="softmax")
IMAGENET: dict[str, Any] = {
    "task": "which of the thousand classes of ImageNet a photo shows",
    "outputs": CLASSES,
    "data": "imagenet",
    "recipe": Recipe(
        loss="crossentropy",
        optimizer="sgd",
        learning_rate=1e-2,
        weight_decay=5e-4,
        batch=256,
        epochs=90,
        schedule="plateau",
        validation=0.02,
        augmentation=Augmentation(shift=0.1, horizontal_flip=True),
    ),
}
"""What the networks of this folder have in common; the recipe is AlexNet's and VGG's, and wants a GPU for days."""
NUMBERED = (
    "Classes are numbered in the order of ImageNet's class folders; their names come from the file "
    "imagenet_class_index.json, where it lies in the folder of XAIKIT_DATA or of Keras."
)
LIMITS = ("Described and built, not trained here: that wants a GPU and a folder with ImageNet's photos.", NUMBERED)


@dataclass(frozen=True)
class Published:
    """A weights file of keras.applications: its name, its MD5 as Keras states it, and the folder it is offered in."""

    file: str
    md5: str
    folder: str

    @property
    def address(self) -> str:
        """Where the file can be had."""
        return f"https://storage.googleapis.com/tensorflow/keras-applications/{self.folder}/{self.file}"


def _published(stem: str, md5: str, folder: str = "") -> Published:
    return Published(f"{stem}_weights_tf_dim_ordering_tf_kernels.h5", md5, folder or stem)


KERAS = {
    "vgg16": _published("vgg16", "64373286793e3c8b2b4e3219cbf3544b"),
    "vgg19": _published("vgg19", "cbe5617147190e668d6c5d5026f83318"),
    "resnet50_keras": _published("resnet50", "2cb95161c43110f7111970584f804107", "resnet"),
    "inception_v3": _published("inception_v3", "9a0d58056eeedaa3f26cb7ebd46da564"),
    "xception": _published("xception", "0a58e3b7378bc2990ea3b43d5981f1f6"),
}
"""The files with the classifier, by network (keras.applications of Keras 3)."""

TORCHVISION = ("vgg16", "vgg19", "resnet18", "resnet50")
"""Networks that torchvision has exactly so; its Inception v3 counts the zeros when it pools, its GoogLeNet differs."""


def limits(name: str) -> tuple[str, ...]:
    """What the card of a network with published weights says: where they come from, and what comes with them."""
    published, own = KERAS.get(name), f"{name}.safetensors"
    said = ["Not trained here and no weights are shipped: zoo.load takes those that others trained, and no others."]
    if published:
        said.append(
            f"Weights of Keras: {published.file} (MD5 {published.md5}), from the folder of XAIKIT_DATA, from Keras' "
            f"own cache, or through Keras from {published.address}."
        )
    if name in TORCHVISION:
        said.append(
            f"Weights of torchvision: its state_dict, written as {own} into the folder of XAIKIT_DATA or named in "
            "zoo.load(weights=). They bring their own scaling: ImageNet's mean and standard deviation per channel."
        )
    return (*said, NUMBERED)


def mean_subtracted(side: int) -> Image:
    """Photos as Caffe's networks take them: blue, green, red in 0..255 less their means over ImageNet."""
    return Image(side, side, 3, scale=1.0, mean=(103.939, 116.779, 123.68), order="bgr", fit="crop")


def signed(side: int) -> Image:
    """Photos in −1..1: v / 127.5 − 1."""
    return Image(side, side, 3, scale=1 / 127.5, mean=1.0, fit="crop")


def standardised(side: int) -> Image:
    """Photos less the mean and over the standard deviation of ImageNet's channels, as torchvision's networks take."""
    return Image(side, side, 3, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), fit="crop")
