"""What every test may use: the folder of fakes, Hypothesis profiles, a built demonstration platform."""

import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from middleplatform.demo.build import build

# The platform makes every entry of its logs durable, and a world has a dozen of them: on a disk a test waits for that
# most of its time. Folders in memory keep what is written just as well through the end of any process.
_MEMORY = Path("/dev/shm")
_FREE_MIN = 6 * 2**30


def _folders_in_memory() -> bool:
    """Return whether programs can run from folders in memory, and there is room for a whole run."""
    try:
        known = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
        free = next(int(words[1]) * 1024 for words in known if words[0] == "MemAvailable:")
        mounted = os.statvfs(_MEMORY)
    except (OSError, StopIteration):
        return False
    room = min(free, mounted.f_bavail * mounted.f_frsize)
    return os.access(_MEMORY, os.W_OK) and not mounted.f_flag & os.ST_NOEXEC and room >= _FREE_MIN


if _folders_in_memory():
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))

# What is started in the background by a shell ignores interrupts, and so would all programs that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

for _folder in ("fakes", "property"):
    sys.path.insert(0, str(Path(__file__).parent / _folder))

from asking import opened  # noqa: E402 - it lies in the folder of fakes
from exact_demo import exact_demo  # noqa: E402 - likewise

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


@pytest.fixture(scope="session", autouse=True)
def _as_installed():
    """Let programs that tests start find the packages that an installation has, and not those of tests besides."""
    own = str(Path(__file__).parent / "fakes" / "installed")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [own, os.environ.get("PYTHONPATH")]))


@pytest.fixture(scope="session")
def demo_data(tmp_path_factory):
    """Return the folder of the demonstration's departments, built once a session."""
    folder = tmp_path_factory.mktemp("departments")
    build(folder)
    return folder


@pytest.fixture
def demo_platform(demo_data, tmp_path):
    """Return a fresh demonstration platform over the session's departments, its values exact."""
    with opened(tmp_path / "state", demo_data, bundle=exact_demo(tmp_path)) as platform:
        yield platform


@pytest.fixture
def shipped_platform(demo_data, tmp_path):
    """Return the same under the policy that is shipped."""
    with opened(tmp_path / "state", demo_data) as platform:
        yield platform
