"""Training curves come back as they were written: by Keras, by TensorBoard in both forms, in CSV, on cards."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from xaikit.errors import InputError, UnknownName
from xaikit.training_curves._events import masked_crc, scalars

SINGLE = 2e-7
"""TensorBoard keeps float32."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A Keras training of three epochs with its History, its CSVLogger file and its TensorBoard folder."""
    import keras

    pytest.importorskip("tensorboard")
    folder = tmp_path_factory.mktemp("training")
    keras.utils.set_random_seed(0)
    net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, activation="softmax")])
    net.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(32, 3)), rng.integers(0, 2, 32)
    callbacks = [
        keras.callbacks.TensorBoard(folder / "logs", write_graph=False),
        keras.callbacks.CSVLogger(folder / "log.csv", separator=";"),
    ]
    history = net.fit(x, y, validation_split=0.5, epochs=3, verbose=0, callbacks=callbacks)
    return history, folder


def values(curves):
    return {name: curves[name].values for name in curves}


def test_a_keras_history_and_its_dictionary(trained):
    history, _ = trained
    curves = xk.curves(history)
    assert list(curves) == ["loss/training", "loss/validation", "accuracy/training", "accuracy/validation"]
    assert_array_equal(curves["loss/validation"].steps, [1, 2, 3])
    assert_array_equal(curves["loss/validation"].values, history.history["val_loss"])
    assert curves.best == 1 + np.argmin(history.history["val_loss"])
    assert values(xk.curves(history.history)).keys() == values(curves).keys()


def test_a_csv_logger_file_says_what_the_history_says(trained):
    history, folder = trained
    read, known = xk.curves(folder / "log.csv"), xk.curves(history)
    assert set(read) == set(known)
    for name in known:
        assert_array_equal(read[name].steps, known[name].steps)
        assert_allclose(read[name].values, known[name].values, rtol=1e-12)  # CSV holds all digits of a double


def test_keras_tensorboard_says_what_the_history_says(trained):
    history, folder = trained
    read, known = xk.curves(str(folder / "logs")), xk.curves(history)
    for name in known:
        assert read[name].axis == "epoch"
        assert_array_equal(read[name].steps, known[name].steps)
        assert_allclose(read[name].values, known[name].values, rtol=SINGLE)
    assert read.best == known.best
    assert not [name for name in read if name.startswith("evaluation")]


def test_one_event_file_alone(trained):
    _, folder = trained
    (file,) = (folder / "logs" / "train").glob("*tfevents*")
    assert "loss/training" in list(xk.curves(file))


def test_event_files_read_as_tensorboard_itself_reads_them(trained):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    _, folder = trained
    for file in sorted((folder / "logs").rglob("*tfevents*")):
        theirs = EventAccumulator(str(file)).Reload()
        ours = list(scalars(file))
        for tag in theirs.Tags()["tensors"]:
            events = theirs.Tensors(tag)
            mine = [(s.step, s.value) for s in ours if s.tag == tag]
            if mine:
                assert mine == [(e.step, float(make_ndarray(e.tensor_proto))) for e in events]
        assert {s.tag for s in ours} >= {t for t in theirs.Tags()["tensors"] if t.startswith("epoch_")}


def test_torch_writes_the_older_form(tmp_path):
    writer = pytest.importorskip("torch.utils.tensorboard").SummaryWriter(tmp_path / "run")
    for step in range(0, 40, 10):
        writer.add_scalar("Loss/train", 4.0 / (1 + step), step)
        writer.add_scalar("Loss/val", 5.0 / (1 + step), step)
        writer.add_scalar("lr", 0.0, step, new_style=True)
        writer.add_histogram("weights", np.arange(5.0), step)
    writer.close()
    curves = xk.curves(tmp_path)
    assert list(curves) == ["Loss/run training", "Loss/run validation", "lr/run training"]
    assert_array_equal(curves["Loss/run training"].steps, [0, 10, 20, 30])
    assert_allclose(curves["Loss/run validation"].values, 5.0 / (1 + np.arange(0, 40, 10)), rtol=SINGLE)
    assert_array_equal(curves["lr/run training"].values, 0.0)
    assert list(xk.curves(tmp_path / "run")) == ["Loss/training", "Loss/validation", "lr/training"]
    assert xk.curves(tmp_path / "run").best == 30


def test_a_training_taken_up_again_replaces_what_it_went_over(tmp_path):
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    for number, steps in enumerate((range(5), range(3, 6))):
        writer = tensorboard.SummaryWriter(tmp_path, filename_suffix=f".{number}")
        for step in steps:
            writer.add_scalar("loss", 10 * number + step, step)
        writer.close()
    files = sorted(tmp_path.glob("*tfevents*"), key=lambda p: p.name[-1])
    for place, file in enumerate(files):  # the names hold the second of writing, which may be the same
        file.rename(tmp_path / f"{place}.tfevents")
    curve = xk.curves(tmp_path)["loss/training"]
    assert_array_equal(curve.steps, [0, 1, 2, 3, 4, 5])
    assert_array_equal(curve.values, [0, 1, 2, 13, 14, 15])


def test_a_last_record_cut_short_is_left_out_and_other_damage_is_said(trained, tmp_path):
    _, folder = trained
    (file,) = (folder / "logs" / "validation").glob("*tfevents*")
    content, whole = file.read_bytes(), list(scalars(file))
    cut = tmp_path / "cut.tfevents"
    cut.write_bytes(content[:-5])
    assert list(scalars(cut)) == whole[:-1]
    for place, said in ((0, "is no TensorBoard event file: a record's length"), (len(content) // 2, "is damaged")):
        wrong = bytearray(content)
        wrong[place] ^= 0x55
        cut.write_bytes(wrong)
        with pytest.raises(InputError, match=said):
            xk.curves(cut)


def test_the_checksum_is_the_published_one():
    # RFC 3720, B.4: CRC-32C of 32 zero bytes is 8A9136AA; the mask is TensorFlow's.
    crc = 0x8A9136AA
    assert masked_crc(bytes(32)) == ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32


def written(folder: Path, text: str) -> Path:
    (folder / "log.csv").write_text(text, encoding="utf-8")
    return folder / "log.csv"


def test_csv_with_gaps_na_nan_and_arrays(tmp_path):
    text = 'epoch,loss,val_loss,other\n0,1.5,,"[1, 2]"\n1,nan,0.5,"[1, 2]"\n2,0.25,NA,"[1, 2]"\n'
    curves = xk.curves(written(tmp_path, text))
    assert list(curves) == ["loss/training", "loss/validation"]
    assert_array_equal(curves["loss/training"].values, [1.5, np.nan, 0.25])
    assert_array_equal(curves["loss/validation"].steps, [2])
    assert curves.best == 2


def test_csv_whose_epochs_start_over_is_numbered_through(tmp_path):
    curves = xk.curves(written(tmp_path, "epoch,loss\n0,4\n1,3\n0,2\n1,1\n"))
    assert_array_equal(curves["loss/training"].steps, [1, 2, 3, 4])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("epoch,loss\n", "no epoch yet"),
        ("1,2\n3,4\n", "names in its first line"),
        ("epoch,loss\n0,1\n1,fast\n", r"line 3, column 'loss': 'fast' is no number"),
        ("epoch,loss\n0,\n", "holds no numbers"),
    ],
)
def test_a_csv_that_is_none_says_why(tmp_path, text, said):
    with pytest.raises(InputError, match=said):
        xk.curves(written(tmp_path, text))


def test_what_is_not_there(tmp_path):
    with pytest.raises(InputError, match="did you mean 'mnist_cnn'"):
        xk.curves("mnist_cn")
    with pytest.raises(InputError, match="holds no TensorBoard event file"):
        xk.curves(tmp_path)
    (tmp_path / "a.tfevents").write_bytes(b"")
    with pytest.raises(InputError, match="1 event file and no scalars"):
        xk.curves(tmp_path)
    with pytest.raises(InputError, match="not int"):
        xk.curves(3)
    with pytest.raises(InputError, match="shape \\(1, 2\\)"):
        xk.curves({"loss": [[1, 2]]})
    with pytest.raises(InputError, match="holds no epoch"):
        xk.curves({"loss": []})


def test_a_card_gives_its_own_curve():
    card = xk.zoo.card("mnist_cnn")
    for curves in (xk.curves("mnist_cnn"), xk.curves(card)):
        assert curves.best == card.trained.best_epoch
        assert_array_equal(curves["loss/validation"].values, [e["validation_loss"] for e in card.trained.curve])
        assert curves["learning_rate/training"].axis == "epoch"
    with pytest.raises(InputError, match="resnet50 is not trained"):
        xk.curves("resnet50")


def test_names_of_parts():
    history = {"digit_loss": [2.0], "val_digit_loss": [1.0], "train_f1": [0.5], "validation/f1": [0.6]}
    curves = xk.curves(history)
    assert list(curves) == ["digit_loss/training", "digit_loss/validation", "f1/training", "f1/validation"]
    with pytest.raises(UnknownName, match="did you mean"):
        curves["f1/validatio"]


def test_stored_and_read_back_equal(tmp_path):
    curves = xk.curves("mnist_cnn")
    again = xk.load(xk.save(curves, tmp_path / "curves"))
    assert (again.source, again.best, list(again)) == (curves.source, curves.best, list(curves))
    for name in curves:
        assert_array_equal(again[name].steps, curves[name].steps)
        assert_array_equal(again[name].values, curves[name].values)
