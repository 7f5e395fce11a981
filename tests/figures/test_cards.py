"""Cards in words: only what is there is told, and it is told right."""

from dataclasses import asdict

import pytest

from xaikit import zoo
from xaikit.figures import about_lines, brief, measures, recipe_lines
from xaikit.zoo.recipes import Augmentation, Corruption, Divergence, EarlyStopping, FineTuning, Recipe


def told(**given):
    return " ".join(recipe_lines(asdict(Recipe(**given))))


@pytest.mark.parametrize("name", zoo.names())
def test_every_card_can_be_told(name):
    stored = zoo.card(name).to_dict()
    facts = about_lines(stored)
    assert f"{stored['parameters']['total']:,}" in facts["Parameters"]
    assert not any("{" in value or "None" in value for value in facts.values())
    if stored["recipe"]:
        assert not any("{" in line or "None" in line for line in recipe_lines(stored["recipe"]))


def test_a_plain_recipe_tells_only_what_it_does():
    assert told(loss="mse", batch=1000, epochs=1) == (
        "Loss: mean squared error. RMSprop, learning rate 0.001. Up to 1 epoch of one pass over the data, 1,000 "
        "samples per batch; 10 % of the training samples kept apart for validation."
    )


def test_everything_a_recipe_can_hold_is_told():
    said = told(
        loss={"a": "crossentropy", "b": "mse"},
        loss_weights={"b": 0.5},
        optimizer="adam",
        learning_rate=5e-4,
        schedule="plateau",
        plateau_patience=7,
        warmup_epochs=2,
        weight_decay=1e-4,
        l2={"dense1": 0.01},
        average=0.99,
        label_smoothing=0.1,
        steps_per_epoch=50,
        augmentation=Augmentation(rotation=8, shift=0.05, horizontal_flip=True),
        fine_tuning=FineTuning("resnet20", 5, ("conv7",), 1e-5),
        early_stopping=EarlyStopping(generalisation_loss=5, successive_rises=3),
    )
    for expected in (
        "cross-entropy of a + mean squared error of b × 0.5 with label smoothing 0.1",
        "Adam, learning rate 5×10⁻⁴, times 0.1 after 7 epochs without a better validation loss, after a linear rise",
        "weight decay 1×10⁻⁴",
        "L2 penalty 0.01 on dense1",
        "decay 0.99",
        "50 batches",
        "rotation ±8°, shift ±5 %, mirrored half of the time",
        "weights of resnet20, frozen for 5 epochs; then conv7 trained too with learning rate 1×10⁻⁵",
        "generalisation loss over 5",
        "after 3 rises",
    ):
        assert expected.lower() in said.lower()


def test_autoencoders():
    said = told(
        loss="summed-binary-crossentropy",
        target="input",
        divergence=Divergence(beta=2, cycles=4),
        corruption=Corruption(noise=0.5, patch=4, hidden=0.6),
    )
    assert "+ 2 × KL divergence, rising in 4 cycles, against the input itself" in said
    assert "Gaussian noise of 0.5, 60 % of the patches of 4×4 pixels hidden" in said


def test_errors_of_five_classes_and_of_six():
    few = {"accuracy": 0.9, "interval_95": [0.8, 0.95], "samples": 10, "classes": list("abcde")}
    (found,) = measures(few)
    assert dict(found.rows) == {"Accuracy": "0.9 (95 % interval 0.8 to 0.95)"}
    (found,) = measures({**few, "classes": list("abcdef"), "top5_accuracy": 0.99})
    assert dict(found.rows) | {"Top-1 error": "10.00 %", "Top-5 error": "1.00 %"} == dict(found.rows)


def test_an_unknown_metric_is_shown_by_its_name():
    (found,) = measures({"dice_score": 0.75, "samples": 3})
    assert found.rows == (("Dice score", "0.75"),)
    assert measures({}) == ()


@pytest.mark.parametrize(("value", "said"), [(0.0005, "5×10⁻⁴"), (0.25, "0.25"), (1000.0, "1,000"), (0.0, "0")])
def test_brief(value, said):
    assert brief(value) == said


def test_nearly_all_is_not_all():
    assert measures({"step_accuracy": 0.99996, "samples": 9})[0].rows == (("Accuracy per step", ">0.9999"),)
    assert measures({"step_accuracy": 1.0, "samples": 9})[0].rows == (("Accuracy per step", "1"),)
