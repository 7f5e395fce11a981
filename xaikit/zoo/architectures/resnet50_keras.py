"""ResNet-50, as keras.applications has it."""

from xaikit.zoo.architectures._imagenet import IMAGENET, limits, mean_subtracted
from xaikit.zoo.building import Ops, Padding, Symbol
from xaikit.zoo.networks import network


@network(title="ImageNet, ResNet-50 of Keras", inputs=mean_subtracted(224), limits=limits("resnet50_keras"), **IMAGENET)
def resnet50_keras(net: Ops) -> Symbol:
    """Photos of 224×224×3 → 1000 probabilities; 25,636,712 parameters (He et al. 2016).

    Layers named as in keras.applications, so that its ImageNet weights fit: convolutions with biases, the stride on
    the first 1×1 convolution, and ε = 1.001e-5 in batch norms.
    """
    x = net.zero_pad(net.input(224, 224, 3), (3, 3), (3, 3), name="conv1_pad")
    x = net.activation(_conv(net, x, 64, 7, 2, "conv1"), "relu", name="conv1_relu")
    x = net.max_pool(net.zero_pad(x, (1, 1), (1, 1), name="pool1_pad"), 3, stride=2, name="pool1_pool")
    for stage, length in enumerate((3, 4, 6, 3), start=2):
        for i in range(1, length + 1):
            stride = 2 if stage > 2 and i == 1 else 1
            x = _bottleneck(net, x, 64 * 2 ** (stage - 2), stride, f"conv{stage}_block{i}")
    return net.dense(net.global_avg_pool(x, name="avg_pool"), 1000, activation="softmax", name="predictions")


def _conv(net: Ops, x: Symbol, filters: int, kernel: int, stride: int, name: str) -> Symbol:
    padding: Padding = "same" if kernel == 3 else "valid"
    x = net.conv(x, filters, kernel, stride=stride, padding=padding, name=f"{name}_conv")
    return net.batch_norm(x, epsilon=1.001e-5, name=f"{name}_bn")


def _bottleneck(net: Ops, x: Symbol, width: int, stride: int, name: str) -> Symbol:
    """Three convolutions beside the shortcut, which the first block of a stage projects."""
    shortcut = _conv(net, x, 4 * width, 1, stride, f"{name}_0") if name.endswith("block1") else x
    y = net.activation(_conv(net, x, width, 1, stride, f"{name}_1"), "relu", name=f"{name}_1_relu")
    y = net.activation(_conv(net, y, width, 3, 1, f"{name}_2"), "relu", name=f"{name}_2_relu")
    y = net.add(shortcut, _conv(net, y, 4 * width, 1, 1, f"{name}_3"), name=f"{name}_add")
    return net.activation(y, "relu", name=f"{name}_out")
