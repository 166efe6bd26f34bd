"""A small made catalogue and bundle, written per test so that a test can break one thing."""

from collections.abc import Callable
from pathlib import Path

import pytest

import policies
from middleplatform import catalog as catalogs
from middleplatform.model.catalog import Catalog
from middleplatform.model.policy import Bundle
from middleplatform.policy import load

BUNDLE = (Path(__file__).parent / "small_bundle.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return catalogs.load(policies.root() / "examples" / "demo" / "catalog")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def put(text: str, name: str = "bundle.yaml") -> Path:
        folder = tmp_path / "bundle"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
        return folder

    return put


@pytest.fixture
def bundle(write: Callable[[str], Path], catalog: Catalog) -> Bundle:
    return load(write(BUNDLE), catalog)
