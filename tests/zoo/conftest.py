"""The two back-ends of the zoo, and an empty cache for what the tests train."""

from pathlib import Path
from typing import Any

import pytest

from xaikit import wrapping

FRAMEWORKS = ("torch", "keras")


def adapter(framework: str) -> Any:
    if framework not in wrapping.frameworks():
        pytest.skip(f"{framework} or its adapter is not installed")
    return wrapping.adapter(framework)


@pytest.fixture(params=FRAMEWORKS)
def framework(request: pytest.FixtureRequest) -> str:
    adapter(request.param)
    return str(request.param)


@pytest.fixture
def backend(framework: str) -> Any:
    return adapter(framework)


@pytest.fixture
def both() -> tuple[Any, Any]:
    return adapter("torch"), adapter("keras")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XAIKIT_CACHE", str(tmp_path))
    return tmp_path / "zoo"
