import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "sql"))

import made_world as made


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    with made.World(tmp_path_factory.mktemp("world")) as opened:
        yield opened


def pytest_addoption(parser):
    parser.addoption(
        "--update-golden", action="store_true", help="write what is found; then review the diff"
    )


@pytest.fixture
def update_golden(request):
    return request.config.getoption("--update-golden", default=False)
