"""What every test may use: the folder of fakes, Hypothesis profiles, a built demonstration platform."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from middleplatform.demo.build import build

for _folder in ("fakes", "property"):
    sys.path.insert(0, str(Path(__file__).parent / _folder))

from asking import opened  # noqa: E402 - it lies in the folder of fakes

# In CI every run draws the same examples, so that a failure is the change's; nightly draws new ones.
settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile(
    "nightly", parent=settings.get_profile("ci"), derandomize=False, max_examples=500
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def demo_data(tmp_path_factory):
    """Return the folder of the demonstration's departments, built once a session."""
    folder = tmp_path_factory.mktemp("departments")
    build(folder)
    return folder


@pytest.fixture
def demo_platform(demo_data, tmp_path):
    """Return a fresh demonstration platform over the session's departments."""
    with opened(tmp_path / "state", demo_data) as platform:
        yield platform
