import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "sql"))

import made_world as made


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    with made.World(tmp_path_factory.mktemp("world")) as opened:
        yield opened
