"""A small vision transformer and a small text transformer in plain torch and in plain Keras, with the same weights."""

from functools import cache
from typing import Any

import numpy as np

import xaikit as xk

NAMES = ("a", "b", "c", "d")
PICTURE = xk.Image(12, 12, 3)
WORDS = ("<pad>", "<unk>", "the", "a", "good", "bad", "film", "plot", "very", "not", "and", "was")
SENTENCE = xk.Text(6, WORDS)
PATCH, WIDTH, HEADS, DEPTH, HIDDEN = 4, 12, 2, 2, 24
TOKENS = {"vit": 10, "text": 6}
SENTENCES = ["the film was very good", "a bad plot", "not good and not bad film"]


def pictures() -> Any:
    return np.random.default_rng(3).integers(0, 256, (3, 12, 12, 3)).astype(np.uint8)


def weights(kind: str) -> dict[str, Any]:
    """Draw the weights in Keras layouts by name; a block's attention is (channel, head, key)."""
    rng = np.random.default_rng(11)
    size = WIDTH // HEADS
    shapes: dict[str, tuple[int, ...]] = {"head/kernel": (WIDTH, 4), "head/bias": (4,)}
    if kind == "vit":
        shapes |= {"patch/kernel": (PATCH, PATCH, 3, WIDTH), "patch/bias": (WIDTH,), "class": (1, 1, WIDTH)}
    else:
        shapes |= {"embed": (len(WORDS), WIDTH)}
    shapes["position"] = (1, TOKENS[kind], WIDTH)
    for i in range(DEPTH):
        for name in ("query", "key", "value"):
            shapes |= {f"{i}/{name}/kernel": (WIDTH, HEADS, size), f"{i}/{name}/bias": (HEADS, size)}
        shapes |= {f"{i}/out/kernel": (HEADS, size, WIDTH), f"{i}/out/bias": (WIDTH,)}
        shapes |= {f"{i}/up/kernel": (WIDTH, HIDDEN), f"{i}/up/bias": (HIDDEN,)}
        shapes |= {f"{i}/down/kernel": (HIDDEN, WIDTH), f"{i}/down/bias": (WIDTH,)}
    return {n: (0.35 * rng.normal(size=s)).astype(np.float32) for n, s in shapes.items()}


@cache
def wrapped(kind: str, framework: str, style: str = "functional") -> Any:
    """Give the wrapped network; `style` is how the Keras one is built: functional or subclassed."""
    net = torch_net(kind) if framework == "torch" else keras_net(kind, style)
    spec = PICTURE if kind == "vit" else SENTENCE
    return xk.wrap(net, inputs=spec, outputs=xk.Classes(NAMES), name=kind)


def samples(kind: str) -> Any:
    return pictures() if kind == "vit" else SENTENCES


# --- torch -----------------------------------------------------------------------------------------------------------


def torch_net(kind: str) -> Any:
    import torch
    from torch import nn

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layer = nn.TransformerEncoderLayer(WIDTH, HEADS, HIDDEN, activation="gelu", batch_first=True)
            self.blocks = nn.TransformerEncoder(layer, DEPTH)
            self.position = nn.Parameter(torch.zeros(1, TOKENS[kind], WIDTH))
            self.head = nn.Linear(WIDTH, 4)

    class Vit(Encoder):
        def __init__(self) -> None:
            super().__init__()
            self.patch = nn.Conv2d(3, WIDTH, PATCH, PATCH)
            self.first = nn.Parameter(torch.zeros(1, 1, WIDTH))

        def forward(self, x: Any) -> Any:
            patches = self.patch(x).flatten(2).transpose(1, 2)
            tokens = torch.cat([self.first.expand(len(x), -1, -1), patches], 1) + self.position
            return self.head(self.blocks(tokens)[:, 0])

    class Text(Encoder):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(len(WORDS), WIDTH)

        def forward(self, ids: Any) -> Any:
            hidden = ids.eq(0)
            tokens = self.blocks(self.embed(ids) + self.position, src_key_padding_mask=hidden)
            there = hidden.logical_not()[..., None].to(tokens.dtype)
            return self.head((tokens * there).sum(1) / there.sum(1).clamp_min(1))

    net = Vit() if kind == "vit" else Text()
    w = weights(kind)
    state = {"position": w["position"], "head.weight": w["head/kernel"].T, "head.bias": w["head/bias"]}
    if kind == "vit":
        state |= {"patch.weight": w["patch/kernel"].transpose(3, 2, 0, 1), "patch.bias": w["patch/bias"]}
        state["first"] = w["class"]
    else:
        state["embed.weight"] = w["embed"]
    for i in range(DEPTH):
        block, three = f"blocks.layers.{i}", ("query", "key", "value")
        state |= {
            f"{block}.self_attn.in_proj_weight": np.concatenate(
                [w[f"{i}/{n}/kernel"].reshape(WIDTH, WIDTH).T for n in three]
            ),
            f"{block}.self_attn.in_proj_bias": np.concatenate([w[f"{i}/{n}/bias"].ravel() for n in three]),
            f"{block}.self_attn.out_proj.weight": w[f"{i}/out/kernel"].reshape(WIDTH, WIDTH).T,
            f"{block}.self_attn.out_proj.bias": w[f"{i}/out/bias"],
            f"{block}.linear1.weight": w[f"{i}/up/kernel"].T,
            f"{block}.linear1.bias": w[f"{i}/up/bias"],
            f"{block}.linear2.weight": w[f"{i}/down/kernel"].T,
            f"{block}.linear2.bias": w[f"{i}/down/bias"],
        }
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name in state:
                parameter.copy_(torch.tensor(np.ascontiguousarray(state[name])))
    return net.eval()


# --- Keras -----------------------------------------------------------------------------------------------------------


def keras_net(kind: str, style: str) -> Any:
    import keras

    w = weights(kind)
    parts = _keras_layers(kind)
    if style == "functional":
        x = keras.Input((12, 12, 3)) if kind == "vit" else keras.Input((6,), dtype="int32")
        net = keras.Model(x, _keras_call(kind, parts, x))
    else:

        class Net(keras.Model):
            def __init__(self) -> None:
                super().__init__()
                for name, layer in parts.items():
                    setattr(self, f"own_{name}", layer)

            def call(self, x: Any) -> Any:
                return _keras_call(kind, parts, x)

        net = Net()
        net(np.zeros((1, 12, 12, 3), np.float32) if kind == "vit" else np.ones((1, 6), np.int32))
    parts["head"].set_weights([w["head/kernel"], w["head/bias"]])
    if kind == "vit":
        parts["patch"].set_weights([w["patch/kernel"], w["patch/bias"]])
        parts["class"].set_weights([w["class"]])
    else:
        parts["embed"].set_weights([w["embed"]])
    parts["position"].set_weights([w["position"]])
    for i in range(DEPTH):
        own = [w[f"{i}/{n}/{k}"] for n in ("query", "key", "value", "out") for k in ("kernel", "bias")]
        parts[f"attention{i}"].set_weights(own)
        for name in ("up", "down"):
            parts[f"{name}{i}"].set_weights([w[f"{i}/{name}/kernel"], w[f"{i}/{name}/bias"]])
    return net


def _keras_layers(kind: str) -> dict[str, Any]:
    import keras

    class Added(keras.layers.Layer):
        """Adds a learned position to every token."""

        def build(self, shape: Any) -> None:
            self.learned = self.add_weight(shape=(1, TOKENS[kind], WIDTH), name="learned")

        def call(self, x: Any) -> Any:
            return x + self.learned

    class First(keras.layers.Layer):
        """Puts a learned token in front of the others."""

        def build(self, shape: Any) -> None:
            self.learned = self.add_weight(shape=(1, 1, WIDTH), name="learned")

        def call(self, x: Any) -> Any:
            first = keras.ops.repeat(self.learned, keras.ops.shape(x)[0], axis=0)
            return keras.ops.concatenate([first, x], 1)

    layers = keras.layers
    parts: dict[str, Any] = {"position": Added(name="position"), "head": layers.Dense(4, name="head")}
    if kind == "vit":
        parts |= {"patch": layers.Conv2D(WIDTH, PATCH, PATCH, name="patch"), "class": First(name="first")}
        parts["flat"] = layers.Reshape((9, WIDTH), name="flat")
    else:
        parts["embed"] = layers.Embedding(len(WORDS), WIDTH, name="embed")
    for i in range(DEPTH):
        parts |= {
            f"attention{i}": layers.MultiHeadAttention(HEADS, WIDTH // HEADS, name=f"attention{i}"),
            f"norm{i}": layers.LayerNormalization(epsilon=1e-5, name=f"norm{i}"),
            f"up{i}": layers.Dense(HIDDEN, activation=_gelu, name=f"up{i}"),
            f"down{i}": layers.Dense(WIDTH, name=f"down{i}"),
            f"last{i}": layers.LayerNormalization(epsilon=1e-5, name=f"last{i}"),
        }
    return parts


def _gelu(x: Any) -> Any:
    import keras

    return keras.activations.gelu(x, approximate=False)


def _keras_call(kind: str, parts: dict[str, Any], x: Any) -> Any:
    from keras import ops

    if kind == "vit":
        tokens, mask, there = parts["class"](parts["flat"](parts["patch"](x))), None, None
    else:
        tokens = parts["embed"](x)
        there = ops.not_equal(x, 0)
        mask = ops.expand_dims(there, 1)
    tokens = parts["position"](tokens)
    for i in range(DEPTH):
        attended = parts[f"attention{i}"](tokens, tokens, attention_mask=mask)
        tokens = parts[f"norm{i}"](tokens + attended)
        tokens = parts[f"last{i}"](tokens + parts[f"down{i}"](parts[f"up{i}"](tokens)))
    if kind == "vit":
        return parts["head"](tokens[:, 0])
    counted = ops.expand_dims(ops.cast(there, "float32"), -1)
    return parts["head"](ops.sum(tokens * counted, 1) / ops.maximum(ops.sum(counted, 1), 1.0))
