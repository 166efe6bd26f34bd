"""The tests of this folder need Apache Spark and are collected by ``make test-spark`` only, which names its place."""

import os
import sys
from pathlib import Path

import pytest

HOME = os.environ.get("MIDDLEPLATFORM_TEST_SPARK_HOME", "")
collect_ignore_glob = [] if HOME else ["test_*.py"]

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "conformance")]


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    """Return a running Apache Spark cluster."""
    from cluster import cluster  # noqa: PLC0415 - found by the path above

    home = Path(HOME)
    python = home.parents[3] / "bin" / "python"
    with cluster(home, python, tmp_path_factory.mktemp("spark")) as running:
        yield running
