"""Train the network on the wines that come with scikit-learn: a few seconds on one core.

Writes the network into the package with the model.toml that describes its columns, and test rows beside this file.
"""

from pathlib import Path

import keras
import numpy as np
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split

HERE = Path(__file__).parent
EPOCHS, BATCH = 60, 16
CULTIVARS = ("first", "second", "third")


def main() -> None:
    wines = load_wine()  # 178 wines of three cultivars, 13 measurements of each
    columns = [name.replace("/", "_") for name in wines.feature_names]
    train, test, of_train, of_test = train_test_split(
        wines.data, wines.target, test_size=0.3, random_state=0, stratify=wines.target
    )
    mean, std = train.mean(0), train.std(0)
    keras.utils.set_random_seed(0)
    net = build(len(columns))
    net.compile(optimizer=keras.optimizers.Adam(3e-3), loss="sparse_categorical_crossentropy")
    net.fit((train - mean) / std, of_train, batch_size=BATCH, epochs=EPOCHS, verbose=0)
    given = np.asarray(net((test - mean) / std))
    print(f"{(given.argmax(1) == of_test).mean():.1%} of {len(test)} test wines are told right")
    package = HERE / "wine_keras"
    net.save(package / "network.keras", include_optimizer=False)
    (package / "model.toml").write_text(described(columns, mean, std, train[::6]), encoding="utf-8")
    rows = [",".join(columns), *(",".join(f"{v:g}" for v in row) for row in test[:3])]
    (HERE / "wines.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def build(columns: int) -> keras.Model:
    """Give three probabilities (sample, 3) from standardised measurements (sample, 13)."""
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((columns,)),
            layers.Dense(24, activation="relu", name="hidden"),
            layers.Dense(len(CULTIVARS), activation="softmax", name="cultivar"),
        ]
    )


def described(columns: list[str], mean: np.ndarray, std: np.ndarray, typical: np.ndarray) -> str:
    """Give the text of model.toml: what xaikit has to know of the network."""
    numbers = [
        f'{name} = {{ kind = "Number", mean = {m:.6g}, std = {s:.6g} }}'
        for name, m, s in zip(columns, mean, std, strict=True)
    ]
    lines = (
        "# Written by train.py. A .keras file holds the network itself, so that there is no factory.",
        'name = "wine_keras"',
        'weights = "network.keras"',
        "",
        "[inputs]",
        'kind = "Table"',
        "# Typical rows, whose values stand in where a method hides a column.",
        "background = [",
        *(f"    [{', '.join(f'{v:g}' for v in row)}]," for row in typical),
        "]",
        "",
        "# A column is given to the network as (value - mean) / std, with the numbers of the training part.",
        "[inputs.columns]",
        *numbers,
        "",
        "[outputs]",
        'kind = "Classes"',
        f"names = [{', '.join(repr(c).replace(chr(39), chr(34)) for c in CULTIVARS)}]",
        "",
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
