"""Input specs: what a person gives, encoded and back."""

from types import MappingProxyType

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image as Pillow

import xaikit as xk
from xaikit.errors import InputError, ParameterError, UnknownName
from xaikit.inputs import specs_from_dict, specs_to_dict

PHOTO = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)


@pytest.fixture
def photo(tmp_path):
    Pillow.fromarray(PHOTO).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


class TestImage:
    spec = xk.Image(20, 30, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))

    def test_the_formula_is_v_scale_minus_mean_over_std(self):
        expected = (PHOTO / 255 - np.array([0.4, 0.5, 0.6])) / np.array([0.2, 0.3, 0.4])
        assert_allclose(self.spec.encode(PHOTO)[0], expected, rtol=1e-6, atol=1e-6)

    def test_path_picture_and_array_are_the_same_sample(self, photo):
        path, text, picture = (self.spec.encode(x) for x in (photo, str(photo), Pillow.open(photo)))
        for other in (text, picture, self.spec.encode(PHOTO)):
            assert_array_equal(path, other)

    def test_a_list_and_a_batch_are_many(self, photo):
        assert self.spec.encode([photo, PHOTO]).shape == (2, 20, 30, 3)
        assert self.spec.encode(np.stack([PHOTO] * 3)).shape == (3, 20, 30, 3)

    def test_decode_undoes_encode(self):
        assert_allclose(self.spec.decode(self.spec.encode(PHOTO))[0], PHOTO, atol=1e-3)

    def test_bgr_turns_the_channels_round(self):
        spec = xk.Image(20, 30, scale=1, mean=(103.9, 116.8, 123.7), order="bgr")
        assert_allclose(spec.encode(PHOTO)[0], PHOTO[..., ::-1] - np.array([103.9, 116.8, 123.7]), rtol=1e-5, atol=1e-4)
        assert_allclose(spec.decode(spec.encode(PHOTO))[0], PHOTO, atol=1e-3)

    @pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
    def test_another_size_is_fitted(self, fit):
        assert xk.Image(16, 16, fit=fit).encode(PHOTO).shape == (1, 16, 16, 3)

    def test_crop_takes_the_centre_and_pad_keeps_everything(self):
        half = np.zeros((10, 20, 1), np.uint8)
        half[:, 5:15] = 200
        assert xk.Image(10, 10, 1, fit="crop").show(half).min() == 200
        padded = xk.Image(20, 20, 1, fit="pad").show(half)[0, :, :, 0]
        assert (padded[:5] == 0).all()
        assert (padded[5:15] == half[:, :, 0]).all()

    def test_one_channel_may_lack_its_axis(self):
        spec = xk.Image(8, 8, 1)
        digit = np.arange(64, dtype=np.uint8).reshape(8, 8)
        assert_array_equal(spec.encode(digit), spec.encode(digit[:, :, None]))
        assert spec.encode(np.stack([digit, digit])).shape == (2, 8, 8, 1)

    @pytest.mark.parametrize("shape", [(28, 28, 3), (28, 28, 2), (5, 20, 20)])
    def test_other_channels_are_no_batch_of_grey_images(self, shape):
        with pytest.raises(InputError, match=r"expected \(28, 28, 1\)"):
            xk.Image(28, 28, 1).encode(np.zeros(shape, np.uint8))

    def test_a_turned_photo_is_set_upright(self, tmp_path):
        picture = Pillow.fromarray(PHOTO)
        exif = picture.getexif()
        exif[0x0112] = 3  # rotated by 180 degrees
        picture.save(tmp_path / "turned.png", exif=exif)
        assert_array_equal(xk.Image(20, 30).show(tmp_path / "turned.png")[0], PHOTO[::-1, ::-1])

    @pytest.mark.parametrize(
        ("bad", "message"),
        [
            (PHOTO / 255, r"0\.\.255.*x \* 255"),
            (np.moveaxis(PHOTO, -1, 0), "channels-first: use np.moveaxis"),
            (np.zeros((20, 30, 4), np.uint8), "drop the alpha channel"),
            (np.zeros((20, 30, 2), np.uint8), r"\(20, 30, 2\), expected \(20, 30, 3\)"),
            (np.full((20, 30, 3), np.nan), "1800 values that are NaN"),
            (np.zeros((0, 30, 3)), "empty"),
            (np.zeros((0, 20, 30, 3)), "batch is empty"),
            ([], "batch is empty"),
            (np.zeros(5), r"shape \(5,\)"),
            ("no such file.png", "there is no file"),
        ],
    )
    def test_bad_pictures_say_what_to_do(self, bad, message):
        with pytest.raises(InputError, match=message):
            self.spec.encode(bad)

    def test_a_corrupt_file_is_an_input_error(self, photo):
        photo.write_bytes(photo.read_bytes()[:200])
        with pytest.raises(InputError, match=r"photo\.png"):
            self.spec.encode(photo)
        photo.write_text("no picture")
        with pytest.raises(InputError, match="not a picture"):
            self.spec.encode(photo)

    def test_a_huge_picture_is_refused(self, photo, monkeypatch):
        monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 100)
        with pytest.raises(InputError, match="more than 100 pixels"):
            self.spec.encode(photo)

    def test_bad_specs_are_parameter_errors(self):
        for wrong in ({"fit": "squeeze"}, {"order": "gbr"}, {"mean": (1.0, 2.0)}, {"channels": 0}):
            with pytest.raises(ParameterError):
                xk.Image(8, 8, **wrong)


class TestTable:
    @pytest.mark.parametrize("columns", [("a", "b"), None, 3, {}])
    def test_columns_are_named_in_a_mapping(self, columns):
        with pytest.raises(ParameterError, match=r"xk\.Number"):
            xk.Table(columns)

    spec = xk.Table(
        {"age": xk.Number(mean=40, std=10), "sex": xk.Category(["f", "m"]), "n": xk.Category([1, 2], "index")}
    )
    row = MappingProxyType({"age": 50, "sex": "m", "n": 2})

    def test_columns_fill_their_inputs_in_order(self):
        assert_allclose(self.spec.encode(self.row), [[1.0, 0.0, 1.0, 1.0]])
        assert_array_equal(self.spec.parts, [0, 1, 1, 2])

    def test_rows_come_in_many_forms(self):
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame([self.row, self.row])[["n", "sex", "age"]]
        for x in (frame, frame.iloc[0], [self.row, self.row], [50, "m", 2], np.array([50, "m", 2], object)):
            assert_allclose(self.spec.encode(x)[0], [1.0, 0.0, 1.0, 1.0])
        assert len(self.spec.encode(frame)) == 2

    def test_decode_undoes_encode(self):
        assert self.spec.decode(self.spec.encode(self.row)) == [self.row]

    @pytest.mark.parametrize(
        ("bad", "message"),
        [
            ({"age": 50, "sex": "m"}, "lacks 'n'"),
            ({"age": 5, "sx": "m", "n": 1}, "unknown 'sx'; did you mean 'sex'"),
            ({"age": 50, "sex": "x", "n": 1}, "no category 'x'"),
            ({"age": "old", "sex": "m", "n": 1}, "takes numbers, not 'old'"),
            ({"age": np.nan, "sex": "m", "n": 1}, "'age' is nan"),
            ([1, 2], "2 values for 3 columns"),
        ],
    )
    def test_bad_rows_say_what_to_do(self, bad, message):
        with pytest.raises(InputError, match=message):
            self.spec.encode(bad)


class TestText:
    spec = xk.Text(5, vocabulary={"good": 2, "film": 3, "a": 4})

    def test_words_become_ids_with_pads_before(self):
        assert_array_equal(self.spec.encode("A good, strange film"), [[0, 4, 2, 1, 3]])

    def test_offsets_point_into_the_raw_string(self):
        text = "A  good film!"
        assert [text[a:b].lower() for _, a, b in self.spec.tokens(text)] == ["a", "good", "film"]
        assert self.spec.placed(text)[:2] == [None, None]

    def test_long_texts_lose_their_beginning(self):
        assert_array_equal(self.spec.encode("film film a a a a good"), [[4, 4, 4, 4, 2]])

    def test_ids_are_taken_as_they_are(self):
        assert_array_equal(self.spec.encode([[0, 1, 2, 3, 4]]), [[0, 1, 2, 3, 4]])

    def test_empty_text_is_an_error(self):
        with pytest.raises(InputError, match="text is empty"):
            self.spec.encode("  ...")


def test_series_may_lack_its_channel():
    spec = xk.Series(4, mean=1.0, std=2.0)
    assert_allclose(spec.encode(np.array([1.0, 3, 5, 7]))[0, :, 0], [0, 1, 2, 3])
    assert spec.encode(np.zeros((6, 4))).shape == (6, 4, 1)
    with pytest.raises(InputError, match=r"expected \(4, 1\)"):
        spec.encode(np.zeros(5))


def test_array_prints_both_shapes():
    with pytest.raises(InputError, match=r"\(3,\), expected \(2,\)"):
        xk.Array((2,)).encode([[1, 2, 3]])
    with pytest.raises(InputError, match="2 values that are NaN or infinite"):
        xk.Array((3,)).encode([1, np.nan, np.inf])


@pytest.mark.parametrize(("dtype", "given"), [(None, np.uint8), ("float32", np.float32), ("int64", np.int64)])
def test_arrays_of_bytes_become_what_the_network_is_to_be_given(dtype, given):
    encoded = xk.Array((3,), dtype=dtype).encode(np.array([[0, 1, 255]], np.uint8))
    assert encoded.dtype == given
    assert encoded.tolist() == [[0, 1, 255]]


@pytest.mark.parametrize("shape", [(None, 3), (0,), (2.5,), "ab"])
def test_an_array_has_whole_sizes(shape):
    with pytest.raises(ParameterError, match="whole sizes of one sample"):
        xk.Array(shape)


@pytest.mark.parametrize("spec", [xk.Array((2,)), xk.Series(2), xk.Table({"a": xk.Number(), "b": xk.Number()})])
def test_numbers_too_large_for_the_network_are_refused(spec):
    with pytest.raises(InputError, match="too large for the network's float32"):
        spec.encode(np.array([[1.0, 1e300]]) if spec.kind == "Table" else np.array([1.0, 1e300]))


def test_an_unknown_dtype_of_arrays_is_refused():
    with pytest.raises(ParameterError, match="must be 'float32' or 'int64', not 'bytes'"):
        xk.Array((3,), dtype="bytes")


@pytest.mark.parametrize(
    "spec",
    [
        xk.Image(3, 4, 1, mean=(0.5,), order="bgr"),
        xk.Series(5, 2, rate=100.0, mean=(1.0, 2.0)),
        xk.Text(4, vocabulary=("a", "b")),
        xk.Array((2, 3), axes=("row", "column"), dtype="float32"),
        TestTable.spec,
        xk.Classes(["x", "o"], "softmax"),
        xk.Values(["price"]),
        xk.Reconstruction("mae"),
        xk.Masks(["sky", "sea"]),
    ],
)
def test_specs_survive_json(spec):
    import json

    assert specs_from_dict(json.loads(json.dumps(specs_to_dict(spec)))) == spec
    both = {"a": spec, "b": spec}
    assert specs_from_dict(json.loads(json.dumps(specs_to_dict(both)))) == both


def test_an_unknown_kind_of_spec_suggests_the_nearest():
    with pytest.raises(UnknownName, match="did you mean 'Image'"):
        specs_from_dict({"kind": "Imge"})
    with pytest.raises(UnknownName, match="did you mean 'height'"):
        specs_from_dict({"kind": "Image", "hight": 3, "width": 3})


def test_the_rate_of_an_array_is_along_its_time():
    assert xk.Array((10, 2), axes=("time", "electrode"), rate=50.0).rate == 50.0
    for wrong in ({"rate": 50.0}, {"axes": ("time", "electrode"), "rate": 0.0}):
        with pytest.raises(ParameterError, match="the rate of an Array"):
            xk.Array((10, 2), **wrong)
