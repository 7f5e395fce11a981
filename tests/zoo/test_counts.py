"""How many parameters every network has: in all, and trained ones. Both back-ends are held to the same numbers."""

import pytest

from xaikit.zoo.networks import networks

COUNTS = {
    "xo_cnn": (53, 26),
    "mnist_cnn": (93_322, 93_322),
    "cats_vs_dogs": (3_453_121, 3_453_121),
    "mlp_mnist": (25_450, 25_450),
    "mlp_mnist_dropout": (407_050, 407_050),
    "mlp_mnist_wide": (628_170, 628_170),
    "mlp_imdb": (160_305, 160_305),
    "mlp_imdb_small": (40_029, 40_029),
    "mlp_imdb_l2": (160_305, 160_305),
    "mlp_imdb_dropout": (160_305, 160_305),
    "eeg_cnn": (108_001, 107_681),
    "lenet5_cifar10": (62_006, 62_006),
    "alexnet": (62_383_848, 62_381_096),
    "vgg16": (138_357_544, 138_357_544),
    "vgg16_c": (133_638_952, 133_638_952),
    "vgg19": (143_667_240, 143_667_240),
    "googlenet": (6_998_552, 6_998_552),
    "inception_v3": (23_851_784, 23_817_352),
    "resnet18": (11_699_112, 11_689_512),
    "resnet50": (25_610_152, 25_557_032),
    "resnet50_keras": (25_636_712, 25_583_592),
    "xception": (22_910_480, 22_855_952),
    "xception_small": (2_782_649, 2_773_913),
    "unet": (1_945_538, 1_942_594),
    "mnist_two_heads": (93_322 + 65, 93_322 + 65),
    "resnet20_cifar10": (274_042, 272_474),
    "conv_autoencoder": (1_666_560 + 57_411, 1_666_560 + 57_411),
    "conv_autoencoder_transposed": (1_666_560 + 57_411, 1_666_560 + 57_411),
    "denoising_autoencoder": (28_353, 28_353),
    "masked_autoencoder": (468_240, 468_240),
    "cats_vs_dogs_transfer": (273_457, 271_889),
    "alexnet_lrn": (62_378_344, 62_378_344),
    "dense_vae": (469_268, 469_268),
    "conv_vae": (304_529, 304_529),
    "lstm_imdb": (328_353, 328_353),
    "gru_imdb": (326_369, 326_369),
    "bilstm_imdb": (336_705, 336_705),
    "char_lstm": (184_050, 184_050),
    "credit_mlp": (1_505, 1_505),
    "rnn_forecast": (1_122, 1_121),
    "lstm_forecast": (4_386, 4_385),
    "gru_forecast": (3_394, 3_393),
    "seq2seq_dates": (122_667, 122_667),
    "series_autoencoder": (9_684, 9_684),
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts_are_the_documented_ones(name: str) -> None:
    architecture = networks[name].architecture
    assert (architecture.total, architecture.trainable) == COUNTS[name]


def test_every_network_has_its_count_here() -> None:
    assert set(networks) == set(COUNTS)
