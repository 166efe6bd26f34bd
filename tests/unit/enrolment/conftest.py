import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from made_parties import DEPARTMENTS, World

from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.enrolment import quick


@pytest.fixture(scope="session")
def enrolled(tmp_path_factory):
    """Make two platforms once; each test gets copies."""
    root = tmp_path_factory.mktemp("enrolled")
    for name in ("platform", "other"):
        quick.enrol_all(
            root / name, DEPARTMENTS, SystemRng(), SystemClock(), own_authority=frozenset({"fs"})
        )
    return root


@pytest.fixture
def world(enrolled, tmp_path):
    return World(shutil.copytree(enrolled / "platform", tmp_path / "platform"))


@pytest.fixture
def other_world(enrolled, tmp_path):
    return World(shutil.copytree(enrolled / "other", tmp_path / "other"))
