"""Settings, and the models that they offer."""

from pathlib import Path

import numpy as np
import pytest

import xaikit as xk
from xaikit.errors import ModelError, ParameterError, UnknownName
from xaikit_app import records
from xaikit_app.settings import Settings, choices


def test_the_defaults_stay_on_this_machine() -> None:
    assert (Settings().host, Settings().max_upload_bytes) == ("127.0.0.1", 10 * 2**20)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"port": 70_000}, "port must be from 0 to 65535, not 70000"),
        ({"workers": 0}, "workers"),
        ({"queue": 0}, "queue"),
        ({"max_upload_mb": 0}, "max_upload_mb must be positive"),
        ({"max_upload_mb": float("nan")}, "max_upload_mb must be positive"),
        ({"data": Path("no/such/folder")}, "data names no folder"),
        ({"study": (Path("no/such/folder"),)}, "study names no folder of a study"),
        ({"audit": "records.db"}, "audit is the URL of a database: sqlite:///audit.db"),
    ],
)
def test_a_wrong_setting_is_refused(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(ParameterError, match=told):
        Settings(**wrong)  # type: ignore[arg-type]


def test_without_models_the_trained_zoo_is_offered() -> None:
    found = choices(Settings())
    assert {"xo_cnn", "mnist_cnn"} <= set(found)
    assert all(xk.zoo.card(name).trained is not None for name in found)


def test_unknown_models_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'mnist_cnn'"):
        choices(Settings(models=("mnist_cn",)))
    with pytest.raises(ModelError, match="no model file"):
        choices(Settings(models=(str(tmp_path / "net.keras"),)))


def test_a_model_of_an_installed_package_is_offered_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    description = Path(__file__).parents[2] / "examples" / "my_model_keras" / "wine_keras" / "model.toml"
    monkeypatch.setattr("xaikit.wrapping.models", lambda: {"wines": description})
    (choice,) = choices(Settings(models=("wines",))).values()
    assert (choice.name, choice.title) == ("wines", "wines")
    assert [recipe.path for recipe in choice.recipes.values()] == [description]


def test_a_wrapped_model_is_offered_as_it_is() -> None:
    model = xk.wrap(lambda x: np.asarray(x).sum(1, keepdims=True), inputs=xk.Array(3), name="sum")
    choice = choices(Settings(models=(model,)))["sum"]
    assert choice.model is model
    assert choice.frameworks == (model.framework,)


def test_a_database_of_records_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    settings = Settings(cache=tmp_path, audit=f"sqlite:///{tmp_path / 'records.db'}")
    assert [records.listed(db) for db in records.databases(settings, "ada").values()] == [[], []]
