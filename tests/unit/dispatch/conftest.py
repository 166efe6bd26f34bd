import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "sql"))

import made_world as made


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    with made.World(tmp_path_factory.mktemp("world")) as opened:
        yield opened


@pytest.fixture
def platform(tmp_path):
    import made_platform  # noqa: PLC0415 - found by the line at the top

    with made_platform.Platform(tmp_path, rows=made_platform.complete_rows()) as opened:
        yield opened
