"""What networks for the thousand classes of ImageNet take and give, each with the scaling of its own weights."""

from xaikit.inputs import Classes, Image

CLASSES = Classes(tuple(range(1000)), form="softmax")
TASK = "which of the thousand classes of ImageNet a photo shows"
LIMITS = (
    "Described and built, not trained here: it answers at random until weights are put in.",
    "Classes are numbered in the order of ImageNet's class folders, without their names.",
)


def mean_subtracted(side: int) -> Image:
    """Photos as Caffe's networks take them: blue, green, red in 0..255 less their means over ImageNet."""
    return Image(side, side, 3, scale=1.0, mean=(103.939, 116.779, 123.68), order="bgr", fit="crop")


def signed(side: int) -> Image:
    """Photos in −1..1: v / 127.5 − 1."""
    return Image(side, side, 3, scale=1 / 127.5, mean=1.0, fit="crop")


def standardised(side: int) -> Image:
    """Photos less the mean and over the standard deviation of ImageNet's channels, as torchvision's networks take."""
    return Image(side, side, 3, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), fit="crop")
